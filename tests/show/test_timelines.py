"""The context timeline says what the retriever found: against the log, event by event."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.data import item_names
from workbench.data.histories import Histories
from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.lab.contexts import Retriever
from workbench.show.retrieval import retrieval_explorer
from workbench.show.timelines import NOTHING, context_timeline, gather, upcoming

LENGTH = 6


@pytest.fixture(scope="module")
def tiny():
    log = make_world("tiny", seed=3).interactions
    split = global_time_split(log)
    return log, split, Retriever(log, split), Histories.of(log)


def gathered(tiny, row, k=5):
    _, _, retriever, own = tiny
    contexts = retriever.retrieve(np.array([row]), k, LENGTH)
    return contexts, gather(retriever, own, row, contexts, LENGTH, item_names("world:tiny", retriever.log))


def test_every_line_holds_its_users_events_next_to_now(tiny):
    log, split, _, _ = tiny
    for row in split.rows("test")[:20]:
        contexts, lines = gathered(tiny, row)
        for line, anchor in enumerate([row, *contexts.rows[0][contexts.rows[0] >= 0]]):
            limit = len(log) if line == 0 else split.retrieval.stop
            mine = np.flatnonzero(log.user[:limit] == log.user[anchor])
            past = log.label[mine[mine < anchor]][-LENGTH:]
            assert lines.past[line].tolist() == [NOTHING] * (LENGTH - len(past)) + past.tolist()
            after = log.label[mine[mine > anchor]][:LENGTH] if line else np.array([])
            assert lines.future[line].tolist() == after.tolist() + [NOTHING] * (LENGTH - len(after))


def test_the_targets_future_is_never_drawn(tiny):
    row = int(tiny[1].rows("train")[0])  # a row whose user surely has later events in the log
    _, lines = gathered(tiny, row)
    assert (lines.future[0] == NOTHING).all()


def test_chips_add_up_to_the_score(tiny):
    _, lines = gathered(tiny, int(tiny[1].rows("test")[4]))
    np.testing.assert_allclose(lines.matched @ lines.idf, lines.scores)


def test_the_picture_says_who_stands_before_what(tiny):
    log, row = tiny[0], int(tiny[1].rows("test")[2])
    _, lines = gathered(tiny, row)
    asked = f"User {log.value('user', log.user[row])} in front of item {log.value('item', log.item[row])}"
    assert lines.question.startswith(asked)
    assert lines.question in [text.get_text() for text in context_timeline(lines).texts]


def test_upcoming_counts_neighbours_not_events(tiny):
    log = tiny[0]
    _, lines = gathered(tiny, int(tiny[1].rows("test")[0]))
    names = [f"item {code}" for code in range(log.size("item"))]
    counted = dict(upcoming(lines, log.item, names, most=10**6))
    for line, label in zip(lines.future_rows, lines.future[1:], strict=True):
        for code in set(log.item[line[label == 1]].tolist()):
            counted[f"item {code}"] -= 1
    assert set(counted.values()) == {0}


def test_the_picture_marks_every_event_once(tiny):
    _, lines = gathered(tiny, int(tiny[1].rows("test")[1]))
    figure = context_timeline(lines)
    drawn = sum(len(marks.get_xdata()) for marks in figure.axes[0].lines if marks.get_marker() == "o")
    assert drawn == (lines.past != NOTHING).sum() + (lines.future != NOTHING).sum() + len(lines.scores)
    assert "clicked" in figure.axes[0].get_xlabel()


def test_the_explorer_answers_every_knob(tiny):
    log, split, retriever, _ = tiny
    explorer = retrieval_explorer(
        retriever, split.rows("test")[:8], item_names("world:tiny", log), k=4, length=5
    )
    shown, numbers = explorer._picture.value, explorer._numbers.value
    assert "K = 4, L = 5" in numbers
    for name, value in (("K", 7), ("L", 9), ("target", 3), ("category", 2.5), ("item", 0.0)):
        explorer.knobs[name].value = value
        assert explorer._picture.value != shown, f"{name} changed nothing in the picture"
        shown = explorer._picture.value
    assert "K = 7, L = 9" in explorer._numbers.value
    assert len(explorer.seconds) == 6
    assert not any(getattr(knob, "continuous_update", False) for knob in explorer.knobs.values())


def test_the_explorer_leaves_a_still_picture_for_pages_without_widgets(tiny):
    explorer = retrieval_explorer(
        tiny[2], tiny[1].rows("test")[:2], item_names("world:tiny", tiny[0]), k=3, length=4
    )
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["image/png"].startswith("iVBOR")
    assert bundle["text/plain"] == explorer.alt
