"""The widget every lesson uses: knobs on top, one line of numbers, one picture that answers at once."""

from __future__ import annotations

import base64
import gc
import io
import time
from collections.abc import Callable, Mapping

import ipywidgets as widgets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def png(figure: Figure, dpi: int = 100) -> bytes:
    """A figure as PNG bytes, compressed lightly: the reader waits for this."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def framed(height: int) -> tuple[widgets.Image, widgets.Box]:
    """An empty picture, and the frame of so many pixels around it that keeps the page from jumping."""
    picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
    # Flex boxes stretch what they hold unless told not to.
    layout = widgets.Layout(height=f"{height}px", overflow="auto", align_items="flex-start")
    return picture, widgets.Box([picture], layout=layout)


class Explorer(widgets.VBox):
    """Knobs that redraw a picture.

    Parameters
    ----------
    draw : called with the value of every knob by name; returns a Figure and a line of HTML with the
        numbers. It must be quick (aim: 200 ms); it is called once at construction.
    knobs : name -> ipywidgets control with a ``value``. Sliders are switched to report on release.
    height : of the picture area in pixels, fixed so that the page does not jump.
    alt : what the picture shows, for readers who cannot see it.

    ``seconds`` holds how long each answer took, in order. Displayed where widgets cannot live (a web
    page, a print), the explorer leaves its present picture instead.
    """

    def __init__(
        self,
        draw: Callable[..., tuple[Figure, str]],
        knobs: Mapping[str, widgets.Widget],
        *,
        height: int,
        alt: str,
    ) -> None:
        self.draw, self.knobs, self.alt = draw, dict(knobs), alt
        self.seconds: list[float] = []
        self._numbers = widgets.HTML()
        self._picture, frame = framed(height)
        for knob in self.knobs.values():
            if hasattr(knob, "continuous_update"):
                knob.continuous_update = False
            knob.observe(self._changed, names="value")
        controls = widgets.HBox(list(self.knobs.values()), layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([controls, self._numbers, frame])
        self.answer()

    @property
    def values(self) -> dict[str, object]:
        """The knobs as they stand."""
        return {name: knob.value for name, knob in self.knobs.items()}

    @property
    def picture(self) -> bytes:
        """The present picture, a PNG."""
        return self._picture.value

    def answer(self) -> None:
        """Draw for the present values."""
        started = time.perf_counter()
        collecting = gc.isenabled()
        gc.disable()  # drawing makes many small objects; a full collection among them costs 0.2 s
        try:
            figure, numbers = self.draw(**self.values)
            self._picture.value = png(figure)
        finally:
            if collecting:
                gc.enable()
        took = time.perf_counter() - started
        self.seconds.append(took)
        note = f"<span style='color:#7A828C'>answered in {1000 * took:.0f} ms</span>"
        # Answers are counted: two in a row may say the same, and a page is told of changes only.
        count = f"data-answer='{len(self.seconds)}'"
        self._numbers.value = f"<div class='workbench-numbers' {count}>{numbers} &nbsp; {note}</div>"

    def _changed(self, _change: dict) -> None:
        self.answer()

    def _repr_mimebundle_(self, **_options: object) -> dict[str, object]:
        bundle = super()._repr_mimebundle_()
        bundle["image/png"] = base64.b64encode(self.picture).decode()
        bundle["text/plain"] = self.alt
        return bundle


def slider(label: str, value: int, low: int, high: int, step: int = 1) -> widgets.IntSlider:
    """A whole-number knob."""
    return widgets.IntSlider(value=value, min=low, max=high, step=step, description=label)


def dial(label: str, value: float, low: float, high: float, step: float = 0.1) -> widgets.FloatSlider:
    """A decimal knob."""
    return widgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=label, readout_format=".2f"
    )


def choice(label: str, options: list, value: object) -> widgets.Dropdown:
    """A knob with named positions."""
    return widgets.Dropdown(description=label, options=options, value=value)
