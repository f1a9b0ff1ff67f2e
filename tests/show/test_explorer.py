"""The widget of every lesson: each answer reaches the page, even one that says what the last one said."""

from types import SimpleNamespace

from matplotlib.figure import Figure

from workbench.show import explorer
from workbench.show.explorer import Explorer, slider


def test_an_answer_that_says_the_same_is_still_a_change(monkeypatch):
    monkeypatch.setattr(explorer, "time", SimpleNamespace(perf_counter=lambda: 0.0))  # always 0 ms
    page = Explorer(
        lambda k: (Figure(figsize=(1, 1)), "as before"), {"k": slider("K", 1, 1, 9)}, height=99, alt="x"
    )
    told = []
    page._numbers.observe(lambda change: told.append(change["new"]), names="value")
    page.knobs["k"].value = 2
    page.knobs["k"].value = 3
    assert len(set(told)) == 2
    assert all("as before" in words for words in told)
