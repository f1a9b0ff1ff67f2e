"""Notebooks as data: finding them, reading what they declare, linking them, cleaning them for commit."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from workbench.errors import ConfigError, unknown
from workbench.lab.places import Places, write_files

PROFILES = ("quick", "real", "paper")
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
LARGEST = 1_000_000  # bytes of a committed notebook
_MINUTES = re.compile(r"(\d+)\s*(?:min\b|minutes?\b)", re.IGNORECASE)


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell (none is the usual case)."""
    return cell.metadata.get("tags", [])


def code_cells(nb: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """(number from 1 as a reader counts cells, cell) of the code cells."""
    return ((n, cell) for n, cell in enumerate(nb.cells, start=1) if cell.cell_type == "code")


@dataclass(frozen=True, eq=False)
class Notebook:
    """A lesson or a figure notebook and what it declares about itself."""

    path: Path
    figure: bool = False

    @property
    def name(self) -> str:
        """File name without the ending: what the command line and the results call it."""
        return self.path.stem

    @cached_property
    def node(self) -> NotebookNode:
        """The notebook as read; raises ConfigError if it is not one."""
        return read(self.path)

    @cached_property
    def title(self) -> str:
        """The first heading."""
        for cell in self.node.cells:
            heading = re.search(r"^#\s+(.+)$", cell.source, re.MULTILINE)
            if cell.cell_type == "markdown" and heading:
                return heading[1].strip()
        raise ConfigError(f"{self.name} has no heading; begin its first cell with '# Title'")

    @cached_property
    def minutes(self) -> int | None:
        """Reading time: the first "N minutes" before the parameters cell, None if it says none."""
        for cell in self.node.cells:
            if "parameters" in tags(cell):
                return None
            if cell.cell_type == "markdown" and (found := _MINUTES.search(cell.source)):
                return int(found[1])
        return None

    @cached_property
    def headline(self) -> bool:
        """Whether a cell is tagged ``headline``: the figure notebook then belongs to the tour."""
        return any("headline" in tags(cell) for cell in self.node.cells)

    @cached_property
    def parameters(self) -> dict[str, object]:
        """Name -> default, read from the cell tagged ``parameters`` without running it.

        Raises ConfigError when a statement there is not ``name = literal``: papermill puts its own
        values after this cell, so anything derived in it would keep the old ones.
        """
        found = [cell for _, cell in code_cells(self.node) if "parameters" in tags(cell)]
        if len(found) > 1:
            raise ConfigError(f"{self.name} has {len(found)} cells tagged 'parameters'; keep one")
        declared: dict[str, object] = {}
        for statement in _parsed(found[0].source, f"{self.name}, parameters cell").body if found else []:
            try:
                match statement:
                    case ast.Assign(targets=[ast.Name(id=name)], value=value):
                        declared[name] = ast.literal_eval(value)
                    case _:
                        raise ValueError
            except ValueError:
                raise ConfigError(
                    f"{self.name}, parameters cell, line {statement.lineno}: "
                    f"{ast.unparse(statement)!r} is not 'name = literal'; derive values in the next cell"
                ) from None
        return declared

    @cached_property
    def datasets(self) -> dict[str, str]:
        """Profile -> data set, read from the literal ``datasets=`` of the ``begin(...)`` call."""
        for _, cell in code_cells(self.node):
            if "begin(" not in cell.source:
                continue
            for call in ast.walk(_parsed(cell.source, f"{self.name}, cell with begin(...)")):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "begin":
                    for keyword in call.keywords:
                        if keyword.arg == "datasets" and isinstance(keyword.value, ast.Dict):
                            return ast.literal_eval(keyword.value)
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over cell types, tags and sources: outputs do not count."""
        parts = [[cell.cell_type, tags(cell), cell.source] for cell in self.node.cells]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read(path: Path) -> NotebookNode:
    """A notebook from disk; raises ConfigError if the file is not one."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{path.name} cannot be read as a notebook: {first}") from None


def written(nb: NotebookNode) -> bytes:
    """The bytes of a notebook file."""
    return (nbformat.writes(nb, version=4).rstrip("\n") + "\n").encode()


def _parsed(source: str, where: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise ConfigError(f"{where}: line {error.lineno} is not Python ({error.msg})") from None


def find(at: Places) -> dict[str, Notebook]:
    """Name -> notebook: lessons (two digits first) in reading order, then figures by name."""
    lessons = [Notebook(path) for path in sorted(at.notebooks.glob("[0-9][0-9]_*.ipynb"))]
    figures = [Notebook(path, True) for path in sorted((at.notebooks / "figures").glob("*.ipynb"))]
    return {book.name: book for book in (*lessons, *figures)}


def select(names: Iterable[str], at: Places) -> list[Notebook]:
    """The notebooks meant by what a user typed; nothing means the tour.

    A name is a lesson's number ("02"), a full name, or "figures" for every figure notebook. The tour
    is all lessons and the figure notebooks with a cell tagged ``headline``.
    """
    known = find(at)
    if not known:
        raise ConfigError(f"no notebooks in {at.shown(at.notebooks)}")
    if not (names := list(names)):
        return [book for book in known.values() if not book.figure or book.headline]
    chosen: dict[str, Notebook] = {}
    for name in names:
        if name == "figures":
            matching = [book for book in known.values() if book.figure]
        elif re.fullmatch(r"\d\d", name):
            matching = [b for b in known.values() if not b.figure and b.name.startswith(f"{name}_")]
        else:
            matching = [book for book in known.values() if book.name == name]
        if not matching:
            raise unknown("notebook", name, [*known, "figures"])
        chosen |= {book.name: book for book in matching}
    return list(chosen.values())


def link_lessons(folder: Path) -> list[Path]:
    """Write previous/next links into the last markdown cell tagged ``links`` of each lesson.

    The cell is added at the end where it is missing. Returns the files that changed.
    """
    books = [Notebook(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]
    changed = {}
    for i, book in enumerate(books):
        before = f"[← {books[i - 1].title}]({books[i - 1].path.name})" if i > 0 else ""
        after = f"[{books[i + 1].title} →]({books[i + 1].path.name})" if i + 1 < len(books) else ""
        text = "---\n" + " · ".join(part for part in (before, after) if part)
        cells = [c for c in book.node.cells if c.cell_type == "markdown" and "links" in tags(c)]
        if not cells:
            # The id is fixed, so that linking twice gives the same bytes.
            cells = [nbformat.v4.new_markdown_cell(id="links", metadata={"tags": ["links"]})]
            book.node.cells.append(cells[0])
        if cells[-1].source != text:
            cells[-1].source = text
            changed[book.path] = written(book.node)
    write_files(changed)
    return list(changed)


def cleaned(nb: NotebookNode, name: str) -> NotebookNode:
    """A copy of an executed notebook that can be committed: outputs stay, the run's traces go.

    Gone are injected parameters, widget views and their state, timing metadata and the Python
    version; execution counts become 1, 2, 3, … Of a widget that leaves a picture the picture stays,
    for readers of a page that no kernel answers.

    Raises ConfigError naming the cell for an error output, an absolute path in an output, and for a
    notebook of more than 1 MB: those the author has to mend.
    """
    nb = nbformat.from_dict(json.loads(json.dumps(nb)))
    nb.cells = [cell for cell in nb.cells if "injected-parameters" not in tags(cell)]
    nb.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    for cell in nb.cells:
        for trace in ("papermill", "execution", "ExecuteTime", "collapsed", "scrolled"):
            cell.metadata.pop(trace, None)
        if not tags(cell):
            cell.metadata.pop("tags", None)
    count = 0
    for n, cell in code_cells(nb):
        count += cell.execution_count is not None
        cell.execution_count = None if cell.execution_count is None else count
        for out in cell.outputs:
            if WIDGET_VIEW in (data := out.get("data", {})) and "image/png" in data:
                del data[WIDGET_VIEW]
        cell.outputs = [out for out in cell.outputs if WIDGET_VIEW not in out.get("data", {})]
        for out in cell.outputs:
            if "execution_count" in out:
                out.execution_count = count
            _refuse_unfit(out, f"{name}, cell {n}")
    if (size := len(written(nb))) > LARGEST:
        n, cell = max(code_cells(nb), key=lambda pair: len(json.dumps(pair[1].outputs)))
        raise ConfigError(f"{name} has {size / 1e6:.1f} MB, at most 1 is committed; most is in cell {n}")
    return nb


def _refuse_unfit(out: NotebookNode, where: str) -> None:
    if out.output_type == "error":
        raise ConfigError(f"{where} ends in {out.ename}: {out.evalue}")
    texts: Mapping[str, object] = {"text": out.get("text", ""), **out.get("data", {})}
    for kind, text in texts.items():
        if kind.startswith("image/") and kind != "image/svg+xml":
            continue
        if found := _ABSOLUTE.search(text if isinstance(text, str) else json.dumps(text)):
            raise ConfigError(f"{where} prints the absolute path {found[0]!r}; print a relative one")


def _absolute_paths() -> re.Pattern[str]:
    """What cannot be in a committed output: this machine's folders, and any home or temporary folder."""
    here = {Path.home(), Path.cwd(), Path(sys.prefix), Path(sys.base_prefix), Path(tempfile.gettempdir())}
    own = "|".join(re.escape(str(p)) for p in sorted(here) if len(p.parts) > 1)
    return re.compile(rf"(?<![\w./:-])(?:{own}|/(?:home|Users|root|tmp)|[A-Z]:\\Users)[/\\][^\s\"'<>]*")


_ABSOLUTE = _absolute_paths()
