"""What the parts of LIFT's context are worth: the paired gains, and their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.errors import DataError, unknown
from workbench.lab.metrics import paired_interval
from workbench.show import style

NONE, HISTORY, LONGER, FUTURE, BOTH = CONTEXTS = ("none", "history", "history 2L", "future", "both")
COMPARED = (  # what the claims about contexts compare
    (BOTH, HISTORY), (BOTH, FUTURE), (BOTH, LONGER),
    (HISTORY, NONE), (LONGER, NONE), (FUTURE, NONE), (BOTH, NONE),
)  # fmt: skip
COLOURS = {HISTORY: style.PAST, LONGER: style.PAST, FUTURE: style.FUTURE, BOTH: style.TARGET, NONE: style.INK}


def context_gains(frame: pd.DataFrame) -> pd.DataFrame:
    """What one part of the context gains over another, paired over seeds, with 95% intervals.

    frame : columns world, rows (which rows were scored), context (of CONTEXTS), seed, auc.

    Returns columns world, rows, context, over, gain, low, high, seeds. Comparisons whose contexts were not
    run are left out, since there is nothing to compare.

    Raises ConfigError for an unknown context and DataError for fewer than two seeds or a repeated one.
    """
    for context in set(frame["context"]) - set(CONTEXTS):
        raise unknown("context", context, CONTEXTS)
    if frame.duplicated(["world", "rows", "context", "seed"]).any():
        raise DataError("a context was run twice with the same seed", column="seed")
    found = []
    for (world, rows), part in frame.groupby(["world", "rows"], sort=False):
        runs = part.pivot(index="seed", columns="context", values="auc")
        for one, other in COMPARED:
            if {one, other} <= set(runs):
                gain = paired_interval(runs[one].to_numpy(), runs[other].to_numpy())
                found.append((world, rows, one, other, *gain))
    return pd.DataFrame(found, columns=["world", "rows", "context", "over", "gain", "low", "high", "seeds"])


def gain_of_context(
    frame: pd.DataFrame, ceiling: Mapping[tuple[str, str], float], small_print: str = ""
) -> Figure:
    """What the parts of the context add to none of it: a panel for each set of rows, in it each world.

    frame : as for :func:`context_gains`, with the context "none" in every world; the first world has the
    phenomenon. ceiling : (world, rows) -> the best reachable AUC. Bars are 95% intervals of the paired gains,
    so that what a seed does to all variants alike does not blur them.
    """
    gains = context_gains(frame)
    panels, worlds = (list(dict.fromkeys(frame[column])) for column in ("rows", "world"))
    shown = [context for context in CONTEXTS[1:] if context in set(frame["context"])]
    over_none = gains[gains["over"] == NONE]
    best = max(over_none["high"].max(), 0.002)
    rooms = {key: ceiling[key] - part["auc"].mean() for key, part in
             frame[frame["context"] == NONE].groupby(["world", "rows"])}  # fmt: skip
    top = max(1.3 * best, *(1.05 * room for room in rooms.values() if room < 2.5 * best), 0)
    with style.theme():
        width = max(1.1 + len(panels) * len(worlds) * (0.5 + 0.6 * len(shown)), 9.2)
        figure = Figure(figsize=(width, 5.0))
        grid = {"left": 0.9 / width, "right": 0.99, "top": 0.75, "bottom": 0.12, "wspace": 0.05}
        axes_of = figure.subplots(1, len(panels), sharey=True, squeeze=False, gridspec_kw=grid)[0]
        for axes, rows in zip(axes_of, panels, strict=True):
            for place, world in enumerate(worlds):
                start = place * (len(shown) + 1)
                mine = gains[(gains["world"] == world) & (gains["rows"] == rows)]
                _gains(axes, mine, shown, start, filled=not place)
                room, reachable = rooms[world, rows], ceiling[world, rows]
                _ceiling(axes, world, room, reachable, (start - 0.5, start + len(shown) - 0.5), room < top)
            ticks = [place * (len(shown) + 1) + x for place in range(len(worlds)) for x in range(len(shown))]
            axes.set_xticks(ticks, len(worlds) * [name.replace(" ", "\n") for name in shown], fontsize=9.5)
            axes.set(xlim=(-0.7, ticks[-1] + 1.25), ylim=(min(1.3 * over_none["low"].min(), -0.1 * top), top))
            axes.axhline(0, color=style.INK, lw=1)
            axes.tick_params(bottom=False)
            axes.grid(axis="y", lw=0.6)
            axes.set_axisbelow(True)
            axes.set_title(rows, fontsize=12, pad=31)
        axes_of[0].set_ylabel("AUC gained over no context")
        style.headline(figure, _future_helps(gains, worlds), small_print)
    return figure


def _gains(axes: Axes, gains: pd.DataFrame, shown: Sequence[str], start: int, filled: bool) -> None:
    """One world's gains from ``start`` on, and how far the future lifts the history."""
    found = gains.set_index(["context", "over"])
    for x, context in enumerate(shown, start=start):
        row, colour = found.loc[(context, NONE)], COLOURS[context]
        axes.plot([x, x], [row["low"], row["high"]], color=colour, lw=5, alpha=0.4, solid_capstyle="butt")
        axes.plot(x, row["gain"], "o", ms=9, mfc=colour if filled else "white", mec=colour, mew=1.8, zorder=3)
        axes.annotate(
            _signed(row["gain"]), (x, max(row["high"], 0)), (0, 7), ha="center", textcoords="offset points",
            fontsize=9,
        )  # fmt: skip
    if {HISTORY, BOTH} <= set(shown):
        added = found.loc[(BOTH, HISTORY)]
        low, high = (found.loc[(context, NONE), "gain"] for context in (HISTORY, BOTH))
        x = start + shown.index(BOTH) + 0.3
        axes.plot([start + shown.index(HISTORY), x], [low, low], color=style.PAST, lw=1.2, ls=":", zorder=1)
        axes.annotate("", (x, high), (x, low), arrowprops={"arrowstyle": "->", "lw": 1.4, "shrinkA": 0})
        axes.annotate(
            f"future\n{_signed(added['gain'])}\n±{_signed(added['high'] - added['gain'])[1:]}",
            (x, (low + high) / 2), (4, 0), va="center", textcoords="offset points", fontsize=9, weight="bold",
            color=style.FUTURE_TEXT, bbox={"color": "white", "pad": 0.8},
        )  # fmt: skip


def _signed(gain: float) -> str:
    return f"{gain:+.3f}".replace("0.", ".")


def _ceiling(
    axes: Axes, world: str, room: float, best: float, span: tuple[float, float], in_sight: bool
) -> None:
    """A world's name, where it starts from, and the best reachable AUC: a line where it is in sight."""
    if in_sight:
        axes.plot(span, [room, room], color=style.INK, lw=1.4, ls="--", zorder=1)
    look = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(world, (span[0], 1), (0, 17), weight="bold", fontsize=10.5, **look)
    words = f"none {best - room:.3f}   {'- -' if in_sight else '↑'} best reachable {best:.3f}"
    axes.annotate(words, (span[0], 1), (0, 5), fontsize=8.5, color=style.MUTED, **look)


def _future_helps(gains: pd.DataFrame, worlds: Sequence[str]) -> str:
    """Whether the future adds to the history, where the phenomenon is on and where it is off."""
    added = gains[(gains["context"] == BOTH) & (gains["over"] == HISTORY)].set_index(["world", "rows"])
    sure = (added["low"] > 0).groupby("world").agg(["any", "all"])
    on, off = sure.loc[worlds[0]], sure["any"].drop(worlds[0])
    if not on["any"]:
        return "The future adds nothing certain to the history here"
    where = "" if on["all"] else " on " + ", ".join(added.loc[worlds[0]].query("low > 0").index)
    if off.empty:
        return f"The future adds to what the history tells{where}"
    if off.any():
        first = added["gain"].groupby("world").first()
        others = " and ".join(f"{_signed(gain)} with {world}" for world, gain in first[worlds[1:]].items())
        return f"The future adds {_signed(first[worlds[0]])} to the history with {worlds[0]}, {others}"
    return f"The future adds to the history{where} because the world has succession, and only then"
