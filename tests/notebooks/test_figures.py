"""Every figure notebook, run by papermill at a tiny setting with one seed: what it leaves and finds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from workbench.lab.execute import Job, run_jobs
from workbench.lab.notebooks import Notebook, find
from workbench.lab.places import PACKAGE, Places
from workbench.lab.runs import GENERATED

BOOKS = {name: book for name, book in find(Places(PACKAGE.parent)).items() if book.figure}
SEED = 3
DIAGRAMS = (
    "lift_fig1_compare",
    "lift_fig2_architecture",
    "lift_fig3_workflow",
    "lift_fig6_datastore",
    "dualrec_fig1_compare",
    "dualrec_fig2_architecture",
    "dualrec_fig3_transfer",
    "lcn_fig2_architecture",
    "encode_fig2_architecture",
)
SWEEPS = {  # notebooks that draw kept results, and how many seeds they run afresh here
    "lift_table2_ctr": 1,
    "lift_table3_topn": 1,
    "lift_table4_encoders": 1,
    "lift_table5_contexts": 2,  # below two there is no gain to draw
    "lift_fig4_mask_ratio": 1,
    "lift_fig7_fig8_k_and_l": 1,
    "dualrec_table2_all": 1,
    "dualrec_table3_ablations": 2,
    "dualrec_table4_backbones": 1,
    "dualrec_table5_directions": 2,
    "dualrec_fig4_alpha": 1,
    "dualrec_fig5_beta": 1,
    "dualrec_fig6_attention": 2,
    "encode_table2_all": 2,
    "encode_table3_relevance": 1,
    "encode_table4_reduction": 1,
    "encode_table5_sampling": 1,
    "encode_table6_loss": 1,
    "encode_table7_clustering": 2,
    "encode_fig3_clusters_and_m": 2,
    "encode_beta": 1,
}
TWO_DOMAINS = {  # the same, of the world with two domains
    "lcn_table1_crp": 2,
    "lcn_table2_backbones": 1,
    "lcn_table3_pools": 1,
    "lcn_table4_single_domain": 1,
    "lcn_table5_all": 1,
    "lcn_fig5_consistency": 1,
    "lcn_sensitivity": 1,
}
SMALLEST = {
    name: "world:tiny_two_domain"
    for name in (*TWO_DOMAINS, "lcn_fig1_lengths", "lcn_fig3_pairs", "lcn_fig4_alignment")
}
TINY = {  # what makes a notebook tiny; the others get the smallest world
    "lift_retrieval_speed": {"largest": 3_000},
    "dualrec_training_growth": {"size": "tiny"},
    "lcn_prediction_growth": {"size": "tiny"},
    "encode_table1_complexity": {"size": "tiny"},
    "lcn_fig4_alignment": {"dataset": "world:tiny_two_domain", "epochs": 2},
    "lift_fig5_inference_time": {"dataset": "world:tiny", "repeats": 2},
    "encode_fig1_tradeoff": {"dataset": "world:tiny", "seeds": 1, "fresh": True, "size": "tiny"},
    **{name: {"dataset": "world:tiny", "seeds": n, "fresh": True} for name, n in SWEEPS.items()},
    **{name: {"dataset": SMALLEST[name], "seeds": n, "fresh": True} for name, n in TWO_DOMAINS.items()},
    **{name: {} for name in DIAGRAMS},
}
NO_TABLE = {"lift_context_timeline", "lcn_fig3_pairs", *DIAGRAMS}  # drawings of events, not of numbers


@pytest.fixture(scope="module", params=sorted(BOOKS))
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The notebook's picture: its files' stem, its provenance and its table."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    (folder / "notebooks").mkdir()
    job = Job(BOOKS[name], {"seed": SEED, **TINY.get(name, {"dataset": SMALLEST.get(name, "world:tiny")})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_FIGURES", str(folder / "figures"))
        patch.setenv("WORKBENCH_HOME", str(folder))  # results of trials stay out of the checkout
        patch.setenv("OMP_NUM_THREADS", "1")  # networks this small gain nothing from a second thread
        patch.delenv("WORKBENCH_DATA", raising=False)  # the same with and without real data at hand
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        (ended,) = run_jobs([job], Places(folder))
    assert not ended.error, ended.error
    found = sorted((folder / "figures").glob(f"{name}__*.json"))
    assert found, f"{name} keeps no picture of its own name"
    stem = found[0].with_suffix("")
    table = stem.with_suffix(".csv")
    return SimpleNamespace(
        name=name,
        job=job,
        stem=stem,
        provenance=json.loads(found[0].read_text()),
        table=pd.read_csv(table) if table.exists() else None,
    )


def only(name: str) -> pytest.MarkDecorator:
    """Run a test for one notebook, which has to be there."""
    return pytest.mark.parametrize("ran", [name], indirect=True)


def test_there_are_figure_notebooks() -> None:
    assert set(TINY) | NO_TABLE < set(BOOKS)


def test_the_picture_and_its_table_are_there(ran: SimpleNamespace) -> None:
    png = ran.stem.with_suffix(".png").read_bytes()
    assert png.startswith(b"\x89PNG")
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert min(width, height) > 400
    assert (ran.table is None) == (ran.name in NO_TABLE)
    assert ran.table is None or len(ran.table) > 0
    files = {Path(file).suffix for file in ran.provenance["files"]}
    assert all(ran.stem.with_suffix(suffix).stat().st_size > 0 for suffix in files)


def test_the_provenance_is_whole(ran: SimpleNamespace) -> None:
    about = ran.provenance
    assert about["notebook"].removeprefix("figures/") == ran.name
    assert (about["seed"], about["profile"], about["run"]) == (SEED, "quick", ran.job.key)
    assert about["alt"].strip()
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", about["commit"])
    assert 0 < about["seconds"] < 60
    if about["dataset"] == GENERATED:
        assert about["fingerprint"] is None
    else:
        assert re.fullmatch(r"[0-9a-f]{16}", about["fingerprint"])
        assert about["dataset"] == SMALLEST.get(ran.name, "world:tiny")
    given = {key: value for key, value in ran.job.given.items() if key not in ("seed", "dataset")}
    assert given.items() <= about["configuration"].items()


def test_the_notebook_declares_what_every_figure_notebook_declares(ran: SimpleNamespace) -> None:
    book: Notebook = ran.job.notebook
    assert {
        "profile": "quick",
        "dataset": None,
        "seed": 0,
        "device": "auto",
    }.items() <= book.parameters.items()
    assert {"quick", "real", "paper"} == set(book.datasets)


@only("lift_retrieval_speed")
def test_an_index_is_faster_than_scoring_every_row(ran: SimpleNamespace) -> None:
    speed = ran.table.pivot(index="keys", columns="system", values="queries_per_second")
    assert list(speed.index) == [1_000, 3_000]
    assert set(speed.columns) == {"workbench", "bm25s", "rank-bm25"}
    assert speed.loc[3_000, "workbench"] > 10 * speed.loc[3_000, "rank-bm25"]
    assert speed["rank-bm25"].between(5, 1e5).all()
    assert ran.table["build_s"].between(1e-6, 10).all()


@only("dualrec_training_growth")
def test_growth_has_a_time_of_every_system_at_every_setting(ran: SimpleNamespace) -> None:
    times = ran.table.pivot(index=["knob", "setting"], columns="system", values="seconds")
    assert list(times.index) == [("items", 200), ("items", 400), ("length", 5), ("length", 8)]
    assert set(times.columns) == {"DualRec", "one encoder", "padded"}
    assert (times > 0).all(axis=None)


@only("lift_table1_datasets")
def test_lift_s_table_holds_the_printed_numbers_and_the_world(ran: SimpleNamespace) -> None:
    instances = ran.table[ran.table["metric"] == "instances"].set_index("dataset")
    assert instances.loc["Taobao", "published"] == 100_150_807
    assert 4_000 < instances.loc["world:tiny", "ours"] < 6_000
    real = ran.table[ran.table["state"] != "generated"]
    assert set(real["state"]) == {"not looked for"}
    assert real["ours"].isna().all(), "a number for files that nobody looked at"


@only("dualrec_table1_datasets")
def test_dualrec_s_table_holds_the_printed_numbers_and_the_world(ran: SimpleNamespace) -> None:
    numbers = ran.table.pivot(index="dataset", columns="metric", values=["published", "ours"])
    assert numbers.loc["Beauty", ("published", "interactions")] == 198_502
    world = numbers.loc["world:tiny", "ours"]
    assert world["users"] == 80
    assert world["density_pct"] == pytest.approx(
        100 * world["interactions"] / (world["users"] * world["items"])
    )


SWEPT = pytest.mark.parametrize("ran", SWEEPS, indirect=True)


@SWEPT
def test_a_sweep_writes_no_kept_results(ran: SimpleNamespace) -> None:
    root = ran.stem.parent.parent
    assert list((root / "runs" / "results").glob("*/*.json"))
    assert not (root / "figures" / "results").exists()


@pytest.mark.parametrize(
    ("ran", "champion", "methods", "printed"),
    [
        ("lift_table2_ctr", "LIFT", 15, ("Tmall", "AUC", "RIM", 0.9138)),
        ("lift_table3_topn", "LIFT", 8, ("ML-1M", "HR@10", "LIFT", 0.4324)),
        ("lift_table4_encoders", "Transformer Decoder (p)", 6, ("Taobao", "AUC", "RNN (p)", 0.8715)),
        ("lift_table5_contexts", "Future & History", 5, ("Alipay", "AUC", "Future Only", 0.8525)),
        ("dualrec_table2_all", "DualRec", 13, ("Beauty", "NDCG@10", "SASRec", 0.3358)),
        ("dualrec_table3_ablations", "DualRec", 6, ("Toys", "HR@5", "DualRec w/o RC", 0.3388)),
        ("dualrec_table4_backbones", "DualSASRec+BIT", 9, ("Beauty", "MRR", "GRU4Rec", 0.2593)),
        ("dualrec_table5_directions", "DualRec", 4, ("Yelp", "NDCG@5", "Future-Only", 0.4576)),
    ],
    indirect=["ran"],
)
def test_a_table_has_the_printed_numbers_beside_ours(
    ran: SimpleNamespace, champion: str, methods: int, printed: tuple[str, str, str, float]
) -> None:
    *key, value = printed
    numbers = ran.table.set_index(["dataset", "metric", "method"]).sort_index()
    assert numbers.loc[tuple(key), "published"] == value
    ours = ran.table[ran.table["dataset"] == "world:tiny"]
    assert ours["published"].isna().all()
    assert ran.table["method"].nunique() == methods
    assert set(ours["seeds"]) == {SWEEPS[ran.name]}
    assert (ours[ours["method"] == champion]["lead"] == 0).all()
    assert ours["ours"].between(0, 2).all()


@only("lift_table5_contexts")
def test_the_gain_of_contexts_is_drawn_in_two_worlds(ran: SimpleNamespace) -> None:
    gains = pd.read_csv(ran.stem.parent / "lift_table5_gain__world-tiny.csv")
    assert set(gains["world"]) == {"succession 1", "succession 0"}
    assert set(gains["rows"]) == {"all test rows", "step rows"}
    assert ((gains["low"] < gains["gain"]) & (gains["gain"] < gains["high"])).all()


@only("lift_fig4_mask_ratio")
def test_every_mask_ratio_is_tried(ran: SimpleNamespace) -> None:
    assert ran.table["variant"].tolist() == ["last", "0.1", "0.3", "0.5", "0.7", "0.9", "1.0"]
    assert ran.table["auc"].between(0.2, 0.8).all()


@only("lift_fig7_fig8_k_and_l")
def test_every_k_and_l_is_tried(ran: SimpleNamespace) -> None:
    tried = ran.table.groupby("knob")["setting"].agg(list)
    assert tried["K"] == [1, 2, 5, 10, 20, 40]
    assert tried["L"] == [5, 10, 20, 40]
    assert ran.table["value"].between(0.2, 0.8).all()


@pytest.mark.parametrize(
    ("ran", "settings"),
    [
        ("dualrec_fig4_alpha", [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("dualrec_fig5_beta", [0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0]),
    ],
    indirect=["ran"],
)
def test_every_weight_of_the_loss_is_tried(ran: SimpleNamespace, settings: list[float]) -> None:
    assert ran.table["setting"].tolist() == settings
    assert ran.table["value"].between(0, 1).all()


@only("dualrec_fig6_attention")
def test_attention_moves_in_every_layer_and_seed(ran: SimpleNamespace) -> None:
    assert ran.table["variant"].tolist() == ["DualRec", "DualRec", "w/o BIT", "w/o BIT"]
    assert ran.table[["seed", "layer"]].to_numpy().tolist() == [[SEED, 1], [SEED + 1, 1]] * 2
    assert ran.table["itself"].abs().between(1e-9, 1).all()


@only("lift_fig5_inference_time")
def test_all_systems_are_timed_in_each_round(ran: SimpleNamespace) -> None:
    systems = ran.table.groupby("system")["seconds"]
    assert set(systems.groups) == {"LIFT", "LIFT online", "RIM", "DIN", "BERT4Rec"}
    assert (systems.size() == 2).all()
    assert systems.median()["BERT4Rec"] > systems.median()["LIFT"]
