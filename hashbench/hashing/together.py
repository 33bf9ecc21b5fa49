"""Several processes that train one model: what they tell each other, and the gradients of that.

There are two kinds of tensors. What is whole is the same in every process; what is own belongs to
one process: its rows of a batch, or its part of a sum. The gradient of something whole is whole,
that of something own is own, and four functions lead from one kind to the other. Each is the
gradient of another one, so gradients of gradients hold too:

    rows(x)     whole -> own     the rows of this process; gradient: `whole`
    whole(x)    own -> whole     all rows; gradient: `rows`
    total(x)    own -> whole     the sum over the processes; gradient: `each`
    each(x)     whole -> own     the same in every process, for its rows; gradient: `total`

torch's DistributedDataParallel gives each process the mean of losses that see a part of the batch
each. The losses of hashing do not divide so: they look at pairs of a batch, and at memories. Here
every process computes the loss of the whole batch from all outputs, and only the network's passes
are divided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.characters import first_line
from hashbench.errors import ProcessesError, TrainingError


@dataclass(frozen=True)
class Processes:
    """The processes of one training, as one of them sees them.

    With one process nothing is sent. With several, torch.distributed is at work, and every method
    that sends has to be called by all of them, in the same order.

    Attributes:
        rank: the number of this one, from 0.
        size: how many they are.
        device: where tensors have to lie to be sent, `cpu` (gloo) or `cuda` (nccl).
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether it is the one that reads, writes and tells."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.size > 1

    def part(self, count: int) -> slice:
        """The rows of this process: as many in each, the first processes one more for the rest."""
        return self._part(count, self.rank)

    def from_first(self, content: bytes | None) -> bytes | None:
        """Bytes of process 0 in every process.

        Args:
            content: what process 0 has; elsewhere it is not looked at.
        """
        if not self.several:
            return content
        length = -1 if content is None or not self.first else len(content)
        said = torch.tensor([length], device=self.device)
        self.fill_from_first([said])
        if int(said) < 0:
            return None
        values = torch.empty(int(said), dtype=torch.uint8)
        if self.first and content:
            values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        values = values.to(self.device)
        self.fill_from_first([values])
        return values.cpu().numpy().tobytes()

    def of_all(self, content: bytes) -> list[bytes]:
        """The bytes of every process, as many in each, in the order of the processes."""
        if not self.several:
            return [content]
        own = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(self.device)
        return [part.cpu().numpy().tobytes() for part in self._gathered(own)]

    def fill_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Give tensors the values that they have in process 0, in place."""
        if not self.several:
            return
        import torch.distributed as dist

        for tensor in tensors:
            values = tensor.detach().to(self.device).contiguous()
            if values.numel():
                with _sending():
                    dist.broadcast(values, 0)
                tensor.detach().copy_(values)

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums over the processes, in new tensors; those of one type travel as one."""
        import torch.distributed as dist

        found: list[Tensor] = list(tensors)
        for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
            places = [at for at, tensor in enumerate(tensors) if tensor.dtype == kind]
            flat = torch.cat([tensors[at].detach().reshape(-1) for at in places])
            with _sending():
                dist.all_reduce(flat)
            sizes = [tensors[at].numel() for at in places]
            for at, values in zip(places, flat.split(sizes), strict=True):
                found[at] = values.view(tensors[at].shape)
        return found

    def joined(self, own: Tensor, count: int) -> Tensor:
        """The rows of all processes, (count, ...), from those of this one, `part(count)`."""
        most = -(-count // self.size)
        padded = own.detach().new_zeros(most, *own.shape[1:])
        padded[: len(own)] = own.detach()
        parts = self._gathered(padded)
        sizes = [self._part(count, rank) for rank in range(self.size)]
        rows = [part[: at.stop - at.start] for part, at in zip(parts, sizes, strict=True)]
        return torch.cat(rows)

    def _gathered(self, own: Tensor) -> list[Tensor]:
        import torch.distributed as dist

        parts = [torch.empty_like(own) for _ in range(self.size)]
        with _sending():
            dist.all_gather(parts, own)
        return parts

    def _part(self, count: int, rank: int) -> slice:
        whole, rest = divmod(count, self.size)
        start = rank * whole + min(rank, rest)
        return slice(start, start + whole + (rank < rest))


@contextmanager
def _sending() -> Iterator[None]:
    """Tell of a process that is gone in a sentence.

    Raises:
        ProcessesError: the others do not answer.
    """
    try:
        yield
    except RuntimeError as error:
        raise ProcessesError(
            f"another process of this training has ended, or does not answer ({first_line(error)})"
        ) from error


ALONE = Processes()
"""One process."""

_AT_WORK: ContextVar[Processes] = ContextVar("processes", default=ALONE)


def processes_at_work() -> Processes:
    """Those that train the models of this thread; `ALONE` unless somebody said otherwise."""
    return _AT_WORK.get()


@contextmanager
def working(processes: Processes) -> Iterator[None]:
    """Models are trained by these processes inside."""
    token = _AT_WORK.set(processes)
    try:
        yield
    finally:
        _AT_WORK.reset(token)


def rows(whole_batch: Tensor, processes: Processes) -> Tensor:
    """This process's rows of something whole, (B, ...)."""
    found: Tensor = _Rows.apply(whole_batch, processes)
    return found


def whole(own: Tensor, count: int, processes: Processes) -> Tensor:
    """All rows, (count, ...), from this process's."""
    found: Tensor = _Whole.apply(own, count, processes)
    return found


def total(own: Tensor, processes: Processes) -> Tensor:
    """The sum over the processes, same shape."""
    found: Tensor
    (found,) = _Total.apply(processes, own)
    return found


def each(tensors: Sequence[Tensor], processes: Processes) -> tuple[Tensor, ...]:
    """Something whole, as each process uses it for its own rows: gradients are added up."""
    return tuple(_Each.apply(processes, *tensors))


class _Rows(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, batch: Tensor, processes: Processes) -> Tensor:
        ctx.processes, ctx.count = processes, len(batch)
        return batch[processes.part(len(batch))].clone()

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return whole(gradient, ctx.count, ctx.processes), None


class _Whole(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, own: Tensor, count: int, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.joined(own, count)

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return rows(gradient, ctx.processes), None, None


class _Total(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, processes: Processes, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.processes = processes
        return tuple(processes.summed(tensors))

    @staticmethod
    @override
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *each(gradients, ctx.processes))


class _Each(torch.autograd.Function):
    """A gradient that some processes have and others lack counts as 0 where it lacks.

    Where all lack it, it stays away: an optimiser leaves a parameter without a gradient alone.
    """

    @staticmethod
    @override
    def forward(ctx: Any, processes: Processes, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.processes = processes
        ctx.set_materialize_grads(False)
        ctx.like = [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
        return tuple(tensor.detach() for tensor in tensors)

    @staticmethod
    @override
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        filled = [
            torch.zeros(shape, dtype=kind, device=device) if gradient is None else gradient
            for gradient, (shape, kind, device) in zip(gradients, ctx.like, strict=True)
        ]
        there = filled[0].new_tensor([gradient is not None for gradient in gradients])
        counted, *sums = _Total.apply(ctx.processes, there, *filled)
        wanted = (counted > 0).tolist()
        kept = [value if asked else None for value, asked in zip(sums, wanted, strict=True)]
        return (None, *kept)


def refuse_difference(network: nn.Module, processes: Processes, when: str) -> None:
    """Refuse a network whose parameters and buffers are not the same in all processes.

    Args:
        network: of this process.
        processes: all of them ask at once.
        when: opens the message.

    Raises:
        TrainingError: they differ; names the processes, and where.
    """
    if not processes.several:
        return
    state = {name: value for name, value in network.state_dict().items() if _is_values(value)}
    sums = {name: _digest(value) for name, value in state.items()}
    if differing := _differing(b"".join(sums.values()), processes):
        # Every process sees the same sums, so every one goes on to ask this.
        where = [name for name, value in sums.items() if _differing(value, processes)]
        numbers = ", ".join(map(str, differing))
        more = f" and {len(where) - 3:,} more" if len(where) > 3 else ""
        raise TrainingError(
            f"{when} the network is not the same in all processes: {numbers} of {processes.size} "
            f"has other values than 0 in {', '.join(where[:3])}{more}. A layer takes its values "
            "from a process's own images, or the machines compute differently: train it with one "
            "process, or on machines of one kind"
        )


def refuse_different_draws(state: Tensor, processes: Processes) -> None:
    """Refuse processes that have drawn different random numbers from the process-wide generators.

    Args:
        state: of the generators, bytes.
        processes: all of them ask at once.

    Raises:
        TrainingError: they have.
    """
    if processes.several and _differing(state.numpy().tobytes(), processes):
        raise TrainingError(
            "the processes have not drawn the same random numbers: a layer of the network draws "
            "for its own images alone; train it with one process"
        )


def _differing(content: bytes, processes: Processes) -> list[int]:
    found = processes.of_all(hashlib.sha256(content).digest())
    return [rank for rank, value in enumerate(found) if value != found[0]]


def _is_values(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta


def _digest(value: Tensor) -> bytes:
    flat = value.detach().cpu().contiguous().reshape(-1)
    held: Any = flat.view(torch.uint8).numpy().data if flat.numel() else b""
    return hashlib.sha256(held).digest()
