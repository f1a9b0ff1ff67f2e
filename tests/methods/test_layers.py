"""Shared blocks against hand-worked numbers, brute force and torch's own layers."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from workbench.errors import ConfigError
from workbench.methods.layers import (
    ABSENT,
    MLP,
    Events,
    FieldEmbedding,
    Interaction,
    SelfAttention,
    TransformerBlock,
    aggregate,
    dropout,
    last_state,
    masked_softmax,
    mean_state,
    visible,
    windows,
)


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_padding_has_a_label_token_of_its_own():
    events = Events(torch.zeros(1, 3, 2), torch.tensor([[0, 1, 0]]), torch.tensor([[True, True, False]]))
    assert events.token.tolist() == [[0, 1, ABSENT]]


def test_each_field_has_its_own_rows_and_unknown_is_zero_for_ever():
    embedding = FieldEmbedding([3, 4], 2, std=1.0)
    assert len(embedding.table) == 7
    out = embedding(torch.tensor([[1, 1], [0, 0], [2, 3]]))
    assert torch.equal(out[0], embedding.table[[1, 4]])
    assert torch.equal(out[2], embedding.table[[2, 6]])
    assert not out[1].any()
    out.sum().backward()
    assert not embedding.table.grad[[0, 3]].any()
    assert embedding.table.grad[[1, 2, 4, 6]].all()


def test_a_wrong_number_of_fields_is_refused():
    with pytest.raises(ConfigError, match=r"expected 3 fields .* got 2"):
        FieldEmbedding([2, 2, 2], 4)(torch.zeros(1, 2, dtype=torch.long))


def test_masked_softmax_by_hand():
    scores = torch.tensor([[0.0, math.log(3), 5.0], [1.0, 2.0, 3.0]])
    there = torch.tensor([[True, True, False], [False, False, False]])
    torch.testing.assert_close(masked_softmax(scores, there), torch.tensor([[0.25, 0.75, 0.0], [0.0] * 3]))


def test_a_score_of_something_absent_cannot_matter():
    scores, there = torch.tensor([[0.0, 1.0, 900.0]]), torch.tensor([[True, True, False]])
    torch.testing.assert_close(masked_softmax(scores, there)[:, :2], torch.softmax(scores[:, :2], -1))


def test_aggregate_by_hand():
    values = torch.tensor([[[1.0, 0.0], [0.0, 4.0]]])
    assert aggregate(torch.tensor([[0.25, 0.5]]), values).tolist() == [[0.25, 2.0]]


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torchs_own(causal):
    mine, peer = SelfAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        peer.in_proj_weight.copy_(mine.into.weight)
        peer.in_proj_bias.copy_(mine.into.bias)
        peer.out_proj.weight.copy_(mine.out.weight)
        peer.out_proj.bias.copy_(mine.out.bias)
    x = torch.randn(3, 5, 8, generator=drawn(0))
    there = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    out, weights = mine(x, visible(there, causal))
    later = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None
    expected, seen = peer(x, x, x, key_padding_mask=~there, attn_mask=later, average_attn_weights=False)
    torch.testing.assert_close(
        weights[there[:, None].expand(-1, 2, -1)], seen[there[:, None].expand(-1, 2, -1)]
    )
    torch.testing.assert_close(out[there], expected[there])


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="3 heads"):
        SelfAttention(8, 3)


def test_an_answer_is_what_the_appended_query_alone_would_get():
    block = TransformerBlock(8, 2).eval()
    x, queries = torch.randn(2, 4, 8, generator=drawn(1)), torch.randn(2, 3, 8, generator=drawn(2))
    there = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    answers = block.answer(queries, x, there)
    for line in range(2):
        end = int(there[line].sum())
        for q in range(3):
            whole = torch.cat([x[line, :end], queries[line, q : q + 1]])[None]
            alone, _ = block(whole, visible(torch.ones(1, end + 1, dtype=torch.bool), causal=True))
            torch.testing.assert_close(answers[line, q], alone[0, -1])


def test_an_answer_without_any_event_sees_itself_alone():
    attention = SelfAttention(4, 1)
    query = torch.randn(1, 1, 4, generator=drawn(3))
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    answer = attention.answer(query, torch.randn(1, 2, 4), nothing)
    own = functional.linear(query, attention.into.weight[8:], attention.into.bias[8:])
    torch.testing.assert_close(answer, attention.out(own))


def test_states_of_the_last_event_and_their_mean():
    states = torch.arange(6.0).view(1, 3, 2).repeat(3, 1, 1)
    there = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 0, 0]], dtype=torch.bool)
    assert last_state(states, there).tolist() == [[4, 5], [2, 3], [0, 0]]
    assert mean_state(states, there).tolist() == [[2, 3], [1, 2], [0, 0]]


@pytest.mark.parametrize("kind", Interaction.KINDS)
def test_interactions_against_a_loop_over_pairs(kind):
    layer = Interaction(kind, fields=4, width=3)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=drawn(4))
    fields = torch.randn(2, 4, 3, generator=drawn(5))
    got, expected, pair = layer(fields), [], 0
    for i in range(4):
        for j in range(i + 1, 4):
            a, b = fields[:, i], fields[:, j]
            if kind == "inner":
                expected.append((a * b).sum(-1))
            elif kind == "kernel":
                expected.append(torch.stack([x @ layer.kernel[pair] @ y for x, y in zip(a, b, strict=True)]))
            else:
                hidden = torch.relu(layer.into(torch.cat([a, b], -1)) + layer.pair[pair])
                expected.append(layer.out(hidden)[:, 0])
            pair += 1
    assert got.shape == (2, 6)
    assert layer.size == 6
    torch.testing.assert_close(got, torch.stack(expected, -1))


def test_an_unknown_interaction_is_refused():
    with pytest.raises(ConfigError, match="interaction"):
        Interaction("outer", 2, 2)


def test_an_mlp_ends_linear():
    mlp = MLP([3, 5, 1], dropout=0.5)
    assert [type(layer).__name__ for layer in mlp] == ["Linear", "ReLU", "Dropout", "Linear"]


def test_windows_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0]]).unsqueeze(-1)
    assert windows(x, 2).squeeze(-1).tolist() == [[[0, 1], [1, 2], [2, 3]]]


def test_dropout_keeps_the_mean_and_the_share() -> None:
    torch.manual_seed(0)
    x = torch.ones(300, 1001, requires_grad=True)
    out = dropout(x, 0.3, training=True)
    assert abs((out == 0).float().mean() - 0.3) < 0.003
    assert set(out.unique().tolist()) == {0.0, torch.tensor(1 / 0.7).item()}
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out)
    neighbours = (out[:, 1:] == 0) & (out[:, :-1] == 0)
    assert abs(neighbours.float().mean() - 0.09) < 0.003
    assert dropout(x, 0.3, training=False) is x
