"""Retrieved rows: the retriever's own, searched once, kept by what decides them."""

from __future__ import annotations

import numpy as np
import pytest
from logs import random_log

from workbench.data.splits import TimeSplit, global_time_split
from workbench.errors import ConfigError, DataError
from workbench.lab import retrieved
from workbench.lab.contexts import Retriever
from workbench.lab.retrieved import retrieved_rows

LOG = random_log(0, rows=300, users=8)
SPLIT = global_time_split(LOG)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of queries of every search that really runs."""
    counted = []

    class Counting(Retriever):
        def retrieve(self, rows, *arguments, **options):
            counted.append(len(rows))
            return super().retrieve(rows, *arguments, **options)

    monkeypatch.setattr(retrieved, "Retriever", Counting)
    return counted


def test_they_are_what_the_retriever_finds(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(retrieved, "CHUNK", 7)  # several chunks, the last one short
    found = retrieved_rows(LOG, SPLIT, ("train", "test"), 5, folder=tmp_path)
    again = retrieved_rows(LOG, SPLIT, ("train", "test"), 5, folder=tmp_path)
    for part in ("train", "test"):
        expected = Retriever(LOG, SPLIT).retrieve(SPLIT.rows(part), 5, 1).rows
        assert np.array_equal(found[part], expected)
        assert np.array_equal(again[part], expected)
        assert found[part].dtype == np.int32


def test_the_search_runs_once_and_serves_every_smaller_k(tmp_path, searches) -> None:
    sizes = [len(SPLIT.rows(part)) for part in ("train", "test")]
    five = retrieved_rows(LOG, SPLIT, ("train", "test"), 5, folder=tmp_path)
    assert searches == sizes
    three = retrieved_rows(LOG, SPLIT, ("train", "test"), 3, folder=tmp_path)
    assert searches == sizes
    assert np.array_equal(three["test"], Retriever(LOG, SPLIT).retrieve(SPLIT.rows("test"), 3, 1).rows)
    assert np.array_equal(three["train"], five["train"][:, :3])
    retrieved_rows(LOG, SPLIT, ("test",), 6, folder=tmp_path)  # a larger one is searched, and kept in turn
    assert len(searches) == 3
    retrieved_rows(LOG, SPLIT, ("test",), 6, folder=tmp_path)
    assert len(searches) == 3


def test_whatever_decides_the_rows_is_searched_anew(tmp_path, searches) -> None:
    retrieved_rows(LOG, SPLIT, ("test",), 5, folder=tmp_path)
    other = random_log(1, rows=300, users=8)
    for log, split, options in [
        (other, global_time_split(other), {}),
        (LOG, global_time_split(LOG, (0.5, 0.25, 0.05, 0.2)), {}),
        (LOG, SPLIT, {"fields": ("item", "category")}),
        (LOG, SPLIT, {"idf": "lucene"}),
        (LOG, SPLIT, {"same_user": True}),
    ]:
        before = len(searches)
        found = retrieved_rows(log, split, ("test",), 5, folder=tmp_path, **options)
        assert len(searches) == before + 1
        same_user = options.pop("same_user", False)
        expected = Retriever(log, split, **options).retrieve(split.rows("test"), 5, 1, same_user=same_user)
        assert np.array_equal(found["test"], expected.rows)


@pytest.mark.parametrize("content", [b"", b"not an array", None])
def test_a_broken_file_is_searched_anew(tmp_path, searches, content) -> None:
    expected = retrieved_rows(LOG, SPLIT, ("test",), 5, folder=tmp_path)["test"]
    (path,) = tmp_path.iterdir()
    if content is None:  # another split's rows under this name
        np.save(path, np.full((len(expected), 5), len(LOG), np.int32))
    else:
        path.write_bytes(content)
    assert np.array_equal(retrieved_rows(LOG, SPLIT, ("test",), 5, folder=tmp_path)["test"], expected)
    assert len(searches) == 2
    assert np.array_equal(np.load(path), expected)


def test_the_default_folder_is_the_users_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    retrieved_rows(LOG, SPLIT, ("test",), 2)
    assert len(list((tmp_path / "retrieved").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "K must be a number from 1 to the 1"),
        ({"k": 1000}, "rows of the retrieval set, not 1000"),
        ({"k": 2.0}, "not 2.0"),
        ({"fields": ("item", "colour")}, "unknown field 'colour'"),
        ({"fields": ()}, "at least one field"),
        ({"idf": "best"}, "unknown IDF rule 'best'"),
        ({"parts": ("testing",)}, "unknown part 'testing'"),
    ],
)
def test_bad_configuration_is_refused_before_any_search(tmp_path, searches, options, message) -> None:
    asked = {"parts": ("test",), "k": 5} | options
    with pytest.raises(ConfigError, match=message):
        retrieved_rows(LOG, SPLIT, folder=tmp_path, **asked)
    assert searches == []
    assert list(tmp_path.iterdir()) == []


def test_a_leak_leaves_no_file(tmp_path) -> None:
    shared = int(np.flatnonzero(np.diff(LOG.timestamp) == 0)[-1]) + 1
    forged = TimeSplit(slice(0, shared), slice(shared, 300), slice(300, 300), slice(300, 300))
    with pytest.raises(DataError, match="leak"):
        retrieved_rows(LOG, forged, ("train",), 5, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
