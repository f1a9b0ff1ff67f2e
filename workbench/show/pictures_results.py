"""Our results beside the paper's, and prediction times beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.errors import DataError, unknown
from workbench.lab.claims import LESS_IS_BETTER
from workbench.lab.metrics import paired_interval
from workbench.show import style


def comparison_table(
    ours: pd.DataFrame, published: pd.DataFrame, metrics: Sequence[str], champion: str
) -> pd.DataFrame:
    """Published numbers beside ours, one line a data set, metric and method, in the paper's order.

    ours : columns dataset, method, metric, seed, value. published : as
    :func:`workbench.lab.published.table` gives it. champion : the method whose lead is asked for.

    Returns columns dataset, metric, method, published, ours (mean over seeds), low and high (95% interval of
    that mean), seeds, and lead, lead_low, lead_high: champion minus method paired over seeds, positive where
    the champion is better, whichever way the metric goes. What is not there is NaN.

    Raises ConfigError for a champion that neither side has, and DataError for a seed that was run twice.
    """
    if ours.duplicated(["dataset", "method", "metric", "seed"]).any():
        raise DataError("a method was run twice with the same seed", column="seed")
    methods = list(dict.fromkeys([*published["method"], *ours["method"]]))
    if champion not in methods:
        raise unknown("method", champion, methods)
    printed = published.set_index(["dataset", "metric", "method"])["value"]
    found = []
    for dataset in dict.fromkeys([*published["dataset"], *ours["dataset"]]):
        for metric in metrics:
            here = ours[(ours["dataset"] == dataset) & (ours["metric"] == metric)]
            runs = here.pivot(index="seed", columns="method", values="value")
            sign = -1 if metric in LESS_IS_BETTER else 1
            for method in methods:
                key, mine = (dataset, metric, method), runs.get(method, pd.Series(dtype=float)).dropna()
                if key in printed.index or len(mine):
                    spread = _interval(mine, 0 * mine)
                    lead = (
                        _interval(sign * runs[champion], sign * mine) if champion in runs else (np.nan,) * 3
                    )
                    found.append((*key, printed.get(key, np.nan), *spread, len(mine), *lead))
    columns = ["dataset", "metric", "method", "published", "ours", "low", "high", "seeds"]
    return pd.DataFrame(found, columns=[*columns, "lead", "lead_low", "lead_high"])


def _interval(a: pd.Series, b: pd.Series) -> tuple[float, float, float]:
    """Mean difference over the shared seeds and its interval, NaN where there are too few for one."""
    pairs = pd.concat([a, b], axis=1).dropna().to_numpy()
    if len(pairs) > 1:
        return paired_interval(*pairs.T)[:3]
    return (float(pairs[0, 0] - pairs[0, 1]) if len(pairs) else np.nan, np.nan, np.nan)


def paper_beside_ours(table: pd.DataFrame, champion: str, small_print: str = "") -> Figure:
    """Who leads, in the paper (rings) and here (dots with 95% intervals): a panel a data set and metric.

    table : of :func:`comparison_table`. Better is always to the right. The thin line is the best other
    method, of our numbers where there are any; the champion is ahead where its mark lies right of it.
    """
    methods = list(dict.fromkeys(table["method"]))
    grid = [list(dict.fromkeys(table[column])) for column in ("metric", "dataset")]
    if len(grid[0]) > len(grid[1]):
        grid.reverse()
    across = len(grid[1])
    with style.theme():
        width, height = 2.1 + 2.6 * across, 1.35 + len(grid[0]) * (0.27 * len(methods) + 0.75)
        figure = Figure(figsize=(max(width, 9.0), height))
        width = max(width, 9.0)
        panels = figure.subplots(
            *map(len, grid), sharey=True, squeeze=False,
            gridspec_kw={
                "left": 1.75 / width, "right": 1 - 0.2 / width, "wspace": 0.13,
                "top": 1 - 1.05 / height, "bottom": 0.55 / height, "hspace": 0.75 / (0.27 * len(methods)),
            },
        )  # fmt: skip
        for line, one in enumerate(grid[0]):
            for place, other in enumerate(grid[1]):
                here = table[table["metric"].isin((one, other)) & table["dataset"].isin((one, other))]
                _standing(panels[line, place], here.set_index("method"), methods, champion)
            panels[line, 0].set_yticks(range(len(methods)), methods)
            panels[line, 0].set_ylim(len(methods) - 0.4, -0.6)
            for label, method in zip(panels[line, 0].get_yticklabels(), methods, strict=True):
                label.set(weight="bold" if method == champion else "normal", fontsize=10)
        style.headline(figure, who_leads(table, champion), small_print)
    return figure


def _standing(axes: Axes, rows: pd.DataFrame, methods: Sequence[str], champion: str) -> None:
    """One panel: rings for printed numbers, dots with intervals for ours, better to the right."""
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    if rows.empty:
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])
        axes.text(0.5, 0.5, "not printed", color=style.MUTED, ha="center", transform=axes.transAxes)
        return
    axes.hlines(range(len(methods)), 0, 1, color=style.FAINT, lw=0.8, zorder=0,
                transform=axes.get_yaxis_transform())  # fmt: skip
    metric, dataset = rows["metric"].iloc[0], rows["dataset"].iloc[0]
    best = max if metric not in LESS_IS_BETTER else min
    for name, row in rows.iterrows():
        y, colour = methods.index(name), style.TARGET if name == champion else style.INK
        axes.plot(row["published"], y, "o", ms=8.5, mfc="white", mec=colour, mew=1.5)
        axes.plot([row["low"], row["high"]], [y, y], color=colour, lw=2.4, alpha=0.6)
        axes.plot(row["ours"], y, "o", ms=5.5, color=colour)
    others = rows.drop(champion, errors="ignore")
    known = others["ours" if others["ours"].notna().any() else "published"].dropna()
    if len(known):
        axes.axvline(best(known), color=style.PAST, lw=1.2, ls=":", zorder=0)
    axes.set_title(dataset, fontsize=11, pad=6)
    axes.set_xlabel(f"{metric} (better →)", fontsize=9.5)
    axes.tick_params(axis="x", labelsize=9)
    axes.locator_params(axis="x", nbins=4)
    axes.margins(x=0.08)
    if metric in LESS_IS_BETTER:
        axes.invert_xaxis()


def who_leads(table: pd.DataFrame, champion: str) -> str:
    """The message of a comparison: where the champion leads, in print and here.

    Here it leads where it beats every other method with a 95% interval above 0; it is level where it is not
    beaten so itself; else it is behind.
    """
    printed, here = [0, 0], {"leads": 0, "is level": 0, "is behind": 0}
    for (_, metric), rows in table.groupby(["dataset", "metric"], sort=False):
        others = rows[rows["method"] != champion]
        mine = rows.loc[rows["method"] == champion]
        sign = -1 if metric in LESS_IS_BETTER else 1
        if mine["published"].notna().any() and others["published"].notna().any():
            printed[1] += 1
            printed[0] += (sign * mine["published"].iloc[0] > sign * others["published"].dropna()).all()
        leads = others.dropna(subset=["lead_low"])
        if len(leads):
            behind = (leads["lead_high"] < 0).any()
            sure = (leads["lead_low"] > 0).all()
            here["leads" if sure else "is behind" if behind else "is level"] += 1
    said = " and ".join(f"{verb} in {count}" for verb, count in here.items() if count)
    ours = f"here it {said} of {sum(here.values())}"
    if not said:
        ours = "one seed here tells nothing" if table["ours"].notna().any() else "not run here"
    what = "data sets" if table["metric"].nunique() == 1 else "comparisons"
    return f"{champion} leads in {printed[0]} of {printed[1]} {what} of the paper; {ours}"


def inference_time(
    frame: pd.DataFrame,
    *,
    reference: str = "LIFT",
    published: Mapping[str, float] | None = None,
    small_print: str = "",
) -> Figure:
    """Seconds a batch: the median of each system as a dot, its quartiles as a bar, the fastest on top.

    frame : columns system, seconds, one row a repeat. published : system -> its time as a share of the
    reference's, as the paper states it (a ring).

    Raises DataError when the reference was not timed.
    """
    quartiles = frame.groupby("system")["seconds"].quantile([0.25, 0.5, 0.75]).unstack() * 1e3
    if reference not in quartiles.index:
        raise DataError(f"{reference} was not timed", column="system", fix="Time it in the same run")
    quartiles = quartiles.sort_values(0.5)
    base = quartiles.loc[reference, 0.5]
    with style.theme():
        height = 1.75 + 0.5 * len(quartiles)
        figure = Figure(figsize=(9, height))
        axes = figure.add_axes((0.16, 0.62 / height, 0.8, 1 - 1.5 / height))
        for y, (system, row) in enumerate(quartiles.iterrows()):
            colour = style.TARGET if system == reference else style.INK
            axes.hlines(y, 0, row[0.5], color=style.FAINT, lw=1.2, zorder=0)
            axes.plot([row[0.25], row[0.75]], [y, y], color=colour, lw=7, alpha=0.3, solid_capstyle="butt")
            axes.plot(row[0.5], y, "o", ms=9, color=colour)
            times = "" if system == reference else f"   {row[0.5] / base:.2f} × {reference}"
            right = max(row[0.75], (published or {}).get(system, 0) * base)
            axes.annotate(
                f"{row[0.5]:.3g} ms{times}", (right, y), (10, 0),
                textcoords="offset points", va="center", color=colour, fontsize=10.5,
            )  # fmt: skip
            if published and system in published:
                axes.plot(published[system] * base, y, "o", ms=12, mfc="none", mec=style.INK, mew=1.5)
        axes.set_yticks(range(len(quartiles)), quartiles.index)
        axes.set(
            xlim=(0, 1.35 * quartiles[0.75].max()), ylim=(len(quartiles) - 0.4, -0.6), xlabel="ms a batch"
        )
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
        ratios = [
            f"{base / row:.2g} times {system}'s"
            for system, row in quartiles[0.5].items()
            if system != reference
        ]
        title = f"{reference}'s time is " + ", ".join(ratios)
        style.headline(figure, title, small_print)
    return figure
