"""BERT4Rec and S3-Rec: what is hidden stays hidden, the Cloze loss by hand, and they learn."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from workbench.baselines import masked_items
from workbench.baselines.masked_items import BERT4Rec, S3Rec, hide
from workbench.errors import ConfigError

USERS, ITEMS = 2, 12


def made(kind: type, **options):
    torch.manual_seed(0)
    model = kind(USERS, ITEMS, **{"width": 8, "length": 6, "dropout": 0.0} | options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        model.item.weight[0] = 0
    return model


@pytest.fixture
def second_hidden(monkeypatch) -> None:
    monkeypatch.setattr(
        masked_items, "hide", lambda rows, ratio: (rows > 0) & (torch.arange(rows.shape[1]) == 1)
    )


def test_hide_takes_a_share_and_at_least_one_but_no_padding() -> None:
    torch.manual_seed(0)
    rows = torch.ones(400, 20, dtype=torch.int64)
    rows[:, 15:] = 0
    assert abs(hide(rows, 0.4)[:, :15].float().mean() - 0.4) < 0.02
    assert not hide(rows, 0.4)[:, 15:].any()
    assert (hide(rows, 0.0).sum(1) == 1).all()
    assert not hide(torch.zeros(1, 3, dtype=torch.int64), 0.5).any()


class TestBERT4Rec:
    def test_a_hidden_item_is_not_read(self) -> None:
        model, rows = made(BERT4Rec), torch.tensor([[3, 4, 5, 6]])
        hidden = torch.tensor([[False, True, False, False]])
        other = torch.tensor([[3, 9, 5, 6]])
        assert torch.equal(model.read(rows, hidden)[0], model.read(other, hidden)[0])

    def test_both_sides_are_read(self) -> None:
        model, rows = made(BERT4Rec), torch.tensor([[3, 4, 5, 6]])
        hidden = torch.tensor([[False, True, False, False]])
        before = model.read(rows, hidden)[0][0, 1]
        for place in (0, 3):
            other = rows.clone()
            other[0, place] = 9
            assert not torch.allclose(model.read(other, hidden)[0][0, 1], before)

    def test_cloze_by_hand(self, second_hidden) -> None:
        model, rows = made(BERT4Rec, last=0.0), torch.tensor([[3, 4, 5], [6, 7, 0]])
        losses = []
        for row in (rows[:1], rows[1:, :2]):
            states, _ = model.read(row, torch.arange(row.shape[1])[None] == 1)
            scores = states[0, 1] @ model.item.weight[1:].T + model.bias[1:]
            losses.append(functional.cross_entropy(scores, row[0, 1] - 1))
        assert torch.isclose(model.training_loss(torch.zeros(2), rows), sum(losses) / 2, atol=1e-6)

    def test_some_rows_hide_their_last_item_alone(self) -> None:
        model, rows = made(BERT4Rec, last=1.0), torch.tensor([[3, 4, 5], [6, 7, 0]])
        losses = []
        for row in (rows[:1], rows[1:, :2]):
            query = model(torch.zeros(1), row[:, :-1])[0]
            scores = query @ model.item.weight[1:].T + model.bias[1:]
            losses.append(functional.cross_entropy(scores, row[0, -1] - 1))
        assert torch.isclose(model.training_loss(torch.zeros(2), rows), sum(losses) / 2, atol=1e-6)

    def test_padding_changes_nothing_and_an_empty_history_asks_nothing(self) -> None:
        model, rows = made(BERT4Rec).eval(), torch.tensor([[3, 4, 0], [0, 0, 0]])
        user = torch.zeros(2, dtype=torch.int64)
        found = model(user, rows)
        assert torch.allclose(found[0], model(user[:1], rows[:1, :2])[0], atol=1e-6)
        assert not found[1].any()

    def test_the_question_stands_at_a_place_that_training_knows(self) -> None:
        """Rows of six items teach six places: of a history of six, five are read before [MASK]."""
        model = BERT4Rec(USERS, ITEMS, width=16, length=6, dropout=0.0).eval()
        assert len(model.place) == 6
        user, history = (
            torch.zeros(2, dtype=torch.int64),
            torch.tensor([[3, 4, 5, 6, 7, 8], [3, 4, 5, 0, 0, 0]]),
        )
        assert torch.allclose(model(user, history)[0], model(user[:1], history[:1, 1:])[0], atol=1e-6)
        assert torch.allclose(model(user, history)[1], model(user[:1], history[1:, :3])[0], atol=1e-6)

    def test_it_learns_a_chain(self) -> None:
        torch.manual_seed(0)
        model = BERT4Rec(USERS, ITEMS, width=16, length=6, dropout=0.0)
        user, sequence = torch.ones(64, dtype=torch.int64), chain()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(150):
            optimizer.zero_grad()
            model.training_loss(user, sequence).backward()
            optimizer.step()
        assert right(model, user, sequence) > 0.95


class TestS3Rec:
    def test_pretraining_by_hand_and_from_both_sides(self, second_hidden) -> None:
        model, rows = made(S3Rec), torch.tensor([[3, 4, 5]])
        loss = model.pretraining_loss(rows)
        x = model.item(rows)
        x[0, 1] = model.mask
        states, _ = model.encode(x, torch.ones(1, 3, 3, dtype=torch.bool))
        scores = states[0, 1] @ model.item.weight[1:].T
        assert torch.isclose(loss, functional.cross_entropy(scores, torch.tensor(3)), atol=1e-6)
        assert not torch.isclose(loss, model.pretraining_loss(torch.tensor([[3, 4, 9]])))

    def test_afterwards_it_is_sasrec(self) -> None:
        model, row = made(S3Rec).eval(), torch.tensor([[3, 4, 5]])
        before, _ = model.states(torch.zeros(1), row)
        after, _ = model.states(torch.zeros(1), torch.tensor([[3, 4, 9]]))
        assert torch.equal(before[:, :2], after[:, :2])

    def test_it_learns_a_chain_after_pretraining(self) -> None:
        torch.manual_seed(0)
        model = S3Rec(USERS, ITEMS, width=16, length=6, dropout=0.0, loss="softmax")
        user, sequence = torch.ones(64, dtype=torch.int64), chain()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for step in range(120):
            optimizer.zero_grad()
            loss = model.pretraining_loss(sequence) if step < 60 else model.training_loss(user, sequence)
            loss.backward()
            optimizer.step()
        assert right(model, user, sequence) > 0.95


@pytest.mark.parametrize(
    ("kind", "wrong"), [(BERT4Rec, {"mask_ratio": 1.5}), (BERT4Rec, {"last": -1}), (S3Rec, {"mask_ratio": 0})]
)
def test_what_makes_no_sense_is_refused(kind: type, wrong: dict) -> None:
    with pytest.raises(ConfigError, match="must lie"):
        kind(USERS, ITEMS, **wrong)


def chain() -> torch.Tensor:
    """Item k is followed by k + 1: (64, 6)."""
    start = torch.randint(1, ITEMS, (64, 1))
    return (start - 1 + torch.arange(6)) % (ITEMS - 1) + 1


def right(model, user: torch.Tensor, sequence: torch.Tensor) -> float:
    scores = model.eval().score_all(user, sequence[:, :-1])[:, 1:]
    return float((scores.argmax(1) + 1 == sequence[:, -1]).float().mean())
