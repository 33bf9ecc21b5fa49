"""The suite: what to run, read from TOML or put together from options. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from typing_extensions import Unpack

from hashbench.characters import shortened
from hashbench.coercion import quoted
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.plugins.parameters import Spec
from hashbench.records import Author, plain, read
from hashbench.runner.suite_files import QUICK, read_shipped, read_suite
from hashbench.runner.suite_files import shipped as shipped
from hashbench.runner.suite_keys import SuiteKeys
from hashbench.runner.suite_models import LISTS as _GRID_LISTS
from hashbench.runner.suite_models import GivenModels as GivenModels
from hashbench.runner.suite_models import Grid as Grid
from hashbench.runner.suite_models import ModelInMemory
from hashbench.runner.suite_tables import (
    FLOAT,
    MAX_IMAGES,
    NO_ATTACK,
    PIXELS,
    BudgetPlan,
    Compute,
    Limits,
    Training,
)
from hashbench.runner.suite_values import Written as _Written
from hashbench.runner.suite_values import all_at_home as _all_at_home
from hashbench.runner.suite_values import distinct as _distinct
from hashbench.runner.suite_values import many as _many
from hashbench.runner.suite_values import spec as _spec
from hashbench.suggestions import did_you_mean

MAX_CELLS: Final = 200_000
"""How many cells a suite may ask for: their plan alone takes some ten seconds and 200 MB."""


@dataclass(frozen=True)
class Suite:
    """What to run: every attack at every radius against every model.

    Attributes:
        name: what reports call it.
        models: those to be made, those that are given, or one that is at hand.
        attack: attacks with their parameters; empty or `none` for clean queries alone.
        eps: radii; empty takes each data set's own.
        training: of base models, and of an attacker's own model beside a given one.
        budget, compute, limits: see their classes.
        root: the folder of data sets that need one.
        plugin: Python files with further plugins.
        keep_images: so many attacked images of each cell are kept, the first queries'; a finished
            cell that kept fewer is attacked once more for them. `None` keeps some of the cells that
            are attacked anyway.
        pixels: which values the pixels of attacked images have, `float` or `8bit`; part of the
            protocol.
        certify: whether what is proven of each model at each radius is found too. `None` does so
            where any of the models has a defense that is trained for it.
    """

    name: str
    models: Grid | GivenModels | ModelInMemory
    attack: tuple[Spec, ...]
    eps: tuple[Eps, ...]
    training: Training
    budget: BudgetPlan
    compute: Compute
    limits: Limits = field(default_factory=Limits)
    root: Path | None = None
    plugin: tuple[Path, ...] = ()
    pixels: str = FLOAT
    keep_images: int | None = None
    certify: bool | None = None

    def __post_init__(self) -> None:
        if self.pixels not in PIXELS:
            raise UsageError(
                f"pixels is '{shortened(self.pixels)}', expected {' or '.join(PIXELS)}"
            )
        if self.keep_images is not None and not 0 <= self.keep_images <= MAX_IMAGES:
            raise UsageError(
                f"keep_images is {quoted(self.keep_images, str)}, but must be from 0 to "
                f"{MAX_IMAGES:,}"
            )
        for spec in self.attack:
            if not isinstance(spec, Spec):
                raise UsageError(
                    f"attack holds {quoted(spec)}, which is no Spec; "
                    "hashbench.load_suite(suite, attack=[...]) takes names"
                )
        if self.size > MAX_CELLS:
            raise UsageError(
                f"it asks for {self.size:,} cells ({self._lengths()}), but a run has at most "
                f"{MAX_CELLS:,}: make it several runs"
            )

    @property
    def size(self) -> int:
        """How many cells it asks for.

        For each model the clean one, and one for each attack, and its certificate where one is
        asked for, at each radius; two spellings of one thing count twice.
        """
        each = self._attacks() + bool(self.certify)
        return math.prod(self._models()) * (1 + each * max(1, len(self.eps)))

    def _models(self) -> tuple[int, ...]:
        if isinstance(self.models, GivenModels):
            return (len(self.models.model),)
        if isinstance(self.models, ModelInMemory):
            return (1,)
        return tuple(len(getattr(self.models, name)) for name in _GRID_LISTS)

    def _attacks(self) -> int:
        return sum(str(spec) != NO_ATTACK for spec in self.attack)

    def _lengths(self) -> str:
        lists = _GRID_LISTS if isinstance(self.models, Grid) else ("model",)
        counts = [f"{count:,} {name}" for name, count in zip(lists, self._models(), strict=True)]
        return " x ".join([*counts, f"{self._attacks():,} attack", f"{len(self.eps):,} eps"])

    @property
    def dataset(self) -> tuple[Spec, ...]:
        """The grid's data sets; empty where the models are given, as the other lists of it."""
        return self.models.dataset if isinstance(self.models, Grid) else ()

    @property
    def loss(self) -> tuple[Spec, ...]:
        """The grid's losses."""
        return self.models.loss if isinstance(self.models, Grid) else ()

    @property
    def backbone(self) -> tuple[Spec, ...]:
        """The grid's backbones."""
        return self.models.backbone if isinstance(self.models, Grid) else ()

    @property
    def bits(self) -> tuple[int, ...]:
        """The grid's code lengths."""
        return self.models.bits if isinstance(self.models, Grid) else ()

    @property
    def defense(self) -> tuple[Spec, ...]:
        """The grid's defenses."""
        return self.models.defense if isinstance(self.models, Grid) else ()

    @property
    def seed(self) -> tuple[int, ...]:
        """The grid's seeds."""
        return self.models.seed if isinstance(self.models, Grid) else ()

    @property
    def checkpoint(self) -> Path | None:
        """Where the grid's base model is taken from; `None` where it is trained."""
        return self.models.checkpoint if isinstance(self.models, Grid) else None

    @property
    def model(self) -> tuple[Path, ...]:
        """The folders of the given models; empty for a grid."""
        return self.models.model if isinstance(self.models, GivenModels) else ()

    def to_plain(self) -> dict[str, Any]:
        """The suite as JSON data that `from_plain` reads back: the keys of a suite file.

        A model that is an object of a process stands under `in_memory`, which no file can ask for.
        """
        said = plain(self)
        said.update(plain(self.models), model=plain(self.model))
        keys = {key: said[key] for key in KEYS if key in said}
        if isinstance(self.models, ModelInMemory):
            return {**keys, "name": self.name, "in_memory": self.models.name}
        return keys


_SHARED = tuple(one.name for one in fields(Suite) if one.name != "models")
_GRID = tuple(one.name for one in fields(Grid))
_SPECS = ("dataset", "loss", "backbone", "defense", "attack")
_LISTS = (*_SPECS, "bits", "seed", "eps", "model", "plugin")
_TABLES = ("training", "budget", "compute", "limits")
KEYS = (*_SHARED, *_GRID, "model")
"""The keys of a suite file."""


@dataclass(frozen=True)
class _Layer:
    """What one place says of a suite, as plain data; `where` opens the errors about it."""

    said: Mapping[str, Any]
    where: str


def from_plain(given: Mapping[str, Any], where: str) -> Suite:
    """Build a suite from parsed TOML or JSON.

    Args:
        given: one key per field; a single value stands for a list of one. What is left out is taken
            from the quick suite, and eps from the data set. Beside a model, what a grid would need
            is passed over.
        where: opens every error message.

    Raises:
        UsageError: an unknown key, a wrong type, an impossible value.
    """
    return _built(_quick(), _Layer(given, where))


def quick() -> Suite:
    """The quick suite, as it ships with hashbench."""
    return _built(_quick())


Source: TypeAlias = Suite | Mapping[str, Any] | str | Path
"""What a suite can be given as: itself, a mapping, the path of a file, the name of one."""


def load(source: Source | None = None, **asked: Unpack[SuiteKeys]) -> Suite:
    """A suite from its file, from one that ships with hashbench, or from a mapping.

    For example: `load("quick", attack=["hag", "auto"], eps="8/255")`, or the same as
    `load({"attack": ["hag", "auto"], "eps": "8/255"})`.

    Args:
        source: the path of a suite file, the name of one that ships, a mapping with the keys of a
            suite file, or another suite; the quick suite by default.
        asked: keys of a suite file, laid over it as the options of `hashbench run` are; a single
            value stands for a list of one, and `None` for what is not said.

    Paths inside a suite file start from the file's folder, all others from the working folder.

    Raises:
        UsageError: no such file or name; empty, malformed, or with wrong keys or values.
    """
    options = {key: value for key, value in asked.items() if value is not None}
    if not isinstance(source, Suite | Mapping | str | Path | None):
        raise UsageError(
            f"a suite is a file's path, a name, a mapping or a Suite, not {quoted(source)}"
        )
    if not isinstance(source, Suite):
        return compose(source, options)
    return override(source, _all_at_home(options)) if options else source


def compose(source: Mapping[str, Any] | str | Path | None, options: Mapping[str, Any]) -> Suite:
    """A suite with options laid over it, as the command line does.

    Args:
        source: as for `load`; without any, and as `quick`, the quick suite.
        options: as the changes of `override`, with `~` for the home folder; plugin files are added
            to the suite's own, and the radii that a suite file names hold for a new data set too.

    Raises:
        UsageError: as for `load`; or a model beside a key that its card answers.
    """
    options = _all_at_home(options)
    if isinstance(source, Mapping):
        file = _Layer(_all_at_home(source), "the suite")
    elif source is None or str(source) == QUICK:
        file = _Layer({}, f"suite {source}")
    else:
        file = _Layer(_of_file(source), f"suite {source}")
    asked = {**file.said, **options}
    if asked.get("model"):
        for name in _GRID:
            if name in asked:
                raise UsageError(
                    f"{name} beside a model: the model's card names its {name} already; "
                    "leave it out"
                )
    if "plugin" in options:
        both = [*_many(file.said.get("plugin")), *_many(options["plugin"])]
        options = {**options, "plugin": both}
    return _built(_quick(), file, _Layer(options, "the options"))


def override(suite: Suite, changes: Mapping[str, Any], where: str = "the options") -> Suite:
    """A suite with some fields replaced.

    Args:
        suite: the one to start from.
        changes: as for `from_plain`. Tables are merged key by key; a new `dataset` or `model`
            without a new `eps` takes its data set's own radius.
        where: opens every error message.
    """
    said = suite.to_plain()
    # As they are: their paths start from the folder of the file that they were read from.
    said.update({key: list(getattr(suite, key)) for key in _SPECS if key in said})
    return _built(_Layer(said, "the suite"), _Layer(changes, where))


def _quick() -> _Layer:
    return _Layer(read_shipped(QUICK), "the quick suite")


def _of_file(source: str | Path) -> dict[str, Any]:
    """What a file says, every path in it from the working folder; where it is none, its name's."""
    given, folder = read_suite(source)
    for key in _SPECS:
        if key in given:
            given[key] = [_Written(value, folder) for value in _many(given[key])]
    return given


def _built(*layers: _Layer) -> Suite:
    """The suite that the layers say, the later one over the earlier one.

    Raises:
        UsageError: that is no suite; the first layer with which it is none is named.
    """
    layers = _with_compute_of_model(layers)
    try:
        return _suite(_merged(layers))
    except UsageError:
        for count, layer in enumerate(layers, start=1):
            try:
                _suite(_merged(layers[:count]))
            except UsageError as error:
                raise UsageError(f"{layer.where}: {error}") from None
        raise


def _with_compute_of_model(layers: tuple[_Layer, ...]) -> tuple[_Layer, ...]:
    """With a layer of how the first given model was computed, under what else is asked for.

    Whatever is wrong with the card is said where the model is loaded.
    """
    named = [layer.said["model"] for layer in layers[1:] if layer.said.get("model")]
    if not named:
        return layers
    from hashbench.hashing.checkpoint import read_card  # needs torch, as the model does

    folder = _many(named[-1])[0]
    try:
        recorded = read_card(Path(folder), "model").training.get("compute", {})
    except (UsageError, TypeError):
        return layers
    if not isinstance(recorded, Mapping):
        return layers
    # How many processes trained it is no matter any more, nor how a database was divided.
    known = {one.name for one in fields(Compute)} - {"processes", "database_part"}
    compute = {name: value for name, value in recorded.items() if name in known}
    return (layers[0], _Layer({"compute": compute}, f"model {folder}"), *layers[1:])


def _merged(layers: tuple[_Layer, ...]) -> dict[str, Any]:
    first, *later = (layer.said for layer in layers)
    merged = {"name": "unnamed", **first}
    if any("dataset" in said or said.get("model") for said in later):
        merged["eps"] = []  # the first layer's radii were meant for its own data
    for said in later:
        for key, value in said.items():
            below = merged.get(key)
            if key not in _TABLES or below is None or not isinstance(value, Mapping):
                merged[key] = value
            elif isinstance(below, Mapping):
                merged[key] = {**below, **value}
            # Else what lies below should have been a table: it stays, and is refused.
    return merged


def _suite(said: Mapping[str, Any]) -> Suite:
    for key in said:
        if key not in KEYS:
            raise UsageError(
                f"there is no key '{shortened(str(key))}'{did_you_mean(str(key), KEYS)}"
            )
    given = bool(_many(said.get("model")))
    data = {key: value for key, value in said.items() if not (given and key in _GRID)}
    for key in _LISTS:
        if key in data:
            data[key] = _many(data[key])
    for key in _SPECS:
        if key in data:
            data[key] = _distinct(_spec(value, key) for value in data[key])
    data["eps"] = _distinct(Eps.parse(value) for value in data["eps"])
    names = ("model",) if given else _GRID
    said_of_models = {key: data[key] for key in names if key in data}
    data["models"] = _without_repeats(
        read(GivenModels, said_of_models, "", Author.PERSON)
        if given
        else read(Grid, said_of_models, "", Author.PERSON)
    )
    shared = {key: data[key] for key in (*_SHARED, "models") if key in data}
    return read(Suite, shared, "", Author.PERSON)


def _without_repeats(models: Grid | GivenModels) -> Grid | GivenModels:
    if isinstance(models, GivenModels):
        return replace(models, model=_distinct(models.model))
    return replace(models, bits=_distinct(models.bits), seed=_distinct(models.seed))
