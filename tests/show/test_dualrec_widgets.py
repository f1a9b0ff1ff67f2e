"""The widgets of lesson 05, knob by knob."""

import numpy as np
import pytest
import torch

from workbench.data import load
from workbench.lab.leave_one_out import NextItemTask
from workbench.lab.lift import made
from workbench.methods.dualrec import DualRec
from workbench.methods.dualrec_config import DualRecConfig, window_sizes
from workbench.show.dualrec import attention_explorer, loss_sizes, loss_weights_trainer, windows_explorer

CONFIG = {"length": 8, "width": 8, "heads": 4, "layers": 2, "dropout": 0.0}


@pytest.fixture(scope="module")
def task() -> NextItemTask:
    return NextItemTask.of(load("world:tiny", 0), 8, 20)


def test_masks_of_any_size_in_both_directions() -> None:
    page = windows_explorer()
    first = page.picture
    for name, value in (("direction", "future"), ("heads", 1), ("n", 50), ("heads", 8), ("n", 8)):
        page.knobs[name].value = value
        assert page.picture != first, name
        first = page.picture
    assert "100%" in page._numbers.value  # the widest head sees all pairs


def test_attention_of_every_head_and_of_a_model_without_a_future(task: NextItemTask) -> None:
    dual = made(lambda: DualRec(task.items, DualRecConfig(**CONFIG)), 0)
    alone = made(lambda: DualRec(task.items, DualRecConfig(**CONFIG, encoders="past", beta=0.0)), 0)
    names = [f"item {code}" for code in range(task.items)]
    page = attention_explorer(
        {"DualRec": dual, "past alone": alone}, torch.from_numpy(task.test.history[:5]), names
    )
    for head, window in enumerate(window_sizes(4, 8), start=1):
        page.knobs["head"].value = head
        assert f"window <b>{window}</b>" in page._numbers.value
    past = page.picture
    page.knobs["encoder"].value = "future"
    assert page.picture != past
    page.knobs["model"].value = "past alone"  # it has no future encoder: the past one is shown
    of_past = page.picture
    page.knobs["encoder"].value = "past"
    assert page.picture == of_past


def test_the_loss_is_its_weighed_parts(task: NextItemTask) -> None:
    config = DualRecConfig(**CONFIG, alpha=0.3, beta=0.7)
    model = made(lambda: DualRec(task.items, config), 0).eval()
    windows = task.training.windows(torch.arange(20))
    parts = loss_sizes(model, windows)
    with torch.no_grad():
        loss, _ = model.mean_loss(torch.zeros(20, dtype=torch.int64), windows)
    weighed = 0.3 * parts["past"] + 0.7 * parts["future"] + 0.7 * parts["transfer"]
    assert float(loss) == pytest.approx(weighed, rel=1e-4)


def test_run_trains_with_the_weights_as_they_stand() -> None:
    asked = []

    def train(alpha, beta, on_progress, stop):
        asked.append((alpha, beta))
        return 0.4

    page = loss_weights_trainer(
        {"past": 3.0, "future": 3.0, "transfer": 0.1}, train, {(0.5, 0.5): 0.38}, metric="NDCG@10",
        small_print="tiny",
    )  # fmt: skip
    before = page.explorer.picture
    page.explorer.knobs["alpha"].value = 0.9
    page.explorer.knobs["beta"].value = 0.1
    assert page.explorer.picture != before
    page.run()
    assert page.wait(30)
    assert asked == [(0.9, 0.1)]
    assert page.results == {(0.5, 0.5): 0.38, (0.9, 0.1): 0.4}
    assert np.isclose(page.results[0.9, 0.1], 0.4)
