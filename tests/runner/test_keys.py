"""Keys: what makes an artifact changes its key and those below it; what does not, does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typing_extensions import override

from hashbench import Eps, plugins
from hashbench.data import Protocol
from hashbench.defending import Budget
from hashbench.hashing import InputSpec, OptimizerName, RateShape, Recipe
from hashbench.hashing.augment import Augment
from hashbench.plugins import Attack, Backbone, Dataset, Defense, Loss, attack
from hashbench.plugins.parameters import resolved
from hashbench.runner import fingerprint
from hashbench.runner.evaluation_steps import AdversarialCodes, Probe, Scores
from hashbench.runner.setting import Setting, Source
from hashbench.runner.steps import BaseModel, DefendedModel, ModelCodes, Step
from hashbench.runner.suite import Suite
from hashbench.runner.suite_tables import Compute

T = TypeVar("T")

PROTOCOL = Protocol("fashion", 24, 8, 40, 4, "5" * 64, None)
CHAIN = ("base", "defended", "codes", "probe", "clean", "adversarial", "scores")
"""The steps of one attacked cell, each made from some of those before it."""

FROM_BASE = set(CHAIN)
FROM_DEFENSE = FROM_BASE - {"base"}
FROM_ATTACK = {"adversarial", "scores"}


def plugin(contract: type[T], text: str) -> T:
    found = plugins.get(contract.__name__.lower(), text)
    assert isinstance(found, contract)
    return found


def in_full(kind: str, name: str) -> str:
    """A plugin's text with every default spelled out, last parameter first."""
    values = {
        key: "none" if value is None else str(value).lower() if isinstance(value, bool) else value
        for key, value in resolved(plugins.get(kind, name)).items()
    }
    return f"{name}:" + ",".join(f"{key}={value}" for key, value in reversed(values.items()))


@dataclass(frozen=True)
class Asked:
    """What a cell is made from, with a default for everything."""

    protocol: Protocol = PROTOCOL
    root: Path | None = None
    loss: str = "csq"
    backbone: str = "small-cnn"
    bits: int = 8
    seed: int = 0
    compute: Compute = field(default_factory=Compute)
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=3))
    checkpoint: Path | None = None
    weights: str = ""
    defense: str = "cgat"
    budget: Budget = field(default_factory=lambda: Budget(2, 7, Eps.parse("8/255")))
    attack: Attack = field(default_factory=lambda: plugin(Attack, "pgd-hamming"))
    eps: str = "8/255"
    limit: float = 20_000

    def chain(self) -> dict[str, Step]:
        source = Source(
            dataset=plugin(Dataset, "fashion"),
            root=self.root,
            protocol=self.protocol,
            images=InputSpec(1, 8, 8, (0.5,), (0.2,)),
        )
        setting = Setting(
            source,
            plugin(Loss, self.loss),
            plugin(Backbone, self.backbone),
            self.bits,
            self.seed,
            self.compute,
        )
        base = BaseModel(setting, self.recipe, self.checkpoint, self.weights)
        defended = DefendedModel(base, plugin(Defense, self.defense), self.budget)
        codes = ModelCodes(defended)
        adversarial = AdversarialCodes(codes, self.attack, Eps.parse(self.eps), limit=self.limit)
        found = (
            base,
            defended,
            codes,
            Probe(codes),
            Scores(codes, None),
            adversarial,
            Scores(codes, adversarial),
        )
        return dict(zip(CHAIN, found, strict=True))

    def keys(self) -> dict[str, str]:
        return {name: step.key for name, step in self.chain().items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in CHAIN if before[name] != after[name]}


def variants(default: Any, **values: Any) -> list[Any]:
    return [replace(default, **{name: value}) for name, value in values.items()]


ASKED = Asked()
RECIPES = variants(
    ASKED.recipe,
    epochs=4,
    batch=16,
    optimizer=OptimizerName.ADAM,
    learning_rate=0.02,
    momentum=0.8,
    weight_decay=0.0,
    milestones=(0.5,),
    gamma=0.2,
    float_milestones=True,
    augment=Augment.FLIP,
    rate_shape=RateShape.WARM_UP_LINEAR,
    clip_norm=5.0,
)
PROTOCOLS = variants(
    PROTOCOL,
    dataset="fashion:x=1",
    train=25,
    query=9,
    database=41,
    classes=5,
    split="6" * 64,
    top_k=5,
    normalize="capped",
    ties="stable",
    relevance="same labels",
    transform="center crop 224",
    excluded=1,
    targets="drawn with seed 1",
    roles="train from train, query from val, database from train",
)
BUDGETS = variants(ASKED.budget, epochs=3, inner_steps=8, eps=Eps.parse("9/255"))

CHANGES: list[tuple[dict[str, Any], set[str]]] = [
    ({"loss": "dpsh"}, FROM_BASE),
    ({"loss": "csq:quantization=0.5"}, FROM_BASE),
    ({"backbone": "small-cnn:width=77"}, FROM_BASE),
    ({"bits": 16}, FROM_BASE),
    ({"seed": 1}, FROM_BASE),
    ({"compute": Compute(threads=2)}, FROM_BASE),
    ({"compute": Compute(device="cuda")}, FROM_BASE),
    ({"compute": Compute(precision="mixed")}, FROM_BASE),
    ({"compute": Compute(processes=2)}, FROM_BASE),
    ({"checkpoint": Path("model"), "weights": "7" * 64}, FROM_BASE),
    *(({"recipe": recipe}, FROM_BASE) for recipe in RECIPES),
    *(({"protocol": protocol}, FROM_BASE) for protocol in PROTOCOLS),
    ({"defense": "atrdh"}, FROM_DEFENSE),
    ({"defense": "none"}, FROM_DEFENSE),
    ({"defense": "cgat:weight=2"}, FROM_DEFENSE),
    *(({"budget": budget}, FROM_DEFENSE) for budget in BUDGETS),
    ({"attack": plugin(Attack, "hag")}, FROM_ATTACK),
    ({"attack": plugin(Attack, "pgd-hamming:steps=3")}, FROM_ATTACK),
    ({"attack": plugin(Attack, "pgd-hamming:random_start=false")}, FROM_ATTACK),
    ({"eps": "16/255"}, FROM_ATTACK),
    ({"eps": "0.031"}, FROM_ATTACK),
    ({"compute": Compute(attack_batch=37)}, FROM_ATTACK),
    ({"compute": Compute(search="mixed")}, FROM_ATTACK),
    # The precision of the verdict, said once more, changes nothing.
    ({"compute": Compute(search="float32")}, set()),
    # How a database is divided changes nothing.
    ({"compute": Compute(database_part=7)}, set()),
    ({"protocol": replace(PROTOCOL, pixels="8bit")}, FROM_ATTACK),
]


@pytest.mark.parametrize(
    ("change", "touched"),
    CHANGES,
    ids=[f"{i}-{'-'.join(change)}" for i, (change, _) in enumerate(CHANGES)],
)
def test_a_change_reaches_what_is_made_from_it_and_nothing_else(
    change: dict[str, Any], touched: set[str]
) -> None:
    assert changed(ASKED.keys(), replace(ASKED, **change).keys()) == touched


def test_every_field_of_recipe_budget_protocol_and_compute_is_tried() -> None:
    tried = {"recipe": RECIPES, "budget": BUDGETS, "protocol": PROTOCOLS}
    # A protocol's version says which fields its hash covers; there is one as yet. Its pixels are
    # those of attacked images: they are tried above, as they reach attacks alone.
    untried = {"protocol": {"version", "pixels"}}
    for name, values in tried.items():
        fields = {field.name for field in dataclasses.fields(getattr(ASKED, name))}
        assert len(values) == len(fields - untried.get(name, set())), name
    assert {field.name for field in dataclasses.fields(Compute)} == {
        "threads",
        "attack_batch",
        "device",
        "precision",
        "search",
        "processes",
        "database_part",
    }


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"eps": "16/510"},
        {"eps": " 8 / 255 "},
        {"root": Path("/somewhere/else")},
        {"loss": in_full("loss", "csq")},
        {"backbone": in_full("backbone", "small-cnn")},
        {"defense": in_full("defense", "cgat")},
        {"attack": plugin(Attack, in_full("attack", "pgd-hamming"))},
        {"budget": Budget(2, 7, Eps.parse("16/510"))},
        {"limit": 5},
        {"recipe": Recipe(epochs=3, batch=32, learning_rate=1e-2)},
    ],
    ids=str,
)
def test_another_spelling_is_the_same_artifact(change: dict[str, Any]) -> None:
    assert replace(ASKED, **change).keys() == ASKED.keys()


def test_a_checkpoint_is_its_weights_not_its_place() -> None:
    one = replace(ASKED, checkpoint=Path("here"), weights="7" * 64)
    other = replace(ASKED, checkpoint=Path("/there"), weights="7" * 64)
    assert one.keys() == other.keys()
    # What it would have been trained with does not matter, since it is not trained.
    assert replace(one, recipe=Recipe(epochs=99)).keys() == one.keys()
    retrained = replace(ASKED, checkpoint=Path("here"), weights="8" * 64)
    assert changed(one.keys(), retrained.keys()) == FROM_BASE


def test_a_label_is_no_part_of_a_key() -> None:
    one, other = ASKED.chain(), replace(ASKED, eps="16/510").chain()
    assert one["adversarial"].label != other["adversarial"].label
    assert one["adversarial"].key == other["adversarial"].key


def test_all_keys_of_a_cell_differ() -> None:
    assert len(set(ASKED.keys().values())) == len(CHAIN)


PLUGIN = """
from dataclasses import dataclass
from hashbench.plugins import Attack, attack

@attack("probe", version="{version}")
@dataclass(frozen=True)
class Probe(Attack):
    steps: int = 3
    def perturb(self, model, images, goal, threat, rng):
        return images  # {comment}
"""


@pytest.mark.usefixtures("fresh_registry")
def test_version_and_source_of_a_plugin_count(tmp_path: Path) -> None:
    def keys(version: str = "1", comment: str = "as it was", name: str = "plugin.py") -> Any:
        path = tmp_path / name
        path.write_text(PLUGIN.format(version=version, comment=comment))
        plugins.use_file(path)
        found = replace(ASKED, attack=plugin(Attack, "probe")).keys()
        path.write_text("1 / 0")  # so that the name is free for the next one
        plugins.use_file(path)
        return found

    before = keys()
    assert keys() == before
    assert keys(name="moved.py") == before  # where it lies does not matter
    assert changed(before, keys(version="2")) == FROM_ATTACK
    assert changed(before, keys(comment="edited")) == FROM_ATTACK


def test_the_version_counts_though_the_source_is_the_same() -> None:
    def keys(version: str) -> dict[str, str]:
        class Probe(Attack):
            @override
            def perturb(self, model: Any, images: Any, goal: Any, threat: Any, rng: Any) -> Any:
                return images

        return replace(ASKED, attack=attack("probe", version=version)(Probe)()).keys()

    assert keys("1") == keys("1")
    assert changed(keys("1"), keys("2")) == FROM_ATTACK


@pytest.mark.usefixtures("fresh_registry")
def test_the_source_of_a_shared_base_class_counts(tmp_path: Path) -> None:
    base, derived = tmp_path / "shared_base.py", tmp_path / "derived.py"
    derived.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "sys.modules.pop('shared_base', None)\n"
        "from shared_base import Base\n"
        "sys.path.pop(0)\n"
        "from hashbench.plugins import attack\n"
        "@attack('derived')\n"
        "class Derived(Base):\n"
        "    pass\n"
    )

    def source(comment: str) -> str:
        base.write_text(
            "from hashbench.plugins import Attack\n"
            "class Base(Attack):\n"
            "    def perturb(self, model, images, goal, threat, rng):\n"
            f"        return images  # {comment}\n"
        )
        plugins.use_file(derived)
        return fingerprint.source_hash(type(plugin(Attack, "derived")))

    first = source("one")
    assert source("another") != first
    assert source("one") == first


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of hashbench's rooms to be edited: one small file each."""
    core = ("hashing", "attacking", "certifying", "defending", "retrieval", "runner")
    for room in (*core, "data", "results"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "code.py").write_text(f"ROOM = {room!r}\n")
    for name in (
        *(
            f"runner/{name}.py"
            for name in (
                *("attacks", "codes", "determinism", "execute", "loading", "probe"),
                *("score_files", "scoring", "training"),
            )
        ),
        "data/targets.py",
        "results/metrics.py",
        "seeds.py",
    ):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(fingerprint, "files", lambda name: tmp_path.joinpath(*name.split(".")[1:]))
    for cached in (fingerprint.rooms_hash, fingerprint.file_hash):
        cached.cache_clear()
    yield tmp_path
    for cached in (fingerprint.rooms_hash, fingerprint.file_hash):
        cached.cache_clear()


def forget_hashes() -> None:
    fingerprint.rooms_hash.cache_clear()
    fingerprint.file_hash.cache_clear()


@pytest.mark.parametrize(
    ("file", "touched"),
    [
        ("hashing/code.py", FROM_BASE),
        ("attacking/code.py", FROM_DEFENSE),  # the inner attacks of defenses are in there
        ("certifying/code.py", FROM_DEFENSE),  # and the bounds that one is trained on
        ("defending/code.py", FROM_DEFENSE),
        *((f"{room}/contract.py", set()) for room in ("hashing", "attacking", "defending")),
        ("retrieval/code.py", {"probe", "clean", "adversarial", "scores"}),
        ("runner/scoring.py", {"probe", "clean", "scores"}),
        ("runner/probe.py", {"probe", "clean"}),
        ("runner/execute.py", FROM_BASE),
        ("runner/training.py", FROM_BASE),
        ("runner/codes.py", FROM_DEFENSE - {"defended"}),
        ("runner/score_files.py", {"clean", "scores"}),
        ("runner/loading.py", FROM_BASE),
        ("runner/attacks.py", {"probe", "clean", "adversarial", "scores"}),
        ("data/targets.py", {"clean", "adversarial", "scores"}),
        ("runner/determinism.py", FROM_BASE),
        ("seeds.py", FROM_BASE),
        ("runner/code.py", set()),
        ("results/metrics.py", {"probe", "clean", "scores"}),  # the names of what is stored
        ("results/code.py", set()),
        ("data/code.py", set()),  # the protocol's content hash stands for it
    ],
)
def test_an_edit_of_the_core_reaches_what_its_code_makes(
    rooms: Path, file: str, touched: set[str]
) -> None:
    before = ASKED.keys()
    (rooms / file).write_text("edited = True\n")
    forget_hashes()
    assert changed(before, ASKED.keys()) == touched


def test_a_room_is_its_python_files_by_name_and_content(rooms: Path) -> None:
    def seen(edit: Callable[[], object]) -> str:
        edit()
        forget_hashes()
        return fingerprint.rooms_hash("hashing")

    folder = rooms / "hashing"
    first = seen(lambda: None)
    assert seen(lambda: (folder / "notes.md").write_text("x")) == first
    assert seen(lambda: (folder / "__pycache__").mkdir()) == first
    second = seen(lambda: (folder / "more.py").write_text("x = 1\n"))
    third = seen(lambda: (folder / "more.py").rename(folder / "other.py"))
    fourth = seen(lambda: (folder / "other.py").unlink())
    assert len({first, second, third}) == 3
    assert fourth == first
    assert fingerprint.rooms_hash("hashing", "data") != fingerprint.rooms_hash("data", "hashing")


def test_plain_data_has_one_hash_whatever_its_order() -> None:
    assert fingerprint.sha256_of({"a": 1, "b": [1, 2]}) == fingerprint.sha256_of(
        {"b": [1, 2], "a": 1}
    )
    assert fingerprint.sha256_of({"a": 1}) != fingerprint.sha256_of({"a": "1"})
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint.sha256_of(float("nan"))


def test_a_plan_has_the_same_keys_each_time_it_is_laid_out(
    tiny_suite: Callable[..., Suite],
) -> None:
    from hashbench.runner.plan import make_plan

    one, other = make_plan(tiny_suite()), make_plan(tiny_suite())
    assert [step.key for step in one.steps] == [step.key for step in other.steps]
    assert one.name == other.name
    renamed = make_plan(tiny_suite(name="another"))
    assert renamed.name == one.name
    assert make_plan(tiny_suite(seed=1)).name != one.name
    assert len({step.key for step in one.steps}) == len(one.steps)
    seen: set[str] = set()
    for step in one.steps:  # each after what it reads from
        assert {before.key for before in step.upstream} <= seen
        seen.add(step.key)
    assert Scores in {type(step) for step in one.steps}


def test_a_budget_means_nothing_to_a_defense_that_trains_nothing() -> None:
    wrapped = replace(ASKED, defense="none")
    longer = replace(wrapped, budget=Budget(9, 1, Eps.parse("1/255")))
    assert wrapped.keys() == longer.keys()
