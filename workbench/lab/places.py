"""Where notebooks, pictures and runs live, and how a file is written so that it is whole or absent."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import workbench
from workbench.errors import ConfigError

PACKAGE = Path(workbench.__file__).resolve().parent


@dataclass(frozen=True)
class Places:
    """The folders of one checkout."""

    root: Path

    @property
    def notebooks(self) -> Path:
        """Lessons, with ``figures/`` below: one short notebook per table or figure."""
        return self.root / "notebooks"

    @property
    def figures(self) -> Path:
        """Pictures, tables and their provenance; the variable WORKBENCH_FIGURES points elsewhere."""
        return Path(os.environ.get("WORKBENCH_FIGURES") or self.root / "figures").absolute()

    @property
    def executed(self) -> Path:
        """Executed copies of notebooks (not committed: they hold paths and times)."""
        return self.root / "runs" / "executed"

    @property
    def records(self) -> Path:
        """One JSON file per finished run (not committed)."""
        return self.root / "runs" / "records"

    @property
    def results(self) -> Path:
        """One JSON file per finished trial of an experiment (not committed)."""
        return self.root / "runs" / "results"

    @property
    def kept_results(self) -> Path:
        """Results that took long, one JSON file per experiment: committed, so that a clone has them."""
        return self.root / "figures" / "results"

    def shown(self, path: Path) -> str:
        """The path as it is printed: relative to the checkout where it lies inside."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def places() -> Places:
    """The checkout in use: ``$WORKBENCH_HOME``, else the one the package lies in, else where we are.

    Raises ConfigError when none of them has a folder ``notebooks``.
    """
    asked = os.environ.get("WORKBENCH_HOME")
    candidates = [Path(asked)] if asked else [PACKAGE.parent, Path.cwd()]
    for root in candidates:
        if (root / "notebooks").is_dir():
            return Places(root.resolve())
    looked = " or ".join(map(str, candidates))
    raise ConfigError(f"no folder 'notebooks' in {looked}; set WORKBENCH_HOME to the checkout")


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write all files or, when one cannot be written, none: first beside their places, then renamed.

    The renames come last and in the order given, so put the file that vouches for the others last.
    """
    temporary: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary[path] = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
            temporary[path].write_bytes(content)
        for path, written in temporary.items():
            os.replace(written, path)
    finally:  # what was renamed is gone from its temporary name; what is left belongs to a failure
        for written in temporary.values():
            written.unlink(missing_ok=True)
