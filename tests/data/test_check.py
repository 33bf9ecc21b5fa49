"""`hashbench data check` finds and names every fault; the papers' lists give their facts."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hashbench import plugins
from hashbench.cli import data as data_commands
from hashbench.cli.app import app
from hashbench.data.check import DataCheck, check_dataset
from hashbench.data.lists.dataset import BrokenImages, ListedDataset
from hashbench.data.protocol import protocol_of
from hashbench.data.sets.any_lists import Lists
from hashbench.data.sets.fashion import Fashion
from hashbench.data.sets.flickr25k import Flickr25K
from hashbench.errors import UsageError

MakeFolder = Callable[..., Path]
PLAIN = Lists(crop=9)


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def text_of(found: DataCheck) -> str:
    return "\n".join(data_commands.report(found))


def run(*words: str) -> Result:
    return CliRunner().invoke(data_commands.app, ["check", *words])


def test_flickr_lists_without_images(shared_data: Callable[[str], Path]) -> None:
    """Counted from the published lists; chance and ceiling as in the reference, section 3."""
    found = check_dataset(Flickr25K(), shared_data("lists"), quiet)
    facts = {split.name: (split.rows, split.distinct, split.unlabelled) for split in found.splits}
    assert facts == {
        "train": (5000, 4496, 95),
        "query": (1700, 1700, 38),
        "database": (23300, 23300, 381),
    }
    assert found.files is not None
    assert (found.files.count, found.files.missing, found.files.undecodable) == (25000, 25000, 0)
    assert round(found.chance, 3) == 0.534
    assert round(found.best, 4) == 0.9776
    assert not found.clean
    assert found.protocol is None
    said = text_of(found)
    assert "images missing: 25,000 of 25,000" in said
    assert "(database_img.txt, line 1)" in said
    assert all(len(line) <= 80 for line in said.splitlines())


def test_coco256_has_two_train_rows_without_label(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("coco256")
    found = check_dataset(Lists(), root, quiet)
    assert found.clean
    assert {split.name: split.unlabelled for split in found.splits} == {
        "train": 2,
        "query": 0,
        "database": 2,
    }
    assert found.protocol == protocol_of("lists", Lists().list_length(), Lists().load(root))


@pytest.mark.slow
def test_cifar10_jpeg_is_clean(shared_data: Callable[[str], Path]) -> None:
    found = check_dataset(Lists(crop=32), shared_data("cifar10-jpeg"), quiet)
    assert found.clean
    assert [(s.rows, s.distinct, s.unlabelled, s.repeats) for s in found.splits] == [
        (5000, 5000, 0, 0),
        (1000, 1000, 0, 0),
        (10000, 10000, 0, 0),
    ]


def test_a_data_set_that_ships() -> None:
    found = check_dataset(Fashion(), None, quiet)
    assert found.clean
    assert found.files is None
    assert [split.distinct for split in found.splits] == [2000, 500, 10000]
    assert found.protocol == protocol_of("fashion", Fashion().list_length(), Fashion().load(None))
    assert "folder" not in text_of(found)


def test_missing_and_undecodable_images_are_told_apart(make_folder: MakeFolder) -> None:
    root = make_folder()
    for number in (0, 2, 3, 4):
        (root / f"images/{number}.png").unlink()
    (root / "images/5.png").write_bytes(b"nothing")
    found = check_dataset(PLAIN, root, quiet)
    assert found.files is not None
    assert (found.files.missing, found.files.undecodable) == (4, 1)
    assert found.files.missing_named == tuple(
        f"images/{number}.png: no such file (train_img.txt, line {line})"
        if number in (2, 3)
        else f"images/{number}.png: no such file (database_img.txt, line {line})"
        for number, line in ((2, 1), (3, 2), (4, 3))
    )
    (named,) = found.files.undecodable_named
    assert named.startswith("images/5.png: cannot be decoded (no JPEG, PNG or other known image)")
    assert named.endswith("(database_img.txt, line 4)")
    said = text_of(found)
    assert "images missing: 4 of 7" in said
    assert "  and 1 more" in said
    assert "PROBLEMS" in said


def test_excluding_gives_a_protocol_but_not_a_clean_folder(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "images/2.png").unlink()
    excluding = Lists(crop=9, broken=BrokenImages.EXCLUDE)
    found = check_dataset(excluding, root, quiet)
    assert not found.clean
    assert found.protocol is not None
    assert found.protocol.excluded == 2
    assert "excluded     2 rows" in text_of(found)
    for number in (0, 1):
        (root / f"images/{number}.png").unlink()
    assert check_dataset(excluding, root, quiet).protocol is None


def test_queries_in_the_database_are_found_by_path(make_folder: MakeFolder) -> None:
    found = check_dataset(PLAIN, make_folder(test=(0, 2, 4)), quiet)
    assert (found.overlap.paths, found.overlap.contents) == (2, 2)
    assert found.overlap.named == (
        "query images/2.png is images/2.png",
        "query images/4.png is images/4.png",
    )
    assert not found.clean


def test_copies_are_found_by_content(make_folder: MakeFolder) -> None:
    root = make_folder(train=(2, 3, 3))
    shutil.copy(root / "images/5.png", root / "images/1.png")  # a query that is in the database
    shutil.copy(root / "images/2.png", root / "images/6.png")  # twice in the database
    found = check_dataset(PLAIN, root, quiet)
    assert (found.overlap.paths, found.overlap.contents) == (0, 1)
    assert found.overlap.named == ("query images/1.png is images/5.png",)
    assert {split.name: split.repeats for split in found.splits} == {
        "train": 1,
        "query": 0,
        "database": 1,
    }
    assert not found.clean
    assert (
        PLAIN.load(root).query.images.shape[0] == 2
    )  # by content alone it is reported, not refused


def test_the_index_is_what_later_loads_trust(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder()
    check_dataset(PLAIN, root, quiet)
    monkeypatch.setattr("hashbench.data.cache.entries.read_image", None)
    PLAIN.load(root)


def test_chance_does_not_depend_on_images(make_folder: MakeFolder) -> None:
    root = make_folder()
    whole = check_dataset(PLAIN, root, quiet)
    shutil.rmtree(root / "images")
    without = check_dataset(PLAIN, root, quiet)
    assert (whole.chance, whole.best) == (without.chance, without.best)
    assert [split.repeats for split in without.splits] == [None] * 3


def test_command_exit_codes(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder()
    clean = run("lists:crop=9", "--root", str(root))
    assert clean.exit_code == 0
    assert clean.stdout.splitlines()[0] == "data set     lists:crop=9"
    assert clean.stdout.rstrip().endswith("clean")
    (root / "images/4.png").unlink()
    broken = run("lists:crop=9", "--root", str(root))
    assert broken.exit_code == 1
    assert "images missing: 1 of 7" in broken.stdout
    for words, says in (
        (["lists"], "name it with --root FOLDER"),
        (["lists", "--root", str(tmp_path / "none")], "no such folder"),
        (["list", "--root", str(root)], "there is no dataset 'list'; did you mean 'lists'"),
        (["lists:crops=9", "--root", str(root)], "no parameter 'crops'"),
    ):
        found = run(*words)
        assert isinstance(found.exception, UsageError)  # main() makes it exit code 2
        assert says in str(found.exception)
    assert run("fashion").exit_code == 0


def test_a_damaged_cache_is_told_and_made_anew(make_folder: MakeFolder, cache: Path) -> None:
    root = make_folder()
    whole = run("lists:crop=9", "--root", str(root))
    assert "cache   " not in whole.stdout  # decoded just now
    again = run("lists:crop=9", "--root", str(root))
    assert "cache        compared with its SHA-256: as it was written" in again.stdout
    (path,) = cache.glob("images/*/pixels-*")
    before = path.read_bytes()
    path.write_bytes(before[:-100] + bytes(byte ^ 255 for byte in before[-100:]))
    damaged = run("lists:crop=9", "--root", str(root))
    assert damaged.exit_code == 0
    assert f"cache        DAMAGED and decoded anew; do not trust numbers made from it: {path}" in (
        damaged.stdout
    )
    assert path.read_bytes() == before
    assert run("lists:crop=9", "--root", str(root)).stdout == again.stdout


def test_damaged_squares_are_made_anew_by_a_check_without_them(
    make_folder: MakeFolder, cache: Path
) -> None:
    root = make_folder()
    Lists(resize=12, crop=9, wide=True).load(root)
    (path,) = cache.glob("images/*/wide-*")
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    found = check_dataset(Lists(resize=12, crop=9), root, quiet)
    assert found.cache is not None
    assert (found.cache.sound, found.cache.damaged) == (1, (path,))
    assert path.read_bytes() == before


def test_the_command_of_an_error_names_every_broken_image(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    """It is run as it is printed, with a folder that has to be quoted."""
    root = tmp_path / "my photos"
    make_folder(database=range(2, 20)).rename(root)
    for number in range(4, 11):
        (root / f"images/{number}.png").unlink()
    for number in range(11, 17):
        (root / f"images/{number}.png").write_bytes(b"nothing")
    with pytest.raises(UsageError) as caught:
        Lists(resize=12, crop=9, wide=True).load(root)
    command = str(caught.value).partition("this names them all: ")[2]
    words = shlex.split(command)
    assert words[:4] == ["hashbench", "data", "check", "lists:resize=12,crop=9"]
    found = CliRunner().invoke(app, words[1:])
    assert found.exit_code == 1
    for number in range(4, 11):
        assert f"  images/{number}.png: no such file" in found.stdout
    for number in range(11, 17):
        assert f"  images/{number}.png: cannot be decoded" in found.stdout
    assert "more" not in found.stdout
    few = CliRunner().invoke(app, [word for word in words[1:] if word != "--all"])
    assert "and 4 more" in few.stdout
    assert "and 3 more" in few.stdout


def test_all_names_every_query_in_the_database(make_folder: MakeFolder) -> None:
    root = make_folder(test=(2, 3, 4, 5, 6))
    assert len(check_dataset(PLAIN, root, quiet).overlap.named) == 3
    assert len(check_dataset(PLAIN, root, quiet, named=None).overlap.named) == 5
    assert "more" not in run("lists:crop=9", "--root", str(root), "--all").stdout


def test_an_interrupt_is_one_sentence(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    root = make_folder()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hashbench.data.cache.entries.read_image", interrupt)
    found = run("lists:crop=9", "--root", str(root))
    assert found.exit_code == 130
    assert found.stderr == "Interrupted: nothing of the decoding is kept.\n"
    assert found.stdout == ""
    assert [path.name for path in cache.glob("images/*/*")] == ["lock"]


def test_command_takes_plugins_of_a_file(make_folder: MakeFolder, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from hashbench.data.lists.dataset import ListedDataset\n"
        "from hashbench.plugins import dataset\n\n"
        "@dataset('mine')\n@dataclass(frozen=True)\nclass Mine(ListedDataset):\n"
        '    """A data set of mine."""\n'
    )
    found = run("mine:crop=9", "--root", str(make_folder()), "--plugin", str(path))
    assert found.exit_code == 0
    assert found.stdout.startswith("data set     mine:crop=9")
    (tmp_path / "data/images/4.png").unlink()
    mine = plugins.get("dataset", "mine:crop=9")
    assert isinstance(mine, ListedDataset)
    with pytest.raises(UsageError) as caught:
        mine.load(tmp_path / "data")
    assert str(caught.value).endswith(f"--plugin {path}")


def test_command_is_quick_to_start() -> None:
    """Help must not wait for torch or numpy."""
    code = (
        "import sys; import hashbench.cli.data; "
        "print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
