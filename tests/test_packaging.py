"""pyproject.toml, constraints.txt and environment.yml must name the same packages and versions."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
NAMED_BY_THE_USER = {
    "torch", "jupyterlab", "ipywidgets", "matplotlib", "seaborn", "scikit-learn", "pandas", "rank-bm25",
    "papermill", "nbval",
}  # fmt: skip


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements() -> dict[str, Requirement]:
    """Every direct dependency of pyproject.toml, tests included."""
    listed = project()["dependencies"] + project()["optional-dependencies"]["test"]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in listed}


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [re.fullmatch(r"([\w.\-]+)==(\S+)", line) for line in lines if line and not line.startswith("#")]
    assert all(pairs), "constraints.txt holds exact versions only"
    return {canonicalize_name(pair[1]): pair[2] for pair in pairs}


def test_the_constraints_satisfy_every_requirement():
    pinned = constraints()
    for name, requirement in requirements().items():
        assert name in pinned, f"{name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(pinned[name]), f"{name}: {requirement} against {pinned[name]}"


def test_torch_is_pinned_exactly_in_pyproject():
    assert str(requirements()["torch"].specifier) == f"=={constraints()['torch']}"


def test_every_package_the_user_named_is_a_dependency():
    listed = {canonicalize_name(Requirement(line).name) for line in project()["dependencies"]}
    assert listed >= NAMED_BY_THE_USER


def test_conda_users_get_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip[:2] == ["--constraint constraints.txt", "--editable .[test]"]
    exact = dict(line.split("==") for line in pip[2:])
    assert set(exact) == NAMED_BY_THE_USER
    assert exact == {name: constraints()[name] for name in exact}
    assert f"python{project()['requires-python']}" in environment["dependencies"]


def test_what_is_installed_is_what_is_pinned():
    for name in requirements():
        assert version(name).split("+")[0] == constraints()[name], name
