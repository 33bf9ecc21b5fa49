"""The functions that an author calls: each runs the checks of one kind of plugin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from hashbench import plugins
from hashbench.attacking.contract import Attack
from hashbench.data.contract import Dataset
from hashbench.defending.contract import Defense, TrainedDefense, WrappingDefense
from hashbench.errors import UsageError
from hashbench.hashing.contract import Backbone, Loss
from hashbench.matching.contract import Hasher
from hashbench.plugins.base import Plugin
from hashbench.plugins.blame import sentence_of
from hashbench.plugins.kinds import Kind
from hashbench.plugins.misspelt import missing_methods, nearly_named
from hashbench.plugins.parameters import build, canonical
from hashbench.results.contract import Format
from hashbench.testing.attack_norms import IN_A_BALL, in_further_norms
from hashbench.testing.backbone_stage import BackboneStage
from hashbench.testing.backbones import BACKBONES
from hashbench.testing.checking import Check, run_checks
from hashbench.testing.datasets import DATASETS, DatasetStage
from hashbench.testing.formats import FORMATS, FormatStage
from hashbench.testing.hasher_stage import HasherStage
from hashbench.testing.hashers import HASHERS
from hashbench.testing.identity import IDENTITY
from hashbench.testing.loss_stage import LossStage
from hashbench.testing.losses import LOSSES
from hashbench.testing.outcome import CheckReport
from hashbench.testing.stage import AttackStage
from hashbench.testing.trained import TRAININGS, TrainedStage
from hashbench.testing.wrapped import WRAPPINGS, WrappedStage

PluginT = TypeVar("PluginT", bound=Plugin)

ATTACK_CHECKS: tuple[Check[Any], ...] = (*IDENTITY, *IN_A_BALL)
"""The rules of attacks, in the order in which they are tried. One whose card names both norms is
held to those of a ball (`IN_A_BALL`) in L2 too, as `l2-inside-ball`."""

DEFENSE_CHECKS: Mapping[type[Defense], tuple[Check[Any], ...]] = MappingProxyType(
    {WrappingDefense: (*IDENTITY, *WRAPPINGS), TrainedDefense: (*IDENTITY, *TRAININGS)}
)
"""The rules of defenses, by whether they wrap a model or train one."""

LOSS_CHECKS: tuple[Check[Any], ...] = (*IDENTITY, *LOSSES)
"""The rules of hashing losses."""

BACKBONE_CHECKS: tuple[Check[Any], ...] = (*IDENTITY, *BACKBONES)
"""The rules of backbones."""

DATASET_CHECKS: tuple[Check[Any], ...] = (*IDENTITY, *DATASETS)
"""The rules of data sets."""

FORMAT_CHECKS: tuple[Check[Any], ...] = (*IDENTITY, *FORMATS)
"""The rules of report formats."""

HASHER_CHECKS: tuple[Check[Any], ...] = (*IDENTITY, *HASHERS)
"""The rules of fixed hashes."""

_CHECKS: tuple[tuple[type[Plugin], tuple[Check[Any], ...]], ...] = (
    (Attack, ATTACK_CHECKS),
    *DEFENSE_CHECKS.items(),
    (Loss, LOSS_CHECKS),
    (Backbone, BACKBONE_CHECKS),
    (Dataset, DATASET_CHECKS),
    (Format, FORMAT_CHECKS),
    (Hasher, HASHER_CHECKS),
)
"""The rules of each contract."""

NONE: Mapping[str, str] = MappingProxyType({})


def check_attack(
    attack: Attack | type[Attack] | str, *, expected_failures: Mapping[str, str] = NONE
) -> CheckReport:
    """Try every rule of an attack, in every norm that its card names.

    Takes a second or so for each norm, more for an attack of many steps.

    Args:
        attack: an instance, a class whose parameters have defaults, or a name with parameters. Its
            parameters are never changed, but that one check takes 0 `steps`.
        expected_failures: why, by the name of a check that is known to fail. One that passes all
            the same is a failure.

    Raises:
        UsageError: there is no such attack or check, or a parameter has no default.
    """
    found = _built(Kind.ATTACK, Attack, attack)
    checks = (*ATTACK_CHECKS, *in_further_norms(found))
    return _report(Kind.ATTACK, found, AttackStage(found), checks, expected_failures)


def check_defense(
    defense: Defense | type[Defense] | str, *, expected_failures: Mapping[str, str] = NONE
) -> CheckReport:
    """Try every rule of a defense, of those for its kind; arguments as `check_attack`.

    Raises:
        UsageError: as `check_attack`, or it neither trains nor wraps.
    """
    found = _built(Kind.DEFENSE, Defense, defense)
    stage: Any
    if isinstance(found, WrappingDefense):
        stage, checks = WrappedStage(found), DEFENSE_CHECKS[WrappingDefense]
    elif isinstance(found, TrainedDefense):
        stage, checks = TrainedStage(found), DEFENSE_CHECKS[TrainedDefense]
    else:
        raise UsageError(
            f"defense '{found.card.name}' is neither a TrainedDefense nor a WrappingDefense"
        )
    return _report(Kind.DEFENSE, found, stage, checks, expected_failures)


def check_loss(
    loss: Loss | type[Loss] | str, *, expected_failures: Mapping[str, str] = NONE
) -> CheckReport:
    """Try every rule of a hashing loss; arguments and errors as `check_attack`."""
    found = _built(Kind.LOSS, Loss, loss)
    return _report(Kind.LOSS, found, LossStage(found), LOSS_CHECKS, expected_failures)


def check_backbone(
    backbone: Backbone | type[Backbone] | str, *, expected_failures: Mapping[str, str] = NONE
) -> CheckReport:
    """Try every rule of a backbone; arguments and errors as `check_attack`.

    Nothing is downloaded: a backbone whose weights would be is tried with fresh ones (`bare`).
    """
    found = _built(Kind.BACKBONE, Backbone, backbone)
    stage = BackboneStage(found)
    return _report(Kind.BACKBONE, found, stage, BACKBONE_CHECKS, expected_failures)


def check_dataset(
    dataset: Dataset | type[Dataset] | str,
    *,
    root: Path | str | None = None,
    expected_failures: Mapping[str, str] = NONE,
) -> CheckReport:
    """Try every rule of a data set, which is read several times; see `check_attack`.

    Args:
        dataset: an instance, a class whose parameters have defaults, or a name with parameters.
        root: the folder that its user would name with `--root`; without it, what needs one is
            skipped.
        expected_failures: as for `check_attack`.

    Raises:
        UsageError: as for `check_attack`.
    """
    found = _built(Kind.DATASET, Dataset, dataset)
    stage = DatasetStage(found, None if root is None else Path(root))
    return _report(Kind.DATASET, found, stage, DATASET_CHECKS, expected_failures)


def check_format(
    format: Format | type[Format] | str,  # noqa: A002 - the field's word
    *,
    expected_failures: Mapping[str, str] = NONE,
) -> CheckReport:
    """Try every rule of a report format; arguments and errors as `check_attack`."""
    found = _built(Kind.FORMAT, Format, format)
    return _report(Kind.FORMAT, found, FormatStage(found), FORMAT_CHECKS, expected_failures)


def check_hasher(
    hasher: Hasher | type[Hasher] | str, *, expected_failures: Mapping[str, str] = NONE
) -> CheckReport:
    """Try every rule of a fixed hash; arguments and errors as `check_attack`.

    Its replica is held to its codes, and its proof to files of small boxes that turn many bits.
    """
    found = _built(Kind.HASHER, Hasher, hasher)
    return _report(Kind.HASHER, found, HasherStage(found), HASHER_CHECKS, expected_failures)


def check_plugin(
    plugin: Plugin,
    *,
    root: Path | str | None = None,
    expected_failures: Mapping[str, str] = NONE,
) -> CheckReport:
    """Try every rule of a plugin of any kind.

    Args:
        plugin: an instance.
        root: as for `check_dataset`; only a data set has one.
        expected_failures: as for `check_attack`.

    Raises:
        UsageError: its class is a subclass of no contract.
    """
    match plugin:
        case Attack():
            return check_attack(plugin, expected_failures=expected_failures)
        case Defense():
            return check_defense(plugin, expected_failures=expected_failures)
        case Loss():
            return check_loss(plugin, expected_failures=expected_failures)
        case Backbone():
            return check_backbone(plugin, expected_failures=expected_failures)
        case Dataset():
            return check_dataset(plugin, root=root, expected_failures=expected_failures)
        case Format():
            return check_format(plugin, expected_failures=expected_failures)
        case Hasher():
            return check_hasher(plugin, expected_failures=expected_failures)
    raise UsageError(
        sentence_of(
            f"'{plugin.card.name}' is declared as {plugin.card.kind}, but its class "
            f"{type(plugin).__name__} is no subclass of the contract",
            plugin,
        )
    )


def rules_of(plugin: Plugin) -> tuple[str, ...]:
    """The names of the rules that a plugin would be held to; none for what has no contract."""
    found = (checks for contract, checks in _CHECKS if isinstance(plugin, contract))
    further = in_further_norms(plugin) if isinstance(plugin, Attack) else ()
    return tuple(one.name for one in (*next(found, ()), *further))


def _built(kind: Kind, base: type[PluginT], given: PluginT | type[PluginT] | str) -> PluginT:
    if isinstance(given, str):
        given_plugin: object = plugins.get(kind, given)
    elif isinstance(given, type):
        if "card" not in vars(given):
            raise UsageError(
                sentence_of(
                    f"class {given.__name__} has no card: write @{kind.decorator}('name') above it",
                    given,
                )
            )
        if missing := missing_methods(given):
            raise UsageError(missing)
        given_plugin = build(given, {})
    else:
        given_plugin = given
    if not isinstance(given_plugin, base):
        raise UsageError(f"expected {kind}, found {given_plugin!r}")
    return given_plugin


def _report(
    kind: Kind,
    plugin: Plugin,
    stage: object,
    checks: tuple[Check[Any], ...],
    expected: Mapping[str, str],
) -> CheckReport:
    outcomes = run_checks(stage, checks, expected)
    return CheckReport(kind, canonical(plugin), outcomes, nearly_named(type(plugin)))
