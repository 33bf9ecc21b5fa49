"""Which losses say what codes their classes have."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from hashbench.hashing import BoundLoss

Bind = Callable[..., BoundLoss]


@pytest.mark.parametrize("spec", ["csq", "dpn", "ortho"])
def test_a_loss_with_class_codes_hands_them_out(spec: str, bound: Bind) -> None:
    codes = bound(spec, torch.eye(5), 16).class_codes()
    assert codes is not None
    assert codes.shape == (5, 16)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("spec", ["csq", "dpn"])
def test_images_of_one_label_are_pulled_to_their_classs_code(spec: str, bound: Bind) -> None:
    loss = bound(spec, torch.eye(5)[[3, 0, 3]], 16)
    codes = loss.class_codes()
    assert codes is not None
    assert torch.equal(loss.targets, codes[[3, 0, 3]])  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", ["dpsh", "dch", "hashnet", "dph", "dsh"])
def test_a_loss_of_pairs_has_none(spec: str, bound: Bind) -> None:
    assert bound(spec, torch.eye(5), 16).class_codes() is None
