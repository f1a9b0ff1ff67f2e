"""Exercises from a single source: the student edition, the instructor edition, and their test.

In the source notebook an exercise is three code cells in a row (text may stand between them):
a stub tagged ``exercise`` whose functions end in ``raise NotImplementedError("Student exercise: …")``,
its solution tagged ``solution`` that defines the same functions again, and its check tagged ``check``.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from workbench.errors import ConfigError, unknown
from workbench.lab.notebooks import read, tags

EDITIONS = ("student", "instructor")
ORDER = ("exercise", "solution", "check")
MARK = "Student exercise:"


class Exercise(NamedTuple):
    """Positions (from 0) of the three cells of an exercise."""

    stub: int
    solution: int
    check: int


def exercises(nb: NotebookNode, name: str) -> list[Exercise]:
    """The exercises of a notebook in order.

    Raises ConfigError, naming the notebook and the cell, when a stub has no solution or no check, when
    a stub does not raise, when a solution does not define the stub's functions, or when a check asserts
    nothing.
    """
    found: list[Exercise] = []
    open_cells: list[int] = []  # the cells of the exercise being read
    for i, cell in enumerate(nb.cells):
        if cell.cell_type != "code":
            continue
        role = next((tag for tag in ORDER if tag in tags(cell)), None)
        expected = ORDER[len(open_cells)]
        if role == expected:
            open_cells.append(i)
        elif open_cells:
            raise ConfigError(
                f"{name}, cell {open_cells[0] + 1}: the exercise has no {expected} cell; "
                f"the next code cell ({i + 1}) is {role or 'not tagged'}"
            )
        elif role:
            raise ConfigError(f"{name}, cell {i + 1}: a {role} without an exercise before it")
        if len(open_cells) == len(ORDER):
            found.append(Exercise(*open_cells))
            open_cells = []
    if open_cells:
        missing = ORDER[len(open_cells)]
        raise ConfigError(f"{name}, cell {open_cells[0] + 1}: the exercise has no {missing} cell")
    for exercise in found:
        _refuse_malformed(nb, exercise, name)
    return found


def _refuse_malformed(nb: NotebookNode, exercise: Exercise, name: str) -> None:
    trees = {}
    for role, i in zip(ORDER, exercise, strict=True):
        try:
            trees[role] = ast.parse(nb.cells[i].source)
        except SyntaxError as error:
            raise ConfigError(f"{name}, cell {i + 1}: the {role} is not Python ({error.msg})") from None
    stubs = {f.name for f in _functions(trees["exercise"]) if _is_stub(f)}
    if not stubs:
        raise ConfigError(
            f"{name}, cell {exercise.stub + 1}: no function of the exercise ends in "
            f'raise NotImplementedError("{MARK} …")'
        )
    solved = {f.name for f in _functions(trees["solution"]) if not _is_stub(f)}
    if missing := sorted(stubs - solved):
        raise ConfigError(
            f"{name}, cell {exercise.solution + 1}: the solution does not define {', '.join(missing)}"
        )
    if not any(isinstance(node, ast.Assert) or _is_assert_call(node) for node in ast.walk(trees["check"])):
        raise ConfigError(f"{name}, cell {exercise.check + 1}: the check asserts nothing")


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def _is_stub(function: ast.FunctionDef) -> bool:
    """Whether the last statement is ``raise NotImplementedError("Student exercise: …")``."""
    match function.body[-1]:
        case ast.Raise(
            exc=ast.Call(func=ast.Name(id="NotImplementedError"), args=[ast.Constant(value=str(text))])
        ):
            return text.startswith(MARK)
    return False


def _is_assert_call(node: ast.AST) -> bool:
    """A call such as ``np.testing.assert_allclose(...)``."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called.startswith("assert")


def build_edition(path: Path, edition: str) -> NotebookNode:
    """The notebook for students (no solutions) or for instructors (everything).

    In the student edition the checks lose their outputs, which the solutions produced, and get the tag
    ``raises-exception``, so that "Run all" reports an open exercise and goes on.
    """
    if edition not in EDITIONS:
        raise unknown("edition", edition, EDITIONS)
    nb = read(path)
    found = exercises(nb, path.stem)
    if edition == "student":
        for exercise in found:
            check = nb.cells[exercise.check]
            check.outputs, check.execution_count = [], None
            check.metadata["tags"] = [*tags(check), "raises-exception"]
        solutions = {exercise.solution for exercise in found}
        nb.cells = [cell for i, cell in enumerate(nb.cells) if i not in solutions]
    return nb


def instructor_check(path: Path) -> NotebookNode:
    """The instructor edition with a guard before each solution: the check must fail on the stub.

    Run it from top to bottom: it passes when every stub raises its NotImplementedError and every
    solution passes its check.
    """
    nb = read(path)
    for exercise in reversed(exercises(nb, path.stem)):  # from the end, so that positions stay true
        guard = _GUARD.format(
            check=nb.cells[exercise.check].source,
            label=f"{path.stem}, check of the exercise in cell {exercise.stub + 1}",
            mark=MARK,
        )
        nb.cells.insert(exercise.solution, nbformat.v4.new_code_cell(guard))
    return nb


_GUARD = """\
def _guard(check={check!r}, label={label!r}):
    try:
        exec(compile(check, label, "exec"), dict(globals()))
    except NotImplementedError as error:
        assert str(error).startswith({mark!r}), f"{{label}}: {{error}}"
    else:
        raise AssertionError(f"{{label}} passes on the stub, before anything is solved")


_guard()
"""
