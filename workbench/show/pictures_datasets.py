"""Data sets as the papers count them and as we do: a ring is printed, a dot is counted."""

from __future__ import annotations

from textwrap import fill
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from workbench.show import style
from workbench.show.pictures_speed import rounded, short

LABELS = {"density_pct": "density, % of user-item pairs", "fields": "categorical fields"}
NARROW = ("fields",)  # a handful of values: linear, and less wide
SMALL_PRINT = "ring: printed in the paper    dot: counted here    ✓ both are the same, to the printed digits"
PUBLISHER = "    below: what the data set's own publisher counts, where that is another number"


def dataset_statistics(frame: pd.DataFrame) -> Figure:
    """One panel a metric, one line a data set.

    frame : rows of :func:`workbench.lab.datasets.beside_published`.
    """
    datasets, metrics = (list(dict.fromkeys(frame[column])) for column in ("dataset", "metric"))
    height = 0.62 * len(datasets) + 1.6
    with style.theme():
        figure = Figure(figsize=(11.5, height))
        panels = figure.subplots(
            1, len(metrics), sharey=True, squeeze=False,
            gridspec_kw={
                "width_ratios": [0.5 if metric in NARROW else 1 for metric in metrics], "wspace": 0.1,
                "left": 0.175, "right": 0.985, "top": 1 - 0.8 / height, "bottom": 0.62 / height,
            },
        )[0]  # fmt: skip
        for axes, metric in zip(panels, metrics, strict=True):
            _panel(axes, frame[frame["metric"] == metric].set_index("dataset").loc[datasets], metric)
        _names(panels[0], frame.drop_duplicates("dataset"))
        top = {"x": 0.012, "ha": "left", "va": "top"}
        figure.suptitle(_message(frame), y=1 - 0.12 / height, fontsize=13, weight="bold", **top)
        known = frame.dropna(subset=["published", "publisher"])
        small = SMALL_PRINT + PUBLISHER * bool((known["published"] != known["publisher"]).any())
        figure.text(s=small, y=1 - 0.45 / height, fontsize=9, color=style.MUTED, **top)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    lines = np.arange(len(rows))
    numbers = rows[["published", "ours"]].to_numpy()
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    if metric in NARROW:
        axes.set_xlim(0, 1.2 * high)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axes.set_xscale("log")
        margin = max(high / low, 10) ** 0.17  # room for the numbers over the outermost marks
        axes.set_xlim(low / margin, high * margin)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.hlines(lines, *axes.get_xlim(), color=style.FAINT, lw=0.8, zorder=0)
    axes.scatter(rows["published"], lines, s=100, facecolors="white", edgecolors=style.INK, lw=1.6, zorder=2)
    colours = np.where(rows["verdict"] == "differs", style.TARGET, style.INK)
    axes.scatter(rows["ours"], lines, s=32, color=colours, zorder=3)
    for line, row in zip(lines, rows.itertuples(), strict=True):
        for value, text, lift, look in _texts(row, metric):
            axes.annotate(
                text, (value, line), (0, lift), textcoords="offset points", ha="center", va="center", **look
            )
    axes.set_xlabel(LABELS.get(metric, metric))
    axes.spines["left"].set_visible(False)


class _Text(NamedTuple):
    """A number to write: at which value, how many points above the line, in which look."""

    value: float
    text: str
    lift: int
    look: dict[str, object]


def _texts(row: tuple, metric: str) -> list[_Text]:
    """The numbers of one line: one where paper and count agree, else each over its mark."""
    found = []
    if not np.isnan(row.published):
        mark = " ✓" if row.verdict == "same" else ""
        found.append(_Text(row.published, _number(row.published, metric) + mark, 12, {"fontsize": 9}))
        if not np.isnan(row.publisher) and row.publisher != row.published:
            look = {"fontsize": 8, "color": style.MUTED}
            found.append(_Text(row.published, f"publisher: {_number(row.publisher, metric)}", -12, look))
    if not np.isnan(row.ours) and row.verdict != "same":
        colour = style.TARGET if row.verdict else style.INK
        found.append(_Text(row.ours, _number(row.ours, metric), 12, {"fontsize": 9, "color": colour}))
    return found


def _number(value: float, metric: str) -> str:
    return f"{value:.2g}" if metric == "density_pct" else f"{value:,.0f}"


def _names(axes: Axes, rows: pd.DataFrame) -> None:
    """Every line's name, and below it what it stands for."""
    axes.set_yticks([])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for line, row in enumerate(rows.itertuples()):
        known = {
            "counted": row.source,
            "sample": f"a sample: {row.source}",
            "generated": row.note,
        }
        under = fill(known.get(row.state, row.state), 27)
        for text, lift, look in (
            (row.dataset, 2, {"weight": "bold", "fontsize": 10.5, "va": "bottom"}),
            (under, 0, {"fontsize": 8.5, "va": "top", "color": style.MUTED}),
        ):
            axes.annotate(
                text, (0, line), (-8, lift), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", **look,
            )  # fmt: skip


def _message(frame: pd.DataFrame) -> str:
    """What the counting found; without counting, how the paper's data sets compare with the world."""
    if "not looked for" in set(frame["state"]):
        rows = frame[frame["metric"].isin(("instances", "interactions"))]
        times = rows["published"].dropna() / rows["ours"].iloc[-1]
        span = f"{rounded(times.min())} to {rounded(times.max())}"
        return f"The paper's data sets have {span} times the rows of the embedded world"
    kinds: dict[str, list[str]] = {}
    for dataset, rows in frame.groupby("dataset", sort=False):
        kind = rows["state"].iloc[0]
        if kind == "counted":
            kind = "differs" if (rows["verdict"] == "differs").any() else "same"
        kinds.setdefault(kind, []).append(str(dataset))
    endings = {
        "same": ("counts as printed", "count as printed"),
        "differs": ("counts otherwise than printed", "count otherwise than printed"),
        "sample": ("is here as a sample", "are here as samples"),
        "not at hand": ("is not at hand", "are not at hand"),
    }
    said = [
        f"{' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))} {endings[kind][len(names) > 1]}"
        for kind in endings
        if (names := kinds.get(kind))
    ]
    return "; ".join(said)
