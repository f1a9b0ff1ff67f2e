"""A second device where there is none: tensors that claim to be on it, and refuse to mix with others."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

HERE, FAR = torch.device("cpu"), torch.device("cuda")  # the name may be used without such a device


def is_far(value: object) -> bool:
    return getattr(value, "claims_to_be_far", False)


class Elsewhere(TorchFunctionMode):
    """While it lasts, FAR takes tensors, and refuses what a GPU would refuse.

    The numbers are computed on the CPU. Refused are operands from two devices (numbers without dimensions
    and a ``copy_`` apart), an index that is far for a tensor that is not, a generator of the CPU, and numpy.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if func == Tensor.device.__get__:
            return FAR if is_far(args[0]) else HERE
        if func == Tensor.data.__set__:
            args[0].claims_to_be_far = is_far(args[1])
            return func(*args)
        if name in ("to", "cpu"):
            return self._moved(name, args, kwargs)
        if name in ("numpy", "__array__") and is_far(args[0]):
            raise TypeError(f"can't convert a tensor on {FAR} to numpy")
        far = self._agreed(name, args, kwargs)
        if torch.device(kwargs.get("device") or HERE) == FAR:
            if kwargs.get("generator") is not None:
                raise RuntimeError(f"a generator of the CPU cannot draw on {FAR}")
            far, kwargs["device"] = True, HERE
        found = func(*args, **kwargs)
        if far:
            for tensor in _tensors(found):
                tensor.claims_to_be_far = True
        return found

    def _moved(self, name: str, args: tuple, kwargs: dict) -> Tensor:
        asked = [HERE] if name == "cpu" else [*args[1:], *kwargs.values()]
        far, kinds = is_far(args[0]), [one for one in asked if isinstance(one, torch.dtype)]
        for one in asked:
            if isinstance(one, str | torch.device):
                far = torch.device(one) == FAR
            elif isinstance(one, Tensor):
                far, kinds = is_far(one), [one.dtype]
        found = args[0].to(*kinds) if kinds else args[0]
        found = found.clone() if found is args[0] and far != is_far(args[0]) else found
        found.claims_to_be_far = far
        return found

    def _agreed(self, name: str, args: tuple, kwargs: dict) -> bool:
        """Whether the operands are far; raises RuntimeError where some are and some are not."""
        if name in ("copy_", "_has_compatible_shallow_copy_type"):
            return is_far(args[0])
        if name in ("__getitem__", "__setitem__"):
            if not is_far(args[0]) and any(map(is_far, _tensors(args[1:]))):
                raise RuntimeError(f"{name} of a tensor on {HERE} with one on {FAR}")
            args = (args[0], *args[2:])  # an index from the CPU is welcome everywhere
        given = _tensors((args, kwargs))
        far = any(map(is_far, given))
        if far and any(tensor.dim() and not is_far(tensor) for tensor in given):
            raise RuntimeError(f"{name}: expected all tensors on one device, found {HERE} and {FAR}")
        return far


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor)]


def fabric(device: torch.device) -> SimpleNamespace:
    """As much of a Fabric as a training needs, on a device that Lightning would look for in vain."""

    def itself(value):
        return value

    def clip_gradients(model, optimizer, max_norm):
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)

    return SimpleNamespace(
        device=device, global_rank=0, world_size=1, is_global_zero=True, broadcast=itself, all_reduce=itself,
        setup=lambda model, optimizer: (model, optimizer), backward=lambda loss: loss.backward(),
        clip_gradients=clip_gradients,
    )  # fmt: skip
