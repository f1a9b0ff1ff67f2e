"""The validated table: what it refuses, how it codes, the order it fixes."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError

IDS = st.one_of(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=6, unique=True),
    st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=6, unique=True),
)


def table(**changes: object) -> pd.DataFrame:
    """Four good rows, with some columns replaced."""
    good = {"user": [7, 7, 3, 9], "item": ["b", "a", "b", "c"], "city": ["x", "y", "x", "x"]}
    return pd.DataFrame({**good, "timestamp": [20, 10, 20, 5], "label": [1, 0, 1, 0], **changes})


def test_a_table_worked_by_hand() -> None:
    data = Interactions.from_frame(table(), name="toy", note="a remark", label_rule="1 = yes")
    assert data.fields == ("user", "item", "city")
    # Times 5, 10, 20, 20: in the tie user 3 comes before user 7.
    assert data.timestamp.tolist() == [5, 10, 20, 20]
    assert data.source_row.tolist() == [3, 1, 2, 0]
    assert data.user.tolist() == [3, 2, 1, 2]  # codes of 9, 7, 3, 7: sorted values, from 1
    assert data.item.tolist() == [3, 1, 2, 2]
    assert data.label.tolist() == [0, 0, 1, 1]
    assert data.vocabularies["user"].tolist() == [0, 3, 7, 9]
    assert data.vocabularies["item"].tolist() == ["unknown", "a", "b", "c"]
    assert (data.user.dtype, data.timestamp.dtype, data.label.dtype) == (np.int32, np.int64, np.int8)
    assert (data.size("user"), data.size("city"), len(data)) == (4, 3, 4)
    assert data.value("item", 3) == "c"
    assert data.codes(["item", "user"]).tolist() == [[3, 3], [1, 2], [2, 1], [2, 2]]
    assert (data.name, data.note, data.label_rule, data.clock) == ("toy", "a remark", "1 = yes", "seconds")
    assert data.statistics()["users"] == 3
    assert data.statistics()["click rate"] == 0.5
    assert data.statistics()["density"] == 4 / 9
    assert data.statistics()["days"] == 15 / 86_400
    for ask in (data.size, lambda name: data.codes([name])):
        with pytest.raises(ConfigError, match="unknown field 'town'; known: city, item, user"):
            ask("town")


def test_a_clock_of_places_has_no_days() -> None:
    data = Interactions.from_frame(table(timestamp=[2**40] * 4), name="toy", clock="order")
    assert np.isnan(data.statistics()["days"])
    with pytest.raises(ConfigError, match="unknown clock 'days'"):
        Interactions.from_frame(table(), name="toy", clock="days")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), users=IDS, items=IDS, rows=st.integers(1, 40))
def test_any_table_comes_back_and_is_in_order(
    data: st.DataObject, users: list[object], items: list[object], rows: int
) -> None:
    def draw(values: list[object]) -> list[object]:
        return data.draw(st.lists(st.sampled_from(values), min_size=rows, max_size=rows))

    frame = pd.DataFrame(
        {
            "user": draw(users),
            "item": draw(items),
            "timestamp": draw([0, 5, 10**9]),
            "label": draw([0, 1]),
        }
    )
    built = Interactions.from_frame(frame, name="random", duplicates="keep")
    back = built.to_frame()
    pd.testing.assert_frame_equal(
        back.astype(object),
        frame.iloc[built.source_row].reset_index(drop=True).astype(object),
        check_dtype=False,
    )
    # The order, by Python's own stable sort on what the codes stand for.
    rank = {user: place for place, user in enumerate(sorted(set(frame["user"])))}
    by_hand = sorted(range(rows), key=lambda k: (frame["timestamp"][k], rank[frame["user"][k]]))
    assert built.source_row.tolist() == by_hand
    for field in built.fields:
        words = built.vocabularies[field][1:].tolist()
        assert words == sorted(set(frame[field]))
        assert built.columns[field].min() >= 1


def test_codes_do_not_depend_on_the_kind_of_column() -> None:
    """Categoricals in order of first appearance, objects and strings give one table."""
    words = ["pv", "buy", "pv", "cart"]
    first_seen = pd.Categorical(words, categories=["pv", "buy", "cart", "never"])
    built = [
        Interactions.from_frame(table(city=city), name="toy")
        for city in (first_seen, pd.Series(words, dtype=object), pd.Series(words, dtype="str"))
    ]
    assert len({data.fingerprint for data in built}) == 1
    assert built[0].vocabularies["city"].tolist() == ["unknown", "buy", "cart", "pv"]


BAD = {
    "no such column": (lambda f: f.drop(columns="item"), "the column is missing", None, "item"),
    "no rows": (lambda f: f.iloc[:0], "no rows", None, None),
    "missing id": (lambda f: f.assign(item=["b", None, "b", "c"]), "a value is missing", 2, "item"),
    "missing whole": (
        lambda f: f.assign(user=pd.array([7, 7, None, 9], "Int64")),
        "a value is missing",
        3,
        "user",
    ),
    "negative id": (lambda f: f.assign(user=[7, 7, -3, 9]), "the id is negative", 3, "user"),
    "negative object": (
        lambda f: f.assign(user=pd.Series([7, 7, -3, 9], dtype=object)),
        "the id is negative",
        3,
        "user",
    ),
    "negative category": (
        lambda f: f.assign(user=pd.Categorical([7, -7, 3, 9])),
        "the id is negative",
        2,
        "user",
    ),
    "decimal id": (lambda f: f.assign(user=[7.0, 7.5, 3, 9]), "not floating", None, "user"),
    "mixed ids": (lambda f: f.assign(user=[7, "7", 3, 9]), "not mixed", None, "user"),
    "flags as ids": (lambda f: f.assign(user=[True, False, True, False]), "not boolean", None, "user"),
    "empty id": (lambda f: f.assign(city=["x", "x", "x", ""]), "the id is empty", 4, "city"),
    "label": (lambda f: f.assign(label=[1, 0, 2, 1]), "the label is 2", 3, "label"),
    "negative time": (lambda f: f.assign(timestamp=[1, -2, 3, 4]), "negative", 2, "timestamp"),
    "milliseconds": (lambda f: f.assign(timestamp=[1, 2, 3, 10**12]), "in the future", 4, "timestamp"),
    "missing time": (
        lambda f: f.assign(timestamp=pd.array([1, 2, None, 4], "Int64")),
        "a value is missing",
        3,
        "timestamp",
    ),
    "decimal time": (lambda f: f.assign(timestamp=[1, 2, 3, 4.5]), "whole seconds", 1, "timestamp"),
    "repeated": (lambda f: f.iloc[[0, 1, 2, 1]], "repeats an earlier one", 4, None),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_wrong_is_named_with_its_place(fault: str) -> None:
    spoil, told, row, column = BAD[fault]
    with pytest.raises(DataError, match=told) as error:
        Interactions.from_frame(spoil(table()), name="toy", file="log.csv")
    assert (error.value.file, error.value.row, error.value.column) == ("log.csv", row, column)


def test_repeated_rows_can_be_kept() -> None:
    twice = table().iloc[[0, 1, 2, 1]]
    assert len(Interactions.from_frame(twice, name="toy", duplicates="keep")) == 4
    with pytest.raises(ConfigError, match="unknown rule for duplicates 'drop'"):
        Interactions.from_frame(twice, name="toy", duplicates="drop")


def test_parts_keep_codes_and_order() -> None:
    data = Interactions.from_frame(table(), name="toy")
    part = data.rows(slice(1, 3))
    assert part.timestamp.tolist() == [10, 20]
    assert part.source_row.tolist() == [1, 2]
    assert part.size("user") == 4
    assert data.rows(data.label == 1).to_frame()["user"].tolist() == [3, 7]
    with pytest.raises(DataError, match="no interactions"):
        data.rows(slice(0, 0))
    with pytest.raises(DataError, match="not sorted"):
        data.rows(np.array([2, 0]))


def test_rows_out_of_order_are_refused_with_their_number() -> None:
    column = np.array([1, 2, 1], np.int32)
    words = {"user": np.array([0, 5, 6]), "item": np.array([0, 5, 6])}
    kwargs = {"vocabularies": words, "label": np.ones(3, np.int8), "name": "toy"}
    for stamps in ([1, 1, 1], [1, 2, 1]):
        with pytest.raises(DataError, match="not sorted") as error:
            Interactions({"user": column, "item": column}, timestamp=np.array(stamps), **kwargs)
        assert error.value.row == 3
    with pytest.raises(DataError, match="'item' is missing"):
        Interactions({"user": column}, timestamp=np.array([1, 2, 3]), **kwargs)
    with pytest.raises(DataError, match="values for 3 rows") as error:
        Interactions({"user": column, "item": column[:2]}, timestamp=np.array([1, 2, 3]), **kwargs)
    assert error.value.column == "item"


def test_the_fingerprint_changes_with_any_value() -> None:
    one = Interactions.from_frame(table(), name="toy").fingerprint
    assert one == Interactions.from_frame(table(), name="other name").fingerprint
    changes = {"label": [1, 0, 1, 1], "timestamp": [20, 10, 20, 6], "city": ["y", "y", "x", "x"]}
    others = [Interactions.from_frame(table(**{k: v}), name="toy").fingerprint for k, v in changes.items()]
    assert len({one, *others}) == 4


def test_a_million_rows_take_seconds() -> None:
    """Validate, code, sort and index; the bound is loose, for slow and busy machines."""
    rng, n = np.random.default_rng(0), 1_000_000
    frame = pd.DataFrame({"user": rng.integers(1, 6_041, n), "item": rng.integers(1, 3_953, n)})
    frame["city"] = pd.Categorical.from_codes(rng.integers(0, 30, n), [f"city {k}" for k in range(30)])
    frame["timestamp"] = rng.permutation(n) + 10**9
    frame["label"] = rng.integers(0, 2, n)
    start = time.perf_counter()
    histories = Histories.of(Interactions.from_frame(frame, name="large"))
    assert time.perf_counter() - start < 10
    assert len(histories) == n
