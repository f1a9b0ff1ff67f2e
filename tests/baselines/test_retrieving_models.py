"""SIM, UBR and RIM: their attention and what it gathers, by hand and line by line."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from workbench.baselines.retrieval import RIM, SIM, UBR
from workbench.methods.layers import Events, Sample

SIZES = (9, 12, 5)  # as in conftest


def large(model):
    """Embeddings large enough for attention to be uneven."""
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith(("table", "tokens", "labels.weight")):
                parameter.normal_()
    return model.eval()


def sim(**options) -> SIM:
    torch.manual_seed(0)
    return large(SIM(SIZES, width=4, heads=2, head_width=3, **options))


def ubr(**options) -> UBR:
    torch.manual_seed(0)
    return large(UBR(SIZES, width=4, **options))


def rim(sizes=SIZES, **options) -> RIM:
    torch.manual_seed(0)
    return large(RIM(sizes, width=4, **options))


# --- SIM ------------------------------------------------------------------------------------------------


def test_each_head_of_sim_has_its_own_softmax(make_sample):
    model, sample = sim(), make_sample()
    _, weights = model(sample, return_weights=True)
    z, target = model.embed(sample.found), model.embed.hidden(sample.target)
    assert weights["found"].shape == (6, 2, 4)
    for head in range(2):
        rows = slice(3 * head, 3 * head + 3)
        w_b, w_a = model.keys.weight[rows], model.query.weight[rows]
        for line, there in enumerate(sample.found.there):
            n = int(there.sum())
            scores = torch.stack([(w_b @ e) @ (w_a @ target[line]) for e in z[line]])[:n]
            torch.testing.assert_close(weights["found"][line, head, :n], torch.softmax(scores, 0))
            assert not weights["found"][line, head, n:].any()


def test_sim_puts_long_and_short_interests_beside_the_target(make_sample):
    model, sample = sim(mlp=()), make_sample()
    logits, weights = model(sample, return_weights=True)
    z, recent = model.embed(sample.found), model.embed(sample.history)
    long = [torch.einsum("bs,bsd->bd", weights["found"][:, head], z) for head in range(2)]
    short = torch.einsum("bl,bld->bd", weights["history"], recent)
    row = torch.cat([model.embed.hidden(sample.target), *long, short], -1)
    torch.testing.assert_close(logits, model.head[0](row).squeeze(-1))


def test_found_events_are_a_set(make_sample):
    model, sample = sim(), make_sample(full=True)
    turned = Events(*(part.flip(1) for part in sample.found))
    torch.testing.assert_close(model(sample._replace(found=turned)), model(sample))


# --- UBR ------------------------------------------------------------------------------------------------


def test_ubrs_selection_is_a_chance_for_each_known_field(make_sample):
    model, sample = ubr(), make_sample()
    codes = sample.target.codes.clone()
    codes[0, 1] = 0
    chance = model.selection(codes)
    assert chance.shape == (6, 3)
    assert chance[0, 1] == 0
    known = chance[codes > 0]
    assert ((known > 0) & (known < 1)).all()
    assert known.unique().numel() == known.numel()
    other = codes.clone()
    other[1, 2] = codes[1, 2] % 4 + 1
    assert model.selection(other)[1, 0] != chance[1, 0]  # a field's chance depends on the other fields


def test_ubr_scores_an_event_by_the_selected_fields_it_shares(make_sample):
    """Without the bilinear form the score is the sum of p over the fields on which both agree."""
    model, sample = ubr(), make_sample(batch=40)
    with torch.no_grad():
        model.attend.weight.zero_()
    chance = model.selection(sample.target.codes).detach()
    _, weights = model(sample, return_weights=True)
    uneven = 0
    for line, there in enumerate(sample.found.there):
        n = int(there.sum())
        x, found = sample.target.codes[line], sample.found.codes[line, :n]
        scores = (chance[line] * (x == found)).sum(-1)
        torch.testing.assert_close(weights[line, :n], torch.softmax(scores, 0))
        uneven += scores.unique().numel() > 1
    assert uneven > 5


def test_an_unknown_field_is_no_agreement():
    model = ubr()
    found = Events(torch.tensor([[[0, 3, 1], [2, 3, 1]]]), torch.zeros(1, 2).long(), torch.ones(1, 2) > 0)
    with torch.no_grad():
        model.attend.weight.zero_()
    target = Events(torch.tensor([[0, 3, 2]]), None, torch.tensor([True]))
    assert model(Sample(target, found=found), return_weights=True)[1].tolist() == [[0.5, 0.5]]


# --- RIM ------------------------------------------------------------------------------------------------


def three_neighbours(labels: list[int], there: list[bool]) -> Sample:
    events = Events(torch.tensor([[[1, 2], [2, 1], [2, 2]]]), torch.tensor([labels]), torch.tensor([there]))
    return Sample(Events(torch.tensor([[1, 2]]), None, torch.tensor([True])), neighbours=events)


@pytest.mark.parametrize(
    ("labels", "there", "share"),
    [
        ([1, 0, 0], [True, True, True], 1 / 3),
        ([1, 0, 1], [True, True, False], 1 / 2),
        ([0, 0, 1], [False, False, True], 1),
    ],
)
def test_without_preference_rim_takes_the_mean_label(labels, there, share):
    model = rim((3, 3))
    with torch.no_grad():
        model.attend.weight.zero_()
    sample = three_neighbours(labels, there)
    vectors, weights = model.vectors(sample)
    torch.testing.assert_close(weights, torch.tensor([there]) / sum(there))
    no, yes = model.labels.weight
    torch.testing.assert_close(vectors[0, -1], (1 - share) * no + share * yes)
    fields = model.fields(sample.neighbours.codes)[0][torch.tensor(there)]
    torch.testing.assert_close(vectors[0, 2:4], fields.mean(0))


def test_rim_believes_the_neighbour_that_resembles_the_target():
    model = rim((3, 3))
    with torch.no_grad():
        model.fields.table.copy_(torch.randn(6, 4).sign() * torch.tensor([1.0, 1, -1, 1, 1, -1])[:, None])
        model.fields.table[2] = -model.fields.table[1]
        model.fields.table[5] = -model.fields.table[4]
        model.attend.weight.copy_(torch.eye(8))
    sample = three_neighbours([0, 1, 1], [True, True, True])  # the first neighbour is the target's twin
    vectors, weights = model.vectors(sample)
    assert weights[0, 0] > 0.99
    torch.testing.assert_close(vectors[0, -1], model.labels.weight[0], atol=0.02, rtol=0)


def test_rims_weights_are_the_softmax_of_a_bilinear_form(make_sample):
    model, sample = rim(), make_sample()
    with torch.no_grad():
        model.attend.weight.normal_()
    _, weights = model(sample, return_weights=True)
    for line, there in enumerate(sample.neighbours.there):
        n = int(there.sum())
        x_t = model.fields(sample.target.codes[line]).flatten()
        x = model.fields(sample.neighbours.codes[line, :n]).flatten(1)
        scores = torch.stack([k @ model.attend.weight @ x_t for k in x]) if n else torch.zeros(0)
        torch.testing.assert_close(weights[line, :n], torch.softmax(scores, 0))
        assert not weights[line, n:].any()


def test_rim_reads_all_vectors_and_all_pairs_of_them(make_sample):
    model, sample = rim(mlp=()), make_sample()
    vectors, _ = model.vectors(sample)
    assert vectors.shape == (6, 7, 4)
    torch.testing.assert_close(vectors[:, :3], model.fields(sample.target.codes))
    pairs = [(vectors[:, i] * vectors[:, j]).sum(-1) for i, j in combinations(range(7), 2)]
    row = torch.cat([vectors.flatten(1), torch.stack(pairs, 1)], 1)
    torch.testing.assert_close(model(sample), model.head[0](row).squeeze(-1))


def test_without_neighbours_rim_has_only_the_target(make_sample):
    model, sample = rim(), make_sample()
    vectors, weights = model.vectors(sample)
    assert not weights[0].any()
    assert not vectors[0, 3:].any()
