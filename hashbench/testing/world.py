"""A retrieval task of a few tiny images, and a small model that solves it; always the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from hashbench.data.images import ImageSet
from hashbench.hashing.backbone import BackboneNet
from hashbench.hashing.encode import as_images
from hashbench.hashing.model import HashModel, codes_of
from hashbench.testing.surroundings import own_random_state

Shape = tuple[int, int, int]

SMALL: Shape = (3, 8, 8)
QUERIES = 7
TRAIN = 48
DATABASE = 40
BITS = 12  # no power of two
CLASSES = 4

_CONTRAST = 0.1
_RIDGE = 0.01
_DISTANCE = 0.25
"""How far a surrogate's network is from the model's; 1 is another network altogether."""


@dataclass(frozen=True)
class World:
    """Three splits of one task, and a model that was trained on the first.

    Attributes:
        train, query, database: images of one or two classes each.
        model: eval mode; to be copied, never to be changed.
    """

    train: ImageSet
    query: ImageSet
    database: ImageSet
    model: HashModel


class FinelyComputed(HashModel):
    """Computes in float64, so that batches of other sizes differ by float32 rounding at most."""

    @override
    def logits(self, images: Tensor) -> Tensor:
        normalised = (images.double() - self.mean) / self.std
        logits: Tensor = self.hash_layer(self.backbone(normalised))
        return logits.float()


@cache
def world(shape: Shape = SMALL, seed: int = 0) -> World:
    """The task for images of a shape.

    Args:
        shape: (C, H, W).
        seed: of the model alone. A model of another seed than 0 is kin to that of seed 0: its
            network is near, its codes are its own. So what fools one has a chance with the other.
    """
    rng = np.random.default_rng(7)
    patterns = np.stack([_pattern(rng, shape) for _ in range(CLASSES)])
    train, query, database = (_images(rng, patterns, n) for n in (TRAIN, QUERIES, DATABASE))
    with own_random_state(seed):
        model = FinelyComputed(_network(shape), BITS).double().eval()
        if seed:
            _draw_near(model.backbone, world(shape).model.backbone)
        _train(model, train)
    return World(train, _by_brightness(query), database, model)


def _pattern(rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    """What images of a class have in common: coarse blobs around mid-grey."""
    coarse = rng.choice([-1.0, 1.0], (shape[0], 3, 3))
    blown_up = F.interpolate(torch.from_numpy(coarse)[None], shape[1:], mode="bilinear")
    return blown_up[0].numpy()


def _images(rng: np.random.Generator, patterns: NDArray[np.float64], count: int) -> ImageSet:
    labels = np.zeros((count, CLASSES), np.uint8)
    labels[np.arange(count), np.arange(count) % CLASSES] = 1
    labels[::5, 0] = 1  # some have two labels
    mean = np.einsum("nc,cijk->nijk", labels, patterns) / labels.sum(1)[:, None, None, None]
    images = 0.5 + _CONTRAST * mean + 0.05 * rng.standard_normal(mean.shape)
    # Pixels at both ends, where the box cuts the ball.
    images[:, :, 0, :3], images[:, :, -1, :3] = 0.0, 1.0
    return ImageSet((255 * images.clip(0, 1)).round().astype(np.uint8), labels)


def _by_brightness(images: ImageSet) -> ImageSet:
    order = np.argsort(images.images[:].mean(axis=(1, 2, 3)), kind="stable")
    return ImageSet(images.images[order], images.labels[order])


def _network(shape: Shape) -> BackboneNet:
    module = nn.Sequential(
        nn.Conv2d(shape[0], 6, 3, stride=2, padding=1),
        nn.Softplus(),
        nn.Conv2d(6, 12, 3, stride=2, padding=1),
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
    )
    return BackboneNet(module, 108, (0.5,) * shape[0], (0.25,) * shape[0])


@torch.no_grad()
def _draw_near(network: nn.Module, other: nn.Module) -> None:
    for mine, its in zip(network.parameters(), other.parameters(), strict=True):
        mine.copy_(its + _DISTANCE * (mine - its))


@torch.no_grad()
def _train(model: HashModel, train: ImageSet) -> None:
    """Fit the hash layer to a random code per class, or the sum of both: ridge regression."""
    images = as_images(train.images[:], torch.device("cpu"))
    labels = torch.from_numpy(train.labels).double()
    wanted = codes_of(labels @ torch.randn(CLASSES, model.bits).double()).double()
    features = model.backbone((images.double() - model.mean) / model.std)
    features = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    gram = features.T @ features + _RIDGE * torch.eye(features.shape[1])
    solution = torch.linalg.solve(gram, features.T @ wanted)
    model.hash_layer.weight.copy_(solution[:-1].T)
    model.hash_layer.bias.copy_(solution[-1])


ModelT = TypeVar("ModelT", bound=HashModel)


def plain_copy(model: HashModel, kind: type[ModelT]) -> ModelT:
    """A float32 copy of the small model, of another class."""
    copied = kind(_network(SMALL), model.bits)
    copied.load_state_dict({name: value.float() for name, value in model.state_dict().items()})
    return copied


class Bystander:
    """A model that no plugin is given: hooks and patched methods would show in its answers."""

    def __init__(self) -> None:
        """Ask it once, before the plugin begins."""
        self._model = plain_copy(world().model, HashModel).eval()
        self._before = self._answer()

    def changed(self) -> bool:
        """Whether it answers otherwise by now, or differently twice."""
        return not all(torch.equal(self._answer(), self._before) for _ in range(2))

    def _answer(self) -> Tensor:
        with torch.no_grad():
            return self._model.logits(as_images(world().query.images[:], torch.device("cpu")))


class Variant(HashModel):
    """Another model, with its logits changed."""

    def __init__(self, base: HashModel, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Change the logits of `base` by `(logits, images) -> logits`."""
        nn.Module.__init__(self)
        self.base = base
        self.bits = base.bits
        self.draws = base.draws
        self.change = change

    @override
    def logits(self, images: Tensor) -> Tensor:
        """The changed ones."""
        return self.change(self.base.logits(images), images)


class Drawing(Variant):
    """Sees each image under noise of its own, anew in each pass, and says so: `draws` is 3.

    The noise comes from torch's process-wide generator, as that of any model that draws.
    """

    draws = 3

    def __init__(self, base: HashModel) -> None:
        """Put the noise before a model."""
        super().__init__(base, lambda logits, _: logits)
        self.draws = type(self).draws

    @override
    def logits(self, images: Tensor) -> Tensor:
        """Those of the noisy images."""
        return self.base.logits(images + 0.02 * torch.randn(images.shape).to(images))


def linear_model(weight: Tensor, bias: Tensor) -> HashModel:
    """`sign(W x + b)`; weight (K, C, H, W), bias (K,)."""
    bits, channels = weight.shape[:2]
    net = BackboneNet(nn.Flatten(), weight[0].numel(), (0.0,) * channels, (1.0,) * channels)
    model = FinelyComputed(net, bits).double()
    with torch.no_grad():
        model.hash_layer.weight.copy_(weight.flatten(1))
        model.hash_layer.bias.copy_(bias)
    return model.eval()
