"""ProS-GAN: a generator that paints the perturbation in one pass, given the image and a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm
from typing_extensions import override

from hashbench.attacking import (
    AttackedModel,
    AttackerSetup,
    Goal,
    NetworkSizes,
    QueryRandom,
    Threat,
    prototype_network,
    target_rows,
)
from hashbench.errors import UsageError
from hashbench.hashing import CounterRandom, codes_of, relevant
from hashbench.plugins import Aim, Knowledge, TrainedAttack, attack

Paint = Callable[[Tensor, Tensor], Tensor]
"""(images (B, C, H, W) in [0, 1], label features (B, 512)) -> painted images, like `images`."""

_FEATURES = 512
_PROTOTYPE_BATCH = 64
_JUDGED_EVERY = 3


@attack(
    "pros-gan",
    cite="Wang et al., Prototype-supervised Adversarial Network, CVPR 2021",
    presets={
        "published": {
            "prototype_steps": 30_000,
            "epochs": 100,
            "learning_rate": 1e-4,
            "reconstruction": 50.0,
            "width": 64,
            "blocks": 3,
            "bounded": False,
        },
    },
    knowledge=(Knowledge.TRAINING,),
    aim=Aim.TARGETED,
)
@dataclass(frozen=True)
class ProSGAN(TrainedAttack):
    """Paint the query with a generator that was trained to reach the target's prototype code.

    Two trainings per model and radius, both on the training set, targets being random label rows
    of it (the script: of the database). First a prototype network: label row -> 512 features ->
    prototype p in (-1, 1) and the labels again, on `mean(softplus(t) - s t) + MSE(labels) +
    ||sign p - p||^2 / (1e4 B)`, `t = p b / 2` for train code b, s whether they share a label. Then
    the generator, image and decoded features -> image, on `reconstruction * MSE(x', x) + hashing *
    (1 - mean(u sign p)) + realism * GAN`, x in `[-1, 1]`; the discriminator (patches, spectral
    norm, least squares) says the labels and whether the image is painted, and learns in every third
    step. Adam, betas (0.5, 0.999).

    The original has no bound on the perturbation: it reports how visible it is. Here every painted
    image is projected into the run's ball. By default the generator knows the ball (`bounded`),
    the last tanh spans what the ball leaves of the box, and little closeness is asked for
    (`reconstruction=1`); preset `published` paints freely and learns as in the script (its weight
    50 is for NUS-WIDE and MS-COCO, 100 for FLICKR-25K). A query without a target stays as it is.

    Widths and depths follow the image's size. At 224 x 224 and with the preset they are the
    script's; convolutions that halve or double have 3 x 3 kernels instead of 4 x 4, so that every
    size of image works.

    Attributes:
        prototype_steps: updates of the prototype network, at 64 label rows each.
        epochs: of the generator; in the second half its rate falls linearly.
        batch: images per update of the generator.
        learning_rate: of the generator and the discriminator; the prototype network's is 1e-4.
        reconstruction: weight of the change's size.
        hashing: weight of the agreement with the prototype code.
        realism: weight of the discriminator's verdict.
        width: channels of the first convolution of generator and discriminator.
        blocks: residual blocks on either side of the bottleneck.
        bounded: train the generator inside the ball; otherwise its images are cut afterwards.
    """

    prototype_steps: int = 200
    epochs: int = 8
    batch: int = 24
    learning_rate: float = 2e-3
    reconstruction: float = 1.0
    hashing: float = 5.0
    realism: float = 1.0
    width: int = 16
    blocks: int = 1
    bounded: bool = True

    def __post_init__(self) -> None:
        for name in ("prototype_steps", "epochs", "blocks"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more, found {getattr(self, name)}")
        for name in ("batch", "width"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be 1 or more, found {getattr(self, name)}")
        if not self.learning_rate > 0:  # written so that NaN is refused too
            raise UsageError(f"learning_rate must be above 0, found {self.learning_rate}")
        for name in ("reconstruction", "hashing", "realism"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} must be 0 or more, found {getattr(self, name)}")

    @override
    def network(self, sizes: NetworkSizes) -> nn.Module:
        """The prototype network and the generator; the discriminator lives in `train` alone."""
        return Painter(sizes, self.width, self.blocks)

    @override
    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        """Train the prototype network, then the generator; see `TrainedAttack.train`."""
        painter = _painter(network)
        total = self.prototype_steps + self.epochs
        for done in self._prototypes(painter.prototypes, setup):
            setup.progress(done, total)
        for done in self._generator(painter, setup):
            setup.progress(self.prototype_steps + done, total)

    @override
    def training_passes(self, images: int) -> int:
        return self.epochs * images

    @override
    def passes(self) -> int:
        """None: the model is needed in the training alone."""
        return 0

    @torch.no_grad()
    @override
    def perturb(
        self,
        model: AttackedModel,  # the generator has learned what it needs
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # deterministic
    ) -> Tensor:
        painter, targets = _painter(goal.trained), goal.target_labels
        painted = self._paint(painter, threat)(images, painter.prototypes.features(targets))
        aimed = targets.any(dim=1).view(-1, 1, 1, 1)
        return torch.where(aimed, threat.project(painted, images), images)

    def _paint(self, painter: Painter, threat: Threat) -> Paint:
        def paint(images: Tensor, features: Tensor) -> Tensor:
            drawn = torch.tanh(painter.generator(2 * images - 1, features))
            low, high = threat.bounds(images) if self.bounded else (0.0, 1.0)
            return (low + high) / 2 + (high - low) / 2 * drawn

        return paint

    def _prototypes(self, prototypes: Prototypes, setup: AttackerSetup) -> Iterator[int]:
        """Train the prototype network; yields the steps done."""
        rows = target_rows(setup.labels)
        optimizer = _adam(prototypes, 1e-4)
        milestones = [self.prototype_steps // 2, self.prototype_steps * 3 // 4]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
        for step in range(self.prototype_steps):
            labels = _drawn(rows, _PROTOTYPE_BATCH, setup.generator)
            codes, told = prototypes(labels)
            positive = relevant(labels, setup.labels)
            _descend(optimizer, likelihood_loss(codes, told, labels, setup.codes, positive))
            schedule.step()
            yield step + 1

    def _generator(self, painter: Painter, setup: AttackerSetup) -> Iterator[int]:
        """Train the generator against a discriminator; yields the epochs done."""
        device, count = setup.labels.device, len(setup.labels)
        rows = target_rows(setup.labels)
        paint = self._paint(painter, setup.threat)
        judge = self._discriminator(setup).to(device)
        optimizers = [_adam(part, self.learning_rate) for part in (painter.generator, judge)]
        kept = self.epochs // 2
        for epoch in range(self.epochs):
            share = 1 - max(0, epoch + 1 - kept) / (self.epochs - kept + 1)
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = self.learning_rate * share
            order = torch.randperm(count, generator=setup.generator)
            for step, index in enumerate(order.split(self.batch)):
                images, labels = setup.images(index), setup.labels[index.to(device)]
                targets = _drawn(rows, len(index), setup.generator)
                with torch.no_grad():
                    features = painter.prototypes.features(targets)
                    codes = painter.prototypes.code(features).sign()
                painted = paint(images, features)
                fake, real = 2 * painted - 1, 2 * images - 1
                if step % _JUDGED_EVERY == 0:
                    judge.requires_grad_(True)
                    errors = _verdict(judge(real), labels, painted=False) + _verdict(
                        judge(fake.detach()), targets, painted=True
                    )
                    _descend(optimizers[1], errors / 2)
                judge.requires_grad_(False)
                agreement = (setup.model.outputs(painted) * codes).mean()
                loss = self.reconstruction * F.mse_loss(fake, real)
                loss = loss + self.hashing * (1 - agreement)
                # The generator wants its image to be taken for a real one of the target's labels.
                loss = loss + self.realism * _verdict(judge(fake), targets, painted=False)
                _descend(optimizers[0], loss)
            yield epoch + 1

    def _discriminator(self, setup: AttackerSetup) -> nn.Module:
        seed = int(torch.randint(2**31, (), generator=setup.generator))
        _, channels, height, width = setup.train.images.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return discriminator((channels, height, width), setup.labels.shape[1], self.width)


class Prototypes(nn.Module):
    """The prototype network with a classifier of its features."""

    def __init__(self, classes: int, bits: int) -> None:
        super().__init__()
        layers = prototype_network(classes, bits)
        self.features, self.code = layers[:3], layers[3:]
        self.classifier = nn.Sequential(nn.Linear(_FEATURES, classes), nn.Sigmoid())

    @override
    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Label rows (B, classes) -> prototypes (B, K) and the labels that the features tell."""
        features = self.features(labels)
        return self.code(features), self.classifier(features)


def likelihood_loss(
    prototypes: Tensor, told: Tensor, labels: Tensor, train_codes: Tensor, positive: Tensor
) -> Tensor:
    """What ProS-GAN's prototype network is trained on, a scalar.

    Args:
        prototypes: p, (B, K) in (-1, 1).
        told: the classifier's answer, (B, classes) in (0, 1).
        labels: what it should have been.
        train_codes: (N, K) of +1 and -1.
        positive: (B, N), 1 where a label row shares a label with the train item.
    """
    theta = prototypes @ train_codes.T / 2
    codes = codes_of(prototypes.detach())
    quantisation = (codes - prototypes).square().sum() / (1e4 * len(labels))
    fit = (F.softplus(theta) - positive * theta).mean()
    return fit + F.mse_loss(told, labels) + quantisation


class Painter(nn.Module):
    """All that `perturb` needs: the prototype network and the generator."""

    def __init__(self, sizes: NetworkSizes, width: int, blocks: int) -> None:
        super().__init__()
        self.prototypes = Prototypes(sizes.classes, sizes.bits)
        self.generator = Generator(sizes.shape, width, blocks)


class Generator(nn.Module):
    """Image and label features -> what the last tanh is taken of."""

    def __init__(self, shape: tuple[int, int, int], width: int, blocks: int) -> None:
        super().__init__()
        channels, size = shape[0], shape[1:]
        self.labels = label_decoder(shape)
        full, half, _ = _halvings(size, 2)
        self.body = nn.Sequential(
            *_conv(2 * channels, width, 7),
            *_conv(width, 2 * width, 3, stride=2),
            *_conv(2 * width, 4 * width, 3, stride=2),
            *(Residual(4 * width) for _ in range(2 * blocks)),
            nn.Upsample(half),
            *_conv(4 * width, 2 * width, 3),
            nn.Upsample(full),
            *_conv(2 * width, width, 3),
        )
        self.last = nn.Conv2d(width + channels, channels, 3, padding=1, bias=False)

    @override
    def forward(self, images: Tensor, features: Tensor) -> Tensor:
        """Images in `[-1, 1]`, features (B, 512) -> a tensor like `images`."""
        mixed = torch.cat([self.labels(features), images], dim=1)
        painted: Tensor = self.last(torch.cat([self.body(mixed), images], dim=1))
        return painted


class Residual(nn.Module):
    """Two convolutions that are added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, norm, relu = _conv(width, width, 3)
        second, last, _ = _conv(width, width, 3)
        self.body = nn.Sequential(first, norm, relu, second, last)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        changed: Tensor = images + self.body(images)
        return changed


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1; a single pixel is left as it is."""

    @override
    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return images if images.shape[2:].numel() == 1 else F.instance_norm(images)


def label_decoder(shape: tuple[int, int, int]) -> nn.Sequential:
    """Label features (B, 512) -> an image of this shape, by doublings from at most 14 x 14."""
    sizes = _halvings(shape[1:], _count_down(shape[1:], 14))
    # 128 channels at 14 x 14 for an image of 224 x 224, as published.
    depth = 8 * 2 ** (len(sizes) - 1)
    start = (depth, *sizes[-1])
    layers: list[nn.Module] = [
        nn.Linear(_FEATURES, start[0] * start[1] * start[2]),
        nn.ReLU(),
        nn.Unflatten(1, start),
    ]
    for size in reversed(sizes[:-1]):
        layers += [nn.Upsample(size), *_conv(depth, depth // 2, 3)]
        depth //= 2
    return nn.Sequential(*layers, nn.Conv2d(depth, shape[0], 3, padding=1, bias=False))


def discriminator(shape: tuple[int, int, int], classes: int, width: int) -> nn.Sequential:
    """Image (B, C, H, W) in `[-1, 1]` -> (B, classes + 1): its labels, and 1 if it is painted."""
    sizes = _halvings(shape[1:], _count_down(shape[1:], 7))
    layers: list[nn.Module] = []
    before = shape[0]
    for level in range(len(sizes) - 1):
        after = width * 2**level
        halving = nn.Conv2d(before, after, 3, stride=2, padding=1)
        layers += [spectral_norm(halving), nn.LeakyReLU(0.01)]
        before = after
    return nn.Sequential(
        *layers, nn.Conv2d(before, classes + 1, sizes[-1], bias=False), nn.Flatten()
    )


def _conv(before: int, after: int, kernel: int, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return convolution, InstanceNorm(), nn.ReLU()


def _halvings(size: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """A size and its halves, rounded up as a convolution of stride 2 does."""
    sizes = [size]
    for _ in range(count):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def _count_down(size: tuple[int, int], most: int) -> int:
    """How often a size must be halved until both sides are at most this long."""
    count = 0
    while max(_halvings(size, count)[-1]) > most:
        count += 1
    return count


def _verdict(said: Tensor, labels: Tensor, *, painted: bool) -> Tensor:
    """Least squares error of the discriminator's answer (Mao et al., ICCV 2017)."""
    flag = labels.new_full((len(labels), 1), float(painted))
    return F.mse_loss(said, torch.cat([labels, flag], dim=1))


def _adam(part: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(part.parameters(), lr=rate, betas=(0.5, 0.999), fused=True)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _drawn(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Label rows at random, (count, classes)."""
    random = CounterRandom.drawn_from(generator, rows.device)
    return rows[random.integers((count,), len(rows))[0]]


def _painter(network: nn.Module) -> Painter:
    if not isinstance(network, Painter):
        raise UsageError("pros-gan needs the network that it built itself")
    return network
