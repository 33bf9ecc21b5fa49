"""The backbone `timm`: any image model of the package timm. Needs the extra `[timm]`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.characters import briefly, first_line
from hashbench.errors import UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.backbones.pretrained import (
    IMAGENET,
    PretrainedBackbone,
    optional,
)
from hashbench.plugins import backbone

_HUBS: Final = ("hf_hub:", "hf-hub:", "hf_hub/", "local-dir:")
"""How timm is told to fetch a model from a repository, or a folder like one."""


@backbone(
    "timm",
    cite=(
        "Wightman, PyTorch Image Models, 2019, https://github.com/huggingface/pytorch-image-models"
    ),
)
@dataclass(frozen=True)
class Timm(PretrainedBackbone):
    """Any image model of timm, without its classifier: timm:model=resnet18.a1_in1k.

    Needs pip install 'hashbench[timm]'. The model's own mean and deviation normalise the input,
    with fresh weights too; a grey image is seen three times.

    Attributes:
        weights: 'none' for fresh ones; 'imagenet' for those that the model's tag stands for
            (whatever they were trained on), downloaded once; or a file (.pth, .safetensors) of a
            state dict of this model, with or without its classifier.
        model: the model's name in timm.
    """

    model: str = ""

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("name the model, as in timm:model=resnet18.a1_in1k")
        for hub in _HUBS:
            if self.model.startswith(hub):
                name = self.model[len(hub) :].rstrip("/").rpartition("/")[2] or "NAME"
                raise UsageError(
                    f"model '{briefly(self.model)}' lies in a repository, whose content "
                    "may change, so no result could be repeated: fetch its file of weights "
                    "(model.safetensors or pytorch_model.bin) and name the network and the file, "
                    f"as in timm:model={briefly(name)},weights=model.safetensors"
                )

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network; see `Backbone.build`.

        Raises:
            UsageError: timm is missing or has no such model, the images do not suit it, or its
                weights cannot be had or do not fit.
        """
        self.check_channels(images)
        timm = optional("timm", "timm", self.card.name)
        size = (images.height, images.width)
        module = self._created(timm, size)
        config: Any = module.pretrained_cfg
        if self.weights not in self.known:
            self.load(module, self.read_file(), _heads(config))
        features = _probe(module, size, self.model)
        return BackboneNet(module, features, tuple(config["mean"]), tuple(config["std"]))

    def _created(self, timm: Any, size: tuple[int, int]) -> nn.Module:
        where = f"backbone 'timm', model '{self.model}'"
        if not timm.is_model(self.model.partition(".")[0]):
            near = difflib.get_close_matches(self.model, timm.list_models(), n=3)
            hint = f"; near it are {', '.join(near)}" if near else ""
            raise UsageError(f"{where}: timm has no such model{hint}")
        try:
            # Transformers fix the number of their patches when they are built.
            fixed = timm.get_pretrained_cfg(self.model).fixed_input_size
            sized = {"img_size": size} if fixed else {}
            module: nn.Module = timm.create_model(self.model, num_classes=0, **sized)
        except Exception as error:  # timm's errors have no base of their own
            raise UsageError(f"{where}: {first_line(error)}") from error
        if self.weights == IMAGENET:
            try:
                module = timm.create_model(self.model, pretrained=True, num_classes=0, **sized)
            except Exception as error:  # nor have the hub's
                raise UsageError(
                    f"{where}: its weights could not be downloaded ({first_line(error)}); fetch "
                    f"them elsewhere and give the file, as in timm:model={self.model},weights=FILE"
                ) from error
        return module


def _heads(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classifiers, of which distilled models have two."""
    named = config.get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)


@torch.no_grad()
def _probe(module: nn.Module, size: tuple[int, int], model: str) -> int:
    """The number of features, found by asking for those of one black image."""
    mode = module.training
    module.eval()
    try:
        features: Tensor = module(torch.zeros(1, 3, *size))
    except Exception as error:  # whatever the network raises on images that it cannot take
        raise UsageError(
            f"backbone 'timm', model '{model}' does not take images of {size[0]} x {size[1]} "
            f"pixels: {first_line(error)}"
        ) from error
    finally:
        module.train(mode)
    if features.ndim != 2:
        raise UsageError(
            f"backbone 'timm', model '{model}' gives features of shape {tuple(features.shape[1:])} "
            "for each image, expected one vector"
        )
    return int(features.shape[1])
