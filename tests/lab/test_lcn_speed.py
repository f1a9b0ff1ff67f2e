"""What is timed is the real thing: the same candidates for all peers, who compute what they say."""

from __future__ import annotations

import torch

from workbench.baselines.long_history import SIMSoft
from workbench.lab import lcn_speed
from workbench.lab.lcn_speed import FullAttention, GatheredSIM, drawn, growth, measurements, networks, request
from workbench.lab.lift import made
from workbench.methods.long_history import Behaviours, LongHistory


def test_a_request_says_the_same_of_the_user_once_or_once_a_candidate() -> None:
    sample = drawn(5, 300)
    once, often = request(sample, repeated=False), request(sample, repeated=True)
    assert once.long.item.shape == (1, 300)
    assert often.long.item.shape == (5, 300)
    assert torch.equal(once.target, often.target)
    models = networks()
    for model in (models[name] for name in models if name not in lcn_speed.GATHERING):
        assert torch.allclose(model(once), model(often), atol=1e-5)


def test_the_peer_computes_the_same_as_our_sim() -> None:
    """Same weights, same sequences, some of them padded: the same logits and choices."""
    sample = drawn(4, 200)
    cut = torch.arange(200) < torch.tensor([200, 60, 30, 1])[:, None]
    long = Behaviours(sample.long.item * cut, sample.long.context * cut.unsqueeze(-1))
    sample = sample._replace(long=long)
    ours, theirs = (
        made(lambda look=look: LongHistory(lcn_speed.SIZES_OF, look), 0) for look in (SIMSoft, GatheredSIM)
    )
    theirs.load_state_dict(ours.state_dict())
    (a, (mine,)), (b, (other,)) = (model(sample, return_levels=True) for model in (ours, theirs))
    assert torch.allclose(a, b, atol=1e-6)
    assert torch.equal(mine.place[0], other.place[0])


def test_full_attention_reads_every_event_and_no_padding() -> None:
    sample = drawn(2, 40)
    model = made(lambda: LongHistory(lcn_speed.SIZES_OF, FullAttention), 0).eval()
    item = sample.long.item.clone()
    item[:, 30:] = 0
    cut = sample._replace(long=Behaviours(item, sample.long.context))
    short = sample._replace(long=Behaviours(item[:, :30], sample.long.context[:, :30]))
    assert torch.allclose(model(cut), model(short), atol=1e-6)
    moved = item.clone()
    moved[:, 0] = moved[:, 0] % (lcn_speed.SIZES_OF.items - 2) + 1
    assert not torch.allclose(model(cut), model(cut._replace(long=Behaviours(moved, sample.long.context))))


def test_every_row_is_measured() -> None:
    found = list(measurements("tiny"))
    assert {row.peer for row in found} == {"SIM soft", "SIM soft, ours", "full attention"}
    assert {row.case for row in found} == {
        "batch, L=300", "request, L=300", "batch of 2, L=100", "batch of 2, L=300",
    }  # fmt: skip
    assert all(row.median_s > 0 for row in found)


def test_growth_times_all_systems_at_every_length() -> None:
    found = growth("tiny")
    assert set(found["setting"]) == {100, 300}
    assert set(found["system"]) == set(lcn_speed.SYSTEMS)
