"""The pictures of lesson 01 about time and evaluation: cuts, leaks, sampled metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from workbench.data.histories import Histories
from workbench.data.interactions import DAY, Interactions
from workbench.data.splits import PARTS, LeaveOneOut, TimeSplit
from workbench.lab.metrics import paired_interval
from workbench.show import style


@dataclass(frozen=True)
class CutWindow:
    """A window that is drawn across the end of the retrieval part.

    rows : (2 L + 1,) row numbers, oldest first, the event in the middle. kept : (2 L + 1,) bool, those
    before the cut. user : its code.
    """

    rows: np.ndarray
    kept: np.ndarray
    user: int


def cut_window(log: Interactions, split: TimeSplit, length: int = 5) -> CutWindow:
    """An event of the retrieval part whose window of L before and L after crosses the end of that part.

    Of those with two to L - 1 events behind the cut, the one that spans the longest time.
    """
    cut = split.retrieval.stop
    histories = Histories.of(log)
    near = np.arange(max(0, cut - 20_000), cut)
    start, here = histories.before(near, length)
    after, stop = histories.after(near, length)
    full = near[(here - start == length) & (stop - after == length)]
    past = histories.window(*histories.before(full, length), length)
    rows = np.column_stack([past, full, histories.window(*histories.after(full, length), length)])
    behind = (rows >= cut).sum(axis=1)
    span = log.timestamp[rows[:, -1]] - log.timestamp[rows[:, 0]]
    best = int(np.argmax(np.where((behind >= 2) & (behind < length), span, -1)))
    return CutWindow(rows[best], rows[best] < cut, int(log.user[rows[best, 0]]))


def time_split(
    log: Interactions, split: TimeSplit, one_out: LeaveOneOut, window: CutWindow, users: int = 24
) -> Figure:
    """Some users' events on one clock: cut at common moments (left), and each at their own end (right);
    under it, a context window that crosses a cut.
    """
    shown = _some_users(log, window.user, users)
    day = (log.timestamp - log.timestamp[0]) / DAY if log.clock == "seconds" else log.timestamp
    with style.theme():
        figure = Figure(figsize=(11.5, 7.3))
        grid = figure.add_gridspec(
            2,
            2,
            height_ratios=[3.1, 1.0],
            left=0.055,
            right=0.985,
            top=0.84,
            bottom=0.09,
            hspace=0.5,
            wspace=0.1,
        )
        one_clock, own_ends = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
        part = np.empty(len(log), dtype=object)
        for name in PARTS:
            part[getattr(split, name)] = name
        _lives(one_clock, log, day, shown, part)
        for name in PARTS[1:]:
            one_clock.axvline(day[getattr(split, name).start], color=style.MUTED, lw=0.8)
        middles = [
            float(day[[getattr(split, name).start, getattr(split, name).stop - 1]].mean()) for name in PARTS
        ]
        _name_parts(one_clock, middles, least=0.15 * float(day[-1] - day[0]))
        low, high = (day[window.rows[end]] for end in (0, -1))
        mine = int(np.flatnonzero(shown == window.user)[0])
        frame = Rectangle(
            (low, mine - 0.5), high - low, 1, fill=False, edgecolor=style.TARGET, lw=1.6, zorder=4
        )
        one_clock.add_patch(frame)
        part[one_out.train], part[one_out.validation], part[one_out.test] = "train", "validation", "test"
        _lives(own_ends, log, day, shown, part)
        one_clock.set_title("Cut by global time", fontsize=11.5, pad=38)
        own_ends.set_title("Leave one out: each user's last is for testing", fontsize=11.5, pad=38)
        unit = "days since the first event" if log.clock == "seconds" else "order index"
        for axes in (one_clock, own_ends):
            axes.set_xlabel(unit)
        warning = "training rows lie later than other users' test rows"
        own_ends.text(day[0], -1.2, warning, fontsize=9, color=style.MUTED, va="bottom")
        _window_strip(figure.add_subplot(grid[1, :]), log, window)
        figure.suptitle(
            "One clock for all: what may be looked up ends where the questions begin",
            x=0.012, y=0.985, ha="left", fontsize=15, weight="bold",
        )  # fmt: skip
        sample = f"{users} of {len(np.unique(log.user)):,} users, taken evenly by their first event"
        figure.text(0.012, 0.012, f"{log.name}: {sample}", fontsize=9, color=style.MUTED)
    return figure


def _some_users(log: Interactions, always: int, count: int) -> np.ndarray:
    """``count`` users spread evenly over the order of first events, one of them given."""
    codes, first = np.unique(log.user, return_index=True)
    order = codes[np.argsort(first, kind="stable")]
    chosen = order[np.linspace(0, len(order) - 1, count).astype(int)]
    place = np.flatnonzero(order == always)[0] / max(len(order) - 1, 1)
    chosen[round(place * (count - 1))] = always
    return chosen


def _lives(axes: Axes, log: Interactions, day: np.ndarray, users: np.ndarray, part: np.ndarray) -> None:
    for y, user in enumerate(users):
        rows = np.flatnonzero(log.user == user)
        axes.plot([day[rows[0]], day[rows[-1]]], [y, y], color=style.FAINT, lw=1, zorder=0)
        for name in PARTS:
            mine = rows[part[rows] == name]
            axes.scatter(day[mine], np.full(len(mine), y), s=11, color=style.PARTS[name], lw=0, zorder=2)
    axes.set(ylim=(len(users) - 0.2, -0.9), xlim=(day[0] - 0.01 * day[-1], 1.01 * day[-1]), yticks=[])
    axes.set_ylabel("users, by first event")
    axes.spines["left"].set_visible(False)


def _name_parts(axes: Axes, middles: Sequence[float], least: float) -> None:
    """The parts' names above the picture, moved apart where the parts are narrow, each with a thread to
    the middle of its part."""
    places = list(middles)
    for _ in range(100):
        for i in range(len(places) - 1):
            short = least - (places[i + 1] - places[i])
            if short > 0:
                places[i], places[i + 1] = places[i] - short / 2, places[i + 1] + short / 2
    for name, place, middle in zip(PARTS, places, middles, strict=True):
        axes.text(place, -2.2, name, color=_dark(name), ha="center", va="bottom", weight="bold", fontsize=9)
        axes.plot([place, middle], [-2.1, -0.8], color=_dark(name), lw=0.8, clip_on=False)


def _dark(part: str) -> str:
    """A part's colour, dark enough for words."""
    return {"train": "#1F78A8", "validation": "#7A62A8"}.get(part, style.PARTS[part])


def _window_strip(axes: Axes, log: Interactions, window: CutWindow) -> None:
    length = len(window.rows) // 2
    x = np.arange(-length, length + 1)
    for place, row, kept in zip(x, window.rows, window.kept, strict=True):
        colour = style.PAST if place < 0 else style.FUTURE if place > 0 else style.TARGET
        face = colour if log.label[row] else "white"
        look = {"marker": "D" if place == 0 else "o", "alpha": 1 if kept else 0.45}
        axes.scatter(place, 0, s=330, facecolors=face, edgecolors=colour, lw=1.6, **look)
        if not kept:
            axes.scatter(place, 0, s=420, marker="x", color=style.TARGET, lw=2.4)
    cut = x[window.kept][-1] + 0.5
    axes.axvline(cut, ymin=0.05, ymax=0.8, color=style.INK, lw=1.6, ls="--")
    below = {"va": "top", "weight": "bold"}
    axes.text(cut, 0.8, "end of the retrieval part", ha="center", va="bottom", fontsize=9.5)
    axes.text(-length / 2 - 0.5, -0.6, "h: before", color=style.PAST, ha="center", **below)
    axes.text(0, -0.6, "an event that\nmay be found", color=style.TARGET, ha="center", va="top", fontsize=9)
    axes.text(cut - 0.15, -0.6, "f: what remains", color=style.FUTURE_TEXT, ha="right", **below)
    axes.text(cut + 0.15, -0.6, "a leak if it stayed", color=style.TARGET, ha="left", **below)
    axes.set(xlim=(-length - 1.2, length + 1.2), ylim=(-1.3, 1.3))
    axes.axis("off")
    axes.set_title(f"The framed window, event by event: it crosses the end of the retrieval part (user "
                   f"{log.value('user', window.user)})",
                   fontsize=11.5, pad=4)  # fmt: skip


def leak_flatters(aucs: pd.DataFrame, note: str, ceiling: float | None = None) -> Figure:
    """What each leak adds to the honest AUC.

    aucs : (seeds, rules) AUC, the honest rule first. Small dots are seeds, the large one their mean;
    at the right, the mean gain with its 95% interval over seeds. ceiling : AUC of the true probabilities.
    """
    honest = aucs.columns[0]
    with style.theme():
        figure = Figure(figsize=(10, 4.0), layout="constrained")
        axes = figure.add_subplot()
        middle = aucs[honest].mean()
        axes.axvline(middle, color=style.PAST, lw=1, ls="--")
        for y, rule in enumerate(aucs.columns):
            colour = style.PAST if rule == honest else style.TARGET
            axes.plot([middle, aucs[rule].mean()], [y, y], color=colour, lw=3, alpha=0.35)
            axes.scatter(aucs[rule], np.full(len(aucs), y), s=22, facecolors="none", edgecolors=colour, lw=1)
            axes.scatter(aucs[rule].mean(), y, s=110, color=colour, zorder=3)
            words = f"{aucs[rule].mean():.3f}   (leaks: gain, 95% interval)"
            if rule != honest:
                gain = paired_interval(aucs[rule].to_numpy(), aucs[honest].to_numpy())
                words = f"{gain.mean:+.3f}  [{gain.low:+.3f}, {gain.high:+.3f}]"
            axes.text(
                1.01, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=10, color=colour
            )
        if ceiling is not None:
            axes.axvline(ceiling, color=style.INK, lw=1.4)
            axes.text(ceiling, 0, "best reachable (p*) ", ha="right", va="center", fontsize=9.5)
        axes.set_yticks(range(len(aucs.columns)), aucs.columns)
        axes.set_ylim(len(aucs.columns) - 0.5, -0.6)
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("AUC on the same test rows")
        figure.supxlabel(note, x=0.008, ha="left", fontsize=9, color=style.MUTED)
        axes.set_title("Looking at what was not yet known makes the same learner look better")
    return figure


def sampled_metrics(results: pd.DataFrame, k: int, at: int, title: str, note: str) -> Figure:
    """The models' order by HR@k among ``at`` sampled negatives and among all items (left), and how the
    one turns into the other as negatives are added (right).

    results : the table of :func:`workbench.lab.sampling.hit_rates`.
    """
    by_sample = results[(results["negatives"] == at) & ~results["full"]].set_index("model")
    by_all = results[results["full"]].set_index("model")
    models = by_all.sort_values("HR", ascending=False).index.tolist()
    colours = dict(zip(models, (*style.SERIES[:4], style.INK, style.MUTED), strict=False))
    with style.theme():
        figure = Figure(figsize=(12.5, 4.8), layout="constrained")
        places, curves = figure.subplots(1, 2, width_ratios=[1, 1.25])
        _places(places, by_sample["HR"], by_all["HR"], colours)
        places.text(0, 0.45, f"{at} sampled negatives", ha="right", va="bottom", weight="bold")
        places.text(1, 0.45, "all items", ha="left", va="bottom", weight="bold")
        _curves(curves, results, colours)
        curves.axvline(at, color=style.MUTED, lw=1, ls="--", zorder=0)
        curves.set_xlabel("candidates that compete with the true item")
        figure.supxlabel(note, x=0.008, ha="left", fontsize=9, color=style.MUTED)
        curves.set_ylabel(f"HR@{k}: share of clicks in the top {k}")
        figure.suptitle(title, x=0.008, ha="left", fontsize=14, weight="bold")
    return figure


def _places(axes: Axes, by_sample: pd.Series, by_all: pd.Series, colours: dict[str, str]) -> None:
    """Two columns of models, the best on top, and a line from place to place."""
    left = by_sample.rank(ascending=False, method="first")
    right = by_all.rank(ascending=False, method="first")
    for name, colour in colours.items():
        axes.plot([0, 1], [left[name], right[name]], color=colour, lw=3, marker="o", ms=9)
        words = {"color": colour, "va": "center"}
        axes.text(-0.1, left[name], f"{name}  {by_sample[name]:.3f}", ha="right", **words)
        axes.text(1.1, right[name], f"{by_all[name]:.3f}  {name}", ha="left", **words)
    axes.set(xlim=(-1.3, 2.3), ylim=(len(colours) + 0.5, 0.1))
    axes.axis("off")


def _curves(axes: Axes, results: pd.DataFrame, colours: dict[str, str]) -> None:
    """HR against the number of candidates, both logarithmic; bands: two standard errors over queries."""
    right, lowest = float(results["negatives"].max()), 0.7 * float(results["HR"].min())
    last = results[results["full"]].set_index("model")["HR"]
    for (name, colour), y in zip(colours.items(), _spread(np.log(last[list(colours)]), 0.32), strict=True):
        line = results[results["model"] == name].sort_values("negatives")
        low, high = line["HR"] - 2 * line["se"], line["HR"] + 2 * line["se"]
        axes.fill_between(line["negatives"], np.maximum(low, lowest), high, color=colour, alpha=0.13, lw=0)
        axes.plot(line["negatives"], line["HR"], color=colour, marker="o", ms=4)
        axes.text(1.06 * right, np.exp(y), name, color=colour, va="center", fontsize=10)
    counts = sorted(results[~results["full"]]["negatives"].unique())
    axes.set(xscale="log", yscale="log", xlim=(0.9 * counts[0], 5 * right), ylim=(lowest, 1.15))
    axes.set_xticks(
        [*counts, right], [*(f"{count:g}" for count in counts), f"all:\n{right:,.0f}"], fontsize=9
    )
    ticks = [tick for tick in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if tick > lowest]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y")


def _spread(heights: Sequence[float], least: float) -> list[float]:
    """The same heights, falling, moved down where they would come closer than ``least``."""
    moved: list[float] = []
    for height in heights:
        moved.append(min(height, moved[-1] - least) if moved else height)
    return moved
