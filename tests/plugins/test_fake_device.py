"""The device that is none: its numbers are those of the CPU, and it mixes with no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from support.fake_device import OnCUDA, fake_cuda, pretend_cuda


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pretend_cuda(monkeypatch)
    with fake_cuda():
        yield


def test_its_numbers_and_gradients_are_those_of_the_cpu() -> None:
    layer, point = nn.Linear(3, 2), torch.rand(4, 3)
    wanted = torch.tanh(layer(point.requires_grad_(True)))
    (slope,) = torch.autograd.grad(wanted.sum(), point)
    moved = point.detach().to("cuda").requires_grad_(True)
    found = torch.tanh(layer.to("cuda")(moved))
    (gradient,) = torch.autograd.grad(found.sum(), moved)
    for there, here in ((found, wanted), (gradient, slope)):
        assert isinstance(there, OnCUDA)
        assert there.device == torch.device("cuda", 0)
        assert torch.equal(there.detach().cpu(), here.detach())


def test_what_is_made_there_stays_there() -> None:
    one = torch.ones(2, 3).to("cuda")
    made = torch.zeros(2, device=one.device), torch.zeros_like(one), one.new_ones(2), one[0]
    assert all(value.device.type == "cuda" for value in made)
    one[0] = 5
    one.mul_(2)
    assert one.cpu().tolist() == [[10.0] * 3, [2.0] * 3]
    assert one.sum().item() == 36


@pytest.mark.parametrize(
    "mix",
    [
        lambda there, here: there + here,
        lambda there, here: here @ there,
        lambda there, here: torch.where(here > 0, there, 0.0),
        lambda there, here: there.add_(here),
        lambda there, here: torch.cat([there, here]),
    ],
)
def test_it_mixes_with_no_other(mix: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(RuntimeError, match="same device"):
        mix(torch.ones(2, 2).to("cuda"), torch.ones(2, 2))


def test_a_number_and_positions_may_come_from_the_cpu() -> None:
    there = torch.arange(4.0).to("cuda")
    assert (there * torch.tensor(2.0)).cpu().tolist() == [0, 2, 4, 6]
    assert there[torch.tensor([3, 0])].cpu().tolist() == [3, 0]


def test_it_has_no_numpy_array() -> None:
    with pytest.raises((RuntimeError, TypeError)):
        torch.ones(2).to("cuda").numpy()
