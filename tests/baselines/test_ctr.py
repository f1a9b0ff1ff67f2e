"""What every network of the table must do, whatever it is."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from workbench.baselines.ctr import CTR
from workbench.errors import ConfigError
from workbench.methods.layers import Events, Sample

SIZES = (9, 12, 5)  # as in conftest
ALL = pytest.mark.parametrize("name", CTR)
READERS = pytest.mark.parametrize("name", [name for name in CTR if CTR[name].needs])
AUXILIARY = [name for name in CTR if hasattr(CTR[name], "auxiliary_loss")]


def made(name: str, seed: int = 0, **options):
    """A small network with dropout off and embeddings large enough for differences to show."""
    torch.manual_seed(seed)
    model = CTR[name](SIZES, width=4, dropout=0.0, **options)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith(("table", "tokens", "labels.weight")):
                parameter.normal_()
    return model


def changed(events: Events, **parts) -> Events:
    return events._replace(**parts)


@ALL
def test_one_finite_logit_a_line_even_without_any_past(name, make_sample):
    logits = made(name)(make_sample())
    assert logits.shape == (6,)
    assert logits.isfinite().all()
    assert logits.unique().numel() == 6


@ALL
def test_reads_only_the_parts_it_names(name, make_sample):
    sample, model = make_sample(), made(name)
    assert model.needs <= set(Sample._fields) - {"target"}
    needed = Sample(sample.target, **{part: getattr(sample, part) for part in model.needs})
    assert torch.equal(model(needed), model(sample))


@ALL
def test_never_reads_the_label_of_the_target(name, make_sample):
    """A label that is no tensor at all breaks whatever touches it."""
    sample, model = make_sample(), made(name)
    blind = sample._replace(target=changed(sample.target, label=None))
    assert torch.equal(model(blind), model(sample))


@pytest.mark.parametrize("name", AUXILIARY)
def test_the_auxiliary_loss_never_reads_the_label_of_the_target(name, make_sample):
    sample, model = make_sample(full=True), made(name)
    losses = []
    for target in (sample.target, changed(sample.target, label=None)):
        torch.manual_seed(1)  # BERT4Rec draws what to hide
        losses.append(model.auxiliary_loss(sample._replace(target=target)))
    assert losses[0] > 0
    assert torch.equal(*losses)


@READERS
def test_padding_changes_nothing_whatever_it_holds(name, make_sample):
    sample, model = make_sample(), made(name)
    longer = {}
    for part in model.needs:
        events = getattr(sample, part)
        longer[part] = Events(
            functional.pad(events.codes, (0, 0, 0, 2), value=2),
            functional.pad(events.label, (0, 2), value=1),
            functional.pad(events.there, (0, 2), value=False),
        )
    torch.testing.assert_close(model(sample._replace(**longer)), model(sample))


@READERS
def test_the_labels_of_the_past_matter_in_every_part(name, make_sample):
    sample, model = make_sample(full=True), made(name)
    for part in model.needs:
        events = getattr(sample, part)
        flipped = sample._replace(**{part: changed(events, label=1 - events.label)})
        assert (model(flipped) - model(sample)).abs().min() > 1e-6, part


@READERS
def test_attention_depends_on_the_target(name, make_sample):
    sample, model = make_sample(full=True), made(name)
    other = sample._replace(target=changed(sample.target, codes=sample.target.codes.roll(1, 0)))
    logits, weights = model(sample, return_weights=True)
    assert torch.equal(logits, model(sample))
    _, others = model(other, return_weights=True)
    if not isinstance(weights, dict):
        weights, others = {"only": weights}, {"only": others}
    for part, before in weights.items():
        lines = before.movedim(1, 0) if name == "BERT4Rec" else before  # (layers, B, ...) there
        after = others[part].movedim(1, 0) if name == "BERT4Rec" else others[part]
        difference = (lines - after).abs().flatten(1).amax(1)
        assert (difference > 1e-5).all(), part


@ALL
def test_a_gradient_reaches_every_parameter(name, make_sample):
    sample, model = make_sample(batch=32), made(name)
    loss = functional.binary_cross_entropy_with_logits(model(sample), sample.target.label.float())
    if name in AUXILIARY:
        loss = loss + model.auxiliary_loss(sample)
    loss.backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


@ALL
def test_learns_to_tell_a_few_lines_apart(name, make_sample):
    sample, model = make_sample(batch=16), made(name)
    label = sample.target.label.float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        loss = functional.binary_cross_entropy_with_logits(model(sample), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.35  # knowing nothing costs 0.69


@ALL
def test_the_same_seed_makes_the_same_network(name, make_sample):
    sample = make_sample()
    assert torch.equal(made(name)(sample), made(name)(sample))
    assert not torch.equal(made(name)(sample), made(name, seed=1)(sample))


@READERS
def test_a_missing_or_encoded_part_is_refused(name, make_sample):
    sample, model = make_sample(), made(name)
    for part in model.needs:
        with pytest.raises(ConfigError, match=rf"sample\.{part}, which are missing"):
            model(sample._replace(**{part: None}))
        with pytest.raises(ConfigError, match="already encoded"):
            model(sample._replace(**{part: torch.zeros(6, 4)}))


@ALL
@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"width": 2.5}, {"dropout": 1}, {"dropout": -0.1}, {"dropout": True}, {"mlp": (8, 0)}],
    ids=str,
)
def test_a_bad_configuration_is_refused(name, wrong):
    if name == "BERT4Rec" and "mlp" in wrong:
        wrong = {"layers": 0}
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CTR[name](SIZES, **wrong)


@ALL
@pytest.mark.parametrize("sizes", [(), (3, 0), 7, "ab"], ids=str)
def test_bad_sizes_are_refused(name, sizes):
    with pytest.raises(ConfigError, match="sizes"):
        CTR[name](sizes)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("DIN", {"unit": ()}, "unit must list"),
        ("SIM", {"heads": 0}, "heads"),
        ("SIM", {"head_width": "8"}, "head_width"),
        ("DIEN", {"hidden": (8,)}, "hidden"),
        ("BERT4Rec", {"heads": 3, "hidden": 8}, "3 heads"),
        ("BERT4Rec", {"mask_ratio": 0}, "mask_ratio"),
        ("BERT4Rec", {"mask_ratio": 1.1}, "mask_ratio"),
        ("BERT4Rec", {"length": 0}, "length"),
        ("UBR", {"heads": 3}, "3 heads"),
    ],
)
def test_a_bad_option_of_one_model_is_refused(name, wrong, message):
    with pytest.raises(ConfigError, match=message):
        CTR[name](SIZES, **wrong)
