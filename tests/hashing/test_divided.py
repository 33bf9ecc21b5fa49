"""A network whose passes are divided gives outputs, gradients and statistics of whole batches.

Everything is in float64, where another order of a sum is worth 1e-16 of its terms: what is the same
mathematics agrees to 1e-12 of the largest value, and what is not is off by a part of a batch.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from hashbench.errors import PluginError, ProcessesError, TrainingError
from hashbench.hashing import BackboneNet
from hashbench.hashing.divided import divided
from hashbench.hashing.encode import evaluating
from hashbench.hashing.together import (
    ALONE,
    Processes,
    each,
    refuse_difference,
    refuse_different_draws,
    rows,
    total,
    whole,
)
from support.exact import ExactModel
from support.several import several

SIDE = 6
Answers = Mapping[str, Tensor]


class DropRows(nn.Module):
    """Leaves an image's features out at random, as drop-path does."""

    def forward(self, features: Tensor) -> Tensor:
        kept = features.new_empty(len(features), 1).bernoulli_(0.7)
        return features * kept + 0.1 * torch.rand_like(features)


def network(norm: Callable[[int], nn.Module] = nn.BatchNorm2d, *more: nn.Module) -> ExactModel:
    """A small network with norms of maps and of features, in training mode."""
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        norm(4),
        nn.ReLU(),
        *more,
        nn.Flatten(),
        nn.Linear(4 * (SIDE - 2) ** 2, 6),
        # An eps that is not small: two images with nearly the same feature would magnify rounding.
        nn.BatchNorm1d(6, eps=0.1, momentum=None, affine=False),
        nn.Tanh(),
    )
    model = ExactModel(BackboneNet(module, 6, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)), 8)
    model.train()
    return model


def images(count: int) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(count)).double()


def answers_of(model: ExactModel, count: int, processes: Processes) -> dict[str, Tensor]:
    """Outputs, all gradients (of a gradient too), buffers, and eval mode's outputs after it."""
    torch.manual_seed(5)
    pixels = images(count).requires_grad_()
    with divided(model, processes):
        outputs = model.outputs(pixels)
        (slope,) = torch.autograd.grad(outputs.square().sum(), pixels, create_graph=True)
        decay = sum((one.square().sum() for one in model.parameters()), torch.zeros(()))
        ((outputs @ outputs.T).cos().sum() + slope.square().sum() + decay).backward()
        drawn = torch.rand(3)
        with evaluating(model), torch.no_grad():
            after = model.outputs(pixels)
    found = {"outputs": outputs, "pixels": pixels.grad, "drawn": drawn, "after": after}
    found |= {f"gradient of {name}": one.grad for name, one in model.named_parameters()}
    found |= {f"buffer {name}": one for name, one in model.named_buffers()}
    return {name: value.detach().clone() for name, value in found.items() if value is not None}


def same(found: Answers, wanted: Answers) -> None:
    """Of the largest gradient: that of a bias before a norm is a sum that is 0 but for rounding."""
    assert found.keys() == wanted.keys()
    slopes = max(float(wanted[name].abs().max()) for name in wanted if "gradient" in name)
    for name, value in wanted.items():
        largest = slopes if "gradient" in name else max(float(value.abs().max()), 1.0)
        gap = float((found[name] - value).abs().max())
        assert gap <= 1e-12 * largest, (name, gap, largest)


@pytest.mark.parametrize(
    "more",
    [
        (),
        (nn.Dropout(0.3),),
        (nn.Dropout2d(0.4), nn.Dropout(0.1, inplace=True)),
        (nn.Flatten(), DropRows(), nn.Unflatten(1, (4, SIDE - 2, SIDE - 2))),
    ],
    ids=["norms", "dropout", "channels", "rows"],
)
@pytest.mark.parametrize(("size", "count"), [(2, 8), (2, 7), (3, 7), (3, 2), (5, 3)])
def test_a_divided_pass_gives_what_one_process_gives(
    size: int, count: int, more: tuple[nn.Module, ...]
) -> None:
    def work(processes: Processes) -> dict[str, Tensor]:
        return answers_of(network(nn.BatchNorm2d, *copy.deepcopy(more)), count, processes)

    wanted = work(ALONE)
    for found in several(size, work):
        same(found, wanted)


@settings(max_examples=12)
@given(size=st.integers(2, 4), counts=st.lists(st.integers(2, 9), min_size=1, max_size=4))
def test_batches_of_any_sizes_one_after_the_other(size: int, counts: list[int]) -> None:
    def work(processes: Processes) -> dict[str, Tensor]:
        model = network()
        return {
            f"{at} {name}": value
            for at, count in enumerate(counts)
            for name, value in answers_of(model, count, processes).items()
        }

    wanted = work(ALONE)
    for found in several(size, work):
        same(found, wanted)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm1d(5), (7, 5)),
        (nn.BatchNorm1d(5, eps=1e-2, momentum=0.3), (7, 5, 3)),
        (nn.BatchNorm2d(5, momentum=None), (7, 5, 3, 2)),
        (nn.BatchNorm3d(5, track_running_stats=False), (7, 5, 2, 3, 2)),
        (nn.BatchNorm2d(5, affine=False), (7, 5, 3, 2)),
    ],
)
def test_batch_norm_is_torchs_on_the_whole_batch(norm: nn.Module, shape: Sequence[int]) -> None:
    """Forward, backward and running statistics; a mean of 1e3 leaves no digits to one pass."""
    generator = torch.Generator().manual_seed(1)
    values = (1e3 + torch.randn(*shape, generator=generator)).double()
    towards = torch.randn(*shape, generator=generator).double()
    plain = copy.deepcopy(norm).double()
    point = values.clone().requires_grad_()
    wanted = plain(point)
    (wanted * towards).sum().backward()

    class Normed(nn.Module):
        norm: nn.Module

        def __init__(self) -> None:
            super().__init__()
            self.norm = copy.deepcopy(norm).double()

        def forward(self, flat: Tensor) -> Tensor:
            found: Tensor = self.norm(flat.reshape(len(flat), *shape[1:])).flatten(1)
            return found

    def work(processes: Processes) -> dict[str, Tensor]:
        features = values[0].numel()
        normed = Normed()
        model = ExactModel(BackboneNet(normed, features, (0.0,), (1.0,)), features)
        model.hash_layer = nn.Identity()  # type: ignore[assignment]
        model.train()
        flat = values.reshape(len(values), 1, 1, -1).clone().requires_grad_()
        with divided(model, processes):
            logits = model.logits(flat)
            (logits * towards.flatten(1)).sum().backward()
        assert flat.grad is not None
        own = dict(normed.norm.named_parameters())
        return {
            "values": logits.detach().reshape(shape),
            "slope": flat.grad.reshape(shape),
            **{name: one.grad for name, one in own.items() if one.grad is not None},
            **dict(normed.norm.named_buffers()),
        }

    by_name = {
        "values": wanted.detach(),
        "slope": point.grad,
        **{name: one.grad for name, one in plain.named_parameters()},
        **dict(plain.named_buffers()),
    }
    for found in several(3, work):
        assert found.keys() == by_name.keys()
        for name, value in by_name.items():
            # The mean of numbers near 1e3 is rounded by 1e-13, their deviations by as much.
            torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10)


def test_the_four_functions_are_each_others_gradients() -> None:
    """On both sides of a batch: what is whole has whole gradients, what is own has its own."""

    def work(processes: Processes) -> None:
        batch = torch.arange(10.0).reshape(5, 2).requires_grad_()
        own = rows(batch, processes)
        assert torch.equal(own, batch[processes.part(5)])
        assert torch.equal(whole(own, 5, processes), batch)
        (slope,) = torch.autograd.grad((whole(own, 5, processes) * batch.detach()).sum(), batch)
        assert torch.equal(slope, batch.detach())
        weight = torch.tensor([2.0, 3.0], requires_grad=True)
        (used,) = each([weight], processes)
        part = (rows(batch.detach(), processes) * used).sum()
        (slope,) = torch.autograd.grad(total(part, processes), weight)
        assert torch.equal(slope, batch.detach().sum(0))

    several(3, work)


def test_rows_are_dealt_out_without_a_gap() -> None:
    for size in range(1, 7):
        for count in range(12):
            parts = [Processes(rank, size).part(count) for rank in range(size)]
            assert [at for part in parts for at in range(count)[part]] == list(range(count))
            lengths = [part.stop - part.start for part in parts]
            assert max(lengths) - min(lengths) <= 1


def test_a_parameter_that_no_output_needs_has_no_gradient() -> None:
    """An optimiser leaves it alone then, while a gradient of 0 would let it decay."""

    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat = nn.Flatten()
            self.unused = nn.Linear(2, 2)

        def forward(self, pixels: Tensor) -> Tensor:
            found: Tensor = self.flat(pixels)
            return found

    def work(processes: Processes) -> bool:
        features = 3 * SIDE**2
        spare = Spare()
        model = ExactModel(BackboneNet(spare, features, (0.5,), (0.5,)), 4)
        with divided(model, processes):
            model.outputs(images(4)).sum().backward()
        assert model.hash_layer.weight.grad is not None
        return spare.unused.weight.grad is None

    assert several(2, work) == [True, True]


def test_the_model_is_as_before_after_it() -> None:
    def work(processes: Processes) -> None:
        model = network()
        names, kind = list(model.state_dict()), type(model)
        with divided(model, processes):
            model.outputs(images(4))
            assert list(model.state_dict()) == names
        assert "logits" not in vars(model)
        assert type(model) is kind
        model.backbone(images(2))  # by itself, as anyone may again

    several(2, work)


def test_the_weights_of_the_first_are_given_to_all() -> None:
    def work(processes: Processes) -> bytes:
        model = network()
        with torch.no_grad():
            model.hash_layer.weight.add_(processes.rank)
        with divided(model, processes):
            pass
        return pickle.dumps(model.hash_layer.weight.detach().tolist())

    first, second = several(2, work)
    assert first == second == pickle.dumps(network().hash_layer.weight.detach().tolist())


class LowNorm(nn.Module):
    """A batch norm under torch's other name."""

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.batch_norm(
            maps, self.weight, None, self.mean, self.variance, self.training, 0.2, 1e-3, False
        )


class Wrapped(nn.BatchNorm2d):
    """A norm with its own forward pass, as those with an activation have."""

    def forward(self, maps: Tensor) -> Tensor:
        found = F.batch_norm(
            maps, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1
        )
        return F.relu(found)


@pytest.mark.parametrize("norm", [LowNorm, Wrapped])
def test_a_norm_counts_under_every_name(norm: Callable[[int], nn.Module]) -> None:
    wanted = answers_of(network(norm), 5, ALONE)
    for found in several(2, lambda processes: answers_of(network(norm), 5, processes)):
        same(found, wanted)


class OwnStatistics(nn.Module):
    """Keeps a mean of what it sees, by no function of torch that is known for it."""

    seen: Tensor

    def __init__(self, _features: int = 0) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.seen.copy_(maps.mean())
        return maps


class OwnDraws(nn.Module):
    """Draws for its own images, by no function that is known for it."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps * torch.poisson(torch.ones_like(maps))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: network(lambda count: nn.InstanceNorm2d(count, track_running_stats=True)),
            r"'backbone\.1' \(InstanceNorm2d\) keeps statistics",
        ),
        (lambda: network(nn.SyncBatchNorm), r"'backbone\.1' \(SyncBatchNorm\)"),
        (
            lambda: network(OwnStatistics),
            r"after its first batch .*: 1 of 2 has other values than 0 in backbone\.1\.seen\.",
        ),
        (lambda: network(nn.BatchNorm2d, OwnDraws()), "draws random numbers inside of a layer"),
    ],
    ids=["instance", "sync", "own", "draws"],
)
def test_layers_that_cannot_be_divided_are_named(make: Callable[[], Any], said: str) -> None:
    for error in several(2, lambda processes: answers_of(make(), 4, processes), any_error=True):
        with pytest.raises(TrainingError, match=said):
            raise error


def test_whoever_runs_a_part_of_the_network_is_told_to_ask_the_model() -> None:
    """Its gradient would be added up over processes that all have the whole of it."""

    def work(processes: Processes) -> None:
        model = network()
        with divided(model, processes):
            model.backbone(images(4))

    for error in several(2, work, any_error=True):
        with pytest.raises(PluginError, match=r"a part of the network \(Sequential\) by itself"):
            raise error


def test_one_value_per_channel_is_refused_as_by_torch() -> None:
    def work(processes: Processes) -> None:
        model = network()
        with divided(model, processes):
            model.outputs(images(1))

    with pytest.raises(ValueError, match="more than 1 value per channel") as wanted:
        work(ALONE)
    for error in several(2, work, any_error=True):
        assert type(error) is type(wanted.value)
        assert str(error).startswith("Expected more than 1 value per channel when training")


def test_other_weights_and_other_draws_are_found() -> None:
    def work(processes: Processes) -> list[str]:
        torch.manual_seed(0)
        layer = nn.Linear(2, 2)
        refuse_difference(layer, processes, "now")
        refuse_different_draws(torch.get_rng_state(), processes)
        said = []
        if processes.rank == 2:
            layer.bias.data[0] += 1e-7
            torch.rand(1)
        try:
            refuse_difference(layer, processes, "now")
        except TrainingError as error:
            said.append(str(error))
        try:
            refuse_different_draws(torch.get_rng_state(), processes)
        except TrainingError as error:
            said.append(str(error))
        return said

    for weights, draws in several(3, work):
        assert weights.startswith("now the network is not the same in all processes: 2 of 3")
        assert "in bias." in weights
        assert "have not drawn the same random numbers" in draws


def test_a_process_that_is_gone_is_told() -> None:
    import torch.distributed as dist

    def work(processes: Processes) -> None:
        if processes.rank == 1:
            dist.destroy_process_group()
            raise LookupError("one")
        processes.summed([torch.ones(1)])

    first, second = several(2, work, any_error=True)
    assert isinstance(first, ProcessesError)
    assert "another process of this training has ended" in str(first)
    assert isinstance(second, LookupError)


@pytest.mark.parametrize("content", [None, b"", b"\x00state\xff" * 1000])
def test_bytes_of_the_first_reach_all(content: bytes | None) -> None:
    def work(processes: Processes) -> bytes | None:
        return processes.from_first(content if processes.first else b"mine")

    assert several(3, work) == [content] * 3
