"""What another domain is worth, and what a search leaves of a long sequence: LCN's controls as pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.show import style
from workbench.show.pictures_pyramid import bars_of_seeds

COLOURS = {"within": style.PAST, "across": style.TARGET}


def gain_by_overlap(gains: pd.DataFrame, words: Mapping[str, str], small_print: str = "") -> Figure:
    """What contrast adds to the AUC, against the share of interests that the two domains have in common.

    gains : columns overlap, step ("within": contrast within the domains over none; "across": all of CRP over
    within), gain, low, high (a 95% interval). words : step -> what is written at its line.
    """
    with style.theme():
        figure = Figure(figsize=(9, 4.2))
        axes = figure.add_axes((0.115, 0.15, 0.59, 0.62))
        axes.axhline(0, color=style.MUTED, lw=1)
        for step, rows in gains.sort_values("overlap").groupby("step"):
            colour = COLOURS[step]
            x = rows["overlap"] + (0.008 if step == "across" else -0.008)  # intervals side by side
            axes.plot(x, rows["gain"], "-o", color=colour, ms=7)
            axes.vlines(x, rows["low"], rows["high"], color=colour, lw=1.6)
        ends = gains.sort_values("overlap").groupby("step")["gain"].last()
        places = style.apart(ends, axes.get_ylim(), 0.14)
        for (step, _), y in zip(ends.items(), places, strict=True):
            axes.annotate(
                words[step], (gains["overlap"].max(), y), (12, 0), textcoords="offset points", va="center",
                fontsize=10.5, color=COLOURS[step], annotation_clip=False,
            )  # fmt: skip
        axes.set_xticks(sorted(gains["overlap"].unique()))
        axes.set(
            xlim=(gains["overlap"].max() - 1.06, gains["overlap"].max() + 0.04),
            xlabel="share of a user's interests that both domains have",
            ylabel="gain in AUC",
        )
        axes.yaxis.set_major_formatter("{x:+.3f}")
        style.headline(figure, _worth(gains), small_print)
    return figure


def _worth(gains: pd.DataFrame) -> str:
    across = gains[gains["step"] == "across"].set_index("overlap")
    most, none = across.loc[across.index.max()], across.loc[across.index.min()]
    if most["low"] <= 0:
        return "What the cross-domain loss adds cannot be told from nothing"
    if len(across) == 1:
        return f"The cross-domain loss adds {most['gain']:.3f} to contrast within the domains"
    if none["low"] > 0:
        return "The cross-domain loss adds even where nothing is shared"
    if none["high"] < 0:
        return "The cross-domain loss adds where interests are shared, and harms where not"
    return "The cross-domain loss adds only where interests are shared"


def kept_by_search(there: np.ndarray, kept: np.ndarray, clicked: np.ndarray, k: int, small: str) -> Figure:
    """What a search for K events leaves of how often a user met the candidate's kind.

    there : (n,) events of the candidate's kind in the whole sequence; kept : (n,) those among the K found;
    clicked : (n,) 0 or 1, was the candidate clicked.
    """
    with style.theme():
        figure = Figure(figsize=(9, 4.4))
        axes = figure.add_axes((0.09, 0.15, 0.88, 0.62))
        rng = np.random.default_rng(0)
        x, y = (counts + rng.uniform(-0.3, 0.3, len(there)) for counts in (there, kept))  # ties apart
        for label, look in (
            (0, {"facecolors": "none", "edgecolors": style.MUTED, "lw": 0.8}),
            (1, {"color": style.TARGET, "lw": 0, "alpha": 0.75}),
        ):
            some = clicked == label
            words = "clicked" if label else "not clicked"
            axes.scatter(x[some], y[some], s=20, label=words, **look)
        axes.set(
            xlabel="events of the candidate's kind in the whole sequence", xlim=(-0.6, None),
            ylabel=f"of its kind among the {k} found", ylim=(-0.03 * k, 1.08 * k),
        )  # fmt: skip
        axes.set_xscale("symlog", linthresh=1, linscale=0.4)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.legend(loc="upper left", fontsize=10)
        more = (there > k).mean()
        title = f"{more:.0%} of candidates have more events of their kind than a search for {k} returns"
        style.headline(figure, title, small)
    return figure


def found_alike(rows: pd.DataFrame, everywhere: float, most: float, small_print: str = "") -> Figure:
    """Whom the last look reads: the share of its events that are of the candidate's kind, by method.

    rows : columns method, seed, value; everywhere : that share of all events; most : what a search that makes
    no mistake would reach.
    """
    means = rows.groupby("method", sort=False)["value"].mean().sort_values(ascending=False)
    with style.theme():
        figure = Figure(figsize=(9, 1.55 + 0.42 * len(means)))
        height = figure.get_figheight()
        axes = figure.add_axes((0.19, 0.6 / height, 0.76, 1 - 1.75 / height))
        bars_of_seeds(
            axes, rows.sort_values("method", kind="stable", key=lambda of: -of.map(means)), "{:.0%}".format
        )
        for x, words in ((everywhere, "of all events"), (most, "at most")):
            axes.axvline(x, color=style.MUTED, ls=":", lw=1.2, zorder=0)
            axes.annotate(words, (x, 1), (0, 3), xycoords=("data", "axes fraction"), ha="center",
                          textcoords="offset points", fontsize=9.5, color=style.MUTED)  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(len(means) - 0.4, -0.6), xlabel="of the candidate's kind")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        first, second = means.index[:2]
        style.headline(
            figure, f"{first} reads the most events of the candidate's kind, then {second}", small_print
        )
    return figure
