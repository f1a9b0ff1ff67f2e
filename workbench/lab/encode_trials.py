"""ENCODE's tables and figures as trials: clicks, with one look at the long history or another.

``workbench measure encode_table2 --seeds 0-4`` runs what is missing.

Beside AUC, GAUC and LogLoss every trial measures what its look does: the Relevance Indicator against a DIN-L
of the same data and seed (Section 4.6.1), and how much of its attention goes to events of the candidate's
kind. Where there is a search by vectors: the share it finds of the events that target attention would rank
highest. Where there is a reduction: how well it keeps the order of distances. Where there are
clusters: how well they agree with the kinds of the items. An item's kind is its topic in the world, else its
category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from workbench.baselines.whole_history import LOOKS
from workbench.data.world_config import configure
from workbench.errors import unknown
from workbench.lab import long_trials
from workbench.lab.clusters import agreement, order_kept
from workbench.lab.experiments import variants_of
from workbench.lab.item_vectors import co_clicked
from workbench.lab.lift import made
from workbench.lab.long_measures import attention_on_kind, clicks, consistency_of, relevance_of
from workbench.lab.long_samples import LongData, spread
from workbench.lab.long_training import train_encode
from workbench.lab.long_trials import log_of, of_seeds, taken, where_known, without_knobs
from workbench.lab.store import Metrics, Trial
from workbench.lab.training import Fit
from workbench.methods.clustering import ClusterConfig
from workbench.methods.encode import Encode, EncodeConfig
from workbench.methods.long_history import Interest, Life, LongHistory

SEARCHING = ("ETA", "ETA-ENCODE", "TWIN")  # search by vectors, so what they miss can be counted
PEERS = ("DIN", "AvgPooling", "DIN-L", "SIM hard", "UBR4CTR", "ETA", "TWIN", "SDIM")
ALGORITHMS = {"Random": "random", "Dy. Routing": "routing", "AGG.": "agglomerative", "KMeans": "kmeans"}
SELDOM = {name: {"every": 100} for name in ("Dy. Routing", "AGG.")}  # they take too long to be run more often
LOSSES = {
    "None": "none", "MSE": "mse", "N-Pair-MC": "n-pair", "Triplets-Fixed": "fixed",
    "Triplets-Dynamic": "dynamic",
}  # fmt: skip
EXPERIMENTS: dict[str, dict[str, dict[str, object]]] = {
    "encode_table2": {**{name: {"look": name} for name in PEERS}, "ENCODE": {}},
    "encode_table3": {
        **{name: {"look": name} for name in PEERS if name != "AvgPooling"},
        # scaled dot products are as far apart as vectors are long: these are long enough to prefer somebody
        "ENCODE-": {"metric": "dot", "std": 1.0},
        "ENCODE": {},
    },
    "encode_table4": {
        **{name: {"look": name} for name in ("DIN", "ETA", "ETA-ENCODE")},
        "ETA-TA": {"look": "TWIN"},  # search by target attention's own scores: in this network it is TWIN
    },
    "encode_table5": {
        "DIN": {"look": "DIN"},
        "Within Neighbors": {"sampling": "neighbours"},
        "Within Sequence": {},
        "Within Batch": {"sampling": "batch"},
    },
    "encode_table6": {
        **{name: {"look": name} for name in ("DIN", "AvgPooling", "DIN-L")},
        **{name: {"loss": loss} for name, loss in LOSSES.items()},
    },
    "encode_table7": {
        "DIN": {"look": "DIN"},
        **{name: {"algorithm": algorithm, **SELDOM.get(name, {})} for name, algorithm in ALGORITHMS.items()},
    },
    "encode_fig3a": {f"K {k}": {"clusters": k} for k in (10, 20, 30, 40, 50)},
    "encode_fig3b": {f"m {m}": {"reduced": m} for m in (2, 4, 6, 8, 10, 12, 14, 16)},
    "encode_beta": {
        f"{look} beta {beta:g}": {"look": look, "beta": beta}
        for look in ("DIN-L", "TWIN", "ENCODE")
        for beta in (0.05, 2.5, 5.0, 10.0, 20.0)
    },
    # what seeds 10 and 11 are asked on validation, for TUNED
    "encode_tuning": {
        **{
            f"{look} beta {beta:g}": {"look": look, "beta": beta}
            for look in ("DIN-L", "SIM hard", "UBR4CTR", "ETA", "TWIN")
            for beta in (1.0, 2.5, 5.0, 10.0)
        },
        **{
            f"ENCODE beta {beta:g} m {m}": {"beta": beta, "reduced": m}
            for beta in (5.0, 10.0, 20.0)
            for m in (4, 8, 12)
        },
    },
    "encode_life": {
        **{name: {"look": name} for name in ("DIN", "DIN-L", "TWIN")},
        "ENCODE": {},
    },
    # MIMN reads one event after the other: shorter lives and fewer rows, for all three
    "encode_memory": {
        name: {"look": name, "long": 200, "rows": 16_000} for name in ("MIMN", "DIN", "ENCODE")
    },
    "encode_readings": {
        "ENCODE": {},
        "DIN-L": {"look": "DIN-L"},
        "DIN-L dot product": {"look": "DIN-L", "metric": "dot", "std": 1.0},
        "TWIN k = K": {"look": "TWIN", "k": 30},
        "ETA k = K": {"look": "ETA", "k": 30},
        "K 1": {"clusters": 1},
        "K 100": {"clusters": 100},
    },
}
SHOWN = ("AUC", "GAUC", "LogLoss", "RI")
NETWORK = {
    "look": "ENCODE",
    "k": 50,
    "width": 32,
    "hidden": [64, 32],
    "dropout": 0.2,
    "std": 0.3,
    "start": "co-clicks",
}
# every : batches between runs of the offline stage in training; projection_lr : multiple of lr for W_h
TRAINING = {
    "epochs": 8,
    "patience": 2,
    "batch": 512,
    "lr": 2e-3,
    "weight_decay": 0.1,
    "every": 25,
    "items_lr": 0.1,
    "projection_lr": 5.0,
}
# rows, asked : impressions to train on, and of validation and test together, at most
TASK = {"short": 50, "long": 1000, "refresh": 16, "rows": 10**9, "asked": 10**9}
SETTINGS: dict[str, dict[str, object]] = {
    "world:lifelong": {"rows": 40_000, "asked": 25_000, "beta": 5.0},
    "world:tiny": {"short": 5, "long": 30, "epochs": 2, "clusters": 5, "k": 5, "width": 8, "anchors": 64},
    # half of the tested histories have fewer than 112 likes, of which 50 would be real-time: hence 10; the
    # beta is DIN-L's best for seed 10, with 150,000 rows (encode_tuning)
    "ml-1m": {
        "short": 10,
        "long": 1500,
        "rows": 100_000,
        "asked": 60_000,
        "batch": 1024,
        "beta": 2.5,
    },
    "ml-32m": {"long": 1500, "batch": 2048, "epochs": 2, "patience": 1, "lr": 3e-3},
    "amazon-books": {"long": 1500, "batch": 2048, "epochs": 2, "patience": 1, "lr": 3e-3, "sampled": 1},
}
# what a look has in place of the data set's, by the mean validation AUC of seeds 10 and 11 (encode_tuning);
# of two that are level within .001 the one farther from the edge of what was tried
TUNED: dict[str, dict[str, dict[str, object]]] = {
    "world:lifelong": {
        **{look: {"beta": 2.5} for look in ("SIM hard", "UBR4CTR", "ETA", "TWIN")},
        "ETA-ENCODE": {"beta": 2.5, "reduced": 8},
        "ENCODE": {"beta": 10.0, "reduced": 8},
    },
}
DATA = ("interest_longevity", "interests", "users")  # knobs of the world; named where they differ
TOGETHER = 8  # impressions of one user at one time, where not all are trained on or asked about
HEAD_START = 0.5  # of the training part: its clicks make item vectors, none of its impressions is trained on
VERSION = 2  # of what a configuration gives; goes up when the same one gives other numbers
REDUCTION = ("reduced", "loss", "sampling", "weight", "margin", "negatives", "anchors", "projection_lr")
CLUSTERING = ("clusters", "iterations", "algorithm", "every")
ALONE = {"look", "k", "std", "every", "projection_lr"}  # settings that a reference does not share


def trials(
    experiment: str,
    dataset: str = "world:lifelong",
    seeds: Sequence[int] = range(3),
    variants: Sequence[str] | None = None,
    **settings: object,
) -> list[Trial]:
    """The trials of an experiment, those of a seed next to each other.

    variants : some of the experiment's, default all. settings : on top of the data set's and the variants'
    own, or one of DATA.

    Raises ConfigError for a name or a setting that is not known, and for values that make no sense, before
    any work.
    """
    chosen = variants_of(EXPERIMENTS, experiment, variants)
    if dataset not in SETTINGS:
        raise unknown("data set with settings for a whole history", dataset, SETTINGS)
    configs = {name: _config(dataset, changes, settings) for name, changes in chosen.items()}
    return of_seeds(configs, dataset, seeds, _knobs(dataset, settings))


def _config(dataset: str, changes: Mapping[str, object], settings: Mapping[str, object]) -> dict[str, object]:
    """All that a trial reads, as plain JSON values; what its look does not read is left out."""
    method = {name: value for name, value in asdict(EncodeConfig()).items() if name != "clusters"}
    clusters = {name: value for name, value in asdict(ClusterConfig()).items() if name != "seed"}
    base = {**TASK, "sampled": 0, **NETWORK, **method, **clusters, **TRAINING}
    plain = without_knobs(settings, base, DATA)
    look = {**base, **changes, **plain}["look"]
    tuned = TUNED.get(dataset, {}).get(look, {})
    config = {**base, **SETTINGS[dataset], **tuned, **changes, **plain}
    for name, known in (("look", ("ENCODE", *LOOKS)), ("start", ("co-clicks", "random"))):
        if config[name] not in known:
            raise unknown(name, config[name], known)
    encode_config(config)
    idle = set() if look == "ENCODE" else set(CLUSTERING)
    if look not in ("ENCODE", "ETA-ENCODE"):
        idle |= set(REDUCTION)
    if look in ("DIN", "AvgPooling", "SDIM"):
        idle |= {"metric", "beta", "beta_divides"}
    if look in ("DIN", "AvgPooling", "SDIM", "DIN-L", "MIMN", "ENCODE"):
        idle.add("k")
    config = {name: value for name, value in config.items() if name not in idle}
    return {"version": VERSION, **config, **_knobs(dataset, settings)}


def encode_config(config: Mapping[str, object]) -> EncodeConfig:
    """What a trial's configuration says of the method; the rest as in the paper."""
    return taken(EncodeConfig, {**config, "clusters": taken(ClusterConfig, config)})


def _knobs(dataset: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Those that are not as they are anyway."""
    given = {name: settings[name] for name in DATA if name in settings}
    if not dataset.startswith("world"):
        return given
    preset = dataset.partition(":")[2]
    usual, asked = configure(preset), configure(preset, **given)  # as the world reads them: 0 is 0.0
    found = {name: getattr(asked, name) for name in given}
    return {name: value for name, value in found.items() if value != getattr(usual, name)}


@lru_cache(maxsize=1)
def _data(
    dataset: str, seed: int, knobs: tuple, short: int, long: int, refresh: int, sampled: int, rows: int,
    asked: int,
) -> LongData:  # fmt: skip
    log = log_of(dataset, seed, dict(knobs))
    data = LongData.of(log, short=short, long=long, refresh=refresh, negatives=sampled, seed=seed)
    part = data.parts
    validation = asked * len(part["validation"]) // (len(part["validation"]) + len(part["test"]))
    part["train"] = part["train"][int(HEAD_START * len(part["train"])) :]
    for name, most in (("train", rows), ("validation", validation), ("test", asked - validation)):
        part[name] = some_shown(data, part[name], most)
    return data


def some_shown(data: LongData, part: Tensor, most: int) -> Tensor:
    """At most so many of some impressions (n,), those that share a long sequence TOGETHER at a time, evenly
    over the sequences; all of them where there are no more.
    """
    if len(part) <= most:
        return part
    order = part[data.kind[part].argsort(stable=True)]
    kind = data.kind[order]
    first = torch.cat([kind.new_ones(1, dtype=torch.bool), kind[1:] != kind[:-1]]).nonzero().squeeze(1)
    nth = torch.arange(len(order)) - first.repeat_interleave(first.diff(append=torch.tensor([len(order)])))
    group = (kind * (1 + int(nth.max()) // TOGETHER) + nth // TOGETHER).unique(return_inverse=True)[1]
    groups = int(group.max()) + 1
    chosen = torch.zeros(groups, dtype=torch.bool)
    chosen[spread(torch.arange(groups), most * groups // len(part))] = True
    return order[chosen[group]].sort().values


def data_of(trial: Trial) -> LongData:
    """The impressions of a trial."""
    names = ("short", "long", "refresh", "sampled", "rows", "asked")
    return _data(trial.dataset, trial.seed, _knobs_of(trial), *(trial.config[name] for name in names))


def measure(trial: Trial) -> Metrics:
    """What the module says, of the test impressions, and how the training went."""
    config, data, reference = trial.config, data_of(trial), _reference(trial)
    model, fitted = reference if trial.config == _referring(trial).config else trained(trial)
    found = clicks(model, data, data.parts["test"])
    kinds = item_kinds(trial)
    found |= relevance_of(model, reference[0], data) | attention_on_kind(model, data, kinds)
    if config["look"] in SEARCHING:
        found |= where_known(recall=consistency_of(model, data, config["k"]))
    if hasattr(model.interest, "reduction"):
        found |= order_kept(model, data, trial.seed)
    if isinstance(model.interest, Encode):
        found |= agreement(model, data, kinds)
    return found | {
        "AUC validation": fitted.best_score, "best_epoch": fitted.best_epoch,
        "epochs_run": len(fitted.history),
    }  # fmt: skip


def trained(trial: Trial) -> tuple[LongHistory, Fit]:
    """The network of a trial, and how its training went."""
    data, config = data_of(trial), trial.config
    model = made(lambda: network(data, config), trial.seed)
    if config["start"] == "co-clicks":
        norm = config["std"] * config["width"] ** 0.5
        before = int(data.rows[data.parts["train"].numpy()].min())  # what is trained on begins here
        with torch.no_grad():
            model.life.item.copy_(co_clicked(data, config["width"], norm, trial.seed, rows=before))
    return model, train_encode(model, data, trial.config, trial.seed)


_REFERENCE: dict[str, tuple[LongHistory, Fit]] = {}  # the last one: trials of a seed come next to each other


def _reference(trial: Trial) -> tuple[LongHistory, Fit]:
    other = _referring(trial)
    key = other.key("encode_reference")
    if key not in _REFERENCE:
        _REFERENCE.clear()
        _REFERENCE[key] = trained(other)
    return _REFERENCE[key]


def _referring(trial: Trial) -> Trial:
    """The DIN-L whose attention a trial's weights are compared with: same data, seed and training (E14)."""
    shared = {*TASK, "sampled", *NETWORK, *TRAINING} - ALONE
    changes = {name: trial.config[name] for name in shared if name in trial.config}
    config = _config(trial.dataset, {**changes, "look": "DIN-L"}, dict(_knobs_of(trial)))
    return replace(trial, variant="DIN-L", config=config)


def network(data: LongData, config: Mapping[str, object]) -> LongHistory:
    """The network of a trial."""
    method = encode_config(config)

    def interest(life: Life) -> Interest:
        if config["look"] == "ENCODE":
            return Encode(life, method)
        return LOOKS[config["look"]](life, method, data.fields, config.get("k", 1))

    return LongHistory(
        data.sizes, interest, width=config["width"], hidden=config["hidden"], dropout=config["dropout"],
        domains=1, std=config["std"],
    )  # fmt: skip


def item_kinds(trial: Trial) -> np.ndarray:
    """(V,) as :func:`workbench.lab.long_trials.item_kinds`."""
    return long_trials.item_kinds(trial.dataset, trial.seed, _knobs_of(trial), data_of(trial))


def _knobs_of(trial: Trial) -> tuple[tuple[str, object], ...]:
    return tuple((name, trial.config[name]) for name in DATA if name in trial.config)
