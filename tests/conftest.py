"""What all tests share: how hypothesis searches, and the reference vectors beside the checkout."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

# No test is timed, not even an example of one; and a commit passes or fails the same way twice.
settings.register_profile(
    "hashbench",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("hashbench")

SHARED = Path(__file__).resolve().parents[1] / "../shared"


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Mapping[str, NDArray[Any]]]:
    """Reader of reference vectors: numbers that the research repositories computed."""

    def read(name: str) -> Mapping[str, NDArray[Any]]:
        path = SHARED / "vectors" / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"the reference vectors {name}.npz are not next to the checkout")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    return read
