"""Every lesson, run as the instructor edition: each stub fails its check, each solution passes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbclient import NotebookClient
from traitlets.config import Config

from workbench.lab.editions import exercises, instructor_check
from workbench.lab.notebooks import find, read
from workbench.lab.places import PACKAGE, Places

AT = Places(PACKAGE.parent)
LESSONS = [book for book in find(AT).values() if not book.figure]
# Solutions are as right on a small world; what these lessons measure is asserted in test_lessons.py.
SMALLER = {
    "06_lcn_align": "world:tiny_two_domain",
    "07_lcn_pyramid": "world:tiny_two_domain",
    "09_encode_online": "world:tiny",
}


def test_the_lessons_are_found() -> None:
    assert LESSONS


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda book: book.name)
def test_a_lesson_has_three_or_more_exercises(lesson) -> None:
    assert len(exercises(read(lesson.path), lesson.name)) >= 3


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda book: book.name)
def test_stubs_fail_and_solutions_pass(lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_FIGURES", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE.parent))
    nb = instructor_check(lesson.path)
    if lesson.name in SMALLER:
        (cell,) = [cell for cell in nb.cells if "dataset = None" in cell.source]
        cell.source = cell.source.replace("dataset = None", f'dataset = "{SMALLER[lesson.name]}"')
    NotebookClient(
        nb,
        kernel_name="python3",
        timeout=600,  # a cell may train a network, beside another one's
        resources={"metadata": {"path": str(lesson.path.parent)}},
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
    ).execute()
