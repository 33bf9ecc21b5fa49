"""The cache gives back what decoding gives, notices every change, and survives every interruption.

Faults are injected where they would happen: files are cut, changed and removed behind its back, the
process is killed between two writes, the disk is full.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hashbench.data.cache import entries as room
from hashbench.data.cache.decode import FileImage, read_image
from hashbench.data.cache.folder import cache_folder
from hashbench.data.cache.index import INDEX, ImageFiles, read_index
from hashbench.data.cache.pixel_file import IndexedPixels, file_sha256
from hashbench.data.cache.transform import Transform
from hashbench.data.cache.verify import CacheCheck, verify_cache
from hashbench.data.images import RetrievalData
from hashbench.data.lists.dataset import BrokenImages
from hashbench.data.sets.any_lists import Lists
from hashbench.errors import StoreError, UsageError

MakeFolder = Callable[..., Path]
TRANSFORM = Transform(8, 6)
DATASET = Lists(resize=8, crop=6)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded, as the test goes on; order is not kept."""
    names: list[str] = []

    def counting(path: Path, transform: Transform, *, wide: bool, known: bytes = b"") -> FileImage:
        found = read_image(path, transform, wide=wide, known=known)
        names.append(path.stem if found.pixels is not None else f"read {path.stem}")
        return found

    monkeypatch.setattr(room, "read_image", counting)
    return names


def pixels_of(root: Path, *numbers: int) -> NDArray[np.uint8]:
    found = [read_image(root / f"images/{n}.png", TRANSFORM, wide=False).pixels for n in numbers]
    return np.stack([pixels for pixels in found if pixels is not None])


def assert_right(data: RetrievalData, root: Path) -> None:
    assert np.array_equal(data.train.images[:], pixels_of(root, 2, 3))
    assert np.array_equal(data.query.images[:], pixels_of(root, 0, 1))
    assert np.array_equal(data.database.images[:], pixels_of(root, 2, 3, 4, 5, 6))


def repaint(root: Path, number: int, seed: int = 99) -> None:
    """Another image of the same size in bytes: BMP under a PNG's name."""
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / f"images/{number}.png", "BMP")


def entry() -> Path:
    (folder,) = (cache_folder() / "images").iterdir()
    return folder


def test_loads_what_decoding_gives_and_decodes_once(
    make_folder: MakeFolder, decoded: list[str]
) -> None:
    root = make_folder()
    first = DATASET.load(root)
    assert_right(first, root)
    assert sorted(decoded) == ["0", "1", "2", "3", "4", "5", "6"]
    again = DATASET.load(root)
    assert_right(again, root)
    assert len(decoded) == 7
    assert [part.digest() for part in (again.train, again.query, again.database)] == [
        part.digest() for part in (first.train, first.query, first.database)
    ]
    assert sorted(path.name.partition("-")[0] for path in entry().iterdir()) == [
        "index.npz",
        "lock",
        "pixels",
    ]


def test_nothing_is_written_among_the_data(make_folder: MakeFolder) -> None:
    root = make_folder()
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    DATASET.load(root)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before


def test_a_changed_file_alone_is_decoded_again(make_folder: MakeFolder, decoded: list[str]) -> None:
    root = make_folder()
    repaint(root, 4, seed=1)
    before = DATASET.load(root)
    old = np.array(before.database.images[:])
    decoded.clear()
    size = (root / "images/4.png").stat().st_size
    repaint(root, 4, seed=2)
    assert (root / "images/4.png").stat().st_size == size
    after = DATASET.load(root)
    assert decoded == ["4"]
    assert_right(after, root)
    assert not np.array_equal(after.database.images[:], old)
    assert after.database.digest() != before.database.digest()
    assert after.train.digest() == before.train.digest()
    assert after.query.digest() == before.query.digest()
    # Who still holds the earlier pixels does not see them change.
    assert np.array_equal(before.database.images[:], old)


def test_a_change_that_hides_its_time_is_seen(make_folder: MakeFolder, decoded: list[str]) -> None:
    root = make_folder()
    repaint(root, 4, seed=1)
    DATASET.load(root)
    status = (root / "images/4.png").stat()
    repaint(root, 4, seed=2)
    os.utime(root / "images/4.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (root / "images/4.png").stat().st_mtime_ns == status.st_mtime_ns
    decoded.clear()
    assert_right(DATASET.load(root), root)
    assert decoded == ["4"]


def test_a_touched_file_is_read_but_not_decoded(
    make_folder: MakeFolder, decoded: list[str]
) -> None:
    root = make_folder()
    digest = DATASET.load(root).database.digest()
    os.utime(root / "images/4.png", ns=(1, 1))
    decoded.clear()
    assert DATASET.load(root).database.digest() == digest
    assert decoded == ["read 4"]
    decoded.clear()
    DATASET.load(root)
    assert decoded == []


def test_protocol_does_not_know_place_or_time(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder()
    other = tmp_path / "elsewhere"
    shutil.copytree(root, other, copy_function=shutil.copyfile)
    os.utime(other / "images/2.png", ns=(1, 1))
    here, there = DATASET.load(root), DATASET.load(other)
    for name in ("train", "query", "database"):
        assert getattr(here, name).digest() == getattr(there, name).digest()
    coarser = Lists(resize=9, crop=6).load(root)
    assert coarser.train.digest() != here.train.digest()
    assert coarser.transform == "short side 9 bilinear, center crop 6"


@pytest.mark.parametrize("cut", ["pixels", "index", "longer", "index gone", "pixels gone"])
def test_a_damaged_entry_is_made_anew(
    make_folder: MakeFolder, decoded: list[str], cut: str
) -> None:
    root = make_folder()
    DATASET.load(root)
    decoded.clear()
    (pixels,) = entry().glob("pixels-*")
    index = entry() / INDEX
    match cut:
        case "pixels":
            os.truncate(pixels, pixels.stat().st_size - 1)
        case "longer":
            os.truncate(pixels, pixels.stat().st_size + 1)
        case "index":
            os.truncate(index, index.stat().st_size // 2)
        case "index gone":
            index.unlink()
        case "pixels gone":
            pixels.unlink()
    assert_right(DATASET.load(root), root)
    assert len(decoded) == 7


def test_a_flipped_byte_of_the_index_is_never_believed(make_folder: MakeFolder) -> None:
    root = make_folder()
    DATASET.load(root)
    files = DATASET.image_files(DATASET.listing(root))
    index = entry() / INDEX
    content = index.read_bytes()
    whole = read_index(entry(), files)
    assert whole is not None
    refused = 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x21
        index.write_bytes(changed)
        found = read_index(entry(), files)
        refused += found is None
        if found is not None:  # a byte that says nothing, such as a time in the archive
            assert np.array_equal(found.digests, whole.digests)
            assert np.array_equal(found.stamps, whole.stamps)
            assert (found.pixels, found.faults) == (whole.pixels, whole.faults)
    assert refused > len(content) / 2
    assert_right(DATASET.load(root), root)


KILLED = """
import os, signal, sys
from pathlib import Path
from hashbench.data.cache import index, pixel_file
from hashbench.data.sets.any_lists import Lists

def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)

where = sys.argv[2]
if where == "before the index":
    index.write_file = die
elif where == "before the rename":
    pixel_file.PixelWriter.finish = die
else:
    plain, count = pixel_file.PixelWriter.write, [0]
    def write(self, row, image):
        count[0] += 1
        die() if count[0] == 4 else plain(self, row, image)
    pixel_file.PixelWriter.write = write
Lists(resize=8, crop=6).load(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("where", ["among the pixels", "before the rename", "before the index"])
def test_a_killed_process_leaves_nothing_that_is_believed(
    make_folder: MakeFolder, decoded: list[str], where: str
) -> None:
    root = make_folder()
    command = [sys.executable, "-c", KILLED, str(root), where]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (entry() / INDEX).exists()
    assert any(entry().glob("*pixels*"))
    assert_right(DATASET.load(root), root)
    assert len(decoded) == 7
    assert len(list(entry().iterdir())) == 3  # what was left over is gone


LOADED = """
import sys
from pathlib import Path
from hashbench.data.sets.any_lists import Lists
data = Lists(resize=8, crop=6).load(Path(sys.argv[1]))
print(data.database.digest(), int(data.database.images[:].astype(int).sum()))
"""


def test_processes_at_once_do_no_harm(make_folder: MakeFolder) -> None:
    root = make_folder(database=tuple(range(2, 60)))
    command = [sys.executable, "-c", LOADED, str(root)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    data = DATASET.load(root)
    total = int(data.database.images[:].astype(int).sum())
    assert said == {f"{data.database.digest()} {total}\n"}


def test_threads_at_once_do_no_harm(make_folder: MakeFolder) -> None:
    root = make_folder(database=tuple(range(2, 40)))
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(DATASET.load(root).database.digest()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [DATASET.load(root).database.digest()] * 4


@pytest.mark.parametrize("function", ["pwrite", "fsync"])
def test_a_full_disk_is_one_sentence(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    root = make_folder()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, function, full)
        with pytest.raises(StoreError, match=r"No space left on device\); name another folder"):
            DATASET.load(root)
    assert [path.name for path in entry().iterdir()] == ["lock"]
    assert_right(DATASET.load(root), root)


def test_too_little_room_is_told_before_decoding(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    root = make_folder()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 755))
    with pytest.raises(StoreError, match=r"0\.0 GB are needed, 0\.0 GB are free"):
        DATASET.load(root)
    assert decoded == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 756))
    assert_right(DATASET.load(root), root)


def test_a_cache_that_is_a_file_is_one_sentence(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="cannot be stored"):
        DATASET.load(make_folder())


def test_an_interrupt_stops_at_once(make_folder: MakeFolder, decoded: list[str]) -> None:
    root = make_folder(database=tuple(range(2, 200)))

    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DATASET.prepare(root, interrupt)
    assert len(decoded) < 100
    assert [path.name for path in entry().iterdir()] == ["lock"]


def test_progress_counts_files(make_folder: MakeFolder) -> None:
    root = make_folder()
    seen: list[tuple[int, int]] = []
    DATASET.prepare(root, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 7) for done in range(8)]
    seen.clear()
    DATASET.prepare(root, lambda done, total: seen.append((done, total)))
    assert seen == []


def test_wide_images_are_kept_where_asked_for(make_folder: MakeFolder) -> None:
    root = make_folder()
    assert DATASET.load(root).train.wide is None
    for _ in range(2):
        data = Lists(resize=8, crop=6, wide=True).load(root)
        assert_right(data, root)
        assert data.train.wide is not None
        expected = [read_image(root / f"images/{n}.png", TRANSFORM, wide=True).wide for n in (2, 3)]
        assert np.array_equal(data.train.wide[:], np.stack([w for w in expected if w is not None]))
    assert data.train.digest() == DATASET.load(root).train.digest()
    assert Lists(resize=6, crop=6, wide=True).load(root).train.wide is None  # no more of them


WIDE = Lists(resize=8, crop=6, wide=True)


def wide_of(root: Path, *numbers: int) -> NDArray[np.uint8]:
    found = [read_image(root / f"images/{n}.png", TRANSFORM, wide=True).wide for n in numbers]
    return np.stack([wide for wide in found if wide is not None])


def one(pattern: str) -> Path:
    (path,) = entry().glob(pattern)
    return path


def test_wide_images_join_the_crops(make_folder: MakeFolder, decoded: list[str]) -> None:
    """One entry for both: the crops are neither stored twice nor touched."""
    root = make_folder()
    DATASET.load(root)
    crops = one("pixels-*")
    before, inode = crops.read_bytes(), crops.stat().st_ino
    decoded.clear()
    first = WIDE.load(root)
    assert sorted(decoded) == ["0", "1", "2", "3", "4", "5", "6"]
    assert one("pixels-*") == crops
    assert (crops.read_bytes(), crops.stat().st_ino) == (before, inode)
    decoded.clear()
    for data in (first, WIDE.load(root)):
        assert_right(data, root)
        assert data.database.wide is not None
        assert np.array_equal(data.database.wide[:], wide_of(root, 2, 3, 4, 5, 6))
    wide = one("wide-*")
    inode = wide.stat().st_ino
    assert DATASET.load(root).train.wide is None
    assert wide.stat().st_ino == inode
    assert decoded == []


def test_wide_images_that_are_not_asked_for_stay_right(
    make_folder: MakeFolder, decoded: list[str]
) -> None:
    root = make_folder()
    WIDE.load(root)
    repaint(root, 4)
    decoded.clear()
    assert_right(DATASET.load(root), root)
    assert decoded == ["4"]
    data = WIDE.load(root)
    assert data.database.wide is not None
    assert np.array_equal(data.database.wide[:], wide_of(root, 2, 3, 4, 5, 6))
    assert decoded == ["4"]
    assert len(list(entry().iterdir())) == 4


def test_wide_images_join_while_files_change(make_folder: MakeFolder, decoded: list[str]) -> None:
    root = make_folder()
    sound = (root / "images/6.png").read_bytes()
    (root / "images/5.png").unlink()
    (root / "images/6.png").write_bytes(sound[:80])
    excluding = Lists(resize=8, crop=6, broken=BrokenImages.EXCLUDE)
    excluding.load(root)
    repaint(root, 4)
    os.utime(root / "images/3.png", ns=(1, 1))
    decoded.clear()
    data = Lists(resize=8, crop=6, broken=BrokenImages.EXCLUDE, wide=True).load(root)
    assert sorted(decoded) == ["0", "1", "2", "3", "4"]  # not the broken ones, which are the same
    assert data.excluded == 2
    assert data.database.wide is not None
    assert np.array_equal(data.database.images[:], pixels_of(root, 2, 3, 4))
    assert np.array_equal(data.database.wide[:], wide_of(root, 2, 3, 4))
    (root / "images/6.png").write_bytes(sound)
    data = excluding.load(root)
    assert np.array_equal(data.database.images[:], pixels_of(root, 2, 3, 4, 6))


def test_damaged_wide_images_are_made_anew_alone(
    make_folder: MakeFolder, decoded: list[str]
) -> None:
    root = make_folder()
    WIDE.load(root)
    crops = one("pixels-*").stat()
    os.truncate(one("wide-*"), 100)
    decoded.clear()
    assert_right(DATASET.load(root), root)
    assert decoded == []
    data = WIDE.load(root)
    assert data.train.wide is not None
    assert np.array_equal(data.train.wide[:], wide_of(root, 2, 3))
    assert len(decoded) == 7
    assert one("pixels-*").stat() == crops


def test_an_interrupted_widening_leaves_the_crops(make_folder: MakeFolder) -> None:
    root = make_folder()
    DATASET.load(root)
    before = {path: path.read_bytes() for path in entry().iterdir()}

    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        WIDE.prepare(root, interrupt)
    assert {path: path.read_bytes() for path in entry().iterdir()} == before


def invert(path: Path) -> None:
    """Change every byte of the pixels, keep header and size."""
    pixels = np.load(path, mmap_mode="r+")
    np.invert(pixels, out=pixels)
    pixels.flush()


def files_of(root: Path, dataset: Lists = DATASET) -> ImageFiles:
    return dataset.image_files(dataset.listing(root))


@pytest.mark.parametrize("kind", ["pixels", "wide"])
def test_damage_that_keeps_the_size_is_found(make_folder: MakeFolder, kind: str) -> None:
    root = make_folder()
    assert verify_cache(files_of(root)) == CacheCheck(0, (), False)
    WIDE.load(root)
    assert verify_cache(files_of(root)) == CacheCheck(2, (), True)
    path = one(f"{kind}-*")
    invert(path)
    assert verify_cache(files_of(root)) == CacheCheck(1, (path,), True)
    assert not path.exists()
    data = WIDE.load(root)
    assert_right(data, root)
    assert data.train.wide is not None
    assert np.array_equal(data.train.wide[:], wide_of(root, 2, 3))
    assert verify_cache(files_of(root)) == CacheCheck(2, (), True)


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_is_found(tmp_path: Path, place: int, bit: int) -> None:
    path = tmp_path / "file"
    content = bytearray(np.random.default_rng(1).bytes(10_001))
    path.write_bytes(content)
    whole = file_sha256(path)
    assert whole == hashlib.sha256(content).hexdigest()
    content[place] ^= 1 << bit
    path.write_bytes(content)
    assert file_sha256(path) != whole


@pytest.mark.parametrize("dataset", [DATASET, WIDE])
def test_damage_is_not_copied_into_a_new_file(
    make_folder: MakeFolder, decoded: list[str], dataset: Lists
) -> None:
    """A changed image makes a new file out of the old one, whose damage would get a sound sum."""
    root = make_folder()
    dataset.load(root)
    invert(one("pixels-*"))
    repaint(root, 4)
    decoded.clear()
    assert_right(dataset.load(root), root)
    assert len(decoded) >= 7
    assert verify_cache(files_of(root)).damaged == ()


def test_a_hashed_file_is_told_in_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashbench.data.cache.pixel_file._BLOCK", 300)
    (tmp_path / "file").write_bytes(bytes(1000))
    seen: list[tuple[int, int]] = []
    file_sha256(tmp_path / "file", lambda *told: seen.append(told), 10)
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)]


def test_pixels_pickle_as_their_place(make_folder: MakeFolder) -> None:
    root = make_folder(train=(5, 5, 2))
    images = DATASET.load(root).train.images
    assert isinstance(images, IndexedPixels)
    expected = pixels_of(root, 5, 5, 2)
    assert np.array_equal(images[:], expected)
    content = pickle.dumps(images)
    assert len(content) < 1000
    copy = pickle.loads(content)  # noqa: S301 - our own bytes
    assert np.array_equal(copy[:], expected)
    assert (copy.shape, copy.dtype, copy.ndim, len(copy)) == ((3, 3, 6, 6), np.uint8, 4, 3)


def test_pixels_index_as_an_array_does(make_folder: MakeFolder) -> None:
    images = DATASET.load(make_folder()).database.images
    whole = images[:]
    for index in (slice(1, 4), slice(None, None, -2), slice(4, 2)):
        assert np.array_equal(images[index], whole[index])
    for rows in ([3, 0, 0, -1], []):
        chosen = np.array(rows, np.int64)
        assert np.array_equal(images[chosen], whole[chosen])
    part = images[0:2]
    part[:] = 0  # a copy: the file is as it was
    assert np.array_equal(images[:], whole)
    with pytest.raises(IndexError):
        images[np.array([5])]


def test_pixels_whose_file_is_gone_say_so(make_folder: MakeFolder) -> None:
    images = pickle.loads(pickle.dumps(DATASET.load(make_folder()).train.images))  # noqa: S301
    shutil.rmtree(entry())
    with pytest.raises(StoreError, match="the cache was emptied"):
        images[:]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HASHBENCH_CACHE": "/a"}, "/a"),
        ({"HASHBENCH_CACHE": "~/a"}, "/home/me/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/hashbench"),
        ({"HASHBENCH_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({}, "/home/me/.cache/hashbench"),
    ],
)
def test_where_the_cache_lies(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("HASHBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_a_repaired_image_costs_one_decoding(make_folder: MakeFolder, decoded: list[str]) -> None:
    root = make_folder()
    path = root / "images/4.png"
    content = path.read_bytes()
    path.write_bytes(content[:80])
    with pytest.raises(UsageError, match=r"images/4\.png: cannot be decoded"):
        DATASET.load(root)
    path.write_bytes(content)
    decoded.clear()
    assert_right(DATASET.load(root), root)
    assert decoded == ["4"]
    path.unlink()
    with pytest.raises(UsageError, match=r"images/4\.png: no such file"):
        DATASET.load(root)
    excluding = Lists(resize=8, crop=6, broken=BrokenImages.EXCLUDE)
    assert excluding.load(root).excluded == 1
    path.write_bytes(content)
    decoded.clear()
    assert_right(excluding.load(root), root)
    assert decoded == ["4"]
