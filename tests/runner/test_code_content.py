"""The content of a module in memory: the same for the same, another for whatever can be seen."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from hashbench.runner.code_content import class_content, module_content

SCALE = 2.0


class Net(nn.Module):
    """A module that holds something of every kind."""

    share = 0.5

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.BatchNorm2d(2), nn.Flatten())
        self.register_buffer("kept", torch.ones(2), persistent=False)
        self.mean = torch.zeros(3)
        self.table = np.arange(3)
        self.power: float = 1.0
        self.names = {"a", "b", "c"}
        self.acts: list[Any] = [F.relu, {"end": torch.tanh}]
        self.hidden = [nn.Linear(2, 2)]
        self.alpha = 3
        self.own = lambda x: x * 2

    @override
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x) ** self.power
        return found


class Longer(Net):
    """Another method."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def scaled(by: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x * by


def test_two_of_the_same_are_one() -> None:
    assert module_content(Net()) == module_content(Net())
    assert module_content(Net().eval()) == module_content(Net().train())
    frozen = Net()
    frozen.requires_grad_(False)
    assert module_content(frozen) == module_content(Net())


def changed(what: Callable[[Any], object]) -> nn.Module:
    net = Net()
    with torch.no_grad():
        what(net)
    return net


@pytest.mark.parametrize(
    "net",
    [
        Longer,
        lambda: nn.Sequential(Net()),
        lambda: changed(lambda net: net.layers[0].weight[0].add_(1e-6)),
        lambda: changed(lambda net: net.layers[1].running_var.mul_(2)),
        lambda: changed(lambda net: net.kept.add_(1)),
        lambda: changed(lambda net: net.mean.add_(1)),
        lambda: changed(lambda net: setattr(net, "table", net.table + 1)),
        lambda: changed(lambda net: setattr(net, "power", 2.0)),
        lambda: changed(lambda net: setattr(net.layers[0], "stride", (1, 1))),
        lambda: changed(lambda net: setattr(net.layers[1], "eps", 1e-3)),
        lambda: changed(lambda net: net.names.add("d")),
        lambda: changed(lambda net: net.acts.__setitem__(0, F.gelu)),
        lambda: changed(lambda net: net.acts[1].update(end=torch.sigmoid)),
        lambda: changed(lambda net: net.hidden[0].bias.add_(1)),
        lambda: changed(lambda net: setattr(net, "own", lambda x: x * 3)),
        lambda: changed(lambda net: setattr(net, "own", scaled(2))),
        lambda: changed(lambda net: setattr(net, "forward", MethodType(Longer.forward, net))),
        lambda: changed(lambda net: net.register_forward_hook(lambda *a: a[-1] * 2)),
        lambda: changed(lambda net: net.layers.register_forward_pre_hook(lambda *a: a[1])),
        lambda: Net().double(),
    ],
)
def test_whatever_can_be_seen_makes_another(net: Callable[[], nn.Module]) -> None:
    assert module_content(net()) != module_content(Net())
    assert module_content(net()) == module_content(net())


def test_what_a_function_holds_is_seen() -> None:
    def holding(by: float) -> str:
        return module_content(changed(lambda net: setattr(net, "own", scaled(by))))

    assert holding(2.0) == holding(2.0) != holding(3.0)


def test_values_that_are_one_object_or_two_are_the_same() -> None:
    """A copy of a network holds copies of what the first one shares between its parts."""

    def sharing(net: Any) -> None:
        net.one = net.two = [(1, 2), {"a": 3.0}]

    assert module_content(changed(sharing)) == module_content(
        changed(lambda net: vars(net).update(one=[(1, 2), {"a": 3.0}], two=[(1, 2), {"a": 3.0}]))
    )


def test_a_module_that_holds_itself_has_an_end() -> None:
    def around(net: Any) -> None:
        net.acts.append(net)
        net.acts.append(net.acts)

    assert module_content(changed(around)) == module_content(changed(around))


def test_the_code_of_a_class_that_was_made_anew() -> None:
    def made(by: int) -> type:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(f"class Made:\n    def f(self, x):\n        return x * {by}\n", names)  # noqa: S102
        found: type = names["Made"]
        return found

    assert class_content(made(2)) == class_content(made(2))
    assert class_content(made(2)) != class_content(made(3))


def test_another_process_finds_the_same() -> None:
    """Sets and constants of sets are in another order there."""
    code = (
        "import torch; from torch import nn\n"
        "class A(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__(); self.names = {'a', 'b', 'c', 'd'}\n"
        "    def forward(self, x):\n"
        "        return x if 'q' in {'q', 'r', 's', 't'} else -x\n"
        "from hashbench.runner.code_content import module_content\n"
        "print(module_content(A()))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


class Holds(nn.Module):
    """A network that computes with one thing."""

    def __init__(self, thing: object) -> None:
        super().__init__()
        self.thing = thing


@dataclass(slots=True)
class Slotted:
    by: float


class Scaling:
    def __init__(self, by: float) -> None:
        self.by = by

    def scale(self, x: Tensor) -> Tensor:
        return x * self.by


def nested(value: object) -> object:
    for _ in range(40):
        value = [value]
    return value


@pytest.mark.parametrize(
    "of",
    [
        lambda by: partial(F.leaky_relu, negative_slope=by),
        np.float32,
        np.float64,
        lambda by: slice(0, int(by)),
        lambda by: range(int(by)),
        Slotted,
        lambda by: Scaling(by).scale,
        nested,
        lambda by: OrderedDict(a=by),
        lambda by: {1, by, "a"},
        lambda by: torch.device("cpu" if by == 1 else "meta"),
        lambda by: np.array([by, "a"], dtype=object),
        lambda by: (torch.eye(3) * by).to_sparse(),
        lambda by: (torch.eye(3) * by).to_sparse_csr(),
        lambda by: torch.Generator().manual_seed(int(by)),
        lambda by: torch.ones(2, dtype=torch.complex64) * by,
    ],
)
def test_things_that_differ_make_another(of: Callable[[float], object]) -> None:
    assert module_content(Holds(of(1.0))) == module_content(Holds(of(1.0)))
    assert module_content(Holds(of(1.0))) != module_content(Holds(of(2.0)))


@pytest.mark.parametrize(
    "of", [lambda by: (by,), lambda by: [by], lambda by: {0: by}, lambda by: torch.ones(1) * by]
)
def test_attributes_of_a_class_make_another(of: Callable[[float], object]) -> None:
    def made(by: float) -> str:
        cls = type("Made", (nn.Module,), {"__module__": "__main__", "SCALE": of(by)})
        return module_content(cls())

    assert made(1.0) == made(1.0) != made(2.0)


def test_a_module_that_stands_in_several_places_stands_in_each() -> None:
    first, last, act = nn.Linear(4, 4), nn.Linear(4, 4), nn.Tanh()
    forms = [(first, act, last), (first, act, last, act), (first, act), (first, act, first)]
    assert len({module_content(nn.Sequential(*parts)) for parts in forms}) == len(forms)
    assert module_content(nn.Sequential(first, act, first)) == module_content(
        nn.Sequential(first, act, first)
    )


@pytest.mark.parametrize(
    "of", [threading.Lock, lambda: (n for n in (1, 2)), lambda: np.frompyfunc(abs, 1, 1)]
)
def test_what_cannot_be_seen_is_never_the_same(of: Callable[[], object]) -> None:
    thing = of()
    assert module_content(Holds(thing)) != module_content(Holds(thing))


def test_numbers_that_are_not_there_are_never_the_same() -> None:
    for net in (nn.Linear(3, 3, device="meta"), nn.LazyLinear(3)):
        assert module_content(net) != module_content(net)


class Chooses(nn.Module):
    """Computes by a number and by a constant tensor."""

    def __init__(self, which: int, by: float = 2.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 4)
        self.which: int = which
        self.constant = torch.full((2000,), by)

    @override
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if self.which == 0:
            return torch.tanh(y) + self.constant[-1]
        return torch.relu(y) * self.which + self.constant[-1]


IMAGE = torch.ones(1, 4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "form",
    [
        torch.jit.script,
        lambda net: torch.jit.trace(net, IMAGE),
        torch.fx.symbolic_trace,
        lambda net: torch.export.export(net, (IMAGE,)).module(),
        torch.compile,
    ],
)
def test_languages_of_torch_are_read(form: Callable[[nn.Module], nn.Module]) -> None:
    def content(*how: float) -> str:
        return module_content(form(Chooses(*how)))  # type: ignore[arg-type]

    assert content(0) == content(0)
    assert len({content(0), content(1), content(2), content(0, 3.0)}) == 4
