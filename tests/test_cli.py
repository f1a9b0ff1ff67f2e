"""The command line: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import workbench.lab.benchmarks
import workbench.show.benchmarks
from workbench.cli import app
from workbench.lab import bench, execute
from workbench.lab.bench import Measurement
from workbench.lab.notebooks import read

STUB = 'def f():\n    raise NotImplementedError("Student exercise: f")'
HEAVY = {"numpy", "pandas", "torch", "matplotlib", "papermill", "nbformat", "IPython", "numba"}


def workbench(*words: str) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    result = CliRunner().invoke(app, words)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def lessons(checkout):
    checkout.write(
        "00_start",
        checkout.md("# Start\n\n5 minutes"),
        checkout.code("profile = 'quick'\nseed = 0", "parameters"),
        checkout.code("from workbench.lab import runs\nx = lambda: runs.begin('', datasets={'quick': 'a'})"),
        checkout.code(STUB, "exercise"),
        checkout.code("def f():\n    return seed", "solution"),
        checkout.code("assert f() >= 0", "check"),
    )
    checkout.write("figures/lift_fig7", checkout.md("# The best K", "headline"), checkout.code("1"))
    return checkout


class TestHelp:
    def test_it_answers_at_once_without_heavy_imports(self) -> None:
        script = (
            "import sys\nfrom workbench.cli import app\napp(['--help'], standalone_mode=False)\n"
            f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))"
        )
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "HEAVY []"
        assert time.perf_counter() - began < 3, "0.15 s on an idle machine"

    @pytest.mark.parametrize("command", ["run", "list", "lab", "edition", "tidy", "bench", "data"])
    def test_every_command_explains_itself(self, command: str) -> None:
        code, out, _ = workbench(command, "--help")
        assert code == 0
        assert "Usage" in out
        assert command in workbench("--help")[1]


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["run", "07"], "unknown notebook '07'; known: 00_start, figures, lift_fig7"),
            (["run", "00", "-p", "k", "1"], "unknown parameter of 00_start 'k'; known: profile, seed"),
            (["run", "00", "-p", "seed", "x"], "the parameter 'seed' of 00_start is int (0), not 'x'"),
            (["run", "00", "-p", "seed"], "-p takes a name and a value; only 'seed' was given"),
            (["run", "00", "--profile", "slow"], "unknown profile 'slow'; known: paper, quick, real"),
            (["run", "00", "--profile", "paper"], "unknown profile for 00_start 'paper'; known: quick"),
            (["tidy", "nope"], "unknown notebook 'nope'"),
            (["edition", "teacher", "--out", "x"], "unknown edition 'teacher'; known: instructor, student"),
            (["bench", "nope"], "unknown benchmark 'nope'; known: "),
            (["bench", "--size", "huge"], "unknown size 'huge'; known: full, quick, tiny"),
            (["data", "get", "nope"], "unknown data set 'nope'; known: "),
            (["data", "check", "nope"], "unknown data set 'nope'; known: "),
        ],
    )
    def test_in_one_line_with_exit_code_2(self, lessons, words: list[str], message: str) -> None:
        code, out, err = workbench(*words)
        assert code == 2
        assert err.startswith(f"error: {message}")
        assert err.count("\n") == 1
        assert out == ""
        assert not (lessons.root / "runs").exists()

    def test_a_fault_found_on_the_way_is_one_line_with_exit_code_1(self, lessons) -> None:
        lessons.write("01_open", lessons.md("# Open"), lessons.code(STUB, "exercise"))
        code, _, err = workbench("edition", "student", "--out", str(lessons.root / "out"))
        assert (code, err) == (1, "error: 01_open, cell 2: the exercise has no solution cell\n")
        assert not (lessons.root / "out").exists()


def test_list(lessons) -> None:
    code, out, _ = workbench("list")
    assert code == 0
    assert out.splitlines()[0].split() == ["00_start", "5", "min", "quick", "Start"]
    assert out.splitlines()[1].split() == ["*", "lift_fig7", "-", "The", "best", "K"]


def test_lab_opens_the_notebooks_with_this_python(lessons, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def starts(command: list[str], **_: object) -> subprocess.CompletedProcess:
        called.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", starts)
    assert workbench("lab")[0] == 3
    assert called == [[sys.executable, "-m", "jupyterlab", str(lessons.root / "notebooks")]]


def test_editions(lessons) -> None:
    for which, cells in (("student", 5), ("instructor", 6)):
        code, out, _ = workbench("edition", which, "--out", str(lessons.root / which))
        assert (code, "1 lessons written" in out) == (0, True)
        assert len(read(lessons.root / which / "00_start.ipynb").cells) == cells


class TestRun:
    def test_what_was_typed_reaches_the_runs(self, lessons, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[tuple] = []

        def runs(jobs: list[execute.Job], at: object, **options: object) -> list[execute.Outcome]:
            seen.append(([(job.notebook.name, dict(job.given)) for job in jobs], options))
            return [execute.Outcome(job, 1.0, 1, skipped=True) for job in jobs]

        monkeypatch.setattr(execute, "run_jobs", runs)
        assert workbench("run")[0] == 0
        assert seen.pop() == ([("00_start", {}), ("lift_fig7", {})], {"at_once": 1, "resume": False})
        words = ["00", "-p", "seed", "-1", "--profile", "quick", "--jobs", "2", "--resume"]
        code, out, _ = workbench("run", *words)
        given = {"seed": -1, "profile": "quick"}
        assert seen.pop() == ([("00_start", given)], {"at_once": 2, "resume": True})
        assert (code, out) == (0, "0 ran, 1 already done, 0 failed; pictures: figures/index.html\n")

    def test_a_failing_cell_ends_with_exit_code_1(self, lessons) -> None:
        lessons.write("01_bad", lessons.md("# Bad"), lessons.code("1\nundefined_name"))
        code, out, err = workbench("run", "01")
        assert code == 1
        assert "01_bad, cell 2: NameError: name 'undefined_name' is not defined\n    1\n" in out + err
        assert "0 ran, 0 already done, 1 failed" in out
        assert "Traceback" not in out + err

    def test_interrupted(self, lessons) -> None:
        """Ctrl-C: exit code 130, no record, no half-written copy, and the kernel is gone."""
        sign = lessons.root / "started"
        source = f"import os, pathlib, time\npathlib.Path({str(sign)!r}).write_text(str(os.getpid()))"
        lessons.write("01_long", lessons.md("# Long"), lessons.code(f"{source}\ntime.sleep(300)"))
        # A shell starts background jobs with SIGINT ignored, and children inherit that: undo it.
        listening = (
            "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
            "runpy.run_module('workbench.cli', run_name='__main__')"
        )
        command = [sys.executable, "-c", listening, "run", "01"]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            _wait_until(lambda: sign.exists() and sign.read_text())
            run.send_signal(signal.SIGINT)
            _, err = run.communicate(timeout=60)
        finally:
            run.kill()
            run.communicate()
        assert run.returncode == 130
        assert err == "interrupted; what finished is kept, --resume goes on\n"
        assert not list((lessons.root / "runs").rglob("*.*"))
        _wait_until(lambda: not _is_running(int(sign.read_text())))


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    """Whether a process runs (one that nobody has waited for yet does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_bench_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = workbench("bench", "interactions", "--json")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows
    assert rows[0]["name"] == "interactions"
    assert all(row[name] > 0 for row in rows for name in ("ratio", "median_s", "peer_median_s"))


def test_bench_table(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Measurement("toy", "1,000 rows", "peer", 0.5, 1e-3, 2e-3, 0.1, 8.0)
    monkeypatch.setattr(bench, "_REGISTRY", {"toy": bench.Benchmark("toy", "a toy", lambda size: [row])})
    code, out, _ = workbench("bench")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["benchmark", "toy"]


class TestData:
    @pytest.fixture(autouse=True)
    def empty(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
        monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))

    def test_list(self) -> None:
        code, out, _ = workbench("data", "list")
        assert code == 0
        assert "ml-1m" in out
        assert "not at hand" in out

    def test_what_is_not_at_hand_is_explained(self) -> None:
        code, out, _ = workbench("data", "check", "taobao")
        assert code == 1
        assert "not at hand" in out
        code, _, err = workbench("data", "get", "taobao")  # behind a login: nothing is downloaded
        assert code == 1
        assert err.startswith("error: ")
        assert "UserBehavior.csv" in err
        assert err.count("\n") == 1
