"""No file of a box turns more bits than is proven, by the libraries; false proofs are caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import imagehash
import numpy as np
import pdqhash
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import Bounds, LinearConstraint, milp

from hashbench.matching.box_filter import cosines, reduction, sampled, window
from hashbench.matching.contract import Proof
from hashbench.matching.pillow_resize import grey, reduced, weights
from hashbench.matching.proofs import ahash_proof, dhash_proof, pdq_proof, phash_proof
from hashbench.matching.proofs.pillow_bounds import Interval, Pass, combined, passed, small_bounds
from support.box_files import files_of_the_box, most_found

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]


def pdq(picture: Picture) -> Bits:
    return np.asarray(pdqhash.compute(picture)[0])[::-1].astype(np.bool_)


def phash(picture: Picture) -> Bits:
    return np.asarray(imagehash.phash(Image.fromarray(picture)).hash).ravel()


def dhash(picture: Picture) -> Bits:
    return np.asarray(imagehash.dhash(Image.fromarray(picture)).hash).ravel()


def ahash(picture: Picture) -> Bits:
    return np.asarray(imagehash.average_hash(Image.fromarray(picture)).hash).ravel()


@dataclass(frozen=True)
class Case:
    """A hash with its proof, and the linear map that its bits compare values of."""

    name: str
    verdict: Callable[[Picture], Bits]
    proof: Proof
    down: Callable[[int], Floats]
    across: Callable[[int], Floats]

    def wanted(self, picture: Picture) -> Floats:
        """Where each value should go to turn bits: the nearest to its threshold first."""
        values = self.down(picture.shape[0]) @ grey(picture) @ self.across(picture.shape[1]).T
        level = 0.0 if self.name == "dhash" else float(np.median(values))
        margins = values - level
        out: Floats = -np.sign(margins + 1e-9) / (1 + np.abs(margins))
        return out


def _pillow(wanted: int, rows: Floats | None = None) -> Callable[[int], Floats]:
    def matrix(side: int) -> Floats:
        shares: Floats = weights(side, wanted) / 2.0**22
        return shares if rows is None else rows @ shares

    return matrix


_LOW = phash_proof._rows()
CASES = (
    Case(
        "pdq",
        pdq,
        pdq_proof.PdqProof(pdq),
        lambda side: cosines() @ reduction(side),
        lambda side: cosines() @ reduction(side),
    ),
    Case("phash", phash, phash_proof.PhashProof(phash), _pillow(32, _LOW), _pillow(32, _LOW)),
    Case(
        "dhash", dhash, dhash_proof.DhashProof(), _pillow(8), _pillow(9, np.diff(np.eye(9), axis=0))
    ),
    Case("ahash", ahash, ahash_proof.AhashProof(), _pillow(8), _pillow(8)),
)
SIZES = ((5, 5), (8, 8), (9, 31), (40, 12), (12, 40), (32, 32), (64, 64), (70, 50))


def _pictures(size: tuple[int, int], rng: np.random.Generator) -> list[Picture]:
    """Noise, a smooth one, one of one grey, and one of black and white."""
    height, width = size
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:height, :width]
    smooth = 128 + 90 * np.sin(rows / height * 5 + rng.random()) * np.cos(columns / width * 4)
    flat = np.full((height, width, 3), rng.integers(0, 256), dtype=np.uint8)
    return [
        noise,
        np.repeat(smooth[:, :, None], 3, axis=2).astype(np.uint8),
        flat,
        ((noise > 127) * np.uint8(255)).astype(np.uint8),
    ]


def _box(picture: Picture, steps: int, rng: np.random.Generator) -> tuple[Picture, Picture]:
    """A box that is not the same on both sides; with 0 steps, of a few pixels alone."""
    wide = picture.astype(np.int64)
    reach = rng.integers(0, steps, (2, *picture.shape), endpoint=True)
    if not steps:
        reach = (rng.random((2, *picture.shape)) < 0.05).astype(np.int64)
    low, high = (wide - reach[0]).clip(0, 255), (wide + reach[1]).clip(0, 255)
    return low.astype(np.uint8), high.astype(np.uint8)


def beyond(case: Case, size: tuple[int, int], tries: int = 3, seed: int = 0) -> int:
    """By how many bits the worst file found goes beyond the proof, over pictures and boxes."""
    rng = np.random.default_rng([seed, *size])
    worst = -256
    for clean in _pictures(size, rng):
        for steps in (0, 1, 2, 5):
            lowest, highest = _box(clean, steps, rng)
            files = files_of_the_box(
                lowest,
                highest,
                case.down(size[0]),
                case.across(size[1]),
                case.wanted(clean),
                rng,
                tries,
            )
            found = most_found(case.verdict, clean, files)
            worst = max(worst, found - case.proof.most_turned(clean, lowest, highest))
    return worst


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_file_of_a_box_turns_more_bits(case: Case, size: tuple[int, int]) -> None:
    assert beyond(case, size) <= 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_turns_in_a_box_of_one_file(case: Case) -> None:
    rng = np.random.default_rng(0)
    for size in SIZES[:5]:
        for clean in _pictures(size, rng):
            assert case.proof.most_turned(clean, clean, clean) == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_file_of_a_tiny_box_is_within_the_proof(case: Case) -> None:
    rng = np.random.default_rng(1)
    for clean in _pictures((6, 6), rng):
        lowest, highest = clean.copy(), clean.copy()
        places = rng.integers(0, 6, (7, 2))
        for row, column in places:
            lowest[row, column, 1] = max(int(clean[row, column, 1]) - 9, 0)
            highest[row, column, 1] = min(int(clean[row, column, 1]) + 9, 255)
        code = case.verdict(clean)
        bound = case.proof.most_turned(clean, lowest, highest)
        for choice in range(2**7):
            file = clean.copy()
            for bit, (row, column) in enumerate(places):
                file[row, column] = (highest if choice >> bit & 1 else lowest)[row, column]
            assert int((case.verdict(file) != code).sum()) <= bound


def outside_ball(size: tuple[int, int], seed: int = 0) -> float:
    """How far PDQ's frequencies, as the library has them, ever lie outside of what is proven."""
    rng, case, worst = np.random.default_rng([seed, *size]), CASES[0], -np.inf
    unseen = np.outer(reduction(size[0]).sum(axis=0) > 0, reduction(size[1]).sum(axis=0) > 0) == 0
    for clean in _pictures(size, rng):
        boxes = [_box(clean, steps, rng) for steps in (0, 1, 4)]
        # Pixels that are not sampled change nothing but the rounding.
        boxes.append(
            (
                np.where(unseen[:, :, None], np.uint8(0), clean),
                np.where(unseen[:, :, None], np.uint8(255), clean),
            )
        )
        for lowest, highest in boxes:
            middle, radius = pdq_proof.ball(lowest, highest)
            wanted = case.wanted(clean)
            down, across = case.down(size[0]), case.across(size[1])
            for file in files_of_the_box(lowest, highest, down, across, wanted, rng, 2):
                found = np.asarray(pdqhash.compute_float(file)[0])[::-1].reshape(16, 16)
                worst = max(worst, float(np.linalg.norm(found - middle)) - radius)
        # The last row alone: where the boxes are shorter.
        end = clean.copy()
        end[-1] ^= 255
        lowest, highest = np.minimum(clean, end), np.maximum(clean, end)
        middle, radius = pdq_proof.ball(lowest, highest)
        for file in (lowest, highest):
            found = np.asarray(pdqhash.compute_float(file)[0])[::-1].reshape(16, 16)
            worst = max(worst, float(np.linalg.norm(found - middle)) - radius)
    return worst


def test_pdqs_frequencies_lie_where_it_is_proven() -> None:
    assert max(outside_ball(size) for size in (*SIZES, (200, 200), (256, 256), (97, 131))) <= 0


def test_forgetting_the_rounding_of_float32_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdq_proof, "filter_rounding", lambda *_: np.zeros((64, 64)))
    monkeypatch.setattr(pdq_proof, "_PRODUCT", 0.0)
    assert outside_ball((256, 256)) > 0


def test_forgetting_the_shorter_boxes_at_the_ends_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def whole_boxes(side: int) -> Floats:
        # Every box as long as the full one, and what lies outside left out.
        full = window(side)
        one = np.zeros((side, side))
        for place in range(side):
            first = place + (full + 2) // 2 - full
            one[place, max(first, 0) : first + full] = 1 / full
        matrix: Floats = (one @ one)[sampled(side)]
        return matrix

    monkeypatch.setattr(pdq_proof, "reduction", whole_boxes)
    assert outside_ball((200, 200)) > 0


def outside_intervals(size: tuple[int, int], seed: int = 0) -> float:
    """How far Pillow's small greys, and sums of them, ever lie outside of what is proven."""
    rng, worst = np.random.default_rng([seed, *size]), -np.inf
    for clean in _pictures(size, rng):
        lowest, highest = _box(clean, int(rng.integers(0, 4)), rng)
        for wanted in ((8, 8), (8, 9), (32, 32)):
            small = small_bounds(lowest, highest, *wanted)
            maps = np.eye(wanted[0])[:3], np.diff(np.eye(wanted[1]), axis=0)
            sums = combined(small, maps[0], maps[1])
            above = ahash_proof.above_mean(small) if wanted == (8, 8) else None
            balls = phash_proof.distances(small) if wanted == (32, 32) else []
            for file in [lowest, highest, *(_file(lowest, highest, rng) for _ in range(8))]:
                greys = reduced(grey(file), *wanted).astype(np.float64)
                worst = max(worst, _beyond(small.values, greys))
                worst = max(worst, _beyond(sums, maps[0] @ greys @ maps[1].T))
                if above is not None:
                    worst = max(worst, _beyond(above, greys - greys.mean()))
                low = _LOW @ greys @ _LOW.T if balls else greys
                for middle, radius in balls:
                    worst = max(worst, float(np.linalg.norm(low - middle)) - radius - 1e-7)
    return worst


def _file(lowest: Picture, highest: Picture, rng: np.random.Generator) -> Picture:
    file: Picture = rng.integers(lowest, highest, endpoint=True, dtype=np.uint8)
    return file


def _beyond(interval: Interval, values: Floats) -> float:
    return float(np.maximum(interval.low - values, values - interval.high).max()) - 1e-9


def test_pillows_greys_lie_where_it_is_proven() -> None:
    assert max(outside_intervals(size) for size in SIZES) <= 0


@pytest.mark.parametrize("fault", ["values", "errors"])
def test_forgetting_the_rounding_of_pillow_is_caught(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def exact(values: Interval, wanted: int) -> Pass:
        sums = values.through(weights(len(values.low), wanted) / 2.0**22)
        none = Interval(np.zeros_like(sums.low), np.zeros_like(sums.low))
        true = passed(values, wanted)
        return Pass(sums, true.errors) if fault == "values" else Pass(true.values, none)

    monkeypatch.setattr("hashbench.matching.proofs.pillow_bounds.passed", exact)
    assert max(outside_intervals(size) for size in SIZES) > 0


def test_forgetting_that_weights_are_negative_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Interval, "through", lambda box, matrix: Interval(matrix @ box.low, matrix @ box.high)
    )
    assert max(outside_intervals(size) for size in SIZES) > 0


def test_a_box_of_one_file_has_its_greys() -> None:
    rng = np.random.default_rng(3)
    for size in SIZES:
        for clean in _pictures(size, rng):
            for wanted in ((8, 8), (8, 9), (32, 32)):
                values = small_bounds(clean, clean, *wanted).values
                assert np.array_equal(values.low, reduced(grey(clean), *wanted))
                assert np.array_equal(values.high, values.low)


def test_the_first_pass_is_reached() -> None:
    rng = np.random.default_rng(4)
    low = rng.integers(0, 200, (40, 3)).astype(np.float64)
    high = low + rng.integers(0, 50, low.shape)
    out = passed(Interval(low, high), 8).values
    matrix = weights(40, 8)
    for row in range(8):
        for column in range(3):
            up = np.where(matrix[row] > 0, high[:, column], low[:, column])
            total = int(matrix[row] @ up.astype(np.int64))
            assert out.high[row, column] == min(max((total + (1 << 21)) >> 22, 0), 255)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_rows_of_dhash_are_counted_as_by_integer_programmes(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(10):
        clean = rng.integers(0, 12, count + 1)
        low, high = clean - rng.integers(0, 4, count + 1), clean + rng.integers(0, 4, count + 1)
        step = np.diff(clean)
        least, most = step - rng.integers(0, 4, count), step + rng.integers(0, 4, count)
        on = step > 0
        # Turned bits t in {0, 1} and values s: an on bit turns only where s' - s <= 0, and an off
        # bit only where s' - s >= 1; 99 is more than any step.
        steps = np.diff(np.eye(count + 1), axis=0)
        sign = np.where(on, 1.0, -1.0)
        rows = np.hstack([steps * sign[:, None], 99 * np.eye(count)])
        limits = np.where(on, 0.0, -1.0) + 99
        answer = milp(
            np.concatenate([np.zeros(count + 1), -np.ones(count)]),
            integrality=np.ones(2 * count + 1, dtype=np.int64),
            bounds=Bounds(
                np.concatenate([low, np.zeros(count)]), np.concatenate([high, np.ones(count)])
            ),
            constraints=[
                LinearConstraint(rows, -np.inf, limits),
                LinearConstraint(np.hstack([steps, np.zeros((count, count))]), least, most),
            ],
        )
        found = dhash_proof.turned_in_rows(
            Interval(low[None].astype(float), high[None].astype(float)),
            Interval(least[None].astype(float), most[None].astype(float)),
            on[None],
        )
        assert answer.fun is not None
        assert found.item() == round(-answer.fun)
