"""Imports go one way (design): data | methods <- baselines <- lab <- show; cli on top; errors for all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import workbench

PACKAGE = Path(workbench.__file__).parent
MAY_KNOW = {
    "__init__": set(),
    "errors": set(),
    "data": {"errors"},
    "methods": {"errors"},
    "baselines": {"errors", "methods"},
    "lab": {"errors", "data", "methods", "baselines"},
    "show": {"errors", "data", "methods", "baselines", "lab"},
    "cli": {"errors", "data", "methods", "baselines", "lab", "show"},
}
FORBIDDEN = {"data": {"torch"}, "methods": {"pandas", "pyarrow", "pathlib", "io"}}


def imported(source: str, module: str) -> Iterator[str]:
    """Absolute names of what a module imports, at the top or inside a function, types included.

    ``from a import b`` gives "a.b": b may be a module, and if it is not, the first two parts decide.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def violations(source: str, module: str) -> list[str]:
    """The imports that a module of this name must not have."""
    part = module.split(".")[1]
    allowed = MAY_KNOW[part] | {part}
    wrong = []
    for name in imported(source, module):
        top, _, rest = name.partition(".")
        if top == "workbench" and rest and rest.split(".")[0] not in allowed:
            wrong.append(f"{module} imports {name}")
        if top in FORBIDDEN.get(part, ()):
            wrong.append(f"{module} imports {name}")
    return wrong


MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    assert not violations(path.read_text(), name_of(path))


def test_the_whole_package_is_walked() -> None:
    parts = {name_of(path).split(".")[1] for path in MODULES}
    assert {"data", "methods", "lab", "show", "cli", "errors"} <= parts
    assert parts <= set(MAY_KNOW), "a new part of the package needs its place in MAY_KNOW"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("workbench.data.world", "import workbench.methods.lift"),
        ("workbench.data.world", "from workbench import methods"),
        ("workbench.data.world", "from ..methods import lift"),
        ("workbench.data.world", "def f():\n    import torch"),
        ("workbench.methods.lift", "from workbench.data.histories import Histories"),
        ("workbench.methods.lift", "import pandas as pd"),
        ("workbench.baselines.din", "from workbench.lab import metrics"),
        ("workbench.lab.runs", "from workbench.show.style import RC"),
        ("workbench.show.plots", "from workbench.cli import app"),
        ("workbench.errors", "from workbench.data import load"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert violations(source, module)


def test_right_imports_pass() -> None:
    source = "from __future__ import annotations\nimport numpy\nfrom workbench.errors import DataError\n"
    assert not violations(
        source + "from workbench.data import load\nfrom .places import f", "workbench.lab.x"
    )
