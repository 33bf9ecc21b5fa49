"""The plan of a run of matches: its cells, and the steps that they need. Reads the pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from hashbench import plugins
from hashbench.attacking.contract import Attack, TrainedAttack
from hashbench.certifying import Smoothing
from hashbench.errors import UsageError
from hashbench.matching.contract import Hasher
from hashbench.matching.verdicts import verdict_of
from hashbench.plugins.blame import refusing
from hashbench.plugins.card import Access, Aim
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, canonical
from hashbench.progress import Progress, no_progress
from hashbench.results.matches.results import LEAST, NO_ATTACK, PictureSetCard, Threat
from hashbench.runner.fingerprint import described_once, sha256_of
from hashbench.runner.matching.grid import RADII, MatchGrid
from hashbench.runner.matching.pictures import card_of, forget_pictures, pictures_of, source_of
from hashbench.runner.matching.setting import MatchSetting
from hashbench.runner.matching.steps import (
    AllFiles,
    AttackedPictures,
    CleanCodes,
    Innocent,
    LeastRadii,
    MatchCellStep,
    ProvenRadii,
    SmoothedRadii,
)
from hashbench.runner.plan import add_with_ancestors, asked
from hashbench.runner.resolve import resolve
from hashbench.runner.steps import Step

FULL: Final[Mapping[str, tuple[str, ...]]] = {
    "evade": (*RADII, LEAST),
    "collide": RADII,
    "evade-by-distance": RADII[-1:],
    "collide-by-distance": RADII[-1:],
}
"""The attacks of the full table, each with its radii: black boxes ask often, so at one alone."""


@dataclass(frozen=True)
class MatchRun:
    """What a run of matches comes down to.

    Attributes:
        suite: what was asked for; so engines call it.
        cells: every cell.
        steps: every step once, each after the steps that it reads from.
        images: one step for each attack whose files were asked for, as it has to be made where the
            attack is finished and has kept fewer; no cell needs it.
        sets: the cards of the sets of pictures.
        left_out: sentences on what is not run, and why.
    """

    suite: MatchGrid
    cells: tuple[MatchCellStep, ...]
    steps: tuple[Step, ...]
    sets: dict[str, PictureSetCard]
    images: tuple[AllFiles, ...] = ()
    left_out: tuple[str, ...] = ()

    @cached_property
    def name(self) -> str:
        """The same for the same cells and steps."""
        return sha256_of([step.key for step in self.cells])[:20]


def plan_matches(grid: MatchGrid, progress: Progress = no_progress) -> MatchRun:
    """Resolve every plugin, read the pictures, and lay out cells and steps.

    Args:
        grid: what is asked for.
        progress: told of pictures that are read.

    Raises:
        UsageError: an unknown plugin or parameter, a missing package, pictures that cannot be read,
            an attack that is not for fixed hashes.
    """
    for path in grid.plugin:
        plugins.use_file(path)
    grid = replace(grid, plugin=plugins.files()).at_working_folder()
    hashers = [resolve(Kind.HASHER, Hasher, spec) for spec in grid.hash]
    attacks = [_asked(spec) for spec in grid.attack]
    forget_pictures()
    pictures = source_of(grid.images, grid.size, skip_broken=grid.skip_broken, progress=progress)
    strangers = None
    if grid.strangers is not None:
        strangers = source_of(
            grid.strangers,
            grid.size,
            skip_broken=grid.skip_broken,
            single=True,
            progress=progress,
        )
    left_out: list[str] = []
    cells: list[MatchCellStep] = []
    sets: dict[str, PictureSetCard] = {}
    with described_once():
        for hasher in hashers:
            setting = MatchSetting(hasher, pictures, strangers, grid.seed, grid.compute)
            check_hasher(setting)
            sets[setting.set_key] = card_of(pictures, strangers)
            codes = CleanCodes(setting)
            found: list[MatchCellStep] = [Innocent(codes, grid.traffic, grid.stored)]
            if proven := _first_proof(setting):
                found.append(ProvenRadii(codes))
            found += (
                SmoothedRadii(codes, Smoothing(sigma, draws=grid.draws)) for sigma in grid.smooth
            )
            for attack, radii in _pairs(attacks, grid.eps):
                if _is_for(attack, setting, left_out, explicit=bool(attacks)):
                    found += _attacked(codes, attack, radii, proven=proven)
            cells += (
                replace(step, keep=grid.all_files) if isinstance(step, AttackedPictures) else step
                for step in found
            )
        _refuse_two_of_one(cells)
        steps: dict[str, Step] = {}
        for step in cells:
            add_with_ancestors(step, steps)
    images = tuple(
        AllFiles(step) for step in cells if grid.all_files and isinstance(step, AttackedPictures)
    )
    return MatchRun(
        suite=grid,
        cells=tuple(cells),
        steps=tuple(steps.values()),
        sets=sets,
        images=images,
        left_out=tuple(dict.fromkeys(left_out)),
    )


def check_hasher(setting: MatchSetting) -> None:
    """Ask a hash for its first verdict, before anything is computed.

    Raises:
        UsageError: it cannot give one: a package is missing, say; or it breaks its contract.
    """
    hasher = setting.hasher
    name = f"hasher '{hasher.card.name}'"
    with refusing(hasher, ": its bits or its threshold raise"):
        bits, threshold = hasher.bits, hasher.threshold
    if bits < 1 or not 0 <= threshold < bits:
        raise UsageError(
            f"{name}: it has {bits} bits and the threshold {threshold}, expected 1 bit or more and "
            "a threshold from 0 on and below the bits"
        )
    first = pictures_of(setting.pictures)[0]
    with refusing(hasher, ": its method verdict() raises"):
        verdict_of(hasher, first.saved)


def sees_gradients(attack: Attack) -> bool:
    """Whether an attack needs a replica; others are black boxes."""
    return attack.card.access is Access.GRADIENT


def _asked(spec: Spec) -> Attack:
    attack = asked(resolve(Kind.ATTACK, Attack, spec))
    if isinstance(attack, TrainedAttack) or attack.surrogate() is not None:
        raise UsageError(
            f"attack '{attack.card.name}' learns from a training set, and a fixed hash has none: "
            "take evade, collide, or another attack that is not trained"
        )
    return attack


def _pairs(
    attacks: Sequence[Attack], eps: tuple[str, ...]
) -> Iterator[tuple[Attack, tuple[str, ...]]]:
    """The attacks that are run, each with its radii: those of the table, unless others are said."""
    for attack in attacks or [_asked(Spec.parse(name)) for name in FULL]:
        usual = (*RADII, LEAST) if sees_gradients(attack) else RADII
        yield attack, eps or FULL.get(attack.card.name, usual)


def _is_for(attack: Attack, setting: MatchSetting, left_out: list[str], *, explicit: bool) -> bool:
    """Whether an attack can be aimed at a hash; if not, why not goes to `left_out`.

    Raises:
        UsageError: it cannot, and was asked for.
    """
    if not sees_gradients(attack) or _first_replica(setting):
        return True
    words = (
        f"hash {canonical(setting.hasher)} has no replica with gradients, so attack "
        f"{canonical(attack)} is not for it"
    )
    if explicit:
        raise UsageError(f"{words}: take evade-by-distance or collide-by-distance")
    left_out.append(f"{words}.")
    return False


def _attacked(
    codes: CleanCodes, attack: Attack, radii: tuple[str, ...], *, proven: bool
) -> Iterator[MatchCellStep]:
    """One step for each radius."""
    goal = Threat.COLLISION if attack.aim() is Aim.TARGETED else Threat.EVASION
    gradients = sees_gradients(attack)
    at = [
        AttackedPictures(codes, attack, eps, goal, gradients, proven)
        for eps in radii
        if eps != LEAST
    ]
    yield from at
    if LEAST in radii:
        # Whole steps of the table's: what is asked for besides must not change what is found.
        known = tuple(
            AttackedPictures(codes, attack, eps, goal, gradients, proven) for eps in RADII
        )
        yield LeastRadii(codes, attack, LEAST, goal, gradients, proven, known=known)


def _first_replica(setting: MatchSetting) -> bool:
    first = pictures_of(setting.pictures)[0]
    with refusing(setting.hasher, ": its method replica() raises"):
        return setting.hasher.replica(first.height, first.width) is not None


def _first_proof(setting: MatchSetting) -> bool:
    first = pictures_of(setting.pictures)[0]
    with refusing(setting.hasher, ": its method proof() raises"):
        return setting.hasher.proof(first.height, first.width) is not None


def _refuse_two_of_one(steps: Iterable[MatchCellStep]) -> None:
    """Refuse a grid in which two steps make the same cell.

    Raises:
        UsageError: a hash, an attack or a radius is given twice, perhaps in two spellings.
    """
    seen = set()
    for step in steps:
        cell = step.cell
        if cell in seen:
            what = (
                f"hash {cell.hash}"
                if cell.attack == NO_ATTACK
                else f"attack {cell.attack} at eps {cell.eps}"
            )
            raise UsageError(f"{what} is asked for twice")
        seen.add(cell)
