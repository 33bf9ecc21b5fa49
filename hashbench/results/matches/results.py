"""Results of matches: what stores hold of fixed hashes, as typed cells and as a data frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.results.cell import Status

if TYPE_CHECKING:
    import pandas as pd

NO_ATTACK: Final = "none"
"""The attack of a cell whose pictures nobody attacks: innocent changes, and proofs."""

LEAST: Final = "least"
"""The radius of a cell that looks for the least one, of each picture."""

CLEAN_EPS: Final = "0"
"""The radius of the innocent."""

COLUMNS: Final = (
    "hash",
    "attack",
    "eps",
    "metric",
    "value",
    "bits",
    "threshold",
    "pictures",
    "seed",
    "status",
    "reason",
)
"""The columns of `MatchResults.to_frame` and of the CSV, in their order."""


class Threat(StrEnum):
    """What a cell shows; the values are stored, so they are codes."""

    INNOCENT = "innocent"  # no attack: changes that people make
    PROOF = "proof"  # no attack: what none can do
    EVASION = "evasion"  # away from the picture's own clean code
    COLLISION = "collision"  # to a stranger's code
    SMOOTHED = "smoothed"  # no attack: what none can do to the hash that is smoothed by noise

    @property
    def is_attack(self) -> bool:
        """Whether somebody attacks."""
        return self in (Threat.EVASION, Threat.COLLISION)


@dataclass(frozen=True, order=True)
class MatchCell:
    """The unit of work and of a result: one hash, one attack, one radius, one set of pictures.

    Attributes:
        hash: canonical text of the hash with its parameters, such as `pdq` or `pdq:threshold=20`.
        attack: canonical text of the attack; `none` for the innocent and for proofs.
        eps: as it was written, `0` for the innocent, `least` for a search of the least radius, and
            for proofs.
        pictures: SHA-256 of the set of pictures.
        seed: of everything that draws.
    """

    hash: str
    attack: str
    eps: str
    pictures: str
    seed: int

    @property
    def radius(self) -> Eps | None:
        """`eps` as a number; `None` where a search found it, and where nobody can read it."""
        return radius_of(self.eps)


@lru_cache(maxsize=1024)
def radius_of(eps: str) -> Eps | None:
    """The `eps` of a cell as a number; `None` of `least`, and of what nobody can read."""
    try:
        return Eps.parse(eps)
    except UsageError:
        return None


@dataclass(frozen=True)
class PictureSetCard:
    """What is known of a set of pictures without them.

    Attributes:
        name: of the folder, or of the set that ships.
        count: of pictures.
        size: `256x256`, or `own` where each keeps its own.
        notes: sentences on what was seen of the files: rotations, transparency, what was left out.
    """

    name: str
    count: int
    size: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MatchResult:
    """One cell and what came of it.

    Attributes:
        cell: which one.
        threat: what it shows.
        bits: the length of the code.
        threshold: the distance up to which two pictures match.
        black_box: whether the attack saw distances alone.
        queries: the most that a black-box attack might ask for of each picture; 0 for others.
        status: whether it is done.
        reason: why not, one sentence.
        metrics: value by name, see `metrics`; empty unless it is done.
        per_picture: arrays (N,) by name, N pictures in the order of their names: `eps` float64 of
            cells of eps `least` (infinite where an attack never succeeded), else `distance` int64
            and `won` bool; `queries` int64 of black-box ones. Empty unless it is done.
    """

    cell: MatchCell
    threat: Threat
    bits: int
    threshold: int
    black_box: bool = False
    queries: int = 0
    status: Status = Status.DONE
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    per_picture: Mapping[str, NDArray[Any]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class KeptPicture:
    """An attacked picture as a gallery shows it.

    Attributes:
        name: of the clean file, below its folder.
        clean: PNG, the clean 8-bit file.
        attacked: PNG, the file that an attacker would save.
        distance: of the two codes for an evasion; of the attacked file's and the stranger's code
            for a collision.
        stranger: PNG of the stranger, and its name; empty for an evasion.
        stranger_name: see there.
    """

    name: str
    clean: bytes
    attacked: bytes
    distance: int
    stranger: bytes = b""
    stranger_name: str = ""


def no_pictures(_cell: MatchCell) -> tuple[KeptPicture, ...]:
    """None were kept."""
    return ()


@dataclass(frozen=True)
class MatchResults:
    """All cells of one folder, or of several.

    Attributes:
        cells: sorted, each once.
        sets: the cards of the sets of pictures, by their SHA-256.
        commands: what asks for the same cells, the last one last.
        troubles: sentences that name what of the folders could not be read, and what to do.
        violations: sentences on attacks that succeeded where it was proven that none can.
        gallery: gives the pictures that were kept of an attacked cell.
    """

    cells: tuple[MatchResult, ...]
    sets: Mapping[str, PictureSetCard]
    commands: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    gallery: Callable[[MatchCell], tuple[KeptPicture, ...]] = field(
        default=no_pictures, compare=False
    )

    @property
    def failed(self) -> tuple[MatchResult, ...]:
        """Cells that did not come to a result."""
        return tuple(result for result in self.cells if result.status is not Status.DONE)

    def to_frame(self) -> pd.DataFrame:
        """One row per cell and metric, the columns of `COLUMNS`; see there.

        A cell without a result has one row without a metric, whose value is NaN.
        """
        import pandas as pd

        rows = []
        for result in self.cells:
            cell = result.cell
            values = dict(result.metrics) if result.status is Status.DONE else {}
            for name, value in (values or {"": np.nan}).items():
                rows.append(
                    (
                        cell.hash,
                        cell.attack,
                        cell.eps,
                        name,
                        value,
                        result.bits,
                        result.threshold,
                        cell.pictures[:12],
                        cell.seed,
                        result.status.words,
                        result.reason,
                    )
                )
        return pd.DataFrame(rows, columns=list(COLUMNS))
