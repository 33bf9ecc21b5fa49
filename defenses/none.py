"""The undefended base model: the row that every defense is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from hashbench.hashing import HashModel
from hashbench.plugins import WrappingDefense, defense


@defense("none")
@dataclass(frozen=True)
class Undefended(WrappingDefense):
    """No defense: the base model as it was trained."""

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return model
