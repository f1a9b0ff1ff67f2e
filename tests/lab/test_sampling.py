import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom

from workbench.data.interactions import Interactions
from workbench.data.negatives import draw_negatives
from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.errors import DataError
from workbench.lab.metrics import Ranks
from workbench.lab.sampling import HitRates, counting_models, hit_rates, next_clicks, swapped_pairs


@pytest.fixture(scope="module")
def log() -> Interactions:
    return make_world("small", 0, users=150).interactions


@pytest.fixture(scope="module")
def asked(log):
    return next_clicks(log, global_time_split(log), queries=300, length=5)


def test_each_question_is_a_test_click_with_what_the_user_clicked_before(log, asked):
    """Against a plain walk through the log."""
    start = global_time_split(log).test.start
    clicked: dict[int, list[tuple[int, int]]] = {}
    questions = []
    for row in range(len(log)):
        user, item = int(log.user[row]), int(log.item[row])
        if log.label[row]:
            earlier = clicked.setdefault(user, [])
            before = [other for time, other in earlier if time < log.timestamp[row]]  # not of its own second
            if row >= start and before:
                questions.append((user, item, *(before[-5:] + [0] * 5)[:5]))
            earlier.append((log.timestamp[row], item))
    found = list(zip(asked.user, asked.target, *asked.recent.T, strict=True))
    assert len(found) == 300
    assert set(found) <= set(questions)
    everything = next_clicks(log, global_time_split(log), queries=10**6, length=5)
    assert list(zip(everything.user, everything.target, *everything.recent.T, strict=True)) == questions


def test_candidates_are_what_negatives_are_drawn_from(log, asked):
    for user, out in zip(asked.user[:20], asked.out[:20], strict=True):
        candidates = set(log.item.tolist()) - set(log.item[log.user == user].tolist())
        assert set(np.flatnonzero(~out).tolist()) == candidates
    drawn = draw_negatives(log, asked.user, purpose="test", count=1000)
    assert not np.take_along_axis(asked.out, drawn, axis=1).any()


def test_no_model_sees_the_test_part(log, asked):
    """Labels of the test part may be anything: the fitted scores stay the same."""
    split = global_time_split(log)
    label = log.label.copy()
    label[split.test] = 1 - label[split.test]
    other = Interactions(log.columns, log.vocabularies, log.timestamp, label, log.name)
    fitted, refitted = counting_models(log, split), counting_models(other, split)
    for name in fitted:
        np.testing.assert_array_equal(
            fitted[name].scores(asked.recent), refitted[name].scores(asked.recent), err_msg=name
        )


class Fixed:
    """Scores given beforehand."""

    def __init__(self, scores):
        self.given = scores

    def scores(self, recent):
        return self.given


def test_sampled_hits_are_what_the_full_rank_promises(log, asked):
    """Independent truth: c negatives without replacement put a hypergeometric number above the target."""
    scores = np.random.default_rng(0).normal(size=asked.out.shape)
    scores[np.arange(300), asked.target] += 2
    found = hit_rates(log, asked, {"fixed": Fixed(scores)}, negatives=(20, 99), seeds=range(8), k=5)
    rank, others = found.ranks["fixed"].first, (~asked.out).sum(axis=1)
    for count in (20, 99):
        expected = hypergeom.cdf(4, others, rank - 1, count).mean()
        row = found.table.set_index("negatives").loc[count]
        assert abs(row["HR"] - expected) < 4 * row["sd"] / np.sqrt(8)
    assert found.hits["fixed", None].mean() == (rank <= 5).mean()


def test_a_perfect_model_always_hits_and_chance_does_as_often_as_it_should(log, asked):
    perfect = np.zeros(asked.out.shape)
    perfect[np.arange(300), asked.target] = 1
    models = {"perfect": Fixed(perfect), "blind": Fixed(np.zeros(asked.out.shape))}
    table = hit_rates(log, asked, models, negatives=(20, 99), seeds=range(2)).table.set_index("model")
    assert (table.loc["perfect", "HR"] == 1).all()
    blind = table.loc["blind"]
    np.testing.assert_allclose(blind["HR"].iloc[:2], [10 / 21, 10 / 100])  # ties share their places
    assert blind["sd"].max() < 1e-12
    assert blind["full"].tolist() == [False, False, True]
    assert blind["negatives"].iloc[-1] == (~asked.out).sum(axis=1).mean()


def test_sampling_turns_popularity_and_the_markov_chain_around():
    log = make_world("small", 0).interactions
    split = global_time_split(log)
    asked = next_clicks(log, split, queries=1500)
    models = counting_models(log, split)
    models = {name: models[name] for name in ("popularity", "Markov chain")}
    found = hit_rates(log, asked, models, negatives=(99,), seeds=range(2))
    assert swapped_pairs(found, 99) == [("popularity", "Markov chain")]


def test_swapped_pairs_wants_both_orders_to_be_clear():
    rng = np.random.default_rng(0)
    high, low = rng.random(500) < 0.6, rng.random(500) < 0.3
    near = high.copy()
    near[:2] = ~near[:2]

    def found(sampled_a, sampled_b, full_a, full_b) -> HitRates:
        hits = {("a", 99): sampled_a, ("b", 99): sampled_b, ("a", None): full_a, ("b", None): full_b}
        nowhere = Ranks(np.array([1]), np.array([1]))
        return HitRates(
            pd.DataFrame(),
            {key: hit.astype(float) for key, hit in hits.items()},
            {"a": nowhere, "b": nowhere},
        )

    assert swapped_pairs(found(high, low, low, high), 99) == [("a", "b")]
    assert swapped_pairs(found(high, low, high, low), 99) == []
    assert swapped_pairs(found(high, near, low, high), 99) == []  # too close to call when sampled


def test_a_log_without_a_clock_has_no_recent_popularity(log):
    ordered = Interactions(
        log.columns, log.vocabularies, np.arange(len(log)), log.label, log.name, clock="order"
    )
    split = global_time_split(log)
    assert "recent popularity" in counting_models(log, split)
    assert "recent popularity" not in counting_models(ordered, split)


def test_no_question_is_an_error():
    log = make_world("tiny").interactions
    nothing = Interactions(
        log.columns, log.vocabularies, log.timestamp, np.zeros(len(log), dtype=np.int8), log.name
    )
    with pytest.raises(DataError, match="has no click"):
        next_clicks(nothing, global_time_split(nothing))
    label = np.zeros(len(log), dtype=np.int8)
    label[-1] = 1  # the user's only click
    once = Interactions(log.columns, log.vocabularies, log.timestamp, label, log.name)
    with pytest.raises(DataError, match="click of its user before it"):
        next_clicks(once, global_time_split(once))
