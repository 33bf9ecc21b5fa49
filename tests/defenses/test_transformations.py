"""Input transformations: forward the true one, backward BPDA; the base model is shared."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from hashbench import plugins
from hashbench.attacking.attacked_model import AttackedModel
from hashbench.defending import (
    InputTransformation,
    TransformedModel,
    WrappedModel,
    straight_through,
)
from hashbench.errors import PluginError, UsageError
from hashbench.hashing import BackboneNet, HashModel, codes_of
from hashbench.hashing.encode import evaluating
from hashbench.plugins import defense

Build = Callable[..., HashModel]

BPDA = ["jpeg", "bit-depth"]
ALL = [*BPDA, "resize-pad"]


def transformation(spec: str) -> InputTransformation:
    found = plugins.get("defense", spec)
    assert isinstance(found, InputTransformation)
    return found


def images_of(seed: int, *shape: int) -> Tensor:
    """Random 8-bit images, in `[0, 1]`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, shape, generator=generator).float() / 255


def linear_model(channels: int, side: int) -> HashModel:
    """`z = W ((x - 0.5) / 0.25) + b`, four bits."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        pixels = channels * side * side
        net = BackboneNet(nn.Flatten(), pixels, (0.5,) * channels, (0.25,) * channels)
        return HashModel(net, 4).eval()


# What every wrapper keeps of its base model.


@pytest.mark.parametrize("name", ALL)
def test_the_base_model_is_shared_and_stays_as_it_is(name: str, small_model: Build) -> None:
    base = small_model()
    before = {key: value.clone() for key, value in base.state_dict().items()}
    model = transformation(name).wrap(base)
    model.outputs(images_of(0, 9, 1, 4, 4).requires_grad_()).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in base.state_dict().items())
    assert [id(p) for p in model.parameters()] == [id(p) for p in base.parameters()]
    assert {id(b) for b in model.buffers()} == {id(b) for b in base.buffers()}
    assert model.state_dict().keys() == {f"base.{key}" for key in before}
    assert model.bits == base.bits
    assert model.mean is base.mean
    assert model.std is base.std
    assert model.hash_layer is base.hash_layer
    assert model.backbone is base.backbone
    assert model.mixed is False
    base.mixed = True
    assert model.mixed is True
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.nothing


@pytest.mark.parametrize("name", ALL)
def test_modes_pass_through_and_are_restored(name: str, small_model: Build) -> None:
    base = small_model().train()
    model = transformation(name).wrap(base)
    assert model.training
    with evaluating(model):
        assert not any(module.training for module in [*model.modules(), *base.modules()])
    assert all(module.training for module in [*model.modules(), *base.modules()])
    model.eval()
    assert not base.backbone.training
    assert not transformation(name).wrap(base).training


@pytest.mark.parametrize("name", BPDA)
def test_all_that_a_model_offers_is_the_base_models_of_the_transformed_images(
    name: str, small_model: Build
) -> None:
    base, chosen, images = small_model(), transformation(name), images_of(1, 9, 1, 4, 4)
    model, seen = chosen.wrap(base), chosen.transform(images)
    assert not torch.equal(seen, images)
    for point in (images, images.clone().requires_grad_()):
        assert torch.equal(model.logits(point), base.logits(seen))
        assert torch.equal(model.outputs(point, 0.3), base.outputs(seen, 0.3))
        assert torch.equal(model(point), base(seen))
    assert torch.equal(model.codes(images), base.codes(seen))


def test_a_wrapper_alone_changes_nothing(small_model: Build) -> None:
    base, images = small_model(), images_of(2, 5, 1, 4, 4)
    assert torch.equal(WrappedModel(base).logits(images), base.logits(images))


def test_a_module_as_transformation_follows_the_model() -> None:
    """`meta` stands for a device."""

    class Shift(nn.Module):
        by: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("by", torch.tensor(0.25))

        def forward(self, images: Tensor) -> Tensor:
            return images + self.by

    shift, images = Shift(), images_of(3, 5, 1, 4, 4)
    model = TransformedModel(linear_model(1, 4), shift)
    assert torch.equal(model.logits(images), model.base.logits(images + 0.25))
    model.to("meta")
    assert {value.device.type for value in (*model.parameters(), *model.buffers())} == {"meta"}
    assert shift.by.device.type == model.mean.device.type == "meta"


@pytest.mark.parametrize("name", ALL)
def test_a_transformation_leaves_its_input_and_works_on_it_alone(name: str) -> None:
    images = images_of(4, 6, 3, 12, 10)
    before = images.clone()
    seen = transformation(name).transform(images)
    assert torch.equal(images, before)
    assert seen.shape == images.shape
    assert seen.dtype == torch.float32
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1


@pytest.mark.parametrize("name", BPDA)
def test_no_batch_changes_what_the_model_sees(name: str) -> None:
    chosen, images = transformation(name), images_of(5, 7, 1, 28, 28)
    one_by_one = torch.cat([chosen.transform(image[None]) for image in images])
    assert torch.equal(chosen.transform(images), one_by_one)


# Backward.


@pytest.mark.parametrize("name", BPDA)
def test_through_bpda_a_linear_model_has_its_own_gradient(name: str) -> None:
    """`dz_k / dx = W_k / std`, wherever the image lies."""
    base = linear_model(3, 5)
    model, point = transformation(name).wrap(base), images_of(6, 2, 3, 5, 5).requires_grad_()
    for bit in range(4):
        (gradient,) = torch.autograd.grad(model.logits(point)[:, bit].sum(), point)
        wanted = base.hash_layer.weight[bit].detach() / 0.25
        torch.testing.assert_close(gradient.flatten(1), wanted.expand(2, -1))


@pytest.mark.parametrize("name", BPDA)
def test_the_gradient_is_taken_where_the_model_looks(name: str, small_model: Build) -> None:
    """Of a curved model: the base model's at the transformed image, not at the image."""
    base, chosen = small_model(), transformation(name)
    point = images_of(7, 6, 1, 4, 4).requires_grad_()
    seen = chosen.transform(point.detach()).requires_grad_()
    (found,) = torch.autograd.grad(chosen.wrap(base).outputs(point).sum(), point)
    (wanted,) = torch.autograd.grad(base.outputs(seen).sum(), seen)
    (elsewhere,) = torch.autograd.grad(base.outputs(point).sum(), point)
    assert torch.equal(found, wanted)
    assert not torch.allclose(found, elsewhere)


@given(
    exact=st.floats(0, 1, width=32),
    smooth=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
def test_straight_through_is_exact(exact: float, smooth: float) -> None:
    point = torch.tensor(smooth, requires_grad=True)
    value = straight_through(torch.tensor(exact), 3 * point if abs(smooth) < 1e30 else point)
    assert float(value.detach()) == exact
    (gradient,) = torch.autograd.grad(value, point)
    assert float(gradient) == (3 if abs(smooth) < 1e30 else 1)


def test_an_author_writes_the_transformation_and_perhaps_its_approximation() -> None:
    @defense("step")
    @dataclass(frozen=True)
    class Step(InputTransformation):
        """Black or white."""

        slope: float = 4.0

        def transform(self, images: Tensor) -> Tensor:
            assert not torch.is_grad_enabled()
            return (images > 0.5).float()

        def approximation(self, images: Tensor) -> Tensor:
            return torch.sigmoid(self.slope * (images - 0.5))

    base, point = linear_model(1, 3), images_of(8, 2, 1, 3, 3).requires_grad_()
    logits = Step().wrap(base).logits(point)
    assert torch.equal(logits, base.logits((point > 0.5).float()))
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), point)
    bell = torch.sigmoid(4 * (point - 0.5)) * torch.sigmoid(-4 * (point - 0.5))
    wanted = (4 * bell * base.hash_layer.weight[0].view(3, 3) / 0.25).detach()
    torch.testing.assert_close(gradient, wanted)


def test_an_approximation_of_another_shape_is_refused() -> None:
    @defense("wider")
    @dataclass(frozen=True)
    class Wider(InputTransformation):
        """One pixel more on every side."""

        def transform(self, images: Tensor) -> Tensor:
            return F.pad(images, (1, 1, 1, 1))

    model = Wider().wrap(linear_model(1, 4))
    # A larger image is a matter between author and backbone; a gradient needs one of its size.
    assert model.logits(images_of(9, 2, 1, 2, 2)).shape == (2, 4)
    with pytest.raises(PluginError, match=r"'wider': transform .* \(2, 1, 4, 4\), but .*2, 2\)"):
        model.logits(images_of(9, 2, 1, 2, 2).requires_grad_())


# JPEG.


def pillow(pixels: NDArray[Any], quality: int) -> NDArray[Any]:
    """(C, H, W) uint8 through Pillow, at its own settings."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(stream))
    return decoded[None] if decoded.ndim == 2 else np.moveaxis(decoded, -1, 0)


@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    quality=st.integers(1, 100),
)
def test_jpeg_is_pillows_image_by_image_to_the_bit(
    seed: int, channels: int, height: int, width: int, quality: int
) -> None:
    """Grey images share a sheet, which none of them may notice, whatever its sides."""
    images = images_of(seed, 3, channels, height, width)
    seen = transformation(f"jpeg:quality={quality}").transform(images)
    for image, found in zip(images, seen, strict=True):
        wanted = pillow((image * 255).round().to(torch.uint8).numpy(), quality)
        assert torch.equal(found, torch.from_numpy(wanted.copy()).float() / 255)


def test_jpeg_of_more_images_than_a_sheet_holds() -> None:
    """2,047 images of 32 rows fit into a side of 65,500."""
    images = images_of(18, 2060, 1, 25, 3)
    chosen = transformation("jpeg")
    assert torch.equal(chosen.transform(images)[2040:], chosen.transform(images[2040:]))


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 90, 100])
def test_jpeg_of_a_plain_image_rounds_its_mean(quality: int) -> None:
    """In closed form: `8 (v - 128)` rounded to a multiple of the first quantiser (ITU-T T.81, K.1).

    Its 16 is scaled by `5000 / quality` % below 50, by `200 - 2 quality` % from there on.
    """
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    step = min(255, max(1, (16 * scale + 50) // 100))
    values = torch.arange(256)
    mean = 8 * (values - 128)
    # Halves away from 0 when coded, up when decoded.
    coded = mean.sign() * ((2 * mean.abs() + step) // (2 * step))
    wanted = ((coded * step + 4) // 8 + 128).clamp(0, 255)
    plain = (values / 255).view(-1, 1, 1, 1).expand(-1, 1, 11, 8)
    seen = transformation(f"jpeg:quality={quality}").transform(plain) * 255
    assert torch.equal(seen.round().long(), wanted.view(-1, 1, 1, 1).expand_as(seen))


def test_jpeg_sees_8_bits_and_clips() -> None:
    chosen, images = transformation("jpeg"), images_of(10, 3, 1, 16, 16)
    assert torch.equal(chosen.transform(images + 0.4 / 255), chosen.transform(images))
    stretched = 3 * images - 1
    assert torch.equal(chosen.transform(stretched), chosen.transform(stretched.clamp(0, 1)))


def test_jpeg_refuses_other_channels() -> None:
    with pytest.raises(UsageError, match="1 or 3 channels, found 2"):
        transformation("jpeg").transform(images_of(11, 1, 2, 8, 8))


# Bit depth.


@pytest.mark.parametrize("bits", range(1, 9))
def test_bit_depth_takes_each_pixel_to_its_nearest_level(bits: int) -> None:
    """All 256 values against all levels, in whole numbers; no value lies midway (255 is odd)."""
    values, top = torch.arange(256), 2**bits - 1
    distance = (values[:, None] * top - 255 * torch.arange(top + 1)).abs()
    wanted = distance.argmin(dim=1).float() / top
    found = transformation(f"bit-depth:bits={bits}").transform(values.view(1, 1, 16, 16) / 255)
    assert torch.equal(found.flatten(), wanted)
    assert len(found.unique()) == 2**bits


@given(bits=st.integers(1, 8), values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_bit_depth_twice_is_bit_depth_once(bits: int, values: list[float]) -> None:
    chosen, images = transformation(f"bit-depth:bits={bits}"), torch.tensor([[[values]]])
    once = chosen.transform(images)
    assert torch.equal(chosen.transform(once), once)
    assert float((once - images).abs().max()) <= 0.5 / (2**bits - 1) + 1e-6


# Resizing and padding.


@pytest.mark.parametrize(("height", "width"), [(10, 10), (10, 7), (7, 10), (1, 5)])
def test_resize_pad_is_a_nearest_neighbour_resize_among_zeros(height: int, width: int) -> None:
    """Against torch's resize of the size that the content is found to have, gradient included."""
    images = 0.5 + images_of(12, 400, 2, height, width) / 2
    weights = images_of(13, 400, 2, height, width)
    point = images.clone().requires_grad_()
    torch.manual_seed(0)
    seen = transformation("resize-pad:lower=0.5").attackable(point)
    (gradient,) = torch.autograd.grad((seen * weights).sum(), point)
    found = set()
    for index in range(400):
        rows = seen[index, 0].detach().amax(dim=1).nonzero().flatten()
        columns = seen[index, 0].detach().amax(dim=0).nonzero().flatten()
        top, left, r, c = int(rows[0]), int(columns[0]), len(rows), len(columns)
        image = images[index : index + 1].clone().requires_grad_()
        content = F.interpolate(image, (r, c), mode="nearest")
        margins = (left, width - c - left, top, height - r - top)
        wanted = F.pad(content, margins)
        assert torch.equal(seen[index], wanted[0])
        (own,) = torch.autograd.grad((wanted * weights[index]).sum(), image)
        torch.testing.assert_close(gradient[index], own[0])
        assert c == -(-r * width // height)
        found.add((r, top, left))
    # Every size and every place that there is, and nothing else.
    sizes = range(-(-height // 2), height + 1)
    wanted_places = {
        (r, top, left)
        for r in sizes
        for top in range(height - r + 1)
        for left in range(width + (-r * width // height) + 1)
    }
    assert found <= wanted_places
    assert {r for r, _, _ in found} == set(sizes)
    assert len(found) > 0.8 * len(wanted_places)


def test_a_size_of_the_whole_side_is_the_identity() -> None:
    images = images_of(14, 5, 3, 9, 9)
    assert torch.equal(transformation("resize-pad:lower=1").transform(images), images)


@pytest.mark.parametrize(("side", "least"), [(28, 23), (35, 28), (5, 4), (32, 26), (1, 1)])
def test_the_least_side_is_a_share_rounded_up(side: int, least: int) -> None:
    torch.manual_seed(1)
    seen = transformation("resize-pad").transform(torch.ones(600, 1, side, side))
    sides = (seen.amax(dim=3) > 0).sum(dim=2).flatten()
    assert sides.unique().tolist() == list(range(least, side + 1))


def test_each_image_draws_from_the_process_wide_generator() -> None:
    chosen, same = transformation("resize-pad"), images_of(15, 1, 1, 20, 20).expand(50, -1, -1, -1)
    torch.manual_seed(2)
    first, second = chosen.transform(same), chosen.transform(same)
    torch.manual_seed(2)
    assert torch.equal(chosen.transform(same), first)
    assert not torch.equal(first, second)
    assert len(first.unique(dim=0)) > 20


def test_attacks_average_over_the_draws(small_model: Build) -> None:
    assert transformation("resize-pad").wrap(small_model()).draws == 10
    assert [transformation(name).wrap(small_model()).draws for name in BPDA] == [1, 1]
    model = transformation("resize-pad:lower=0.5,draws=3").wrap(small_model())
    images = images_of(16, 8, 1, 4, 4)
    point, target = images.clone().requires_grad_(), AttackedModel(model)
    torch.manual_seed(3)
    averaged = target.logits(point)
    (gradient,) = torch.autograd.grad(averaged.sum(), point)
    assert (target.forwards, target.backwards) == (24, 24)
    torch.manual_seed(3)
    singles = [model.logits(point) for _ in range(3)]
    assert not torch.equal(singles[0], singles[1])
    torch.testing.assert_close(averaged, torch.stack(singles).mean(dim=0))
    (wanted,) = torch.autograd.grad(torch.stack(singles).mean(dim=0).sum(), point)
    torch.testing.assert_close(gradient, wanted)
    # A code is that of one draw.
    torch.manual_seed(3)
    assert torch.equal(target.codes(images), codes_of(singles[0]))
    assert target.forwards == 32


def test_transformations_stand_one_before_the_other(small_model: Build) -> None:
    base, images = small_model(), images_of(17, 6, 1, 4, 4)
    inner = transformation("resize-pad:lower=1,draws=4").wrap(base)
    model = transformation("bit-depth").wrap(transformation("jpeg").wrap(inner))
    rounded = transformation("bit-depth").transform(images)
    assert torch.equal(model.logits(images), base.logits(transformation("jpeg").transform(rounded)))
    assert model.draws == 4
    assert model.std is base.std


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jpeg:quality=0", "quality must be from 1 to 100, found 0"),
        ("jpeg:quality=101", "quality must be from 1 to 100, found 101"),
        ("bit-depth:bits=0", "bits must be from 1 to 8, found 0"),
        ("bit-depth:bits=9", "bits must be from 1 to 8, found 9"),
        ("resize-pad:lower=0", "lower must be above 0 and at most 1, found 0"),
        ("resize-pad:lower=1.1", "lower must be above 0 and at most 1, found 1.1"),
        ("resize-pad:draws=0", "draws must be 1 or more, found 0"),
    ],
)
def test_wrong_parameters_are_refused(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plugins.get("defense", spec)


def test_the_squeezers_bits() -> None:
    bits = [getattr(transformation(f"bit-depth@squeeze-{n}"), "bits", None) for n in (1, 4, 5)]
    assert bits == [1, 4, 5]
