"""Steps: the artifacts of a run and what each is made from. Pure description; nothing runs here.

Here are models and their codes; `evaluation_steps` has what is made of these.

A step's key is the SHA-256 of its full description: resolved parameters, source hashes of the
plugins and core rooms that take part, and the keys of the steps before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from hashbench.defending.contract import Defense, WrappingDefense
from hashbench.defending.setup import Budget
from hashbench.hashing.program import Program
from hashbench.hashing.recipe import Recipe
from hashbench.plugins.parameters import canonical
from hashbench.results.address import Address
from hashbench.results.artifacts import PART_OF, ArtifactKind
from hashbench.runner.fingerprint import describe, file_hash, rooms_hash, sha256_of
from hashbench.runner.setting import Setting

_BASE_ROOMS = ("hashing",)
_PROGRAM_ROOM = "hashing.programs"
_WRAPPER_ROOMS = ("hashing", "defending")
# Defenses are trained against descents, and against bounds.
_DEFENSE_ROOMS = (*_WRAPPER_ROOMS, "attacking", "certifying")
_TRAINING_FILES = ("runner/training.py",)
_CODES_FILES = ("runner/codes.py",)


def code_of(*rooms: str, files: tuple[str, ...] = ()) -> list[str]:
    """Hashes of the code that makes an artifact: some rooms, the files around them, the seeds."""
    shared = ("runner/determinism.py", "runner/execute.py", "runner/loading.py", "seeds.py")
    return [rooms_hash(*rooms), *(file_hash(name) for name in (*shared, *files))]


class Step(ABC):
    """One artifact to be made."""

    kind: str

    if TYPE_CHECKING:  # at run time it would be the default value of a dataclass's field `setting`

        @property
        @abstractmethod
        def setting(self) -> Setting:
            """Of the model that is made, or that the artifact is about."""

    @property
    @abstractmethod
    def upstream(self) -> tuple[Step, ...]:
        """The steps whose artifacts it reads."""

    @property
    def rests_on(self) -> tuple[Step, ...]:
        """The steps whose artifacts are read by whoever reads its own."""
        return ()

    @property
    def parts(self) -> tuple[Step, ...]:
        """Steps that do a share of its work each, before it; its key does not depend on them."""
        return ()

    @property
    def whole(self) -> Step | None:
        """The step that it is a part of; `None` where it is no part of another one."""
        return None

    @property
    def reads(self) -> tuple[Step, ...]:
        """The steps whose artifacts have to be whole while it is made."""
        below = (below for before in self.upstream for below in before.rests_on)
        return (*self.upstream, *below, *self.parts)

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Plain data that says what is made, without what comes from upstream."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What a progress line calls it."""

    @cached_property
    def key(self) -> str:
        """SHA-256 of the description and of the upstream keys."""
        return sha256_of(
            {
                "kind": self.kind,
                "made": self.described(),
                "from": [step.key for step in self.upstream],
            }
        )

    @property
    def model_key(self) -> str:
        """The key of the model that it is about: steps that share one are best made together."""
        return self.key

    @property
    def hint(self) -> str:
        """A readable name for the folder: the label without what has several spellings."""
        return self.label

    @property
    def address(self) -> Address:
        """Where its artifact lies."""
        return Address(kind=self.kind, slug=self.hint, key=self.key)


@dataclass(frozen=True)
class BaseModel(Step):
    """Train a base hashing model, or take it from a checkpoint.

    Attributes:
        checkpoint: a folder to load instead of training.
        weights: the SHA-256 of its weights, which stands for it in the key.
    """

    setting: Setting
    recipe: Recipe
    checkpoint: Path | None = None
    weights: str = ""
    kind = ArtifactKind.MODEL

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return ()

    @property
    @override
    def label(self) -> str:
        return f"{'load' if self.checkpoint else 'train'} {self.setting.slug}"

    @override
    def described(self) -> dict[str, Any]:
        made = self.recipe.described() if self.checkpoint is None else {"weights": self.weights}
        return {
            **self.setting.described(),
            "made": made,
            "code": code_of(*_BASE_ROOMS, files=_TRAINING_FILES),
        }


@dataclass(frozen=True)
class DefendedModel(Step):
    """Put a defense on a base model."""

    base: BaseModel
    defense: Defense
    budget: Budget
    kind = ArtifactKind.MODEL

    @property
    @override
    def setting(self) -> Setting:
        return self.base.setting

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return (self.base,)

    @property
    @override
    def rests_on(self) -> tuple[Step, ...]:
        """The base model, whose weights a wrapper leaves where they are."""
        return (self.base,) if isinstance(self.defense, WrappingDefense) else ()

    @cached_property
    @override
    def label(self) -> str:
        return f"{canonical(self.defense)} {self.setting.slug}"

    @override
    def described(self) -> dict[str, Any]:
        """Defense and training code; and the budget, where something is trained."""
        budget = {
            "epochs": self.budget.epochs,
            "inner_steps": self.budget.inner_steps,
            "eps": self.budget.eps.canonical,
        }
        wraps = isinstance(self.defense, WrappingDefense)
        return {
            "defense": describe(self.defense),
            "budget": None if wraps else budget,
            "code": code_of(*(_WRAPPER_ROOMS if wraps else _DEFENSE_ROOMS), files=_TRAINING_FILES),
        }


@dataclass(frozen=True)
class GivenModel(Step):
    """Take over a defended model that was made elsewhere.

    Attributes:
        setting: what its card says.
        defense: its canonical name.
        wrapper: the defense, where it wraps the weights at hand instead of having trained them.
        folder: where the model lies.
        weights: the SHA-256 of its weights, which stands for the folder in the key.
        clean: the mAP on clean queries that its card claims, by metric.
        program: the model itself, where it is not a backbone of ours with a state dict; `folder` is
            then what messages call it, and `weights` its `content`.
    """

    setting: Setting
    defense: str
    wrapper: WrappingDefense | None
    folder: Path
    weights: str
    clean: tuple[tuple[str, float], ...]
    program: Program | None = None
    kind = ArtifactKind.MODEL

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return ()

    @property
    @override
    def label(self) -> str:
        """As of a model that is made here: the label seeds what is drawn, so both draw the same."""
        return f"{self.defense} {self.setting.slug}"

    @override
    def described(self) -> dict[str, Any]:
        """The card's setting, the weights, and the code that runs them."""
        made = {
            **self.setting.described(bare=True),
            "defense": self.defense if self.wrapper is None else describe(self.wrapper),
            "weights": self.weights,
            "clean": dict(self.clean),
            "code": code_of("hashing", files=_CODES_FILES),
        }
        if self.program is None:
            return made
        return {**made, "program": self.program.described(), "runs": rooms_hash(_PROGRAM_ROOM)}


@dataclass(frozen=True)
class ModelCodes(Step):
    """Codes of train set, queries and database under one model."""

    model: DefendedModel | GivenModel
    kind = ArtifactKind.CODES

    @property
    @override
    def setting(self) -> Setting:
        return self.model.setting

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return (self.model,)

    @cached_property
    @override
    def parts(self) -> tuple[DatabaseCodes, ...]:
        """Of the codes of a database that is divided."""
        return tuple(DatabaseCodes(self, rows) for rows in self.setting.parts)

    @property
    @override
    def label(self) -> str:
        return f"codes {self.model.label}"

    @property
    @override
    def model_key(self) -> str:
        return self.model.key

    @override
    def described(self) -> dict[str, Any]:
        return {"code": code_of("hashing", files=_CODES_FILES)}


@dataclass(frozen=True)
class StepOnModel(Step):
    """Whatever is made from a model and its codes."""

    codes: ModelCodes

    @property
    @override
    def setting(self) -> Setting:
        return self.codes.setting

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return (self.codes.model, self.codes)

    @property
    @override
    def model_key(self) -> str:
        return self.codes.model.key


@dataclass(frozen=True)
class StepOnRows(StepOnModel):
    """A share of the work of another step: what it makes of some rows of a divided database.

    Attributes:
        rows: of the database.
    """

    rows: range

    @property
    @abstractmethod
    @override
    def whole(self) -> Step: ...

    @property
    @override
    def label(self) -> str:
        return f"{self.whole.label}, database images {self.rows.start} to {self.rows.stop - 1}"

    @property
    @override
    def hint(self) -> str:
        """Begins with the rows: a folder's name is cut off at the end."""
        return f"{self.rows.start} {self.whole.hint}"

    @override
    def described(self) -> dict[str, Any]:
        """The whole, whose key holds all else, and the rows."""
        return {PART_OF: self.whole.key, "rows": [self.rows.start, self.rows.stop]}


@dataclass(frozen=True)
class DatabaseCodes(StepOnRows):
    """Codes of some rows of a database that is divided.

    Attributes:
        codes: what they are a part of.
        rows: of the database.
    """

    kind = ArtifactKind.CODES_PART

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        return (self.codes.model,)

    @property
    @override
    def whole(self) -> ModelCodes:
        return self.codes
