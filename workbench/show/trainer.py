"""The widget for what takes longer than a reader waits: knobs, a Run button, progress, Stop, results.

    trainer = Trainer(explorer, train, picture, asks=("ratio",), height=420, alt="AUC against mask ratio")

The training runs in a thread of its own. So the knobs go on answering meanwhile, and Stop is heard.
"""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from html import escape

import ipywidgets as widgets
from matplotlib.figure import Figure
from PIL import Image

from workbench.errors import ConfigError, unknown
from workbench.show.explorer import Explorer, framed, png

Results = Mapping[tuple, object]
# One training at a time in a kernel: they take what is random from the same generators of torch.
_BUSY = threading.Lock()


class Trainer(widgets.VBox):
    """An explorer, a training that its knobs ask for, and a picture of what was found so far.

    Parameters
    ----------
    explorer : the knobs, and a picture of its own that answers at once.
    train : called in a thread with the asked knobs by name, and with ``on_progress`` and ``stop`` as
        :func:`workbench.lab.training.fit` takes them. Returns what is remembered: any object.
    picture : called with the results so far, a dictionary from the values of the asked knobs (a tuple, in
        their order) to what ``train`` returned; returns a Figure and a line of HTML.
    asks : the knobs that a training depends on. Values that were run before are not run again.
    results : what is known beforehand.
    height : of the picture of results in pixels.
    alt : what the two pictures show, for readers who cannot see them.

    ``results`` are kept as long as the kernel lives, in the order in which they came; ``error`` is what the
    last training ended with, if it failed. Displayed where widgets cannot live, it leaves both pictures.

    Raises ConfigError for a knob that the explorer does not have, or when it asks for none.
    """

    def __init__(
        self,
        explorer: Explorer,
        train: Callable[..., object],
        picture: Callable[[Results], tuple[Figure, str]],
        *,
        asks: Sequence[str],
        results: Results | None = None,
        height: int,
        alt: str,
    ) -> None:
        if not asks:
            raise ConfigError("a training depends on at least one knob: name it in asks")
        for name in asks:
            if name not in explorer.knobs:
                raise unknown("knob", name, explorer.knobs)
        self.explorer, self.train, self.picture, self.asks = explorer, train, picture, tuple(asks)
        self.results, self.alt = dict(results or {}), alt
        self.error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._run = widgets.Button(description="Run", button_style="primary", icon="play")
        self._stop = widgets.Button(description="Stop", icon="stop", disabled=True)
        self._bar = widgets.FloatProgress(min=0.0, max=1.0, layout=widgets.Layout(width="180px"))
        self._status = widgets.HTML()
        self._numbers = widgets.HTML()
        self._picture, frame = framed(height)
        self._run.on_click(lambda _: self.run())
        self._stop.on_click(lambda _: self.stop())
        row = widgets.HBox(
            [self._run, self._stop, self._bar, self._status],
            layout=widgets.Layout(flex_flow="row wrap", align_items="center"),
        )
        # The buttons and what was found stand with the knobs: pictures are tall, and would part them.
        knobs, numbers, picture_of_knobs = explorer.children
        super().__init__([knobs, row, self._numbers, numbers, picture_of_knobs, frame])
        self._say("press Run to train for the knobs as they stand")
        self._draw()

    @property
    def asked(self) -> tuple:
        """The values of the asked knobs as they stand."""
        return tuple(self.explorer.values[name] for name in self.asks)

    @property
    def running(self) -> bool:
        """Is a training going on?"""
        return self._thread is not None and self._thread.is_alive()

    @property
    def status(self) -> str:
        """What the line beside the buttons says, as HTML."""
        return self._status.value

    def run(self) -> None:
        """Train for the knobs as they stand, unless that result is known already."""
        if self.running:
            return
        key = self.asked
        if key in self.results:
            self._bar.value = 1.0
            self._say(f"{self._named(key)}: remembered, nothing to train")
            return
        if not _BUSY.acquire(blocking=False):
            self._say("another widget is training: wait for it, or stop it there")
            return
        self._stopped.clear()
        self.error = None
        self._bar.value, self._bar.bar_style = 0.0, ""
        self._run.disabled, self._stop.disabled = True, False
        self._say(f"{self._named(key)}: starting")
        self._thread = threading.Thread(target=self._train, args=(key,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the training to end before its next step; what it has done so far is not kept."""
        if self.running:
            self._stopped.set()
            self._say("stopping")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the training to end, at most so long; True when none is going on."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.running

    def _train(self, key: tuple) -> None:
        """The whole life of the thread."""
        began = time.perf_counter()

        def on_progress(epoch: int, epochs: int, step: int, steps: int, history: Sequence[Mapping]) -> None:
            self._bar.value = (epoch - 1 + step / steps) / epochs
            told = [f"epoch {epoch} of {epochs}"]
            told += [
                f"{name} {history[-1][name]:.3f}"
                for name in ("loss", "score")
                if history and name in history[-1]
            ]
            if not self._stopped.is_set():
                self._say(f"{self._named(key)}: " + ", ".join(told))

        try:
            asked = dict(zip(self.asks, key, strict=True))
            result = self.train(**asked, on_progress=on_progress, stop=self._stopped.is_set)
            took = f"{time.perf_counter() - began:.0f} s"
            if self._stopped.is_set():
                self._end("warning", f"{self._named(key)}: stopped after {took}, nothing kept")
                return
            self.results[key] = result
            self._bar.value = 1.0
            self._draw()
            self._end("success", f"{self._named(key)}: done in {took}")
        except Exception as error:  # a thread has nobody above it who would show this
            self.error = error
            message = escape(f"{type(error).__name__}: {error}")
            self._end("danger", f"<b style='color:#B00020'>failed</b>: {message}")
        finally:
            _BUSY.release()

    def _end(self, style: str, html: str) -> None:
        self._bar.bar_style = style
        self._say(html)
        self._run.disabled, self._stop.disabled = False, True

    def _draw(self) -> None:
        figure, numbers = self.picture(self.results)
        self._picture.value = png(figure)
        self._numbers.value = f"<div class='workbench-results'>{numbers}</div>"

    def _say(self, html: str) -> None:
        self._status.value = f"<span class='workbench-status'>{html}</span>"

    def _named(self, key: tuple) -> str:
        return ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
                         for name, value in zip(self.asks, key, strict=True))  # fmt: skip

    def _repr_mimebundle_(self, **_options: object) -> dict[str, object]:
        bundle = super()._repr_mimebundle_()
        both = stacked([self.explorer.picture, self._picture.value])
        bundle["image/png"] = base64.b64encode(both).decode()
        bundle["text/plain"] = self.alt
        return bundle


def stacked(pictures: Sequence[bytes]) -> bytes:
    """PNGs one under the other on white, in at most 256 colours."""
    drawn = [Image.open(io.BytesIO(one)).convert("RGB") for one in pictures]
    page = Image.new("RGB", (max(one.width for one in drawn), sum(one.height for one in drawn)), "white")
    top = 0
    for one in drawn:
        page.paste(one, (0, top))
        top += one.height
    buffer = io.BytesIO()
    page.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
