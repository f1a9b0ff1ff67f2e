"""Drawn negatives: what they hold, and that neither order nor time tells them from clicks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.data.histories import Histories
from workbench.data.interactions import DAY, Interactions
from workbench.data.sampled_log import with_sampled_negatives
from workbench.errors import ConfigError, DataError


def clicks(rows: int = 400, users: int = 8, items: int = 30, unit: int = 1, seed: int = 0) -> Interactions:
    """A log of clicks; ``age`` belongs to the user, ``category`` to the item, ``behaviour`` to the click."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(1, users + 1, rows), rng.integers(1, items + 1, rows)
    frame = pd.DataFrame(
        {
            "user": user,
            "item": item,
            "category": item % 4,
            "age": user % 3,
            "behaviour": rng.choice(["pv", "buy"], rows),
            "timestamp": unit * rng.integers(0, 2000 if unit == 1 else 60, rows),
            "label": 1,
        }
    )
    return Interactions.from_frame(
        frame, name="toy", duplicates="keep", label_rule="1 for every logged row (a view); none is drawn"
    )


LOG = clicks()
SAMPLED = with_sampled_negatives(LOG, seed=3)


def in_order(log: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """User by user: the rows as they stand, and which of them are a user's first."""
    histories = Histories.of(log)
    user = log.user[histories.events]
    return histories.events, np.concatenate(([True], user[1:] != user[:-1]))


def test_every_click_is_still_there_in_its_order():
    kept = np.flatnonzero(SAMPLED.label == 1)
    assert SAMPLED.source_row[kept].tolist() == LOG.source_row.tolist()
    assert SAMPLED.timestamp[kept].tolist() == LOG.timestamp.tolist()
    for name in SAMPLED.fields:
        assert SAMPLED.columns[name][kept].tolist() == LOG.columns[name].tolist()
        assert SAMPLED.vocabularies[name] is LOG.vocabularies[name]


@pytest.mark.parametrize("per_click", [1, 3])
def test_as_many_rows_are_drawn_as_asked_for(per_click):
    sampled = with_sampled_negatives(LOG, per_click=per_click)
    assert len(sampled) == (1 + per_click) * len(LOG)
    assert (sampled.label == 0).sum() == per_click * len(LOG)
    assert (sampled.source_row[sampled.label == 0] == -1).all()


def test_an_item_the_user_has_clicked_is_not_drawn_afterwards():
    """... and one that the user clicks later is drawn like any other."""
    later = 0
    events, _ = in_order(SAMPLED)
    seen: dict[int, set[int]] = {}
    ahead = {user: set(LOG.item[LOG.user == user]) for user in np.unique(LOG.user)}
    for row in events:
        own = seen.setdefault(SAMPLED.user[row], set())
        if SAMPLED.label[row]:
            own.add(SAMPLED.item[row])
        else:
            assert SAMPLED.item[row] not in own
            later += SAMPLED.item[row] in ahead[SAMPLED.user[row]]
    assert later > 20


def test_items_are_what_somebody_else_clicks_at_about_that_time():
    """Within 500 clicks to either side (or 1,000 to one side, at the ends of the log)."""
    log = clicks(30_000, users=300, items=1000)
    sampled = with_sampled_negatives(log)
    by = {item: np.flatnonzero(log.item == item) for item in range(1, 1001)}
    for row in np.flatnonzero(sampled.label == 0)[::59]:
        first, last = (
            np.searchsorted(log.timestamp, sampled.timestamp[row], side) for side in ("left", "right")
        )
        place = by[sampled.item[row]]
        place = place[log.user[place] != sampled.user[row]]
        assert ((place >= first - 1000) & (place < last + 1000)).any()


def test_items_are_drawn_as_often_as_they_are_clicked():
    rng = np.random.default_rng(5)
    frame = clicks(8000, users=4000).to_frame().assign(item=rng.geometric(0.2, 8000).clip(max=12))
    log = Interactions.from_frame(
        frame[["user", "item", "timestamp", "label"]], name="toy", duplicates="keep"
    )
    drawn = with_sampled_negatives(log, per_click=5)
    drawn = np.bincount(drawn.item[drawn.label == 0])[1:] / 5
    # Users have two clicks, so the most popular item is excluded now and then.
    assert drawn == pytest.approx(np.bincount(log.item)[1:], rel=0.25, abs=15)


def test_an_item_alone_does_not_tell_a_label():
    """A shop that renews its goods all the time. Drawn uniformly from all items of the log, those known at
    60% of the time would nearly all be unclicked in the last fifth."""
    log = clicks(30_000, users=300)
    goods = (np.arange(30_000) // 100 + np.random.default_rng(0).integers(1, 100, 30_000)).astype(np.int32)
    log = replace(
        log,
        columns={"user": log.user, "item": goods},
        vocabularies=log.vocabularies | {"item": np.arange(999)},
    )
    sampled = with_sampled_negatives(log)
    known = np.bincount(sampled.item[:36_000], minlength=999) > 0
    for part in (slice(36_000, 42_000), slice(48_000, None)):
        shares = [known[sampled.item[part]][sampled.label[part] == label].mean() for label in (0, 1)]
        assert 0.1 < shares[1] < 0.95
        assert shares[0] == pytest.approx(shares[1], abs=0.06)


def test_nobody_else_near_means_looking_further():
    """Two users who are never there at the same time."""
    frame = pd.DataFrame(
        {"user": np.repeat([1, 2], 3000), "item": np.arange(6000), "timestamp": np.arange(6000)}
    )
    sampled = with_sampled_negatives(Interactions.from_frame(frame.assign(label=1), name="toy"))
    drawn = sampled.to_frame()[sampled.label == 0]
    assert ((drawn["item"] < 3000) == (drawn["user"] == 2)).all()


def test_a_drawn_row_has_its_items_and_its_users_fields():
    drawn = SAMPLED.to_frame()[SAMPLED.label == 0]
    assert (drawn["category"] == drawn["item"] % 4).all()
    assert (drawn["age"] == drawn["user"] % 3).all()


def test_what_an_item_has_is_what_the_drawn_click_had():
    """One item of 300 rows has another category in 2 of them: drawn rows have it about as often."""
    rng = np.random.default_rng(1)
    item = np.repeat(np.arange(1, 11), 300)
    frame = pd.DataFrame({"user": rng.integers(1, 500, 3000), "item": item, "category": item, "label": 1})
    frame.loc[[5, 200], "category"] = 77
    log = Interactions.from_frame(frame.assign(timestamp=rng.permutation(3000)), name="toy")
    drawn = with_sampled_negatives(log, per_click=20).to_frame().query("label == 0")
    assert (drawn["category"] == drawn["item"])[drawn["item"] > 1].all()
    share = (drawn["category"][drawn["item"] == 1] == 77).mean()
    assert 0.4 < share / (2 / 300) < 1.8


def test_what_only_a_click_has_is_left_out_and_the_note_says_so():
    assert SAMPLED.fields == ("user", "item", "category", "age")
    assert SAMPLED.note == "the field behaviour, which only a click has, is left out"
    without = replace(LOG, columns={name: LOG.columns[name] for name in SAMPLED.fields}, note="a remark")
    assert with_sampled_negatives(without).note == "a remark"


def test_one_seed_one_table_and_another_name_than_the_log():
    again, other = with_sampled_negatives(LOG, seed=3), with_sampled_negatives(LOG, seed=4)
    assert again.fingerprint == SAMPLED.fingerprint
    assert len({SAMPLED.fingerprint, other.fingerprint, LOG.fingerprint}) == 3
    assert SAMPLED.name == "toy, with drawn negatives"
    assert SAMPLED.label_rule == "1 = logged, 0 = drawn: 1 for each click (seed 3)"
    assert SAMPLED.positive == "logged"


def test_drawn_moments_lie_in_the_gap_on_the_logs_clock():
    log = clicks(unit=DAY, rows=150)
    sampled = with_sampled_negatives(log)
    assert (sampled.timestamp % DAY == 0).all()
    first, last = (pd.Series(log.timestamp).groupby(log.user).agg(how) for how in ("min", "max"))
    drawn = sampled.rows(sampled.label == 0)
    assert (drawn.timestamp >= first[drawn.user]).all()
    assert (drawn.timestamp <= last[drawn.user]).all()


def test_where_there_is_room_no_two_rows_share_a_moment():
    frame = pd.DataFrame({"user": 1, "item": np.arange(50), "timestamp": 999 * np.arange(50), "label": 1})
    other = frame.assign(user=2, item=99, timestamp=frame["timestamp"] + 1)  # the clock counts seconds
    log = Interactions.from_frame(pd.concat([frame, other]), name="toy")
    sampled = with_sampled_negatives(log)
    times = sampled.timestamp[(sampled.user == 1) & (sampled.timestamp > 0)]
    assert len(np.unique(times)) == len(times) > 80


# --- order and time tell nothing ----------------------------------------------------------------------------


@pytest.mark.parametrize("per_click", [1, 2])
def test_the_rows_before_do_not_tell_a_label(per_click):
    """Whatever the last three labels were, the next row is a click as often as any.

    Fails for a negative beside each click, for alternation, and for gaps drawn with replacement, where
    a click is followed by a click in 37% of cases instead of 50%.
    """
    sampled = with_sampled_negatives(clicks(30_000, users=300, items=1000), per_click=per_click)
    events, first = in_order(sampled)
    label = sampled.label[events]
    begin = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
    inside = np.flatnonzero(np.arange(len(first)) - begin >= 3)
    pattern = label[inside - 1] + 2 * label[inside - 2] + 4 * label[inside - 3]
    base = 1 / (1 + per_click)
    for before in range(8):
        found = label[inside][pattern == before]
        assert abs(found.mean() - base) < 4 * np.sqrt(base * (1 - base) / len(found))
    assert abs(label[first].mean() - base) < 4 * np.sqrt(base * (1 - base) / first.sum())


def test_the_rows_around_do_not_tell_a_label():
    """A linear model of the four labels on either side, on other users than it learnt from, is at chance."""
    sampled = with_sampled_negatives(clicks(30_000, users=300, items=1000))
    events, _ = in_order(sampled)
    label, user = sampled.label[events].astype(float), sampled.user[events]
    at = np.arange(4, len(label) - 4)
    at = at[user[at - 4] == user[at + 4]]
    around = np.stack([label[at + step] for step in (-4, -3, -2, -1, 1, 2, 3, 4)] + [np.ones(len(at))], 1)
    half = user[at] <= 150
    weights = np.linalg.lstsq(around[half], label[at][half], rcond=None)[0]
    right = ((around[~half] @ weights > 0.5) == label[at][~half]).mean()
    assert abs(right - 0.5) < 4 * 0.5 / np.sqrt((~half).sum())


@pytest.mark.parametrize(("unit", "rows"), [(1, 60_000), (DAY, 60_000)])
def test_what_lies_strictly_before_a_row_does_not_tell_its_label(unit, rows):
    """Seconds with many ties, and a clock of days: own histories of a target end at the moment before."""
    log = clicks(rows, users=600, items=1000, unit=unit)
    sampled = with_sampled_negatives(log)
    histories = Histories.of(sampled)
    start, stop = histories.strictly_before(np.arange(len(sampled)), 2)
    labels = np.where(
        histories.window(start, stop, 2) >= 0, sampled.label[histories.window(start, stop, 2)], 2
    )
    for pattern in range(9):
        found = sampled.label[3 * labels[:, 0] + labels[:, 1] == pattern]
        # rows of one moment share what lies before them, so fewer than all count
        assert len(found) == 0 or abs(found.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(found) / 4)


def test_the_parts_of_a_split_have_as_many_clicks_as_drawn_rows():
    sampled = with_sampled_negatives(clicks(30_000, users=300, items=1000))
    for part in np.array_split(sampled.label, 5):
        assert 0.47 < part.mean() < 0.53


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"per_click": 0}, ConfigError, "per_click must be a whole number from 1"),
        ({"per_click": 1.0}, ConfigError, "per_click"),
        ({"per_click": True}, ConfigError, "per_click"),
        ({"seed": -1}, ConfigError, "the seed must be"),
        ({"leave_out": ()}, DataError, "toy, row .*'behaviour'.*neither the user nor the item.*leave_out"),
        ({"log": SAMPLED}, DataError, "label.*label 0 of its own"),
        ({"log": replace(LOG, clock="order")}, DataError, "no timestamps"),
        ({"log": LOG.rows(LOG.item == 1)}, DataError, "clicked all 1 items"),
    ],
)
def test_what_makes_no_sense_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        with_sampled_negatives(**{"log": LOG, **change})
