"""Paths in suites and in plugins' parameters: `~`, where relative ones start, what none can be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from typing_extensions import override

from hashbench import UsageError
from hashbench.data import RetrievalData
from hashbench.plugins import Dataset, FileOr, Spec, dataset
from hashbench.plugins.parameters import build, canonical, located, resolved
from hashbench.plugins.paths import path_words
from hashbench.runner import suite as suites
from hashbench.runner.suite import compose, load


@dataset("with-paths")
@dataclass(frozen=True)
class WithPaths(Dataset):
    """Takes a path, a path or nothing, a path or a word, and a text that is none."""

    plain: Path = Path("here")
    optional: Path | None = None
    either: Annotated[str, FileOr("word")] = "word"
    text: str = "text"

    @override
    def load(self, root: Path | None) -> RetrievalData:
        raise AssertionError(f"loaded from {root}")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Path, ()),
        (Path | None, ("none",)),
        (Annotated[str, FileOr("a", "b")], ("a", "b")),
        (Annotated[str, FileOr()] | None, ()),
        (str, None),
        (int | None, None),
    ],
)
def test_a_types_paths_are_known_by_it(kind: Any, words: tuple[str, ...] | None) -> None:
    assert path_words(kind) == words


def test_the_home_folder_is_written_out_in_paths_alone(home: Path) -> None:
    said = {"plain": "~/a", "optional": "~/b", "either": "~/c", "text": "~/d"}
    found = build(WithPaths, said)
    assert (found.plain, found.optional) == (home / "a", home / "b")
    assert (found.either, found.text) == (str(home / "c"), "~/d")
    assert build(WithPaths, {"optional": "none", "either": "word"}) == WithPaths()
    again = Spec.parse(canonical(found))
    assert build(WithPaths, dict(again.given)) == found
    assert resolved(found)["plain"] == str(home / "a")


def test_relative_paths_start_from_the_folder_and_others_stay(tmp_path: Path) -> None:
    spec = Spec.parse("with-paths:plain=a/b,optional=none,either=word,text=c")
    from_there = located(WithPaths, Spec(spec.name, None, spec.given, tmp_path))
    said = (("plain", f"{tmp_path}/a/b"), ("optional", "none"), ("either", "word"), ("text", "c"))
    assert from_there == Spec("with-paths", None, said)
    assert from_there.folder is None
    # As they were written, since the text is part of keys.
    for path in ("./x//y.pth", "x.pth", "/abs//x.pth"):
        spec = Spec("with-paths", None, (("either", path),), Path())
        assert located(WithPaths, spec).given == (("either", path),)
    spec = Spec("with-paths", None, (("either", "/abs//x.pth"),), tmp_path)
    assert located(WithPaths, spec).given == (("either", "/abs//x.pth"),)


@pytest.mark.parametrize("form", ['"resnet18:weights={}"', '{{name = "resnet18", weights = "{}"}}'])
def test_weights_of_a_suite_file_start_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, fresh_registry: object
) -> None:
    from hashbench.runner.resolve import at_working_folder

    assert fresh_registry is not None
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "sub" / "mine.toml"

    def weights(suite: Any) -> Any:
        [spec] = at_working_folder(suite).backbone
        return dict(spec.given)["weights"]

    file.write_text(f"backbone = {form.format('w.pth')}\nattack = 'none'")
    assert weights(load("sub/mine.toml")) == "sub/w.pth"
    assert weights(load(file)) == str(tmp_path / "sub" / "w.pth")
    assert weights(suites.override(load(file), {"seed": 3})) == str(tmp_path / "sub" / "w.pth")
    assert weights(compose(file, {"backbone": "resnet18:weights=w.pth"})) == "w.pth"
    monkeypatch.chdir(tmp_path / "sub")
    assert weights(load("mine.toml")) == "w.pth"
    file.write_text(f"backbone = {form.format('imagenet')}")
    assert weights(load(file)) == "imagenet"


def test_the_home_folder_in_options(home: Path) -> None:
    suite = compose(None, {"root": Path("~/data"), "plugin": ["~/a.py"], "checkpoint": "~/c"})
    assert (suite.root, suite.checkpoint) == (home / "data", home / "c")
    assert suite.plugin == (home / "a.py",)


@pytest.mark.parametrize("key", ["root", "checkpoint", "plugin", "model"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("~nosuchuser/x", "there is no home folder of that name"),
        ("a\\u0000b", "a path holds a character that no file can have"),
        ("x" * 300, "no file can have so long a name"),
        ("x/" * 3_000, "no file can have so long a name"),
    ],
)
def test_a_path_that_no_file_can_have(tmp_path: Path, key: str, path: str, reason: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'{key} = "{path}"\n')
    with pytest.raises(UsageError) as raised:
        load(file)
    assert str(raised.value).startswith(f"suite {file}: {key}: ")
    assert reason in str(raised.value)


@pytest.mark.parametrize("text", ["/a,b.pth", "/a,b=1.pth", "a.d/x,y=2,z.pth", "~/a,b"])
def test_a_comma_in_a_path_is_told_as_such(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        build(WithPaths, dict(Spec.parse(f"with-paths:either={text}").given))
    assert "a comma begins the next parameter" in str(raised.value)


@pytest.mark.parametrize("name", ["plain", "optional", "either"])
def test_a_comma_in_a_tables_path_is_told_as_such(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}'.*holds a comma"):
        build(WithPaths, {name: "a,b.pth"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xef\xbb\xbfattack = 'none'", None),
        ("attack = 'none'".encode("utf-16"), "it is in UTF-16; save it as UTF-8"),
        (b"# \xff\nattack = 'none'", "it is not in UTF-8 (line 1)"),
        (b"#" * 1_000_001, "it has 1,000,001 bytes, expected at most 1,000,000"),
        (b"seed = " + b"[" * 3_000 + b"]" * 3_000, "nested too deep"),
        (b"seed = " + b"1" * 5_000, "a number of too many digits"),
        (b"seed." * 33 + b"x = 1", "a dotted key of more than 32 parts"),
    ],
)
def test_a_file_is_read_as_every_other_text(
    tmp_path: Path, content: bytes, reason: str | None
) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    if reason is None:
        assert [str(spec) for spec in load(file).attack] == ["none"]
        return
    with pytest.raises(UsageError) as raised:
        load(file)
    assert reason in str(raised.value)
    assert str(raised.value).startswith(f"suite {file}: ")


def test_a_named_dotted_value_is_no_dotted_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    eps = ", ".join("0.1" for _ in range(100))
    file.write_text(f"eps = [{eps}]\nname = 'a.b.c.d.e.f.g.h'\n# {'. ' * 100}\n")
    assert len(load(file).eps) == 1
