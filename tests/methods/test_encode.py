"""ENCODE against loops, its two extremes, and what must not move."""

import math

import pytest
import torch
from torch.nn import functional

from workbench.errors import ConfigError
from workbench.methods.clustering import ClusterConfig, centres, cluster
from workbench.methods.encode import (
    LOSSES,
    RANGES,
    Encode,
    EncodeConfig,
    Interests,
    Likeness,
    Triplets,
    attend,
    auxiliary_loss,
    distance,
    draw,
    extract,
    similarity,
    training_loss,
    within,
)
from workbench.methods.long_history import Behaviours, Life, LongHistory, LongSample, Sizes

WIDTH, CONTEXT = 8, (5, 7)


def life(items: int = 60) -> Life:
    torch.manual_seed(0)
    return Life(items, CONTEXT, WIDTH, 0.5)


def events(*lengths: int) -> Behaviours:
    generator = torch.Generator().manual_seed(0)
    item = torch.stack([torch.randperm(59, generator=generator)[: max(lengths)] + 1 for _ in lengths])
    item = item * (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])
    return Behaviours(item, torch.stack([item % 4 + 1, item % 6 + 1], -1) * (item > 0).unsqueeze(-1))


def made(**knobs: object) -> tuple[Life, Encode]:
    where = life()
    torch.manual_seed(1)
    clusters = {name: knobs.pop(name) for name in ("clusters", "algorithm") if name in knobs}
    return where, Encode(where, EncodeConfig(clusters=ClusterConfig(**clusters), **knobs))


def queries(count: int) -> torch.Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(2))


# --- the metric -------------------------------------------------------------------------------------------


def test_distance_and_similarity_by_hand() -> None:
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 1.0])
    assert distance(a, b).item() == pytest.approx(1 - 1 / math.sqrt(2))
    assert distance(a, -5 * a).item() == pytest.approx(2)
    assert similarity(a, b, EncodeConfig()).item() == pytest.approx(20 / math.sqrt(2))
    literal = similarity(a, b, EncodeConfig(beta_divides=True)).item()
    assert literal == pytest.approx(1 / math.sqrt(2) / 20)
    assert similarity(a, b, EncodeConfig(metric="dot")).item() == pytest.approx(3 / math.sqrt(2))
    assert distance(torch.zeros(2), a).item() == 1


def test_literally_beta_leaves_all_weights_alike() -> None:
    """Ambiguity E1: no weight differs from another by more than e^(2/20)."""
    query, interests = queries(5), Interests(torch.randn(5, 30, WIDTH), torch.ones(5, 30, dtype=torch.bool))
    _, weights = attend(query, interests, EncodeConfig(beta_divides=True))
    assert (weights.amax(1) / weights.amin(1)).max() < math.exp(0.1)
    _, weights = attend(query, interests, EncodeConfig())
    assert (weights.amax(1) / weights.amin(1)).min() > 100


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_online_and_offline_use_one_metric(metric: str) -> None:
    """The weights of Eq. 8 and of Eq. 10 are softmaxes of the same function."""
    config = EncodeConfig(metric=metric, reduced=WIDTH, clusters=ClusterConfig(1))
    vectors, label = torch.randn(3, 20, WIDTH), torch.zeros(3, 20, dtype=torch.int64)
    centre = centres(vectors, label, 1)[:, 0]
    offline = within(vectors, label, config)
    _, online = attend(centre, Interests(vectors, label == 0), config)
    by_hand = similarity(vectors, centre.unsqueeze(1), config).softmax(1)
    assert torch.allclose(offline, online, atol=1e-6)
    assert torch.allclose(offline, by_hand, atol=1e-6)


# --- offline ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_interests_are_what_a_loop_over_clusters_gives(metric: str) -> None:
    where, look = made(clusters=4, metric=metric, reduced=3)
    long = events(20, 9, 2)
    offline, label, inside = look.offline(where, long)
    for row, length in enumerate((20, 9, 2)):
        s = where.item[long.item[row, :length]]
        h = s @ look.reduction.weight
        for k in range(4):
            mine = (label[row, :length] == k).nonzero().squeeze(1)
            assert bool(offline.there[row, k]) == (len(mine) > 0)
            if not len(mine):
                assert not offline.vector[row, k].any()
                continue
            centre = functional.normalize(functional.normalize(h[mine], dim=1).mean(0), dim=0)
            if metric == "dot":
                score = h[mine] @ centre / math.sqrt(3)
            else:
                score = 20 * functional.cosine_similarity(h[mine], centre.unsqueeze(0))
            weight = score.softmax(0)
            assert torch.allclose(inside[row, mine], weight, atol=1e-5)
            assert torch.allclose(offline.vector[row, k], weight @ s[mine], atol=1e-5)


@pytest.mark.parametrize("algorithm", ["kmeans", "agglomerative", "routing", "random"])
def test_weights_of_every_cluster_sum_to_one_and_empty_ones_give_no_nan(algorithm: str) -> None:
    where, look = made(clusters=12, algorithm=algorithm)
    long = events(40, 12, 5, 1, 0)
    offline, label, inside = look.offline(where, long)
    total = torch.zeros(5, 13).scatter_add(1, label % 13, inside)
    assert torch.allclose(total[:, :-1], offline.there.float(), atol=1e-5)
    assert not total[:, -1].any(), "padding has no weight"
    assert not offline.vector.isnan().any()
    vector, (level,) = look(where, queries(5), long)
    assert not vector.isnan().any()
    assert torch.allclose(level.weights.sum(1), torch.tensor([1.0, 1, 1, 1, 0]), atol=1e-5)
    assert not vector[4].any()
    vector.sum().backward()
    for parameter in (where.item, look.reduction.weight):
        assert not parameter.grad.isnan().any()


def test_the_events_weights_times_the_events_are_the_vector() -> None:
    """What the Relevance Indicator compares is really what is read."""
    where, look = made(clusters=4)
    long, query = events(30, 9), queries(2)
    vector, (level,) = look(where, query, long)
    assert torch.allclose(where.pooled(level.weights, long.item), vector, atol=1e-5)


def test_interests_follow_the_clusters_they_are_given() -> None:
    where, look = made(clusters=3)
    long = events(12, 7)
    given = long._replace(cluster=torch.arange(12).remainder(3).expand(2, -1).where(long.there, -1))
    _, label, _ = look.offline(where, given)
    assert torch.equal(label, given.cluster)
    found = look.offline(where, long)[1]
    again = look(where, queries(2), long._replace(cluster=found))[0]
    assert torch.equal(again, look(where, queries(2), long)[0])


def test_no_gradient_goes_through_the_centres() -> None:
    """Ambiguity E5: of one member's weight, only its own vector is asked."""
    h = torch.randn(1, 2, 3, requires_grad=True)
    config = EncodeConfig(clusters=ClusterConfig(1))
    within(h, torch.zeros(1, 2, dtype=torch.int64), config)[0, 0].backward()
    by_hand = h.detach().clone().requires_grad_()
    fixed = centres(h.detach(), torch.zeros(1, 2, dtype=torch.int64), 1)
    similarity(by_hand, fixed, config).softmax(1)[0, 0].backward()
    assert torch.allclose(h.grad, by_hand.grad, atol=1e-6)


# --- online: the two extremes that the paper names (Section 3.3) ------------------------------------------


def test_with_as_many_clusters_as_events_it_is_target_attention() -> None:
    """Claim E26: each event is its own interest, so Eq. 10 is target attention over all events."""
    where, look = made(clusters=20)
    long, query = events(20, 9, 2), queries(3)
    vector, (level,) = look(where, query, long)
    scores = Likeness(where, look.config).over(where, query, long)
    weights = scores.softmax(1)
    assert torch.allclose(level.weights, weights, atol=1e-5)
    assert torch.allclose(vector, where.pooled(weights, long.item), atol=1e-5)


def test_with_one_cluster_the_candidate_changes_nothing() -> None:
    where, look = made(clusters=1)
    long = events(20, 9, 2)
    first, second = look(where, queries(3), long)[0], look(where, -queries(3), long)[0]
    assert torch.allclose(first, second, atol=1e-6)
    where, look = made(clusters=1, beta_divides=True, beta=1e9)  # no preference inside the cluster
    mean = torch.stack([where.item[row[row > 0]].mean(0) for row in long.item])
    assert torch.allclose(look(where, queries(3), long)[0], mean, atol=1e-5)


def test_between_the_extremes_the_candidate_does_change_it() -> None:
    where, look = made(clusters=4)
    long = events(20, 9)
    assert (look(where, queries(2), long)[0] - look(where, -queries(2), long)[0]).abs().amax(1).min() > 0.01


def test_one_users_row_serves_all_candidates() -> None:
    where, look = made(clusters=4)
    one, query = events(20), queries(5)
    repeated = Behaviours(one.item.expand(5, -1), one.context.expand(5, -1, -1))
    for ours, theirs in zip(look(where, query, one)[1], look(where, query, repeated)[1], strict=True):
        assert torch.allclose(ours.weights, theirs.weights, atol=1e-6)
    assert torch.allclose(look(where, query, one)[0], look(where, query, repeated)[0], atol=1e-6)
    offline = look.offline(where, one)[0]
    assert torch.allclose(look.online(query, offline), look(where, query, one)[0], atol=1e-6)


# --- the loss aside ---------------------------------------------------------------------------------------


def test_triplets_by_hand() -> None:
    """s: an anchor along x, a near other at 45 degrees and a far one along y."""
    items = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    drawn = Triplets(torch.tensor([1]), torch.tensor([[3, 2]]))  # the far one first
    keep = torch.eye(2)
    gap = 1 / math.sqrt(2)  # of distances 1 and 1 - 1 / sqrt(2)
    kept = {"dynamic": 0.0, "fixed": 0.0, "n-pair": math.log(1 + math.exp(0 - 1))}
    for loss, by_hand in kept.items():
        found = auxiliary_loss(items, keep, drawn, EncodeConfig(loss=loss)).item()
        assert found == pytest.approx(by_hand, abs=1e-6)
    wide = EncodeConfig(loss="fixed", margin=1.0)
    assert auxiliary_loss(items, keep, drawn, wide).item() == pytest.approx(1 - gap)
    # h: the anchor stays, the near one goes to (1, 3), the far one to (2, 1) / sqrt(5), which is now nearer
    swap = torch.tensor([[1.0, 0.0], [2.0, 1.0]])
    near, far = 1 - 3 / math.sqrt(10), 1 - 2 / math.sqrt(5)
    h = items @ swap
    assert (distance(h[1], h[2]).item(), distance(h[1], h[3]).item()) == pytest.approx((near, far))
    by_hand = max(0.0, near - far + gap)
    assert by_hand > 0.6
    assert auxiliary_loss(items, swap, drawn, EncodeConfig()).item() == pytest.approx(by_hand)
    pair = Triplets(torch.tensor([1]), torch.tensor([[3]]))
    line = torch.tensor([[1.0], [1.0]])  # in one dimension all distances are 0 or 2
    assert auxiliary_loss(items, line, pair, EncodeConfig(loss="mse")).item() == pytest.approx(1.0)


def test_the_dynamic_margin_asks_for_no_more_than_there_is() -> None:
    """Eq. 7: a projection that keeps all distances has no loss; a fixed margin blames it for near pairs."""
    items = torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(3))
    drawn = Triplets(
        torch.arange(40), torch.randint(0, 50, (40, 2), generator=torch.Generator().manual_seed(4))
    )
    rotation = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(5)))[0]
    assert auxiliary_loss(items, rotation, drawn, EncodeConfig(loss="dynamic")) < 1e-6
    assert auxiliary_loss(items, rotation, drawn, EncodeConfig(loss="mse")) < 1e-6
    assert auxiliary_loss(items, rotation, drawn, EncodeConfig(loss="fixed")) > 0.01


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "none"])
def test_the_loss_aside_trains_the_projection_and_nothing_else(loss: str) -> None:
    where, look = made(loss=loss)
    torch.manual_seed(0)
    look.aside(where, events(30, 9)).backward()
    assert look.reduction.weight.grad.abs().sum() > 0
    assert where.item.grad is None or not where.item.grad.any()


def test_learning_keeps_the_order_of_distances_better_than_chance_did() -> None:
    where, look = made(reduced=3)
    torch.manual_seed(0)
    long = events(50, 50, 50)
    before = _kept(where, look)
    optimizer = torch.optim.Adam(look.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        look.aside(where, long).backward()
        optimizer.step()
    assert _kept(where, look) > before + 0.05


def _kept(where: Life, look: Encode) -> float:
    generator = torch.Generator().manual_seed(9)
    i, j, k = torch.randint(1, 60, (3, 4000), generator=generator)
    s, h = where.item.detach(), (where.item @ look.reduction.weight).detach()
    nearer = distance(s[i], s[j]) < distance(s[i], s[k])
    return ((distance(h[i], h[j]) < distance(h[i], h[k])) == nearer)[j != k].float().mean().item()


@pytest.mark.parametrize("sampling", RANGES)
def test_others_come_from_where_the_strategy_says(sampling: str) -> None:
    long = events(30, 9, 2, 1, 0)
    torch.manual_seed(0)
    anchor, others = draw(long, EncodeConfig(sampling=sampling, anchors=500))
    assert anchor.shape == (500,)
    assert others.shape == (500, 2)
    assert (others > 0).all()
    places = [{int(code): at for at, code in enumerate(row[row > 0])} for row in long.item]
    found = 0
    for a, pair in zip(anchor.tolist(), others.tolist(), strict=True):
        rows = [row for row, known in enumerate(places) if a in known]
        if sampling == "neighbours":
            fits = [
                abs(places[row][a] - places[row][z]) == 1 for row in rows for z in pair if z in places[row]
            ]
            assert any(fits)
            found += all(fits)
        elif sampling == "sequence":
            assert any(all(z in places[row] and z != a for z in pair) for row in rows)
        else:
            found += all(any(z in known for r, known in enumerate(places) if r not in rows) for z in pair)
    if sampling == "batch":
        assert found > 200, "many items are in several rows, so only some draws can be told"
    if sampling == "neighbours":
        assert found > 400


def test_nobody_with_enough_events_gives_no_loss() -> None:
    where, look = made()
    loss = look.aside(where, events(1, 0))
    assert loss.item() == 0
    loss.backward()
    for sampling in RANGES:
        assert len(draw(events(1, 0), EncodeConfig(sampling=sampling)).anchor) == 0


def test_n_pair_takes_the_nearest_of_all_and_the_others_as_negatives() -> None:
    """Eq. 12 with six others, by a loop."""
    items = torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(3))
    weight = torch.randn(WIDTH, 4, generator=torch.Generator().manual_seed(6))
    drawn = Triplets(torch.arange(10), torch.arange(10, 46)[torch.arange(60) % 36].reshape(10, 6))
    total = 0.0
    for a, others in zip(drawn.anchor, drawn.others, strict=True):
        p = min(others.tolist(), key=lambda z: distance(items[a], items[z]).item())
        h = items @ weight
        terms = [math.exp((h[a] @ h[z] - h[a] @ h[p]).item()) for z in others.tolist() if z != p]
        total += math.log(1 + sum(terms)) / 10
    found = auxiliary_loss(items, weight, drawn, EncodeConfig(loss="n-pair"))
    assert found.item() == pytest.approx(total, rel=1e-4)


# --- in the network ---------------------------------------------------------------------------------------


def network(**knobs: object) -> tuple[LongHistory, LongSample, torch.Tensor]:
    torch.manual_seed(1)
    config = EncodeConfig(clusters=ClusterConfig(4), **knobs)
    sizes = Sizes(60, (3,), (5,), CONTEXT)
    model = LongHistory(
        sizes, lambda life: Encode(life, config), width=WIDTH, hidden=(8,), domains=1, std=0.5
    )
    target = torch.stack([torch.arange(1, 7), torch.arange(6) % 4 + 1], 1)
    sample = LongSample(
        torch.arange(6), torch.ones(6, 1, dtype=torch.int64), target, events(*[5] * 6), None,
        events(20, 9, 2, 20, 9, 0),
    )  # fmt: skip
    return model.eval(), sample, torch.tensor([0, 1, 0, 1, 1, 0])


def test_the_training_loss_is_clicks_plus_a_tenth_of_the_loss_aside() -> None:
    model, sample, label = network()
    torch.manual_seed(4)
    found = training_loss(model, sample, label)
    torch.manual_seed(4)
    drawn = draw(sample.long, model.interest.config)
    aside = auxiliary_loss(model.life.item, model.interest.reduction.weight, drawn, model.interest.config)
    clicks = functional.binary_cross_entropy_with_logits(model(sample), label.float())
    assert found.item() == pytest.approx((clicks + 0.1 * aside).item(), rel=1e-5)
    assert aside > 0


def test_sequences_that_are_shared_are_read_once_with_the_same_answers() -> None:
    model, sample, _ = network()
    row = torch.tensor([0, 1, 2, 0, 1, 3])
    first = torch.tensor([0, 1, 2, 5])
    once = Behaviours(sample.long.item[first], sample.long.context[first])
    repeated = Behaviours(once.item[row], once.context[row])
    together = model(sample._replace(long=once, row=row))
    assert torch.allclose(together, model(sample._replace(long=repeated)), atol=1e-5)


def test_extract_of_nothing_is_nothing() -> None:
    where = life()
    nothing = torch.zeros(2, 3, dtype=torch.int64)
    found = extract(where.item, nothing, torch.zeros(2, 3), torch.full((2, 3), -1), 4)
    assert not found.vector.any()
    assert not found.there.any()
    assert cluster(torch.zeros(2, 3, 4), nothing > 0).tolist() == [[-1] * 3] * 2


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"reduced": 0}, "reduced must be a whole number from 1"),
        ({"metric": "euclid"}, "unknown metric 'euclid'; known: cosine, dot"),
        ({"loss": "hinge"}, "unknown loss"),
        ({"sampling": "user"}, "unknown sampling"),
        ({"beta": 0}, "beta is above 0"),
        ({"beta": math.inf}, "beta is a number from 0"),
        ({"weight": -0.1}, "weight is a number from 0"),
        ({"margin": "wide"}, "margin is a number from 0"),
        ({"negatives": 0}, "negatives"),
        ({"anchors": True}, "anchors"),
        ({"loss": "mse", "sampling": "neighbours"}, "a behaviour has two neighbours"),
    ],
)
def test_settings_that_make_no_sense(knobs: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        EncodeConfig(**knobs)
