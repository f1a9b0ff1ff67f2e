"""The systems of LIFT's Table 2, trained as its trials ask: the same data, the same targets, one loop.

RIM retrieves and learns from the train part; the others learn from the retrieval and the train part together,
from the latest ``rows`` rows of them. Where own histories are frozen (ambiguity L14), those of the validation
and test part are; rows to learn from begin with the log, and keep all that was strictly before each.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from workbench.baselines.ctr import CTR
from workbench.baselines.tabular import GBDT
from workbench.lab.lift import made
from workbench.lab.lift_data import LIFTData
from workbench.lab.samples import Samples, targets_only
from workbench.lab.training import Fit, click_loss, click_score, fit, predict


def baseline(
    data: LIFTData, config: Mapping[str, object], seed: int
) -> tuple[np.ndarray, Samples, Fit | None]:
    """Train the model that ``config["model"]`` names, a key of CTR or "GBDT", and try it on the test targets.

    config : of a trial of :mod:`workbench.lab.lift_trials`. Returns (n,) click probabilities, the n targets,
    and how the training went (None for GBDT).
    """
    parts = data.samples
    if config["model"] != "RIM":
        latest = np.arange(0, data.split.train.stop)[-(config["rows"] or 0) :]
        parts = {"train": _own(data, latest, config)} | {
            part: _own(data, parts[part].rows.cpu().numpy(), config, getattr(data.split, part).start)
            for part in ("validation", "test")
        }
    if config["model"] == "GBDT":
        return _boosted(data, parts), parts["test"], None
    options = {"length": config["length"]} if config["model"] == "BERT4Rec" else {}
    model = made(lambda: CTR[config["model"]](data.table.sizes, **options), seed).to(data.table.device)
    fitted = fit(
        model, _click_loss(model, parts["train"]), len(parts["train"]), seed=seed,
        **{name: config[name] for name in ("epochs", "batch", "lr", "weight_decay", "patience")},
        score=click_score(parts["validation"]),
    )  # fmt: skip
    return predict(model, parts["test"]), parts["test"], fitted


def _own(data: LIFTData, rows: np.ndarray, config: Mapping[str, object], begin: int | None = None) -> Samples:
    """Targets with their own history alone, and what the model's search finds in it.

    begin : row of the log where histories end if the trial freezes them (ambiguity L14).
    """
    search = "bm25" if config["model"] == "UBR" else "category"
    found = config["length"] if config["model"] in ("SIM", "UBR") else None
    counted = data.split.retrieval.stop
    return targets_only(
        data.log, rows, config["length"], found=found, search=search, counted=counted, table=data.table,
        until=begin if config.get("freeze") else None,
    )  # fmt: skip


def _click_loss(model: nn.Module, samples: Samples):
    """Cross-entropy, and what DIEN and BERT4Rec train on beside it."""
    plain = click_loss(samples)
    if not hasattr(model, "auxiliary_loss"):
        return plain

    def loss(model: nn.Module, index: torch.Tensor) -> torch.Tensor:
        return plain(model, index) + model.auxiliary_loss(samples.batch(index, model.needs))

    return loss


def _boosted(data: LIFTData, parts: Mapping[str, Samples]) -> np.ndarray:
    codes, label, time = data.table.codes.cpu().numpy(), data.log.label, data.log.timestamp

    def rows(part: str) -> np.ndarray:
        return parts[part].rows.cpu().numpy()

    told = {
        part: (codes[rows(part)], label[rows(part)], time[rows(part)]) for part in ("train", "validation")
    }
    model = GBDT(data.table.sizes).fit(*told["train"], validation=told["validation"])
    return 1 / (1 + np.exp(-model.logits(codes[rows("test")], time[rows("test")])))
