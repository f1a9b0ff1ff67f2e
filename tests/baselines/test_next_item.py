"""Next-item models: scores by hand, losses by hand, nothing from the future, and they learn."""

import math

import pytest
import torch
from torch import nn

from workbench.baselines.next_item import FPMC, NARM, TOP_N, GRU4Rec, SASRec, TransRec
from workbench.errors import ConfigError
from workbench.methods import next_item
from workbench.methods.next_item import LOSSES, NextItem

USERS, ITEMS = 4, 9
SMALL = {name: {"width": 8} for name in TOP_N} | {"SASRec": {"width": 8, "length": 6}}


def made(name: str, seed: int = 0, **options) -> NextItem:
    torch.manual_seed(seed)
    model = TOP_N[name](USERS, ITEMS, **SMALL[name] | options)
    for parameter in model.parameters():  # also what starts at zero
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def randoms(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(1, ITEMS, shape, generator=torch.Generator().manual_seed(seed))


every_model = pytest.mark.parametrize("name", TOP_N)


class TestAllOfThem:
    @every_model
    def test_one_item_and_all_items_get_the_same_scores(self, name: str) -> None:
        model, user, history = made(name), torch.tensor([1, 2, 3]), randoms(3, 5)
        history[1, 2:] = 0
        every = model.score_all(user, history)
        assert every.shape == (3, ITEMS)
        items = randoms(3, 4, seed=2)
        assert torch.allclose(model.score(user, history, items), every.gather(1, items), atol=1e-6)
        assert (every[:, 1:].std(dim=1) > 1e-3).all()

    @every_model
    def test_padding_changes_nothing(self, name: str) -> None:
        model, user, history = made(name), torch.tensor([1, 2]), randoms(2, 4)
        history[1, 2:] = 0
        padded = nn.functional.pad(history, (0, 2))
        assert torch.allclose(model(user, history), model(user, padded), atol=1e-6)
        alone = model(user[1:], history[1:, :2])
        assert torch.allclose(model(user, history)[1:], alone, atol=1e-6)

    @every_model
    def test_a_later_item_changes_no_earlier_query(self, name: str) -> None:
        model, user, history = made(name), torch.tensor([1, 2]), randoms(2, 6)
        before, _ = model.states(user, history)
        for place in range(1, 6):
            other = history.clone()
            other[:, place] = other[:, place] % (ITEMS - 1) + 1
            after, _ = model.states(user, other)
            assert torch.equal(before[:, :place], after[:, :place])
            assert not torch.allclose(before[:, place], after[:, place])

    @every_model
    def test_the_query_of_every_step_is_that_of_the_history_up_to_it(self, name: str) -> None:
        """One pass over a sequence trains on the same queries that prediction asks for."""
        model, user, history = made(name), torch.tensor([1, 2]), randoms(2, 6)
        states, _ = model.states(user, history)
        for length in range(1, 7):
            assert torch.allclose(states[:, length - 1], model(user, history[:, :length]), atol=1e-6)

    @every_model
    def test_without_a_history_only_what_knows_the_user_has_a_query(self, name: str) -> None:
        query = made(name)(torch.tensor([1, 2]), torch.zeros(2, 3, dtype=torch.int64))
        if name in ("FPMC", "TransRec"):
            assert not torch.allclose(query[0], query[1])
        else:
            assert not query.any()

    @every_model
    def test_they_learn_a_chain(self, name: str) -> None:
        """Item i is followed by i + 1: after i alone, it must be first among all others."""
        torch.manual_seed(0)
        model = TOP_N[name](USERS, ITEMS, **SMALL[name])
        first = torch.arange(1, ITEMS - 1)
        sequences = first[:, None] + torch.arange(3)
        sequences[sequences >= ITEMS] = 0
        user = first % 3 + 1
        optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
        for _ in range(120):
            loss = model.training_loss(user, sequences)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scores = model.eval().score_all(user, first[:, None])
        scores[:, 0] = scores[torch.arange(len(first)), first] = -torch.inf
        assert torch.equal(scores.argmax(1), first + 1)

    @pytest.mark.parametrize("loss", LOSSES)
    @every_model
    def test_each_takes_each_loss_and_padding_trains_nothing(self, name: str, loss: str) -> None:
        model, user = made(name, loss=loss), torch.tensor([1, 2, 3])
        sequences = randoms(3, 6)
        sequences[1, 3:] = 0
        torch.manual_seed(5)
        value = model.training_loss(user, sequences)
        assert value.isfinite()
        assert value > 0
        value.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        for embedding in (m for m in model.modules() if isinstance(m, nn.Embedding)):
            assert not embedding.weight.grad[0].any(), "code 0 is no item and no user"
        torch.manual_seed(5)
        longer = model.training_loss(user, nn.functional.pad(sequences, (0, 1)))
        assert longer.item() == pytest.approx(value.item(), rel=1e-5)
        nothing = model.training_loss(user, nn.functional.pad(sequences[:, :1], (0, 3)))
        assert nothing == 0, "no step, no loss"

    def test_bad_options_are_refused(self) -> None:
        for name in TOP_N:
            with pytest.raises(ConfigError, match="width must be a whole number from 1"):
                TOP_N[name](USERS, ITEMS, width=0)
            with pytest.raises(ConfigError, match="unknown loss 'hinge'; known: bce, bpr, softmax, top1"):
                TOP_N[name](USERS, ITEMS, loss="hinge")
            with pytest.raises(ConfigError, match="items must be a whole number"):
                TOP_N[name](USERS, 0)
        for kind in (NARM, GRU4Rec, SASRec):
            with pytest.raises(ConfigError, match="dropout"):
                kind(USERS, ITEMS, dropout=1.0)
        with pytest.raises(ConfigError, match="dropout"):
            NARM(USERS, ITEMS, decoder_dropout=-0.1)
        with pytest.raises(ConfigError, match="3 heads do not divide"):
            SASRec(USERS, ITEMS, width=8, heads=3)
        with pytest.raises(ConfigError, match="7 events of history, but the model was made for length 6"):
            made("SASRec")(torch.tensor([1]), randoms(1, 7))


class Given(NextItem):
    """A model whose query after item i is (i, 1), with vectors (j / 10, 0) and biases -j."""

    def __init__(self, loss: str, items: int = 5) -> None:
        super().__init__(2, items, loss)
        codes = torch.arange(float(items))
        self.table = torch.stack([codes / 10, torch.zeros(items)], 1)
        self.bias = -codes

    def states(self, user, history):
        return torch.stack([history.float(), torch.ones(history.shape)], -1), None

    def vectors(self):
        return self.table, self.bias


def given_score(last: int, item: int) -> float:
    return last * item / 10 - item


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class TestLosses:
    """Against the formulas, number by number, on the steps 1>2, 2>4 and 3>1."""

    USER = torch.tensor([1, 1])
    SEQUENCES = torch.tensor([[1, 2, 4], [3, 1, 0]])
    STEPS = ((1, 2), (2, 4), (3, 1))

    @pytest.mark.parametrize("at_once", [1, 2, 256])
    def test_softmax(self, monkeypatch, at_once: int) -> None:
        """However many steps are computed together."""
        monkeypatch.setattr(next_item, "AT_ONCE", at_once)
        expected = 0.0
        for last, following in self.STEPS:
            total = sum(math.exp(given_score(last, item)) for item in range(1, 5))
            expected -= given_score(last, following) - math.log(total)
        assert Given("softmax").training_loss(self.USER, self.SEQUENCES).item() == pytest.approx(expected / 3)

    def test_top1_compares_with_the_same_step_of_other_sequences(self) -> None:
        """At the first step 2 and 1 compete, each the other's negative; at the second 4 is alone."""
        pairs = [(1, 2, 1), (3, 1, 2)]  # last item, answer, negative
        expected = [
            sigma(given_score(last, j) - given_score(last, i)) + sigma(given_score(last, j) ** 2)
            for last, i, j in pairs
        ]
        value = Given("top1").training_loss(self.USER, self.SEQUENCES).item()
        assert value == pytest.approx(sum(expected) / 2)
        same = torch.tensor([[1, 2], [3, 2]])  # an answer is not its own negative
        assert Given("top1").training_loss(self.USER, same) == 0

    @pytest.mark.parametrize("loss", ["bpr", "bce"])
    def test_one_sampled_negative(self, loss: str) -> None:
        """Of the items 1 and 2, only 2 is not in the window: whatever is drawn, the mean is over it."""
        sequences = torch.tensor([[1, 1]]).repeat(20, 1)
        right, wrong = given_score(1, 1), given_score(1, 2)
        expected = {
            "bpr": -math.log(sigma(right - wrong)),
            "bce": -math.log(sigma(right)) - math.log(sigma(-wrong)),
        }
        torch.manual_seed(0)
        value = Given(loss, items=3).training_loss(torch.ones(20), sequences)
        assert value.item() == pytest.approx(expected[loss])
        assert Given(loss, items=2).training_loss(torch.ones(20), sequences) == 0, "nothing but own items"

    def test_negatives_are_uniform_over_the_items_outside_the_window(self, monkeypatch) -> None:
        drawn = []
        monkeypatch.setattr(
            Given, "_some", lambda self, q, items: drawn.append(items) or torch.zeros(items.shape)
        )
        torch.manual_seed(0)
        sequences = torch.tensor([[1, 2, 4]]).repeat(3000, 1)
        Given("bpr", items=7).training_loss(torch.ones(3000), sequences)
        negative = drawn[0][:, 1]
        counts = torch.bincount(negative, minlength=7)
        assert counts[0] == 0
        assert ((counts[1:] - 1000).abs() < 5 * math.sqrt(1000)).all()


class TestByHand:
    def test_fpmc(self) -> None:
        """User (2), last item (3); item 1 has (5, 7): 2*5 + 3*7 = 31."""
        model = FPMC(3, 4, width=1)
        with torch.no_grad():
            model.user.weight.copy_(torch.tensor([[0.0], [2.0], [4.0]]))
            model.last.weight.copy_(torch.tensor([[0.0], [1.0], [3.0], [6.0]]))
            model.item.weight.copy_(torch.tensor([[0.0, 0.0], [5.0, 7.0], [1.0, 0.0], [0.0, 1.0]]))
        scores = model.score_all(torch.tensor([1, 2]), torch.tensor([[1, 2], [3, 0]]))
        assert scores[:, 1:].tolist() == [[31.0, 2.0, 3.0], [62.0, 4.0, 6.0]]
        assert not FPMC(3, 4).user.weight.any(), "who was not there in training has no taste yet"

    def test_transrec(self) -> None:
        """From (.5, 0) by t + t_u = (.1, .2) to (.6, .2); item 2 at (.6, .8), bias .3: .3 - .36."""
        model = TransRec(2, 4, width=2)
        with torch.no_grad():
            model.item.weight.copy_(torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.6, 0.8], [6.0, 8.0]]))
            model.everybody.copy_(torch.tensor([0.1, 0.0]))
            model.user.weight[1] = torch.tensor([0.0, 0.2])
            model.bias.copy_(torch.tensor([0.0, 0.1, 0.3, 0.0]))
        scores = model.score_all(torch.tensor([1]), torch.tensor([[2, 1]]))[0]
        assert scores[1:].tolist() == pytest.approx([0.05, -0.06, -0.36], abs=1e-6)
        # (.1 - .05, .3 - .36, and item 3 scaled to where item 2 is.)
        assert model.gamma().norm(dim=1).tolist() == pytest.approx([0.0, 0.5, 1.0, 1.0])

    def test_gru4rec(self) -> None:
        """One hidden unit: h = (1 - z) n, z = sigma(.5), n = tanh(2 x) for x = 1, .5 by item."""
        model = GRU4Rec(2, 3, width=1, hidden=1).eval()
        with torch.no_grad():
            model.item.weight.copy_(torch.tensor([[0.0], [1.0], [0.5]]))
            model.rnn.weight_ih_l0.copy_(torch.tensor([[0.0], [0.0], [2.0]]))  # r, z, n
            model.rnn.weight_hh_l0.zero_()
            model.rnn.bias_ih_l0.copy_(torch.tensor([0.0, 0.5, 0.0]))
            model.rnn.bias_hh_l0.zero_()
            model.out.weight.copy_(torch.tensor([[0.0], [3.0], [-1.0]]))
            model.bias.copy_(torch.tensor([0.0, 0.2, 0.4]))
        z = sigma(0.5)
        h = (1 - z) * math.tanh(2.0)
        h = (1 - z) * math.tanh(1.0) + z * h
        scores = model.score_all(torch.tensor([1]), torch.tensor([[1, 2]]))[0, 1:]
        assert scores.tolist() == pytest.approx([3 * h + 0.2, -h + 0.4], rel=1e-5)

    def test_narm_event_by_event(self) -> None:
        """Against loops over the formulas, with the recurrent states from a cell of the same weights."""
        model, history = made("NARM", hidden=3), randoms(1, 4)
        cell = nn.GRUCell(8, 3)
        cell.load_state_dict({k.removesuffix("_l0"): v for k, v in model.rnn.state_dict().items()})
        states, h = [], torch.zeros(1, 3)
        for t in range(4):
            h = cell(model.item.weight[history[:, t]], h)
            states.append(h[0])
        A1, A2, v = model.asks.weight, model.asked.weight, model.v.weight[0]
        alpha = [(v * torch.sigmoid(A1 @ states[3] + A2 @ state)).sum() for state in states]
        local = sum(a * state for a, state in zip(alpha, states, strict=True))
        c = torch.cat([states[3], local])
        expected = [(model.item.weight[j] * (model.decode.weight @ c)).sum().item() for j in range(1, ITEMS)]
        scores = model.score_all(torch.tensor([1]), history)[0, 1:]
        assert scores.tolist() == pytest.approx(expected, abs=1e-5)
        _, weights = model(torch.tensor([1]), history, return_weights=True)
        assert weights[0, 3].tolist() == pytest.approx([a.item() for a in alpha], abs=1e-5)
        assert not weights[0].triu(1).any()

    def test_sasrec_without_blocks_compares_the_last_item_and_its_place(self) -> None:
        model, history = made("SASRec", layers=1), torch.tensor([[3, 5, 0]])
        with torch.no_grad():  # a block whose two outputs are zero passes its input on
            for layer in (model.blocks[0].attention.out, model.blocks[0].feed[-1]):
                layer.weight.zero_()
                layer.bias.zero_()
        x = math.sqrt(8) * model.item.weight[5] + model.place[1]
        expected = model.item.weight @ model.norm(x)
        assert torch.allclose(model.score_all(torch.tensor([1]), history)[0], expected, atol=1e-5)

    def test_sasrec_attention_adds_to_one_over_what_is_there(self) -> None:
        history = randoms(2, 5)
        history[1, 3:] = 0
        _, weights = made("SASRec")(torch.tensor([1, 2]), history, return_weights=True)
        assert weights.shape == (2, 2, 1, 5, 5)
        assert torch.allclose(weights[:, 0].sum(-1), torch.ones(2, 1, 5))
        assert not weights.triu(1).any()
        assert not weights[:, 1, :, :, 3:].any()
