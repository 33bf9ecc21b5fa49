"""The old name of `hashbench.testing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashbench.deprecated import moved_module

if not TYPE_CHECKING:
    __getattr__ = moved_module(__name__, "hashbench.testing", gone="0.2")
