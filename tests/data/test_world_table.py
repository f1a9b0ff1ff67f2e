"""The embedded world as users meet it: the table, its ceiling, bad configuration, files."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import fields

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data import load, world_kernel
from workbench.data import world as world_module
from workbench.data.world import (
    KINDS,
    KNOBS,
    PRESETS,
    best_reachable,
    make_world,
    read_world,
    stream_world,
)
from workbench.errors import ConfigError, DataError

STEP = KINDS.index("step")


# --- the table and its ceiling -------------------------------------------------------------------


def test_load_gives_the_named_world():
    data = load("world:tiny", seed=4)
    assert data.fingerprint == make_world("tiny", 4).interactions.fingerprint
    assert (data.name, data.note) == ("world:tiny", "generated, seed 4")
    assert make_world("tiny", order_noise=0.5).interactions.note == "generated, seed 0, order_noise=0.5"


@pytest.mark.parametrize(("noise", "auc"), [(0, 0.895), (0.5, 0.795), (1, 0.695)])
def test_label_noise_lowers_the_ceiling(noise, auc):
    world = make_world("small", 0, label_noise=noise)
    reached = best_reachable(world, slice(None))
    assert abs(reached.auc - auc) < 0.01
    # Entropy of the labels given everything: no prediction has a lower expected cross-entropy.
    p = world.truth.p_star
    assert abs(reached.logloss + (p * np.log(p) + (1 - p) * np.log(1 - p)).mean()) < 0.01


def test_the_ceiling_by_hand_and_on_one_kind():
    world = make_world("tiny", 0)
    rows = np.flatnonzero(world.interactions.user == 5)
    label, p = world.interactions.label[rows], world.truth.p_star[rows]
    wins = p[label == 1][:, None] - p[label == 0]  # AUC: pairs in the right order
    reached = best_reachable(world, rows)
    assert reached.auc == pytest.approx((wins > 0).mean() + (wins == 0).mean() / 2)
    assert reached.logloss == pytest.approx(-np.log(np.where(label, p, 1 - p)).mean())
    kinds = [best_reachable(world, slice(None), only=kind).rows for kind in KINDS]
    assert kinds == np.bincount(world.truth.kind).tolist()
    with pytest.raises(ConfigError, match="known: sign, step, taste"):
        best_reachable(world, rows, only="need")
    with pytest.raises(DataError, match="both labels"):
        best_reachable(world, rows[:1])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    users=st.integers(1, 30),
    events=st.integers(1, 80),
    source=st.booleans(),
    knobs=st.fixed_dictionaries({name: st.floats(0, 1) for name in KNOBS}),
)
def test_shapes_and_ranges(seed, users, events, source, knobs):
    more = {"source_events": 20, "source_items": 30} if source else {}
    world = make_world("tiny", seed, users=users, events=events, **more, **knobs)
    data, truth, config = world.interactions, world.truth, world.config
    for name, codes in data.columns.items():
        assert codes.dtype == np.int32
        assert codes.min() >= 1
        assert codes.max() < data.size(name)
    assert all(getattr(truth, field.name).shape == (len(data),) for field in fields(truth))
    assert set(np.unique(data.user)) == set(range(1, users + 1))
    assert np.bincount(data.user)[1:].min() >= 10 * (1 + source)
    assert (data.timestamp.dtype, data.label.dtype) == (np.int64, np.int8)
    assert ((truth.p_star > 0) & (truth.p_star < 1)).all()
    at_home = data.columns["domain"] == 1 if source else np.full(len(data), True)
    assert (truth.need[at_home] >= 0).all()
    assert truth.need.max() < config.needs
    assert (truth.need[~at_home] == -1).all()
    assert (truth.interest[truth.alive] >= 0).all()
    assert truth.interest.max() < config.interests
    assert (truth.v[truth.kind != STEP] == 0).all()
    assert all(len(getattr(world.items, field.name)) == data.size("item") for field in fields(world.items))
    assert all(len(getattr(world.users, field.name)) == users + 1 for field in fields(world.users))


@pytest.mark.parametrize(
    ("preset", "knobs", "message"),
    [
        (
            "big",
            {},
            "unknown preset 'big'; known: lifelong, long, small, tiny, tiny_two_domain, two_domain",
        ),
        ("tiny", {"sucession": 1}, "unknown knob 'sucession'; known: .*succession"),
        ("tiny", {"succession": 1.5}, "succession must lie between 0 and 1, not 1.5"),
        ("tiny", {"label_noise": -0.1}, "label_noise must lie between 0 and 1"),
        ("tiny", {"order_noise": float("nan")}, "order_noise must be a number"),
        ("tiny", {"order_noise": "1"}, "order_noise must be a number, not '1'"),
        ("tiny", {"users": 0}, "users must be at least 1, not 0"),
        ("tiny", {"events": 10.5}, "events must be a whole number, not 10.5"),
        ("tiny", {"users": True}, "users must be a whole number"),
        ("tiny", {"mix": (0.5, 0.6, 0.1)}, "mix must be three shares adding to 1"),
        ("tiny", {"mix": (0.5, 0.5)}, "mix must be three shares"),
        ("tiny", {"mix": 1}, "mix must be three shares, not 1"),
        ("tiny", {"interests": 9}, "9 interests need at least as many topics, not 8"),
        ("tiny", {"taste_items": 7}, r"taste_items must be at least topics \(8\)"),
        ("tiny", {"sign_items": 7}, r"sign_items must be at least needs \(8\)"),
        ("tiny", {"step_items": 7}, r"step_items must be at least needs \(8\)"),
        ("tiny", {"needs": 1}, "need at least 2 needs"),
        ("tiny", {"chains": 0}, "at least 1 chain"),
        ("tiny", {"f_ready": 0.8}, "f_ready . f_passed must not exceed 1"),
        ("tiny", {"f_session": 0.9}, "f_session . f_other must not exceed 1"),
        ("tiny", {"source_events": 5}, "source_events and source_items"),
        ("tiny", {"source_events": 5, "source_items": 3}, "source_items must be at least topics"),
        ("long", {"mix": (0.5, 0.5, 0.0)}, "sign_items must be at least needs"),
        ("tiny", {"seed": -1}, "seed must be a whole number from 0, not -1"),
        ("tiny", {"seed": 1.0}, "seed must be a whole number from 0, not 1.0"),
    ],
)
def test_bad_configuration_is_refused_with_the_reason(preset, knobs, message):
    with pytest.raises(ConfigError, match=message):
        make_world(preset, **knobs)


def test_every_preset_field_can_be_set_and_is_frozen():
    assert set(PRESETS) == {
        "tiny",
        "small",
        "long",
        "lifelong",
        "two_domain",
        "two_domain_long",
        "tiny_two_domain",
    }
    config = make_world("tiny", mix=[0, 1, 0], users=np.int64(5)).config
    assert (config.mix, config.users, type(config.users)) == ((0.0, 1.0, 0.0), 5, int)
    with pytest.raises(AttributeError):
        config.users = 6


def test_a_hundred_thousand_interactions_take_less_than_half_a_second():
    make_world("tiny")  # compiled or loaded by now
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        make_world("small")
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.5


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["tiny", "two_domain"])
def test_one_chunk_on_disk_is_the_world_in_memory(tmp_path, preset):
    path = tmp_path / "world.parquet"
    world = make_world(preset, 3, users=50, order_noise=0.5)
    assert stream_world(path, 50, preset, 3, order_noise=0.5) == len(world.interactions)
    back = read_world(path)
    assert back.fingerprint == world.interactions.fingerprint
    assert (back.name, back.note) == (world.interactions.name, world.interactions.note)
    for name, values in world.interactions.vocabularies.items():
        np.testing.assert_array_equal(back.vocabularies[name], values)
    p_star = pq.read_table(path, columns=["p_star"])["p_star"].to_numpy()[back.source_row]
    np.testing.assert_array_equal(p_star, world.truth.p_star.astype(np.float32))


def test_many_chunks_keep_the_row_order_the_items_and_the_calibration(tmp_path):
    path = tmp_path / "world.parquet"
    rows = stream_world(path, 250, "tiny", seed=1, chunk_users=100)
    file = pq.ParquetFile(path)
    assert [file.metadata.num_row_groups, file.metadata.num_rows] == [3, rows]
    table = file.read().to_pandas()
    assert table[["user", "timestamp"]].equals(
        table[["user", "timestamp"]].sort_values(["user", "timestamp"])
    )
    assert set(table["user"]) == set(range(1, 251))
    assert (table.groupby("item")[["category", "brand", "price_band"]].nunique() == 1).all().all()
    error = np.sqrt((table["p_star"] * (1 - table["p_star"])).sum()) / rows
    assert abs(table["label"].mean() - table["p_star"].mean()) < 4 * error
    first, second = (table[table["user"] == user]["item"].tolist() for user in (1, 101))
    assert first[:5] != second[:5]  # chunks do not repeat each other
    again = tmp_path / "again.parquet"
    stream_world(again, 250, "tiny", seed=1, chunk_users=100)
    assert again.read_bytes() == path.read_bytes()


def test_memory_does_not_grow_with_the_number_of_users(tmp_path):
    peaks = []
    for users in (400, 3200):
        tracemalloc.start()
        stream_world(tmp_path / "world.parquet", users, "tiny", chunk_users=200)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_an_interrupted_run_leaves_nothing_and_harms_nothing(tmp_path, monkeypatch):
    path = tmp_path / "world.parquet"

    def stopping(config, seed, chunk, *rest):
        if chunk == 1:
            raise KeyboardInterrupt
        return world_kernel.sample(config, seed, chunk, *rest)

    monkeypatch.setattr(world_module, "sample", stopping)
    with pytest.raises(KeyboardInterrupt):
        stream_world(path, 60, "tiny", chunk_users=30)
    assert list(tmp_path.iterdir()) == []
    path.write_text("an earlier file")
    with pytest.raises(KeyboardInterrupt):
        stream_world(path, 60, "tiny", chunk_users=30)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["an earlier file"]


def test_files_that_are_not_what_they_say_are_refused(tmp_path):
    path = tmp_path / "world.parquet"
    stream_world(path, 20, "tiny")
    whole = pq.read_table(path)

    def refused(message, *, written=None):
        if written is not None:
            pq.write_table(written, path)
        with pytest.raises(DataError, match=message):
            read_world(path)

    refused("column is missing or not int32.*", written=whole.drop_columns("brand"))
    refused("not written by stream_world|not a world", written=whole.replace_schema_metadata({}))
    labels = whole["label"].to_numpy().copy()
    labels[6] = 2
    at = whole.column_names.index("label")
    broken = whole.set_column(at, whole.schema.field("label"), [labels])
    refused(r"row 7, column 'label': 2 is out of range", written=broken)
    users = whole["user"].to_numpy().copy()
    users[0] = 21
    refused(r"row 1, column 'user'", written=whole.set_column(0, whole.schema.field("user"), [users]))
    path.write_bytes(path.read_bytes()[:-100])
    refused("not a readable Parquet file")
    path.unlink()
    refused("does not exist. Write it with stream_world")
    with pytest.raises(DataError, match="folder does not exist"):
        stream_world(tmp_path / "nowhere" / "world.parquet", 20, "tiny")
    with pytest.raises(ConfigError, match="chunk_users"):
        stream_world(path, 20, "tiny", chunk_users=0)
