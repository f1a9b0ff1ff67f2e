"""Impressions with all that was clicked before: what click models with a long history train on.

LCN, Sections 3 and 5.1.1: impressions of the target domain; for each one the latest clicks of its user in
both domains, and a lifelong sequence of clicks in the source domain, all at earlier seconds. Where a log has
one domain (LCN, Table 4; ENCODE), the short and the long sequence are both of it.

    data = LongData.of(load("world:two_domain"), short=50, long=2000)
    sample, label = data.batch(torch.arange(256)), data.label[:256]

Departure: the last part of the log is cut by time as in the paper; what lies before it is cut once more, for
validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from workbench.data.interactions import Interactions
from workbench.data.negatives import draw_negatives
from workbench.data.splits import global_time_split
from workbench.errors import ConfigError, DataError, whole
from workbench.lab.ranking import Clicks, own_clicks
from workbench.methods.long_history import Behaviours, LongSample, Sizes

PROFILE = (  # fields that describe a user, where known
    "age_band", "gender", "city", "age", "occupation", "cms_segid", "cms_group_id", "final_gender_code",
    "age_level", "pvalue_level", "shopping_level", "new_user_class_level",
)  # fmt: skip
NOT_OF_ITEMS = (*PROFILE, "user", "item", "domain", "pid")  # pid: where an ad was shown
PARTS = ("train", "validation", "test")
KINDS = ("category", "genre")  # fields that tell an item's kind, where known
GAPS = 24  # codes of how long ago an event was: powers of two of a minute


@dataclass(frozen=True, eq=False)
class Domain:
    """Clicks as tensors, grouped by user, oldest first, and which of them each impression may know.

    item : (n,) codes; fields : (n, C) codes of what else is known of each; time : (n,) seconds;
    start, stop : (m,) of each impression.
    """

    item: Tensor
    fields: Tensor
    time: Tensor
    start: Tensor
    stop: Tensor

    def window(self, index: Tensor, length: int, now: Tensor) -> Behaviours:
        """The last ``length`` clicks before some impressions (B,), cut to the longest: (B, L), L from 1."""
        start = self.start[index].maximum(self.stop[index] - length)
        count = self.stop[index] - start
        place = torch.arange(max(int(count.max()) if len(count) else 0, 1), device=count.device)
        there = place < count[:, None]
        at = torch.where(there, start[:, None] + place, 0)
        gap = torch.where(there, gap_code(now[:, None] - self.time[at]), 0)
        context = torch.cat([self.fields[at] * there.unsqueeze(-1), gap.unsqueeze(-1)], -1)
        return Behaviours(self.item[at] * there, context)

    def refreshed(self, every: int) -> Domain:
        """The same, known as it was when its user last had a multiple of so many clicks."""
        return replace(self, stop=self.start + (self.stop - self.start) // every * every)

    def to(self, device: torch.device) -> Domain:
        """The same on a device."""
        return Domain(*(getattr(self, field.name).to(device) for field in fields(self)))


def spread(part: Tensor, count: int) -> Tensor:
    """So many of some impressions (n,), or all if there are fewer, evenly from the first to the last."""
    return part[torch.linspace(0, len(part) - 1, min(count, len(part)), device=part.device).long()]


def gap_code(seconds: Tensor) -> Tensor:
    """How long ago: 1 for less than a minute, then one more for each doubling, up to GAPS - 1."""
    return 1 + (1 + seconds.clamp(min=0) / 60).log2().long().clamp(max=GAPS - 2)


@dataclass(frozen=True, eq=False)
class LongData:
    """m impressions of the target domain and the clicks before them.

    log : where they come from; rows : (m,) int64 rows of the log that impressions are or, where their item
    was drawn as a negative, whose time and user they have; label : (m,) 0 or 1; parts : name -> (n,) indices
    of impressions; sizes : of the embedding tables; fields : (V, F) codes of every item's fields, the item
    first, then its kind where one is known.
    """

    log: Interactions
    rows: np.ndarray
    user: Tensor
    profile: Tensor
    target: Tensor
    time: Tensor
    label: Tensor
    parts: dict[str, Tensor]
    short: Domain
    long: Domain
    lengths: tuple[int, int]
    sizes: Sizes
    domains: int
    fields: Tensor

    @classmethod
    def of(
        cls,
        log: Interactions,
        *,
        short: int = 50,
        long: int = 2000,
        shares: Sequence[float] = (0.75, 0.05, 0.2),
        refresh: int = 1,
        negatives: int = 0,
        seed: int = 0,
    ) -> LongData:
        """Impressions of a log, of its domain ``target`` where it has several.

        short, long : N and L, events at most; shares : of train, validation and test, by time; refresh : the
        long sequence is brought up to date after so many clicks of its user, and what is newer is in the
        short one alone (an offline stage does not run for every click; 1: it always is); negatives :
        drawn for each click of a log that has clicks only, of items that its user has no row with (to train
        on, no row in the training part).

        Raises ConfigError for lengths below 1, DataError for a log without a clock, one whose domains are
        not ``target`` and ``source``, and one of clicks only when no negatives are asked for.
        """
        for name, length in (("short", short), ("long", long), ("refresh", refresh)):
            whole(name, length)
        mine, theirs = sides(log)
        own = np.flatnonzero(mine)
        split = global_time_split(log.rows(own), (0.0, *shares))
        own_parts = {part: own[getattr(split, part)] for part in PARTS}
        rows, item, label = _impressions(log, own_parts, negatives, seed)
        last = [own[getattr(split, part).stop - 1] for part in ("train", "validation")]
        part = np.searchsorted(np.array(last), rows, side="left")
        parts = {name: torch.from_numpy(np.flatnonzero(part == i)) for i, name in enumerate(PARTS)}
        fields = {
            "profile": tuple(f for f in log.fields if f in PROFILE),
            "target": tuple(
                sorted((f for f in log.fields if f not in NOT_OF_ITEMS), key=lambda f: f not in KINDS)
            ),
            "context": tuple(f for f in log.fields if f in KINDS),
        }
        size = {name: tuple(log.size(f) for f in some) for name, some in fields.items()}
        side, context = (_of_items(log, fields[name]) for name in ("target", "context"))
        time = log.timestamp[rows]
        clicked = {"short": own_clicks(log, among=mine), "long": own_clicks(log, among=theirs)}
        domains = {
            name: _domain(log, some, context, log.user[rows].astype(np.int64), time)
            for name, some in clicked.items()
        }
        domains["long"] = domains["long"].refreshed(refresh)
        known = np.concatenate([np.arange(len(side))[:, None], side], 1)
        return cls(
            log, rows, _long(log.user[rows]), _long(log.codes(("user", *fields["profile"]))[rows, 1:]),
            _long(known[item]), _long(time), _long(label), parts,
            domains["short"], domains["long"], (short, long),
            Sizes(log.size("item"), size["profile"], size["target"], (*size["context"], GAPS)),
            2 if "domain" in log.fields else 1,
            _long(known),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> LongData:
        """The same on a device, where its batches are made."""
        moved = ("user", "profile", "target", "time", "label", "short", "long", "fields")
        return replace(
            self,
            parts={name: part.to(device) for name, part in self.parts.items()},
            **{name: getattr(self, name).to(device) for name in moved},
        )

    def batch(self, index: Tensor, together: bool = False) -> LongSample:
        """What may be known of some impressions (B,); together : each long sequence once, and ``row``."""
        now, (short, long) = self.time[index], self.lengths
        one, row = index, None
        if together:
            kinds, row = self.kind[index].unique(return_inverse=True)
            one = torch.zeros_like(kinds).scatter(0, row, index)
        return LongSample(
            self.user[index],
            self.profile[index],
            self.target[index],
            self.short.window(index, short, now),
            self.long.window(index, short, now) if self.domains == 2 else None,
            self.long.window(one, long, self.time[one]),
            row,
        )

    @cached_property
    def kind(self) -> Tensor:
        """(m,) whole numbers from 0, the same for impressions with the same long sequence."""
        span = len(self.long.item) + 1
        return torch.unique(self.long.start * span + self.long.stop, return_inverse=True)[1]

    @property
    def events(self) -> Tensor:
        """(m,) events in the long sequence of each impression."""
        return (self.long.stop - self.long.start).clamp(max=self.lengths[1])


def sides(log: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Which rows belong to the target and which to the source domain, (n,) bool each."""
    if "domain" not in log.fields:
        every = np.ones(len(log), bool)
        return every, every
    words = log.vocabularies["domain"].tolist()
    if not {"target", "source"} <= set(words):
        raise DataError(f"domains are target and source, not {words[1:]}", file=log.name, column="domain")
    return tuple(log.columns["domain"] == words.index(name) for name in ("target", "source"))


def _impressions(
    log: Interactions, parts: Mapping[str, np.ndarray], negatives: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, items and labels of the impressions, in the order of the log.

    parts : name -> rows of the target domain. What a user clicks after the training part must be drawn as a
    training negative like the rest, so those are drawn from what that part knows.
    """
    rows = np.concatenate(list(parts.values()))
    label = log.label[rows]
    if label.min() == 0:
        if negatives:
            raise ConfigError(f"{log.name} tells what was not clicked: no negatives are drawn")
        return rows, log.item[rows].astype(np.int64), label
    if negatives < 1:
        raise DataError(
            f"every row of {log.name} is a click", column="label", fix="Ask for negatives, for instance 4"
        )
    everything, known = log.rows(rows), {"train": log.rows(parts["train"])}
    drawn = [
        draw_negatives(
            known.get(part, everything), log.user[own], purpose=part, count=negatives, seed=seed
        )
        for part, own in parts.items()
        if len(own)
    ]  # fmt: skip
    item = np.concatenate([log.item[rows][:, None], np.concatenate(drawn)], 1)
    label = np.zeros_like(item)
    label[:, 0] = 1
    return np.repeat(rows, 1 + negatives), item.ravel().astype(np.int64), label.ravel()


def _of_items(log: Interactions, fields: Sequence[str]) -> np.ndarray:
    """(V, F) codes of every item's fields, as in its last row; 0 of items without a row."""
    side = np.zeros((log.size("item"), len(fields)), np.int64)
    side[log.item] = log.codes(("item", *fields))[:, 1:]
    return side


def _domain(
    log: Interactions, clicked: Clicks, side: np.ndarray, user: np.ndarray, time: np.ndarray
) -> Domain:
    start, stop = clicked.before(user, time)
    rows = clicked.ordered
    item = log.item[rows]
    parts = (item, side[item], log.timestamp[rows], start, stop)
    return Domain(*map(_long, parts))


def _long(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))
