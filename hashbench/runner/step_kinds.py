"""The table of step kinds: how each is made, and what an estimate counts of it.

A new kind of step is a description (in `steps` or `evaluation_steps`), a function that makes its
files, and one entry here. This file is in no key: an entry changes no stored artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from hashbench.defending.answers import recipe_of
from hashbench.defending.contract import TrainedDefense
from hashbench.defending.transformed import InputTransformation
from hashbench.hashing.encode import ENCODE_BATCH
from hashbench.progress import Progress
from hashbench.results.store import Store
from hashbench.runner.attacks import probe_answers, trained_attacker
from hashbench.runner.certificates import certificate
from hashbench.runner.codes import database_codes, given_model, model_codes
from hashbench.runner.evaluation_steps import (
    CERTIFIED_TOGETHER,
    AdversarialCodes,
    Certificate,
    DistanceTallies,
    MoreImages,
    Probe,
    Scores,
    TrainedAttacker,
)
from hashbench.runner.galleries import scores_and_gallery
from hashbench.runner.images import adversarial_codes, attacked_again, more_images
from hashbench.runner.matching import making
from hashbench.runner.matching import steps as matching
from hashbench.runner.probe import UNBOUNDED_QUERIES, UNBOUNDED_STEPS
from hashbench.runner.score_files import distance_tallies
from hashbench.runner.steps import (
    BaseModel,
    DatabaseCodes,
    DefendedModel,
    GivenModel,
    ModelCodes,
    Step,
)
from hashbench.runner.training import base_model, defended_model

StepT = TypeVar("StepT", bound=Step)

ATTACKER_BATCH: Final = 32
"""Images per pass that a trained attack is taken to use."""


@dataclass(frozen=True)
class Work:
    """Image passes of one step.

    Attributes:
        passes: images that go forward and backward; one that goes forward alone counts a third.
        batch: how many of them go together.
    """

    passes: int
    batch: int


NO_WORK: Final = Work(0, 1)


def no_work(_step: Step) -> Work:
    """Nothing that takes long."""
    return NO_WORK


@dataclass(frozen=True)
class StepKind(Generic[StepT]):
    """One kind of step.

    Attributes:
        step: the class that describes it.
        make: gives its files by name; what it reads from is in the store. Told of its progress.
        work: the image passes that it takes.
    """

    step: type[StepT]
    make: Callable[[StepT, Store, Progress], Mapping[str, bytes]]
    work: Callable[[StepT], Work] = no_work


def _base_training(step: BaseModel) -> Work:
    if step.checkpoint is not None:
        return NO_WORK
    return Work(step.recipe.epochs * _train_size(step), step.recipe.batch)


def _defense_training(step: DefendedModel) -> Work:
    if not isinstance(step.defense, TrainedDefense):
        return NO_WORK
    recipe = recipe_of(step.defense, step.budget)
    per_image = step.defense.passes(step.budget)
    return Work(recipe.epochs * per_image * _train_size(step), recipe.batch)


def _attacker_training(step: TrainedAttacker) -> Work:
    passes = step.attack.training_passes(_train_size(step)) * _draws(step)
    return Work(passes, ATTACKER_BATCH)


def _attacked_queries(step: AdversarialCodes) -> Work:
    return _attacked(step, step.setting.source.protocol.query)


def _attacked_again(step: MoreImages) -> Work:
    return _attacked(step.adversarial, attacked_again(step.adversarial))


def _attacked(step: AdversarialCodes, queries: int) -> Work:
    passes = step.attack.passes() * queries * _draws(step)
    return Work(passes, min(step.setting.compute.attack_batch, queries))


def _encoding(step: ModelCodes) -> Work:
    protocol = step.setting.source.protocol
    images = protocol.train + protocol.query + (0 if step.parts else protocol.database)
    return Work(_forward(images), ENCODE_BATCH)


def _encoding_of_part(step: DatabaseCodes) -> Work:
    """Its share: with the rest of `ModelCodes` the parts take what that takes alone."""
    protocol = step.setting.source.protocol
    others = protocol.train + protocol.query
    passes = _forward(others + step.rows.stop) - _forward(others + step.rows.start)
    return Work(passes, ENCODE_BATCH)


def _probing(step: Probe) -> Work:
    """Queries encoded twice, moved by one step, and the first ones by many, without a bound."""
    queries = step.setting.source.protocol.query
    some = min(queries, UNBOUNDED_QUERIES)
    return Work(_forward(3 * queries) + queries + some * UNBOUNDED_STEPS, UNBOUNDED_QUERIES)


def _certifying(step: Certificate) -> Work:
    """Both ends of the bounds of every query: two passes forward."""
    return Work(_forward(2 * step.setting.source.protocol.query), CERTIFIED_TOGETHER)


def _forward(images: int) -> int:
    """Images that go forward alone, as passes: backward costs twice as much again."""
    return -(-images // 3)


def _draws(step: TrainedAttacker | AdversarialCodes) -> int:
    """How often a model is asked at each look: the draws of a transformation, else once."""
    model = step.codes.model
    defense = model.defense if isinstance(model, DefendedModel) else model.wrapper
    return defense.draws if isinstance(defense, InputTransformation) else 1


def _train_size(step: Step) -> int:
    return step.setting.source.protocol.train


KINDS: Final[dict[type[Step], StepKind[Any]]] = {
    kind.step: kind
    for kind in (
        StepKind(BaseModel, base_model, _base_training),
        StepKind(DefendedModel, defended_model, _defense_training),
        StepKind(GivenModel, given_model),
        StepKind(DatabaseCodes, database_codes, _encoding_of_part),
        StepKind(ModelCodes, model_codes, _encoding),
        StepKind(TrainedAttacker, trained_attacker, _attacker_training),
        StepKind(AdversarialCodes, adversarial_codes, _attacked_queries),
        StepKind(MoreImages, more_images, _attacked_again),
        StepKind(Probe, probe_answers, _probing),
        StepKind(DistanceTallies, distance_tallies),
        StepKind(Scores, scores_and_gallery),
        StepKind(Certificate, certificate, _certifying),
        StepKind(matching.CleanCodes, making.clean_codes),
        StepKind(matching.Bounds, making.bounds),
        StepKind(matching.Innocent, making.innocent),
        StepKind(matching.ProvenRadii, making.proven_radii),
        StepKind(matching.SmoothedRadii, making.smoothed_radii),
        StepKind(matching.AttackedPictures, making.attacked_pictures),
        StepKind(matching.LeastRadii, making.least_radii_of),
        StepKind(matching.AllFiles, making.all_files),
    )
}


def is_known(step: Step) -> bool:
    """Whether the table has such a step."""
    return type(step) in KINDS


def kind_of(step: StepT) -> StepKind[StepT]:
    """The table's entry of a step.

    Raises:
        TypeError: there is none.
    """
    kind = KINDS.get(type(step))
    if kind is None:
        raise TypeError(f"no such step: {step}")
    return kind
