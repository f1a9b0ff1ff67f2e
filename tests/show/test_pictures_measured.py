"""The pictures of speeds and of data sets say what their numbers say."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.figure import Figure

from workbench.show.pictures_datasets import dataset_statistics
from workbench.show.pictures_speed import retrieval_speed, rounded, short


def texts(figure: Figure) -> set[str]:
    """Everything written on a figure."""
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    return {figure.get_suptitle(), *written, *(text.get_text() for text in figure.texts)}


def speeds() -> pd.DataFrame:
    """Ours halves from 1,000 to 100,000 keys, the libraries fall in step; a last size is ours alone."""
    per_second = {"workbench": [8e5, 4e5, 2e5], "bm25s": [4e5, 4e3], "rank-bm25": [2e3, 20]}
    rows = [
        (system, keys, speed, 0.9 * speed, 1.1 * speed, keys / 1e6, keys / 1e4)
        for system, values in per_second.items()
        for keys, speed in zip((1_000, 100_000, 1_000_000), values, strict=False)
    ]
    columns = ["system", "keys", "queries_per_second", "low", "high", "build_s", "build_peak_mb"]
    return pd.DataFrame(rows, columns=columns)


def test_speed_says_what_growth_costs_and_how_far_apart_the_lines_end() -> None:
    figure = retrieval_speed(speeds(), "seed 0")
    title = "With 100 times the keys the exact index slows 2-fold, bm25s 100-fold, rank-bm25 100-fold"
    assert figure.get_suptitle() == title
    assert {"exact index", "bm25s\n100 × slower", "rank-bm25\n20,000 × slower", "seed 0"} <= texts(figure)
    main = figure.axes[0]
    assert (main.get_xscale(), main.get_yscale()) == ("log", "log")
    assert sorted(len(line.get_xdata()) for line in main.lines) == [2, 2, 3]


@pytest.mark.parametrize(
    ("value", "text"), [(0.01, "0.01"), (5, "5"), (1_000, "1k"), (300_000, "300k"), (1e7, "10M"), (1e9, "1G")]
)
def test_axis_numbers(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(("value", "text"), [(1.23, "1.2"), (9.96, "10"), (64.8, "65"), (61_250, "61,000")])
def test_factors(value: float, text: str) -> None:
    assert rounded(value) == text


def counts(**states: str) -> pd.DataFrame:
    """Two data sets of 10 and 1,000 instances in the given states, and a world of 5."""
    rows = []
    for dataset, printed in (("A", 10.0), ("B", 1000.0)):
        state = states[dataset]
        ours = {"counted": printed, "sample": 7.0}.get(state)
        verdict = {"counted": "same", "sample": "differs"}.get(state, "")
        rows.append((dataset, "instances", printed, None, ours, verdict, f"source {dataset}", state, ""))
    rows.append(("world", "instances", None, None, 5.0, "", "world", "generated", "seed 0"))
    columns = ["dataset", "metric", "published", "publisher", "ours", "verdict", "source", "state", "note"]
    frame = pd.DataFrame(rows, columns=columns)
    numbers = ["published", "publisher", "ours"]
    return frame.astype(dict.fromkeys(numbers, "float64"))


@pytest.mark.parametrize(
    ("a", "b", "title"),
    [
        ("counted", "sample", "A counts as printed; B is here as a sample"),
        ("counted", "counted", "A and B count as printed"),
        ("not at hand", "not at hand", "A and B are not at hand"),
        (
            "not looked for",
            "not looked for",
            "The paper's data sets have 2 to 200 times the rows of the embedded world",
        ),
    ],
)
def test_data_sets_title(a: str, b: str, title: str) -> None:
    assert dataset_statistics(counts(A=a, B=b)).get_suptitle() == title


def test_a_data_set_that_counts_otherwise_is_said_to() -> None:
    frame = counts(A="counted", B="counted")
    frame.loc[1, ["ours", "verdict"]] = [999.0, "differs"]
    figure = dataset_statistics(frame)
    assert figure.get_suptitle() == "A counts as printed; B counts otherwise than printed"
    assert {"10 ✓", "1,000", "999"} <= texts(figure)


def test_the_publisher_is_quoted_only_where_it_counts_otherwise() -> None:
    frame = counts(A="not at hand", B="not at hand")
    frame["publisher"] = [10.0, 1_001.0, float("nan")]
    shown = texts(dataset_statistics(frame))
    assert [text for text in shown if text.startswith("publisher: ")] == ["publisher: 1,001"]
    assert "source A" not in shown, "an absent data set has no source here"
    assert {"not at hand", "seed 0"} <= shown
