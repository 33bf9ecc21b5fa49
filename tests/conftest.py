"""What all tests share: how hypothesis searches, and the reference vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.hashing import HashModel
from hashbench.plugins import lookup
from hashbench.plugins.registered import Registry
from support.exact import vector_network, widened

# No test is timed, not even an example of one; and a commit passes or fails the same way twice.
settings.register_profile(
    "hashbench",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("hashbench")

VECTORS = Path(__file__).resolve().parent / "vectors"
SHARED_DATA = Path(__file__).resolve().parents[1] / "../shared/data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Folders of real images and lists, which may not be shipped."""

    def find(name: str) -> Path:
        folder = (SHARED_DATA / name).resolve()
        if not folder.is_dir():
            pytest.skip(f"the folder {name} of real data is not next to the checkout")
        return folder

    return find


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Mapping[str, NDArray[Any]]]:
    """Reader of reference vectors: numbers that the research repositories computed.

    Those of float32 come as float64, so that our side is computed in it.
    """

    def read(name: str) -> Mapping[str, NDArray[Any]]:
        with np.load(VECTORS / f"{name}.npz", allow_pickle=False) as arrays:
            return widened(arrays)

    return read


@pytest.fixture(scope="session")
def vector_model() -> Callable[[Mapping[str, NDArray[Any]]], HashModel]:
    """(arrays) -> the vectors' tiny network in float64."""
    return vector_network


@pytest.fixture
def fresh_registry() -> Iterator[Registry]:
    """The registry of this process, without what earlier tests added; forgotten afterwards."""
    lookup._registry.cache_clear()
    yield plugins.registry()
    lookup._registry.cache_clear()
