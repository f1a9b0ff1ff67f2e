"""Box plots over seeds, as in ENCODE's Figure 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.show import style
from workbench.show.pictures_curves import shape


def knob_boxes(
    frame: pd.DataFrame, *, published: Mapping[str, float] | None = None, small_print: str = ""
) -> Figure:
    """Metrics (more is better) against knobs: a column of panels a knob, a row a metric, a box a setting.

    frame : columns knob, metric, setting, seed, value. published : knob -> the setting that the paper calls
    best. A box holds the middle half of the seeds, the line in it is the median, dots are seeds.

    Raises DataError for an empty frame.
    """
    if frame.empty:
        raise DataError("there are no results to draw")
    knobs, metrics = (list(dict.fromkeys(frame[name])) for name in ("knob", "metric"))
    with style.theme():
        width, height = 1.0 + 4.7 * len(knobs), 1.4 + 2.6 * len(metrics)
        figure = Figure(figsize=(width, height))
        panels = figure.subplots(
            len(metrics), len(knobs), sharey="row", sharex="col", squeeze=False,
            gridspec_kw={"left": 0.85 / width, "right": 0.985, "top": 1 - 0.85 / height,
                         "bottom": 0.6 / height, "wspace": 0.06, "hspace": 0.12},
        )  # fmt: skip
        for line, metric in zip(panels, metrics, strict=True):
            for axes, knob in zip(line, knobs, strict=True):
                rows = frame[(frame["knob"] == knob) & (frame["metric"] == metric)]
                _boxes(axes, rows, (published or {}).get(knob))
            line[0].set_ylabel(metric)
        for axes, knob in zip(panels[-1], knobs, strict=True):
            axes.set_xlabel(knob)
        style.headline(figure, _said(frame, knobs, metrics[0]), small_print)
    return figure


def _boxes(axes: Axes, rows: pd.DataFrame, printed: float | None) -> None:
    settings = sorted(rows["setting"].unique())
    values = [rows.loc[rows["setting"] == setting, "value"].to_numpy() for setting in settings]
    colours = [style.TARGET if setting == printed else style.PAST for setting in settings]
    drawn = axes.boxplot(values, positions=range(len(settings)), widths=0.55, showfliers=False,
                         patch_artist=True, medianprops={"color": style.INK, "lw": 1.6})  # fmt: skip
    for box, colour in zip(drawn["boxes"], colours, strict=True):
        box.set(facecolor=colour, alpha=0.25, edgecolor=colour, lw=1.2)
    for place, (seeds, colour) in enumerate(zip(values, colours, strict=True)):
        axes.plot(np.full(len(seeds), place), seeds, "o", ms=4, color=colour, mew=0, alpha=0.8)
    axes.set_xticks(range(len(settings)), [f"{setting:g}" for setting in settings])
    if printed in settings:
        axes.annotate(
            "paper's best", (settings.index(printed), 0.02), (0, 0), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", fontsize=9.5, color=style.TARGET,
        )  # fmt: skip
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.15)


def _said(frame: pd.DataFrame, knobs: Sequence[str], metric: str) -> str:
    rows = frame[frame["metric"] == metric]
    said = "; ".join(f"as {knob} grows {metric} {shape(rows[rows['knob'] == knob])}" for knob in knobs)
    return said[0].upper() + said[1:]
