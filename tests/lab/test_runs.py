"""What a notebook talks to while it runs: begin, keep, provenance, the index of pictures."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from workbench.errors import ConfigError, DataError
from workbench.lab import gallery, runs
from workbench.lab.places import write_files

matplotlib.use("agg")
DATASETS = {"quick": "world:tiny", "real": "ml-1m"}


def begin(**changes: object) -> runs.Run:
    asked = {"profile": "quick", "datasets": DATASETS, "seed": 3, "knobs": {"K": 10}, **changes}
    return runs.begin("02_lift", **asked)


def drawing() -> Figure:
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot([0, 1], [0.5, 0.7])
    axes.set_title("Contexts help", loc="left")
    return figure


class TestBegin:
    def test_the_profile_chooses_the_data_set_and_a_name_overrides_it(self) -> None:
        assert begin().dataset == "world:tiny"
        assert begin(profile="real").dataset == "ml-1m"
        assert begin(profile="real", dataset="world:small").dataset == "world:small"
        assert begin(dataset="generated").dataset == "generated"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"profile": "paper"}, "unknown profile 'paper'; known: quick, real"),
            ({"dataset": "netflix"}, "unknown data set 'netflix'; known: .*ml-1m.*world:tiny"),
            ({"device": "tpu"}, "unknown device 'tpu'; known: auto, cpu, cuda"),
            ({"device": "cuda:99"}, "'cuda:99' is not there; use 'auto' or 'cpu'"),
            ({"seed": -1}, "the seed must be a whole number from 0"),
            ({"knobs": {"K": np.float32(1)}}, "plain JSON values"),
            ({"knobs": {"K": float("nan")}}, "plain JSON values"),
        ],
    )
    def test_what_cannot_be_is_refused(self, changes: dict[str, object], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            begin(**changes)

    def test_data_is_loaded_once_with_the_run_s_seed(self) -> None:
        run = begin()
        assert run.load() is run.load()
        assert run.load().fingerprint == begin().load().fingerprint
        assert run.load().fingerprint != begin(seed=4).load().fingerprint

    def test_the_device_is_resolved(self) -> None:
        assert begin(device="cpu").device.type == "cpu"
        assert begin().device.type in ("cpu", "cuda")


class TestKeep:
    def test_files_and_provenance(self, checkout) -> None:
        run, table = begin(), pd.DataFrame({"K": [5, 10], "AUC": [0.7, 0.71]})
        log = run.load()
        run.keep(drawing(), "lift_fig7", table=table, config={"L": 20}, vector=True, alt="AUC rises with K.")
        kept = {path.name: path.read_bytes() for path in checkout.figures.iterdir()}
        stem = "lift_fig7__world-tiny"
        pictures = {f"{stem}.png", f"{stem}.svg", f"{stem}.csv"}
        assert set(kept) == pictures | {f"{stem}.json", "index.html", "README.md"}
        provenance = json.loads(kept[f"{stem}.json"])
        assert provenance["seconds"] >= 0
        assert provenance["files"] == {name: hashlib.sha256(kept[name]).hexdigest() for name in pictures}
        expected = {
            "name": "lift_fig7",
            "title": "Contexts help",
            "alt": "AUC rises with K.",
            "notebook": "02_lift",
            "dataset": "world:tiny",
            "fingerprint": log.fingerprint,
            "note": log.note,
            "profile": "quick",
            "seed": 3,
            "configuration": {"K": 10, "L": 20},
            "run": None,
            **runs.code_state(),
        }
        assert {key: provenance[key] for key in expected} == expected
        assert kept[f"{stem}.csv"] == b"K,AUC\n5,0.7\n10,0.71\n"

    def test_pngs_are_the_same_for_the_same_figure_and_hold_no_trace(self, checkout) -> None:
        path = checkout.figures / "lift_fig7__world-tiny.png"
        shown = [begin().keep(drawing(), "lift_fig7", alt="a").png]
        kept = [path.read_bytes()]
        shown += [begin().keep(drawing(), "lift_fig7", alt="a").png]
        kept += [path.read_bytes()]
        assert shown[0] == shown[1]
        assert kept[0] == kept[1]
        assert int.from_bytes(kept[0][16:20]) > 1.5 * 4 * 100, "twice the dots of the 4 inches at 100 dpi"
        for png in (kept[0], shown[0]):
            assert not re.findall(rb"tEXt|iTXt|zTXt|tIME|eXIf", png)

    def test_the_notebook_s_copy_is_small_and_looks_the_same(self, checkout) -> None:
        shown = begin().keep(drawing(), "lift_fig7", alt="a").png
        kept = (checkout.figures / "lift_fig7__world-tiny.png").read_bytes()
        assert len(shown) < 0.6 * len(kept)
        first, second = (
            np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int) for png in (kept, shown)
        )
        assert first.shape == second.shape
        assert (np.abs(first - second).max(axis=-1) > 16).mean() < 0.001

    def test_svgs_are_the_same_for_the_same_figure(self, checkout) -> None:
        path = checkout.figures / "lift_fig7__world-tiny.svg"
        begin().keep(drawing(), "lift_fig7", alt="a", vector=True)
        first = path.read_bytes()
        begin().keep(drawing(), "lift_fig7", alt="a", vector=True)
        assert path.read_bytes() == first
        assert b"<dc:date>" not in first

    def test_a_cell_shows_the_picture_once_and_says_what_it_is(self, checkout) -> None:
        figure, _ = plt.subplots(figsize=(4, 3))
        shown = begin().keep(figure, "lift_fig7", alt="AUC rises with K.")
        assert plt.get_fignums() == [], "an open figure would be shown a second time at the cell's end"
        data, metadata = shown._repr_mimebundle_()
        assert data == {"image/png": shown.png, "text/plain": "Picture: AUC rises with K."}
        assert metadata["image/png"]["alt"] == "AUC rises with K."
        assert metadata["image/png"]["width"] == int.from_bytes(shown.png[16:20]) // 2

    def test_named_rows_are_written_and_another_table_s_data_is_credited(self, checkout) -> None:
        other = begin(seed=5).load()
        table = pd.DataFrame({"AUC": [0.7]}, index=pd.Index(["LIFT"], name="method"))
        begin().keep(drawing(), "a", table=table, data=other, alt="a")
        assert (checkout.figures / "a__world-tiny.csv").read_text() == "method,AUC\nLIFT,0.7\n"
        assert gallery.pictures(checkout.figures)[0]["fingerprint"] == other.fingerprint

    def test_nothing_loaded_is_said(self, checkout) -> None:
        begin().keep(drawing(), "a", alt="a")
        assert gallery.pictures(checkout.figures)[0]["fingerprint"] is None

    def test_a_failure_leaves_what_was_there(self, checkout, monkeypatch: pytest.MonkeyPatch) -> None:
        begin().keep(drawing(), "a", alt="first", vector=True)
        before = {path: path.read_bytes() for path in checkout.figures.iterdir()}
        with pytest.raises(ConfigError, match="plain JSON"):
            begin().keep(drawing(), "a", alt="second", config={"x": object()})
        whole = Path.write_bytes
        full = OSError("disk full")

        def breaks_at_json(self: Path, content: bytes) -> int:
            if ".json." in self.name:
                raise full
            return whole(self, content)

        monkeypatch.setattr(Path, "write_bytes", breaks_at_json)
        with pytest.raises(OSError, match="disk full"):
            begin().keep(plt.figure(), "a", alt="second")
        assert {path: path.read_bytes() for path in checkout.figures.iterdir()} == before
        plt.close("all")

    def test_what_an_earlier_run_left_goes(self, checkout) -> None:
        begin().keep(drawing(), "a", alt="a", vector=True, table=pd.DataFrame({"x": [1]}))
        begin().keep(drawing(), "a", alt="a")
        assert sorted(path.suffix for path in checkout.figures.glob("a__*")) == [".json", ".png"]

    @pytest.mark.parametrize("name", ["Fig 1", "../a", "a__b/c", ""])
    def test_bad_names(self, checkout, name: str) -> None:
        with pytest.raises(ConfigError, match="lower-case letters"):
            begin().keep(drawing(), name, alt="a")

    def test_alt_text_is_needed(self, checkout) -> None:
        with pytest.raises(ConfigError, match="needs an alt text"):
            begin().keep(drawing(), "a", alt=" ")

    def test_the_folder_can_be_elsewhere(
        self, checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORKBENCH_FIGURES", str(tmp_path / "elsewhere"))
        begin().keep(drawing(), "a", alt="a")
        assert (tmp_path / "elsewhere" / "a__world-tiny.png").exists()
        assert not checkout.figures.exists()


def test_outside_a_git_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "workbench"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setattr(runs, "PACKAGE", package)
    state = runs.code_state.__wrapped__()
    assert (state["commit"], state["dirty"]) == ("unknown", None)
    monkeypatch.setenv("PATH", "")  # no git at all
    assert runs.code_state.__wrapped__()["commit"] == "unknown"


def test_commit_and_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("workbench/__init__.py", "notebooks/a.ipynb", "figures/b.png"):
        write_files({tmp_path / name: b"1"})
    monkeypatch.setattr(runs, "PACKAGE", tmp_path / "workbench")
    for variable in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{variable}_NAME", "a")
        monkeypatch.setenv(f"GIT_{variable}_EMAIL", "a@b.c")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        assert runs._git(*command) is not None
    state = runs.code_state.__wrapped__()
    assert re.fullmatch("[0-9a-f]{40}", state["commit"])
    assert state["dirty"] is False
    (tmp_path / "figures" / "b.png").write_bytes(b"2")
    assert runs.code_state.__wrapped__()["dirty"] is False, "pictures are what runs write"
    (tmp_path / "notebooks" / "a.ipynb").write_bytes(b"2")
    assert runs.code_state.__wrapped__()["dirty"] is True


class TestGallery:
    def test_the_pages_list_every_picture(self, checkout) -> None:
        figure = drawing()
        figure.suptitle("<b> & [x]")
        begin().keep(figure, "lift_fig7", alt='up "and" <down>', table=pd.DataFrame({"x": [1]}))
        begin(seed=9).keep(drawing(), "encode_fig1", alt="flat", vector=True)
        page, readme = ((checkout.figures / name).read_text() for name in ("index.html", "README.md"))
        assert page.index("encode_fig1__world-tiny.png") < page.index("lift_fig7__world-tiny.png")
        assert 'alt="up &quot;and&quot; &lt;down&gt;"' in page
        assert "&lt;b&gt; &amp; [x]" in page
        assert '![up "and" \\<down\\>](lift_fig7__world-tiny.png)' in readme
        assert "## \\<b\\> & \\[x\\]" in readme
        for text in (page, readme):
            assert "seed 9" in text
            for link in ("encode_fig1__world-tiny.svg", "lift_fig7__world-tiny.csv"):
                assert link in text
            for absent in ("encode_fig1__world-tiny.csv", "lift_fig7__world-tiny.svg", str(checkout.root)):
                assert absent not in text

    def test_a_picture_that_is_gone_leaves_the_pages(self, checkout) -> None:
        begin().keep(drawing(), "lift_fig7", alt="a")
        (checkout.figures / "lift_fig7__world-tiny.json").unlink()
        gallery.refresh(checkout.figures)
        assert "lift_fig7" not in (checkout.figures / "index.html").read_text()

    @pytest.mark.parametrize("text", ["{", "{}", "[]"])
    def test_a_foreign_json_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(DataError, match=r"x\.json: not the provenance of a picture"):
            gallery.pictures(tmp_path)
