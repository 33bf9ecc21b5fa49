"""Models of other repositories: from their file to a folder with a card and a clean mAP."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from hashbench import plugins
from hashbench.atomic import write_folder
from hashbench.characters import briefly, counted
from hashbench.data.contract import Dataset
from hashbench.errors import ModelError, UsageError
from hashbench.hashing.answers import bare_of, built
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.checkpoint import CARD, WEIGHTS, ModelCard, card_bytes, weight_bytes
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.encode import encode_splits
from hashbench.hashing.headed import HeadedBackbone
from hashbench.hashing.model import HashModel
from hashbench.hashing.named import NamedBackbone, NamedLoss
from hashbench.hashing.programs.file_program import (
    Asking,
    Tried,
    content_of,
    tried,
)
from hashbench.hashing.programs.sorts import ProgramKind, program_kind
from hashbench.hashing.state_dict import fitted, read_state, with_wanted_keys
from hashbench.outputs import refuse_taken
from hashbench.plugins.blame import refusing
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, canonical
from hashbench.progress import Progress, no_progress
from hashbench.results.metrics import spoken, under
from hashbench.retrieval import Ties
from hashbench.runner.codes import CLAIM_TOLERANCE
from hashbench.runner.determinism import environment
from hashbench.runner.fingerprint import content_hash
from hashbench.runner.from_card import some_images
from hashbench.runner.loading import load_data, outline
from hashbench.runner.resolve import check_device, read_source, resolve
from hashbench.runner.scoring import score_clean
from hashbench.runner.setting import Source
from hashbench.zoo.foreign import known_by_layout
from hashbench.zoo.heads import HASH_LAYER
from hashbench.zoo.origin import Origin
from hashbench.zoo.translated import BACKBONE, Translated, translated
from hashbench.zoo.trusted import OPTION, UNPICKLED, naming_the_option, needs_unpickling, unpickled

_A_SLIP: Final = 0.8
"""How alike a name and a plugin's have to be, from 0 to 1, to be taken for a slip of the pen."""

_SHOWN: Final = 3
_THREADS: Final = 1


def import_model(
    source: Path,
    to: Path,
    origin: Origin,
    root: Path | None,
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
    told: Callable[[str], object] = str,
    trust_pickle: bool = False,
    warned: Callable[[str], object] = str,
) -> ModelCard:
    """Turn a state dict, or a file that holds a whole network, into a folder for `run --model`.

    Args:
        source: the file; see `hashbench.zoo.translated`, and `hashbench.hashing.programs`.
        to: a folder that does not exist yet, or is empty.
        origin: what the model is.
        root: the folder of its data set.
        device: what its clean mAP is measured on.
        progress: told of images that are decoded for the first time.
        told: of what was decided on the way, each a clause.
        trust_pickle: whether a file that holds pickled objects is unpickled, which runs whatever
            code is in it; the card then says so, and so does every report. One that can be read
            without is.
        warned: told before anything is unpickled.

    Returns:
        Its card, with the measured mAP.

    Raises:
        UsageError: the file does not fit, the data are not there, `to` is not empty.
        ModelError: the measured mAP is not what its makers report. Their ranking leaves ties to an
            unstable sort, so any value between the worst and the best order of ties is theirs.
            Nothing is written then.
    """
    refuse_taken(to)
    check_device(device)
    asked = partial(_imported, to=to, origin=origin, root=root, device=device, progress=progress)
    if not trust_pickle:
        with naming_the_option():
            return asked(source, told=told, trained=partial(_from, source))
    if not needs_unpickling(source):
        told(f"it can be read without {OPTION}, so nothing of it was run")
        return asked(source, told=told, trained=partial(_from, source))
    with unpickled(source, warned) as plain:
        return asked(plain, told=told, trained=partial(_from, source, trusted=True))


def _from(source: Path, *, trusted: bool = False) -> dict[str, Any]:
    """What a card says of the file that its weights come from."""
    return {"imported": content_hash(source), **({UNPICKLED: True} if trusted else {})}


def _imported(
    source: Path,
    *,
    to: Path,
    origin: Origin,
    root: Path | None,
    device: str,
    progress: Progress,
    told: Callable[[str], object],
    trained: Callable[[], Mapping[str, Any]],
) -> ModelCard:
    """See `import_model`; `trained` gives what the card says of the weights' file."""
    loss = _loss(origin.loss)
    kind = program_kind(source)
    if kind is not None:
        return _import_program(
            source, kind, to, origin, loss, root, device, progress, told, trained
        )
    for option, said in (("--output", origin.output), ("--ends-in-tanh", origin.bounded)):
        if said:
            read_state(source)  # what it is comes first, where it is no state dict
            raise UsageError(f"{option} is for whole networks, and {source} holds a state dict")
    if not origin.backbone:
        read_state(source)
        raise UsageError(
            "a state dict says nothing of its network: name it, as in --backbone resnet18"
        )
    backbone = resolve(Kind.BACKBONE, Backbone, Spec.parse(origin.backbone))
    _refuse_early(source, backbone, origin)
    dataset = resolve(Kind.DATASET, Dataset, Spec.parse(origin.dataset))
    found = read_source(dataset, root, progress)
    model, backbone, notes = _built(source, backbone, found.images, origin)
    metrics = _measured(model.to(device), source, origin, found)
    content = weight_bytes(model)
    base = backbone.base if isinstance(backbone, HeadedBackbone) else backbone
    hidden = backbone.hidden if isinstance(backbone, HeadedBackbone) else ()
    card = replace(
        _card(content, trained, origin, found, loss, metrics, backbone=base, bits=model.bits),
        hidden=tuple(map(str, hidden)),
    )
    write_folder(to, {WEIGHTS: content, CARD: card_bytes(card)}, last=CARD)
    for note in (*notes, *_of_loss(loss)):
        told(note)
    return card


def _measured(model: HashModel, source: Path, origin: Origin, found: Source) -> dict[str, float]:
    """The metrics of its clean queries.

    Raises:
        ModelError: they are not what its makers report.
    """
    data = load_data(found.dataset, found.root)
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
    return metrics


def _card(
    content: bytes,
    trained: Callable[[], Mapping[str, Any]],
    origin: Origin,
    found: Source,
    loss: Loss,
    metrics: Mapping[str, float],
    *,
    backbone: Backbone,
    bits: int,
) -> ModelCard:
    """What the card of a state dict and that of a program have in common."""
    protocol, images = found.protocol, found.images
    # What reports say of how it was trained: where it is from, and what was compared.
    reported = {} if origin.clean is None else {"reported": origin.clean}
    return ModelCard(
        backbone=canonical(backbone),
        bits=bits,
        loss=canonical(loss),
        defense=origin.defense,
        dataset=protocol.dataset,
        protocol=protocol.hash,
        seed=origin.seed,
        training={"base": {**trained(), **reported}},
        shape=(images.channels, images.height, images.width),
        protocol_card=protocol.to_plain(),
        clean={protocol.metric: metrics[protocol.metric]},
        weights=hashlib.sha256(content).hexdigest(),
        versions=environment(),
        licence=origin.licence,
        named_loss=isinstance(loss, NamedLoss),
    )


def _loss(text: str) -> Loss:
    """The loss of a plugin, or a name for another one.

    Raises:
        UsageError: a plugin's name with wrong parameters, one that is all but a plugin's name, or
            one that cannot be shown.
    """
    if not text:
        return NamedLoss()
    name = text.partition(":")[0].partition("@")[0].strip()
    known = plugins.names(Kind.LOSS)
    if name in known or (near := difflib.get_close_matches(text, known, n=1, cutoff=_A_SLIP)):
        try:
            return resolve(Kind.LOSS, Loss, Spec.parse(text))
        except UsageError as error:
            if name in known:
                raise
            raise UsageError(
                f"{error}. If another loss than '{near[0]}' is meant, write its name out, as in "
                f"--loss '{briefly(text)} (ours)'"
            ) from None
    return NamedLoss(text)


def _of_loss(loss: Loss) -> tuple[str, ...]:
    if not isinstance(loss, NamedLoss) or loss == NamedLoss():
        return ()
    return (f"the loss '{canonical(loss)}' is no plugin here: its name stands in rows as it is",)


def _import_program(
    source: Path,
    kind: ProgramKind,
    to: Path,
    origin: Origin,
    loss: Loss,
    root: Path | None,
    device: str,
    progress: Progress,
    told: Callable[[str], object],
    trained: Callable[[], Mapping[str, Any]],
) -> ModelCard:
    """Turn a file that holds a whole network into a folder for `run --model`."""
    if origin.renames or origin.activation is not None:
        raise UsageError(
            f"{source} is {kind.spoken}, a whole network: --rename and --activation are for state "
            "dicts"
        )
    name = NamedBackbone(origin.backbone or str(kind))
    content = content_of(source, kind)
    dataset = resolve(Kind.DATASET, Dataset, Spec.parse(origin.dataset))
    found = read_source(dataset, root, progress)
    asked = Asking(kind, bounded=origin.bounded, output=origin.output)
    if origin.normalisation is not None:
        asked = replace(asked, mean=origin.normalisation.mean, std=origin.normalisation.std)
    outcome = tried(content, asked, some_images(found), source)
    model = outcome.model(content, source, device=device, threads=_THREADS)
    metrics = _measured(model, source, origin, found)
    card = replace(
        _card(content, trained, origin, found, loss, metrics, backbone=name, bits=outcome.bits),
        program=outcome.asking.to_plain(),
    )
    write_folder(to, {kind.file: content, CARD: card_bytes(card)}, last=CARD)
    for note in (*_of_program(outcome, asked), *_of_loss(loss)):
        told(note)
    return card


def _of_program(outcome: Tried, asked: Asking) -> Iterator[str]:
    yield f"it is {outcome.asking.kind.spoken}, of {outcome.bits} bits"
    if outcome.asking.mean != asked.mean:
        yield "it takes three channels, so that grey images are repeated"
    if outcome.asking.batch:
        yield f"it takes {counted(outcome.asking.batch, 'image')} at once"
    if not outcome.gradients:
        yield "it gives no gradient, so it is attacked by its codes alone"


def _refuse_early(source: Path, backbone: Backbone, origin: Origin) -> None:
    """Refuse what is no checkpoint of a network before any data are read, which may take long.

    Raises:
        UsageError: it would be none for coloured images, nor for grey ones.
    """
    faults = []
    for channels in (3, 1):
        spec = InputSpec(channels, 224, 224, (0.5,) * channels, (0.25,) * channels)
        if (bare := outline(backbone, spec, 1)) is None:
            read_state(source)
            return
        try:
            _found(source, backbone, bare, origin)
            return
        except UsageError as error:
            faults.append(error)
    raise faults[0]


def _found(source: Path, backbone: Backbone, bare: HashModel, origin: Origin) -> Translated:
    """What is in a file, under the keys of a model of the backbone, which may be an outline."""
    name, own = backbone.card.name, bare.state_dict()
    state = read_state(source, lambda key: f"{BACKBONE}.{key}" in own or known_by_layout(key, name))
    return translated(
        state, bare, name, source, renames=origin.renames, activation=origin.activation
    )


def _built(
    source: Path, backbone: Backbone, images: InputSpec, origin: Origin
) -> tuple[HashModel, Backbone, tuple[str, ...]]:
    """The model of a state dict, its backbone with the layers of its head, and notes."""
    bare = outline(backbone, images, 1)
    if bare is None:
        with torch.random.fork_rng(devices=[]), refusing(backbone, " cannot be built:"):
            bare = HashModel(built(bare_of(backbone), images), 1)
    found = _found(source, backbone, bare, origin)
    if found.hidden:
        backbone = HeadedBackbone(backbone, found.hidden)
    where = f"weights {source}"
    if (network := outline(backbone, images, found.bits)) is not None:
        with_wanted_keys(_complete(found, network, origin, where), network.state_dict(), where)
    with torch.random.fork_rng(devices=[]), refusing(backbone, " cannot be built:"):
        model = HashModel(built(bare_of(backbone), images), found.bits)
    weights = _complete(found, model, origin, where)
    model.load_state_dict(fitted(weights, model.state_dict(), where))
    notes = []
    if found.hash_layer != HASH_LAYER:
        notes.append(f"its hash layer is '{briefly(found.hash_layer)}'")
    if found.hidden:
        notes.append(f"under it lie {', '.join(map(str, found.hidden))}")
    if found.left_out:
        left = ", ".join(f"'{briefly(one)}'" for one in found.left_out[:_SHOWN])
        notes.append(f"no code depends on {left}, which is left out")
    if found.normalisation is not None and origin.normalisation is None:
        notes.append("its mean and deviation are those in the file")
    return model.eval(), backbone, tuple(notes)


def _complete(found: Translated, model: HashModel, origin: Origin, where: str) -> dict[str, Tensor]:
    """The state dict with mean and deviation: those that were said, the file's, or the model's."""
    said = origin.normalisation
    given = found.normalisation
    if said is not None:
        given = (torch.tensor(said.mean), torch.tensor(said.std))
    if given is None:
        return {**found.state, "mean": model.mean, "std": model.std}
    channels = model.mean.numel()
    for name, values in zip(("mean", "std"), given, strict=True):
        if len(values) not in (1, channels):
            raise UsageError(
                f"{where}: {name} has {len(values)} values, but the network sees {channels} "
                "channels: give one value, or one for each"
            )
    mean, std = (values.float().expand(channels).reshape(1, -1, 1, 1).clone() for values in given)
    return {**found.state, "mean": mean, "std": std}
