"""What is proven of the photographs of coco256 at 256 x 256."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import imagehash
import numpy as np
import pdqhash
import pytest
from numpy.typing import NDArray
from PIL import Image

from hashbench.matching.pictures import STEPS, Picture
from hashbench.matching.proofs.dhash_attack import least_turning_eps
from hashbench.matching.proofs.dhash_proof import DhashProof
from hashbench.matching.proofs.pdq_proof import PdqProof
from hashbench.matching.proofs.radius import proven_eps
from hashbench.matching.sizes import Size, values_at

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "coco256" / "val2017"


@pytest.fixture(scope="module")
def photographs() -> list[Picture]:
    """All of val2017, brought to 256 x 256 in real values."""
    if not FOLDER.is_dir():
        pytest.skip("the folder coco256 of real data is not next to the checkout")
    found = []
    for path in sorted(FOLDER.glob("*.jpg")):
        with Image.open(path) as image:
            found.append(Picture(path.name, values_at(image.convert("RGB"), Size())))
    assert len(found) == 128
    return found


@pytest.mark.slow
def test_what_is_proven_of_pdq(photographs: list[Picture]) -> None:
    def verdict(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.asarray(pdqhash.compute(picture)[0])[::-1].astype(np.bool_)

    proof = PdqProof(verdict)
    eps = [proven_eps(one, proof, 31) for one in photographs]
    mean = float(sum(eps, Fraction(0)) / len(eps) * STEPS)
    print(f"pdq, T = 31: proven {mean:.3f}/255 on the mean")  # noqa: T201
    assert mean >= 0.55


@pytest.mark.slow
def test_the_least_eps_for_one_bit_of_dhash(photographs: list[Picture]) -> None:
    def verdict(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.asarray(imagehash.dhash(Image.fromarray(picture)).hash).ravel()

    gaps = []
    for one in photographs:
        proven = proven_eps(one, DhashProof(), 0)
        attacked = least_turning_eps(one, verdict, proven)
        gaps.append(float((attacked - proven) * STEPS) if attacked else float("inf"))
    share = float((np.array(gaps) <= 0.1).mean())
    furthest = max(gaps)
    print(f"dhash, one bit: within 0.1/255 on {share:.3f}, at most {furthest:.3f}")  # noqa: T201
    assert share >= 0.9
