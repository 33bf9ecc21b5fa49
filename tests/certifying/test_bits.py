"""Which bits are proven: closed forms of a linear hash."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench.certifying import Box, bits, certified_bits, logit_bounds
from hashbench.eps import Eps
from hashbench.errors import UncertifiableError
from hashbench.hashing.backbone import BackboneNet
from hashbench.hashing.model import HashModel


def test_a_bit_of_a_linear_hash_is_proven_where_no_corner_turns_it() -> None:
    net = BackboneNet(nn.Flatten(), 4, (0.0,), (1.0,))
    model = HashModel(net, 3).eval()
    with torch.no_grad():
        model.hash_layer.weight.copy_(torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [-2, 0, 0, 0]]))
        model.hash_layer.bias.copy_(torch.tensor([-1.0, 0.1, 0.5]))
    image = torch.full((1, 1, 2, 2), 0.5)
    # At eps 1/10 the logits 1, 0.1 and -0.5 move by 0.4, 0.4 and 0.2.
    assert certified_bits(model, image, Eps.parse("0.1")).tolist() == [[1, 0, -1]]
    assert certified_bits(model, image, Eps.parse("0.01")).tolist() == [[1, 1, -1]]


def _network(width: int = 16) -> HashModel:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Flatten())
    return HashModel(BackboneNet(module, width * 64, (0.5,), (0.3,)), 16).eval()


def test_at_eps_0_the_bits_are_the_code() -> None:
    model = _network()
    with torch.no_grad():
        model.hash_layer.weight[:3] = 0
        model.hash_layer.bias[:3] = torch.tensor([0.0, -0.0, -1e-30])
    images = torch.rand(9, 1, 8, 8)
    found = certified_bits(model, images, Eps.parse("0"))
    assert (found == model.codes(images).numpy()).all()
    assert found[:, :3].tolist() == [[1, 1, -1]] * 9


def test_no_bit_is_proven_that_a_sampled_image_turns() -> None:
    model, images = _network(), torch.rand(20, 1, 8, 8)
    for eps in ("0.0001", "0.001", "0.003", "8/255"):
        found = certified_bits(model, images, Eps.parse(eps))
        assert (found != 0).any() or eps == "8/255"
        for _ in range(50):
            radius = float(Eps.parse(eps))
            moved = images + radius * torch.sign(torch.randn_like(images))
            codes = model.codes(moved.clamp(0, 1)).numpy()
            assert ((found == 0) | (found == codes)).all()


def test_parts_of_the_images_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images, eps = _network(), torch.rand(21, 1, 8, 8), Eps.parse("0.001")
    whole = certified_bits(model, images, eps)
    monkeypatch.setattr(bits, "_VALUES", 64 * 4)
    # The room for rounding of float32 is some 1e-6 of a logit: no bit of these is so near.
    assert (certified_bits(model, images, eps) == whole).all()
    assert certified_bits(model, images[:0], eps).shape == (0, 16)


def test_the_room_holds_every_order_of_a_float32_sum() -> None:
    """0.1 + 1e4 - 1e4 ... in float32 has many results; each is inside, where none is in exact."""
    terms = torch.tensor([3e4, 0.1, -3e4, 0.7, 1e3, -1e3, 1e-4])
    model = HashModel(BackboneNet(nn.Flatten(), 7, (0.0,), (1.0,)), 1)
    with torch.no_grad():
        model.hash_layer.weight.copy_(terms[None])
        model.hash_layer.bias.zero_()
    ones = torch.ones(1, 1, 1, 7, dtype=torch.float64)
    exact, roomy = (logit_bounds(model, Box(ones, ones), rounding=room) for room in (False, True))
    sums = set()
    for order in permutations(terms.numpy()):
        total = np.float32(0)
        for term in order:
            total = np.float32(total + term)
        sums.add(float(total))
    assert len(sums) > 10
    assert min(sums) < exact.lower.item() < exact.upper.item() + 1e-9 < max(sums) + 1e-9
    assert roomy.lower.item() <= min(sums)
    assert max(sums) <= roomy.upper.item()


def test_a_code_that_is_no_number_has_no_certificate() -> None:
    model, images = _network(), torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        model.hash_layer.weight[0, 0] = float("nan")
    for eps in ("0", "8/255"):
        with pytest.raises(
            UncertifiableError, match=r"hash_layer\.weight holds values that are not"
        ):
            certified_bits(model, images, Eps.parse(eps))
    with torch.no_grad():
        model.hash_layer.weight[0] = 3e38
    with pytest.raises(UncertifiableError, match="codes are not known"):
        certified_bits(model, torch.full((1, 1, 8, 8), float("nan")), Eps.parse("0"))


def test_a_model_has_a_certificate_at_every_eps_or_at_none() -> None:
    model = _network()
    model.backbone[1] = nn.LayerNorm(8)  # type: ignore[operator]
    for eps in ("0", "0.001"):
        with pytest.raises(UncertifiableError, match="LayerNorm"):
            certified_bits(model, torch.rand(2, 1, 8, 8), Eps.parse(eps))


def test_a_model_whose_code_is_not_its_own_has_no_certificate() -> None:
    class Forgetful(HashModel):
        """Answers its first image as its layers do, and all others upside down."""

        def logits(self, images: Tensor) -> Tensor:
            logits = super().logits(images)
            if isinstance(images, Tensor) and len(images) > 1:
                return -logits
            return logits

    torch.manual_seed(0)
    model = Forgetful(BackboneNet(nn.Flatten(), 64, (0.5,), (0.3,)), 16).eval()
    with pytest.raises(UncertifiableError, match="not what its bounds allow"):
        certified_bits(model, torch.rand(5, 1, 8, 8), Eps.parse("0.001"))
