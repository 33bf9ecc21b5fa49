"""Small random networks of every kind of layer that bounds are known for, and images that try them.

Each network is named by a number. The number decides which kind it surely has; what else it has is
drawn from that number's own generator.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hashbench.certifying import Box, logit_bounds
from hashbench.hashing.backbone import BackboneNet
from hashbench.hashing.model import HashModel

CHANNELS, SIDE, BITS = 4, 6, 5
"""Of what goes from layer to layer, (CHANNELS, SIDE, SIDE), and of the codes."""

SHOWN = 32
"""Entries that a network of one layer shows."""

RADIUS = 0.15


class Residual(nn.Module):
    """`x + f(x)`, in the ways that networks write it."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.written = written

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.conv(images)
        if self.written == "+=":
            out += images
            return self.relu(out)  # type: ignore[no-any-return]
        out = self.relu(out)
        if self.written == "+":
            return images + out
        if self.written == "add":
            return torch.add(images, out, alpha=-0.5)
        return out - images * 0.7


class Functional(nn.Module):
    """One expression of the image, in the place of a layer."""

    def __init__(self, expression: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.expression = expression

    def forward(self, images: Tensor) -> Tensor:
        return self.expression(images)


class Weighted(nn.Module):
    """A convolution by functions, with weights that are computed from others."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(CHANNELS, CHANNELS, 3, 3) / 6)
        self.gain = nn.Parameter(torch.randn(CHANNELS, 1, 1, 1))
        self.register_buffer("running_mean", torch.randn(CHANNELS))
        self.register_buffer("running_var", torch.rand(CHANNELS) + 0.5)

    def forward(self, images: Tensor) -> Tensor:
        images = images * self.running_var.view(1, -1, 1, 1) + self.gain[:, 0]
        images = F.conv2d(F.pad(images, (1, 1, 1, 1)), self.weight * self.gain, None)
        images = F.batch_norm(images, self.running_mean, self.running_var, training=self.training)
        return F.relu(images, inplace=True)


class ByName(nn.Module):
    """Layers that are told the name of what they are given, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return torch.flatten(input=self.conv(self.conv(input=images)), start_dim=1).view(
            -1, CHANNELS, SIDE, SIDE
        )


class Gated(nn.Module):
    """Squeeze and excitation: each channel times what the means of all say."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, images: Tensor) -> Tensor:
        gate = torch.sigmoid(self.fc(F.adaptive_avg_pool2d(images, 1).flatten(1)))
        return gate.view(images.size(0), -1, 1, 1) * images


def _conv(**kwargs: object) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(CHANNELS, CHANNELS, **kwargs)  # type: ignore[arg-type]


def _norm(kind: type[nn.Module]) -> nn.Module:
    norm: nn.Module = kind(CHANNELS)
    with torch.no_grad():
        norm.weight.normal_()  # type: ignore[operator]
        norm.bias.normal_()  # type: ignore[operator]
        norm.running_mean.normal_()  # type: ignore[operator]
        norm.running_var.uniform_(0.3, 2)  # type: ignore[operator]
    return norm


def _over_one_dimension(layer: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A layer for (B, C, length), in the place of one for images."""
    return lambda: nn.Sequential(nn.Flatten(2), layer(), nn.Unflatten(2, (SIDE, SIDE)))


def _function(expression: Callable[[Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: Functional(expression)


def _parts(images: Tensor) -> Tensor:
    first, second = images.chunk(2, dim=1)
    return torch.cat([second, torch.maximum(first, second)], dim=1)


KINDS: dict[str, Callable[[], nn.Module]] = {
    "conv": _conv(kernel_size=3, padding=1),
    "conv same": _conv(kernel_size=(4, 3), padding="same", dilation=(1, 2)),
    "conv groups": _conv(kernel_size=1, groups=2, bias=False),
    "conv reflect": _conv(kernel_size=3, padding=1, padding_mode="reflect"),
    "conv replicate": _conv(kernel_size=5, padding=2, padding_mode="replicate"),
    "conv circular": _conv(kernel_size=3, padding=1, padding_mode="circular"),
    "conv1d": _over_one_dimension(lambda: nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2)),
    "linear": lambda: nn.Linear(SIDE, SIDE),
    "batch norm": lambda: _norm(nn.BatchNorm2d),
    "batch norm 1d": _over_one_dimension(lambda: _norm(nn.BatchNorm1d)),
    "relu": nn.ReLU,
    # After what does not need its own result for the gradient of the attack.
    "relu in place": lambda: nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 1), nn.ReLU(inplace=True)),
    "relu6": nn.ReLU6,
    "hardtanh": lambda: nn.Hardtanh(-0.3, 0.8),
    "leaky relu": lambda: nn.LeakyReLU(0.2),
    "falling leaky relu": lambda: nn.LeakyReLU(-0.7),
    "prelu": lambda: nn.PReLU(CHANNELS, init=-0.4),
    "rrelu": nn.RReLU,
    "elu": nn.ELU,
    "falling elu": lambda: nn.ELU(-0.6),
    "celu": lambda: nn.CELU(0.7),
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "log sigmoid": nn.LogSigmoid,
    "softsign": nn.Softsign,
    "tanhshrink": nn.Tanhshrink,
    "softshrink": lambda: nn.Softshrink(0.2),
    "hardshrink": lambda: nn.Hardshrink(0.2),
    "hardsigmoid": nn.Hardsigmoid,
    "threshold": lambda: nn.Threshold(0.1, -0.4),
    "softplus": nn.Softplus,
    "softplus that drops": lambda: nn.Softplus(2.0, threshold=0.5),
    "gelu": nn.GELU,
    "gelu by tanh": lambda: nn.GELU(approximate="tanh"),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "average pool": lambda: nn.AvgPool2d(3, stride=1, padding=1),
    "max pool": lambda: nn.MaxPool2d(3, stride=1, padding=1),
    "adaptive average pool": lambda: nn.AdaptiveAvgPool2d((SIDE, SIDE)),
    "adaptive max pool": lambda: nn.AdaptiveMaxPool2d((SIDE, SIDE)),
    "pools of other sizes": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(3), nn.ReplicationPad2d((1, 2, 2, 1))
    ),
    "pads": lambda: nn.Sequential(
        nn.MaxPool2d(2), nn.ReflectionPad2d(1), nn.ConstantPad2d((1, 0, 0, 1), 0.3)
    ),
    "dropout": nn.Dropout,
    "identity": nn.Identity,
    "pixel shuffle": lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.PixelShuffle(2)),
    "residual +": lambda: Residual("+"),
    "residual add": lambda: Residual("add"),
    "residual -": lambda: Residual("-"),
    "residual +=": lambda: Residual("+="),
    "weights of weights": Weighted,
    "by name": ByName,
    "gated": Gated,
    "parts": _function(_parts),
    "moves": _function(lambda x: x.permute(0, 1, 3, 2).reshape(x.shape[0], -1, SIDE, SIDE).flip(3)),
    "scaled": _function(lambda x: 1 - 2 * x / -0.8),
    "powers": _function(lambda x: x**2 - x.abs() + torch.clamp(x, -0.2, 0.4)),
    "absolute": _function(lambda x: x.abs()),
    "largest of a channel": _function(lambda x: x - x.amax((2, 3), keepdim=True)),
    "itself": _function(lambda x: x * torch.sigmoid(x) - F.max_pool2d(x, 3, 1, 1)),
    "minus mean": _function(lambda x: x - x.mean((2, 3), keepdim=True)),
    "rounded": _function(lambda x: torch.round(x * 4) / 4),
}


def random_net(number: int) -> HashModel:
    """Network `number` in float64 and eval mode, for images (B, CHANNELS, SIDE, SIDE)."""
    names = list(KINDS)
    rng = np.random.default_rng(number)
    chosen = [names[number % len(names)], *rng.choice(names, 2)]
    rng.shuffle(chosen)
    with torch.random.fork_rng():
        torch.manual_seed(number)
        layers = [KINDS[name]() for name in chosen]
        flat = CHANNELS * SIDE * SIDE
        module = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 10), nn.ReLU())
        model = HashModel(BackboneNet(module, 10, (0.4,) * CHANNELS, (0.3,) * CHANNELS), BITS)
    return model.double().eval()


def lone_net(kind: str, number: int) -> HashModel:
    """One layer of a kind, and a hash layer that shows some of its entries as they are."""
    with torch.random.fork_rng():
        torch.manual_seed(number)
        module = nn.Sequential(KINDS[kind](), nn.Flatten())
        features = module(torch.zeros(2, CHANNELS, SIDE, SIDE)).shape[1]
        net = BackboneNet(module, features, (0.4,) * CHANNELS, (0.2,) * CHANNELS)
        model = HashModel(net, SHOWN).double().eval()
        shown = torch.randperm(features)[:SHOWN]
    with torch.no_grad():
        model.hash_layer.weight.zero_()
        model.hash_layer.weight[torch.arange(SHOWN), shown] = 1
    return model


def box_of(number: int) -> Box:
    """One image's box for network `number`: of another width in each pixel, cut with `[0, 1]`."""
    generator = torch.Generator().manual_seed(number)
    shape = (1, CHANNELS, SIDE, SIDE)
    image = torch.rand(shape, generator=generator, dtype=torch.float64)
    radius = RADIUS * torch.rand(shape, generator=generator, dtype=torch.float64)
    return Box((image - radius).clamp(min=0), (image + radius).clamp(max=1))


def tried_images(model: HashModel, box: Box, number: int, sampled: int, attacked: int) -> Tensor:
    """Images of a box: sampled ones, half of them corners, and ones that an attack moved.

    The attack is sign descent on one logit, up or down: `attacked` images share all logits.
    """
    generator = torch.Generator().manual_seed(number)
    share = torch.rand((sampled, *box.lower.shape[1:]), generator=generator, dtype=torch.float64)
    share[: sampled // 2].round_()
    images = [box.lower + share * (box.upper - box.lower)]
    moved = images[0][-attacked:].clone()
    logit = torch.arange(attacked) % model.bits
    direction = 1 - 2 * (torch.arange(attacked) // model.bits % 2).double()
    for step in range(20):
        moved.requires_grad_(True)
        value = (model.logits(moved)[torch.arange(attacked), logit] * direction).sum()
        (gradient,) = torch.autograd.grad(value, moved)
        size = (box.upper - box.lower) * (0.5 if step < 5 else 0.1)
        moved = (moved.detach() + size * gradient.sign()).clamp(box.lower, box.upper)
        images.append(moved)
    return torch.cat([images[0], images[-1]])


@torch.no_grad()
def excess_of(model: HashModel, box: Box, images: Tensor) -> float:
    """How far a logit of an image of the box leaves its bounds: 0 or less where none does.

    The bounds leave room for the logits' own rounding, so no tolerance is needed.
    """
    bounds = logit_bounds(model, box, rounding=True)
    logits = model.logits(images)
    return float(torch.maximum(bounds.lower - logits, logits - bounds.upper).max())


def tried_in_ball(
    model: HashModel, image: Tensor, radius: float, number: int, sampled: int, attacked: int
) -> Tensor:
    """Images of the L2 ball of one image and of `[0, 1]`: sampled ones, and ones that were moved.

    Of the sampled ones a third lie on the sphere, a third inside, and a third moved few pixels far.
    The attack is normalised ascent on one logit, up or down: `attacked` images share all logits.
    """
    generator = torch.Generator().manual_seed(number)
    shape = (sampled, *image.shape[1:])
    change = torch.randn(shape, generator=generator, dtype=torch.float64)
    third = sampled // 3
    few = torch.rand((third, *image.shape[1:]), generator=generator, dtype=torch.float64) < 0.03
    change[:third] *= few
    change *= radius / _length(change)
    share = torch.rand((third, 1, 1, 1), generator=generator, dtype=torch.float64)
    change[-third:] *= share
    logit = torch.arange(attacked) % model.bits
    direction = 1 - 2 * (torch.arange(attacked) // model.bits % 2).double()
    moved = change[:attacked].clone()
    for step in range(20):
        moved.requires_grad_(True)
        logits = model.logits((image + moved).clamp(0, 1))
        value = (logits[torch.arange(attacked), logit] * direction).sum()
        (gradient,) = torch.autograd.grad(value, moved)
        size = radius * (2 if step < 5 else 0.3)
        moved = moved.detach() + size * gradient / _length(gradient)
        moved *= (radius / _length(moved)).clamp(max=1)
    return (image + torch.cat([change, moved])).clamp(0, 1)


def _length(change: Tensor) -> Tensor:
    squares = change.flatten(1).square().sum(dim=1)
    return squares.sqrt().clamp(min=1e-300).view(-1, 1, 1, 1)
