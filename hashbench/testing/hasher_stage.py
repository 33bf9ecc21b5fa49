"""The stage that fixed hashes are tried on: pictures, codes, replicas, and files of small boxes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.matching.contract import Hasher, Proof
from hashbench.plugins.blame import came
from hashbench.testing.checking import require
from hashbench.testing.surroundings import own_random_state

Pixels = NDArray[np.uint8]
Code = NDArray[np.bool_]

SIZES: Final = ((64, 64), (72, 96), (47, 61))
"""Rows and columns of the pictures that a replica is compared on."""

PER_SIZE: Final = 6
"""Pictures of each."""

_WAVES: Final = 8


class HasherStage:
    """Asks one hash."""

    def __init__(self, hasher: Hasher) -> None:
        """Take a hash, which is never changed."""
        self.plugin = hasher
        self.blamed = (hasher, "verdict")
        self._replicas: dict[tuple[int, int], nn.Module | None] = {}

    @cached_property
    def usual(self) -> Pixels:
        """The picture that is looked at first."""
        return like_a_photograph(*SIZES[0], seed=0)

    @cached_property
    def pictures(self) -> tuple[Pixels, ...]:
        """Pictures of ordinary sizes, those of one size side by side."""
        return tuple(
            like_a_photograph(*size, seed=seed) for size in SIZES for seed in range(PER_SIZE)
        )

    def given(self, picture: Pixels, seed: int = 0) -> object:
        """What `verdict` returns for a copy of a picture."""
        with own_random_state(seed):
            return self.plugin.verdict(picture.copy())

    def code(self, picture: Pixels, seed: int = 0) -> Code:
        """The code of a picture, held to its shape and type."""
        return self.as_code(self.given(picture, seed))

    def as_code(self, found: object) -> Code:
        """A code that came, once it is known to be one."""
        bits = self.plugin.bits
        require(
            isinstance(found, np.ndarray),
            f"verdict() returned {came(found)}, not a NumPy array of bool: numpy.array(bits, bool)",
        )
        assert isinstance(found, np.ndarray)
        require(
            found.dtype == np.bool_ and found.shape == (bits,),
            f"verdict() returned {found.dtype} of shape {found.shape}, expected bool of shape "
            f"({bits},)",
        )
        return found

    def replica(self, height: int, width: int) -> nn.Module | None:
        """The replica for pictures of one size, in eval mode."""
        if (height, width) not in self._replicas:
            with own_random_state():
                found: object = self.plugin.replica(height, width)
            require(
                found is None or isinstance(found, nn.Module),
                f"replica() returned {came(found)}, not a torch.nn.Module or None",
            )
            self._replicas[height, width] = found.eval() if isinstance(found, nn.Module) else None
        return self._replicas[height, width]

    def values(self, replica: nn.Module, images: Tensor) -> Tensor:
        """The values of a replica for images."""
        with own_random_state(), torch.no_grad():
            found: object = replica(images.clone())
        wanted = (len(images), self.plugin.bits)
        require(
            isinstance(found, Tensor) and tuple(found.shape) == wanted,
            f"the replica gives {came(found)}, expected a tensor of shape {wanted}",
        )
        assert isinstance(found, Tensor)
        return found

    @cached_property
    def compared(self) -> tuple[tuple[nn.Module, tuple[Pixels, ...]], ...]:
        """The replicas of the ordinary sizes, with the pictures of each."""
        found = []
        for place, size in enumerate(SIZES):
            replica = self.replica(*size)
            if replica is not None:
                first = place * PER_SIZE
                found.append((replica, self.pictures[first : first + PER_SIZE]))
        return tuple(found)

    def proof(self, height: int, width: int) -> Proof | None:
        """The proof for pictures of one size."""
        with own_random_state():
            found: object = self.plugin.proof(height, width)
        require(
            found is None or isinstance(found, Proof),
            f"proof() returned {came(found)}, not a Proof or None",
        )
        return found if isinstance(found, Proof) else None

    def most_turned(self, proof: Proof, clean: Pixels, lowest: Pixels, highest: Pixels) -> int:
        """The bound of a box, held to its type and range."""
        with own_random_state():
            found: object = proof.most_turned(clean.copy(), lowest.copy(), highest.copy())
        bits = self.plugin.bits
        whole = isinstance(found, int | np.integer) and not isinstance(found, bool)
        require(
            whole and 0 <= int(found) <= bits,  # type: ignore[call-overload]
            f"most_turned() returned {found!r}, expected a whole number of 0 to {bits}",
        )
        return int(found)  # type: ignore[call-overload, no-any-return]

    def files(self, clean: Pixels, lowest: Pixels, highest: Pixels) -> Iterator[Pixels]:
        """Files of a box that may turn many bits: its corners above all.

        Both ends, waves, corners at random, files at random, and where there is a replica the
        corners that its gradients point to.
        """
        yield lowest
        yield highest
        height, width, _ = clean.shape
        draw = np.random.default_rng(3)
        ups = [wave(height, width, *turn) > 0 for turn in np.ndindex(4, 4) if any(turn)]
        ups += [draw.random((height, width)) < 0.5 for _ in range(4)]
        for up in ups:
            yield np.where(up[..., None], highest, lowest)
            yield np.where(up[..., None], lowest, highest)
        for _ in range(8):
            yield np.where(draw.random(clean.shape) < 0.5, highest, lowest)
            yield draw.integers(lowest, highest, endpoint=True, dtype=np.uint8)
        replica = self.replica(height, width)
        if replica is not None:
            yield from self._led(replica, clean, lowest, highest)

    def _led(
        self, replica: nn.Module, clean: Pixels, lowest: Pixels, highest: Pixels
    ) -> Iterator[Pixels]:
        """The corners against which the bits that are nearest to their thresholds stand least."""
        start = as_images((clean,))
        with own_random_state(), torch.enable_grad():
            point = start.clone().requires_grad_(True)
            values = replica(point)[0]
            if not values.requires_grad:  # another rule tells of it
                return
            margins = torch.where(values > 0, values, -values)
            for count in sorted({1, 2, 4, 16, 64, len(margins)}):
                if count <= len(margins):
                    loss = margins.topk(count, largest=False).values.sum()
                    (slope,) = torch.autograd.grad(loss, point, retain_graph=True)
                    down = slope[0].permute(1, 2, 0).numpy() > 0
                    yield np.where(down, lowest, highest)


def as_images(pictures: tuple[Pixels, ...]) -> Tensor:
    """Pictures of one size as images (B, 3, H, W) of whole 255ths in `[0, 1]`."""
    whole = np.stack(pictures).transpose(0, 3, 1, 2)
    return torch.from_numpy((whole.astype(np.float64) / 255).astype(np.float32))


def box_of(clean: Pixels, steps: int) -> tuple[Pixels, Pixels]:
    """The least and largest values at a radius of whole steps."""
    whole = clean.astype(np.int64)
    return (
        np.clip(whole - steps, 0, 255).astype(np.uint8),
        np.clip(whole + steps, 0, 255).astype(np.uint8),
    )


def wave(height: int, width: int, down: int, along: int) -> NDArray[np.float64]:
    """A product of cosines, (H, W)."""
    rows = np.cos(np.pi * down * (np.arange(height) + 0.5) / height)
    columns = np.cos(np.pi * along * (np.arange(width) + 0.5) / width)
    return np.outer(rows, columns)


def like_a_photograph(height: int, width: int, seed: int) -> Pixels:
    """A picture of large soft shapes and some noise, the same for the same seed."""
    draw = np.random.default_rng([seed, height, width])
    channels = []
    common = draw.normal(size=(_WAVES, _WAVES))
    for _ in range(3):
        sizes = common + 0.5 * draw.normal(size=(_WAVES, _WAVES))
        sheet = sum(
            sizes[turn] / (1 + sum(turn)) * wave(height, width, *turn)
            for turn in np.ndindex(_WAVES, _WAVES)
            if any(turn)
        )
        channels.append(128 + 45 * sheet / (float(np.std(sheet)) or 1.0))
    noisy = np.stack(channels, axis=-1) + draw.normal(0, 6, (height, width, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
