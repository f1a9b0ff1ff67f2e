"""The two errors a user of the workbench meets: bad data and bad configuration."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral


class WorkbenchError(ValueError):
    """Base class, so that callers can catch both kinds at once."""


class DataError(WorkbenchError):
    """Data that cannot be used as it is.

    The message says what is wrong, where (file, row, column) and how to mend it. Rows are counted
    from 1, as an editor counts lines.
    """

    def __init__(
        self,
        what: str,
        *,
        file: object = None,
        row: int | None = None,
        column: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.file, self.row, self.column, self.fix = what, file, row, column, fix
        where = ", ".join(
            part
            for part in (
                str(file) if file is not None else "",
                f"row {row}" if row is not None else "",
                f"column {column!r}" if column is not None else "",
            )
            if part
        )
        message = f"{where}: {what}" if where else what
        super().__init__(f"{message}. {fix}" if fix else message)


class ConfigError(WorkbenchError):
    """A parameter, name or combination that is not known or not possible."""


def whole(name: str, value: object, least: int = 1, most: int | None = None) -> None:
    """Raises ConfigError unless a parameter is a whole number from ``least`` (to ``most``)."""
    fits = isinstance(value, Integral) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):
        upto = "" if most is None else f" to {most}"
        raise ConfigError(f"{name} must be a whole number from {least}{upto}, not {value!r}")


def unknown(kind: str, name: object, known: Iterable[object]) -> ConfigError:
    """The error for a name nobody knows, listing the ones that are known."""
    listing = ", ".join(sorted(map(str, known)))
    return ConfigError(f"unknown {kind} {name!r}; known: {listing}")
