"""How long DualRec trains and predicts beside its peers: ``workbench bench dualrec``.

A training pass is timed on the same users for all, from windows of items to moved weights:

* ``workbench``: batches of like lengths, cut to the longest; scores that become their own gradient
  (:func:`workbench.methods.next_item.full_softmax`).
* ``padded``: what public code does. Every row is padded to n items, and the scores of all items at the real
  positions of a batch go through the library's cross-entropy.
* ``plain``: the same with scores at all n positions.

The peers have torch's own dropout and Adam. All three compute the same loss (:func:`padded_loss`; a test
compares them). DualRec, Section 3.6.1, says how the cost grows, and that a prediction costs what one of the
backbone costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from workbench.data import load
from workbench.errors import DataError
from workbench.lab.bench import Measurement, Timing, grown, measure
from workbench.lab.leave_one_out import NextItemTask, Sequences
from workbench.lab.lift import made
from workbench.lab.training import shuffled
from workbench.methods import dualrec
from workbench.methods.dualrec import DualRec, backwards
from workbench.methods.dualrec_config import DualRecConfig

BATCH = 256
CONFIG = DualRecConfig()
PADDED = ("padded", "plain")
PAST = "past encoder alone"
SYSTEMS = {
    "workbench": CONFIG,
    **dict.fromkeys(PADDED, CONFIG),
    PAST: replace(CONFIG, encoders="past", beta=0.0),
}
BEAUTY_USERS, BEAUTY_ITEMS = 22_363, 12_102  # codes, 0 included


@dataclass(frozen=True)
class Size:
    """How much is measured. share : every so manieth batch of an epoch; users : of the drawn sequences, of
    which items or lengths are varied.
    """

    share: int
    users: int
    items: tuple[int, ...]
    lengths: tuple[int, ...]
    repeats: int


SIZES = {
    "tiny": Size(1, 24, (200, 400), (5, 8), 1),
    "quick": Size(11, BATCH, (3_000, 12_000, 48_000), (10, 20, 50), 5),
    "full": Size(1, BATCH, (3_000, 12_000, 48_000, 192_000), (10, 20, 50), 5),
}


def drawn(users: int, items: int, length: int | None = None) -> Sequences:
    """Random sequences: of a length, or of lengths as in Amazon Beauty (3 or more, 6.9 on average)."""
    generator = torch.Generator().manual_seed(0)
    if length is None:
        rare = torch.empty(users).geometric_(1 / 4.9, generator=generator).long()
        count = (2 + rare).clamp(max=200)
    else:
        count = torch.full((users,), length)
    start = count.cumsum(0) - count
    codes = torch.randint(1, items, (int(count.sum()),), generator=generator)
    return Sequences(codes, torch.ones_like(count), start, count, CONFIG.length)


def beauty() -> tuple[Sequences, int, str]:
    """Amazon Beauty's sequences, or as many drawn ones; how many codes of items there are; and a name."""
    try:
        task = NextItemTask.of(load("amazon-beauty"))
    except DataError:
        return drawn(BEAUTY_USERS, BEAUTY_ITEMS), BEAUTY_ITEMS, "drawn like Beauty"
    return task.training, task.items, "Beauty"


def padded_loss(model: DualRec, sequence: Tensor, every_position: bool) -> Tensor:
    """Eq. 14 with rows (B, T) padded to n, and the library's cross-entropy; mean over targets."""
    config = model.config
    sequence = functional.pad(sequence, (0, config.length - sequence.shape[1]))
    length, losses, reads, count = (sequence > 0).sum(1), [], [], 0
    for direction, share in (("past", config.alpha), ("future", 1 - config.alpha)):
        reads.append(model.read(sequence, direction))
        row = sequence if direction == "past" else backwards(sequence, length)
        there = model.asked(length, config.length)
        states, target = reads[-1].states[:, :-1], torch.where(there, row[:, 1:], 0)
        count = int(there.sum())
        if not every_position:
            states, target = states[there], target[there]
        scores = states.flatten(0, -2) @ model.item.weight[1:].T
        total = functional.cross_entropy(scores, target.flatten() - 1, ignore_index=-1, reduction="sum")
        losses.append(share * total)
    return sum(losses) / count + config.beta * model.transfer(*reads, length)


@contextmanager
def library_dropout() -> Iterator[None]:
    """DualRec with torch's own dropout."""
    own = dualrec.dropout
    dualrec.dropout = functional.dropout
    try:
        yield
    finally:
        dualrec.dropout = own


def one_pass(model: DualRec, training: Sequences, batches: Sequence[Tensor], how: str) -> Callable[[], None]:
    """Train once on some batches of sequences; ``how`` is one of SYSTEMS."""
    ours = how not in PADDED
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4, fused=ours)
    per = float(model.steps(training.read).double().mean())

    def run() -> None:
        model.train()
        for index in batches:
            windows = training.windows(index)
            optimizer.zero_grad()
            if ours:
                model.training_loss(training.user[index], windows, per).backward()
            else:
                with library_dropout():
                    padded_loss(model, windows, how == "plain").backward()
            optimizer.step()

    return run


def passes(
    training: Sequences, items: int, share: int = 1, systems: Sequence[str] = ("workbench", *PADDED)
) -> dict[str, Callable[[], None]]:
    """A pass over every ``share``-th batch of like lengths; the peers', of the same users, are mixed."""
    generator = torch.Generator().manual_seed(0)
    cut = shuffled(len(training), BATCH, generator, training.read)
    chosen = sorted(cut, key=lambda index: training.read[index].sum())[share // 2 :: share]
    mixed = torch.cat(chosen)[torch.randperm(sum(map(len, chosen)), generator=generator)].split(BATCH)
    batches = {how: mixed if how in PADDED else chosen for how in systems}
    return {how: one_pass(_model(items, SYSTEMS[how]), training, some, how) for how, some in batches.items()}


def measurements(size: str) -> Iterator[Measurement]:
    """The rows of ``workbench bench dualrec``; ``size`` is one of SIZES."""
    how = SIZES[size]
    training, items, name = (drawn(24, 200), 200, "drawn") if size == "tiny" else beauty()
    timing = measure(passes(training, items, how.share), repeats=how.repeats)
    for peer in ("padded", "plain"):
        epoch = timing["workbench"].median_s * how.share
        case = f"train {name}, 1/{how.share} epoch"
        note = f"about {epoch:.0f} s an epoch"
        yield Measurement.of("dualrec", case, timing["workbench"], peer, timing[peer], note)
    yield from _predicting(training, items, how)
    for knob, setting, timing in _growing(how):
        own = timing["workbench"]
        users = f"{how.users / own.median_s:,.0f} users/s"
        for peer in ("padded", PAST):
            yield Measurement.of("dualrec", f"train, {knob}={setting:,}", own, peer, timing[peer], users)


def growth(size: str) -> pd.DataFrame:
    """Seconds a batch of training as items and lengths grow, in :func:`workbench.lab.bench.grown`'s form."""
    return grown(_growing(SIZES[size]))


def _predicting(training: Sequences, items: int, how: Size) -> Iterator[Measurement]:
    """A batch of histories to scores of all items: DualRec beside its past encoder alone."""
    user, history = training.user[:BATCH], training.windows(torch.arange(min(BATCH, len(training))))
    models = {
        "DualRec": _model(items, CONFIG).eval(),
        PAST: _model(items, SYSTEMS[PAST]).eval(),
    }

    def asked(model: DualRec) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                model.score_all(user, history)

        return run

    timing = measure({name: asked(model) for name, model in models.items()}, repeats=5 * how.repeats)
    own, peer = (timing[name] for name in models)
    note = f"{len(history) / own.median_s:,.0f} against {len(history) / peer.median_s:,.0f} users/s"
    yield Measurement.of("dualrec", "predict", own, PAST, peer, note)


def _growing(how: Size) -> Iterator[tuple[str, int, dict[str, Timing]]]:
    """A training pass with more items, and with longer sequences: knob, its setting, timings."""
    cases = [("items", items, drawn(how.users, items), items) for items in how.items]
    cases += [("length", n, drawn(how.users, BEAUTY_ITEMS, n), BEAUTY_ITEMS) for n in how.lengths]
    for knob, setting, training, items in cases:
        calls = passes(training, items, systems=("workbench", PAST, "padded"))
        yield knob, setting, measure(calls, repeats=how.repeats)


def _model(items: int, config: DualRecConfig) -> DualRec:
    return made(lambda: DualRec(items, config), 0)
