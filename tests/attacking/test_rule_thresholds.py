"""Every step rule on a linear bit, which flips exactly above `|w . x + b| / ||w||_1`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from hashbench import plugins
from hashbench.attacking import Attacker, Eps, Known, SignDescent, Threat, run_attack
from hashbench.attacking.step_rules import StepSchedule
from hashbench.hashing import BackboneNet, HashModel


@dataclass(frozen=True)
class LinearBit:
    """Queries against one bit `sign(w . x + b)`, away from the box, with thresholds in float64."""

    model: HashModel
    pixels: NDArray[np.uint8]
    thresholds: NDArray[np.float64]
    codes: NDArray[np.int8]

    @classmethod
    def drawn(cls, seed: int, shape: tuple[int, ...], *, mixed: bool) -> LinearBit:
        queries = 6
        rng = np.random.default_rng(seed)
        weight = rng.uniform(0.5, 1.0, shape)
        if mixed:
            weight *= rng.choice([-1.0, 1.0], shape)
        weight *= 12 / np.abs(weight).sum()
        net = BackboneNet(nn.Flatten(), weight.size, (0.0,) * shape[0], (1.0,) * shape[0])
        model = HashModel(net, 1)
        bias = -weight.sum() / 2 + 12 * rng.choice([-1.0, 1.0]) * rng.uniform(0.06, 0.14)
        with torch.no_grad():
            model.hash_layer.weight.copy_(torch.from_numpy(weight).float().view(1, -1))
            model.hash_layer.bias.fill_(float(bias))
        pixels = rng.integers(64, 192, (queries, *shape), dtype=np.uint8)
        logits = pixels.reshape(queries, -1) / 255.0 @ weight.ravel() + bias
        codes = np.where(logits >= 0, 1, -1).astype(np.int8).reshape(-1, 1)
        return cls(model.eval(), pixels, np.abs(logits) / 12, codes)

    def flipped(self, attack: SignDescent, radius: float, batch: int) -> NDArray[np.bool_]:
        labels = np.eye(len(self.pixels), dtype=np.uint8)
        attacker = Attacker(Known.of(labels, self.codes, self.codes, labels))
        threat = Threat(Eps.parse(radius))
        seeds = range(len(self.pixels))
        outcome = run_attack(attack, self.model, self.pixels, attacker, threat, seeds, batch=batch)
        found: NDArray[np.bool_] = (outcome.codes != self.codes)[:, 0]
        return found


# Input diversity averages neighbours: where their weights have both signs, and half of the images
# are resized, a resized image pulls some pixels the wrong way. With weights of one sign it never
# does; else seldom resized images and steps that end small let the others have the last word.
@pytest.mark.parametrize("shape", [(3, 5, 2), (1, 12, 12)])
@pytest.mark.parametrize(
    ("rule", "schedule", "mixed", "own"),
    [
        *itertools.product(("bim", "mi", "ni"), StepSchedule, (True,), ({},)),
        *itertools.product(("si-ni",), StepSchedule, (True,), ({"copies": 3},)),
        *itertools.product(("vmi",), StepSchedule, (True,), ({"samples": 3},)),
        *itertools.product(("di",), StepSchedule, (False,), ({},)),
        ("di", StepSchedule.COSINE, True, {"resize_probability": 0.1}),
    ],
)
def test_every_rule_flips_a_linear_bit_above_its_threshold_and_never_below(
    rule: str, schedule: StepSchedule, mixed: bool, own: dict[str, Any], shape: tuple[int, ...]
) -> None:
    case = LinearBit.drawn(shape[1], shape, mixed=mixed)
    # Way enough to cross the ball, also with the decaying steps.
    attack = plugins.get(
        "attack",
        "pgd-hamming",
        steps=60,
        step_size="1/50",
        rule=rule,
        step_schedule=schedule,
        **own,
    )
    assert isinstance(attack, SignDescent)
    tried = 0
    for query, threshold in enumerate(case.thresholds):
        if 0.01 < threshold < 0.24:
            assert case.flipped(attack, 1.01 * float(threshold), batch=4)[query]
            assert not case.flipped(attack, 0.99 * float(threshold), batch=4)[query]
            tried += 1
    assert tried >= 3
