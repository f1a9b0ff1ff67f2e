"""Negatives: never an item of the user, uniform, the same every time, and kept safely on disk."""

import time
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from workbench.data.interactions import Interactions
from workbench.data.negatives import StoredNegatives, draw_negatives
from workbench.errors import ConfigError, DataError


def log(user, item, users=None, items=None):
    """A log whose codes are given; time is the row number."""
    user, item = np.asarray(user, dtype=np.int32), np.asarray(item, dtype=np.int32)
    return Interactions(
        columns={"user": user, "item": item},
        vocabularies={
            "user": np.arange((users or user.max()) + 1) * 100,
            "item": np.arange((items or item.max()) + 1),
        },
        timestamp=np.arange(len(user)),
        label=np.ones(len(user), dtype=np.int8),
        name="toy",
    )


# User 1 owns items 2 and 5; user 2 has seen the rest, so that all ten items are in the catalogue.
TOY = log([1, 1, *[2] * 8], [2, 5, 1, 3, 4, 6, 7, 8, 9, 10])
OTHERS = np.array([1, 3, 4, 6, 7, 8, 9, 10])  # what user 1 does not own


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_never_an_item_of_the_user_never_twice(data):
    pairs = data.draw(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), min_size=1, max_size=30))
    user, item = np.array(pairs).T
    toy = log(user, item, users=6, items=12)
    catalogue = set(item.tolist()) - {0}  # code 0 is no item; items 10 to 12 have no row
    count = data.draw(st.integers(1, 4))
    asked = np.array(data.draw(st.lists(st.sampled_from(user.tolist()), min_size=1, max_size=6)))
    others = [catalogue - set(item[user == u].tolist()) for u in asked]
    if min(map(len, others)) < count:
        with pytest.raises(DataError, match="can be negatives"):
            draw_negatives(toy, asked, purpose="test", count=count)
        return
    drawn = draw_negatives(toy, asked, purpose="test", count=count, seed=data.draw(st.integers(0, 9)))
    assert drawn.shape == (len(asked), count)
    assert drawn.dtype == np.int32
    for row, allowed in zip(drawn.tolist(), others, strict=True):
        assert len(set(row)) == count
        assert set(row) <= allowed
        if len(allowed) == count:
            assert set(row) == allowed


@pytest.mark.parametrize("count", [3, 7])
def test_every_other_item_is_equally_likely_in_every_column(count):
    """Also in the first column alone: Floyd's order, unshuffled, puts the large ranks last."""
    drawn = draw_negatives(TOY, np.ones(8000, dtype=int), purpose="test", count=count)
    for column in drawn.T:
        assert np.isin(column, OTHERS).all()
        assert chisquare(np.bincount(column, minlength=11)[OTHERS]).pvalue > 1e-3


@pytest.mark.parametrize("count", [2, 5])
def test_every_set_of_items_is_equally_likely(count):
    """Uniform columns are not enough: the draws of one row must also be independent of each other."""
    drawn = np.sort(draw_negatives(TOY, np.ones(20_000, dtype=int), purpose="validation", count=count))
    _, times = np.unique(drawn, axis=0, return_counts=True)
    assert len(times) == comb(8, count)
    assert chisquare(times).pvalue > 1e-3


def test_one_seed_two_purposes():
    rng = np.random.default_rng(0)
    toy = log(rng.integers(1, 20, 500), rng.integers(1, 400, 500))
    users = np.arange(1, 20)
    test = draw_negatives(toy, users, purpose="test", seed=3)
    assert (test == draw_negatives(toy, users, purpose="test", seed=3)).all()
    for other in (
        *({"purpose": p, "seed": 3} for p in ("validation", "train")),
        {"purpose": "test", "seed": 4},
    ):
        drawn = draw_negatives(toy, users, **other)
        shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(test, drawn, strict=True)])
        # Two independent draws of 99 from about 250 others share 99 * 99 / 250, not all.
        assert shared < 60


def test_the_drawn_numbers_stay_what_they_were():
    """Stored files and published results rest on these; a change must be a decision."""
    drawn = draw_negatives(TOY, np.array([1, 2, 1]), purpose="test", count=2, seed=8)
    assert drawn.tolist() == [[7, 6], [2, 5], [3, 9]]


def test_a_million_draws_take_about_a_second():
    rng = np.random.default_rng(1)
    big = log(rng.integers(1, 20_001, 200_000), rng.integers(1, 12_001, 200_000))
    users = rng.choice(np.unique(big.user), 10_102)
    started = time.perf_counter()
    drawn = draw_negatives(big, users, purpose="test")
    assert time.perf_counter() - started < 5  # 0.15 s here; a loop over rows would take far longer
    owned = np.unique(big.user.astype(np.int64) * 20_000 + big.item)
    assert not np.isin(users[:, None] * 20_000 + drawn, owned).any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"users": [2], "count": 3}, DataError, "user 200 has 8 of the 10 items, so only 2 .* not 3"),
        ({"users": [1, 2], "count": 3}, DataError, "toy, row 2"),
        ({"users": [0]}, DataError, "user code 0 has no row"),
        ({"users": [1, 3]}, DataError, "row 2, column 'user': user code 3"),
        ({"users": [-1]}, DataError, "user code -1"),
        ({"users": []}, DataError, "at least one"),
        ({"users": [[1]]}, DataError, "users must be"),
        ({"users": [1.0]}, DataError, "integer"),
        ({"count": 0}, ConfigError, "at least 1"),
        ({"seed": -1}, ConfigError, "seed at least 0"),
        ({"purpose": "practice"}, ConfigError, "'practice'; known: test, train, validation"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, error, message):
    arguments = {"users": [1], "count": 2, "seed": 0, "purpose": "test", **change}
    with pytest.raises(error, match=message):
        draw_negatives(TOY, np.array(arguments.pop("users")), **arguments)


def test_a_user_without_rows_is_refused():
    with pytest.raises(DataError, match="whole log"):
        draw_negatives(log([1, 1], [1, 2], users=5), np.array([4]), purpose="test", count=1)


# --- on disk --------------------------------------------------------------------------------------------


@pytest.fixture
def stored():
    return StoredNegatives.draw(TOY, np.array([1, 2]), purpose="test", count=2, seed=5)


def test_saved_and_loaded_again(tmp_path, stored):
    path = tmp_path / "negatives.npz"
    stored.save(path)
    stored.save(path)  # over an old one too
    again = StoredNegatives.load(path, TOY, "test")
    assert (again.items == draw_negatives(TOY, np.array([1, 2]), purpose="test", count=2, seed=5)).all()
    assert again.items.dtype == again.users.dtype == np.int32
    assert again.users.tolist() == [1, 2]
    assert (again.seed, again.purpose, again.fingerprint) == (5, "test", TOY.fingerprint)
    assert [entry.name for entry in tmp_path.iterdir()] == ["negatives.npz"]


def test_negatives_of_another_log_or_purpose_are_refused(tmp_path, stored):
    path = tmp_path / "negatives.npz"
    stored.save(path)
    other = log(TOY.user, np.roll(TOY.item, 1))
    with pytest.raises(DataError, match="drawn from another log"):
        StoredNegatives.load(path, other, "test")
    with pytest.raises(DataError, match="these are test negatives, not validation"):
        StoredNegatives.load(path, TOY, "validation")


def test_an_interrupted_save_leaves_the_old_file(tmp_path, stored, monkeypatch):
    path = tmp_path / "negatives.npz"
    stored.save(path)
    before = path.read_bytes()

    def half(file, **arrays):
        file.write(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", half)
    with pytest.raises(KeyboardInterrupt):
        stored.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["negatives.npz"]


@pytest.mark.parametrize("content", ["", "text", "cut", "npy", "other npz", "pickle", "misfit"])
def test_files_that_are_no_stored_negatives_are_refused(tmp_path, stored, content):
    path = tmp_path / "negatives.npz"
    if content == "cut":
        stored.save(path)
        path.write_bytes(path.read_bytes()[:-40])
    elif content == "npy":
        with path.open("wb") as file:
            np.save(file, stored.items)
    elif content == "other npz":
        np.savez(path, users=stored.users)
    elif content == "pickle":
        np.savez(path, users=stored.users, items=np.array([{}], dtype=object))
    elif content == "misfit":
        np.savez(path, users=stored.users, items=stored.items[:1], fingerprint="", seed=0, purpose="test")
    else:
        path.write_text(content)
    with pytest.raises(DataError, match="not a file of stored negatives"):
        StoredNegatives.load(path, TOY, "test")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DataError, match=r"absent\.npz: there is no such file"):
        StoredNegatives.load(tmp_path / "absent.npz", TOY, "test")
