"""LCN's tables and figures as trials: clicks of the target domain, with and without what a trial changes.

``workbench measure lcn_table1 --seeds 0-4`` runs what is missing.

Beside AUC, GAUC and LogLoss every trial measures what its tables cannot show: how consistent the levels of
its look at the long sequence are (Figure 5) and how many of the events that they let through are of the
candidate's kind; and how the item embeddings lie (Figure 4): the share of an item's ten nearest that share
its kind, within each domain and across. An item's kind is its topic in the world, else its category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.baselines.long_history import LOOKS
from workbench.data.interactions import Interactions
from workbench.errors import unknown
from workbench.lab import long_training
from workbench.lab.alignment import Items, purity, silhouettes, told_apart
from workbench.lab.experiments import variants_of
from workbench.lab.lift import made
from workbench.lab.long_measures import alike_of, clicks, consistency_of, met_before, sharpness_of
from workbench.lab.long_samples import LongData, sides
from workbench.lab.long_trials import item_kinds, log_of, of_seeds, taken, where_known, without_knobs
from workbench.lab.store import Metrics, Trial
from workbench.lab.training import Fit
from workbench.methods.lcn import CRPConfig, Pyramid, PyramidConfig, training_loss
from workbench.methods.long_history import Interest, Life, LongHistory

CRP = {"weight": 0.1}
WITHIN = {**CRP, "cross": 0.0}
POOLS = (
    (50, None),
    (None, 50),
    (100, 30),
    (100, 50),
    (200, 30),
    (200, 50),
    (200, 100),
    (500, 30),
    (500, 50),
    (500, 100),
)
EXPERIMENTS: dict[str, dict[str, dict[str, object]]] = {
    "lcn_table1": {"LCN w/o CRP": {}, "within": WITHIN, "LCN": CRP},
    "lcn_table2": {
        name: {"look": look, **changes}
        for look in LOOKS
        for name, changes in ((look, {}), (f"{look}, within", WITHIN), (f"{look}_CRP", CRP))
    },
    "lcn_table3": {
        "SIM Soft_CRP": {"look": "SIM soft", **CRP},
        **{f"{k1 or '-'}, {k2 or '-'}": {"pools": [k1, k2], **CRP} for k1, k2 in POOLS},
    },
    "lcn_table4": {
        **{look: {"look": look, "domains": 1} for look in LOOKS},
        "LCN w/o CRP": {"domains": 1},
    },
    "lcn_table5": {
        **{look: {"look": look} for look in LOOKS},
        "LCN w/o CRP": {},
        "LCN w/o LAP": {"pools": [None, 50], "integrate": False, **CRP},
        "LCN-200-50": CRP,
        "LCN-500-100": {"pools": [500, 100], **CRP},
    },
    "lcn_fig5": {
        **{look: {"look": look, **CRP} for look in LOOKS},
        "LAP": CRP,
        "LAP, not integrated": {"integrate": False, **CRP},
        **{f"K1 {k1}": {"pools": [k1, 50], **CRP} for k1 in (50, 100, 500, 1000)},
    },
    "lcn_weight": {f"weight {w}": {"weight": w} for w in (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)},
    "lcn_negatives": {f"M {m}": {**CRP, "negatives": m} for m in (64, 128, 512, 1024, 2048, 4096)},
    "lcn_readings": {
        "literal": CRP,
        "InfoNCE": {**CRP, "denominator": "infonce"},
        "softmax": {**CRP, "weights": "softmax"},
        "mean over items": {**CRP, "per_item": True},
    },
}
SHOWN = ("AUC", "GAUC", "LogLoss", "consistency", "purity across")
NETWORK = {
    "look": "LAP",
    "pools": [200, 50],
    "width": 64,
    "hidden": [256, 128],
    "dropout": 0.0,
    "domains": 2,
    "std": 0.1,
}
TRAINING = {"epochs": 20, "patience": 3, "batch": 2048, "lr": 1e-3, "weight_decay": 0.0}
# sampled: negatives for each click of a log of clicks; ``pools`` are the paper's K1 and K2, for sequences
# of ``pools_for`` events, and shrink with ours
TASK = {"short": 50, "long": 2000, "pools_for": 2000, "sampled": 0}
SMALL = {"width": 16, "hidden": [64, 32], "dropout": 0.2, "batch": 256, "lr": 3e-3, "weight_decay": 0.5}
SETTINGS: dict[str, dict[str, object]] = {
    "world:two_domain": {**SMALL, "short": 20, "long": 200},
    "world:two_domain_long": {**SMALL, "short": 20, "long": 1000, "pools_for": 1000},
    "world:tiny_two_domain": {**SMALL, "short": 5, "long": 40, "epochs": 2, "negatives": 64},
    # few have more than 50 events: pools as for the paper's public data, or one event would be left
    "amazon-cross-domain": {
        **SMALL,
        "batch": 1024,
        "epochs": 10,
        "short": 20,
        "long": 50,
        "pools_for": 500,
        "sampled": 4,
    },
    "taobao-ads": {"long": 500, "pools_for": 500},  # the paper's public data and K1, K2 (ambiguity N11)
}
DATA = {"domain_overlap": 1.0, "users": None}  # knobs of the world; named where they differ
VERSION = 1  # of what a configuration gives; goes up when the same one gives other numbers
TOP = 50  # events whose consistency is asked for, of pools_for


def trials(
    experiment: str,
    dataset: str = "world:two_domain",
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
        raise unknown("data set with settings for long histories", dataset, SETTINGS)
    configs = {name: _config(dataset, changes, settings) for name, changes in chosen.items()}
    return of_seeds(configs, dataset, seeds, _knobs(settings))


def _config(dataset: str, changes: Mapping[str, object], settings: Mapping[str, object]) -> dict[str, object]:
    """All that a trial reads, as plain JSON values."""
    pyramid = {name: value for name, value in asdict(PyramidConfig()).items() if name not in ("k1", "k2")}
    base = {**TASK, **NETWORK, **pyramid, **asdict(CRPConfig(weight=0.0)), **TRAINING}
    plain = without_knobs(settings, base, DATA)
    config = {**base, **SETTINGS[dataset], **changes, **plain}
    if config["look"] not in ("LAP", *LOOKS):
        raise unknown("look", config["look"], ("LAP", *LOOKS))
    taken(CRPConfig, config), _pyramid(config)
    if not config["weight"]:  # without CRP its knobs say nothing
        config = {name: value for name, value in config.items() if name not in _names(CRPConfig)}
    if config["look"] != "LAP":  # SDIM alone has no heads
        config = {name: x for name, x in config.items() if name not in pyramid or name == "heads"}
    if config["look"] == "SDIM":
        del config["heads"]
    return {"version": VERSION, **config, **_knobs(settings)}


def _names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def _pyramid(config: Mapping[str, object]) -> PyramidConfig:
    k1, k2 = (None if k is None else shrunk(k, config) for k in config["pools"])
    return taken(PyramidConfig, {**config, "k1": k1, "k2": k2})


def shrunk(count: int, config: Mapping[str, object]) -> int:
    """As large a part of a configuration's sequences as ``count`` is of what the pools are meant for."""
    return max(round(count * config["long"] / config["pools_for"]), 1)


def _knobs(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: settings[name] for name, usual in DATA.items() if settings.get(name, usual) != usual}


@lru_cache(maxsize=1)
def _data(
    dataset: str, seed: int, knobs: tuple, short: int, long: int, sampled: int, domains: int
) -> LongData:
    log = log_of(dataset, seed, dict(knobs))
    if domains == 1:  # the source domain alone, and its own clicks are asked for (Table 4)
        log = _alone(log)
    return LongData.of(log, short=short, long=long, negatives=sampled, seed=seed)


def _alone(log: Interactions) -> Interactions:
    """The source domain as a log of one domain."""
    log = log.rows(np.flatnonzero(sides(log)[1]))
    return replace(log, columns={name: codes for name, codes in log.columns.items() if name != "domain"})


def measure(trial: Trial) -> Metrics:
    """AUC, GAUC and LogLoss of the test impressions (and AUC of those whose item was clicked in training),
    what the levels do, how the items lie, and how the training went.
    """
    config = trial.config
    knobs = tuple((name, config[name]) for name in DATA if name in config)
    data = _data(
        trial.dataset, trial.seed, knobs, *(config[name] for name in ("short", "long", "sampled", "domains"))
    )
    model = made(lambda: network(data, config), trial.seed)
    fitted = train(model, data, config, trial.seed)
    found = clicks(model, data, data.parts["test"])
    found["AUC met before"] = clicks(model, data, met_before(data))["AUC"]
    found |= sharpness_of(model, data)
    found |= where_known(consistency=consistency_of(model, data, shrunk(TOP, config)))
    kinds, table = item_kinds(trial.dataset, trial.seed, knobs, data), model.life.item.detach()
    found |= alike_of(model, data, kinds)
    if config["domains"] == 2:
        found["pairs told apart"] = told_apart(table, data, trial.seed)
    if config["domains"] == 2 and (kinds >= 0).any():
        items = Items.of(table.numpy(), kinds, data)
        for measured, what in ((purity, "purity"), (silhouettes, "silhouette")):
            found |= {f"{what} {name}": value for name, value in measured(items).items()}
    return found | {
        "AUC validation": fitted.best_score, "best_epoch": fitted.best_epoch,
        "epochs_run": len(fitted.history),
    }  # fmt: skip


def network(data: LongData, config: Mapping[str, object]) -> LongHistory:
    """The network of a trial."""

    def interest(life: Life) -> Interest:
        if config["look"] == "LAP":
            return Pyramid(life, _pyramid(config))
        if config["look"] == "SDIM":
            return LOOKS["SDIM"](life)
        return LOOKS[config["look"]](life, shrunk(config["pools"][1], config), config["heads"])

    return LongHistory(
        data.sizes, interest, width=config["width"], hidden=config["hidden"], dropout=config["dropout"],
        domains=config["domains"], std=config["std"],
    )  # fmt: skip


def train(model: LongHistory, data: LongData, config: Mapping[str, object], seed: int, **how: object) -> Fit:
    """A network of a trial on Eq. 14, as :func:`workbench.lab.long_training.train` trains."""
    crp = taken(CRPConfig, {"weight": 0.0, **config})
    return long_training.train(model, data, config, seed, partial(training_loss, crp=crp), **how)


class Agreement(NamedTuple):
    """What :func:`workbench.show.pictures_pyramid.consistencies` draws.

    methods : columns method, seed, value; pools : columns k1 (events), seed, value, by k1; length : of a
    sequence; top : events that were asked for.
    """

    methods: pd.DataFrame
    pools: pd.DataFrame
    length: int
    top: int


def agreement(found: pd.DataFrame) -> Agreement:
    """Figure 5 of trials of lcn_fig5 on one data set, as :func:`workbench.lab.kept.known` gives them."""
    rows = found.rename(columns={"variant": "method", "consistency": "value"})
    other = rows["method"].str.startswith("K1 ")
    config = rows.iloc[0]
    lap = rows[other | (rows["method"] == "LAP")]
    pools = lap.assign(k1=[shrunk(k1, config) for k1, _ in lap["pools"]]).sort_values("k1")
    return Agreement(
        rows.loc[~other, ["method", "seed", "value"]],
        pools[["k1", "seed", "value"]],
        int(config["long"]),
        shrunk(TOP, config),
    )
