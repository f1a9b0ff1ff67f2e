"""Small files in exactly the documented raw formats, with random content.

`write(name, folder, rows, seed)` writes what a data set's folder holds and returns the table that
loading it must give, one row per event in file order (raw values, as strings).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

GENRES = ("Action", "Comedy", "Drama", "Sci-Fi")
ALL_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary"),
    *("Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller"),
    *("War", "Western"),
)
BEHAVIOURS = ("pv", "buy", "cart", "fav")


class Main(NamedTuple):
    """The file with one event a line: its separator, header lines, and one column of numbers."""

    file: str
    separator: str
    header: int
    number: int


MAIN = {
    "ml-100k": Main("u.data", "\t", 0, 1),
    "ml-1m": Main("ratings.dat", "::", 0, 1),
    "ml-latest-small": Main("ratings.csv", ",", 1, 1),
    "taobao": Main("UserBehavior.csv", ",", 0, 0),
    "taobao-ads": Main("raw_sample.csv", ",", 1, 2),
    "tmall": Main("user_log_format1.csv", ",", 1, 3),
    "alipay": Main("ijcai2016_taobao.csv", ",", 1, 2),
    "amazon-books": Main("ratings_Books.csv", ",", 0, 3),
    "lastfm-1k": Main("userid-timestamp-artid-artname-traid-traname.tsv", "\t", 0, 1),
    "amazon-toys": Main("Toys_and_Games.txt", " ", 0, 0),
    "amazon-beauty-timed": Main("Beauty.txt", " ", 0, 0),
    "amazon-cross-domain": Main("afk_50_preprocessed.txt", " ", 0, 0),
}


def write(name: str, folder: Path, rows: int = 12, seed: int = 0) -> pd.DataFrame:
    """Write the files of a data set and return the expected table."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = _WRITERS[name](folder, np.random.default_rng(seed), rows)
    return expected.astype(str)


def put(path: Path, lines: list[str], encoding: str = "utf-8", end: str = "\n") -> None:
    """Write lines, each with its line end."""
    path.write_bytes("".join(line + end for line in lines).encode(encoding))


def _joined(frame: pd.DataFrame, separator: str) -> list[str]:
    return [separator.join(map(str, row)) for row in frame.itertuples(index=False)]


def _ratings(rng: np.random.Generator, rows: int, stars: tuple[object, ...]) -> pd.DataFrame:
    """Distinct (user, item) pairs, as every MovieLens release has."""
    pairs = rng.permutation(20 * 20)[:rows]
    return pd.DataFrame(
        {
            "user": pairs // 20 + 1,
            "item": pairs % 20 + 1,
            "rating": [stars[k] for k in rng.integers(0, len(stars), rows)],
            "timestamp": rng.integers(874_724_710, 1_050_000_000, rows),
        }
    )


def _people(rng: np.random.Generator, ages: list[object]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user": np.arange(1, 21),
            "gender": rng.choice(["F", "M"], 20),
            "age": [ages[k] for k in rng.integers(0, len(ages), 20)],
            "occupation": rng.integers(0, 3, 20),
            "zip": rng.choice(["90210", "V3N4P", "02139-1234"], 20),
        }
    )


def _films(rng: np.random.Generator) -> pd.DataFrame:
    flags = rng.random((20, len(GENRES))) < 0.5
    flags[:, 2] |= ~flags.any(axis=1)
    return pd.DataFrame(
        {
            "item": np.arange(1, 21),
            "title": [f"Amélie: Part {n}, the (200{n % 10})" for n in range(20)],
            "genre": ["|".join(g for g, on in zip(GENRES, row, strict=True) if on) for row in flags],
        }
    )


def _seen(ratings: pd.DataFrame, films: pd.DataFrame, people: pd.DataFrame | None) -> pd.DataFrame:
    table = ratings.merge(films, on="item", how="left")
    fields = ["user", "item", "genre"]
    if people is not None:
        table = table.merge(people, on="user", how="left").assign(region=lambda t: t["zip"].str[0])
        fields += ["gender", "age", "occupation", "region"]
    label = [int(float(stars) >= 4) for stars in table["rating"]]
    return table[[*fields, "timestamp"]].assign(label=label)


def _ml_100k(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    ratings, films = _ratings(rng, rows, (1, 2, 3, 4, 5)), _films(rng)
    people = _people(rng, [7, 17, 18, 24, 25, 34, 35, 49, 50, 56, 73])
    people["occupation"] = np.array(["artist", "student", "none"])[people["occupation"]]
    put(folder / "u.data", _joined(ratings, "\t"))
    put(folder / "u.user", _joined(people[["user", "age", "gender", "occupation", "zip"]], "|"))
    flags = [["1" if g in genre.split("|") else "0" for g in ALL_GENRES] for genre in films["genre"]]
    lines = [
        "|".join([f"{film.item}|{film.title}|01-Jan-1995||http://imdb/{film.item}", *flag])
        for film, flag in zip(films.itertuples(), flags, strict=True)
    ]
    put(folder / "u.item", lines, "latin-1")
    # The bands, worked out by hand for the ages above.
    bands = dict(zip((7, 17), ("under 18",) * 2, strict=True)) | {18: "18-24", 24: "18-24", 25: "25-34"}
    bands |= {34: "25-34", 35: "35-44", 49: "45-49", 50: "50-55", 56: "56+", 73: "56+"}
    return _seen(ratings, films, people.assign(age=people["age"].map(bands)))


def _ml_1m(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    ratings, films, people = _ratings(rng, rows, (1, 2, 3, 4, 5)), _films(rng), _people(rng, [1, 18, 56])
    put(folder / "ratings.dat", _joined(ratings, "::"))
    put(folder / "users.dat", _joined(people, "::"))
    put(folder / "movies.dat", _joined(films, "::"), "latin-1")
    jobs = people["occupation"].map({0: "other", 1: "academic/educator", 2: "artist"})
    bands = people["age"].map({1: "under 18", 18: "18-24", 56: "56+"})
    return _seen(ratings, films, people.assign(occupation=jobs, age=bands))


def _ml_csv(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    ratings, films = _ratings(rng, rows, ("0.5", "3.5", "4.0", "5.0")), _films(rng)
    put(folder / "ratings.csv", ["userId,movieId,rating,timestamp", *_joined(ratings, ",")])
    lines = [f'{film.item},"{film.title}",{film.genre}' for film in films.itertuples()]
    put(folder / "movies.csv", ["movieId,title,genres", *lines])
    return _seen(ratings, films, None)


def _taobao(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    log = pd.DataFrame({"user": np.sort(rng.integers(1, 9, rows)), "item": rng.integers(1, 5_000_000, rows)})
    log["category"] = log["item"] % 97
    log["behaviour"] = rng.choice(BEHAVIOURS, rows)
    log["timestamp"] = rng.integers(1_511_539_200, 1_512_316_800, rows)
    put(folder / "UserBehavior.csv", _joined(log, ","))
    return log.assign(label=1)


def _midnight(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


def _tmall(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    days = {"0511": (5, 11), "0829": (8, 29), "1111": (11, 11)}
    log = pd.DataFrame({"user": rng.integers(1, 9, rows), "item": rng.integers(1, 999, rows)})
    log["category"], log["seller"] = log["item"] % 7, log["item"] % 11
    log["brand"] = rng.choice(["", "2661", "0"], rows)
    log["time"] = rng.choice(list(days), rows)
    log["action"] = rng.choice(list("0123"), rows)
    people = pd.DataFrame({"user": np.arange(1, 8)})  # user 8 has no row
    people["age"] = rng.choice(["", "0", "3", "6"], 7)
    people["gender"] = rng.choice(["", "0", "1", "2"], 7)
    order = ["user", "item", "category", "seller", "brand", "time", "action"]
    head = "user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type"
    put(folder / "user_log_format1.csv", [head, *_joined(log[order], ",")])
    put(folder / "user_info_format1.csv", ["user_id,age_range,gender", *_joined(people, ",")])
    table = log.merge(people, on="user", how="left").fillna("")
    return pd.DataFrame(
        {
            **{name: table[name] for name in ("user", "item", "category", "seller")},
            "brand": table["brand"].replace("", "unknown"),
            "age": table["age"].replace({"": "unknown", "0": "unknown"}),
            "gender": table["gender"].replace({"": "unknown", "2": "unknown"}),
            "action": table["action"].map({"0": "click", "1": "cart", "2": "buy", "3": "favourite"}),
            "timestamp": [_midnight(2014, *days[day]) for day in table["time"]],
            "label": 1,
        }
    )


def _alipay(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    days = {"20150701": (2015, 7, 1), "20151031": (2015, 10, 31), "20151125": (2015, 11, 25)}
    log = pd.DataFrame({"user": rng.integers(1, 9, rows), "seller": rng.integers(1, 99, rows)})
    log["item"], log["category"] = rng.integers(1, 999, rows), rng.integers(1, 73, rows)
    log["action"], log["time"] = rng.integers(0, 2, rows), rng.choice(list(days), rows)
    order = ["user", "seller", "item", "category", "action", "time"]
    lines = ["use_ID,sel_ID,ite_ID,cat_ID,act_ID,time", *_joined(log[order], ",")]
    put(folder / "ijcai2016_taobao.csv", lines)
    table = log[["user", "item", "category", "seller"]]
    return table.assign(
        action=log["action"].map({0: "click", 1: "buy"}),
        timestamp=[_midnight(*days[day]) for day in log["time"]],
        label=1,
    )


def _taobao_ads(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    shown = pd.DataFrame(
        {"user": rng.integers(1, 9, rows), "time": rng.integers(1_494_000_000, 1_494_691_186, rows)}
    )
    shown["item"], shown["pid"] = rng.integers(1, 6, rows), rng.choice(["430548_1007", "430539_1007"], rows)
    shown["clk"] = rng.integers(0, 2, rows)
    shown["nonclk"] = 1 - shown["clk"]
    ads = pd.DataFrame({"item": np.arange(1, 6), "category": [5, 1999, 2000, 6406, 2]})
    ads["campaign"], ads["customer"] = ads["item"] + 100, ads["item"] % 2
    ads["brand"], ads["price"] = ["NULL", "95471", "7", "NULL", "7"], "170.0"
    names = ["cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level", "shopping_level"]
    names += ["occupation", "new_user_class_level"]
    people = pd.DataFrame({"user": np.arange(1, 7)})  # users 7 and 8 have no profile
    for name in names:
        people[name] = rng.choice(["", "1", "2"], 6)
    head = "user,time_stamp,adgroup_id,pid,nonclk,clk"
    order = ["user", "time", "item", "pid", "nonclk", "clk"]
    put(folder / "raw_sample.csv", [head, *_joined(shown[order], ",")])
    head = "adgroup_id,cate_id,campaign_id,customer,brand,price"
    put(folder / "ad_feature.csv", [head, *_joined(ads, ",")])
    head = ",".join(["userid", *names]) + " "  # the published header ends with a blank
    put(folder / "user_profile.csv", [head, *_joined(people, ",")])
    table = shown.merge(ads, on="item", how="left").merge(people, on="user", how="left").fillna("")
    table["brand"] = table["brand"].replace("NULL", "unknown")
    table[names] = table[names].replace("", "unknown")
    table["domain"] = np.where(table["category"] < 2000, "target", "source")
    fields = ["user", "item", "category", "campaign", "customer", "brand", "pid", *names, "domain"]
    return table[fields].assign(timestamp=table["time"], label=table["clk"])


def _amazon_books(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    log = pd.DataFrame({"user": [f"A{n}" for n in rng.integers(1, 9, rows)]})
    log["item"] = [f"000{n}" for n in rng.integers(1, 9, rows)]  # leading zeros must survive
    log["rating"], log["timestamp"] = "5.0", rng.integers(0, 1_400_000_000, rows)
    put(folder / "ratings_Books.csv", _joined(log, ","))
    return log[["user", "item", "timestamp"]].assign(label=1)


def _lastfm_1k(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    people = pd.DataFrame({"user": [f"user_{n:06d}" for n in range(1, 5)]})
    people["gender"], people["age"] = ["m", "f", "", "m"], ["", "22", "", "30"]
    people["country"], people["registered"] = ["Japan", "", "Côte D'Ivoire", "Peru"], "Aug 13, 2006"
    log = pd.DataFrame({"user": rng.choice(people["user"], rows)})
    log["timestamp"] = rng.integers(1_108_000_000, 1_241_000_000, rows)
    # Quotes and empty track names occur in the published file.
    log["artist"] = rng.choice(["Sigur Rós", '"Weird Al" Yankovic', "坂本龍一"], rows)
    log["track"] = rng.choice(["Intro", 'The 7" Mix', ""], rows)
    moments = [datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for t in log["timestamp"]]
    lines = [
        f"{row.user}\t{moment}\t{'f1b1cf71' if rng.random() < 0.5 else ''}\t{row.artist}\t\t{row.track}"
        for row, moment in zip(log.itertuples(), moments, strict=True)
    ]
    put(folder / "userid-timestamp-artid-artname-traid-traname.tsv", lines)
    put(folder / "userid-profile.tsv", ["#id\tgender\tage\tcountry\tregistered", *_joined(people, "\t")])
    table = log.merge(people.replace("", "unknown"), on="user", how="left")
    table["item"] = table["artist"] + " – " + table["track"]
    return table[["user", "item", "artist", "gender", "age", "country", "timestamp"]].assign(label=1)


def _lists(rng: np.random.Generator, rows: int) -> list[list[int]]:
    """Per-user item lists; items repeat."""
    return [rng.integers(1, 30, rng.integers(1, 8)).tolist() for _ in range(rows)]


def _toys(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    items = _lists(rng, rows)
    put(folder / "Toys_and_Games.txt", [" ".join(map(str, [u, *s])) for u, s in enumerate(items, 1)])
    events = [(u, item, place, 1) for u, s in enumerate(items, 1) for place, item in enumerate(s)]
    return pd.DataFrame(events, columns=["user", "item", "timestamp", "label"])


def _beauty_timed(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    items = [sorted(set(s)) for s in _lists(rng, rows)]  # no item twice, so no repeated row
    times = {u: np.sort(rng.integers(10**9, 1_400_000_000, len(s))).tolist() for u, s in enumerate(items, 1)}
    for user in list(times)[1::4]:
        del times[user]  # some users' times are not known
    put(folder / "Beauty.txt", [" ".join(map(str, [u, *s])) for u, s in enumerate(items, 1)])
    put(folder / "Beauty_times.txt", [" ".join(map(str, [u, *t])) for u, t in times.items()])
    events = [(u, item, at, 1) for u in times for item, at in zip(items[u - 1], times[u], strict=True)]
    return pd.DataFrame(events, columns=["user", "item", "timestamp", "label"])


def _food_kitchen(folder: Path, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    items = [sorted(set(s)) for s in _lists(rng, rows)]
    times = [np.sort(rng.integers(10**9, 1_400_000_000, len(s))).tolist() for s in items]
    lines = [
        " ".join([str(u), *(f"{i}|{t}" for i, t in zip(s, at, strict=True))])
        for u, (s, at) in enumerate(zip(items, times, strict=True))
    ]
    put(folder / "afk_50_preprocessed.txt", lines)
    content = {f"B{n:09d}": [n, int(n >= 15)] for n in range(1, 30)}
    (folder / "map_item_50.txt").write_text(json.dumps(content), encoding="utf-8")
    events = [
        (u, i, "source" if i >= 15 else "target", t, 1)
        for u, (s, at) in enumerate(zip(items, times, strict=True))
        for i, t in zip(s, at, strict=True)
    ]
    return pd.DataFrame(events, columns=["user", "item", "domain", "timestamp", "label"])


_WRITERS: dict[str, Callable[[Path, np.random.Generator, int], pd.DataFrame]] = {
    "ml-100k": _ml_100k,
    "ml-1m": _ml_1m,
    "ml-latest-small": _ml_csv,
    "taobao": _taobao,
    "taobao-ads": _taobao_ads,
    "tmall": _tmall,
    "alipay": _alipay,
    "amazon-books": _amazon_books,
    "lastfm-1k": _lastfm_1k,
    "amazon-toys": _toys,
    "amazon-beauty-timed": _beauty_timed,
    "amazon-cross-domain": _food_kitchen,
}
