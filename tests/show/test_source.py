"""The package's own source, as a notebook shows it."""

from __future__ import annotations

import functools
import inspect

import numba
import pytest

from workbench import errors
from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, unknown
from workbench.show.source import source


def test_a_function_is_a_fenced_block_under_its_module_and_line() -> None:
    text = source(unknown).data
    line = inspect.getsourcelines(unknown)[1]
    code = inspect.getsource(unknown).strip()
    assert text == f"`workbench.errors`, line {line}\n\n```python\n{code}\n```"


def test_several_objects_one_after_the_other() -> None:
    assert source(unknown, ConfigError).data == f"{source(unknown).data}\n\n{source(ConfigError).data}"


def test_methods_lose_their_indentation() -> None:
    assert "```python\ndef size(self" in source(Interactions.size).data


@functools.wraps(unknown)
def decorated(*words: object) -> object:
    return unknown(*words)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (Interactions.user, "@property\ndef user(self)"),
        (inspect.getattr_static(Interactions, "fingerprint"), "@cached_property\ndef fingerprint(self)"),
        (decorated, "def unknown(kind"),
        (numba.njit(unknown), "def unknown(kind"),
    ],
)
def test_wrappers_are_looked_through(given: object, plain: str) -> None:
    assert f"```python\n{plain}" in source(given).data


def test_a_module_has_no_line() -> None:
    assert source(errors).data.startswith("`workbench.errors`\n\n```python\n")


def test_code_that_holds_a_fence_stays_one_block() -> None:
    def fenced() -> str:
        return "```"

    text = source(fenced).data
    assert text.count("````") == 2
    assert text.endswith("\n````")


def test_no_path_is_shown() -> None:
    assert __file__.rpartition("/")[0] not in source(test_no_path_is_shown, unknown).data


@pytest.mark.parametrize("given", [len, 3, "text"])
def test_what_has_no_source(given: object) -> None:
    with pytest.raises(ConfigError, match="has no Python source to show"):
        source(given)
