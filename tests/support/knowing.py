"""What an attacker knows, from labels and codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashbench.attacking import Known
from hashbench.retrieval import center_codes


def known_of(labels: Any, codes: Any, rows: Any, targets: Any = None) -> Known:
    """Of queries with these labels, where training images with labels `rows` have these codes."""
    labels, codes, rows = (np.asarray(part) for part in (labels, codes, rows))
    return Known.of(labels, center_codes(labels, codes, rows), codes, rows, targets)
