"""The content of a module in memory: the same for the same, another for whatever can be seen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
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
