"""Models for clicks as rankers: candidates built one by one, nothing late, ranks against counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from logs import random_log
from torch import nn

from workbench.baselines.retrieval import RIM
from workbench.data.interactions import Interactions
from workbench.data.splits import global_time_split
from workbench.errors import ConfigError, DataError
from workbench.lab import candidates as module
from workbench.lab.candidates import Candidates, item_codes, item_fields, list_score, rank_all, rank_lists
from workbench.lab.metrics import rank_metrics
from workbench.lab.ranking import TopN, ask
from workbench.lab.retrieved import retrieved_rows
from workbench.lab.samples import NEEDS
from workbench.lab.tensors import Table
from workbench.lab.training import click_loss, fit
from workbench.methods.retrieval import rank_scores, top_k

K, L = 4, 3
PROTOCOL = TopN(targets=None, length=4, negatives=9, train_negatives=3)


def shop_log(seed: int, rows: int = 300) -> Interactions:
    """The item decides category and brand, the user the age; ``hour`` is of the event, ``shop`` constant."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(1, 9, rows), rng.integers(1, 41, rows)
    frame = pd.DataFrame(
        {
            "user": user,
            "item": item,
            "category": item % 5 + 1,
            "brand": item * 7 % 3 + 1,
            "age": user % 3 + 1,
            "hour": rng.integers(1, 5, rows),
            "shop": 1,
            "timestamp": rng.integers(0, 60, rows) * 86_400,
            "label": rng.integers(0, 2, rows),
        }
    )
    return Interactions.from_frame(frame, name="shop", duplicates="keep")


LOG = shop_log(1)
SPLIT = global_time_split(LOG)
CLICKS = SPLIT.rows("test")[LOG.label[SPLIT.rows("test")] == 1]


@pytest.fixture(scope="module")
def maker() -> Candidates:
    return Candidates.of(LOG, SPLIT, K, L)


@pytest.fixture(scope="module")
def asked():
    return ask(LOG, SPLIT.rows("test"), "test", PROTOCOL)


class TestItemSide:
    def test_fields_that_change_with_the_item(self) -> None:
        assert item_fields(LOG) == ("item", "category", "brand")

    def test_their_codes(self) -> None:
        codes = item_codes(LOG, ("category", "item"))
        for row in range(len(LOG)):
            assert codes[LOG.item[row]].tolist() == [LOG.columns["category"][row], LOG.item[row]]
        wider = replace(
            LOG, vocabularies={**LOG.vocabularies, "item": np.append(LOG.vocabularies["item"], 99)}
        )
        assert item_codes(wider, ("item", "category"))[-1].tolist() == [0, 0], "an item without a row"

    def test_refusals(self) -> None:
        with pytest.raises(DataError, match=r"shop, row \d+, column 'hour': item \d+ has two values of it"):
            item_codes(LOG, ("item", "hour"))
        with pytest.raises(ConfigError, match="unknown field 'price'"):
            item_codes(LOG, ("item", "price"))
        with pytest.raises(ConfigError, match="the item itself must be among"):
            item_codes(LOG, ("category",))


class TestSamples:
    def test_each_candidate_against_a_plain_search(self, maker) -> None:
        rows, items = CLICKS[[3, 8, 9]], np.array([[5, 6], [7, 8], [9, 10]])
        items[:, 0] = LOG.item[rows]
        samples = maker.samples(rows, items)
        sample = samples.batch(torch.arange(6), NEEDS - {"found"})
        end, fields = SPLIT.retrieval.stop, LOG.fields
        searched = [f for f in fields if f != "user"]
        for i, (row, item) in enumerate(zip(np.repeat(rows, 2), items.ravel(), strict=True)):
            example = np.flatnonzero(LOG.item == item)[0]
            other = {"item", "category", "brand"}
            codes = {f: int(LOG.columns[f][example if f in other else row]) for f in fields}
            assert dict(zip(fields, sample.target.codes[i].tolist(), strict=True)) == codes
            assert sample.target.label[i] == (item == LOG.item[row])
            query = np.array([codes[f] for f in searched])
            scores = rank_scores(LOG.codes(searched)[:end], query)
            scores[LOG.user[:end] == LOG.user[row]] = 0
            best = top_k(scores, LOG.timestamp[:end], K)
            assert samples.neighbours[i, : len(best)].tolist() == best.tolist()
            assert torch.equal(sample.neighbours.label[i], torch.from_numpy(LOG.label[best]).long())
            past, future = samples.past[samples.neighbours[i]], samples.future[samples.neighbours[i]]
            for near, before, after in zip(best, past, future, strict=True):
                theirs = np.flatnonzero(LOG.user[:end] == LOG.user[near])
                place = int(np.flatnonzero(theirs == near)[0])
                assert before[before >= 0].tolist() == theirs[max(place - L, 0) : place].tolist()
                assert after[after >= 0].tolist() == theirs[place + 1 : place + 1 + L].tolist()

    def test_the_own_history_holds_clicks_of_earlier_seconds(self, maker) -> None:
        samples = maker.samples(CLICKS, np.stack([LOG.item[CLICKS], LOG.item[CLICKS] % 40 + 1], 1))
        sample = samples.batch(torch.arange(len(samples)), {"history"})
        for i, row in enumerate(np.repeat(CLICKS, 2)):
            mine = (LOG.user == LOG.user[row]) & (LOG.label == 1) & (LOG.timestamp < LOG.timestamp[row])
            expected = np.flatnonzero(mine)[-L:].tolist()
            window = samples.history[:][i]
            assert window[window >= 0].tolist() == expected
            assert sample.history.label[i].tolist() == [1] * len(expected) + [0] * (L - len(expected))

    def test_a_target_in_its_own_place_is_the_target(self, maker, tmp_path) -> None:
        samples = maker.samples(CLICKS, LOG.item[CLICKS][:, None])
        kept = retrieved_rows(LOG, SPLIT, ("test",), K, folder=tmp_path)["test"]
        np.testing.assert_array_equal(samples.neighbours, kept[CLICKS - SPLIT.test.start])
        events = samples.batch(torch.arange(len(CLICKS))).target
        assert torch.equal(events.codes, maker.table.codes[CLICKS].long())
        assert events.label.all()

    def test_nothing_known_is_as_late_as_its_target(self, maker) -> None:
        samples = maker.samples(CLICKS, np.tile(np.arange(1, 11), (len(CLICKS), 1)))
        clock = torch.from_numpy(np.pad(LOG.timestamp, (1, 0)))[:, None]
        table = samples.table.followed_by(np.empty((0, 7), np.int32), np.empty(0, np.int8))
        table._codes = torch.cat([clock, torch.zeros(len(samples), 1)])  # every event tells its time
        table.fields = ("time",)
        sample = replace(samples, table=table).batch(torch.arange(len(samples)), NEEDS - {"found"})
        query = torch.from_numpy(np.repeat(LOG.timestamp[CLICKS], 10))
        end = LOG.timestamp[SPLIT.retrieval.stop]
        for name in NEEDS - {"found"}:
            times = getattr(sample, name).codes[..., 0]
            assert times.any(), name
            assert (times < query.view(-1, *[1] * (times.ndim - 1))).all(), name
            assert name == "history" or (times < int(end)).all()

    def test_a_history_that_holds_its_target_is_noticed(self, maker, monkeypatch) -> None:
        right = module.own_bounds
        monkeypatch.setattr(module, "own_bounds", lambda *a: (right(*a)[0], right(*a)[1] + 1))
        with pytest.raises(DataError, match="leak: a own event"):
            maker.samples(CLICKS[:5], LOG.item[CLICKS[:5]][:, None])

    def test_vectors_in_the_place_of_events(self, maker) -> None:
        past, future = torch.randn(SPLIT.retrieval.stop, 5), torch.randn(SPLIT.retrieval.stop, 5)
        items = LOG.item[CLICKS[:6]][:, None]
        samples = maker.encoded(past, future).samples(CLICKS[:6], items)
        sample = samples.batch(torch.arange(6), {"past", "future", "neighbours"})
        assert torch.equal(sample.past[2, 1], past[samples.neighbours[2, 1].long()])
        assert torch.equal(sample.future[2, 1], future[samples.neighbours[2, 1].long()])

    def test_refusals(self, maker) -> None:
        item = LOG.item[CLICKS[:1]][:, None]
        unseen = SPLIT.rows("test")[LOG.label[SPLIT.rows("test")] == 0][:1]
        early = np.flatnonzero(LOG.label == 1)[:1]
        for rows, items, message in [
            (unseen, item, "every target must be a row of the log with label 1"),
            (np.array([300]), item, "every target must be a row"),
            (early, item, "leak: query 1 is at time"),
            (CLICKS[:1], item * 0, "item code 0 has no row in the log"),
            (CLICKS[:1], item * 0 + 41, "item code 41 has no row"),
            (CLICKS[:2], item, r"\(2,\) and \(1, 1\)"),
            (CLICKS[:0], item[:0], r"\(0,\) and \(0, 1\)"),
        ]:
            with pytest.raises(DataError, match=message):
                maker.samples(rows, items)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"k": 0}, "K must be a whole number from 1 to 1"),
            ({"k": 301}, "K must be"),
            ({"length": 0}, "L must be a whole number from 1"),
            ({"fields": ("colour",)}, "unknown field 'colour'"),
            ({"idf": "best"}, "unknown IDF rule"),
            ({"changes": ("brand",)}, "the item itself"),
            ({"table": Table(LOG, ("user", "brand"))}, "must read the item"),
        ],
    )
    def test_bad_configuration(self, options, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            Candidates.of(LOG, SPLIT, **options)


class TestPractice:
    def test_clicks_of_the_train_part_and_items_never_met_so_far(self, maker) -> None:
        samples = maker.practice(PROTOCOL)
        rows = SPLIT.rows("train")[LOG.label[SPLIT.rows("train")] == 1]
        assert samples.label.tolist() == [1, 0, 0, 0] * len(rows)
        item = samples.batch(torch.arange(len(samples))).target.codes[:, 1].view(-1, 4).numpy()
        assert (item[:, 0] == LOG.item[rows]).all()
        later = 0
        for row, negatives in zip(rows, item[:, 1:], strict=True):
            mine = LOG.user == LOG.user[row]
            assert not set(negatives.tolist()) & set(LOG.item[: SPLIT.train.stop][mine[: SPLIT.train.stop]])
            later += len(set(negatives.tolist()) & set(LOG.item[mine].tolist()))
        assert later, "what a user meets after the train part is a negative like any other"

    def test_it_knows_nothing_of_what_comes_later(self, maker) -> None:
        """Items, users and labels after the train part may be anything."""
        first, rng = SPLIT.train.stop, np.random.default_rng(0)
        columns = {name: codes.copy() for name, codes in LOG.columns.items()}
        for name in ("item", "category", "brand"):
            columns[name][first:] = columns[name][:first][np.arange(len(LOG) - first)]
        label = LOG.label.copy()
        label[first:] = rng.integers(0, 2, len(LOG) - first)
        other = Candidates.of(replace(LOG, columns=columns, label=label), SPLIT, K, L)
        mine, theirs = maker.practice(PROTOCOL), other.practice(PROTOCOL)
        index = torch.arange(len(mine))
        for a, b in zip(*(s.batch(index, NEEDS - {"found"}) for s in (mine, theirs)), strict=True):
            assert a is None or all(map(torch.equal, a, b))

    def test_the_seed_decides(self, maker) -> None:
        def items(seed: int) -> torch.Tensor:
            return maker.practice(replace(PROTOCOL, seed=seed)).table.codes[len(LOG) :, 1]

        assert torch.equal(items(1), items(1))
        assert not torch.equal(items(1), items(2))

    def test_a_train_part_without_clicks(self) -> None:
        label = LOG.label.copy()
        label[SPLIT.train] = 0
        with pytest.raises(DataError, match="the train part has no click"):
            Candidates.of(replace(LOG, label=label), SPLIT, K, L).practice(PROTOCOL)


class Fixed(nn.Module):
    """Logits from the candidate's item and the user's last clicks; few values, so that there are ties."""

    needs = frozenset({"history"})

    def forward(self, sample):
        item = sample.target.codes[:, 1]
        return (((item**2 * 13 + sample.history.codes[..., 1].sum(1)) % 11) - 5).float()


class TestRanking:
    def by_hand(self, asked, i: int, item: int) -> int:
        row = asked.rows[i]
        mine = (LOG.user == LOG.user[row]) & (LOG.label == 1) & (LOG.timestamp < LOG.timestamp[row])
        return (item**2 * 13 + int(LOG.item[mine][-L:].sum())) % 11

    def test_against_counting_one_by_one(self, maker, asked, monkeypatch) -> None:
        monkeypatch.setattr(module, "PAIRS_AT_ONCE", 90)  # two questions at a time
        model = Fixed()
        lists = maker.samples(asked.rows, asked.candidates)
        sampled, full = rank_lists(model, lists, asked, batch=17), rank_all(model, maker, asked, batch=31)
        for i, (user, target) in enumerate(zip(asked.user, asked.target, strict=True)):
            never = set(LOG.item.tolist()) - set(LOG.item[LOG.user == user].tolist())
            own = self.by_hand(asked, i, int(target))
            for ranks, others in ((full, never), (sampled, asked.stored.items[i].tolist())):
                scores = [self.by_hand(asked, i, int(j)) for j in others]
                above, level = sum(s > own for s in scores), scores.count(own)
                assert (ranks.first[i], ranks.last[i]) == (1 + above, 1 + above + level)
        assert list_score(lists, asked, 3)(model) == rank_metrics(sampled, (3,))["NDCG@3"]

    def test_a_network_is_trained_and_ranks(self, maker, asked) -> None:
        torch.manual_seed(0)
        model, train = RIM(maker.table.sizes, width=4, mlp=(8,)), maker.practice(PROTOCOL)
        lists = maker.samples(asked.rows, asked.candidates)
        fit(model, click_loss(train), len(train), epochs=1, score=list_score(lists, asked))
        assert len(rank_all(model, maker, asked.spread(3))) == 3


def test_rows_behind_a_table() -> None:
    log = random_log(0, rows=20)
    table = Table(log, ("item", "age"))
    longer = table.followed_by(np.array([[7, 1], [8, 2]], np.int32), np.array([1, 0], np.int8))
    assert (len(table), len(longer)) == (20, 22)
    rows = torch.tensor([-1, 3, 20, 21])
    assert longer.events(rows).codes.tolist()[2:] == [[7, 1], [8, 2]]
    assert longer.events(rows).label.tolist()[2:] == [1, 0]
    assert torch.equal(longer.events(rows[:2]).codes, table.events(rows[:2]).codes)
    with pytest.raises(ConfigError, match=r"2 labels and 2 fields, but codes \(1, 2\)"):
        table.followed_by(np.array([[7, 1]], np.int32), np.array([1, 0], np.int8))
