"""Networks as fixed hashes: read from a folder or a file, and asked for one picture at a time.

A sum of floats depends in its last digit on how many images are asked for at once. So a verdict,
and what a replica gives forward, is always that of one picture alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.hashing.answers import built
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.checkpoint import CARD, WEIGHTS, ModelCard, load_checkpoint, read_card
from hashbench.hashing.contract import Backbone
from hashbench.hashing.headed import HeadedBackbone, Hidden
from hashbench.hashing.model import HashModel
from hashbench.hashing.programs.file_program import Asking, content_of, tried
from hashbench.matching.resized import Filter, in_unit_range, resized, smooth_resized, through
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec
from hashbench.records import read

_SEED: Final = 0
_UNDEFENDED: Final = "none"


@dataclass(frozen=True)
class Network:
    """A network that a hash is made of.

    Attributes:
        net: images (1, C, H, W) in `[0, 1]` to values (1, K), in eval mode.
        shape: (C, H, W) of what it is asked for; C is 1 or 3.
        bits: the length of the code, K.
        by: how pictures are brought to that size.
        zero_is_one: whether a value of exactly 0 is a bit of 1.
        differentiable: whether a gradient goes through it.
    """

    net: Callable[[Tensor], Tensor]
    shape: tuple[int, int, int]
    bits: int
    by: Filter
    zero_is_one: bool
    differentiable: bool

    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """The code of a picture (H, W, 3), bool (K,)."""
        with torch.no_grad():
            values = self.net(in_unit_range(resized(picture, *self.shape, self.by))[None])[0]
        found: NDArray[np.bool_] = (values >= 0 if self.zero_is_one else values > 0).numpy()
        return found

    def replica(self) -> nn.Module | None:
        """The same with a gradient, if it has one."""
        return OneByOne(self) if self.differentiable else None


class OneByOne(nn.Module):
    """Images of any size to the values of a network, each image by itself."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @override
    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([self._values(image) for image in images])

    def _values(self, image: Tensor) -> Tensor:
        network = self.network
        small = smooth_resized(image, *network.shape, network.by)[None].float()
        with torch.no_grad():  # some networks compute otherwise where a gradient is asked for
            exact = network.net(small)[0]
        if network.zero_is_one:
            exact = torch.where(exact == 0, torch.finfo(exact.dtype).tiny, exact)
        if not (torch.is_grad_enabled() and small.requires_grad):
            return exact
        return through(network.net(small)[0], exact)


def card_of(folder: Path) -> ModelCard:
    """The card of a trained model that can be a fixed hash.

    Raises:
        UsageError: there is none, it is of another format, or says too little.
    """
    card = read_card(folder, "model")
    if len(card.shape) != 3 or card.shape[0] not in (1, 3):
        found = " x ".join(map(str, card.shape)) or "no shape"
        raise UsageError(
            f"model {folder}: its card says {found} of the images that it was built for, expected "
            "1 or 3 channels, height and width"
        )
    if card.wraps and card.defense != _UNDEFENDED:
        raise UsageError(
            f"model {folder}: the defense {card.defense} is wrapped around it, and no fixed hash "
            "can be made of such a model: take one without it"
        )
    return card


def files_of(folder: Path, card: ModelCard) -> tuple[Path, ...]:
    """What decides the codes of a trained model: its card, and the file of its weights."""
    name = read(Asking, card.program, "program").kind.file if card.program else WEIGHTS
    return (folder / CARD, folder / name)


def trained(folder: Path) -> Network:
    """A trained model of a folder as a hash.

    Raises:
        UsageError: files are missing or damaged, do not fit the card, or its backbone is not
            installed.
    """
    card = card_of(folder)
    stamps = []
    for path in files_of(folder, card):
        if not path.is_file():
            raise UsageError(f"model {folder}: there is no {path.name} in it")
        found = path.stat()
        stamps.append((found.st_size, found.st_mtime_ns))
    return _trained(folder.resolve(), tuple(stamps))


@lru_cache(maxsize=4)
def _trained(folder: Path, stamps: tuple[tuple[int, int], ...]) -> Network:  # noqa: ARG001
    """Read once for the same files: a plugin is built whenever its name is read."""
    card = card_of(folder)
    shape = (card.shape[0], card.shape[1], card.shape[2])
    backbone = backbone_of(card)
    if backbone is None:
        model, gradients = _program(folder, card)
    else:
        model, gradients = _weights(folder, card, backbone), True
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return Network(model.eval().logits, shape, card.bits, Filter.BILINEAR, True, gradients)


def backbone_of(card: ModelCard) -> Backbone | None:
    """The backbone that a card names; `None` where the model is a program.

    Raises:
        UsageError: it is not installed, or is none.
    """
    if card.program:
        return None
    spec = Spec.parse(card.backbone)
    backbone = plugins.get(Kind.BACKBONE, str(spec))
    if not isinstance(backbone, Backbone):
        raise UsageError(f"backbone '{spec.name}' is no subclass of hashbench.plugins.Backbone")
    return backbone


def _weights(folder: Path, card: ModelCard, backbone: Backbone) -> HashModel:
    if card.hidden:
        backbone = HeadedBackbone(backbone, tuple(map(Hidden.parse, card.hidden)))
    channels, height, width = card.shape
    # Mean and deviation lie among the weights; these only say how many there are.
    images = InputSpec(channels, height, width, (0.5,) * channels, (0.5,) * channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = HashModel(built(backbone.bare(), images), card.bits)
    return load_checkpoint(folder, model)


def _program(folder: Path, card: ModelCard) -> tuple[HashModel, bool]:
    asking = read(Asking, card.program, "program")
    path = folder / asking.kind.file
    content = content_of(path, asking.kind)
    if card.weights and hashlib.sha256(content).hexdigest() != card.weights:
        raise UsageError(f"model {folder}: {path.name} is not the file that its card describes")
    noise = torch.rand((3, *card.shape), generator=torch.Generator().manual_seed(_SEED))
    found = tried(content, asking, noise, path)
    if found.bits != card.bits:
        raise UsageError(
            f"model {folder}: {path.name} gives {found.bits} bits, the card says {card.bits}"
        )
    return found.model(content, path, device="cpu", threads=1), found.gradients
