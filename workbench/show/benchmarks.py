"""The benchmark of ``workbench bench`` that draws; the others are in :mod:`workbench.lab.benchmarks`."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from time import perf_counter

import numpy as np
from ipywidgets import Widget

from workbench.data import item_names
from workbench.data.histories import Histories
from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.lab.bench import Measurement, Timing, benchmark
from workbench.lab.contexts import Retriever
from workbench.show.explorer import Explorer, png
from workbench.show.retrieval import retrieval_explorer
from workbench.show.timelines import context_timeline, gather

BUDGET = 0.2  # seconds in which 95% of the changes are to be answered
ROUNDS = 3


@benchmark("explorer", help="answer a change of a knob in lesson 02; peers: its picture alone, and 200 ms")
def explorer(size: str) -> Iterator[Measurement]:
    """The explorer of lesson 02 on the world, while somebody turns one random knob after the other.

    "its picture alone" draws the same picture from timelines at hand, in turns with the explorer: what
    is above it is retrieval. The budget is a promise, not a system.
    """
    log = make_world("tiny" if size == "tiny" else "small").interactions
    split = global_time_split(log)
    retriever, own = Retriever(log, split), Histories.of(log)
    names = item_names("world", log)
    shown = retrieval_explorer(retriever, split.rows("test")[:200], names)
    changes = {"tiny": 3, "quick": 30, "full": 100}[size]
    random = np.random.default_rng(0)
    answers, pictures = np.empty((2, ROUNDS, changes))
    for place in np.ndindex(answers.shape):
        _turn(random, shown)
        answers[place] = shown.seconds[-1]
        pictures[place] = _picture_alone(shown, retriever, own, split.rows("test"), names)
    for label, share in (("median", 0.5), ("95th percentile", 0.95)):
        case = f"{label} of {changes} changes"
        answer, picture = (_timing(np.quantile(each, share, axis=1)) for each in (answers, pictures))
        yield Measurement.of("explorer", case, answer, "its picture alone", picture)
        yield Measurement.of("explorer", case, answer, "a budget of 200 ms", _timing([BUDGET] * ROUNDS))


def _turn(random: np.random.Generator, shown: Explorer) -> None:
    """Give one random knob a random other value, which makes the explorer answer."""
    knob: Widget = random.choice(list(shown.knobs.values()))
    places = round((knob.max - knob.min) / knob.step) + 1
    values = [knob.min + place * knob.step for place in range(places)]
    others = [value for value in values if not math.isclose(value, knob.value)]
    knob.value = others[random.integers(len(others))]


def _picture_alone(
    shown: Explorer, retriever: Retriever, own: Histories, rows: np.ndarray, names: list[str]
) -> float:
    """Seconds to draw what the explorer shows now, its timelines given."""
    weights = {name: value for name, value in shown.values.items() if name in retriever.fields}
    target, k, length = (shown.values[name] for name in ("target", "K", "L"))
    row = int(rows[target - 1])
    contexts = retriever.retrieve(np.array([row]), k, length, weights=weights)
    lines = gather(retriever, own, row, contexts, length, names, weights)
    gc.disable()  # as the explorer does while it draws
    began = perf_counter()
    png(context_timeline(lines))
    took = perf_counter() - began
    gc.enable()
    return took


def _timing(seconds: np.ndarray | list[float]) -> Timing:
    return Timing(tuple(map(float, seconds)), math.nan)
