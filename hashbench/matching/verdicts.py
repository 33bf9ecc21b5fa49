"""The one place that asks a hash for its verdict, and holds the answer against the contract."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashbench.matching.contract import Hasher
from hashbench.plugins.blame import broken_contract, came


def verdict_of(hasher: Hasher, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the code of a picture, (K,).

    Args:
        hasher: the hash.
        picture: (H, W, 3) uint8.

    Raises:
        PluginError: it is no array of K bool; the message names the hash and its line.
    """
    code: object = hasher.verdict(picture)
    if isinstance(code, np.ndarray) and code.shape == (hasher.bits,) and code.dtype == np.bool_:
        return code
    found = f"{code.dtype} {code.shape}" if isinstance(code, np.ndarray) else came(code)
    raise broken_contract(
        hasher, "verdict", f"must give an array of {hasher.bits} bool, but gave {found}"
    )
