"""The knobs of DualRec, see methods/dualrec.py; for each reading the literal one is the default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.errors import ConfigError, unknown, whole

CHOICES = {
    "encoders": ("both", "past", "future", "one"),
    "backbone": ("transformer", "gru4rec", "fmlp"),
    "positions": ("bias", "sinusoids", "absolute", "none"),
    "windows": ("inclusive", "exclusive", "all"),
    "transfer": ("target", "position", "mean"),
    "targets": ("inner", "all"),
    "activation": ("relu", "gelu"),
}
# What the authors' public code does instead (variant="authors"; each is a switch of its own).
AUTHORS: dict[str, object] = {
    "positions": "sinusoids", "windows": "exclusive", "windows_in_training_only": True, "transfer": "mean",
    "targets": "all", "activation": "gelu", "future_dropout": False, "output_dropout": True, "beta": 0.1,
}  # fmt: skip
VARIANTS: dict[str, dict[str, object]] = {"paper": {}, "authors": AUTHORS}


@dataclass(frozen=True)
class DualRecConfig:
    """Every knob of the method. Raises ConfigError for values that make no sense.

    length : n, items read; width : d; heads : h; layers of a backbone; alpha, beta : of Eq. 14.
    encoders : "both"; "past" or "future" alone (Table 5); "one", which is asked in both directions (Table
        3, w/o DE).
    positions : how far apart two items are: "bias" is Eq. 3, "sinusoids" the authors' (Transformer-XL),
        "absolute" SASRec's, "none" is Table 3, w/o RPE.
    norm, residual : False is Table 3, w/o LN and w/o RC.
    windows : whether a head of window size s sees the s items before its own and that one (Eq. 9), or s
        items in all, or "all" of them; windows_in_training_only : the authors predict with all of them.
    transfer : which heads are compared in Eq. 10 (ambiguities D4 and D5): of the two states that foretell
        the same target, of the same position, or the means over all positions (the authors').
    targets : t = 2 .. n-1 for both encoders (Eq. 14), or all that an encoder has an input for (D6).
    future_dropout : False is the authors': none inside the future encoder's layers.
    output_dropout : the authors drop numbers of the states that are compared with items, too.
    """

    length: int = 50
    width: int = 64
    heads: int = 8
    layers: int = 2
    dropout: float = 0.5
    alpha: float = 0.5
    beta: float = 0.5
    encoders: str = "both"
    backbone: str = "transformer"
    positions: str = "bias"
    norm: bool = True
    residual: bool = True
    windows: str = "inclusive"
    windows_in_training_only: bool = False
    transfer: str = "target"
    targets: str = "inner"
    activation: str = "relu"
    future_dropout: bool = True
    output_dropout: bool = False

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        for name, lowest in (("length", 3), ("width", 1), ("heads", 1), ("layers", 1)):
            whole(name, getattr(self, name), lowest)
        for name in ("norm", "residual", "windows_in_training_only", "future_dropout", "output_dropout"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is True or False, not {getattr(self, name)!r}")
        for name, most, what in (
            ("dropout", 1, "below 1"),
            ("alpha", 1.0001, "1"),
            ("beta", math.inf, "any number"),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < most:
                raise ConfigError(f"{name} is from 0 to {what}, not {value!r}")
        if self.width % self.heads:
            raise ConfigError(f"{self.heads} heads do not divide a width of {self.width}")

    @property
    def transfers(self) -> bool:
        """Whether the heads of the two directions are compared: with beta = 0 (w/o BIT) they need not be."""
        return self.beta > 0 and self.encoders in ("both", "one")


def window_sizes(heads: int, length: int) -> list[int]:
    """DualRec, Eq. 8: WS(i) for the heads i = 1 .. h and n items; half grow linearly, half exponentially.

    Departure (ambiguity D3): h/2 is rounded down where it is no whole number; one head has the window n.
    """
    half = heads // 2
    local = [i + 1 for i in range(1, half + 1)]
    wide = [
        half + math.ceil(math.exp(i - half) / math.exp(heads - half) * (length - half))
        for i in range(half + 1, heads + 1)
    ]
    return local + wide
