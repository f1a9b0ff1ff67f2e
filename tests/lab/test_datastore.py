"""The datastore: each window as if encoded alone, whole or refused, resumed with the same bytes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from logs import random_log

from workbench.data.histories import Histories
from workbench.data.splits import TimeSplit, global_time_split
from workbench.errors import ConfigError, DataError
from workbench.lab import chunks
from workbench.lab.datastore import Datastore, represented
from workbench.lab.samples import prepare
from workbench.lab.tensors import Table
from workbench.methods.layers import Events
from workbench.methods.lift import Encoder
from workbench.methods.lift_config import LIFTConfig

LOG = random_log(0, rows=200, users=7)
SPLIT = global_time_split(LOG)
R, L = SPLIT.retrieval.stop, 5
FIELDS = ("item", "category", "age")
TABLE = Table(LOG, FIELDS)
SMALL = {"length": L, "width": 4, "size": 8, "layers": 1, "heads": 2, "probes": 3, "represent": "ask"}


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 16)


def made(seed: int = 0, **changes: object) -> Encoder:
    """A small encoder in training mode, with probes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = Encoder(TABLE.sizes, LIFTConfig(**{**SMALL, **changes}))
    encoder.probes.copy_(TABLE.codes[10 : 10 + len(encoder.probes)])
    return encoder


def build(
    folder: Path, encoder: Encoder | None = None, log=LOG, split=SPLIT, table=TABLE, **how
) -> Datastore:
    return Datastore.build(encoder or made(), table, log, split, folder, **how)


def opened(folder: Path) -> Datastore:
    return Datastore.open(made(), TABLE, LOG, SPLIT, folder)


def files(folder: Path) -> dict[str, bytes]:
    """What the one store in a folder is made of."""
    (store,) = folder.iterdir()
    return {path.name: path.read_bytes() for path in store.iterdir()}


def alone(encoder: Encoder, rows: list[int]) -> torch.Tensor:
    """One sequence of rows, represented by itself: no batch, no padding."""
    if not rows:
        return torch.zeros(encoder.value_size)
    codes, label = LOG.codes(FIELDS)[rows], LOG.label[rows]
    events = Events(
        torch.from_numpy(codes).long()[None],
        torch.from_numpy(label).long()[None],
        torch.ones(1, len(rows), dtype=torch.bool),
    )
    with torch.no_grad():
        return encoder.eval().represent(events)[0]


class TestValues:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"represent": "last"},
            {"represent": "mean", "encoder": "encoder"},
            {"represent": "last", "encoder": "rnn", "reverse_future": True},
            {"reverse_future": True, "layers": 2},
        ],
    )
    def test_each_is_its_window_encoded_alone(self, tmp_path, changes) -> None:
        encoder = made(**changes)
        store = build(tmp_path, encoder, batch=7)
        assert len(store) == R
        assert encoder.training, "the mode it came in"
        for row in range(R):
            mine = np.flatnonzero(LOG.user[:R] == LOG.user[row])  # in time order
            place = int(np.flatnonzero(mine == row)[0])
            past, future = mine[max(0, place - L) : place], mine[place + 1 : place + 1 + L]
            if changes.get("reverse_future"):
                future = future[::-1]
            for values, rows in ((store.history, past), (store.future, future)):
                expected = alone(encoder, rows.tolist())
                np.testing.assert_allclose(values[row], expected, rtol=1e-4, atol=1e-5)

    def test_nothing_crosses_the_end_of_the_retrieval_set(self, tmp_path) -> None:
        """Another world after the retrieval set changes no value, so no value knows of it."""
        later = np.arange(len(LOG)) >= R
        table = Table(LOG, FIELDS)
        table._label[1:][torch.from_numpy(later)] ^= 1
        table._codes[1:][torch.from_numpy(later)] = 1
        store, other = build(tmp_path / "a"), build(tmp_path / "b", table=table)
        assert np.array_equal(store.history, other.history)
        assert np.array_equal(store.future, other.future)
        # ... while the same change inside it does:
        table._label[1:][~torch.from_numpy(later)] ^= 1
        changed = build(tmp_path / "c", table=table)
        assert (changed.future != store.future).any(-1).mean() > 0.5

    def test_rows_without_a_past_or_future_are_zero(self, tmp_path) -> None:
        store, own = build(tmp_path), Histories.of(LOG, stop=R)
        first = own.events[own.offsets[:-1][np.diff(own.offsets) > 0]]
        last = own.events[own.offsets[1:][np.diff(own.offsets) > 0] - 1]
        assert not store.history[first].any()
        assert not store.future[last].any()
        assert store.history[last].any(-1).sum() > 0

    def test_a_batch_bounds_what_the_encoder_reads_at_once(self, tmp_path, monkeypatch) -> None:
        sizes = []
        real = Encoder.represent

        def watched(self, events: Events) -> torch.Tensor:
            sizes.append(len(events.there))
            assert events.there.any(0).all(), "padding that no window needs is read"
            assert torch.is_inference_mode_enabled()
            assert not self.training
            return real(self, events)

        monkeypatch.setattr(Encoder, "represent", watched)
        build(tmp_path, batch=6)
        assert max(sizes) == 6

    def test_dropout_plays_no_part(self, tmp_path) -> None:
        a, b = build(tmp_path / "a", made(dropout=0.5)), build(tmp_path / "b", made(dropout=0.5).eval())
        assert np.array_equal(a.future, b.future)


class TestFetch:
    def test_rows_and_zero_for_none(self, tmp_path) -> None:
        store = build(tmp_path)
        rows = torch.tensor([[3, -1], [R - 1, 0]])
        for part in ("history", "future"):
            values = store.fetch(part, rows)
            assert values.dtype == torch.float32
            kept = torch.from_numpy(getattr(store, part).copy())
            assert torch.equal(values[0, 0], kept[3])
            assert torch.equal(values[1], kept[[R - 1, 0]])
            assert not values[0, 1].any()
        values += 1  # a copy: the store stays as it is
        assert np.array_equal(opened(tmp_path).future, store.future)

    def test_what_is_not_there(self, tmp_path) -> None:
        store = build(tmp_path)
        with pytest.raises(IndexError):
            store.fetch("future", torch.tensor([R]))
        with pytest.raises(ConfigError, match="unknown part of a context 'past'; known: future, history"):
            store.fetch("past", torch.tensor([0]))
        with pytest.raises(ValueError, match="read-only"):
            store.future[0] = 0

    def test_samples_take_the_arrays_as_they_are(self, tmp_path) -> None:
        samples = prepare(LOG, SPLIT, 3, L, table=TABLE, cache=tmp_path / "retrieved")["test"]
        store = build(tmp_path / "stores")
        index = torch.arange(5)
        sample = samples.encoded(past=store.history, future=store.future).batch(index, {"past", "future"})
        assert torch.equal(sample.past, store.fetch("history", samples.neighbours[index]))
        assert torch.equal(sample.future, store.fetch("future", samples.neighbours[index]))


class TestWholeOrNot:
    def test_it_is_encoded_once(self, tmp_path, monkeypatch) -> None:
        store = build(tmp_path)
        before = files(tmp_path)
        monkeypatch.setattr(Encoder, "represent", None)  # whoever calls it fails
        again, whole = build(tmp_path), opened(tmp_path)
        for other in (again, whole):
            assert other.folder == store.folder
            assert np.array_equal(other.history, store.history)
            assert np.array_equal(other.future, store.future)
        assert files(tmp_path) == before
        assert store.nbytes == 2 * R * 3 * 4
        assert sum(map(len, before.values())) < store.nbytes + 2_000

    @pytest.mark.parametrize("calls", [0, 1, 5, 20])  # before, in and after the first chunk
    def test_interrupted_it_resumes_with_the_same_bytes(self, tmp_path, monkeypatch, calls: int) -> None:
        build(tmp_path / "whole", batch=5)
        left, real = [calls], Encoder.represent

        def failing(self, events: Events) -> torch.Tensor:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(self, events)

        with monkeypatch.context() as patch:
            patch.setattr(Encoder, "represent", failing)
            with pytest.raises(KeyboardInterrupt):
                build(tmp_path / "parts", batch=5)
        with pytest.raises(DataError, match=r"unfinished: \d+ of 1\d\d rows are there\. Build it again"):
            opened(tmp_path / "parts")
        seen = []
        build(tmp_path / "parts", batch=5, on_progress=lambda done, rows: seen.append((done, rows)))
        assert files(tmp_path / "parts") == files(tmp_path / "whole")
        assert seen[-1] == (R, R)
        assert (seen[0][0] > 0) == (calls == 20), "finished chunks are not encoded again"
        opened(tmp_path / "parts")

    def test_it_can_be_stopped_and_says_how_far_it_is(self, tmp_path) -> None:
        asked, seen = iter([False, False, True]), []
        stopped = build(tmp_path, stop=lambda: next(asked), on_progress=lambda *done: seen.append(done))
        assert stopped is None
        assert seen == [(0, R), (16, R), (32, R)]
        with pytest.raises(DataError, match=f"unfinished: 32 of {R} rows"):
            opened(tmp_path)
        assert build(tmp_path, stop=lambda: False) is not None
        opened(tmp_path)

    def test_a_journal_line_cut_off_vouches_for_nothing(self, tmp_path) -> None:
        whole = build(tmp_path)
        journal = whole.folder / "journal"
        journal.write_bytes(journal.read_bytes()[:-6])
        with pytest.raises(DataError, match="unfinished"):
            opened(tmp_path)
        build(tmp_path)
        assert np.array_equal(opened(tmp_path).future, whole.future)

    def test_there_is_none(self, tmp_path) -> None:
        with pytest.raises(DataError, match=r"there is no datastore for this\. Build it first"):
            opened(tmp_path)

    @pytest.mark.parametrize("name", ["history.npy", "future.npy"])
    @pytest.mark.parametrize("damage", ["truncated", "longer", "edited", "header", "removed", "other shape"])
    def test_damaged_files_are_refused_and_mended(self, tmp_path, name: str, damage: str) -> None:
        whole = build(tmp_path)
        before = files(tmp_path)
        path, content = whole.folder / name, bytearray(before[name])
        del whole
        if damage == "edited":
            content[-700] ^= 1
        elif damage == "header":
            content[8] ^= 1
        path.write_bytes(content[:-4] if damage == "truncated" else content + b"x" * (damage == "longer"))
        if damage == "removed":
            path.unlink()
        elif damage == "other shape":
            np.save(path, np.zeros((R, 4), np.float32))
        with pytest.raises(
            DataError, match=rf"{name}: rows \d+ to \d+ .* are not what was written\. Build it"
        ):
            opened(tmp_path)
        build(tmp_path)
        after = files(tmp_path)
        assert {n: after[n] for n in ("history.npy", "future.npy")} == {
            n: before[n] for n in ("history.npy", "future.npy")
        }
        opened(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"\xff\n", b'{"version": 0}\n[0, 1, 2]\n'])
    def test_a_damaged_journal_is_refused_and_mended(self, tmp_path, content: bytes) -> None:
        whole = build(tmp_path)
        before = files(tmp_path)
        (whole.folder / "journal").write_bytes(content)
        with pytest.raises(DataError, match="the journal of this datastore is damaged"):
            opened(tmp_path)
        build(tmp_path)
        assert files(tmp_path) == before

    @pytest.mark.parametrize("line", ["5", "[]", "[99, 1, 2]", "[[1], 2]", "[0, 1]", '{"a": 1}', "[0]"])
    def test_odd_lines_in_the_journal_vouch_for_nothing(self, tmp_path, line: str) -> None:
        whole = build(tmp_path)
        with (whole.folder / "journal").open("a") as file:
            file.write(line + "\n")
        build(tmp_path)
        assert np.array_equal(opened(tmp_path).future, whole.future)

    def test_a_value_that_is_not_finite(self, tmp_path) -> None:
        encoder = made(represent="last")
        with torch.no_grad():
            encoder.norm.weight[0] = float("nan")
        with pytest.raises(DataError, match=r"row \d+: a value of history is not finite"):
            build(tmp_path, encoder)
        with pytest.raises(DataError, match="unfinished: 0 of"):
            Datastore.open(encoder, TABLE, LOG, SPLIT, tmp_path)

    def test_who_comes_second_waits_and_finds_it_done(self, tmp_path, monkeypatch) -> None:
        encoded, real = [], Encoder.represent

        def slow(self, events: Events) -> torch.Tensor:
            encoded.append(len(events.there))
            return real(self, events)

        monkeypatch.setattr(Encoder, "represent", slow)
        stores: list[Datastore] = []
        threads = [
            threading.Thread(target=lambda encoder: stores.append(build(tmp_path, encoder)), args=[made()])
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(stores) == 3
        around = Histories.of(LOG, stop=R)
        full = [
            int((np.subtract(*f(np.arange(R), L)[::-1]) > 0).sum()) for f in (around.before, around.after)
        ]
        assert sum(encoded) == sum(full), "every window that is not empty was encoded once"
        assert len({store.folder for store in stores}) == 1
        journal = (stores[0].folder / "journal").read_text().splitlines()
        assert [json.loads(line)[0] for line in journal[1:]] == list(range(-(-R // 16)))


class TestWhatDecides:
    def test_each_question_has_its_own_store(self, tmp_path) -> None:
        other = random_log(1, rows=200, users=7)
        nudged = made()
        with torch.no_grad():
            nudged.head[0].bias[0] += 1e-6
        probes = made()
        probes.probes[0, 0] += 1
        cases = [
            {},
            {"encoder": made(1)},
            {"encoder": nudged},
            {"encoder": probes},
            {"encoder": made(represent="mean")},
            {"encoder": made(represent="last")},
            {"encoder": made(reverse_future=True)},
            {"encoder": made(length=6)},
            {"encoder": made(heads=1)},
            {"encoder": made(encoder="encoder")},
            {"log": other, "split": global_time_split(other), "table": Table(other, FIELDS)},
            {"split": global_time_split(LOG, (0.5, 0.25, 0.05, 0.2))},
        ]
        sizes = [Table(other, FIELDS).sizes, TABLE.sizes]
        assert sizes[0] == sizes[1], "else the encoder could not read the other log"
        folders = {build(tmp_path, **case).folder for case in cases}
        assert len(folders) == len(cases)
        twin = Table(LOG, ("category", "item", "age"))  # as many fields, in another order
        with pytest.raises(ConfigError, match="the encoder reads fields of"):
            build(tmp_path, table=twin)

    def test_what_does_not_decide_leads_to_the_same_store(self, tmp_path) -> None:
        folder = build(tmp_path).folder
        for changes in ({"k": 3}, {"dropout": 0.4}, {"mask_ratio": 0.9}, {"match": True}, {"hidden": (4,)}):
            assert build(tmp_path, made(**changes)).folder == folder
        last = build(tmp_path, made(represent="last")).folder
        asking = made(represent="last", probes=9)
        asking.load_state_dict({k: v for k, v in made().state_dict().items() if k != "probes"}, strict=False)
        with torch.no_grad():
            asking.head[0].bias += 1  # "last" asks nothing, so neither head nor probes matter
        assert build(tmp_path, asking).folder == last

    def test_an_encoder_that_goes_on_learning_finds_no_old_values(self, tmp_path) -> None:
        encoder = made()
        build(tmp_path, encoder)
        Datastore.open(encoder, TABLE, LOG, SPLIT, tmp_path)
        with torch.no_grad():
            encoder.into.weight[0, 0] += 1e-6
        with pytest.raises(DataError, match="there is no datastore for this"):
            Datastore.open(encoder, TABLE, LOG, SPLIT, tmp_path)

    def test_the_default_folder_is_the_users_cache(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
        store = Datastore.build(made(), TABLE, LOG, SPLIT)
        assert store.folder.parent == tmp_path / "datastores"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"batch": 0}, "batch must be a whole number from 1, not 0"),
            ({"batch": 1.5}, "not 1.5"),
            ({"table": Table(random_log(0, rows=90), FIELDS)}, "the table has 90 rows, the log 200"),
            ({"table": Table(LOG)}, "the encoder reads fields of"),
            ({"split": TimeSplit(*[slice(0, 0)] * 4)}, "must be the first rows of the log"),
            ({"split": TimeSplit(slice(5, 90), *[slice(90, 200)] * 3)}, "must be the first rows of the log"),
            ({"split": TimeSplit(slice(0, 201), *[slice(0, 0)] * 3)}, "must be the first rows of the log"),
        ],
    )
    def test_bad_configuration_is_refused_before_any_work(self, tmp_path, changes, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            build(tmp_path, **changes)
        assert list(tmp_path.iterdir()) == []


def test_the_order_of_windows_does_not_matter() -> None:
    rows = torch.tensor([[0, 1, 2, -1, -1], [-1, -1, -1, -1, -1], [3, -1, -1, -1, -1], [4, 5, 6, 7, 8]])
    encoder = made()
    values = represented(encoder, TABLE, rows, "history", batch=2)
    turned = represented(encoder, TABLE, rows.flip(0), "history", batch=3)
    np.testing.assert_allclose(values, turned.flip(0), rtol=1e-5, atol=1e-6)
    assert not values[1].any()
    assert not values.requires_grad
    for line in (0, 2, 3):
        expected = alone(encoder, [row for row in rows[line].tolist() if row >= 0])
        np.testing.assert_allclose(values[line], expected, rtol=1e-5, atol=1e-6)
