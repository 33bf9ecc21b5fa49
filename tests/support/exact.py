"""Our side of a comparison in float64, so that only the other side's rounding is left.

How many digits two float32 computations share depends on the processor and on torch's version: both
choose the order of a sum. In float64 the same code is exact for this purpose on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.hashing import BackboneNet, HashModel


def widened(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same arrays, those of float32 as float64, which holds every float32 number."""
    return {
        name: value.astype(np.float64) if value.dtype == np.float32 else value
        for name, value in arrays.items()
    }


class ExactModel(HashModel):
    """A hashing model that stays in float64 from the normalisation on."""

    def __init__(self, net: BackboneNet, bits: int) -> None:
        super().__init__(net, bits)
        self.double()
        # Not the doubles of the rounded statistics: what they are rounded from.
        self.mean = torch.tensor(net.mean, dtype=torch.float64).view(1, -1, 1, 1)
        self.std = torch.tensor(net.std, dtype=torch.float64).view(1, -1, 1, 1)

    def logits(self, images: Tensor) -> Tensor:
        features = self.backbone((images.double() - self.mean) / self.std)
        logits: Tensor = self.hash_layer(features)
        return logits


class FineModel(ExactModel):
    """A hashing model that computes in float64 and answers in float32, as the others do.

    A batch's size and a processor choose the order of a float32 sum, and with it the last digits of
    an output or gradient. Here that order is lost in the rounding to float32, so that a query fares
    alike in any batch, to the bit.
    """

    def logits(self, images: Tensor) -> Tensor:
        return super().logits(images).float()


def vector_network(arrays: Mapping[str, NDArray[Any]]) -> ExactModel:
    """The vectors' tiny network, `tanh(alpha * relu(normalised x @ W1) @ W2)`, without biases.

    Takes `W1` and `W2` from the arrays, or `W1_init` and `W2_init`, where a training starts.
    """
    end = "" if "W1" in arrays else "_init"
    first, second = (torch.from_numpy(arrays[name + end]) for name in ("W1", "W2"))
    hidden = nn.Linear(first.shape[0], first.shape[1], bias=False)
    net = BackboneNet(
        nn.Sequential(nn.Flatten(), hidden, nn.ReLU()),
        first.shape[1],
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )
    model = ExactModel(net, second.shape[1])
    model.hash_layer = nn.Linear(second.shape[0], second.shape[1], bias=False).double()
    with torch.no_grad():
        hidden.weight.copy_(first.T)
        model.hash_layer.weight.copy_(second.T)
    model.eval()
    return model


def same_loss(found: Tensor, wanted: Tensor | NDArray[Any]) -> None:
    """A loss of the vectors, computed from the same numbers."""
    _close(found, wanted, rtol=1e-5, atol=0)


def same_gradient(found: Tensor, wanted: Tensor | NDArray[Any]) -> None:
    """A gradient of the vectors by the outputs."""
    _close(found, wanted, rtol=1e-5, atol=1e-8)


def same_outputs(found: Tensor, wanted: Tensor | NDArray[Any]) -> None:
    """Outputs of the vectors' network: its two sums in float32 leave up to 2.6e-6, as measured."""
    _close(found, wanted, rtol=0, atol=5e-6)


def same_images(found: Tensor, wanted: Tensor | NDArray[Any]) -> None:
    """Images after sign steps: a pixel that took another step is off by 1/255 or more."""
    _close(found, wanted, rtol=0, atol=1e-6)


def _close(found: Tensor, wanted: Tensor | NDArray[Any], rtol: float, atol: float) -> None:
    assert found.dtype == torch.float64, "our side is not computed in float64"
    np.testing.assert_allclose(found.detach().numpy(), np.asarray(wanted), rtol=rtol, atol=atol)


def in_float64(objective: Any) -> Any:
    """An adversarial training at work, with its memories and its hashing loss's in float64.

    The trainer hands on the type of the images, and the model is an `ExactModel`.
    """
    objective._codes = objective._codes.double()
    loss = objective._hashing_loss
    if isinstance(loss.memory, Tensor):
        loss.memory = loss.memory.double()
    inner = objective._inner
    codes = inner.codes
    inner.codes = lambda images, outputs: codes(images, outputs).double()
    return objective
