"""The large click and listening logs: Taobao, Taobao ads, Tmall, Alipay, Last.fm-1K, Amazon ratings.

All are read in blocks into 32-bit codes, so that 100 million rows fit into a few gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data.parsers import UNKNOWN, Raw, find, spread
from workbench.data.tables import (
    AGAIN,
    BLOCK,
    FLAG,
    ID,
    MOMENT,
    STARS,
    TEXT,
    WHOLE,
    Layout,
    first_row,
    one_of,
    read_lines,
    read_table,
    stream_table,
)
from workbench.errors import DataError

TAOBAO = Layout(
    {
        "user": ID,
        "item": ID,
        "category": ID,
        "behaviour": one_of("pv", "buy", "cart", "fav"),
        "timestamp": WHOLE,
    }
)
# The period the data set is documented to cover, by the clock of Beijing (UTC+8).
TAOBAO_START, TAOBAO_STOP = 1_511_539_200, 1_512_316_800  # 2017-11-25 00:00, 2017-12-04 00:00

TMALL_LOG = Layout(
    {
        **dict.fromkeys(("user_id", "item_id", "cat_id", "seller_id"), ID),
        "brand_id": TEXT,
        "time_stamp": ID,
        "action_type": one_of("0", "1", "2", "3"),
    },
    header=True,
)
TMALL_USERS = Layout({"user_id": ID, "age_range": TEXT, "gender": TEXT}, header=True)
TMALL_ACTIONS = {"0": "click", "1": "cart", "2": "buy", "3": "favourite"}

ALIPAY = Layout(
    {
        **dict.fromkeys(("use_ID", "sel_ID", "ite_ID", "cat_ID"), ID),
        "act_ID": one_of("0", "1"),
        "time": ID,
    },
    header=True,
)
ALIPAY_ACTIONS = {"0": "click", "1": "buy"}

ADS_SHOWN = Layout(
    {"user": ID, "time_stamp": WHOLE, "adgroup_id": ID, "pid": TEXT, "nonclk": FLAG, "clk": FLAG}, header=True
)
ADS = Layout(
    {**dict.fromkeys(("adgroup_id", "cate_id", "campaign_id", "customer"), ID), "brand": TEXT, "price": TEXT},
    header=True,
    skip=("price",),
)
ADS_USERS = Layout(
    {
        "userid": ID,
        **dict.fromkeys(("cms_segid", "cms_group_id", "final_gender_code", "age_level"), TEXT),
        **dict.fromkeys(("pvalue_level", "shopping_level", "occupation", "new_user_class_level"), TEXT),
    },
    header=True,
)
ADS_BEHAVIOUR = Layout(
    {
        "user": ID,
        "time_stamp": WHOLE,
        "btag": one_of("pv", "cart", "fav", "buy"),
        "cate": ID,
        "brand": ID,
    },
    header=True,
)
SOURCE_CATEGORIES_FROM = 2000  # LCN, Section 5.1.1

LISTENS = Layout(
    {
        "userid": TEXT,
        "timestamp": MOMENT,
        **dict.fromkeys(("musicbrainz-artist-id", "artist-name", "musicbrainz-track-id", "track-name"), TEXT),
    },
    "\t",
    skip=("musicbrainz-artist-id", "musicbrainz-track-id"),
)
LISTENERS = Layout(dict.fromkeys(("#id", "gender", "age", "country", "registered"), TEXT), "\t", header=True)

AMAZON_RATINGS = Layout({"user": TEXT, "item": TEXT, "rating": STARS, "timestamp": WHOLE}, skip=("rating",))


def taobao(folder: Path, block_size: int = BLOCK) -> Raw:
    """UserBehavior.csv "user,item,category,behaviour,timestamp", no header (Tianchi 649).

    Rows outside the documented nine days are left out, as is usual with this log, and the note
    counts them.
    """
    file = folder / "UserBehavior.csv"
    frame = read_table(file, TAOBAO, block_size)
    events = len(frame)
    inside = frame["timestamp"].between(TAOBAO_START, TAOBAO_STOP - 1).to_numpy()
    if not inside.any():
        raise DataError("every row lies outside 2017-11-25 to 2017-12-03", file=file, row=1)
    note = ""
    if not inside.all():
        frame = frame[inside].reset_index(drop=True)
        note = (
            f"{events - len(frame):,} of {events:,} rows lie outside 2017-11-25 to 2017-12-03 "
            "(Beijing time) and are left out"
        )
    frame["label"] = np.ones(len(frame), np.int8)
    return Raw(frame, file, events, lambda row: int(np.flatnonzero(inside)[row - 1]) + 1, note)


def tmall(folder: Path, block_size: int = BLOCK) -> Raw:
    """user_log_format1.csv and user_info_format1.csv (Tianchi 42, IJCAI-15; days of 2014 as mmdd).

    Empty brands, ages and genders become the category "unknown", and so do the codes that mean it in
    the documentation: age range 0, gender 2. A user without a row in the second file is unknown too.
    """
    file = folder / "user_log_format1.csv"
    log = read_table(file, TMALL_LOG, block_size)
    people = read_table(folder / "user_info_format1.csv", TMALL_USERS, block_size)
    who = _places(log["user_id"], people["user_id"], folder / "user_info_format1.csv", TMALL_USERS)
    frame = pd.DataFrame(
        {
            "user": log["user_id"],
            "item": log["item_id"],
            "category": log["cat_id"],
            "seller": log["seller_id"],
            "brand": _named(log["brand_id"], {"": UNKNOWN}),
            "age": _fetched(people["age_range"], who, {"": UNKNOWN, "0": UNKNOWN}),
            "gender": _fetched(people["gender"], who, {"": UNKNOWN, "2": UNKNOWN}),
            "action": _named(log["action_type"], TMALL_ACTIONS),
            "timestamp": _days(log["time_stamp"], lambda day: f"2014{day:04d}", file, TMALL_LOG),
            "label": np.ones(len(log), np.int8),
        }
    )
    return Raw(frame, file, len(frame), TMALL_LOG.line)


def alipay(folder: Path, block_size: int = BLOCK) -> Raw:
    """ijcai2016_taobao.csv "use_ID,sel_ID,ite_ID,cat_ID,act_ID,time" (Tianchi 53; days as yyyymmdd).

    Clicks and purchases are both kept and told apart by the field ``action``. LIFT counts 35,179,371
    rows, which is the number of the clicks alone.
    """
    file = folder / "ijcai2016_taobao.csv"
    log = read_table(file, ALIPAY, block_size)
    frame = pd.DataFrame(
        {
            "user": log["use_ID"],
            "item": log["ite_ID"],
            "category": log["cat_ID"],
            "seller": log["sel_ID"],
            "action": _named(log["act_ID"], ALIPAY_ACTIONS),
            "timestamp": _days(log["time"], str, file, ALIPAY),
            "label": np.ones(len(log), np.int8),
        }
    )
    return Raw(frame, file, len(frame), ALIPAY.line)


def taobao_ads(folder: Path, block_size: int = BLOCK) -> Raw:
    """raw_sample.csv joined with ad_feature.csv and user_profile.csv (Tianchi 56).

    Users without a profile, brands "NULL" and empty profile values become "unknown". The price is
    not a category and is not read. ``domain`` is LCN's: an ad whose category is below 2000 belongs to
    the target domain, any other to the source domain.
    """
    file = folder / "raw_sample.csv"
    shown = read_table(file, ADS_SHOWN, block_size)
    torn = (shown["clk"] + shown["nonclk"] != 1).to_numpy()
    if torn.any():
        row = ADS_SHOWN.line(first_row(torn))
        raise DataError("nonclk is not 1 - clk", file=file, row=row, column="clk", fix=AGAIN)
    ads = read_table(folder / "ad_feature.csv", ADS, block_size)
    people = read_table(folder / "user_profile.csv", ADS_USERS, block_size)
    _refuse_repeated(ads["adgroup_id"], folder / "ad_feature.csv", ADS)
    ad = find(shown["adgroup_id"], ads["adgroup_id"], file, ADS_SHOWN, "ad_feature.csv")
    who = _places(shown["user"], people["userid"], folder / "user_profile.csv", ADS_USERS)
    category = ads["cate_id"].to_numpy()[ad]
    domain = pd.Categorical.from_codes(
        (category >= SOURCE_CATEGORIES_FROM).astype(np.int8), ["target", "source"]
    )
    frame = pd.DataFrame({"user": shown["user"], "item": shown["adgroup_id"], "category": category})
    frame["campaign"] = ads["campaign_id"].to_numpy()[ad]
    frame["customer"] = ads["customer"].to_numpy()[ad]
    frame["brand"] = _fetched(ads["brand"], ad, {"": UNKNOWN, "NULL": UNKNOWN})
    frame["pid"] = shown["pid"]
    for name in list(ADS_USERS.columns)[1:]:
        frame[name] = _fetched(people[name], who, {"": UNKNOWN})
    frame = frame.assign(domain=domain, timestamp=shown["time_stamp"], label=shown["clk"])
    return Raw(frame, file, len(frame), ADS_SHOWN.line)


def taobao_ads_behaviour(folder: Path, block_size: int = BLOCK) -> Iterator[pd.DataFrame]:
    """behavior_log.csv of Tianchi 56 (723 million rows, no item ids), one block after the other.

    Yields frames with user, time_stamp, btag (pv, cart, fav or buy), cate and brand, as in the file.
    """
    return stream_table(folder / "behavior_log.csv", ADS_BEHAVIOUR, block_size)


def lastfm_1k(folder: Path, block_size: int = BLOCK) -> Raw:
    """userid-timestamp-artid-artname-traid-traname.tsv and userid-profile.tsv (Celma, 2010).

    A track is its artist's and its own name, since MusicBrainz ids are missing for many. Empty
    profile values become "unknown".
    """
    file = folder / "userid-timestamp-artid-artname-traid-traname.tsv"
    log = read_table(file, LISTENS, block_size)
    people = read_lines(folder / "userid-profile.tsv", LISTENERS)
    who = find(log["userid"], [row[0] for row in people], file, LISTENS, "userid-profile.tsv")
    artist, track = log["artist-name"].cat, log["track-name"].cat
    pairs, item = np.unique(
        artist.codes.to_numpy(np.int64) * len(track.categories) + track.codes.to_numpy(), return_inverse=True
    )
    names = zip(
        artist.categories[pairs // len(track.categories)],
        track.categories[pairs % len(track.categories)],
        strict=True,
    )
    frame = pd.DataFrame(
        {
            "user": log["userid"],
            "item": pd.Categorical.from_codes(item, [f"{by} \N{EN DASH} {of}" for by, of in names]),
            "artist": _named(log["artist-name"], {"": UNKNOWN}),
            **{name: spread([row[n] for row in people], who) for n, name in _PROFILE.items()},
            "timestamp": log["timestamp"].astype("int64"),
            "label": np.ones(len(log), np.int8),
        }
    )
    return Raw(frame, file, len(frame), LISTENS.line)


_PROFILE = {1: "gender", 2: "age", 3: "country"}


def amazon_ratings(name: str) -> Callable[[Path], Raw]:
    """The parser of Amazon's "user,item,rating,timestamp" files (2014 release, no header).

    The stars are checked to be a column but not used: every row is a purchase, label 1 (ENCODE,
    ambiguity E19).
    """

    def parse(folder: Path) -> Raw:
        file = folder / name
        frame = read_table(file, AMAZON_RATINGS)
        frame["label"] = np.ones(len(frame), np.int8)
        return Raw(frame, file, len(frame), AMAZON_RATINGS.line)

    return parse


def _named(values: pd.Series, names: dict[str, str]) -> pd.Categorical:
    """The categories of a text column under other names; several may share one."""
    kept = [names.get(value, value) for value in values.cat.categories]
    codes, categories = pd.factorize(np.array(kept, object))
    return pd.Categorical.from_codes(codes[values.cat.codes], categories)


def _fetched(column: pd.Series, position: np.ndarray, names: dict[str, str]) -> pd.Categorical:
    """A side table's column at some rows, -1 meaning unknown, its categories under other names."""
    kept = [*(names.get(value, value) for value in column.cat.categories), UNKNOWN]
    codes, categories = pd.factorize(np.array(kept, object))
    rows = np.append(column.cat.codes.to_numpy(np.int64), len(kept) - 1)  # row -1 is the last: unknown
    return pd.Categorical.from_codes(codes[rows[position]], categories)


def _places(keys: pd.Series, table: pd.Series, file: Path, layout: Layout) -> np.ndarray:
    """Row of each key in a side table that may lack some (-1)."""
    _refuse_repeated(table, file, layout)
    return pd.Index(table).get_indexer(keys)


def _refuse_repeated(keys: pd.Series, file: Path, layout: Layout) -> None:
    repeated = keys.duplicated().to_numpy()
    if repeated.any():
        row = first_row(repeated)
        raise DataError(
            f"{keys.iloc[row - 1]} appears twice", file=file, row=layout.line(row), column=str(keys.name)
        )


def _days(values: pd.Series, written: Callable[[int], str], file: Path, layout: Layout) -> np.ndarray:
    """Midnight (UTC) of days written as numbers, in seconds."""
    codes, days = pd.factorize(values)
    seconds = np.empty(len(days), np.int64)
    for place, day in enumerate(days):
        try:
            moment = datetime.strptime(written(int(day)), "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            row = layout.line(first_row(codes == place))
            raise DataError(
                f"{day} is not a day", file=file, row=row, column=str(values.name), fix=AGAIN
            ) from None
        seconds[place] = int(moment.timestamp())
    return seconds[codes]
