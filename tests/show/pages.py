"""What can be asked of any drawn page: does every word stand on it, and on no other word?"""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def said(figure: Figure) -> list[str]:
    """Every text of the figure's axes and of the figure itself."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


def _out_of_view(figure: Figure) -> Iterator[Text]:
    """Labels of ticks beyond an axis's ends: there, but never drawn."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    yield from (tick.label1, tick.label2)


def collisions(figure: Figure) -> list[str]:
    """Words that leave the page, and pairs of words that overlap by more than a hair (2 by 2 dots)."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    unseen = set(_out_of_view(figure))
    places = [
        (text.get_text(), Text.get_window_extent(text, renderer))  # of the words alone, without an arrow
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and not text.get_rotation() and text not in unseen
    ]
    width, height = figure.bbox.size
    wrong = [
        f"{words!r} leaves the page"
        for words, box in places
        if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height
    ]
    for place, (words, box) in enumerate(places):
        for others, other in places[place + 1 :]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            down = min(box.y1, other.y1) - max(box.y0, other.y0)
            if across > 2 and down > 2:
                wrong.append(f"{words!r} lies on {others!r}")
    return wrong
