"""What a step of `pgd-hamming` costs beside a hand-written loop of `torch.autograd.grad`.

    python benchmarks/speed/attack_step.py [--rounds N]

Both take the same steps on the same model and images, one thread, in alternation; the ratio of each
round is taken and the median printed. Bar: at most 1.1. A loop that calls `loss.backward()` without
freezing the parameters, the field's habit, stands beside them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from hashbench import plugins
from hashbench.attacking import AttackedModel, Eps, QueryRandom, Threat
from hashbench.attacking.goal import Goal, Known
from hashbench.hashing import HashModel, InputSpec
from hashbench.hashing.encode import frozen
from hashbench.plugins import Attack, Backbone

STEPS = 20
QUERIES = 500
BITS = 32
RADIUS = Eps.parse("24/255")


def main() -> None:
    """Print one line per rival."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds: int = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_model()
    images = torch.rand(QUERIES, 1, 28, 28)
    centers = torch.where(torch.rand(QUERIES, BITS) < 0.5, -1.0, 1.0)

    rivals: dict[str, Callable[[], Tensor]] = {
        "hand-written autograd.grad": lambda: by_hand(model, images, centers),
        "pgd-hamming": lambda: by_plugin(model, images, centers),
        "loss.backward(), parameters not frozen": lambda: by_backward(model, images, centers),
    }
    answers = {name: rival() for name, rival in rivals.items()}  # warm-up, and the proof
    first = next(iter(answers.values()))
    for name, answer in answers.items():
        same = (answer - first).abs().max().item()
        if same > 1e-6:
            raise SystemExit(f"{name} computes something else (differs by {same})")
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, rival in rivals.items():
            began = time.perf_counter()
            rival()
            times[name].append(time.perf_counter() - began)
    base = times["hand-written autograd.grad"]
    print(f"{QUERIES} queries, {STEPS} steps, {rounds} rounds, 1 thread")
    for name, spent in times.items():
        ratio = statistics.median(a / b for a, b in zip(spent, base, strict=True))
        print(f"{name:40} {1000 * min(spent) / STEPS:8.2f} ms per step   ratio {ratio:5.3f}")


def build_model() -> HashModel:
    """The quick suite's model with fresh weights."""
    backbone = plugins.get("backbone", "small-cnn")
    if not isinstance(backbone, Backbone):
        raise TypeError("small-cnn is no backbone")
    net = backbone.build(InputSpec(1, 28, 28, (0.286,), (0.353,)))
    return HashModel(net, BITS).eval()


def by_plugin(model: HashModel, images: Tensor, centers: Tensor) -> Tensor:
    """The plugin as the harness calls it."""
    attack = plugins.get("attack", "pgd-hamming", steps=STEPS, random_start=False)
    if not isinstance(attack, Attack):
        raise TypeError("pgd-hamming is no attack")
    nothing = torch.empty(0)
    goal = Goal("pgd-hamming", Known(nothing, centers, nothing, nothing), True, True)
    with frozen(model):
        return attack.perturb(
            AttackedModel(model), images, goal, Threat(RADIUS), QueryRandom(range(len(images)))
        )


def by_hand(model: HashModel, images: Tensor, centers: Tensor) -> Tensor:
    """The shortest correct loop, parameters frozen."""
    radius = float(RADIUS)
    low, high = (images - radius).clamp(min=0), (images + radius).clamp(max=1)
    point = images
    with frozen(model):
        for _ in range(STEPS):
            point = point.detach().requires_grad_(True)
            loss = (torch.tanh(model.logits(point)) * centers).mean(dim=1).sum()
            (gradient,) = torch.autograd.grad(loss, point)
            point = torch.clamp(point.detach() - gradient.sign() / 255, low, high)
    return point.detach()


def by_backward(model: HashModel, images: Tensor, centers: Tensor) -> Tensor:
    """The field's loop: gradients of every parameter are computed and pile up."""
    radius = float(RADIUS)
    delta = torch.zeros_like(images, requires_grad=True)
    for _ in range(STEPS):
        loss = (torch.tanh(model.logits(images + delta)) * centers).mean(dim=1).sum()
        loss.backward()
        with torch.no_grad():
            gradient = delta.grad
            if gradient is None:
                raise RuntimeError("no gradient")
            delta -= gradient.sign() / 255
            delta.clamp_(-radius, radius)
            delta.copy_((images + delta).clamp(0, 1) - images)
            gradient.zero_()
    return (images + delta).detach()


if __name__ == "__main__":
    main()
