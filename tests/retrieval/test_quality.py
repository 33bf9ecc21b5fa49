"""Code quality in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from hashbench.retrieval import code_quality


def test_constant_codes() -> None:
    quality = code_quality(np.ones((10, 6)))
    assert (quality.items, quality.bits, quality.distinct_codes) == (10, 6, 1)
    assert quality.bit_balance == 0
    assert quality.bit_entropy == 0
    assert quality.constant_bits == 6
    assert quality.tied_share is None
    assert quality.saturated_share is None


def test_all_codes_once() -> None:
    bits = (np.arange(16)[:, None] >> np.arange(4)) & 1
    quality = code_quality(2 * bits - 1)
    assert quality.distinct_codes == 16
    assert quality.bit_balance == 1
    assert quality.bit_entropy == 1
    assert quality.constant_bits == 0


def test_one_bit_in_four() -> None:
    codes = np.array([[1, 1], [-1, 1], [-1, 1], [-1, 1]])
    quality = code_quality(codes)
    entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert quality.bit_balance == pytest.approx(0.25)
    assert quality.bit_entropy == pytest.approx(entropy / 2)
    assert quality.constant_bits == 1
    assert quality.distinct_codes == 2


def test_tied_items_in_the_list() -> None:
    query = np.array([[1, 1, 1]])
    # Distances 0, 1, 1, 1, 2, 3.
    database = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1], [-1, -1, 1], [-1, -1, -1]])
    shares = {
        top_k: code_quality(query, database_codes=database, top_k=top_k).tied_share
        for top_k in (1, 2, 4, 5, None, 99)
    }
    assert shares == pytest.approx({1: 0, 2: 1 / 2, 4: 3 / 4, 5: 3 / 5, None: 1 / 2, 99: 1 / 2})


def test_saturated_outputs() -> None:
    outputs = np.array([[1.0, -1.0, 0.5], [0.0, np.nextafter(1, 0), -0.999]])
    codes = np.where(outputs >= 0, 1, -1)
    assert code_quality(codes, outputs=outputs).saturated_share == pytest.approx(2 / 6)
    quality = code_quality(codes, outputs=outputs, saturation=0.999)
    assert quality.saturated_share == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outputs": np.zeros((2, 2))}, "outputs: expected shape"),
        ({"outputs": np.full((2, 3), 1.5)}, r"outputs: expected values in \[-1, 1\]"),
        ({"outputs": np.full((2, 3), np.nan)}, r"outputs: expected values in \[-1, 1\]"),
        ({"outputs": np.zeros((2, 3)), "saturation": 0}, "saturation: expected above 0"),
        ({"database_codes": np.ones((4, 5))}, "database_codes: expected 3 bits"),
        ({"database_codes": np.ones((4, 3)), "top_k": 0}, "top_k: expected a whole number"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        code_quality(np.ones((2, 3)), **arguments)  # type: ignore[arg-type]
