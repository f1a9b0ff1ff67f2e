"""Why an index: queries per second against the number of keys, with what the index costs beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from workbench.show import style


class Look(NamedTuple):
    """How a system is drawn and called."""

    colour: str
    marker: str
    name: str


LOOKS = {
    "workbench": Look(style.TARGET, "o", "exact index"),
    "bm25s": Look(style.PAST, "s", "bm25s"),
    "rank-bm25": Look(style.MUTED, "^", "rank-bm25"),
}
STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def retrieval_speed(speeds: pd.DataFrame, small_print: str) -> Figure:
    """Three log-log panels: queries per second; seconds to build; memory grown while building.

    speeds : one row a system and number of keys (ascending), with columns system (see LOOKS), keys,
        queries_per_second, low, high (quartiles over repeats), build_s and build_peak_mb.
    """
    shared = speeds.pivot(index="keys", columns="system", values="queries_per_second").dropna()
    names = {system: look.name for system, look in LOOKS.items()}
    slower = {
        system: f"{names[system]}\n{rounded(shared['workbench'].iloc[-1] / last)} × slower"
        for system, last in shared.iloc[-1].items()
        if system != "workbench"
    }
    with style.theme():
        figure = Figure(figsize=(11, 5.6))
        grid = figure.add_gridspec(
            2, 2, width_ratios=[2.1, 1], wspace=0.46, hspace=0.5,
            left=0.075, right=0.985, top=0.83, bottom=0.13,
        )  # fmt: skip
        main = figure.add_subplot(grid[:, 0])
        build, memory = (figure.add_subplot(grid[row, 1]) for row in (0, 1))
        _lines(main, speeds, "queries_per_second", 10, names | slower)
        colours = [LOOKS[system].colour for system in speeds["system"]]
        main.vlines(speeds["keys"], speeds["low"], speeds["high"], color=colours, lw=6, alpha=0.3)
        main.set_ylabel("queries per second")
        _lines(build, speeds, "build_s", 8.5, {})  # told by colour and mark: lines cross here
        build.set_title("seconds to build", fontsize=10.5, weight="normal", pad=6)
        _lines(memory, speeds, "build_peak_mb", 8.5, {})
        memory.set_title("memory grown while building, MB", fontsize=10.5, weight="normal", pad=6)
        for axes in (main, memory):
            axes.set_xlabel("keys in the retrieval set")
        figure.suptitle(_message(shared), x=0.012, y=0.975, ha="left", va="top", fontsize=13.5, weight="bold")
        figure.text(0.012, 0.918, small_print, va="top", fontsize=9.5, color=style.MUTED)
    return figure


def _lines(axes: Axes, speeds: pd.DataFrame, column: str, font: float, names: Mapping[str, str]) -> None:
    """One line a system, its name (if it has one here) at its last point."""
    for system, rows in speeds.groupby("system", sort=False):
        look, last = LOOKS[system], rows.iloc[-1]
        axes.loglog(rows["keys"], rows[column], color=look.colour, marker=look.marker, ms=0.6 * font)
        axes.annotate(
            names.get(system, ""), (last["keys"], last[column]), (8, 0), textcoords="offset points",
            va="center", color=look.colour, fontsize=font, weight="bold", linespacing=1.3,
        )  # fmt: skip
    axes.grid(True, lw=0.6)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _message(shared: pd.DataFrame) -> str:
    """What growth costs each system, between the smallest and the largest size that all of them did."""
    loss = shared.iloc[0] / shared.iloc[-1]
    fold = [f"{look.name} {rounded(loss[name])}-fold" for name, look in LOOKS.items() if name in loss]
    fold[0] = fold[0].replace("index", "index slows")
    return f"With {rounded(shared.index[-1] / shared.index[0])} times the keys the {', '.join(fold)}"


def rounded(value: float) -> str:
    """A factor as words want it: 1.2, 65, 61,000."""
    two_digits = float(f"{value:.2g}")
    return f"{two_digits:g}" if two_digits < 10 else f"{two_digits:,.0f}"


def short(value: float) -> str:
    """A number as an axis writes it: 0.01, 5, 200k, 10M."""
    for size, letter in STEPS:
        if value >= size * (1 - 1e-9):
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
