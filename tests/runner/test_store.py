"""The store: what is damaged, unfinished or too new is not there; what is there is whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashbench.errors import StoreError
from hashbench.results.address import Address
from hashbench.results.store import DONE, SCHEMA, Failure, Store

MakeDisk = Callable[..., Any]

ADDRESS = Address(kind="codes", slug="codes none tiny csq 8 bits seed 0", key="ab" * 32)
FILES = {"codes.npz": b"\x00\x01binary\xff", "notes.txt": b"a few words"}
OLD_FILES = {"codes.npz": b"older"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def written(folder: Path, files: dict[str, bytes] = FILES) -> Store:
    store = Store(folder)
    store.write(ADDRESS, files, {"label": "codes", "seconds": 1.5})
    return store


def content(store: Store) -> dict[str, bytes] | None:
    """The artifact as a reader gets it; `None` where the store says that it is not there."""
    record = store.record(ADDRESS)
    assert (record is not None) == store.has(ADDRESS)
    if record is None:
        with pytest.raises(StoreError, match="missing or damaged; run it again"):
            store.file(ADDRESS, "codes.npz")
        return None
    return {name: store.file(ADDRESS, name).read_bytes() for name in record["files"]}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    store = written(tmp_path)
    assert content(store) == FILES
    record = store.record(ADDRESS)
    assert record is not None
    assert (record["schema"], record["kind"], record["key"]) == (SCHEMA, "codes", ADDRESS.key)
    assert (record["label"], record["seconds"]) == ("codes", 1.5)
    with pytest.raises(StoreError, match="missing or damaged"):
        store.file(ADDRESS, "other.npz")
    with pytest.raises(StoreError, match="missing or damaged"):
        store.file(ADDRESS, DONE)


def test_nothing_is_there_before_it_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "not made yet")
    assert content(store) is None
    assert store.failure(ADDRESS) is None
    assert store.plan_names() == ()
    store.sweep()
    assert not (tmp_path / "not made yet").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EIO, os.strerror(errno.EIO)),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    ],
    ids=["disk full", "I/O error", "no permission"],
)
@pytest.mark.parametrize("earlier", [False, True], ids=["new", "over an earlier one"])
def test_a_failing_disk_never_leaves_half_an_artifact(
    disk: MakeDisk, tmp_path: Path, earlier: bool, error: OSError
) -> None:
    for fail_at in range(100):
        folder = tmp_path / str(fail_at)
        store = written(folder, OLD_FILES) if earlier else Store(folder)
        faulty = disk(fail_at, error)
        raised = False
        with faulty.between():
            try:
                store.write(ADDRESS, FILES, {})
            except OSError:
                raised = True
        assert content(store) in (
            (OLD_FILES if earlier else None, None, FILES) if raised else (FILES,)
        )
        assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
        if not faulty.failed:
            break
        store.write(ADDRESS, FILES, {})
        assert content(store) == FILES
    assert fail_at >= 12


def test_every_truncation_is_seen(tmp_path: Path) -> None:
    store = written(tmp_path)
    for name in (*FILES, DONE):
        path = tmp_path / ADDRESS.path / name
        whole = path.read_bytes()
        # The marker's last byte is a line break: without it the record is still whole.
        for length in range(len(whole) - (name == DONE)):
            path.write_bytes(whole[:length])
            assert content(store) is None, (name, length)
        path.write_bytes(whole + b"x")
        assert content(store) is None
        path.write_bytes(whole)
        assert content(store) == FILES


def test_every_flipped_byte_is_seen(tmp_path: Path) -> None:
    store = written(tmp_path)
    for name in FILES:
        path = tmp_path / ADDRESS.path / name
        whole = path.read_bytes()
        for place in range(len(whole)):
            for mask in (0x01, 0x80, 0xFF):
                path.write_bytes(flipped(whole, place, mask))
                assert content(store) is None, (name, place)
        path.write_bytes(whole)


def test_a_flipped_byte_in_the_marker_never_spoils_the_files(tmp_path: Path) -> None:
    """The marker carries notes that nothing depends on; what is read is checked against it."""
    store = written(tmp_path)
    path = tmp_path / ADDRESS.path / DONE
    whole = path.read_bytes()
    for place in range(len(whole)):
        for mask in (0x01, 0x20, 0xFF):
            path.write_bytes(flipped(whole, place, mask))
            assert content(store) in (None, FILES), (place, mask)
    path.write_bytes(whole)
    assert content(store) == FILES


def put_marker(folder: Path, record: Any) -> None:
    """Put another marker on an artifact."""
    path = folder / ADDRESS.path / DONE
    if not path.exists():
        written(folder)
    path.write_text(json.dumps(record))


def flipped(whole: bytes, place: int, mask: int) -> bytes:
    return whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    record=JSON
    | st.fixed_dictionaries({"schema": JSON, "key": st.just(ADDRESS.key), "files": JSON})
)
def test_any_marker_is_read_without_an_error(tmp_path: Path, record: Any) -> None:
    store = Store(tmp_path)
    put_marker(tmp_path, record)
    # What such a marker could still vouch for is no file at all.
    assert content(store) in (None, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.text(max_size=5) | st.just("../x\0"), JSON, min_size=1, max_size=3))
def test_any_file_list_is_read_without_an_error(tmp_path: Path, files: dict[str, Any]) -> None:
    put_marker(tmp_path, {"schema": SCHEMA, "key": ADDRESS.key, "files": files})
    assert content(Store(tmp_path)) is None


@pytest.mark.parametrize("missing", [*FILES, DONE])
def test_a_missing_file_is_seen(tmp_path: Path, missing: str) -> None:
    store = written(tmp_path)
    (tmp_path / ADDRESS.path / missing).unlink()
    assert content(store) is None
    (tmp_path / ADDRESS.path / missing).mkdir()
    assert content(store) is None
    store.write(ADDRESS, FILES, {})  # a damaged artifact is replaced
    assert content(store) == FILES


def test_what_a_newer_version_wrote_is_not_read(tmp_path: Path) -> None:
    store = written(tmp_path)
    path = tmp_path / ADDRESS.path / DONE
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "schema": SCHEMA + 1}))
    assert content(store) is None
    path.write_text(json.dumps({**record, "schema": SCHEMA}))
    assert content(store) == FILES


def test_another_key_in_the_same_folder_is_not_taken_for_it(tmp_path: Path) -> None:
    """Folder names carry 20 digits of the key, the marker all of it."""
    store = written(tmp_path)
    other = Address(ADDRESS.kind, ADDRESS.slug, ADDRESS.key[:20] + "0" * 44)
    assert other.path == ADDRESS.path
    assert not store.has(other)


@given(st.sampled_from(["model", "codes"]), st.text(max_size=100), st.integers(0, 2**256 - 1))
def test_an_address_is_a_plain_folder_name(kind: str, slug: str, key: int) -> None:
    path = Address(kind, slug, f"{key:064x}").path
    assert path.parts[:2] == ("artifacts", kind)
    assert len(path.parts) == 3
    assert path.name.endswith(f"-{key:064x}"[:21])
    assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert len(path.name) <= 81  # with a temporary name's ending well below 255


def test_a_failure_is_noted_until_the_step_succeeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail(ADDRESS, Failure("out of luck", "Traceback ..."))
    assert store.failure(ADDRESS) == Failure("out of luck", "Traceback ...")
    store.fail(ADDRESS, Failure("again"))
    assert store.failure(ADDRESS) == Failure("again", "")
    store.write(ADDRESS, FILES, {})
    assert store.failure(ADDRESS) is None
    store.fail(ADDRESS, Failure("again"))
    store.clear_failure(ADDRESS)
    store.clear_failure(ADDRESS)
    assert store.failure(ADDRESS) is None
    assert content(store) == FILES


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    JSON
    | st.fixed_dictionaries({"schema": st.integers()}, optional={"reason": JSON, "traceback": JSON})
)
def test_a_damaged_note_of_a_failure_is_no_failure_of_the_reader(tmp_path: Path, note: Any) -> None:
    store = Store(tmp_path)
    if not (tmp_path / "failures").exists():
        store.fail(ADDRESS, Failure("out of luck"))
    (path,) = (tmp_path / "failures").iterdir()
    path.write_text(json.dumps(note))
    failure = store.failure(ADDRESS)
    assert failure is None or isinstance(failure.reason, str)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}", '{"schema": "1"}', "\x00"])
def test_a_damaged_plan_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    store.write_plan("a", {"asked": "2024-05-03"})
    (tmp_path / "plans" / "a.json").write_text(text)
    with pytest.raises(StoreError, match=r"plans/a\.json: cannot be read; run the suite again"):
        store.plan("a")


def test_a_plan_of_a_newer_version_is_an_error_that_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_plan("a", {"asked": "2024-05-03", "schema": SCHEMA + 1})
    with pytest.raises(
        StoreError, match=f"format {SCHEMA + 1}, this hashbench reads up to {SCHEMA}"
    ):
        store.plan("a")


def test_sweep_leaves_what_is_whole(tmp_path: Path) -> None:
    store = written(tmp_path)
    store.fail(ADDRESS, Failure("x"))
    store.write_plan("a", {"asked": "2024-05-03"})
    whole = set(tmp_path.rglob("*"))
    for folder in ("artifacts/codes", "failures", "plans"):
        (tmp_path / folder / ".half.0a1b2c3d.tmp").mkdir()
        (tmp_path / folder / ".gone.0a1b2c3d.old").write_text("")
    store.sweep()
    assert set(tmp_path.rglob("*")) == whole
    assert content(store) == FILES


def test_folders_of_two_machines_are_merged_by_copying(tmp_path: Path) -> None:
    here, there = written(tmp_path / "here"), Store(tmp_path / "there")
    other = Address("scores", "score x", "cd" * 32)
    there.write(other, {"scores.json": b"{}"}, {})
    there.write(ADDRESS, FILES, {"label": "codes", "seconds": 99.0})
    shutil.copytree(there.folder, here.folder, dirs_exist_ok=True)
    assert here.has(other)
    assert content(here) == FILES


def test_a_note_that_cannot_be_deleted_makes_no_failure_of_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.fail(ADDRESS, Failure("it broke"))

    def refused(path: Path, *, missing_ok: bool = False) -> None:  # noqa: ARG001
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        store.clear_failure(ADDRESS)
        assert store.failure(ADDRESS) == Failure("it broke")
        written(tmp_path)
    assert (tmp_path / "failures").exists()
    assert content(store) == FILES
    assert store.failure(ADDRESS) is None
