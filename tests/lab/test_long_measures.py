"""What is measured of the levels of a look, beside loops over impressions."""

import numpy as np
import pytest
import torch

from workbench.data.world import make_world
from workbench.lab import lcn_trials
from workbench.lab.long_measures import (
    alike_of,
    attention_of,
    attention_on_kind,
    clicks,
    consistency_of,
    met_before,
    relevance_indicator,
    relevance_of,
    sharpness_of,
)
from workbench.lab.long_samples import LongData
from workbench.methods.long_history import Level, consistency

DATA = LongData.of(make_world("two_domain", 0, users=50).interactions, short=20, long=200)
TOPICS = make_world("two_domain", 0, users=50).items.topic


def model(variant: str = "LAP", **settings: object):
    (trial,) = lcn_trials.trials("lcn_fig5", seeds=[0], variants=[variant], users=50, **settings)
    torch.manual_seed(0)
    return lcn_trials.network(DATA, trial.config).eval()


def few(events: int) -> torch.Tensor:
    index = DATA.parts["test"]
    return index[DATA.events[index] > events]


def test_consistency_is_the_mean_over_rows_with_enough_events() -> None:
    assert consistency_of(model("TWIN"), DATA, 5) == 1.0
    some, index = model(), few(5)
    assert len(index) <= 1000  # all are asked
    sample = DATA.batch(index)
    query = some.life.items(sample.target[:, 0])
    with torch.no_grad():
        scores = [f(some.life, query, sample.long) for f in (some.interest.searched, some.interest.exact)]
    assert consistency_of(some, DATA, 5) == pytest.approx(consistency(*scores, 5).mean().item(), abs=1e-6)
    assert np.isnan(consistency_of(some, DATA, 10_000))


@pytest.mark.parametrize("weights", ["literal", "softmax"])
def test_sharpness_compares_the_largest_weight_with_the_mean(weights: str) -> None:
    some, ratios = model(weights=weights), []
    for row in few(1):
        with torch.no_grad():
            complete = some(DATA.batch(row[None]), return_levels=True)[1][0]
        sizes = complete.weights[0].abs()
        ratios.append(float(sizes.max() / sizes.mean()))
    found = sharpness_of(some, DATA)
    assert found["sharpness complete"] == pytest.approx(np.mean(ratios), rel=1e-4)
    assert set(found) == {"sharpness complete", "sharpness median", "sharpness focused"}
    assert all(value >= 1 for value in found.values())


def test_alike_counts_events_of_the_candidates_topic_at_each_level() -> None:
    some, shares = model(), {"all": [], "focused": []}
    for row in few(1):
        sample = DATA.batch(row[None])
        with torch.no_grad():
            levels = some(sample, return_levels=True)[1]
        same = TOPICS[sample.long.item[0]] == TOPICS[sample.target[0, 0]]
        shares["all"].append(same.mean())
        shares["focused"].append(same[levels[-1].place[0]].mean())
    found = alike_of(some, DATA, TOPICS)
    for name, mine in shares.items():
        assert found[f"alike {name}"] == pytest.approx(np.mean(mine), abs=1e-6)
    assert found["alike all"] == pytest.approx(found["alike complete"])
    assert alike_of(some, DATA, np.full(len(TOPICS), -1)) == {}, "nothing where no kind is known"


def test_a_search_by_topic_finds_its_like() -> None:
    """Embeddings that are topics: every survivor is alike, as long as there are enough."""
    some = model()
    with torch.no_grad():
        table = torch.nn.functional.one_hot(torch.from_numpy(np.maximum(TOPICS, 0)).long(), 16).float()
        some.life.item.copy_(table)
    found = alike_of(some, DATA, TOPICS)
    enough = []
    for row in few(1):
        sample = DATA.batch(row[None])
        count = int((TOPICS[sample.long.item[0]] == TOPICS[sample.target[0, 0]]).sum())
        reach = min(20, sample.long.item.shape[1])
        enough.append(min(count, reach) / reach)
    assert found["alike median"] == pytest.approx(np.mean(enough), abs=1e-6)


def test_clicks_are_scored_in_any_order() -> None:
    some, part = model(), DATA.parts["test"]
    assert clicks(some, DATA, part) == pytest.approx(clicks(some, DATA, part.flip(0)))


def test_items_met_before_were_clicked_in_training() -> None:
    train = DATA.parts["train"]
    clicked = {int(DATA.target[i, 0]) for i in train if DATA.label[i]}
    met = met_before(DATA)
    assert 0 < len(met) < len(DATA.parts["test"])
    assert {int(i) for i in DATA.parts["test"] if int(DATA.target[i, 0]) in clicked} == set(met.tolist())


def test_attention_goes_back_to_the_places_of_events() -> None:
    """Two heads over three places of five: the mean of both, adding up to 1; nothing found is zero."""
    place = torch.tensor([[4, 0, 2], [1, 3, 0]])
    weights = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    found = attention_of([Level("other", place[:, :1], torch.ones(2, 1)), Level("exact", place, weights)], 5)
    assert torch.allclose(found, torch.tensor([[0.5, 0, 0.2, 0, 0.3], [0.0, 0, 0, 0, 0]]))
    shares = attention_of([Level("buckets", torch.arange(2)[None], torch.tensor([[0.5, 1.5]]))], 2)
    assert torch.allclose(shares, torch.tensor([[0.25, 0.75]]))


def test_the_relevance_indicator_by_hand() -> None:
    """Two of three events are there: a = (.75, .25), w = (1, 0), a hundredth of uniform weights mixed in."""
    there = torch.tensor([[True, True, False]])
    reference, weights = torch.tensor([[0.75, 0.25, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    by_hand = -(0.75 * np.log(0.99 + 0.005) + 0.25 * np.log(0.005))
    assert relevance_indicator(reference, weights, there).item() == pytest.approx(by_hand, rel=1e-5)
    uniform = there / 2
    assert relevance_indicator(reference, uniform, there).item() == pytest.approx(np.log(2))
    own = relevance_indicator(reference, reference, there, smoothing=0.0).item()
    assert own == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    nothing = relevance_indicator(reference, torch.zeros(1, 3), there).item()
    assert nothing == pytest.approx(np.log(2)), "who found nothing prefers nobody"
    for other in (weights, uniform, torch.tensor([[0.25, 0.75, 0.0]])):
        assert relevance_indicator(reference, other, there).item() > own


def test_relevance_and_attention_on_a_kind_are_means_over_impressions() -> None:
    some, other = model("SIM soft"), model("TWIN")
    scores, on_kind, share = [], [], []
    for row in few(1):
        sample = DATA.batch(row[None])
        with torch.no_grad():
            levels, wanted = (one(sample, return_levels=True)[1] for one in (some, other))
        length, there = sample.long.item.shape[1], sample.long.there
        mine = attention_of(levels, length)
        scores.append(relevance_indicator(attention_of(wanted, length), mine, there).item())
        same = torch.from_numpy(TOPICS)[sample.long.item] == TOPICS[sample.target[0, 0]]
        on_kind.append((mine * (same & there)).sum().item())
        share.append((same & there).sum().item() / there.sum().item())
    # of two events with one item a search in a batch may take the other one
    assert relevance_of(some, other, DATA)["RI"] == pytest.approx(np.mean(scores), rel=2e-3)
    found = attention_on_kind(some, DATA, TOPICS)
    assert found == pytest.approx({"on kind": np.mean(on_kind), "kind's share": np.mean(share)}, rel=1e-4)
    assert attention_on_kind(some, DATA, np.full(len(TOPICS), -1)) == {}
