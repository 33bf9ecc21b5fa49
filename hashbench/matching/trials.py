"""One attack meets one hash: what it makes of pictures, saved, read again, and judged by the hash.

Every picture is a class of its own, so that attacks on retrieval can be aimed at a hash as they
are: the labels say which picture it is, the training codes are the set's clean codes, and a target
is the code of a stranger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.attacking.attacker import Attacker
from hashbench.attacking.contract import Attack, TrainedAttack
from hashbench.attacking.goal import Known
from hashbench.attacking.harness import run_attack
from hashbench.attacking.threat import Threat
from hashbench.eps import Eps, Norm
from hashbench.errors import UsageError
from hashbench.hashing.model import HashModel
from hashbench.matching.contract import Hasher
from hashbench.matching.models import ReplicaModel, VerdictModel, in_8_bits
from hashbench.matching.pictures import STEPS, Picture
from hashbench.matching.png import pixels_of, png_of
from hashbench.matching.verdicts import verdict_of
from hashbench.plugins.card import Access, Aim, Knowledge
from hashbench.retrieval import center_codes, pack_codes

Codes = NDArray[np.bool_]
"""Bits, (N, K)."""

TOGETHER: Final = 16
"""Pictures in a call of an attack: few, so that what a step touches stays near the processor."""

_BLOCK: Final = 16
"""Pictures whose images are in memory at once."""

TOLD: Final = 256
"""Of how many other pictures of the set an attacker knows the clean codes, at most."""


@dataclass(frozen=True)
class Trial:
    """What became of one picture.

    Attributes:
        saved: its file, read again: (H, W, 3) uint8, in the picture's box.
        distance: of the file's code, by the verdict: from the clean one, or from the stranger's.
        won: whether that is beyond the threshold; with a stranger, whether it is within.
        queries: how often a black-box attack asked; `None` for one that follows gradients.
    """

    saved: NDArray[np.uint8]
    distance: int
    won: bool
    queries: int | None


@dataclass(frozen=True)
class Meeting:
    """One attack, one hash, and pictures of one size.

    Attributes:
        hasher: the hash.
        attack: the attack, aimed at its replica, or at the library itself where the attack follows
            no gradient.
        pictures: at least one.
        codes: (N, K), their clean codes by the verdict.
        seeds: one for each picture.
        strangers: (N, K), for a targeted attack alone: the code that each picture is led to.
    """

    hasher: Hasher
    attack: Attack
    pictures: Sequence[Picture]
    codes: Codes
    seeds: Sequence[int]
    strangers: Codes | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be, before any work.

        Raises:
            UsageError: pictures of several sizes; an attack that follows gradients, and a hash
                without a replica; one that has to learn something first; a targeted attack without
                strangers, or an untargeted one with them.
        """
        attack, hasher = self.attack.card.name, self.hasher.card.name
        if len({picture.values.shape for picture in self.pictures}) != 1:
            raise UsageError("a meeting is of one or more pictures of one size")
        if isinstance(self.attack, TrainedAttack) or self.attack.surrogate() is not None:
            raise UsageError(
                f"attack '{attack}' trains a network first, which needs a training set: a fixed "
                "hash has none. Take an attack that does not, such as evade or collide"
            )
        if self.model is None:
            raise UsageError(
                f"attack '{attack}' follows gradients, and hash '{hasher}' has no differentiable "
                "copy: take one that asks for distances alone, such as evade-by-distance or "
                "collide-by-distance"
            )
        if (self.attack.aim() is Aim.TARGETED) != (self.strangers is not None):
            raise UsageError(
                f"attack '{attack}' is {self.attack.aim()}: codes of strangers are for targeted "
                "attacks, and these need them"
            )

    @property
    def is_black_box(self) -> bool:
        """Whether the attack meets the library itself."""
        return self.attack.card.access is not Access.GRADIENT

    @cached_property
    def model(self) -> HashModel | None:
        """What the attack is aimed at; `None` where there is no such thing."""
        if self.is_black_box:
            return VerdictModel(self.hasher)
        first = self.pictures[0]
        replica = self.hasher.replica(first.height, first.width)
        return None if replica is None else ReplicaModel(self.hasher, replica)

    def at(
        self,
        eps: Fraction,
        rows: Sequence[int] | None = None,
        *,
        together: int = TOGETHER,
        progress: Callable[[int], None] | None = None,
    ) -> list[Trial]:
        """Attack pictures within a radius, save, read again, and ask for the verdict.

        What is known more finely than a file moves by the radius; what comes in whole steps, by the
        whole steps in it.

        Args:
            eps: in `[0, 1]` pixels, of L-infinity.
            rows: which of the pictures; all by default.
            together: pictures in a call of an attack that follows gradients; a black-box one meets
                one at a time, so that queries are counted for each.
            progress: told how many of the rows are done.

        Returns:
            One for each row, in their order.

        Raises:
            PluginError: the attack broke its contract.
        """
        rows = range(len(self.pictures)) if rows is None else rows
        trials: list[Trial] = []
        size = 1 if self.is_black_box or self._is_told_by_block else _BLOCK
        # Each kind has a ball of its own; a set is nearly always of one kind.
        kinds = [self.pictures[row].is_real for row in rows]
        start = 0
        while start < len(rows):
            stop = start + 1
            while stop < min(start + size, len(rows)) and kinds[stop] == kinds[start]:
                stop += 1
            trials += self._block(rows[start:stop], eps, together)
            start = stop
            if progress is not None:
                progress(len(trials))
        return trials

    def _block(self, rows: Sequence[int], eps: Fraction, together: int) -> list[Trial]:
        pictures = [self.pictures[row] for row in rows]
        radius = eps if pictures[0].is_real else Fraction(math.floor(eps * STEPS), STEPS)
        made: list[NDArray[np.uint8]] = []

        def save(images: Tensor) -> None:
            for levels in in_8_bits(images):
                lowest, highest = pictures[len(made)].box(eps)
                made.append(written_and_read(np.clip(levels, lowest, highest)))

        assert self.model is not None
        images: NDArray[np.float32] = np.stack([picture.image() for picture in pictures])
        outcome = run_attack(
            self.attack,
            self.model,
            images,  # type: ignore[arg-type]  # float32 images are taken as they are
            Attacker(known=self._known(rows), database_codes=self._database(rows)),
            Threat(Eps(norm=Norm.LINF, fraction=radius, text=str(radius))),
            [self.seeds[row] for row in rows],
            batch=together,
            seen=save,
        )
        queries = outcome.forwards if self.is_black_box else None
        return [self._judged(row, file, queries) for row, file in zip(rows, made, strict=True)]

    def _judged(self, row: int, file: NDArray[np.uint8], queries: int | None) -> Trial:
        """Of a file that was read again."""
        code = verdict_of(self.hasher, file)
        threshold = self.hasher.threshold
        if self.strangers is None:
            distance = int((code != self.codes[row]).sum())
            return Trial(file, distance, distance > threshold, queries)
        distance = int((code != self.strangers[row]).sum())
        return Trial(file, distance, distance <= threshold, queries)

    @property
    def _is_told_by_block(self) -> bool:
        """Whether what is told of the set differs between blocks, and the attack heeds it.

        Then each picture is a block of its own: what becomes of it depends on no other one.
        """
        heeds = Knowledge.TRAINING in self.attack.card.knowledge
        return heeds and len(self.pictures) > TOLD

    def _told(self, rows: Sequence[int]) -> list[int]:
        """The pictures whose codes are known: all; of a large set the attacked ones and others."""
        if len(self.pictures) <= TOLD:
            return list(range(len(self.pictures)))
        own = set(rows)
        others = (row for row in range(len(self.pictures)) if row not in own)
        return [*rows, *(row for row, _ in zip(others, range(TOLD), strict=False))]

    def _known(self, rows: Sequence[int]) -> Known:
        """Of a block: each picture is a class, and so is each picture's stranger, behind them."""
        told = self._told(rows)
        place = {row: at for at, row in enumerate(told)}
        codes = [_signs(self.codes[told])]
        if self.strangers is not None:
            codes.append(_signs(self.strangers[list(rows)]))
        train = np.concatenate(codes)
        classes = np.eye(len(train), dtype=np.int8)
        labels = classes[[place[row] for row in rows]]
        return Known.of(
            labels,
            center_codes(labels, train, classes),
            train,
            classes,
            None if self.strangers is None else classes[len(told) :],
        )

    def _database(self, rows: Sequence[int]) -> Tensor:
        """What a search engine would list: the told codes."""
        return torch.from_numpy(_signs(self.codes[self._told(rows)])).float()


def written_and_read(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture, (H, W, 3), as it comes back from a PNG."""
    # Pixels are what counts here, not the size of a file that is read at once.
    return pixels_of(png_of(picture, compression=1))


def nearest_strangers(
    codes: Codes, threshold: int, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The nearest other picture that does not match already, for each; exact over all pairs.

    Args:
        codes: (N, K).
        threshold: a stranger is farther away than this.
        groups: (N,); pictures of one group show the same, and are no strangers. Each is one of its
            own by default.

    Returns:
        (N,) positions, the first of equally near ones; -1 where there is none.
    """
    own = np.arange(len(codes)) if groups is None else groups
    return _nearest(codes, codes, threshold, (own, own))


def nearest_of(codes: Codes, others: Codes, threshold: int) -> NDArray[np.int64]:
    """The nearest of other pictures that does not match already, for each; exact over all pairs.

    Args:
        codes: (N, K).
        others: (M, K), of the strangers.
        threshold: a stranger is farther away than this.

    Returns:
        (N,) positions among `others`, the first of equally near ones; -1 where there is none.
    """
    return _nearest(codes, others, threshold, None)


def _nearest(
    codes: Codes,
    others: Codes,
    threshold: int,
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
) -> NDArray[np.int64]:
    mine, theirs = pack_codes(_signs(codes)), pack_codes(_signs(others))
    nearest = np.full(len(codes), -1, dtype=np.int64)
    for row, code in enumerate(mine):
        distances = np.bitwise_count(theirs ^ code).sum(axis=1, dtype=np.int64)
        may = distances > threshold
        if groups is not None:
            may &= groups[1] != groups[0][row]
        if may.any():
            nearest[row] = int(np.where(may, distances, codes.shape[1] + 1).argmin())
    return nearest


def _signs(codes: Codes) -> NDArray[np.int8]:
    """Bits as +1 and -1."""
    return np.where(codes, 1, -1).astype(np.int8)
