"""Each probe of the doctor, with what it looks at broken: a sentence that says what to do."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hashbench.doctor import examination, folders, machine, packages
from hashbench.doctor.examination import Asked, examined
from hashbench.doctor.finding import Finding, State, looked_at, said
from hashbench.doctor.model import NOT_MEASURED, TODO, model
from hashbench.doctor.plugins import plugins
from hashbench.errors import WriteError
from hashbench.plugins.kinds import Kind
from hashbench.plugins.lookup import registry
from hashbench.plugins.registered import Broken, Entry, Origin
from hashbench.zoo import shipped_model
from hashbench.zoo.stated import MEASURED, TOLERANCE, compared


def only(found: list[Finding]) -> Finding:
    [finding] = found
    return finding


def failing(number: int) -> Any:
    def fail(*_given: object, **_named: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("error", [RuntimeError("two\nlines"), SystemExit(3), OSError(5, "I/O")])
def test_a_probe_that_raises_is_a_finding(error: BaseException) -> None:
    def probe() -> NoReturn:
        raise error

    found = only(list(looked_at("thing", probe)))
    assert (found.subject, found.state) == ("thing", State.WRONG)
    assert "\n" not in found.text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ImportError('libx.so.9: not found')", "ImportError: libx.so.9: not found"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(7)", "to import it ends Python with exit code 7"),
        ("import os; os.kill(os.getpid(), 4)", "by SIGILL: it was built for another processor"),
        ("import os; os.kill(os.getpid(), 11)", "by SIGSEGV"),
        ("print('noise')", ""),
        ("import os; os.write(1, b'noise of a library in C')", ""),
    ],
)
def test_what_an_import_does_is_told_and_the_next_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    (tmp_path / "first_lib.py").write_text(code)
    (tmp_path / "second_lib.py").write_text("raise ValueError('mine')")
    monkeypatch.syspath_prepend(tmp_path)
    names = {"first": "first_lib", "second": "second_lib", "third": "colorsys"}
    monkeypatch.setattr(packages, "REQUIRED", names)
    found = packages.failed_imports()
    assert said in found.get("first_lib", "")
    assert ("first_lib" in found) == bool(said)
    assert found["second_lib"] == "ValueError: mine"
    assert "colorsys" not in found


def test_an_old_package_and_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    least = packages._wanted()
    assert least["torch"] == "2.4"
    assert least["typing_extensions"] == "4.12"
    true = importlib.metadata.version

    def version(name: str) -> str:
        if name == "scipy":
            raise importlib.metadata.PackageNotFoundError(name)
        return {"torch": "2.3.1+cpu", "pandas": "2.10.0"}.get(name) or true(name)

    monkeypatch.setattr(packages, "version", version)
    faults = {"scipy": "ModuleNotFoundError: No module named 'scipy'"}
    found = {one.subject: one for one in packages.packages(faults)}
    assert found["torch"].state is State.WRONG
    assert found["torch"].text.startswith("2.3.1+cpu, but hashbench needs 2.4 or newer; pip")
    assert found["pandas"].state is State.OK  # 2.10 is newer than 2.2
    assert found["scipy"].state is State.WRONG
    assert found["scipy"].text.endswith("pip install --force-reinstall 'scipy>=1.13'")
    assert {one.state for name, one in found.items() if name not in ("torch", "scipy")} == {
        State.OK
    }


def test_versions_are_compared_by_their_numbers() -> None:
    assert packages._release("2.13.0+cpu") == (2, 13, 0, 0)
    assert packages._release("2.10") > packages._release("2.9.1")
    assert packages._release("2.4") == packages._release("2.4.0")
    assert packages._release("") == (0, 0, 0, 0)


@pytest.mark.usefixtures("fresh_registry")
def test_plugins_of_others_and_broken_ones_are_told() -> None:
    found = registry()
    entry = next(iter(found.entries.values()))[0]
    mine = Origin("my-package", "1.2", "my_package.mine")
    found.entries[Kind.ATTACK, "mine"] = [Entry(entry.plugin, mine)]
    found.entries[Kind.ATTACK, "twice"] = [Entry(entry.plugin, mine), Entry(entry.plugin, mine)]
    found.broken.append(Broken(Kind.LOSS, "gone", mine, "ImportError: no\nsuch thing", "..."))
    told = [(one.state, one.text) for one in plugins()]
    wrong = [text for state, text in told if state is State.WRONG]
    assert any(text.startswith("my-package 1.2: attack 'mine'") for _, text in told)
    assert any("two are called attack 'twice'" in text for text in wrong)
    assert any(
        "loss 'gone' of my-package 1.2 (my_package.mine) is broken: ImportError: no such thing; "
        "update or uninstall my-package" in text
        for text in wrong
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no room is left (No space left on device)"),
        (errno.EDQUOT, "no room is left"),
        (errno.EROFS, "cannot be written (Read-only file system)"),
        (errno.EACCES, "cannot be written (Permission denied)"),
    ],
)
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    monkeypatch.setattr(folders, "write_synced", failing(number))
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path / "cache"))
    for found, todo in (
        (only(list(folders.cache())), "HASHBENCH_CACHE"),
        (only(list(folders.results(tmp_path))), "--out"),
        (only(list(folders.temporary())), "TMPDIR"),
    ):
        assert found.state is State.WRONG
        assert said in found.text
        assert todo in found.text


def test_no_home_no_cache_and_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HASHBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "")
    found = only(list(folders.cache()))
    assert found.state is State.WRONG
    assert "HASHBENCH_CACHE" in found.text
    monkeypatch.setattr(tempfile, "gettempdir", failing(errno.ENOENT))
    found = only(list(folders.temporary()))
    assert found.state is State.WRONG
    assert "TMPDIR" in found.text


def test_a_cache_is_measured_and_nothing_is_left_or_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache/deep").mkdir(parents=True)
    (tmp_path / "cache/a").write_bytes(bytes(2_000_000))
    (tmp_path / "cache/deep/b").write_bytes(bytes(500_000))
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path / "cache"))
    before = sorted(tmp_path.rglob("*"))
    found = [*folders.cache(), *folders.results(tmp_path / "no/such/results")]
    assert {one.state for one in found} == {State.OK}
    assert "2.5 MB" in found[0].text
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_where_a_folder_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, broken = tmp_path / "file", tmp_path / "broken"
    file.write_text("")
    broken.symlink_to(tmp_path / "gone")
    it_is = f"{file}: it is a file, expected a folder"
    for folder, fault in (
        (file, it_is),
        (file / "results", it_is),
        (broken, f"{broken}: no such folder"),
    ):
        found = only(list(folders.results(folder)))
        assert found.state is State.WRONG
        assert found.text == f"{fault}; name another folder with --out"
    monkeypatch.setenv("HASHBENCH_CACHE", str(file))
    assert only(list(folders.cache())).text.startswith(f"{it_is}; name another folder with the")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(file))
    assert only(list(folders.temporary())).text == f"{it_is}; name another folder with TMPDIR"


def test_results_that_can_be_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "write_synced", failing(errno.EACCES))
    read = "what is finished there can be read"
    assert read in only(list(folders.results(tmp_path))).text
    assert read not in only(list(folders.results(tmp_path / "not-there"))).text


def test_locks_disk_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    monkeypatch.setattr(folders, "LITTLE_ROOM", 2**70)
    found = {one.subject: one for one in folders.results(tmp_path)}
    assert found["results"].state is State.OK
    assert found["locks"].state is State.NOTE
    assert found["disk"].state is State.WRONG
    assert "make room" in found["disk"].text
    for free, state in ((None, State.NOTE), (10**8, State.WRONG), (10**10, State.OK)):
        monkeypatch.setattr(machine, "free_memory", lambda free=free: free)
        assert only(list(machine.memory())).state is state


def test_a_gpu_that_is_asked_for_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert only(list(machine.gpus(wanted=False))).state is State.OK
    found = only(list(machine.gpus(wanted=True)))
    assert found.state is State.WRONG
    assert "nvidia-smi" in found.text


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_told_whatever_their_number(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    found = only(list(machine.processors()))
    assert f"; threads: torch would take {threads}, a run takes 1 unless" in found.text


def test_what_the_system_says_is_told_without_its_number() -> None:
    for error, words in (
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError(5, "Input/output error", "a.csv"), "a.csv: Input/output error"),
        (OSError("cut off"), "OSError: cut off"),
        (WriteError(Path("a.csv"), OSError(28, "full")), "a.csv: cannot be written (full)"),
        (KeyError(), "KeyError"),
    ):
        assert said(error) == words


def test_a_value_holds_up_to_its_tolerance_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MEASURED.keys() == TOLERANCE.keys()
    for name, tolerance in TOLERANCE.items():
        for sign in (-1, 1):
            near = {**MEASURED, name: MEASURED[name] + sign * 0.99 * tolerance}
            far = {**MEASURED, name: MEASURED[name] + sign * 1.01 * tolerance}
            assert all(one.holds for one in compared(near))
            assert [one.attack for one in compared(far) if not one.holds] == [name]
            monkeypatch.setattr(
                shipped_model, "measured_model", lambda _device, far=far: compared(far)
            )
            found = list(model("cpu"))
            assert [one.state for one in found].count(State.WRONG) == 2  # the value, and what to do
            assert found[-1].text == TODO
            on_gpu = list(model("cuda"))  # where no tolerance was measured
            assert {one.state for one in on_gpu} == {State.OK, State.NOTE}
            assert [one.text for one in on_gpu[:-1]] == [one.text for one in found[:-1]]
            assert (on_gpu[-1].state, on_gpu[-1].text) == (State.NOTE, NOT_MEASURED)
            monkeypatch.setattr(
                shipped_model, "measured_model", lambda _device, near=near: compared(near)
            )
            assert {one.state for one in (*model("cpu"), *model("cuda"))} == {State.OK}


def test_where_a_package_is_broken_nothing_that_needs_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_given: object) -> NoReturn:
        raise AssertionError("asked")

    for name in ("plugins", "model"):
        monkeypatch.setattr(examination, name, never)
    monkeypatch.setattr(machine, "processors", never)
    monkeypatch.setattr(examination, "failed_imports", lambda: {"torch": "ImportError: broken"})
    found = list(examined(Asked(tmp_path)))
    assert [one.subject for one in found if one.state is State.WRONG] == ["torch"]
    monkeypatch.setattr(examination, "failed_imports", failing(errno.EAGAIN))
    for name in ("plugins", "model"):
        monkeypatch.setattr(examination, name, lambda *_given: [])
    monkeypatch.setattr(machine, "processors", list)
    [wrong] = [one for one in examined(Asked(tmp_path)) if one.state is State.WRONG]
    assert "no other process can be started" in wrong.text
