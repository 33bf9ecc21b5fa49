"""Models of other repositories: from a state dict to a folder with a card and a clean mAP."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hashbench.atomic import write_folder
from hashbench.data.contract import Dataset
from hashbench.errors import ModelError, UsageError
from hashbench.hashing.answers import bare_of, built
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.checkpoint import CARD, WEIGHTS, ModelCard, card_bytes, weight_bytes
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.encode import encode_splits
from hashbench.hashing.model import HashModel
from hashbench.plugins.blame import refusing
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, canonical
from hashbench.progress import Progress, no_progress
from hashbench.results.metrics import spoken, under
from hashbench.retrieval import Ties
from hashbench.runner.codes import CLAIM_TOLERANCE
from hashbench.runner.determinism import environment
from hashbench.runner.fingerprint import content_hash
from hashbench.runner.loading import load_data, outline
from hashbench.runner.resolve import check_device, read_source, resolve
from hashbench.runner.scoring import score_clean
from hashbench.zoo.foreign import bits_of, load_foreign, read_foreign, refuse_other_network
from hashbench.zoo.models import refuse_overwriting


@dataclass(frozen=True)
class Origin:
    """What a state dict does not say of itself.

    Attributes:
        dataset, loss, backbone: plugins, with the parameters that the model was made with.
        defense: what it went through, `none` for a base model; any name.
        seed: of its training, where it is known.
        clean: the mAP on clean queries that its makers report, in `[0, 1]`; None where they do not.
        licence: under which the weights are handed on.
    """

    dataset: str
    loss: str
    backbone: str
    defense: str = "none"
    seed: int = 0
    clean: float | None = None
    licence: str = "not stated"

    def __post_init__(self) -> None:
        if self.clean is not None and not 0 <= self.clean <= 1:
            raise UsageError(
                f"the clean mAP is {self.clean}, but must be a share from 0 to 1 (0.82 for 82 %)"
            )


def import_model(
    source: Path,
    to: Path,
    origin: Origin,
    root: Path | None,
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> ModelCard:
    """Turn a state dict of the CgAT or SAAT repository into a folder for `run --model`.

    Args:
        source: the file, see `hashbench.zoo.foreign`.
        to: a folder that does not exist yet, or is empty.
        origin: what the model is.
        root: the folder of its data set.
        device: what its clean mAP is measured on.
        progress: told of images that are decoded for the first time.

    Returns:
        Its card, with the measured mAP.

    Raises:
        UsageError: the file does not fit, the data are not there, `to` is not empty.
        ModelError: the measured mAP is not what its makers report. Their ranking leaves ties to an
            unstable sort, so any value between the worst and the best order of ties is theirs.
            Nothing is written then.
    """
    refuse_overwriting(to)
    check_device(device)
    backbone = resolve(Kind.BACKBONE, Backbone, Spec.parse(origin.backbone))
    loss = resolve(Kind.LOSS, Loss, Spec.parse(origin.loss))
    state = read_foreign(source, origin.backbone)  # before the data are read
    bits = _bits_of(state, source)
    dataset = resolve(Kind.DATASET, Dataset, Spec.parse(origin.dataset))
    found = read_source(dataset, root, progress)
    model = _built(backbone, found.images, state, bits, source).to(device)
    data = load_data(dataset, found.root)
    metrics = score_clean(encode_splits(model, data), data, found.protocol).metrics
    metric = found.protocol.metric
    if origin.clean is not None:
        worst, best = (metrics[under(metric, rule)] for rule in (Ties.WORST, Ties.BEST))
        if not worst - CLAIM_TOLERANCE <= origin.clean <= best + CLAIM_TOLERANCE:
            raise ModelError(
                f"weights {source}: its makers report a clean {spoken(metric)} of "
                f"{100 * origin.clean:.2f} %, but here it gives {100 * metrics[metric]:.2f} % "
                f"({100 * worst:.2f} to {100 * best:.2f} % over all orders of ties): data, "
                "transform or backbone are not theirs"
            )
    content = weight_bytes(model)
    card = ModelCard(
        backbone=canonical(backbone),
        bits=bits,
        loss=canonical(loss),
        defense=origin.defense,
        dataset=found.protocol.dataset,
        protocol=found.protocol.hash,
        seed=origin.seed,
        training={"base": _base(source, origin)},
        shape=(found.images.channels, found.images.height, found.images.width),
        protocol_card=found.protocol.to_plain(),
        clean={metric: metrics[metric]},
        weights=hashlib.sha256(content).hexdigest(),
        versions=environment(),
        licence=origin.licence,
    )
    write_folder(to, {WEIGHTS: content, CARD: card_bytes(card)}, last=CARD)
    return card


def _base(source: Path, origin: Origin) -> dict[str, Any]:
    """What reports say of how it was trained: where it is from, and what was compared."""
    reported = {} if origin.clean is None else {"reported": origin.clean}
    return {"imported": content_hash(source), **reported}


def _bits_of(state: Mapping[str, Tensor], source: Path) -> int:
    try:
        return bits_of(state)
    except UsageError as error:
        raise UsageError(f"weights {source}: {error}") from None


def _built(
    backbone: Backbone, images: InputSpec, state: Mapping[str, Tensor], bits: int, source: Path
) -> HashModel:
    if (network := outline(backbone, images, bits)) is not None:
        refuse_other_network(state, network, source)
    with torch.random.fork_rng(devices=[]), refusing(backbone, " cannot be built:"):
        model = HashModel(built(bare_of(backbone), images), bits)
    return load_foreign(source, model, canonical(backbone)).eval()
