"""What ENCODE's offline stage does with a trained model: which distances it keeps, and what clusters find.

``data`` is a :class:`workbench.lab.long_samples.LongData`; ``kinds`` (V,) say of what kind each item is, -1
where that is not known: topics in the world, else a field such as the genre.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from workbench.lab.long_samples import LongData, spread
from workbench.lab.training import asking, seeded
from workbench.methods.encode import EncodeConfig, distance, draw
from workbench.methods.long_history import Behaviours, LongHistory

ASKED = 300  # users at most, at their last impression


def last_moments(data: LongData, events: int = 1) -> Tensor:
    """The last test impression of each user who has at least so many events in the long sequence then."""
    part = data.parts["test"]
    last = part.new_full((int(data.user.max()) + 1,), -1)
    last = last.scatter_reduce(0, data.user[part], part, "amax")  # impressions are in the order of the log
    last = last[last >= 0]
    return last[data.events[last] >= events]


def histories(data: LongData, events: int = 1) -> Behaviours:
    """Long sequences of up to ASKED users who have at least so many events."""
    return data.batch(spread(last_moments(data, events), ASKED)).long


def order_kept(model: LongHistory, data: LongData, seed: int = 0) -> dict[str, float]:
    """How well distances of a user's events in R^m stand for those in R^d (claim E27).

    "order kept": of a random event and two others of the same user, how often the nearer one is the nearer
    one in R^m, too; .5 by chance. "order kept SimHash": the same of ETA's 2d bits of each item, drawn with
    the seed; where as many bits are shared with both it is half right. "rank correlation" (Spearman) of the
    distances of random pairs.
    """
    long, items = histories(data, 3), model.life.item
    with asking(model), seeded(seed):
        drawn = draw(long, EncodeConfig(anchors=20_000))
        s, others = items[drawn.anchor].unsqueeze(1), items[drawn.others]
        before = distance(s, others)
        after = distance(model.interest.reduction(s), model.interest.reduction(others))
        planes = torch.randn(items.shape[1], 2 * items.shape[1], device=items.device)
        bits = ((s @ planes).sign() * (others @ planes).sign()).sum(-1)
    apart = before[:, 0] != before[:, 1]  # the same item twice has no order
    same = (before[:, 0] < before[:, 1]) == (after[:, 0] < after[:, 1])
    level = bits[:, 0] == bits[:, 1]
    hashed = torch.where(level, 0.5, ((before[:, 0] < before[:, 1]) == (bits[:, 0] > bits[:, 1])).float())
    rank = spearmanr(before[:, 0].cpu().numpy(), after[:, 0].cpu().numpy()).statistic
    return {
        "order kept": float(same[apart].float().mean()),
        "order kept SimHash": float(hashed[apart].mean()),
        "rank correlation": float(rank),
    }


def agreement(model: LongHistory, data: LongData, kinds: np.ndarray) -> dict[str, float]:
    """Whether clusters are kinds: "ARI", the adjusted Rand index (0 by chance, 1 for the same parts), mean
    over users with at least 30 events of known kind; nothing where there is none.
    """
    long = histories(data, 30)
    if not len(long.item):
        return {}
    with asking(model):
        label = model.interest.clustered(model.life, long).cpu().numpy()
    return {"ARI": rand} if (rand := rand_index(label, kinds[long.item.cpu().numpy()])) is not None else {}


def rand_index(label: np.ndarray, kind: np.ndarray) -> float | None:
    """Mean over users of the adjusted Rand index of labels and kinds, (U, L) each, -1 where there is none."""
    known = (label >= 0) & (kind >= 0)
    users = [i for i in range(len(label)) if known[i].sum() >= 30]
    if not users:
        return None
    return float(np.mean([adjusted_rand_score(kind[i, known[i]], label[i, known[i]]) for i in users]))
