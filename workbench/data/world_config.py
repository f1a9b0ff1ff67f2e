"""The parameters of the embedded world: five knobs, the rest, and the presets.

The world itself, with the story behind these numbers, is in :mod:`workbench.data.world`.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields, replace

from workbench.errors import ConfigError, unknown

KNOBS = ("succession", "order_noise", "domain_overlap", "interest_longevity", "label_noise")


@dataclass(frozen=True)
class WorldConfig:
    """Everything but the seed. The five knobs run from 0 to 1; the rest are a preset's fields.

    Knobs: ``succession`` (do clicks on steps move the need along a chain), ``order_noise`` (is the
    order inside a session shuffled), ``domain_overlap`` (does the source domain share a user's
    interests), ``interest_longevity`` (do interests last or replace each other), ``label_noise``
    (share of labels replaced by a fair coin: half of this). A knob whose phenomenon a preset does
    not have changes nothing: ``domain_overlap`` acts where there are two domains only, ``succession`` only
    where there are steps.

    Raises ConfigError for a value out of its range or a combination that cannot be sampled.
    """

    preset: str
    users: int
    events: int  # mean events a user, before rounding; nobody has fewer than 10
    mix: tuple[float, float, float]  # shares of taste, sign and step events
    taste_items: int
    topics: int  # T
    interests: int  # M, interests a user
    stay: float  # probability that the next session keeps the interest
    sign_items: int = 0
    step_items: int = 0
    needs: int = 0  # S
    chains: int = 0  # C
    source_events: int = 0  # second domain: mean events a user there
    source_items: int = 0
    f_session: float = 0.4  # taste: share on the session's interest
    f_other: float = 0.2  # taste: share on any interest of the user
    b_in: float = 0.8  # taste: logit of an interest that is alive
    b_out: float = -1.6  # taste: logit of any other topic
    m_match: float = 0.6  # signs: share that shows the need the user is in
    b_m: float = -0.3
    a_m: float = 2.2
    f_ready: float = 0.2  # steps: share that leads out of the need the user is in
    f_passed: float = 0.3  # steps: share that leads to it
    b_g: float = 0.2
    a_g: float = 2.4
    adv: float = 1.0  # probability that a click on a ready step moves the need, at succession 1
    n_generic: int = 12
    n_brand: int = 120
    days: int = 90
    succession: float = 1.0
    order_noise: float = 0.0
    domain_overlap: float = 1.0
    interest_longevity: float = 1.0
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE + _AT_LEAST_ZERO:
            object.__setattr__(self, name, _count(name, getattr(self, name), name in _AT_LEAST_ONE))
        for name in _SHARES + _LOGITS:
            object.__setattr__(self, name, _number(name, getattr(self, name), name in _SHARES))
        try:
            object.__setattr__(self, "mix", tuple(_number("mix", share, True) for share in self.mix))
        except TypeError:
            raise ConfigError(f"mix must be three shares, not {self.mix!r}") from None
        for why, bad in self._contradictions():
            if bad:
                raise ConfigError(why)

    def _contradictions(self) -> list[tuple[str, bool]]:
        taste, sign, step = self.mix if len(self.mix) == 3 else (0.0, 0.0, 0.0)
        stages = bool(self.sign_items or self.step_items)
        return [
            (
                f"mix must be three shares adding to 1, not {self.mix}",
                abs(taste + sign + step - 1) > 1e-9,
            ),
            ("f_session + f_other must not exceed 1", self.f_session + self.f_other > 1 + 1e-9),
            ("f_ready + f_passed must not exceed 1", self.f_ready + self.f_passed > 1 + 1e-9),
            (
                f"{self.interests} interests need at least as many topics, not {self.topics}",
                self.interests > self.topics,
            ),
            (
                f"taste_items must be at least topics ({self.topics})",
                taste > 0 and self.taste_items < self.topics,
            ),
            ("sign and step items need at least 2 needs", stages and self.needs < 2),
            ("step items need at least 1 chain", bool(self.step_items) and self.chains < 1),
            (
                f"sign_items must be at least needs ({self.needs})",
                sign > 0 and self.sign_items < max(self.needs, 1),
            ),
            (
                f"step_items must be at least needs ({self.needs})",
                step > 0 and self.step_items < max(self.needs, 1),
            ),
            (
                "source_events and source_items are both 0 or both positive",
                (self.source_events > 0) != (self.source_items > 0),
            ),
            (
                f"source_items must be at least topics ({self.topics})",
                0 < self.source_items < self.topics,
            ),
        ]

    @property
    def n_items(self) -> int:
        """Items of the target domain."""
        return self.taste_items + self.sign_items + self.step_items

    @property
    def two_domains(self) -> bool:
        """Whether there is a source domain beside the target."""
        return self.source_events > 0


_AT_LEAST_ONE = ("users", "events", "topics", "interests", "n_generic", "n_brand", "days")
_AT_LEAST_ZERO = (
    *("taste_items", "sign_items", "step_items", "needs", "chains"),
    *("source_events", "source_items"),
)
_SHARES = (*KNOBS, "stay", "f_session", "f_other", "m_match", "f_ready", "f_passed", "adv")
_LOGITS = ("b_in", "b_out", "b_m", "a_m", "b_g", "a_g")


def _count(name: str, value: object, positive: bool) -> int:
    least = 1 if positive else 0
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ConfigError(f"{name} must be a whole number, not {value!r}") from None
    if number < least:
        raise ConfigError(f"{name} must be at least {least}, not {number}")
    return number


def _number(name: str, value: object, share: bool) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{name} must be a number, not {value!r}")
    if share and not 0 <= number <= 1:
        raise ConfigError(f"{name} must lie between 0 and 1, not {number:g}")
    return number


_NEEDS = {"mix": (0.1, 0.5, 0.4), "needs": 8, "interests": 3, "stay": 0.8}
_TASTE = {"mix": (1.0, 0.0, 0.0), "b_in": 0.9, "b_out": -1.8}
PRESETS = {
    config.preset: config
    for config in (
        WorldConfig(
            **{"preset": "tiny", "users": 80, "events": 60, **_NEEDS},
            **{"taste_items": 60, "sign_items": 40, "step_items": 60, "topics": 8, "chains": 4},
        ),
        WorldConfig(
            **{"preset": "small", "users": 1000, "events": 100, **_NEEDS},
            **{"taste_items": 600, "sign_items": 240, "step_items": 1000, "topics": 24, "chains": 10},
        ),
        WorldConfig(
            **{"preset": "long", "users": 120, "events": 1200, **_TASTE, "taste_items": 3000},
            **{"topics": 64, "interests": 16, "stay": 0.85, "f_session": 0.35, "f_other": 0.15},
        ),
        WorldConfig(
            **{"preset": "lifelong", "users": 300, "events": 2000, **_TASTE, "taste_items": 3000},
            **{"topics": 64, "interests": 16, "stay": 0.85, "f_session": 0.35, "f_other": 0.15},
        ),
        WorldConfig(
            **{"preset": "two_domain", "users": 800, "events": 40, "source_events": 300, **_TASTE},
            **{"taste_items": 500, "source_items": 800, "topics": 16, "interests": 3, "stay": 0.6},
        ),
        WorldConfig(
            **{"preset": "two_domain_long", "users": 1000, "events": 60, "source_events": 2500, **_TASTE},
            **{"taste_items": 500, "source_items": 1000, "topics": 32, "interests": 6, "stay": 0.6},
        ),
        WorldConfig(
            **{"preset": "tiny_two_domain", "users": 60, "events": 30, "source_events": 60, **_TASTE},
            **{"taste_items": 60, "source_items": 80, "topics": 8, "interests": 3, "stay": 0.6},
        ),
    )
}


def configure(preset: str, **knobs: object) -> WorldConfig:
    """A preset with some fields changed; ConfigError lists the known names for an unknown one."""
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    known = [field.name for field in fields(WorldConfig) if field.name != "preset"]
    for name in knobs:
        if name not in known:
            raise unknown("knob", name, known)
    return replace(PRESETS[preset], **knobs)
