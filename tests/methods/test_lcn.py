"""LCN: pairs of strangers only, losses by hand, and a pyramid that equals brute force at every level."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from workbench.errors import ConfigError
from workbench.methods.lcn import (
    CRPConfig,
    Pairs,
    Pyramid,
    PyramidConfig,
    contrastive_loss,
    crp_loss,
    draw_pairs,
    training_loss,
)
from workbench.methods.long_history import Behaviours, Life, LongHistory, LongSample, Sizes

ITEMS, WIDTH = 60, 8  # items 1 .. 29 of the target domain, 30 .. 59 of the source
SIZES = Sizes(ITEMS, (4, 3), (5,), (5, 7))


def sequence(rows: list[list[int]], length: int) -> Behaviours:
    item = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    context = torch.stack([item % 4 + 1, item % 6 + 1], -1) * (item > 0).unsqueeze(-1)
    return Behaviours(item, context)


def drawn(lengths: list[int], low: int, high: int, seed: int = 0) -> Behaviours:
    generator = torch.Generator().manual_seed(seed)
    rows = [(low + torch.randperm(high - low, generator=generator)[:n]).tolist() for n in lengths]
    return sequence(rows, max(*lengths, 1))


def sample(users: list[int], long: list[int]) -> LongSample:
    B = len(users)
    return LongSample(
        user=torch.tensor(users),
        profile=torch.ones(B, 2, dtype=torch.int64),
        target=torch.stack([torch.arange(B) % 29 + 1, torch.ones(B, dtype=torch.int64)], 1),
        short=drawn([5] * B, 1, 30),
        short_source=drawn([6] * B, 30, 60),
        long=drawn(long, 30, 60, seed=1),
    )


def life() -> Life:
    torch.manual_seed(0)
    return Life(ITEMS, SIZES.context, WIDTH, 0.5)


def look(**changes: object) -> tuple[Life, Pyramid]:
    where = life()
    torch.manual_seed(1)
    return where, Pyramid(where, PyramidConfig(**{"k1": 6, "k2": 3, "heads": 2, **changes}))


class TestPairs:
    def test_positives_are_two_places_of_one_row_and_negatives_of_two_users(self) -> None:
        torch.manual_seed(0)
        owner = {user: 10 * user for user in range(3)}
        rows = [[owner[u] + i for i in range(1, 5)] for u in (0, 0, 1, 2)]
        here, there = sequence(rows, 5), sequence([[30 + i for i in row] for row in rows], 5)
        some = LongSample(torch.tensor([0, 0, 1, 2]), None, None, here, there, here)
        for kind, pairs in draw_pairs(some, 500).items():
            offset = torch.tensor([30 * (kind == "source"), 30 * (kind != "target")])
            positive, negative = ((part - offset - 1) // 10 for part in pairs)
            assert torch.equal(positive, torch.tensor([[0, 0], [0, 0], [1, 1], [2, 2]]))
            if kind != "cross":
                assert (pairs.positive[:, 0] != pairs.positive[:, 1]).all()
            assert (negative[:, 0] != negative[:, 1]).all(), "a negative pair of one user"
            # the rows of user 0 are half of all, and the others' only strangers come from elsewhere
            assert {tuple(pair) for pair in negative.tolist()} == {
                (a, b) for a in range(3) for b in range(3) if a != b
            }

    def test_padding_is_never_drawn(self) -> None:
        torch.manual_seed(0)
        some = sample([1, 2, 3], [4, 4, 4])
        some = some._replace(short=sequence([[1], [2, 3], []], 4), short_source=sequence([[31], [], [33]], 2))
        pairs = draw_pairs(some, 200)
        assert pairs["target"].positive.sort().values.tolist() == [[2, 3]]
        assert pairs["source"].positive.shape == (0, 2)
        assert pairs["cross"].positive.tolist() == [[1, 31]]
        assert all((part > 0).all() for kind in pairs.values() for part in kind)
        assert {tuple(pair) for pair in pairs["cross"].negative.tolist()} == {
            (1, 33),
            (2, 31),
            (3, 31),
            (2, 33),
            (3, 33),
        }

    def test_one_user_alone_has_no_strangers_and_no_loss(self) -> None:
        some = sample([7, 7, 7], [4, 4, 4])
        assert all(len(pairs.negative) == 0 for pairs in draw_pairs(some, 50).values())
        assert crp_loss(life().item, some, CRPConfig()).item() == 0


class TestLoss:
    TABLE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    PAIRS = Pairs(torch.tensor([[1, 3], [1, 1]]), torch.tensor([[1, 2], [2, 3], [2, 2]]))

    def test_the_literal_form_by_hand(self) -> None:
        """Cosines of positives: 0.7071 and 1; of negatives: 0, 0.7071 and 1; tau = 0.5."""
        root = math.sqrt(0.5)
        below = math.log(1 + math.exp(2 * root) + math.exp(2))
        expected = below - (2 * root + 2) / 2
        assert contrastive_loss(self.TABLE, self.PAIRS, 0.5).item() == pytest.approx(expected, rel=1e-6)

    def test_infonce_adds_the_positive(self) -> None:
        root = math.sqrt(0.5)
        below = 1 + math.exp(2 * root) + math.exp(2)
        expected = sum(math.log(below + math.exp(p)) - p for p in (2 * root, 2)) / 2
        found = contrastive_loss(self.TABLE, self.PAIRS, 0.5, "infonce").item()
        assert found == pytest.approx(expected, rel=1e-6)
        assert found > 0

    def test_the_parts_are_weighed_and_a_part_of_weight_zero_is_left_out(self) -> None:
        some, table = sample([1, 2, 3, 4], [4] * 4), life().item
        alone = []
        for kind in ("target", "source", "cross"):
            torch.manual_seed(0)
            config = CRPConfig(**{**dict.fromkeys(("target", "source", "cross"), 0.0), kind: 2.0})
            alone.append(crp_loss(table, some, config).item())
        torch.manual_seed(0)
        assert crp_loss(table, some, CRPConfig()).item() == pytest.approx(sum(alone) / 2, rel=1e-5)

    def test_only_the_cross_domain_part_moves_the_domains_together(self) -> None:
        """Users 0 .. 3 like items of their own topic in both domains."""
        users = [u for u in range(4) for _ in range(8)]
        torch.manual_seed(0)
        here = sequence([[1 + u + 4 * i for i in torch.randperm(6)[:4].tolist()] for u in users], 4)
        there = sequence([[30 + u + 4 * i for i in torch.randperm(6)[:4].tolist()] for u in users], 4)
        some = LongSample(torch.tensor(users), None, None, here, there, there)
        near = {}
        for cross in (0.0, 1.0):
            torch.manual_seed(1)
            table = torch.nn.Parameter(torch.randn(ITEMS, WIDTH))
            optimizer = torch.optim.Adam([table], lr=0.05)
            for _ in range(150):
                optimizer.zero_grad()
                crp_loss(table, some, CRPConfig(cross=cross, denominator="infonce", negatives=256)).backward()
                optimizer.step()
            unit = functional.normalize(table.detach(), dim=1)
            nearest = (unit[1:25] @ unit[30:54].T).argmax(1)
            near[cross] = (nearest % 4 == torch.arange(24) % 4).float().mean().item()
        assert near[1.0] > 0.95
        assert near[0.0] < 0.6

    def test_training_adds_it_and_reads_no_label_in_it(self) -> None:
        torch.manual_seed(0)
        model, some = network(), sample([1, 2, 3, 4], [9, 5, 2, 0])
        label = torch.tensor([1, 0, 1, 0])
        config = CRPConfig(weight=0.3)
        plain = [training_loss(model, some, y).item() for y in (label, 1 - label)]
        added = []
        for y, without in zip((label, 1 - label), plain, strict=True):
            torch.manual_seed(5)
            added.append(training_loss(model, some, y, config).item() - without)
        torch.manual_seed(5)
        expected = 0.3 * crp_loss(model.life.item, some, config).item()
        assert added == pytest.approx([expected, expected], rel=1e-4)
        assert plain[0] != plain[1]

    def test_a_model_that_was_trained_with_it_predicts_like_any_other(self) -> None:
        """CRP owns no weights and no part of the path from sample to logit (claim N10)."""
        names = [name for name, _ in network().named_modules()]
        assert not any("crp" in name or "contrast" in name for name in names)
        assert "draw_pairs" not in LongHistory.forward.__code__.co_names


def network(**changes: object) -> LongHistory:
    config = PyramidConfig(**{"k1": 6, "k2": 3, "heads": 2, **changes})
    return LongHistory(SIZES, lambda where: Pyramid(where, config), width=WIDTH, hidden=(16,), std=0.5)


@pytest.mark.parametrize("part", ["profile", "target", "short", "short_source", "long"])
def test_every_part_of_a_sample_has_its_say(part: str) -> None:
    model = network().eval()
    some = sample([1, 2], [20, 20])
    there = getattr(some, part)
    other = {
        "profile": torch.ones(2, 2, dtype=torch.int64) * 2,
        "target": some.target.roll(1, 0),
        "short": drawn([5, 5], 1, 30, seed=7),
        "short_source": drawn([6, 6], 30, 60, seed=7),
        "long": drawn([20, 20], 30, 60, seed=7),
    }[part]
    assert type(other) is type(there)
    assert not torch.allclose(model(some), model(some._replace(**{part: other})), atol=1e-6)


class TestPyramid:
    @pytest.mark.parametrize("weights", ["softmax", "literal"])
    def test_all_levels_against_loops_over_events(self, weights: str) -> None:
        """Keys and values are made for every event here, as Eq. 7-13 are written."""
        where, pyramid = look(weights=weights)
        long, query = drawn([12, 9, 7], 30, 60), torch.randn(3, WIDTH)
        vector, levels = pyramid(where, query, long)
        for row, length in enumerate([12, 9, 7]):
            e = where.items(long.item[row, :length])
            ec = where.events(Behaviours(long.item[row, :length], long.context[row, :length]))
            q = query[row]

            def shares(scores: torch.Tensor) -> torch.Tensor:
                return torch.softmax(scores, -1) if weights == "softmax" else scores / len(scores)

            r = e @ q
            csa = shares(r) @ e
            first = r.argsort(descending=True)[:6]
            keys = ec[first] @ pyramid.median.k[0].T
            r = keys @ pyramid.median.q(q) / math.sqrt(WIDTH)
            msa = shares(r) @ (ec[first] @ pyramid.median.v[0].T)
            second = first[r.argsort(descending=True)[:3]]
            heads = []
            for h, asked in enumerate(pyramid.focused.q(q).view(2, 4)):
                r = ec[second] @ pyramid.focused.k[h].T @ asked / math.sqrt(4)
                heads.append(torch.softmax(r, -1) @ (ec[second] @ pyramid.focused.v[h].T))
            fsa = pyramid.feed(torch.cat(heads))
            assert torch.allclose(vector[row], torch.cat([csa, msa, fsa]), atol=1e-5)
            assert levels[1].place[row].tolist() == first.tolist()
            assert levels[2].place[row].tolist() == second.tolist()

    @pytest.mark.parametrize("changes", [{}, {"weights": "softmax"}, {"per_item": True}])
    def test_padding_gets_no_weight_and_changes_nothing(self, changes: dict[str, object]) -> None:
        where, pyramid = look(**changes)
        long, query = drawn([5, 2, 1], 30, 60), torch.randn(3, WIDTH)
        vector, levels = pyramid(where, query, long)
        for level in levels:
            there = long.there.gather(1, level.place)
            weights = level.weights if level.weights.dim() == 2 else level.weights.mean(1)
            assert (weights[~there] == 0).all()
            if changes.get("weights") == "softmax" or level.name == "focused":
                assert torch.allclose(weights.sum(1), torch.ones(3))
        wider = Behaviours(*(functional.pad(part, (0, 0) * (part.dim() - 2) + (0, 4)) for part in long[:2]))
        assert torch.allclose(pyramid(where, query, wider)[0], vector, atol=1e-6)

    @pytest.mark.parametrize(
        "changes", [{}, {"k1": None}, {"k2": None}, {"k1": None, "k2": None}, {"per_item": True}]
    )
    def test_an_empty_sequence_says_nothing(self, changes: dict[str, object]) -> None:
        where, pyramid = look(**changes)
        long = Behaviours(torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1, 2, dtype=torch.int64))
        vector, _ = pyramid(where, torch.randn(2, WIDTH), long)
        assert not vector.any()

    @pytest.mark.parametrize(
        ("changes", "size", "names"),
        [
            ({}, 3, ["complete", "median", "focused"]),
            ({"k1": None}, 2, ["complete", "focused"]),
            ({"k2": None}, 2, ["complete", "median"]),
            ({"integrate": False}, 1, ["complete", "median", "focused"]),
        ],
    )
    def test_levels_can_be_left_out(self, changes, size, names) -> None:
        where, pyramid = look(**changes)
        vector, levels = pyramid(where, torch.randn(2, WIDTH), drawn([8, 4], 30, 60))
        assert [level.name for level in levels] == names
        assert vector.shape == (2, size * WIDTH) == (2, pyramid.size)

    @pytest.mark.parametrize("integrate", [True, False])
    def test_gradients_reach_every_event_only_if_levels_are_integrated(self, integrate: bool) -> None:
        where, pyramid = look(integrate=integrate)
        long = sequence([list(range(30, 50))], 20)
        vector, levels = pyramid(where, torch.randn(1, WIDTH), long)
        vector.square().sum().backward()
        moved = where.item.grad[long.item[0]].abs().sum(1) > 0
        survivors = torch.zeros(20, dtype=torch.bool)
        survivors[levels[-1].place[0]] = True
        assert torch.equal(moved, torch.ones_like(moved) if integrate else survivors)

    def test_gradients_reach_the_scores_of_every_level_not_the_events_alone(self) -> None:
        where, pyramid = look()
        query = torch.randn(1, WIDTH, requires_grad=True)
        vector, _ = pyramid(where, query, drawn([20], 30, 60))
        for level, part in enumerate(vector.split(WIDTH, 1)):
            (of_query,) = torch.autograd.grad(part.sum(), query, retain_graph=True)
            assert of_query.abs().sum() > 1e-5, f"level {level} does not learn whom to prefer"
        vector.sum().backward()
        for attention in (pyramid.median, pyramid.focused):
            assert attention.k.grad.abs().sum() > 0
            assert attention.q.weight.grad.abs().sum() > 0

    def test_what_is_searched_for_and_what_the_last_level_would_find(self) -> None:
        where, pyramid = look()
        long, query = drawn([20, 13], 30, 60), torch.randn(2, WIDTH)
        _, levels = pyramid(where, query, long)
        searched, exact = pyramid.searched(where, query, long), pyramid.exact(where, query, long)
        assert searched.topk(3).indices.sort(1).values.tolist() == levels[2].place.sort(1).values.tolist()
        assert ((searched > -torch.inf).sum(1) == 6).all()
        events = where.events(long)
        by_hand = pyramid.focused.scores(query, events).mean(1)
        assert torch.allclose(exact[long.there], by_hand[long.there], atol=1e-5)
        assert (exact[~long.there] == -torch.inf).all()

    @pytest.mark.parametrize("weights", ["literal", "softmax"])
    def test_as_printed_the_median_ranking_has_no_sign(self, weights: str) -> None:
        """Eq. 10 with W^Q and W^V turned around is the same vector; the other end of the ranking survives."""
        where, pyramid = look(weights=weights)
        long, query = drawn([20], 30, 60), torch.randn(1, WIDTH)
        with torch.no_grad():
            vector, levels = pyramid(where, query, long)
            pyramid.median.q.weight.neg_()
            pyramid.median.v.neg_()
            turned, others = pyramid(where, query, long)
        parts = [one[:, WIDTH : 2 * WIDTH] for one in (vector, turned)]
        assert torch.allclose(*parts, atol=1e-6) == (weights == "literal")
        best, least = ({*found[2].place[0].tolist()} for found in (levels, others))
        assert not best & least

    def test_the_mean_over_items_is_another_reading(self) -> None:
        where, pyramid = look(per_item=True)
        plain = Pyramid(where, replace(pyramid.config, per_item=False))
        plain.load_state_dict(pyramid.state_dict())
        query, long = torch.randn(2, WIDTH), drawn([8, 4], 30, 60)
        a, b = (one(where, query, long)[0] for one in (pyramid, plain))
        assert torch.allclose(a[:, : 2 * WIDTH], b[:, : 2 * WIDTH])
        assert not torch.allclose(a[:, 2 * WIDTH :], b[:, 2 * WIDTH :], atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        (CRPConfig, {"tau": 0}, "tau is above 0"),
        (CRPConfig, {"weight": -1}, "weight is a number from 0, not -1"),
        (CRPConfig, {"negatives": 0}, "negatives must be a whole number from 1"),
        (CRPConfig, {"denominator": "all"}, "denominator"),
        (PyramidConfig, {"k1": 0}, "k1 must be a whole number from 1"),
        (PyramidConfig, {"k1": 10, "k2": 20}, "some of the 10 events, not 20"),
        (PyramidConfig, {"weights": "sum"}, "weights"),
        (PyramidConfig, {"heads": True}, "heads must be a whole number"),
    ],
)
def test_values_that_make_no_sense_are_refused(kind: type, changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        kind(**changes)


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="3 heads do not divide a width of 8"):
        network(heads=3)
