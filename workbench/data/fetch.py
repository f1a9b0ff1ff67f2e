"""Downloads that resume, checksums that are checked, archives that cannot write where they please.

Nothing half-written is ever left under a final name: a download grows in ``<name>.part`` and an
archive is unpacked beside its target, and both move into place whole (os.replace).
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from workbench.errors import DataError

CHUNK = 1 << 18
TIMEOUT = 30.0  # seconds without a byte
Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all if the server says


def download(url: str, target: Path, checksum: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch a file; an earlier interrupted attempt is continued.

    checksum : "md5:<hex>" or "sha256:<hex>". A file that does not match is thrown away.

    Raises DataError when the server cannot be reached, refuses, or stops early (what arrived stays in
    ``<target>.part``, and the next call goes on from there), and when the checksum differs.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url} is not a web address")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _receive(url, part, progress)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise DataError(
            f"{url} cannot be downloaded ({reason})",
            file=target,
            fix="Call it again to go on where it stopped, or fetch the file yourself and put it there",
        ) from error
    if checksum is not None and (found := checksum_of(part, checksum)) != checksum:
        part.unlink()
        raise DataError(
            f"the checksum of {url} is {found}, not {checksum}",
            file=target,
            fix="The download is broken or the published file has changed; it was thrown away",
        )
    os.replace(part, target)
    return target


def _receive(url: str, part: Path, progress: Progress | None) -> None:
    """Append what is missing to the .part file."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "workbench", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        reply = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not have:
            raise
        # Nothing is left to send. Either the .part is whole, or it belongs to another file.
        if error.headers.get("Content-Range") != f"bytes */{have}":
            part.unlink()
            _receive(url, part, progress)
        return
    with reply:
        resumed = reply.status == 206 and _starts_at(reply.headers.get("Content-Range"), have)
        done = have if resumed else 0  # a server that ignores the range sends everything again
        length = reply.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with part.open("ab" if resumed else "wb") as file:
            while chunk := reply.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the server stopped after {done} of {total} bytes")


def _starts_at(content_range: str | None, have: int) -> bool:
    return (content_range or "").startswith(f"bytes {have}-")


def checksum_of(path: Path, like: str) -> str:
    """The checksum of a file in the notation "md5:<hex>", with the algorithm of ``like``."""
    algorithm = like.partition(":")[0]
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def extract(archive: Path, folder: Path, names: Sequence[str]) -> None:
    """Unpack the named files of a .zip or .tar.gz into a folder, without the archive's own folders.

    Raises DataError, and changes nothing in the folder, when the archive is damaged, lacks one of the
    files or holds it twice, or has any member that would land outside (an absolute path, "..", a
    link).
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as beside:
        try:
            _unpack(archive, Path(beside), names)
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise DataError(
                f"the archive is damaged ({error})", file=archive, fix="Delete it and download it again"
            ) from error
        for name in names:
            os.replace(Path(beside) / name, folder / name)


def _unpack(archive: Path, into: Path, names: Sequence[str]) -> None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as box:
            members = [m for m in box.infolist() if not m.is_dir()]
            chosen = _choose(archive, [m.filename for m in members], names)
            for name, member in zip(names, chosen, strict=True):
                with box.open(members[member]) as source:
                    _write(source, into / name)
    else:
        with tarfile.open(archive, "r:*") as box:
            members = [m for m in box.getmembers() if not m.isdir()]
            for member in members:
                if not member.isfile():
                    raise DataError(f"the archive holds {member.name!r}, which is not a file", file=archive)
            chosen = _choose(archive, [m.name for m in members], names)
            for name, member in zip(names, chosen, strict=True):
                source = box.extractfile(members[member])
                assert source is not None  # it is a file, checked above
                with source:
                    _write(source, into / name)


def _choose(archive: Path, members: Sequence[str], names: Sequence[str]) -> list[int]:
    """The place of the one member for each name, after refusing any that points outside."""
    for member in members:
        path = PurePosixPath(member.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise DataError(
                f"the archive holds {member!r}, which would be written outside its folder",
                file=archive,
                fix="Do not use this archive: the published one has no such member",
            )
    chosen = []
    for name in names:
        found = [place for place, member in enumerate(members) if PurePosixPath(member).name == name]
        if len(found) != 1:
            raise DataError(f"the archive holds {len(found)} files named {name}, not one", file=archive)
        chosen += found
    return chosen


def _write(source: BinaryIO, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(source, file, CHUNK)
