"""A metric against one setting, over seeds: the mask ratio, and the knobs K and L."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from workbench.errors import DataError
from workbench.lab.metrics import paired_interval
from workbench.show import style


def mask_ratio_curve(
    points: pd.DataFrame,
    metric: str,
    *,
    published: tuple[float, float] = (0.5, 1.0),
    one_label: Sequence[float] = (),
    small_print: str = "",
) -> Figure:
    """A metric (more is better) against the share of hidden labels, point by point as ratios are tried.

    points : columns ratio, seed, value; may be empty. published : the range of ratios that the paper calls
    best (LIFT, Section 5.5: "usually larger than 50%"). one_label : values of the strategy that asks only the
    last label, one a seed.
    """
    with style.theme():
        figure = Figure(figsize=(8.6, 4.6))
        axes = figure.add_axes((0.11, 0.155, 0.86, 0.65))
        axes.axvspan(*published, color=style.FAINT, alpha=0.5, lw=0)
        axes.annotate(
            "the paper's best ratios lie here", (sum(published) / 2, 1), (0, -4), ha="center", va="top",
            xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=9.5,
        )  # fmt: skip
        _line(axes, points.rename(columns={"ratio": "setting"}), style.TARGET)
        if len(one_label):
            mean = float(np.mean(one_label))
            axes.axhspan(min(one_label), max(one_label), color=style.INK, alpha=0.12, lw=0)
            axes.axhline(mean, color=style.INK, lw=1.3, ls="--")
            axes.annotate(
                "only the last label asked", (0.01, mean), (0, 4), xycoords=("axes fraction", "data"),
                textcoords="offset points", fontsize=9.5,
            )  # fmt: skip
        low, high = _range(points["value"], one_label)
        axes.set(xlim=(-0.03, 1.03), ylim=(low, high), xticks=np.linspace(0, 1, 6))
        axes.set(xlabel="share of labels hidden", ylabel=metric)
        axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
        style.headline(figure, _best_ratio(points, metric, published), small_print)
    return figure


def _range(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Limits that hold all values with air above, for words; a wide one where there is nothing yet."""
    known = np.concatenate([values, others])
    if not len(known):
        return 0.5, 1.0
    room = max(np.ptp(known), 0.004)
    return known.min() - 0.15 * room, known.max() + 0.3 * room


def _best_ratio(points: pd.DataFrame, metric: str, published: tuple[float, float]) -> str:
    means = points.groupby("ratio")["value"].mean()
    if means.empty:
        return "How many labels should be hidden?"
    best = float(means.idxmax())
    if len(means) == 1:
        return f"With {best:.0%} of the labels hidden: {metric} {means.iloc[0]:.3f}"
    where = "as" if published[0] <= best <= published[1] else "not where"
    said = f"Of {len(means)} ratios, hiding {best:.0%} is best, {where} the paper finds"
    rows = points.rename(columns={"ratio": "setting"})
    if _seeds(rows) < 2:
        return f"{said} (one seed)"
    level = [ratio for ratio in means.index if ratio not in _worse(rows)]
    if len(level) == 1:
        return said
    return (
        f"Hiding {level[0]:.0%} to {level[-1]:.0%} of the labels does equally well, as far as the seeds tell"
    )


def knob_curve(
    frame: pd.DataFrame,
    metric: str = "AUC",
    *,
    published: Mapping[str, float] | None = None,
    scale: str = "log",
    small_print: str = "",
) -> Figure:
    """A metric (more is better) against knobs, one panel each: does it rise, and does it fall again?

    frame : columns knob, setting, seed, value. published : knob -> the setting that the paper calls best.
    scale : of the settings: "log", where all are above 0; "linear"; "symlog", from 0 over several decades.

    Raises DataError for an empty frame.
    """
    if frame.empty:
        raise DataError("there are no results to draw")
    knobs = list(dict.fromkeys(frame["knob"]))
    with style.theme():
        width = max(1.2 + 4.9 * len(knobs), 8.0)
        figure = Figure(figsize=(width, 4.4))
        panels = figure.subplots(
            1, len(knobs), sharey=True, squeeze=False,
            gridspec_kw={"left": 0.9 / width, "right": 0.985, "top": 0.8, "bottom": 0.16, "wspace": 0.06},
        )[0]  # fmt: skip
        for axes, knob in zip(panels, knobs, strict=True):
            rows = frame[frame["knob"] == knob]
            _line(axes, rows, style.TARGET)
            settings = np.unique(rows["setting"])
            smallest = settings[settings > 0].min()
            axes.set_xscale(scale, **({"linthresh": smallest, "linscale": 0.5} if scale == "symlog" else {}))
            axes.xaxis.set_major_locator(FixedLocator(settings))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_xlabel(knob)
            if published and knob in published:
                axes.axvline(published[knob], color=style.INK, lw=1.2, ls=":")
                axes.annotate(
                    f"paper's best: {published[knob]:g}", (published[knob], 0.02), (-4, 0), fontsize=9.5,
                    ha="right", xycoords=("data", "axes fraction"), textcoords="offset points",
                )  # fmt: skip
        panels[0].set_ylabel(metric)
        panels[0].set_ylim(*_range(frame["value"], ()))
        said = [f"as {knob} grows {metric} {shape(frame[frame['knob'] == knob])}" for knob in knobs]
        said[1:] = [words.replace(f" {metric} ", " it ", 1) for words in said[1:]]
        title = "; ".join(said)
        style.headline(figure, title[0].upper() + title[1:], small_print)
    return figure


def shape(rows: pd.DataFrame) -> str:
    """A curve in words, as far as the seeds tell: a setting differs from the best one where the 95% interval
    of the paired difference does not hold 0.

    rows : columns setting, seed, value.
    """
    means = rows.groupby("setting")["value"].mean()
    best = means.idxmax()
    if _seeds(rows) < 2:
        return f"is best at {best:g} (one seed)"
    worse = _worse(rows)
    rises, falls = any(setting < best for setting in worse), any(setting > best for setting in worse)
    if rises and falls:
        return f"rises up to {best:g} and then falls"
    if rises:
        level = next(setting for setting in means.index if setting > max(worse))
        return (
            "still rises at its end" if level == means.index[-1] else f"rises up to {level:g} and no further"
        )
    return f"falls beyond {best:g}" if falls else "hardly changes"


def _seeds(rows: pd.DataFrame) -> int:
    """How many seeds the setting has that has fewest: with one, nothing can be paired with it."""
    return int(rows.groupby("setting")["seed"].nunique().min())


def _worse(rows: pd.DataFrame) -> list[float]:
    """The settings whose seeds, pair by pair, do worse than the best setting's; two shared seeds at least."""
    seeds = rows.pivot(index="seed", columns="setting", values="value")
    best = seeds[seeds.mean().idxmax()]
    worse = []
    for setting in seeds.columns.drop(best.name):
        pairs = pd.concat([best, seeds[setting]], axis=1).dropna().to_numpy()
        if len(pairs) > 1 and paired_interval(*pairs.T).low > 0:
            worse.append(setting)
    return worse


def _line(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    """A dot a seed, a line through the means, a band of one standard deviation to both sides."""
    seeds = rows.groupby("setting")["value"].agg(["mean", "std"])
    axes.plot(rows["setting"], rows["value"], "o", ms=3.5, color=colour, alpha=0.45, mew=0)
    axes.plot(seeds.index, seeds["mean"], "o-", color=colour, ms=7, mec="white")
    if seeds["std"].notna().any():
        low, high = seeds["mean"] - seeds["std"], seeds["mean"] + seeds["std"]
        axes.fill_between(seeds.index, low, high, color=colour, alpha=0.15, lw=0)
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
