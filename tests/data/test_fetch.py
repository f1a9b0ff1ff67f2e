"""Downloads against a server on this machine that cuts, ignores ranges, refuses and lies."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import os
import re
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import rawfiles

from workbench.data import cache, fetch
from workbench.data.fetch import checksum_of, download, extract
from workbench.data.sources import SOURCES, get, load_source
from workbench.errors import DataError

CONTENT = bytes(range(256)) * 4000
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` under every path, in the manner the test asks for."""

    content = CONTENT
    cut_after: int | None = None  # bytes after which the connection breaks, while it lasts
    ranges = True
    status = 200
    silence = 0.0  # seconds before an answer

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        time.sleep(server.silence)
        if server.status != 200:
            return self.send_error(server.status)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
        if start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if asked and server.ranges else 200)
        if asked and server.ranges:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        body = server.content[start:]
        with contextlib.suppress(ConnectionError):  # who asked may have gone
            self.wfile.write(body if server.cut_after is None else body[: server.cut_after])
        return None

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_whole_and_reports_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = download(server.url, tmp_path / "new" / "a.bin", MD5, lambda *now: seen.append(now))
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert names(target.parent) == ["a.bin"]
    sha = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    assert checksum_of(target, "sha256:") == sha


def test_a_server_that_cuts_leaves_only_the_part_and_the_next_call_goes_on(
    server: Server, tmp_path: Path
) -> None:
    target = tmp_path / "a.bin"
    server.cut_after = 300_000
    for already in (300_000, 600_000):
        with pytest.raises(DataError, match=f"stopped after {already} of {len(CONTENT)}"):
            download(server.url, target, MD5)
        assert names(tmp_path) == ["a.bin.part"]
        assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:already]
    server.cut_after = None
    seen: list[int] = []
    download(server.url, target, MD5, lambda done, total: seen.append(done))
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]
    assert seen[0] > 600_000  # progress counts what was there
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    assert download(server.url, tmp_path / "a.bin", MD5).read_bytes() == CONTENT


def test_a_part_that_is_already_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "a.bin", MD5).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_starts_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"of another file")
    assert download(server.url, tmp_path / "a.bin", MD5).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT) + 15}-", None]


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"is {MD5}, not md5:0000"):
        download(server.url, tmp_path / "a.bin", "md5:" + "0" * 32)
    assert names(tmp_path) == []


def test_a_part_of_another_file_is_caught_by_the_checksum(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="the checksum of"):
        download(server.url, tmp_path / "a.bin", MD5)
    assert download(server.url, tmp_path / "a.bin", MD5).read_bytes() == CONTENT


def test_an_earlier_file_stays_until_the_new_one_is_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"earlier")
    server.cut_after = 10
    with pytest.raises(DataError, match="stopped after 10"):
        download(server.url, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"earlier"


def test_refusals_and_dead_servers_are_data_errors(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match="404") as told:
        download(server.url, tmp_path / "a.bin")
    assert server.url in str(told.value)
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"cannot be downloaded \(.*refused"):
        download(server.url, tmp_path / "a.bin")
    with pytest.raises(DataError, match="not a web address"):
        download("file:///etc/hostname", tmp_path / "a.bin")
    assert names(tmp_path) == []


def test_a_silent_server_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", 0.05)
    server.silence = 0.3
    with pytest.raises(DataError, match="timed out"):
        download(server.url, tmp_path / "a.bin")


# -------------------------------------------------------------------------------------------- archives


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as box:
        for name, content in members.items():
            box.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as box:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            box.addfile(info, io.BytesIO(content))
        for info in more:
            box.addfile(info)
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_the_named_files_come_out_without_the_archives_folders(pack: object, tmp_path: Path) -> None:
    archive = pack(tmp_path / "box", {"ml/a.dat": b"A", "ml/sub/b.dat": b"B", "ml/other": b"?"})  # type: ignore[operator]
    extract(archive, tmp_path / "out", ["a.dat", "b.dat"])
    assert names(tmp_path / "out") == ["a.dat", "b.dat"]
    assert (tmp_path / "out" / "b.dat").read_bytes() == b"B"


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("evil", ["../a.dat", "/etc/a.dat", "ml/../../a.dat", "..\\a.dat", "C:\\a.dat"])
def test_an_archive_that_would_write_elsewhere_is_refused(pack: object, evil: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / "box", {"ml/a.dat": b"A", evil: b"evil"})  # type: ignore[operator]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.dat").write_bytes(b"earlier")
    with pytest.raises(DataError, match="outside its folder"):
        extract(archive, tmp_path / "out", ["a.dat"])
    assert names(tmp_path) == ["box", "out"]
    assert names(tmp_path / "out") == ["a.dat"]
    assert (tmp_path / "out" / "a.dat").read_bytes() == b"earlier"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    link = tarfile.TarInfo("ml/link")
    link.type, link.linkname = kind, "/etc/passwd"
    archive = tarred(tmp_path / "box", {"ml/a.dat": b"A"}, link)
    with pytest.raises(DataError, match="not a file"):
        extract(archive, tmp_path / "out", ["a.dat"])
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_missing_and_doubled_members(pack: object, tmp_path: Path) -> None:
    archive = pack(tmp_path / "box", {"x/a.dat": b"A", "y/a.dat": b"B", "x/b.dat": b"B"})  # type: ignore[operator]
    with pytest.raises(DataError, match=r"holds 2 files named a\.dat"):
        extract(archive, tmp_path / "out", ["b.dat", "a.dat"])
    with pytest.raises(DataError, match=r"holds 0 files named c\.dat"):
        extract(archive, tmp_path / "out", ["b.dat", "c.dat"])
    assert names(tmp_path / "out") == []


def test_a_damaged_archive_changes_nothing(tmp_path: Path) -> None:
    big = os.urandom(200_000)
    damaged = zipped(tmp_path / "box.zip", {"a.dat": b"A", "b.dat": big})
    content = bytearray(damaged.read_bytes())
    content[100_000] ^= 255  # the sum over b.dat no longer holds
    damaged.write_bytes(content)
    cut = tarred(tmp_path / "box.tar.gz", {"a.dat": b"A", "b.dat": big})
    cut.write_bytes(cut.read_bytes()[:150_000])
    page = tmp_path / "page.zip"
    page.write_bytes(b"<html>Sign in</html>")
    for archive in (damaged, cut, page):
        with pytest.raises(DataError, match="damaged"):
            extract(archive, tmp_path / "out", ["a.dat", "b.dat"])
        assert names(tmp_path / "out") == []


# ------------------------------------------------------------------------------------------- data sets


@pytest.fixture
def _published(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MovieLens-1M and a sequence file, small, on the server of this test."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    rawfiles.write("ml-1m", tmp_path / "ml-1m", rows=30)
    box = zipped(
        tmp_path / "x.zip", {f"ml-1m/{f.name}": f.read_bytes() for f in (tmp_path / "ml-1m").iterdir()}
    )
    server.content = box.read_bytes()
    for name, file in (("ml-1m", "ml-1m.zip"), ("amazon-toys", "Toys_and_Games.txt")):
        monkeypatch.setitem(
            SOURCES,
            name,
            replace(SOURCES[name], url=server.url.replace("file.bin", file), rows=None, checksum=None),
        )


@pytest.mark.usefixtures("_published")
def test_loading_downloads_once(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(load_source("ml-1m")) == 30
    assert len(load_source("ml-1m")) == 30
    assert len(server.asked) == 1
    assert names(cache.home() / "ml-1m") == ["movies.dat", "ratings.dat", "users.dat"]
    assert "Downloading ml-1m" in capsys.readouterr().err


@pytest.mark.usefixtures("_published")
def test_an_interrupted_data_set_resumes(server: Server) -> None:
    server.cut_after = 400
    with pytest.raises(DataError, match="stopped after 400"):
        get("ml-1m")
    assert names(cache.home() / "ml-1m") == ["ml-1m.zip.part"]
    server.cut_after = None
    seen: list[int] = []
    assert get("ml-1m", lambda done, total: seen.append(done)) == cache.home() / "ml-1m"
    assert seen[-1] == len(server.content)
    assert server.asked == [None, "bytes=400-"]


@pytest.mark.usefixtures("_published")
def test_a_published_checksum_is_enforced(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(SOURCES["ml-1m"], checksum="md5:c4d9eecfca2ab87c1945afe126590906")
    monkeypatch.setitem(SOURCES, "ml-1m", wrong)
    with pytest.raises(DataError, match="not md5:c4d9eecfca2ab87c1945afe126590906"):
        get("ml-1m")
    assert names(cache.home() / "ml-1m") == []


@pytest.mark.usefixtures("_published")
def test_a_page_instead_of_the_file_leaves_nothing(server: Server) -> None:
    server.content = b"<html>Please sign in</html>"
    for name in ("ml-1m", "amazon-toys"):
        with pytest.raises(DataError, match="web page"):
            get(name)
        assert names(cache.home() / name) == []
    server.content = b"1 2 3\n"
    assert len(load_source("amazon-toys")) == 2


@pytest.mark.usefixtures("_published")
def test_offline_and_missing_names_files_home_and_place(server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError) as told:
        load_source("ml-1m")
    for part in ("ratings.dat, users.dat, movies.dat", "refused", "grouplens.org", "$WORKBENCH_DATA/ml-1m"):
        assert part in str(told.value)


def test_every_address_of_the_catalogue_can_be_fetched_or_is_explained() -> None:
    for source in SOURCES.values():
        assert (source.url is None) == bool(source.how), source.name
        assert source.home.startswith("http")
        if source.checksum is not None:
            assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", source.checksum)
