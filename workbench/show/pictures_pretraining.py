"""Two pictures of lesson 03: how long a training stays where guessing is, and what it knows in the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.show import style

LEFT = 0.05  # an AUC so far above guessing has left the plateau: label rates alone give less


def plateau(
    curves: pd.DataFrame, small_print: str, *, guess: float = 0.5, metric: str = "AUC of hidden labels"
) -> Figure:
    """How long each way to train stays where guessing is: a metric after every epoch, one thin line a seed.

    curves : columns variant, seed, epoch, value; in the order in which the variants are to stand.

    Raises DataError for an empty frame.
    """
    if curves.empty:
        raise DataError("there are no curves to draw")
    variants = list(dict.fromkeys(curves["variant"]))
    with style.theme():
        figure = Figure(figsize=(9.2, 4.6))
        axes = figure.add_axes((0.085, 0.15, 0.7, 0.67))
        ends = {}
        for variant, colour in zip(variants, style.SERIES, strict=False):
            wide = curves[curves["variant"] == variant].pivot(index="epoch", columns="seed", values="value")
            if wide.shape[1] > 1:
                axes.plot(wide.index, wide, color=colour, lw=0.8, alpha=0.5)
            mean = wide.mean(axis=1)
            axes.plot(mean.index, mean, color=colour, lw=2.4)
            ends[variant] = (mean.index[-1], mean.iloc[-1], colour)
        axes.axhline(guess, color=style.MUTED, lw=1, ls=":")
        axes.annotate(
            "guessing", (1, guess), (0, 3), textcoords="offset points", fontsize=9, color=style.MUTED
        )
        last = max(epoch for epoch, _, _ in ends.values())
        for (variant, (epoch, value, colour)), y in zip(
            ends.items(), style.apart([value for _, value, _ in ends.values()], axes.get_ylim()), strict=True
        ):
            axes.annotate(
                f"{variant}: {value:.3f}", (epoch, value), (last * 1.025, y), color=colour, fontsize=9.5,
                weight="bold", va="center", annotation_clip=False, textcoords="data",
            )  # fmt: skip
        axes.set(xlim=(0.5, last), xlabel="epoch", ylabel=metric)
        style.headline(figure, _message(curves, variants, guess), small_print)
    return figure


def left_plateau(values: Sequence[float], guess: float = 0.5) -> int | None:
    """The epoch (from 1) from which a curve stays above guessing by LEFT; None: it never does."""
    above = np.asarray(values, dtype=float) > guess + LEFT
    stays = np.flatnonzero(np.logical_and.accumulate(above[::-1])[::-1])
    return int(stays[0]) + 1 if len(stays) else None


def _message(curves: pd.DataFrame, variants: Sequence[str], guess: float) -> str:
    """Who leaves first, where all seeds do, and who never does."""
    epochs, left, never = curves["epoch"].max(), {}, []
    for variant in variants:
        rows = curves[curves["variant"] == variant]
        found = [left_plateau(one["value"], guess) for _, one in rows.groupby("seed")]
        if None not in found:
            left[variant] = float(np.median(found))
        elif not any(found):
            never.append(variant)
    told = []
    if left:
        first = min(left, key=left.get)
        told.append(f"{first} leaves the plateau after {left[first]:.0f} epochs")
    if never:
        verb = "is" if len(never) == 1 else "are"
        told.append(f"{' and '.join(never)} {verb} still on it after {epochs}")
    if not told:
        return "Some seeds leave the plateau, others do not"
    return "; ".join(told) if left else told[0].replace("on it", "on the plateau")


def asked_by_kind(table: pd.DataFrame, small_print: str) -> Figure:
    """How well hidden labels are told, kind by kind: a dot for the encoder, a bar for the best possible.

    table : columns "AUC" and "best reachable" (NaN: not known), a row a kind; the first one holds all rows.
    """
    y = np.arange(len(table))[::-1]
    with style.theme():
        height = 1.75 + 0.52 * len(table)
        figure = Figure(figsize=(8.6, height))
        axes = figure.add_axes((0.15, 0.62 / height, 0.8, 1 - 1.55 / height))
        axes.axvline(0.5, color=style.MUTED, lw=1, ls=":")
        for place, (auc, best) in zip(y, table[["AUC", "best reachable"]].to_numpy(), strict=True):
            axes.plot([0.5, auc], [place, place], color=style.TARGET, lw=5, solid_capstyle="butt")
            axes.plot(auc, place, "o", ms=10, color=style.TARGET, mec="white")
            axes.annotate(f"{auc:.3f}", (auc, place), (0, 9), textcoords="offset points", ha="center",
                          color=style.TARGET, weight="bold", fontsize=10)  # fmt: skip
            if best == best:
                axes.plot(best, place, "|", ms=20, mew=2.5, color=style.INK)
                axes.annotate(f"{best:.2f}", (best, place), (7, 0), textcoords="offset points", va="center",
                              fontsize=9.5)  # fmt: skip
        axes.annotate("guessing", (0.5, y[-1] - 0.75), (3, 0), textcoords="offset points", fontsize=9,
                      color=style.MUTED, va="center")  # fmt: skip
        if table["best reachable"].notna().any():
            axes.annotate("knowing the hidden need", (table["best reachable"].iloc[0], y[0]), (0, 16),
                          textcoords="offset points", ha="center", fontsize=9)  # fmt: skip
        axes.set_yticks(y, table.index)
        axes.set(ylim=(-1, len(table) - 0.3), xlabel="AUC", xlim=(min(0.47, table["AUC"].min() - 0.03), 1))
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
        style.headline(figure, _known(table), small_print)
    return figure


def _known(table: pd.DataFrame) -> str:
    kinds = table["AUC"].iloc[1:].sort_values()
    if kinds.empty:
        return f"The pretrained encoder, asked about the target: AUC {table['AUC'].iloc[0]:.3f}"
    best, least = kinds.index[-1], kinds.index[0]
    return f"Pretraining knows {best} ({kinds.iloc[-1]:.2f}) and hardly {least} ({kinds.iloc[0]:.2f})"
