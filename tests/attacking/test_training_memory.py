"""A training of an attack's network where memory runs out: from the start, with fewer at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench import plugins
from hashbench.attacking import Eps, Threat
from hashbench.attacking.company import dependent_share
from hashbench.attacking.training import train_attacker
from hashbench.data import ImageSet
from hashbench.errors import MemoryRanOutError
from hashbench.hashing import BackboneNet, HashModel, encode
from hashbench.plugins import TrainedAttack


class Narrow(nn.Module):
    """Has room for so many images, in double precision: sums of any order agree."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.asked: list[int] = []
        self.linear = nn.Linear(12, 8)

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.asked.append(len(images))
        return torch.tanh(self.linear(images.flatten(1)))


def narrow(room: int) -> tuple[HashModel, Narrow]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = Narrow(room)
        return HashModel(BackboneNet(net, 8, (0.5,) * 3, (0.25,) * 3), 6).eval(), net


@pytest.fixture
def train() -> ImageSet:
    rng = np.random.default_rng(4)
    pixels: NDArray[np.uint8] = rng.integers(0, 256, (30, 3, 2, 2), dtype=np.uint8)
    return ImageSet(pixels, np.eye(3, dtype=np.uint8)[np.arange(30) % 3])


def trained(room: int, train: ImageSet) -> tuple[dict[str, Tensor], Narrow, Tensor]:
    attack = plugins.get("attack", "universal", epochs=3, batch=10)
    assert isinstance(attack, TrainedAttack)
    model, net = narrow(room)
    codes = torch.from_numpy(encode(narrow(1000)[0], train.images).codes)
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = train_attacker(
            attack,
            model,
            train,
            codes,
            Threat(Eps.parse("8/255")),
            generator,
            progress=lambda *_: None,
        )
        return dict(network.state_dict()), net, torch.cat([torch.rand(2), torch.rand(2)])


@pytest.mark.parametrize("room", [1, 2, 3, 5, 7, 10])
def test_it_ends_where_it_would_with_more_memory(room: int, train: ImageSet) -> None:
    (found, net, drawn), (wanted, _, drawn_there) = trained(room, train), trained(1000, train)
    assert max(net.asked) <= room
    # A sign step forgets by how much a sum was rounded, unless it rounds to another side of 0.
    assert torch.allclose(found["delta"], wanted["delta"], rtol=0, atol=1e-6)
    assert torch.equal(drawn, drawn_there)


def test_no_room_for_one_image_is_said(train: ImageSet) -> None:
    with pytest.raises(MemoryRanOutError, match="attack 'universal' was trained, with one image"):
        trained(0, train)


def test_memory_that_its_own_network_takes_is_not_laid_to_the_model(
    train: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(plugins.get("attack", "universal")), "train", full)
    with pytest.raises(MemoryRanOutError, match="was trained, before it asked the model: give"):
        trained(1000, train)


@pytest.mark.parametrize("room", [1, 2, 3, 9, 100, 1000])
def test_a_company_is_as_large_as_memory_allows(room: int, train: ImageSet) -> None:
    codes = encode(narrow(1000)[0], train.images).codes
    model, net = narrow(room)
    assert dependent_share(model, train.images, codes) == 0.0
    assert all(size <= room for size in net.asked)
