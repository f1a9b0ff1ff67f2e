"""The real data sets: where each is published, under which terms, and what its files should hold.

Counts are those of the publisher or of the paper that uses the files. Checksums are the publisher's;
None means that none is published or known to us, not that none is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.data import logs, movielens, sequences
from workbench.data.parsers import Parser

POSITIVES = "1 for every logged row ({}); negatives are drawn separately"
RATED = "1 = rated 4 or more, 0 = rated lower"
GROUPLENS = "GroupLens terms: research use, no redistribution, cite Harper and Konstan (2015)"
TIANCHI = "Tianchi terms of use: free account, research use, no redistribution"
REVIEWS = "Amazon reviews (McAuley et al.): no explicit licence, research use"
S3REC = (
    "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/2a81540ae18615d88ef88227b0c066e5b74781e5/data/"
)
S3REC_HOME = "https://github.com/RUCAIBox/CIKM2020-S3Rec"
ABXI_HOME = "https://github.com/DiMarzioBian/ABXI"
NO_CLOCK = "no timestamps: the clock is the place in the user's sequence"


@dataclass(frozen=True)
class Source:
    """One data set.

    files : what must lie in its folder, the one with the events first. parse : folder -> Raw.
    url : an archive (.zip, .tar.gz) that holds the files, or the single file itself; None where the
    publisher wants a login or the files must be put together by hand, and then ``how`` says what to
    do. rows, users, items : what the publisher counts (None: not published, or the release changes).
    duplicates : whether rows may repeat in every column. folders : other folder names it is known
    under. titles : folder -> item names. large : worth caching.
    """

    name: str
    title: str
    home: str
    licence: str
    size: str
    label_rule: str
    files: tuple[str, ...]
    parse: Parser
    url: str | None = None
    checksum: str | None = None
    how: str = ""
    rows: int | None = None
    users: int | None = None
    items: int | None = None
    clock: str = "seconds"
    note: str = ""
    duplicates: str = "error"
    folders: tuple[str, ...] = ()
    titles: Callable[[Path], dict[int, str]] | None = None
    large: bool = False


def _movielens(name: str, title: str, size: str, **more: object) -> Source:
    return Source(
        name=name,
        title=title,
        home="https://grouplens.org/datasets/movielens/",
        licence=GROUPLENS,
        size=size,
        label_rule=RATED,
        url=f"https://files.grouplens.org/datasets/movielens/{name}.zip",
        **more,  # type: ignore[arg-type]
    )


def _sequences(name: str, title: str, file: str, rows: int, users: int, items: int, licence: str) -> Source:
    return Source(
        name=name,
        title=title,
        home=S3REC_HOME,
        licence=licence,
        size=f"{rows:,} rows",
        label_rule=POSITIVES.format("reviewed or visited"),
        files=(file,),
        parse=sequences.sequences(file),
        url=S3REC + file,
        rows=rows,
        users=users,
        items=items,
        clock="order",
        note=NO_CLOCK,
    )


def _pair(name: str, title: str, prefix: str, domains: str, **more: object) -> Source:
    return Source(
        name=name,
        title=title,
        home=ABXI_HOME,
        licence=REVIEWS,
        label_rule=POSITIVES.format("reviewed"),
        files=(f"{prefix}_50_preprocessed.txt", "map_item_50.txt"),
        parse=sequences.cross_domain(prefix),
        how=f"copy them from its folder data/{prefix}",
        note=f"{domains}; each user's latest 50 events",
        **more,  # type: ignore[arg-type]
    )


def _tianchi(name: str, title: str, number: int, archive: str, **more: object) -> Source:
    return Source(
        name=name,
        title=title,
        home=f"https://tianchi.aliyun.com/dataset/{number}",
        licence=TIANCHI,
        how=f"log in, download {archive} and unpack it",
        duplicates="keep",  # logs repeat rows within a second or a day
        large=True,
        **more,  # type: ignore[arg-type]
    )


_ALL = (
    _movielens(
        "ml-100k",
        "MovieLens-100K",
        "100,000 rows, 5 MB",
        files=("u.data", "u.user", "u.item"),
        parse=movielens.movielens_100k,
        checksum="md5:0e33842e24a9c977be4e0107933c0723",
        rows=100_000,
        users=943,
        items=1_682,
        titles=movielens.titles_100k,
    ),
    _movielens(
        "ml-1m",
        "MovieLens-1M",
        "1,000,209 rows, 24 MB",
        files=("ratings.dat", "users.dat", "movies.dat"),
        parse=movielens.movielens_1m,
        checksum="md5:c4d9eecfca2ab87c1945afe126590906",
        rows=1_000_209,
        users=6_040,
        items=3_706,
        titles=movielens.titles_1m,
    ),
    _movielens(
        "ml-latest-small",
        "MovieLens latest small",
        "about 100,000 rows, 3 MB",
        files=("ratings.csv", "movies.csv"),
        parse=movielens.movielens_csv,
        titles=movielens.titles_csv,
    ),
    _movielens(
        "ml-32m",
        "MovieLens-32M",
        "32,000,204 rows, 880 MB",
        files=("ratings.csv", "movies.csv"),
        parse=movielens.movielens_csv,
        checksum="md5:d472be332d4daa821edc399621853b57",
        rows=32_000_204,
        users=200_948,
        titles=movielens.titles_csv,
        large=True,
    ),
    _sequences("amazon-beauty", "Amazon Beauty", "Beauty.txt", 198_502, 22_363, 12_101, REVIEWS),
    _sequences("amazon-sports", "Amazon Sports", "Sports_and_Outdoors.txt", 296_337, 25_598, 18_357, REVIEWS),
    _sequences("amazon-toys", "Amazon Toys", "Toys_and_Games.txt", 167_597, 19_412, 11_924, REVIEWS),
    _sequences("yelp", "Yelp", "Yelp.txt", 316_354, 30_431, 20_033, "Yelp data set agreement: academic use"),
    _sequences("lastfm-s3rec", "Last.fm (S3-Rec)", "LastFM.txt", 52_551, 1_090, 3_646, "non-commercial use"),
    Source(
        name="amazon-beauty-timed",
        title="Amazon Beauty, users with timestamps",
        home=S3REC_HOME,
        licence=REVIEWS,
        size="about 198,000 rows",
        label_rule=POSITIVES.format("reviewed"),
        files=("Beauty.txt", "Beauty_times.txt"),
        parse=sequences.sequences("Beauty.txt", "Beauty_times.txt"),
        how=(
            'Beauty_times.txt holds "user t t ..." in UNIX seconds, aligned with Beauty.txt; it has to be '
            "made from the public 5-core reviews"
        ),
        rows=198_502,
        folders=("amazon-beauty",),
    ),
    _pair(
        "amazon-cross-domain",
        "Amazon Food and Kitchen",
        "afk",
        "target = Food (Grocery), source = Kitchen",
        size="173,548 rows, 3 MB",
        rows=173_548,
        users=7_144,
        items=28_095,
        folders=("amazon-food-kitchen",),
    ),
    _pair(
        "amazon-beauty-electronics",
        "Amazon Beauty and Electronics",
        "abe",
        "target = Beauty, source = Electronics",
        size="some 100,000 rows",
    ),
    _pair(
        "amazon-movie-book",
        "Amazon Movies and Books",
        "amb",
        "target = Movies, source = Books",
        size="some 100,000 rows",
    ),
    Source(
        name="amazon-books",
        title="Amazon Books",
        home="https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html",
        licence=REVIEWS,
        size="22,507,155 rows, 900 MB",
        label_rule=POSITIVES.format("reviewed"),
        files=("ratings_Books.csv",),
        parse=logs.amazon_ratings("ratings_Books.csv"),
        url="http://snap.stanford.edu/data/amazon/productGraph/categoryFiles/ratings_Books.csv",
        rows=22_507_155,
        users=8_026_324,
        items=2_330_066,
        note="the whole file; ENCODE's 6,626,872 samples come from a filter the paper does not give",
        duplicates="keep",
        large=True,
    ),
    _tianchi(
        "taobao",
        "Taobao",
        649,
        "UserBehavior.csv.zip",
        size="100,150,807 rows, 3.7 GB",
        label_rule=POSITIVES.format("the field behaviour is pv, cart, fav or buy"),
        files=("UserBehavior.csv",),
        parse=logs.taobao,
        rows=100_150_807,
    ),
    Source(
        name="taobao-sample",
        title="Taobao, first 84,475 rows",
        home="https://tianchi.aliyun.com/dataset/649",
        licence=TIANCHI,
        size="84,475 rows, 3 MB",
        label_rule=POSITIVES.format("the field behaviour is pv, cart, fav or buy"),
        files=("UserBehavior.csv",),
        parse=logs.taobao,
        how="log in, download UserBehavior.csv.zip and keep the first 84,475 lines",
        rows=84_475,
        users=815,
        duplicates="keep",
    ),
    _tianchi(
        "taobao-ads",
        "Taobao ads",
        56,
        "raw_sample.csv, ad_feature.csv and user_profile.csv",
        size="26,557,961 rows, 1.2 GB (behavior_log.csv, 23 GB, is optional)",
        label_rule="1 = the ad was clicked (clk), 0 = shown only",
        files=("raw_sample.csv", "ad_feature.csv", "user_profile.csv"),
        parse=logs.taobao_ads,
        rows=26_557_961,
        users=1_141_729,
        items=846_811,
    ),
    _tianchi(
        "tmall",
        "Tmall",
        42,
        "data_format1.zip",
        size="54,925,330 rows, 1.9 GB",
        label_rule=POSITIVES.format("the field action is click, cart, buy or favourite"),
        files=("user_log_format1.csv", "user_info_format1.csv"),
        parse=logs.tmall,
        rows=54_925_330,
        users=424_170,
        items=1_090_390,
        note="days only",
    ),
    _tianchi(
        "alipay",
        "Alipay",
        53,
        "IJCAI16_data.zip",
        size="44,528,127 rows, 1.9 GB",
        label_rule=POSITIVES.format("the field action is click or buy"),
        files=("ijcai2016_taobao.csv",),
        parse=logs.alipay,
        rows=44_528_127,
        users=963_923,
        items=2_353_207,
        note="days only",
    ),
    Source(
        name="lastfm-1k",
        title="Last.fm 1K",
        home="http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html",
        licence="non-commercial use, with permission of Last.fm",
        size="19,150,868 rows, 2.5 GB",
        label_rule=POSITIVES.format("listened"),
        files=("userid-timestamp-artid-artname-traid-traname.tsv", "userid-profile.tsv"),
        parse=logs.lastfm_1k,
        url="http://mtg.upf.edu/static/datasets/last.fm/lastfm-dataset-1K.tar.gz",
        rows=19_150_868,
        users=992,
        duplicates="keep",
        large=True,
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in _ALL}
