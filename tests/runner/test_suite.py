"""Suites: what ships is as promised; options replace, tables merge; plain data is the suite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashbench import Eps, UsageError, plugins
from hashbench.hashing import checkpoint
from hashbench.plugins import Spec
from hashbench.retrieval.packing import MAX_BITS
from hashbench.runner.suite import (
    GivenModels,
    Grid,
    Suite,
    compose,
    from_plain,
    load,
    override,
    quick,
    shipped,
)
from hashbench.runner.suite_tables import BudgetPlan, Compute, Training

CERTIFIED = "certified@quick"


def names(specs: tuple[Spec, ...]) -> tuple[str, ...]:
    return tuple(str(spec) for spec in specs)


def test_the_quick_suite_is_what_the_readme_says() -> None:
    suite = quick()
    assert suite.name == "quick"
    assert names(suite.dataset) == ("fashion",)
    assert names(suite.loss) == ("csq",)
    assert names(suite.backbone) == ("small-cnn",)
    assert suite.bits == (32,)
    assert names(suite.defense) == ("none", "atrdh", "cgat", CERTIFIED)
    assert names(suite.attack) == ("noise", "hag", "sdha", "pgd-hamming", "smooth-ap", "auto")
    assert [str(eps) for eps in suite.eps] == ["24/255"]
    assert suite.seed == (0,)
    assert suite.budget.eps is None  # every defense is trained for the threat that it will meet
    assert (suite.compute.threads, suite.compute.device) == (1, "cpu")
    assert (suite.root, suite.checkpoint, suite.plugin) == (None, None, ())


def test_its_attacks_take_a_hundred_steps_and_their_presets_the_published_number() -> None:
    for name in ("hag", "sdha", "pgd-hamming"):
        assert getattr(plugins.get("attack", name), "steps") == 100  # noqa: B009 - a field by name
    for name, steps in (("hag", 2000), ("sdha", 1500)):
        published = plugins.get("attack", f"{name}@published")
        assert getattr(published, "steps") == steps  # noqa: B009 - a field by name


def test_every_suite_that_ships_loads_by_name_and_by_nothing() -> None:
    assert "quick" in shipped()
    for name in shipped():
        assert load(name).name == name
    assert load(None) == load("quick") == quick()


def test_every_plugin_of_a_shipped_suite_exists() -> None:
    for suite in map(load, shipped()):
        for kind in ("dataset", "loss", "backbone", "defense", "attack"):
            for spec in getattr(suite, kind):
                assert plugins.get(kind, str(spec)).card.name == spec.name


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a suite file: (text) -> path."""

    def write_text(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write_text


def test_what_a_file_leaves_out_comes_from_the_quick_suite(write: Callable[[str], Path]) -> None:
    suite = load(write('defense = "cgat"\n[training]\nepochs = 3\n'))
    assert suite.name == "mine"
    assert names(suite.defense) == ("cgat",)
    assert suite.training.epochs == 3
    assert suite.training.learning_rate == quick().training.learning_rate
    assert suite.attack == quick().attack
    assert suite.eps == quick().eps
    assert suite.compute == quick().compute


@pytest.mark.parametrize("name", ["quick", "mine"])
def test_a_file_may_bear_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text('defense = "cgat"\n')
    assert names(load(path).defense) == ("cgat",)
    path.write_text(f'name = "{name}"\ndefense = "none"\n')
    assert load(path).name == name
    assert load(path).budget == quick().budget


def test_single_values_lists_and_tables(write: Callable[[str], Path]) -> None:
    suite = load(
        write(
            'attack = ["hag", {name = "pgd-hamming", steps = 20, step_size = "2/255"}, '
            '"hag@published"]\n'
            'defense = {name = "cgat", weight = 2.5}\n'
            "bits = [16, 32]\n"
            'eps = ["4/255", "8/255", 0.1]\n'
            "seed = [0, 1]\n"
        )
    )
    assert names(suite.attack) == ("hag", "pgd-hamming:steps=20,step_size=2/255", "hag@published")
    assert names(suite.defense) == ("cgat:weight=2.5",)
    assert (suite.bits, suite.seed) == ((16, 32), (0, 1))
    assert suite.eps == (Eps.parse("4/255"), Eps.parse("8/255"), Eps.parse("0.1"))


def test_what_is_named_twice_is_run_once(write: Callable[[str], Path]) -> None:
    suite = load(write('attack = ["hag", "noise", "hag"]\neps = ["8/255", "16/510", "8 / 255"]\n'))
    assert names(suite.attack) == ("hag", "noise")
    assert [str(eps) for eps in suite.eps] == ["8/255"]


def test_options_replace_lists_and_merge_tables() -> None:
    before = quick()
    after = override(
        before,
        {
            "defense": ["cgat"],
            "seed": ["1", "2"],
            "bits": "16",
            "training": {"epochs": 1},
            "compute": {"threads": 2},
            "budget": {"eps": "4/255"},
        },
    )
    assert names(after.defense) == ("cgat",)
    assert (after.seed, after.bits) == ((1, 2), (16,))
    assert after.training == Training(
        epochs=1,
        batch=before.training.batch,
        learning_rate=before.training.learning_rate,
    )
    assert after.compute == Compute(threads=2)
    assert after.budget == BudgetPlan(
        before.budget.epochs, before.budget.inner_steps, Eps.parse("4/255")
    )
    assert after.attack == before.attack
    assert override(before, {}) == before


def test_a_new_data_set_brings_its_own_radius() -> None:
    assert override(quick(), {"dataset": "outfits"}).eps == ()
    named = override(quick(), {"dataset": "outfits", "eps": "1/255"})
    assert named.eps == (Eps.parse("1/255"),)
    assert override(quick(), {"loss": "dpsh"}).eps == quick().eps


def test_paths_are_kept_as_they_are_named() -> None:
    suite = override(
        quick(), {"root": "~/data", "checkpoint": Path("model"), "plugin": [Path("a.py"), "b.py"]}
    )
    assert (suite.root, suite.checkpoint) == (Path("~/data"), Path("model"))
    assert suite.plugin == (Path("a.py"), Path("b.py"))


def test_options_lie_over_the_file_and_the_file_over_the_quick_suite(
    write: Callable[[str], Path],
) -> None:
    path = write(
        'defense = "cgat"\neps = "1/255"\nplugin = "a.py"\n'
        "[compute]\nthreads = 3\nattack_batch = 7\n"
    )
    suite = compose(
        path, {"dataset": ["outfits"], "plugin": [Path("b.py")], "compute": {"threads": "2"}}
    )
    assert (names(suite.dataset), names(suite.defense)) == (("outfits",), ("cgat",))
    assert suite.eps == (Eps.parse("1/255"),)  # the file's own hold for another data set too
    assert suite.plugin == (path.parent / "a.py", Path("b.py"))
    assert suite.compute == Compute(threads=2, attack_batch=7)
    assert suite.training == quick().training


def test_every_text_is_parsed_once(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = Spec.parse

    def noted(text: str) -> Spec:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(Spec, "parse", noted)
    suite = compose(
        write('defense = "cgat"\n'), {"attack": ["hag:steps=2", "noise"], "loss": "dph"}
    )
    assert parsed == ["fashion", "dph", "small-cnn", "cgat", "hag:steps=2", "noise"]
    assert names(suite.attack) == ("hag:steps=2", "noise")


def test_given_models_take_the_place_of_the_grid(write: Callable[[str], Path]) -> None:
    path = write('model = ["one", "two"]\nattack = "hag"\n[training]\nepochs = 3\n')
    suite = load(path)
    assert suite.models == GivenModels((path.parent / "one", path.parent / "two"))
    assert suite.model == suite.models.model
    assert (suite.dataset, suite.loss, suite.backbone, suite.bits) == ((), (), (), ())
    assert (suite.defense, suite.seed, suite.checkpoint) == ((), (), None)
    assert suite.eps == ()  # each data set's own
    assert suite.training.epochs == 3  # of an attacker's own model
    assert not {"dataset", "bits", "seed", "checkpoint"} & suite.to_plain().keys()


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ({"compute": {"threads": 3, "attack_batch": 9, "later": 1}}, Compute(2, 9)),
        ({"compute": "fast"}, Compute(2)),  # told where the model is loaded
        ({}, Compute(2)),
    ],
)
def test_a_given_model_is_computed_as_its_card_says_unless_asked_otherwise(
    write: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    recorded: dict[str, Any],
    expected: Compute,
) -> None:
    card = SimpleNamespace(training=recorded)
    monkeypatch.setattr(checkpoint, "read_card", lambda *_: card)
    path = write('attack = "hag"\n[compute]\nthreads = 2\n')
    assert compose(path, {"model": ["one"]}).compute == expected
    by_options = {"model": ["one"], "compute": {"threads": "2"}}
    assert compose(None, by_options).compute == expected


def test_plain_data_of_older_plans_hold_the_quick_grid_beside_a_model() -> None:
    older = {**quick().to_plain(), "model": ["one"], "eps": ["8/255"]}
    suite = from_plain(older, "here")
    assert suite.models == GivenModels((Path("one"),))
    assert suite.attack == quick().attack
    assert suite.eps == (Eps.parse("8/255"),)
    assert from_plain(suite.to_plain(), "here") == suite


# A suite goes to the workers and into the store as plain data.

WORDS = st.from_regex(r"[a-z]{1,6}(-[a-z0-9]{1,4})?", fullmatch=True)
VALUES = st.integers(-1000, 1000).map(str) | st.sampled_from(
    ["1/255", "true", "none", "a b", "x=y"]
)
SPECS = st.builds(
    Spec,
    WORDS,
    st.none() | WORDS,
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), VALUES, max_size=3).map(
        lambda given: tuple(given.items())
    ),
)
RADII = st.fractions(0, 1).map(lambda share: Eps.parse(str(share)))
PATHS = st.lists(WORDS, min_size=1, max_size=3).map(lambda parts: Path(*parts))
POSITIVE = st.floats(min_value=1e-9, max_value=1e3)


def several(values: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=least, max_size=3, unique=True).map(tuple)


GRIDS = st.builds(
    Grid,
    dataset=several(SPECS),
    loss=several(SPECS),
    backbone=several(SPECS),
    bits=several(st.integers(1, MAX_BITS)),
    defense=several(SPECS),
    seed=several(st.integers(-(2**40), 2**40)),
    checkpoint=st.none() | PATHS,
)
SUITES = st.builds(
    Suite,
    name=st.text(max_size=12) | st.just("quick"),
    models=GRIDS | st.builds(GivenModels, several(PATHS)),
    attack=several(SPECS, least=0),
    eps=several(RADII, least=0),
    training=st.builds(
        Training,
        epochs=st.integers(0, 1000),
        batch=st.integers(1, 1000),
        optimizer=st.sampled_from(["sgd", "adam"]),
        learning_rate=POSITIVE,
        momentum=st.floats(0, 1, exclude_max=True),
        weight_decay=st.floats(0, 1),
    ),
    budget=st.builds(
        BudgetPlan,
        epochs=st.integers(0, 1000),
        inner_steps=st.integers(0, 1000),
        eps=st.none() | RADII,
    ),
    compute=st.builds(
        Compute,
        threads=st.integers(1, 64),
        attack_batch=st.integers(1, 10**6),
        device=st.sampled_from(["cpu", "cuda"]),
    ),
    root=st.none() | PATHS,
    plugin=several(PATHS, least=0),
)


@settings(deadline=None, max_examples=50)
@given(SUITES)
def test_plain_data_is_the_whole_suite(suite: Suite) -> None:
    plain = json.loads(json.dumps(suite.to_plain()))
    again = from_plain(plain, "here")
    assert again == suite
    assert again.to_plain() == suite.to_plain()
    assert [str(eps) for eps in again.eps] == [str(eps) for eps in suite.eps]


@settings(deadline=None, max_examples=20)
@given(SUITES, SUITES)
def test_a_full_override_is_the_other_suite(one: Suite, other: Suite) -> None:
    complete: dict[str, Any] = {"root": Path("r"), "budget": {"eps": "1/255"}}
    if isinstance(other.models, Grid):
        complete["checkpoint"] = Path("c")  # what is absent cannot replace
    other = override(other, complete)
    assert override(one, other.to_plain()) == other


@given(
    st.dictionaries(
        st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3
    )
)
def test_any_plain_data_is_a_suite_or_a_usage_error(given_data: dict[str, Any]) -> None:
    try:
        from_plain(given_data, "here")
    except UsageError as error:
        assert "Traceback" not in str(error)  # noqa: PT017 - either outcome is right
