"""The papers' numbers: every file reads, and the numbers typed here from the papers are in them."""

from math import log

import pandas as pd
import pytest

from workbench.errors import ConfigError
from workbench.lab import published

# Read off the papers' tables, one line of each at least: (table, data set, method, metric) -> number.
PRINTED = {
    ("lift_table1", "Taobao", "", "instances"): 100_150_807,
    ("lift_table1", "Alipay", "", "fields"): 6,
    ("lift_table2", "Taobao", "LIFT", "AUC"): 0.8857,
    ("lift_table2", "Tmall", "RIM", "LogLoss"): 0.3804,
    ("lift_table2", "Alipay", "DIEN", "AUC"): 0.7502,
    ("lift_table2", "Alipay", "GBDT", "RelImpr_AUC_pct"): 30.49,
    ("lift_table3", "ML-1M", "SASRec", "HR@5"): 0.1588,
    ("lift_table3", "LastFM", "DERT", "HR@1"): 0.1488,
    ("lift_table3", "LastFM", "LIFT", "MRR"): 0.2727,
    ("lift_table4", "Tmall", "RNN (p)", "AUC"): 0.9175,
    ("lift_table4", "Alipay", "Transformer Decoder", "LogLoss"): 0.4730,
    ("lift_table5", "Alipay", "History Only", "AUC"): 0.8527,
    ("lift_table5", "Taobao", "Future Only", "LogLoss"): 0.4417,
    ("dualrec_table1", "Yelp", "", "interactions"): 316_354,
    ("dualrec_table1", "Toys", "", "density_pct"): 0.07,
    ("dualrec_table2", "Beauty", "DualRec", "HR@5"): 0.4241,
    ("dualrec_table2", "Sports", "SASRec", "NDCG@10"): 0.3244,
    ("dualrec_table2", "Toys", "GCSAN", "MRR"): 0.2871,
    ("dualrec_table2", "Yelp", "S3-Rec_MIP", "HR@10"): 0.7764,
    ("dualrec_table3", "Toys", "DualRec w/o RC", "NDCG@5"): 0.2360,
    ("dualrec_table4", "Yelp", "DualFMLP-Rec", "HR@5"): 0.6351,
    ("dualrec_table5", "Sports", "Future-Only", "NDCG@5"): 0.2766,
    ("lcn_table1", "Industrial (WeChat Channels)", "L_PT&L_PS on, L_PC off", "GAUC"): 0.6391,
    ("lcn_table2", "Industrial (WeChat Channels)", "TWIN + CRP", "Logloss"): 0.2259,
    ("lcn_table3", "Industrial (WeChat Channels)", "K1=500,K2=30", "GAUC"): 0.6317,
    ("lcn_table4", "Industrial single-domain (video)", "LCN w/o CRP", "AUC"): 0.7076,
    ("lcn_table5", "Public (Taobao dataset 56)", "CLRec", "AUC"): 0.6123,
    ("lcn_table5", "Industrial (WeChat Channels)", "LCN-500-100", "Logloss"): 0.2220,
    ("encode_table2", "Industrial (AliExpress)", "ENCODE", "CTR AUC"): 0.72312,
    ("encode_table2", "Industrial (AliExpress)", "DIN-L (upper bound)", "inference_time_ms"): 26.7,
    ("encode_table2", "MovieLens 32M", "SDIM", "CTR AUC"): 0.80649,
    ("encode_table3", "Industrial (AliExpress)", "ENCODE", "RI"): 6.170,
    ("encode_table4", "Industrial (AliExpress)", "ETA-TA (m=32)", "CTR AUC"): 0.72230,
    ("encode_table5", "Industrial (AliExpress)", "ENCODE, Within Batch", "CTR GAUC"): 0.68594,
    ("encode_table6", "Industrial (AliExpress)", "ENCODE, MSE", "CTR AUC"): 0.72021,
    ("encode_table7", "Industrial (AliExpress)", "ENCODE, Random", "CTR GAUC"): 0.68484,
}


def cell(name, dataset, method, metric, column="value"):
    frame = published.table(name)
    row = frame[(frame.dataset == dataset) & (frame.method == method) & (frame.metric == metric)]
    assert len(row) == 1, f"{len(row)} rows for {name}: {dataset}, {method}, {metric}"
    return row[column].item()


@pytest.mark.parametrize("where", PRINTED, ids=lambda where: " ".join(where))
def test_a_printed_number(where):
    assert cell(*where) == PRINTED[where]


def test_every_table_has_printed_numbers_checked():
    assert {where[0] for where in PRINTED} | {"encode_table1"} == set(published.tables())


@pytest.mark.parametrize("name", published.tables())
def test_every_table_reads(name):
    frame = published.table(name)
    assert list(frame.columns) == ["dataset", "method", "metric", "value", "std", "note"]
    assert len(frame) >= 8
    assert not frame.duplicated(["dataset", "method", "metric"]).any()
    assert (frame["dataset"] != "").all()
    assert (frame["metric"] != "").all()
    assert frame["std"].dtype == "float64"
    texts = ["dataset", "method", "metric", "note"] + (["value"] if name == "encode_table1" else [])
    assert not frame[texts].isna().any(axis=None)
    if name != "encode_table1":
        assert frame["value"].dtype == "float64"
        assert (frame.loc[frame["value"].isna(), "note"] != "").all(), "a missing number needs a reason"


def test_the_spread_of_the_one_table_that_prints_it():
    assert cell("encode_table2", "Amazon Books", "TWIN", "CTR AUC", column="std") == 0.00055
    assert cell("encode_table2", "Industrial (AliExpress)", "ENCODE", "CTR GAUC", column="std") == 0.00010


def test_formulas_stay_text():
    assert cell("encode_table1", "symbolic", "ENCODE", "online_inference_complexity") == "O(BKd)"
    assert cell("encode_table1", "Industrial (AliExpress)", "caption constants", "K") == "30"


def test_notes_are_kept():
    assert "0.6417" in cell(
        "lcn_table3", "Industrial (WeChat Channels)", "K1=500,K2=30", "GAUC", column="note"
    )
    assert "best" in cell("lift_table2", "Taobao", "LIFT", "AUC", column="note")


def test_lift_improvements_are_what_its_auc_column_says():
    """'Rel. Impr.' recomputed: LIFT's AUC over the row's, in percent; the exceptions carry a note."""
    frame = published.table("lift_table2")
    wide = frame.pivot(index=["dataset", "method"], columns="metric", values="value").reset_index()
    checked = 0
    for row in wide[wide.method != "LIFT"].itertuples():
        recomputed = 100 * (cell("lift_table2", row.dataset, "LIFT", "AUC") / row.AUC - 1)
        if "suspicious" in cell("lift_table2", row.dataset, row.method, "RelImpr_AUC_pct", column="note"):
            continue
        assert row.RelImpr_AUC_pct == pytest.approx(recomputed, abs=0.0101), (row.dataset, row.method)
        checked += 1
    assert checked >= 30


@pytest.mark.parametrize(("paper", "shared"), [("dualrec", 36), ("lcn", 12), ("encode", 18)])
def test_a_number_printed_in_two_tables_is_the_same_in_both(paper, shared):
    """Data set, method and metric name one number, whichever table it is read from."""
    names = [name for name in published.tables() if name.startswith(paper) and name != "encode_table1"]
    frame = pd.concat([published.table(name) for name in names])
    frame = frame[~frame["note"].str.contains("suspicious: equals")]  # DualRec's Table 5 shows a variant
    values = frame.groupby(["dataset", "method", "metric"])["value"].agg(["size", "nunique"])
    assert (values["size"] > 1).sum() >= shared
    assert (values["nunique"] <= 1).all()


def test_relevance_indicators_stand_beside_the_uniform_one():
    """ENCODE's RI is below ln 1000, that of uniform weights; plain search hardly is (ambiguity E13)."""
    assert cell("encode_table3", "Industrial (AliExpress)", "ENCODE", "RI") < log(1000)
    assert cell("encode_table3", "Industrial (AliExpress)", "ETA", "RI") > log(1000)


# --- the lists ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "key", "columns"),
    [
        (published.artifacts, "id", ["paper", "id", "what_it_shows", "varied", "methods"]),
        (
            published.equations,
            "number",
            ["paper", "number", "name", "latex", "plain_words_meaning", "symbols_with_shapes"],
        ),
        (
            published.claims,
            "id",
            ["paper", "id", "claim", "where", "test_statistic", "paper_numbers", "data_needed"],
        ),
        (published.hyperparameters, "name", ["paper", "name", "symbol", "value", "where"]),
    ],
)
def test_the_lists_cover_the_four_papers(read, key, columns):
    whole = read()
    assert list(whole.columns) == columns
    assert not whole.isna().any(axis=None)
    assert (whole[key] != "").all()
    assert not whole.duplicated(["paper", key]).any()
    parts = {paper: read(paper) for paper in published.PAPERS}
    assert sum(map(len, parts.values())) == len(whole)
    for paper, part in parts.items():
        assert len(part) > 0
        assert set(part["paper"]) == {paper}
        assert part.index.tolist() == list(range(len(part)))
    with pytest.raises(ConfigError, match="unknown paper 'SASRec'; known: DualRec, ENCODE, LCN, LIFT"):
        read("SASRec")


@pytest.mark.parametrize(("paper", "numbered"), [("LIFT", 19), ("DualRec", 14), ("LCN", 14), ("ENCODE", 12)])
def test_every_numbered_equation_is_listed(paper, numbered):
    numbers = [number for number in published.equations(paper)["number"] if number.isdigit()]
    assert numbers == [str(n) for n in range(1, numbered + 1)]


@pytest.mark.parametrize(("paper", "count"), [("LIFT", 26), ("DualRec", 23), ("LCN", 26), ("ENCODE", 30)])
def test_claims_are_numbered_without_gaps(paper, count):
    letter = {"LIFT": "L", "DualRec": "D", "LCN": "N", "ENCODE": "E"}[paper]
    assert published.claims(paper)["id"].tolist() == [f"{letter}{n:02d}" for n in range(1, count + 1)]


def test_a_few_settings_as_printed():
    def value(paper, name):
        frame = published.hyperparameters(paper)
        return frame.loc[frame["name"] == name, "value"].item()

    assert value("DualRec", "max sequence length") == "50"
    assert value("DualRec", "batch size").startswith("256")
    assert value("LCN", "learning rate") == "0.001"
    assert value("LCN", "temperature") == "unspecified"
    assert value("ENCODE", "KMeans iterations") == "15"


def test_tables_and_artifacts_speak_of_the_same_things():
    """Every table with numbers is an artifact; the one artifact table without numbers is LIFT's notation."""
    frame = published.artifacts()
    frame = frame[frame["id"].str.startswith("Table")]
    named = {f"{row.paper.lower()}_{row.id.lower().replace(' ', '')}" for row in frame.itertuples()}
    assert named == set(published.tables()) | {"lift_table6"}


def test_unknown_tables_are_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown published table 'lift_table9'; known: .*lift_table2"):
        published.table("lift_table9")
    with pytest.raises(ConfigError, match="unknown published table 'claims'"):
        published.table("claims")


def test_what_a_reader_changes_stays_with_the_reader():
    frame = published.table("lift_table2")
    frame["value"] = 0.0
    assert cell("lift_table2", "Taobao", "LIFT", "AUC") == 0.8857
