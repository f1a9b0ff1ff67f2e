"""What is measured of a model with a long history: its clicks, and what the levels of its look do.

Levels are asked about test impressions, evenly spread over time. ``data`` is a
:class:`workbench.lab.long_samples.LongData` throughout.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.lab.long_samples import LongData, spread
from workbench.lab.metrics import auc, gauc, log_loss
from workbench.lab.training import asking
from workbench.methods.long_history import Level, LongHistory, LongSample, consistency

SMOOTHINGS = (0.001, 0.1)  # of the Relevance Indicator, beside its default
ASKED = 1000  # test impressions that levels are asked about


def clicks(model: LongHistory, data: LongData, part: Tensor) -> dict[str, float]:
    """AUC, GAUC (by user, LCN Section 5.1.3) and LogLoss of some impressions (n,)."""
    order = part[data.kind[part].argsort(stable=True)]  # who shares a sequence next to each other
    order = order[data.events[order].argsort(stable=True)]
    together = model.interest.shares
    with asking(model):
        logits = torch.cat([model(data.batch(index, together)).double() for index in order.split(1024)])
    label, p, user = (x.cpu().numpy() for x in (data.label[order], logits.sigmoid(), data.user[order]))
    return {"AUC": auc(label, p), "GAUC": gauc(label, p, user).value, "LogLoss": log_loss(label, p)}


def met_before(data: LongData) -> Tensor:
    """(n,) the test impressions whose candidate was clicked in the training part.

    Where any other item lies no model could learn.
    """
    train, test = data.parts["train"], data.parts["test"]
    clicked = data.target[train, 0][data.label[train] == 1]
    return test[torch.isin(data.target[test, 0], clicked)]


def sharpness_of(model: LongHistory, data: LongData) -> dict[str, float]:
    """Of each level: the largest weight as a multiple of the mean, both without their sign; 1 where attention
    prefers nobody. Mean over heads and test impressions with more than one event.
    """
    found: dict[str, list[Tensor]] = {}
    for sample in _asked(data, 1):
        with asking(model):
            levels = model(sample, return_levels=True)[1]
        for level in levels:
            weights = (level.weights if level.weights.dim() == 3 else level.weights.unsqueeze(1)).abs()
            mean = weights.sum(-1) / (weights > 0).sum(-1).clamp(min=1)
            most = weights.amax(-1) / mean.clamp(min=1e-12)
            found.setdefault(level.name, []).append(most.mean(1))
    return {f"sharpness {name}": float(torch.cat(values).mean()) for name, values in found.items()}


def alike_of(model: LongHistory, data: LongData, kinds: np.ndarray) -> dict[str, float]:
    """Of each level: the share of its events that are of the candidate's kind, and "alike all" of all events.

    kinds : (V,) of items, -1 where unknown. Mean over test impressions with more than one event whose
    candidate has a kind; nothing where there is none.
    """
    kind, found = torch.from_numpy(np.asarray(kinds)).to(data.label.device), {}
    for sample in _asked(data, 1):
        known = kind[sample.target[:, 0]] >= 0
        same = (kind[sample.long.item] == kind[sample.target[:, :1]]) & sample.long.there
        with asking(model):
            levels = model(sample, return_levels=True)[1]
        whole = torch.arange(same.shape[1], device=same.device).expand_as(same)
        for name, place in [("all", whole), *((level.name, level.place) for level in levels)]:
            there = sample.long.there.gather(1, place)
            share = same.gather(1, place).sum(1) / there.sum(1).clamp(min=1)
            found.setdefault(name, []).append(share[known])
    shares = {name: torch.cat(values) for name, values in found.items()}
    return {f"alike {name}": float(share.mean()) for name, share in shares.items() if len(share)}


def consistency_of(model: LongHistory, data: LongData, top: int) -> float:
    """LCN, Section 5.2.2, over test impressions with more than ``top`` events; NaN if there is none."""
    found = []
    for sample in _asked(data, top):
        with asking(model):
            query = model.life.items(sample.target[:, 0])
            look = model.interest
            scores = (f(model.life, query, sample.long) for f in (look.searched, look.exact))
            found.append(consistency(*scores, top))
    return float(torch.cat(found).mean()) if found else np.nan


def attention_on_kind(model: LongHistory, data: LongData, kinds: np.ndarray) -> dict[str, float]:
    """How much of a look's attention goes to events of the candidate's kind, and what share of all events
    they are: mean over test impressions with more than one event whose candidate has a kind.

    kinds : (V,) of items, -1 where unknown. Nothing where a look gives weights to no event.
    """
    kind, found = torch.from_numpy(np.asarray(kinds)).to(data.label.device), []
    for sample in _asked(data, 1):
        with asking(model):
            levels = model(sample, return_levels=True)[1]
        if not levels:
            return {}
        same = (kind[sample.long.item] == kind[sample.target[:, :1]]) & sample.long.there
        given = attention_of(levels, same.shape[1])
        of_all = same.sum(1) / sample.long.there.sum(1)
        known = kind[sample.target[:, 0]] >= 0
        found.append(torch.stack([(given * same).sum(1), of_all])[:, known])
    if not found or not torch.cat(found, 1).shape[1]:
        return {}
    attention, share = torch.cat(found, 1).mean(1).tolist()
    return {"on kind": attention, "kind's share": share}


def _asked(data: LongData, events: int) -> Iterator[LongSample]:
    """Batches of test impressions with more than so many events."""
    part = data.parts["test"]
    part = part[data.events[part] > events]
    if len(part):
        yield from map(data.batch, spread(part, ASKED).split(250))


def attention_of(levels: Sequence[Level], length: int) -> Tensor:
    """(B, L) how much of a look goes to each event, adding up to 1: the last level's, mean over heads.

    Zero everywhere for a row of which nothing was found.
    """
    level = levels[-1]
    weights = level.weights.mean(1) if level.weights.dim() == 3 else level.weights
    found = weights.new_zeros(len(weights), length).scatter_add(1, level.place.expand_as(weights), weights)
    return found / found.sum(1, keepdim=True).clamp(min=1e-12)


def relevance_indicator(reference: Tensor, weights: Tensor, there: Tensor, smoothing: float = 0.01) -> Tensor:
    """ENCODE, Eq. text-2 (Section 4.6.1): the cross-entropy of a look's weights under those of DIN-L, (B,).

    Both (B, L), adding up to 1 over the events that are there. A look that gives an event no weight at all
    would have an infinite one, so a hundredth of its weight is spread over all events (ambiguity E13).
    A look that found nothing says nothing of any event: its weights count as uniform. Uniform weights have
    ln L; less the reference's own entropy it is the Kullback-Leibler divergence.
    """
    uniform = there / there.sum(1, keepdim=True).clamp(min=1)
    found = weights.sum(1, keepdim=True) > 0
    smooth = torch.where(found, (1 - smoothing) * weights + smoothing * uniform, uniform)
    return -(reference * torch.where(there, smooth, 1).log()).sum(1)


def relevance_of(model: LongHistory, reference: LongHistory, data: LongData) -> dict[str, float]:
    """RI, the KL that belongs to it, RI of uniform weights, and RI with other smoothings, of test impressions
    with more than one event.

    Nothing where a look gives weights to no event (DIN, MIMN).
    """
    found: dict[str, list[Tensor]] = defaultdict(list)
    for sample in _asked(data, 1):
        with asking(model), asking(reference):
            levels = model(sample, return_levels=True)[1]
            if not levels:
                return {}
            there, length = sample.long.there, sample.long.item.shape[1]
            wanted = attention_of(reference(sample, return_levels=True)[1], length)
            given = attention_of(levels, length)
        found["RI"].append(relevance_indicator(wanted, given, there))
        entropy = -torch.special.xlogy(wanted, wanted).sum(1)
        found["KL"].append(found["RI"][-1] - entropy)
        found["RI uniform"].append(there.sum(1).log())
        for smoothing in SMOOTHINGS:
            found[f"RI {smoothing:g}"].append(relevance_indicator(wanted, given, there, smoothing))
    return {name: float(torch.cat(values).mean()) for name, values in found.items()}
