"""A file that holds a whole network, as a model: how it is asked, and how that is found out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.characters import counted, first_line
from hashbench.errors import FileError, ModelError, UsageError
from hashbench.files import read_bytes
from hashbench.hashing.checkpoint import CARD, MAX_CARD
from hashbench.hashing.model import HashModel
from hashbench.hashing.program import Program
from hashbench.hashing.programs.onnx_programs import OnnxNet, whole
from hashbench.hashing.programs.running import InBatches, Picked, Sealed
from hashbench.hashing.programs.sorts import ProgramKind
from hashbench.hashing.programs.torch_programs import batch_of, exported, scripted
from hashbench.hashing.whole_model import WholeModel, check_normalisation, has_gradient
from hashbench.retrieval.packing import MAX_BITS

MAX_BYTES: Final = 2**33
"""The most bytes of a program."""

MAX_BATCH: Final = 1024

BATCHES: Final = (
    *(1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 256, 500, 512, 1000),
    MAX_BATCH,
)
"""Batches that are tried of a program that does not say how many images it takes at once."""


@dataclass(frozen=True)
class Asking:
    """How a program is asked.

    Attributes:
        kind: of the file.
        mean, std: what is subtracted from pixels in `[0, 1]`, and what they are divided by.
        bounded: whether its values are those of a tanh.
        output: the one of several things that it gives.
        batch: how many images it takes at once; 0 where any number will do.
    """

    kind: ProgramKind
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bounded: bool = False
    output: str = ""
    batch: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Plain data, as a card holds it; `records.read` reads it back."""
        return {
            "kind": str(self.kind),
            "mean": list(self.mean),
            "std": list(self.std),
            "bounded": self.bounded,
            "output": self.output,
            "batch": self.batch,
        }

    def __post_init__(self) -> None:
        check_normalisation(self.mean, self.std)
        if not 0 <= self.batch <= MAX_BATCH:
            raise UsageError(f"batch is {self.batch:,}, expected 0 to {MAX_BATCH:,}")
        if len(self.output) > 200:
            raise UsageError("output is a name of more than 200 characters")


@dataclass(frozen=True)
class FileProgram(Program):
    """A file of TorchScript, of torch.export or of ONNX.

    Attributes:
        path: the file; in its folder lies the model's card.
        sha256: of its content.
        bits: the code length K.
        asking: how it is asked.
        gradients: whether a gradient goes through it.
    """

    path: Path
    sha256: str
    bits: int
    asking: Asking
    gradients: bool

    @property
    @override
    def content(self) -> str:
        return self.sha256

    @property
    @override
    def differentiable(self) -> bool:
        return self.gradients

    @override
    def described(self) -> dict[str, Any]:
        return {**self.asking.to_plain(), "gradients": self.gradients}

    @override
    def files(self) -> Mapping[str, bytes]:
        card = self.path.parent / CARD
        try:
            return {self.asking.kind.file: self._read(self.path), CARD: read_bytes(card, MAX_CARD)}
        except OSError as error:
            raise UsageError(f"model {self.path.parent}: {error.strerror or error}") from None

    @override
    def load(self, *, device: str, threads: int, kept: Path | None = None) -> HashModel:
        path = self.path if kept is None else kept / self.asking.kind.file
        found = Tried(self.asking, self.bits, self.gradients)
        return found.model(self._read(path), path, device=device, threads=threads)

    def _read(self, path: Path) -> bytes:
        with _said_of(path):
            content = read_bytes(path, MAX_BYTES)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise UsageError(f"model {path} is another file than its card, or the run's, describes")
        return content


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """What is wrong with a file is said with its path."""
    try:
        yield
    except FileError as error:
        raise UsageError(f"model {path}: {error}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"model {path} cannot be read: {reason}") from None


def content_of(path: Path, kind: ProgramKind) -> bytes:
    """A program as one file.

    Raises:
        UsageError: it cannot be read, or is no such program.
    """
    with _said_of(path):
        return whole(path) if kind is ProgramKind.ONNX else read_bytes(path, MAX_BYTES)


def _network(content: bytes, asking: Asking, device: str, threads: int) -> nn.Module:
    """The network of a program: normalised images to its values, in the batches that it takes.

    Args:
        content: of the file.
        asking: how it is asked.
        device: where it computes; ONNX always on the processor.
        threads: of ONNX.

    Raises:
        FileError: it cannot be loaded.
        UsageError: a package is missing.
    """
    net: nn.Module
    if asking.kind is ProgramKind.ONNX:
        net = OnnxNet(content, threads, asking.output)
    else:
        load = scripted if asking.kind is ProgramKind.TORCHSCRIPT else exported
        net = Picked(Sealed(load(content, device)), asking.output)
    return _in_batches(net, asking.batch)


def _in_batches(net: nn.Module, batch: int) -> nn.Module:
    return InBatches(net, batch) if batch else net


def _model(net: nn.Module, asking: Asking, bits: int, *, gradients: bool = True) -> WholeModel:
    """A network that is asked as is said, in eval mode."""
    return WholeModel(
        net,
        bits,
        mean=asking.mean,
        std=asking.std,
        bounded=asking.bounded,
        differentiable=gradients,
    ).eval()


@dataclass(frozen=True)
class Tried:
    """What came of asking a program.

    Attributes:
        asking: with what was found out.
        bits: the code length K.
        gradients: whether a gradient goes through it.
    """

    asking: Asking
    bits: int
    gradients: bool

    def model(self, content: bytes, path: Path, *, device: str, threads: int) -> HashModel:
        """The program as a model, in eval mode.

        Args:
            content: of the file.
            path: the file, for messages.
            device: where it computes; ONNX always on the processor.
            threads: of ONNX.

        Raises:
            UsageError: it cannot be loaded here.
        """
        with _said_of(path):
            net = _network(content, self.asking, device, threads)
        return _model(net, self.asking, self.bits, gradients=self.gradients).to(device)


def tried(content: bytes, asking: Asking, images: Tensor, path: Path) -> Tried:
    """Ask a program for some images: what batches it takes, how many bits it gives, gradients.

    Args:
        content: of the file.
        asking: what is known; grey images are repeated to three channels where the program takes
            those alone and nobody said a mean.
        images: float32 (3, C, H, W) in `[0, 1]`.
        path: the file, for messages.

    Raises:
        UsageError: it takes no such images, or gives no (B, K) floats for them.
    """
    with _said_of(path):
        net = _network(content, replace(asking, batch=0), "cpu", 1)
    said = _said(net, asking.kind)
    if said > MAX_BATCH:
        raise UsageError(
            f"model {path} takes {said:,} images at once, expected at most {MAX_BATCH:,}: export "
            "it for any number of images"
        )
    forms = [asking]
    if images.shape[1] == 1 and (asking.mean, asking.std) == ((0.0,), (1.0,)):
        forms.append(replace(asking, mean=(0.0,) * 3, std=(1.0,) * 3))
    faults = []
    known = said or asking.batch
    for form in forms:
        for batch in (known,) if said else (0, known) if known else (0, *BATCHES):
            found, batched = replace(form, batch=batch), _in_batches(net, batch)
            bits, fault = _bits(batched, found, images)
            if not fault:
                return Tried(found, bits, has_gradient(_model(batched, found, bits), images))
            faults.append(fault)
    _, channels, height, width = images.shape
    at_once = f"it takes {counted(said, 'image')} at once; " if said else ""
    raise UsageError(
        f"model {path} cannot be asked for images of {channels} x {height} x {width}: "
        f"{at_once}{faults[0]}"
    )


def _said(net: nn.Module, kind: ProgramKind) -> int:
    """How many images a program says it takes at once; 0 where it takes any number or says none."""
    if isinstance(net, OnnxNet):
        return net.batch
    if kind is ProgramKind.EXPORT and isinstance(net, Picked) and isinstance(net.net, Sealed):
        return batch_of(net.net.net)
    return 0


def _bits(net: nn.Module, asking: Asking, images: Tensor) -> tuple[int, str]:
    """The code length of a program, or why it has none when it is asked so."""
    many = torch.cat([images, images.flip(0)])[: max(3, min(len(images) * 2, asking.batch))]
    try:
        with torch.no_grad():
            model = _model(net, asking, 1)
            given = model.net((many - model.mean) / model.std)
            if not isinstance(given, Tensor) or given.ndim != 2 or len(given) != len(many):
                form = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
                return 0, (
                    f"it gives {form} for {len(many)} images, expected ({len(many)}, K), a row of "
                    "numbers for each"
                )
            bits = given.shape[1]
            if not 1 <= bits <= MAX_BITS:
                return 0, f"it gives {bits:,} numbers an image, expected 1 to {MAX_BITS} bits"
            _model(net, asking, bits).logits(many)
    except ModelError as error:
        return 0, str(error)
    except Exception as error:  # a program raises whatever it likes
        return 0, first_line(error)
    return bits, ""
