"""Checks of fixed hashes, in the order in which they are tried."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch

from hashbench.errors import UsageError
from hashbench.plugins.parameters import Spec, build, canonical
from hashbench.testing.checking import CLASS, Check, check, require, skip_unless
from hashbench.testing.hasher_proofs import PROOFS
from hashbench.testing.hasher_stage import (
    SIZES,
    HasherStage,
    Pixels,
    as_images,
    like_a_photograph,
)
from hashbench.testing.surroundings import own_random_state

ROUNDING: Final = 1e-4
"""How much of its size a value may move with its batch: float32 adds up in another order."""

_ODD_SIZES: Final = ((1, 1), (1, 7), (9, 2), (33, 31), (8, 300), (256, 256))


@check("bits", "bits is a whole number from 1 on, always the same", method="bits")
def bits(stage: HasherStage) -> None:
    found: object = stage.plugin.bits
    require(
        isinstance(found, int) and not isinstance(found, bool) and found >= 1,
        f"bits is {found!r}, expected a whole number from 1 on",
    )
    again: object = stage.plugin.bits
    require(found == again, f"bits is {found!r}, then {again!r}")


@check(
    "threshold",
    "threshold is a whole number of 0 to bits - 1, always the same",
    needs=["bits"],
    method="threshold",
)
def threshold(stage: HasherStage) -> None:
    found: object = stage.plugin.threshold
    most = stage.plugin.bits - 1
    require(
        isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= most,
        f"threshold is {found!r}, expected a whole number of 0 to {most}: at {most + 1} bits any "
        "two pictures match",
    )
    again: object = stage.plugin.threshold
    require(found == again, f"threshold is {found!r}, then {again!r}")


@check("reads", "reads() names files that are there", method="reads")
def reads(stage: HasherStage) -> None:
    found: object = stage.plugin.reads()
    require(
        isinstance(found, tuple) and all(isinstance(path, Path) for path in found),
        f"reads() returned {found!r}, expected a tuple of paths",
    )
    for path in stage.plugin.reads():
        require(path.is_file(), f"reads() names {path}, which is no file")


@check(
    "answers",
    "verdict() returns a NumPy array of bool, one value for each of its bits",
    needs=["bits"],
)
def answers(stage: HasherStage) -> None:
    stage.code(stage.usual)


@check(
    "sizes",
    "it takes pictures of any size, or refuses one with a UsageError",
    needs=["answers"],
)
def sizes(stage: HasherStage) -> None:
    for size in (*SIZES, *_ODD_SIZES):
        try:
            stage.code(like_a_photograph(*size, seed=1))
        except UsageError:
            require(size not in SIZES, f"a picture of {size[0]} x {size[1]} pixels is refused")


@check(
    "plain-pictures",
    "grey, black, white and checked pictures have a code too",
    needs=["answers"],
)
def plain_pictures(stage: HasherStage) -> None:
    grey = np.repeat(stage.usual[..., :1], 3, axis=2)
    checked = np.zeros_like(stage.usual)
    checked[::2, ::2] = checked[1::2, 1::2] = 255
    for picture in (grey, np.zeros_like(grey), np.full_like(grey, 255), checked):
        stage.code(picture)


@check("tells-pictures-apart", "different pictures have different codes", needs=["answers"])
def tells_pictures_apart(stage: HasherStage) -> None:
    found = {stage.code(picture).tobytes() for picture in stage.pictures}
    require(len(found) > 1, f"all of {len(stage.pictures)} different pictures have the same code")


@check("repeats", "the same picture gives the same code", needs=["answers"])
def repeats(stage: HasherStage) -> None:
    first, again = stage.code(stage.usual), stage.code(stage.usual, seed=1)
    require(
        np.array_equal(first, again),
        f"asked twice, {int((first != again).sum())} bits of a picture's code differ",
    )


@check("order", "a code does not depend on what was asked before", needs=["repeats"])
def order(stage: HasherStage) -> None:
    forward = [stage.code(picture) for picture in stage.pictures]
    backward = [stage.code(picture) for picture in reversed(stage.pictures)][::-1]
    moved = sum(not np.array_equal(*pair) for pair in zip(forward, backward, strict=True))
    require(
        not moved,
        f"asked in another order, {moved} of {len(forward)} pictures have another code: keep "
        "nothing of a call",
    )


@check("leaves-pictures-alone", "it does not change its picture in place", needs=["answers"])
def leaves_pictures_alone(stage: HasherStage) -> None:
    picture = stage.usual.copy()
    with own_random_state():
        stage.plugin.verdict(picture)
    require(np.array_equal(picture, stage.usual), "it changes its picture in place")


@check("leaves-global-rng-alone", "it draws from no process-wide generator", needs=["answers"])
def leaves_global_rng_alone(stage: HasherStage) -> None:
    with own_random_state() as touched:
        stage.plugin.verdict(stage.usual.copy())
    require(
        not touched.generators,
        f"it draws from, or seeds, the process-wide generator of {', '.join(touched.generators)}",
    )


@check(
    "memory-layout",
    "a code does not depend on how the picture lies in memory",
    needs=["repeats", "leaves-pictures-alone"],
)
def memory_layout(stage: HasherStage) -> None:
    wanted = stage.code(stage.usual)
    for words, picture in _layouts(stage.usual):
        with own_random_state():
            found = stage.as_code(stage.plugin.verdict(picture))
        require(
            np.array_equal(found, wanted),
            f"{int((found != wanted).sum())} bits differ where the picture {words}: begin with "
            "numpy.ascontiguousarray(picture)",
        )


def _layouts(picture: Pixels) -> Iterator[tuple[str, Pixels]]:
    """The same pixels, lying otherwise."""
    yield "lies in Fortran's order", np.asfortranarray(picture)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    yield "is a view of channels first", planes.transpose(1, 2, 0)
    yield "is read backwards", np.ascontiguousarray(picture[::-1, ::-1])[::-1, ::-1]
    wide = np.zeros((2 * picture.shape[0], 2 * picture.shape[1], 3), np.uint8)
    wide[::2, ::2] = picture
    yield "is part of a larger one", wide[::2, ::2]
    fixed = picture.copy()
    fixed.setflags(write=False)
    yield "cannot be written to", fixed


@check(
    "rebuilt",
    "a copy of it, and one that its text builds, give the same codes",
    needs=["repeats", "round-trip", "copyable"],
    method=CLASS,
)
def rebuilt(stage: HasherStage) -> None:
    spec = Spec.parse(canonical(stage.plugin))
    others = (
        copy.deepcopy(stage.plugin),
        build(type(stage.plugin), dict(spec.given), spec.preset),
    )
    for other in others:
        found = HasherStage(other).code(stage.usual)
        require(np.array_equal(found, stage.code(stage.usual)), "built again it gives other codes")


@check(
    "replica",
    "its replica gives finite values (B, bits), as floats",
    needs=["answers"],
    method="replica",
)
def replica(stage: HasherStage) -> None:
    skip_unless(bool(stage.compared), "no replica")
    for network, pictures in stage.compared:
        found = stage.values(network, as_images(pictures))
        require(found.is_floating_point(), f"the replica gives {found.dtype}, expected floats")
        require(bool(torch.isfinite(found).all()), "the replica gives NaN or infinity")


@check(
    "replica-agrees",
    "at whole pixels a value of the replica is above 0 exactly where the code says 1",
    needs=["replica", "repeats"],
    method="replica",
)
def replica_agrees(stage: HasherStage) -> None:
    skip_unless(bool(stage.compared), "no replica")
    wrong = total = 0
    for network, pictures in stage.compared:
        values = stage.values(network, as_images(pictures)).numpy()
        codes = np.stack([stage.code(picture) for picture in pictures])
        wrong += int(((values > 0) != codes).sum())
        total += codes.size
    require(not wrong, f"{wrong} of {total:,} bits of the replica differ from verdict()")


@check(
    "replica-gradient",
    "a finite gradient, not 0, goes from its replica's values to the pixels",
    needs=["replica"],
    method="replica",
)
def replica_gradient(stage: HasherStage) -> None:
    skip_unless(bool(stage.compared), "no replica")
    for network, pictures in stage.compared:
        point = as_images(pictures[:2]).requires_grad_(True)
        with own_random_state(), torch.enable_grad():
            values = network(point)
            require(values.requires_grad, "no gradient reaches the pixels: no detach(), no NumPy")
            weights = torch.linspace(-1, 1, values.numel()).reshape(values.shape)
            loss = (values * weights).sum()
            (found,) = torch.autograd.grad(loss, point, allow_unused=True)
        require(found is not None, "no gradient reaches the pixels")
        assert found is not None
        require(bool(torch.isfinite(found).all()), "the gradient by the pixels is not finite")
        require(
            all(bool(one.any()) for one in found),
            "the gradient by the pixels is 0 everywhere: where it rounds, let the gradient through",
        )


@check(
    "replica-batch",
    "a picture's values do not depend on its batch, to float32's rounding",
    needs=["replica"],
    method="replica",
)
def replica_batch(stage: HasherStage) -> None:
    skip_unless(bool(stage.compared), "no replica")
    for network, pictures in stage.compared:
        images = as_images(pictures)
        whole = stage.values(network, images)
        alone = torch.cat([stage.values(network, one[None]) for one in images])
        gap = float((whole - alone).abs().max())
        require(
            gap <= ROUNDING * max(1.0, float(whole.abs().max())),
            f"alone a picture's values move by {gap:.5f}",
        )


@check(
    "replica-leaves-images-alone",
    "its replica does not change its images in place",
    needs=["replica"],
    method="replica",
)
def replica_leaves_images_alone(stage: HasherStage) -> None:
    skip_unless(bool(stage.compared), "no replica")
    for network, pictures in stage.compared:
        images = as_images(pictures)
        with own_random_state(), torch.no_grad():
            network(images)
        require(torch.equal(images, as_images(pictures)), "the replica changes its images in place")


HASHERS: tuple[Check[HasherStage], ...] = (
    bits,
    threshold,
    reads,
    answers,
    sizes,
    plain_pictures,
    tells_pictures_apart,
    repeats,
    order,
    leaves_pictures_alone,
    leaves_global_rng_alone,
    memory_layout,
    rebuilt,
    replica,
    replica_agrees,
    replica_gradient,
    replica_batch,
    replica_leaves_images_alone,
    *PROOFS,
)
