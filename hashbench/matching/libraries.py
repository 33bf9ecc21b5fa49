"""The packages that hold the hashes which people run: found, or named with what installs them."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from hashbench.errors import UsageError


def need(module: str, extra: str, name: str) -> None:
    """Refuse a hash whose package is not installed; imports nothing.

    Args:
        module: what is imported of the package.
        extra: the extra of hashbench that installs it.
        name: of the hash.

    Raises:
        UsageError: it is not there; the sentence names the extra.
    """
    if find_spec(module) is None:
        raise UsageError(
            f"hash '{name}' needs the package {module}: pip install 'hashbench[{extra}]'"
        )


def library(module: str, extra: str, name: str) -> Any:
    """Import what a hash needs; the arguments are those of `need`.

    Raises:
        UsageError: the package is not installed.
    """
    need(module, extra, name)
    return importlib.import_module(module)


def check_threshold(threshold: int, bits: int) -> None:
    """Refuse a threshold at which every two pictures match, or none.

    Raises:
        UsageError: it is below 0, or not below the number of bits.
    """
    if not 0 <= threshold < bits:
        raise UsageError(f"expected a threshold of 0 to {bits - 1} bits, found {threshold}")
