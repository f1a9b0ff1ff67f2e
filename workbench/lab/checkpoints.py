"""Checkpoints of a training: one safetensors file with every tensor, and the rest as JSON in its header.

A file is whole or absent. It says of which training it is, and serves no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.optim import Optimizer

from workbench.errors import ConfigError
from workbench.lab.places import write_files


def about(model: nn.Module, optimizer: Optimizer, settings: Mapping[str, object]) -> dict[str, object]:
    """What must be the same when a training goes on, in the form in which JSON gives it back."""
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    return json.loads(
        json.dumps(
            {
                **settings,
                "optimizer": [type(optimizer).__name__, groups],
                "weights": {name: list(value.shape) for name, value in model.state_dict().items()},
            },
            default=str,
        )
    )


def copied(model: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now, in memory of their own."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def save(
    path: Path,
    about: Mapping[str, object],
    progress: Mapping[str, object],
    model: nn.Module,
    optimizer: Optimizer,
    best: Mapping[str, Tensor],
) -> None:
    """Write weights, best weights and the optimizer's state; ``progress`` is plain JSON."""
    tensors = {f"weights/{name}": value for name, value in copied(model).items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    numbers = {}  # what an optimizer keeps beside tensors
    for parameter, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            place = tensors if isinstance(value, Tensor) else numbers
            place[f"optimizer/{parameter}/{name}"] = value
    header = {"about": about, "progress": progress, "numbers": numbers}
    content = to_bytes(
        {name: value.contiguous() for name, value in tensors.items()},
        {name: json.dumps(value) for name, value in header.items()},
    )
    write_files({path: content})


def load(
    path: Path, about: Mapping[str, object], model: nn.Module, optimizer: Optimizer
) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Put a checkpoint into model and optimizer; returns its ``progress`` and the best weights.

    Raises ConfigError for a file that is no checkpoint, and for one of another training: it then says
    what differs.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        written, progress, numbers = header["about"], header["progress"], header["numbers"]
    except (SafetensorError, KeyError, ValueError):
        raise ConfigError(f"{path.name} is not a checkpoint; remove it or choose another file") from None
    for what, value in about.items():
        if written.get(what) != value:
            raise ConfigError(
                f"{path.name} is the checkpoint of another training, with {what} {written.get(what)} instead "
                f"of {value}; remove it or choose another file"
            )
    parts: dict[str, dict[str, object]] = {"weights": {}, "best": {}, "optimizer": {}}
    for name, value in {**tensors, **numbers}.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    model.load_state_dict(parts["weights"])
    state: dict[int, dict[str, object]] = {}
    for name, value in parts["optimizer"].items():
        parameter, _, key = name.partition("/")
        state.setdefault(int(parameter), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress, parts["best"]
