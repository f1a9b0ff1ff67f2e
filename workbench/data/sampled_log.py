"""Unclicked rows for logs that hold clicks only: one drawn row for every click, at another moment.

Taobao, Tmall, Alipay and Last.fm log what happened and not what was passed over, so every label is 1. LIFT
does not say what its zeros are; our reading (ambiguity L17) is one sampled negative for each click.

What a drawn row holds
----------------------
* The user of the click that it comes before, and all that the user determines (age, gender, ...).
* The item of a click of *somebody else at about that time*, and all that the log says of the item there
  (category, brand, ...). Not an item that this user has clicked up to then; one the user clicks later can be
  drawn, or "never a negative" would give away the answers.
* Nothing of the kind ``behaviour`` (viewed, bought, ...): only a click has it, so it would tell the label.
  The table that comes back does not have the field at all.

Why not uniformly from all items of the log, as is often done? Because every item of a log is clicked at some
time: one that is not clicked early is clicked late. Drawn from all items at any time, most drawn rows name
items of the past, while most clicks are on new ones, and "never seen" means "clicked": on the Taobao sample
that alone gives a test AUC of 0.72. Items that others click at the time are known and unknown, loved and
unloved, as often as the clicked ones. What is left to learn is whether an item suits the user; and they are
nearest to what somebody may have been shown and passed over.

Where a drawn row stands
------------------------
The order of clicks and drawn rows must not tell which is which: LIFT hides labels in a sequence and learns
to guess them from the rest. A drawn row at its click's own moment would be read off the pairing. Choosing a
gap between two clicks at random for each, with replacement, is not enough either: gaps then fill too evenly,
and after a click 63% of the rows are unclicked. So all arrangements of the clicks and the drawn rows are
equally likely, as when a coin decides at each place which comes next. With one row a click, a gap holds none,
one, two, ... with chances 1/2, 1/4, 1/8, ..., and whatever came before, the next row is a click with chance
1/2. A user has one drawn row for each click on average; the log has, exactly.

The moment is drawn inside the gap, each drawn row at a moment of its own, on the log's own clock (seconds, or
days where it knows only days). Rows that find no room left take the moment of the click they come before. So
the coin is also fair for what lies *strictly before* a row: each moment offers, on average, as many drawn
rows as clicks. Nothing is drawn after a user's last click: the last row of a user is a click, but who reads
forwards does not know that it is the last.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.errors import DataError, whole

ACTS = ("behaviour", "action")  # what Taobao, Tmall and Alipay say of a click: viewed, bought, ...
NEARBY = 1000  # clicks around a moment, or a hundredth of the log if that is more, from which one is drawn
CHANGING = 0.01  # of an item's consecutive rows may differ in a field that the item determines
_BRANCH = zlib.crc32(b"sampled log")  # our own stream below the seed, as in workbench.data.negatives
_BLOCK = 2**22  # rows drawn at a time, so that what a lookup holds stays small


def with_sampled_negatives(
    log: Interactions, seed: int = 0, per_click: int = 1, leave_out: Sequence[str] = ACTS
) -> Interactions:
    """The log with ``per_click`` drawn rows of label 0 for each click, in order of time.

    Parameters
    ----------
    log : every label 1, with a clock. Its rows keep their order and their codes mean the same.
    leave_out : fields that only a click has, where the log has them; they are not in the result.

    Returns a table of ``(1 + per_click) * len(log)`` rows, a function of (log, seed, per_click) alone.
    ``source_row`` is that of the log for clicks, and -1 for drawn rows. Needs about 110 bytes a click
    beside the two tables.

    Raises ConfigError for a seed below 0 or a ``per_click`` below 1. Raises DataError for a log with labels
    of 0 or without a clock, for a user who has clicked every item, and for a field that neither the user nor
    the item determines.
    """
    for name, value, least in (("per_click", per_click, 1), ("the seed", seed, 0)):
        whole(name, value, least)
    _refuse_unfit(log)
    fields = [name for name in log.fields if name not in ("user", "item", *leave_out)]
    of_item = [name for name in fields if not _determined(log.columns[name], log.user)]
    _refuse_changing(log, of_item)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_BRANCH,)))
    clicks = Histories.of(log)
    gap = _gaps(len(log), per_click, rng)
    moment = _moments(log.timestamp, clicks, gap, rng)
    others = _clicks_of_others(log, clicks, gap, moment, rng)
    drawn = {name: log.columns[name][others] for name in ("item", *of_item)}
    drawn |= {name: log.columns[name][clicks.events[gap]] for name in ("user", *fields) if name not in drawn}
    return _merged(log, clicks.events, gap, moment, drawn, f"seed {seed}")


def _refuse_unfit(log: Interactions) -> None:
    if not log.label.all():
        row = int(np.argmin(log.label)) + 1
        raise DataError("the log has rows of label 0 of its own", file=log.name, row=row, column="label")
    if log.clock != "seconds":
        what = "there are no timestamps, so a drawn row has no moment to stand at"
        raise DataError(what, file=log.name, fix="Use a log with a clock")


def _determined(codes: np.ndarray, by: np.ndarray) -> bool:
    """Whether rows with equal values of ``by`` have equal codes."""
    some = np.zeros(int(by.max()) + 1, codes.dtype)
    some[by] = codes
    return bool((codes == some[by]).all())


def _refuse_changing(log: Interactions, fields: Sequence[str]) -> None:
    by_item = np.argsort(log.item, kind="stable") if fields else np.empty(0, np.int64)
    same = np.diff(log.item[by_item]) == 0
    for name in fields:
        changes = same & (np.diff(log.columns[name][by_item]) != 0)
        if changes.sum() > CHANGING * same.sum():
            row = int(by_item[1:][changes][0])
            raise DataError(
                f"neither the user nor the item determines it (item {log.value('item', log.item[row])} has "
                "several values), so a drawn row has none",
                file=log.name,
                row=row + 1,
                column=name,
                fix="Name it in leave_out",
            )


def _gaps(clicks: int, per_click: int, rng: np.random.Generator) -> np.ndarray:
    """(m,) ascending: before which click each drawn row stands; every arrangement is equally likely."""
    is_click = np.zeros(clicks * (1 + per_click), bool)
    is_click[-clicks:] = True
    rng.shuffle(is_click[:-1])  # a click is last: there is no gap behind it
    return np.cumsum(is_click)[~is_click]


def _moments(
    timestamp: np.ndarray, clicks: Histories, gap: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(m,) int64 times: distinct ones inside the gap, in order, then that of the click at its end."""
    unit = max(int(np.gcd.reduce(np.diff(timestamp))), 1)
    time = timestamp[clicks.events]
    previous = np.concatenate((time[:1], time[:-1]))
    first = clicks.offsets[:-1][np.diff(clicks.offsets) > 0]
    previous[first] = time[first]  # before a user's first click there is no gap, and no room
    room = (np.maximum(time - previous, unit) // unit - 1)[gap]
    held = np.bincount(gap, minlength=len(time))
    nth = np.arange(len(gap)) - (np.cumsum(held) - held)[gap]
    # Sorted shares of a gap; 24 bits each, so that their sums with its number are exact.
    share = np.sort(gap + rng.random(len(gap), np.float32).astype(np.float64)) - gap
    spare = room - np.minimum(held[gap], room)
    inside = previous[gap] + unit * (1 + nth + (share * (spare + 1)).astype(np.int64))
    return np.where(nth < room, inside, time[gap])


def _clicks_of_others(
    log: Interactions, clicks: Histories, gap: np.ndarray, moment: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(m,) rows of the log: a click near each moment, by another user, on an item unclicked up to then."""
    items, n = log.size("item"), len(log)
    owner = log.user[clicks.events]
    # Which (user, item) pairs there are, and the first click of each, in the order of ``clicks``.
    pairs, first = np.unique(owner.astype(np.int64) * items + log.item[clicks.events], return_index=True)
    own = np.bincount(pairs[pairs % items > 0] // items)  # code 0 is "unknown", not an item
    if own.max(initial=0) == (there := len(np.unique(log.item[log.item > 0]))):
        who = log.value("user", int(own.argmax()))
        raise DataError(f"user {who} has clicked all {there} items: none is left to draw", file=log.name)
    drawn = np.empty(len(gap), np.int64)
    for at in range(0, len(gap), _BLOCK):
        place, user = gap[at : at + _BLOCK], owner[gap[at : at + _BLOCK]]
        # Any of the places in the log that a row of this moment could take.
        low, high = (
            np.searchsorted(log.timestamp, moment[at : at + _BLOCK], side) for side in ("left", "right")
        )
        missing, width = np.arange(len(place)), min(max(NEARBY, n // 100), n)
        while len(missing):
            middle = rng.integers(low[missing], high[missing], endpoint=True)
            row = np.clip(middle - width // 2, 0, n - width) + rng.integers(width, size=len(missing))
            pair = user[missing].astype(np.int64) * items + log.item[row]
            found = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
            clicked = (pairs[found] == pair) & (first[found] < place[missing])
            drawn[at + missing] = row
            missing = missing[clicked | (log.user[row] == user[missing]) | (log.item[row] == 0)]
            width = min(2 * width, n)  # nobody else's click near: look further
    return drawn


def _merged(
    log: Interactions,
    events: np.ndarray,
    gap: np.ndarray,
    moment: np.ndarray,
    drawn: dict[str, np.ndarray],
    how: str,
) -> Interactions:
    """Clicks (grouped by user) and drawn rows in one table, sorted by time."""
    n, m = len(events), len(gap)
    # User by user, in the order in which they stand: the line of each in "clicks, then drawn rows".
    line = np.empty(n + m, np.int64)
    line[np.arange(n) + np.cumsum(np.bincount(gap, minlength=n))] = np.arange(n)
    line[np.arange(m) + gap] = np.arange(n, n + m)
    time = np.concatenate((log.timestamp[events], moment))
    line = line[np.argsort(time[line], kind="stable")]  # users ascend, so they do within a second
    given = np.arange(n) if log.source_row is None else log.source_row
    kept = [name for name in log.fields if name in drawn]
    missing = [
        f"the field {name}, which only a click has, is left out" for name in log.fields if name not in kept
    ]
    return replace(
        log,
        columns={name: np.concatenate((log.columns[name][events], drawn[name]))[line] for name in kept},
        vocabularies={name: log.vocabularies[name] for name in kept},
        timestamp=time[line],
        label=(line < n).astype(np.int8),
        source_row=np.concatenate((given[events], np.full(m, -1)))[line],
        name=f"{log.name}, with drawn negatives",
        label_rule=f"1 = {_logged(log)}, 0 = drawn: {m // n} for each click ({how})",
        note="; ".join(filter(None, (log.note, *missing))),
    )


def _logged(log: Interactions) -> str:
    """What a 1 means in a log of ones only."""
    return "logged" if log.label_rule.startswith("1 for every") else log.positive
