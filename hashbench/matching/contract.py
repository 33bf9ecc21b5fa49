"""What the author of a fixed hash implements: `Hasher`; and `Proof`, where something is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hashbench.plugins.base import Plugin


class Proof(ABC):
    """A sound bound of how many bits a hash can turn within a box of 8-bit pictures."""

    @abstractmethod
    def most_turned(
        self, clean: NDArray[np.uint8], lowest: NDArray[np.uint8], highest: NDArray[np.uint8]
    ) -> int:
        """Return a number that no picture of the box goes beyond.

        It holds for the arithmetic that is deployed: rounding and ties are part of it.

        Args:
            clean: (H, W, 3), the picture itself.
            lowest: like `clean`, the least value of each pixel; nowhere above `clean`.
            highest: the largest one; nowhere below `clean`.

        Returns:
            An upper bound of the Hamming distance between `verdict(clean)` and the verdict of every
            picture whose pixels all lie between `lowest` and `highest`; at most `bits`.
        """


class Hasher(Plugin):
    """A fixed hash: picture in, bits out.

    `verdict` alone is needed: a hash without a replica is attacked by its distances, and without a
    proof nothing is proven of it.

    Attributes:
        packages: names of the installed packages whose versions decide the verdict. They are part
            of every key in the store, so that another version's verdicts are never taken for these.
    """

    packages: ClassVar[tuple[str, ...]] = ()

    def made_of(self) -> tuple[Plugin, ...]:
        """Return the other plugins that decide the verdict, such as the backbone of a network.

        Their names, parameters and sources are part of every key too. By default there is none.
        """
        return ()

    @property
    @abstractmethod
    def bits(self) -> int:
        """The length of the code, K."""

    @property
    @abstractmethod
    def threshold(self) -> int:
        """The Hamming distance up to which two pictures match, unless a user says another one."""

    @abstractmethod
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return the code, by the library that people run.

        Args:
            picture: (H, W, 3) uint8, red, green and blue: the pixels of a saved file.

        Returns:
            (K,), the same for the same picture.
        """

    def replica(self, height: int, width: int) -> nn.Module | None:  # noqa: ARG002
        """Return a differentiable copy of the hash for pictures of one size, if there is one.

        It maps images (B, 3, H, W) in `[0, 1]` to values (B, K). At an image whose pixels are whole
        255ths, a value is above 0 where `verdict` says 1, and at most 0 where it says 0; between
        them it may do what helps an attack. Gradients go from its values to the images: where the
        library rounds, it rounds forward and lets the gradient through. By default there is none.

        Args:
            height: rows of pixels.
            width: columns of pixels.
        """
        return None

    def proof(self, height: int, width: int) -> Proof | None:  # noqa: ARG002
        """Return what is proven of the hash on pictures of one size; by default nothing.

        Args:
            height: rows of pixels.
            width: columns of pixels.
        """
        return None
