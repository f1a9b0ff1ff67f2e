"""Finding, fetching, loading and checking the real data sets of the catalogue.

A data set is looked for in ``$WORKBENCH_DATA/<name>/``, then in the user's cache
(``$WORKBENCH_CACHE``, else ``$XDG_CACHE_HOME/workbench``, else ``~/.cache/workbench``), and is then
downloaded from its public home, if it has one that needs no login.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from workbench.data import cache
from workbench.data.catalogue import SOURCES, Source
from workbench.data.fetch import Progress, download, extract
from workbench.data.interactions import Interactions
from workbench.data.parsers import Raw
from workbench.data.tables import refuse_non_table
from workbench.errors import DataError, unknown

__all__ = [
    "SOURCES",
    "Check",
    "Listing",
    "Source",
    "available",
    "check",
    "get",
    "load_source",
    "locate",
    "titles",
]


class Listing(NamedTuple):
    """One line of the list of data sets; ``folder`` is None where the files are not at hand."""

    name: str
    title: str
    size: str
    licence: str
    folder: Path | None


def available() -> list[Listing]:
    """Every known data set and whether it is at hand."""
    return [Listing(s.name, s.title, s.size, s.licence, locate(s.name)) for s in SOURCES.values()]


def locate(name: str) -> Path | None:
    """The folder that holds all files of a data set, or None. Raises ConfigError for an unknown name."""
    source = _source(name)
    return next((folder for folder in _places(source) if not _missing(source, folder)), None)


def load_source(name: str) -> Interactions:
    """Load a real data set, downloading it first where that is possible.

    Raises ConfigError for an unknown name; DataError when the files are not at hand and cannot be
    fetched (it names the files, where to get them and where to put them), when a file is not what it
    should be (it names file and line), or when it holds more or fewer rows than the publisher counts.
    """
    source = _source(name)
    folder = locate(name) or _get_visibly(source)
    if not source.large:
        return _read(source, folder)
    stored = cache.home() / "parsed" / cache.key(name, [folder / file for file in source.files])
    interactions = cache.load(stored)
    if interactions is None:
        interactions = _read(source, folder)
        try:
            cache.save(interactions, stored)
        except OSError as error:  # a full disk is no reason to throw the table away
            warnings.warn(f"{name} is parsed but could not be kept for next time ({error})", stacklevel=2)
    return interactions


def get(name: str, progress: Progress | None = None) -> Path:
    """Make sure that a data set is at hand, downloading it into the user's cache, and say where it is.

    ``progress(bytes so far, bytes in all or None)`` is called as it arrives. An interrupted download
    goes on where it stopped. Raises DataError when it cannot be fetched.
    """
    source = _source(name)
    if (folder := locate(name)) is not None:
        return folder
    if source.url is None:
        raise _absent(source)
    folder = cache.home() / name
    target = folder / source.url.rpartition("/")[2]
    try:
        download(source.url, target, source.checksum, progress)
        _refuse_page(target)
    except DataError as error:
        raise _absent(source, f" ({error.what})") from error
    if target.name not in source.files:
        try:
            extract(target, folder, source.files)
        finally:
            target.unlink()
    return folder


def _refuse_page(file: Path) -> None:
    """A server may answer with a page (a login, a provider's notice) instead of the file."""
    try:
        refuse_non_table(file)
    except DataError:
        file.unlink()
        raise


def titles(name: str, interactions: Interactions | None = None) -> np.ndarray:
    """Names of the items, where the source has them.

    Returns (size("item"),) strings indexed by item code; code 0 is "unknown". ``interactions`` is the
    loaded table, to save loading it again. Raises DataError for a source without titles.
    """
    source = _source(name)
    if source.titles is None:
        named = ", ".join(s.name for s in SOURCES.values() if s.titles is not None)
        raise DataError(f"{name} has no item titles; those that have: {named}")
    data = load_source(name) if interactions is None else interactions
    folder = locate(name)
    if folder is None:
        raise _absent(source)
    names = source.titles(folder)
    vocabulary = data.vocabularies["item"]
    return np.array(["unknown", *(names[int(item)] for item in vocabulary[1:])], dtype=object)


class Finding(NamedTuple):
    """One thing that was checked; ``published`` is None where there is nothing to compare with."""

    what: str
    found: str
    published: str | None
    ok: bool


@dataclass(frozen=True)
class Check:
    """What :func:`check` found; printing it gives a small table."""

    name: str
    folder: Path | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as published."""
        return all(finding.ok for finding in self.findings)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.folder or 'not at hand'}"]
        for what, found, published, ok in self.findings:
            compared = "" if published is None else f" (published: {published})"
            lines.append(f"  {'ok ' if ok else 'BAD'} {what}: {found}{compared}")
        return "\n".join(lines)


def check(name: str) -> Check:
    """Look at a data set's files without using them: are they there, do they parse, do they count right.

    Raises ConfigError for an unknown name. Faults of the data are findings, not exceptions.
    """
    source = _source(name)
    folder = locate(name)
    if folder is None:
        return Check(name, None, (Finding("files", str(_absent(source)), None, False),))
    findings = [Finding("files", ", ".join(source.files), None, True)]
    try:
        raw = source.parse(folder)
        data = _interactions(source, raw)
    except DataError as error:
        return Check(name, folder, (*findings, Finding("content", str(error), None, False)))
    counted = data.statistics()
    findings.append(_compared("rows", raw.events, source.rows))
    findings.append(_compared("users", int(counted["users"]), source.users))
    findings.append(_compared("items", int(counted["items"]), source.items))
    findings.append(Finding("note", data.note or "none", None, True))
    return Check(name, folder, tuple(findings))


def _compared(what: str, found: int, published: int | None) -> Finding:
    shown = None if published is None else f"{published:,}"
    return Finding(what, f"{found:,}", shown, published in (None, found))


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    return SOURCES[name]


def _places(source: Source) -> Iterator[Path]:
    """Folders where a data set may lie, the likeliest first."""
    roots = [Path(root)] if (root := os.environ.get("WORKBENCH_DATA")) else []
    for root in (*roots, cache.home()):
        for folder in (source.name, *source.folders):
            yield root / folder


def _missing(source: Source, folder: Path) -> list[str]:
    return [file for file in source.files if not (folder / file).is_file()]


def _absent(source: Source, why: str = "") -> DataError:
    """The error for a data set that is not at hand: which files, from where, to where."""
    places = list(_places(source))
    nearest = min(places, key=lambda folder: len(_missing(source, folder)))
    shown = places[0] if os.environ.get("WORKBENCH_DATA") else f"$WORKBENCH_DATA/{source.name} or {places[0]}"
    how = source.how or f"download {source.url}" + ("" if len(source.files) == 1 else " and unpack it")
    return DataError(
        f"{source.title} is not at hand{why}; missing: {', '.join(_missing(source, nearest))}",
        file=nearest if nearest.is_dir() else None,
        fix=f"Get them from {source.home} ({how}) and put them into {shown}",
    )


def _read(source: Source, folder: Path) -> Interactions:
    """Parse, count, validate and code."""
    raw = source.parse(folder)
    if source.rows is not None and raw.events != source.rows:
        state = "was cut off" if raw.events < source.rows else "is another release"
        counted = folder / source.files[0]  # the file with the events; times may lie in another
        raise DataError(
            f"{raw.events:,} rows, but {source.title} has {source.rows:,}: the file {state}",
            file=counted,
            row=raw.line(len(raw.frame)) if raw.file == counted else None,
            fix="Download it again",
        )
    return _interactions(source, raw)


def _interactions(source: Source, raw: Raw) -> Interactions:
    try:
        return Interactions.from_frame(
            raw.frame,
            name=raw.title or source.title,
            clock=source.clock,
            label_rule=source.label_rule,
            note="; ".join(filter(None, (raw.note, source.note))),
            file=raw.file,
            duplicates=source.duplicates,
        )
    except DataError as error:  # its row is a row of the frame: name the line of the file instead
        row = None if error.row is None else raw.line(error.row)
        raise DataError(error.what, file=error.file, row=row, column=error.column, fix=error.fix) from None


def _get_visibly(source: Source) -> Path:
    """Fetch with a progress bar, which lasts as long as bytes arrive."""
    bar: list[tqdm] = []

    def show(done: int, total: int | None) -> None:
        if not bar:
            bar.append(tqdm(total=total, unit="B", unit_scale=True, desc=f"Downloading {source.name}"))
        bar[0].update(done - bar[0].n)

    try:
        return get(source.name, show)
    finally:
        for shown in bar:
            shown.close()
