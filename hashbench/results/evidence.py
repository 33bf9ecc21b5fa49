"""What sanity flags judge by: one model (one seed) at one radius, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from hashbench.eps import Eps


class Role(StrEnum):
    """What an untargeted attack follows."""

    WHITE_BOX = "white-box"  # the attacked model's gradients
    BLACK_BOX = "black-box"  # its codes, or lists ranked by them
    TRANSFER = "transfer"  # another model
    BLIND = "noise"  # nothing


@dataclass(frozen=True)
class Attacked:
    """What an untargeted attack left of the model.

    Attributes:
        name: canonical text.
        role: what it follows.
        eps: the radius.
        value: mAP in `[0, 1]`.
        steps: how many, where it has a parameter `steps`.
        others: its name and every other parameter: equal for attacks that differ in steps alone.
    """

    name: str
    role: Role
    eps: Eps
    value: float
    steps: float | None = None
    others: str = ""


@dataclass(frozen=True)
class AtEps0:
    """A cell of radius 0, of an attack of either aim.

    Attributes:
        name: canonical text of the attack.
        value: mAP in `[0, 1]`.
        flipped: share of the queries' bits that differ from the clean codes.
    """

    name: str
    value: float
    flipped: float = 0.0


@dataclass(frozen=True)
class InCompany:
    """Some queries that an attack of either aim was asked for again, in other company.

    Attributes:
        name: canonical text of the attack.
        dependent: share of them whose adversarial image depends on the others.
    """

    name: str
    dependent: float


@dataclass(frozen=True)
class Probed:
    """Mean average precision of the probe's queries, each in `[0, 1]`.

    Attributes:
        clean: left alone.
        unbounded: after center PGD without a bound.
        floor: of the opposite of the center codes.
    """

    clean: float
    unbounded: float
    floor: float


@dataclass(frozen=True)
class Beaten:
    """An attack that left a query below what is proven of it: one of the two is wrong.

    Attributes:
        attack: its canonical text.
        eps: its radius.
        proven_at: the certificate's radius, whose ball holds the attack's.
        query: the place of the query that is farthest below.
        proven: the average precision that is proven of it, in `[0, 1]`.
        left: what the attack left, ties in their worst order.
        queries: how many are below.
    """

    attack: str
    eps: Eps
    proven_at: Eps
    query: int
    proven: float
    left: float
    queries: int

    @property
    def words(self) -> str:
        """One clause without its subject's model: what was proven, and what was left."""
        more = f"; so it is for {self.queries - 1:,} more" if self.queries > 1 else ""
        return (
            f"{self.attack} at eps {self.eps} leaves query {self.query} an average precision of "
            f"{100 * self.left:.6g} %, and {100 * self.proven:.6g} % are proven at eps "
            f"{self.proven_at}{more}"
        )


@dataclass(frozen=True)
class Evidence:
    """What one model (one seed) at one radius is judged by; `None`, not known, raises no flag.

    Attributes:
        classes, bits: of the data and of the codes.
        clean, chance, floor: mAP without an attack, of a random order, of the opposite of the
            center codes.
        distinct_codes, bit_entropy: of the database's codes.
        saturated: share of the clean queries' outputs with `|u| = 1` in float32.
        zero_gradients: share of queries without any gradient.
        unstable, moved: shares of queries whose code differs when asked for again, and after an
            attack of radius 0.
        dependent: share of some queries whose code depends on who else is asked.
        codes_alone: whether the model gives no gradient at all, so that its codes are all there is.
        in_company: the same of every attack's answers, at this radius.
        probed: the attack without a bound.
        at_eps_0: every cell of radius 0, of any norm.
        attacks: the untargeted ones at this radius that are done.
        smaller: the same at smaller radii of the same norm.
        whole: whether no white-box attack of this radius failed or is missing: compared with a
            part of them, anything looks strong.
        worst_case: mean over the queries of the lowest AP over all untargeted attacks.
        beaten: attacks of this radius, or of one that a certificate of this radius covers, which
            left less than is proven.
    """

    classes: int
    bits: int
    clean: float | None = None
    chance: float | None = None
    floor: float | None = None
    distinct_codes: float | None = None
    bit_entropy: float | None = None
    saturated: float | None = None
    zero_gradients: float | None = None
    unstable: float | None = None
    moved: float | None = None
    dependent: float | None = None
    codes_alone: bool = False
    in_company: tuple[InCompany, ...] = ()
    probed: Probed | None = None
    at_eps_0: tuple[AtEps0, ...] = ()
    attacks: tuple[Attacked, ...] = ()
    smaller: tuple[Attacked, ...] = ()
    whole: bool = True
    worst_case: float | None = None
    beaten: tuple[Beaten, ...] = ()

    @property
    def white_box(self) -> tuple[Attacked, ...]:
        """The attacks that follow the model's gradients; none where one of them has no number."""
        return of_role(self.attacks, Role.WHITE_BOX) if self.whole else ()

    @property
    def strongest(self) -> Attacked | None:
        """The white-box attack that leaves the least."""
        return min(self.white_box, key=lambda attack: (attack.value, attack.name), default=None)


def of_role(attacks: tuple[Attacked, ...], role: Role) -> tuple[Attacked, ...]:
    """The attacks of one role, in their order."""
    return tuple(attack for attack in attacks if attack.role is role)


def beside_more_steps(attacks: Iterable[Attacked]) -> Iterator[tuple[Attacked, Attacked]]:
    """Each attack beside the one that differs from it in more steps alone and leaves the most.

    By one way through the steps of each family, not pair by pair: a sweep may have thousands.
    """
    families: dict[str, dict[float, list[Attacked]]] = {}
    for attack in attacks:
        if attack.steps is not None:
            by_steps = families.setdefault(attack.others, {})
            by_steps.setdefault(attack.steps, []).append(attack)
    for by_steps in families.values():
        most: Attacked | None = None
        for _, tried in sorted(by_steps.items(), reverse=True):
            if most is not None:
                yield from ((few, most) for few in tried)
            rivals = tried if most is None else [most, *tried]
            most = min(rivals, key=lambda attack: (-attack.value, attack.name))
