"""Caser and HGN: scores by hand, windows, nothing from the future, and they learn."""

import pytest
import torch
from torch import nn

from workbench.baselines.next_item_windows import HGN, Caser
from workbench.errors import ConfigError

USERS, ITEMS = 4, 9
both = pytest.mark.parametrize("kind", [Caser, HGN])


def made(kind: type, **options):
    torch.manual_seed(0)
    model = kind(USERS, ITEMS, width=4, length=3, **options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        model.item.weight[0] = 0
    return model.eval()


@both
def test_only_the_last_items_and_the_user_are_read(kind: type) -> None:
    model, user = made(kind), torch.tensor([1, 2])
    history = torch.tensor([[5, 1, 2, 3], [5, 1, 2, 3]])
    first = model(user, history)
    other = torch.tensor([[6, 1, 2, 3], [5, 1, 2, 4]])
    second = model(user, other)
    assert torch.allclose(first[0], second[0], atol=1e-6)
    assert not torch.allclose(first[1], second[1])
    assert not torch.allclose(first[0], first[1])


@both
def test_the_query_of_every_step_is_that_of_the_history_up_to_it(kind: type) -> None:
    model, user, history = made(kind), torch.tensor([1]), torch.tensor([[4, 2, 8, 1, 3]])
    states, _ = model.states(user, history)
    for length in range(1, 6):
        alone = model(user, nn.functional.pad(history[:, :length], (0, 2)))
        assert torch.allclose(states[:, length - 1], alone, atol=1e-6)


def test_caser_by_hand() -> None:
    model, history = made(Caser, wide=2, tall=2), torch.tensor([[7, 8]])
    image = torch.cat([torch.zeros(1, 4), model.item.weight[[7, 8]]])  # (3, 4): one place of padding
    found = []
    for height, filters in enumerate(model.across, start=1):
        for weight, bias in zip(filters.weight, filters.bias, strict=True):  # weight (d, height)
            slides = [(image[at : at + height].T * weight).sum() + bias for at in range(4 - height)]
            found.append(torch.stack(slides).max().clamp(min=0))
    sums = (model.down.weight @ image).T.flatten()  # of each dimension, both vertical filters
    z = torch.relu(model.into(torch.cat([torch.stack(found), sums])))
    expected = torch.cat([z, model.user.weight[2]])
    assert torch.allclose(model(torch.tensor([2]), history)[0], expected, atol=1e-5)


def test_hgn_by_hand() -> None:
    model, history = made(HGN), torch.tensor([[7, 8]])
    u, x = model.user.weight[2], model.item.weight[[7, 8]]
    gated = x * torch.sigmoid(x @ model.feature.weight.T + model.feature.bias + model.feature_user.weight @ u)
    alpha = torch.sigmoid(gated @ model.instance.weight[0] + (model.instance_user.weight @ u)[1:])
    m = (alpha[:, None] * gated).sum(0) / alpha.sum()
    query, weights = model(torch.tensor([2]), history, return_weights=True)
    assert torch.allclose(query[0], u + m + x.sum(0), atol=1e-5)
    assert torch.allclose(weights[0, -1], torch.cat([torch.zeros(1), alpha / alpha.sum()]), atol=1e-5)


@both
def test_they_learn_a_chain(kind: type) -> None:
    """Item k is followed by k + 1."""
    torch.manual_seed(0)
    model = kind(USERS, ITEMS, width=8, length=3, loss="softmax")
    start = torch.randint(1, ITEMS, (64, 1))
    sequence = (start - 1 + torch.arange(6)) % (ITEMS - 1) + 1
    user = torch.ones(64, dtype=torch.int64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model.training_loss(user, sequence).backward()
        optimizer.step()
    scores = model.eval().score_all(user, sequence[:, :-1])[:, 1:]
    assert (scores.argmax(1) + 1 == sequence[:, -1]).float().mean() > 0.95


@both
def test_what_makes_no_sense_is_refused(kind: type) -> None:
    with pytest.raises(ConfigError, match="length must be a whole number from 1"):
        kind(USERS, ITEMS, length=0)
