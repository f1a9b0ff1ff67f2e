"""Running notebooks from outside: planning, papermill, records, resuming, tidying."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from workbench.errors import ConfigError
from workbench.lab import execute, gallery
from workbench.lab.notebooks import Notebook, read, select, written
from workbench.lab.places import places, write_files

PARAMETERS = "dataset = None\nprofile = 'quick'\nseed = 0\nrate = 0.5\nnoisy = False\nk = 1\nfails = False"
BEGIN = """\
import os
from pathlib import Path
from matplotlib import pyplot as plt
from workbench.lab import runs
run = runs.begin("{name}", profile=profile, dataset=dataset, seed=seed, knobs={{"k": k}},
                 datasets={{"quick": "world:tiny", "paper": "ml-1m"}})
"""


def lesson(checkout, name: str, *sources: str) -> Notebook:
    begins = checkout.code(BEGIN.format(name=name.rpartition("/")[2]))
    declares = checkout.code(PARAMETERS, "parameters")
    return Notebook(
        checkout.write(name, checkout.md(f"# {name}"), declares, begins, *map(checkout.code, sources))
    )


class TestPlan:
    def test_values_take_the_declared_types(self, checkout) -> None:
        typed = [("dataset", "ml-1m"), ("seed", "7"), ("rate", "1"), ("noisy", "True"), ("k", "None")]
        (job,) = execute.plan([lesson(checkout, "01_a")], typed, "paper")
        assert job.given == {"dataset": "ml-1m", "seed": 7, "rate": 1, "noisy": True, "k": None} | {
            "profile": "paper"
        }
        assert job.parameters == job.given | {"fails": False}

    @pytest.mark.parametrize(
        ("given", "profile", "message"),
        [
            ([("size", "1")], None, "unknown parameter of 01_a 'size'; known: dataset, fails, k, noisy"),
            ([("seed", "x")], None, "'seed' of 01_a is int .0., not 'x'"),
            ([("seed", "1.5")], None, "'seed' of 01_a is int"),
            ([("seed", "True")], None, "'seed' of 01_a is int"),
            ([("noisy", "1")], None, "'noisy' of 01_a is bool"),
            ([], "slow", "unknown profile 'slow'; known: paper, quick, real"),
            ([], "real", "unknown profile for 01_a 'real'; known: paper, quick"),
            ([("profile", "real")], None, "unknown profile for 01_a 'real'"),
        ],
    )
    def test_refusals(self, checkout, given, profile, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            execute.plan([lesson(checkout, "01_a")], given, profile)

    def test_a_notebook_without_the_parameter_refuses_it(self, checkout) -> None:
        bare = Notebook(checkout.write("00_bare", checkout.md("# Bare")))
        with pytest.raises(ConfigError, match="unknown parameter of 00_bare 'profile'"):
            execute.plan([bare], profile="quick")

    def test_the_key_changes_with_all_that_changes_results(
        self, checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (job,) = execute.plan([lesson(checkout, "01_a")])
        keys = {job.key, execute.plan([lesson(checkout, "01_a")], [("seed", "1")])[0].key}
        keys |= {execute.plan([lesson(checkout, "02_a")])[0].key}
        keys |= {execute.plan([lesson(checkout, "01_a", "k + 1")])[0].key}
        monkeypatch.setattr(execute, "source_fingerprint", lambda: "other")
        same = lesson(checkout, "01_a")
        keys |= {execute.plan([same])[0].key}
        assert len(keys) == 5
        assert execute.plan([same], [("seed", "0")])[0].key in keys, "the default, typed, is the same run"

    def test_at_least_one_at_once(self, checkout) -> None:
        with pytest.raises(ConfigError, match="at least one notebook"):
            execute.run_jobs([], places(), at_once=0)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, make_checkout) -> Iterator[SimpleNamespace]:
    """Three notebooks run for real, two kernels at a time: one well, one failing, one dying."""
    with pytest.MonkeyPatch.context() as patch:
        checkout = make_checkout(tmp_path_factory.mktemp("check{out}"))  # braces are papermill's templates
        patch.setenv("WORKBENCH_HOME", str(checkout.root))
        patch.delenv("WORKBENCH_FIGURES", raising=False)
        figure = "fig, ax = plt.subplots(); ax.plot([0, k])\nrun.load()"
        keeps = 'run.keep(fig, "toy_fig", alt="A line.")'
        lesson(checkout, "01_well", figure, keeps, "print(Path.cwd().name, os.environ['OMP_NUM_THREADS'])")
        lesson(checkout, "02_fails", "k = 2", "# why\nif k == 2:\n    raise ValueError('boom')\n", "k = 3")
        lesson(checkout, "figures/dies", "os._exit(1)")
        books = select(["01", "02", "figures"], places())
        lines: list[str] = []
        ended = execute.run_jobs(execute.plan(books, [("seed", "4")]), places(), at_once=2, say=lines.append)
        yield SimpleNamespace(checkout=checkout, at=places(), books=books, ended=ended, lines=lines)


class TestExecution:
    def test_a_run_leaves_its_copy_its_record_and_its_picture(self, done: SimpleNamespace) -> None:
        well = done.ended[0]
        assert well.error == ""
        nb = read(done.at.executed / f"{well.job.stem}.ipynb")
        assert well.job.stem == f"01_well__quick__{well.job.key}"
        assert nb.cells[-1].outputs[0].text.split() == ["notebooks", str(max(1, execute._cores() // 2))]
        assert [list(out.data) for out in nb.cells[5].outputs] == [["image/png", "text/plain"]]
        (picture,) = gallery.pictures(done.checkout.figures)
        assert (picture["run"], picture["seed"], picture["notebook"]) == (well.job.key, 4, "01_well")
        (record,) = [json.loads(path.read_text()) for path in done.at.records.iterdir()]
        assert record["parameters"]["seed"] == 4
        assert record["pictures"] == ["toy_fig__world-tiny"]
        assert record["source"] == execute.source_fingerprint()
        assert (record["notebook"], record["profile"]) == (well.job.notebook.fingerprint, "quick")
        assert "toy_fig" in (done.checkout.figures / "index.html").read_text()

    def test_a_failure_names_cell_source_and_error(self, done: SimpleNamespace) -> None:
        error = done.ended[1].error.splitlines()
        assert error[0] == "02_fails, cell 5: ValueError: boom"
        assert error[1:4] == ["    # why", "    if k == 2:", "        raise ValueError('boom')"]
        assert f"runs/executed/{done.ended[1].job.stem}.ipynb" in error[4]
        assert (done.at.executed / f"{done.ended[1].job.stem}.ipynb").exists()

    def test_a_dead_kernel_is_told_from_a_failing_cell(self, done: SimpleNamespace) -> None:
        assert done.ended[2].error == "dies, cell 4: the kernel died; was memory exhausted?"

    def test_one_line_each_as_it_ends(self, done: SimpleNamespace) -> None:
        assert len(done.lines) == 3
        (well,) = [line for line in done.lines if line.startswith("01_well")]
        assert re.fullmatch(r"01_well +quick +6/6 cells +\d+\.\d s", well)
        (fails,) = [line for line in done.lines if line.startswith("02_fails")]
        assert re.match(r"02_fails +quick +5/6 cells +failed\n02_fails, cell 5", fails)

    def test_nothing_partial_is_left(self, done: SimpleNamespace) -> None:
        assert not [*done.checkout.root.rglob("*partial*"), *done.checkout.root.rglob("*.tmp")]

    def test_resuming_skips_what_is_done_and_only_that(self, done: SimpleNamespace) -> None:
        same, failed, _ = execute.plan(done.books, [("seed", "4")])
        (other,) = execute.plan(done.books[:1], [("seed", "5")])
        assert [execute._is_done(job, done.at) for job in (same, failed, other)] == [True, False, False]
        lines: list[str] = []
        (skipped,) = execute.run_jobs([same], done.at, resume=True, say=lines.append)
        assert skipped.skipped
        assert lines[0].endswith("already done")

    def test_a_picture_that_is_gone_or_redrawn_is_not_done(self, done: SimpleNamespace) -> None:
        job, path = done.ended[0].job, done.checkout.figures / "toy_fig__world-tiny.json"
        before = path.read_bytes()
        try:
            write_files({path: before.replace(job.key.encode(), b"another")})
            assert not execute._is_done(job, done.at)
            path.unlink()
            assert not execute._is_done(job, done.at)
        finally:
            write_files({path: before})
        assert execute._is_done(job, done.at)


def test_tidy_writes_clean_outputs_back(checkout) -> None:
    widget = "import ipywidgets\nipywidgets.IntSlider()"
    book = lesson(checkout, "01_a", "k * 5", widget, "# a comment\n", "print(run.profile)")
    nb = read(book.path)
    nb.cells[1].source = PARAMETERS.replace("quick", "paper")  # tidy runs quick, whatever the default
    write_files({book.path: written(nb)})
    (outcome,) = execute.tidy([Notebook(book.path)], places(), say=lambda line: None)
    assert outcome.error == ""
    tidied = read(book.path)
    assert [cell.source for cell in tidied.cells] == [cell.source for cell in nb.cells]
    assert [cell.get("id") for cell in tidied.cells] == [cell.get("id") for cell in nb.cells]
    assert [cell.execution_count for cell in tidied.cells[1:]] == [1, 2, 3, 4, 5, 6]
    assert [len(cell.outputs) for cell in tidied.cells[1:]] == [0, 0, 1, 0, 0, 1]
    assert tidied.cells[3].outputs[0].data == {"text/plain": "5"}
    assert tidied.cells[6].outputs[0].text == "quick\n"
    content = book.path.read_text()
    for trace in (str(checkout.root), "widget-state", "papermill", 'execution"', "iopub"):
        assert trace not in content
    first = book.path.read_bytes()
    execute.tidy([Notebook(book.path)], places(), say=lambda line: None)
    assert book.path.read_bytes() == first, "tidying twice changes nothing"


def test_tidy_does_not_overwrite_a_notebook_edited_meanwhile(
    checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = lesson(checkout, "01_a")

    def edits(jobs: list[execute.Job], at: object, **_: object) -> list[execute.Outcome]:
        _ = [job.notebook.fingerprint for job in jobs]
        lesson(checkout, "01_a", "mine = 1")
        return [execute.Outcome(job, 1.0, 3) for job in jobs]

    monkeypatch.setattr(execute, "run_jobs", edits)
    with pytest.raises(ConfigError, match="01_a was changed while it ran"):
        execute.tidy([book], places())
    assert "mine = 1" in book.path.read_text()
