"""The package's own source as a notebook output, so that no lesson holds a second copy of it."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap

from IPython.display import Markdown

from workbench.errors import ConfigError


def source(obj: object, *more: object) -> Markdown:
    """The source of functions, classes or modules as one Markdown output.

    A fenced Python block is highlighted both by JupyterLab and by code hosts (which drop the styles
    that coloured HTML would need). Its caption names the module and the line, not the file.

    Raises ConfigError for an object that has no Python source.
    """
    return Markdown("\n\n".join(_block(one) for one in (obj, *more)))


def _block(obj: object) -> str:
    wrapped = _unwrapped(obj)
    try:
        lines, first = inspect.getsourcelines(wrapped)
        module = inspect.getmodule(wrapped).__name__
    except (TypeError, OSError, AttributeError):
        raise ConfigError(f"{obj!r} has no Python source to show") from None
    text = textwrap.dedent("".join(lines)).strip("\n")
    ticks = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (ticks + 1)
    where = f"`{module}`" + (f", line {first}" if first else "")  # a module has line 0
    return f"{where}\n\n{fence}python\n{text}\n{fence}"


def _unwrapped(obj: object) -> object:
    """The plain function behind a property, a numba kernel or a decorated function."""
    if isinstance(obj, property):
        obj = obj.fget
    elif isinstance(obj, functools.cached_property):
        obj = obj.func
    obj = getattr(obj, "py_func", obj)  # numba keeps the function it compiled here
    return inspect.unwrap(obj) if callable(obj) else obj
