"""A model that does not draw is attacked as if no model ever did: bit for bit, by every attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hashbench import plugins
from hashbench.attacking import AttackedModel, AttackerSetup, Eps, QueryRandom, Threat
from hashbench.attacking.attacker import Attacker, SurrogateModel
from hashbench.attacking.goal import Known
from hashbench.attacking.setup import sizes_of
from hashbench.data.images import ImageSet
from hashbench.data.targets import draw_targets
from hashbench.hashing import HashModel, InputSpec, encode
from hashbench.hashing.model import codes_of
from hashbench.plugins import Attack, Backbone, Knowledge, TrainedAttack
from hashbench.plugins.parameters import field_types
from support.knowing import known_of

Build = Callable[..., Attack]

CHEAP: dict[str, dict[str, object]] = {
    "random-search": {"queries": 40},
    "ranked-search": {"queries": 40, "length": 10},
    "tha": {"training_steps": 5},
    "pros-gan": {"prototype_steps": 5, "epochs": 1},
    "universal": {"epochs": 2, "batch": 20},
}
_KIND = plugins.Kind.ATTACK
_OURS = [
    name
    for name in plugins.names(_KIND)
    if plugins.registry(_KIND).find(_KIND, name).origin.source == "hashbench"
]
_PLAIN: dict[str, object] = {}
VARIANTS: tuple[tuple[str, dict[str, object]], ...] = (
    *((name, _PLAIN) for name in _OURS),
    ("mainstay", {"targeted": True}),
    ("sdha", {"targeted": True}),
    ("hag", {"all_bits": True, "second_tanh": True}),
    *[("pgd-hamming", {**_PLAIN, "rule": rule}) for rule in ("mi", "ni", "si-ni", "vmi", "di")],
    ("nag", {"stop_distance": 2, "rule": "di"}),
    ("smooth-ap", {"scaled": False, "random_start": False}),
)


class Literal(AttackedModel):
    """Says each answer of one pass as its formula stands; knows no draws."""

    def logits(self, images: Tensor) -> Tensor:
        return self._forward(images)

    def outputs(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        return torch.tanh(alpha * self._forward(images))

    def expected_loss(
        self, loss: Callable[[Tensor], Tensor], images: Tensor, alpha: float = 1.0
    ) -> Tensor:
        return loss(torch.tanh(alpha * self._forward(images)))

    def expected_loss_of_logits(self, loss: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        return loss(self._forward(images))

    def drawn_logits(self, images: Tensor) -> Tensor:
        return self._forward(images)[None]

    def drawn_codes(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return codes_of(self._forward(images))[None]


class Scene:
    """A small network, its surrogate, queries of four classes and what is known of them."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.models = [_network(seed) for seed in (0, 1)]
        rows = np.eye(4, dtype=np.uint8)
        self.train = ImageSet(
            rng.integers(0, 256, (40, 1, 12, 12), dtype=np.uint8), rows[np.arange(40) % 4]
        )
        pixels = rng.integers(0, 256, (9, 1, 12, 12), dtype=np.uint8)
        self.images = torch.from_numpy(pixels).float() / 255
        self.labels = rows[np.arange(9) % 4]
        self.threat = Threat(Eps.parse("16/255"))

    def attack(self, attack: Attack, kind: type[AttackedModel]) -> tuple[Tensor, list[int]]:
        """The answer, and the passes forward and back."""
        known, seen = (self._known(model) for model in self.models)
        own = kind(self.models[1])
        trained: torch.nn.Module | None = None
        if isinstance(attack, TrainedAttack):
            trained = self._trained(attack, kind, known)
        attacker = Attacker(
            known,
            surrogate=SurrogateModel(self.models[1], seen),
            network=trained,
        )
        goal = attacker.goal(attack, own, frozenset(Knowledge))
        target = kind(self.models[0], database_codes=known.train_codes)
        rng = QueryRandom(range(len(self.images)))
        answer = attack.perturb(target, self.images.clone(), goal, self.threat, rng)
        counts = [target.forwards, target.backwards, own.forwards, own.backwards]
        return answer.detach(), counts

    def _trained(
        self, attack: TrainedAttack, kind: type[AttackedModel], known: Known
    ) -> torch.nn.Module:
        torch.manual_seed(3)
        network = attack.network(sizes_of(self.train, self.models[0].bits)).train()
        setup = AttackerSetup(
            model=kind(self.models[0]),
            train=self.train,
            labels=known.train_labels,
            codes=known.train_codes,
            threat=self.threat,
            generator=torch.Generator().manual_seed(4),
            progress=lambda _done, _total: None,
        )
        attack.train(network, setup)
        return network.eval().requires_grad_(False)

    def _known(self, model: HashModel) -> Known:
        codes = encode(model, self.train.images).codes
        targets = draw_targets(self.labels, self.train.labels)
        return known_of(self.labels, codes, self.train.labels, targets)


@pytest.fixture(scope="module")
def scene() -> Scene:
    with torch.random.fork_rng():
        return Scene()


@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=str)
def test_every_attack_answers_as_by_the_literal_formulas(
    name: str, parameters: dict[str, object], scene: Scene, attack_named: Build
) -> None:
    settings = {**CHEAP.get(name, {}), **parameters}
    if "steps" in field_types(type(attack_named(name))):
        settings.setdefault("steps", 12)
    attack = attack_named(name, **settings)
    with torch.random.fork_rng():
        found, counts = scene.attack(attack, AttackedModel)
        wanted, literal = scene.attack(attack, Literal)
    assert torch.equal(found, wanted)
    assert counts == literal
    assert not torch.equal(found, scene.images), "an attack that does not move shows nothing"


def _network(seed: int) -> HashModel:
    torch.manual_seed(seed)
    backbone: Any = plugins.get("backbone", "small-cnn", width=4, hidden=16)
    assert isinstance(backbone, Backbone)
    model = HashModel(backbone.build(InputSpec(1, 12, 12, (0.4,), (0.3,))), 12)
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.rand(64, 1, 12, 12))
    return model.eval().requires_grad_(False)
