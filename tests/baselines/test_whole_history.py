"""The looks that ENCODE is compared with, against loops, and what they have in common."""

import pytest
import torch
from torch.nn import functional

from workbench.baselines.whole_history import (
    LOOKS,
    MIMN,
    UBR4CTR,
    AvgPooling,
    ByCategory,
    ByOneMetric,
    ByReduction,
    DINLong,
)
from workbench.errors import ConfigError
from workbench.methods.encode import EncodeConfig, distance
from workbench.methods.long_history import Behaviours, Life, LongHistory, LongSample, Sizes

WIDTH, CONTEXT, ITEMS = 8, (5, 7), 60
CONFIG = EncodeConfig()
FIELDS = torch.stack([torch.arange(ITEMS), torch.arange(ITEMS) % 4 + 1, torch.arange(ITEMS) % 3 + 1], 1)
FIELDS[0] = 0
every = pytest.mark.parametrize("name", sorted(LOOKS))


def life() -> Life:
    torch.manual_seed(0)
    return Life(ITEMS, CONTEXT, WIDTH, 0.5)


def events(*lengths: int) -> Behaviours:
    generator = torch.Generator().manual_seed(0)
    item = torch.stack([torch.randperm(59, generator=generator)[: max(lengths)] + 1 for _ in lengths])
    item = item * (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])
    return Behaviours(item, torch.stack([item % 4 + 1, item % 6 + 1], -1) * (item > 0).unsqueeze(-1))


def sample(long: Behaviours) -> LongSample:
    count = len(long.item)
    target = FIELDS[torch.arange(11, 11 + count)]
    profile = torch.ones(count, 1, dtype=torch.int64)
    return LongSample(torch.arange(count), profile, target, events(*[5] * count), None, long)


def made(name: str, k: int = 50) -> tuple[Life, torch.nn.Module]:
    where = life()
    torch.manual_seed(1)
    return where, LOOKS[name](where, CONFIG, FIELDS, k).eval()


def read(name: str, long: Behaviours, k: int = 50):
    where, look = made(name, k)
    asked = sample(long)
    return look.read(where, where.items(asked.target[:, 0]), asked)


def test_average_and_full_attention_by_hand() -> None:
    where, long = life(), events(20, 9, 2)
    query = torch.randn(3, WIDTH)
    mean, (level,) = AvgPooling(where)(where, query, long)
    read, (sharp,) = DINLong(where, CONFIG)(where, query, long)
    for row, length in enumerate((20, 9, 2)):
        s = where.item[long.item[row, :length]]
        assert torch.allclose(mean[row], s.mean(0), atol=1e-6)
        weight = (20 * functional.cosine_similarity(s, query[row : row + 1])).softmax(0)
        assert torch.allclose(sharp.weights[row, :length], weight, atol=1e-5)
        assert torch.allclose(read[row], weight @ s, atol=1e-5)
    assert torch.allclose(level.weights.sum(1), torch.ones(3))


def test_hard_search_takes_the_latest_of_the_candidates_category() -> None:
    long = events(20, 9, 2)
    _, (level,) = read("SIM hard", long, k=3)
    asked = sample(long)
    for row, length in enumerate((20, 9, 2)):
        category = asked.target[row, 1]
        same = [i for i in range(length) if FIELDS[long.item[row, i], 1] == category]
        found = level.place[row][level.weights[row, 0] > 0].tolist()
        assert found == same[::-1][:3]


def test_hard_search_without_categories_goes_by_item() -> None:
    where = life()
    look = ByCategory(where, FIELDS[:, :1], CONFIG)
    long = events(20, 9)
    asked = sample(long)
    again = asked._replace(target=long.item[:, 4:5])  # an item of the first user's, fifth of both
    _, (level,) = look.read(where, where.items(again.target[:, 0]), again)
    for row in range(2):
        found = level.place[row][level.weights[row, 0] > 0].tolist()
        assert found == [i for i, code in enumerate(long.item[row].tolist()) if code == long.item[row, 4]]


def test_a_category_nobody_clicked_finds_nothing() -> None:
    fields = FIELDS.clone()
    fields[11:13, 1] = 4 + 5  # of the candidates alone
    where = life()
    look = ByCategory(where, fields, CONFIG)
    long = Behaviours(torch.tensor([[1, 2], [3, 0]]), torch.ones(2, 2, 2, dtype=torch.int64))
    vector, (level,) = look.read(where, torch.randn(2, WIDTH), sample(long))
    assert not vector.any()
    assert not level.weights.any()


def test_ubr4ctr_ranks_by_chosen_fields_and_their_rareness() -> None:
    where = life()
    torch.manual_seed(1)
    look = UBR4CTR(where, FIELDS, CONFIG, k=4).eval()
    long = events(20, 9)
    asked = sample(long)
    p = look.chances(asked.target).detach()
    assert ((p > 0) & (p < 1)).all()
    _, (level,) = look.read(where, where.items(asked.target[:, 0]), asked)
    for row, length in enumerate((20, 9)):
        same = FIELDS[long.item[row, :length]] == asked.target[row]
        holding = same.sum(0)
        idf = (1 + (length - holding + 0.5) / (holding + 0.5)).log()
        score = (same * p[row] * idf).sum(1)
        best = sorted(range(length), key=lambda i: (-score[i].item(), -i))[:4]
        assert level.place[row].tolist() == best
    unknown = look.chances(torch.zeros(1, 3, dtype=torch.int64))
    assert not unknown.any()


def test_a_gradient_reaches_the_selector_of_ubr4ctr() -> None:
    where = life()
    look = UBR4CTR(where, FIELDS, CONFIG, k=4)
    asked = sample(events(20, 9))
    vector, _ = look.read(where, where.items(asked.target[:, 0]), asked)
    vector.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in look.select.parameters() if p.dim() == 2)


def test_the_search_of_eta_encode_is_by_distance_in_the_reduced_space() -> None:
    where = life()
    look = ByReduction(where, EncodeConfig(reduced=3), k=5)
    long, query = events(20, 9), torch.randn(2, WIDTH)
    found = look.searched(where, query, long)
    for row, length in enumerate((20, 9)):
        s = where.item[long.item[row, :length]]
        apart = distance(query[row] @ look.reduction.weight, s @ look.reduction.weight)
        assert torch.allclose(found[row, :length], 1 - apart, atol=1e-5)
    torch.manual_seed(0)
    look.aside(where, long).backward()
    assert look.reduction.weight.grad.any()
    assert where.item.grad is None or not where.item.grad.any()


def test_twin_searches_by_the_metric_it_attends_by() -> None:
    where, long = life(), events(30, 9)
    look = ByOneMetric(where, 5, alike=CONFIG)
    query = torch.randn(2, WIDTH)
    _, (level,) = look(where, query, long)
    _, (whole,) = DINLong(where, CONFIG)(where, query, long)
    best = whole.weights.topk(5, 1)
    assert torch.equal(level.place, best.indices)
    kept = best.values / best.values.sum(1, keepdim=True)
    assert torch.allclose(level.weights[:, 0], kept, atol=1e-5)


def test_mimns_memory_does_not_know_padding_and_reads_in_order() -> None:
    where = life()
    torch.manual_seed(1)
    look = MIMN(where, CONFIG, slots=4)
    long = events(9, 5)
    wider = Behaviours(functional.pad(long.item, (0, 3)), functional.pad(long.context, (0, 0, 0, 3)))
    assert torch.allclose(look.remembered(where, long), look.remembered(where, wider), atol=1e-6)
    backwards = Behaviours(long.item[:1].flip(1), long.context[:1].flip(1))
    assert not torch.allclose(look.remembered(where, long)[:1], look.remembered(where, backwards))
    # what was remembered can be gone on with: the first five events, then the others
    assert look.remembered(where, long).shape == (2, 4, WIDTH)
    with pytest.raises(ConfigError, match="slots"):
        MIMN(where, CONFIG, slots=0)


@every
def test_padding_changes_nothing_and_nothing_is_zero(name: str) -> None:
    long = events(9, 3, 1)
    wider = Behaviours(functional.pad(long.item, (0, 5)), functional.pad(long.context, (0, 0, 0, 5)))
    assert torch.allclose(read(name, long)[0], read(name, wider)[0], atol=1e-5)
    empty = Behaviours(wider.item[:, -2:], wider.context[:, -2:])
    vector, levels = read(name, empty)
    assert not vector.any()
    assert all(not level.weights.any() for level in levels)


@every
def test_the_weights_of_events_are_what_was_read_of_each(name: str) -> None:
    """So the Relevance Indicator compares what reached the network: events times their weights."""
    long = events(20, 9, 2)
    vector, levels = read(name, long, k=4)
    if levels:
        level = levels[-1]
        weights = level.weights.mean(1) if level.weights.dim() == 3 else level.weights
        by_hand = weights.unsqueeze(1) @ life().items(long.item.gather(1, level.place.expand_as(weights)))
        assert torch.allclose(by_hand.squeeze(1), vector, atol=1e-5)
    else:
        assert name in ("DIN", "MIMN")


@every
def test_every_look_learns(name: str) -> None:
    sizes = Sizes(ITEMS, (3,), (5, 4), CONTEXT)
    torch.manual_seed(0)
    model = LongHistory(
        sizes, lambda where: LOOKS[name](where, CONFIG, FIELDS, 4), width=WIDTH, hidden=(8,), domains=1
    )
    model(sample(events(20, 9, 2))).sum().backward()
    idle = [key for key, p in model.interest.named_parameters() if p.grad is None]
    assert idle in ([], ["reduction.weight"]), "W_h of ETA-ENCODE learns from the loss aside alone"
    assert model.life.item.grad.any()


def test_more_events_than_k_are_needed_for_a_search_to_lose_any() -> None:
    long = events(20, 9, 2)
    all_of_them, whole = read("TWIN", long, k=50)[0], read("DIN-L", long)[0]
    assert torch.allclose(all_of_them, whole, atol=1e-5)
    assert not torch.allclose(read("TWIN", long, k=3)[0], whole, atol=1e-3)
    assert read("ETA", long)[0].isfinite().all()
