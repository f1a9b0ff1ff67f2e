"""What a student does with a lesson in JupyterLab: open it, run it, turn a knob, wait for the answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nbformat

NUMBERS = ".workbench-numbers"
PICTURE = ".jp-OutputArea img.widget-image"
MINUTE = 60_000
PHOTOGRAPHS = Path(__file__).parent.parent.parent / "build" / "browser"


def open_and_run(page, address: str, name: str, title: str, last_words: str, minutes: int = 2):
    """Open a lesson, run it from its first to its last cell, and go to its explorer.

    last_words : of its last output. Until it is there, the page keeps moving under the mouse.
    """
    page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
    page.locator(".jp-Notebook h1", has_text=title).wait_for(timeout=MINUTE)
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.get_by_text(last_words).last.wait_for(state="attached", timeout=minutes * MINUTE)
    page.locator(PICTURE).first.wait_for(state="attached", timeout=MINUTE)
    bring_up(page.locator(NUMBERS).first)
    page.locator(PICTURE).first.wait_for(timeout=MINUTE)
    return page


def changed(path: Path, words: Mapping[str, str]) -> None:
    """Replace words in a notebook; each stands in exactly one of its code cells."""
    nb = nbformat.read(path, 4)
    for there, other in words.items():
        (cell,) = [cell for cell in nb.cells if cell.cell_type == "code" and there in cell.source]
        cell.source = cell.source.replace(there, other)
    nbformat.write(nb, path)


def bring_up(locator) -> None:
    """Scroll to what may be drawn anew at any moment: found and moved in one go."""
    locator.evaluate("element => element.scrollIntoView({block: 'start'})")


def knob(page, name: str):
    """The row of one slider: label, track and readout."""
    return page.locator(".widget-inline-hbox", has=page.get_by_text(name, exact=True)).first


def type_into(page, name: str, value: int) -> None:
    """Write a number into the readout of a slider."""
    readout = knob(page, name).locator(".widget-readout")
    readout.click(click_count=3)
    readout.fill(str(value))
    readout.press("Enter")


def answer_to(page, act) -> tuple[str, str]:
    """Do something to a knob; the numbers and the picture that it brings (a new answer, another picture)."""
    answer = page.locator(NUMBERS).first.get_attribute("data-answer")
    picture = page.locator(PICTURE).first.get_attribute("src")
    act()
    page.wait_for_function(
        """([answer, picture]) => {
            const text = document.querySelector('.workbench-numbers');
            const image = document.querySelector('.jp-OutputArea img.widget-image');
            const answered = text && text.dataset.answer !== answer;
            return answered && image && image.src !== picture && image.complete;
        }""",
        arg=[answer, picture],
        timeout=MINUTE,
    )
    return page.locator(NUMBERS).first.text_content(), page.locator(PICTURE).first.get_attribute("src")


def complaints(page) -> int:
    """How many outputs hold something that a kernel wrote to its error stream."""
    return page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count()


def photograph(page, name: str) -> None:
    """A picture of the page for people to look at: build/browser/<name>.png."""
    page.screenshot(path=PHOTOGRAPHS / f"{name}.png")  # makes the folder
