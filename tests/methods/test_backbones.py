"""GRU4Rec and FMLP-Rec as backbones: filters by hand, nothing from the future, windows up to an item."""

import pytest
import torch
from torch.nn import functional

from workbench.methods.backbones import FMLP, Backbone, Filter, Recurrent
from workbench.methods.dualrec import DualRec
from workbench.methods.dualrec_config import DualRecConfig

WIDTH, LENGTH = 8, 6


def made(kind: str) -> Backbone:
    torch.manual_seed(0)
    sizes = {"width": WIDTH, "heads": 2, "layers": 2, "dropout": 0.0}
    backbone = Recurrent(**sizes) if kind == "gru4rec" else FMLP(LENGTH, **sizes)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return backbone


both = pytest.mark.parametrize("kind", ["gru4rec", "fmlp"])


@both
def test_a_later_item_changes_no_earlier_state(kind: str) -> None:
    backbone, x = made(kind), torch.randn(2, LENGTH, WIDTH)
    before = backbone(x, 1).states
    for place in range(LENGTH):
        other = x.clone()
        other[:, place] = torch.randn(WIDTH)
        after = backbone(other, 1).states
        assert torch.allclose(before[:, :place], after[:, :place], atol=1e-6)
        assert not torch.allclose(before[:, place], after[:, place])


@both
def test_the_query_is_the_state_of_the_last_item(kind: str) -> None:
    backbone = made(kind)
    there = torch.arange(LENGTH) < torch.tensor([[LENGTH], [3], [0]])
    x = torch.randn(3, LENGTH, WIDTH) * there.unsqueeze(-1)
    query, weights = backbone.query(x, there, 1)
    states = backbone(x, 1).states
    assert torch.allclose(query[0], states[0, -1], atol=1e-6)
    assert torch.allclose(query[1], states[1, 2], atol=1e-6)
    assert not query[2].any()
    assert weights == []


@both
def test_heads_are_equal_parts_of_the_states(kind: str) -> None:
    read = made(kind)(torch.randn(2, 4, WIDTH), 1)
    assert torch.equal(read.heads[0].flatten(2), read.states)
    assert read.heads[0].shape == (2, 4, 2, WIDTH // 2)


@pytest.mark.parametrize("length", [6, 7])
def test_the_filter_is_a_circular_convolution(length: int) -> None:
    torch.manual_seed(0)
    layer, x = Filter(length, 3, 0.0).double(), torch.randn(length, 3, dtype=torch.float64)
    torch.nn.init.normal_(layer.filter)
    spectrum = torch.fft.rfft(x, dim=0, norm="ortho") * torch.view_as_complex(layer.filter)
    mixed = torch.fft.irfft(spectrum, length, dim=0, norm="ortho")
    assert torch.allclose(torch.einsum("tsd,sd->td", layer.mixing(length), x), mixed)
    h = functional.layer_norm(x + mixed, (3,), eps=1e-12)
    assert torch.allclose(layer(x, mixed), functional.layer_norm(h + layer.feed(h), (3,), eps=1e-12))


@pytest.mark.parametrize("items", [1, 2, LENGTH])
def test_fmlp_reads_a_window_that_ends_at_the_item(items: int) -> None:
    """Ambiguity D22: the state of a row's second item comes of a window with nothing before the first."""
    backbone, x = made("fmlp"), torch.randn(LENGTH, WIDTH)

    def window(values: torch.Tensor) -> torch.Tensor:
        return functional.pad(values[-items:], (0, 0, LENGTH - items, 0))

    h = window(backbone.norm(x[:items] + backbone.place[-items:]))
    for layer in backbone.layers:
        spectrum = torch.fft.rfft(h, dim=0, norm="ortho") * torch.view_as_complex(layer.filter)
        h = window(layer(h, torch.fft.irfft(spectrum, LENGTH, dim=0, norm="ortho")))
    assert torch.allclose(backbone(x[None], 1).states[0, items - 1], h[-1], atol=1e-6)


@both
def test_dualrec_learns_a_chain_with_it(kind: str) -> None:
    """Item k is followed by k + 1."""
    torch.manual_seed(0)
    sizes = {"length": LENGTH, "width": 16, "heads": 2, "layers": 1, "dropout": 0.0}
    model = DualRec(12, DualRecConfig(**sizes, backbone=kind, targets="all"))
    sequence = (torch.randint(0, 11, (64, 1)) + torch.arange(LENGTH)) % 11 + 1
    user = torch.zeros(64, dtype=torch.int64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        model.training_loss(user, sequence).backward()
        optimizer.step()
    scores = model.eval().score_all(user, sequence[:, :-1])[:, 1:]
    assert (scores.argmax(1) + 1 == sequence[:, -1]).float().mean() > 0.95
