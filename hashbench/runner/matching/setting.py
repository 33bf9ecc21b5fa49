"""What all steps of one hash share: the hash, its pictures, threads and batch. It runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hashbench.matching.contract import Hasher
from hashbench.plugins.blame import answer_of
from hashbench.plugins.parameters import canonical
from hashbench.results.matches.results import MatchCell
from hashbench.runner.fingerprint import describe, sha256_of
from hashbench.runner.suite_tables import Compute


@dataclass(frozen=True)
class PictureSource:
    """Where a set of pictures comes from, and which one it is.

    Attributes:
        folder: or a single file; `None` for the set that hashbench makes. No part of any key.
        size: `256x256`, or `own`.
        skip_broken: whether pictures that cannot be decoded are left out.
        single: whether the folder may be one image.
        sha256: of the names and values of the pictures.
        count: of pictures.
    """

    folder: Path | None
    size: str
    skip_broken: bool
    single: bool
    sha256: str
    count: int


@dataclass(frozen=True)
class MatchSetting:
    """What all steps of one hash share.

    Attributes:
        hasher: the hash.
        pictures: what is hashed, and attacked.
        strangers: what collisions lead to; `None` takes the other pictures of the set.
        seed: of everything that draws.
        compute: threads and batch.
    """

    hasher: Hasher
    pictures: PictureSource
    strangers: PictureSource | None
    seed: int
    compute: Compute

    @cached_property
    def set_key(self) -> str:
        """SHA-256 that tells two sets of pictures apart, strangers included."""
        others = None if self.strangers is None else self.strangers.sha256
        return sha256_of([self.pictures.sha256, others])

    def described(self) -> dict[str, Any]:
        """Plain data for keys."""
        parts = answer_of(self.hasher, "made_of", tuple)
        return {
            "hash": describe(self.hasher),
            **({"made_of": [describe(part) for part in parts]} if parts else {}),
            "packages": versions_of(self.hasher.packages),
            "pictures": self.pictures.sha256,
            "seed": self.seed,
        }

    def cell(self, attack: str, eps: str) -> MatchCell:
        """A cell of this hash and these pictures."""
        return MatchCell(canonical(self.hasher), attack, eps, self.set_key, self.seed)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package; empty for one that is not there."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found
