"""The built-in hashes: replicas have the libraries' bits, whatever the picture and its size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import pdqhash
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.hashing.encode import device_of
from hashbench.matching.box_filter import COLORS, cosines, reduction, sampled, window
from hashbench.matching.contract import Hasher
from hashbench.matching.hashers import phash
from hashbench.matching.hashers.ahash import AverageHash
from hashbench.matching.hashers.dhash import DifferenceHash
from hashbench.matching.hashers.pdq import Pdq
from hashbench.matching.hashers.phash import PerceptualHash
from hashbench.matching.imagehashes import COLORS as GREY_COLORS
from hashbench.matching.pdq_arithmetic import luminance, small
from hashbench.matching.pillow_resize import grey, reduced, shares

HASHES = [Pdq(), PerceptualHash(), DifferenceHash(), AverageHash()]
each_hash = pytest.mark.parametrize("hasher", HASHES, ids=lambda one: one.card.name)


def picture(height: int, width: int, form: str, seed: int) -> NDArray[np.uint8]:
    """Noise; black and white; one color; a smooth scene, with little noise on it."""
    generator = np.random.default_rng(seed)
    if form == "constant":
        return np.full((height, width, 3), generator.integers(0, 256, 3), dtype=np.uint8)
    if form == "noise":
        return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if form == "extreme":
        return generator.integers(0, 2, (height, width, 3), dtype=np.uint8) * np.uint8(255)
    down, across = np.linspace(0, 3, height)[:, None], np.linspace(0, 5, width)
    waves = np.cos(down * across + generator.uniform(0, 6)) + np.sin(across - down * 2)
    scene = 128 + 50 * waves[:, :, None] * generator.uniform(0.5, 1, 3)
    return (scene + generator.normal(0, 3, scene.shape)).clip(0, 255).astype(np.uint8)


def images(*pictures: NDArray[np.uint8]) -> torch.Tensor:
    """Pictures of one size as a replica takes them."""
    batch = np.stack(pictures).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(batch)).float() / 255


def replica_of(hasher: Hasher, height: int, width: int) -> torch.nn.Module:
    replica = hasher.replica(height, width)
    assert replica is not None
    return replica


def bits_of_replica(hasher: Hasher, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    values = replica_of(hasher, *pixels.shape[:2])(images(pixels))
    assert values.shape == (1, hasher.bits)
    bits: NDArray[np.bool_] = (values[0] > 0).numpy()
    return bits


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hasher", "size"),
    [
        *((hasher, size) for hasher in HASHES for size in [None, (256, 256)]),
        *((HASHES[0], size) for size in [(512, 384), (384, 512), (97, 131)]),
    ],
    ids=lambda one: one.card.name if isinstance(one, Hasher) else str(one),
)
def test_not_one_bit_differs_on_photographs(
    hasher: Hasher, size: tuple[int, int] | None, shared_data: Callable[[str], Path]
) -> None:
    files = sorted(shared_data("coco256").glob("*2017/*.jpg"))
    assert len(files) == 256
    for file in files:
        with Image.open(file) as opened:
            photo = opened.convert("RGB")
        if size is not None:
            photo = photo.resize((size[1], size[0]), Image.Resampling.BICUBIC)
        pixels = np.asarray(photo)
        np.testing.assert_array_equal(
            bits_of_replica(hasher, pixels), hasher.verdict(pixels), err_msg=file.name
        )


SIDES = st.one_of(st.integers(1, 12), st.integers(1, 90), st.integers(125, 135))
FORMS = st.sampled_from(["noise", "extreme", "constant", "scene"])


@each_hash
@given(SIDES, SIDES, FORMS, st.integers(0, 1000))
@example(1, 1, "noise", 0)
@example(1, 1, "constant", 0)
@example(1, 300, "noise", 0)
@example(300, 1, "scene", 0)
@example(4, 60, "noise", 0)
@example(5, 5, "noise", 0)
@example(64, 64, "noise", 0)
@example(64, 64, "constant", 0)
@example(8, 9, "noise", 0)
@example(300, 40, "scene", 0)
@example(257, 129, "constant", 1)
@example(200, 300, "constant", 2)
def test_not_one_bit_differs_at_any_size(
    hasher: Hasher, height: int, width: int, form: str, seed: int
) -> None:
    pixels = picture(height, width, form, seed)
    np.testing.assert_array_equal(bits_of_replica(hasher, pixels), hasher.verdict(pixels))


@each_hash
def test_a_batch_is_its_pictures_one_by_one(hasher: Hasher) -> None:
    pictures = [picture(60, 83, form, 3) for form in ("noise", "scene", "constant", "extreme")]
    replica = replica_of(hasher, 60, 83)
    together = replica(images(*pictures))
    for values, pixels in zip(together, pictures, strict=True):
        assert torch.equal(values, replica(images(pixels))[0])


def test_the_verdicts_are_the_libraries() -> None:
    pixels = picture(120, 90, "scene", 5)
    image = Image.fromarray(pixels)
    answers = [imagehash.phash(image), imagehash.dhash(image), imagehash.average_hash(image)]
    for hasher, answer in zip(HASHES[1:], answers, strict=True):
        np.testing.assert_array_equal(hasher.verdict(pixels), answer.hash.ravel())
    bits, quality = pdqhash.compute(pixels)
    np.testing.assert_array_equal(Pdq().verdict(pixels)[::-1], bits)
    assert Pdq().quality(pixels) == quality


def test_quality_is_0_of_one_color_and_100_of_noise() -> None:
    assert Pdq().quality(picture(80, 80, "constant", 0)) == 0
    assert Pdq().quality(picture(80, 80, "extreme", 0)) == 100


def meant(hasher: Hasher, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the hash compares, in float64, by the formulas alone."""
    height, width = pixels.shape[:2]
    if isinstance(hasher, Pdq):
        down, across = cosines() @ reduction(height), cosines() @ reduction(width)
        return np.asarray(down @ (pixels @ np.array(COLORS)) @ across.T)
    side = {"phash": (32, 32), "dhash": (8, 9), "ahash": (8, 8)}[hasher.card.name]
    greys = reduced(grey(pixels), *side).astype(np.float64)
    if isinstance(hasher, PerceptualHash):
        place = (2 * np.arange(32) + 1) * np.pi / 64
        transform = 2 * np.cos(np.arange(8)[:, None] * place)
        return np.asarray(transform @ greys @ transform.T)
    return greys


def test_the_library_computes_the_formula_of_pdq() -> None:
    for height, width in [(256, 256), (97, 131), (200, 300), (64, 64)]:
        pixels = picture(height, width, "scene", height)
        values = meant(Pdq(), pixels).ravel()
        margins = values - np.sort(values)[127]
        clear = np.abs(margins) > 0.01
        assert clear.sum() > 240
        np.testing.assert_array_equal(Pdq().verdict(pixels)[clear], margins[clear] > 0)


@given(st.integers(5, 300), st.integers(5, 300), st.integers(0, 1000))
@example(256, 256, 0)
@example(64, 64, 0)
def test_the_box_filter_of_the_library_is_the_matrix_up_to_float32(
    height: int, width: int, seed: int
) -> None:
    colors = picture(height, width, "noise", seed)[None]
    expected = reduction(height) @ luminance(colors)[0].astype(np.float64) @ reduction(width).T
    found = small(luminance(colors))[0]
    # A sum of up to w + 1 values of at most 255 is rounded twice a step, then divided by at least
    # half of w; a division rounds once more. Means of such errors are no larger.
    unit = 255 * 2.0**-24
    bound = sum(
        2 * (2 * side * (window(side) + 1) / ((window(side) + 1) // 2) + 1) * unit
        for side in (height, width)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.01 * bound)
    assert sampled(height).max() < height


def linear(hasher: Hasher, weights: NDArray[np.float64], height: int, width: int) -> torch.Tensor:
    """The gradient of `weights . (what the hash compares)` without any rounding, (3, H, W)."""
    if isinstance(hasher, Pdq):
        down, across = cosines() @ reduction(height), cosines() @ reduction(width)
        colors = COLORS
    else:
        side = {"phash": (32, 32), "dhash": (8, 9), "ahash": (8, 8)}[hasher.card.name]
        down, across = shares(height, side[0]), shares(width, side[1])
        colors = GREY_COLORS
        if isinstance(hasher, PerceptualHash):
            down, across = phash.cosines() @ down, phash.cosines() @ across
    grey_gradient = down.T @ weights @ across
    return torch.from_numpy(255 * np.array(colors)[:, None, None] * grey_gradient)


@each_hash
def test_gradients_are_those_of_the_linear_map_and_of_the_threshold(hasher: Hasher) -> None:
    height, width = 75, 90
    pixels = picture(height, width, "scene", 8)
    inputs = images(pixels).requires_grad_()
    chosen = np.random.default_rng(1).normal(size=hasher.bits)
    values = replica_of(hasher, height, width)(inputs)[0]
    (values @ torch.from_numpy(chosen).float()).backward()
    compared = meant(hasher, pixels)
    order = np.argsort(compared.ravel())
    weights = chosen.copy()
    if isinstance(hasher, Pdq):
        weights[order[127]] -= chosen.sum()
    elif isinstance(hasher, PerceptualHash):
        weights[order[31:33]] -= chosen.sum() / 2
    elif isinstance(hasher, AverageHash):
        weights -= chosen.mean()
    else:
        before = np.pad(chosen.reshape(8, 8), ((0, 0), (1, 0)))
        weights = (before - np.pad(chosen.reshape(8, 8), ((0, 0), (0, 1)))).ravel()
    expected = linear(hasher, weights.reshape(compared.shape), height, width)
    assert inputs.grad is not None
    found = inputs.grad[0].double()
    # float32: some hundred products and sums, each rounded by at most 2^-24 of the largest.
    bound = 1000 * 2.0**-24 * float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=bound)
    assert float(found.abs().max()) > 0


@each_hash
def test_between_whole_steps_it_is_the_nearest_one(hasher: Hasher) -> None:
    pixels = picture(40, 52, "scene", 2)
    drawn = torch.Generator().manual_seed(0)
    moved = images(pixels) + (torch.rand((1, 3, 40, 52), generator=drawn) - 0.5) * 0.99 / 255
    replica = replica_of(hasher, 40, 52)
    assert torch.equal(replica(moved), replica(images(pixels)))
    half = torch.full((1, 3, 40, 52), 100.5 / 255, dtype=torch.float64)
    above = torch.full((1, 3, 40, 52), 101 / 255, dtype=torch.float64)
    assert torch.equal(replica(half), replica(above))


@each_hash
def test_a_replica_says_its_device_and_answers_in_the_type_it_is_asked_in(hasher: Hasher) -> None:
    replica = replica_of(hasher, 30, 30)
    assert device_of(replica).type == "cpu"
    inputs = images(picture(30, 30, "noise", 0)).double().requires_grad_()
    values = replica(inputs)
    values.sum().backward()
    assert values.dtype == torch.float64
    assert inputs.grad is not None
    assert inputs.grad.dtype == torch.float64
    assert not list(replica.parameters())


@each_hash
def test_a_threshold_lies_within_the_code(hasher: Hasher) -> None:
    assert type(hasher)(threshold=0).threshold == 0  # type: ignore[call-arg]
    for wrong in (-1, hasher.bits):
        with pytest.raises(UsageError, match=rf"0 to {hasher.bits - 1} bits, found {wrong}"):
            type(hasher)(threshold=wrong)  # type: ignore[call-arg]


def test_thresholds_are_those_that_are_advised() -> None:
    assert [hasher.threshold for hasher in HASHES] == [31, 10, 10, 10]
    assert [hasher.bits for hasher in HASHES] == [256, 64, 64, 64]
    assert [plugins.get("hasher", one.card.name) for one in HASHES] == HASHES


@each_hash
def test_a_missing_package_is_said_before_any_work(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, hasher.packages[0], None)
    needed = rf"'{hasher.card.name}' needs the package .*pip install 'hashbench\[perceptual\]'"
    with pytest.raises(UsageError, match=needed):
        type(hasher)()
    with pytest.raises(UsageError, match=needed):
        hasher.verdict(picture(20, 20, "noise", 0))
