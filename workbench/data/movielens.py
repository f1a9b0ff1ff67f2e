"""The MovieLens releases: 100K, 1M, latest-small and 32M."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data.parsers import Raw, find, ids, spread
from workbench.data.tables import (
    AGAIN,
    FLAG,
    ID,
    RATING,
    STARS,
    TEXT,
    WHOLE,
    Layout,
    read_lines,
    read_table,
    refuse_non_table,
)
from workbench.errors import DataError

AGES = {1: "under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+"}
OCCUPATIONS = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student"),
    *("customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker"),
    *("K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist", "self-employed"),
    *("technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)

GENRES_100K = (  # u.genre
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary"),
    *("Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller"),
    *("War", "Western"),
)
ML_100K = {
    "u.data": Layout(
        {"user id": ID, "item id": ID, "rating": RATING, "timestamp": WHOLE}, "\t", ends_with_newline=True
    ),
    "u.user": Layout({"user id": ID, "age": ID, "gender": TEXT, "occupation": TEXT, "zip code": TEXT}, "|"),
    "u.item": Layout(
        {
            "movie id": ID,
            **dict.fromkeys(("movie title", "release date", "video release date", "IMDb URL"), TEXT),
            **dict.fromkeys(GENRES_100K, FLAG),
        },
        "|",
        encoding="latin-1",
    ),
}
ML_1M = {
    "ratings.dat": Layout(
        {"UserID": ID, "MovieID": ID, "Rating": RATING, "Timestamp": WHOLE}, "::", ends_with_newline=True
    ),
    "users.dat": Layout({"UserID": ID, "Gender": TEXT, "Age": ID, "Occupation": ID, "Zip-code": TEXT}, "::"),
    "movies.dat": Layout({"MovieID": ID, "Title": TEXT, "Genres": TEXT}, "::", encoding="latin-1"),
}
ML_CSV = Layout(
    {"userId": ID, "movieId": ID, "rating": STARS, "timestamp": WHOLE}, header=True, ends_with_newline=True
)
# The copy of MovieLens-1M whose low ratings have interpolated times, told by its ratings.dat.
RECONSTRUCTED_1M = "7eb9989a7f2ec3165d2b8a496f42b726daca31d589f98be84a5870e6c39af94a"
RECONSTRUCTED = "timestamps partly reconstructed"


def movielens_100k(folder: Path) -> Raw:
    """u.data "user<TAB>item<TAB>rating<TAB>timestamp", u.user, u.item (Latin-1).

    Age becomes the bands of MovieLens-1M, region is the first character of the zip code, genre all
    genres of the film joined by "|".
    """
    file, layout = folder / "u.data", ML_100K["u.data"]
    ratings = read_table(file, layout)
    users = read_lines(folder / "u.user", ML_100K["u.user"])
    films = read_lines(folder / "u.item", ML_100K["u.item"])
    who = find(ratings["user id"], ids(users, folder / "u.user", "user id"), file, layout, missing="u.user")
    film = find(ratings["item id"], ids(films, folder / "u.item", "movie id"), file, layout, missing="u.item")
    genres = [
        "|".join(n for n, flag in zip(GENRES_100K, row[5:], strict=True) if flag == "1") for row in films
    ]
    bands = [AGES[max(low for low in AGES if low <= max(int(row[1]), 1))] for row in users]
    people = {"gender": [row[2] for row in users], "age": bands, "occupation": [row[3] for row in users]}
    return _rated(ratings, file, layout, film, genres, who, people, [row[4] for row in users])


def movielens_1m(folder: Path) -> Raw:
    """ratings.dat "UserID::MovieID::Rating::Timestamp", users.dat and movies.dat (Latin-1).

    Fields as in MovieLens-100K. A copy whose times are partly reconstructed is recognised by its
    checksum, and says so in its name and note.
    """
    file, layout = folder / "ratings.dat", ML_1M["ratings.dat"]
    ratings = read_table(file, layout)
    users = read_lines(folder / "users.dat", ML_1M["users.dat"])
    films = read_lines(folder / "movies.dat", ML_1M["movies.dat"])
    for line, row in enumerate(users, start=1):
        if int(row[2]) not in AGES or int(row[3]) >= len(OCCUPATIONS):
            raise DataError("no such age band or occupation", file=folder / "users.dat", row=line, fix=AGAIN)
    who = find(ratings["UserID"], ids(users, folder / "users.dat", "UserID"), file, layout, "users.dat")
    film = find(ratings["MovieID"], ids(films, folder / "movies.dat", "MovieID"), file, layout, "movies.dat")
    people = {
        "gender": [row[1] for row in users],
        "age": [AGES[int(row[2])] for row in users],
        "occupation": [OCCUPATIONS[int(row[3])] for row in users],
    }
    raw = _rated(ratings, file, layout, film, [row[2] for row in films], who, people, [r[4] for r in users])
    if hashlib.sha256(file.read_bytes()).hexdigest() != RECONSTRUCTED_1M:
        return raw
    return Raw(raw.frame, file, raw.events, raw.line, RECONSTRUCTED, f"MovieLens-1M, {RECONSTRUCTED}")


def movielens_csv(folder: Path) -> Raw:
    """ratings.csv "userId,movieId,rating,timestamp" and movies.csv "movieId,title,genres" (UTF-8).

    There are no user fields in these releases.
    """
    file = folder / "ratings.csv"
    ratings = read_table(file, ML_CSV)
    films = _films_csv(folder)
    film = find(
        ratings["movieId"], ids(films, folder / "movies.csv", "movieId", 2), file, ML_CSV, "movies.csv"
    )
    return _rated(ratings, file, ML_CSV, film, [row[2] for row in films])


def _rated(
    ratings: pd.DataFrame,
    file: Path,
    layout: Layout,
    film: np.ndarray,
    genres: Sequence[str],
    who: np.ndarray | None = None,
    people: dict[str, list[str]] | None = None,
    zips: Sequence[str] = (),
) -> Raw:
    """The frame of a MovieLens release: label 1 for a rating of 4 or more."""
    user, item, rating, timestamp = (ratings[name] for name in layout.columns)
    frame = pd.DataFrame({"user": user, "item": item, "genre": spread(genres, film)})
    if people is not None:
        for name, values in {**people, "region": [code[:1] for code in zips]}.items():
            frame[name] = spread(values, who)
    frame["timestamp"], frame["label"] = timestamp, (rating >= 4).astype(np.int8)
    return Raw(frame, file, len(frame), layout.line)


def titles_100k(folder: Path) -> dict[int, str]:
    """Film names by raw item id."""
    return {int(row[0]): row[1] for row in read_lines(folder / "u.item", ML_100K["u.item"])}


def titles_1m(folder: Path) -> dict[int, str]:
    """Film names by raw item id."""
    return {int(row[0]): row[1] for row in read_lines(folder / "movies.dat", ML_1M["movies.dat"])}


def titles_csv(folder: Path) -> dict[int, str]:
    """Film names by raw item id."""
    return {int(row[0]): row[1] for row in _films_csv(folder)}


def _films_csv(folder: Path) -> list[list[str]]:
    """The rows of movies.csv, whose titles are quoted where they hold a comma."""
    path = folder / "movies.csv"
    refuse_non_table(path)
    rows: list[list[str]] = []
    with path.open("rb") as file:
        # Decoded line by line, so that a line in another encoding is the one that is named.
        reader = csv.reader((raw.decode("utf-8") for raw in file), strict=True)
        try:
            for row in reader:
                if len(row) != 3 or not (row[0].isdecimal() if rows else row[1:] == ["title", "genres"]):
                    raise DataError("not movieId,title,genres", file=path, row=reader.line_num, fix=AGAIN)
                rows.append(row)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{error}", file=path, row=reader.line_num + 1, fix=AGAIN) from None
    return rows[1:]
