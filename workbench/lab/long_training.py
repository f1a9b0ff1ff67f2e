"""Training a click model with a long history; LCN and ENCODE differ in the loss alone.

``data`` is a :class:`workbench.lab.long_samples.LongData` throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from workbench.lab.long_measures import clicks
from workbench.lab.long_samples import LongData
from workbench.lab.training import Fit, asking, fit
from workbench.methods import encode
from workbench.methods.encode import Encode, Reduction
from workbench.methods.long_history import LongHistory, LongSample

STRATA = 4  # lengths of sequences that are told apart to make batches


def train(
    model: LongHistory,
    data: LongData,
    config: Mapping[str, object],
    seed: int,
    loss: Callable[[LongHistory, LongSample, Tensor], Tensor],
    batch: Callable[[Tensor], LongSample] | None = None,
    together: bool = False,
    **how: object,
) -> Fit:
    """AdamW on a loss (model, sample, labels), until the validation AUC no longer grows.

    config : epochs, patience, batch, lr, weight_decay; batch : indices of impressions -> a sample, default
    ``data.batch``; together : whether candidates that share a long sequence come in one batch, as they are
    shown together; ``how`` goes to ``fit``. Embeddings alone decay: attention that decays prefers nobody. A
    batch holds sequences of roughly the same length and many users, of whom the negatives of CRP are drawn;
    sorted by length it would hold few. Model and data are on the same device.
    """
    part, batch = data.parts["train"], batch or data.batch
    items, tables = [model.life.item], [model.life.context.table, model.fields.table]
    reductions = [module.weight for module in model.modules() if isinstance(module, Reduction)]
    apart = {id(p) for p in (*items, *tables, *reductions)}
    others = [p for p in model.parameters() if id(p) not in apart and p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": items, "lr": config["lr"] * config.get("items_lr", 1.0)}, {"params": tables},
         {"params": others, "weight_decay": 0.0},
         {"params": [p for p in reductions if p.requires_grad], "weight_decay": 0.0,
          "lr": config["lr"] * config.get("projection_lr", 1.0)}], lr=config["lr"],
        weight_decay=config["weight_decay"], fused=True,
    )  # fmt: skip

    def on(model: nn.Module, index: Tensor) -> Tensor:
        index = part[index]
        return loss(model, batch(index), data.label[index])

    def score(model: nn.Module) -> float:
        return clicks(model, data, data.parts["validation"])["AUC"]

    strata = data.events[part].cpu() * STRATA // data.lengths[1]
    kind = data.kind[part].cpu()

    def shared(epoch: int) -> Tensor:
        """By stratum, and within it sequence by sequence, in an order of this epoch's own."""
        return strata * (int(kind.max()) + 1) + torch.randperm(int(kind.max()) + 1)[kind]

    return fit(
        model, on, len(part), seed=seed, score=score, optimizer=optimizer,
        alike=shared if together else strata,
        **{name: config[name] for name in ("epochs", "patience", "batch")}, **how,
    )  # fmt: skip


class OfflineStage:
    """The clusters of the long sequences trained on, found again every so many batches: ENCODE's offline
    stage while it is trained (ambiguity E10).

    An impression's sequence is that of many others, so clusters are found once for all of them, and batches
    bring them along, each sequence once. h, centres, weights and interests are those of the present
    embeddings at every step.
    """

    def __init__(self, model: LongHistory, data: LongData, every: int) -> None:
        self.model, self.data, self.every, self.batches = model, data, every, 0
        part = data.parts["train"]
        self.kinds, row = data.kind[part].unique(return_inverse=True)  # the sequences trained on
        self.one = torch.zeros_like(self.kinds).scatter(0, row, part)  # an impression of each
        length = max(int(data.events[part].max()), 1)
        self.label = torch.full((len(self.kinds), length), -1, dtype=torch.int16, device=part.device)

    def batch(self, index: Tensor) -> LongSample:
        """As :meth:`LongData.batch`, each sequence once and with its clusters."""
        if self.batches % self.every == 0:
            self.run()
        self.batches += 1
        sample = self.data.batch(index, together=True)
        which = torch.searchsorted(self.kinds, self.data.kind[index].unique())
        label = self.label[which, : sample.long.item.shape[1]].long()
        return sample._replace(long=sample.long._replace(cluster=label))

    def run(self) -> None:
        """Cluster every sequence by the present embeddings."""
        life, look = self.model.life, self.model.interest
        with asking(self.model):
            for some in self.data.events[self.one].argsort().split(256):
                long = self.data.batch(self.one[some]).long
                self.label[some, : long.item.shape[1]] = look.clustered(life, long).to(torch.int16)


def train_encode(
    model: LongHistory, data: LongData, config: Mapping[str, object], seed: int, **how: object
) -> Fit:
    """ENCODE or a system it is compared with; config["every"] : batches between runs of the offline stage."""
    batch = partial(data.batch, together=model.interest.shares)
    if isinstance(model.interest, Encode):
        batch = OfflineStage(model, data, config["every"]).batch
    return train(model, data, config, seed, encode.training_loss, batch, together=True, **how)
