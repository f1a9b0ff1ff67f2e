"""Chunked arrays by themselves; what a reader of them meets is in test_datastore.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.lab import chunks
from workbench.lab.chunks import ChunkFiles


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 4)


def files(folder: Path, rows: int = 10, about: str = "numbers") -> ChunkFiles:
    return ChunkFiles(folder / "arrays", {"about": about}, ("a", "b"), rows, 3)


def values(made: ChunkFiles, chunk: int) -> dict[str, np.ndarray]:
    """Line r of "a" is r, of "b" -r."""
    lines = made.lines(chunk)
    column = np.arange(lines.start, lines.stop, dtype=np.float32)[:, None].repeat(3, 1)
    return {"a": column, "b": -column}


def written(made: ChunkFiles, which: list[int]) -> ChunkFiles:
    with made.alone():
        made.prepared()
        for chunk in which:
            made.write(chunk, values(made, chunk))
    return made


@pytest.mark.parametrize(("rows", "lengths"), [(10, [4, 4, 2]), (8, [4, 4]), (1, [1])])
def test_chunks_cover_every_line_once(tmp_path, rows: int, lengths: list[int]) -> None:
    made = files(tmp_path, rows)
    covered = [line for chunk in made.chunks for line in range(rows)[made.lines(chunk)]]
    assert covered == list(range(rows))
    assert [made.count({chunk}) for chunk in made.chunks] == lengths
    assert made.count(set(made.chunks)) == rows
    assert made.count(()) == 0


def test_any_order_gives_the_same_arrays_which_numpy_reads(tmp_path) -> None:
    made = written(files(tmp_path), [2, 0, 1])
    made.refuse_unless_whole("array")
    expected = np.arange(10, dtype=np.float32)[:, None].repeat(3, 1)
    assert np.array_equal(np.load(tmp_path / "arrays" / "a.npy"), expected)
    assert np.array_equal(made.mapped("b"), -expected)
    assert type(made.mapped("a")) is np.ndarray
    assert not made.mapped("a").flags.writeable


def test_what_is_written_already_is_known_and_nothing_else(tmp_path) -> None:
    written(files(tmp_path), [2, 0])
    with files(tmp_path).alone():
        assert files(tmp_path).prepared() == {0, 2}
    with pytest.raises(DataError, match="this array is unfinished: 6 of 10 rows are there"):
        files(tmp_path).refuse_unless_whole("array")
    content = bytearray((tmp_path / "arrays" / "b.npy").read_bytes())
    content[-1] ^= 1  # in the last chunk
    (tmp_path / "arrays" / "b.npy").write_bytes(content)
    assert files(tmp_path).prepared() == {0}


def test_arrays_of_something_else_do_not_count(tmp_path) -> None:
    written(files(tmp_path), [0, 1, 2])
    for other in (files(tmp_path, about="letters"), files(tmp_path, rows=11)):
        with pytest.raises(DataError, match="the journal of this array is damaged"):
            other.refuse_unless_whole("array")
    assert files(tmp_path, about="letters").prepared() == set()


def test_nothing_is_written_of_a_chunk_that_is_not_finite(tmp_path) -> None:
    made = written(files(tmp_path), [0])
    broken = values(made, 1)
    broken["b"][2, 1] = np.inf
    before = (tmp_path / "arrays" / "a.npy").read_bytes()
    with pytest.raises(DataError, match="row 7: a value of b is not finite"):
        made.write(1, broken)
    assert (tmp_path / "arrays" / "a.npy").read_bytes() == before
    assert made.prepared() == {0}
