"""How long LIFT takes beside its peers: to predict, to pretrain, and to fill its datastore.

``workbench bench lift`` and the figure notebook lift_fig5 measure with this. LIFT, Section 5 (RQ5), sets a
prediction of LIFT beside those of RIM, DIN and BERT4Rec; LIFT, Section 4.5, says how each cost grows.

A prediction takes a batch of targets to click probabilities: rows found beforehand and kept, as the
paper's "Speedup" has them, are gathered, contexts come from the datastore on disk, and the network runs. The
vector h_t of the target's own history is no context. Production keeps it up to date with every event,
or encodes it when asked; both are measured, the second as "h_t online".

Every network has the sizes it has in LIFT's Table 2, as in the paper, which gave each model the parameters
that were best for it; "same sizes" is a LIFT with the width of embeddings and the MLP of RIM. Weights are
those of the start, as no time depends on them. ``workbench bench lift`` keeps torch on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from torch import Tensor, nn

from workbench.baselines.ctr import CTR
from workbench.data.interactions import Interactions
from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.errors import ConfigError
from workbench.lab.bench import Measurement, Timing, grown, measure
from workbench.lab.contexts import Retriever
from workbench.lab.datastore import Datastore
from workbench.lab.lift import Recipe, fresh_encoder, made, pretrain, recall
from workbench.lab.lift_data import LIFTData
from workbench.lab.samples import Samples
from workbench.methods.lift import LIFT, Encoder, mask_behaviours, pretrain_loss
from workbench.methods.lift_config import REMEDIES, LIFTConfig

BATCH = 256  # targets predicted together
LITERAL = LIFTConfig()
REMEDIED = LIFTConfig(**REMEDIES)
SAME_SIZES = {"width": 16, "hidden": (200, 80)}  # RIM's
PEERS = ("RIM", "BERT4Rec", "DIN")
RIMS_K = 10  # the K of RIM and LIFT in LIFT's Figure 5
LIFTS_K = 15

Predict = Callable[[Tensor], Tensor]  # (B,) positions of targets -> (B,) probabilities


@dataclass(frozen=True, eq=False)
class Case:
    """A log, split and searched, one LIFT for it, and a folder in which what is found and encoded lies."""

    config: LIFTConfig
    data: LIFTData
    folder: Path

    @classmethod
    def of(cls, log: Interactions, rows: int | None, config: LIFTConfig, folder: Path) -> Case:
        """The test part of a log's split, predicted with its retrieval part.

        rows : how much of it, from the beginning; None for all. Raises ConfigError for more than it has.
        """
        split = global_time_split(log)
        most = split.retrieval.stop
        if rows is not None and not 1 <= rows <= most:
            raise ConfigError(f"rows must be from 1 to the {most} of the retrieval part, not {rows}")
        split = replace(split, retrieval=slice(0, rows or most))
        return cls(config, LIFTData.of(log, split, config, cache=folder / "retrieved"), folder)

    @cached_property
    def encoder(self) -> Encoder:
        """E_ω as it starts."""
        return fresh_encoder(self.data, self.config, seed=0).eval()

    @property
    def plain(self) -> Samples:
        """The test part, its own history and its contexts as events."""
        return self.data.samples["test"]

    def store(self, folder: Path | None = None) -> Datastore:
        """The datastore, built where it is not there yet."""
        data, folder = self.data, folder or self.folder / "datastores"
        return Datastore.build(self.encoder, data.table, data.log, data.split, folder)

    @cached_property
    def predictors(self) -> dict[str, Predict]:
        """What predicts a batch: "LIFT", which has h_t at hand, "h_t online", and the peers."""
        sizes, config, store = self.data.table.sizes, self.config, self.store()
        online = self.plain.encoded(past=store.history, future=store.future)
        lift = made(lambda: LIFT(sizes, config, self.encoder), 0).freeze()
        systems = {
            "LIFT": predictor(lift, online.encoded(own=recall(self.encoder, self.plain))),
            "h_t online": predictor(lift, online),
        }
        for name in PEERS:
            options = {"length": config.length} if name == "BERT4Rec" else {}
            peer = made(lambda name=name, options=options: CTR[name](sizes, **options), 0)
            systems[name] = predictor(peer, self.plain)
        return systems

    @cached_property
    def searchers(self) -> dict[str, Predict]:
        """LIFT and RIM for targets never seen before: the search for the K neighbours is done, too.

        It finds what is kept already, so that it adds its time and nothing else.
        """
        retriever = Retriever(self.data.log, self.data.split)
        rows = self.plain.rows.numpy()

        def searched(predict: Predict) -> Predict:
            def answer(index: Tensor) -> Tensor:
                retriever.retrieve(rows[index.numpy()], self.config.k, self.config.length)
                return predict(index)

            return answer

        return {name: searched(self.predictors[name]) for name in ("LIFT", "RIM")}


def predictor(network: nn.Module, samples: Samples) -> Predict:
    """Gather what the network needs of some targets, and ask it."""
    network.eval()

    def predict(index: Tensor) -> Tensor:
        with torch.inference_mode():
            return network(samples.batch(index, network.needs)).sigmoid()

    return predict


def check_same_answers(case: Case, targets: int = 32) -> None:
    """Raise AssertionError unless what was encoded before gives what encoding everything now gives."""
    index = torch.arange(targets)
    lift = made(lambda: LIFT(case.data.table.sizes, case.config, case.encoder), 0).freeze()
    now = predictor(lift, case.plain)(index)
    for name in ("LIFT", "h_t online"):
        if not torch.allclose(kept := case.predictors[name](index), now, rtol=0, atol=1e-5):
            raise AssertionError(f"{name} says {kept} with the datastore, and {now} without")


def prediction(
    systems: Mapping[str, Predict], targets: int, *, batches: int = 4, repeats: int = 7
) -> dict[str, Timing]:
    """Seconds a batch of each system, turn by turn, all on the same random targets.

    targets : how many there are to draw from; batches : in one timed call, so that no system finds all
    it needs still lying in the processor's caches.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randperm(targets, generator=generator)[:BATCH] for _ in range(batches)]
    calls = {name: lambda ask=ask: [ask(index) for index in drawn] for name, ask in systems.items()}
    return measure(calls, repeats=repeats, units=dict.fromkeys(calls, batches))


def pretraining(case: Case, *, repeats: int = 7) -> dict[str, Timing]:
    """Seconds a step: an epoch of ``pretrain`` with all that belongs to it, and the bare network.

    "bare network" is forward and backward on one batch that lies ready; "bare network + AdamW" also moves
    the weights.
    """
    data, recipe = case.data, Recipe(pretrain_epochs=1)
    steps = -(-len(data.windows) // recipe.pretrain_batch)
    encoder = made(lambda: Encoder(data.table.sizes, case.config), 0).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=recipe.pretrain_lr)
    chosen = torch.randperm(len(data.windows), generator=torch.Generator().manual_seed(0))
    events = data.table.events(data.windows[chosen[: recipe.pretrain_batch]])
    masked = mask_behaviours(events.there, case.config.mask_ratio, torch.Generator().manual_seed(0))

    def bare(moved: Callable[[], object]) -> None:
        for _ in range(steps):
            encoder.zero_grad()
            pretrain_loss(encoder, events, masked).backward()
            moved()

    calls = {
        "pretraining": lambda: pretrain(data, case.config, 0, recipe),
        "bare network": lambda: bare(lambda: None),
        "bare network + AdamW": lambda: bare(optimizer.step),
    }
    return measure(calls, repeats=repeats, units=dict.fromkeys(calls, steps))


def filling(case: Case, *, repeats: int = 3, batch: int = 512) -> dict[str, Timing]:
    """Seconds a row: the datastore made from nothing on disk, and the bare encoder.

    The bare encoder reads one fixed batch of futures again and again, for as many windows.
    """
    future = case.plain.future
    drawn = torch.randperm(len(future), generator=torch.Generator().manual_seed(0))[:batch]
    events = case.data.table.events(future[drawn])
    times = -(-2 * len(future) // len(drawn))

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(times):
                case.encoder.represent(events)

    def build() -> None:
        with TemporaryDirectory() as folder:
            case.store(Path(folder))

    units = {"datastore": len(future), "bare network": times * len(drawn) / 2}
    return measure({"datastore": build, "bare network": bare}, repeats=repeats, units=units)


# --- the benchmark ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """How much is measured.

    users : of the worlds, whose retrieval sets grow with them; the last is also where K is varied, the
    first where L is. batches, repeats : as in :func:`prediction`.
    """

    preset: str
    users: Sequence[int]
    ks: Sequence[int]
    lengths: Sequence[int]
    batches: int = 12
    repeats: int = 7


SIZES = {
    "tiny": Size("tiny", (15,), (3,), (5,), batches=1, repeats=1),
    "quick": Size("small", (100, 300), (5, 20, 40), (10, 40, 80)),
    "full": Size("small", (100, 300, 1_000, 3_000), (5, 20, 40, 80), (10, 40, 80)),
}


def measurements(size: str) -> Iterator[Measurement]:
    """The rows of ``workbench bench lift``; ``size`` is one of SIZES."""
    with _cases(size) as (how, logs, case):
        yield from _filled([*(case(log=log) for log in logs), case(REMEDIED)], how)
        yield from _beside_peers(case, how)
        for knob, setting, timing in _growing(case, logs, how):
            peer = "BERT4Rec" if knob == "L" else "RIM"
            what = "search and predict" if knob == "R" else "predict"
            for own in timing.keys() - {peer}:
                label = "" if own == "LIFT" else f", {own}"
                yield _row(f"{what}{label}, {knob}={setting:,}", timing[own], peer, timing[peer])
        yield from _pretrained(case(), how)


def growth(size: str) -> pd.DataFrame:
    """Seconds a batch as K, L and the retrieval set grow: columns knob, setting, system, seconds."""
    with _cases(size) as (how, logs, case):
        return grown(_growing(case, logs, how))


@contextmanager
def _cases(size: str) -> Iterator[tuple[Size, Sequence[Interactions], Callable[..., Case]]]:
    """Worlds of growing size, what makes a case of one, and one thread meanwhile."""
    how, threads = SIZES[size], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with TemporaryDirectory() as folder:
            logs = [make_world(how.preset, users=users).interactions for users in how.users]

            def case(config: LIFTConfig = LITERAL, log: Interactions = logs[-1], **changes: object) -> Case:
                return Case.of(log, None, replace(config, **changes), Path(folder))

            yield how, logs, case
    finally:
        torch.set_num_threads(threads)


def _filled(cases: Sequence[Case], how: Size) -> Iterator[Measurement]:
    """Datastores of several sizes."""
    for made_of in cases:
        timing = filling(made_of, repeats=min(3, how.repeats))
        own, store = timing["datastore"], made_of.store()
        name = f"{_kind(made_of)}datastore, R={len(store):,}"
        note = f"{1 / own.median_s:,.0f} rows/s, {store.nbytes / 1e6:.1f} MB on disk"
        yield Measurement.of("lift", name, own, "bare network", timing["bare network"], note)


def _beside_peers(case: Callable[..., Case], how: Size) -> Iterator[Measurement]:
    """A batch of both LIFTs beside all peers at equal K, and at the K's of LIFT's Figure 5."""
    for config in (LITERAL, REMEDIED):
        equal = case(config)
        check_same_answers(equal)
        timing = _timed(equal.predictors, equal, how)
        for own, label in (("LIFT", ""), ("h_t online", ", h_t online")):
            for peer in PEERS:
                yield _row(f"{_kind(equal)}predict{label}", timing[own], peer, timing[peer])
        wide = case(config, **SAME_SIZES)
        timing = _timed({name: wide.predictors[name] for name in ("LIFT", "RIM")}, wide, how)
        yield _row(f"{_kind(wide)}predict, same sizes", timing["LIFT"], "RIM", timing["RIM"])
        ours, theirs = case(config, k=LIFTS_K), case(config, k=RIMS_K)
        timing = _timed({"LIFT": ours.predictors["LIFT"], "RIM": theirs.predictors["RIM"]}, ours, how)
        yield _row(f"{_kind(ours)}predict, K={LIFTS_K}", timing["LIFT"], f"RIM, K={RIMS_K}", timing["RIM"])


def _growing(
    case: Callable[..., Case], logs: Sequence[Interactions], how: Size
) -> Iterator[tuple[str, int, dict[str, Timing]]]:
    """A batch with other K, L and R, each beside a peer that grows with it."""
    for k in how.ks:
        grown = case(k=k)
        yield "K", k, _timed({name: grown.predictors[name] for name in ("LIFT", "RIM")}, grown, how)
    for length in how.lengths:
        grown = case(log=logs[0], length=length)
        systems = {name: grown.predictors[name] for name in ("LIFT", "h_t online", "BERT4Rec")}
        yield "L", length, _timed(systems, grown, how)
    for log in logs:
        grown = case(log=log)
        yield "R", len(grown.plain.past), _timed(grown.searchers, grown, how)


def _pretrained(case: Case, how: Size) -> Iterator[Measurement]:
    timing = pretraining(case, repeats=how.repeats)
    for peer in ("bare network", "bare network + AdamW"):
        yield Measurement.of("lift", "pretraining step", timing["pretraining"], peer, timing[peer])


def _kind(case: Case) -> str:
    return "remedied " if case.config.match else ""


def _timed(systems: Mapping[str, Predict], case: Case, how: Size) -> dict[str, Timing]:
    return prediction(systems, len(case.plain), batches=how.batches, repeats=how.repeats)


def _row(case: str, own: Timing, peer: str, theirs: Timing) -> Measurement:
    note = f"{BATCH / own.median_s:,.0f} against {BATCH / theirs.median_s:,.0f} targets/s"
    return Measurement.of("lift", case, own, peer, theirs, note)
