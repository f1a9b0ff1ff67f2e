"""Experiments: variant + data + seed -> metrics; each finished trial is one record, and is run once.

    trials = [Trial.on(log, variant, seed, {"K": 10}) for variant in ("LIFT", "RIM") for seed in range(5)]
    found = sweep("lift_table2", trials, measure)         # measure(trial) -> {"auc": 0.71, ...}
    summary(found, ["variant"], ["auc"])                  # mean, sd and n over seeds
    paired(found, "LIFT", "RIM", "auc")                   # mean difference, 95% interval, n

Records live in a :class:`workbench.lab.store.Store`; an interrupted sweep goes on where it ended.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.errors import ConfigError, DataError, WorkbenchError, unknown
from workbench.lab.metrics import Interval, paired_interval
from workbench.lab.store import ANSWERED, ASKED, Metrics, Store, Trial, in_order

if TYPE_CHECKING:
    from dask.distributed import Client


class SweepError(WorkbenchError):
    """Some trials of a sweep failed; all others are stored. ``failures``: (trial, traceback) pairs."""

    def __init__(self, experiment: str, failures: Sequence[tuple[Trial, str]], asked: int) -> None:
        self.failures = list(failures)
        lines = [f"    {trial}: {error.strip().splitlines()[-1]}" for trial, error in failures]
        super().__init__(
            f"{len(failures)} of {asked} trials of {experiment} failed; the others are stored, and the next "
            "sweep tries only these again (their tracebacks lie beside the results):\n" + "\n".join(lines)
        )


def sweep(
    experiment: str,
    trials: Sequence[Trial],
    function: Callable[[Trial], Metrics],
    store: Store | None = None,
    scheduler: str | Client | None = None,
    say: Callable[[str], None] | None = None,
    shared: bool = False,
) -> pd.DataFrame:
    """Run the trials that have no record yet; returns all of them as :func:`frame` does, in this order.

    Parameters
    ----------
    experiment : lower-case letters, digits and ``_``.
    function : trial -> metrics, finite numbers by name (or lists of them, such as a curve).
    scheduler : one trial after the other here if None; "local" for a ``dask.distributed`` cluster on this
        machine, the address of a cluster's scheduler, or a ``Client``. The function must then find its
        data on the workers.
    say : is told one line as each trial ends.
    shared : settings say all that matters and a variant is only a name for them, so that a trial which
        another experiment has answered (same data, seed and settings) is not run again.

    A trial that fails is noted and the rest go on; then SweepError lists the failures. An interrupt goes
    through at once. Either way what has finished is stored, and the next sweep goes on from there.

    Raises ConfigError before any work for a bad name, a configuration that is not plain JSON, and the same
    trial asked for twice.
    """
    store = store or Store()
    records = store.records(experiment)
    by_key = {trial.key(experiment): trial for trial in trials}
    if len(by_key) < len(trials):
        twice = next(t for i, t in enumerate(trials) if t in trials[:i])
        raise ConfigError(f"asked for twice: {twice}")
    missing = []
    for trial in (trial for key, trial in by_key.items() if key not in records):
        if shared and (twin := store.twin(trial)) is not None:
            store.adopt(experiment, trial, twin)
        else:
            missing.append(trial)
    failures = []
    for trial, metrics, seconds, error in _answers(missing, function, scheduler):
        if error is None:
            store.write(experiment, trial, metrics, seconds)
        else:
            store.write_failure(experiment, trial, error)
            failures.append((trial, error))
        if say is not None:
            say(f"{trial}: {'failed' if error else f'{seconds:.1f} s'}")
    if failures:
        raise SweepError(experiment, failures, len(trials))
    records = store.records(experiment)
    return _frame([records[key] for key in by_key])


def variants_of(
    experiments: Mapping[str, Mapping[str, Mapping[str, object]]],
    experiment: str,
    variants: Sequence[str] | None,
) -> dict[str, Mapping[str, object]]:
    """Variant -> what it changes, of one experiment: all of its variants, or those asked for, in its order.

    Raises ConfigError for an experiment or a variant that is not known.
    """
    if experiment not in experiments:
        raise unknown("experiment", experiment, experiments)
    known = experiments[experiment]
    for variant in variants or ():
        if variant not in known:
            raise unknown("variant", variant, known)
    return {name: changes for name, changes in known.items() if variants is None or name in variants}


def frame(store: Store, experiment: str) -> pd.DataFrame:
    """Every finished trial of an experiment, one a row.

    Columns: variant, dataset, fingerprint, seed, then the settings, then the metrics, then seconds,
    commit, dirty (whether the code differed from that commit) and key. A setting or metric that a trial
    does not have is missing there.
    """
    return _frame(in_order(store.records(experiment).values()))


def summary(found: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Mean, standard deviation (n - 1) and number over seeds, of each group of trials.

    found : as :func:`frame` gives it; by : columns that tell the groups apart. Returns a table indexed by
    the groups, in the order in which they first come, with columns (metric, "mean" | "sd" | "n").

    Raises ConfigError for an unknown column, or when two trials of one group share a seed: they then
    differ in something that ``by`` does not name.
    """
    for name in [*by, *metrics]:
        if name not in found:
            raise unknown("column", name, found.columns)
    _refuse_mixed(found, by)
    groups = found.groupby(list(by), sort=False, dropna=False)[list(metrics)]
    return groups.agg(["mean", "std", "count"]).rename(columns={"std": "sd", "count": "n"}, level=1)


def paired(
    found: pd.DataFrame, a: str | Mapping[str, object], b: str | Mapping[str, object], metric: str
) -> Interval:
    """Mean of a - b over seeds with its 95% t interval (see :func:`workbench.lab.metrics.paired_interval`).

    a, b : a variant, or columns and their values, such as ``{"variant": "LIFT", "K": 5}``.

    Raises ConfigError for an unknown column, a choice that leaves several trials a seed, or none; DataError
    where the two do not have the same seeds on the same data.
    """
    if metric not in found:
        raise unknown("column", metric, found.columns)
    first, second = (_chosen(found, who) for who in (a, b))
    if first.index.tolist() != second.index.tolist():
        alone = sorted(set(first.index) ^ set(second.index))
        raise DataError(f"only one of {a} and {b} has seed {', '.join(map(str, alone))}")
    differ = first.index[(first["fingerprint"] != second["fingerprint"]).to_numpy()]
    if len(differ):
        raise DataError(f"{a} and {b} were measured on different data at seed {differ[0]}")
    return paired_interval(first[metric].to_numpy(float), second[metric].to_numpy(float))


def _answers(
    trials: Sequence[Trial], function: Callable[[Trial], Metrics], scheduler: str | Client | None
) -> Iterator[tuple[Trial, Metrics | None, float, str | None]]:
    """(trial, metrics, seconds, error) as each trial ends."""
    if scheduler is None or not trials:
        for trial in trials:
            yield trial, *_measured(function, trial)
        return
    from dask.distributed import Client, as_completed

    if isinstance(scheduler, Client):
        opened = nullcontext(scheduler)
    else:
        opened = Client(dashboard_address=None) if scheduler == "local" else Client(scheduler)
    with opened as client:
        asked = {client.submit(_measured, function, trial, pure=False): trial for trial in trials}
        try:
            for future in as_completed(asked):
                if future.status == "finished":
                    yield asked[future], *future.result()
                else:  # the worker itself was lost
                    yield asked[future], None, 0.0, f"{future.status}: {future.exception()}"
        finally:
            client.cancel(list(asked))


def _measured(function: Callable[[Trial], Metrics], trial: Trial) -> tuple[Metrics | None, float, str | None]:
    began = time.perf_counter()
    try:
        metrics = {name: _plain(name, value) for name, value in function(trial).items()}
        if taken := {*ASKED, *ANSWERED, *trial.config} & set(metrics):
            raise ConfigError(f"a metric cannot be called {min(taken)!r}: that is a setting")
    except Exception:
        return None, time.perf_counter() - began, traceback.format_exc()
    return metrics, time.perf_counter() - began, None


def _plain(name: str, value: object) -> object:
    """A metric as JSON knows it; ConfigError for anything but finite numbers and lists of them."""
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(name, one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"the metric {name!r} must be a finite number, not {value!r}")
    return value


def _frame(records: Sequence[Mapping]) -> pd.DataFrame:
    rows = [
        {
            **{name: r[name] for name in ASKED},
            **{name: tuple(v) if isinstance(v, list) else v for name, v in r["config"].items()},
            **r["metrics"],
            **{name: r[name] for name in ANSWERED},
        }
        for r in records
    ]
    settings = dict.fromkeys(name for r in records for name in r["config"])
    metrics = dict.fromkeys(name for r in records for name in r["metrics"])
    return pd.DataFrame(rows, columns=[*ASKED, *settings, *metrics, *ANSWERED])


def _chosen(found: pd.DataFrame, who: str | Mapping[str, object]) -> pd.DataFrame:
    """The trials with these values, by seed."""
    wanted = {"variant": who} if isinstance(who, str) else who
    for name in wanted:
        if name not in found:
            raise unknown("column", name, found.columns)
    chosen = found[_rows_with(found, wanted)]
    if chosen.empty:
        raise ConfigError(f"there is no trial of {who}")
    _refuse_mixed(chosen, list(wanted))
    return chosen.set_index("seed").sort_index()


def _rows_with(found: pd.DataFrame, values: Mapping[str, object]) -> np.ndarray:
    """(rows,) bool: which trials have all these values? A value may be a tuple."""
    return np.logical_and.reduce(
        [[one == value for one in found[name]] for name, value in values.items()]
    ).astype(bool)


def _refuse_mixed(found: pd.DataFrame, by: Sequence[str]) -> None:
    """One trial a group and seed, or the mean would be over more than seeds."""
    twice = found.duplicated([*by, "seed"], keep=False)
    if not twice.any():
        return
    same = found[twice].iloc[0][[*by, "seed"]]
    group = found[_rows_with(found, same.to_dict())]
    told = group.drop(columns=["seconds", "commit", "dirty", "key"])
    differ = [name for name in told if told[name].astype(str).nunique() > 1]
    raise ConfigError(
        f"{len(group)} trials of one group have seed {same['seed']}; they differ in {', '.join(differ)}: "
        "choose among them, or group by it"
    )
