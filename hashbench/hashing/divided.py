"""A model whose passes are divided between processes; whoever asks it sees whole batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from hashbench.errors import PluginError, TrainingError
from hashbench.hashing.encode import device_of
from hashbench.hashing.model import HashModel
from hashbench.hashing.together import (
    Processes,
    each,
    refuse_difference,
    refuse_different_draws,
    rows,
    total,
    whole,
)


@contextmanager
def divided(model: HashModel, processes: Processes) -> Iterator[None]:
    """Divide the passes of a model between processes inside, in training and in eval mode.

    Every process asks it for the same batches in the same order, and gets all outputs; gradients,
    to images and to parameters, are those of the whole batch, in every process. A batch norm takes
    its statistics over the whole batch; dropout draws the mask of the whole batch. So all is as
    with one process, up to the order of float sums. With one process nothing is changed.

    The weights of process 0 are given to the others at the start.

    Args:
        model: changed in place, and as before after it; its state dict keeps its names.
        processes: that are at work.

    Raises:
        TrainingError: the network has layers that cannot be divided; at the end, the weights are
            not the same everywhere.
        PluginError: something runs a part of the network past the model.
    """
    if not processes.several:
        yield
        return
    _refuse_layers(model)
    state = [value for value in model.state_dict().values() if isinstance(value, Tensor)]
    processes.fill_from_first(state)
    passes = _Passes(model, processes)
    with passes.in_charge():
        yield
    refuse_difference(model, processes, "after its training")
    refuse_different_draws(_state_of_generators(device_of(model)), processes)


def over_rows(
    model: HashModel, work: Callable[..., tuple[Tensor, ...]], *inputs: Tensor
) -> tuple[Tensor, ...]:
    """Something else than logits that is computed of a model, image by image.

    Where the model's passes are divided between processes, so is this, with the same gradients;
    else it is `work(*inputs)`. The model is as it was made inside: nothing of the division is seen.

    Args:
        model: whose weights `work` reads; as `work` needs it, in eval mode say.
        work: rows of inputs to the same rows of what comes out; rows may not depend on each other.
        inputs: of one length, (B, ...).
    """
    passes = vars(model).get("logits")
    return passes.over_rows(work, inputs) if isinstance(passes, _Passes) else work(*inputs)


class _Logits(nn.Module):
    """A model's logits as a module's forward pass, so that they can be had of other parameters."""

    def __init__(self, model: HashModel, logits: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._logits = logits

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self._logits(images)


class _Work(nn.Module):
    """Work on a model as a module's forward pass, so that it can be done with other parameters."""

    def __init__(self, model: HashModel, work: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.model = model
        self._work = work

    @override
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self._work(*inputs)


class _Passes:
    """Stands for a model's `logits`."""

    def __init__(self, model: HashModel, processes: Processes) -> None:
        self._model = model
        self._processes = processes
        self._network = _Logits(model, model.logits)
        self._inside = False
        self._unchecked = True
        self._hooks: list[RemovableHandle] = []

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        self._take()
        try:
            yield
        finally:
            self._leave()

    def _take(self) -> None:
        self._hooks = [
            part.register_forward_pre_hook(self._refuse_outside) for part in self._model.children()
        ]
        self._model.logits = self  # type: ignore[method-assign]

    def _leave(self) -> None:
        del self._model.logits
        for hook in self._hooks:
            hook.remove()

    def over_rows(
        self, work: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        count = len(inputs[0])
        own = [rows(one, self._processes) for one in inputs]
        if rowless := not len(own[0]):
            own = [one[:1].detach() for one in inputs]
        self._leave()
        try:
            found = torch.func.functional_call(
                _Work(self._model, work), self._parameters(), tuple(own)
            )
        finally:
            self._take()
        return tuple(whole(one[:0] if rowless else one, count, self._processes) for one in found)

    def __call__(self, images: Tensor) -> Tensor:
        count = len(images)
        own = rows(images, self._processes)
        if rowless := not len(own):
            # Its one row counts nowhere; but all that is sent, it sends.
            own = torch.cat([own, images[:1].detach()])
        before = _state_of_generators(images.device)
        training = any(module.training for module in self._model.modules())
        mode = _WholeBatch(self._processes, count, before)
        self._inside = True
        try:
            with mode:
                logits = torch.func.functional_call(self._network, self._parameters(), (own,))
        finally:
            self._inside = False
        mode.refuse_unseen_draws()
        if training and self._unchecked:
            self._unchecked = False
            refuse_difference(self._model, self._processes, "after its first batch")
        return whole(logits[:0] if rowless else logits, count, self._processes)

    def _parameters(self) -> dict[str, Tensor]:
        """Each parameter that is trained, as this process uses it for its rows."""
        asked = {
            f"model.{name}": parameter
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad
        }
        if not asked or not torch.is_grad_enabled():
            return {}
        return dict(zip(asked, each(list(asked.values()), self._processes), strict=True))

    def _refuse_outside(self, part: nn.Module, _images: object) -> None:
        if not self._inside:
            raise PluginError(
                f"something runs a part of the network ({type(part).__name__}) by itself, which "
                "several processes cannot divide: ask the model, by outputs, logits or codes, or "
                "train with one process"
            )


class _WholeBatch(TorchFunctionMode):
    """What a network does over the rows of a batch is done over those of all processes.

    Functions are looked at, not layers: whoever calls torch's batch norm or dropout, under what
    name and in what class ever, gets it.
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
        if not torch.equal(self._generators, _state_of_generators(self._device)):
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
        self._generators = _state_of_generators(device)

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


def _state_of_generators(device: torch.device) -> Tensor:
    state = torch.get_rng_state()
    if device.type != "cuda":
        return state
    return torch.cat([state, torch.cuda.get_rng_state(device)])


def _refuse_layers(model: nn.Module) -> None:
    """Refuse layers that keep statistics of a process's own rows.

    Raises:
        TrainingError: there is one; names it.
    """
    for name, layer in model.named_modules():
        keeps = isinstance(layer, nn.modules.instancenorm._InstanceNorm)
        if (keeps and layer.track_running_stats) or isinstance(layer, nn.SyncBatchNorm):
            raise TrainingError(
                f"the network's '{name}' ({type(layer).__name__}) keeps statistics that several "
                "processes cannot share here: take a BatchNorm, or train with one process"
            )
