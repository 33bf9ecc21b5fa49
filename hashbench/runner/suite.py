"""The suite: what to run, read from TOML or put together from options. Needs no torch."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.plugins.parameters import Spec
from hashbench.records import Author, plain, read
from hashbench.suggestions import did_you_mean

QUICK = "quick"
MIXED = "mixed"
PRECISIONS = ("float32", MIXED)

_SPECS = ("dataset", "loss", "backbone", "defense", "attack")
_TABLES = ("training", "budget", "compute", "limits")


@dataclass(frozen=True)
class Training:
    """How base models are trained; see `hashbench.hashing.Recipe` for the fields."""

    epochs: int
    batch: int = 32
    optimizer: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1
    augment: str = "none"


@dataclass(frozen=True)
class BudgetPlan:
    """What every trained defense gets alike.

    Attributes:
        epochs, inner_steps: as in `hashbench.defending.Budget`.
        eps: radius of the inner attack; `None` takes the largest radius of the run, so that a
            defense is trained for the strongest threat that it will meet.
    """

    epochs: int
    inner_steps: int
    eps: Eps | None = None


@dataclass(frozen=True)
class Compute:
    """What float results depend on besides the seed, and is therefore part of every key.

    Attributes:
        threads: of torch, per cell.
        attack_batch: queries that are attacked together.
        device: `cpu` or `cuda`.
        precision: `float32`, or `mixed`: the network under the hash layer runs in bfloat16, in
            training, attacks and codes alike.
    """

    threads: int = 1
    attack_batch: int = 500
    device: str = "cpu"
    precision: str = "float32"


@dataclass(frozen=True)
class Limits:
    """Where a plugin is stopped: no part of any key, since a cell that is stopped has no result.

    Attributes:
        passes: forward passes that an attack may take per query.
    """

    passes: int = 20_000


@dataclass(frozen=True)
class Suite:
    """A grid: every combination of the lists below is a cell.

    Attributes:
        name: what reports call it.
        dataset, loss, backbone, defense, attack: plugins with their parameters; `attack` may be
            empty or `none`, for clean queries alone.
        bits: code lengths, at least 1.
        eps: radii; empty takes each data set's own.
        seed: seeds of training and attacks.
        training, budget, compute, limits: see their classes.
        root: the folder of data sets that need one.
        checkpoint: a folder to take the base model from, instead of training it.
        model: folders of defended models to evaluate as they are; their cards say what the lists
            of data sets, losses, backbones, bits, defenses and seeds would.
        plugin: Python files with further plugins.
    """

    name: str
    dataset: tuple[Spec, ...]
    loss: tuple[Spec, ...]
    backbone: tuple[Spec, ...]
    bits: tuple[int, ...]
    defense: tuple[Spec, ...]
    attack: tuple[Spec, ...]
    eps: tuple[Eps, ...]
    seed: tuple[int, ...]
    training: Training
    budget: BudgetPlan
    compute: Compute
    limits: Limits = Limits()
    root: Path | None = None
    checkpoint: Path | None = None
    model: tuple[Path, ...] = ()
    plugin: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in ("dataset", "loss", "backbone", "bits", "defense", "seed"):
            if not getattr(self, name):
                raise UsageError(f"{name} is an empty list")
        for bits in self.bits:
            if bits < 1:
                raise UsageError(f"bits is {bits}, but a code has at least 1 bit")
        for where, value, least in (
            ("training.epochs", self.training.epochs, 0),
            ("training.batch", self.training.batch, 1),
            ("budget.epochs", self.budget.epochs, 0),
            ("budget.inner_steps", self.budget.inner_steps, 0),
            ("compute.threads", self.compute.threads, 1),
            ("compute.attack_batch", self.compute.attack_batch, 1),
            ("limits.passes", self.limits.passes, 1),
        ):
            if value < least:
                raise UsageError(f"{where} is {value}, but must be {least} or more")
        if self.compute.precision not in PRECISIONS:
            raise UsageError(
                f"compute.precision is '{self.compute.precision}', expected float32 or mixed"
            )
        if self.training.learning_rate <= 0:
            raise UsageError(
                f"training.learning_rate is {self.training.learning_rate}, but must be above 0"
            )

    def to_plain(self) -> dict[str, Any]:
        """The suite as JSON data that `from_plain` reads back."""
        found: dict[str, Any] = plain(self)
        return found


def from_plain(given: Mapping[str, Any], where: str) -> Suite:
    """Build a suite from parsed TOML or JSON.

    Args:
        given: one key per field; a single value stands for a list of one. What is left out is taken
            from the quick suite, and eps from the data set.
        where: opens every error message.

    Raises:
        UsageError: an unknown key, a wrong type, an impossible value.
    """
    return override(quick(), given, where)


def quick() -> Suite:
    """The quick suite, as it ships with hashbench."""
    text = (files("hashbench.benchmarks") / "suites" / f"{QUICK}.toml").read_text()
    return _build({}, tomllib.loads(text), "the quick suite")


def shipped() -> tuple[str, ...]:
    """The names of the suites that ship with hashbench."""
    folder = files("hashbench.benchmarks") / "suites"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir()))


def load(source: str | Path | None) -> Suite:
    """Read a suite by the path of its file, or by the name of one that ships with hashbench.

    Paths inside a suite file start from the file's folder.

    Raises:
        UsageError: no such file or name; empty, malformed, or with wrong values.
    """
    return compose(source, {})


def compose(source: str | Path | None, options: Mapping[str, Any]) -> Suite:
    """A suite with options laid over it, as the command line does.

    Args:
        source: as for `load`.
        options: as the changes of `override`; plugin files are added to the suite's own, and the
            radii that a suite file names hold for a new data set too.
    """
    if options.get("model"):
        _refuse_beside_model(options)
    if source is None or str(source) == QUICK:
        return override(quick(), options)
    given = _read(source)
    if given.get("model") or options.get("model"):
        _refuse_beside_model(given)
    suite = from_plain(given, f"suite {source}")
    changes = dict(options)
    if "eps" in given:
        changes.setdefault("eps", given["eps"])
    if "plugin" in changes:
        changes["plugin"] = [*suite.plugin, *_many(changes["plugin"])]
    return override(suite, changes)


def _refuse_beside_model(asked: Mapping[str, Any]) -> None:
    for name in ("dataset", "loss", "backbone", "bits", "defense", "seed", "checkpoint"):
        if name in asked:
            raise UsageError(
                f"{name} beside a model: the model's card names its {name} already; leave it out"
            )


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if path.is_dir():
        raise UsageError(f"suite {path}: a folder, expected a .toml file")
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"suite {path}: cannot be read ({error})") from None
    elif str(source) in shipped():
        text = (files("hashbench.benchmarks") / "suites" / f"{source}.toml").read_text()
    else:
        raise UsageError(
            f"suite {source}: no such file, and no suite of that name"
            f"{did_you_mean(str(source), shipped())}"
        )
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"suite {path}: not valid TOML ({error})") from None
    if not given:
        raise UsageError(f"suite {path}: it is empty; name at least a defense or an attack")
    given.setdefault("name", path.stem)
    for key in ("plugin", "model"):
        if key in given:
            given[key] = [_from(path.parent, value) for value in _many(given[key])]
    for key in ("root", "checkpoint"):
        if key in given:
            given[key] = _from(path.parent, given[key])
    return given


def _from(folder: Path, value: Any) -> Any:
    return str(folder / Path(value).expanduser()) if isinstance(value, str) else value


def override(suite: Suite, changes: Mapping[str, Any], where: str = "the options") -> Suite:
    """A suite with some fields replaced.

    Args:
        suite: the one to start from.
        changes: as for `from_plain`. Tables are merged key by key; a new `dataset` or `model`
            without a new `eps` takes its data set's own radius.
        where: opens every error message.
    """
    before = suite.to_plain()
    if ("dataset" in changes or changes.get("model")) and "eps" not in changes:
        before["eps"] = []
    if changes.get("model"):
        # Computed as it was where the model was made, unless something else is asked for.
        before["compute"] = {**before["compute"], **_compute_of(_many(changes["model"]))}
    return _build(before, changes, where)


def _compute_of(models: list[Any]) -> dict[str, Any]:
    """What the first model's card was computed with; nothing where the card does not say.

    Whatever is wrong with the card is said where the model is loaded.
    """
    from hashbench.hashing.checkpoint import read_card  # needs torch, as the model does

    names = {field.name for field in dataclasses.fields(Compute)}
    try:
        recorded = read_card(Path(models[0]), "model").training.get("compute", {})
    except (UsageError, TypeError):
        return {}
    return {name: value for name, value in recorded.items() if name in names}


def _build(before: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> Suite:
    merged: dict[str, Any] = {"name": "unnamed", **before, **changes}
    for name in _TABLES:
        if isinstance(before.get(name), Mapping) and isinstance(changes.get(name), Mapping):
            merged[name] = {**before[name], **changes[name]}
    try:
        for name in _SPECS:
            merged[name] = _specs(merged, name)
        merged["eps"] = _distinct(Eps.parse(value) for value in _many(merged.get("eps")))
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    for name in ("bits", "seed", "model", "plugin"):
        merged[name] = _many(merged.get(name))
    return read(Suite, merged, where, Author.PERSON)


def _specs(merged: Mapping[str, Any], key: str) -> tuple[Spec, ...]:
    specs = []
    for value in _many(merged.get(key)):
        if isinstance(value, str):
            specs.append(Spec.parse(value))
        elif isinstance(value, Mapping):
            specs.append(Spec.from_table(value))
        else:
            raise UsageError(f"{key} holds {value!r}, expected a name or a table")
    return _distinct(specs)


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
