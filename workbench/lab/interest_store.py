"""ENCODE's offline stage as a service: the interests of all users, kept on disk and asked by candidates.

ENCODE, Sections 3.2 to 3.4: a request looks at K interests, which were found before it came. A trial
(:class:`workbench.lab.long_samples.LongData`) clusters what was known at each impression; a store holds what
was known at one moment, ``until``.

    store = InterestStore.build(folder, model, log, length=1500)
    store.refresh(model, log)                    # later: only those who clicked since are computed
    store = InterestStore.open(folder, model)    # in another process
    logits(model, sample, store)                 # Section 3.3; ``sample.long`` is not looked at

``about.json`` says what made the store and names the folder beside it in which its arrays are:

    interests.npy   (users, K, d) float32; line u is user code u's, zero where there is no interest
    there.npy       (users, K) bool
    events.npy      (users, 2) int64: how many clicks before ``until``, and a digest of the last L

New arrays are written beside the old ones and about.json is renamed into its place last, so that an
interruption leaves the old store as it was. Interests depend on the items of the last L clicks alone, and
everybody is computed in a batch whose shape follows from the own number of events: on the same processor,
with as many threads, a refresh gives the bits of a new build.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError, whole
from workbench.lab.chunks import ChunkFiles
from workbench.lab.long_samples import sides
from workbench.lab.places import write_files
from workbench.lab.ranking import own_clicks
from workbench.lab.training import asking
from workbench.methods.encode import Encode, Interests
from workbench.methods.long_history import Behaviours, LongHistory, LongSample

VERSION = 1  # goes up when the same model and clicks give other interests, or files mean something else
EVENTS = 1 << 15  # of a batch: working memory grows with it and not with the number of users
IN_TRAINING = ("loss", "sampling", "weight", "margin", "negatives", "anchors")  # do not change interests
ALIGNED = 16  # numbers of four bytes: what processors read at once, at most
FILES = ("interests.npy", "there.npy", "events.npy")
ANEW = "Build it anew with InterestStore.build"


@dataclass(eq=False)
class InterestStore:
    """Interests of all users, mapped from disk; see the module.

    folder : where its files are; about : what about.json says; interests, there, events : the arrays, which
    cannot be written to.
    """

    folder: Path
    about: Mapping[str, object]
    interests: np.memmap
    there: np.memmap
    events: np.memmap

    @classmethod
    def build(
        cls, folder: Path, model: LongHistory, log: Interactions, length: int = 1500, until: int | None = None
    ) -> InterestStore:
        """Compute everybody's interests; they take the place of a store that is there.

        length : L; until : a time of the log, clicks before it are known, default all. Of two domains the
        source is read, as in LongData. A second writer waits for the first. Raises ConfigError for a model
        that is not of Encode or of fewer items, DataError for interests that are not finite.
        """
        about = _about(model, log, length, until)
        with _alone(folder):
            _write(folder, model, about, _Clicked.of(log, length, about["until"]))
            return cls.open(folder, model)

    @classmethod
    def open(cls, folder: Path, model: LongHistory) -> InterestStore:
        """The store in a folder, after a look at every byte; nothing is kept in memory.

        Raises ConfigError where other weights or another configuration made it, DataError where there is none
        and where a file is missing or not what was written.
        """
        about = _read(folder)
        if about["model"] != version(model):
            raise ConfigError(f"the interests in {folder} are of another version of the model. {ANEW}")
        try:
            return cls(folder, about, *(_mapped(folder / about["arrays"] / name, about) for name in FILES))
        except DataError:
            if _read(folder) == about:
                raise
            return cls.open(folder, model)  # another process has just replaced it

    def refresh(self, model: LongHistory, log: Interactions, until: int | None = None) -> int:
        """Bring the store up to a later log, or moment; computes users whose clicks differ, returns how many.

        The log may have new users, with codes after the old ones. Raises ConfigError for another version of
        the model, or a log whose codes mean something else, and DataError as :meth:`open` and :meth:`build`.
        """
        with _alone(self.folder):
            old = self.open(self.folder, model)
            before = old.about
            if _codes(log, before["users"], before["items"]) != before["codes"]:
                raise ConfigError(f"codes of {log.name} do not mean what those of the store mean. {ANEW}")
            about = _about(model, log, before["length"], until)
            clicked = _Clicked.of(log, about["length"], about["until"])
            computed = _write(self.folder, model, about, clicked, old)
            vars(self).update(vars(self.open(self.folder, model)))
        return computed

    def of(self, users: Tensor) -> Interests:
        """Interests of users (B,), on their device, for :meth:`Encode.online`; code 0, unknown, has none.

        Raises ConfigError for codes that are not in the store.
        """
        code, last = users.cpu().numpy(), len(self.there) - 1
        for wrong in code[(code < 0) | (code > last)].tolist():
            raise ConfigError(f"there is no user {wrong}, codes go to {last}. Refresh the store if it is new")
        found = (np.asarray(part)[code] for part in (self.interests, self.there))
        return Interests(*(torch.from_numpy(part).to(users.device) for part in found))


def logits(model: LongHistory, sample: LongSample, store: InterestStore) -> Tensor:
    """Section 3.3: logits (B,) of candidates by stored interests; ``sample.long`` may be None."""
    users, row = sample.user.unique(return_inverse=True)
    offline = store.of(users)
    if len(users) > 1:  # else one user's are everybody's
        offline = Interests(*(part[row] for part in offline))
    with asking(model):
        query, fields, read = model.besides(sample)
        return model.judged(query, fields, [*read, model.interest.online(query, offline)])


def version(model: LongHistory) -> str:
    """Sixteen hex digits that change with whatever makes interests: the items, W_h, and the configuration."""
    if not isinstance(model.interest, Encode):
        raise ConfigError(f"a store holds interests of Encode, not of {type(model.interest).__name__}")
    knobs = {name: value for name, value in asdict(model.interest.config).items() if name not in IN_TRAINING}
    digest = hashlib.sha256(json.dumps([VERSION, knobs]).encode())
    for value in (model.life.item, model.interest.reduction.weight):
        digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().numpy())
    return digest.hexdigest()[:16]


class _Clicked(NamedTuple):
    """Everybody's last L clicks. item : (n,) of all clicks, grouped by user, oldest first; start, stop :
    (users,) places in it; events : (users, 2) as in the module.
    """

    item: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    events: np.ndarray

    @classmethod
    def of(cls, log: Interactions, length: int, until: int) -> _Clicked:
        clicks, users = own_clicks(log, among=sides(log)[1]), np.arange(log.size("user"))
        moment = min(until, int(log.timestamp[-1]) + 1)
        first, stop = clicks.before(users, np.full(len(users), moment))
        stop[0] = first[0]  # the unknown are not one person
        start, item = np.maximum(first, stop - length), log.item[clicks.ordered]
        pairs = zip(start, stop, strict=True)
        digests = b"".join(hashlib.blake2b(item[a:b], digest_size=8).digest() for a, b in pairs)
        digest = np.where(stop > start, np.frombuffer(digests, np.int64), 0)
        return cls(item, start, stop, np.stack([stop - first, digest], 1))

    def batches(self, users: np.ndarray, apart: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some users (b,), those with events, shortest first, and items (B, apart, L'): [:b, 0] is theirs,
        all else is empty. L' is at most a fourth longer than the own sequence, or 16; B follows from it.
        """
        users = users[self.stop[users] > self.start[users]]
        count = self.stop[users] - self.start[users]
        step = 1 << np.maximum(np.frexp(count - 1)[1] - 3, 4)
        wide = -(-count // step) * step
        for length in np.unique(wide).tolist():
            same, rows = users[wide == length], max(EVENTS // length // apart, 1)
            for some in np.split(same, range(rows, len(same), rows)):
                at = self.start[some, None] + np.arange(length)
                item = np.zeros((rows, apart, length), np.int64)
                there = at < self.stop[some, None]
                item[: len(some), 0] = np.where(there, self.item[np.minimum(at, len(self.item) - 1)], 0)
                yield some, item


def _apart(model: LongHistory) -> int:
    """Rows from one user of a batch to the next, for which arrays of each begin at a multiple of 64 bytes:
    products of matrices differ in the last bit where they are aligned otherwise.
    """
    config = model.interest.config
    numbers = (config.clusters.clusters * size for size in (model.life.width, config.reduced))
    return ALIGNED // math.gcd(ALIGNED, *numbers)


def _interests(model: LongHistory, item: np.ndarray) -> Interests:
    """Section 3.2: items (U, apart, L), 0 for padding -> (U, K, d) and (U, K) of [:, 0], on the processor."""
    code = torch.from_numpy(item).flatten(0, 1).to(model.life.item.device)
    offline, _, _ = model.interest.offline(model.life, Behaviours(code, code.new_zeros(*code.shape, 0)))
    return Interests(*(part[:: item.shape[1]].cpu() for part in offline))


def _about(model: LongHistory, log: Interactions, length: int, until: int | None) -> dict[str, object]:
    """What decides what a store holds, after checking that it makes sense."""
    until = int(log.timestamp[-1]) + 1 if until is None else until
    whole("length", length)
    whole("until", until, 0)
    users, items, known = log.size("user"), log.size("item"), len(model.life.item)
    if known < items:
        raise ConfigError(f"{log.name} has {items} codes of items, the model knows {known}")
    return {
        "model": version(model), "data": log.name, "fingerprint": log.fingerprint, "until": int(until),
        "users": users, "items": items, "codes": _codes(log, users, items), "length": int(length),
        "clusters": model.interest.config.clusters.clusters, "width": model.life.width,
    }  # fmt: skip


def _codes(log: Interactions, users: int, items: int) -> str:
    """A digest of what the first codes of users and items mean."""
    words = (log.vocabularies["user"][:users], log.vocabularies["item"][:items])
    return _check([part.tolist() for part in words])


# --- files ------------------------------------------------------------------------------------------------


def _alone(folder: Path) -> AbstractContextManager[None]:
    """One writer at a time."""
    return ChunkFiles(folder, {}, (), 0, 0).alone()


def _write(
    folder: Path, model: LongHistory, about: dict, clicked: _Clicked, old: InterestStore | None = None
) -> int:
    """Arrays, of which only what ``old`` lacks is computed, then about.json; how many users were computed."""
    _tidy(folder)
    taken = (int(path.name.removeprefix("arrays-")) for path in folder.glob("arrays-*"))
    place = folder / f"arrays-{max(taken, default=0) + 1}"
    try:
        place.mkdir()
        shape = about["users"], about["clusters"], about["width"]
        vector = open_memmap(place / FILES[0], "w+", np.float32, shape)
        there = open_memmap(place / FILES[1], "w+", np.bool_, shape[:2])
        users = np.arange(len(vector)) if old is None else _kept(old, clicked.events, vector, there)
        with asking(model):
            for some, item in clicked.batches(users, _apart(model)):
                found = [part.numpy()[: len(some)] for part in _interests(model, item)]
                for user in some[~np.isfinite(found[0]).all((1, 2))]:
                    raise DataError(f"an interest of user {user} is not finite", file=folder)
                vector[some], there[some] = found
        vector.flush()
        there.flush()
        np.save(place / FILES[2], clicked.events)
        about |= {"arrays": place.name, "files": {name: _digest(place / name) for name in FILES}}
        text = json.dumps({**about, "check": _check(about)}, indent=1)
        write_files({folder / "about.json": f"{text}\n".encode()})
        return len(users)
    finally:
        _tidy(folder)


def _kept(old: InterestStore, events: np.ndarray, vector: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Copy what is as it was, some lines at a time; (n,) users whose events are not."""
    known = np.zeros_like(events)
    known[: len(old.events)] = old.events
    same = (events == known).all(1)
    for at in range(0, len(old.events), 4096):
        lines = at + np.flatnonzero(same[: len(old.events)][at : at + 4096])
        vector[lines], there[lines] = old.interests[lines], old.there[lines]
    return np.flatnonzero(~same)


def _tidy(folder: Path) -> None:
    """Remove arrays that are not those of about.json: half done or replaced."""
    with suppress(DataError):  # nobody knows which those are
        kept = _read(folder)["arrays"] if (folder / "about.json").exists() else None
        for place in folder.glob("arrays-*"):
            if place.name != kept:
                shutil.rmtree(place, ignore_errors=True)


def _read(folder: Path) -> dict[str, object]:
    """What about.json says, if it says what was written."""
    path = folder / "about.json"
    if not path.exists():
        raise DataError(
            "there is no store of interests", file=folder, fix="Build it with InterestStore.build"
        )
    try:
        about = json.loads(path.read_bytes())
        sound = about.pop("check") == _check(about)
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise DataError("this is not what was written: damaged or edited", file=path, fix=ANEW)
    return about


def _mapped(path: Path, about: Mapping[str, object]) -> np.memmap:
    """An array as it was written."""
    if not path.exists():
        raise DataError("this file of the store is missing", file=path, fix=ANEW)
    if _digest(path) != about["files"][path.name]:
        what = "this is not what was written: truncated, edited or of another store"
        raise DataError(what, file=path, fix=ANEW)
    return np.load(path, mmap_mode="r")


def _check(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
