"""The hashing model and the encoder: normalisation, outputs, codes, batches, modes."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from hashbench.data import ImageSet
from hashbench.errors import TrainingError
from hashbench.hashing import BackboneNet, HashModel, InputSpec, codes_of, encode
from hashbench.hashing.encode import as_images, evaluating, frozen

Build = Callable[..., HashModel]

# The module; the package gives its function of the same name.
encoding = importlib.import_module("hashbench.hashing.encode")


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (23, 3, 4, 4), dtype=np.uint8)


def test_normalisation_is_inside_the_model(small_model: Build, pixels: NDArray[np.uint8]) -> None:
    model = small_model()
    images = torch.from_numpy(pixels).float() / 255
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])
    outside = (images - mean[:, None, None]) / std[:, None, None]
    assert torch.equal(model.logits(images), model.hash_layer(model.backbone(outside)))
    # It travels with the weights: to another device, and into a checkpoint.
    assert {"mean", "std"} <= model.state_dict().keys()
    assert not {"mean", "std"} & {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 3.0])
def test_outputs_are_tanh_of_alpha_times_logits(
    alpha: float, small_model: Build, pixels: NDArray[np.uint8]
) -> None:
    model = small_model()
    images = as_images(pixels, torch.device("cpu"))
    logits = model.logits(images).double()
    wanted = torch.tanh(alpha * logits)
    torch.testing.assert_close(model.outputs(images, alpha).double(), wanted, rtol=1e-5, atol=1e-6)
    assert torch.equal(model(images), model.outputs(images))
    assert model.outputs(images).shape == (23, model.bits)


@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_a_code_is_the_sign_and_never_0(values: list[float]) -> None:
    outputs = torch.tensor([*values, 0.0, -0.0])
    codes = codes_of(outputs)
    assert codes.dtype == torch.int8
    assert codes.tolist() == [1 if value >= 0 else -1 for value in [*values, 0.0, 0.0]]


def test_a_model_of_zeros_has_codes_of_plus_one(pixels: NDArray[np.uint8]) -> None:
    model = HashModel(BackboneNet(nn.Flatten(), 48, (0.5,) * 3, (0.5,) * 3), 5)
    nn.init.zeros_(model.hash_layer.weight)
    nn.init.zeros_(model.hash_layer.bias)
    images = as_images(pixels, torch.device("cpu"))
    assert not model.outputs(images).any()
    assert (model.codes(images) == 1).all()
    assert (encode(model, pixels).codes == 1).all()


def test_codes_carry_no_graph(small_model: Build) -> None:
    model = small_model()
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    assert not model.codes(images).requires_grad
    assert model.outputs(images).requires_grad


@pytest.mark.parametrize("batch", [1, 4, 7, 500])
def test_codes_do_not_depend_on_the_batch_they_were_made_in(
    batch: int, small_model: Build, pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model()
    images = as_images(pixels, torch.device("cpu"))
    with torch.no_grad():
        alone = torch.cat([model.outputs(image[None]) for image in images])
    # Float order may change an output's last digits, and so a code only where u is next to 0.
    assert alone.abs().min() > 1e-5
    monkeypatch.setattr(encoding, "ENCODE_BATCH", batch)
    found = encode(model, pixels)
    assert np.array_equal(found.codes, codes_of(alone).numpy())
    assert found.codes.dtype == np.int8


def test_encoding_in_train_mode_uses_and_restores_each_modules_mode(
    small_model: Build, pixels: NDArray[np.uint8]
) -> None:
    model = small_model(dropout=0.5)
    wanted = encode(model, pixels).codes
    model.train()
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    norm.eval()
    modes = [module.training for module in model.modules()]
    statistics = norm.running_mean
    assert statistics is not None
    before = statistics.clone()
    assert np.array_equal(encode(model, pixels).codes, wanted)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(statistics, before)


def test_uint8_and_float_images_are_the_same_images(
    small_model: Build, pixels: NDArray[np.uint8]
) -> None:
    model = small_model()
    floats = pixels.astype(np.float32) / np.float32(255)
    assert np.array_equal(encode(model, pixels).codes, encode(model, floats).codes)
    assert as_images(pixels, torch.device("cpu")).max() <= 1
    everything = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    wanted = torch.arange(256).float().view(1, 1, 16, 16) / 255
    assert torch.equal(as_images(everything, torch.device("cpu")), wanted)


def test_saturated_outputs_are_counted(pixels: NDArray[np.uint8]) -> None:
    model = HashModel(BackboneNet(nn.Flatten(), 48, (0.0,) * 3, (1.0,) * 3), 4).eval()
    with torch.no_grad():
        model.hash_layer.weight.zero_()
        # tanh(8) is below 1 in float32, tanh(20) is not.
        model.hash_layer.bias.copy_(torch.tensor([0.0, 8.0, 20.0, -20.0]))
    assert encode(model, pixels).saturated == 0.5


def test_a_model_that_gives_nan_has_no_codes(small_model: Build, pixels: NDArray[np.uint8]) -> None:
    model = small_model()
    with torch.no_grad():
        model.hash_layer.bias[2] = torch.nan
    with pytest.raises(TrainingError, match="NaN for images 0 to 22"):
        encode(model, pixels)


def test_modes_and_gradients_are_restored_after_an_error(small_model: Build) -> None:
    model = small_model()
    model.train()
    model.hash_layer.eval()
    model.hash_layer.weight.requires_grad_(False)

    def fail_inside() -> None:
        with evaluating(model), frozen(model):
            assert not any(module.training for module in model.modules())
            assert not any(parameter.requires_grad for parameter in model.parameters())
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert model.training
    assert model.backbone.training
    assert not model.hash_layer.training
    wanted = {name: name != "hash_layer.weight" for name, _ in model.named_parameters()}
    assert {name: p.requires_grad for name, p in model.named_parameters()} == wanted


def test_input_spec_measures_the_train_set() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (9, 3, 5, 4), dtype=np.uint8)
    images[:, 1] = 51  # a constant channel is left unscaled
    spec = InputSpec.of(ImageSet(images, np.ones((9, 2), dtype=np.uint8)))
    assert (spec.channels, spec.height, spec.width) == (3, 5, 4)
    channels = [images[:, channel].astype(float).ravel() / 255 for channel in range(3)]
    assert spec.mean == pytest.approx([channel.mean() for channel in channels])
    deviations = [((c - c.mean()) ** 2).mean() ** 0.5 for c in channels]
    assert spec.std == pytest.approx([deviations[0], 1.0, deviations[2]])
