"""Arrays too long to compute in one go: written to disk chunk by chunk, and never half there unnoticed.

    <part>.npy    (rows, size) float32, one file for each part; any reader of .npy files can map it
    journal       what the arrays are (JSON), then a line for every finished chunk: [chunk, checksums]

A chunk that the journal does not vouch for does not exist, whatever the files hold. So neither a crash nor
a lost write nor an edited file can pass for a result.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import DataError
from workbench.lab.places import write_files

try:
    import fcntl
except ImportError:  # Windows: two builders at the same time do the same work
    fcntl = None

CHUNK = 4096  # lines that are written and vouched for together
AGAIN = "Build it again: it goes on with what is missing"


@dataclass(frozen=True)
class ChunkFiles:
    """The files of some arrays (rows, size) in a folder.

    about : what decides their content, plain JSON; a journal that says otherwise counts as none.
    """

    folder: Path
    about: Mapping[str, object]
    parts: Sequence[str]
    rows: int
    size: int

    @property
    def chunks(self) -> range:
        """The numbers of the chunks."""
        return range(-(-self.rows // CHUNK))

    def lines(self, chunk: int) -> slice:
        """The lines of a chunk."""
        return slice(chunk * CHUNK, min((chunk + 1) * CHUNK, self.rows))

    def count(self, chunks: Collection[int]) -> int:
        """How many lines some chunks have."""
        last = self.chunks.stop - 1
        missing = (last + 1) * CHUNK - self.rows if last in chunks else 0  # the last one is shorter
        return len(chunks) * CHUNK - missing

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One builder at a time: whoever comes second waits, and then finds the work done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield  # closing the file gives the lock back, and so does dying

    def prepared(self) -> set[int]:
        """Make the files ready to write to; returns the chunks that need no work."""
        journal = self._journal() or {}
        for chunk in {chunk for chunk, _ in self._damaged(journal)}:
            del journal[chunk]
        for part in self.parts:
            self._file(part).touch()
            with self._file(part).open("r+b") as file:
                file.write(self._start)
                file.truncate(self._bytes)
        written = [self._header, *(json.dumps([chunk, *sums]) for chunk, sums in journal.items())]
        write_files({self._path: "".join(f"{line}\n" for line in written).encode()})
        return set(journal)

    def write(self, chunk: int, values: Mapping[str, np.ndarray]) -> None:
        """Write a chunk of every part, (lines, size) numbers, then vouch for it.

        Raises DataError, and writes nothing, where a number is not finite.
        """
        blocks = {part: np.ascontiguousarray(values[part], "<f4") for part in self.parts}
        start = self.lines(chunk).start
        for part, block in blocks.items():
            if not np.isfinite(block).all():
                row = start + int(np.isfinite(block).all(-1).argmin()) + 1
                raise DataError(f"a value of {part} is not finite", file=self.folder.name, row=row)
        for part, block in blocks.items():
            with self._file(part).open("r+b") as file:
                file.seek(len(self._start) + start * self.size * block.itemsize)
                file.write(block)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([chunk, *map(zlib.crc32, blocks.values())]) + "\n")

    def mapped(self, part: str) -> np.ndarray:
        """The array of a part, (rows, size); what is looked at is read from disk. It cannot be written to."""
        return np.load(self._file(part), mmap_mode="r").view(np.ndarray)  # indexing a memmap is slower

    def refuse_unless_whole(self, what: str) -> None:
        """Raise DataError, which calls the arrays ``what``, unless all chunks are as they were written."""
        if not self._path.exists():
            raise DataError(f"there is no {what} for this", file=self.folder, fix="Build it first")
        journal = self._journal()
        if journal is None:
            raise DataError(f"the journal of this {what} is damaged", file=self._path, fix=AGAIN)
        if len(journal) < len(self.chunks):
            done = f"{self.count(journal):,} of {self.rows:,} rows are there"
            raise DataError(f"this {what} is unfinished: {done}", file=self.folder, fix=AGAIN)
        for chunk, part in self._damaged(journal):
            lines = self.lines(chunk)
            raise DataError(
                f"rows {lines.start + 1} to {lines.stop} of this {what} are not what was written",
                file=self._file(part),
                fix=AGAIN,
            )

    @property
    def _path(self) -> Path:
        return self.folder / "journal"

    @property
    def _header(self) -> str:
        return json.dumps({**self.about, "rows": self.rows, "size": self.size, "chunk": CHUNK})

    def _file(self, part: str) -> Path:
        return self.folder / f"{part}.npy"

    @property
    def _start(self) -> bytes:
        """How each part's file begins; the numbers follow."""
        buffer = io.BytesIO()
        about = {"descr": "<f4", "fortran_order": False, "shape": (self.rows, self.size)}
        np.lib.format.write_array_header_1_0(buffer, about)
        return buffer.getvalue()

    @property
    def _bytes(self) -> int:
        return len(self._start) + self.rows * self.size * 4

    def _journal(self) -> dict[int, list[int]] | None:
        """Checksums of every finished chunk; None where there is no journal of these arrays."""
        try:
            first, *lines = self._path.read_text("utf-8", "replace").splitlines()
        except (OSError, ValueError):
            return None
        if first != self._header:
            return None
        found = {}
        for line in lines:
            with suppress(ValueError, TypeError):  # a line cut off by an interruption vouches for nothing
                chunk, *sums = json.loads(line)
                found[chunk] = sums
        return {chunk: found[chunk] for chunk in self.chunks if chunk in found}

    def _damaged(self, journal: Mapping[int, list[int]]) -> Iterator[tuple[int, str]]:
        """Chunks, and the part in which their bytes are not those that the journal vouches for."""
        for place, part in enumerate(self.parts):
            values = self.mapped(part) if self._sound(part) else None
            for chunk, sums in journal.items():
                if values is None or sums[place : place + 1] != [zlib.crc32(values[self.lines(chunk)])]:
                    yield chunk, part

    def _sound(self, part: str) -> bool:
        """Has the file of a part the right size and beginning?"""
        try:
            with self._file(part).open("rb") as file:
                return file.read(len(self._start)) == self._start and file.seek(0, 2) == self._bytes
        except OSError:
            return False
