"""The still pictures of lesson 02: what a match is worth, when contexts happened, what a future adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.show import style

DAY = 86_400


def field_worth(idf: Mapping[str, np.ndarray], rows: int) -> Figure:
    """What a match on each field is worth: one dot per value, a bar at the worth met on average.

    idf : field -> (values, 2) array of IDF (natural log, Eq. 13) and share of rows; rows : N.
    """
    order = sorted(idf, key=lambda name: -_average(idf[name]))
    rng = np.random.default_rng(0)  # jitter only
    with style.theme():
        figure = Figure(figsize=(9, 0.62 * len(order) + 1.9), layout="constrained")
        axes = figure.add_subplot()
        for line, name in enumerate(order):
            worth, share = idf[name].T
            height = line + rng.uniform(-0.24, 0.24, len(worth)) * (len(worth) > 3)
            size = np.clip(1500 * share, 8, 260)
            axes.scatter(worth, height, s=size, color=style.PAST, alpha=0.35, lw=0)
            axes.plot(2 * [_average(idf[name])], [line - 0.38, line + 0.38], color=style.TARGET, lw=3)
            values = f"{len(worth):,} values"
            axes.annotate(
                values,
                (1.01, line),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=9,
                color=style.MUTED,
            )
        first, last = order[0], order[-1]
        ratio = _average(idf[first]) / max(_average(idf[last]), 1e-3)
        times = f"{ratio:.0f} times what" if ratio < 50 else "far more than"
        axes.set_title(f"Sharing the {first} tells {times} sharing the {last.replace('_', ' ')} does")
        axes.set_yticks(range(len(order)), [name.replace("_", " ") for name in order])
        axes.invert_yaxis()
        axes.set_xlabel(f"IDF of a value in nats   (dot size: share of the {rows:,} rows; bar: average row)")
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(left=-0.15)
    return figure


def _average(worth_and_share: np.ndarray) -> float:
    """IDF met by a random row: values weighted by how often they occur."""
    worth, share = worth_and_share.T
    return float(np.average(worth, weights=share))


def context_clock(
    past: Sequence[np.ndarray],
    future: Sequence[np.ndarray],
    now: np.ndarray,
    boundary: int,
    query: int,
    what: str,
) -> Figure:
    """Contexts on the calendar: everything a retrieved row brings ends before the retrieval set does.

    past, future : K arrays of event times in seconds, oldest first, possibly empty. now : (K,) times of
    the retrieved rows; boundary : last time of the retrieval set; query : time of the target.
    ``what`` names the data, for the small print.
    """
    first = min([boundary, *now, *(times[0] for times in past if len(times))])
    margin = 0.03 * (query - first)
    with style.theme():
        figure = Figure(figsize=(10, 2.0 + 0.34 * len(now)), layout="constrained")
        axes = figure.add_subplot()
        for line, moment in enumerate(now):
            # Past above, future below: a future within one session would hide behind its dot.
            for times, lift, colour in ((past[line], -0.17, style.PAST), (future[line], 0.17, style.FUTURE)):
                dates = _dates(np.append(times, moment))
                axes.plot([dates.min(), dates.max()], 2 * [line + lift], color=colour, lw=2, alpha=0.5)
                axes.plot(dates[:-1], np.full(len(times), line + lift), "|", color=colour, ms=8, mew=2)
            axes.plot(_dates(moment), line, "o", color=style.TARGET, ms=6, zorder=3)
        axes.axvline(_dates(boundary), color=style.INK, lw=1.5)
        axes.axvspan(_dates(boundary), _dates(query + 3 * margin), color=style.FAINT, alpha=0.45, lw=0)
        axes.plot(_dates(query), (len(now) - 1) / 2, "D", color=style.TARGET, ms=11)
        for moment, text, colour in (
            (boundary, "end of the\nretrieval set", style.INK),
            (query, "the query", style.TARGET),
        ):
            axes.annotate(
                text, (_dates(moment), 1.0), (0, 3), xycoords=("data", "axes fraction"), va="bottom",
                textcoords="offset points", ha="center", color=colour, weight="bold", fontsize=10,
            )  # fmt: skip
        axes.set_xlim(_dates(first - margin), _dates(query + 3 * margin))
        axes.set_ylim(len(now) - 0.4, -0.6)
        axes.set_yticks([])
        axes.set_ylabel("retrieved contexts")
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(mdates.AutoDateLocator(maxticks=7))
        axes.xaxis.set_major_formatter(mdates.DateFormatter("%d %b %Y"))
        axes.set_xlabel(f"blue: past   dot: their now   orange: future   ({what})")
        title = "Every retrieved future is over before the query is asked"
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, weight="bold")
    return figure


def _dates(seconds: np.ndarray | int) -> np.ndarray:
    """Days since 1970, matplotlib's own unit for dates."""
    return np.asarray(seconds) / DAY


def matching_gain(results: pd.DataFrame, ceiling: Mapping[str, float] | None = None) -> Figure:
    """AUC of explicit matching by what it may look at, one panel a world, a dot a seed.

    results : columns world, looks_at, seed, auc; worlds and looks in order of appearance.
    ceiling : world -> best reachable AUC, drawn as a line.
    """
    if results.empty:
        raise DataError("there are no results to draw")
    worlds, looks = list(dict.fromkeys(results.world)), list(dict.fromkeys(results.looks_at))
    colours = {"past": style.PAST, "future": style.FUTURE, "past and future": style.TARGET}
    top = max([results.auc.max(), *(ceiling or {}).values()])
    with style.theme():
        figure = Figure(figsize=(1.2 + 3.6 * len(worlds), 4.4), layout="constrained")
        panels = figure.subplots(1, len(worlds), sharey=True, squeeze=False)[0]
        for panel, world in zip(panels, worlds, strict=True):
            for place, look in enumerate(looks):
                auc = results[(results.world == world) & (results.looks_at == look)].auc.to_numpy()
                colour = colours.get(look, style.MUTED)
                panel.bar(place, auc.mean() - 0.5, 0.62, bottom=0.5, color=colour, alpha=0.25, lw=0)
                jitter = np.linspace(-0.14, 0.14, len(auc)) if len(auc) > 1 else [0]
                panel.scatter(place + np.asarray(jitter), auc, s=22, color=colour, zorder=3)
                above = max(auc.max(), 0.5)
                panel.annotate(
                    f"{auc.mean():.3f}",
                    (place, above),
                    (0, 6),
                    textcoords="offset points",
                    ha="center",
                    weight="bold",
                    fontsize=11,
                )
            panel.axhline(0.5, color=style.MUTED, lw=1)
            if ceiling and world in ceiling:
                panel.axhline(ceiling[world], color=style.INK, lw=1.2, ls="--")
                panel.annotate(
                    "best reachable",
                    (1, ceiling[world]),
                    (0, 4),
                    xycoords=("axes fraction", "data"),
                    ha="right",
                    fontsize=9,
                    textcoords="offset points",
                )
            panel.set_xticks(
                range(len(looks)), [look.replace(" and ", "\nand ").replace("' ", "'\n") for look in looks]
            )
            panel.set_title(world, fontsize=11.5, pad=8)
            panel.tick_params(bottom=False)
        panels[0].set_ylabel("AUC (0.5 = coin toss)")
        panels[0].set_ylim(min(0.45, results.auc.min() - 0.02), top + 0.05)
        figure.suptitle(
            "The neighbours' future adds to their past where steps lead on, and only there",
            x=0.01,
            ha="left",
            fontsize=13,
            weight="bold",
        )
        seeds = results.seed.nunique()
        figure.supxlabel(
            f"what matching may look at   ({seeds} seeds, a dot each; step items of the test part)",
            fontsize=10,
            color=style.MUTED,
        )
    return figure
