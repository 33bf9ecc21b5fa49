"""What `gpu.py` races: works of hashbench, each beside the shortest loop that does the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hashbench import plugins
from hashbench.attacking import Attacker, Eps, Known, Threat, run_attack
from hashbench.defending import AdversarialTraining, Budget, DefenseSetup
from hashbench.hashing import (
    BoundLoss,
    HashModel,
    InputSpec,
    LossSetup,
    Objective,
    Recipe,
    batch_centers,
    train,
)
from hashbench.hashing.encode import evaluating, frozen, outputs_of
from hashbench.hashing.trainer import PlainObjective, random_orders
from hashbench.plugins import Attack, Backbone, Loss
from hashbench.retrieval.database import Shard
from hashbench.retrieval.scorer import Scorer

BITS, CLASSES = 32, 10
RADIUS = Eps.parse("8/255")
NUS = (2_100, 193_734, 21)
"""Queries, database items and labels of NUS-WIDE as the papers split it."""


@dataclass(frozen=True)
class Sizes:
    """How much is computed.

    Attributes:
        side, channels: of the images.
        queries, steps: of the attack.
        images, batch: of the trainings.
        ranked: queries, items and labels of the average precision.
    """

    side: int
    channels: int
    queries: int
    steps: int
    images: int
    batch: int
    ranked: tuple[int, int, int]


LARGE = Sizes(224, 3, 256, 20, 640, 32, NUS)
SMALL = Sizes(28, 1, 128, 20, 640, 32, (50, 20_000, 21))


@dataclass(frozen=True)
class Bench:
    """One net on one device, with data on the host (as hashbench gets them) and on the device."""

    net: str
    device: torch.device
    sizes: Sizes

    def model(self) -> HashModel:
        """A fresh model, always the same."""
        torch.manual_seed(0)
        backbone = plugins.get("backbone", self.net)
        if not isinstance(backbone, Backbone):
            raise TypeError(f"{self.net} is no backbone")
        side, channels = self.sizes.side, self.sizes.channels
        spec = InputSpec(channels, side, side, (0.5,) * channels, (0.25,) * channels)
        return HashModel(backbone.build(spec), BITS).to(self.device).eval()

    def pixels(self, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """Random images, uint8 (count, C, H, W)."""
        shape = (count, self.sizes.channels, self.sizes.side, self.sizes.side)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object]) -> float:
        """How long it takes, the device's part included."""
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - began


def rows_of(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Labels, (count, classes)."""
    return np.eye(CLASSES, dtype=np.uint8)[np.arange(count) % CLASSES]


def attack_of(steps: int) -> Attack:
    """`pgd-hamming` of so many steps."""
    found = plugins.get("attack", "pgd-hamming", steps=steps)
    if not isinstance(found, Attack):
        raise TypeError("pgd-hamming is no attack")
    return found


def attacks(bench: Bench) -> tuple[Callable[[], object], Callable[[], object], float]:
    """Ours, the bare loop, and the query-steps of either."""
    sizes, model = bench.sizes, bench.model()
    pixels, rows = bench.pixels(sizes.queries), rows_of(sizes.queries)
    codes = np.where(np.random.default_rng(1).random((sizes.queries, BITS)) < 0.5, -1, 1)
    known = Known.of(rows, codes.astype(np.int8), codes.astype(np.int8), rows)
    attack, threat = attack_of(sizes.steps), Threat(RADIUS)
    images = torch.from_numpy(pixels).to(bench.device).float() / 255
    centers = torch.from_numpy(codes).to(bench.device).float()
    size = 1 / 255  # its default

    def ours() -> object:
        seeds = range(sizes.queries)
        return run_attack(
            attack, model, pixels, Attacker(known), threat, seeds, batch=sizes.queries
        )

    def bare() -> object:
        with frozen(model):
            return descended(model, images, centers, sizes.steps, size)

    return ours, bare, sizes.queries * sizes.steps


def descended(model: HashModel, images: Tensor, centers: Tensor, steps: int, size: float) -> Tensor:
    """Sign steps away from codes, from a random point of the ball."""
    radius = float(RADIUS)
    low, high = (images - radius).clamp(min=0), (images + radius).clamp(max=1)
    noise = radius * (2 * torch.rand_like(images) - 1)
    point = torch.clamp(images + noise, low, high)
    for _ in range(steps):
        point = point.detach().requires_grad_(True)
        loss = (model.outputs(point) * centers).mean(dim=1).sum()
        (gradient,) = torch.autograd.grad(loss, point)
        point = torch.clamp(point.detach() - size * gradient.sign(), low, high)
    return point.detach()


def loss_of(bench: Bench, count: int) -> BoundLoss:
    """CSQ on so many items."""
    loss = plugins.get("loss", "csq")
    if not isinstance(loss, Loss):
        raise TypeError("csq is no loss")
    labels = torch.from_numpy(rows_of(count)).float()
    setup = LossSetup(labels, BITS, torch.Generator().manual_seed(0))
    return loss.bind(setup).to(bench.device)


def trained(bench: Bench, model: HashModel, objective: Objective, count: int, batch: int) -> object:
    """One epoch of ours."""
    recipe, orders = Recipe(1, batch=batch), random_orders(count, 1, seed=0)
    return train(model, objective, recipe, bench.pixels(count), rows_of(count), orders)


def base_training(bench: Bench) -> tuple[Callable[[], object], Callable[[], object], float]:
    """Ours, the bare loop, and the images of either."""
    sizes, model, other = bench.sizes, bench.model(), bench.model()
    loss, theirs = loss_of(bench, sizes.images), loss_of(bench, sizes.images)
    images = torch.from_numpy(bench.pixels(sizes.images)).to(bench.device).float() / 255
    labels = torch.from_numpy(rows_of(sizes.images)).to(bench.device).float()

    def ours() -> object:
        objective = PlainObjective(model, loss)
        return trained(bench, model, objective, sizes.images, sizes.batch)

    def bare() -> None:
        other.train()
        optimizer = Recipe(1).build_optimizer([*other.parameters(), *theirs.parameters()])
        for index in torch.randperm(sizes.images, device=bench.device).split(sizes.batch):
            value = theirs(other.outputs(images[index]), labels[index], index)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    return ours, bare, sizes.images


def cgat_of(bench: Bench, model: HashModel, count: int, steps: int) -> Objective:
    """CgAT's objective with so many inner steps."""
    defense = plugins.get("defense", "cgat")
    if not isinstance(defense, AdversarialTraining):
        raise TypeError("cgat is no adversarial training")
    labels = torch.from_numpy(rows_of(count)).to(bench.device).float()
    return defense.objective(
        DefenseSetup(
            model=model,
            loss=loss_of(bench, count),
            outputs=outputs_of(model, bench.pixels(count)),
            labels=labels,
            database_labels=labels,
            budget=Budget(1, steps, RADIUS),
            generator=torch.Generator().manual_seed(0),
        )
    )


def cgat_training(bench: Bench) -> tuple[Callable[[], object], Callable[[], object], float]:
    """Ours, the bare loop, and the images of either."""
    sizes, model, other = bench.sizes, bench.model(), bench.model()
    count, steps = sizes.images // 2, 7
    objective = cgat_of(bench, model, count, steps)
    theirs = loss_of(bench, count)
    images = torch.from_numpy(bench.pixels(count)).to(bench.device).float() / 255
    labels = torch.from_numpy(rows_of(count)).to(bench.device).float()
    memory = torch.where(torch.rand(count, BITS, device=bench.device) < 0.5, -1.0, 1.0)

    def ours() -> object:
        return trained(bench, model, objective, count, sizes.batch)

    def bare() -> None:
        other.train()
        optimizer = Recipe(1).build_optimizer(other.parameters())
        for index in torch.randperm(count, device=bench.device).split(sizes.batch):
            clean, rows = images[index], labels[index]
            centers = batch_centers(rows, memory, labels)
            with frozen(other), evaluating(other):
                attacked = descended(other, clean, centers, steps, float(RADIUS) / 4)
            outputs_adversarial, outputs = other.outputs(attacked), other.outputs(clean)
            value = theirs(outputs, rows, index)
            with evaluating(other):
                memory[index] = other.codes(clean).float()
            centers = batch_centers(rows, memory, labels)
            value = value - (outputs_adversarial * centers).mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    return ours, bare, count


def ranking(bench: Bench) -> tuple[Callable[[], object], Callable[[], object], float]:
    """Exact average precision, a product with one bincount, and the pairs of either."""
    queries, items, classes = bench.sizes.ranked
    rng = np.random.default_rng(0)
    codes = [
        np.where(rng.random((count, BITS)) < 0.5, -1, 1).astype(np.int8)
        for count in (queries, items)
    ]
    rows = [(rng.random((count, classes)) < 0.1).astype(np.uint8) for count in (queries, items)]
    query_codes, item_codes = (torch.from_numpy(one).to(bench.device).float() for one in codes)
    query_rows, item_rows = (torch.from_numpy(one).to(bench.device).float() for one in rows)
    on = bench.device if bench.device.type == "cuda" else None

    def ours() -> object:
        return Scorer(codes[0], rows[0], Shard(codes[1], rows[1]), device=on).average_precision()

    def bare() -> None:
        bins = BITS + 1
        for part in torch.arange(queries, device=bench.device).split(64):
            distance = ((BITS - query_codes[part] @ item_codes.T) / 2).long()
            near = query_rows[part] @ item_rows.T > 0
            places = torch.arange(len(part), device=bench.device).unsqueeze(1)
            key = distance + bins * near + 2 * bins * places
            torch.bincount(key.flatten(), minlength=2 * bins * len(part))

    return ours, bare, float(queries) * items


WORKS = {
    "pgd-hamming, query-steps/s": attacks,
    "base training, images/s": base_training,
    "CgAT training, images/s": cgat_training,
    "average precision, pairs/s": ranking,
}
