"""Steps that evaluate a model: attacks on it, their images, the probe, scores, certificates.

As in `steps`, these are descriptions; nothing runs here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypeAlias

from typing_extensions import override

from hashbench.attacking.contract import Attack, TrainedAttack
from hashbench.data.protocol import PixelValues
from hashbench.eps import Eps
from hashbench.plugins.card import Aim
from hashbench.plugins.parameters import canonical
from hashbench.results.artifacts import ArtifactKind
from hashbench.results.kept_images import address_of_images
from hashbench.runner.fingerprint import describe, file_hash
from hashbench.runner.setting import Setting
from hashbench.runner.steps import ModelCodes, Step, StepOnModel, StepOnRows, code_of

_ATTACK_ROOMS = ("hashing", "attacking", "retrieval")
_PROOF_ROOMS = ("hashing", "attacking", "certifying", "retrieval")
_SCORE_ROOMS = ("retrieval",)
_ATTACK_FILES = ("runner/attacks.py", "data/targets.py")
_METRICS = "results/metrics.py"
_SCORES_FILES = ("runner/score_files.py", "data/targets.py", _METRICS)

CERTIFIED_TOGETHER: Final = 100
"""Images whose bounds are computed together. Fixed, since the float order inside depends on it."""


@dataclass(frozen=True)
class AttackStep(StepOnModel):
    """What one attack does to one model at one radius.

    Attributes:
        codes: of the attacked model.
        attack, eps: the attack and its radius.
    """

    attack: Attack
    eps: Eps
    verb = ""

    @property
    @override
    def label(self) -> str:
        return f"{self.verb}{canonical(self.attack)} eps {self.eps} on {self.codes.model.label}"

    @property
    @override
    def hint(self) -> str:
        """Names attack and model: a radius has several spellings."""
        return f"{self.verb}{canonical(self.attack)} on {self.codes.model.label}"

    @override
    def described(self) -> dict[str, Any]:
        return {
            "attack": describe(self.attack),
            "eps": self.eps.canonical,
            "code": code_of(*_ATTACK_ROOMS, files=_ATTACK_FILES),
        }


@dataclass(frozen=True)
class TrainedAttacker(AttackStep):
    """Train the network of an attack against one model.

    Attributes:
        limit: forward passes per training image at which it is stopped; no part of the key.
    """

    attack: TrainedAttack
    limit: float = math.inf
    kind = ArtifactKind.ATTACKER
    verb = "train "


@dataclass(frozen=True)
class AdversarialCodes(AttackStep):
    """Codes of attacked queries.

    Attributes:
        surrogate: codes of the attacker's own model, where it has one.
        limit: forward passes per query at which the attack is stopped; no part of the key.
        keep: of so many queries, the first ones, the images are kept too; no part of the key.
    """

    surrogate: ModelCodes | None = None
    limit: float = math.inf
    keep: int = 0
    kind = ArtifactKind.ADVERSARIAL

    @property
    def pixels(self) -> PixelValues:
        """Which values the pixels of the attacked queries have."""
        return PixelValues(self.setting.source.protocol.pixels)

    @property
    def attacker(self) -> TrainedAttacker | None:
        """The training of the attack's network, where it has one."""
        if not isinstance(self.attack, TrainedAttack):
            return None
        return TrainedAttacker(self.codes, self.attack, self.eps, self.limit)

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        """What the attacker brings along; the model, and its codes."""
        own = () if self.surrogate is None else (self.surrogate.model, self.surrogate)
        attacker = () if self.attacker is None else (self.attacker,)
        return (*own, *attacker, *super().upstream)

    @override
    def described(self) -> dict[str, Any]:
        compute = self.setting.compute
        made = {**super().described(), "batch": compute.attack_batch}
        # Said where it is not the usual: what was stored before it could be said is still found.
        if compute.other_search is not None:
            made = {**made, "search": compute.other_search}
        return made if self.pixels is PixelValues.FLOAT else {**made, "pixels": str(self.pixels)}


@dataclass(frozen=True)
class MoreImages(Step):
    """Attacked images of an attack that is finished, where more are wanted than were kept.

    Attributes:
        adversarial: the attack, and how many are wanted.
    """

    adversarial: AdversarialCodes
    kind = ArtifactKind.IMAGES

    @property
    @override
    def setting(self) -> Setting:
        return self.adversarial.setting

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        """The attack, and what it reads from."""
        return (*self.adversarial.upstream, self.adversarial)

    @property
    @override
    def label(self) -> str:
        return f"images of {self.adversarial.label}"

    @property
    @override
    def hint(self) -> str:
        return self.adversarial.hint

    @property
    @override
    def model_key(self) -> str:
        return self.adversarial.model_key

    @override
    def described(self) -> dict[str, Any]:
        """Nothing but the attack."""
        return {}

    @cached_property
    @override
    def key(self) -> str:
        """Whoever knows where the attack's codes lie finds its images, however many they are."""
        return address_of_images(self.adversarial.address).key


@dataclass(frozen=True)
class Probe(StepOnModel):
    """Small experiments on one model: whether its numbers can be believed."""

    kind = ArtifactKind.PROBE

    @property
    @override
    def label(self) -> str:
        return f"probe {self.codes.model.label}"

    @override
    def described(self) -> dict[str, Any]:
        files = ("runner/attacks.py", "runner/probe.py", "runner/scoring.py", _METRICS)
        return {"code": code_of(*_ATTACK_ROOMS, files=files)}


class Comparison(StrEnum):
    """What of a cell is compared with the database; names a file of counts.

    The queries by their own labels; the same by their targets' labels; the opposites of their
    center codes by their own labels.
    """

    OWN = "own"
    TARGETS = "targets"
    FLOOR = "floor"


@dataclass(frozen=True)
class Scores(StepOnModel):
    """Metrics of one cell: of the clean queries, or of attacked ones."""

    adversarial: AdversarialCodes | None
    kind = ArtifactKind.SCORES

    @property
    def probe(self) -> Probe | None:
        """The experiments whose outcome stands beside the clean queries' metrics."""
        return Probe(self.codes) if self.adversarial is None else None

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        """The codes to compare; the probe, for clean queries."""
        also = self.adversarial or self.probe
        return (self.codes,) if also is None else (self.codes, also)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """What is compared with the database."""
        if self.adversarial is None:
            return tuple(Comparison)
        targeted = self.adversarial.attack.aim() is Aim.TARGETED
        return (Comparison.OWN, Comparison.TARGETS) if targeted else (Comparison.OWN,)

    @cached_property
    @override
    def parts(self) -> tuple[DistanceTallies, ...]:
        """Of the counts, where the database is divided."""
        return tuple(DistanceTallies(self.codes, rows, self) for rows in self.setting.parts)

    @property
    @override
    def label(self) -> str:
        return f"score {(self.adversarial or self.codes).label}"

    @property
    @override
    def hint(self) -> str:
        return f"score {(self.adversarial or self.codes).hint}"

    @override
    def described(self) -> dict[str, Any]:
        """The metrics' code, and the choice of what is measured."""
        return {
            "code": code_of(*_SCORE_ROOMS, files=_SCORES_FILES),
            "scoring": file_hash("runner/scoring.py"),
        }


@dataclass(frozen=True)
class DistanceTallies(StepOnRows):
    """How many of some rows of a database are at each distance of each query of a cell.

    Attributes:
        codes: of the model.
        rows: of the database.
        scores: what is made of the counts of all rows.
    """

    scores: Scores
    kind = ArtifactKind.TALLY

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        """The codes to compare."""
        attacked = self.scores.adversarial
        return (self.codes,) if attacked is None else (self.codes, attacked)

    @property
    @override
    def whole(self) -> Scores:
        return self.scores


@dataclass(frozen=True)
class Certificate(StepOnModel):
    """What is proven of a model's retrieval, whoever attacks it within a radius.

    Attributes:
        codes: of the model.
        eps: the radius.
    """

    eps: Eps
    kind = ArtifactKind.SCORES

    @property
    @override
    def label(self) -> str:
        return f"certify eps {self.eps} of {self.codes.model.label}"

    @property
    @override
    def hint(self) -> str:
        """Without the radius, which has several spellings."""
        return f"certify {self.codes.model.label}"

    @override
    def described(self) -> dict[str, Any]:
        files = ("runner/certificates.py", _METRICS)
        return {
            "certificate": self.eps.canonical,
            "together": CERTIFIED_TOGETHER,
            "code": code_of(*_PROOF_ROOMS, files=files),
        }


CellStep: TypeAlias = Scores | Certificate
"""What makes the result of a cell."""
