"""The training widget without a browser: Run, progress, Stop, what is remembered, and what goes wrong."""

from __future__ import annotations

import base64
import io
import threading

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from workbench.errors import ConfigError
from workbench.show import style
from workbench.show.explorer import Explorer, choice, dial, slider
from workbench.show.trainer import Trainer, stacked

PATIENCE = 10  # seconds that a thread may take on a busy machine


class Training:
    """A training of 4 epochs that goes on when it is told to."""

    def __init__(self, fails: bool = False) -> None:
        self.asked: list[dict] = []
        self.step = threading.Semaphore(0)
        self.reached = threading.Semaphore(0)
        self.fails = fails

    def __call__(self, *, on_progress, stop, **asked):
        self.asked.append(asked)
        history = []
        for epoch in range(1, 5):
            on_progress(epoch, 4, 0, 2, history)
            self.reached.release()
            assert self.step.acquire(timeout=PATIENCE)
            if stop():
                return "half a result"
            if self.fails:
                raise ValueError("no <labels>")
            history.append({"epoch": epoch, "loss": 0.5 / epoch})
        return 10 * asked["ratio"]

    def go(self, steps: int = 4) -> None:
        for _ in range(steps):
            self.step.release()

    def arrived(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.reached.acquire(timeout=PATIENCE)


def explorer() -> Explorer:
    def draw(ratio: float, user: int) -> tuple[Figure, str]:
        return Figure(figsize=(2, 1)), f"user {user}"

    return Explorer(
        draw,
        {"ratio": dial("ratio", 0.5, 0.1, 1.0), "user": slider("user", 1, 1, 5)},
        height=100,
        alt="A row",
    )


def trainer(train, **how) -> Trainer:
    def picture(results) -> tuple[Figure, str]:
        return Figure(figsize=(3, 1)), f"{len(results)} results"

    return Trainer(explorer(), train, picture, asks=("ratio",), height=100, alt="Results", **how)


@pytest.fixture
def training():
    made = Training()
    yield made
    made.go(100)  # no thread outlives its test


def buttons(widget: Trainer) -> tuple[bool, bool]:
    """Whether Run and Stop can be pressed."""
    return not widget._run.disabled, not widget._stop.disabled


def test_a_run_is_remembered_and_drawn(training):
    widget = trainer(training)
    assert buttons(widget) == (True, False)
    empty = widget._picture.value
    widget._run.click()
    training.arrived()
    assert widget.running
    assert buttons(widget) == (False, True)
    training.go()
    assert widget.wait(PATIENCE)
    assert widget.results == {(0.5,): 5.0}
    assert training.asked == [{"ratio": 0.5}], "the user is no matter of the training"
    assert widget._numbers.value.count("1 results") == 1
    assert widget._picture.value[:4] == b"\x89PNG"
    assert len(empty) > 0
    assert (widget._bar.value, widget._bar.bar_style) == (1.0, "success")
    assert "ratio 0.5: done in 0 s" in widget.status
    assert buttons(widget) == (True, False)


def test_what_is_known_is_not_trained_again(training):
    widget = trainer(training, results={(0.5,): 7.0})
    widget._run.click()
    assert not widget.running
    assert training.asked == []
    assert "remembered" in widget.status
    widget.explorer.knobs["ratio"].value = 0.3
    widget._run.click()
    training.go()
    assert widget.wait(PATIENCE)
    assert widget.results == {(0.5,): 7.0, (0.3,): pytest.approx(3.0)}


def test_progress_says_epoch_and_loss(training):
    widget = trainer(training)
    widget._run.click()
    training.arrived()
    assert "epoch 1 of 4" in widget.status
    assert "loss" not in widget.status
    training.go(2)
    training.arrived(2)
    assert "epoch 3 of 4, loss 0.250" in widget.status
    assert widget._bar.value == 0.5
    training.go()
    widget.wait(PATIENCE)


def test_stop_keeps_nothing_and_the_knobs_answer_meanwhile(training):
    widget = trainer(training)
    widget._run.click()
    training.arrived()
    widget.explorer.knobs["user"].value = 3
    assert "user 3" in widget.explorer._numbers.value
    widget.explorer.knobs["ratio"].value = 0.9  # must not change what is being trained
    widget._stop.click()
    assert "stopping" in widget.status
    training.go(1)
    assert widget.wait(PATIENCE)
    assert widget.results == {}
    assert "ratio 0.5: stopped" in widget.status
    assert buttons(widget) == (True, False)
    widget._run.click()  # and it can be asked again
    training.go()
    assert widget.wait(PATIENCE)
    assert list(widget.results) == [(0.9,)]


def test_a_failure_is_shown_and_the_widget_lives_on():
    failing = Training(fails=True)
    failing.go(1)
    widget = trainer(failing)
    widget._run.click()
    assert widget.wait(PATIENCE)
    assert "ValueError: no &lt;labels&gt;" in widget.status
    assert isinstance(widget.error, ValueError)
    assert widget._bar.bar_style == "danger"
    assert buttons(widget) == (True, False)
    failing.fails = False
    failing.go()
    widget._run.click()
    assert widget.wait(PATIENCE)
    assert widget.error is None
    assert widget.results == {(0.5,): 5.0}


def test_a_picture_that_fails_is_shown_too(training):
    def picture(results):
        if results:
            raise RuntimeError("cannot draw")
        return Figure(figsize=(1, 1)), ""

    widget = Trainer(explorer(), training, picture, asks=("ratio",), height=100, alt="Results")
    training.go()
    widget._run.click()
    assert widget.wait(PATIENCE)
    assert "cannot draw" in widget.status
    assert buttons(widget) == (True, False)


def test_one_training_at_a_time(training):
    first, second = trainer(training), trainer(Training())
    first._run.click()
    training.arrived()
    first._run.click()  # pressed twice
    second._run.click()
    assert not second.running
    assert "another widget is training" in second.status
    training.go()
    first.wait(PATIENCE)
    assert len(training.asked) == 1


def test_knobs_that_are_not_there_are_refused(training):
    with pytest.raises(ConfigError, match="rate"):
        Trainer(explorer(), training, None, asks=("rate",), height=100, alt="x")
    with pytest.raises(ConfigError, match="at least one knob"):
        Trainer(explorer(), training, None, asks=(), height=100, alt="x")


def test_a_page_without_widgets_gets_both_pictures(training):
    bundle = trainer(training)._repr_mimebundle_()
    page = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert page.size == (300, 200)
    assert bundle["text/plain"] == "Results"


def test_stacked_keeps_order_and_colours():
    def block(colour: tuple[int, int, int], size: tuple[int, int]) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", size, colour).save(buffer, "PNG")
        return buffer.getvalue()

    page = Image.open(io.BytesIO(stacked([block((200, 0, 0), (4, 2)), block((0, 0, 200), (2, 3))]))).convert(
        "RGB"
    )
    assert page.size == (4, 5)
    assert [page.getpixel(at) for at in ((0, 0), (0, 4), (3, 4))] == [
        (200, 0, 0),
        (0, 0, 200),
        (255, 255, 255),
    ]


def test_choices_can_be_asked_for(training):
    knobs = {"ratio": choice("ratio", [0.5, 1.0], 1.0)}
    page = Explorer(lambda ratio: (Figure(figsize=(1, 1)), ""), knobs, height=50, alt="x")
    widget = Trainer(
        page, training, lambda results: (Figure(figsize=(1, 1)), ""), asks=("ratio",), height=50, alt="x"
    )
    assert widget.asked == (1.0,)


def test_two_threads_that_draw_leave_matplotlib_as_it_was():
    """The first to enter the book's style leaves it while the second, if it could enter, is still inside."""
    before = mpl.rcParams["font.size"], mpl.rcParams["axes.titleweight"]
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first():
        with style.theme():
            first_in.set()
            second_in.wait(0.2)
        first_out.set()

    def second():
        first_in.wait(PATIENCE)
        with style.theme():
            second_in.set()
            first_out.wait(PATIENCE)

    threads = [threading.Thread(target=one) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (mpl.rcParams["font.size"], mpl.rcParams["axes.titleweight"]) == before
