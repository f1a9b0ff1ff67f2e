"""The widget of lesson 03: what it says is the encoder's loss, and each run adds one point."""

from __future__ import annotations

import pytest
import torch

from workbench.data.histories import Histories
from workbench.data.world import make_world
from workbench.lab.lift import made, pretraining_windows
from workbench.lab.tensors import Table
from workbench.methods.lift import Encoder, mask_behaviours, pretrain_loss
from workbench.methods.lift_config import LIFTConfig
from workbench.show.pretraining import masked_explorer, pretraining_explorer


@pytest.fixture(scope="module")
def parts():
    log = make_world("tiny", seed=1).interactions
    table = Table(log, ("item", "category"))
    windows = torch.from_numpy(pretraining_windows(Histories.of(log), 10))
    config = LIFTConfig(length=10, width=2, size=4, heads=2, layers=1)
    encoder = made(lambda: Encoder(table.sizes, config), 0).eval()
    return encoder, table, windows, lambda row: log.value("category", log.columns["category"][row])


def test_moving_the_ratio_hides_more_and_says_the_loss(parts):
    encoder, table, windows, _ = parts
    page = masked_explorer(*parts, ratio=0.3)
    assert "3 of 10 hidden" in page._numbers.value
    before = page.picture
    page.knobs["ratio"].value = 0.7
    assert "7 of 10 hidden" in page._numbers.value
    assert page.picture != before
    events = table.events(windows[:1])
    masked = mask_behaviours(events.there, 0.7, torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert f"mean loss {float(pretrain_loss(encoder, events, masked)):.3f}" in page._numbers.value


def test_last_hides_one_and_another_draw_hides_others(parts):
    page = masked_explorer(*parts, ratio="last")
    assert "1 of 10 hidden" in page._numbers.value
    page.knobs["ratio"].value = 0.5
    before = page.picture
    page.knobs["draw"].value = 2
    assert page.picture != before


def test_short_windows_are_drawn_without_their_padding(parts):
    _, _, windows, _ = parts
    short = int((windows >= 0).sum(1).argmin())
    events = int((windows[short] >= 0).sum())
    assert events < 10
    page = masked_explorer(*parts)
    page.knobs["user"].value = short + 1
    assert f"of {events} hidden" in page._numbers.value


def test_a_ratio_between_the_marks_can_be_started_from(parts):
    page = masked_explorer(*parts, ratio=0.25)
    assert page.values["ratio"] == 0.25
    assert [label for label, _ in page.knobs["ratio"]._options_full][1:4] == ["0.2", "0.25", "0.3"]


def test_each_run_adds_a_point_and_the_last_label_a_line(parts):
    def train(ratio, on_progress, stop):
        return 0.6 if ratio == "last" else 0.5 + ratio / 10

    widget = pretraining_explorer(
        *parts, train, known={(0.3,): 0.55}, ratio=0.3, seed=0, small_print="a test"
    )
    assert "0.3: <b>0.550</b>" in widget._numbers.value
    for ratio in (0.8, "last"):
        widget.explorer.knobs["ratio"].value = ratio
        widget.run()
        assert widget.wait(10)
        assert widget.error is None
    assert widget.results == {(0.3,): 0.55, (0.8,): pytest.approx(0.58), ("last",): 0.6}
    figure, said = widget.picture(widget.results)
    (axes,) = figure.axes
    assert axes.lines[0].get_xdata().tolist() == [0.3, 0.8]
    low, high = axes.get_ylim()
    assert low < 0.5 < 0.6 < high
    assert "last: <b>0.600</b>" in said
