"""A model whose passes are divided between processes; whoever asks it sees whole batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
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
    whole,
)
from hashbench.hashing.whole_batch import WholeBatch, state_of_generators


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
    refuse_different_draws(state_of_generators(device_of(model)), processes)


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
        before = state_of_generators(images.device)
        training = any(module.training for module in self._model.modules())
        mode = WholeBatch(self._processes, count, before)
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
