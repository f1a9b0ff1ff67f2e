"""ENCODE's metric and its reduction: what beta does, which distances survive, and what each loss keeps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.show import style
from workbench.show.pictures_pyramid import bars_of_seeds


def two_readings(cosines: np.ndarray, beta: float, small_print: str) -> Figure:
    """Eq. 9 as printed and with beta as a factor: the weight of an event against its cosine.

    cosines : (L,) of a candidate with a user's events; a weight of 1 is that of a mean.
    """
    with style.theme():
        figure = Figure(figsize=(9.5, 3.8))
        axes = figure.add_axes((0.09, 0.16, 0.88, 0.6))
        order = np.sort(cosines)
        most = {}
        for factor, colour, words in (
            (1 / beta, style.MUTED, f"cosine divided by {beta:g}, as printed"),
            (beta, style.TARGET, f"cosine times {beta:g}, our reading"),
        ):
            weight = np.exp(factor * (order - order.max()))
            weight *= len(weight) / weight.sum()
            most[words] = weight[-1] / weight[0]
            axes.plot(order, weight, color=colour, lw=2.2)
            axes.plot(order[-1], weight[-1], "o", ms=6, color=colour)
            end, side = (0, "left") if factor < 1 else (-1, "right")
            axes.annotate(words, (order[end], weight[end]), (0, 7) if side == "left" else (-12, 0), ha=side,
                          textcoords="offset points", va="bottom", fontsize=10, color=colour)  # fmt: skip
        axes.plot(order, np.full(len(order), 1.1e-6), "|", ms=8, mew=0.6, color=style.INK, alpha=0.5)
        axes.set(yscale="log", ylim=(1e-6, 3e3), xlabel="cosine of an event with the candidate",
                 ylabel="weight, 1 = a mean")  # fmt: skip
        axes.set_yticks((1e-6, 1e-4, 1e-2, 1, 1e2))
        axes.set_yticks([], minor=True)
        literal = next(iter(most.values()))
        title = f"Divided by {beta:g}, all events weigh alike: the nearest {literal:.2f} times the farthest"
        style.headline(figure, title, small_print)
    return figure


def distances_kept(
    pairs: Mapping[int, tuple[np.ndarray, np.ndarray]],
    rank: Mapping[int, float],
    width: int,
    small_print: str,
) -> Figure:  # fmt: skip
    """Distances of pairs of one user's events in R^d and in R^m, a panel a number m.

    pairs : m -> (n,) distances before and after. rank : m -> their rank correlation (Spearman). width : d.
    """
    with style.theme():
        figure = Figure(figsize=(3.0 * len(pairs), 4.2))
        panels = figure.subplots(
            1, len(pairs), sharey=True, squeeze=False,
            gridspec_kw={"left": 0.065, "right": 0.985, "top": 0.71, "bottom": 0.14, "wspace": 0.1},
        )[0]  # fmt: skip
        for axes, (m, (before, after)) in zip(panels, pairs.items(), strict=True):
            axes.plot([0, 1.5], [0, 1.5], color=style.MUTED, ls=":", lw=1.2, zorder=3)
            axes.scatter(before, after, s=4, color=style.PAST, alpha=0.25, lw=0, rasterized=True)
            axes.set(xlim=(0, 1.5), ylim=(0, 2.02), xlabel=f"distance in R$^{{{width}}}$")
            axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
            axes.set_title(f"m = {m}: rank correlation {rank[m]:.2f}", fontsize=10.5, weight="normal")
        panels[0].set_ylabel("distance in R$^m$")
        few, many = sorted(rank)[1 if len(rank) > 1 else 0], max(rank)
        kept = f"{few} numbers keep {_much(rank[few])}, {many} keep {_much(rank[many])}"
        style.headline(figure, f"Of the order of distances {kept}", small_print)
    return figure


def _much(correlation: float) -> str:
    """A rank correlation in a word or two."""
    words = ((0.5, "little"), (0.75, "some"), (0.9, "most"))
    return next((word for above, word in words if correlation < above), "nearly all")


def losses_compared(rows: pd.DataFrame, chance: Mapping[str, float], small_print: str) -> Figure:
    """What each loss of the reduction is good for: a panel a measure, a bar a loss, a dot a start.

    rows : columns loss, seed, and one for each measure. chance : measure -> its value by chance; the panels
    stand in this order.
    """
    with style.theme():
        figure = Figure(figsize=(11, 3.9))
        panels = figure.subplots(
            1, len(chance), sharey=True, squeeze=False,
            gridspec_kw={"left": 0.1, "right": 0.97, "top": 0.74, "bottom": 0.14, "wspace": 0.12},
        )[0]  # fmt: skip
        for axes, (measure, least) in zip(panels, chance.items(), strict=True):
            part = rows[["loss", "seed", measure]].set_axis(["method", "seed", "value"], axis=1)
            names = bars_of_seeds(axes, part, "{:.3f}".format)
            axes.set(xlim=(least, least + 1.35 * (part["value"].max() - least)), xlabel=measure)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.locator_params(axis="x", nbins=4)
        mean = rows.groupby("loss", sort=False)[list(chance)].mean()
        ahead = mean.idxmax()
        if ahead.nunique() == 1:
            title = f"{ahead.iloc[0]} is ahead in {' and in '.join(chance)}"
        else:
            title = " and ".join(f"{ahead[measure]} has the best {measure}" for measure in chance)
        style.headline(figure, title[0].upper() + title[1:], small_print)
    return figure
