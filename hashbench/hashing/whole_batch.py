"""What a network does over the rows of a batch, done over those of all processes: norms, draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from hashbench.errors import TrainingError
from hashbench.hashing.together import Processes, each, total


class WholeBatch(TorchFunctionMode):
    """What a network does over the rows of a batch is done over those of all processes.

    Functions are looked at, not layers: whoever calls torch's batch norm or dropout, under what
    name and in what class ever, gets it.

    Args:
        processes: that are at work.
        count: rows of the whole batch.
        generators: their state before the batch, see `state_of_generators`.
    """

    def __init__(self, processes: Processes, count: int, generators: Tensor) -> None:
        super().__init__()
        self._processes = processes
        self._count = count
        self._part = processes.part(count)
        # A row that counts nowhere where it has none.
        self._own: int = max(1, self._part.stop - self._part.start)
        self._generators = generators
        self._device = torch.device("cpu")

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in (F.batch_norm, torch.batch_norm):
            return self._batch_norm(func, *args, **given)
        if func in _DROPOUTS:
            return self._dropout(func, *args, **given)
        if func in _IN_PLACE_DRAWS:
            return self._draw_in_place(func, *args, **given)
        if func in _DRAWS_LIKE:
            return self._draw_in_place(_DRAWS_LIKE[func], torch.empty_like(*args, **given))
        return func(*args, **given)

    def refuse_unseen_draws(self) -> None:
        """Refuse a network that drew at random where it was not seen.

        Raises:
            TrainingError: the processes would not have the same random numbers from here on.
        """
        if not torch.equal(self._generators, state_of_generators(self._device)):
            raise TrainingError(
                "the network draws random numbers inside of a layer where several processes cannot "
                "share them (dropout of attention weights, say): set them to 0, or train it with "
                "one process"
            )

    def _times(self, values: Tensor, what: str) -> int:
        """How many of a tensor's rows are of one image: the windows of an image, say."""
        seen = len(values) if values.ndim else 1
        times: int = seen // self._own
        if times * self._own != seen or not times:
            raise TrainingError(
                f"{what} of the network sees {seen} rows for "
                f"{self._own} images, which several processes cannot divide: train it with one "
                "process"
            )
        return times

    def _counted(self, values: Tensor) -> Tensor:
        """The rows of this process that count."""
        return values if self._part.stop > self._part.start else values[:0]

    def _rows_of(self, all_rows: Tensor, times: int) -> Tensor:
        start = min(self._part.start, self._count - 1)
        return all_rows[times * start : times * (start + self._own)]

    @contextmanager
    def _seen(self, device: torch.device) -> Iterator[None]:
        """What is drawn inside is drawn by all processes alike."""
        self._device = device
        self.refuse_unseen_draws()
        yield
        self._generators = state_of_generators(device)

    def _dropout(self, func: Callable[..., Any], *args: Any, **given: Any) -> Tensor:
        values, p, training = _dropout_arguments(*args, **given)
        if not training or not p:
            return values
        times = self._times(values, "dropout")
        with self._seen(values.device), torch.no_grad():
            ones = values.new_ones(times * self._count, *values.shape[1:])
            mask = func(ones, p, True)
        return values * self._rows_of(mask, times)

    def _draw_in_place(
        self, func: Callable[..., Any], values: Tensor, *args: Any, **given: Any
    ) -> Tensor:
        """A draw for each image is made for all of them; another one is the same everywhere."""
        with self._seen(values.device), torch.no_grad():
            if not (values.ndim and len(values) == self._own):
                return func(values, *args, **given)  # type: ignore[no-any-return]
            drawn = func(values.new_empty(self._count, *values.shape[1:]), *args, **given)
            return values.copy_(self._rows_of(drawn, 1))

    def _batch_norm(self, func: Callable[..., Any], *args: Any, **given: Any) -> Tensor:
        """Batch norm with the mean and the variance of the whole batch; `func` in eval mode.

        In two passes, the mean first, since a sum of squares less the square of a sum has no digits
        left where the mean is large.
        """
        said = _BatchNorm(func, *args, **given)
        values = said.values
        if not said.training:
            return func(*args, **given)  # type: ignore[no-any-return]
        of_channel = values.numel() // max(1, values.shape[1] * len(values))
        number = self._times(values, "a batch norm") * self._count * of_channel
        if number <= 1:
            raise ValueError(
                "Expected more than 1 value per channel when training, got input size "
                f"{values.shape}"
            )
        fine = values.float() if values.dtype.itemsize < 4 else values
        over = [side for side in range(fine.ndim) if side != 1]
        shape = [1, -1] + [1] * (fine.ndim - 2)
        # Sums in float64, as torch's own on a processor: they are over a whole batch of maps.
        mean = self._whole_sum(self._counted(fine).sum(over, dtype=torch.float64)) / number
        centered = fine - mean.to(fine.dtype).view(shape)
        squares = self._counted(centered).square().sum(over, dtype=torch.float64)
        variance = self._whole_sum(squares) / number
        said.remember(mean.detach(), variance.detach() * (number / (number - 1)))
        normed = centered * (variance + said.eps).rsqrt().to(fine.dtype).view(shape)
        if said.weight is not None:
            normed = normed * said.weight.view(shape)
        if said.bias is not None:
            normed = normed + said.bias.view(shape)
        return normed.to(values.dtype)

    def _whole_sum(self, own: Tensor) -> Tensor:
        """The sum over all processes, as each of them uses it for its rows."""
        (found,) = each([total(own, self._processes)], self._processes)
        return found


class _BatchNorm:
    """The arguments of torch's batch norm, under both of its names."""

    def __init__(self, func: Callable[..., Any], *args: Any, **given: Any) -> None:
        names = _NORM if func is F.batch_norm else _LOW_NORM
        said = {**_NORM_DEFAULTS, **dict(zip(names, args, strict=False)), **given}
        self.values: Tensor = said["input"]
        self.mean: Tensor | None = said["running_mean"]
        self.variance: Tensor | None = said["running_var"]
        self.weight: Tensor | None = said["weight"]
        self.bias: Tensor | None = said["bias"]
        self.training: bool = said["training"]
        self.momentum: float = said["momentum"]
        self.eps: float = said["eps"]

    @torch.no_grad()
    def remember(self, mean: Tensor, variance: Tensor) -> None:
        """Let the statistics of a batch into those that eval mode uses, where they are kept."""
        for kept, value in ((self.mean, mean), (self.variance, variance)):
            if kept is not None:
                kept.copy_(self.momentum * value + (1 - self.momentum) * kept)


_NORM: Final = (
    "input",
    "running_mean",
    "running_var",
    "weight",
    "bias",
    "training",
    "momentum",
    "eps",
)
_LOW_NORM: Final = ("input", "weight", "bias", "running_mean", "running_var", *_NORM[5:])
_NORM_DEFAULTS: Final = {
    "weight": None,
    "bias": None,
    "training": False,
    "momentum": 0.1,
    "eps": 1e-5,
}

_DROPOUTS: Final = frozenset(
    {
        F.dropout,
        F.dropout1d,
        F.dropout2d,
        F.dropout3d,
        torch.dropout,
        torch.dropout_,
        torch.feature_dropout,
        torch.feature_dropout_,
    }
)
_IN_PLACE_DRAWS: Final = frozenset(
    {Tensor.bernoulli_, Tensor.uniform_, Tensor.normal_, Tensor.exponential_}
)
_DRAWS_LIKE: Final = {torch.rand_like: Tensor.uniform_, torch.randn_like: Tensor.normal_}


def _dropout_arguments(
    input: Tensor,  # noqa: A002 - torch's name
    p: float = 0.5,
    training: bool | None = None,
    inplace: bool = False,  # noqa: ARG001 - whoever asks for it takes what is returned
    *,
    train: bool = True,
) -> tuple[Tensor, float, bool]:
    """The arguments of torch's dropouts, under the names of each."""
    return input, p, train if training is None else training


def state_of_generators(device: torch.device) -> Tensor:
    """The state of the generators that a network on a device draws from: torch's own."""
    state = torch.get_rng_state()
    if device.type != "cuda":
        return state
    return torch.cat([state, torch.cuda.get_rng_state(device)])
