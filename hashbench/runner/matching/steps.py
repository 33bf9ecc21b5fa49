"""Steps of a run of matches: the artifacts and what each is made from. Pure description.

Their keys are made as those of all steps: of parameters, of the sources of plugins and rooms, of
the pictures' content, and of the versions of the packages that give a hash's verdict.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

from typing_extensions import override

from hashbench.attacking.contract import Attack
from hashbench.certifying import Smoothing
from hashbench.matching.changes import PACKAGES
from hashbench.matching.contract import Hasher
from hashbench.plugins.parameters import canonical
from hashbench.results.artifacts import ArtifactKind
from hashbench.results.matches.results import CLEAN_EPS, LEAST, NO_ATTACK, MatchCell, Threat
from hashbench.runner.fingerprint import describe, sha256_of
from hashbench.runner.matching.setting import MatchSetting, versions_of
from hashbench.runner.steps import Step, code_of

# Networks as hashes are built and run by the room `hashing`.
_HASH_ROOMS: Final = (
    "matching",
    "matching.hashers",
    "hashing",
    "hashing.backbones",
    "hashing.programs",
)
_PROOF_ROOMS: Final = (*_HASH_ROOMS, "matching.proofs")
_ATTACK_ROOMS: Final = (*_PROOF_ROOMS, "attacking", "retrieval")
_COUNT_ROOMS: Final = (*_HASH_ROOMS, "retrieval")
_FILES: Final = tuple(f"runner/matching/{name}.py" for name in ("making", "company", "pictures"))


class MatchStep(Step):
    """A step of a run of matches: it is about a hash, and about no model of ours."""

    @property
    @abstractmethod
    def of(self) -> MatchSetting:
        """The hash and the pictures."""

    @property
    @override
    def setting(self) -> Any:
        """What the engines look at of it: `compute`."""
        return self.of

    @property
    def hasher(self) -> Hasher:
        """The hash, one of the plugins that may be to blame for a failure."""
        return self.of.hasher

    @property
    @override
    def model_key(self) -> str:
        return sha256_of(self.of.described())

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return ()


@dataclass(frozen=True)
class CleanCodes(MatchStep):
    """Hash every picture, and every stranger."""

    of_hash: MatchSetting
    kind = ArtifactKind.MATCH_CODES

    @property
    @override
    def of(self) -> MatchSetting:
        return self.of_hash

    @property
    @override
    def label(self) -> str:
        return f"hash {canonical(self.of.hasher)}"

    @override
    def described(self) -> dict[str, Any]:
        others = self.of.strangers
        return {
            **self.of.described(),
            "strangers": None if others is None else others.sha256,
            "code": code_of(*_HASH_ROOMS, files=_FILES),
        }


@dataclass(frozen=True)
class StepOnCodes(MatchStep):
    """Whatever reads the clean codes."""

    codes: CleanCodes

    @property
    @override
    def of(self) -> MatchSetting:
        return self.codes.of

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return (self.codes,)


@dataclass(frozen=True)
class MatchCellStep(StepOnCodes):
    """A step whose artifact is the result of a cell."""

    kind = ArtifactKind.MATCHES

    @property
    @abstractmethod
    def threat(self) -> Threat:
        """What the cell shows."""

    @property
    @abstractmethod
    def cell(self) -> MatchCell:
        """The cell."""

    @property
    def black_box(self) -> bool:
        """Whether an attack saw distances, codes or lists alone."""
        return False

    @property
    def queries(self) -> int:
        """The most that such an attack may ask for of each picture."""
        return 0


@dataclass(frozen=True)
class Innocent(MatchCellStep):
    """Hash changed pictures, and count what the threshold costs."""

    traffic: int
    stored: int

    @property
    @override
    def threat(self) -> Threat:
        return Threat.INNOCENT

    @property
    @override
    def cell(self) -> MatchCell:
        return self.of.cell(NO_ATTACK, CLEAN_EPS)

    @property
    @override
    def label(self) -> str:
        return f"innocent changes {canonical(self.of.hasher)}"

    @override
    def described(self) -> dict[str, Any]:
        return {
            "traffic": self.traffic,
            "stored": self.stored,
            "packages": versions_of(PACKAGES),
            "code": code_of(*_COUNT_ROOMS, files=(*_FILES, "results/matches/innocent.py")),
        }


@dataclass(frozen=True)
class ProvenRadii(MatchCellStep):
    """Prove, for every picture, up to which radius no file goes beyond the threshold."""

    @property
    @override
    def threat(self) -> Threat:
        return Threat.PROOF

    @property
    @override
    def cell(self) -> MatchCell:
        return self.of.cell(NO_ATTACK, LEAST)

    @property
    @override
    def label(self) -> str:
        return f"prove {canonical(self.of.hasher)}"

    @override
    def described(self) -> dict[str, Any]:
        return {"code": code_of(*_PROOF_ROOMS, files=_FILES)}


@dataclass(frozen=True)
class SmoothedRadii(MatchCellStep):
    """Smooth the hash by noise, and prove, for every picture, how far its smoothed code matches."""

    smoothing: Smoothing

    @property
    @override
    def threat(self) -> Threat:
        return Threat.SMOOTHED

    @property
    @override
    def cell(self) -> MatchCell:
        return self.of.cell(self._noise, LEAST)

    @property
    @override
    def label(self) -> str:
        return f"{self._noise} {canonical(self.of.hasher)}"

    @override
    def described(self) -> dict[str, Any]:
        return {
            "smoothing": asdict(self.smoothing),
            "code": code_of(*_PROOF_ROOMS, "certifying", files=_FILES),
        }

    @property
    def _noise(self) -> str:
        return f"smoothing:sigma={self.smoothing.sigma},draws={self.smoothing.draws}"


@dataclass(frozen=True)
class Bounds(StepOnCodes):
    """Bound, for every picture, how many bits any file can turn at one radius."""

    eps: str
    kind = ArtifactKind.MATCH_CODES

    @property
    @override
    def label(self) -> str:
        return f"bound {canonical(self.of.hasher)} {self.eps}"

    @override
    def described(self) -> dict[str, Any]:
        return {"bounds": self.eps, "code": code_of(*_PROOF_ROOMS, files=_FILES)}


@dataclass(frozen=True)
class AttackedPictures(MatchCellStep):
    """Attack every picture at one radius.

    Attributes:
        codes: of the clean files.
        attack: the attack.
        eps: the radius.
        goal: evasion or collision.
        sees_gradients: whether it is aimed at the replica; else it is a black box.
        proven: whether something is proven of the hash, which its files are compared with.
        keep: whether all files that succeed are kept, for `--export-images`; no part of the key.
    """

    attack: Attack
    eps: str
    goal: Threat
    sees_gradients: bool
    proven: bool
    keep: bool = False

    @cached_property
    def bounds(self) -> Bounds | None:
        """What its files are compared with, at one radius; `None` where nothing is proven."""
        return Bounds(self.codes, self.eps) if self.proven and self.eps != LEAST else None

    @property
    @override
    def threat(self) -> Threat:
        return self.goal

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return (self.codes,) if self.bounds is None else (self.codes, self.bounds)

    @property
    @override
    def cell(self) -> MatchCell:
        return self.of.cell(canonical(self.attack), self.eps)

    @property
    @override
    def black_box(self) -> bool:
        return not self.sees_gradients

    @property
    @override
    def queries(self) -> int:
        return self.attack.passes() if self.black_box else 0

    @property
    @override
    def label(self) -> str:
        return f"{canonical(self.attack)} {self.eps} {canonical(self.of.hasher)}"

    @override
    def described(self) -> dict[str, Any]:
        return {
            "attack": describe(self.attack),
            "eps": self.eps,
            "batch": self.of.compute.attack_batch,
            "threads": self.of.compute.threads,
            "code": code_of(*_ATTACK_ROOMS, files=_FILES),
        }


@dataclass(frozen=True)
class LeastRadii(AttackedPictures):
    """Look, for every picture, for the least radius at which an attack succeeds.

    Attributes:
        known: the same attack at radii that need not be tried again.
    """

    known: tuple[AttackedPictures, ...] = ()

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return (self.codes, *self.known)


@dataclass(frozen=True)
class AllFiles(MatchStep):
    """All files that succeed in a cell; made with it, or again where it kept fewer."""

    attacked: AttackedPictures
    kind = ArtifactKind.MATCH_FILES

    @property
    @override
    def of(self) -> MatchSetting:
        return self.attacked.of

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return (self.attacked, *self.attacked.upstream)

    @property
    def attack(self) -> Attack:
        """One of the plugins that may be to blame for a failure."""
        return self.attacked.attack

    @property
    @override
    def label(self) -> str:
        return f"files of {self.attacked.label}"

    @override
    def described(self) -> dict[str, Any]:
        return {"all": True}
