"""An attack in the company of a hash, its pictures, and the strangers that it leads to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import FileError, PluginError, StoreError
from hashbench.matching.contract import Hasher, Proof
from hashbench.matching.least import Least, least_radii
from hashbench.matching.picture_set import PictureSet
from hashbench.matching.pictures import Picture
from hashbench.matching.png import png_of
from hashbench.matching.trials import Meeting, Trial, nearest_of, nearest_strangers
from hashbench.matching.verdicts import verdict_of
from hashbench.progress import Progress
from hashbench.results.arrays import read_all_arrays
from hashbench.results.artifacts import CODES
from hashbench.results.matches.results import KeptPicture, Threat
from hashbench.results.store import Store
from hashbench.runner.matching.pictures import set_of
from hashbench.runner.matching.steps import AttackedPictures, MatchStep
from hashbench.seeds import seed_of

PICTURES = "pictures"
STRANGERS = "strangers"
"""The arrays of clean codes."""

_MAX_ARRAYS: Final = 2**32
"""Bytes of the codes of a set: of a million pictures and 512 bits 2^29."""


@dataclass(frozen=True)
class Company:
    """The pictures of a step as its attack meets them; those of one size together."""

    step: AttackedPictures
    store: Store

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures of the set."""
        return tuple(self._set.pictures)

    def at(self, eps: Fraction, progress: Progress) -> dict[int, Trial]:
        """What becomes of every picture that has a stranger, where it needs one; by its row."""
        found: dict[int, Trial] = {}
        for rows, meeting in self._meetings:
            base = len(found)

            def told(count: int, base: int = base) -> None:
                progress(base + count, len(self._rows))

            together = self.step.of.compute.attack_batch
            trials = meeting.at(eps, together=together, progress=told)
            found.update(zip(rows, trials, strict=True))
        return found

    def least(
        self, progress: Progress, known: Mapping[Fraction, Mapping[int, bool]]
    ) -> dict[int, Least]:
        """The least radius of each of them; by its row.

        Args:
            progress: told of pictures that are done.
            known: of some radii, which rows were won there.
        """
        found: dict[int, Least] = {}
        for rows, meeting in self._meetings:
            base = len(found)

            def told(count: int, base: int = base) -> None:
                progress(base + count, len(self._rows))

            won = {eps: [by_row[row] for row in rows] for eps, by_row in known.items()}
            together = self.step.of.compute.attack_batch
            least = least_radii(meeting, won=won, together=together, progress=told)
            found.update(zip(rows, least, strict=True))
        return found

    def turned(self, trials: Mapping[int, Trial]) -> NDArray[np.int64]:
        """How many bits of each file differ from the clean one's, in the order of the rows."""
        hasher, codes = self.step.of.hasher, self._codes[PICTURES]
        if self.step.goal is Threat.EVASION:
            return np.array([trials[row].distance for row in sorted(trials)], dtype=np.int64)
        each = (verdict_of(hasher, trials[row].saved) != codes[row] for row in sorted(trials))
        return np.array([int(one.sum()) for one in each], dtype=np.int64)

    def kept(self, trials: Mapping[int, Trial]) -> Iterator[KeptPicture]:
        """The files that succeed, in the order of the rows."""
        for row in sorted(trials):
            trial = trials[row]
            if not trial.won:
                continue
            picture = self.pictures[row]
            stranger = None if self._strangers is None else self._strangers[row]
            other = None if stranger is None else self._stranger_set.pictures[int(stranger)]
            yield KeptPicture(
                name=picture.name,
                clean=png_of(picture.saved),
                attacked=png_of(trial.saved),
                distance=trial.distance,
                stranger=b"" if other is None else png_of(other.saved),
                stranger_name="" if other is None else other.name,
            )

    @cached_property
    def _set(self) -> PictureSet:
        return set_of(self.step.of.pictures)

    @property
    def _stranger_set(self) -> PictureSet:
        others = self.step.of.strangers
        return self._set if others is None else set_of(others)

    @cached_property
    def _codes(self) -> Mapping[str, NDArray[np.bool_]]:
        return arrays_of(self.store, self.step.codes, CODES)

    @cached_property
    def _strangers(self) -> NDArray[np.int64] | None:
        """The row of each picture's stranger in the set that they come from; -1 for none."""
        if self.step.goal is not Threat.COLLISION:
            return None
        threshold, codes = self.step.of.hasher.threshold, self._codes[PICTURES]
        if self.step.of.strangers is None:
            return nearest_strangers(codes, threshold, groups_of(self._set))
        return nearest_of(codes, self._codes[STRANGERS], threshold)

    @cached_property
    def _rows(self) -> list[int]:
        """The pictures that are attacked: those without a stranger are not led to one."""
        if self._strangers is None:
            return list(range(len(self.pictures)))
        return np.flatnonzero(self._strangers >= 0).tolist()

    @cached_property
    def _meetings(self) -> list[tuple[list[int], Meeting]]:
        """Pictures of one size, each group with its rows."""
        groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for row in self._rows:
            groups[self.pictures[row].values.shape].append(row)
        return [(rows, self._meeting(rows)) for rows in groups.values()]

    def _meeting(self, rows: list[int]) -> Meeting:
        step = self.step
        codes, strangers = self._codes, None
        if self._strangers is not None:
            source = codes[PICTURES if step.of.strangers is None else STRANGERS]
            strangers = source[self._strangers[rows]]
        return Meeting(
            hasher=step.of.hasher,
            attack=step.attack,
            pictures=tuple(self.pictures[row] for row in rows),
            codes=codes[PICTURES][rows],
            # Of the picture and the attack: what else is attacked changes nothing.
            seeds=[
                seed_of("match", step.of.seed, step.attack.card.name, self.pictures[row].name)
                for row in rows
            ],
            strangers=strangers,
        )


def arrays_of(store: Store, step: MatchStep, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file of a step that is made.

    Raises:
        StoreError: it is missing or damaged.
    """
    artifact = store.artifact(step.address)
    if artifact is None:
        raise StoreError(f"{store.folder / step.address.path}: missing; run it again")
    try:
        return read_all_arrays(artifact.read(name, _MAX_ARRAYS), _MAX_ARRAYS)
    except FileError as error:
        raise StoreError(f"{store.folder / step.address.path}: {error}; run it again") from None


def groups_of(pictures: PictureSet) -> NDArray[np.int64]:
    """One number for each picture; those that are the same picture share one."""
    groups = np.arange(len(pictures.names))
    for twins in pictures.twins:
        groups[list(twins)] = twins[0]
    return groups


def proof_of(hasher: Hasher, picture: Picture) -> Proof:
    """What is proven of a hash on pictures of one's size.

    Raises:
        PluginError: nothing is, but for pictures of another size there is.
    """
    proof = hasher.proof(picture.height, picture.width)
    if proof is None:
        raise PluginError(
            f"hasher '{hasher.card.name}': proof({picture.height}, {picture.width}) gave None, but "
            "for another size it gave a proof"
        )
    return proof


def bound_of(hasher: Hasher, picture: Picture, eps: Fraction) -> int:
    """How many bits any file of a picture's box can turn at most; raises as `proof_of`."""
    return proof_of(hasher, picture).most_turned(picture.saved, *picture.box(eps))
