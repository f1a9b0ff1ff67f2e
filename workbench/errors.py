"""The two errors a user of the workbench meets: bad data and bad configuration."""

from __future__ import annotations

from collections.abc import Iterable


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


def whole(name: str, value: object, least: int = 1) -> None:
    """Raises ConfigError unless a parameter is a whole number from ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is a whole number from {least}, not {value!r}")


def unknown(kind: str, name: object, known: Iterable[object]) -> ConfigError:
    """The error for a name nobody knows, listing the ones that are known."""
    listing = ", ".join(sorted(map(str, known)))
    return ConfigError(f"unknown {kind} {name!r}; known: {listing}")
