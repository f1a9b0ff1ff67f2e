"""On another device than the CPU: nothing is mixed up, and the numbers are the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from elsewhere import FAR, HERE, Elsewhere, fabric, is_far

from workbench.baselines.long_history import LOOKS
from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.lab import encode_trials, lcn_trials
from workbench.lab.alignment import told_apart
from workbench.lab.clusters import agreement, order_kept
from workbench.lab.datastore import Datastore
from workbench.lab.dualrec_trials import _model, train, trials
from workbench.lab.leave_one_out import NextItemTask
from workbench.lab.lift import Recipe, encode, fresh_encoder, lift, pretrain, train_predictor
from workbench.lab.lift import made as with_seed
from workbench.lab.lift_data import LIFTData
from workbench.lab.long_measures import (
    alike_of,
    attention_on_kind,
    clicks,
    consistency_of,
    relevance_of,
    sharpness_of,
)
from workbench.lab.long_samples import LongData
from workbench.lab.long_training import train_encode
from workbench.lab.ranking import all_items, rank
from workbench.lab.training import predict
from workbench.methods.lcn import CRPConfig, Pyramid, PyramidConfig, training_loss
from workbench.methods.lift_config import REMEDIES, LIFTConfig
from workbench.methods.long_history import LongHistory, consistency

LITERAL = LIFTConfig(length=6, k=3, width=2, size=8, heads=2, layers=1, probes=3, hidden=(8,))
REMEDIED = replace(LITERAL, **REMEDIES)
SHORT = Recipe(pretrain_epochs=1, epochs=1, batch=128, shift=True)


@pytest.fixture(autouse=True)
def nowhere_to_train(monkeypatch):
    monkeypatch.setattr("workbench.lab.training._single_process", fabric)
    monkeypatch.setattr("workbench.lab.lift.SEQUENCES", 50)


def made(device: torch.device) -> LIFTData:
    log = make_world("tiny", 0).interactions
    data = LIFTData.of(log, global_time_split(log), LITERAL, device=device)
    some = {part: samples.some(np.arange(0, len(samples), 8)) for part, samples in data.samples.items()}
    return replace(data, samples=some, windows=data.windows[:100])


def on_both(compute):
    """What is computed here, and what is computed elsewhere."""
    here = compute(made(HERE))
    with Elsewhere():
        data = made(FAR)
        assert data.table.device == FAR
        return here, compute(data)


def test_the_pretended_device_refuses_what_a_gpu_refuses():
    with Elsewhere():
        here, far = torch.arange(3), torch.arange(3, device=FAR)
        assert far.device == FAR == (far + torch.tensor(1)).device == here.to(far).device == far[here].device
        assert here.device == HERE == far.cpu().device == here.to(torch.float32).device
        assert torch.nn.Linear(1, 1).to(FAR).weight.device == FAR
        for mixed in (
            lambda: here + far,
            lambda: torch.cat([here, far]),
            lambda: here[far],
            lambda: torch.isin(here, far),
            lambda: far.index_select(0, here),
            lambda: far.numpy(),
            lambda: np.arange(3)[far],
            lambda: torch.rand(2, generator=torch.Generator(), device=FAR),
        ):
            with pytest.raises((RuntimeError, TypeError), match=r"device|numpy|cpu|CPU"):
                mixed()


@pytest.mark.parametrize("start", ["pretrained", "joint", "history first"])
@pytest.mark.parametrize("config", [LITERAL, REMEDIED])
def test_all_of_lift(config, start):
    def compute(data):
        model, samples, _ = lift(data, config, 0, replace(SHORT, start=start))
        return predict(model, samples["test"])

    here, far = on_both(compute)
    assert np.array_equal(here, far)


@pytest.mark.parametrize("kind", ["encoder", "rnn"])
def test_every_kind_of_encoder(kind):
    def compute(data):
        encoder = fresh_encoder(data, replace(REMEDIED, encoder=kind), 0).eval()
        samples = encode(data, encoder, ("test",))["test"]
        assert is_far(samples.own) == (data.table.device == FAR)
        return samples.own.cpu().numpy()

    here, far = on_both(compute)
    assert np.array_equal(here, far)


def test_windows_that_are_held_out_may_lie_there():
    def compute(data):
        _, fitted = pretrain(data, LITERAL, 0, SHORT, held_out=data.windows[:20].to(data.table.device))
        return fitted.history[-1]["loss"], fitted.best_score

    here, far = on_both(compute)
    assert here == far


def test_a_datastore_is_built_there_and_read_from_disk(tmp_path):
    def compute(data):
        encoder = fresh_encoder(data, LITERAL, 0).eval()
        store = Datastore.build(encoder, data.table, data.log, data.split, tmp_path / data.table.device.type)
        values = store.fetch("future", data.samples["test"].neighbours)
        assert values.device == data.table.device
        samples = {}
        for part, some in data.samples.items():
            own = np.ones((len(some), encoder.own_size), np.float32)
            samples[part] = some.encoded(own, store.history, store.future).some(np.arange(len(some) - 1))
            assert len(samples[part].own) == len(some) - 1
        model, _ = train_predictor(samples, encoder, LITERAL, 0, SHORT)
        return values.cpu().numpy(), predict(model, samples["test"])

    (stored, said), (far_stored, far_said) = on_both(compute)
    assert np.array_equal(stored, far_stored)
    assert np.array_equal(said, far_said)


@pytest.mark.parametrize("experiment", ["dualrec_table2", "dualrec_readings"])
def test_next_item_models(experiment):
    """All systems of DualRec's Table 2, and DualRec as its authors have it."""
    task = NextItemTask.of(make_world("tiny", 0).interactions, 8, 20)
    asked = trials(experiment, "world:tiny", [0], epochs=1, dropout=0.0)
    for trial in asked if experiment == "dualrec_table2" else asked[-1:]:

        def compute(device, config=trial.config):
            model = with_seed(lambda: _model(config, task), 0).to(device)
            train(model, task, config, 0)
            return rank(all_items(model), task.test).full.mean

        here = compute(HERE)
        with Elsewhere():
            assert np.array_equal(here, compute(FAR)), trial.variant


@pytest.mark.parametrize("name", ["LAP", *LOOKS])
def test_a_look_at_a_long_history_and_the_loss_of_lcn(name):
    """A step of training with CRP, a prediction with its levels, and how consistent they are."""
    data = LongData.of(make_world("tiny_two_domain", 0).interactions, short=5, long=40)
    make = LOOKS.get(name, lambda life: Pyramid(life, PyramidConfig(10, 3, 2)))

    def there(part, device):
        if part is None or isinstance(part, torch.Tensor):
            return part if part is None else part.to(device)
        return type(part)(*(there(one, device) for one in part))

    def compute(device):
        model = with_seed(lambda: LongHistory(data.sizes, make, width=8, hidden=(8,)), 0).to(device)
        index = torch.arange(40)
        sample, label = there(data.batch(index), device), data.label[index].to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            training_loss(model, sample, label, CRPConfig(negatives=16)).backward()
        moved = model.life.item.grad
        assert moved.device == device
        logit, levels = model(sample, return_levels=True)
        query = model.life.items(sample.target[:, 0])
        scores = (f(model.life, query, sample.long) for f in (model.interest.searched, model.interest.exact))
        agreed = consistency(*scores, 3)
        assert all(level.place.device == device for level in levels)
        return [part.detach().cpu().numpy() for part in (moved, logit, agreed)]

    here = compute(HERE)
    with Elsewhere():
        for one, other in zip(here, compute(FAR), strict=True):
            assert np.array_equal(one, other, equal_nan=True)


def test_all_of_an_lcn_trial():
    world = make_world("tiny_two_domain", 0)
    (trial,) = lcn_trials.trials("lcn_table1", "world:tiny_two_domain", [0], ["LCN"], epochs=1, dropout=0.0)
    here = LongData.of(world.interactions, short=5, long=40)

    def compute(device):
        data = here.to(device)
        assert data.batch(torch.arange(3)).long.item.device == device
        model = with_seed(lambda: lcn_trials.network(data, trial.config), 0).to(device)
        lcn_trials.train(model, data, trial.config, 0)
        found = clicks(model, data, data.parts["test"]) | sharpness_of(model, data)
        found |= alike_of(model, data, world.items.topic)
        told = told_apart(model.life.item.detach(), data)
        return found | {"consistency": consistency_of(model, data, 3), "told": told}

    found = compute(HERE)
    with Elsewhere():
        assert compute(FAR) == found


@pytest.mark.parametrize(
    ("variant", "settings"),
    [("ENCODE", {}), ("ENCODE", {"algorithm": "routing"}), ("ENCODE", {"algorithm": "agglomerative"}),
     ("ENCODE", {"loss": "n-pair", "sampling": "batch"}), ("UBR4CTR", {}), ("SIM hard", {}), ("TWIN", {})],
)  # fmt: skip
def test_all_of_an_encode_trial(variant: str, settings: dict):
    """On the processor k-means is compiled and elsewhere it is not: the same but for the last digits."""
    (trial,) = encode_trials.trials(
        "encode_table2", "world:tiny", [0], [variant], epochs=1, dropout=0.0, **settings
    )
    here, kinds = encode_trials.data_of(trial), encode_trials.item_kinds(trial)

    def compute(device):
        data = here.to(device)
        model = with_seed(lambda: encode_trials.network(data, trial.config), 0).to(device)
        train_encode(model, data, trial.config, 0)
        found = clicks(model, data, data.parts["test"]) | attention_on_kind(model, data, kinds)
        found |= relevance_of(model, model, data)
        if variant == "ENCODE":
            found |= order_kept(model, data) | agreement(model, data, kinds)
        return found

    found = compute(HERE)
    with Elsewhere():
        assert compute(FAR) == pytest.approx(found, abs=0.02)
