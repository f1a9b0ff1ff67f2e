"""Notebooks as data: what they declare, which are meant, links, cleaning, editions."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from workbench.errors import ConfigError
from workbench.lab.editions import Exercise, build_edition, exercises, instructor_check
from workbench.lab.notebooks import WIDGET_VIEW, Notebook, cleaned, find, link_lessons, read, select, written
from workbench.lab.places import places, write_files

STUB = 'def add(a, b):\n    """Their sum."""\n    raise NotImplementedError("Student exercise: add")'
SOLUTION = "def add(a, b):\n    return a + b"
CHECK = "assert add(2, 3) == 5\nprint('right')"


def run_here(nb: NotebookNode) -> dict[str, object]:
    """Run the code cells in this process: the toy lessons need no kernel."""
    namespace: dict[str, object] = {}
    for cell in nb.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "cell", "exec"), namespace)
    return namespace


class TestDeclarations:
    def test_a_notebook_says_what_it_is(self, checkout) -> None:
        path = checkout.write(
            "02_lift",
            checkout.md("# Retrieve\n\nYou will … About 35 minutes; the quick profile runs in 1 minute."),
            checkout.code("dataset = None\nseed = -1\nks = [1, 5]  # literals only", "parameters"),
            checkout.code("from x import runs\nr = runs.begin('02', datasets={'quick': 'a', 'real': 'b'})"),
        )
        book = Notebook(path)
        assert (book.name, book.title, book.minutes, book.headline) == ("02_lift", "Retrieve", 35, False)
        assert book.parameters == {"dataset": None, "seed": -1, "ks": [1, 5]}
        assert book.datasets == {"quick": "a", "real": "b"}

    def test_a_notebook_that_declares_nothing(self, checkout) -> None:
        book = Notebook(checkout.write("02_lift", checkout.md("text")))
        assert (book.minutes, book.parameters, book.datasets) == (None, {}, {})
        with pytest.raises(ConfigError, match="02_lift has no heading"):
            _ = book.title

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("seed = 1\nk = seed + 1", "line 2: 'k = seed \\+ 1' is not 'name = literal'"),
            ("import os", "line 1"),
            ("a = b = 1", "line 1"),
            ("seed = ", "not Python"),
        ],
    )
    def test_derived_parameters_are_refused(self, checkout, source: str, message: str) -> None:
        path = checkout.write("02_lift", checkout.code(source, "parameters"))
        with pytest.raises(ConfigError, match=message):
            _ = Notebook(path).parameters

    def test_the_fingerprint_ignores_outputs_and_nothing_else(self, checkout) -> None:
        path = checkout.write("02_lift", checkout.code("x = 1"))
        before, nb = Notebook(path).fingerprint, read(path)
        nb.cells[0].outputs = [nbformat.v4.new_output("stream", text="hello")]
        write_files({path: written(nb)})
        assert Notebook(path).fingerprint == before
        nb.cells[0].metadata["tags"] = ["parameters"]
        write_files({path: written(nb)})
        assert Notebook(path).fingerprint != before

    def test_what_is_not_a_notebook(self, tmp_path: Path) -> None:
        (tmp_path / "bad.ipynb").write_text("{}")
        with pytest.raises(ConfigError, match=r"bad\.ipynb cannot be read"):
            read(tmp_path / "bad.ipynb")
        with pytest.raises(ConfigError, match=r"none\.ipynb cannot be read"):
            read(tmp_path / "none.ipynb")


class TestSelection:
    @pytest.fixture
    def at(self, checkout):
        for name in ("01_b", "00_a", "scratch", "figures/lift_fig7", "figures/encode_fig1"):
            checkout.write(name, checkout.md("# T", *(["headline"] if name.endswith("fig7") else [])))
        return places()

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            ([], ["00_a", "01_b", "lift_fig7"]),  # the tour
            (["01"], ["01_b"]),
            (["figures"], ["encode_fig1", "lift_fig7"]),
            (["lift_fig7", "00_a", "00"], ["lift_fig7", "00_a"]),
        ],
    )
    def test_names(self, at, names: list[str], expected: list[str]) -> None:
        assert [book.name for book in select(names, at)] == expected

    @pytest.mark.parametrize("name", ["02", "lift", "scratch", "0"])
    def test_unknown_names_list_the_known_ones(self, at, name: str) -> None:
        with pytest.raises(ConfigError, match=f"unknown notebook '{name}'; known: 00_a, 01_b, encode_fig1"):
            select([name], at)

    def test_no_notebooks(self, checkout) -> None:
        assert find(places()) == {}
        with pytest.raises(ConfigError, match="no notebooks in notebooks"):
            select([], places())


def test_no_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="WORKBENCH_HOME"):
        places()


def test_links_are_written_once_and_follow_titles(checkout) -> None:
    paths = [checkout.write(f"0{i}_x", checkout.md(f"# Part {i}"), checkout.code("1")) for i in range(3)]
    folder = paths[0].parent
    assert link_lessons(folder) == paths
    assert link_lessons(folder) == []
    last = [read(path).cells[-1] for path in paths]
    assert [cell.metadata.tags for cell in last] == [["links"]] * 3
    assert last[0].source == "---\n[Part 1 →](01_x.ipynb)"
    assert last[1].source == "---\n[← Part 0](00_x.ipynb) · [Part 2 →](02_x.ipynb)"
    checkout.write("01_x", checkout.md("# New"), checkout.md("old", "links"))
    assert link_lessons(folder) == paths
    assert "[New →](01_x.ipynb)" in read(paths[0]).cells[-1].source


class TestCleaning:
    def executed(self, *outputs: NotebookNode) -> NotebookNode:
        cell = nbformat.v4.new_code_cell("x", execution_count=7, outputs=list(outputs))
        cell.metadata |= {
            "papermill": {"duration": 1.5},
            "execution": {"iopub.execute_input": "2026"},
            "tags": [],
        }
        first = nbformat.v4.new_code_cell("seed = 1", execution_count=3, metadata={"tags": ["parameters"]})
        given = nbformat.v4.new_code_cell("seed = 2", metadata={"tags": ["injected-parameters"]})
        metadata = {"papermill": {"input_path": "/home/me/x"}, "widgets": {"state": {}}}
        return nbformat.v4.new_notebook(cells=[first, given, cell], metadata=metadata)

    def test_traces_of_the_run_go_and_outputs_stay(self) -> None:
        kept = nbformat.v4.new_output("execute_result", {"text/plain": "0.71"}, execution_count=7)
        view = nbformat.v4.new_output("display_data", {WIDGET_VIEW: {"model_id": "1"}, "text/plain": "V()"})
        nb = self.executed(kept, view)
        clean = cleaned(nb, "02_lift")
        nbformat.validate(clean)
        assert [cell.source for cell in clean.cells] == ["seed = 1", "x"]
        assert [cell.execution_count for cell in clean.cells] == [1, 2]
        assert clean.cells[1].metadata == {}
        assert clean.cells[1].outputs == [{**kept, "execution_count": 2}]
        assert set(clean.metadata) == {"kernelspec", "language_info"}
        assert clean.metadata.kernelspec.name == "python3"
        assert len(nb.cells) == 3, "the executed notebook itself is left alone"

    def test_of_a_widget_its_still_picture_stays(self) -> None:
        """A page without a kernel shows the picture where the explorer is."""
        shown = {WIDGET_VIEW: {"model_id": "1"}, "image/png": "iVBORw0=", "text/plain": "A row of events"}
        clean = cleaned(self.executed(nbformat.v4.new_output("display_data", shown)), "02_lift")
        (left,) = clean.cells[1].outputs
        assert left.data == {"image/png": "iVBORw0=", "text/plain": "A row of events"}

    @pytest.mark.parametrize(
        "text",
        ["File /home/me/project/x.py", '"/tmp/ipykernel_12/3.py:1"', f"in {Path.cwd()}/a", r"C:\Users\me\x"],
    )
    def test_absolute_paths_are_refused(self, text: str) -> None:
        for output in (
            nbformat.v4.new_output("stream", text=text),
            nbformat.v4.new_output("display_data", {"text/html": f"<p>{text}</p>"}),
        ):
            with pytest.raises(ConfigError, match="02_lift, cell 2 prints the absolute path"):
                cleaned(self.executed(output), "02_lift")

    @pytest.mark.parametrize("text", ["1/2", "figures/home/x.png", "https://a.org/home/x", "a / tmp / b"])
    def test_other_slashes_pass(self, text: str) -> None:
        clean = cleaned(self.executed(nbformat.v4.new_output("stream", text=text)), "02_lift")
        assert clean.cells[1].outputs[0].text == text

    def test_errors_are_refused(self) -> None:
        error = nbformat.v4.new_output("error", ename="ValueError", evalue="boom", traceback=[])
        with pytest.raises(ConfigError, match="cell 2 ends in ValueError: boom"):
            cleaned(self.executed(error), "02_lift")

    def test_large_notebooks_are_refused(self) -> None:
        output = nbformat.v4.new_output("display_data", {"image/png": "A" * 1_000_000})
        with pytest.raises(ConfigError, match=r"02_lift has 1\.0 MB, at most 1 is committed; .* cell 2"):
            cleaned(self.executed(output), "02_lift")


class TestEditions:
    def lesson(self, checkout, stub: str = STUB, solution: str = SOLUTION, check: str = CHECK) -> Path:
        return checkout.write(
            "02_lift",
            checkout.md("# Lesson"),
            checkout.code("data = [1, 2]"),
            checkout.code(stub, "exercise"),
            checkout.md("A hint."),
            checkout.code(solution, "solution"),
            checkout.code(check, "check"),
            checkout.code("total = add(*data)"),
        )

    def test_students_get_no_solution(self, checkout) -> None:
        nb = build_edition(self.lesson(checkout), "student")
        assert SOLUTION not in [cell.source for cell in nb.cells]
        assert [c.source for c in nb.cells if "raises-exception" in c.metadata.get("tags", [])] == [CHECK]
        with pytest.raises(NotImplementedError, match="Student exercise: add"):
            run_here(nb)

    def test_students_do_not_see_what_the_solution_printed(self, checkout) -> None:
        path = self.lesson(checkout)
        nb = read(path)
        nb.cells[5].outputs = [nbformat.v4.new_output("stream", text="right")]
        write_files({path: written(nb)})
        assert build_edition(path, "student").cells[4].outputs == []
        assert build_edition(path, "instructor").cells[5].outputs

    def test_instructors_get_everything(self, checkout) -> None:
        path = self.lesson(checkout)
        nb = build_edition(path, "instructor")
        assert nb == read(path)
        assert run_here(nb)["total"] == 3

    def test_unknown_edition(self, checkout) -> None:
        with pytest.raises(ConfigError, match="unknown edition 'teacher'; known: instructor, student"):
            build_edition(self.lesson(checkout), "teacher")

    def test_positions(self, checkout) -> None:
        assert exercises(read(self.lesson(checkout)), "x") == [Exercise(2, 4, 5)]

    def test_the_instructor_check_runs_through(self, checkout) -> None:
        assert run_here(instructor_check(self.lesson(checkout)))["total"] == 3

    @pytest.mark.parametrize(
        ("check", "error", "message"),
        [
            ("assert data == [1, 2]", AssertionError, "cell 3 passes on the stub"),
            ("assert add(2, 3) == 6", AssertionError, None),  # the guard is content, the solution is not
            ("assert nothing_there()", NameError, None),  # fails on the stub, but for the wrong reason
        ],
    )
    def test_the_instructor_check_can_fail(self, checkout, check, error, message) -> None:
        nb = instructor_check(self.lesson(checkout, check=check))
        with pytest.raises(error, match=message):
            run_here(nb)

    def test_a_wrong_solution_fails_its_check(self, checkout) -> None:
        nb = instructor_check(self.lesson(checkout, solution="def add(a, b):\n    return a - b"))
        with pytest.raises(AssertionError):
            run_here(nb)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"stub": "def add(a, b):\n    return 0"}, "cell 3: no function of the exercise ends in raise"),
            ({"stub": STUB.replace("Student exercise", "To do")}, "cell 3: no function"),
            ({"solution": "def plus(a, b):\n    return a + b"}, "cell 5: the solution does not define add"),
            ({"solution": STUB}, "cell 5: the solution does not define add"),
            ({"check": "print(add(2, 3))"}, "cell 6: the check asserts nothing"),
            ({"check": "%timeit add(1, 2)"}, "cell 6: the check is not Python"),
        ],
    )
    def test_malformed_exercises(self, checkout, changes: dict[str, str], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            exercises(read(self.lesson(checkout, **changes)), "02_lift")

    @pytest.mark.parametrize(
        ("roles", "message"),
        [
            (
                ["exercise", "check"],
                "cell 1: the exercise has no solution cell; the next code cell .2. is",
            ),
            (["exercise", None, "solution", "check"], "cell 1: .* no solution cell; .* is not tagged"),
            (["exercise", "solution", "exercise"], "cell 1: the exercise has no check cell"),
            (["exercise", "solution"], "cell 1: the exercise has no check cell"),
            (["exercise"], "cell 1: the exercise has no solution cell"),
            (["solution"], "cell 1: a solution without an exercise"),
            (["exercise", "solution", "check", "check"], "cell 4: a check without an exercise"),
        ],
    )
    def test_cells_out_of_order(self, checkout, roles: list[str | None], message: str) -> None:
        source = {"exercise": STUB, "solution": SOLUTION, "check": CHECK, None: "1"}
        cells = [checkout.code(source[role], *([role] if role else [])) for role in roles]
        with pytest.raises(ConfigError, match=message):
            exercises(nbformat.v4.new_notebook(cells=cells), "02_lift")


class TestWriting:
    def test_all_or_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a").write_bytes(b"old")
        whole = Path.write_bytes

        def breaks_at_second(self: Path, content: bytes) -> int:
            if self.name.startswith(".b"):
                whole(self, content[:1])
                raise OSError("disk full")
            return whole(self, content)

        monkeypatch.setattr(Path, "write_bytes", breaks_at_second)
        with pytest.raises(OSError, match="disk full"):
            write_files({tmp_path / "a": b"new", tmp_path / "b": b"new"})
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}

    def test_notebooks_end_in_one_newline(self) -> None:
        content = written(nbformat.v4.new_notebook())
        assert content.endswith(b"}\n")
        assert json.loads(content)["nbformat"] == 4
