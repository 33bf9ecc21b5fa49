"""What a run of matches is asked for: hashes, attacks, radii, pictures. Plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from hashbench import plugins
from hashbench.certifying import Smoothing
from hashbench.characters import shortened
from hashbench.eps import Eps, Norm
from hashbench.errors import UsageError
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, located
from hashbench.records import read
from hashbench.results.matches.results import LEAST
from hashbench.runner.suite_tables import Compute

HASHES: Final = ("pdq", "phash", "dhash", "ahash")
"""The hashes of the full table."""

RADII: Final = ("1/255", "2/255", "4/255", "8/255")
"""The radii of the full table."""

SCENES: Final = "scenes"
"""The set of pictures that is made where no folder is named."""

SIZE: Final = "256x256"
"""What pictures are brought to, unless another size is asked for."""

TRAFFIC: Final = 1_000_000
"""New pictures a day that false flags are counted for."""

STORED: Final = 10_000
"""Stored pictures that each of them is compared with."""

BATCH: Final = 8
"""Pictures that are attacked together: more take more memory, and no less time."""

DRAWS: Final = 1_000
"""Noisy pictures that estimate the bits of a smoothed code."""

_KEY: Final = "match"
"""Of the plain data: tells them from a suite's."""

_ANY_SIGMA: Final = 0.1
_MOST: Final = 10**12


@dataclass(frozen=True)
class MatchGrid:
    """Hashes times attacks times radii on one set of pictures.

    Attributes:
        hash: the hashes.
        attack: the attacks; empty takes the full table's.
        eps: radii, or `least`; empty takes the full table's.
        images: the folder of the pictures; `None` takes the set that hashbench makes.
        strangers: a folder of pictures, or one of them, that collisions lead to; `None` takes the
            other pictures of the set.
        size: `256x256`, width and height that every picture is brought to, or `own`.
        skip_broken: leave pictures out that cannot be decoded, instead of refusing the folder.
        seed: of everything that draws.
        traffic: new pictures a day that false flags are counted for.
        stored: stored pictures that each of them is compared with.
        smooth: deviations of noise, in `[0, 1]` pixels: what is proven of each hash where it is
            smoothed by it.
        draws: noisy pictures that each bit of a smoothed code is estimated from.
        all_files: whether every file that succeeds is kept, not the first ones alone.
        plugin: files with further plugins.
        compute: threads and batch.
    """

    hash: tuple[Spec, ...]
    attack: tuple[Spec, ...] = ()
    eps: tuple[str, ...] = ()
    images: Path | None = None
    strangers: Path | None = None
    size: str = SIZE
    skip_broken: bool = False
    seed: int = 0
    traffic: int = TRAFFIC
    stored: int = STORED
    smooth: tuple[float, ...] = ()
    draws: int = DRAWS
    all_files: bool = False
    plugin: tuple[Path, ...] = ()
    compute: Compute = field(default_factory=lambda: Compute(attack_batch=BATCH))

    def __post_init__(self) -> None:
        """Refuse what no run can be asked for.

        Raises:
            UsageError: no hash, a radius that is none or no ball of L-infinity, a negative number,
                noise that is none.
        """
        if not self.hash:
            raise UsageError("name a hash, as in '--hash pdq'; 'hashbench plugins' lists them")
        for text in self.eps:
            if text != LEAST and Eps.parse(text).norm is not Norm.LINF:
                raise UsageError(
                    f"eps '{shortened(text)}': fixed hashes are attacked inside linf balls; give a "
                    f"radius such as 4/255, or '{LEAST}'"
                )
        for sigma in self.smooth or (_ANY_SIGMA,):
            Smoothing(sigma, draws=self.draws)  # refuses what is none
        for name in ("seed", "traffic", "stored"):
            value = getattr(self, name)
            if not 0 <= value <= _MOST:
                raise UsageError(f"{name} is {value:,}, but must be from 0 to {_MOST:,}")

    def to_plain(self) -> dict[str, Any]:
        """As JSON data, which `grid_from_plain` reads back: for worker processes and records."""
        compute = {"threads": self.compute.threads, "attack_batch": self.compute.attack_batch}
        return {
            _KEY: {
                "hash": [str(spec) for spec in self.hash],
                "attack": [str(spec) for spec in self.attack],
                "eps": list(self.eps),
                **{
                    name: str(path)
                    for name in ("images", "strangers")
                    if (path := getattr(self, name)) is not None
                },
                "size": self.size,
                "skip_broken": self.skip_broken,
                "seed": self.seed,
                "traffic": self.traffic,
                "stored": self.stored,
                "smooth": list(self.smooth),
                "draws": self.draws,
                "all_files": self.all_files,
                "plugin": [str(path) for path in self.plugin],
                "compute": compute,
            }
        }

    def at_working_folder(self) -> MatchGrid:
        """The same with the paths of its plugins' parameters as the working folder sees them."""

        def of(kind: Kind, specs: tuple[Spec, ...]) -> tuple[Spec, ...]:
            return tuple(
                located(plugins.registry(kind).find(kind, spec.name).plugin, spec) for spec in specs
            )

        return replace(self, hash=of(Kind.HASHER, self.hash), attack=of(Kind.ATTACK, self.attack))


def is_of_matches(plain: Mapping[str, Any]) -> bool:
    """Whether plain data are those of a run of matches, and not of a suite."""
    return _KEY in plain


def grid_from_plain(plain: Mapping[str, Any]) -> MatchGrid:
    """What `MatchGrid.to_plain` gave.

    Raises:
        UsageError: it is no such data.
    """
    return read(MatchGrid, plain.get(_KEY), "the run of matches")
