"""From a suite to the cells it asks for and the steps they need. Loads data; trains nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hashbench import plugins
from hashbench.attacking.contract import Attack, Surrogate
from hashbench.data.protocol import Protocol
from hashbench.defending.contract import Defense
from hashbench.errors import UsageError
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.named import NamedBackbone, NamedLoss
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
from hashbench.runner.loading import load_data
from hashbench.runner.planned_models import (
    PlannedModel,
    given_models,
    models_of_grid,
    recipe_of_base,
)
from hashbench.runner.radii import LeftOut, budget_of, met_by, radii_of, refuse_idle
from hashbench.runner.reach import reach_of
from hashbench.runner.resolve import (
    at_working_folder,
    check_device_name,
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
        left_out: sentences that name attacks and the radii that they are not run at, as they do
            not work in such balls.
        protocols: the protocol cards by hash.
        trainings: by hash, what cells of one training share.
    """

    suite: Suite
    cells: tuple[PlannedCell, ...]
    steps: tuple[Step, ...]
    protocols: dict[str, Protocol]
    trainings: dict[str, dict[str, Any]]
    images: tuple[MoreImages, ...] = ()
    left_out: tuple[str, ...] = ()

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
            models = models_of_grid(suite, suite.models, progress)
        case GivenModels():
            models = given_models(suite, suite.models, progress)
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

    Raises:
        UsageError: an attack works at none of the radii.
    """
    if suite.eps and isinstance(suite.models, Grid):
        refuse_idle(attacks, suite.eps)  # before any data are read
    cells: dict[Cell, CellStep] = {}
    protocols: dict[str, Protocol] = {}
    trainings: dict[str, dict[str, Any]] = {}
    left_out: dict[str, LeftOut] = {}
    models = list(models)
    certify = suite.certify
    if certify is None:
        certify = any(is_certified(model.step) for model in models)
    for model in models:
        source = model.step.setting.source
        protocols[source.protocol.hash] = source.protocol
        trainings[model.clean.training] = model.training
        radii = radii_of(suite, source.dataset)
        met = attacks_on(model.step, attacks, suite)
        if met is attacks or not any(met_by(one, radii) for one in met):
            refuse_idle(met, radii)
        for one in met:
            without = tuple(radius for radius in radii if radius not in met_by(one, radii))
            if without:
                left_out[canonical(one)] = LeftOut(one, without)
        for attack, eps, scores in _scores_of(model.step, met, suite):
            cells[replace(model.clean, attack=attack, eps=eps)] = scores
        if certify:
            codes = ModelCodes(model.step)
            for radius in radii:
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
        left_out=tuple(one.words for one in left_out.values()),
    )


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
    radii = radii_of(suite, model.setting.source.dataset)
    for attack in attacks:
        for eps in met_by(attack, radii):
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
    base = BaseModel(replace(setting, **changes), recipe_of_base(suite))
    own = replace(suite, eps=())  # the data set's radius, whatever the suite's are
    return ModelCodes(DefendedModel(base, undefended, budget_of(own, setting.source.dataset)))
