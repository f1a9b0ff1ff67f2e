"""ENCODE (Zhou et al. 2024): a whole history clustered into interests offline, asked by candidates online.

Offline (Section 3.2, Algorithm 1): events s_i in R^d become h_i in R^m by a learnt projection, each user's
are clustered by direction, and attention inside each cluster, with its centre as the query, makes an interest
u_k in R^d. Online (Section 3.3) a candidate attends to K interests instead of L events. One metric,
1 - cosine, serves throughout. :class:`Encode` is an :class:`workbench.methods.long_history.Interest`:

    model = LongHistory(sizes, lambda life: Encode(life, EncodeConfig()), width=32, domains=1)
    training_loss(model, sample, label).backward()              # L_CE + 0.1 L_aux
    offline, label, inside = model.interest.offline(model.life, long)      # Interests (U, K, d), to be kept
    vector = model.interest.online(query, offline)                         # Eq. 10

Departures and readings (ambiguities E1-E9, E12, E15, E23)
----------------------------------------------------------
* Eq. 9 divides by beta = 20: with cosines of at most 1 no weight would differ from another by more than 11%,
  which is average pooling. Here similarities are multiplied by beta; ``beta_divides`` is the literal form.
* Similarities inside clusters are of h (R^m), values of s (R^d), as printed; Eq. 10 is in R^d.
* s and x_t are rows of one table of items, so that cosines between them mean something.
* L_aux trains W_h and nothing else: its targets and s are constants. It is a mean over anchors (a sum would
  be a thousand times what its weight of 0.1 suggests), of which ``anchors`` are drawn a batch.
* ENCODE- takes scaled dot products in Eq. 8 and 10; clusters stay cosine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import ConfigError, unknown, whole
from workbench.methods.clustering import ClusterConfig, cluster, own_centres
from workbench.methods.layers import aggregate, below, masked_softmax
from workbench.methods.long_history import (
    Behaviours,
    Interest,
    Level,
    Life,
    LongHistory,
    LongSample,
    everywhere,
    inner,
    masked,
)

LOSSES = ("none", "mse", "n-pair", "fixed", "dynamic")
RANGES = ("neighbours", "sequence", "batch")
METRICS = ("cosine", "dot")


@dataclass(frozen=True)
class EncodeConfig:
    """Knobs of Section 4.2. Raises ConfigError for values that make no sense.

    reduced : m; clusters : K and how they are found; metric : "cosine" (Eq. 9 and 11) or "dot" (ENCODE-);
    beta, beta_divides : Eq. 9, see the module; loss : of LOSSES; sampling : of RANGES, where positives and
    negatives come from; weight : of L_aux; margin : of the fixed loss; negatives : of n-pair; anchors : drawn
    a batch.
    """

    reduced: int = 4
    clusters: ClusterConfig = field(default_factory=ClusterConfig)
    metric: str = "cosine"
    beta: float = 20.0
    beta_divides: bool = False
    loss: str = "dynamic"
    sampling: str = "sequence"
    weight: float = 0.1
    margin: float = 0.2
    negatives: int = 5
    anchors: int = 4096

    def __post_init__(self) -> None:
        for name in ("reduced", "negatives", "anchors"):
            whole(name, getattr(self, name))
        for name, known in (("metric", METRICS), ("loss", LOSSES), ("sampling", RANGES)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        for name in ("beta", "weight", "margin"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ConfigError(f"{name} is a number from 0, not {value!r}")
        if self.beta == 0:
            raise ConfigError("beta is above 0")
        if self.sampling == "neighbours" and self.loss in ("mse", "n-pair"):
            raise ConfigError(f"a behaviour has two neighbours, and {self.loss} does not compare with two")

    @property
    def factor(self) -> float:
        """What a cosine is multiplied by (Eq. 9)."""
        return 1 / self.beta if self.beta_divides else self.beta


# --- the metric -------------------------------------------------------------------------------------------


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Eq. 11: 1 - cosine of (..., d) and (..., d), from 0 to 2; 1 where a vector is zero."""
    return 1 - (functional.normalize(a, dim=-1) * functional.normalize(b, dim=-1)).sum(-1)


def similarity(a: Tensor, b: Tensor, config: EncodeConfig) -> Tensor:
    """Eq. 9: (1 - dis(a, b)) beta, or over beta; for ENCODE- a scaled dot product. (..., d) -> (...)."""
    if config.metric == "dot":
        return (a * b).sum(-1) / math.sqrt(a.shape[-1])
    return (1 - distance(a, b)) * config.factor


def compared(query: Tensor, vectors: Tensor, config: EncodeConfig) -> tuple[Tensor, Tensor, float]:
    """Eq. 9 for many at once: what to multiply, and by how much, so that inner products are similarities."""
    if config.metric == "dot":
        return query, vectors, 1 / math.sqrt(query.shape[-1])
    return functional.normalize(query, dim=-1), functional.normalize(vectors, dim=-1), config.factor


# --- offline: reduction -----------------------------------------------------------------------------------


class Triplets(NamedTuple):
    """Anchors and what they are compared with, as item codes: anchor (A,), others (A, n)."""

    anchor: Tensor
    others: Tensor


def draw(long: Behaviours, config: EncodeConfig) -> Triplets:
    """Section 4.6.4: random anchors and, for each, the behaviours its positive and negatives are picked from.

    "neighbours" are the previous and the next behaviour, "sequence" any others of the same user, "batch" any
    of another row's (of the same where there is one row). One for mse, 1 + negatives for n-pair, else two.
    Draws from torch's generator. No anchors where nobody has enough events.
    """
    count = long.there.sum(1)
    wanted = {"mse": 1, "n-pair": 1 + config.negatives}.get(config.loss, 2)
    edge = 1 if config.sampling == "neighbours" else 0
    weight = (count - 2 * edge).clamp(min=0) * (count > 1)
    if not int(weight.sum()):
        nothing = long.item.new_empty(0)
        return Triplets(nothing, nothing.reshape(0, wanted))
    row = torch.multinomial(weight.float(), config.anchors, replacement=True)
    place = edge + below(weight[row])
    anchor = long.item[row, place]
    if config.sampling == "neighbours":
        return Triplets(anchor, torch.stack([long.item[row, place - 1], long.item[row, place + 1]], 1))
    whose = row.unsqueeze(1).expand(-1, wanted)
    if config.sampling == "batch" and int((count > 0).sum()) > 1:
        some = (count > 0).nonzero().squeeze(1)
        mine = torch.searchsorted(some, row).unsqueeze(1)
        other = below((len(some) - 1) * torch.ones_like(whose))
        whose = some[other + (other >= mine)]  # one's own row is stepped over
        return Triplets(anchor, long.item[whose, below(count[whose])])
    other = below(count[whose] - 1)
    return Triplets(anchor, long.item[whose, other + (other >= place.unsqueeze(1))])


def auxiliary_loss(items: Tensor, projection: Tensor, drawn: Triplets, config: EncodeConfig) -> Tensor:
    """L_aux, a scalar, 0 without anchors: Eq. 6 with the margin of Eq. 7 or a fixed one, or Eqs. 12 and 12a.

    items (V, d): constants here, so that the projection W_h (d, m) alone is trained. Which of two others is
    the positive (Eq. 5), and what a distance should be, is said by the distances in R^d.
    """
    if config.loss == "none" or not len(drawn.anchor):
        return projection.sum() * 0
    s, others = items.detach()[drawn.anchor].unsqueeze(1), items.detach()[drawn.others]
    wanted = distance(s, others)
    h, them = s @ projection, others @ projection  # Eq. 4
    if config.loss == "mse":
        return (distance(h, them) - wanted).square().mean()
    order = wanted.argsort(1)  # Eq. 5: the nearest is the positive
    if config.loss == "n-pair":
        product = (h * them).sum(-1).gather(1, order)
        apart = product[:, 1:] - product[:, :1]
        return torch.logsumexp(functional.pad(apart, (1, 0)), 1).mean()  # Eq. 12: log(1 + sum exp)
    near, far = distance(h, them).gather(1, order).unbind(1)
    gap = wanted.gather(1, order)
    margin = gap[:, 1] - gap[:, 0] if config.loss == "dynamic" else config.margin  # Eq. 7
    return (near - far + margin).clamp(min=0).mean()


# --- offline: interests -----------------------------------------------------------------------------------


class Interests(NamedTuple):
    """What the offline stage leaves of U users: vector (U, K, d), zero where there is none, there (U, K)."""

    vector: Tensor
    there: Tensor


def within(h: Tensor, label: Tensor, config: EncodeConfig) -> Tensor:
    """Eq. 8: the weight of each event in its cluster: h (U, L, m), label (U, L) -> (U, L), 0 for padding.

    The weights of every cluster that has members add up to 1. The centre is a constant (ambiguity E5).
    """
    clusters, there = config.clusters.clusters, label >= 0
    logit = similarity(h, own_centres(h.detach(), label, clusters), config).masked_fill(~there, -torch.inf)
    slot = label % (clusters + 1)  # padding has the last slot to itself
    top = logit.new_full((len(h), clusters + 1), -torch.inf)
    top = top.scatter_reduce(1, slot, logit.detach(), "amax").nan_to_num(neginf=0).gather(1, slot)
    grown = torch.where(there, (logit - top).exp(), 0)
    total = grown.new_zeros(len(h), clusters + 1).scatter_add(1, slot, grown)
    return grown / torch.where(there, total.gather(1, slot), 1)


def extract(items: Tensor, code: Tensor, weights: Tensor, label: Tensor, clusters: int) -> Interests:
    """Eq. 8: u_k, the weighted sum of the events of each cluster. items (V, d), the rest (U, L)."""
    slot = (label % (clusters + 1)).unsqueeze(1)
    share = weights.new_zeros(len(code), clusters + 1, code.shape[1])
    share = share.scatter(1, slot, weights.unsqueeze(1))[:, :-1]  # (U, K, L)
    filled = torch.zeros(len(code), clusters + 1, dtype=torch.bool, device=code.device)
    there = filled.scatter(1, label % (clusters + 1), label >= 0)[:, :-1]
    return Interests(share @ functional.embedding(code, items), there)


def attend(query: Tensor, interests: Interests, config: EncodeConfig) -> tuple[Tensor, Tensor]:
    """Eq. 10: the candidates' (B, d) view of interests (B, K, d), or of one user's (1, K, d): I (B, d) and
    weights (B, K), which add up to 1, or 0 where a user has no interest.
    """
    vector, there = interests
    asking, asked, factor = compared(query, vector, config)
    # one matrix product for all candidates takes half as long as one for each
    scores = asking @ asked[0].T if len(vector) == 1 else (asking.unsqueeze(1) @ asked.mT).squeeze(1)
    weights = masked_softmax(scores * factor, there)
    return aggregate(weights, vector), weights


class Reduction(nn.Module):
    """W_h of Eq. 4 and the loss that trains it."""

    def __init__(self, width: int, config: EncodeConfig) -> None:
        super().__init__()
        self.config = config
        # ~ N(0, 1); without a loss it stays the random projection that it starts as
        self.weight = nn.Parameter(torch.randn(width, config.reduced), config.loss != "none")

    def forward(self, vectors: Tensor) -> Tensor:
        """Eq. 4: (..., d) -> (..., m)."""
        return vectors @ self.weight

    def loss(self, life: Life, long: Behaviours) -> Tensor:
        """The weighted L_aux of some behaviours, a scalar; it draws from torch's generator."""
        if self.config.loss == "none" or not self.config.weight:
            return self.weight.sum() * 0
        drawn = draw(long, self.config)
        return self.config.weight * auxiliary_loss(life.item, self.weight, drawn, self.config)


class Encode(Interest):
    """ENCODE's look at a long history: both stages in one call, or each by itself for serving."""

    shares = True

    def __init__(self, life: Life, config: EncodeConfig | None = None) -> None:
        super().__init__()
        self.config, self.size = config or EncodeConfig(), life.width
        self.reduction = Reduction(life.width, self.config)

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; an event's weight is that in its cluster times its cluster's.

        Events are clustered here, unless ``long`` brings the clusters that an offline stage has found.
        """
        offline, label, inside = self.offline(life, long)
        vector, between = attend(query, offline, self.config)
        weights = inside * between.gather(1, label.clamp(min=0).expand(len(query), -1))
        return vector, [Level("events", everywhere(long), weights)]

    def read(self, life: Life, query: Tensor, sample: LongSample) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; candidates of one row share its interests, and no level is given then."""
        if sample.row is None:
            return self(life, query, sample.long)
        offline, _, _ = self.offline(life, sample.long)
        # index_select and not [row]: its gradients are added up in one order, every time
        return self.online(query, Interests(*(part.index_select(0, sample.row) for part in offline))), []

    def offline(self, life: Life, long: Behaviours) -> tuple[Interests, Tensor, Tensor]:
        """Alg. 1 without its loss: interests of U users, and the events' clusters and weights (U, L)."""
        label = self.clustered(life, long) if long.cluster is None else long.cluster
        inside = within(self.reduced(life, long), label, self.config)
        return extract(life.item, long.item, inside, label, self.config.clusters.clusters), label, inside

    def reduced(self, life: Life, long: Behaviours) -> Tensor:
        """Eq. 4 of events: (U, L, m)."""
        return functional.embedding(long.item, self.reduction(life.item))

    def clustered(self, life: Life, long: Behaviours) -> Tensor:
        """Alg. 1, line 11: (U, L), -1 for padding."""
        return cluster(self.reduced(life, long), long.there, self.config.clusters)

    def online(self, query: Tensor, offline: Interests) -> Tensor:
        """Section 3.3: what candidates (B, d) read in stored interests: (B, d)."""
        return attend(query, offline, self.config)[0]

    def aside(self, life: Life, long: Behaviours) -> Tensor:
        """As in :class:`Interest`: Eq. 6, weighted."""
        return self.reduction.loss(life, long)


class Likeness(nn.Module):
    """Target attention over events by one similarity and nothing learnt: Eq. 10 with an interest an event.

    It stands for the multi-head attention of :class:`workbench.methods.long_history.Attention` where systems
    are compared with ENCODE, so that the metric is the same for all.
    """

    def __init__(self, life: Life, config: EncodeConfig) -> None:
        super().__init__()
        self.config, self.width = config, life.width

    def scores(self, query: Tensor, events: Tensor) -> Tensor:
        """(B, d), (B, K, size) -> (B, 1, K), before a softmax."""
        return similarity(query.unsqueeze(1), events[..., : self.width], self.config).unsqueeze(1)

    def values(self, weights: Tensor, events: Tensor) -> Tensor:
        """(B, 1, K), (B, K, size) -> the weighted sum of the events' items, (B, d)."""
        return (weights @ events[..., : self.width]).squeeze(1)

    def over(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Scores (B, L) of all events, -inf for padding."""
        asking, asked, factor = compared(query, life.item, self.config)
        return masked(inner(asking, asked, long.item) * factor, long)


def training_loss(model: LongHistory, sample: LongSample, label: Tensor) -> Tensor:
    """Section 4.2, Eq. text-1: L_CE (Eq. 2), and what the look asks for aside, 0.1 L_aux (Eq. 6)."""
    clicks = functional.binary_cross_entropy_with_logits(model(sample), label.float())
    return clicks + model.interest.aside(model.life, sample.long)
