"""The papers' numbers: tables, artifacts, equations, claims and hyperparameters as data frames.

Facts read from the four papers, kept beside the code so that every result can be shown next to what
was published. Where a printed number is doubtful, it stays as printed and its ``note`` says why.
"""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

from workbench.errors import unknown

PAPERS = ("LIFT", "DualRec", "LCN", "ENCODE")
_FORMULAS = ("encode_table1",)  # its values are complexities such as O(BLd), which stay text
_LISTS = ("artifacts", "claims", "equations", "hyperparameters")
_FOLDER = files("workbench.lab") / "published"


def tables() -> list[str]:
    """Names of the published tables that hold numbers, for example ``lift_table2``."""
    stems = (entry.name.removesuffix(".csv") for entry in _FOLDER.iterdir())
    return sorted(stem for stem in stems if stem not in _LISTS)


def table(name: str) -> pd.DataFrame:
    """One published table in long form.

    Returns one row a number: ``dataset``, ``method`` (empty where a number belongs to the data set),
    ``metric``, ``value`` and ``std`` (float64, NaN where the paper prints none; percentages are in
    percent), ``note`` (ours: what is best or second-best there, what is doubtful). The values of
    ``encode_table1`` are partly formulas, so there they are text.

    Raises ConfigError for a name that is not one of :func:`tables`.
    """
    if name not in tables():
        raise unknown("published table", name, tables())
    return _read(name, numbers=("std",) if name in _FORMULAS else ("value", "std"))


def artifacts(paper: str | None = None) -> pd.DataFrame:
    """Every table and figure: ``paper``, ``id``, ``what_it_shows``, ``varied``, ``methods``.

    Raises ConfigError for a paper that is not one of ``PAPERS``; so do the functions below.
    """
    return _of(paper, "artifacts")


def equations(paper: str | None = None) -> pd.DataFrame:
    """Every equation: ``paper``, ``number``, ``name``, ``latex``, meaning in words, symbols with shapes.

    Numbers are text: beside the printed ones there are ``14a`` (unnumbered, after Eq. 14), ``text-1``
    (given in words), ``C-1`` (a complexity) and ``Alg1``.
    """
    return _of(paper, "equations")


def claims(paper: str | None = None) -> pd.DataFrame:
    """Every empirical claim: ``id``, the claim, where it is made, the statistic that tests it, numbers."""
    return _of(paper, "claims")


def hyperparameters(paper: str | None = None) -> pd.DataFrame:
    """Every setting: ``name``, ``symbol``, ``value`` (text; "unspecified" where the paper is silent)."""
    return _of(paper, "hyperparameters")


def _of(paper: str | None, name: str) -> pd.DataFrame:
    frame = _read(name)
    if paper is None:
        return frame
    if paper not in PAPERS:
        raise unknown("paper", paper, PAPERS)
    return frame[frame["paper"] == paper].reset_index(drop=True)


def _read(name: str, numbers: tuple[str, ...] = ()) -> pd.DataFrame:
    """A file as a frame; only the number columns may turn an empty cell into NaN."""
    with (_FOLDER / f"{name}.csv").open("rb") as file:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    for column in numbers:
        frame[column] = pd.to_numeric(frame[column].replace("", None)).astype("float64")
    return frame
