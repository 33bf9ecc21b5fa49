"""What an attacker knows, from labels and codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashbench.attacking import AttackerView
from hashbench.retrieval import center_codes


def view_of(
    labels: NDArray[np.uint8], codes: NDArray[np.int8], rows: NDArray[np.uint8]
) -> AttackerView:
    """Of queries with these labels, where training images with labels `rows` have these codes."""
    return AttackerView(labels, center_codes(labels, codes, rows), codes, rows)
