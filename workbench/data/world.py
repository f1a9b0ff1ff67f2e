"""The embedded world: a log of exposures and clicks from a causal process whose truths are known.

A user is always in one of S *needs*. *Sign* items are everyday items of one need: they show which
need a user is in. *Step* items lead from one need to the next along hidden chains, shared by all: a
step is wanted by users in the need it leaves, not by those already past it, and a click on it moves
the user. What others did *before and after* they met a step therefore tells where it sits, which is
LIFT's claim (Section 1). *Taste* items have a hidden topic; users have M interests among the topics,
which may all live at once or replace each other (ENCODE), and a second domain may share them (LCN).
Five knobs from 0 to 1 turn these phenomena on and off; no field of an item tells its topic, chain or
stage, because they are drawn apart.

Readings, where the description left a choice
---------------------------------------------
* Codes start at 1, so the category of a sign of need n (from 0) is code n + 1. Item codes are shuffled
  within a domain: a code says nothing. In truths, -1 means "does not apply".
* Balanced: place i % (number of places), shuffled; the remainder falls on arbitrary places.
* An interest slot m is alive on the half-open interval of length l around (m + 1/2)/M (circular), so
  that at longevity 0 exactly one is alive and none returns. It is looked up when a session starts.
* A session's gaps run from its own start; the running maximum delays it behind the session before.
* The ``interest`` of an event is the slot holding the *item's* topic (the session's interest is always
  alive, so it would say nothing more); where a source user holds a topic twice, a living slot wins.
* The second domain has its own sessions and its own event counts over the same days; all its events
  are tastes. ``need`` is -1 there, and wherever a preset has no needs.
* The clock starts on 2020-01-01 (UTC).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.data.interactions import Interactions
from workbench.data.world_config import KNOBS, PRESETS, WorldConfig, configure
from workbench.data.world_entities import (
    AGE_BANDS,
    CITIES,
    GENDERS,
    KINDS,
    PRICES,
    Items,
    Users,
    draw_items,
    draw_users,
    reserved_first,
)
from workbench.data.world_kernel import sample
from workbench.errors import DataError, unknown, whole

__all__ = [
    "KINDS",
    "KNOBS",
    "PRESETS",
    "World",
    "WorldConfig",
    "best_reachable",
    "make_world",
    "read_world",
    "stream_world",
]

START = 1_577_836_800  # 2020-01-01 00:00 UTC
METADATA = b"workbench.world"  # where a streamed file keeps its seed and parameters


@dataclass(frozen=True, eq=False)
class Truth:
    """What an observer of the log cannot see, one entry per row of ``World.interactions``.

    p_star : probability that ``label`` is 1, label noise included.
    clean_click : the click before label noise, which is what moves needs.
    kind : index into KINDS.  need : the need the user was in, -1 without needs.
    v : 1 for a step that leaves this need, -1 for one that leads to it, else 0.
    interest : the user's interest slot that holds the item's topic, -1 for none.
    alive : whether that interest was alive.
    session : number of the session within the user (and domain).
    causal_rank : number of the event within the user (and domain) in the order things happened;
        the log's order departs from it where ``order_noise`` shuffles sessions.
    """

    p_star: np.ndarray
    clean_click: np.ndarray
    kind: np.ndarray
    need: np.ndarray
    v: np.ndarray
    interest: np.ndarray
    alive: np.ndarray
    session: np.ndarray
    causal_rank: np.ndarray


@dataclass(frozen=True, eq=False)
class World:
    """A generated log with the truths behind it."""

    interactions: Interactions
    config: WorldConfig
    seed: int
    truth: Truth
    items: Items
    users: Users


def make_world(preset: str = "small", seed: int = 0, **knobs: object) -> World:
    """Generate a world.

    preset : tiny, small, long, lifelong, two_domain, two_domain_long or tiny_two_domain.
    seed : a whole number from 0.
    knobs : any field of WorldConfig, above all the five knobs from 0 to 1.

    The same preset, seed and knobs give the same bytes, and one of the five knobs changes no draw but
    those it is about: all random numbers are drawn beforehand, from one stream per purpose.

    Raises ConfigError for an unknown preset or knob (listing the known) and values out of range.
    """
    config = configure(preset, **knobs)
    items, affinity = draw_items(config, seed)
    users = draw_users(config, seed, 0, config.users, affinity)
    rows = sample(config, seed, 0, users, items)
    order = np.lexsort((rows["user"], rows["second"]))
    rows = {name: values[order] for name, values in rows.items()}
    return World(
        interactions=Interactions(
            columns=columns(config, rows, users, items),
            vocabularies=vocabularies(config),
            timestamp=rows["second"] + START,
            label=rows["label"],
            **naming(config, seed),
        ),
        config=config,
        seed=seed,
        truth=Truth(**{field.name: rows[field.name] for field in fields(Truth)}),
        items=items,
        users=reserved_first(users),
    )


class Reachable(NamedTuple):
    """AUC and LogLoss of the true probabilities on ``rows`` rows."""

    auc: float
    logloss: float
    rows: int


def best_reachable(world: World, rows: slice | np.ndarray, only: str | None = None) -> Reachable:
    """AUC and LogLoss of p_star on some rows (a slice, a mask or row numbers): a ceiling.

    p_star knows the hidden state of the user, so no observer of the log can reach this; a model that
    seems to has met a leak, or luck on few rows. ``only`` keeps the rows of one kind of item.

    Raises ConfigError for an unknown kind and DataError when the labels left are all alike.
    """
    from sklearn.metrics import log_loss, roc_auc_score

    rows = np.arange(len(world.interactions))[rows]
    if only is not None:
        if only not in KINDS:
            raise unknown("kind of item", only, KINDS)
        rows = rows[world.truth.kind[rows] == KINDS.index(only)]
    label, p = world.interactions.label[rows], world.truth.p_star[rows]
    if len(np.unique(label)) < 2:
        raise DataError(f"AUC needs both labels, but these {len(rows)} rows do not have both")
    return Reachable(float(roc_auc_score(label, p)), float(log_loss(label, p)), len(rows))


def columns(
    config: WorldConfig, rows: dict[str, np.ndarray], users: Users, items: Items, first_user: int = 1
) -> dict[str, np.ndarray]:
    """The visible categorical fields of sampled rows, (n,) int32 codes each."""
    user, item = rows["user"], rows["item"]
    visible = {
        "user": user + np.int32(first_user),
        "item": item,
        **{name: getattr(items, name)[item] for name in ("category", "brand", "price_band")},
        **{name: getattr(users, name)[user] for name in ("age_band", "gender", "city")},
    }
    return {**visible, "domain": rows["domain"]} if config.two_domains else visible


def vocabularies(config: WorldConfig) -> dict[str, np.ndarray]:
    """The names behind the codes of every visible field; numbers stand for themselves."""

    def named(*names: str) -> np.ndarray:
        return np.array(["unknown", *names], dtype=object)

    generic = [f"generic {g}" for g in range(config.n_generic)]
    words = {
        "user": np.arange(config.users + 1),
        "item": np.arange(config.n_items + config.source_items + 1),
        "category": named(*(f"need {n}" for n in range(config.needs)), *generic),
        "brand": named(*(f"brand {b}" for b in range(1, config.n_brand + 1))),
        "price_band": np.arange(PRICES + 1),
        "age_band": named(*AGE_BANDS),
        "gender": named(*GENDERS),
        "city": named(*(f"city {c}" for c in range(1, CITIES + 1))),
    }
    return {**words, "domain": named("target", "source")} if config.two_domains else words


def naming(config: WorldConfig, seed: int) -> dict[str, str]:
    """Name, label rule and note of the table; the note tells every departure from the preset."""
    preset = PRESETS[config.preset]
    changed = [f.name for f in fields(config) if getattr(config, f.name) != getattr(preset, f.name)]
    note = ", ".join(["generated", f"seed {seed}", *(f"{name}={getattr(config, name)}" for name in changed)])
    return {
        "name": f"world:{config.preset}",
        "label_rule": "1 = clicked (0 = shown, not clicked)",
        "note": note,
    }


def stream_world(
    path: str | os.PathLike,
    users: int,
    preset: str = "small",
    seed: int = 0,
    chunk_users: int = 2000,
    **knobs: object,
) -> int:
    """Write a world of ``users`` users to one Parquet file; returns its rows.

    Memory holds ``chunk_users`` users at a time. Items, chains and affinities are drawn once; every
    chunk has random streams of its own, keyed by its number. So the same seed and ``chunk_users`` give
    the same rows, another ``chunk_users`` another draw of the same kind of world, and one chunk for all
    users gives the rows of make_world.

    Row order: by user code; within a user by timestamp, and within a second as logged (target before
    source). :func:`read_world` brings them into the order of Interactions.

    Columns: the fields of Interactions as int32 codes, timestamp (int64 seconds), label (int8) and
    p_star (float32, the true probability of the label). One row group a chunk. The file appears under
    its name only when it is complete; an interrupted run leaves nothing there.

    Raises ConfigError as make_world does, and DataError when the folder does not exist.
    """
    config = configure(preset, users=users, **knobs)
    whole("chunk_users", chunk_users)
    items, affinity = draw_items(config, seed)
    schema = _schema(config).with_metadata({METADATA: json.dumps({"seed": int(seed), **asdict(config)})})

    def table(chunk: int, first: int) -> pa.Table:
        people = draw_users(config, seed, chunk, min(chunk_users, config.users - first), affinity)
        rows = sample(config, seed, chunk, people, items)
        order = np.lexsort((rows["second"], rows["user"]))
        rows = {name: values[order] for name, values in rows.items()}
        stored = columns(config, rows, people, items, first_user=first + 1)
        stored |= {"timestamp": rows["second"] + START, "label": rows["label"]}
        return pa.table({**stored, "p_star": rows["p_star"].astype(np.float32)}, schema=schema)

    with _appearing_whole(Path(path)) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for chunk, first in enumerate(range(0, config.users, int(chunk_users))):
            writer.write_table(table(chunk, first))
    return pq.read_metadata(path).num_rows


def _schema(config: WorldConfig) -> pa.Schema:
    codes = ["user", "item", "category", "brand", "price_band", "age_band", "gender", "city"]
    types = dict.fromkeys(codes + ["domain"] * config.two_domains, pa.int32())
    types |= {"timestamp": pa.int64(), "label": pa.int8(), "p_star": pa.float32()}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])


@contextmanager
def _appearing_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to, which becomes ``path`` if nothing goes wrong."""
    if not path.parent.is_dir():
        raise DataError("the folder does not exist", file=path.parent, fix="Create it first")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_world(path: str | os.PathLike) -> Interactions:
    """The Interactions of a file from stream_world, for sizes that fit in memory.

    ``source_row`` numbers the rows of the file, so that its p_star can be brought along:
    ``pq.read_table(path, columns=["p_star"])["p_star"].to_numpy()[interactions.source_row]``.

    Raises DataError, naming file, row and column, for a file that is missing, cut short, not from
    stream_world, or holds values that its own description does not allow.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("the file does not exist", file=path, fix="Write it with stream_world")
    try:
        file = pq.ParquetFile(path)
        about = json.loads((file.schema_arrow.metadata or {}).get(METADATA, b"null"))
        table = file.read() if about else None
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"not a readable Parquet file ({error})", file=path) from error
    if table is None:
        raise DataError("not a world written by stream_world", file=path)
    seed = about.pop("seed")
    config = configure(**about)
    for column in _schema(config):
        if column.name not in table.column_names or table.schema.field(column.name) != column:
            raise DataError(f"the column is missing or not {column.type}", file=path, column=column.name)
    words = vocabularies(config)
    arrays = {name: table[name].to_numpy() for name in (*words, "timestamp", "label")}
    ranges = {name: (1, len(values) - 1) for name, values in words.items()}
    for name, (low, high) in {**ranges, "timestamp": (START, np.inf), "label": (0, 1)}.items():
        wrong = np.flatnonzero((arrays[name] < low) | (arrays[name] > high))
        if wrong.size:
            row = int(wrong[0])
            raise DataError(f"{arrays[name][row]} is out of range", file=path, row=row + 1, column=name)
    order = np.lexsort((arrays["user"], arrays["timestamp"]))
    arrays = {name: values[order] for name, values in arrays.items()}
    return Interactions(
        columns={name: arrays[name] for name in words},
        vocabularies=words,
        timestamp=arrays["timestamp"],
        label=arrays["label"],
        source_row=order,
        **naming(config, seed),
    )
