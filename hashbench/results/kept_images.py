"""Attacked images that a run keeps beside their codes: where they lie, and how they are read.

They are no result: no report reads them, no key depends on them, and they may be deleted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import FileError
from hashbench.results.address import Address
from hashbench.results.arrays import Array, check_array, largest_file, read_all_arrays
from hashbench.results.artifacts import IMAGES, ArtifactKind
from hashbench.results.store import Store

USUAL: Final = 8
"""How many images of each attacked cell are kept where nobody says."""

MOST: Final = 1_000
"""How many can be kept: 602 MB of 3 x 224 x 224, which wait in memory while a cell is attacked."""


@dataclass(frozen=True)
class KeptImages:
    """The first attacked queries of one cell.

    Attributes:
        images: float32 (n, C, H, W) in `[0, 1]`, what the model saw, to the bit.
        codes: int8 (n, K) of +1 and -1, their codes, as they are among those of all queries.
    """

    images: NDArray[np.float32]
    codes: NDArray[np.int8]

    def __len__(self) -> int:
        """N."""
        return len(self.images)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As they are stored, by name."""
        return {"images": self.images, "codes": self.codes}

    def are_of(self, codes: NDArray[np.int8]) -> bool:
        """Whether they are those whose codes were scored.

        Args:
            codes: (Q, K), of all attacked queries.
        """
        return np.array_equal(self.codes, codes[: len(self)])


def address_of_images(adversarial: Address) -> Address:
    """Where the kept images of an attack lie.

    Args:
        adversarial: where the codes of its queries lie.
    """
    key = hashlib.sha256(f"images {adversarial.key}".encode()).hexdigest()
    return Address(kind=ArtifactKind.IMAGES, slug=adversarial.slug, key=key)


def kept_images(
    store: Store, adversarial: Address, shape: tuple[int, int, int], bits: int
) -> KeptImages | None:
    """What is kept of an attack; `None` where nothing is.

    Args:
        store: where it may lie.
        adversarial: where the codes of its queries lie.
        shape: of an image, (C, H, W).
        bits: of a code, K.

    Raises:
        FileError: it is damaged, or nothing that a run can have kept.
    """
    artifact = store.artifact(address_of_images(adversarial))
    if artifact is None:
        return None
    most = {"images": Array("f4", (MOST, *shape)), "codes": Array("i1", (MOST, bits))}
    content = artifact.read(IMAGES, largest_file(most))
    try:
        arrays = read_all_arrays(content, largest_file(most))
        if arrays.keys() != most.keys():
            raise FileError("it holds other arrays than images and their codes")
        images, codes = arrays["images"], arrays["codes"]
        count = len(images) if images.ndim else 0
        check_array("images", images, Array("f4", (count, *shape)))
        check_array("codes", codes, Array("i1", (count, bits)))
        if not 0 < count <= MOST:
            raise FileError(f"it holds {count:,} images, expected 1 to {MOST:,}")
        # One that is not a number is in no range.
        if not (images.min() >= 0 and images.max() <= 1) or not (np.abs(codes) == 1).all():
            raise FileError("it holds values that no run can have kept")
    except FileError as error:
        raise FileError(f"{IMAGES}: {error}") from None
    return KeptImages(images, codes)
