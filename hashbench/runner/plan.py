"""From a suite to the cells it asks for and the steps they need. Loads data; trains nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from hashbench import plugins
from hashbench.attacking.contract import Attack, Surrogate
from hashbench.coercion import coerce
from hashbench.data.contract import Dataset
from hashbench.data.protocol import PixelValues, Protocol
from hashbench.defending.answers import recipe_of
from hashbench.defending.contract import Defense, TrainedDefense
from hashbench.defending.setup import Budget
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.hashing.augment import Augment
from hashbench.hashing.checkpoint import load_checkpoint, read_card
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.named import NamedBackbone, NamedLoss
from hashbench.hashing.recipe import OptimizerName, Recipe
from hashbench.plugins.blame import answer_of
from hashbench.plugins.card import Aim
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, canonical
from hashbench.progress import Progress, no_progress
from hashbench.results.cell import CLEAN, Cell
from hashbench.results.kept_images import USUAL
from hashbench.runner.black_box import attacks_on
from hashbench.runner.certificates import is_certified
from hashbench.runner.evaluation_steps import (
    AdversarialCodes,
    CellStep,
    Certificate,
    MoreImages,
    Scores,
)
from hashbench.runner.fingerprint import described_once, sha256_of
from hashbench.runner.from_card import given_model, weights_hash
from hashbench.runner.loading import load_data, new_model
from hashbench.runner.reach import reach_of
from hashbench.runner.resolve import (
    at_working_folder,
    check_device_name,
    read_source,
    resolve,
)
from hashbench.runner.setting import Setting
from hashbench.runner.steps import BaseModel, DefendedModel, GivenModel, ModelCodes, Step
from hashbench.runner.suite import GivenModels, Grid, Suite, quick
from hashbench.runner.suite_models import ModelInMemory

SURROGATE_SEED = 1000
"""What is added to a cell's seed for an attacker's own model: it is not the attacked one's base."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell and the step whose artifact is its result."""

    cell: Cell
    scores: CellStep


@dataclass(frozen=True)
class Plan:
    """What a suite comes down to.

    Attributes:
        suite: what was asked for.
        cells: every cell, clean ones included.
        steps: every step once, each after the steps that it reads from.
        images: one step for each attack whose images were asked for, as it has to be made where the
            attack is finished and has kept fewer; no cell needs it.
        protocols: the protocol cards by hash.
        trainings: by hash, what cells of one training share.
    """

    suite: Suite
    cells: tuple[PlannedCell, ...]
    steps: tuple[Step, ...]
    protocols: dict[str, Protocol]
    trainings: dict[str, dict[str, Any]]
    images: tuple[MoreImages, ...] = ()

    @cached_property
    def name(self) -> str:
        """The same for the same cells and steps: asking twice leaves one plan in the store."""
        return sha256_of([[vars(cell.cell), cell.scores.key] for cell in self.cells])[:20]


def make_plan(suite: Suite, progress: Progress = no_progress) -> Plan:
    """Resolve every plugin, load the data, and lay out cells and steps.

    Args:
        suite: what is asked for.
        progress: told of what is read, for data sets that decode files when they are first used.

    Raises:
        UsageError: an unknown plugin or parameter, a missing folder, a checkpoint that
            does not fit.
    """
    for path in suite.plugin:
        plugins.use_file(path)
    # All files that this process knows, so that worker processes know them too.
    suite = replace(suite, plugin=plugins.files())
    load_data.cache_clear()  # a folder may have changed since the last plan of this process
    check_device_name(suite.compute.device)
    # 'none' asks for the clean cells, which every model gets anyway.
    attacks = [
        asked(resolve(Kind.ATTACK, Attack, spec)) for spec in suite.attack if str(spec) != CLEAN
    ]
    suite = at_working_folder(suite)
    match suite.models:
        case Grid():
            models = _models_of_grid(suite, suite.models, progress)
        case GivenModels():
            models = _given_models(suite, suite.models, progress)
        case ModelInMemory(name):
            raise UsageError(f"model {name}: it is an object of one process, and no other has it")
    with described_once():
        return laid_out(suite, models, attacks)


def laid_out(suite: Suite, models: Iterable[PlannedModel], attacks: Sequence[Attack]) -> Plan:
    """The cells of some models under some attacks, and the steps that they need.

    Args:
        suite: what is asked for besides: radii, trainings of attackers' own models, limits.
        models: as they are described.
        attacks: each as `asked` gives it; clean cells come with every model.
    """
    cells: dict[Cell, CellStep] = {}
    protocols: dict[str, Protocol] = {}
    trainings: dict[str, dict[str, Any]] = {}
    models = list(models)
    certify = suite.certify
    if certify is None:
        certify = any(is_certified(model.step) for model in models)
    for model in models:
        source = model.step.setting.source
        protocols[source.protocol.hash] = source.protocol
        trainings[model.clean.training] = model.training
        for attack, eps, scores in _scores_of(
            model.step, attacks_on(model.step, attacks, suite), suite
        ):
            cells[replace(model.clean, attack=attack, eps=eps)] = scores
        if certify:
            codes = ModelCodes(model.step)
            for radius in _radii(suite, source.dataset):
                cells[model.clean.certified(radius)] = Certificate(codes, radius)
    steps: dict[str, Step] = {}
    for of_cell in cells.values():
        add_with_ancestors(of_cell, steps)
    return Plan(
        suite=suite,
        cells=tuple(PlannedCell(cell, of_cell) for cell, of_cell in cells.items()),
        steps=tuple(steps.values()),
        protocols=protocols,
        trainings=trainings,
        images=tuple(
            MoreImages(step)
            for step in steps.values()
            if suite.keep_images and isinstance(step, AdversarialCodes)
        ),
    )


@dataclass(frozen=True)
class PlannedModel:
    """A model that cells are laid out for.

    Attributes:
        step: makes it, or takes it over.
        clean: the cell of its clean queries.
        training: what reports say of how it was trained; the cell holds its hash.
    """

    step: DefendedModel | GivenModel
    clean: Cell
    training: dict[str, Any]


def _given_models(suite: Suite, given: GivenModels, progress: Progress) -> Iterator[PlannedModel]:
    for folder in given.model:
        found = given_model(folder, suite.root, suite.compute, progress, PixelValues(suite.pixels))
        yield PlannedModel(found.step, found.cell, found.training)


def _models_of_grid(suite: Suite, grid: Grid, progress: Progress) -> Iterator[PlannedModel]:
    _check_base(grid)
    losses = [resolve(Kind.LOSS, Loss, spec) for spec in grid.loss]
    backbones = [resolve(Kind.BACKBONE, Backbone, spec) for spec in grid.backbone]
    defenses = [resolve(Kind.DEFENSE, Defense, spec) for spec in grid.defense]
    for spec in grid.dataset:
        dataset = resolve(Kind.DATASET, Dataset, spec)
        budget = _budget(suite, _radii(suite, dataset))
        if _crops(suite, defenses, budget):
            dataset = answer_of(dataset, "widened", Dataset)
        source = read_source(dataset, suite.root, progress, PixelValues(suite.pixels))
        training = _training(suite, budget)
        for loss, backbone, bits, seed in itertools.product(
            losses, backbones, grid.bits, grid.seed
        ):
            setting = Setting(source, loss, backbone, bits, seed, suite.compute)
            base = _base(setting, suite)
            for defense in defenses:
                cell = Cell(
                    dataset=source.protocol.dataset,
                    loss=canonical(loss),
                    backbone=canonical(backbone),
                    bits=bits,
                    defense=canonical(defense),
                    attack=CLEAN,
                    eps="0",
                    seed=seed,
                    protocol=source.protocol.hash,
                    training=sha256_of(training),
                )
                yield PlannedModel(DefendedModel(base, defense, budget), cell, training)


def asked(attack: Attack) -> Attack:
    """The attack, once it has said what a plan has to know of it.

    Raises:
        UsageError: one of its answers raises, or is not of the type that it should be.
    """
    answers: dict[str, Any] = {
        "aim": Aim,
        "surrogate": Surrogate | None,
        "reads": tuple,
        "passes": int,
    }
    for method, kinds in answers.items():
        answer_of(attack, method, kinds)
    reach_of(attack, 1.0, 1)
    return attack


def ancestors(step: Step) -> Iterable[Step]:
    """The step and all it is made from, each once and after what it reads from."""
    found: dict[str, Step] = {}
    add_with_ancestors(step, found)
    return found.values()


def add_with_ancestors(step: Step, found: dict[str, Step]) -> None:
    """Add a step and all it is made from, each after what it reads from.

    Args:
        step: any.
        found: by key; where a step is in it, so is what it is made from.
    """
    if step.key in found:
        return
    for before in (*step.upstream, *step.parts):
        add_with_ancestors(before, found)
    found[step.key] = step


def _scores_of(
    model: DefendedModel | GivenModel, attacks: Sequence[Attack], suite: Suite
) -> Iterator[tuple[str, str, Scores]]:
    codes = ModelCodes(model)
    yield CLEAN, "0", Scores(codes, None)
    for attack, eps in itertools.product(attacks, _radii(suite, model.setting.source.dataset)):
        adversarial = AdversarialCodes(
            codes,
            attack,
            eps,
            surrogate=_surrogate(attack, model.setting, suite),
            limit=suite.limits.passes,
            keep=_kept(suite, model.setting),
        )
        yield canonical(attack), str(eps), Scores(codes, adversarial)


def _kept(suite: Suite, setting: Setting) -> int:
    """How many images of each attack are kept: no more than there are queries."""
    wanted = USUAL if suite.keep_images is None else suite.keep_images
    return min(wanted, setting.source.protocol.query)


def _surrogate(attack: Attack, setting: Setting, suite: Suite) -> ModelCodes | None:
    """The codes of the attacker's own model; `None` where the attack wants none.

    It is undefended, of another seed, and trained as `[training]` of the suite says, also where the
    attacked model was given. Where only the name of that one's loss or network is known, and the
    attack names none of its own, it is the quick suite's.
    """
    wanted = attack.surrogate()
    if wanted is None:
        return None
    changes: dict[str, Any] = {"seed": setting.seed + SURROGATE_SEED}
    if isinstance(setting.backbone, NamedBackbone):
        changes["backbone"] = resolve(Kind.BACKBONE, Backbone, quick().backbone[0])
    if isinstance(setting.loss, NamedLoss):
        changes["loss"] = resolve(Kind.LOSS, Loss, quick().loss[0])
    if wanted.backbone is not None:
        spec = Spec.parse(wanted.backbone)
        changes["backbone"] = resolve(Kind.BACKBONE, Backbone, spec)
    if wanted.loss is not None:
        changes["loss"] = resolve(Kind.LOSS, Loss, Spec.parse(wanted.loss))
    undefended = resolve(Kind.DEFENSE, Defense, Spec("none"))
    base = BaseModel(replace(setting, **changes), _recipe(suite))
    return ModelCodes(
        DefendedModel(base, undefended, _budget(suite, (type(setting.source.dataset).eps,)))
    )


def _crops(suite: Suite, defenses: list[Defense], budget: Budget) -> bool:
    """Whether any training crops its images at random."""
    kinds = [suite.training.augment]
    for defense in defenses:
        # A plugin whose recipe raises fails its cells with that reason, not the plan.
        with suppress(Exception):
            if isinstance(defense, TrainedDefense):
                kinds.append(recipe_of(defense, budget).augment)
    return Augment.CROP_FLIP in kinds


def _radii(suite: Suite, dataset: Dataset) -> tuple[Eps, ...]:
    return suite.eps or (type(dataset).eps,)


def _budget(suite: Suite, radii: tuple[Eps, ...]) -> Budget:
    return Budget(
        epochs=suite.budget.epochs,
        inner_steps=suite.budget.inner_steps,
        eps=suite.budget.eps or max(radii),
    )


def _training(suite: Suite, budget: Budget) -> dict[str, Any]:
    """What all cells of a run share besides the grid: shown with every table."""
    base: dict[str, Any] = asdict(suite.training)
    if suite.checkpoint is not None:
        base = {"checkpoint": weights_hash(suite.checkpoint, "checkpoint")}
    return {
        "base": base,
        "budget": {
            "epochs": budget.epochs,
            "inner_steps": budget.inner_steps,
            "eps": budget.eps.canonical,
        },
        "compute": suite.compute.recorded(),
    }


def _recipe(suite: Suite) -> Recipe:
    fields = asdict(suite.training)
    fields["optimizer"] = coerce(fields["optimizer"], OptimizerName, "training.optimizer")
    fields["augment"] = coerce(fields["augment"], Augment, "training.augment")
    return Recipe(**fields)


def _base(setting: Setting, suite: Suite) -> BaseModel:
    recipe = _recipe(suite)
    if suite.checkpoint is None:
        return BaseModel(setting, recipe)
    card = read_card(suite.checkpoint)
    wanted = {
        "backbone": canonical(setting.backbone),
        "bits": setting.bits,
        "dataset": setting.source.protocol.dataset,
        "loss": canonical(setting.loss),
    }
    for name, value in wanted.items():
        if getattr(card, name) != value:
            raise UsageError(
                f"checkpoint {suite.checkpoint} is of {name} {getattr(card, name)}, "
                f"but the run asks for {value}: add --{name} {getattr(card, name)}"
            )
    # Where it will be computed there may be no device here: whether weights fit, any tells.
    here = replace(setting, compute=replace(setting.compute, device="cpu"))
    load_checkpoint(suite.checkpoint, new_model(here, bare=True))
    return BaseModel(
        setting, recipe, suite.checkpoint, weights_hash(suite.checkpoint, "checkpoint")
    )


def _check_base(grid: Grid) -> None:
    """Refuse a checkpoint that cannot stand for the base models of a grid."""
    if grid.checkpoint is None:
        return
    card = read_card(grid.checkpoint)
    if card.defense != "none":
        raise UsageError(
            f"checkpoint {grid.checkpoint} is a model defended by {card.defense}, but a base "
            "model is needed: what stands in a table as undefended has to be"
        )
    if len(grid.seed) > 1:
        raise UsageError(
            f"checkpoint {grid.checkpoint} is one model, but the run asks for {len(grid.seed)} "
            "seeds of it: name one --seed"
        )
