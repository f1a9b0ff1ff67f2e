"""Running notebooks from outside: papermill, several at once, resumable.

A run is keyed by the notebook's name and content, its parameters and the package's source. Its
executed copy and, once it has finished, its record lie in ``runs/``; its pictures in ``figures/``.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import papermill
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm
from traitlets.config import Config

from workbench.errors import ConfigError, unknown
from workbench.lab import gallery
from workbench.lab.notebooks import PROFILES, Notebook, cleaned, read, tags, written
from workbench.lab.places import PACKAGE, Places, write_files
from workbench.lab.runs import RUN_KEY, code_state

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
BAR = "{desc:<32.32} {n_fmt:>3}/{total_fmt} cells |{bar:20}| {elapsed}"


@dataclass(frozen=True, eq=False)
class Job:
    """A notebook and the parameters it is given."""

    notebook: Notebook
    given: Mapping[str, object]

    @cached_property
    def parameters(self) -> dict[str, object]:
        """Every parameter: the notebook's own values under the given ones."""
        return {**self.notebook.parameters, **self.given}

    @property
    def profile(self) -> str:
        """The profile, or "-" for a notebook without one."""
        return str(self.parameters.get("profile", "-"))

    @cached_property
    def key(self) -> str:
        """Twelve hex digits that change with the notebook, its parameters and the package."""
        parts = [self.notebook.name, self.parameters, self.notebook.fingerprint, source_fingerprint()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def stem(self) -> str:
        """File name of the executed copy and of the record, without ending."""
        return f"{self.notebook.name}__{self.profile}__{self.key}"


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``error`` is empty if it ran or was already done (``skipped``)."""

    job: Job
    seconds: float
    cells: int
    error: str = ""
    skipped: bool = False

    def __str__(self) -> str:
        state = "failed" if self.error else "already done" if self.skipped else f"{self.seconds:.1f} s"
        cells = "" if self.skipped else f"{self.cells}/{len(self.job.notebook.node.cells)} cells"
        return f"{self.job.notebook.name:<32} {self.job.profile:<6} {cells:>13}  {state}"


@cache
def source_fingerprint() -> str:
    """Sixteen hex digits over every file of the package."""
    digest = hashlib.sha256()
    for path in sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".csv", ".json")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def plan(
    books: Iterable[Notebook], given: Sequence[tuple[str, str]] = (), profile: str | None = None
) -> list[Job]:
    """The jobs for some notebooks with parameters as typed on a command line.

    Raises ConfigError for a parameter the notebook does not declare, a value of another type than its
    default, and a profile that nobody knows or the notebook does not offer.
    """
    if profile is not None and profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    typed = dict(given) | ({} if profile is None else {"profile": profile})
    jobs = [Job(book, {key: _value(book, key, text) for key, text in typed.items()}) for book in books]
    for job in jobs:
        offered = job.notebook.datasets
        if "profile" in typed and offered and job.profile not in offered:
            raise unknown(f"profile for {job.notebook.name}", job.profile, offered)
    return jobs


def _value(book: Notebook, name: str, text: str) -> object:
    """The typed text as a value of the declared parameter."""
    if name not in book.parameters:
        raise unknown(f"parameter of {book.name}", name, book.parameters)
    default = book.parameters[name]
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    wanted = (int, float) if isinstance(default, float) else type(default)
    if default is None or value is None or (isinstance(value, wanted) and type(value) is not bool):
        return value
    if isinstance(default, bool) and isinstance(value, bool):
        return value
    raise ConfigError(
        f"the parameter {name!r} of {book.name} is {type(default).__name__} ({default!r}), not {text!r}"
    )


def run_jobs(
    jobs: Sequence[Job],
    at: Places,
    *,
    at_once: int = 1,
    resume: bool = False,
    say: Callable[[str], None] = tqdm.write,
) -> list[Outcome]:
    """Run the jobs, ``at_once`` kernels at a time, and say one line as each ends.

    With ``resume``, a job is skipped when its record is there and figures/ still shows what it drew.
    On Ctrl-C the kernels are killed, unfinished runs leave no record, and KeyboardInterrupt goes on.
    """
    if at_once < 1:
        raise ConfigError(f"at least one notebook runs at once, not {at_once}")
    source_fingerprint()  # before anything runs, so that editing the package meanwhile is not credited
    stop = threading.Event()
    runners: list[_Runner] = []
    outcomes: list[Future[Outcome]] = []
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for job in jobs:
                if resume and _is_done(job, at):
                    outcomes.append(Future())
                    outcomes[-1].set_result(Outcome(job, 0.0, 0, skipped=True))
                    say(str(outcomes[-1].result()))
                else:
                    runners.append(_Runner(job, at, at_once, stop, say))
                    outcomes.append(pool.submit(runners[-1].run))
            ended = [outcome.result() for outcome in outcomes]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for runner in runners:
                runner.kill()
            raise
    if any(not outcome.skipped for outcome in ended):
        gallery.refresh(at.figures)  # two notebooks that kept at the same time may have missed each other
    return ended


def tidy(books: Iterable[Notebook], at: Places, say: Callable[[str], None] = tqdm.write) -> list[Outcome]:
    """Run notebooks in the quick profile and write their cleaned outputs into the committed files.

    Raises ConfigError when a notebook cannot be committed as it is (see :func:`notebooks.cleaned`) or
    was changed while it ran.
    """
    jobs = [Job(b, {"profile": "quick"} if "profile" in b.parameters else {}) for b in books]
    ended = run_jobs(jobs, at, say=say)
    for job in (outcome.job for outcome in ended if not outcome.error):
        book = job.notebook
        if Notebook(book.path).fingerprint != book.fingerprint:
            raise ConfigError(f"{book.name} was changed while it ran; nothing was written to it")
        write_files({book.path: written(cleaned(read(at.executed / f"{job.stem}.ipynb"), book.name))})
    return ended


class _Runner:
    """One job on its way through papermill."""

    def __init__(
        self, job: Job, at: Places, at_once: int, stop: threading.Event, say: Callable[[str], None]
    ) -> None:
        self.job, self.at, self.stop, self.say = job, at, stop, say
        self.client: PapermillNotebookClient | None = None
        self.cell = 0  # position of the cell that runs, among those of the executed notebook
        self.env = os.environ | {RUN_KEY: job.key, "WORKBENCH_FIGURES": str(at.figures)}
        self.env["WORKBENCH_HOME"] = str(at.root)
        # The kernel imports the very package whose source is in the key, wherever it starts.
        self.env["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH")))
        )
        if at_once > 1:
            self.env |= dict.fromkeys(THREADS, str(max(1, _cores() // at_once)))

    def run(self) -> Outcome:
        began = time.perf_counter()
        error = self._error()
        if self.stop.is_set():
            raise KeyboardInterrupt
        seconds = time.perf_counter() - began
        total = len(self.job.notebook.node.cells)
        outcome = Outcome(self.job, seconds, self._position() if error else total, error)
        if not error:
            self._record(seconds)
        self.say(f"{outcome}\n{error}" if error else str(outcome))
        return outcome

    def _error(self) -> str:
        """Execute the notebook; return what went wrong, or nothing."""
        job = self.job
        executed = self.at.executed / f"{job.stem}.ipynb"
        executed.parent.mkdir(parents=True, exist_ok=True)
        partial = executed.with_name(f"{job.stem}.{os.getpid()}.partial.ipynb")
        bar = {"total": len(job.notebook.node.cells), "desc": job.notebook.name, "bar_format": BAR}
        try:
            # disable=None: no bar where nobody watches; leave=False: the line said at the end stays.
            with tqdm(**bar, leave=False, disable=None) as self.bar:
                papermill.execute_notebook(
                    _literal(job.notebook.path),
                    _literal(partial),
                    parameters=dict(job.given),
                    engine_name="workbench",
                    kernel_name="python3",
                    language="python",
                    progress_bar=False,
                    request_save_on_cell_execute=False,
                    runner=self,
                )
            os.replace(partial, executed)
            return ""
        except PapermillExecutionError as error:
            os.replace(partial, executed)
            self.cell = error.cell_index
            said = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
            return self._explained(said, error.source, executed)
        except DeadKernelError:
            return self._explained("the kernel died; was memory exhausted?", "", None)
        finally:
            partial.unlink(missing_ok=True)
            ensure_event_loop().close()  # the one nbclient made for this thread

    def execute(self, nb_man: object) -> None:
        """Called by the engine: run the cells in a kernel that lives in the notebook's folder."""
        self.client = PapermillNotebookClient(
            nb_man,
            kernel_name="python3",
            resources={"metadata": {"path": str(self.job.notebook.path.parent)}},
            on_cell_start=self._on_cell,
            # Kernels warn, in the middle of our lines, when others on the machine could listen in.
            config=Config({"KernelManager": {"transport_encryption": "auto"}}),
            # A kernel is interrupted before it is shut down, and some say so as an error.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
        self.client.execute(env=self.env)

    def _on_cell(self, cell: NotebookNode, cell_index: int) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt
        self.cell = cell_index
        self.bar.update(min(self._position(), self.bar.total) - self.bar.n)

    def _position(self) -> int:
        """Number from 1 of the cell that runs, as it is counted in the committed notebook."""
        cells = self.job.notebook.node.cells
        declared = next((i for i, cell in enumerate(cells) if "parameters" in tags(cell)), len(cells))
        injected = bool(self.job.given) and self.cell > declared
        return self.cell + 1 - injected

    def _explained(self, said: str, source: str, executed: Path | None) -> str:
        head = [line for line in source.splitlines() if line.strip()][:3]
        lines = [f"{self.job.notebook.name}, cell {self._position()}: {said}", *(f"    {li}" for li in head)]
        if executed:
            lines.append(f"    (whole traceback in {self.at.shown(executed)})")
        return "\n".join(lines)

    def _record(self, seconds: float) -> None:
        job = self.job
        drawn = [p["file"] for p in gallery.pictures(self.at.figures) if p["run"] == job.key]
        record = {
            "name": job.notebook.name,
            "key": job.key,
            "profile": job.profile,
            "parameters": job.parameters,
            "notebook": job.notebook.fingerprint,
            "source": source_fingerprint(),
            **code_state(),
            "seconds": round(seconds, 2),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "pictures": drawn,
        }
        write_files({self.at.records / f"{job.stem}.json": (json.dumps(record, indent=1) + "\n").encode()})

    def kill(self) -> None:
        """End the kernel and what it started, at once."""
        provisioner = self.client and self.client.km and self.client.km.provisioner
        if provisioner and provisioner.pgid:
            with suppress(ProcessLookupError):
                os.killpg(provisioner.pgid, signal.SIGKILL)


def _is_done(job: Job, at: Places) -> bool:
    """Whether the run's record is there and each picture it drew is still the one in figures/."""
    path = at.records / f"{job.stem}.json"
    if not path.exists():
        return False
    drawn = set(json.loads(path.read_text())["pictures"])
    return drawn <= {p["file"] for p in gallery.pictures(at.figures) if p["run"] == job.key}


def _cores() -> int:
    """Cores this process may use, where the system says so (Linux), else those of the machine."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _literal(path: Path) -> str:
    """The path as papermill takes it: braces in it are not for papermill to fill in."""
    return str(path).replace("{", "{{").replace("}", "}}")


class _Engine(NBClientEngine):
    """papermill's engine, except that the runner starts the kernel: with an environment of its own."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: object, kernel_name: str, *, runner: _Runner, **_: object
    ) -> None:
        runner.execute(nb_man)


papermill_engines.register("workbench", _Engine)
