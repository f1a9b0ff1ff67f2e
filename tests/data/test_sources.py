"""Loading: what small files in the documented formats become, where they are looked for, the cache."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rawfiles
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data import cache, load, logs, movielens
from workbench.data.interactions import Interactions
from workbench.data.sources import SOURCES, available, check, load_source, locate, titles
from workbench.errors import ConfigError, DataError

FORMATS = sorted(rawfiles.MAIN)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and cache in temporary folders, and row counts not those of the published files."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    for name, source in SOURCES.items():
        monkeypatch.setitem(SOURCES, name, replace(source, rows=None, users=None, items=None))


def home(name: str) -> Path:
    return Path(os.environ["WORKBENCH_DATA"]) / name


def as_strings(data: Interactions) -> pd.DataFrame:
    """The loaded table in the order of the file."""
    return data.to_frame().astype(str).iloc[np.argsort(data.source_row)].reset_index(drop=True)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_in_the_documented_format_loads_as_written(name: str) -> None:
    expected = rawfiles.write(name, home(name), rows=40)
    data = load_source(name)
    pd.testing.assert_frame_equal(as_strings(data), expected, check_dtype=False)
    assert (np.diff(data.timestamp) >= 0).all()
    assert data.label_rule == SOURCES[name].label_rule
    assert data.name == SOURCES[name].title


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(FORMATS), rows=st.integers(4, 60), seed=st.integers(0, 2**32 - 1))
def test_random_valid_files_round_trip(
    tmp_path_factory: pytest.TempPathFactory, name: str, rows: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("raw")
    expected = rawfiles.write(name, folder, rows, seed)
    source = SOURCES[name]
    frame = source.parse(folder).frame
    data = Interactions.from_frame(frame, name=name, clock=source.clock, duplicates=source.duplicates)
    pd.testing.assert_frame_equal(as_strings(data), expected, check_dtype=False)


def test_every_format_of_the_catalogue_is_written_by_a_test() -> None:
    parsed = {SOURCES[name].parse.__qualname__ for name in FORMATS}
    assert {source.parse.__qualname__ for source in SOURCES.values()} == parsed


@pytest.mark.parametrize("parse", [logs.taobao, logs.tmall, logs.taobao_ads, logs.alipay, logs.lastfm_1k])
def test_tiny_blocks_give_the_same_table(tmp_path: Path, parse: object) -> None:
    """Each block brings its own dictionary of words; they must be put together."""
    name = parse.__name__.replace("_", "-")  # type: ignore[attr-defined]
    rawfiles.write(name, tmp_path, rows=60)
    whole, blocks = parse(tmp_path), parse(tmp_path, block_size=256)  # type: ignore[operator]
    one, other = (Interactions.from_frame(raw.frame, name=name, duplicates="keep") for raw in (whole, blocks))
    assert one.fingerprint == other.fingerprint
    assert all(list(one.vocabularies[f]) == list(other.vocabularies[f]) for f in one.fields)


def test_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    expected = rawfiles.write("ml-1m", home("ml-1m"))
    file = home("ml-1m") / "ratings.dat"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(as_strings(load_source("ml-1m")), expected, check_dtype=False)


def test_taobao_leaves_out_what_lies_outside_the_window_and_says_so() -> None:
    inside = [f"7,{n},3,pv,{1_511_539_200 + n}" for n in range(5)]
    edges = ["7,98,3,pv,1511539200", "7,99,3,buy,1512316799"]  # the first and last second inside
    outside = ["7,1,3,pv,1511539199", "7,2,3,pv,1512316800", "7,3,3,pv,-2134949234"]
    home("taobao").mkdir(parents=True)
    rawfiles.put(home("taobao") / "UserBehavior.csv", outside[:1] + inside + outside[1:] + edges)
    data = load_source("taobao")
    assert len(data) == 7
    assert data.note.startswith("3 of 10 rows lie outside")
    assert {98, 99} <= set(data.vocabularies["item"])
    raw = logs.taobao(home("taobao"))
    assert [raw.line(row) for row in range(1, 8)] == [2, 3, 4, 5, 6, 9, 10]


def test_the_behaviour_log_comes_in_blocks(tmp_path: Path) -> None:
    lines = ["user,time_stamp,btag,cate,brand"] + [f"{n},149374162{n % 10},pv,6250,91286" for n in range(50)]
    rawfiles.put(tmp_path / "behavior_log.csv", lines)
    blocks = list(logs.taobao_ads_behaviour(tmp_path, block_size=300))
    assert len(blocks) > 3
    assert pd.concat(blocks)["user"].tolist() == list(range(50))


def test_film_names_by_item_code() -> None:
    rawfiles.write("ml-1m", home("ml-1m"), rows=30)
    data = load_source("ml-1m")
    names = titles("ml-1m", data)
    assert len(names) == data.size("item")
    assert names[0] == "unknown"
    for code in range(1, data.size("item")):
        assert names[code].startswith(f"Amélie: Part {data.value('item', code) - 1},")
    assert list(titles("ml-1m")) == list(names)
    with pytest.raises(DataError, match="has no item titles"):
        titles("yelp")


def test_large_tables_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rawfiles.write("tmall", home("tmall"), rows=50)
    first = load_source("tmall")

    def refuse(folder: Path) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setitem(SOURCES, "tmall", replace(SOURCES["tmall"], parse=refuse))
    again = load_source("tmall")
    assert again.fingerprint == first.fingerprint
    pd.testing.assert_frame_equal(again.to_frame(), first.to_frame())
    for part in ("timestamp", "label", "source_row", "user"):
        one, two = getattr(first, part), getattr(again, part)
        assert one.dtype == two.dtype
        assert two.flags.writeable
    assert (again.name, again.clock, again.label_rule, again.note) == (
        (first.name, first.clock, first.label_rule, first.note)
    )
    os.utime(home("tmall") / "user_log_format1.csv", ns=(1, 1))  # the file changed
    with pytest.raises(AssertionError, match="parsed again"):
        load_source("tmall")


def test_a_broken_cache_is_written_anew() -> None:
    rawfiles.write("tmall", home("tmall"), rows=50)
    first = load_source("tmall")
    (stored,) = (cache.home() / "parsed").iterdir()
    (stored / "rows.parquet").write_bytes(b"PAR1 cut off")
    assert load_source("tmall").fingerprint == first.fingerprint
    assert cache.load(stored) is not None


def test_a_cache_that_cannot_be_written_does_not_lose_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rawfiles.write("tmall", home("tmall"), rows=20)
    blocked = home("not a folder")
    blocked.write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(blocked))
    with pytest.warns(UserWarning, match="could not be kept"):
        assert len(load_source("tmall")) == len(expected)


def test_two_who_write_the_same_table_do_not_meet() -> None:
    rawfiles.write("tmall", home("tmall"), rows=20)
    data, folder = load_source("tmall"), cache.home() / "parsed" / "same"
    cache.save(data, folder)
    cache.save(data, folder)
    assert cache.load(folder).fingerprint == data.fingerprint
    assert not list(folder.parent.glob(".writing-*"))


def test_the_users_folder_comes_before_the_cache_and_aliases_count() -> None:
    assert locate("amazon-cross-domain") is None
    rawfiles.write("amazon-cross-domain", cache.home() / "amazon-cross-domain")
    assert locate("amazon-cross-domain") == cache.home() / "amazon-cross-domain"
    rawfiles.write("amazon-cross-domain", home("amazon-food-kitchen"))
    assert locate("amazon-cross-domain") == home("amazon-food-kitchen")
    (home("amazon-food-kitchen") / "map_item_50.txt").unlink()
    assert locate("amazon-cross-domain") == cache.home() / "amazon-cross-domain"


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WORKBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.home() == tmp_path / "workbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.home() == Path.home() / ".cache" / "workbench"


def test_the_list_says_what_is_at_hand() -> None:
    rawfiles.write("amazon-toys", home("amazon-toys"))
    listed = {row.name: row for row in available()}
    assert set(listed) == set(SOURCES)
    assert listed["amazon-toys"].folder == home("amazon-toys")
    assert listed["taobao"].folder is None
    assert all(row.licence and row.size and row.title for row in listed.values())


def test_check_compares_with_what_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rawfiles.write("ml-100k", home("ml-100k"), rows=30)
    counts = {"rows": 30, "users": expected["user"].nunique(), "items": expected["item"].nunique()}
    monkeypatch.setitem(SOURCES, "ml-100k", replace(SOURCES["ml-100k"], **counts))
    assert check("ml-100k").ok
    monkeypatch.setitem(SOURCES, "ml-100k", replace(SOURCES["ml-100k"], users=943))
    report = check("ml-100k")
    assert [f.what for f in report.findings if not f.ok] == ["users"]
    assert "published: 943" in str(report)
    (home("ml-100k") / "u.data").write_text("1\t2\tthree\t4\n")
    assert "u.data, row 1, column 'rating': 'three'" in str(check("ml-100k"))
    (home("ml-100k") / "u.data").unlink()
    assert not check("ml-100k").ok
    assert "missing: u.data" in str(check("ml-100k"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    for ask in (load, load_source, locate, check, titles):
        with pytest.raises(ConfigError, match=r"'ml-2m'; known: alipay, .*yelp"):
            ask("ml-2m")


def test_files_behind_a_login_are_named_with_their_home_and_place() -> None:
    with pytest.raises(DataError) as told:
        load_source("taobao")
    for part in ("UserBehavior.csv", "https://tianchi.aliyun.com/dataset/649", str(home("taobao"))):
        assert part in str(told.value)


def test_a_copy_with_reconstructed_times_is_told_by_its_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    rawfiles.write("ml-1m", home("ml-1m"))
    assert load_source("ml-1m").name == "MovieLens-1M"
    digest = hashlib.sha256((home("ml-1m") / "ratings.dat").read_bytes()).hexdigest()
    monkeypatch.setattr(movielens, "RECONSTRUCTED_1M", digest)
    data = load_source("ml-1m")
    assert data.name == "MovieLens-1M, timestamps partly reconstructed"
    assert data.note == "timestamps partly reconstructed"


REAL = {  # events, users, items, as their SOURCE.txt or publisher counts them
    "ml-100k": (100_000, 943, 1_682),
    "ml-1m": (1_000_209, 6_040, 3_706),
    "amazon-beauty": (198_502, 22_363, 12_101),
    "amazon-beauty-timed": (197_730, 22_287, 12_084),
    "amazon-cross-domain": (173_548, 7_144, 28_095),
    "lastfm-s3rec": (52_551, 1_090, 3_646),
    "taobao-sample": (84_440, 815, 55_344),
    "yelp": (316_354, 30_431, 20_033),
}
REAL_HOME = os.environ.get("WORKBENCH_DATA")


@pytest.mark.skipif(REAL_HOME is None, reason="WORKBENCH_DATA is not set: no real data at hand")
@pytest.mark.parametrize("name", sorted(REAL))
def test_the_real_files_count_as_published(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the published counts are enforced again
    if locate(name) is None:
        pytest.skip(f"{name} is not in WORKBENCH_DATA")
    data = load_source(name)
    counted = data.statistics()
    assert (counted["interactions"], counted["users"], counted["items"]) == REAL[name]
    if name == "ml-1m":
        assert np.bincount(data.label).tolist() == [424_928, 575_281]  # 226,310 fives + 348,971 fours
        assert data.fields == ("user", "item", "genre", "gender", "age", "occupation", "region")
        assert titles(name, data)[1] == "Toy Story (1995)"
    if name == "taobao-sample":
        assert data.note.startswith("35 of 84,475 rows")
    if name == "amazon-cross-domain":
        items = {
            d: len(np.unique(data.item[data.columns["domain"] == k]))
            for k, d in enumerate(data.vocabularies["domain"])
        }
        assert (items["target"], items["source"]) == (11_837, 16_258)


@pytest.mark.skipif(REAL_HOME is None, reason="WORKBENCH_DATA is not set: no real data at hand")
def test_the_real_movielens_1m_says_which_copy_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    if (folder := locate("ml-1m")) is None:
        pytest.skip("ml-1m is not in WORKBENCH_DATA")
    digest = hashlib.sha256((folder / "ratings.dat").read_bytes()).hexdigest()
    data = load_source("ml-1m")
    reconstructed = digest == "7eb9989a7f2ec3165d2b8a496f42b726daca31d589f98be84a5870e6c39af94a"
    assert data.name == ("MovieLens-1M, timestamps partly reconstructed" if reconstructed else "MovieLens-1M")
    assert data.note == ("timestamps partly reconstructed" if reconstructed else "")
