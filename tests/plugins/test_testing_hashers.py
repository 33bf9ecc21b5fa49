"""The conformance kit on fixed hashes: a wrong one fails just the check of its broken rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench.plugins import Hasher, Proof, hasher
from hashbench.testing import HASHER_CHECKS, check_hasher
from hashbench.testing.identity import IDENTITY

Pixels = np.ndarray[Any, Any]

CALLS = count()


def names(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.check for outcome in outcomes]


def parts(height: int, width: int) -> list[tuple[slice, slice]]:
    """Four rows of four fields; of a picture that is smaller they overlap."""
    rows, columns = (
        [slice(at * side // 4, max((at + 1) * side // 4, at * side // 4 + 1)) for at in range(4)]
        for side in (height, width)
    )
    return [(row, column) for row in rows for column in columns]


def fields(picture: Pixels) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Of each field the sum of red and green, less a hundred and more: in whole numbers."""
    height, width, _ = picture.shape
    whole = picture.astype(np.int64)[..., :2] - 128
    return np.array([whole[rows, columns].sum() for rows, columns in parts(height, width)])


class Sums(nn.Module):
    """The same of images, in float64, where sums of whole numbers are exact."""

    def __init__(self, height: int, width: int, change: Callable[..., Any]) -> None:
        super().__init__()
        self.parts = parts(height, width)
        self.change = change

    def forward(self, images: Tensor) -> Any:
        steps = images.double() * 255
        whole = steps + (steps.round() - steps).detach() - 128
        values = torch.stack(
            [whole[:, :2, rows, columns].sum((1, 2, 3)) for rows, columns in self.parts], 1
        )
        return self.change(values, images)


class Interval(Proof):
    """By intervals of the sums, which are sound; changed by (bound, clean, lowest, highest)."""

    def __init__(self, change: Callable[..., Any]) -> None:
        self.change = change

    def most_turned(self, clean: Pixels, lowest: Pixels, highest: Pixels) -> Any:
        low, high = fields(lowest) > 0, fields(highest) > 0
        return self.change(int((low != high).sum()), clean, lowest, highest)


def as_it_is(value: Any, *_: Any) -> Any:
    return value


@hasher("sound")
@dataclass(frozen=True)
class Sound(Hasher):
    """Keeps every rule: whether sixteen fields are lighter than grey."""

    bits = 16
    threshold: int = 3

    def verdict(self, picture: Pixels) -> Any:
        return fields(picture) > 0

    def replica(self, height: int, width: int) -> Any:
        return Sums(height, width, as_it_is)

    def proof(self, height: int, width: int) -> Any:  # noqa: ARG002
        return Interval(as_it_is)


def changed(
    name: str,
    *,
    verdict: Callable[[Any, Pixels], Any] | None = None,
    replica: Callable[..., Any] | None = None,
    proof: Callable[..., Any] | None = None,
    **attributes: Any,
) -> type[Hasher]:
    """A hash that keeps every rule but in one thing."""

    @hasher(name)
    @dataclass(frozen=True)
    class Changed(Sound):
        """Breaks one rule."""

        def verdict(self, picture: Pixels) -> Any:
            code = super().verdict(picture)
            return code if verdict is None else verdict(code, picture)

        def replica(self, height: int, width: int) -> Any:
            return Sums(height, width, as_it_is if replica is None else replica)

        def proof(self, height: int, width: int) -> Any:  # noqa: ARG002
            return Interval(as_it_is if proof is None else proof)

        def __reduce__(self) -> Any:
            return by_name, (name,)

    for attribute, value in attributes.items():
        setattr(Changed, attribute, value)
    return Changed


def by_name(name: str) -> Any:
    """For copies."""
    return next(wrong for wrong in WRONG if wrong.card.name == name)()


def _with_any_size(code: Any, picture: Pixels) -> Any:
    if min(picture.shape[:2]) < 9:
        raise ZeroDivisionError("something went wrong")
    return code


def _of_colour(code: Any, picture: Pixels) -> Any:
    if not picture.any():
        raise ValueError("nothing to see")
    return code


def _draws(code: Any, picture: Pixels) -> Any:  # noqa: ARG001
    np.random.random()  # noqa: NPY002 - the rule
    return code


SEEN: list[tuple[int, ...]] = []


def _remembers(code: Any, picture: Pixels) -> Any:
    """One bit depends on the last size that was another: the same twice, not in any order."""
    if not SEEN or SEEN[-1] != picture.shape:
        SEEN.append(picture.shape)
    after_small = len(SEEN) > 1 and SEEN[-2][:2] == (47, 61)
    return np.append(code[:-1], code[-1] ^ (after_small and picture.shape[:2] == (72, 96)))


def _in_place(code: Any, picture: Pixels) -> Any:
    if picture.flags.writeable:
        picture[0, 0] ^= 1
    return code


def _of_memory(code: Any, picture: Pixels) -> Any:
    """Reads the first bytes as they lie."""
    return code ^ (not picture.flags.c_contiguous)


def _one_of(code: Any, picture: Pixels) -> Any:  # noqa: ARG001
    return np.ones_like(code)


def _images_in_place(values: Any, images: Tensor) -> Any:
    images.detach().mul_(0)
    return values


def _clean_in_place(bound: Any, clean: Pixels, *_: Any) -> Any:
    clean.fill(0)
    return bound


def _more_of_small_boxes(bound: Any, clean: Pixels, lowest: Pixels, highest: Pixels) -> Any:  # noqa: ARG001
    small = 0 < int((highest.astype(int) - lowest).max()) < 3
    return 16 if small else bound


@hasher("threshold")
@dataclass(frozen=True)
class TooHigh(Sound):
    """Breaks one rule."""

    threshold: int = 16


@hasher("rebuilt")
@dataclass(frozen=True)
class KeepsWhatNoTextSays(Sound):
    """Breaks one rule."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", next(CALLS))

    def verdict(self, picture: Pixels) -> Any:
        return super().verdict(picture) ^ (np.arange(16) == self.key % 16)  # type: ignore[attr-defined]

    def replica(self, height: int, width: int) -> Any:  # noqa: ARG002
        return None

    def proof(self, height: int, width: int) -> Any:  # noqa: ARG002
        return None


WRONG: tuple[type[Hasher], ...] = (
    changed("bits", bits=16.0),
    TooHigh,
    changed("reads", reads=lambda _: (Path("no-such-file"),)),
    changed("answers", verdict=lambda code, _: code.astype(np.uint8)),
    changed("sizes", verdict=_with_any_size),
    changed("plain-pictures", verdict=_of_colour),
    changed(
        "tells-pictures-apart",
        verdict=_one_of,
        replica=lambda values, _: values.abs() + 1,
        proof=lambda *_: 0,
    ),
    changed("repeats", verdict=lambda code, _: code ^ (next(CALLS) % 2 == 0)),
    changed("order", verdict=_remembers),
    changed("leaves-pictures-alone", verdict=_in_place),
    changed("leaves-global-rng-alone", verdict=_draws),
    changed("memory-layout", verdict=_of_memory),
    KeepsWhatNoTextSays,
    changed("replica", replica=lambda values, _: values[:, :5]),
    changed("replica-agrees", replica=lambda values, _: values + 20_000),
    changed("replica-gradient", replica=lambda values, _: values.detach()),
    changed("replica-batch", replica=lambda values, _: values * len(values)),
    changed("replica-leaves-images-alone", replica=_images_in_place),
    changed("proof", proof=lambda bound, *_: bound + 1 if bound < 16 else 16),
    changed("proof-holds", proof=lambda bound, *_: max(0, bound - 1)),
    changed("proof-grows", proof=_more_of_small_boxes),
    changed("proof-leaves-pictures-alone", proof=_clean_in_place),
)

ALSO = {
    "bits": {"threshold"},
    "repeats": {"replica-agrees"},
}
"""What a wrong one cannot help but break besides."""


def test_a_sound_hash_passes() -> None:
    report = check_hasher(Sound)
    report.raise_failures()
    assert names(report.skipped) == ["presets"]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda plugin: plugin.card.name)
def test_a_wrong_hash_fails_its_check(wrong: type[Hasher]) -> None:
    SEEN.clear()
    report = check_hasher(wrong)
    name = wrong.card.name
    assert set(names(report.failed)) - ALSO.get(name, set()) == {name}, report.failed
    assert all("test_testing_hashers.py:" in outcome.place for outcome in report.failed)


def test_every_check_has_its_wrong_hash() -> None:
    checks = {one.name for one in HASHER_CHECKS} - {one.name for one in IDENTITY}
    assert {wrong.card.name for wrong in WRONG} == checks
