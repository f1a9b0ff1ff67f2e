"""How a time grows with what it depends on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from workbench.errors import DataError
from workbench.show import style

WIDTH = 4.1  # inches a panel
NAME = 0.06  # of the height of a panel


def time_growth(
    frame: pd.DataFrame,
    names: Mapping[str, str],
    *,
    champion: str = "LIFT",
    small_print: str = "",
    title: str | None = None,
    per: str = "batch",
    room: float = 0.32,
    level: tuple[str, float] | None = None,
) -> Figure:
    """Milliseconds against each knob, one panel each, both axes logarithmic; a system is a line.

    frame : columns knob, setting, system, seconds, one row a repeat (medians are drawn). names : knob -> what
    it is, for its axis. title : default how the champion's time grows; per : what the milliseconds are for;
    room : for names between panels, as a share of a panel; level : name and seconds of what does not grow.

    Raises DataError when the champion was not timed.
    """
    ms = frame.groupby(["knob", "setting", "system"], sort=False)["seconds"].median().mul(1e3).reset_index()
    if champion not in set(ms["system"]):
        raise DataError(f"{champion} was not timed", column="system", fix="Time it in the same run")
    knobs = list(dict.fromkeys(ms["knob"]))
    apart = max(1.3, (ms["seconds"].max() / ms["seconds"].min()) ** NAME)
    with style.theme():
        width = 0.85 + WIDTH * (len(knobs) + (room - 0.32) * (len(knobs) - 1))
        figure = Figure(figsize=(width, 4.4))
        panels = figure.subplots(
            1, len(knobs), sharey=True, squeeze=False,
            gridspec_kw={"left": 0.85 / width, "right": 0.93, "top": 0.8, "bottom": 0.15, "wspace": room},
        )[0]  # fmt: skip
        for axes, knob in zip(panels, knobs, strict=True):
            _panel(axes, ms[ms["knob"] == knob], champion, apart)
            axes.set_xlabel(names.get(knob, knob))
            if level is not None:
                _level(axes, level[0], 1e3 * level[1])
        panels[0].set_ylabel(f"ms a {per}")
        style.headline(figure, title or _in_words(ms, champion), small_print)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, champion: str, apart: float) -> None:
    settings = np.unique(rows["setting"])
    ends = rows[rows["setting"] == settings[-1]].sort_values("seconds")
    lowest = 0.0
    for system, seconds in ends[["system", "seconds"]].itertuples(index=False):
        line = rows[rows["system"] == system]
        colour = style.TARGET if system == champion else style.INK
        how = {"lw": 2.4} if system == champion else {"lw": 1.2, "ls": "--" if champion in system else "-"}
        axes.plot(line["setting"], line["seconds"], marker="o", color=colour, ms=5, **how)
        lowest = max(seconds, lowest * apart)  # names do not stand on each other
        axes.annotate(
            system, (settings[-1], lowest), (7, 0), textcoords="offset points", va="center", fontsize=10,
            color=colour, annotation_clip=False,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_locator(FixedLocator(settings))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y", lw=0.6)


def _level(axes: Axes, name: str, ms: float) -> None:
    """A dashed line from side to side, and what it is, on its left end."""
    axes.axhline(ms, color=style.MUTED, lw=1.2, ls="--", zorder=1)
    axes.annotate(
        name, (0, ms), (4, 3), xycoords=axes.get_yaxis_transform(), textcoords="offset points", fontsize=10,
        color=style.MUTED, va="bottom",
    )  # fmt: skip


def _in_words(ms: pd.DataFrame, champion: str) -> str:
    """How many times as long the champion takes at the end of each axis as at its beginning."""
    said = []
    for knob, rows in ms[ms["system"] == champion].groupby("knob", sort=False):
        rows = rows.sort_values("setting")
        first, last = rows.iloc[0], rows.iloc[-1]
        times, more = last["seconds"] / first["seconds"], last["setting"] / first["setting"]
        said.append(f"{_two_digits(times)} times the time for {_two_digits(more)} times the {knob}")
    return f"{champion} takes " + ", ".join(said)


def _two_digits(value: float) -> str:
    """Two digits of a number, never as a power of ten."""
    return f"{float(f'{value:.2g}'):,g}"
