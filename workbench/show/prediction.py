"""The widgets of lesson 04: what is predicted from which contexts, and what each switch does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import functional_call

from workbench.data.histories import Histories
from workbench.lab.contexts import Retriever
from workbench.lab.lift import Recipe, train_predictor
from workbench.lab.samples import Samples
from workbench.lab.training import predict
from workbench.methods.layers import Events, Sample
from workbench.methods.lift import LIFT, Encoder
from workbench.methods.lift_config import CHOICES, LIFTConfig
from workbench.show.explorer import Explorer, choice, dial, slider
from workbench.show.pictures_lift import believed
from workbench.show.pictures_prediction import hidden_blocks, hidden_vector, tried_predictors
from workbench.show.timelines import NOTHING, Timelines, gather
from workbench.show.trainer import Trainer

BOTH, HISTORY, FUTURE, NEITHER = READS = ("history and future", "history", "future", "neither")
MOST = 20  # contexts that the explorer can ask for; more would take longer than 200 ms to draw


class Questions:
    """A trained predictor and some targets to ask it about.

    model : trained, its encoder inside. retriever : of the same log. samples : the targets, with encoded
    contexts; what is asked about one target is encoded afresh, so that L and what is read may differ from
    what the model was trained with.
    """

    def __init__(self, model: LIFT, retriever: Retriever, samples: Samples) -> None:
        self.model, self.retriever, self.stored = model, retriever, samples
        self.events = replace(samples, own=None, encoded_past=None, encoded_future=None)
        self.rows = samples.rows.cpu().numpy()
        most = min(MOST, len(retriever.index))
        near = torch.from_numpy(retriever.retrieve(self.rows, most, 1).rows)
        self._near = near.to(samples.table.device)  # (n, most)

    def ask(
        self, target: int, k: int, length: int, reads: str, sharpness: float = 1.0
    ) -> tuple[float, Tensor]:
        """Probability of a click for one target (0 .. n-1), and its attention over the K contexts, (K,).

        length : of the own history and of each context. sharpness : multiplies the scores of LIFT, Eq. 14.
        """
        one = replace(self.events.some([target]), neighbours=self._near[target : target + 1, :k])
        sample = without(
            one.resized(length).batch(torch.zeros(1, dtype=torch.int64), self.model.needs), reads
        )
        logit, weights = self._answer(sample, sharpness)
        return float(logit.double().sigmoid()), weights[0]

    def attention(self, k: int, sharpness: float = 1.0) -> Tensor:
        """(n, K) key attention of all targets; it does not depend on what the contexts hold."""
        some = replace(self.stored, neighbours=self._near[:, :k])
        return self._answer(some.batch(torch.arange(len(some)), self.model.needs), sharpness)[1]

    def _answer(self, sample: Sample, sharpness: float) -> tuple[Tensor, Tensor]:
        """Logits and attention, on the CPU: they are for the page."""
        with torch.no_grad():
            scaled = {"predictor.W": self.model.predictor.W * sharpness}
            answered = functional_call(self.model, scaled, (sample,), {"return_weights": True})
            return answered[0].cpu(), answered[1].cpu()


def without(sample: Sample, reads: str) -> Sample:
    """A sample of events in which the contexts hold only what is read: the rest looks as if it never was."""
    parts = {}
    for name, kept in (("past", (BOTH, HISTORY)), ("future", (BOTH, FUTURE))):
        if isinstance(window := getattr(sample, name), Events) and reads not in kept:
            parts[name] = window._replace(there=torch.zeros_like(window.there))
    return sample._replace(**parts)


def prediction_explorer(
    questions: Questions,
    names: Sequence[str],
    *,
    k: int = 10,
    length: int = 20,
    truth: np.ndarray | None = None,
) -> Explorer:
    """Explore what is predicted for a target, from which of its neighbours, and whom the attention believes.

    names : item code -> name to print. k, length : K and L the model was trained with; L cannot be larger.
    truth : (rows of the log,) true click probabilities, where somebody knows them.
    """
    retriever, log = questions.retriever, questions.retriever.log
    own = Histories.of(log)
    most = questions.attention(MOST).shape[1]

    def draw(target: int, K: int, L: int, reads: str, sharpness: float) -> tuple[Figure, str]:
        row = int(questions.rows[target - 1])
        said, weights = questions.ask(target - 1, K, L, reads, sharpness)
        alone, _ = questions.ask(target - 1, K, L, NEITHER, sharpness)
        contexts = retriever.retrieve(np.array([row]), K, L)
        lines = _read(gather(retriever, own, row, contexts, L, names), reads)
        everyone = questions.attention(K, sharpness).numpy()
        told = [
            f"<b>K = {K}, L = {L}, reading {reads}</b>: clicks with probability <b>{said:.2f}</b>",
            f"without contexts {alone:.2f}",
            f"attention as wide as {spread(weights):.1f} of {len(lines.scores)} equal shares",
        ]
        if truth is not None:
            told.append(f"in truth {truth[row]:.2f}")
        told.append("it was" + (" a click" if log.label[row] else " no click"))
        return believed(lines, everyone, target - 1), " · ".join(told)

    knobs = {
        "target": slider("target", 1, 1, len(questions.rows)),
        "K": slider("K", k, 1, most),
        "L": slider("L", length, 1, length),
        "reads": choice("reads", list(READS), BOTH),
        "sharpness": dial("× scores", 1.0, 0.0, 50.0, 1.0),
    }
    alt = (
        "The target and its neighbours as timelines, most believed first, beside the attention of all targets"
    )
    return Explorer(draw, knobs, height=680, alt=alt)


def spread(weights: Tensor) -> float:
    """How many equal shares attention (K,) is as wide as: e to its entropy, from 1 to K."""
    weights = weights[weights > 0].double()
    return float((-(weights * weights.log()).sum()).exp()) if len(weights) else 0.0


def _read(lines: Timelines, reads: str) -> Timelines:
    """The timelines with only that part of the contexts which is read; the target's own past stays."""
    past, future, rows = lines.past.copy(), lines.future.copy(), lines.future_rows
    if reads not in (BOTH, HISTORY):
        past[1:] = NOTHING
    if reads not in (BOTH, FUTURE):
        future[1:], rows = NOTHING, np.full_like(rows, -1)
    return replace(lines, past=past, future=future, future_rows=rows)


def predictor_trainer(
    samples: dict[str, Samples],
    encoder: Encoder,
    config: LIFTConfig,
    recipe: Recipe,
    seed: int,
    score: Callable[[np.ndarray], tuple[float, float]],
    trained: nn.Module,
    ceiling: tuple[float, float] | None = None,
) -> Trainer:
    """Flip the predictor's switches, see what enters its MLP, train it on the encoder at hand.

    samples : of all parts, encoded by ``encoder`` (which no switch here concerns). score : click
    probabilities of the test part -> AUC on all rows and on step rows (NaN where there are none). trained :
    the predictor of ``config``, trained already; ceiling : as in :func:`tried_predictors`.
    """
    fields = len(samples["train"].table.fields)
    switches = ("neighbor_label", "match", "attention", "context")

    def draw(**chosen: object) -> tuple[Figure, str]:
        asked = replace(config, **chosen)
        blocks = hidden_blocks(asked, fields, encoder.value_size, encoder.own_size)
        return hidden_vector(blocks), "what the MLP reads with these switches; <b>Run</b> trains it"

    def train(on_progress: Callable, stop: Callable[[], bool], **chosen: object) -> tuple[float, float]:
        asked = replace(config, **chosen)
        model, _ = train_predictor(samples, encoder, asked, seed, recipe, on_progress=on_progress, stop=stop)
        return score(predict(model, samples["test"]))

    def picture(results: dict[tuple, tuple[float, float]]) -> tuple[Figure, str]:
        told = {_words(*key): value for key, value in results.items()}
        return tried_predictors(told, ceiling), f"{len(told)} trained so far"

    knobs = {
        name: choice(label, [*CHOICES[name]] if name in CHOICES else [True, False], getattr(config, name))
        for name, label in zip(switches, ("label", "match", "attention", "context"), strict=True)
    }
    return Trainer(
        Explorer(draw, knobs, height=225, alt="What the predictor's MLP reads, piece by piece"),
        train,
        picture,
        asks=switches,
        results={tuple(getattr(config, name) for name in switches): score(predict(trained, samples["test"]))},
        height=420,
        alt="What the predictor's MLP reads, and the test AUC of the predictors trained so far",
    )


def _words(label: str, match: bool, attention: str, context: str) -> str:
    """A predictor's switches in words."""
    told = {"none": "no label", "key": "label in the key", "split": "label splits"}[label]
    weights = "key attention" if attention == "key" else "equal weights"
    return f"{told}, {'match' if match else 'no match'}, {weights}, {context}"
