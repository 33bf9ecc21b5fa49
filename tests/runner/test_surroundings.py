"""What machines are compared by, and how it is found out whether they see one folder."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from hashbench.errors import UsageError
from hashbench.runner.engines import surroundings as room
from hashbench.runner.engines.ray_engine import refuse_differences
from hashbench.runner.engines.surroundings import (
    answer_to,
    differences,
    kinds_of_processors,
    look_around,
    sources_hash,
    surroundings,
)

HERE: dict[str, Any] = {
    "versions": {
        "python": "3.11.7",
        "torch": "2.4.0",
        "numpy": "2.1.0",
        "machine": "x86_64",
        "processor": "AVX2",
        "gpu": "none",
    },
    "sources": "aa",
    "files": {"/x/mine.py": "11"},
}


def changed(table: str, **values: str) -> dict[str, Any]:
    there = deepcopy(HERE)
    there[table].update(values)
    return there


def lacking(table: str, name: str) -> dict[str, Any]:
    there = deepcopy(HERE)
    del there[table][name]
    return there


@pytest.mark.parametrize(
    ("there", "clauses"),
    [
        (HERE, []),
        (changed("versions", python="3.11.9", processor="AVX512", gpu="H100"), []),
        (changed("versions", python="3.12.7"), ["python 3.12.7 (here 3.11.7)"]),
        (changed("versions", numpy="2.2.0"), ["numpy 2.2.0 (here 2.1.0)"]),
        (changed("versions", timm="1.0"), ["timm 1.0 (here none)"]),
        (lacking("versions", "numpy"), ["numpy is missing (here 2.1.0)"]),
        ({**HERE, "sources": "bb"}, ["other sources of hashbench, of the same version"]),
        (lacking("files", "/x/mine.py"), ["no plugin file /x/mine.py"]),
        ({**HERE, "files": {"/x/mine.py": room.NOT_THERE}}, ["no plugin file /x/mine.py"]),
        ({**HERE, "files": {"/x/mine.py": "12"}}, ["another plugin file /x/mine.py"]),
    ],
)
def test_what_changes_keys_or_numbers_is_a_difference(
    there: dict[str, Any], clauses: list[str]
) -> None:
    assert differences(HERE, there) == clauses


def test_of_many_differences_a_few_are_named() -> None:
    there = changed("versions", **{f"package{n}": "1" for n in range(7)})
    found = differences(HERE, there)
    assert len(found) == 5
    assert found[-1] == "3 more"


def test_the_refusal_names_the_machine_and_both_versions() -> None:
    with pytest.raises(UsageError) as raised:
        refuse_differences(HERE, {"one": HERE, "two": changed("versions", torch="2.5.1")})
    assert str(raised.value) == (
        "machine two has torch 2.5.1 (here 2.4.0): keys and numbers would differ; install the "
        "same there, or leave it out of the cluster"
    )


def test_processors_of_a_kind_are_one() -> None:
    others = [changed("versions", processor="AVX512"), changed("versions", gpu="H100")]
    assert kinds_of_processors([HERE, *others]) == ["x86_64 AVX2", "x86_64 AVX512"]


def test_this_machine_is_as_itself(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("x = 1\n")
    here = surroundings([str(plugin)])
    assert {"hashbench", "torch", "numpy", "python"} <= here["versions"].keys()
    assert differences(here, json.loads(json.dumps(surroundings([str(plugin)])))) == []
    plugin.write_text("x = 2\n")
    assert differences(here, surroundings([str(plugin)])) == [f"another plugin file {plugin}"]
    plugin.unlink()
    assert differences(here, surroundings([str(plugin)])) == [f"no plugin file {plugin}"]


def test_a_change_in_any_file_of_hashbench_is_another_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "hashbench"
    (copy / "room").mkdir(parents=True)
    (copy / "room" / "noun.py").write_text("x = 1\n")
    spec = type("Spec", (), {"submodule_search_locations": [str(copy)]})
    monkeypatch.setattr(room, "find_spec", lambda _: spec)
    before = sources_hash()
    other = tmp_path / "elsewhere"
    shutil.copytree(copy, other)
    spec.submodule_search_locations = [str(other)]  # type: ignore[attr-defined]
    assert sources_hash() == before  # wherever it lies
    (other / "room" / "noun.py").write_text("x = 2\n")
    changed_content = sources_hash()
    (other / "room" / "noun.py").rename(other / "room" / "verb.py")
    assert len({before, changed_content, sources_hash()}) == 3


def test_a_shared_folder_is_answered_in(tmp_path: Path) -> None:
    probe = ".probe.ab.tmp"
    (tmp_path / probe).touch()
    look = json.loads(look_around(str(tmp_path), probe, []))
    assert look["folder"] == ""
    answer = answer_to(probe, look["mark"])
    assert (tmp_path / answer).is_file()
    assert answer.startswith(".")  # Store.sweep takes away what a killed run has left
    assert answer.endswith(".tmp")


def test_a_folder_that_is_not_the_same_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trouble(folder: Path) -> str:
        return str(json.loads(look_around(str(folder), ".probe.ab.tmp", []))["folder"])

    assert trouble(tmp_path / "none") == "is not there"
    assert trouble(tmp_path) == "is another folder there"
    (tmp_path / ".probe.ab.tmp").touch()

    def refuse(_path: Path, _content: bytes) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert trouble(tmp_path) == "cannot be written to there (Read-only file system)"
