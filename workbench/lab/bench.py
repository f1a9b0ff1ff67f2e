"""Timing against a peer: both sides in one process, turn by turn, so that the machine's moods hit both.

A benchmark is a function that yields :class:`Measurement` rows::

    @benchmark("retrieval", help="queries against a BM25 index, peer rank-bm25")
    def retrieval(size):
        systems = {"workbench": lambda: index.search(queries, 10), "rank-bm25": ...}
        yield from compare("retrieval", case="100,000 keys", systems=systems)
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.errors import ConfigError, unknown

SIZES = ("tiny", "quick", "full")  # tiny: for tests, its numbers mean nothing


@dataclass(frozen=True)
class Timing:
    """What one case took.

    seconds : one per repeat, in the order of the repeats.
    peak_mb : growth of the resident set (physical memory of the process, MB of 10^6 bytes) at its peak
        during one run that is not timed; NaN where the system cannot tell (anywhere but on Linux).
    """

    seconds: tuple[float, ...]
    peak_mb: float

    @property
    def median_s(self) -> float:
        """Median seconds of a run."""
        return float(np.median(self.seconds))

    @property
    def spread(self) -> float:
        """Interquartile range over median: how restless the timing was."""
        low, middle, high = np.quantile(self.seconds, (0.25, 0.5, 0.75))
        return float((high - low) / middle)

    def ratio(self, peer: Timing) -> float:
        """Median over repeats of own seconds / peer's seconds of the same round: below 1 is faster."""
        return float(np.median(np.divide(self.seconds, peer.seconds)))


@dataclass(frozen=True)
class Measurement:
    """One row of a benchmark: a system against one peer; columns as in :class:`Timing`.

    Seconds are those of one unit of work (one query, say) where the two sides did different amounts.
    ``note`` says in words what the columns cannot hold.
    """

    name: str
    case: str
    peer: str
    ratio: float
    median_s: float
    peer_median_s: float
    spread: float
    peak_mb: float
    peer_peak_mb: float = math.nan
    note: str = ""

    @classmethod
    def of(cls, name: str, case: str, own: Timing, peer: str, theirs: Timing, note: str = "") -> Measurement:
        """The row of two timings that were taken turn by turn."""
        return cls(
            name=name,
            case=case,
            peer=peer,
            ratio=own.ratio(theirs),
            median_s=own.median_s,
            peer_median_s=theirs.median_s,
            spread=own.spread,
            peak_mb=own.peak_mb,
            peer_peak_mb=theirs.peak_mb,
            note=note,
        )

    def to_json(self) -> str:
        """One line of JSON; what could not be measured is null."""
        row = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}
        return json.dumps(row)


def measure(
    cases: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 7,
    warmup: int = 1,
    units: Mapping[str, int] | None = None,
) -> dict[str, Timing]:
    """Time the cases in turns: A B A B …, after ``warmup`` turns and one turn that watches memory.

    ``units`` says how much work a call of a case does (1 where not named); seconds are per unit. The
    garbage collector runs between timings and not during them.
    """
    if repeats < 1 or warmup < 0 or not cases:
        raise ConfigError(f"nothing to measure: {len(cases)} cases, {repeats} repeats, {warmup} to warm up")
    for _ in range(warmup):
        for run in cases.values():
            run()
    gc.collect()
    gc.freeze()  # what lives already need not be looked at again before every timing
    peaks = {name: _peak_mb(run) for name, run in cases.items()}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, run in cases.items():
            seconds[name].append(_timed(run) / (units or {}).get(name, 1))
    gc.unfreeze()
    return {name: Timing(tuple(seconds[name]), peaks[name]) for name in cases}


def compare(
    name: str,
    *,
    case: str,
    systems: Mapping[str, Callable[[], object]],
    repeats: int = 7,
    warmup: int = 1,
) -> Iterator[Measurement]:
    """Rows of the first system against each of the others."""
    if len(systems) < 2:
        raise ConfigError(f"the benchmark {name!r} compares {len(systems)} system; it needs a peer")
    (_, own), *peers = measure(systems, repeats=repeats, warmup=warmup).items()
    for peer, timing in peers:
        yield Measurement.of(name, case, own, peer, timing)


def grown(cases: Iterable[tuple[str, int, Mapping[str, Timing]]]) -> pd.DataFrame:
    """Timings while a knob grows, (knob, setting, timings of the systems), as a table of all repeats.

    Columns knob, setting, system, seconds, as :func:`workbench.show.pictures_growth.time_growth` draws them.
    """
    rows = [
        (knob, setting, system, seconds)
        for knob, setting, timings in cases
        for system, timing in timings.items()
        for seconds in timing.seconds
    ]
    return pd.DataFrame(rows, columns=["knob", "setting", "system", "seconds"])


def _timed(run: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began
    finally:
        gc.enable()


def _peak_mb(run: Callable[[], object]) -> float:
    """Growth of the resident set during a run, from Linux's own high-water mark, which can be reset."""
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    gc.collect()
    with suppress(OSError, AttributeError):  # else what earlier turns freed is still resident, and growth
        ctypes.CDLL(None).malloc_trim(0)  # is hidden; other C libraries than glibc do not have it
    try:
        clear.write_text("5")  # 5: reset the high-water mark (proc_pid_clear_refs(5))
    except OSError:
        run()
        return math.nan
    before = _status_kb(status.read_text(), "VmHWM")
    run()
    return (_status_kb(status.read_text(), "VmHWM") - before) * 1024 / 1e6


def _status_kb(status: str, key: str) -> int:
    line = next(line for line in status.splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1])


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark: ``rows(size)`` yields its measurements."""

    name: str
    help: str
    rows: Callable[[str], Iterable[Measurement]]


_REGISTRY: dict[str, Benchmark] = {}


def benchmark(name: str, *, help: str) -> Callable[[Callable[[str], Iterable[Measurement]]], Callable]:
    """Register the decorated function (size -> rows; a size is one of SIZES) under a name."""

    def register(rows: Callable[[str], Iterable[Measurement]]) -> Callable:
        if name in _REGISTRY:
            raise ConfigError(f"two benchmarks are called {name!r}")
        _REGISTRY[name] = Benchmark(name, help, rows)
        return rows

    return register


def benchmarks() -> dict[str, Benchmark]:
    """Every registered benchmark by name."""
    import workbench.lab.benchmarks  # noqa: F401  (registers them)

    return dict(sorted(_REGISTRY.items()))


def run(name: str | None = None, size: str = "quick") -> Iterator[Measurement]:
    """Rows of one benchmark, or of all; raises ConfigError for a name or size nobody knows."""
    known = benchmarks()
    if name is not None and name not in known:
        raise unknown("benchmark", name, known)
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    chosen = known.values() if name is None else [known[name]]
    return (row for bench in chosen for row in bench.rows(size))


WIDTHS = (14, 28, 24, 9, 8, 8, 7, 8, 8)
TITLES = ("benchmark", "case", "peer", "ratio", "time", "peer", "spread", "peak MB", "peer MB")


def table(rows: Iterable[Measurement]) -> Iterator[str]:
    """The lines of a table, each as soon as its row is measured; ratio = own / peer, below 1 is faster."""
    yield _line(TITLES)
    for r in rows:
        numbers = (f"{r.ratio:#.3g}", _time(r.median_s), _time(r.peer_median_s), f"{r.spread:.0%}")
        peaks = ("-" if math.isnan(mb) else f"{mb:.1f}" for mb in (r.peak_mb, r.peer_peak_mb))
        yield f"{_line((r.name, r.case, r.peer, *numbers, *peaks))}  {r.note}".rstrip()


def _time(seconds: float) -> str:
    """A time with its unit: 2.4 us, 18 ms, 7.4 s."""
    unit, size = next(((u, s) for u, s in (("us", 1e-6), ("ms", 1e-3)) if seconds < 999 * s), ("s", 1.0))
    return f"{seconds / size:.{1 if seconds < 99.9 * size else 0}f} {unit}"


def _line(cells: Iterable[str]) -> str:
    """Words to the left of their columns, numbers to the right."""
    placed = zip(cells, WIDTHS, "<<<>>>>>>", strict=True)
    return " ".join(f"{cell:{side}{width}}" for cell, width, side in placed)
