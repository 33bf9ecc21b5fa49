"""Where data come from: one table, which the command and the page tell, and errors point to."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from hashbench.cli.data_origin import found_origin, told
from hashbench.data.garments.idx_folder import FILES as GARMENTS
from hashbench.data.lists.dataset import PublishedDataset
from hashbench.data.origins import ORIGINS, SHIPPED
from hashbench.data.plugin_errors import plugin_errors
from hashbench.data.sets.cifar_binary import FILES as CIFAR
from hashbench.data.sets.cifar_binary import FOLDER
from hashbench.errors import UsageError
from hashbench.plugins import Dataset, Kind, get, names
from support.trials import Trials

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs/data.md").read_text()
SHARED = REPOSITORY.parent / "shared"


def dataset(name: str) -> Dataset:
    found = get(Kind.DATASET, name)
    assert isinstance(found, Dataset)
    return found


def test_every_data_set_that_papers_use_has_an_origin() -> None:
    """Those that need a folder, and are no layout of the user's own files."""
    own = {"lists", "image-folder", "csv", "metadata", "huggingface"}
    ours = {n for n in names(Kind.DATASET) if type(dataset(n)).__module__.startswith("hashbench.")}
    assert {name for name in ours if dataset(name).needs_root} - own == set(ORIGINS)
    assert not {name for name in SHIPPED if dataset(name).needs_root}


@pytest.mark.parametrize("name", ORIGINS)
def test_the_page_shows_what_the_command_prints(name: str) -> None:
    block = "```text\n" + "\n".join(told(name, ORIGINS[name])) + "\n```\n"
    assert block in PAGE, f"docs/data.md: put in what `hashbench data get {name}` prints"


@pytest.mark.parametrize("name", ORIGINS)
def test_lines_are_80_columns_wide_where_no_address_is_longer(name: str) -> None:
    long = [line for line in told(name, ORIGINS[name]) if len(line) > 80]
    assert all(re.fullmatch(r"(address)? +https?://\S+", line) for line in long)


@pytest.mark.parametrize("name", ORIGINS)
def test_addresses_and_checksums_have_their_form(name: str) -> None:
    origin = ORIGINS[name]
    files = (*origin.files, *origin.list_files)
    assert re.fullmatch(r"https://\S+", origin.address)
    assert all(re.fullmatch(r"([0-9a-f]{64})?", file.sha256) for file in files)
    assert all(re.fullmatch(r"([0-9a-f]{32})?", file.md5) for file in files)
    assert len({file.name for file in files}) == len(files)
    assert all((file.size is None) == bool(file.about) for file in files)


def test_what_is_fetched_has_an_open_licence_an_address_and_a_sha_256() -> None:
    fetched = {name for name, origin in ORIGINS.items() if origin.fetched}
    assert fetched == {"fashion-mnist"}
    for name in fetched:
        assert ORIGINS[name].licence.startswith("MIT")
        for file in ORIGINS[name].files:
            assert file.address.startswith("https://")
            assert file.sha256
            assert file.size


def test_the_trees_name_the_files_that_are_read() -> None:
    paths = {name: " ".join(path for path, _ in ORIGINS[name].tree) for name in ORIGINS}
    assert all(f"{name}.gz" in paths["fashion-mnist"].split() for name in GARMENTS)
    assert all(name in paths["cifar10"] for name in (FOLDER, CIFAR[0], CIFAR[4], CIFAR[5]))
    for name in ("flickr25k", "nus-wide", "ms-coco", "imagenet100"):
        folder = getattr(dataset(name), "folder", None)
        assert folder
        assert all(path.startswith(f"{folder}/") for path, _ in ORIGINS[name].tree)


@pytest.mark.parametrize("name", ["flickr25k", "nus-wide", "ms-coco"])
def test_the_list_files_are_those_that_were_counted(name: str) -> None:
    found = dataset(name)
    assert isinstance(found, PublishedDataset)
    folder = SHARED / "data/lists" / found.folder
    if not folder.is_dir():
        pytest.skip(f"the papers' lists are not beside this checkout ({folder})")
    here = {path.name: path.read_bytes() for path in folder.iterdir()}
    told_of = {file.name: (file.size, file.sha256) for file in ORIGINS[name].list_files}
    assert told_of == {
        file: (len(content), hashlib.sha256(content).hexdigest()) for file, content in here.items()
    }


@pytest.mark.parametrize("name", ORIGINS)
def test_the_error_of_a_data_set_that_is_not_there_says_where_to_look(
    name: str, tmp_path: Path
) -> None:
    found = dataset(name)
    for root in (tmp_path, None):
        with (
            pytest.raises(UsageError, match=f"hashbench data get {name}$"),
            plugin_errors(found),
        ):
            found.load(found.home(root))


def test_so_does_the_error_of_lists_without_a_single_image(tmp_path: Path) -> None:
    for stem in ("train", "test", "database"):
        (tmp_path / f"{stem}_img.txt").write_text(f"{stem}.jpg\n")
        (tmp_path / f"{stem}_label.txt").write_text(" ".join(["1"] * 38) + "\n")
    found = get(Kind.DATASET, "flickr25k:any_size=true")
    assert isinstance(found, Dataset)
    with pytest.raises(UsageError, match=r"data get flickr25k$"), plugin_errors(found):
        found.load(tmp_path)


def test_a_mistake_in_a_file_that_is_there_is_told_as_before(tmp_path: Path) -> None:
    (tmp_path / "train_img.txt").write_text("../out.jpg\n")
    (tmp_path / "train_label.txt").write_text("1 0\n")
    found = dataset("flickr25k")
    with pytest.raises(UsageError) as error, plugin_errors(found):
        found.load(tmp_path)
    assert "data get" not in str(error.value)


def test_data_sets_of_one_s_own_have_no_origin(tmp_path: Path) -> None:
    found = dataset("lists")
    with pytest.raises(UsageError) as error, plugin_errors(found):
        found.load(tmp_path)
    assert "data get" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("flikr25k", "did you mean 'flickr25k'"),
        ("outfits", "ships with hashbench"),
        ("lists:k=5", "reads files of your own"),
        ("hag", "there is no data set 'hag'"),
    ],
)
def test_a_name_of_which_nothing_is_known(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        found_origin(text)


def test_parameters_are_left_aside() -> None:
    assert found_origin("flickr25k:crop=32")[0] == "flickr25k"


def test_the_command(tmp_path: Path) -> None:
    with Trials(("hashbench.cli.app",), env={"no_proxy": "*"}) as trials:
        done = trials.run("data", "get", "cifar10", cwd=tmp_path)
        assert (done.code, done.err) == (0, "")
        assert done.out == "\n".join(told("cifar10", ORIGINS["cifar10"])) + "\n"
        for words, sentence in (
            (("flickr25k", "--fetch", "--to", "x"), "flickr25k is not fetched"),
            (("fashion-mnist", "--fetch"), "--fetch needs a folder: --to FOLDER"),
            (("fashion-mnist", "--to", "x"), "--to goes with --fetch"),
            (("fashion-mnist", "--fetch", "--to", "no/where"), "there is no folder"),
        ):
            done = trials.run("data", "get", *words, cwd=tmp_path)
            assert done.code == 2, words
            assert sentence in " ".join(done.err.split())
    assert list(tmp_path.iterdir()) == []
