"""The result store: one record for each finished trial of an experiment.

Where records live. A sweep writes ``runs/results/<experiment>/<key>.json``, which git ignores. What took
longer than a reader would wait is *kept*: ``Store().keep(experiment)`` gathers its records in
``figures/results/<experiment>.json``, which is committed beside the pictures drawn from it. A sweep looks
for a trial among its own records, then among the kept ones, and runs what it finds in neither.

The key of a record is made of what was asked (experiment, variant, data and their fingerprint, seed,
configuration), not of the code: the record says which commit answered. Whoever changes the answer changes
the question too, by a ``version`` in the configuration, or removes the records.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError
from workbench.lab.places import places, write_files
from workbench.lab.runs import code_state

ASKED = ("variant", "dataset", "fingerprint", "seed")
ANSWERED = ("seconds", "commit", "dirty", "key")
Metrics = Mapping[str, object]
Record = dict[str, object]


@dataclass(frozen=True)
class Trial:
    """One question of an experiment.

    variant : the system measured; dataset, fingerprint : the data it is measured on; seed : of
    everything that is random; config : every other setting that matters, as plain JSON values.
    """

    variant: str
    dataset: str
    fingerprint: str
    seed: int
    config: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def on(
        cls, log: Interactions, variant: str, seed: int, config: Mapping[str, object] | None = None
    ) -> Trial:
        """A trial on this log."""
        return cls(variant, log.name, log.fingerprint, seed, dict(config or {}))

    def key(self, experiment: str) -> str:
        """Sixteen hex digits that change with the experiment and with anything in the trial.

        Raises ConfigError for a configuration that is not plain JSON or uses a column's own name.
        """
        if taken := {*ASKED, *ANSWERED} & set(self.config):
            raise ConfigError(f"a setting cannot be called {min(taken)!r}: that is a column of its own")
        try:
            parts = json.dumps([experiment, asdict(self)], sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"settings must be plain JSON values: {error}") from None
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        settings = ", ".join(f"{name} {value}" for name, value in self.config.items())
        return f"{self.variant} on {self.dataset}, seed {self.seed}" + (f", {settings}" if settings else "")


class Store:
    """Records of finished trials.

    folder : where a sweep writes, default ``runs/results`` of the checkout; kept : where long results are
    committed, default ``figures/results`` (with a folder of one's own: none).
    """

    def __init__(self, folder: Path | None = None, kept: Path | None = None) -> None:
        self.folder = places().results if folder is None else folder
        self.kept = places().kept_results if folder is None and kept is None else kept

    def records(self, experiment: str) -> dict[str, Record]:
        """key -> record of every finished trial; a sweep's own records before kept ones."""
        _refuse_name(experiment)
        found = {}
        if self.kept is not None and (path := self.kept / f"{experiment}.json").exists():
            found = {record["key"]: record for record in _read(path)["records"]}
        for path in sorted((self.folder / experiment).glob("*.json")):
            if not path.name.endswith(".failed.json"):
                found[path.stem] = _read(path)
        return found

    def write(self, experiment: str, trial: Trial, metrics: Metrics, seconds: float) -> None:
        """Store what a trial answered."""
        key = trial.key(experiment)
        record = {
            "key": key,
            "experiment": experiment,
            **asdict(trial),
            "metrics": dict(metrics),
            "seconds": round(seconds, 2),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **code_state(),
        }
        write_files({self.folder / experiment / f"{key}.json": _json(record)})
        (self.folder / experiment / f"{key}.failed.json").unlink(missing_ok=True)

    def twin(self, trial: Trial) -> Record | None:
        """A record of the same question under another name: same data, seed and settings, else None."""
        asked = {
            name: json.loads(json.dumps(value)) for name, value in asdict(trial).items() if name != "variant"
        }
        folders = [path for path in (self.folder, self.kept) if path is not None and path.exists()]
        names = {
            path.stem for folder in folders for path in folder.iterdir() if not path.name.startswith(".")
        }
        for experiment in sorted(names):
            for record in self.records(experiment).values():
                if all(record[name] == value for name, value in asked.items()):
                    return record
        return None

    def adopt(self, experiment: str, trial: Trial, twin: Record) -> None:
        """Store what a twin answered, when and by which code."""
        key = trial.key(experiment)
        record = {**twin, "key": key, "experiment": experiment, "variant": trial.variant}
        write_files({self.folder / experiment / f"{key}.json": _json(record)})

    def write_failure(self, experiment: str, trial: Trial, error: str) -> None:
        """Store why a trial gave no answer; it stays to be run."""
        path = self.folder / experiment / f"{trial.key(experiment)}.failed.json"
        write_files({path: _json({"experiment": experiment, **asdict(trial), "error": error.splitlines()})})

    def keep(self, experiment: str, keys: Iterable[str] | None = None) -> Path:
        """Gather records of an experiment in one file to be committed; returns its path.

        keys : which ones, such as a table's column ``key``; default all. The file holds these and no
        others.

        Raises ConfigError where there is nothing to keep, a key has no record, or there is no place.
        """
        records = self.records(experiment)
        if self.kept is None:
            raise ConfigError("this store has no place for kept results")
        keys = list(records if keys is None else keys)
        if absent := [key for key in keys if key not in records]:
            raise ConfigError(f"{experiment} has no result {absent[0]!r}")
        if not keys:
            raise ConfigError(f"there are no results of {experiment!r} to keep")
        path = self.kept / f"{experiment}.json"
        ordered = in_order(records[key] for key in keys)
        write_files({path: _json({"experiment": experiment, "records": ordered})})
        return path


def in_order(records: Iterable[Record]) -> list[Record]:
    """Records by data, variant and seed."""
    return sorted(records, key=lambda r: (r["dataset"], r["variant"], r["seed"], r["key"]))


def _refuse_name(experiment: str) -> None:
    if not re.fullmatch(r"[a-z0-9_]+", experiment):
        raise ConfigError(f"an experiment's name has lower-case letters, digits and _, unlike {experiment!r}")


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read(path: Path) -> dict[str, object]:
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise DataError(
            "not a stored result", file=path.name, fix="Remove it; its trial runs again"
        ) from None
