"""The validated table: what it refuses, how it codes, the order it fixes."""

from __future__ import annotations

import decimal
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError

IDS = st.one_of(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6, unique=True),
    st.lists(st.text(min_size=1, max_size=3).filter(str.strip), min_size=1, max_size=6, unique=True),
    st.lists(st.sampled_from(["unknown", "None", "0", "a"]), min_size=1, max_size=4, unique=True),
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


def objects(*values: object) -> pd.Series:
    """A column that pandas keeps as it is."""
    return pd.Series(values, dtype=object)


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
    "decimal id": (lambda f: f.assign(user=[7.0, 7.5, 3, 9]), "of type float", 1, "user"),
    "mixed ids": (lambda f: f.assign(user=[7, "7", 3, 9]), "of type str", 2, "user"),
    "mixed categories": (lambda f: f.assign(user=pd.Categorical([7, 7, "7", 9])), "of type str", 3, "user"),
    "flags as ids": (lambda f: f.assign(user=[True, False, True, False]), "of type bool", 1, "user"),
    # Hashing takes these for the number 7, so that they must be seen before it.
    "a decimal 7": (lambda f: f.assign(user=objects(7, 3, 7.0, 9)), "of type float", 3, "user"),
    "True for 1": (lambda f: f.assign(user=objects(1, 2, 3, True)), "of type bool", 4, "user"),
    "lists as ids": (lambda f: f.assign(user=objects([7], [7], [3], [9])), "of type list", 1, "user"),
    "one list": (lambda f: f.assign(user=objects(7, 7, [3], 9)), "of type list", 3, "user"),
    "a span as id": (lambda f: f.assign(user=objects(7, np.timedelta64(7), 3, 9)), "timedelta64", 2, "user"),
    "Arrow lists": (
        lambda f: f.assign(user=pd.Series([[7], [7], [3], [9]], dtype=pd.ArrowDtype(pa.list_(pa.int64())))),
        "of type list",
        1,
        "user",
    ),
    "bytes as ids": (lambda f: f.assign(city=objects(b"x", b"y", b"x", b"x")), "of type bytes", 1, "city"),
    "times as ids": (lambda f: f.assign(user=pd.to_datetime([7, 7, 3, 9])), "of type Timestamp", 1, "user"),
    "huge id": (lambda f: f.assign(user=objects(7, 2**64, 3, 9)), "does not fit in 64 bits", 2, "user"),
    "huge negative id": (lambda f: f.assign(user=objects(7, 7, -(2**70), 2**70)), "negative", 3, "user"),
    "empty id": (lambda f: f.assign(city=["x", "x", "x", ""]), "the id is empty", 4, "city"),
    "blank id": (lambda f: f.assign(city=["x", " \t", "x", "x "]), "only white space", 2, "city"),
    "half a character": (lambda f: f.assign(city=objects("x", "y", "\ud800", "x")), "not valid", 3, "city"),
    "label": (lambda f: f.assign(label=[1, 0, 2, 1]), "the label is 2", 3, "label"),
    "missing label": (lambda f: f.assign(label=[1, 0, np.nan, 1]), "a value is missing", 3, "label"),
    "half a label": (lambda f: f.assign(label=[1, 0, 1, 0.5]), "the label is 0.5", 4, "label"),
    "label as text": (lambda f: f.assign(label=["1", "0", "1", "0"]), "the label is '1'", 1, "label"),
    "complex label": (lambda f: f.assign(label=[1 + 0j, 0, 1, 0]), "not complex", 1, "label"),
    "complex objects": (lambda f: f.assign(label=objects(1, 0, 1 + 0j, 0)), "not object", 1, "label"),
    "negative time": (lambda f: f.assign(timestamp=[1, -2, 3, 4]), "negative", 2, "timestamp"),
    "milliseconds": (lambda f: f.assign(timestamp=[1, 2, 3, 10**12]), "in the future", 4, "timestamp"),
    "missing time": (
        lambda f: f.assign(timestamp=pd.array([1, 2, None, 4], "Int64")),
        "a value is missing",
        3,
        "timestamp",
    ),
    "decimal time": (lambda f: f.assign(timestamp=[1, 2, 3, 4.5]), "whole seconds", 1, "timestamp"),
    "unsigned time": (
        lambda f: f.assign(timestamp=np.array([1, 2, 2**63 + 5, 4], np.uint64)),
        "the time 9223372036854775813 lies in the future",
        3,
        "timestamp",
    ),
    "number as column": (lambda f: f.rename(columns={"city": 5}), "must be strings, not 5", None, None),
    "column levels": (
        lambda f: f.set_axis(pd.MultiIndex.from_product([f.columns, [""]]), axis=1),
        r"must be strings, not \('user', ''\)",
        None,
        None,
    ),
    "column twice": (lambda f: pd.concat([f, f[["item"]]], axis=1), "two columns", None, "item"),
    "extra twice": (lambda f: pd.concat([f, f[["city"]]], axis=1), "two columns", None, "city"),
    # Column names come before what is in the columns.
    "twice and bad": (lambda f: pd.concat([f, f[["city"]] * 0], axis=1), "two columns", None, "city"),
    "repeated": (lambda f: f.iloc[[0, 1, 2, 1]], "repeats an earlier one", 4, None),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_wrong_is_named_with_its_place(fault: str) -> None:
    spoil, told, row, column = BAD[fault]
    with pytest.raises(DataError, match=told) as error:
        Interactions.from_frame(spoil(table()), name="toy", file="log.csv")
    assert (error.value.file, error.value.row, error.value.column) == ("log.csv", row, column)


def test_moments_are_refused_with_the_way_to_seconds() -> None:
    """The advice in the message does what it says, whatever the unit and the zone."""
    moments = pd.Series(pd.to_datetime([20, 10, 20, 5], unit="s"))
    zoned = moments.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    arrow = moments.astype("timestamp[us][pyarrow]")
    for times in (moments, moments.astype("datetime64[ns]"), zoned, arrow):
        frame = table(timestamp=times)
        with pytest.raises(DataError, match=r"not (datetime64|timestamp)") as error:
            Interactions.from_frame(frame, name="toy")
        advice = error.value.fix.removeprefix("For seconds since 1970 write ")
        frame["timestamp"] = eval(advice, {"frame": frame})
        assert Interactions.from_frame(frame, name="toy").timestamp.tolist() == [5, 10, 20, 20]


def test_places_go_up_to_the_largest_int64() -> None:
    places = np.array([3, 2, 1, 2**63 - 1], np.uint64)
    data = Interactions.from_frame(table(timestamp=places), name="toy", clock="order")
    assert data.timestamp.tolist() == [1, 2, 3, 2**63 - 1]
    places[1] += 2**63
    with pytest.raises(DataError, match="the time 9223372036854775810 does not fit in int64") as error:
        Interactions.from_frame(table(timestamp=places), name="toy", clock="order")
    assert error.value.row == 2


def test_labels_of_any_real_kind() -> None:
    for dtype in ("bool", "float64", "Int8", "boolean", "uint8", "Sparse[int64]", "int64[pyarrow]"):
        frame = table(label=pd.Series([1, 0, 1, 0]).astype(dtype))
        assert Interactions.from_frame(frame, name="toy").label.tolist() == [0, 0, 1, 1]
    with pytest.raises(DataError, match='Write astype\\("int8"\\)'):
        Interactions.from_frame(table(label=objects(*[decimal.Decimal(1)] * 4)), name="toy")


@pytest.mark.parametrize("ids", [["b", "unknown", "b", "c"], [2, 0, 2, 5]])
def test_an_id_that_looks_like_the_placeholder_is_a_value_like_any_other(ids: list[object]) -> None:
    """Only code 0 is no value: it gives None, never the word or number that fills its place."""
    data = Interactions.from_frame(table(item=ids), name="toy")
    raw = data.vocabularies["item"]
    assert raw[0] in raw[1:]
    assert data.to_frame()["item"].tolist() == [ids[k] for k in data.source_row]
    assert [data.value("item", code) for code in data.item] == data.to_frame()["item"].tolist()
    assert data.value("item", 0) is None
    item = data.item.copy()
    item[1] = 0  # the row of "unknown" or 0
    columns = {**data.columns, "item": item}
    unseen = Interactions(columns, data.vocabularies, data.timestamp, data.label, "toy")
    frame = unseen.to_frame()
    assert frame["item"].isna().tolist() == [False, True, False, False]
    assert frame["item"].dropna().tolist() == [data.value("item", code) for code in item if code]
    assert frame["user"].tolist() == data.to_frame()["user"].tolist()
    with pytest.raises(DataError, match="a value is missing") as error:
        Interactions.from_frame(frame, name="toy")
    assert (error.value.row, error.value.column) == (2, "item")


def test_a_code_nobody_has_is_refused() -> None:
    data = Interactions.from_frame(table(), name="toy")
    for code in (-1, 4):
        with pytest.raises(DataError, match=f"there is no code {code}; codes go to 3") as error:
            data.value("item", code)
        assert error.value.column == "item"
    with pytest.raises(ConfigError, match="unknown field 'town'"):
        data.value("town", 1)


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


def test_the_fingerprint_changes_with_any_value() -> None:
    one = Interactions.from_frame(table(), name="toy").fingerprint
    assert one == Interactions.from_frame(table(), name="other name").fingerprint
    changes = {"label": [1, 0, 1, 1], "timestamp": [20, 10, 20, 6], "city": ["y", "y", "x", "x"]}
    others = [Interactions.from_frame(table(**{k: v}), name="toy").fingerprint for k, v in changes.items()]
    about = [{"label_rule": "1 = x"}, {"label_rule": "1 = y"}, {"clock": "order"}]
    others += [Interactions.from_frame(table(), name="toy", **words).fingerprint for words in about]
    assert len({one, *others}) == 7


def test_ids_of_any_integer_type_are_one_table() -> None:
    """Also those only an unsigned or a Python number holds."""
    for ids in ([7, 7, 3, 9], [7, 2**63, 3, 2**64 - 1]):
        users = [pd.Series(ids, dtype=dtype) for dtype in ("uint64", "UInt64", object, "uint64[pyarrow]")]
        if max(ids) < 2**63:
            users += [pd.Series(ids, dtype=dtype) for dtype in ("int64", "int8", "Sparse[int64]", "category")]
        built = [Interactions.from_frame(table(user=user), name="toy") for user in users]
        assert len({data.fingerprint for data in built}) == 1
        assert len({data.vocabularies["user"].dtype for data in built}) == 1
        assert built[0].vocabularies["user"].tolist() == [0, *sorted(set(ids))]


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
