"""Why nothing can be proven of a model, where that is seen before its layers are walked."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from hashbench.certifying.layers import RULES
from hashbench.errors import UncertifiableError
from hashbench.hashing.model import HashModel

_EVAL = "bounds are for one network that gives each image one code"


def refuse_unprovable(model: HashModel) -> None:
    """Refuse a model whose codes are not those of its layers and weights alone.

    Raises:
        UncertifiableError: it draws, transforms its images, computes in half precision, or has a
            module with hooks, parametrizations or a forward that was put in its place.
    """
    if model.draws > 1:
        raise UncertifiableError(f"it draws at random ({type(model).__name__}): {_EVAL}")
    if model.transforms_images:
        raise UncertifiableError(
            f"images are transformed before its network sees them ({type(model).__name__}), and "
            "no bounds are known for the transformation"
        )
    for path, module in model.named_modules():
        if isinstance(module, HashModel) and module.mixed:
            raise UncertifiableError(
                "its network computes in bfloat16 (mixed precision), and bounds in float32 would "
                "be those of another model"
            )
        _refuse_module(_named(path, module), module)
    for path, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
            raise UncertifiableError(
                f"its {path} is {str(tensor.dtype).removeprefix('torch.')}: bounds are known for "
                "float32 and float64"
            )


def refuse_broken_weights(model: HashModel) -> None:
    """Refuse NaN and infinity among the weights, of which no bound follows.

    Raises:
        UncertifiableError: names the first such tensor.
    """
    for path, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise UncertifiableError(f"its {path} holds values that are not finite")


def _refuse_module(name: str, module: nn.Module) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise UncertifiableError(
            f"{name} has forward hooks, which may change what it gives: remove them first"
        )
    if parametrize.is_parametrized(module):
        raise UncertifiableError(
            f"{name} computes its weights anew each time (parametrizations): fix them with "
            "torch.nn.utils.parametrize.remove_parametrizations first"
        )
    if type(module) in RULES and "forward" in vars(module):
        raise UncertifiableError(f"{name} has a forward that was put in the place of its own")


def _named(path: str, module: nn.Module) -> str:
    return f"its layer {path} ({type(module).__name__})" if path else "the model itself"


def refuse_rounded_products(device: torch.device) -> None:
    """Refuse a GPU that may round the factors of products to 10 bits (TF32).

    Raises:
        UncertifiableError: it may; says how to change that.
    """
    if device.type == "cuda" and (
        torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
    ):
        raise UncertifiableError(
            "its codes may be computed in TF32, for whose rounding no bounds are known: set "
            "torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32 to False"
        )
