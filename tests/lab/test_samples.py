"""Samples hold what the histories and the retriever say, gather only what is asked, and cannot leak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import random_log

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, global_time_split
from workbench.errors import ConfigError, DataError
from workbench.lab import samples as module
from workbench.lab.contexts import Retriever
from workbench.lab.own_search import best_matching, same_category
from workbench.lab.samples import NEEDS, Samples, prepare, refuse_late_contexts, targets_only
from workbench.lab.tensors import Table, Windows

LOG = random_log(0, rows=300, users=8)
SPLIT = global_time_split(LOG)
K, L = 4, 6


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> dict[str, Samples]:
    return prepare(LOG, SPLIT, K, L, found=3, cache=tmp_path_factory.mktemp("cache"))


class TestWhatIsGathered:
    def test_the_targets_are_the_rows_of_the_part(self, parts) -> None:
        assert list(parts) == ["train", "validation", "test"]
        for part, samples in parts.items():
            assert samples.rows.tolist() == SPLIT.rows(part).tolist()
            assert samples.label.tolist() == LOG.label[SPLIT.rows(part)].tolist()
            target = samples.batch(torch.tensor([2, 0])).target
            assert torch.equal(
                target.codes, torch.from_numpy(LOG.codes(LOG.fields)).long()[samples.rows[[2, 0]]]
            )
            assert target.there.all()

    def test_own_history_neighbours_and_their_surroundings(self, parts) -> None:
        retriever, own = Retriever(LOG, SPLIT), Histories.of(LOG)
        for part in ("train", "test"):
            rows = SPLIT.rows(part)
            contexts = retriever.retrieve(rows, K, L)
            sample = parts[part].batch(torch.arange(len(rows)), NEEDS)
            table = Table(LOG)
            expected = {
                "history": own.window(*own.strictly_before(rows, L), L),
                "found": same_category(LOG, rows, 3),
                "neighbours": contexts.rows,
                "past": contexts.events("history", L),
                "future": contexts.events("future", L),
            }
            for name, wanted in expected.items():
                events = table.events(torch.from_numpy(wanted))
                got = getattr(sample, name)
                assert all(torch.equal(a, b) for a, b in zip(got, events, strict=True)), name

    @pytest.mark.parametrize("name", sorted(NEEDS))
    def test_only_what_is_needed_is_there(self, parts, name: str) -> None:
        sample = parts["test"].batch(torch.arange(3), {name})
        assert {n for n in NEEDS if getattr(sample, n) is not None} == {name}
        empty = parts["test"].batch(torch.arange(3))
        assert all(getattr(empty, n) is None for n in NEEDS)

    def test_the_surroundings_are_shared_between_parts(self, parts) -> None:
        assert parts["train"].past is parts["test"].past
        assert parts["train"].future.shape == (len(SPLIT.rows("retrieval")), L)

    def test_another_length_needs_no_search(self, parts, tmp_path) -> None:
        longer = parts["test"].resized(11).batch(torch.arange(9), NEEDS)
        expected = prepare(LOG, SPLIT, K, 11, found=3, cache=tmp_path)["test"].batch(torch.arange(9), NEEDS)
        for name in NEEDS:
            assert torch.equal(getattr(longer, name).codes, getattr(expected, name).codes), name
        assert parts["test"].batch(torch.arange(9), {"past"}).past.codes.shape[2] == L

    def test_the_table_decides_the_fields(self, tmp_path) -> None:
        table = Table(LOG, ("category",))
        sample = prepare(LOG, SPLIT, K, L, table=table, cache=tmp_path)["test"].batch(
            torch.arange(3), {"past"}
        )
        assert sample.past.codes.shape == (3, K, L, 1)
        assert torch.equal(sample.target.codes[:, 0], table.codes[SPLIT.rows("test")[:3], 0].long())

    def test_a_part_that_is_not_there_is_refused(self, parts) -> None:
        with pytest.raises(ConfigError, match="unknown part of these samples 'futures'; known: found, fut"):
            parts["test"].batch(torch.arange(3), {"futures"})
        plain = targets_only(LOG, np.arange(50), L)
        assert plain.has == {"history"}
        with pytest.raises(ConfigError, match="unknown part of these samples 'past'; known: history"):
            plain.batch(torch.arange(3), {"past"})


class TestOwnEvents:
    @pytest.mark.parametrize("search", ["category", "bm25"])
    def test_search_in_the_long_own_history(self, tmp_path, search: str) -> None:
        got = prepare(LOG, SPLIT, K, L, found=3, search=search, cache=tmp_path)
        for part in ("train", "test"):
            rows = SPLIT.rows(part)
            counted = len(SPLIT.rows("retrieval"))
            expected = {
                "category": same_category(LOG, rows, 3),
                "bm25": best_matching(LOG, rows, 3, counted),
            }
            assert got[part].found.tolist() == expected[search].tolist()

    def test_models_without_retrieval_train_on_earlier_rows_too(self) -> None:
        rows = np.arange(SPLIT.validation.start)
        samples = targets_only(LOG, rows, L, found=3, search="bm25", counted=len(SPLIT.rows("retrieval")))
        own = Histories.of(LOG)
        assert samples.history[:].tolist() == own.window(*own.strictly_before(rows, L), L).tolist()
        assert samples.found.shape == (len(rows), 3)
        later = targets_only(LOG, rows[100:], L, found=3, search="bm25")
        assert later.found.tolist() == best_matching(LOG, rows[100:], 3, 100).tolist()

    def test_a_frozen_history_ends_where_the_part_begins(self, tmp_path) -> None:
        free = prepare(LOG, SPLIT, K, L, found=3, cache=tmp_path)["test"]
        frozen = prepare(LOG, SPLIT, K, L, found=3, freeze=True, cache=tmp_path)["test"]
        begin = SPLIT.test.start
        assert free.history[:].max() >= begin
        for user in np.unique(LOG.user[begin:]):
            mine = torch.from_numpy(LOG.user[begin:] == user)
            before = np.flatnonzero(LOG.user[:begin] == user)[-L:]
            windows = frozen.history[:][mine]
            assert (windows[:, : len(before)] == torch.from_numpy(before)).all()
            assert (windows[:, len(before) :] == -1).all()
        assert frozen.found.max() < begin <= free.found.max()
        assert torch.equal(free.neighbours, frozen.neighbours)


class TestEncodedValues:
    @pytest.mark.parametrize("kind", ["tensor", "array", "mapped", "half"])
    def test_they_replace_the_events(self, parts, tmp_path, kind: str) -> None:
        samples, size = parts["test"], len(SPLIT.rows("retrieval"))
        values = np.random.default_rng(0).normal(size=(size, 5)).astype(np.float32)
        if kind == "half":
            values = values.astype(np.float16)
        stored = torch.from_numpy(values) if kind in ("tensor", "half") else values
        if kind == "mapped":
            np.save(tmp_path / "values.npy", values)
            stored = np.load(tmp_path / "values.npy", mmap_mode="r")
        own = torch.randn(len(samples), 5)
        encoded = samples.encoded(own=own, past=stored, future=stored)
        index = torch.tensor([4, 1, 7])
        sample = encoded.batch(index, NEEDS)
        assert torch.equal(sample.history, own[index])
        rows = samples.neighbours[index].numpy()
        expected = np.where(rows[..., None] >= 0, values[rows], 0.0).astype(np.float32)
        assert sample.past.shape == (3, K, 5)
        assert np.array_equal(sample.past, expected)
        assert np.array_equal(sample.future, expected)
        assert sample.neighbours.codes.shape == (3, K, len(LOG.fields)), "keys stay events"
        assert samples.own is None, "the samples it came from are as they were"

    @pytest.mark.parametrize("name", ["own", "past", "future"])
    def test_windows_of_another_length_are_refused(self, parts, name: str) -> None:
        size = len(parts["test"]) if name == "own" else len(SPLIT.rows("retrieval"))
        encoded = parts["test"].encoded(**{name: torch.zeros(size, 5)})
        with pytest.raises(ConfigError, match=f"vectors of windows of {L} events"):
            encoded.resized(11)

    def test_where_no_neighbour_is_there_is_zero(self, parts) -> None:
        samples = replace(parts["test"], neighbours=torch.full((len(parts["test"]), K), -1))
        values = torch.randn(len(samples.past), 5)
        sample = samples.encoded(past=values).batch(torch.arange(3), {"past", "future", "neighbours"})
        assert not sample.past.any()
        assert not sample.future.there.any()
        assert not sample.neighbours.there.any()

    @pytest.mark.parametrize("name", ["own", "past", "future"])
    def test_another_number_of_lines_is_refused(self, parts, name: str) -> None:
        right = len(parts["test"]) if name == "own" else len(SPLIT.rows("retrieval"))
        for shape in [(right + 1, 5), (right,)]:
            with pytest.raises(ConfigError, match=rf"{name} must be \({right}, v\) encoded values"):
                parts["test"].encoded(**{name: torch.zeros(shape)})
        with pytest.raises(ConfigError, match="past must be"):  # nothing retrieved, nothing to encode
            targets_only(LOG, np.arange(50)).encoded(past=torch.zeros(4, 5))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), days=st.integers(8, 60), search=st.sampled_from(["category", "bm25"]))
def test_nothing_known_is_as_late_as_its_target(tmp_path_factory, seed, days, search):
    log = random_log(seed, rows=150, users=5, days=days)
    try:
        split = global_time_split(log, (0.5, 0.25, 0.0, 0.25))
    except DataError:
        return  # too few distinct days for three parts
    cache = tmp_path_factory.mktemp("cache")
    parts = prepare(log, split, 5, 50, found=4, search=search, parts=("train", "test"), cache=cache)
    table = Table(log, ("item",))
    # Give every row its time as a feature: what a model can gather is what is compared.
    for samples in parts.values():
        table._codes = torch.from_numpy(np.pad(log.timestamp, (1, 0)))[:, None]
        sample = replace(samples, table=table).batch(torch.arange(len(samples)), NEEDS)
        query = sample.target.codes.amax(-1)
        end = log.timestamp[split.retrieval.stop]
        for name in NEEDS:
            times = getattr(sample, name).codes[..., 0]
            assert (times < query.view(-1, *[1] * (times.ndim - 1))).all(), name
            if name in ("neighbours", "past", "future"):
                assert (times < int(end)).all()


class TestTheGuard:
    """Each leak that code elsewhere might let in is noticed here."""

    def forged(self, samples: Samples, **changes: object) -> None:
        refuse_late_contexts(LOG, samples)
        with pytest.raises(DataError, match=r"leak|beyond the retrieval set"):
            refuse_late_contexts(LOG, replace(samples, **changes))

    def test_an_own_window_that_holds_the_target(self, parts) -> None:
        history = parts["test"].history
        self.forged(parts["test"], history=replace(history, stop=history.stop + 1))

    def test_found_or_retrieved_rows_of_the_same_second(self, parts) -> None:
        test = parts["test"]
        for name in ("found", "neighbours"):
            rows = getattr(test, name).clone()
            rows[5, 1] = test.rows[5]
            self.forged(test, **{name: rows})

    @pytest.mark.parametrize("name", ["past", "future"])
    def test_surroundings_that_leave_the_retrieval_set(self, parts, name: str) -> None:
        """Even for test rows, when the first row of the train part is long past."""
        test = parts["test"]
        windows = getattr(test, name)
        events = windows.events.clone()
        events[windows.stop.max() - 1] = len(windows)
        with pytest.raises(DataError, match=f"the {name} of a neighbour reaches row {len(windows)}, beyond"):
            refuse_late_contexts(LOG, replace(test, **{name: replace(windows, events=events)}))

    def test_it_is_asked_when_samples_are_made(self, tmp_path, monkeypatch) -> None:
        def itself(log, split, parts, k, **_):
            return {part: np.repeat(split.rows(part)[:, None], k, axis=1) for part in parts}

        monkeypatch.setattr(module, "retrieved_rows", itself)
        with pytest.raises(DataError, match="leak: a neighbour"):
            prepare(LOG, SPLIT, K, L, cache=tmp_path)

    def test_a_retrieval_set_that_ends_within_a_second(self) -> None:
        """The same second on both sides of the cut: the windows stay inside, and are late all the same."""
        shared = int(np.flatnonzero(np.diff(LOG.timestamp[:200]) == 0)[-1]) + 1
        rows = np.arange(shared, 220)
        known, anchors = Histories.of(LOG, stop=shared), np.arange(shared)
        ranges = known.after(anchors, shared)
        windows = Windows.of(known, ranges, L, False, torch.device("cpu"))
        samples = replace(
            targets_only(LOG, rows, L),
            neighbours=torch.full((len(rows), 1), -1),
            past=replace(windows, stop=windows.start),
            future=windows,
        )
        with pytest.raises(DataError, match="leak: a future of a neighbour"):
            refuse_late_contexts(LOG, samples)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"k": 0}, "K must be a number from 1"),
            ({"k": 301}, "rows of the retrieval set, not 301"),
            ({"length": 0}, "L must be a whole number from 1, not 0"),
            ({"length": 2.5}, "L must be"),
            ({"found": 0}, "S, the number of found events, must be"),
            ({"search": "sim"}, "unknown search in the own history 'sim'; known: bm25, category"),
            ({"fields": ("colour",)}, "unknown field 'colour'"),
            ({"idf": "best"}, "unknown IDF rule"),
            ({"parts": ("testing",)}, "unknown part 'testing'"),
            ({"parts": ("retrieval",)}, "cannot look themselves up"),
        ],
    )
    def test_bad_configuration_before_any_work(self, tmp_path, monkeypatch, options, message) -> None:
        monkeypatch.setattr("workbench.lab.retrieved.Retriever", None)
        monkeypatch.setattr(module, "Histories", None)
        with pytest.raises(ConfigError, match=message):
            prepare(LOG, SPLIT, **{"k": 3, "length": 5, "cache": tmp_path} | options)

    def test_a_part_without_rows(self, tmp_path) -> None:
        split = global_time_split(LOG, (0.6, 0.2, 0.0, 0.2))
        with pytest.raises(DataError, match="the validation part has no rows"):
            prepare(LOG, split, 3, 5, cache=tmp_path)
        assert list(prepare(LOG, split, 3, 5, parts=("train", "test"), cache=tmp_path)) == ["train", "test"]

    @pytest.mark.parametrize("part", ["train", "validation", "test"])
    def test_labels_of_one_class(self, tmp_path, part: str) -> None:
        label = LOG.label.copy()
        label[getattr(SPLIT, part)] = 1
        log: Interactions = replace(LOG, label=label)
        with pytest.raises(DataError, match=f"labels of the {part} part are 1: there is nothing to predict"):
            prepare(log, SPLIT, 3, 5, cache=tmp_path)

    def test_targets_alone(self) -> None:
        for options, message in [
            ({"length": 0}, "L must be"),
            ({"found": 3, "search": "sim"}, "unknown search"),
            ({"found": 3, "search": "bm25"}, "counted among the first 1 to 300 rows, not 0"),
        ]:
            with pytest.raises(ConfigError, match=message):
                targets_only(LOG, np.arange(50), **options)
        with pytest.raises(DataError, match="has no rows"):
            targets_only(LOG, np.arange(0), L)

    def test_a_split_that_lets_contexts_reach_their_queries(self, tmp_path) -> None:
        shared = int(np.flatnonzero(np.diff(LOG.timestamp) == 0)[-1]) + 1
        forged = TimeSplit(slice(0, 200), slice(150, 250), slice(250, 260), slice(shared, 300))
        with pytest.raises(DataError, match="leak"):
            prepare(LOG, forged, 3, 5, parts=("train",), cache=tmp_path)
