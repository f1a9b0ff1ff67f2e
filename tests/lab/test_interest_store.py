"""The store of interests: what ENCODE computes directly, refreshed to the bits of a new build, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.data.interactions import Interactions
from workbench.data.world import make_world
from workbench.errors import ConfigError, DataError
from workbench.lab import interest_store
from workbench.lab.interest_store import FILES, InterestStore, logits, version
from workbench.lab.long_samples import LongData
from workbench.lab.training import asking
from workbench.methods.clustering import ClusterConfig
from workbench.methods.encode import Encode, EncodeConfig
from workbench.methods.long_history import Behaviours, Interest, Life, LongHistory

LOG = make_world("tiny", 0).interactions
DATA = LongData.of(LOG, short=4, long=30)
K, L, WIDTH = 5, 30, 8
USERS = LOG.size("user")
LATER = int(LOG.timestamp[-len(LOG) // 200])  # a moment after which some users click, and most do not


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interest_store, "EVENTS", 1 << 10)


def made(
    seed: int = 0, data: LongData = DATA, algorithm: str = "kmeans", width: int = WIDTH, **knobs: object
) -> LongHistory:
    """A small model as it begins."""
    config = EncodeConfig(clusters=ClusterConfig(knobs.pop("clusters", K), algorithm=algorithm), **knobs)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LongHistory(
            data.sizes, lambda life: Encode(life, config), width=width, hidden=(8,), domains=data.domains
        )


def build(folder: Path, model: LongHistory | None = None, log: Interactions = LOG, **how) -> InterestStore:
    return InterestStore.build(folder, model or made(), log, **{"length": L, **how})


def opened(folder: Path, model: LongHistory | None = None) -> InterestStore:
    return InterestStore.open(folder, model or made())


def content(store: InterestStore) -> tuple[bytes, ...]:
    return tuple(part.tobytes() for part in (store.interests, store.there, store.events))


def everything(folder: Path) -> dict[str, bytes]:
    """All files of a store."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def clicks(user: int, until: int = 2**40, log: Interactions = LOG) -> np.ndarray:
    """(n,) items of a user's clicks before a moment, by hand."""
    return log.item[(log.user == user) & (log.label == 1) & (log.timestamp < until)].astype(np.int64)


def alone(model: LongHistory, items: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Interests of one history by itself: (K, d), (K,)."""
    code = torch.from_numpy(items)[None]
    with torch.no_grad():
        found, _, _ = model.interest.offline(model.life, Behaviours(code, code.new_zeros(*code.shape, 0)))
    return found.vector[0], found.there[0]


def watched(monkeypatch: pytest.MonkeyPatch, calls: int | None = None) -> list[torch.Tensor]:
    """The item codes of every offline stage from now on; the one after so many calls is interrupted."""
    seen, real = [], Encode.offline

    def offline(self, life: Life, long: Behaviours):
        if len(seen) == calls:
            raise KeyboardInterrupt
        seen.append(long.item)
        return real(self, life, long)

    monkeypatch.setattr(Encode, "offline", offline)
    return seen


class TestValues:
    @pytest.mark.parametrize("until", [None, LATER])
    @pytest.mark.parametrize("algorithm", ["kmeans", "routing", "random"])
    def test_each_user_as_computed_directly(self, tmp_path, until, algorithm) -> None:
        model = made(algorithm=algorithm)
        store = build(tmp_path, model, until=until)
        assert store.interests.shape == (USERS, K, WIDTH)
        assert store.interests.dtype == np.float32
        assert store.there.dtype == bool
        for user in range(1, USERS):
            items = clicks(user, until or 2**40)
            assert store.events[user, 0] == len(items)
            if not len(items):
                assert not store.there[user].any()
                continue
            vector, there = alone(model, items[-L:])
            assert store.there[user].tolist() == there.tolist()
            np.testing.assert_allclose(store.interests[user], vector, rtol=1e-4, atol=1e-6)

    def test_few_or_no_events_and_nobody(self, tmp_path) -> None:
        kept = np.ones(len(LOG), bool)
        for user, count in ((1, 0), (2, 1), (3, K - 2)):
            kept[np.flatnonzero((LOG.user == user) & (LOG.label == 1))[count:]] = False
        store, model = build(tmp_path, log=LOG.rows(kept)), made()
        assert store.there[:4].sum(1).tolist() == [0, 0, 1, K - 2]
        assert not store.interests[~store.there].any()
        only = clicks(2, log=LOG.rows(kept))
        assert torch.equal(store.of(torch.tensor([2])).vector[0, 0], model.life.item[only[0]].detach())

    def test_nobody_clicked(self, tmp_path) -> None:
        store = build(tmp_path, log=LOG.rows(LOG.label == 0))
        assert not store.there.any()
        assert not store.events.any()
        assert build(tmp_path, until=0).events.max() == 0

    def test_batches_are_bounded_and_by_length(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(interest_store, "EVENTS", 256)
        seen = watched(monkeypatch)
        build(tmp_path)
        shapes = [tuple(item.shape) for item in seen]
        assert len(shapes) > 10
        assert set(shapes) == {(16, 16), (8, 32)}
        assert shapes == sorted(shapes, key=lambda shape: shape[1])
        many = make_world("long", 0, users=10, events=100).interactions
        model = made(data=LongData.of(many, short=4, long=100))
        whole = build(tmp_path / "long", model, many, length=1500)
        some, there = alone(model, clicks(3, log=many))
        np.testing.assert_allclose(whole.interests[3], some, rtol=1e-4, atol=1e-6)
        assert there.all()

    def test_of_two_domains_the_source_is_kept(self, tmp_path) -> None:
        log = make_world("two_domain", 0, users=12).interactions
        data = LongData.of(log, short=4, long=L)
        model = made(data=data)
        store = build(tmp_path, model, log)
        source = log.columns["domain"] == log.vocabularies["domain"].tolist().index("source")
        vector, _ = alone(model, clicks(5, log=log.rows(source))[-L:])
        np.testing.assert_allclose(store.interests[5], vector, rtol=1e-4, atol=1e-6)

    def test_the_mode_of_the_model_stays(self, tmp_path) -> None:
        model = made()
        assert model.training
        build(tmp_path, model)
        assert model.training
        assert model.life.item.grad is None


class TestAsking:
    @pytest.mark.parametrize("metric", ["cosine", "dot"])
    def test_predictions_are_those_of_the_model_that_reads_everything(self, tmp_path, metric) -> None:
        model = made(metric=metric)
        for index in DATA.parts["test"][::100].tolist():
            moment = int(DATA.time[index])
            store = build(tmp_path, model, until=moment)
            sample = DATA.batch(torch.tensor([index]))
            with asking(model):
                expected = model(sample)
            found = logits(model, sample._replace(long=None), store)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
            assert not found.requires_grad

    def test_many_users_and_candidates_at_once(self, tmp_path) -> None:
        model, store = made(), build(tmp_path)
        some = torch.linspace(0, len(DATA) - 1, 40).long()
        sample = DATA.batch(some)
        users = [torch.from_numpy(clicks(user)[-L:]) for user in sample.user.tolist()]
        item = torch.nn.utils.rnn.pad_sequence(users, batch_first=True)
        long = Behaviours(item, item.new_zeros(*item.shape, 0))
        with asking(model):
            expected = model(sample._replace(long=long))
        torch.testing.assert_close(logits(model, sample, store), expected, rtol=1e-5, atol=1e-6)
        one = sample._replace(user=sample.user[:1])  # parts with one row are everybody's
        same = sample._replace(user=sample.user[:1].expand(40))
        assert torch.equal(logits(model, one, store), logits(model, same, store))

    def test_users(self, tmp_path) -> None:
        store = build(tmp_path)
        found = store.of(torch.tensor([3, 0, 3]))
        assert found.vector.shape == (3, K, WIDTH)
        assert torch.equal(found.vector[0], found.vector[2])
        assert torch.equal(found.there[0], torch.from_numpy(store.there[3].copy()))
        assert not found.there[1].any()
        assert not found.vector[1].any()
        found.vector.add_(1)  # a copy
        assert content(opened(tmp_path)) == content(store)
        for wrong in (USERS, -1):
            with pytest.raises(ConfigError, match=f"there is no user {wrong}, codes go to {USERS - 1}"):
                store.of(torch.tensor([1, wrong]))

    def test_unknown_users_read_nothing(self, tmp_path) -> None:
        model, store = made(), build(tmp_path)
        sample = DATA.batch(torch.arange(3))
        nothing = torch.zeros(3, 1, dtype=torch.int64)
        long = Behaviours(nothing, nothing.new_zeros(3, 1, 0))
        with asking(model):
            expected = model(sample._replace(long=long))
        stranger = sample._replace(user=torch.zeros_like(sample.user))
        torch.testing.assert_close(logits(model, stranger, store), expected)

    def test_it_is_mapped_and_cannot_be_written_to(self, tmp_path) -> None:
        build(tmp_path)
        store = opened(tmp_path)
        for part in (store.interests, store.there, store.events):
            assert isinstance(part, np.memmap)
            with pytest.raises(ValueError, match="read-only"):
                part[1] = 0


class TestRefresh:
    @pytest.mark.parametrize("algorithm", ["kmeans", "routing"])
    @pytest.mark.parametrize("events", [64, 1 << 15])
    def test_the_same_bits_as_a_new_build(self, tmp_path, monkeypatch, algorithm, events) -> None:
        monkeypatch.setattr(interest_store, "EVENTS", events)
        model = made(algorithm=algorithm)
        store = build(tmp_path / "a", model, until=LATER)
        before = [part.copy() for part in (store.interests, store.there, store.events)]
        new = [u for u in range(1, USERS) if len(clicks(u)) > len(clicks(u, LATER))]
        assert 0 < len(new) < USERS / 2
        with monkeypatch.context() as patch:
            seen = watched(patch)
            assert store.refresh(model, LOG) == len(new)
        rows = [row[row > 0].tolist() for item in seen for row in item if row.any()]
        assert sorted(rows) == sorted(clicks(u)[-L:].tolist() for u in new), "and nobody else was computed"
        whole = build(tmp_path / "b", model)
        assert content(store) == content(whole) == content(opened(tmp_path / "a", model))
        mine, theirs = (dict(one.about, arrays="") for one in (store, whole))
        assert mine == theirs
        others = np.setdiff1d(np.arange(USERS), new)
        for part, old in zip((store.interests, store.there, store.events), before, strict=True):
            assert part[others].tobytes() == old[others].tobytes()
        assert (store.interests[new] != before[0][new]).any((1, 2)).all()

    def test_odd_sizes(self, tmp_path) -> None:
        """Where a user's numbers begin in memory depends on the place in a batch; products feel it."""
        log = make_world("long", 0, users=60, events=150).interactions
        data, last = LongData.of(log, short=4, long=L), int(log.timestamp[log.label == 1][-5])
        model = made(data=data, clusters=7, metric="dot", width=5)
        store = build(tmp_path / "a", model, log, length=300, until=last)
        whole = build(tmp_path / "b", model, log, length=300)
        assert 0 < store.refresh(model, log) < 10
        store = build(tmp_path / "a", model, log.rows(log.user % 3 != 0), length=300)
        assert store.refresh(model, log) == 20
        assert content(store) == content(whole)

    def test_step_by_step_and_back(self, tmp_path) -> None:
        model, last = made(), int(LOG.timestamp[-1])
        store = build(tmp_path / "a", model, until=0)
        for moment in (last // 5 * 4, last // 2, last + 1, 0, last // 3):
            store.refresh(model, LOG, until=moment)
            assert content(store) == content(build(tmp_path / "b", model, until=moment))
        assert store.refresh(model, LOG, until=last // 3) == 0

    def test_a_longer_log_with_new_users(self, tmp_path) -> None:
        model, few = made(), USERS - 3
        rows = np.flatnonzero((LOG.user < few) & (LOG.timestamp < LATER))
        words = {**LOG.vocabularies, "user": LOG.vocabularies["user"][:few]}
        store = build(tmp_path / "a", model, replace(LOG.rows(rows), vocabularies=words))
        assert len(store.there) == few
        store.refresh(model, LOG)
        whole = build(tmp_path / "b", model)
        assert content(store) == content(whole)
        assert store.about["fingerprint"] == whole.about["fingerprint"] == LOG.fingerprint

    def test_a_click_that_was_corrected_is_noticed(self, tmp_path) -> None:
        """As many clicks, the last one as before: counts alone would not tell."""
        store, model = build(tmp_path / "a"), made()
        row = np.flatnonzero((LOG.user == 4) & (LOG.label == 1))[-3]
        item = LOG.item.copy()
        item[row] = item[row] % (LOG.size("item") - 1) + 1
        log = replace(LOG, columns={**LOG.columns, "item": item})
        assert store.refresh(model, log) == 1
        assert content(store) == content(build(tmp_path / "b", log=log))

    def test_what_cannot_be_refreshed(self, tmp_path) -> None:
        store = build(tmp_path, until=LATER)
        before = everything(tmp_path)
        with pytest.raises(ConfigError, match=r"another version of the model\. Build it anew"):
            store.refresh(made(1), LOG)
        words = {**LOG.vocabularies, "item": np.roll(LOG.vocabularies["item"], 1)}
        with pytest.raises(ConfigError, match="do not mean what those of the store mean"):
            store.refresh(made(), replace(LOG, vocabularies=words))
        with pytest.raises(ConfigError, match="until must be a whole number from 0, not -1"):
            store.refresh(made(), LOG, until=-1)
        assert everything(tmp_path) == before


class TestWholeOrNot:
    @pytest.mark.parametrize("calls", [0, 1, 5])
    def test_an_interrupted_build_leaves_nothing(self, tmp_path, monkeypatch, calls: int) -> None:
        monkeypatch.setattr(interest_store, "EVENTS", 64)
        watched(monkeypatch, calls)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "new")
        with pytest.raises(DataError, match=r"there is no store of interests\. Build it with"):
            opened(tmp_path / "new")
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["lock"]

    @pytest.mark.parametrize("calls", [0, 1, 2])
    @pytest.mark.parametrize(
        "work", [lambda store: store.refresh(made(), LOG), lambda store: build(store.folder)]
    )
    def test_interrupted_work_leaves_the_old_store(
        self, tmp_path, monkeypatch, calls: int, work: Callable
    ) -> None:
        monkeypatch.setattr(interest_store, "EVENTS", 64)
        store = build(tmp_path / "a", until=LATER)
        before, bits = everything(store.folder), content(store)
        with monkeypatch.context() as patch:
            watched(patch, calls)
            with pytest.raises(KeyboardInterrupt):
                work(store)
        assert everything(store.folder) == before
        assert content(store) == content(opened(store.folder)) == bits
        store.refresh(made(), LOG)
        assert content(store) == content(build(tmp_path / "b"))

    def test_interrupted_while_it_is_put_into_place(self, tmp_path, monkeypatch) -> None:
        store, real = build(tmp_path, until=LATER), interest_store.write_files
        before, bits = everything(tmp_path), content(store)

        def failing(files) -> None:
            raise OSError("the disk is full")

        monkeypatch.setattr(interest_store, "write_files", failing)
        with pytest.raises(OSError, match="the disk is full"):
            store.refresh(made(), LOG)
        assert everything(tmp_path) == before

        def late(files) -> None:
            real(files)
            raise KeyboardInterrupt

        monkeypatch.setattr(interest_store, "write_files", late)
        with pytest.raises(KeyboardInterrupt):
            store.refresh(made(), LOG)
        assert content(store) == bits, "what was mapped can still be read"
        monkeypatch.undo()
        assert content(opened(tmp_path)) == content(build(tmp_path / "b"))

    def test_what_a_killed_process_left_is_no_store_and_goes(self, tmp_path) -> None:
        build(tmp_path, until=LATER)
        (tmp_path / "arrays-7").mkdir()
        (tmp_path / "arrays-7" / "interests.npy").write_bytes(b"half")
        store = opened(tmp_path)
        assert store.about["arrays"] == "arrays-1"
        store.refresh(made(), LOG)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["about.json", "arrays-2", "lock"]

    def test_a_store_replaced_while_it_is_opened(self, tmp_path, monkeypatch) -> None:
        build(tmp_path, until=LATER)
        real, first = interest_store.version, [True]

        def slow(model: LongHistory) -> str:
            if first.pop() if first else False:
                build(tmp_path)
            return real(model)

        monkeypatch.setattr(interest_store, "version", slow)
        assert content(opened(tmp_path)) == content(build(tmp_path / "b"))

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("damage", ["truncated", "longer", "edited", "header", "removed", "foreign"])
    def test_damaged_files_are_refused(self, tmp_path, name: str, damage: str) -> None:
        path = build(tmp_path / "a").folder / "arrays-1" / name
        was = bytearray(path.read_bytes())
        if damage == "edited":
            was[-3] ^= 1
        elif damage == "header":
            was[8] ^= 1
        elif damage == "foreign":
            other = build(tmp_path / "b", made(3), LOG.rows(LOG.user != 5))
            was = (other.folder / "arrays-1" / name).read_bytes()
        path.unlink()
        if damage != "removed":
            path.write_bytes(was[:-4] if damage == "truncated" else was + b"x" * (damage == "longer"))
        what = "this file of the store is missing" if damage == "removed" else "this is not what was written"
        with pytest.raises(DataError, match=rf"{name}: {what}.* Build it anew with InterestStore.build"):
            opened(tmp_path / "a")
        build(tmp_path / "a")
        opened(tmp_path / "a")

    @pytest.mark.parametrize(
        "edit",
        [
            lambda about: {**about, "model": version(made(1))},
            lambda about: {**about, "users": 3},
            lambda about: {**about, "arrays": ".."},
            lambda about: {"check": "0"},
            lambda about: [],
            lambda about: 5,
        ],
    )
    def test_an_edited_about_json_is_refused(self, tmp_path, edit: Callable) -> None:
        store = build(tmp_path)
        path = tmp_path / "about.json"
        path.write_text(json.dumps(edit(json.loads(path.read_text()))))
        for model in (made(), made(1)):
            with pytest.raises(DataError, match=r"about\.json: this is not what was written.* Build it anew"):
                opened(tmp_path, model)
        with pytest.raises(DataError, match=r"about\.json"):
            store.refresh(made(), LOG)
        build(tmp_path)
        opened(tmp_path)

    @pytest.mark.parametrize("text", [b"", b"\xff", b'{"model": '])
    def test_an_unreadable_about_json_is_refused(self, tmp_path, text: bytes) -> None:
        build(tmp_path)
        (tmp_path / "about.json").write_bytes(text)
        with pytest.raises(DataError, match="damaged or edited"):
            opened(tmp_path)

    def test_interests_that_are_not_finite(self, tmp_path) -> None:
        model = made()
        with torch.no_grad():
            model.life.item[clicks(6)[-1]] = torch.nan
        with pytest.raises(DataError, match=r"an interest of user \d+ is not finite"):
            build(tmp_path, model)
        with pytest.raises(DataError, match="there is no store"):
            opened(tmp_path, model)


class TestVersion:
    def test_other_models_are_refused(self, tmp_path) -> None:
        nudged, reduced = made(), made()
        with torch.no_grad():
            nudged.life.item[3, 0] += 1e-6
            reduced.interest.reduction.weight[0, 0] += 1e-6
        changes = ({"clusters": 4}, {"metric": "dot"}, {"beta": 5.0}, {"algorithm": "routing"})
        models = [made(1), nudged, reduced, *(made(**knobs) for knobs in changes), made(beta_divides=True)]
        store = build(tmp_path)
        for model in models:
            with pytest.raises(ConfigError, match=r"are of another version of the model\. Build it anew"):
                opened(tmp_path, model)
        assert len({version(model) for model in (made(), *models)}) == len(models) + 1
        assert store.about["model"] == version(made())

    def test_what_makes_no_interests_does_not_matter(self, tmp_path) -> None:
        build(tmp_path)
        model = made(loss="fixed", weight=0.5, margin=0.3, negatives=2, anchors=7, sampling="batch")
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name not in ("life.item", "interest.reduction.weight"):
                    value.add_(1)
        opened(tmp_path, model)

    def test_what_was_made_of_what_is_said(self, tmp_path) -> None:
        build(tmp_path, until=LATER)
        about = json.loads((tmp_path / "about.json").read_text())
        expected = {
            "data": LOG.name, "fingerprint": LOG.fingerprint, "until": LATER, "users": USERS,
            "items": LOG.size("item"), "length": L, "clusters": K, "width": WIDTH, "arrays": "arrays-1",
        }  # fmt: skip
        assert {name: about[name] for name in expected} == expected

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"length": 0}, "length must be a whole number from 1, not 0"),
            ({"until": 1.5}, "until must be a whole number from 0, not 1.5"),
        ],
    )
    def test_bad_configuration_is_refused_before_any_work(self, tmp_path, changes, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            build(tmp_path / "a", **changes)
        assert list(tmp_path.iterdir()) == []

    def test_models_that_do_not_belong_to_the_log(self, tmp_path) -> None:
        class Other(Interest):
            size = 0

        small = replace(DATA, sizes=replace(DATA.sizes, items=9))
        with pytest.raises(ConfigError, match=r"has \d+ codes of items, the model knows 9"):
            build(tmp_path, made(data=small))
        other = LongHistory(DATA.sizes, lambda life: Other(), width=WIDTH, domains=1)
        with pytest.raises(ConfigError, match="holds interests of Encode, not of Other"):
            build(tmp_path, other)
