"""Wrong suites: one sentence that says what is wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hashbench import UsageError
from hashbench.runner.suite import compose, from_plain, load, override, quick

Problem = Callable[[str], str]


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    """Loads a suite file that must be refused: (text) -> the message, without the path."""

    def load_text(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        with pytest.raises(UsageError) as raised:
            load(path)
        message = str(raised.value)
        assert "\n" not in message.replace(text, "")
        return message.replace(str(path), "PATH")

    return load_text


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file(problem: Problem, text: str) -> None:
    assert problem(text) == "suite PATH: it is empty; name at least a defense or an attack"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('name = "x"\nattack = [\n', "end of document"),
        ("attack = hag\n", "line 1"),
        ('defense = "cgat"\n\nseed = = 0\n', "line 3"),
        ("seed = 0\nseed = 1\n", "line 2"),
        ("just words\n", "line 1"),
    ],
)
def test_malformed_toml_tells_the_line(problem: Problem, text: str, line: str) -> None:
    message = problem(text)
    assert message.startswith("suite PATH: not valid TOML (")
    assert line in message


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match=r"suite .*mine\.toml: it is in UTF-16; save it as UTF-8"):
        load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'attacks = "hag"',
            "suite PATH: there is no key 'attacks'; did you mean 'attack'? known: ",
        ),
        (
            "[trainng]\nepochs = 3",
            "suite PATH: there is no key 'trainng'; did you mean 'training'?",
        ),
        (
            "[training]\nepoch = 3",
            "suite PATH: [training] has no key 'epoch'; did you mean 'epochs'?",
        ),
        (
            "[budget]\ninner_step = 3",
            "suite PATH: [budget] has no key 'inner_step'; did you mean 'inner_steps'?",
        ),
        (
            "[compute]\nthread = 3",
            "suite PATH: [compute] has no key 'thread'; did you mean 'threads'?",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest(problem: Problem, text: str, message: str) -> None:
    assert problem(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('bits = "many"', "suite PATH: bits: expected a whole number, found 'many'"),
        ("bits = 12.5", "suite PATH: bits: expected a whole number, found '12.5'"),
        ("bits = true", "suite PATH: bits: expected a whole number, found True"),
        ("bits = [[8]]", "suite PATH: bits: expected a whole number, found '[8]'"),
        ('seed = "one"', "suite PATH: seed: expected a whole number, found 'one'"),
        ("seed = 0.5", "suite PATH: seed: expected a whole number, found '0.5'"),
        ("name = 3", "suite PATH: name: expected a text, found 3"),
        ("attack = 3", "suite PATH: attack holds 3, expected a name or a table"),
        ("defense = [true]", "suite PATH: defense holds True, expected a name or a table"),
        ('loss = [["csq"]]', "suite PATH: loss holds ['csq'], expected a name or a table"),
        ("training = 3", "suite PATH: training must be a table, [training]"),
        ('budget = "large"', "suite PATH: budget must be a table, [budget]"),
        ("compute = []", "suite PATH: compute must be a table, [compute]"),
        (
            '[training]\nepochs = "x"',
            "suite PATH: training.epochs: expected a whole number, found 'x'",
        ),
        ("[budget]\neps = 2", "suite PATH: budget.eps: eps is 2, but must lie from 0 to 1"),
        ("[compute]\nthreads = 1.5", "suite PATH: compute.threads: expected a whole number"),
        ("[compute]\ndevice = 0", "suite PATH: compute.device: expected a text, found 0"),
        ("root = 3", "suite PATH: root: expected a path, found 3"),
        ("checkpoint = []", "suite PATH: checkpoint: expected a path, found []"),
    ],
)
def test_a_wrong_type_names_key_and_expectation(problem: Problem, text: str, message: str) -> None:
    assert problem(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bits = 0", "bits is 0, but a code has at least 1 bit"),
        ("bits = [8, -1]", "bits is -1, but a code has at least 1 bit"),
        ("bits = []", "suite PATH: bits is an empty list"),
        ("defense = []", "suite PATH: defense is an empty list"),
        ("dataset = []", "suite PATH: dataset is an empty list"),
        ("loss = []", "suite PATH: loss is an empty list"),
        ("backbone = []", "suite PATH: backbone is an empty list"),
        ("seed = []", "suite PATH: seed is an empty list"),
        ("eps = 8", "suite PATH: eps is 8, but must lie from 0 to 1"),
        ('eps = ["8/255", "-1/255"]', "suite PATH: eps is -1/255, but must lie from 0 to 1"),
        ('eps = "8/0"', "suite PATH: eps is '8/0', but must be a fraction such as 8/255"),
        ("eps = nan", "suite PATH: eps is 'nan', but must be a fraction such as 8/255"),
        ("[training]\nepochs = -1", "training.epochs is -1, but must be 0 or more"),
        ("[training]\nbatch = 0", "training.batch is 0, but must be 1 or more"),
        ("[training]\nlearning_rate = 0", "training.learning_rate is 0.0, but must be above 0"),
        ("[budget]\nepochs = -1", "budget.epochs is -1, but must be 0 or more"),
        ("[budget]\ninner_steps = -2", "budget.inner_steps is -2, but must be 0 or more"),
        ("[compute]\nthreads = 0", "compute.threads is 0, but must be 1 or more"),
        ("[compute]\nattack_batch = 0", "compute.attack_batch is 0, but must be 1 or more"),
    ],
)
def test_an_impossible_value_is_refused(problem: Problem, text: str, message: str) -> None:
    assert message in problem(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('attack = "hag:"', "'hag:': write NAME, NAME@PRESET or NAME:key=value,key=value"),
        ('attack = "hag:steps"', "'hag:steps': 'steps' is not of the form key=value"),
        ("attack = {steps = 3}", "a plugin table needs a name"),
        (
            'attack = {name = "hag", steps = [1, 2]}',
            "'hag': 'steps' holds [1, 2], expected one value",
        ),
        ('attack = {name = "hag", steps = {a = 1}}', "'hag': 'steps' holds {'a': 1}, expected one"),
    ],
)
def test_a_malformed_plugin_is_refused(problem: Problem, text: str, message: str) -> None:
    assert message in problem(text)


def test_a_missing_file_names_the_suites_that_ship(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        load(tmp_path / "none.toml")
    assert str(raised.value).startswith(
        f"suite {tmp_path}/none.toml: no such file, and no suite of that name"
    )
    with pytest.raises(UsageError, match=r"suite quik: no such file.*did you mean 'quick'"):
        load("quik")


def test_a_folder_is_not_a_suite(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        load(tmp_path)
    assert str(raised.value) == f"suite {tmp_path}: a folder, expected a .toml file"


def test_errors_of_options_say_so() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"bit": 8}, "the options: there is no key 'bit'; did you mean 'bits'?"),
        ({"bits": ["x"]}, "the options: bits: expected a whole number, found 'x'"),
        ({"eps": "8"}, "the options: eps is 8, but must lie from 0 to 1"),
        ({"compute": {"threads": "two"}}, "the options: compute.threads: expected a whole number"),
    ]
    for changes, message in wrong:
        with pytest.raises(UsageError) as raised:
            override(quick(), changes)
        assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("bits = 0", {"seed": 1}, "suite PATH: bits is 0"),
        ("bits = 8", {"seed": "x"}, "the options: seed: expected a whole number"),
        ("bits = 8", {"bits": "0"}, "the options: bits is 0"),
        ("compute = []", {"compute": {}}, "suite PATH: compute must be a table, [compute]"),
        (
            "[compute]\nthreads = 2",
            {"compute": {"threads": 0}},
            "the options: compute.threads is 0",
        ),
    ],
)
def test_the_layer_that_is_wrong_is_named(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        compose(path, options)
    assert str(raised.value).replace(str(path), "PATH").startswith(message)


@pytest.mark.parametrize("name", ["dataset", "loss", "backbone", "bits", "defense", "seed"])
@pytest.mark.parametrize("where", ["file and option", "option and file", "file", "options"])
def test_a_grid_beside_a_model_is_refused(tmp_path: Path, name: str, where: str) -> None:
    grid = f"{name} = 8\n" if name in ("bits", "seed") else f'{name} = "x"\n'
    path = tmp_path / "mine.toml"
    text = {"file and option": grid, "option and file": 'model = "m"\n'}.get(where, "")
    path.write_text(f'name = "x"\n{text}' + (f'{grid}model = "m"\n' if where == "file" else ""))
    options: dict[str, Any] = {
        "file and option": {"model": ["m"]},
        "option and file": {name: ["8"]},
        "file": {},
        "options": {"model": ["m"], name: ["8"]},
    }[where]
    message = f"{name} beside a model: the model's card names its {name} already; leave it out"
    with pytest.raises(UsageError) as raised:
        compose(path, options)
    assert str(raised.value) == message


def test_the_place_opens_the_sentence_of_plain_data() -> None:
    with pytest.raises(UsageError, match="the stored suite: there is no key 'x'"):
        from_plain({"x": 1}, "the stored suite")
