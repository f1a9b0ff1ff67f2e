"""The pictures of lesson 01 about the world: its knobs, and one small world seen from three sides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.data.world import World
from workbench.data.world_entities import SIGN, STEP
from workbench.lab.phenomena import EFFECTS, click_rate_by_place
from workbench.show import style

PLACE_COLOURS = {"ready": style.PAST, "neutral": style.MUTED, "passed": style.TARGET}
WORDS = {
    "succession": "clicks per exposure\nof step items",
    "order_noise": "rank correlation of causal\nand logged order in a session",
    "label_noise": "best reachable AUC\n",
    "interest_longevity": "share of a user's first interests\nthat are clicked at the end",
    "domain_overlap": "share of a user's interests\nthat both domains have",
}


def world_knobs(swept: pd.DataFrame, chance: Mapping[str, float]) -> Figure:
    """Each knob against the phenomenon it governs, as measured in generated logs.

    swept : the frame of :func:`workbench.lab.phenomena.sweep`. chance : knob -> what nothing would give.
    """
    with style.theme():
        figure = Figure(figsize=(13, 3.9), layout="constrained")
        for axes, knob in zip(figure.subplots(1, len(WORDS)), WORDS, strict=True):
            here = swept[swept["knob"] == knob]
            for what, line in here.groupby("what", sort=False):
                colour = PLACE_COLOURS.get(what, style.PAST)
                mean = line.groupby("value")["number"].mean()
                axes.plot(mean.index, mean, color=colour, zorder=1)
                axes.scatter(line["value"], line["number"], s=12, color=colour, zorder=2)
                if what in PLACE_COLOURS:
                    x, shift = (0.5, -14) if what == "passed" else (1, 7)
                    words = {"textcoords": "offset points", "color": colour, "ha": "right", "fontsize": 9.5}
                    axes.annotate(what, (x, mean[x]), (0, shift), **words)
            if knob in chance:
                axes.axhline(chance[knob], color=style.MUTED, lw=1, ls="--")
                axes.text(
                    1, chance[knob] - 0.02, "chance", color=style.MUTED, ha="right", va="top", fontsize=9
                )
            axes.set(ylim=(-0.08 if knob == "order_noise" else 0, 1.05), xticks=[0, 0.5, 1])
            axes.set_xlabel(f"{knob}\n(preset {EFFECTS[knob][0]})")
            axes.set_title(WORDS[knob], fontsize=9.5, weight="normal")
        figure.suptitle(
            "Five knobs, five phenomena: each can be turned down",
            x=0.008,
            ha="left",
            fontsize=14,
            weight="bold",
        )
        figure.supxlabel(
            f"dots: {swept['seed'].nunique()} worlds at each setting", fontsize=9, color=style.MUTED
        )
    return figure


def one_world(world: World, user: int, events: int = 60) -> Figure:
    """A world with needs: click rates of steps by place, one user's needs over time, and true probabilities.

    user : code of the user whose first ``events`` events are shown as the log has them.
    """
    with style.theme():
        figure = Figure(figsize=(11.5, 3.4))  # laid out by hand: an explorer waits for it
        grid = {"left": 0.06, "right": 0.985, "bottom": 0.16, "top": 0.88, "wspace": 0.17}
        rates, life, p_star = figure.subplots(1, 3, width_ratios=[1, 2.1, 1], gridspec_kw=grid)
        for x, (name, rate) in enumerate(click_rate_by_place(world).items()):
            rates.bar(x, rate, color=PLACE_COLOURS[name], width=0.7)
            rates.text(x, rate + 0.02, f"{rate:.2f}", ha="center", va="bottom", fontsize=10)
        rates.set_xticks(range(len(PLACE_COLOURS)), PLACE_COLOURS)
        rates.set(ylim=(0, 1.08), ylabel="clicks per exposure")
        rates.set_title("A step's click rate", fontsize=11)
        _needs(life, world, user, events)
        p_star.hist(world.truth.p_star, bins=np.linspace(0, 1, 26), color=style.SOURCE_DOMAIN)
        p_star.set(xlabel="true click probability p*", yticks=[], xlim=(0, 1))
        p_star.spines["left"].set_visible(False)
        p_star.set_title("How much chance is left", fontsize=11)
    return figure


def _needs(axes: Axes, world: World, user: int, events: int) -> None:
    """The hidden need of a user along the log, and the clicks that tell of it or change it."""
    log, truth = world.interactions, world.truth
    rows = np.flatnonzero(log.user == user)[:events]
    x, need, clicked = np.arange(1, len(rows) + 1), truth.need[rows], log.label[rows] == 1
    axes.step(x, need, where="mid", color=style.FAINT, lw=2.5, zorder=1)
    sign = (truth.kind[rows] == SIGN) & clicked
    shown = log.columns["category"][rows] - 1  # the category of a sign of need n is code n + 1
    axes.scatter(x[sign], shown[sign], s=16, facecolors="white", edgecolors=style.INK, lw=0.9, zorder=2)
    moves = (truth.kind[rows] == STEP) & (truth.v[rows] == 1) & clicked
    axes.scatter(x[moves], need[moves], s=48, marker=">", color=style.PAST, zorder=3)
    opens = np.flatnonzero(np.diff(truth.session[rows])) + 1.5
    axes.vlines(opens, -0.6, -0.3, color=style.MUTED, lw=0.8)
    axes.set(yticks=range(world.config.needs), ylim=(-0.7, world.config.needs - 0.4), xlim=(0, len(rows) + 1))
    axes.set(xlabel="event (ticks: new sessions)", ylabel="need")
    axes.set_title(f"User {user}: need (grey), clicked signs (○) and ready steps (▶)", fontsize=11)
