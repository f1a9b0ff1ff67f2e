"""Impressions with long histories: nothing from the future, nothing of others, negatives that are stored."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.data.interactions import Interactions
from workbench.data.world import make_world
from workbench.errors import ConfigError, DataError
from workbench.lab.long_samples import LongData, gap_code

LOG = make_world("two_domain", 0, users=30).interactions
SOURCE = LOG.vocabularies["domain"].tolist().index("source")


@pytest.fixture(scope="module")
def data() -> LongData:
    return LongData.of(LOG, short=5, long=40)


def frame(rows: list[tuple[int, int, str, int, int]]) -> Interactions:
    named = pd.DataFrame(rows, columns=["user", "item", "domain", "timestamp", "label"])
    return Interactions.from_frame(named, name="handmade")


def test_every_sequence_is_the_last_clicks_before_the_moment(data) -> None:
    some = torch.arange(0, len(data), 97)
    sample = data.batch(some)
    for place, i in enumerate(some.tolist()):
        row = data.rows[i]
        earlier = (LOG.user == LOG.user[row]) & (LOG.label == 1) & (LOG.timestamp < LOG.timestamp[row])
        theirs = LOG.columns["domain"] == SOURCE
        for part, domain, length in (
            (sample.short, ~theirs, 5),
            (sample.short_source, theirs, 5),
            (sample.long, theirs, 40),
        ):
            expected = np.flatnonzero(earlier & domain)[-length:]
            found = part.item[place][part.item[place] > 0].tolist()
            assert found == LOG.item[expected].tolist()
            context = part.context[place, : len(expected)]
            assert context[:, 0].tolist() == LOG.columns["category"][expected].tolist()
            minutes = (LOG.timestamp[row] - LOG.timestamp[expected]) / 60
            assert context[:, 1].tolist() == (1 + np.minimum(np.floor(np.log2(1 + minutes)), 22)).tolist()
            assert not part.context[place, len(expected) :].any()
        assert sample.target[place, 0] == LOG.item[row]
        assert data.label[i] == LOG.label[row]


def test_events_of_the_same_second_are_not_known() -> None:
    log = frame(
        [
            (1, 10, "target", 100, 1),
            (1, 20, "source", 100, 1),
            (1, 21, "source", 99, 1),
            (1, 11, "target", 160, 0),
        ]
        + [(2, 12, "target", 300 + i, i % 2) for i in range(4)]
    )
    data = LongData.of(log, short=3, long=3, shares=(0.5, 0.0, 0.5))
    sample = data.batch(torch.arange(len(data)))
    known = [[log.value("item", c) for c in row if c] for row in sample.long.item.tolist()]
    assert known[:2] == [[21], [21, 20]]
    assert sample.short.item[0].sum() == 0
    assert [log.value("item", c) for c in sample.short.item[1] if c] == [10]
    assert known[2:] == [[]] * 4, "a user without a row in the source domain"


def test_parts_follow_each_other_in_time(data) -> None:
    moments = [data.time[data.parts[name]] for name in ("train", "validation", "test")]
    assert sum(map(len, moments)) == len(data)
    assert all(a.max() < b.min() for a, b in itertools.pairwise(moments))
    assert len(moments[2]) == pytest.approx(0.2 * len(data), rel=0.02)


def test_sequences_are_cut_to_the_longest_of_the_batch(data) -> None:
    early = torch.argsort(data.events)[:8]
    assert data.batch(early).long.item.shape[1] == max(int(data.events[early].max()), 1)
    assert data.batch(torch.argsort(data.events)[-8:]).long.item.shape[1] == 40


def test_one_domain_is_its_own_source() -> None:
    log = make_world("tiny", 0).interactions
    data = LongData.of(log, short=2, long=7)
    sample = data.batch(torch.arange(len(data) - 20, len(data)))
    assert sample.short_source is None
    last = sample.long.item.gather(1, (sample.long.there.sum(1, keepdim=True) - 1).clamp(min=0))
    assert torch.equal(
        last, sample.short.item.gather(1, (sample.short.there.sum(1, keepdim=True) - 1).clamp(min=0))
    )


def test_clicks_alone_get_stored_negatives_of_the_target_domain() -> None:
    clicks = LOG.rows(np.flatnonzero(LOG.label == 1))
    with pytest.raises(DataError, match="is a click"):
        LongData.of(clicks)
    data, again = (LongData.of(clicks, negatives=3, long=9) for _ in range(2))
    assert torch.equal(data.target, again.target)
    assert data.label.reshape(-1, 4).tolist() == [[1, 0, 0, 0]] * (len(data) // 4)
    mine = clicks.columns["domain"] != SOURCE
    of_target = set(clicks.item[mine].tolist())
    assert set(data.target[:, 0].tolist()) <= of_target
    first = clicks.timestamp <= int(data.time[data.parts["train"]].max())
    met = {"train": mine & first, "validation": mine, "test": mine}
    later = 0
    for user in range(1, 30):
        every = set(clicks.item[mine & (clicks.user == user)].tolist())
        for part, known in met.items():
            there = data.parts[part][(data.user == user)[data.parts[part]]]
            wrong = set(data.target[there[data.label[there] == 0], 0].tolist())
            assert not wrong & set(clicks.item[known & (clicks.user == user)].tolist())
            later += len(wrong & every) if part == "train" else 0
    assert later, "what is clicked after training was never drawn: that would tell the future"
    with pytest.raises(ConfigError, match="tells what was not clicked"):
        LongData.of(LOG, negatives=1)


def test_gaps_double() -> None:
    seconds = torch.tensor([0, 59, 60, 179, 180, 86_400, 10**12])
    assert gap_code(seconds).tolist() == [1, 1, 2, 2, 3, 11, 23]


@pytest.mark.parametrize(
    ("changes", "told"), [({"short": 0}, "short must be a whole number"), ({"long": 2.5}, "long")]
)
def test_lengths_that_make_no_sense_are_refused(changes, told) -> None:
    with pytest.raises(ConfigError, match=told):
        LongData.of(LOG, **changes)


def test_other_domains_are_refused() -> None:
    rows = [(1, 10, "books", 100, 1), (1, 20, "films", 100, 0), (2, 21, "books", 200, 1)]
    with pytest.raises(DataError, match="domains are target and source, not"):
        LongData.of(frame(rows))
