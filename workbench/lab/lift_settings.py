"""LIFT's experiments: what is set for all variants on a data set, and what each variant changes.

Real data at interactive size: the whole retrieval set, but ``targets`` targets drawn from the train and test
part each, and a quarter as many from the validation part (the same for every variant and seed); networks
without retrieval learn from the latest ``rows`` rows of retrieval and train set. Of the logs that are too
long even for that, ``users`` users (``users=null``: everybody). What these do not name is at the defaults of
:class:`workbench.methods.lift_config.LIFTConfig` and :class:`workbench.lab.lift.Recipe`.
"""

from __future__ import annotations

from workbench.baselines.ctr import CTR

WORLD = {"targets": None, "rows": None, "succession": 1.0, "shift": True, "pretrain_epochs": 60}
REAL = {"targets": 30_000, "rows": 200_000, "shift": True, "pretrain_epochs": 6, "pretrain_batch": 128}
LONG = {**REAL, "users": 20_000, "pretrain_epochs": 2}  # 20,000 users of Taobao: four million rows
LONG_LOGS = ("taobao", "tmall", "alipay")
TINY = {  # for tests: the numbers mean nothing
    "targets": 200, "rows": 300, "width": 2, "size": 8, "heads": 2, "layers": 1, "probes": 4,
    "k": 4, "length": 8, "pretrain_epochs": 2, "epochs": 2,
}  # fmt: skip
SETTINGS: dict[str, dict[str, object]] = {
    "world:small": WORLD,
    "world:tiny": {**WORLD, **TINY},
    "ml-1m": REAL,
    "taobao-sample": {**REAL, "pretrain_epochs": 60},  # twice as many: .005 more on validation
    **dict.fromkeys(LONG_LOGS, LONG),
    "lastfm-1k": {**LONG, "users": 100},
}

# What a data set changes of a variant: 4 epochs of 200,000 rows are as many steps as 12 of the world.
BESIDE: dict[tuple[str, str], dict[str, object]] = {
    (dataset, "BERT4Rec"): {"epochs": 4, "patience": 2} for dataset in ("ml-1m", *LONG_LOGS)
}

LITERAL = {
    "represent": "last", "neighbor_label": "none", "match": False, "reverse_future": False, "shift": False,
}  # fmt: skip
# Without pretraining. With dropout or a second layer it knows its targets by heart before it compares events.
JOINT = {
    "start": "history first", "batch": 128, "lr": 3e-3, "weight_decay": 0.1, "epochs": 12, "patience": 4,
    "dropout": 0.0, "predictor_dropout": 0.0, "layers": 1,
}  # fmt: skip
NETWORK = {"batch": 1024, "lr": 2e-3, "epochs": 8, "patience": 2}

EXPERIMENTS: dict[str, dict[str, dict[str, object]]] = {
    # which part of the contexts is seen: Table 5, and the picture of the gain
    # ("history 2L": in the future's place the L events before the history, for a control of equal size)
    "lift_contexts": {
        "no context": {"context": "none"},
        "history": {"context": "history"},
        "history 2L": {"second": "earlier history"},
        "future": {"context": "future"},
        "future and history": {},
    },
    # each remedy taken away alone, then the paper's literal form
    "lift_remedies": {
        "LIFT": {},
        "final state": {"represent": "last"},
        "mean state": {"represent": "mean"},
        "target not asked about": {"represent": "probes"},
        "no neighbour's label": {"neighbor_label": "none"},
        "label in the key": {"neighbor_label": "key"},
        "no match": {"match": False},
        "future not reversed": {"reverse_future": False},
        "windows not shifted": {"shift": False},
        "literal": LITERAL,
        "literal, no context": {**LITERAL, "context": "none"},
        "encoder not trained": {"start": "random"},
        "equal weights": {"attention": "mean"},
    },
    "lift_table2": {
        **{name: {"model": name, **NETWORK} for name in ("GBDT", *CTR)},
        # small batches: it learns to compare labels late, and its two passes take ten times DIN's one
        "BERT4Rec": {"model": "BERT4Rec", **NETWORK, "epochs": 12, "batch": 256, "patience": 3},
        "LIFT w/o pretrain": JOINT,
        "LIFT w/o pretrain at once": {**JOINT, "start": "joint"},
        "LIFT": {},
        "LIFT literal w/o pretrain": {**LITERAL, **JOINT},
        "LIFT literal": LITERAL,
    },
    "lift_table4": {
        f"{kind}{' (p)' if pretrained else ''}": {"encoder": kind, **({} if pretrained else JOINT)}
        for kind in ("rnn", "encoder", "decoder")
        for pretrained in (False, True)
    },
    "lift_fig4": {str(ratio): {"mask_ratio": ratio} for ratio in ("last", 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)},
    "lift_fig7": {
        **{f"K = {k}": {"k": k} for k in (1, 2, 5, 10, 20, 40)},
        # as many steps whatever the length of a window
        **{f"L = {n}": {"length": n, "pretrain_batch": 1280 // n} for n in (5, 10, 20, 40)},
    },
}
