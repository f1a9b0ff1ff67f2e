"""The index of figures/: one page for a browser, one for a code host, both from the provenance files."""

from __future__ import annotations

import html
import json
from pathlib import Path

from workbench.errors import DataError
from workbench.lab.places import write_files

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #22262b; background: #fff }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
figure { margin: 0 0 3rem; border-top: 1px solid #d9dde2; padding-top: 1rem }
img { max-width: 100%; height: auto }
h2 { font-size: 1.15rem; margin: 0 0 .5rem }
figcaption { color: #5b636d; font-size: .9rem }
"""


def pictures(folder: Path) -> list[dict[str, object]]:
    """Every picture's provenance, by name and data set.

    Raises DataError for a JSON file in the folder that is not one.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            picture = json.loads(path.read_text())
            found.append(picture | {"file": path.stem, "kinds": [Path(f).suffix for f in picture["files"]]})
        except (ValueError, KeyError, TypeError):
            fix = "Remove the file and run its notebook again"
            raise DataError("not the provenance of a picture", file=path.name, fix=fix) from None
    return found


def refresh(folder: Path) -> None:
    """Write index.html and README.md from the provenance files that lie in the folder."""
    shown = pictures(folder)
    write_files({folder / "index.html": _page(shown).encode(), folder / "README.md": _readme(shown).encode()})


def _facts(picture: dict[str, object]) -> str:
    """Where the picture comes from, in one line."""
    data = " ".join(str(part) for part in (picture["dataset"], picture["fingerprint"]) if part)
    commit = str(picture["commit"])[:12] + (" with changes" if picture["dirty"] else "")
    facts = f"{picture['notebook']} · data {data} · {picture['profile']} · seed {picture['seed']} · {commit}"
    return f"{facts} · {picture['note']}" if picture["note"] else facts


def _count(shown: list[dict[str, object]]) -> str:
    pictures = "1 picture" if len(shown) == 1 else f"{len(shown)} pictures"
    return f"{pictures}. Written by the runs; do not edit."


def _page(shown: list[dict[str, object]]) -> str:
    figures = []
    for picture in shown:
        file, title, alt = (html.escape(str(picture[key])) for key in ("file", "title", "alt"))
        links = " ".join(f'<a href="{file}{kind}">{kind[1:].upper()}</a>' for kind in _downloads(picture))
        figures.append(
            f'<figure id="{file}">\n<h2>{title}</h2>\n'
            f'<a href="{file}.png"><img src="{file}.png" alt="{alt}" loading="lazy"></a>\n'
            f"<figcaption>{html.escape(_facts(picture))}<br>{links}</figcaption>\n</figure>\n"
        )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>Figures</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>Figures</h1>\n"
        f"<p>{_count(shown)}</p>\n"
        f"{''.join(figures)}</body>\n</html>\n"
    )


def _readme(shown: list[dict[str, object]]) -> str:
    parts = ["# Figures", _count(shown)]
    for picture in shown:
        file = picture["file"]
        links = " · ".join(f"[{kind[1:].upper()}]({file}{kind})" for kind in _downloads(picture))
        parts += [f"## {_plain(picture['title'])}", f"![{_plain(picture['alt'])}]({file}.png)"]
        parts += [f"{_plain(_facts(picture))} · {links}"]
    return "\n\n".join(parts) + "\n"


def _downloads(picture: dict[str, object]) -> list[str]:
    return [kind for kind in (".svg", ".csv") if kind in picture["kinds"]] + [".json"]


def _plain(text: object) -> str:
    """The text with Markdown's marks made harmless."""
    escaped = str(text).replace("\\", "\\\\")
    for mark in "[]*_`<>|":
        escaped = escaped.replace(mark, f"\\{mark}")
    return " ".join(escaped.split())
