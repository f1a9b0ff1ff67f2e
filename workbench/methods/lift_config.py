"""The knobs of methods/lift.py. What switches a reading of the paper has the literal one as default."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import ConfigError, unknown, whole
from workbench.methods.layers import Interaction

CHOICES = {
    "encoder": ("decoder", "encoder", "rnn"),
    "represent": ("last", "mean", "probes", "ask"),
    "context": ("both", "history", "future", "none"),
    "neighbor_label": ("none", "key", "split"),
    "interaction": Interaction.KINDS,
    "attention": ("key", "mean"),
}
REMEDIES = {"represent": "ask", "neighbor_label": "split", "match": True, "reverse_future": True}


@dataclass(frozen=True)
class LIFTConfig:
    """Every knob of the method. Raises ConfigError for values that make no sense.

    length : L, events in a history or future; k : K, retrieved contexts; width : w, size of a feature
    embedding; size : v, size of a state of E_ω; mask_ratio : share of behaviours masked in pretraining,
    in (0, 1], or "last" for the paper's 1-label strategy; context : which part of the contexts F_θ sees;
    probes : how many masked interactions are asked about; represent : how a state becomes a vector, see
    :mod:`workbench.methods.lift`; hidden : widths of the predictor's MLP.
    """

    length: int = 20
    k: int = 10
    width: int = 8
    size: int = 32
    encoder: str = "decoder"
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1
    mask_ratio: float | str = 0.3
    represent: str = "last"
    probes: int = 16
    reverse_future: bool = False
    context: str = "both"
    attention: str = "key"
    neighbor_label: str = "none"
    interaction: str = "inner"
    match: bool = False
    literal_eq17: bool = False
    hidden: tuple[int, ...] = (64, 32)
    predictor_dropout: float = 0.2

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        for name in ("length", "k", "width", "size", "layers", "heads", "probes"):
            whole(name, getattr(self, name))
        for name in ("reverse_future", "match", "literal_eq17"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is True or False, not {getattr(self, name)!r}")
        if self.asks and self.length < 2:
            raise ConfigError("an encoder that is asked needs a length of at least 2: one event and a query")
        ratio = self.mask_ratio
        if ratio != "last" and not (isinstance(ratio, int | float) and 0 < ratio <= 1):
            raise ConfigError(f"mask_ratio is above 0 and at most 1, or 'last', not {ratio!r}")
        for name in ("dropout", "predictor_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is from 0 to below 1, not {getattr(self, name)!r}")

        if self.size % self.heads:
            raise ConfigError(f"{self.heads} heads do not divide a size of {self.size}")
        if not isinstance(self.hidden, tuple) or not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f"hidden names the width of at least one layer, not {self.hidden!r}")

    @property
    def asks(self) -> bool:
        """Whether the encoder answers questions, instead of giving a state."""
        return self.represent in ("probes", "ask")

    @property
    def parts(self) -> tuple[str, ...]:
        """Which of "history" and "future" the predictor sees of a context."""
        return {"both": ("history", "future"), "none": ()}.get(self.context, (self.context,))
