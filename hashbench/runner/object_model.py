"""A module in memory as a model that is given whole; and how it is handed back as it was found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from typing_extensions import override

from hashbench.characters import counted, shortened, shown
from hashbench.errors import UsageError
from hashbench.hashing.program import Program
from hashbench.hashing.programs.running import Sealed
from hashbench.hashing.whole_model import WholeModel, has_gradient
from hashbench.runner.suite_models import check_bits

RECORD: Final = "object.json"
"""What a store keeps of the model: what it was, not the model itself."""

_SHOWN: Final = 300


@dataclass(frozen=True)
class ModelObject(Program):
    """A module of this process.

    Attributes:
        net: the module; it is not copied.
        bits: code length K.
        mean, std: what images are normalised with before it.
        bounded: whether its values are in [-1, 1], those of a tanh.
        gradient: whether a gradient goes through it.
        sha256: its content, see `module_content`.
    """

    net: nn.Module
    bits: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bounded: bool
    gradient: bool
    sha256: str

    @property
    @override
    def content(self) -> str:
        return self.sha256

    @property
    @override
    def differentiable(self) -> bool:
        return self.gradient

    @override
    def described(self) -> dict[str, Any]:
        return {
            "kind": "object",
            "mean": list(self.mean),
            "std": list(self.std),
            "bounded": self.bounded,
            "differentiable": self.gradient,
        }

    @override
    def files(self) -> Mapping[str, bytes]:
        about = {
            **self.described(),
            "class": f"{type(self.net).__module__}.{type(self.net).__qualname__}",
            "content": self.sha256,
            "parameters": sum(value.numel() for value in self.net.parameters()),
        }
        return {RECORD: (json.dumps(about, indent=2) + "\n").encode()}

    @override
    def load(self, *, device: str, threads: int, kept: Path | None = None) -> WholeModel:
        """The module itself behind its normalisation; on another device it is moved there."""
        model = WholeModel(
            self.net,
            self.bits,
            mean=self.mean,
            std=self.std,
            bounded=self.bounded,
            differentiable=self.gradient,
        )
        model.to(device).eval()
        return model


@contextmanager
def borrowed(net: nn.Module) -> Iterator[None]:
    """The module is as it was found afterwards, whatever was done inside and however it ended.

    That is: the mode of every part, every parameter's and buffer's values, device and place in
    memory, whether a parameter asks for a gradient, and the gradient that it holds.
    """
    modes = [(part, part.training) for part in net.modules()]
    held = [
        (value, value.data, value.requires_grad, value.grad, None if g is None else g.data)
        for value in net.parameters()
        for g in [value.grad]
    ]
    buffers = [
        (part, name, value, value.detach().clone())
        for part in net.modules()
        for name, value in part._buffers.items()
        if value is not None
    ]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        for value, data, wanted, gradient, numbers in held:
            value.data = data
            value.requires_grad_(wanted)
            if gradient is not None and numbers is not None:
                gradient.data = numbers
            value.grad = gradient
        with torch.no_grad():
            for part, name, buffer, numbers in buffers:
                part._buffers[name] = buffer
                if not torch.equal(buffer, numbers):
                    buffer.copy_(numbers)


@contextmanager
def as_found(net: nn.Module) -> Iterator[nn.Module]:
    """The network in eval mode, with gradients as attacks need them; see `borrowed`."""
    with borrowed(net), torch.inference_mode(False), torch.enable_grad():
        try:
            net.eval()
        except NotImplementedError:  # what torch.export gives has no modes
            for part in net.modules():
                part.training = False
            yield Sealed(net)
        else:
            yield Sealed(net) if isinstance(net, torch.jit.ScriptModule) else net


def refuse_unready(net: nn.Module) -> None:
    """UsageError where a network has no numbers, or none that a gradient may go through."""
    for value in (*net.parameters(), *net.buffers()):
        if is_lazy(value):
            raise UsageError(
                "net has lazy layers that know no sizes yet: run it once on an image, as in "
                "net(images[:1])"
            )
        if value.is_meta:
            raise UsageError(
                "net has tensors on the device meta, without numbers: load its weights"
            )
        if value.is_inference():
            raise UsageError(
                "net was made under torch.inference_mode(), so that no gradient can go through it: "
                "make it outside, or give copy.deepcopy(net)"
            )


@dataclass(frozen=True)
class Answer:
    """What a module gave for a few images.

    Attributes:
        bits: numbers per image.
        gradient: whether a gradient goes from them to the images, and is not 0 everywhere.
    """

    bits: int
    gradient: bool


def answer_of(
    net: nn.Module,
    images: Tensor,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    bounded: bool = False,
) -> Answer:
    """Ask a module for a few images, and for the first alone.

    Args:
        net: in eval mode.
        images: float32 (B, C, H, W) in `[0, 1]`, B of 2 or more, on the module's device.
        mean: what is subtracted from them before.
        std: what they are divided by after that.
        bounded: whether it says to end in a tanh.

    Raises:
        UsageError: it raises, or gives something else than (B, K) finite floats; says what to do.
    """
    center, spread = (
        torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (mean, std)
    )
    bits = 0
    for asked in (images, images[:1]):
        asked = asked.clone().requires_grad_()
        try:
            given = net((asked - center) / spread)
        except Exception as error:  # somebody's module may raise anything
            first = next(net.parameters(), images)
            other = first.is_floating_point() and first.dtype != torch.float32
            hint = f"; its parameters are {first.dtype}: net.float() changes that" if other else ""
            raise UsageError(
                f"net raises {type(error).__name__} for float32 images of shape "
                f"{tuple(asked.shape)}: {shown(shortened(str(error), _SHOWN))}{hint}"
            ) from error
        bits = _bits(given, len(asked))
        largest = float(given.detach().abs().max())
        if bounded and largest > 1:
            raise UsageError(
                f"net(x) gives {largest:.3g}, but bounded=True says that it ends in a tanh"
            )
    model = WholeModel(net, bits, mean=mean, std=std, bounded=bounded).to(images.device)
    return Answer(bits, has_gradient(model, images))


def _bits(given: object, count: int) -> int:
    """K of an answer for so many images."""
    if not isinstance(given, Tensor):
        raise UsageError(
            f"net(x) gives {_kind(given)}, but must give one tensor of shape (B, K): put a module "
            f"around it whose forward returns {_part(given)}"
        )
    if given.ndim != 2 or len(given) != count:
        hint = ": flatten it to one row per image" if given.ndim > 2 and len(given) == count else ""
        raise UsageError(
            f"net(x) gives shape {tuple(given.shape)} for {counted(count, 'image')}, but "
            f"must give ({count}, K), one number per bit{hint}"
        )
    if not given.is_floating_point():
        raise UsageError(
            f"net(x) gives {given.dtype}, but must give real numbers whose sign is the code: what "
            "is there before they are made into bits"
        )
    if not bool(torch.isfinite(given).all()):
        raise UsageError(
            "net(x) gives values that are not finite (NaN or infinity) for images in [0, 1]"
        )
    bits = int(given.shape[1])
    try:
        check_bits(bits)
    except UsageError as error:
        raise UsageError(f"net(x) gives {bits:,} numbers per image: {error}") from None
    return bits


def _kind(given: object) -> str:
    if isinstance(given, Mapping):
        return f"a {type(given).__name__} with {', '.join(map(repr, list(given)[:5]))}"
    if isinstance(given, tuple | list):
        return f"a {type(given).__name__} of {len(given)}"
    return f"a {type(given).__name__}"


def _part(given: object) -> str:
    if isinstance(given, Mapping) and given:
        return f"net(x)[{next(iter(given))!r}], say"
    if isinstance(given, tuple | list):
        return "net(x)[0], say"
    return "it"
