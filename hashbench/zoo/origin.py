"""What a file of weights does not say of itself, and its owner does."""

from __future__ import annotations

from dataclasses import dataclass

from hashbench.characters import briefly
from hashbench.errors import UsageError
from hashbench.hashing.headed import ACTIVATIONS
from hashbench.hashing.whole_model import check_normalisation
from hashbench.suggestions import did_you_mean
from hashbench.zoo.translated import Rename


@dataclass(frozen=True)
class Normalisation:
    """What a network wants its pixels to be.

    Attributes:
        mean, std: one value, or one per channel, in `[0, 1]` pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        check_normalisation(self.mean, self.std)

    @classmethod
    def parse(cls, mean: str | None, std: str | None) -> Normalisation | None:
        """Read `0.485,0.456,0.406`; None where neither is said.

        Raises:
            UsageError: one of them alone, or what is no row of numbers.
        """
        if mean is None and std is None:
            return None
        if mean is None or std is None:
            raise UsageError("--mean and --std go together: say both")
        return cls(_numbers(mean, "--mean"), _numbers(std, "--std"))


@dataclass(frozen=True)
class Origin:
    """What a state dict, or a program, does not say of itself.

    Attributes:
        dataset: a plugin, with the parameters that the model was made with.
        loss: a plugin, or the name of any other loss, which rows then show; empty where nobody
            says it.
        backbone: a plugin, with its parameters; of a program any name, or empty for its kind.
        defense: what it went through, `none` for a base model; any name.
        seed: of its training, where it is known.
        clean: the mAP on clean queries that its makers report, in `[0, 1]`; None where they do not.
        licence: under which the weights are handed on.
        renames: keys that are read under other names, one after the other.
        activation: what lies between the linear layers of its head; see `head_of`.
        normalisation: mean and deviation that it was trained with, in `[0, 1]` pixels, one value or
            one per channel each; None for the backbone's own, or those in the file. A program
            without any is taken to normalise its images itself.
        bounded: of a program, whether it ends in a tanh already.
        output: of a program, which one of several things that it gives.
    """

    dataset: str
    loss: str = ""
    backbone: str = ""
    defense: str = "none"
    seed: int = 0
    clean: float | None = None
    licence: str = "not stated"
    renames: tuple[Rename, ...] = ()
    activation: str | None = None
    normalisation: Normalisation | None = None
    bounded: bool = False
    output: str = ""

    def __post_init__(self) -> None:
        if self.clean is not None and not 0 <= self.clean <= 1:
            raise UsageError(
                f"the clean mAP is {self.clean}, but must be a share from 0 to 1 (0.82 for 82 %)"
            )
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise UsageError(
                f"activation '{briefly(self.activation)}'"
                f"{did_you_mean(self.activation, ACTIVATIONS)}"
            )


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{option} is '{briefly(text)}', expected a number or one per channel with "
            "commas between, as in 0.485,0.456,0.406"
        ) from None
