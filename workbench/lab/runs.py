"""What a notebook talks to while it runs: its data set, its device, and where its pictures go.

    run = runs.begin("02_lift_retrieve", profile=profile, dataset=dataset, seed=seed, device=device,
                     knobs={"K": K}, datasets={"quick": "world:small", "real": "ml-1m"})
    log = run.load()
    ...
    run.keep(figure, "lift_fig7_k", table=frame, alt="AUC rises with K up to 15 and no further.")

Notebooks are run from outside by :mod:`workbench.lab.execute`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING

from workbench.errors import ConfigError, unknown, whole
from workbench.lab import gallery
from workbench.lab.places import PACKAGE, places, write_files

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

    from workbench.data.interactions import Interactions

DPI = 200  # of a kept PNG: twice the 100 dots per inch at which it is shown
GENERATED = "generated"  # the data set of a notebook that makes its own numbers and loads nothing
RUN_KEY = "WORKBENCH_RUN"  # set by lab.execute: ties a picture to the record of the run that drew it


def begin(
    notebook: str,
    *,
    profile: str,
    datasets: Mapping[str, str],
    dataset: str | None = None,
    seed: int = 0,
    device: str = "auto",
    knobs: Mapping[str, object] | None = None,
) -> Run:
    """Start a run: resolve the data set and the device, and start the clock.

    Parameters
    ----------
    datasets : profile -> data set; its keys are the profiles this notebook offers. Written as a
        literal, so that ``workbench list`` can read it without running the notebook. "generated" is
        for notebooks that make their own numbers and load nothing.
    dataset : overrides the profile's choice.
    device : "auto" (CUDA if there is one), "cpu", "cuda" or "cuda:N".
    knobs : the method's settings, for the provenance of pictures (plain JSON values).

    Raises ConfigError for a profile, data set or device that is not known or not there.
    """
    if profile not in datasets:
        raise unknown("profile", profile, datasets)
    dataset = dataset if dataset is not None else datasets[profile]
    if dataset not in (known := [*known_datasets(), GENERATED]):
        raise unknown("data set", dataset, known)
    whole("the seed", seed, 0)
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise unknown("device", device, ("auto", "cpu", "cuda"))
    knobs = dict(knobs or {})
    _as_json(knobs)
    run = Run(notebook, profile, dataset, seed, device, knobs)
    if device.startswith("cuda"):
        _ = run.device  # refuse a missing GPU now, not after minutes of work
    return run


def known_datasets() -> list[str]:
    """Every name that :func:`workbench.data.load` knows."""
    from workbench.data.catalogue import SOURCES
    from workbench.data.world_config import PRESETS

    return ["world", *(f"world:{preset}" for preset in PRESETS), *SOURCES]


@dataclass(eq=False)
class Run:
    """One run of a notebook; see :func:`begin`."""

    notebook: str
    profile: str
    dataset: str
    seed: int
    asked_device: str
    knobs: dict[str, object]
    _started: float = field(default_factory=time.perf_counter, repr=False)

    @cached_property
    def device(self) -> torch.device:
        """The torch device; torch is imported here and not before.

        Raises ConfigError when CUDA is asked for and not there.
        """
        import torch

        if self.asked_device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        device = torch.device(self.asked_device)
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise ConfigError(f"the device {self.asked_device!r} is not there; use 'auto' or 'cpu'")
        return device

    @cached_property
    def _interactions(self) -> Interactions:
        from workbench import data

        return data.load(self.dataset, self.seed)

    def load(self) -> Interactions:
        """The run's data set; loaded once."""
        return self._interactions

    def keep(
        self,
        fig: Figure,
        name: str,
        *,
        alt: str,
        table: pd.DataFrame | None = None,
        config: Mapping[str, object] | None = None,
        data: Interactions | None = None,
        vector: bool = False,
    ) -> Picture:
        """Write a picture, its table and its provenance to figures/, and return what the cell shows.

        The files are ``<name>__<data set>`` + .png, .json and, where asked, .csv and .svg: all of them
        or none. The figure is closed, so that the notebook shows it once: as this cell's last value
        (or through ``display``).

        Parameters
        ----------
        name : lower-case letters, digits and ``_``, such as ``lift_table2_ctr``.
        alt : what the picture says, for those who cannot see it.
        table : the numbers behind the picture.
        config : settings beyond the run's knobs.
        data : the interactions drawn, where they are not the ones of :meth:`load`; the files are then named
            after them.
        vector : also write SVG (line art).

        Raises ConfigError for a bad name, an empty alt text or a config that is not plain JSON.
        """
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise ConfigError(f"a picture's name has lower-case letters, digits and _, unlike {name!r}")
        if not alt.strip():
            raise ConfigError(f"the picture {name!r} needs an alt text: say what it shows")
        dataset = self.dataset if data is None else data.name
        # Numbers of one's own making differ by profile, as other pictures differ by data set.
        what = f"{dataset} {self.profile}" if dataset == GENERATED else dataset
        stem = f"{name}__{re.sub('[^a-z0-9]+', '-', what.lower())}"
        files = {f"{stem}.png": _drawn(fig, "png")}
        if vector:
            files[f"{stem}.svg"] = _drawn(fig, "svg")
        if table is not None:
            counted = table.index.equals(_counting(len(table)))
            files[f"{stem}.csv"] = table.to_csv(index=not counted, lineterminator="\n").encode()
        if data is None:
            data = self.__dict__.get("_interactions")  # None where the notebook loaded nothing
        provenance = {
            "name": name,
            "title": _title(fig) or name,
            "alt": alt,
            "notebook": self.notebook,
            "dataset": dataset,
            "fingerprint": data.fingerprint if data is not None else None,
            "note": data.note if data is not None else "",
            "profile": self.profile,
            "seed": self.seed,
            "configuration": {**self.knobs, **(config or {})},
            **code_state(),
            "run": os.environ.get(RUN_KEY),
            "seconds": round(time.perf_counter() - self._started, 2),
            "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        }
        files[f"{stem}.json"] = _as_json(provenance)
        folder = places().figures
        write_files({folder / file: content for file, content in files.items()})
        for kind in (".svg", ".csv"):  # left by an earlier run, and no longer what the picture shows
            if f"{stem}{kind}" not in files:
                (folder / f"{stem}{kind}").unlink(missing_ok=True)
        gallery.refresh(folder)
        return Picture(fig, files[f"{stem}.png"], alt)


class Picture:
    """A kept figure as a notebook shows it: a PNG at its true size, and its alt text.

    The notebook's copy has at most 256 colours: it looks the same, is a third of the size, and lets a
    lesson with ten pictures stay below the megabyte that is committed. figures/ has the full colours.
    """

    def __init__(self, figure: Figure, png: bytes, alt: str) -> None:
        self.figure, self.png, self.alt = figure, _in_256_colours(png), alt
        if pyplot := sys.modules.get("matplotlib.pyplot"):  # else nothing is there that could show it again
            pyplot.close(figure)

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        width = int.from_bytes(self.png[16:20]) * 100 // DPI  # the PNG header holds the width in dots
        return (
            {"image/png": self.png, "text/plain": repr(self)},
            {"image/png": {"width": width, "alt": self.alt}},
        )


def _drawn(fig: Figure, kind: str) -> bytes:
    """The figure's bytes, the same for the same figure: no date, no version, no random ids."""
    import matplotlib as mpl

    nothing = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}[kind]
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "workbench", "svg.fonttype": "none"}):
        fig.savefig(buffer, format=kind, dpi=DPI, bbox_inches="tight", metadata=nothing)
    return buffer.getvalue()


def _in_256_colours(png: bytes) -> bytes:
    from PIL import Image

    drawn = Image.open(io.BytesIO(png)).convert("RGBA")
    flat = Image.new("RGB", drawn.size, "white")
    flat.paste(drawn, mask=drawn.getchannel("A"))
    buffer = io.BytesIO()
    flat.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _counting(n: int) -> pd.Index:
    """The row labels a frame has when nobody gave it any."""
    import pandas as pd

    return pd.RangeIndex(n)


def _title(fig: Figure) -> str:
    """The figure's title, or the first one of its axes, on one line."""
    titles = [fig.get_suptitle()]
    titles += [ax.get_title(loc=loc) for ax in fig.axes for loc in ("left", "center", "right")]
    return " ".join(next(filter(None, titles), "").split())


def _as_json(value: Mapping[str, object]) -> bytes:
    try:
        return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings must be plain JSON values: {error}") from None


@cache
def code_state() -> dict[str, object]:
    """Which code ran: commit, whether package or notebooks differ from it, version of the package.

    ``commit`` is "unknown" and ``dirty`` None where the package is not a file of a git checkout.
    """
    state = {"commit": "unknown", "dirty": None, "version": _version()}
    # A package installed below somebody else's checkout must not claim that checkout's commit.
    if _git("ls-files", "--error-unmatch", str(PACKAGE / "__init__.py")) is not None:
        changes = _git("status", "--porcelain", "--", str(PACKAGE), str(PACKAGE.parent / "notebooks"))
        state |= {"commit": _git("rev-parse", "HEAD") or "unknown", "dirty": bool(changes)}
    return state


def _version() -> str:
    try:
        return importlib.metadata.version("workbench")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _git(*arguments: str) -> str | None:
    """What git prints, None if it fails or is not installed."""
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
