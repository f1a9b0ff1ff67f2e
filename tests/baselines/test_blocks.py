"""Events as vectors, DIN's unit, the bilinear score: by hand or against the longer form."""

from __future__ import annotations

import pytest
import torch

from workbench.baselines.blocks import (
    EventEmbedding,
    bilinear,
    bilinear_scores,
    check_network,
)
from workbench.errors import ConfigError
from workbench.methods.layers import ActivationUnit, Events, aggregate


def test_an_event_is_its_fields_and_its_label_token_and_padding_is_zero():
    embed = EventEmbedding((3, 4), width=1)
    with torch.no_grad():
        embed.fields.table.copy_(torch.tensor([[9.0, 1, 2, 9, 3, 4, 5]]).T)  # 9: the rows of code 0
        embed.tokens.copy_(torch.tensor([[-1.0], [1.0], [7.0]]))
    events = Events(
        torch.tensor([[1, 3], [2, 0], [0, 0]]), torch.tensor([0, 1, 0]), torch.tensor([True, True, False])
    )
    assert embed.size == 3
    assert embed(events).tolist() == [[1, 5, -1], [2, 0, 1], [0, 0, 0]]
    assert embed.hidden(events).tolist() == [[1, 5, 7], [2, 0, 7], [0, 0, 0]]
    assert torch.equal(embed.hidden(events._replace(label=None)), embed.hidden(events))
    given = embed(events, torch.tensor([1, 2, 3]))
    assert given.tolist() == [[1, 5, 1], [2, 0, 7], [0, 0, 0]]


def test_the_unit_with_three_matrices_equals_the_network_on_four_parts():
    torch.manual_seed(0)
    size, hidden = 5, 3
    unit = ActivationUnit(size, (hidden, 4)).double()
    four = torch.randn(hidden, 4 * size, dtype=torch.float64)
    event, target, difference, product = four.split(size, dim=1)
    with torch.no_grad():
        unit.event.weight.copy_(event + difference)
        unit.target.weight.copy_(target - difference)
        unit.product.weight.copy_(product)
    e, v = torch.randn(2, 6, size).double(), torch.randn(2, size).double()
    there = torch.arange(6) < torch.tensor([[6], [2]])
    wide = v.unsqueeze(1).expand_as(e)
    parts = torch.cat([e, wide, e - wide, e * wide], -1)
    expected = unit.rest(parts @ four.T + unit.event.bias).squeeze(-1)
    torch.testing.assert_close(unit(e, v, there), torch.where(there, expected, 0.0))


def test_one_history_is_that_of_every_target():
    torch.manual_seed(0)
    unit = ActivationUnit(5, (3, 4)).double()
    e, v = torch.randn(1, 6, 5).double(), torch.randn(7, 5).double()
    there = torch.arange(6) < torch.tensor([[4]])
    for_each = e.expand(7, -1, -1)
    weights = unit(e, v, there)
    torch.testing.assert_close(weights, unit(for_each, v, there.expand(7, -1)))
    torch.testing.assert_close(aggregate(weights, e), aggregate(weights, for_each))
    one, value = torch.randn(7, 1).double(), torch.randn(1, 5).double()  # (K, d) values: one of everybody's
    torch.testing.assert_close(aggregate(one, value), one * value)


def test_bilinear_scores_are_k_w_q():
    torch.manual_seed(0)
    layer = bilinear(4)
    keys, query = torch.randn(2, 3, 4), torch.randn(2, 4)
    start = torch.stack([keys[i] @ query[i] / 2 for i in range(2)])  # I / sqrt(4)
    torch.testing.assert_close(bilinear_scores(keys, layer(query)), start)
    with torch.no_grad():
        layer.weight.normal_()
    expected = torch.einsum("bkd,de,be->bk", keys, layer.weight, query)
    torch.testing.assert_close(bilinear_scores(keys, layer(query)), expected)


def test_a_good_configuration_passes():
    check_network(dropout=0, sizes=[3], mlp=(), unit=(1,), width=1)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("width", True), ("width", [4]), ("width", "4"), ("width", -1), ("mlp", 8), ("mlp", (8, 1.0)),
        ("unit", ()), ("sizes", range(3)), ("dropout", float("nan")), ("dropout", "0"),
    ],
)  # fmt: skip
def test_a_bad_option_is_named(option, value):
    with pytest.raises(ConfigError, match=option):
        check_network(**{"dropout": 0.1, option: value})
