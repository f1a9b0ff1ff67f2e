"""Lesson 02 as a student meets it: JupyterLab in a real browser, real sliders, a picture that answers."""

from __future__ import annotations

from pathlib import Path

import pytest

ARTIFACTS = Path(__file__).parent.parent.parent / "build" / "browser"
NUMBERS = ".workbench-numbers"
PICTURE = ".jp-OutputArea img.widget-image"
MINUTE = 60_000


def knob(page, name: str):
    """The row of one slider: label, track and readout."""
    return page.locator(".widget-inline-hbox", has=page.get_by_text(name, exact=True)).first


def answer_to(page, act) -> tuple[str, str]:
    """Do something to a knob; the numbers and the picture that it brings (both must change)."""
    numbers, picture = page.locator(NUMBERS).text_content(), page.locator(PICTURE).get_attribute("src")
    act()
    page.wait_for_function(
        """([numbers, picture]) => {
            const text = document.querySelector('.workbench-numbers');
            const image = document.querySelector('.jp-OutputArea img.widget-image');
            return text && image && text.textContent !== numbers && image.src !== picture && image.complete;
        }""",
        arg=[numbers, picture],
        timeout=MINUTE,
    )
    return page.locator(NUMBERS).text_content(), page.locator(PICTURE).get_attribute("src")


@pytest.fixture
def lesson(jupyterlab, page):
    """Lesson 02, opened and run from its first to its last cell."""
    page.goto(f"{jupyterlab}/lab/tree/02_lift_retrieve.ipynb?reset")
    page.locator(".jp-Notebook h1", has_text="LIFT: retrieve").wait_for(timeout=MINUTE)
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    # The last check's output: until it is there, the page keeps moving under the mouse.
    page.get_by_text("with the user id as a field").last.wait_for(state="attached", timeout=2 * MINUTE)
    page.locator(PICTURE).wait_for(state="attached", timeout=MINUTE)
    page.locator(NUMBERS).evaluate("element => element.scrollIntoView({block: 'start'})")
    page.locator(PICTURE).wait_for(timeout=MINUTE)
    return page


def test_moving_k_and_l_changes_the_picture_and_the_numbers(lesson):
    page = lesson
    assert "K = 10, L = 20: 10 neighbours" in page.locator(NUMBERS).text_content()

    def press_right_twice():
        handle = knob(page, "K").locator(".noUi-handle")
        handle.focus()
        handle.press("ArrowRight")
        handle.press("ArrowRight")

    numbers, _ = answer_to(page, press_right_twice)
    page.get_by_text("K = 12, L = 20").wait_for(timeout=MINUTE)
    assert "12 neighbours" in page.locator(NUMBERS).text_content()

    def drag_to_the_right():
        box = knob(page, "L").locator(".noUi-handle").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 40, y, steps=8)
        page.mouse.up()

    before = page.locator(NUMBERS).text_content()
    numbers, _ = answer_to(page, drag_to_the_right)
    length = int(numbers.split("L = ")[1].split(":")[0])
    assert length > 20
    assert "K = 12" in numbers
    assert numbers != before

    # A smaller K must show a smaller picture's worth of neighbours, not the old ones.
    def type_three():
        readout = knob(page, "K").locator(".widget-readout")
        readout.click(click_count=3)
        readout.fill("3")
        readout.press("Enter")

    numbers, _ = answer_to(page, type_three)
    assert "3 neighbours" in numbers
    shape = page.locator(PICTURE).evaluate("i => [i.naturalWidth / i.naturalHeight, i.width / i.height]")
    assert shape[0] == pytest.approx(shape[1], rel=0.02), "the picture is stretched"
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / "lesson02_explorer.png")
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
