"""Results that took longer than a reader waits: read from where they are kept, or run again.

    found = known("lift_table2", trials("lift_table2"), measure, fresh=False)
    print(found.missing)                        # what has not been run yet, and how long it would take
    comparison_table(long(found.frame), published.table("lift_table2"), ["AUC"], "LIFT")

A notebook that draws hours of computing is read in seconds, and says what it drew.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from workbench.errors import ConfigError
from workbench.lab.datasets import SOURCES_OF
from workbench.lab.experiments import frame, sweep
from workbench.lab.store import Metrics, Store, Trial

METRICS = {"auc": "AUC", "logloss": "LogLoss"}  # as trials name them -> as the papers print them


class Known(NamedTuple):
    """The finished ones among some trials.

    frame : as :func:`workbench.lab.experiments.frame` gives it; note : how many seeds, when and by which
    code, for small print; missing : a sentence about the trials that have no result, "" if all have one.
    """

    frame: pd.DataFrame
    note: str
    missing: str


def known(
    experiment: str,
    asked: Sequence[Trial],
    function: Callable[[Trial], Metrics],
    *,
    fresh: bool = False,
    store: Store | None = None,
) -> Known:
    """What is known of the trials asked for; nothing is run unless ``fresh``.

    fresh : run them here, whatever is kept. They are stored one by one, so that a run that was interrupted
    goes on where it ended.

    Raises ConfigError when none of the trials has a result and none is to be run.
    """
    store = store or Store()
    if fresh:
        store = Store(store.folder, None)
        sweep(experiment, asked, function, store, shared=True)
    records = store.records(experiment)
    keys = [trial.key(experiment) for trial in asked]
    found = frame(store, experiment)
    found = found[found["key"].isin(keys)].dropna(axis="columns", how="all")
    absent = [trial for trial, key in zip(asked, keys, strict=True) if key not in records]
    if found.empty:
        raise ConfigError(
            f"none of the {len(asked)} trials of {experiment} on {asked[0].dataset} has been run; "
            "'fresh = True' runs them, which can take hours"
        )
    note = _note(found, [str(records[key]["finished"]) for key in found["key"]])
    if absent:
        note += f"; {len(absent)} of {len(asked)} trials missing"
    return Known(_in_order(found, keys), note, _missing(absent, found))


def _note(found: pd.DataFrame, finished: Sequence[str]) -> str:
    """How many seeds, when they ended, how much computing, and which code answered."""
    seeds, commits = found["seed"].nunique(), sorted({commit[:7] for commit in found["commit"]})
    days = dict.fromkeys((min(finished)[:10], max(finished)[:10]))
    code = ", ".join(commits) if len(commits) < 3 else f"of {len(commits)} commits"
    changed = " and later changes" if found["dirty"].any() else ""
    return (
        f"{seeds} seed{'s' if seeds > 1 else ''} ({math.ceil(found['seconds'].sum() / 60)} minutes, "
        f"{' to '.join(days)}, code {code}{changed})"
    )


def _in_order(found: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    place = {key: at for at, key in enumerate(keys)}
    return found.sort_values("key", key=lambda column: column.map(place)).reset_index(drop=True)


def _missing(absent: Sequence[Trial], found: pd.DataFrame) -> str:
    """Which trials have no result, and how long they would take if they took what others of theirs did."""
    if not absent:
        return ""
    usual = found.groupby("variant")["seconds"].median()
    seconds = sum(usual.get(trial.variant, usual.median()) for trial in absent)
    counts = Counter(trial.variant for trial in absent)
    named = ", ".join(f"{variant} ({count})" for variant, count in counts.items())
    return (
        f"Not run yet: {named}. 'fresh = True' runs everything here; these {len(absent)} alone take about "
        f"{math.ceil(seconds / 60)} minutes, if they take what the others took."
    )


def long(
    found: pd.DataFrame,
    names: Mapping[str, str] | None = None,
    metrics: Mapping[str, str] = METRICS,
) -> pd.DataFrame:
    """Trials as the pictures of results read them: columns dataset, method, metric, seed, value.

    names : variant -> method as the paper prints it, where they differ; metrics : column -> printed name.
    Whole data sets of the papers get the papers' names, so that they stand in the same panel.
    """
    frame = found.rename(columns=dict(metrics)).assign(
        method=found["variant"].replace(dict(names or {})),
        dataset=found["dataset"].replace(_PRINTED),
    )
    return frame.melt(["dataset", "method", "seed"], list(metrics.values()), "metric", "value")


_PRINTED = {sources[0]: name for table in SOURCES_OF.values() for name, sources in table.items()}


def complete(found: pd.DataFrame, within: Sequence[str] = ()) -> pd.DataFrame:
    """The trials of those seeds for which every variant has a result.

    within : columns such as ``succession``; each of their values is looked at alone. What is paired over
    seeds has to come from the same ones.
    """
    if not len(within):
        counts = found.groupby("seed")["variant"].transform("nunique")
        return found[counts == found["variant"].nunique()]
    return pd.concat([complete(part) for _, part in found.groupby(list(within), sort=False)])


CONTEXTS = {
    "no context": "none", "history": "history", "history 2L": "history 2L", "future": "future",
    "future and history": "both",
}  # fmt: skip
ROWS = {"all test rows": ("auc", "ceiling"), "step rows": ("auc_steps", "ceiling_steps")}


def context_scores(found: pd.DataFrame) -> tuple[pd.DataFrame, dict[tuple[str, str], float]]:
    """What :func:`workbench.show.pictures_contexts.gain_of_context` draws, of trials in the world.

    found : trials of lift_contexts with the columns succession, auc, ceiling and those of the step rows.
    Seeds without all contexts, and worlds with fewer than two seeds, are left out: they give no interval.
    """
    found = complete(found, ["succession"])
    scores, ceiling = [], {}
    for succession, trials in found.groupby("succession", sort=False):
        if trials["seed"].nunique() < 2:
            continue
        world = f"succession {succession:g}"
        for rows, (score, best) in ROWS.items():
            named = {"context": trials["variant"].map(CONTEXTS), "seed": trials["seed"], "auc": trials[score]}
            scores.append(pd.DataFrame({"world": world, "rows": rows, **named}))
            ceiling[world, rows] = float(trials[best].mean())
    columns = ["world", "rows", "context", "seed", "auc"]
    return pd.concat(scores) if scores else pd.DataFrame(columns=columns), ceiling
