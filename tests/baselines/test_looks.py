"""SIM soft, ETA, SDIM and TWIN: their searches against brute force, and what they have in common."""

import math

import pytest
import torch
from torch.nn import functional

from workbench.baselines.long_history import ETA, LOOKS, SDIM, TWIN, SIMSoft
from workbench.errors import ConfigError
from workbench.methods import long_history
from workbench.methods.lcn import Pyramid, PyramidConfig
from workbench.methods.long_history import (
    Behaviours,
    Life,
    LongHistory,
    LongSample,
    Sizes,
    consistency,
    inner,
    weighted_sum,
)

WIDTH, CONTEXT = 8, (5, 7)
every = pytest.mark.parametrize("name", sorted(LOOKS))


def life(items: int = 60) -> Life:
    torch.manual_seed(0)
    return Life(items, CONTEXT, WIDTH, 0.5)


def events(*lengths: int) -> Behaviours:
    generator = torch.Generator().manual_seed(0)
    item = torch.stack([torch.randperm(59, generator=generator)[: max(lengths)] + 1 for _ in lengths])
    item = item * (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])
    return Behaviours(item, torch.stack([item % 4 + 1, item % 6 + 1], -1) * (item > 0).unsqueeze(-1))


def made(kind: type, **options: int):
    where = life()
    torch.manual_seed(1)
    return where, kind(where, **options), torch.randn(3, WIDTH)


@pytest.mark.parametrize("kind", [SIMSoft, ETA, TWIN])
def test_the_exact_search_sees_the_best_of_the_general_one(kind: type) -> None:
    where, look, query = made(kind, k=4, heads=2)
    long = events(20, 9, 2)
    vector, (level,) = look(where, query, long)
    searched = look.searched(where, query, long)
    for row, length in enumerate((20, 9, 2)):
        best = sorted(range(length), key=lambda k: -searched[row, k].item())[:4]
        worst = min(searched[row, k].item() for k in best)
        places = level.place[row][long.there[row, level.place[row]]].tolist()
        assert len(places) == min(4, length)
        assert min(searched[row, k].item() for k in places) == worst
    assert torch.allclose(level.weights.sum(-1), torch.ones(3, 2))
    assert vector.shape == (3, WIDTH)


def test_sim_soft_and_eta_search_by_inner_product_and_by_bits() -> None:
    where, look, query = made(SIMSoft)
    long = events(20, 9, 2)
    by_hand = (where.items(long.item) * query.unsqueeze(1)).sum(-1)
    assert torch.allclose(look.searched(where, query, long)[long.there], by_hand[long.there], atol=1e-6)
    where, look, query = made(ETA, bits=16)
    bits = (query @ look.projection > 0).unsqueeze(1) == (where.items(long.item) @ look.projection > 0)
    found = look.searched(where, query, long)
    assert torch.equal(found[long.there], (2 * bits.sum(-1) - 16)[long.there].float())


def test_twins_two_searches_are_one_and_its_context_does_not_depend_on_the_candidate() -> None:
    where, look, query = made(TWIN, k=4, heads=2)
    long = events(20, 9, 2)
    both = look.exact(where, query, long), look.searched(where, query, long)
    assert torch.equal(*both)
    e, c = where.items(long.item), where.events(long)[..., WIDTH:]
    heads = []
    for h, asked in enumerate(look.attention.q(query).view(3, 2, 4).unbind(1)):
        keys = e @ look.attention.k[h, :, :WIDTH].T
        heads.append((keys @ asked.unsqueeze(-1)).squeeze(-1) / math.sqrt(4) + c @ look.context.weight[h])
    by_hand = torch.stack(heads).mean(0)
    assert torch.allclose(both[0][long.there], by_hand[long.there], atol=1e-5)
    _, (level,) = look(where, query, long)
    chosen = torch.stack(heads, 1)[0][:, level.place[0]]
    assert torch.allclose(level.weights[0], torch.softmax(chosen, -1), atol=1e-5)


def test_sdim_sums_up_the_candidates_bucket() -> None:
    where, look, query = made(SDIM, groups=5, bits=2)
    long = events(20, 9, 2)
    vector, (level,) = look(where, query, long)
    for row, length in enumerate((20, 9, 2)):
        e, total, weight = where.items(long.item[row, :length]), 0, torch.zeros(20)
        for g in range(5):
            planes = look.projection[:, 2 * g : 2 * g + 2]
            same = ((e @ planes > 0) == (query[row] @ planes > 0)).all(-1)
            if same.any():
                weight[:length] += same / e[same].sum(0).norm() / 5
            total = total + functional.normalize(e[same].sum(0), dim=0) / 5
        assert torch.allclose(vector[row], total, atol=1e-5)
        assert torch.allclose(level.weights[row], weight, rtol=1e-4)


def test_sdims_buckets_are_summed_once_for_candidates_that_share_a_history() -> None:
    where, look, query = made(SDIM, groups=5, bits=2)
    long, row = events(20, 9), torch.tensor([1, 0, 1])
    apart, _ = look(where, query, Behaviours(long.item[row], long.context[row]))
    together, levels = look.read(where, query, LongSample(*[None] * 5, long, row))
    assert torch.allclose(together, apart, atol=1e-6)
    assert not levels
    one, _ = look(where, query, Behaviours(long.item[:1], long.context[:1]))
    assert torch.allclose(one[1], together[1], atol=1e-6), "a history of one row is everybody's"


def test_shared_buckets_estimate_the_angle() -> None:
    """P(same side of a random plane) = 1 - angle / pi."""
    where, look, query = made(SDIM, groups=4000, bits=1)
    long = events(20, 20, 20)
    angle = torch.acos(look.exact(where, query, long))
    assert (look.searched(where, query, long) - (1 - angle / math.pi)).abs().max() < 0.04


@every
def test_padding_changes_nothing_and_nothing_is_zero(name: str) -> None:
    where, look, query = made(LOOKS[name])
    long = events(9, 3, 1)
    wider = Behaviours(functional.pad(long.item, (0, 5)), functional.pad(long.context, (0, 0, 0, 5)))
    assert torch.allclose(look(where, query, long)[0], look(where, query, wider)[0], atol=1e-6)
    for scores in (look.searched(where, query, wider), look.exact(where, query, wider)):
        assert torch.equal(scores > -torch.inf, wider.there)
    empty = Behaviours(wider.item[:, -2:], wider.context[:, -2:])
    assert not look(where, query, empty)[0].any()


@every
def test_a_large_table_is_looked_up_with_the_same_numbers_and_gradients(name: str, monkeypatch) -> None:
    found = []
    for dense in (64, 0):
        monkeypatch.setattr(long_history, "DENSE", dense)
        where, look, query = made(LOOKS[name])
        torch.manual_seed(2)
        vector, _ = look(where, query, events(20, 9, 2))
        (vector * torch.randn(vector.shape)).sum().backward()
        found.append((vector, where.item.grad))
    for dense, sparse in zip(*found, strict=True):
        assert torch.allclose(dense, sparse, atol=1e-6)


def test_inner_products_against_all_of_them() -> None:
    query, table, code = torch.randn(2, 3), torch.randn(9, 3), torch.tensor([[0, 8, 4], [4, 4, 1]])
    assert torch.allclose(inner(query, table, code), torch.stack([table[code[i]] @ query[i] for i in (0, 1)]))


@pytest.mark.parametrize("name", [*sorted(LOOKS), "LAP"])
def test_candidates_of_one_request_share_what_is_known_of_the_user(name: str) -> None:
    torch.manual_seed(0)
    made_of = LOOKS.get(name) or (lambda where: Pyramid(where, PyramidConfig(k1=8, k2=4, heads=2)))
    model = LongHistory(Sizes(60, (4,), (5,), CONTEXT), made_of, width=WIDTH, hidden=(16,), std=0.5).eval()
    target = torch.tensor([[7, 1], [9, 2], [50, 3]])
    one = LongSample(torch.tensor([3]), torch.tensor([[2]]), target, events(5), events(6), events(20))
    every = LongSample(
        *(x.expand(3, *x.shape[1:]) for x in (one.user, one.profile)), target,
        *(Behaviours(*(x.expand(3, *x.shape[1:]) for x in part[:2])) for part in one[3:6]),
    )  # fmt: skip
    shared, levels = model(one, return_levels=True)
    apart, same = model(every, return_levels=True)
    assert torch.allclose(shared, apart, atol=1e-5)
    for a, b in zip(levels, same, strict=True):
        assert torch.equal(a.place.expand(3, -1), b.place)
        assert torch.allclose(a.weights, b.weights, atol=1e-5)


@pytest.mark.parametrize("items", [40, 4000])
def test_weighted_sums_and_their_gradients_are_the_same_in_training_and_in_use(items: int) -> None:
    torch.manual_seed(0)
    table, code, weights = torch.randn(items, 3), torch.randint(items, (2, 5)), torch.rand(2, 5)
    by_hand = torch.stack([weights[i] @ table[code[i]] for i in (0, 1)])
    with torch.no_grad():
        assert torch.allclose(weighted_sum(weights, table, code), by_hand, atol=1e-6)
    wanted = [x.clone().requires_grad_() for x in (weights, table)]
    found = weighted_sum(wanted[0], wanted[1], code)
    assert torch.allclose(found, by_hand, atol=1e-6)
    ways = torch.autograd.grad(found.square().sum(), wanted)
    direct = torch.stack([wanted[0][i] @ wanted[1][code[i]] for i in (0, 1)])
    for a, b in zip(ways, torch.autograd.grad(direct.square().sum(), wanted), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_consistency_is_the_share_of_the_best_that_was_found() -> None:
    nothing = -torch.inf
    exact = torch.tensor([[5.0, 4, 3, 2, 1], [1, 2, 3, nothing, nothing], [9, 8, nothing, nothing, nothing]])
    searched = torch.tensor([[1.0, 9, 0, 0, 8], [9, nothing, 1, nothing, nothing], [0, 0, *[nothing] * 3]])
    found = consistency(searched, exact, 2)
    assert found[:2].tolist() == [0.5, 0.5]  # {0, 1} and {1, 4}; {2, 1} and {0, 2}
    assert found[2].isnan(), "two of two cannot be missed"
    assert consistency(exact, exact, 2)[:2].tolist() == [1, 1]


@every
def test_the_network_learns_with_each_and_every_look(name: str) -> None:
    """A candidate is clicked if its kind, item % 2, is the one of the long sequence."""
    torch.manual_seed(0)
    sizes = Sizes(21, (3,), (4,), (3,))
    model = LongHistory(sizes, LOOKS[name], width=8, hidden=(16,), domains=1, std=0.3)
    kind, B = torch.randint(2, (256,)), 256
    long = 2 * torch.randint(1, 6, (B, 6)) - kind[:, None]
    target = torch.randint(11, 21, (B, 1))
    nothing = Behaviours(torch.zeros(B, 1, dtype=torch.int64), torch.zeros(B, 1, 1, dtype=torch.int64))
    ones = torch.ones(B, 1, dtype=torch.int64)
    sample = LongSample(
        ones[:, 0],
        ones,
        torch.cat([target, ones], 1),
        nothing,
        None,
        Behaviours(long, torch.ones(B, 6, 1).long()),
    )
    label = (target[:, 0] % 2 == kind).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(sample), label)
        loss.backward()
        optimizer.step()
    assert ((model(sample) > 0) == label.bool()).float().mean() > 0.95


def test_k_and_domains_are_checked() -> None:
    with pytest.raises(ConfigError, match="k must be a whole number from 1, not 0"):
        SIMSoft(life(), k=0)
    with pytest.raises(ConfigError, match="one or two domains, not 3"):
        LongHistory(Sizes(9, (), (), ()), SIMSoft, domains=3)
