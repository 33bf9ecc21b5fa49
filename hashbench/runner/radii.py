"""The radii of a suite: what models are attacked at, and what defenses are trained for.

An attack stands at the radii of the norms that its card names. Adversarial training is for an
L-infinity ball, whatever the norms of a suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hashbench.attacking.contract import Attack
from hashbench.data.contract import Dataset
from hashbench.defending.contract import Defense, TrainedDefense
from hashbench.defending.setup import Budget
from hashbench.eps import Eps, Norm
from hashbench.errors import UsageError
from hashbench.plugins.parameters import canonical
from hashbench.runner.suite import Suite

_SUCH_AS: Final = {Norm.LINF: "8/255", Norm.L2: "l2:0.5"}
"""How a radius of each norm is written."""


@dataclass(frozen=True)
class LeftOut:
    """An attack that does not work in the balls of some radii.

    Attributes:
        attack: the plugin.
        radii: where it is not run.
    """

    attack: Attack
    radii: tuple[Eps, ...]

    @property
    def words(self) -> str:
        """A sentence without its full stop."""
        return f"attack {_works_in(self.attack)}: left out at {_listed(self.radii)}"


def radii_of(suite: Suite, dataset: Dataset) -> tuple[Eps, ...]:
    """The radii that models of a data set are attacked at."""
    return suite.eps or (type(dataset).eps,)


def met_by(attack: Attack, radii: Iterable[Eps]) -> tuple[Eps, ...]:
    """Those of the radii in whose balls an attack works."""
    return tuple(radius for radius in radii if radius.norm in attack.card.norms)


def refuse_idle(attacks: Iterable[Attack], radii: Sequence[Eps]) -> None:
    """Refuse attacks that work at none of the radii.

    Raises:
        UsageError: there are some; says in which balls each works.
    """
    idle = [attack for attack in attacks if not met_by(attack, radii)]
    if idle:
        such = " or ".join(
            _SUCH_AS[norm] for norm in Norm if any(norm in one.card.norms for one in idle)
        )
        raise UsageError(
            f"attack {', '.join(map(_works_in, idle))}, but the run's radii are "
            f"{_listed(radii)}: add a radius such as {such}, or leave the attack out"
        )


def budget_of(suite: Suite, dataset: Dataset, defenses: Iterable[Defense] = ()) -> Budget:
    """What every trained defense gets alike.

    Its radius is the suite's `budget.eps`, else the largest L-infinity one that the models are
    attacked at. Where there is none and nothing is trained for it, it is the data set's own.

    Args:
        suite: what was asked for.
        dataset: of the models.
        defenses: that get it.

    Raises:
        UsageError: one of them is trained, and nothing says for which radius.
    """
    return Budget(
        epochs=suite.budget.epochs,
        inner_steps=suite.budget.inner_steps,
        eps=suite.budget.eps or _largest(radii_of(suite, dataset), dataset, defenses),
    )


def _largest(radii: Sequence[Eps], dataset: Dataset, defenses: Iterable[Defense]) -> Eps:
    flat = [radius for radius in radii if radius.norm is Norm.LINF]
    if flat:
        return max(flat)
    trained = [canonical(one) for one in defenses if isinstance(one, TrainedDefense)]
    if trained:
        raise UsageError(
            f"{', '.join(trained)}: defenses are trained for a radius of linf, by default the "
            f"largest of the run, but its radii are {_listed(radii)}: give budget.eps, as in "
            'eps = "8/255" under [budget] of a suite file'
        )
    own = type(dataset).eps
    return own if own.norm is Norm.LINF else Dataset.eps


def _works_in(attack: Attack) -> str:
    norms = [norm for norm in Norm if norm in attack.card.norms]
    return f"'{canonical(attack)}' works in {' and '.join(norms)} balls alone"


def _listed(radii: Iterable[Eps]) -> str:
    first, *others = map(str, radii)
    return f"{', '.join([first, *others[:-1]])} and {others[-1]}" if others else first
