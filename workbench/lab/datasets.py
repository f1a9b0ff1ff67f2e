"""The papers' data set statistics beside what the files at hand hold."""

from __future__ import annotations

import pandas as pd

from workbench.data.interactions import Interactions
from workbench.data.sources import SOURCES, load_source, locate
from workbench.errors import unknown
from workbench.lab import published

# Published table -> data set as the paper calls it -> our sources, the whole one first, then a sample.
SOURCES_OF = {
    "lift_table1": {
        "Taobao": ("taobao", "taobao-sample"),
        "Tmall": ("tmall",),
        "Alipay": ("alipay",),
        "ML-1M": ("ml-1m",),
        "LastFM": ("lastfm-1k",),
    },
    "dualrec_table1": {
        "Beauty": ("amazon-beauty",),
        "Sports": ("amazon-sports",),
        "Toys": ("amazon-toys",),
        "Yelp": ("yelp",),
    },
}
STATES = ("counted", "sample", "not at hand", "not looked for", "generated")
_ROWS = ("instances", "interactions")  # what the papers call a row
_PRINTED_TO = {"density_pct": 0.01}  # the last digit that the papers print; counts are exact


def beside_published(table: str, world: Interactions, *, look: bool = True) -> pd.DataFrame:
    """One row a data set and metric of a published table, then the embedded world's.

    Columns: dataset, metric, published (the paper's number), publisher (what the data set's own
    publisher counts), ours (counted in the files at hand), verdict ("same", "differs" or "", to the
    printed digits), source, state (one of STATES), fingerprint, note. Numbers nobody gives are NaN; with
    ``look=False`` no file is touched.

    Raises ConfigError for a table that is not one of SOURCES_OF, DataError for broken files.
    """
    if table not in SOURCES_OF:
        raise unknown("table of data sets", table, SOURCES_OF)
    printed = published.table(table)
    rows: list[dict[str, object]] = []
    for dataset, numbers in printed.groupby("dataset", sort=False):
        names = SOURCES_OF[table][str(dataset)]
        name = next((n for n in names if locate(n)), None) if look else None
        about = _about(load_source(name)) if name else {"source": SOURCES[names[0]].title}
        state = ("counted" if name == names[0] else "sample") if name else "not at hand"
        for metric, value in zip(numbers["metric"], numbers["value"], strict=True):
            rows.append(
                {
                    "dataset": dataset,
                    "metric": metric,
                    "published": value,
                    "publisher": _publisher(names[0], metric),
                    "state": state if look else "not looked for",
                    **_of_metric(about, metric),
                }
            )
    for metric in dict.fromkeys(printed["metric"]):
        own = {"dataset": world.name, "metric": metric, "state": "generated"}
        rows.append(own | _of_metric(_about(world), metric))
    columns = [
        "dataset",
        "metric",
        "published",
        "publisher",
        "ours",
        "source",
        "state",
        "fingerprint",
        "note",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    frame[["published", "publisher", "ours"]] = frame[["published", "publisher", "ours"]].astype("float64")
    frame[["fingerprint", "note"]] = frame[["fingerprint", "note"]].fillna("")
    frame.insert(5, "verdict", _verdicts(frame))
    return frame


def _about(log: Interactions) -> dict[str, object]:
    """What every row about a loaded data set says, and its statistics."""
    counted = log.statistics()
    counted |= dict.fromkeys(_ROWS, len(log)) | {"density_pct": 100 * counted["density"]}
    return {"source": log.name, "fingerprint": log.fingerprint, "note": log.note, "counted": counted}


def _of_metric(about: dict[str, object], metric: str) -> dict[str, object]:
    counted = about.get("counted", {})
    return {key: about[key] for key in about if key != "counted"} | {"ours": counted.get(metric)}


def _publisher(name: str, metric: str) -> int | None:
    source = SOURCES[name]
    return source.rows if metric in _ROWS else {"users": source.users, "items": source.items}.get(metric)


def _verdicts(frame: pd.DataFrame) -> pd.Series:
    step = frame["metric"].map(_PRINTED_TO).fillna(1.0)
    gap = (frame["ours"] - frame["published"]).abs()
    verdict = (gap < step / 2).map({True: "same", False: "differs"})
    return verdict.where(gap.notna(), "")


def side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """The same numbers as a table to read: a row a data set, under each metric paper and count as text."""
    frame = frame.rename(columns={"published": "paper"})
    wide = frame.pivot(index=["dataset", "state"], columns="metric", values=["paper", "ours"]).swaplevel(
        axis=1
    )
    metrics = [(metric, side) for metric in dict.fromkeys(frame["metric"]) for side in ("paper", "ours")]
    order = dict.fromkeys(zip(frame["dataset"], frame["state"], strict=True))
    text = wide.loc[list(order), metrics].map(
        lambda x: "" if pd.isna(x) else f"{x:,.0f}" if x >= 10 else f"{x:.3g}"
    )
    return text.rename_axis(columns=[None, None])
