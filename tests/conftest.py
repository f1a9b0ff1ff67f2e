"""A toy checkout: notebooks built in a temporary folder, run by the real machinery."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest


class Checkout:
    """A folder with notebooks/ and notebooks/figures/ in which tests write notebooks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.figures = root / "figures"
        (root / "notebooks" / "figures").mkdir(parents=True)

    @staticmethod
    def md(source: str, *tags: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_markdown_cell(source, metadata={"tags": list(tags)} if tags else {})

    @staticmethod
    def code(source: str, *tags: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})

    def write(self, name: str, *cells: nbformat.NotebookNode) -> Path:
        """notebooks/<name>.ipynb; ``name`` may begin with "figures/"."""
        path = self.root / "notebooks" / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
        return path


@pytest.fixture(scope="session")
def make_checkout() -> type[Checkout]:
    return Checkout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    monkeypatch.delenv("WORKBENCH_FIGURES", raising=False)
    return Checkout(tmp_path)
