"""`evaluate`: an object's numbers are a run's, and the object is handed back as it was found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from typing_extensions import override

import hashbench
from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.hashing import HashModel
from hashbench.plugins import Attack, attack
from hashbench.results import CLEAN, WORST_CASE, Results
from hashbench.runner.loading import load_data
from hashbench.runner.object_model import borrowed
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step
from hashbench.runner.suite import Suite

BITS = 8
DRAW = np.random.default_rng(0)


def split(count: int) -> tuple[Any, Any]:
    labels = DRAW.integers(0, 3, count)
    images = DRAW.integers(0, 90, (count, 3, 8, 8)) + 70 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


DATA = {"train": split(24), "query": split(6), "database": split(30)}


def network() -> nn.Sequential:
    torch.manual_seed(1)
    parts = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())
    return nn.Sequential(*parts, nn.Linear(216, BITS))


def measured(results: Results) -> dict[tuple[str, str], Any]:
    assert not results.failed, [result.reason for result in results.failed]
    return {
        (result.cell.attack, result.cell.eps): (dict(result.metrics), result.per_query.tolist())
        for result in results.cells
    }


def test_an_object_has_the_numbers_of_the_model_that_a_run_made(
    tiny_suite: Callable[..., Suite], tmp_path: Path
) -> None:
    """The parts of a trained model as a plain network, on its data by name and as arrays."""
    attacks = ["noise", "hag:steps=4", "transfer:steps=1", "dhta:steps=2"]
    suite = tiny_suite(attack=attacks[:2])
    of_run = hashbench.run(suite, out=tmp_path / "run")
    weights = next((tmp_path / "run").rglob("weights.safetensors"))
    state = load_file(weights)
    source = plugins.get("dataset", "tiny")
    assert isinstance(source, plugins.Dataset)
    data = source.load(None)
    backbone = plugins.get("backbone", "small-cnn:width=4,hidden=16")
    assert isinstance(backbone, plugins.Backbone)
    from hashbench.hashing.backbone import InputSpec

    model = HashModel(backbone.build(InputSpec.of(data.train)), BITS)
    model.load_state_dict(state)
    net = nn.Sequential(model.backbone, model.hash_layer)
    normalised: dict[str, Any] = {"mean": state["mean"].flatten(), "std": state["std"].flatten()}
    by_name = hashbench.evaluate(net, "tiny", attacks[:2], "24/255", **normalised)
    assert measured(by_name) == measured(of_run)
    arrays = {
        name: (np.asarray(part.images[0 : len(part)]), part.labels)
        for name, part in (
            ("train", data.train),
            ("query", data.query),
            ("database", data.database),
        )
    }
    as_arrays = hashbench.evaluate(
        net,
        arrays,
        attacks[:2],
        24 / 255,
        data_name="tiny",
        top_k=source.list_length(),
        **normalised,
    )
    assert measured(as_arrays) == measured(of_run)
    more = hashbench.evaluate(net, "tiny", attacks[2:], "24/255", **normalised)
    assert {of for of, _ in measured(more)} == {CLEAN, *attacks[2:]}


def test_results_are_those_of_a_run() -> None:
    results = hashbench.evaluate(network(), DATA, ["noise", "pgd-hamming:steps=3"], ["8/255", 0.1])
    [model] = {result.cell.clean for result in results.cells}
    assert (model.dataset, model.loss, model.backbone, model.bits, model.defense) == (
        "own-data",
        "unstated",
        "Sequential",
        BITS,
        "none",
    )
    assert {(result.cell.attack, result.cell.eps) for result in results.cells} == {
        (CLEAN, "0"),
        *((name, eps) for name in ("noise", "pgd-hamming:steps=3") for eps in ("8/255", "0.1")),
    }
    frame = results.to_frame()
    assert {"chance", "floor", "forwards", "map(ties=worst)"} <= set(frame.metric)
    assert WORST_CASE in set(frame.attack)
    assert repr(results).startswith("Results: 5 cells; suite evaluate\n")  # and of no folder
    assert load_data.cache_info().currsize == 0  # the data are let go of


def test_nothing_but_clean_queries_and_the_radius_of_the_data() -> None:
    [result] = hashbench.evaluate(network(), DATA, []).cells
    assert result.cell.attack == CLEAN
    assert {r.cell.eps for r in hashbench.evaluate(network(), DATA, "noise").cells} == {
        "0",
        "8/255",
    }


def test_a_store_is_gone_on_with_by_the_content_of_the_network(tmp_path: Path) -> None:
    class Counter(Reporter):
        def __init__(self) -> None:
            self.made: list[str] = []

        @override
        def finished(self, step: Step, seconds: float) -> None:
            self.made.append(step.label)

    def made(net: nn.Module, *attacks: str) -> list[str]:
        counter = Counter()
        hashbench.evaluate(net, DATA, attacks, out=tmp_path, reporter=counter)
        return [label.split()[0] for label in counter.made]

    first = made(network(), "noise")
    assert len(first) == 6
    assert made(network(), "noise") == []  # another object of the same content
    assert len(made(network(), "noise", "hag:steps=1")) == 2
    other: Any = network()
    with torch.no_grad():
        other[5].bias[0] += 1e-3
    assert made(other, "noise") == first
    assert len(hashbench.load_results(tmp_path).cells) == 3
    other[1].eps = 1e-2
    assert made(other, "noise") == first
    assert len(list(tmp_path.rglob("object.json"))) == 3


def test_a_folder_is_reported_and_says_what_it_holds(tmp_path: Path) -> None:
    hashbench.evaluate(network(), DATA, "noise", out=tmp_path, name="my net")
    [plan] = (tmp_path / "plans").glob("*.json")
    suite = json.loads(plan.read_text())["suite"]
    assert (suite["name"], suite["in_memory"]) == ("evaluate", "my net")
    assert not {"model", "dataset", "backbone", "defense", "checkpoint"} & {
        key for key, value in suite.items() if value
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hashbench", "report", str(tmp_path), "--full"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "own-data, unstated, my net, 8 bits, eps 8/255" in done.stdout
    assert "Training: elsewhere; the models were objects of a program" in done.stdout


def test_a_defense_of_ours_is_put_around_and_any_other_name_is_a_name(tmp_path: Path) -> None:
    for defense in ("none", "jpeg:quality=5", "my own training"):
        hashbench.evaluate(network(), DATA, "noise", defense=defense, out=tmp_path, name="net")
    frame = hashbench.load_results(tmp_path).leaderboard().set_index("defense")
    assert set(frame.index) == {"none", "jpeg:quality=5", "my own training"}
    assert frame.clean["none"] == frame.clean["my own training"] != frame.clean["jpeg:quality=5"]
    assert len(set(frame.training)) == 1  # one table


def state_of(net: nn.Module) -> list[Any]:
    return [
        [(name, part.training) for name, part in net.named_modules()],
        [
            (name, id(value), value.data_ptr(), value.requires_grad, id(value.grad), value.device)
            for name, value in net.named_parameters()
        ],
        [(name, id(value), value.tolist()) for name, value in net.named_buffers()],
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        threading.active_count(),
    ]


@attack("raises")
@dataclass(frozen=True)
class Raises(Attack):
    """Is interrupted in its midst, as by Ctrl-C."""

    @override
    def perturb(self, model: Any, images: Any, goal: Any, threat: Any, rng: Any) -> Any:
        model.outputs(images.clone().requires_grad_()).sum().backward()
        raise KeyboardInterrupt


def prepared() -> Any:
    net: Any = network()
    net[0].weight.requires_grad_(False)
    net[1].eval()
    (net[5](torch.ones(1, 216)).sum()).backward()
    return net


@pytest.mark.parametrize("grad", [True, False])
def test_the_network_is_left_as_it_was_found(grad: bool) -> None:
    net = prepared()
    with torch.set_grad_enabled(grad):
        before = state_of(net)
        gradients = [value.grad.tolist() for value in net[5].parameters() if value.grad is not None]
        hashbench.evaluate(net, DATA, ["noise", "pgd-hamming:steps=2"])
        assert state_of(net) == before
        with pytest.raises(KeyboardInterrupt):
            hashbench.evaluate(net, DATA, [Raises()])
        assert state_of(net) == before
        with pytest.raises(UsageError):
            hashbench.evaluate(net, DATA, bits=4)
        assert state_of(net) == before
        assert len(gradients) == 2
        assert gradients == [v.grad.tolist() for v in net[5].parameters() if v.grad is not None]


def test_what_was_moved_and_changed_is_put_back() -> None:
    """As to another device and back, which a test on a processor plays with another type."""
    net = prepared()
    before = state_of(net)

    def used() -> None:
        with borrowed(net):
            net.double().train().requires_grad_(True)
            net.zero_grad()
            net[1].running_mean += 1
            net(torch.rand(2, 3, 8, 8).double()).sum().backward()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        used()
    after = state_of(net)
    assert after[:3] == before[:3]
    assert net[5].weight.dtype == torch.float32


def test_an_attack_of_a_notebook_is_asked_as_it_is() -> None:
    @attack("grey")
    @dataclass(frozen=True)
    class Grey(Attack):
        """Moves towards grey."""

        share: float = 1.0

        @override
        def perturb(self, model: Any, images: Tensor, goal: Any, threat: Any, rng: Any) -> Tensor:
            moved: Tensor = threat.project(images + self.share * (0.5 - images), images)
            return moved

    results = hashbench.evaluate(network(), DATA, [Grey(share=0.5), Grey(), "noise"], "1/10")
    names = {result.cell.attack for result in results.cells}
    assert names == {CLEAN, "grey", "grey:share=0.5", "noise"}
    assert not results.failed
    with pytest.raises(UsageError, match="there is no attack 'grey'"):
        hashbench.evaluate(network(), DATA, "grey")


class Gives(nn.Module):
    """A network that answers as a test wants."""

    def __init__(self, answer: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.answer = answer

    @override
    def forward(self, images: Tensor) -> object:
        return self.answer(images)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: (x, x), r"gives a tuple of 2, but must give one tensor.*net\(x\)\[0\]"),
        (lambda x: {"u": x}, r"gives a dict with 'u'.*net\(x\)\['u'\]"),
        (lambda _: None, "gives a NoneType"),
        (lambda x: x, r"gives shape \(2, 3, 8, 8\) for 2 images, but must give \(2, K\).*flatten"),
        (lambda x: x.flatten(1)[:, :8].squeeze(), r"gives shape \(8,\) for 1 image,"),
        (lambda x: x.flatten(1) > 0, "torch.bool, but must give real numbers"),
        (lambda x: x.flatten(1) / 0 * 0, "not finite"),
        (lambda x: x.repeat(1, 1, 2, 2).flatten(1), "768 numbers per image.*at most 512"),
        (lambda x: x.flatten(1) @ torch.ones(7), "net raises RuntimeError for float32 images of s"),
    ],
)
def test_a_network_that_answers_wrongly_is_told(
    answer: Callable[[Tensor], object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        hashbench.evaluate(Gives(answer), DATA)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"net": lambda x: x}, "net is a function, expected a torch.nn.Module"),
        ({"attacks": "hga"}, "did you mean 'hag'"),
        ({"attacks": None}, "attacks are names or objects"),
        ({"net": network().double()}, "torch.float64: net.float.. changes that"),
        ({"net": nn.Sequential(network(), nn.Softplus(0.01)), "bounded": True}, "ends in a tanh"),
        ({"eps": 8}, "8/255"),
        ({"data": "fashoin"}, "did you mean 'fashion'"),
        ({"mean": (0.1, 0.2), "std": 1.0}, "have 2 numbers, but images 3 channels"),
        ({"mean": (123, 117, 104)}, "divide it by 255"),
        ({"std": 0.0}, "above 0"),
        ({"std": (58, 57, 57)}, "std is .58.*divide it by 255"),
        ({"mean": "imagenet"}, "numbers, or one number per channel"),
        ({"data": {**DATA, "classes": 5}}, "must be a list of texts"),
        ({"bits": "8"}, "bits is '8', expected a whole number"),
        ({"seed": None}, "seed is None, expected a whole number"),
        ({"seed": [0, 1]}, r"seed is \[0, 1\], expected a whole number"),
        ({"name": 5}, "name is 5, expected a text"),
        ({"loss": 5}, "loss is 5, expected a text"),
        ({"defense": 5}, "defense is 5, expected a text"),
        ({"data_name": 5}, "data_name is 5, expected a text"),
        ({"reporter": 5}, "reporter is 5, expected a hashbench.Reporter"),
        ({"bounded": "yes"}, "bounded is 'yes', expected True or False"),
        ({"progress": "yes"}, "progress is 'yes', expected True or False"),
        ({"eps": torch.full((3,), 8.0)}, "8/255"),
        ({"net": nn.Sequential(nn.Flatten(), nn.LazyLinear(8))}, "run it once on an image"),
        ({"net": nn.Sequential(nn.Flatten(), nn.Linear(192, 8, device="meta"))}, "device meta"),
        ({"bits": 4}, "bits is 4, but net.x. gives 8 numbers"),
        ({"device": "tpu"}, "expected cpu or cuda"),
        ({"defense": "cgta\n"}, "characters that can be printed"),
        ({"data_name": ""}, "data_name has 1 to"),
        ({"data": "fashion", "top_k": 3}, "top_k is for your own data"),
        ({"passes": 5}, "may take .* passes"),
    ],
)
def test_wrong_words_are_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        hashbench.evaluate(**{"net": network(), "data": DATA, "progress": False, **changes})


def test_a_network_that_draws_in_eval_mode_is_flagged() -> None:
    noisy = Gives(lambda x: x.flatten(1)[:, :BITS] - 0.4 + 0.5 * torch.randn(len(x), BITS))
    results = hashbench.evaluate(noisy, DATA, "noise")
    assert "stochastic-codes" in results.leaderboard()["flagged"][0]


def test_a_network_without_a_gradient_is_attacked_by_its_codes_alone() -> None:
    blind = Gives(lambda x: (x.flatten(1)[:, :BITS] - 0.4).detach())
    with pytest.raises(UsageError, match=r"auto follows gradients, but none goes through net"):
        hashbench.evaluate(blind, DATA)
    results = hashbench.evaluate(blind, DATA, "random-search:queries=20")
    assert not results.failed
    assert "attacked-by-codes-alone" in results.leaderboard()["flagged"][0]


class Through(nn.Module):
    """Trainable parameters, and something that lets no gradient through."""

    def __init__(self, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]):
        super().__init__()
        self.net = network()
        self.before, self.after = before, after

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.net(self.before(images)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (torch.detach, torch.clone),
        (torch.clone, torch.sign),
        (torch.round, torch.clone),
        (torch.clone, torch.detach),
    ],
)
def test_a_gradient_of_the_parameters_alone_or_of_zero_is_none(
    before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]
) -> None:
    net = Through(before, after)
    with pytest.raises(UsageError, match="none goes through net"):
        hashbench.evaluate(net, DATA, "pgd-hamming:steps=2")
    assert all(value.grad is None for value in net.parameters())
    results = hashbench.evaluate(net, DATA, "noise")
    assert "attacked-by-codes-alone" in results.leaderboard()["flagged"][0]


def test_numbers_of_numpy_and_torch_are_taken() -> None:
    radii = [4 / 255, 8 / 255]
    wanted = measured(hashbench.evaluate(network(), DATA, "noise", radii, seed=3))
    for eps in (np.array(radii), torch.tensor(radii, dtype=torch.float64)):
        found = hashbench.evaluate(network(), DATA, "noise", eps, seed=np.int64(3))  # type: ignore[arg-type]
        assert measured(found) == wanted


def test_a_network_of_inference_mode_is_told_what_to_do() -> None:
    with torch.inference_mode():
        net = network()
    with pytest.raises(UsageError, match=r"inference_mode.*copy.deepcopy"):
        hashbench.evaluate(net, DATA, "noise")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "form",
    [
        torch.jit.script,
        lambda net: torch.export.export(
            net.eval(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=({0: torch.export.Dim("b")},)
        ).module(),
    ],
)
def test_scripted_and_exported_networks_have_the_numbers_of_their_origin(
    form: Callable[[nn.Module], nn.Module],
) -> None:
    attacks = ["noise", "pgd-hamming:steps=2"]
    wanted = measured(hashbench.evaluate(network(), DATA, attacks, name="net"))
    net = form(network())
    asking = [value.requires_grad for value in net.parameters()]
    assert measured(hashbench.evaluate(net, DATA, attacks, name="net")) == wanted
    assert [value.requires_grad for value in net.parameters()] == asking
