"""What a run would meet only after hours, tried before it: networks, losses, defenses, attacks.

Everything is tried once, small, on this machine's processor: nothing is downloaded, trained or
written. What cannot work is an error that a person can mend before anything was computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from hashbench.attacking.contract import Attack
from hashbench.attacking.setup import sizes_of
from hashbench.attacking.training import network_of
from hashbench.characters import shortened
from hashbench.data.contract import Dataset
from hashbench.defending.answers import recipe_of
from hashbench.defending.contract import Defense, TrainedDefense, WrappingDefense
from hashbench.errors import HashbenchError, PluginError, UsageError
from hashbench.hashing.answers import bare_of, bound, built
from hashbench.hashing.contract import Backbone
from hashbench.hashing.model import HashModel
from hashbench.hashing.program import Program
from hashbench.hashing.setup import LossSetup
from hashbench.plugins.base import Plugin
from hashbench.plugins.blame import came, named, sentence_of, told
from hashbench.plugins.parameters import canonical
from hashbench.runner.evaluation_steps import AdversarialCodes, TrainedAttacker
from hashbench.runner.loading import cell_seed, data_of, new_model
from hashbench.runner.setting import Setting
from hashbench.runner.steps import (
    BaseModel,
    DefendedModel,
    GivenModel,
    ModelCodes,
    Step,
    StepOnModel,
)

MAX_PARAMETERS: Final = 1_000_000_000
"""Of a network: twice those of the largest that are trained for hashing, 4 GB of memory."""


@dataclass(frozen=True)
class Rehearsed:
    """The steps of one network on one data set, of which each part was tried.

    Attributes:
        steps: in their order.
        model: one of them, on the processor, in eval mode; weights that would have to be downloaded
            are fresh ones.
        download: whether the network starts from weights that are no file of this machine.
    """

    steps: tuple[Step, ...]
    model: HashModel
    download: bool


def rehearse(steps: Iterable[Step]) -> None:
    """Try what the steps need, each part once; see `rehearsed`."""
    for _ in rehearsed(steps):
        pass


def rehearsed(steps: Iterable[Step]) -> Iterator[Rehearsed]:
    """Try what the steps need, each part once, one network after the other.

    Args:
        steps: those that are to be made.

    Raises:
        UsageError: a network that cannot be built, weights that do not fit it, a loss that cannot
            have that many bits or classes, a defense or an attack that cannot have such images, an
            attack that may take more passes than it is granted.
    """
    groups: dict[tuple[Dataset, Backbone, Program | None], list[Step]] = {}
    for step in steps:
        setting, program = step.setting, program_of(step)
        groups.setdefault((setting.source.dataset, setting.backbone, program), []).append(step)
    for (_, backbone, program), group in groups.items():
        trained = any(isinstance(one, BaseModel) and one.checkpoint is None for one in group)
        download = trained and _is_fetched(backbone)
        setting = group[0].setting
        if program is None:
            model = _built(setting, bare=download or not trained)
        else:
            model = program.load(device="cpu", threads=setting.compute.threads)
        tried: set[Any] = set()
        for step in group:
            _try(step, model, tried)
        yield Rehearsed(tuple(group), model, download)


def program_of(step: Step) -> Program | None:
    """The model that a step is about, where that is given whole."""
    about = step.codes if isinstance(step, StepOnModel) else step
    model = about.model if isinstance(about, ModelCodes) else about
    return model.program if isinstance(model, GivenModel) else None


def _is_fetched(backbone: Backbone) -> bool:
    """Whether it starts from weights that no file is known to hold."""
    return bare_of(backbone) != backbone and not backbone.reads()


def _built(setting: Setting, *, bare: bool) -> HashModel:
    here = replace(setting, compute=replace(setting.compute, device="cpu"))
    name = f"backbone '{shortened(canonical(setting.backbone), 200)}'"
    count = _parameters(setting)
    if count > MAX_PARAMETERS:
        raise UsageError(
            f"{name} has {count:,} parameters for these images, but at most {MAX_PARAMETERS:,} "
            "are taken"
        )
    try:
        model = new_model(here, bare=bare)
    except PluginError as error:
        raise UsageError(str(error)) from error
    except HashbenchError:
        raise
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        raise UsageError(f"{name} cannot be built: {told(error, setting.backbone)}") from error
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model.outputs(black(setting, 1))
    except (Exception, SystemExit) as error:  # nor do networks have errors of their own
        images = setting.source.images
        size = f"{images.channels} x {images.height} x {images.width}"
        why = _other_features(setting, model) or told(error, setting.backbone)
        raise UsageError(f"{name} does not take images of {size}: {why}") from error
    return model


def _other_features(setting: Setting, model: HashModel) -> str:
    """What is wrong with the features of a network that runs; nothing where it does not run."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            found = model.backbone((black(setting, 1) - model.mean) / model.std)
    except Exception:  # it was told already what it raises
        return ""
    wanted = model.hash_layer.in_features
    shape = tuple(found.shape) if isinstance(found, torch.Tensor) else None
    if shape == (1, wanted):
        return ""
    gave = came(found) if shape is None else f"shape {shape}"
    start = f"build() says features={wanted}, but its network gives {gave} for one of them"
    remedy = f"it must give a tensor of shape (B, {wanted}) for B images"
    return sentence_of(start, setting.backbone, "build", remedy)


def _parameters(setting: Setting) -> int:
    """How many numbers a network has, counted without any memory; 0 where that cannot be done."""
    with suppress(Exception), torch.device("meta"):  # a plugin may raise anything, and does below
        net = built(setting.backbone.bare(), setting.source.images)
        return sum(value.numel() for value in net.module.parameters())
    return 0


def black(setting: Setting, count: int) -> torch.Tensor:
    """So many black images of the setting's size, float32 (count, C, H, W)."""
    images = setting.source.images
    return torch.zeros(count, images.channels, images.height, images.width)


def _try(step: Step, model: HashModel, tried: set[Any]) -> None:
    """Try what a step adds, unless it was tried for another seed."""
    setting = step.setting
    match step:
        case BaseModel(checkpoint=None):
            if _first(tried, setting.loss, setting.bits):
                _bind(setting)
        case DefendedModel():
            if _first(tried, step.defense, step.budget):
                _defend(step.defense, step, model)
        case GivenModel():
            if step.wrapper is not None and _first(tried, step.wrapper):
                _wrap(step.wrapper, model, setting)
        case TrainedAttacker():
            if _first(tried, step.attack, setting.bits, step.limit):
                _train_attacker(step)
        case AdversarialCodes():
            if _first(tried, step.attack, step.limit):
                _attack(step)


def _first(tried: set[Any], *what: object) -> bool:
    if what in tried:
        return False
    tried.add(what)
    return True


def _bind(setting: Setting) -> None:
    train = data_of(setting).train
    labels = torch.from_numpy(train.labels).float()
    generator = torch.Generator().manual_seed(cell_seed(setting, "loss"))
    # Black ones, which take no memory: nothing is decoded to try a loss.
    images = np.broadcast_to(np.uint8(0), train.images.shape)
    with _asking(setting.loss):
        bound(setting.loss, LossSetup(labels, setting.bits, generator, images))


def _defend(defense: Defense, step: DefendedModel, model: HashModel) -> None:
    if isinstance(defense, WrappingDefense):
        _wrap(defense, model, step.setting)
    elif isinstance(defense, TrainedDefense):
        with _asking(defense):
            recipe_of(defense, step.budget)
    else:
        raise UsageError(
            f"defense '{defense.card.name}' is neither a TrainedDefense nor a WrappingDefense"
        )


def _wrap(defense: WrappingDefense, model: HashModel, setting: Setting) -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad(), _asking(defense):
        # One pass, however many draws its outputs are the mean of.
        defense.wrap(model).eval().logits(black(setting, 1))


def _train_attacker(step: TrainedAttacker) -> None:
    attack, train = step.attack, data_of(step.setting).train
    with torch.device("meta"), _asking(attack):
        network_of(attack, sizes_of(train, step.setting.bits))
    with _asking(attack):
        passes = -(-attack.training_passes(len(train)) // len(train))
        _check_granted(attack, passes, step.limit, "per training image")


def _attack(step: AdversarialCodes) -> None:
    with _asking(step.attack):
        _check_granted(step.attack, step.attack.passes(), step.limit, "per query")


def _check_granted(attack: Attack, passes: int, limit: float, what: str) -> None:
    if passes > limit:
        raise UsageError(
            f"attack '{shortened(canonical(attack))}' may take {shortened(f'{passes:,}')} passes "
            f"{what}, but a run grants {limit:,}; [limits] passes of a suite sets how many"
        )


@contextmanager
def _asking(plugin: Plugin) -> Iterator[None]:
    """Around a plugin's code: what it refuses is refused, by its name.

    Raises:
        UsageError: the plugin raised one.
    """
    try:
        yield
    except UsageError as error:
        said = str(error)
        known = said.startswith(str(plugin.card.kind))
        raise UsageError(said if known else f"{named(plugin)}: {said}") from error
    except Exception:  # a plugin may raise anything
        return  # its own cells will fail with that reason; those of others go on
