"""What is timed is the real thing: right answers, from the datastore, of the batches and steps it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.errors import ConfigError
from workbench.lab import lift_speed
from workbench.lab.bench import measure
from workbench.lab.datastore import Datastore
from workbench.lab.lift_speed import LITERAL, REMEDIED, SAME_SIZES, Case, check_same_answers, prediction
from workbench.methods.lift import Encoder

LOG = make_world("tiny", users=15).interactions
SMALL = {"length": 5, "k": 3, "size": 8, "width": 4, "heads": 2, "probes": 3}


@pytest.fixture(scope="module", params=[LITERAL, REMEDIED], ids=["literal", "remedied"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case.of(LOG, 200, replace(request.param, **SMALL), tmp_path_factory.mktemp("speed"))


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sequences every run of the encoder reads."""
    counted, real = [], Encoder._read

    def counting(self, events, *masked):
        counted.append(len(events.there))
        return real(self, events, *masked)

    monkeypatch.setattr(Encoder, "_read", counting)
    return counted


class TestCase:
    def test_the_first_rows_are_the_retrieval_set_and_the_test_part_is_predicted(self, case: Case) -> None:
        split = global_time_split(LOG)
        assert len(case.store()) == len(case.plain.past) == 200 < split.retrieval.stop
        assert case.plain.rows.tolist() == split.rows("test").tolist()
        assert case.plain.neighbours.max() < 200
        whole = Case.of(LOG, None, case.config, case.folder)
        assert len(whole.plain.past) == split.retrieval.stop

    @pytest.mark.parametrize("rows", [0, 10_000])
    def test_rows_that_are_not_there(self, tmp_path, rows: int) -> None:
        with pytest.raises(ConfigError, match=rf"rows must be from 1 to the \d+ .*, not {rows}"):
            Case.of(LOG, rows, LITERAL, tmp_path)


class TestPrediction:
    def test_all_systems_answer_and_none_encodes_contexts(self, case: Case, encoded: list[int]) -> None:
        systems, index = case.predictors, torch.tensor([3, 0, 7])
        assert list(systems) == ["LIFT", "h_t online", *lift_speed.PEERS]
        for name, predict in systems.items():
            encoded.clear()
            probability = predict(index)
            assert probability.shape == (3,)
            assert ((probability > 0) & (probability < 1)).all()
            assert torch.equal(probability, predict(index)), "no dropout"
            assert encoded == ([3, 3] if name == "h_t online" else []), "own histories at most, once a call"

    def test_the_answers_are_those_of_encoding_everything_now(self, case: Case, monkeypatch) -> None:
        check_same_answers(case)
        store, forged = case.store(), replace(case)
        swapped = replace(store, history=store.future, future=store.history)
        monkeypatch.setattr(Case, "store", lambda self: swapped)
        with pytest.raises(AssertionError, match=r"(?s)LIFT says .* with the datastore, and"):
            check_same_answers(forged)

    def test_a_search_finds_what_is_kept(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        found, real = [], lift_speed.Retriever.retrieve

        def watched(self, *arguments, **options):
            found.append(real(self, *arguments, **options))
            return found[-1]

        monkeypatch.setattr(lift_speed.Retriever, "retrieve", watched)
        index = torch.tensor([5, 2, 9, 1])
        for name, predict in case.searchers.items():
            assert torch.equal(predict(index), case.predictors[name](index))
            assert found[-1].rows.tolist() == case.plain.neighbours[index].tolist()
        assert len(found) == 2

    def test_seconds_are_of_one_batch_and_all_systems_get_the_same(self, monkeypatch) -> None:
        asked: dict[str, list] = {"a": [], "b": []}
        units = {}

        def watched(calls, **options):
            units.update(options["units"])
            return measure(calls, **options)

        monkeypatch.setattr(lift_speed, "measure", watched)
        systems = {name: asked[name].append for name in asked}
        timing = prediction(systems, 600, batches=3, repeats=2)
        assert units == {"a": 3, "b": 3}
        assert [len(t.seconds) for t in timing.values()] == [2, 2]
        batches = [index.tolist() for index in asked["a"]]
        assert batches == [index.tolist() for index in asked["b"]]
        assert batches[:3] == batches[3:6], "the same in every round"
        assert all(len(set(batch)) == lift_speed.BATCH for batch in batches)
        assert len(set(map(tuple, batches))) == 3


class TestTheOtherCosts:
    def test_pretraining_and_the_bare_network_take_as_many_steps(self, case: Case, monkeypatch) -> None:
        taken, called = {"all": 0}, {}
        real = lift_speed.pretrain_loss

        def counted(*arguments):
            taken["all"] += 1
            return real(*arguments)

        def once(calls, *, repeats, units):
            for name, run in calls.items():
                taken["all"] = 0
                run()
                called[name] = (taken["all"], units[name])
            return {}

        monkeypatch.setattr("workbench.lab.lift.pretrain_loss", counted)
        monkeypatch.setattr(lift_speed, "pretrain_loss", counted)
        monkeypatch.setattr(lift_speed, "measure", once)
        lift_speed.pretraining(case)
        assert set(called) == {"pretraining", "bare network", "bare network + AdamW"}
        assert set(called.values()) == {(called["bare network"][1],) * 2}

    def test_the_datastore_is_made_from_nothing_and_the_bare_encoder_reads_as_much(
        self, case: Case, encoded: list[int], monkeypatch
    ) -> None:
        built, real = [], Datastore.build

        def watched(*arguments, **options):
            built.append(real(*arguments, **options))
            return built[-1]

        def once(calls, *, repeats, units):
            calls["datastore"]()
            read = sum(encoded)
            calls["bare network"]()
            assert units["datastore"] == 200
            assert sum(encoded) - read == 2 * units["bare network"] >= read > 200
            return {}

        monkeypatch.setattr(Datastore, "build", watched)
        monkeypatch.setattr(lift_speed, "measure", once)
        lift_speed.filling(case, batch=64)
        assert len(built) == 1
        assert not built[0].folder.exists(), "what is only timed is thrown away"


def test_same_sizes_are_those_of_rim(case: Case) -> None:
    from workbench.baselines.ctr import CTR
    from workbench.methods.lift import LIFT

    sizes = case.data.table.sizes
    wide, rim = LIFT(sizes, replace(LITERAL, **SAME_SIZES)), CTR["RIM"](sizes)
    assert wide.predictor.embedding.width == rim.fields.width
    layers = [
        [m.out_features for m in head if hasattr(m, "out_features")]
        for head in (wide.predictor.mlp, rim.head)
    ]
    assert layers[0] == layers[1]


def test_one_thread_while_it_runs_and_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(lift_speed, "_filled", lambda *_: iter([seen.append(torch.get_num_threads())]))
        rows = lift_speed.measurements("tiny")
        next(rows)
        rows.close()
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
