"""Which garments a split holds, by `hashbench.data.fixed_order`. Pure functions."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from hashbench.data.fixed_order import fixed_order
from hashbench.data.garments.garments import CLASSES, Garments
from hashbench.errors import UsageError


def pick_per_class(
    garments: Garments,
    per_class: int,
    *,
    salt: str,
    what: str,
    apart_from: AbstractSet[bytes] = frozenset(),
) -> NDArray[np.int64]:
    """Pick the first distinct images of every class in a fixed order.

    A smaller `per_class` picks the first columns of a larger one.

    Args:
        garments: what to pick from.
        per_class: how many of each class.
        salt: of the order, see `fixed_order`.
        what: names the picked in an error.
        apart_from: pixels that must not be picked; nor is any image picked twice, by content.

    Returns:
        int64 (10, per_class): indices, a row per class, in that order.

    Raises:
        UsageError: a class has too few images.
    """
    seen = set(apart_from)
    picked: list[list[int]] = [[] for _ in CLASSES]
    for index in fixed_order(salt, len(garments)):
        row = picked[garments.labels[index]]
        pixels = garments.images[index].tobytes()
        if len(row) < per_class and pixels not in seen:
            seen.add(pixels)
            row.append(int(index))
    for name, row in zip(CLASSES, picked, strict=True):
        if len(row) < per_class:
            raise UsageError(
                f"{what}: {per_class} images of each class are asked for, "
                f"but class '{name}' has {len(row)} to pick from"
            )
    return np.array(picked, dtype=np.int64)


def pick_train(garments: Garments, per_class: int, *, what: str) -> NDArray[np.int64]:
    """Pick from Fashion-MNIST's 60,000 images; see `pick_per_class`.

    All data sets of this package pick by one rule, so that a smaller set's images are also in the
    larger one's: `fashion`'s train set lies inside `fashion-mnist`'s.
    """
    return pick_per_class(garments, per_class, salt="hashbench train", what=what)


def pick_queries(
    test: Garments, database: Garments, per_class: int, *, what: str
) -> NDArray[np.int64]:
    """Pick from the 10,000 test images those whose pixels are nowhere in `database`."""
    return pick_per_class(
        test, per_class, salt="hashbench query", what=what, apart_from=database.contents()
    )
