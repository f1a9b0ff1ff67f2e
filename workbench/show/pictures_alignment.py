"""Two domains before and after they were brought together: LCN's Figures 3 and 4, and what each loss adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from seaborn import husl_palette

from workbench.lab.alignment import Items
from workbench.show import style
from workbench.show.drawing import arrow, sheet, text

MARKS = (("o", "target"), ("^", "source"))


def kind_colours(count: int) -> list[tuple[float, float, float]]:
    """A hue for each of so many kinds of items."""
    return husl_palette(count, s=0.85, l=0.55)


def before_and_after(
    maps: Mapping[str, tuple[np.ndarray, Items]], numbers: Mapping[str, str], title: str, small_print: str
) -> Figure:
    """Items of two domains in the plane, a panel a model, hues for kinds, discs for the target domain and
    triangles for the source.

    maps : model -> places (n, 2) by t-SNE and the items; the same items in all. numbers : model -> what the
    vectors themselves say, under its panel. Kinds with more than 20 hues between them take turns.
    """
    kinds = np.unique(next(iter(maps.values()))[1].kind)
    colours = dict(zip(kinds, np.resize(kind_colours(min(len(kinds), 20)), (len(kinds), 3)), strict=True))
    with style.theme():
        width = 0.4 + 4.7 * len(maps)
        figure = Figure(figsize=(width, 6.1))
        panels = figure.subplots(
            1, len(maps), squeeze=False,
            gridspec_kw={"left": 0.02, "right": 0.98, "top": 0.83, "bottom": 0.12, "wspace": 0.06},
        )[0]  # fmt: skip
        for axes, (name, (xy, items)) in zip(panels, maps.items(), strict=True):
            _cloud(axes, xy, items, colours)
            axes.set_title(name, fontsize=12)
            axes.set_xlabel(numbers.get(name, ""), fontsize=10, labelpad=6)
        handles = [
            Line2D([], [], ls="", marker=mark, ms=7, mec=style.INK, mfc=style.INK if side == 0 else "white",
                   label=f"item of the {name} domain")
            for side, (mark, name) in enumerate(MARKS)
        ]  # fmt: skip
        figure.legend(handles=handles, loc="lower center", ncols=2, bbox_to_anchor=(0.5, 0.0), fontsize=10)
        style.headline(figure, title, small_print)
    return figure


def _cloud(axes: Axes, xy: np.ndarray, items: Items, colours: Mapping) -> None:
    for side, (mark, _) in enumerate(MARKS):
        here = items.domain == side
        colour = np.array([colours[kind] for kind in items.kind[here]])
        face = (
            {"c": colour, "lw": 0} if side == 0 else {"facecolors": "none", "edgecolors": colour, "lw": 0.9}
        )
        axes.scatter(*xy[here].T, marker=mark, s=20 if side == 0 else 24, **face)
        for kind in np.unique(items.kind[here]):
            _number(axes, xy[here & (items.kind == kind)], kind, colours[kind], np.ptp(xy, axis=0).max())
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.FAINT)


def _number(axes: Axes, places: np.ndarray, kind: int, colour: tuple, extent: float) -> None:
    """The number of a kind of items that lie together, so that it can be found again in the other domain."""
    middle = np.median(places, axis=0)
    if np.median(np.linalg.norm(places - middle, axis=1)) < 0.06 * extent:
        axes.annotate(
            str(kind), middle, ha="center", va="center", fontsize=9, weight="bold", color=style.INK,
            bbox={"boxstyle": "round,pad=0.12", "fc": "white", "ec": colour, "lw": 1.2, "alpha": 0.85},
        )  # fmt: skip


def drawn_pairs(
    rows: Mapping[str, tuple[Sequence[int], Sequence[int]]],
    positive: Mapping[str, tuple[int, int]],
    negative: Sequence[tuple[int, int]],
    kinds: np.ndarray,
    names: Sequence[str],
    small_print: str,
) -> Figure:
    """LCN, Figure 3: pairs drawn from the short sequences of two users.

    rows : user -> item codes of the target and of the source domain, the first user's pairs being drawn.
    positive : "target", "source" and "cross" -> two places in the first user's rows. negative : (place in the
    first user's target row, place in the second user's source row). kinds : (V,) of items, their hue, and
    names : item code -> what is written.
    """
    (mine, (here, there)), (other, (_, theirs)) = rows.items()
    colours = kind_colours(int(kinds.max()) + 1)
    lines = {"here": 3.5, "there": 2.35, "theirs": 0.75}
    longest = max(map(len, (here, there, theirs)))
    step = 1.02
    at = {line: [2.25 + step * place for place in range(longest)] for line in lines}
    with style.theme():
        title = "Pairs of one user attract, pairs of two users repel"
        figure, axes = sheet(2.6 + step * longest, 5.0, title, small_print)
        for line, items in zip(lines, (here, there, theirs), strict=True):
            for x, item in zip(at[line], items, strict=False):
                _item(axes, x, lines[line], colours[kinds[item]], names[item], line == "here")
        for line, words in zip(
            lines,
            (f"{mine}\ntarget domain", f"{mine}\nsource domain", f"{other}\nsource domain"),
            strict=True,
        ):
            text(axes, 0.15, lines[line], words, ha="left", size=10, linespacing=1.4)
        ends = {"target": ("here", "here"), "source": ("there", "there"), "cross": ("here", "there")}
        for kind, places in positive.items():
            a, b = ((at[line][place], lines[line]) for line, place in zip(ends[kind], places, strict=True))
            _pair(axes, a, b, f"{kind} pair")
        for a, b in negative:
            start, end = (at["here"][a], lines["here"] - 0.16), (at["theirs"][b], lines["theirs"] + 0.16)
            arrow(axes, start, end, colour=style.MUTED, dashed=True, width=1.1)
        x, y = at["theirs"][negative[-1][1]], lines["theirs"] + 0.55
        text(axes, x + 0.25, y, "negative: apart", colour=style.MUTED, ha="left", size=10)
    return figure


def _item(axes: Axes, x: float, y: float, colour: tuple, name: str, target: bool) -> None:
    mark = {"marker": "o", "mfc": colour} if target else {"marker": "^", "mfc": "white"}
    axes.plot(x, y, ms=15, mec=colour, mew=2, ls="", zorder=5, **mark)
    text(axes, x, y - 0.34, name, size=8, colour=style.INK)


def _pair(axes: Axes, start: tuple[float, float], end: tuple[float, float], words: str) -> None:
    """A line between two rows, or an arc above the one row that both are in."""
    look = {"color": style.TARGET, "lw": 2, "zorder": 3}
    (a, above), (b, below) = sorted((start, end))
    if above == below:
        x = np.linspace(a, b, 40)
        arc = above + 0.17 + 0.33 * np.sin(np.pi * np.linspace(0, 1, 40))
        axes.plot(x, arc, **look)
        text(axes, (a + b) / 2, arc.max() + 0.13, words, colour=style.TARGET)
        return
    (a, above), (b, below) = start, end
    axes.plot([a, b], [above - 0.17, below + 0.17], **look)
    text(axes, (a + b) / 2 + 0.12, (above + below) / 2, words, colour=style.TARGET, ha="left")


def push_of_negatives(cosines: np.ndarray, tau: float, small_print: str = "") -> Figure:
    """What the temperature does: how the push of Eq. 3-5 is shared among negative pairs of these cosines."""
    share = np.exp((cosines - cosines.max()) / tau)
    share /= share.sum()
    edges = np.linspace(-1, 1, 41)
    middle = (edges[1:] + edges[:-1]) / 2
    with style.theme():
        figure = Figure(figsize=(9, 2.9))
        axes = figure.add_axes((0.09, 0.2, 0.88, 0.54))
        for weights, colour, words in (
            (np.full(len(cosines), 1 / len(cosines)), style.FAINT, "negative pairs"),
            (share, style.TARGET, "their part of the push"),
        ):
            height = np.histogram(cosines, edges, weights=weights)[0]
            filled = (
                {"color": colour, "alpha": 0.9} if colour == style.FAINT else {"fill": False, "ec": colour}
            )
            axes.bar(middle, height, width=edges[1] - edges[0], lw=1.6, label=words, **filled)
        axes.set(xlim=(-1, 1), xlabel="cosine of a negative pair", ylabel="share")
        axes.legend(loc="upper left", fontsize=9.5)
        nearest = np.sort(share)[::-1][: max(len(share) // 10, 1)].sum()
        title = f"τ = {tau:g}: the tenth that is most alike takes {nearest:.0%} of the push"
        style.headline(figure, title, small_print)
    return figure


def tried_alignments(points: pd.DataFrame, chance: float, small_print: str = "") -> Figure:
    """Does bringing the domains together help the prediction? Every model a point.

    points : columns name, purity (across), auc, tried (bool: by the reader). chance : of purity.
    """
    with style.theme():
        figure = Figure(figsize=(9, 4.3))
        axes = figure.add_axes((0.09, 0.15, 0.87, 0.62))
        axes.axvline(chance, color=style.MUTED, ls=":", lw=1.2)
        low, high = points["auc"].min(), points["auc"].max()
        room = max(0.15 * (high - low), 0.003)
        axes.set(xlim=(0, 1), ylim=(low - room, high + 2 * room))
        axes.annotate("by chance", (chance, low - room), (4, 4), textcoords="offset points",
                      fontsize=9.5, color=style.MUTED)  # fmt: skip
        heights = style.apart(points["auc"], axes.get_ylim(), 0.07)
        for row, height in zip(points.itertuples(index=False), heights, strict=True):
            colour = style.TARGET if row.tried else style.MUTED
            axes.plot(row.purity, row.auc, "o", ms=9, color=colour)
            left = row.purity > 0.6
            axes.annotate(
                row.name, (row.purity, height), (-10 if left else 10, 0), textcoords="offset points",
                va="center", ha="right" if left else "left", fontsize=9.5, color=colour,
            )  # fmt: skip
        axes.set(xlabel="neighbours across domains that share the item's kind", ylabel="AUC, validation")
        best = points.loc[points["auc"].idxmax()]
        style.headline(figure, f"Best so far: {best['name']}, AUC {best['auc']:.3f}", small_print)
    return figure


def with_and_without(rows: pd.DataFrame, backbones: Sequence[str], small_print: str = "") -> Figure:
    """LCN, Table 2, AUC: every backbone without contrast, within the domains alone, and with all of CRP.

    rows : columns dataset, backbone, contrast ("none", "within", "CRP"), printed (bool), value (mean over
    seeds). An arrow leads from none to CRP; rings are printed, dots are ours, a bar is "within".
    """
    datasets = list(dict.fromkeys(rows["dataset"]))
    with style.theme():
        figure = Figure(figsize=(1.6 + 4.3 * len(datasets), 1.75 + 0.55 * len(backbones)))
        height = figure.get_figheight()
        panels = figure.subplots(
            1, len(datasets), sharey=True, squeeze=False,
            gridspec_kw={"left": 0.11, "right": 0.97, "wspace": 0.12, "top": 1 - 1.05 / height,
                         "bottom": 0.55 / height},
        )[0]  # fmt: skip
        for axes, dataset in zip(panels, datasets, strict=True):
            here = rows[rows["dataset"] == dataset].set_index(["backbone", "contrast"])
            for y, backbone in enumerate(backbones):
                _change(axes, y, here.loc[backbone])
            axes.set_title(dataset, fontsize=11)
            axes.set_xlabel("AUC (better →)", fontsize=9.5)
            axes.margins(x=0.1)
            axes.locator_params(axis="x", nbins=5)
            axes.spines["left"].set_visible(False)
            axes.tick_params(left=False)
        panels[0].set_yticks(range(len(backbones)), backbones)
        panels[0].set_ylim(len(backbones) - 0.5, -0.5)
        style.headline(figure, _raised(rows), small_print)
    return figure


def _change(axes: Axes, y: int, contrasts: pd.DataFrame) -> None:
    """One backbone: none, perhaps within, and CRP."""
    none, full = contrasts.loc["none"], contrasts.loc["CRP"]
    look = {"mfc": "white", "ms": 8.5, "mew": 1.5} if none["printed"] else {"ms": 7}
    axes.hlines(y, 0, 1, color=style.FAINT, lw=0.8, zorder=0, transform=axes.get_yaxis_transform())
    arrow_look = {"arrowstyle": "-|>", "color": style.TARGET, "lw": 1.6, "shrinkA": 5, "shrinkB": 6}
    axes.annotate("", (full["value"], y), (none["value"], y), arrowprops=arrow_look)
    axes.plot(none["value"], y, "o", color=style.INK, **look)
    axes.plot(full["value"], y, "o", color=style.TARGET, **look)
    if "within" in contrasts.index:
        axes.plot(contrasts.loc["within", "value"], y, "|", ms=17, mew=2.4, color=style.PAST)
    wanted = [none["value"], full["value"]]
    axes.annotate(f"{full['value'] - none['value']:+.4f}", (np.mean(wanted), y), (0, 7),
                  textcoords="offset points", ha="center", fontsize=9, color=style.TARGET)  # fmt: skip


def _raised(rows: pd.DataFrame) -> str:
    said = []
    for printed, where in ((True, "in the paper"), (False, "here")):
        part = rows[rows["printed"] == printed].pivot_table(
            index="backbone", columns="contrast", values="value"
        )
        if len(part):
            up = int((part["CRP"] > part["none"]).sum())
            said.append(f"of {up} of {len(part)} {where}")
    return f"CRP raises the AUC {', '.join(said)}"


def sequence_lengths(lengths: Mapping[str, np.ndarray], small_print: str = "") -> Figure:
    """LCN, Figure 1(b): how many events users have in each domain; a dotted line is the median.

    lengths : "target" and "source" -> (n,) events of each user.
    """
    colours = {"target": style.TARGET_DOMAIN, "source": style.SOURCE_DOMAIN}
    with style.theme():
        figure = Figure(figsize=(9, 4))
        axes = figure.add_axes((0.08, 0.15, 0.89, 0.6))
        most = max(int(count.max()) for count in lengths.values())
        edges = np.unique(np.geomspace(1, most + 1, 40).round())
        middles = {name: float(np.median(count)) for name, count in lengths.items()}
        for name, count in lengths.items():
            height, _ = np.histogram(count, edges)
            axes.stairs(height / len(count), edges, fill=True, color=colours[name], alpha=0.45)
            axes.stairs(height / len(count), edges, color=colours[name], lw=1.6)
            axes.axvline(middles[name], color=colours[name], ls=":")
            left = middles[name] == max(middles.values())
            axes.annotate(
                f"{name}: median {middles[name]:g}", (middles[name], 1), (-5, -17) if left else (5, -2),
                va="top", ha="right" if left else "left", xycoords=("data", "axes fraction"),
                textcoords="offset points", fontsize=10,
            )  # fmt: skip
        axes.set(xscale="log", xlabel="events of a user", ylabel="share of users")
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # room for the medians
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        times = middles["source"] / max(middles["target"], 1)
        title = f"A median user has {times:.1f} times as many events in the source domain"
        style.headline(figure, title, small_print)
    return figure
