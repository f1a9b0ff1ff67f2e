"""The pictures of lesson 00: where each of the four methods looks, and one event's past and future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.data.world import World
from workbench.errors import DataError
from workbench.show import style

AHEAD = 5  # places drawn after "now"
# Hues that mean nothing else in the book (from Paul Tol's "muted" scheme); INK takes what is left over.
CLUSTERS = ("#332288", "#999933", "#AA4499", style.INK)


@dataclass(frozen=True)
class Lives:
    """What :func:`four_looks` draws. Labels are 0/1, oldest first; the last event is just before now.

    own : (n,) labels of the user. interest : (n,) which interest each event belongs to, -1 for none.
    others : labels of two other users, (m,) each, m <= n. source : (s,) labels of the same user's
    events in another domain; alike : (s,) bool, those that resemble what is asked.
    """

    own: np.ndarray
    interest: np.ndarray
    others: Sequence[np.ndarray]
    source: np.ndarray
    alike: np.ndarray


def four_looks(lives: Lives) -> Figure:
    """One user's life four times, each time with another region lit."""
    n = len(lives.own)
    panels = (
        ("LIFT", "what others did before and\nafter a similar moment", 3, _lift),
        ("DualRec", "the user's own future,\nbut only while training", 2, _dualrec),
        ("LCN", "a lifelong sequence from\nanother domain", 2, _lcn),
        ("ENCODE", "the whole life, clustered\ninto interests", 2, _encode),
    )
    with style.theme():
        figure = Figure(figsize=(11, 7.4))
        grid = figure.add_gridspec(
            4, 1, height_ratios=[lines for *_, lines, _ in panels], left=0.262, right=0.985, top=0.885,
            bottom=0.075, hspace=0.22,
        )  # fmt: skip
        for place, (name, words, lines, draw) in enumerate(panels):
            axes = figure.add_subplot(grid[place])
            axes.set(xlim=(-n - 1, AHEAD + 1), ylim=(-0.6, lines - 0.4))
            axes.axvspan(0, AHEAD + 1, color=style.FAINT, alpha=0.45, lw=0, zorder=0)
            axes.axvline(0, color=style.TARGET, lw=1.2, zorder=1)
            axes.axis("off")
            draw(axes, lives)
            middle = (lines - 1) / 2
            axes.text(-n - 16.4, middle + 0.42, name, fontsize=14, weight="bold", va="center")
            axes.text(-n - 16.4, middle - 0.32, words, fontsize=9.5, va="center", color=style.INK)
        figure.suptitle(
            "Four methods, four places to look for context",
            x=0.012,
            y=0.985,
            ha="left",
            fontsize=15,
            weight="bold",
        )
        first = figure.axes[0]
        first.text(-n, 2.75, "◀ earlier", color=style.MUTED, va="bottom", fontsize=10)
        first.text(-0.4, 2.75, "now", color=style.TARGET, ha="right", va="bottom", weight="bold")
        first.text(0.4, 2.75, "not yet", color=style.MUTED, ha="left", va="bottom", style="italic")
        figure.text(
            0.012, 0.02,
            f"● clicked   ○ shown, not clicked   grey: not looked at   ◆ the event to predict   "
            f"({n} events of one generated user, and of two others)",
            fontsize=9, color=style.MUTED,
        )  # fmt: skip
    return figure


def _lift(axes: Axes, lives: Lives) -> None:
    n, reach = len(lives.own), 6
    for line, (labels, there) in enumerate(zip(lives.others, (-n + 9, -14), strict=True), start=1):
        x = np.arange(-len(labels), 0)
        past, future = (x >= there - reach) & (x < there), (x > there) & (x <= there + reach)
        _marks(axes, x, labels, line, ~(past | future | (x == there)), style.FAINT)
        _marks(axes, x, labels, line, past, style.PAST)
        _marks(axes, x, labels, line, future, style.FUTURE)
        axes.scatter(
            [there], [line], s=80, marker="D", facecolors="white", edgecolors=style.TARGET, lw=1.6, zorder=3
        )
        axes.text(
            there, line + 0.26, "a similar moment", ha="center", va="bottom", color=style.TARGET, fontsize=8.5
        )
        _note(axes, n, line, f"user {'BC'[line - 1]}")
    for x_text, word, colour in (
        (there - reach, "past", style.PAST),
        (there + reach, "future", style.FUTURE_TEXT),
    ):
        axes.text(
            x_text, line + 0.26, word, ha="center", va="bottom", color=colour, fontsize=8.5, weight="bold"
        )
    _own(axes, lives, 0, np.arange(-n, 0) >= -10, style.PAST)
    _note(axes, n, 0, "user A")


def _dualrec(axes: Axes, lives: Lives) -> None:
    n, there = len(lives.own), -16
    x = np.arange(-n, 0)
    _marks(axes, x, lives.own, 1, x < there, style.PAST)
    _marks(axes, x, lives.own, 1, x > there, style.FUTURE)
    axes.scatter([there], [1], s=90, marker="D", color=style.TARGET, zorder=3)
    _note(axes, n, 1, "training")
    _own(axes, lives, 0, x < 0, style.PAST)
    _note(axes, n, 0, "in use")


def _lcn(axes: Axes, lives: Lives) -> None:
    n = len(lives.own)
    x = np.linspace(-n, -0.8, len(lives.source))
    _marks(axes, x, lives.source, 1, ~lives.alike, style.SOURCE_DOMAIN, size=9)
    _marks(axes, x, lives.source, 1, lives.alike, style.SOURCE_DOMAIN, size=62)
    _note(axes, n, 1, "source")
    _own(axes, lives, 0, np.arange(-n, 0) >= -14, style.TARGET_DOMAIN)
    _note(axes, n, 0, "target")


def _encode(axes: Axes, lives: Lives) -> None:
    n = len(lives.own)
    x = np.arange(-n, 0)
    groups = [lives.interest == i for i in np.unique(lives.interest) if i >= 0][: len(CLUSTERS) - 1]
    groups.append(~np.any(groups, axis=0))
    for place, (mine, colour) in enumerate(zip(groups, CLUSTERS, strict=False)):
        centre = -n * (1 - (place + 0.5) / len(groups))
        for event in x[mine]:
            axes.plot([event, centre], [0, 1], color=colour, lw=0.5, alpha=0.35, zorder=1)
        axes.scatter([centre], [1], s=330, color=colour, zorder=3)
        axes.text(
            centre, 0.98, f"{mine.sum()}", color="white", ha="center", va="center", fontsize=9, zorder=4
        )
        axes.plot([centre, 0], [1, 0], color=colour, lw=1.4, zorder=1)
        _marks(axes, x, lives.own, 0, mine, colour)
    _question(axes, 0)
    _note(axes, n, 1, "interests")
    _note(axes, n, 0, "user A")


def _own(axes: Axes, lives: Lives, y: float, lit: np.ndarray, colour: str) -> None:
    """The user's line with some events lit, the question at now, and nothing after it."""
    x = np.arange(-len(lives.own), 0)
    _marks(axes, x, lives.own, y, ~lit, style.FAINT)
    _marks(axes, x, lives.own, y, lit, colour)
    _question(axes, y)


def _question(axes: Axes, y: float) -> None:
    axes.scatter([0], [y], s=150, marker="D", color=style.TARGET, zorder=5)
    axes.text(0, y - 0.02, "?", color="white", ha="center", va="center", weight="bold", fontsize=9, zorder=6)
    ahead = np.arange(1, AHEAD + 1)
    axes.scatter(
        ahead, np.full(AHEAD, y), s=40, facecolors="none", edgecolors=style.MUTED, lw=0.8, ls=":", zorder=2
    )


def _marks(
    axes: Axes, x: np.ndarray, label: np.ndarray, y: float, where: np.ndarray, colour: str, size: float = 46
) -> None:
    for clicked in (0, 1):
        chosen = x[where & (label == clicked)]
        face = colour if clicked else "white"
        axes.scatter(
            chosen, np.full(len(chosen), y), s=size, facecolors=face, edgecolors=colour, lw=1.1, zorder=2.5
        )


def _note(axes: Axes, n: int, y: float, text: str) -> None:
    axes.text(-n - 1.0, y, text, color=style.MUTED, fontsize=9, ha="right", va="center")


def windows(
    labels: np.ndarray, at: int, length: int, names: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """One user's events in order, with the history h and the future f of one of them (Eq. 1).

    labels : (T,) 0/1, oldest first; at : place of the event, from 0; length : L; names : (T,) words under
    the events.
    """
    total = len(labels)
    x = np.arange(total)
    past, future = (x >= at - length) & (x < at), (x > at) & (x <= at + length)
    with style.theme():
        figure = Figure(figsize=(10, 2.6))  # laid out by hand: an explorer waits for it
        axes = figure.add_axes((0.01, 0.02, 0.98, 0.82))
        size = float(np.clip(9000 / total, 60, 420))
        _marks(axes, x, labels, 0, ~(past | future | (x == at)), style.FAINT, size)
        _marks(axes, x, labels, 0, past, style.PAST, size)
        _marks(axes, x, labels, 0, future, style.FUTURE, size)
        face = style.TARGET if labels[at] else "white"
        axes.scatter(
            [at], [0], s=1.1 * size, marker="D", facecolors=face, edgecolors=style.TARGET, lw=1.6, zorder=3
        )
        for where, colour, name in (
            (past, style.PAST, f"h: the last {past.sum()} before"),
            (future, style.FUTURE_TEXT, f"f: the next {future.sum()} after"),
        ):
            if where.any():
                low, high = x[where][0] - 0.35, x[where][-1] + 0.35
                axes.plot([low, low, high, high], [0.5, 0.62, 0.62, 0.5], color=colour, lw=1.5)
                axes.text((low + high) / 2, 0.68, name, color=colour, ha="center", va="bottom", weight="bold")
        axes.text(at, -0.55, f"$d_{{{at + 1}}}$", color=style.TARGET, ha="center", va="top", fontsize=13)
        for place, name in enumerate(names or ()):
            if place != at:
                axes.text(place, -0.55, name, ha="center", va="top", fontsize=9, color=style.MUTED)
        axes.set(xlim=(-0.8, total - 0.2), ylim=(-1.1, 1.15))
        axes.axis("off")
        axes.set_title(title or f"Event {at + 1} stands between its history and its future")
    return figure


def some_lives(world: World, events: int = 42) -> Lives:
    """Lives from a world with two domains: the user whose ``events`` latest target events are spread most
    evenly over the interests, and two others. ``alike``: clicks in the source domain on the interest of
    the user's last event.

    Raises DataError when fewer than three users have that many events.
    """
    log, interest = world.interactions, world.truth.interest
    target, source = (np.flatnonzero(log.columns["domain"] == code) for code in (1, 2))
    counts = np.bincount(log.user[target])
    users = np.flatnonzero(counts >= events)
    if len(users) < 3:
        raise DataError(f"only {len(users)} users of {log.name} have {events} events in the target domain")
    latest = {user: target[log.user[target] == user][-events:] for user in users}
    spread = {user: np.bincount(interest[rows] + 1, minlength=2).std() for user, rows in latest.items()}
    chosen = min(users, key=spread.__getitem__)
    own, elsewhere = latest[chosen], source[log.user[source] == chosen]
    others = [user for user in users if user != chosen][:2]
    return Lives(
        log.label[own],
        interest[own],
        [log.label[latest[user]] for user in others],
        log.label[elsewhere],
        (interest[elsewhere] == max(interest[own[-1]], 0)) & (log.label[elsewhere] == 1),
    )
