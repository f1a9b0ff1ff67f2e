"""LIFT against hand-worked numbers; each key idea has a test that fails without it."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from workbench.errors import ConfigError
from workbench.methods.layers import Events, Sample
from workbench.methods.lift import (
    LIFT,
    Encoder,
    key_attention,
    mask_behaviours,
    newest,
    pretrain_loss,
    reverse,
)
from workbench.methods.lift_config import CHOICES, REMEDIES, LIFTConfig

SIZES = (7, 5, 4)
SMALL = LIFTConfig(length=6, k=3, width=4, size=8, heads=2, probes=5, dropout=0.0, predictor_dropout=0.0)
FORMS = {"literal": SMALL, "remedied": replace(SMALL, **REMEDIES)}


def events(*shape: int, seed: int = 0, short: bool = True) -> Events:
    """Random events (B, T) or (B, K, T); some lines are shorter, the last one is empty if asked for."""
    drawn = torch.Generator().manual_seed(seed)
    codes = torch.stack([torch.randint(1, size, shape, generator=drawn) for size in SIZES], -1)
    label = torch.randint(0, 2, shape, generator=drawn)
    there = torch.ones(shape, dtype=torch.bool)
    if short:
        there[..., 1:, 4:] = False
        there[..., -1, 1:] = False
    return Events(codes * there[..., None], label * there, there)


def sample(batch: int = 4, seed: int = 0) -> Sample:
    near = events(batch, SMALL.k, seed=seed + 1, short=False)
    windows = [events(batch, SMALL.k, SMALL.length, seed=seed + i) for i in (2, 3)]
    target = events(batch, seed=seed + 4, short=False)
    return Sample(target, events(batch, SMALL.length, seed=seed + 5), None, near, *windows)


def encoder(**changes) -> Encoder:
    torch.manual_seed(0)
    made = Encoder(SIZES, replace(SMALL, **changes)).eval()
    made.probes.copy_(events(SMALL.probes, seed=9, short=False).codes)
    return made


# --- what is masked, Eq. 9 --------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.9, 1.0])
def test_exactly_the_share_is_masked_and_at_least_one(ratio):
    there = torch.tensor([[1] * 10, [1] * 3 + [0] * 7, [1] + [0] * 9], dtype=torch.bool)
    masked = mask_behaviours(there, ratio, torch.Generator().manual_seed(0))
    assert not (masked & ~there).any()
    assert masked.sum(-1).tolist() == [max(1, round(ratio * n)) for n in (10, 3, 1)]


def test_masks_are_drawn_afresh_and_every_place_comes_up():
    there, drawn = torch.ones(1, 8, dtype=torch.bool), torch.Generator().manual_seed(0)
    masks = torch.cat([mask_behaviours(there, 0.25, drawn) for _ in range(400)])
    assert len(masks.unique(dim=0)) == math.comb(8, 2)
    assert ((masks.sum(0) / 400 - 0.25).abs() < 4 * math.sqrt(0.25 * 0.75 / 400)).all()


def test_one_label_means_the_last_event():
    there = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)
    assert mask_behaviours(there, "last").tolist() == [[False, False, True], [False, True, False]]


# --- the encoder ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CHOICES["encoder"])
def test_a_masked_label_cannot_be_seen(kind):
    """The leak that would make pretraining useless: o_i knowing y_i of a masked event."""
    model, read = encoder(encoder=kind), events(3, 6)
    masked = mask_behaviours(read.there, 0.5, torch.Generator().manual_seed(1))
    other = read._replace(label=torch.where(masked, 1 - read.label, read.label))
    assert (other.label != read.label).any()
    assert torch.equal(model(read, masked), model(other, masked))
    assert not torch.equal(model(read), model(other))  # unmasked, it is seen


@pytest.mark.parametrize(("kind", "sees"), [("decoder", False), ("rnn", False), ("encoder", True)])
def test_only_the_bidirectional_encoder_sees_later_events(kind, sees):
    model, read = encoder(encoder=kind), events(1, 6, short=False)
    later = read._replace(label=read.label.clone())
    later.label[0, 5] ^= 1
    moved = (model(read) - model(later)).abs().sum(-1)[0]
    assert moved[5] > 0
    assert bool((moved[:5] > 0).any()) == sees


@pytest.mark.parametrize("kind", CHOICES["encoder"])
def test_dropout_acts_in_training_and_only_there(kind):
    model, read = encoder(encoder=kind, dropout=0.5), events(1, 6, short=False)
    assert torch.equal(model(read), model(read))
    model.train()
    assert not torch.equal(model(read), model(read))


def test_one_layer_of_a_gru_has_nothing_to_drop():
    model, read = encoder(encoder="rnn", layers=1, dropout=0.5).train(), events(1, 6, short=False)
    assert torch.equal(model(read), model(read))


@pytest.mark.parametrize("kind", CHOICES["encoder"])
@pytest.mark.parametrize("represent", CHOICES["represent"])
def test_padding_changes_nothing_and_nothing_is_zero(kind, represent):
    model, read = encoder(encoder=kind, represent=represent), events(3, 6)
    cut = Events(*(x[1:2, :4] for x in read))
    torch.testing.assert_close(model.represent(read)[1], model.represent(cut)[0])
    empty = Events(read.codes * 0, read.label * 0, read.there & False)
    assert not model.represent(empty).any()
    assert model.represent(read).shape == (3, model.value_size)


def test_the_literal_representation_is_the_state_of_the_last_event():
    model, read = encoder(), events(3, 6)
    states = model(read)
    torch.testing.assert_close(model.represent(read), torch.stack([states[0, 5], states[1, 3], states[2, 0]]))


@pytest.mark.parametrize("kind", CHOICES["encoder"])
def test_asking_is_appending_a_masked_interaction(kind):
    model, read = encoder(encoder=kind), events(2, 5, short=False)
    queries = events(3, seed=7, short=False).codes
    answers = model.ask(read, queries[None])
    for q in range(3):
        for line in range(2):
            longer = Events(
                torch.cat([read.codes[line], queries[q : q + 1]])[None],
                torch.cat([read.label[line], torch.tensor([0])])[None],
                torch.ones(1, 6, dtype=torch.bool),
            )
            last = torch.tensor([[False] * 5 + [True]])
            if kind == "encoder":  # there the events would see the query too
                assert answers[line, q].shape == (8,)
            else:
                torch.testing.assert_close(answers[line, q], model(longer, last)[0, -1])


def test_a_query_after_l_events_leaves_the_first_out():
    """A window for pretraining has L events: nothing was ever trained to stand at place L + 1."""
    model, read = encoder(), events(3, 6)
    queries = events(2, seed=7, short=False).codes
    later = Events(*(torch.cat([x[:1, 1:], x[:1, :1]], 1) for x in read))
    later.there[0, 5] = False
    torch.testing.assert_close(model.ask(read, queries[None])[0], model.ask(later, queries[None])[0])
    assert len(model.place) == SMALL.length


def test_the_newest_events_keep_their_order_and_padding():
    read = events(3, 6)
    cut = newest(read, 3)
    for line, rows in enumerate(([3, 4, 5], [1, 2, 3], [0, 1, 2])):
        assert torch.equal(cut.codes[line], read.codes[line, rows])
        assert torch.equal(cut.there[line], read.there[line, rows])
    assert all(torch.equal(a, b) for a, b in zip(newest(read, 9), read, strict=True))


def test_an_empty_context_stays_zero_behind_the_batch_norm():
    torch.manual_seed(0)
    model, batch = LIFT(SIZES, replace(SMALL, context="history")), sample(8)
    with torch.no_grad():
        model(batch)  # statistics that are not zero
        model.eval()
        encoded = batch._replace(
            history=model.encoder.recall(batch.history, batch.target.codes),
            past=torch.zeros(8, 3, 8),
        )
        _, contexts = model.predictor._aggregated(encoded, torch.full((8, 3), 1 / 3))
    assert model.predictor.values_norm.running_mean.abs().max() > 0
    assert not contexts.any()


def test_h_t_asks_about_the_target_first_hand():
    model, read = encoder(represent="ask"), events(3, 6)
    target = events(3, seed=8, short=False).codes
    own = model.recall(read, target)
    assert own.shape == (3, model.own_size)
    torch.testing.assert_close(own[:, :5], model.represent(read))
    torch.testing.assert_close(own[:, -1], model.behaviour(model.ask(read, target[:, None]))[:, 0])


def test_probes_alone_do_not_ask_about_the_target():
    model, read = encoder(represent="probes"), events(3, 6)
    some, other = (model.recall(read, events(3, seed=seed, short=False).codes) for seed in (8, 9))
    assert torch.equal(some, other)
    torch.testing.assert_close(some, encoder(represent="ask").represent(read))


def test_a_longer_sequence_than_it_was_made_for_is_refused():
    with pytest.raises(ConfigError, match="sequences of 6 events, not 7"):
        encoder()(events(1, 7))


def test_attention_weights_of_every_layer_on_request():
    _, weights = encoder()(events(3, 6), return_weights=True)
    assert [w.shape for w in weights] == [(3, 2, 6, 6)] * 2
    assert not torch.stack(weights).triu(1).any()


def test_the_loss_by_hand_on_four_events():
    """Eq. 10: two masked events with logits 0 and log 3, labels 1 and 0: (log 2 + log 4) / 2."""

    class Said(Encoder):
        def behaviour(self, states):
            assert len(states) == 2  # masked ones only
            return torch.tensor([0.0, math.log(3)])

    read = events(1, 4, short=False)._replace(label=torch.tensor([[1, 1, 0, 0]]))
    masked = torch.tensor([[True, False, False, True]])
    loss = pretrain_loss(Said(SIZES, SMALL), read, masked)
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_the_loss_reaches_no_state_of_an_unmasked_last_event():
    """Why the literal final state is untrained: no gradient comes from Eq. 10 to o_T."""
    model, read = encoder(layers=1), events(2, 6, short=False)
    masked = torch.tensor([[True, True, False, False, False, False]] * 2)
    states = model(read, masked)
    states.retain_grad()
    functional.binary_cross_entropy_with_logits(
        model.behaviour(states[masked]), read.label[masked].float()
    ).backward()
    assert states.grad[masked].abs().sum() > 0
    assert not states.grad[~masked].any()


def test_reversed_sequences_keep_their_padding_on_the_right():
    read = events(3, 6)
    back = reverse(read)
    assert torch.equal(back.there, read.there)
    for line, n in enumerate((6, 4, 1)):
        assert torch.equal(back.codes[line, :n], read.codes[line, :n].flip(0))
        assert torch.equal(back.label[line, :n], read.label[line, :n].flip(0))
        assert not back.codes[line, n:].any()


# --- the predictor ----------------------------------------------------------------------------------------


def test_key_attention_by_hand():
    """Eq. 14 with W = I: scores 0, log 2 and log 5; the third key is not there."""
    keys = torch.tensor([[[0.0, 0.0], [math.log(2), 0.0], [math.log(5), 9.0]]])
    target, there = torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True, False]])
    weights = key_attention(keys, target, torch.eye(2), there)
    torch.testing.assert_close(weights, torch.tensor([[1 / 3, 2 / 3, 0.0]]))
    tilted = key_attention(keys, target, torch.tensor([[0.0, 0.0], [1.0, 0.0]]), there)  # reads key[1]
    torch.testing.assert_close(tilted, torch.tensor([[0.5, 0.5, 0.0]]))


@pytest.mark.parametrize("form", FORMS)
def test_attention_depends_on_the_target_and_sums_to_one(form):
    torch.manual_seed(0)
    model, batch = LIFT(SIZES, FORMS[form]).eval(), sample()
    _, weights = model(batch, return_weights=True)
    other = batch._replace(target=events(4, seed=77, short=False))
    _, changed = model(other, return_weights=True)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4))
    assert (weights - changed).abs().max() > 1e-6
    equal = LIFT(SIZES, replace(FORMS[form], attention="mean")).eval()(batch, return_weights=True)[1]
    torch.testing.assert_close(equal, torch.full((4, 3), 1 / 3))


@pytest.mark.parametrize("form", FORMS)
def test_no_forward_reads_the_label_of_the_target(form):
    torch.manual_seed(0)
    model, batch = LIFT(SIZES, FORMS[form]).eval(), sample()
    other = batch._replace(target=batch.target._replace(label=1 - batch.target.label))
    assert torch.equal(model(batch), model(other))


@pytest.mark.parametrize(("context", "past", "future"), [
    ("both", True, True), ("history", True, False), ("future", False, True), ("none", False, False),
])  # fmt: skip
@pytest.mark.parametrize("form", FORMS)
def test_the_predictor_sees_the_part_of_the_context_it_is_told_to(form, context, past, future):
    torch.manual_seed(0)
    model, batch = LIFT(SIZES, replace(FORMS[form], context=context)).eval(), sample()
    before = model(batch)
    for part, seen in (("past", past), ("future", future)):
        other = batch._replace(**{part: events(4, 3, 6, seed=55)})
        assert bool((model(other) - before).abs().max() > 1e-7) == seen


@pytest.mark.parametrize("form", FORMS)
def test_the_neighbours_label_is_used_only_where_the_switch_says_so(form):
    torch.manual_seed(0)
    model, batch = LIFT(SIZES, FORMS[form]).eval(), sample()
    near = batch.neighbours
    other = batch._replace(neighbours=near._replace(label=1 - near.label))
    assert bool((model(batch) != model(other)).any()) == (form == "remedied")


def test_split_contexts_add_up_to_the_whole():
    """Σ α y h + Σ α (1 - y) h = Σ α h, and each half is what a loop over neighbours gives."""
    torch.manual_seed(0)
    config = replace(SMALL, neighbor_label="split", context="history")
    model, batch = LIFT(SIZES, config).eval(), sample()
    encoded = batch._replace(
        history=model.encoder.recall(batch.history, batch.target.codes),
        past=model.encode_contexts(batch.past, "past"),
    )
    weights = torch.rand(4, 3)
    _, halves = model.predictor._aggregated(encoded, weights)
    scaled = functional.batch_norm(encoded.past.flatten(0, 1), torch.zeros(8), torch.ones(8)).view(4, 3, 8)
    for b in range(4):
        for half, wanted in enumerate((1, 0)):
            chosen = [
                weights[b, k] * scaled[b, k] for k in range(3) if batch.neighbours.label[b, k] == wanted
            ]
            torch.testing.assert_close(halves[b, half], sum(chosen, torch.zeros(8)))


def test_match_is_an_inner_product_of_own_history_and_context():
    """Without the switch the same vectors are only put side by side."""
    sizes = {}
    for match in (False, True):
        predictor = LIFT(SIZES, replace(SMALL, match=match)).predictor
        sizes[match] = predictor.mlp[0].in_features
    assert sizes[True] - sizes[False] == 2 * 4  # two vectors, four metrics each


@pytest.mark.parametrize("form", FORMS)
def test_encoded_contexts_give_what_events_give(form):
    torch.manual_seed(0)
    model, batch = LIFT(SIZES, FORMS[form]).eval(), sample()
    encoded = batch._replace(
        history=model.encoder.recall(batch.history, batch.target.codes),
        past=model.encode_contexts(batch.past, "past"),
        future=model.encode_contexts(batch.future, "future"),
    )
    torch.testing.assert_close(model(encoded), model(batch))


def test_only_futures_are_reversed():
    torch.manual_seed(0)
    model, batch = LIFT(SIZES, replace(SMALL, reverse_future=True)).eval(), sample()
    plain = LIFT(SIZES, SMALL, model.encoder).eval()
    assert torch.equal(model.encode_contexts(batch.past, "past"), plain.encode_contexts(batch.past, "past"))
    futures = model.encode_contexts(batch.future, "future"), plain.encode_contexts(batch.future, "future")
    assert not torch.allclose(*futures)


def test_literal_eq17_drops_the_embeddings_themselves():
    full, literal = (LIFT(SIZES, replace(SMALL, literal_eq17=on)).predictor for on in (False, True))
    assert full.mlp[0].in_features - literal.mlp[0].in_features == 2 * 3 * 4


# --- training ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_does_not_move_and_a_joint_one_does(form, frozen):
    torch.manual_seed(0)
    model = LIFT(SIZES, replace(FORMS[form], dropout=0.5)).train()
    if frozen:
        model.freeze()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)
    loss = functional.binary_cross_entropy_with_logits(model(sample()), torch.ones(4))
    loss.backward()
    optimizer.step()
    after = model.encoder.state_dict()
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert bool(moved) != frozen
    assert model.encoder.training != frozen  # dropout too is over once the encoder is frozen
    assert model.predictor.training


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_every_parameter(form):
    torch.manual_seed(0)
    model = LIFT(SIZES, FORMS[form]).train()
    model(sample(8)).sum().backward()
    # The head of Eq. 10 answers probes; the literal form never asks it.
    without = {n for n, p in model.named_parameters() if p.grad is None}
    assert without == ({f"encoder.head.{i}.{w}" for i in (0, 3) for w in ("weight", "bias")}
                       if form == "literal" else set())  # fmt: skip


# --- bad configuration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"length": 0}, "length"),
        ({"k": 0}, "k must be a whole number"),
        ({"k": 2.5}, "k must be a whole number"),
        ({"mask_ratio": 0}, "mask_ratio"),
        ({"mask_ratio": 1.01}, "mask_ratio"),
        ({"mask_ratio": "first"}, "mask_ratio"),
        ({"mask_ratio": float("nan")}, "mask_ratio"),
        ({"dropout": 1.0}, "dropout"),
        ({"size": 9}, "heads"),
        ({"hidden": ()}, "hidden"),
        ({"hidden": 64}, "hidden"),
        ({"k": True}, "k must be a whole number"),
        ({"match": "False"}, "match is True or False"),
        ({"length": 1, "represent": "ask"}, "at least 2"),
        *(({name: "other"}, "other") for name in CHOICES),
    ],
)
def test_values_that_make_no_sense_are_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        replace(SMALL, **changes)


def test_an_unknown_setting_is_refused():
    with pytest.raises(TypeError, match="ratio"):
        LIFTConfig(ratio=0.5)
