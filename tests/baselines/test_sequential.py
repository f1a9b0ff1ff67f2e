"""DIN, DIEN and BERT4Rec: by hand, against a plain loop, and what a masked label must not see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from workbench.baselines.sequential import AUGRU, DIEN, DIN, BERT4Rec, mean_log_loss
from workbench.errors import ConfigError
from workbench.methods.layers import MASKED, Events, Sample

SIZES = (9, 12, 5)  # as in conftest


def item_events(codes: list, labels: list | None = None) -> Events:
    codes = torch.tensor(codes)
    label = torch.zeros_like(codes) if labels is None else torch.tensor(labels)
    return Events(codes.unsqueeze(-1), label, codes > 0)


def one_event(y: int) -> tuple[Events, Events]:
    """A target and a history of one event with label y."""
    return item_events([2]), item_events([[3]], [[y]])


def complement(model, sample_of) -> None:
    """-ln(1 - p) and -ln p belong to one p exactly if p was predicted without knowing the label."""
    unclicked, clicked = (model.auxiliary_loss(sample_of(y)).item() for y in (0, 1))
    assert np.exp(-unclicked) + np.exp(-clicked) == pytest.approx(1, abs=1e-6)
    assert unclicked != pytest.approx(clicked, abs=1e-3)


# --- DIN ------------------------------------------------------------------------------------------------


def test_din_by_hand_on_two_events():
    """Items 1, 2, 3 are the numbers 1, 2, 3. A unit that multiplies gives target 2 the weights 2 and 6."""
    model = DIN((4,), width=1, mlp=(), unit=(1,))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.embed.fields.table.copy_(torch.arange(4.0).unsqueeze(1))
        model.embed.tokens.copy_(torch.tensor([[-1.0], [1.0], [0.0]]))
        model.unit.product.weight.copy_(torch.tensor([[1.0, 0.0]]))  # the item's product, not the token's
        model.unit.rest[1][0].weight.fill_(1)
        model.head[0].weight.copy_(torch.tensor([[1000.0, 0, 1, 100]]))  # target item, token; pooled the same
    sample = Sample(item_events([2]), item_events([[1, 3, 0]], [[0, 1, 0]]))
    logits, weights = model.eval()(sample, return_weights=True)
    assert weights.tolist() == [[2, 6, 0]]  # not normalised
    pooled_item, pooled_token = 2 * 1 + 6 * 3, 2 * -1 + 6 * 1
    assert logits.tolist() == [1000 * 2 + pooled_item + 100 * pooled_token]


# --- DIEN -----------------------------------------------------------------------------------------------


def test_augru_equals_a_plain_loop():
    torch.manual_seed(0)
    cell = AUGRU(3, 4).double()
    x, a = torch.randn(2, 5, 3).double(), torch.rand(2, 5).double()
    w, b, u = (p.detach().numpy() for p in (cell.into.weight, cell.into.bias, cell.back.weight))
    gate = {name: slice(4 * i, 4 * i + 4) for i, name in enumerate("urc")}

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    for line in range(2):
        h = np.zeros(4)
        for t in range(5):
            i = x[line, t].numpy()
            of = {name: w[s] @ i + b[s] for name, s in gate.items()}
            update = a[line, t].item() * sigmoid(of["u"] + u[gate["u"]] @ h)
            reset = sigmoid(of["r"] + u[gate["r"]] @ h)
            candidate = np.tanh(of["c"] + reset * (u[gate["c"]] @ h))
            h = (1 - update) * h + update * candidate
        np.testing.assert_allclose(cell(x, a)[line].detach().numpy(), h)


def test_augru_with_full_attention_is_a_gru():
    """PyTorch's gates come in the order r, z, n, and its z keeps where u updates: z = 1 - u."""
    torch.manual_seed(0)
    cell, gru = AUGRU(3, 4).double(), nn.GRU(3, 4, batch_first=True).double()

    def theirs(p):
        u, r, c = p.chunk(3)
        return torch.cat([r, -u, c])

    with torch.no_grad():
        gru.weight_ih_l0.copy_(theirs(cell.into.weight))
        gru.bias_ih_l0.copy_(theirs(cell.into.bias))
        gru.weight_hh_l0.copy_(theirs(cell.back.weight))
        gru.bias_hh_l0.zero_()
    x = torch.randn(2, 5, 3).double()
    torch.testing.assert_close(cell(x, torch.ones(2, 5).double()), gru(x)[1][0])


def test_augru_without_attention_stands_still():
    torch.manual_seed(0)
    cell, x = AUGRU(3, 4), torch.randn(2, 5, 3)
    first_two = torch.tensor([1.0, 1, 0, 0, 0]).expand(2, 5)
    torch.testing.assert_close(cell(x, first_two), cell(x[:, :2], first_two[:, :2]))
    assert not cell(x, torch.zeros(2, 5)).any()


def test_diens_attention_is_the_softmax_of_a_bilinear_form(make_sample):
    torch.manual_seed(0)
    sample, model = make_sample(), DIEN(SIZES, width=4)
    _, weights = model.eval()(sample, return_weights=True)
    target = model.embed.hidden(sample.target)
    states, _ = model.extract(model.embed(sample.history))
    for line, there in enumerate(sample.history.there):
        n = int(there.sum())
        scores = [h @ model.attend.weight @ target[line] for h in states[line, :n]]
        expected = torch.softmax(torch.stack(scores), 0) if n else torch.zeros(0)
        torch.testing.assert_close(weights[line, :n], expected)
        assert not weights[line, n:].any()


def test_diens_auxiliary_loss_by_hand():
    """Expecting 1 of items that are the numbers 1 and 3: chances of a click sigma(1) and sigma(3)."""
    model = DIEN((4,), width=1, hidden=2)
    with torch.no_grad():
        model.embed.fields.table.copy_(torch.arange(4.0).unsqueeze(1))
        model.expect.weight.zero_()
        model.expect.bias.fill_(1)
    sample = Sample(item_events([2]), item_events([[2, 1, 3], [1, 0, 0]], [[1, 0, 1], [1, 0, 0]]))
    expected = (np.log1p(np.exp(1)) + np.log1p(np.exp(-3))) / 2  # the first event is nobody's next
    assert model.auxiliary_loss(sample).item() == pytest.approx(expected, rel=1e-5)
    short = sample._replace(history=item_events([[1], [0]]))
    assert model.auxiliary_loss(short).item() == 0


def test_diens_auxiliary_loss_does_not_know_what_it_predicts():
    torch.manual_seed(0)
    model = DIEN((5,), width=4)
    with torch.no_grad():
        model.embed.fields.table.normal_()
        model.embed.tokens.normal_()
    complement(model, lambda y: Sample(item_events([2]), item_events([[3, 4]], [[1, y]])))


# --- BERT4Rec -------------------------------------------------------------------------------------------


def bert(sizes=SIZES, **options) -> BERT4Rec:
    torch.manual_seed(0)
    model = BERT4Rec(sizes, width=4, length=5, hidden=8, dropout=0.0, **options)
    with torch.no_grad():
        for parameter in (model.embed.fields.table, model.embed.tokens, model.place):
            parameter.normal_()
    return model


def test_bert_reads_both_ways_and_no_masked_label(make_sample):
    model, sample = bert(), make_sample(full=True)
    history = sample.history
    token = history.token.clone()
    token[:, 1] = MASKED

    def chance(label, codes=history.codes, token=token):
        return model.read(sample.target, Events(codes, label, history.there), token)[0][:, 1]

    flipped = history.label.clone()
    flipped[:, 1] = 1 - flipped[:, 1]
    assert torch.equal(chance(flipped), chance(history.label))
    for place in (0, 4):  # an event before, an event after
        others = history.codes.clone()
        others[:, place] = history.codes[:, place].roll(1, 0)
        same = (others[:, place] == history.codes[:, place]).all(-1)
        assert ((chance(history.label, others) - chance(history.label)).abs()[~same] > 1e-6).all()
        assert not same.all()


def test_bert_knows_order_and_counts_positions_back_from_the_target(make_sample):
    model, sample = bert(), make_sample(full=True)
    history = sample.history
    swapped = Events(*(part.flip(1) for part in history))
    assert ((model(sample) - model(sample._replace(history=swapped))).abs() > 1e-6).all()
    with torch.no_grad():
        model.place[1] += 5 * torch.randn(8)  # the latest event's
        latest = Events(*(part[:, -1:] for part in history))
        alone = model(sample._replace(history=latest))
        model.place[2:] = 7  # positions that a history of one does not have
    assert torch.equal(model(sample._replace(history=latest)), alone)
    assert not torch.equal(model(sample), alone)


def test_bert_shows_every_layers_attention(make_sample):
    sample = make_sample()
    _, weights = bert(layers=3)(sample, return_weights=True)
    assert weights.shape == (3, 6, 2, 6, 6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 6, 2, 6))
    padding = ~torch.cat([sample.history.there, torch.ones(6, 1, dtype=torch.bool)], 1)
    assert not weights.movedim(1, 0).movedim(-1, 1)[padding].any()  # nobody looks at padding


def test_berts_cloze_does_not_know_what_it_predicts():
    model = bert((5,), mask_ratio=1)
    complement(model, lambda y: Sample(*one_event(y)))


def test_berts_cloze_asks_about_its_share_of_the_labels(make_sample, monkeypatch):
    """Only hidden labels are asked for, and about ``mask_ratio`` of them."""
    asked = []
    monkeypatch.setattr(
        "workbench.baselines.sequential.mean_log_loss",
        lambda logits, label, where: asked.append(where) or mean_log_loss(logits, label, where),
    )
    sample, model = make_sample(batch=400), bert(mask_ratio=0.3)
    tokens, read = [], model.read
    monkeypatch.setattr(model, "read", lambda t, h, token: tokens.append(token) or read(t, h, token))
    model.auxiliary_loss(sample)
    assert torch.equal(asked[0], tokens[0] == MASKED)
    assert not (asked[0] & ~sample.history.there).any()
    events = int(sample.history.there.sum())
    spread = (0.3 * 0.7 / events) ** 0.5
    assert abs(int(asked[0].sum()) / events - 0.3) < 4 * spread


def test_a_history_longer_than_the_positions_is_refused(make_sample):
    torch.manual_seed(0)
    with pytest.raises(ConfigError, match="5 events of history, but length is 4"):
        BERT4Rec(SIZES, width=4, length=4)(make_sample())


def test_mean_log_loss_by_hand():
    logits, label = torch.tensor([0.0, 2.0, 9.0]), torch.tensor([1, 0, 1])
    where = torch.tensor([True, True, False])
    expected = (np.log(2) + np.log1p(np.exp(2))) / 2
    assert mean_log_loss(logits, label, where).item() == pytest.approx(expected, rel=1e-6)
    assert mean_log_loss(logits, label, where & False).item() == 0
