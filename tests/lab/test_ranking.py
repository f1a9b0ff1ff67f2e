"""The top-N protocol: who is asked what, nothing from later, and ranks against counting one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from logs import random_log

from workbench.baselines.next_item import FPMC, GRU4Rec
from workbench.data.histories import Histories
from workbench.data.splits import global_time_split
from workbench.errors import ConfigError, DataError
from workbench.lab.metrics import rank_metrics
from workbench.lab.ranking import (
    Ranked,
    TopN,
    all_items,
    ask,
    joined,
    measured,
    rank,
    rank_score,
    sequence_loss,
    training_sequences,
)
from workbench.lab.sampling import next_clicks
from workbench.lab.training import fit

LOG = random_log(2, rows=300, users=8, items=60)
SPLIT = global_time_split(LOG)
PROTOCOL = TopN(targets=None, length=4, negatives=9)
ITEMS = LOG.size("item")


@pytest.fixture(scope="module")
def asked():
    return ask(LOG, SPLIT.rows("test"), "test", PROTOCOL)


class TestQuestions:
    def test_every_test_click_with_earlier_clicks_and_no_other(self, asked) -> None:
        """Against a plain walk; several events of a user share a second in this log."""
        expected, alone = [], 0
        for row in SPLIT.rows("test"):
            if not LOG.label[row]:
                continue
            before = [
                int(LOG.item[r])
                for r in range(len(LOG))
                if LOG.user[r] == LOG.user[row] and LOG.label[r] and LOG.timestamp[r] < LOG.timestamp[row]
            ]
            alone += not before
            if before:
                expected.append((row, LOG.user[row], LOG.item[row], (before[-4:] + [0] * 4)[:4]))
        found = zip(asked.rows, asked.user, asked.target, asked.history.tolist(), strict=True)
        assert list(found) == expected
        assert (asked.clicks, asked.alone) == (len(expected) + alone, alone)

    def test_the_same_questions_as_the_lesson_about_sampling(self, asked) -> None:
        other = next_clicks(LOG, SPLIT, queries=10**6, length=4)
        for name, theirs in (("user", other.user), ("target", other.target), ("history", other.recent)):
            np.testing.assert_array_equal(getattr(asked, name), theirs)
        out = np.zeros_like(other.out)
        offsets, items = asked.out
        out[np.repeat(np.arange(len(asked)), np.diff(offsets)), items] = True
        np.testing.assert_array_equal(out[:, 1:], other.out[:, 1:])

    def test_negatives_are_items_the_user_never_met(self, asked) -> None:
        assert (asked.candidates[:, 0] == asked.target).all()
        assert (asked.candidates[:, 1:] == asked.stored.items).all()
        for user, negatives in zip(asked.user, asked.stored.items, strict=True):
            assert not set(negatives.tolist()) & set(LOG.item[LOG.user == user].tolist())
            assert set(negatives.tolist()) <= set(LOG.item.tolist())
            assert len(set(negatives.tolist())) == 9
        again = ask(LOG, SPLIT.rows("test"), "test", PROTOCOL)
        assert (again.stored.items == asked.stored.items).all()
        for other in (
            ask(LOG, SPLIT.rows("test"), "validation", PROTOCOL),
            ask(LOG, SPLIT.rows("test"), "test", replace(PROTOCOL, seed=1)),
        ):
            assert (other.stored.items != asked.stored.items).any()

    def test_targets_are_drawn_by_the_seed_and_stay_in_order(self, asked) -> None:
        some = ask(LOG, SPLIT.rows("test"), "test", replace(PROTOCOL, targets=7))
        assert len(some) == 7
        assert (np.diff(some.rows) > 0).all()
        assert np.isin(some.rows, asked.rows).all()
        assert some.clicks == asked.clicks
        other = ask(LOG, SPLIT.rows("test"), "test", replace(PROTOCOL, targets=7, seed=3))
        assert (other.rows != some.rows).any()

    def test_some_of_them(self, asked) -> None:
        places = np.array([1, 4, 5, 9])
        some = asked.some(places)
        assert (some.candidates == asked.candidates[places]).all()
        assert (some.history == asked.history[places]).all()
        for i, place in enumerate(places):
            mine, whole = (
                set(q.out[1][q.out[0][at] : q.out[0][at + 1]].tolist())
                for q, at in ((some, i), (asked, place))
            )
            assert mine == whole
        spread = asked.spread(5)
        assert len(spread) == 5
        assert (spread.rows[0], spread.rows[-1]) == (asked.rows[0], asked.rows[-1])
        assert len(asked.spread(10**6)) == len(asked)

    def test_labels_of_the_target_s_second_and_later_do_not_matter(self, asked) -> None:
        for i in range(0, len(asked), 5):
            now = LOG.timestamp[asked.rows[i]]
            label = np.where(LOG.timestamp >= now, 1 - LOG.label, LOG.label).astype(np.int8)
            label[asked.rows[i]] = 1
            other = ask(replace(LOG, label=label), asked.rows[i : i + 1], "test", PROTOCOL)
            assert other.history.tolist() == [asked.history[i].tolist()]

    def test_what_cannot_be_asked_is_refused(self, monkeypatch) -> None:
        silent = replace(LOG, label=np.zeros_like(LOG.label))
        with pytest.raises(DataError, match="none of the 0 clicks has an earlier click"):
            ask(silent, SPLIT.rows("test"), "test", PROTOCOL)
        with pytest.raises(DataError, match="rows 0 to 299"):
            ask(LOG, np.array([300]), "test", PROTOCOL)
        with pytest.raises(DataError, match=r"only .* can be negatives"):
            ask(LOG, SPLIT.rows("test"), "test", replace(PROTOCOL, negatives=60))
        with pytest.raises(ConfigError, match="unknown purpose of negatives 'exam'"):
            ask(LOG, SPLIT.rows("test"), "exam", PROTOCOL)
        with pytest.raises(ConfigError, match="at least one question"):
            ask(LOG, SPLIT.rows("test"), "test", PROTOCOL).spread(0)
        monkeypatch.setattr(Histories, "strictly_before", Histories.before)  # also of the same second
        with pytest.raises(DataError, match="leak: a click of the history"):
            ask(LOG, SPLIT.rows("test"), "test", PROTOCOL)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("targets", 0), ("length", 0), ("negatives", 0), ("train_negatives", 0), ("seed", -1)),
            *(("negatives", 9.5), ("length", True), ("length", None)),
        ],
    )
    def test_a_protocol_that_makes_no_sense_is_refused(self, name: str, value: object) -> None:
        with pytest.raises(ConfigError, match=f"{name} must be a whole number from [01], not {value}"):
            TopN(**{name: value})


class TestTrainingSequences:
    @pytest.mark.parametrize("length", [1, 3, 50])
    def test_each_click_but_a_user_s_first_is_a_target_once(self, length: int) -> None:
        user, sequences = training_sequences(LOG, 200, length)
        assert sequences.shape == (len(user), length + 1)
        steps = [
            (int(u), int(a), int(b))
            for u, line in zip(user, sequences, strict=True)
            for a, b in pairwise(line)
            if b > 0
        ]
        expected = []
        for who in np.unique(LOG.user[:200]):
            mine = LOG.item[:200][(LOG.user[:200] == who) & (LOG.label[:200] == 1)].tolist()
            expected += [(who, a, b) for a, b in pairwise(mine)]
        assert steps == expected
        assert ((sequences[:, 1:] == 0) >= (sequences[:, :-1] == 0)).all(), "padding is on the right"

    def test_nothing_from_the_given_row_on(self) -> None:
        item, label = LOG.item.copy(), LOG.label.copy()
        item[200:], label[200:] = 1, 1
        other = replace(LOG, columns={**LOG.columns, "item": item}, label=label)
        for mine, theirs in zip(
            training_sequences(LOG, 200, 5), training_sequences(other, 200, 5), strict=True
        ):
            assert torch.equal(mine, theirs)

    def test_refusals(self) -> None:
        with pytest.raises(ConfigError, match="at least one event, not 0"):
            training_sequences(LOG, 200, 0)
        with pytest.raises(DataError, match="nobody clicked twice in the first 2 rows"):
            training_sequences(LOG, 2, 5)


class TestRanking:
    def scores(self, user: np.ndarray, history: np.ndarray) -> np.ndarray:
        """Few different values, so that there are ties, and other ones for each question."""
        start = history.sum(axis=1) * 31 + user * 7
        return ((start[:, None] + np.arange(ITEMS) ** 2 * 13) % 11).astype(float)

    def test_against_counting_one_by_one(self, asked) -> None:
        found = rank(self.scores, asked, batch=7)
        every = self.scores(asked.user, asked.history)
        for i, (user, target) in enumerate(zip(asked.user, asked.target, strict=True)):
            never = set(LOG.item.tolist()) - set(LOG.item[LOG.user == user].tolist())
            for ranks, others in ((found.full, never), (found.sampled, asked.stored.items[i].tolist())):
                above = sum(every[i, j] > every[i, target] for j in others)
                level = sum(every[i, j] == every[i, target] for j in others)
                assert (ranks.first[i], ranks.last[i]) == (1 + above, 1 + above + level)

    def test_the_batch_does_not_matter_and_parts_join(self, asked) -> None:
        whole = rank(self.scores, asked, batch=10**6)
        parts = [rank(self.scores, asked.some(p)) for p in np.array_split(np.arange(len(asked)), 3)]
        for name in Ranked._fields:
            ours, theirs = joined([getattr(p, name) for p in parts]), getattr(whole, name)
            np.testing.assert_array_equal(ours.first, theirs.first)
            np.testing.assert_array_equal(ours.last, theirs.last)

    def test_batches_hold_every_question_once_with_like_lengths(self, asked) -> None:
        history = asked.history.copy()
        history[::2, 1:] = 0
        asked = replace(asked, history=history)
        parts = list(asked.batches(7))
        assert sorted(np.concatenate([places for places, _ in parts]).tolist()) == list(range(len(asked)))
        longest = [part.history.shape[1] for _, part in parts]
        assert longest == sorted(longest)
        assert longest[0] == 1 < longest[-1]
        for places, part in parts:
            np.testing.assert_array_equal(part.target, asked.target[places])
            assert part.history.sum() == asked.history[places].sum()  # nothing is cut off
            assert part.history[:, -1].any()

    def test_who_knows_the_answer_is_first_and_who_knows_nothing_guesses(self, asked) -> None:
        def knows(user: np.ndarray, history: np.ndarray) -> np.ndarray:
            ((_, sorted_by_length),) = asked.batches(10**6)
            return np.eye(ITEMS)[sorted_by_length.target]

        best = measured(rank(knows, asked, batch=10**6))
        assert set(best.values()) == {1.0}
        assert {"HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10", "MRR"} <= set(best)
        assert {f"full {name}" for name in best if not name.startswith("full")} <= set(best)
        guess = measured(rank(lambda user, history: np.zeros((len(user), ITEMS)), asked))
        assert guess["HR@5"] == pytest.approx(5 / 10)
        others = [len(np.unique(LOG.item)) - len(np.unique(LOG.item[LOG.user == u])) for u in asked.user]
        assert guess["full HR@5"] == pytest.approx(np.mean(5 / (np.array(others) + 1)))

    def test_networks_are_scored_in_evaluation_mode_and_left_as_they_were(self, asked) -> None:
        torch.manual_seed(0)
        model = GRU4Rec(LOG.size("user"), ITEMS, width=4, hidden=4, dropout=0.9).train()
        first, again = (rank(all_items(model), asked).full.first for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert model.training

    def test_the_score_of_a_fit_is_the_ndcg_of_its_ranking(self, asked) -> None:
        torch.manual_seed(0)
        model = FPMC(LOG.size("user"), ITEMS, width=4).eval()
        with torch.no_grad():
            value = rank_score(asked, "NDCG@3", batch=7)(model)
        assert value == pytest.approx(rank_metrics(rank(all_items(model), asked).sampled, (3,))["NDCG@3"])


def test_from_log_to_numbers(asked) -> None:
    """Fitting is better than not fitting on what was fitted, and the same seed gives the same numbers."""
    user, sequences = training_sequences(LOG, len(LOG), 4)
    found = []
    for epochs in (1, 40, 40):
        torch.manual_seed(0)
        model = FPMC(LOG.size("user"), ITEMS, width=8)
        how = {"score": rank_score(asked), "patience": 40}
        fit(model, sequence_loss(user, sequences), len(user), epochs=epochs, batch=16, lr=0.03, **how)
        found.append(measured(rank(all_items(model), asked)))
    assert found[1] == found[2]
    assert found[1]["NDCG@10"] > found[0]["NDCG@10"] + 0.1
