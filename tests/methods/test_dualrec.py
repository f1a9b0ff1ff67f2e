"""DualRec: windows, positions, KL and loss by hand; who sees what; what prediction is made of."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from workbench.errors import ConfigError
from workbench.methods import dualrec
from workbench.methods.dualrec import (
    Bias,
    DualRec,
    DualSelfAttention,
    Sinusoids,
    backwards,
    symmetric_kl,
    window_mask,
)
from workbench.methods.dualrec_config import AUTHORS, VARIANTS, DualRecConfig, window_sizes

ITEMS = 30
SMALL = DualRecConfig(length=12, width=16, heads=4, layers=2, dropout=0.0)
AUTHORS_SMALL = replace(SMALL, **AUTHORS)
variants = pytest.mark.parametrize("config", [SMALL, AUTHORS_SMALL], ids=VARIANTS)


def made(config: DualRecConfig, seed: int = 0) -> DualRec:
    torch.manual_seed(seed)
    model = DualRec(ITEMS, config)
    with torch.no_grad():  # a start far from zero, so that every part has a say
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        model.item.weight[0] = 0
    return model


def rows(*lengths: int, seed: int = 1) -> torch.Tensor:
    drawn = torch.randint(
        1, ITEMS, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(seed)
    )
    return drawn * (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])


class TestWindows:
    def test_eight_heads_and_fifty_items_have_the_windows_of_the_paper(self) -> None:
        assert window_sizes(8, 50) == [2, 3, 4, 5, 7, 11, 21, 50]

    def test_one_head_sees_everything(self) -> None:
        assert window_sizes(1, 50) == [50]

    def test_a_window_of_two_by_hand(self) -> None:
        """Figure 2(c): the two before and the item itself; exclusive: two in all."""
        inclusive = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1]]
        exclusive = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
        assert window_mask(4, [2]).int().tolist() == [inclusive]
        assert window_mask(4, [2], "exclusive").int().tolist() == [exclusive]
        assert torch.equal(window_mask(4, None), torch.ones(1, 4, 4).tril().bool())

    @pytest.mark.parametrize("direction", ["past", "future"])
    @variants
    def test_no_head_sees_outside_its_window(self, config: DualRecConfig, direction: str) -> None:
        read = made(config).train().read(rows(12), direction)
        back = torch.arange(12)[:, None] - torch.arange(12)
        for weights in read.weights:
            for head, size in enumerate(window_sizes(4, 12)):
                outside = (back < 0) | (back > size - (config.windows == "exclusive"))
                assert not weights[0, head][outside].any()
                assert (weights[0, head][~outside] > 0).all()

    def test_the_authors_predict_with_all_items_in_every_head(self) -> None:
        weights = made(AUTHORS_SMALL).eval().read(rows(12)).weights[0]
        assert (weights[0][:, torch.ones(12, 12).tril().bool()] > 0).all()


class TestPositions:
    def test_a_bias_belongs_to_a_head_and_a_distance(self) -> None:
        bias = Bias(5, 2)
        past, future = bias(3, 1), bias(3, -1)
        table = bias.table  # rows: distances -4 .. 4
        assert past[0, 2, 0] == table[6, 0]
        assert past[1, 2, 1] == table[5, 1]
        assert future[0, 2, 0] == table[2, 0]
        assert future[1, 2, 1] == table[3, 1]
        assert past[0, 1, 1] == future[0, 1, 1] == table[4, 0]

    def test_sinusoids_pair_by_pair(self) -> None:
        torch.manual_seed(0)
        places, q, k = Sinusoids(6, 8, 2), torch.randn(2, 2, 4, 4), torch.randn(2, 2, 4, 4)
        scores = places(q, k)
        for head in range(2):
            for i in range(4):
                for j in range(i + 1):
                    angle = (i - j) * 10_000 ** (-torch.arange(0, 8, 2) / 8)
                    r = places.into(torch.cat([angle.sin(), angle.cos()]))[4 * head : 4 * head + 4]
                    content = (q[1, head, i] + places.u[head, 0]) @ k[1, head, j]
                    place = (q[1, head, i] + places.v[head, 0]) @ r
                    assert torch.isclose(scores[1, head, i, j], content + place, atol=1e-5)

    def test_positions_matter_and_can_be_left_out(self) -> None:
        row, user = rows(6), torch.tensor([0])
        swapped = row[:, [1, 0, 2, 3, 4, 5]]
        for config, matters in (
            (SMALL, True),
            (AUTHORS_SMALL, True),
            (replace(SMALL, positions="none"), False),
        ):
            model = made(replace(config, layers=1)).eval()
            wide = model.states(user, row)[0][:, -1], model.states(user, swapped)[0][:, -1]
            assert torch.allclose(*wide, atol=1e-6) != matters


class TestAttention:
    def test_one_head_by_hand(self) -> None:
        torch.manual_seed(0)
        config = replace(SMALL, width=4, heads=1)
        attention, x = DualSelfAttention(config, 0.0), torch.randn(1, 3, 4)
        bias = torch.randn(1, 3, 3)
        out, heads, weights = attention(x, bias.masked_fill(~window_mask(3, [1]), -torch.inf))
        q, k, v = attention.into(x[0]).split(4, -1)
        a, b = q[2] @ k[1] / 2 + bias[0, 2, 1], q[2] @ k[2] / 2 + bias[0, 2, 2]
        share = torch.sigmoid(b - a)
        assert torch.isclose(weights[0, 0, 2, 2], share)
        assert torch.allclose(heads[0, 2, 0], share * v[2] + (1 - share) * v[1])
        assert torch.allclose(out[0, 2], attention.out(heads[0, 2, 0]))


class TestDirections:
    def test_backwards_keeps_padding_on_the_right(self) -> None:
        assert backwards(torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]]), torch.tensor([3, 4])).tolist() == [
            [3, 2, 1, 0],
            [7, 6, 5, 4],
        ]

    @variants
    def test_no_encoder_sees_its_target(self, config: DualRecConfig) -> None:
        """Past state k comes of items 0 .. k; the future state of place k of items k .. n-1."""
        model, row = made(config), rows(9)
        before = {d: model.read(row, d).states for d in ("past", "future")}
        for k in range(9):
            changed = row.clone()
            changed[0, k] = row[0, k] % (ITEMS - 1) + 1
            past = model.read(changed, "past").states
            assert torch.equal(past[:, :k], before["past"][:, :k])
            assert not torch.allclose(past[:, k], before["past"][:, k])
            future = model.read(changed, "future").states.flip(1)  # by place
            assert torch.equal(future[:, k + 1 :], before["future"].flip(1)[:, k + 1 :])
            assert not torch.allclose(future[:, k], before["future"].flip(1)[:, k])

    @variants
    def test_the_two_compared_states_foretell_the_same_item_and_have_not_seen_it(self, config) -> None:
        config = replace(config, transfer="target", encoders="both")
        model = made(config)
        length, place = torch.tensor([7, 4]), torch.arange(8).float()
        past = place.expand(2, -1)[..., None, None]  # each state carries its own place
        future = backwards(place.expand(2, -1), length)[..., None, None]
        p, f = model._compared(past, future, length)
        assert (f - p).flatten().tolist() == [2.0] * 7  # t - 1 and t + 1
        assert p.flatten().tolist() == [0, 1, 2, 3, 4, 0, 1]

    def test_the_encoders_share_the_embeddings_and_the_bias_table_only(self) -> None:
        model = made(SMALL)
        past, future = ({id(p) for p in e.parameters()} for e in (model.past, model.future))
        assert past & future == {id(model.past.bias.table)}
        alone = made(replace(SMALL, encoders="one"))
        assert alone.past is alone.future
        assert sum(p.numel() for p in model.parameters()) > sum(p.numel() for p in alone.parameters())

    @variants
    def test_padding_changes_nothing(self, config: DualRecConfig) -> None:
        model, some = made(config), rows(9, 5)
        wider = functional.pad(some, (0, 3))
        user = torch.zeros(2, dtype=torch.int64)
        assert torch.isclose(model.training_loss(user, some), model.training_loss(user, wider), atol=1e-6)
        for direction in ("past", "future"):
            alone = model.read(some[1:, :5], direction).states
            assert torch.allclose(model.read(wider, direction).states[1:, :5], alone, atol=1e-6)
        model.eval()
        assert torch.allclose(model(user, wider)[1], model(user[1:], some[1:, :5])[0], atol=1e-6)

    @variants
    def test_prediction_does_not_ask_the_future_encoder(self, config: DualRecConfig) -> None:
        model, history, user = made(config).eval(), rows(9, 5), torch.zeros(2, dtype=torch.int64)
        before = model.score_all(user, history)
        for parameter in {*model.future.parameters()} - {*model.past.parameters()}:
            parameter.data.fill_(math.nan)
        assert torch.equal(model.score_all(user, history), before)

    def test_a_future_encoder_alone_reads_the_newest_item_as_the_nearest(self) -> None:
        """Ambiguity D11: what lies after the asked place is the history, newest first."""
        model = made(replace(SMALL, encoders="future")).eval()
        history = torch.tensor([[3, 1, 2]])
        nearest = model.read(torch.tensor([[2, 1, 3]]), "future").states[0, -1]
        assert torch.allclose(model(torch.tensor([0]), history)[0], nearest)


class TestTransfer:
    def test_by_hand(self) -> None:
        """p = (3/4, 1/4), q = (1/2, 1/2): the half sum of both divergences."""
        p, q = torch.tensor([math.log(3.0), 0.0]), torch.zeros(2)
        there = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
        back = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
        assert math.isclose(symmetric_kl(p[None], q[None]).item(), (there + back) / 2, rel_tol=1e-6)

    def test_it_is_symmetric_and_zero_for_equals_only(self) -> None:
        torch.manual_seed(0)
        a, b = torch.randn(2, 5, 4)
        assert torch.allclose(symmetric_kl(a, b), symmetric_kl(b, a))
        library = functional.kl_div(b.log_softmax(-1), a.log_softmax(-1), reduction="none", log_target=True)
        library += functional.kl_div(a.log_softmax(-1), b.log_softmax(-1), reduction="none", log_target=True)
        assert torch.allclose(symmetric_kl(a, b), library.sum(-1) / 2, atol=1e-6)
        assert torch.allclose(symmetric_kl(a, a + 1), torch.zeros(5), atol=1e-6)
        assert (symmetric_kl(a, b) > 0).all()

    @variants
    def test_both_encoders_are_drawn_to_each_other(self, config: DualRecConfig) -> None:
        model, some = made(replace(config, beta=1.0)), rows(9, 5)
        length = (some > 0).sum(1)

        def apart() -> torch.Tensor:
            return model.transfer(model.read(some), model.read(some, "future"), length)

        loss = apart()
        loss.backward()
        for encoder in (model.past, model.future):
            assert encoder.layers[0].attention.into.weight.grad.abs().max() > 0
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.01 * parameter.grad
        assert apart() < loss


class TestLoss:
    @pytest.mark.parametrize("targets", ["inner", "all"])
    def test_eq_14_target_by_target(self, targets: str) -> None:
        config = replace(SMALL, targets=targets, alpha=0.3, beta=0.0)
        model, some = made(config), rows(6, 4)
        total, count = 0.0, 0
        for row, n in zip(some, (6, 4), strict=True):
            row = row[None, :n]
            past, future = model.read(row).states[0], model.read(row, "future").states[0].flip(0)
            vectors = model.item.weight[1:]
            for t in range(n):
                inner = 1 <= t < n - 1
                if inner or (targets == "all" and t > 0):
                    total += 0.3 * functional.cross_entropy(past[t - 1] @ vectors.T, row[0, t] - 1)
                    count += 1
                if inner or (targets == "all" and t < n - 1):
                    total += 0.7 * functional.cross_entropy(future[t + 1] @ vectors.T, row[0, t] - 1)
        assert torch.isclose(model.training_loss(torch.zeros(2), some), total / count, rtol=1e-5)

    def test_every_target_weighs_the_same_when_the_mean_is_told(self) -> None:
        model, some = made(SMALL), rows(12, 4)
        both = model.training_loss(torch.zeros(2), some, per=6.0)
        each = [model.training_loss(torch.zeros(1), some[i : i + 1], per=6.0) for i in (0, 1)]
        assert torch.isclose(both, sum(each) / 2, rtol=1e-5)

    def test_beta_weighs_the_transfer(self) -> None:
        some, length = rows(6, 4), torch.tensor([6, 4])
        model = made(SMALL)
        apart = model.transfer(model.read(some), model.read(some, "future"), length)
        losses = []
        for beta in (0.0, 2.0):
            model.config = replace(SMALL, beta=beta)
            losses.append(model.training_loss(torch.zeros(2), some))
        assert torch.isclose(losses[1] - losses[0], 2 * apart, rtol=1e-4)

    @pytest.mark.parametrize("transfer", ["target", "position", "mean"])
    def test_the_transfer_is_a_mean_over_what_it_compares(self, transfer: str) -> None:
        """Twice the same rows: the same mean, whichever way the heads are paired."""
        model, some = made(replace(SMALL, transfer=transfer)), rows(6, 4)

        def apart(rows: torch.Tensor) -> torch.Tensor:
            return model.transfer(model.read(rows), model.read(rows, "future"), (rows > 0).sum(1))

        assert torch.isclose(apart(some), apart(some.repeat(2, 1)), rtol=1e-5)

    def test_one_encoder_alone_has_its_own_loss_whatever_alpha_says(self) -> None:
        some, user = rows(6, 4), torch.zeros(2)
        both = made(replace(SMALL, alpha=1.0, beta=0.0))
        past = made(replace(SMALL, encoders="past", alpha=0.2))
        past.load_state_dict({k: v for k, v in both.state_dict().items() if not k.startswith("future")})
        assert torch.isclose(both.training_loss(user, some), past.training_loss(user, some), rtol=1e-6)


class TestAblations:
    def test_each_takes_something_away(self) -> None:
        row, user = rows(8), torch.tensor([0])
        whole = made(SMALL).eval()
        for name, value in (("norm", False), ("residual", False), ("positions", "none")):
            less = DualRec(ITEMS, replace(SMALL, **{name: value})).eval()
            less.load_state_dict({k: v for k, v in whole.state_dict().items() if k in less.state_dict()})
            assert not torch.allclose(less(user, row), whole(user, row), atol=1e-3), name

    def test_the_authors_forgot_the_future_encoders_dropout(self) -> None:
        model = made(replace(AUTHORS_SMALL, dropout=0.5)).train()
        model.config = replace(model.config, dropout=0.0)  # of the embeddings, which both have
        torch.manual_seed(0)
        past, future = ([model.read(rows(8), d).states for _ in range(2)] for d in ("past", "future"))
        assert torch.equal(*future)
        assert not torch.equal(*past)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"encoders": "three"}, "unknown encoders"),
        ({"heads": 5}, "5 heads do not divide"),
        ({"length": 2}, "length must be a whole number from 3"),
        ({"alpha": 1.5}, "alpha is from 0 to 1"),
        ({"beta": -1.0}, "beta is from 0"),
        ({"beta": math.inf}, "beta is from 0"),
        ({"dropout": 1.0}, "dropout is from 0 to below 1"),
        ({"norm": 1}, "norm is True or False"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DualRecConfig(**wrong)


def test_a_row_longer_than_the_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="13 items, but the model was made for 12"):
        made(SMALL).read(rows(13))


class TestSpeed:
    """What makes it fast changes nothing."""

    def test_a_large_batch_is_read_part_by_part_with_the_same_gradients(self, monkeypatch) -> None:
        some, user = rows(12, 9, 7, 5), torch.zeros(4)
        found = []
        for at_once in (4096, 13):
            monkeypatch.setattr(dualrec, "AT_ONCE", at_once)
            model = made(SMALL)
            loss = model.training_loss(user, some)
            found.append((loss, *torch.autograd.grad(loss, list(model.parameters()))))
        for whole, parts in zip(*found, strict=True):
            assert torch.allclose(whole, parts, atol=1e-6)
