"""A whole history and one candidate: who looks where, what a look finds, and what it forgets (ENCODE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from workbench.errors import DataError
from workbench.show import style

COLOURS = {"ENCODE": style.TARGET, "DIN-L": style.INK, "TWIN": style.PAST}  # the others are grey
MARKS = {"ENCODE": "o", "DIN-L": "s", "TWIN": "^"}
OTHERS = "#AEB5BD"  # events of no interest here: paler than the accent in print, too
TICKS = (1, 10, 50)  # multiples of the mean weight


def two_stages(
    events: np.ndarray, label: Sequence[int], candidate: np.ndarray, weights: Mapping[str, np.ndarray],
    small_print: str = "",
) -> Figure:  # fmt: skip
    """Events in the plane with their clusters, and how much of each a look takes.

    events : (L, 2); label : (L,) clusters from 0; candidate : (2,); weights : look -> (L,), adding up to 1.
    """
    hues = (style.PAST, style.FUTURE, style.SOURCE_DOMAIN, style.TARGET_DOMAIN)
    with style.theme():
        figure = Figure(figsize=(9.6, 4.3))
        plane, bars = figure.add_axes((0.02, 0.06, 0.46, 0.74)), figure.add_axes((0.53, 0.15, 0.43, 0.6))
        for number, (event, cluster) in enumerate(zip(events, label, strict=True), 1):
            _arrow(plane, event, hues[cluster % 4], f"$s_{number}$")
        _arrow(plane, candidate, style.TARGET, "$x_t$", "--")
        ends = np.vstack([events, [candidate], [[0, 0]]])
        for cluster in sorted(set(label)):
            middle = ends[:-2][np.asarray(label) == cluster].mean(0)
            plane.text(*(0.6 * middle - [0, 0.12]), f"cluster {cluster + 1}", ha="center", va="center",
                       fontsize=9.5, color=hues[cluster % 4],
                       bbox={"fc": "white", "ec": "none", "pad": 1.5})  # fmt: skip
        low, high = ends.min(0) - 0.25, ends.max(0) + 0.25
        plane.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        plane.axis("off")
        tall = 0.8 / len(weights)
        for line, (name, given) in enumerate(weights.items()):
            y = np.arange(len(events)) + (line - (len(weights) - 1) / 2) * tall
            colour = COLOURS.get(name, style.MUTED)
            inside = colour if line == 0 else "white"
            bars.barh(y, given, 0.85 * tall, facecolor=inside, edgecolor=colour, lw=1.6)
            for at, value in zip(y, given, strict=True):
                bars.annotate(f"{value:.3f}  {name}", (value, at), (6, 0), textcoords="offset points",
                              va="center", fontsize=9.5, color=colour)  # fmt: skip
        bars.set_yticks(range(len(events)), [f"$s_{number}$" for number in range(1, len(events) + 1)])
        bars.invert_yaxis()
        bars.set(xlim=(0, 1.35 * max(np.max(given) for given in weights.values())), xlabel="weight")
        title = "The candidate moves whole clusters; who leads inside one was settled offline"
        style.headline(figure, title, small_print)
    return figure


def _arrow(axes: Axes, to: np.ndarray, colour: str, words: str, dashes: str = "-") -> None:
    look = {"arrowstyle": "-|>", "color": colour, "lw": 2.2, "ls": dashes, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", to, (0, 0), arrowprops=look)
    place = np.asarray(to) * (1 + 0.13 / np.linalg.norm(to))
    axes.text(*place, words, ha="center", va="center", fontsize=13, color=colour)


def distance_by_clusters(frame: pd.DataFrame, length: int, chosen: int, small_print: str = "") -> Figure:
    """How far ENCODE's vector is from full target attention and from the mean, as K grows.

    frame : columns clusters (ascending), to, distance (a share of the length of DIN-L's vector), own (bool:
    every event its own cluster, in place of k-means). length : L; chosen : the K that gets a line.
    """
    words = {"DIN-L": "to DIN-L, attention to every event", "AvgPooling": "to the mean of all events"}
    with style.theme():
        figure = Figure(figsize=(9.2, 4.5))
        axes = figure.add_axes((0.09, 0.15, 0.86, 0.63))
        for to, rows in frame.groupby("to", sort=False):
            found, exact = rows[~rows["own"]], rows[rows["own"]]
            colour = COLOURS.get(to, style.MUTED)
            axes.plot(found["clusters"], found["distance"], "-", marker=MARKS.get(to, "D"), ms=6, mec="white",
                      color=colour)  # fmt: skip
            axes.plot(exact["clusters"], exact["distance"], "*", ms=15, color=colour, mec="white",
                      clip_on=False, zorder=5)  # fmt: skip
            first = found.iloc[0]
            up = first["distance"] > found["distance"].iloc[-1]  # a falling line leaves room above it
            axes.annotate(words.get(to, to), (first["clusters"], first["distance"]), (16, 8 if up else -10),
                          textcoords="offset points", color=colour, weight="bold", fontsize=10.5,
                          va="center")  # fmt: skip
            if up and len(exact) and found["distance"].iloc[-1] > 0.03:
                for row, down, said in (
                    (exact, 0, "every event its own: exactly DIN-L"),
                    (found, -13, "k-means: a repeated click counts once"),
                ):
                    end = tuple(row[["clusters", "distance"]].iloc[-1])
                    axes.annotate(said, end, (-14, down), textcoords="offset points", ha="right", va="center",
                                  fontsize=9.5, color=colour)  # fmt: skip
        axes.axvline(chosen, color=style.MUTED, ls=":", lw=1.2, zorder=0)
        axes.annotate(f"K = {chosen}", (chosen, 1), (4, -3), xycoords=("data", "axes fraction"), va="top",
                      textcoords="offset points", fontsize=9.5, color=style.MUTED)  # fmt: skip
        axes.set(xscale="log", xlabel="K, clusters", ylim=(-0.03, None),
                 ylabel="distance (share of DIN-L's length)")  # fmt: skip
        _ticked(axes, [k for k in (1, 3, 10, 30, 100, 300) if k < 0.6 * length] + [length])
        axes.grid(axis="y", lw=0.6)
        style.headline(figure, "From the mean to full attention: K turns the one into the other", small_print)
    return figure


def _ticked(axes: Axes, at: Sequence[float]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(list(at)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")


def who_looks_where(
    candidates: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray]]], title: str, small_print: str = "",
    names: Mapping[str, str] | None = None,
) -> Figure:  # fmt: skip
    """The weights of several looks over a whole history, one strip under the other, a column a candidate.

    candidates : words -> (alike (L,) bool, the events of the candidate's kind; look -> weights (L,)). The
    looks are the same for all. names : look -> what is written. Heights are multiples of the mean weight on a
    square-root scale, the same for all strips.
    """
    looks = list(next(iter(candidates.values()))[1])
    most = max(np.max(given) * len(given) for _, looked in candidates.values() for given in looked.values())
    top = np.sqrt(1.12 * max(most, 1.5))
    ticks = np.array([tick for tick in TICKS if np.sqrt(tick) < top])
    floors = {look: 1.42 * top * place for place, look in enumerate(reversed(looks))}
    with style.theme():
        width = 1.75 + (4.6 * len(candidates) if len(candidates) > 1 else 6.6)
        over = 1.05 + 0.2 * (1 + max(words.count("\n") for words in candidates))
        height = over + 0.45 + 1.02 * len(looks)
        figure = Figure(figsize=(width, height))
        columns = figure.subplots(
            1, len(candidates), squeeze=False,
            gridspec_kw={"left": 1.55 / width, "right": 1 - 0.2 / width, "top": 1 - over / height,
                         "bottom": 0.5 / height, "wspace": 0.1},
        )[0]  # fmt: skip
        for axes, (words, (alike, looked)) in zip(columns, candidates.items(), strict=True):
            for look, floor in floors.items():
                _strip(axes, looked[look], alike, floor, top)
            axes.set(xlim=(-0.5, len(alike) - 0.5), ylim=(0, max(floors.values()) + top))
            axes.set_title(words, fontsize=11, pad=15)
            axes.set_xticks([0, len(alike) - 1], ["oldest", "latest event"], fontsize=9.5)
            for tick, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
                tick.set_ha(side)
            at = np.concatenate([floor + np.sqrt(ticks) for floor in floors.values()])
            named = [f"{tick}×" for tick in ticks] * len(looks) if axes is columns[0] else [""] * len(at)
            axes.set_yticks(at, named, fontsize=8.5)
            axes.tick_params(length=2)
            axes.spines[["left", "bottom"]].set_visible(False)
        for look, floor in floors.items():
            columns[0].annotate(
                (names or {}).get(look, look), (0, floor + top / 2), (-38, 0),
                xycoords=("axes fraction", "data"), textcoords="offset points", ha="right", va="center",
                fontsize=10.5, weight="bold", color=COLOURS.get(look, style.MUTED),
            )  # fmt: skip
        style.headline(figure, title, small_print)
    return figure


def _strip(axes: Axes, weights: np.ndarray, alike: np.ndarray, floor: float, top: float) -> None:
    """One look's weights; events of the candidate's kind last, so that they lie on top."""
    tall = np.sqrt(np.asarray(weights) * len(weights))
    for same, colour, thick in ((False, OTHERS, 0.9), (True, style.TARGET, 1.5)):
        at = np.flatnonzero((alike == same) & (tall > 0))
        ends = np.full((len(at), 2, 2), floor)
        ends[:, :, 0], ends[:, 1, 1] = at[:, None], floor + tall[at]
        axes.add_collection(LineCollection(ends, colors=colour, lw=thick), autolim=False)
    axes.plot([-0.5, len(weights) - 0.5], [floor, floor], color=style.MUTED, lw=0.9, clip_on=False)
    axes.plot([-0.5, -0.5], [floor, floor + top], color=style.MUTED, lw=0.9)
    share = float(weights[alike].sum() / max(weights.sum(), 1e-12))
    words = f"{share:.0%} on the candidate's kind"
    axes.annotate(words, (1, floor + top), (0, 2), xycoords=("axes fraction", "data"), ha="right",
                  textcoords="offset points", fontsize=9, color=style.TARGET)  # fmt: skip


def relevance_and_kind(
    rows: pd.DataFrame, uniform: float, everywhere: float, small_print: str = ""
) -> Figure:
    """Two judges of a look's weights: the Relevance Indicator, and the share on the candidate's own kind.

    rows : columns method, RI, on kind, one a look; uniform : RI of uniform weights; everywhere : that share
    of all events. Better is always to the right.
    """
    order = rows.sort_values("RI").reset_index(drop=True)
    with style.theme():
        figure = Figure(figsize=(10, 1.9 + 0.44 * len(order)))
        height = figure.get_figheight()
        panels = figure.subplots(
            1, 2, sharey=True, gridspec_kw={"left": 0.13, "right": 0.96, "top": 1 - 1.2 / height,
                                            "bottom": 0.62 / height, "wspace": 0.18},
        )  # fmt: skip
        drawn = (
            ("RI", uniform, "uniform", "{:.2f}", "Relevance Indicator (better →)"),
            ("on kind", everywhere, "of all events", "{:.0%}", "on the candidate's kind (better →)"),
        )
        for axes, (name, line, words, written, axis) in zip(panels, drawn, strict=True):
            values = order[name].to_numpy()
            low, high = min(*values, line), max(*values, line)
            edge = (high - low) * 0.22
            start = high + edge if name == "RI" else 0.0
            for y, (method, value) in enumerate(zip(order["method"], values, strict=True)):
                colour = COLOURS.get(method, style.MUTED)
                axes.hlines(y, start, value, color=colour, lw=7, alpha=0.25)
                axes.plot(value, y, marker=MARKS.get(method, "D"), ms=8, color=colour)
                axes.annotate(written.format(value), (value, y), (9, 0), textcoords="offset points",
                              va="center", color=colour, fontsize=10)  # fmt: skip
            axes.axvline(line, color=style.MUTED, ls=":", lw=1.2, zorder=0)
            axes.annotate(words, (line, 1), (0, 3), xycoords=("data", "axes fraction"), ha="center",
                          textcoords="offset points", fontsize=9.5, color=style.MUTED)  # fmt: skip
            axes.set(xlabel=axis, ylim=(len(order) - 0.4, -0.6))
            axes.set_xlim((start, low - edge) if name == "RI" else (0, high * 1.18))
        panels[1].xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        panels[0].set_yticks(range(len(order)), order["method"])
        style.headline(figure, _judged(order), small_print)
    return figure


def _judged(rows: pd.DataFrame) -> str:
    """What the two judges say, and whether they agree on who comes last."""
    worst, most = rows["method"].iloc[-1], rows.loc[rows["on kind"].idxmax(), "method"]
    if worst == most:
        return f"The Relevance Indicator puts {worst} last; by the candidate's kind it is first"
    others = rows[rows["method"] != "DIN-L"]
    return f"{others['method'].iloc[0]} is nearest to DIN-L; {most} looks most at the candidate's kind"


def what_softmax_forgets(
    frame: pd.DataFrame, counted: float | None, chosen: float, small_print: str = "",
    metric: str = "AUC of likeness alone",
) -> Figure:  # fmt: skip
    """How well looks rank candidates as their attention sharpens.

    frame : columns system, beta, auc, a row a seed; counted : AUC of the share of events of the candidate's
    kind, where it is known; chosen : the beta that gets a line; metric : what is written beside the axis.

    Raises DataError for an empty frame.
    """
    if frame.empty:
        raise DataError("there are no results to draw")
    first, last = frame["beta"].min(), frame["beta"].max()
    with style.theme():
        figure = Figure(figsize=(9.6, 4.7))
        axes = figure.add_axes((0.085, 0.145, 0.79, 0.64))
        limits = _around([*frame["auc"], *([] if counted is None else [counted])])
        _lines(axes, frame.rename(columns={"beta": "x", "auc": "value"}), True, limits)
        if counted is not None:
            axes.axhline(counted, color=style.SOURCE_DOMAIN, ls="--", lw=1.6, zorder=0)
            axes.annotate("counting events of its kind", (first, counted), (0, 4), ha="left",
                          textcoords="offset points", fontsize=9.5, color=style.SOURCE_DOMAIN)  # fmt: skip
        axes.axvline(chosen, color=style.MUTED, ls=":", lw=1.2, zorder=0)
        axes.annotate(f"β = {chosen:g}", (chosen, 0), (4, 4), xycoords=("data", "axes fraction"),
                      textcoords="offset points", fontsize=9.5, color=style.MUTED)  # fmt: skip
        _ticked(axes, sorted(frame["beta"].unique()))
        axes.set(xlabel="β: flat attention on the left, sharp on the right", ylabel=metric)
        style.headline(figure, _forgotten(frame, last), small_print)
    return figure


def _forgotten(frame: pd.DataFrame, sharp: float) -> str:
    """Who loses from its best beta to the sharpest, and who does not."""
    means = frame.groupby(["system", "beta"], sort=False)["auc"].mean().unstack("beta")
    lost = means.max(axis=1) - means[sharp]
    fall, stay = ([name for name in lost.index if (lost[name] > 0.02) == bad] for bad in (True, False))
    if not fall or not stay:
        return "How sharp attention is decides what a vector can tell"
    verbs = [verb + "s" * (len(who) == 1) for who, verb in ((fall, "fall"), (stay, "stay"))]
    said = [f"{' and '.join(who)} {verb}" for who, verb in zip((fall, stay), verbs, strict=True)]
    return f"Sharp attention forgets how many: {said[0]}, {said[1]}"


def scores_by_knobs(
    frame: pd.DataFrame, knobs: Mapping[str, str], metric: str, title: str, small_print: str = ""
) -> Figure:
    """A metric against several knobs of the world, a panel each; a line a system, a dot a seed.

    frame : columns knob, setting, system, seed, value; knobs : knob -> what is written under its axis.

    Raises DataError for an empty frame.
    """
    if frame.empty:
        raise DataError("there are no results to draw")
    with style.theme():
        figure = Figure(figsize=(10.6, 4.5))
        panels = figure.subplots(
            1, len(knobs), sharey=True, squeeze=False,
            gridspec_kw={"left": 0.075, "right": 0.91, "top": 0.79, "bottom": 0.15, "wspace": 0.34},
        )[0]  # fmt: skip
        for axes, (knob, words) in zip(panels, knobs.items(), strict=True):
            rows = frame[frame["knob"] == knob].rename(columns={"setting": "x"})
            settings = sorted(rows["x"].unique())
            _lines(axes, rows, settings[0] > 0, _around(frame["value"]))
            _ticked(axes, settings)
            axes.set(xlabel=words)
        panels[0].set_ylabel(metric)
        style.headline(figure, title, small_print)
    return figure


def _lines(axes: Axes, rows: pd.DataFrame, logarithmic: bool, limits: tuple[float, float]) -> None:
    """A line a system through the means over rows (x, value), with its name at the end, apart from others."""
    means = rows.groupby(["system", "x"], sort=False)["value"].mean()
    systems = list(dict.fromkeys(rows["system"]))
    ends = [means[system].sort_index().iloc[-1] for system in systems]
    for system, height in zip(systems, style.apart(ends, limits, 0.07), strict=True):
        line, colour = means[system].sort_index(), COLOURS.get(system, style.MUTED)
        axes.plot(line.index, line, "-", marker=MARKS.get(system, "D"), ms=6.5, mec="white", color=colour)
        each = rows[rows["system"] == system]
        if len(each) > len(line):
            axes.plot(each["x"], each["value"], ".", ms=5, alpha=0.5, color=colour)
        axes.annotate(system, (line.index[-1], height), (12, 0), textcoords="offset points", va="center",
                      color=colour, weight="bold", fontsize=10.5, annotation_clip=False)  # fmt: skip
    axes.set(ylim=limits)
    if logarithmic:
        axes.set_xscale("log")
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)


def _around(values: Sequence[float]) -> tuple[float, float]:
    """The limits of an axis that holds some values."""
    margin = 0.12 * (max(values) - min(values)) + 1e-3
    return min(values) - margin, max(values) + margin
