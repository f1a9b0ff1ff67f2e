"""Tables built from codes (not from a raw table): what is checked, and their fingerprints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.data.interactions import Interactions
from workbench.errors import DataError

CODES = np.array([1, 2, 1], np.int32)
WORDS = np.array([0, 5, 6])
WRONG = {
    "decimal codes": ({"item": CODES / 1}, "3 int32 values, not .* float64", None, "item"),
    "wide codes": ({"item": CODES.astype(np.int64)}, "not .* int64", None, "item"),
    "code below": ({"item": np.array([1, -2, 1], np.int32)}, "-2 is not between 0 and 2", 2, "item"),
    "code above": ({"item": np.array([1, 2, 3], np.int32)}, "3 is not between 0 and 2", 3, "item"),
    "a list": ({"item": [1, 2, 1]}, "not list", None, "item"),
    "decimal times": ({"timestamp": np.array([1, np.nan, 3])}, "not .* float64", None, "timestamp"),
    "unsigned times": ({"timestamp": np.array([1, 2, 3], np.uint64)}, "not .* uint64", None, "timestamp"),
    "time below": ({"timestamp": np.array([-1, 2, 3])}, "-1 is not between", 1, "timestamp"),
    "decimal labels": ({"label": np.ones(3)}, "not .* float64", None, "label"),
    "label of 2": ({"label": np.array([0, 1, 2], np.int8)}, "2 is not between 0 and 1", 3, "label"),
    "label below": ({"label": np.array([0, -1, 1], np.int8)}, "-1 is not between", 2, "label"),
}


def build(vocabulary: object = WORDS, **changes: object) -> Interactions:
    """A table built from codes, all its fields with one vocabulary."""
    numbers = {"timestamp": np.arange(3), "label": np.ones(3, np.int8)}
    columns = {"user": CODES, "item": CODES, **{k: v for k, v in changes.items() if k not in numbers}}
    numbers |= {name: changes[name] for name in numbers if name in changes}
    return Interactions(columns, dict.fromkeys(columns, vocabulary), **numbers, name="toy")


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
    with pytest.raises(DataError, match=r"array of 3 int32 values, not \(2,\) int32") as error:
        Interactions({"user": column, "item": column[:2]}, timestamp=np.array([1, 2, 3]), **kwargs)
    assert error.value.column == "item"


@pytest.mark.parametrize("fault", WRONG)
def test_tables_built_from_codes_are_checked_too(fault: str) -> None:
    changes, told, row, column = WRONG[fault]
    with pytest.raises(DataError, match=told) as error:
        build(**changes)
    assert (error.value.file, error.value.row, error.value.column) == ("toy", row, column)


def test_vocabularies_hold_whole_numbers_or_strings() -> None:
    for words in (np.array([0, 1.5, 2]), np.array([0, "a", 2], object), ["unknown", "a", "b"], None):
        with pytest.raises(DataError, match="whole numbers or of strings") as error:
            build(words)
        assert error.value.column == "user"
    with pytest.raises(DataError, match="whole numbers or of strings") as error:
        replace(build(), columns={"user": CODES, "item": CODES, "city": CODES})
    assert error.value.column == "city"
    assert build(np.array(["unknown", "a", "b"])).value("item", 2) == "b"


def test_no_two_vocabularies_share_a_fingerprint() -> None:
    """Each pair here is the same once its words are joined, or written down without their kind."""
    words = [
        ["unknown", "a\nb", "c"],
        ["unknown", "a", "b\nc"],
        ["unknown\na", "b", "c"],
        ["unknown", "a", "b", "c"],
        ["unknown", "", "abc"],
        ["unknown", "abc", ""],
        ["unknown", "\ud83d\ude00", "b"],  # two halves
        ["unknown", "\U0001f600", "b"],  # the character they would make
        ["unknown", "\ud83d", "b"],
        ["unknown", "\ud83e", "b"],
        ["0", "1", "2"],
    ]
    numbers = [np.array([0, 1, 2]), np.array([0, 1, -1]), np.array([0, 1, 2**64 - 1], np.uint64)]
    prints = {build(np.array(values, dtype=object)).fingerprint for values in words}
    prints |= {build(values).fingerprint for values in numbers}
    assert len(prints) == len(words) + len(numbers)
    # What only differs in how the array stores it is the same table.
    same = (np.int64, np.int32, np.uint64, object)
    assert len({build(np.array([0, 1, 2], dtype)).fingerprint for dtype in same}) == 1
    assert len({build(np.array(["u", "a", "b"], dtype)).fingerprint for dtype in (object, "U5")}) == 1


@pytest.mark.parametrize("words", [WORDS, np.array(["unknown", "a", "b"])])
def test_a_fingerprint_knows_which_column_is_which(words: np.ndarray) -> None:
    """Codes change places between two fields, or a field its name: another table."""
    one, two = np.array([1, 1, 2], np.int32), np.array([1, 2, 2], np.int32)
    fields = [{"a": one, "b": two}, {"a": two, "b": one}, {"a": one, "c": two}, {"a": one}]
    assert len({build(words, **columns).fingerprint for columns in fields}) == 4
    assert build(words, b=two, a=one).fingerprint == build(words, a=one, b=two).fingerprint
