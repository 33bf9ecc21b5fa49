"""One model that is an object of this process, evaluated as the models of a run are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import index
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, SupportsIndex, TypeAlias

import numpy as np
import torch
from torch import nn

from hashbench import plugins
from hashbench.attacking.contract import Attack
from hashbench.characters import counted, shown
from hashbench.coercion import quoted
from hashbench.data.contract import Dataset
from hashbench.data.given.dataset import GivenData
from hashbench.data.given.splits import as_retrieval_data
from hashbench.data.images import RetrievalData
from hashbench.defending.contract import WrappingDefense
from hashbench.errors import UsageError
from hashbench.hashing.encode import as_images
from hashbench.hashing.named import (
    MAX_NAME,
    UNSTATED,
    NamedBackbone,
    NamedLoss,
    is_printable,
)
from hashbench.hashing.whole_model import check_normalisation
from hashbench.plugins.base import Plugin
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, canonical
from hashbench.plugins.paths import at_home
from hashbench.results.cell import CLEAN
from hashbench.results.gallery import no_gallery
from hashbench.results.results import Results
from hashbench.results.scored import Measured
from hashbench.results.store import Store
from hashbench.runner.black_box import refuse_followers
from hashbench.runner.code_content import module_content
from hashbench.runner.loading import load_data
from hashbench.runner.object_model import ModelObject, answer_of, as_found, refuse_unready
from hashbench.runner.plan import asked, laid_out
from hashbench.runner.planned_models import PlannedModel
from hashbench.runner.reporter import Reporter
from hashbench.runner.resolve import check_device, read_source, resolve
from hashbench.runner.run import missing_steps, run_plan
from hashbench.runner.setting import Setting, Source
from hashbench.runner.steps import GivenModel
from hashbench.runner.suite import Suite, load
from hashbench.runner.suite_keys import Named, Radius
from hashbench.runner.suite_models import ModelInMemory
from hashbench.runner.watching import reporter_for, tried

Data: TypeAlias = RetrievalData | Mapping[str, Any] | Dataset | Spec | str | tuple[Any, ...]
"""The data: a name, a data set, or splits; see `hashbench.data.as_retrieval_data`."""

OWN: Final = "own-data"
"""What rows call data that nobody named."""

_TRIED: Final = 2
"""Images that the network is asked for before anything else."""


def evaluate(
    net: nn.Module,
    data: Data,
    attacks: Named | Sequence[Named] = ("auto",),
    eps: Radius | Sequence[Radius] | None = None,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    bounded: bool = False,
    bits: int | None = None,
    name: str | None = None,
    loss: str = UNSTATED,
    defense: str = "none",
    data_name: str | None = None,
    top_k: int | None = None,
    root: str | Path | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    device: str | None = None,
    threads: int = 1,
    attack_batch: int = 500,
    passes: int | None = None,
    certify: bool = False,
    reporter: Reporter | None = None,
    progress: bool | None = None,
) -> Results:
    """Attack a model that you have in memory, and score it as every model of a run is scored.

    For example: `evaluate(net, {"train": (x, y), "query": (q, t), "database": (d, s)}, ["auto"],
    eps="8/255")`, or `evaluate(net, "fashion")`.

    The network is asked in eval mode for float32 images (B, C, H, W) in `[0, 1]`, and gives real
    numbers (B, K): bit k of an image's code is the sign of number k, and 0 counts as +. Attacks
    follow the tanh of these numbers. A network that does not normalise its input itself is told
    `mean` and `std`. It is used in this process alone, never copied, and is afterwards as it was
    before, also after an error or Ctrl-C: the mode of every part, its device, its buffers, and each
    parameter's `requires_grad` and `grad`.

    Args:
        net: any module of torch.
        data: the name of a data set (`"fashion"`, `"lists:crop=224"`); or the splits, as arrays or
            data sets of torch: `hashbench.data.as_retrieval_data` says which.
        attacks: names with parameters (`"hag:steps=500"`), or objects of an attack's class; empty
            or `none` for clean queries alone.
        eps: one or several radii in `[0, 1]` pixels, `"8/255"` or `8 / 255`, of L2 `"l2:0.5"`; by
            default the data set's own, 8/255 for your own data.
        mean: what is subtracted from images before the network, in `[0, 1]` pixels: one number or
            one per channel; three for a network of colour images on grey ones. By default nothing.
        std: what they are divided by after that, as many numbers; by default 1.
        bounded: the network ends in a tanh: its numbers are in `[-1, 1]`, and are taken as such.
        bits: code length K; by default what the network gives. Another one is an error.
        name: what rows call the network, in the place of a backbone; by default its class.
        loss: what rows say of how it was trained; nothing is trained here.
        defense: what its row is called: models that differ in nothing else stand in one table. The
            name of a defense that is put around a model, such as `jpeg`, is put around it.
        data_name: what rows call your own data. Random starts of attacks are drawn by it and by
            `seed`: the same data under another name give slightly other numbers.
        top_k: length of the ranked list of your own data; by default the whole database.
        root: the folder of a data set that does not ship.
        seed: of attacks.
        out: a folder of results, as of `hashbench.run`: `hashbench report` reads it, and what it
            holds already is not made again. The network is known there by its content: tensors by
            name, the code of its classes, and what hangs on its parts as attributes; one that holds
            what cannot be seen, such as a lock, is computed again each time. Globals that
            its methods read, and code in C, cannot be seen: take another folder after a change of
            these. Two networks of the same `name` and `defense` are one row: the last one's. By
            default results are kept in memory alone.
        device: `cpu` or `cuda`; by default where the network is.
        threads: of torch; numbers may depend on it.
        attack_batch: queries that are attacked together.
        passes: how often an attack may ask the network per query; by default as in a run.
        certify: whether what is proven at each radius is found too. Bounds go through a
            `torch.nn.Sequential` of known layers that ends in a linear one; of another network
            nothing is proven, and its row says why.
        reporter: told how it goes, as of `hashbench.run`.
        progress: whether a bar shows it, as of `hashbench.run`.

    Returns:
        The results, failed cells included, with flags, costs, chance and ties as of a run.

    Raises:
        UsageError: the network does not answer as it should, the data are none, an attack or a
            radius is wrong; nothing was run.
    """
    if not isinstance(net, nn.Module):
        raise UsageError(
            f"net is a {type(net).__name__}, expected a torch.nn.Module; put a function into the "
            "forward of one"
        )
    refuse_unready(net)
    for parameter, said in (
        *(("bounded", bounded), ("certify", certify)),
        ("progress", progress),
    ):
        if not isinstance(said, bool) and (said is not None or parameter != "progress"):
            raise UsageError(f"{parameter} is {quoted(said)}, expected True or False")
    for parameter, text in (
        *(("name", name), ("loss", loss), ("defense", defense)),
        *(("data_name", data_name), ("device", None if device is None else str(device))),
    ):
        if not isinstance(text, str) and (text is not None or parameter in ("loss", "defense")):
            raise UsageError(f"{parameter} is {quoted(text)}, expected a text")
    if reporter is not None and not isinstance(reporter, Reporter):
        raise UsageError(f"reporter is {quoted(reporter)}, expected a hashbench.Reporter")
    seed = _whole(seed, "seed")
    bits = None if bits is None else _whole(bits, "bits")
    called = _inner(net) if name is None else name
    where = _device(net, device)
    if not isinstance(attacks, Iterable | Spec | Plugin):
        raise UsageError(f"attacks are names or objects, or an empty list, not {quoted(attacks)}")
    given = [attacks] if isinstance(attacks, str | Mapping | Spec | Plugin) else list(attacks)
    suite = load(
        name="evaluate",
        attack=given,
        eps=[] if eps is None else _listed(eps),
        compute={"threads": threads, "attack_batch": attack_batch, "device": where},
        limits={} if passes is None else {"passes": passes},
        seed=seed,
        certify=certify,
    )
    suite = replace(suite, models=ModelInMemory(called), plugin=plugins.files())
    check_device(where)
    found = [_attack(one, spec) for one, spec in _with_specs(given, suite)]
    named_loss, backbone = NamedLoss(loss), NamedBackbone(called)
    label, wrapper = _defense(defense)
    told = reporter_for(progress) if reporter is None else reporter
    load_data.cache_clear()  # a folder may have changed since the last plan of this process
    try:
        with as_found(net) as net, _folder(out) as folder:
            try:
                source = _source(data, data_name, top_k, root, told)
                model = _model(net, source, where, _numbers(mean, 0.0), _numbers(std, 1.0), bounded)
                if bits is not None and bits != model.bits:
                    raise UsageError(
                        f"bits is {bits}, but net(x) gives {model.bits} numbers per image"
                    )
                _refuse_followers(found, model)
                setting = Setting(source, named_loss, backbone, model.bits, seed, suite.compute)
                planned = _planned(setting, label, wrapper, model)
                plan = laid_out(suite, [planned], found)
                for words in plan.left_out:
                    told.note(words)
                known: dict[str, Measured] = {}
                tried(missing_steps(plan, Store(folder), known), told, 1)
            except BaseException:
                told.end()
                raise
            results = run_plan(plan, out=folder, reporter=told, known=known)
    finally:
        load_data.cache_clear()  # it holds the data
    if out is None:
        kept_nowhere = tuple(replace(run, folder="") for run in results.asked)
        return replace(results, asked=kept_nowhere, gallery=no_gallery)
    return results


def _whole(given: Any, parameter: str) -> int:
    if isinstance(given, str | bool) or not isinstance(given, SupportsIndex):
        raise UsageError(f"{parameter} is {quoted(given)}, expected a whole number")
    return index(given)


def _listed(given: Any) -> Any:
    """Arrays and tensors as numbers and lists of Python."""
    return given.tolist() if isinstance(given, np.ndarray | np.generic | torch.Tensor) else given


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    if out is not None:
        yield Path(at_home(str(out), "out"))
        return
    with TemporaryDirectory(prefix="hashbench-") as folder:
        yield Path(folder)


def _inner(net: nn.Module) -> str:
    """The class of a network, of what is inside where it is one of torch's own wrappers."""
    inside = net.module if isinstance(net, nn.DataParallel) else getattr(net, "_orig_mod", net)
    return shown(type(inside).__name__)[:MAX_NAME]


def _device(net: nn.Module, device: str | None) -> str:
    if device is not None:
        return str(device)
    first = next(net.parameters(), None)
    return "cpu" if first is None else first.device.type


def _with_specs(given: Sequence[Named], suite: Suite) -> Iterator[tuple[Named, Spec]]:
    """What was asked for, each once, with the suite's words for it; without clean queries."""
    specs = iter(suite.attack)
    seen: set[Spec] = set()
    for one in given:
        # The suite names each once, in this order.
        spec = load(attack=one).attack[0]
        if spec not in seen:
            seen.add(spec)
            next(specs)
            if str(spec) != CLEAN:
                yield one, spec


def _attack(given: Named, spec: Spec) -> Attack:
    return asked(given if isinstance(given, Attack) else resolve(Kind.ATTACK, Attack, spec))


def _defense(name: str) -> tuple[str, WrappingDefense | None]:
    """What a row is called, and the defense that is put around the model."""
    if not is_printable(name):
        raise UsageError(
            f"defense is a name of 1 to {MAX_NAME} characters that can be printed, as rows show it"
        )
    known = plugins.registry(Kind.DEFENSE).names(Kind.DEFENSE)
    try:
        spec = Spec.parse(name)
    except UsageError:  # any text may be a name
        return name, None
    if spec.name not in known:
        return name, None
    found = plugins.get("defense", name)
    return canonical(found), found if isinstance(found, WrappingDefense) else None


def _source(
    data: Data,
    data_name: str | None,
    top_k: int | None,
    root: str | Path | None,
    told: Reporter,
) -> Source:
    folder = None if root is None else Path(at_home(str(root), "root"))
    if isinstance(data, str | Spec):
        spec = Spec.parse(data) if isinstance(data, str) else data
        data = resolve(Kind.DATASET, Dataset, spec)
    if isinstance(data, Dataset):
        for parameter, value in (("data_name", data_name), ("top_k", top_k)):
            if value is not None:
                raise UsageError(
                    f"{parameter} is for your own data; the data set '{data.card.name}' says it "
                    "itself"
                )
        return read_source(data, folder, told.reading)
    name = OWN if data_name is None else data_name
    if not is_printable(name):
        raise UsageError(f"data_name has 1 to {MAX_NAME} characters that can be printed")
    return read_source(GivenData(as_retrieval_data(data, told.reading), name, top_k), None)


def _numbers(given: float | Sequence[float] | None, default: float) -> tuple[float, ...]:
    if given is None:
        return (default,)
    try:
        listed = _listed(given)
        return tuple(map(float, listed)) if isinstance(listed, Sequence) else (float(listed),)
    except (TypeError, ValueError):
        raise UsageError(
            f"mean and std are numbers, or one number per channel, not {quoted(given)}"
        ) from None


def _model(
    net: nn.Module,
    source: Source,
    device: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    bounded: bool,
) -> ModelObject:
    """The network, tried on the first queries."""
    if len(mean) > 1 and len(std) == 1:
        std = std * len(mean)
    elif len(std) > 1 and len(mean) == 1:
        mean = mean * len(std)
    channels = source.images.channels
    if len(mean) not in (1, channels) and (channels, len(mean)) != (1, 3):
        raise UsageError(
            f"mean and std have {len(mean)} numbers, but images {counted(channels, 'channel')}"
        )
    check_normalisation(mean, std)
    content = module_content(net)
    net.to(device)
    queries = load_data(source.dataset, source.root).query.images[:_TRIED]
    images = as_images(queries, torch.device(device))
    if len(images) < _TRIED:
        images = images.repeat(_TRIED, 1, 1, 1)
    with torch.random.fork_rng():
        answer = answer_of(net, images, mean, std, bounded=bounded)
    return ModelObject(net, answer.bits, mean, std, bounded, answer.gradient, content)


def _refuse_followers(attacks: Sequence[Attack], model: ModelObject) -> None:
    """UsageError where an attack follows gradients and the network gives none."""
    if not model.differentiable:
        refuse_followers(
            attacks,
            "but none goes through net (a torch.no_grad(), detach(), sign() or round() in its "
            "forward?)",
        )


def _planned(
    setting: Setting, defense: str, wrapper: WrappingDefense | None, model: ModelObject
) -> PlannedModel:
    training = {"base": {"handed_over": "object"}, "compute": setting.compute.recorded()}
    step = GivenModel(
        setting=setting,
        defense=defense,
        wrapper=wrapper,
        folder=Path(canonical(setting.backbone)),
        weights=model.content,
        clean=(),
        program=model,
    )
    return PlannedModel(step, setting.clean_cell(defense, training), training)
