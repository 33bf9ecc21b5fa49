"""What others wrote leads nowhere: paths in lists, links, and names in records.

Beside every root lies a folder that is none of its business. After each trial the folder is what it
was, and nothing in it was opened.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data.fetching import fetch
from hashbench.data.lists.dataset import BrokenImages, ListedDataset
from hashbench.data.origins import ORIGINS, Origin, OriginFile
from hashbench.data.sets.any_lists import Lists
from hashbench.data.sets.coco_annotations import read_annotations
from hashbench.data.sets.csv_table import CSVTable
from hashbench.data.sets.huggingface import HuggingFace
from hashbench.data.sets.image_folder import ImageFolder
from hashbench.data.sets.metadata import Metadata
from hashbench.data.sets.nus_concepts import _image_names
from hashbench.errors import UsageError
from hashbench.plugins.parameters import build
from hashbench.progress import no_progress
from hashbench.results.cell import Cell
from hashbench.runner.submitting.frozen import job_name
from hashbench.runner.suite import compose
from hashbench.zoo.image_files import folder_of
from support.outside import Outside, opened_below, picture, write
from support.trials import Trials

pytestmark = pytest.mark.usefixtures("own_cache")


# --- Paths that somebody else wrote ---

UP = "../outside/canary.png"
PATHS = {
    "upwards": (UP, "'..' part"),
    "upwards from below": ("a/../../outside/canary.png", "'..' part"),
    "to the folder above": ("a/..", "'..' part"),
    "absolute": ("{outside}/canary.png", "is absolute"),
    "a drive": ("C:/canary.png", "is absolute"),
    "a share": ("//server/canary.png", "is absolute"),
    "backslashes": ("..\\outside\\canary.png", "backslash"),
    "a NUL": ("canary.png\0.txt", "control character"),
    "a device": ("/dev/zero", "is absolute"),
}

Reader = Callable[[Path, str], tuple[str, ...]]


def paths_of(dataset: ListedDataset, root: Path) -> tuple[str, ...]:
    return dataset.listing(root).distinct


def lists(root: Path, path: str, **parameters: str) -> tuple[str, ...]:
    for stem, name in (("train", path), ("test", "a.png"), ("database", "b.png")):
        write(root, **{f"{stem}_img.txt": f"{name}\n", f"{stem}_label.txt": "0 1\n"})
    return paths_of(build(Lists, parameters), root)


def lists_of_another_machine(root: Path, path: str) -> tuple[str, ...]:
    return lists(root, f"/x/{path}", strip="/x")


def joint_lists(root: Path, path: str) -> tuple[str, ...]:
    for stem, name in (("train", path), ("test", "a.png"), ("database", "b.png")):
        write(root, **{f"{stem}.txt": f"{name} 0 1\n"})
    return paths_of(Lists(), root)


def table(root: Path, path: str, **parameters: str) -> tuple[str, ...]:
    rows = "".join(f"{name},{label}\n" for name, label in zip((path, *"efg"), "xxyy", strict=True))
    write(root, **{"t.csv": f"path,label\n{rows}"})
    return paths_of(build(CSVTable, parameters), root)


def table_with_a_folder(root: Path, path: str) -> tuple[str, ...]:
    return table(root, "c.png", images=path)


def table_with_a_suffix(root: Path, path: str) -> tuple[str, ...]:
    return table(root, "c", suffix=f"/{path}")


def table_by_name(root: Path, path: str) -> tuple[str, ...]:
    return table(root, "c.png", file=path)


def metadata_lines(root: Path, path: str) -> tuple[str, ...]:
    write(root, **{"metadata.jsonl": json.dumps({"file_name": path, "label": "x"})})
    return paths_of(Metadata(), root)


def metadata_of_a_split(root: Path, path: str) -> tuple[str, ...]:
    line = json.dumps({"file_name": path, "label": "x"})
    write(root, **{"train/metadata.jsonl": line, "test/metadata.jsonl": line})
    return paths_of(Metadata(), root)


def metadata_table(root: Path, path: str) -> tuple[str, ...]:
    write(root, **{"metadata.csv": f"file_name,label\n{path},x\n"})
    return paths_of(Metadata(), root)


def splits_of_arrow(root: Path, path: str) -> tuple[str, ...]:
    write(root, **{"dataset_dict.json": json.dumps({"splits": [path]})})
    return paths_of(HuggingFace(), root)


def files_of_arrow(root: Path, path: str) -> tuple[str, ...]:
    write(root, **{"state.json": json.dumps({"_data_files": [{"filename": path}]})})
    return paths_of(HuggingFace(), root)


def coco_entries(root: Path, path: str) -> tuple[str, ...]:
    for part in ("train", "val"):
        plain = {
            "images": [{"id": 1, "file_name": path}],
            "annotations": [{"image_id": 1, "category_id": 1, "iscrowd": 0}],
            "categories": [{"id": 1, "name": "cat"}],
        }
        write(root, **{f"annotations/instances_{part}2014.json": json.dumps(plain)})
    return read_annotations(root).paths


def image_list(root: Path, path: str) -> tuple[str, ...]:
    write(root, **{"ImageList.txt": f"{path}\n"})
    return tuple(_image_names(root / "ImageList.txt"))


READERS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (
        lists,
        lists_of_another_machine,
        joint_lists,
        table,
        table_with_a_folder,
        table_with_a_suffix,
        table_by_name,
        metadata_lines,
        metadata_of_a_split,
        metadata_table,
        splits_of_arrow,
        files_of_arrow,
        coco_entries,
        image_list,
    )
}
BELOW = {"coco_entries", "image_list", "lists_of_another_machine", "table_with_a_suffix"}
"""Readers that put what they read below a folder, so that an absolute path is none there; of a list
of NUS-WIDE only the last name counts."""


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("reader", READERS)
def test_a_path_leads_nowhere(reader: str, path: str, tmp_path: Path, unread: Outside) -> None:
    root = tmp_path / "root"
    text, says = PATHS[path]
    text = text.replace("{outside}", str(unread.folder))
    found, error = outcome(READERS[reader], root, text)
    if error:
        assert says in error
        return
    assert reader in BELOW, found
    assert found
    for one in found:
        assert not PurePosixPath(one).is_absolute()
        assert ".." not in one.split("/")
        assert "\\" not in one
        assert one.isprintable()


def outcome(reader: Reader, root: Path, text: str) -> tuple[tuple[str, ...], str]:
    """The paths that are read, or the error."""
    try:
        return reader(root, text), ""
    except UsageError as error:
        return (), str(error)


# --- Links ---


def linked_csv(root: Path, outside: Path, *, folder: bool) -> type[ListedDataset]:
    rows = "".join(f"im/{kind}/{n}.png,{kind}\n" for kind in ("cat", "dog") for n in (0, 1))
    write(root, **{"t.csv": f"path,label\n{rows}"})
    way_out(root / "im", outside, folder=folder)
    return CSVTable


def linked_metadata(root: Path, outside: Path, *, folder: bool) -> type[ListedDataset]:
    rows = [
        json.dumps({"file_name": f"im/{kind}/{n}.png", "label": kind})
        for kind in ("cat", "dog")
        for n in (0, 1)
    ]
    write(root, **{"metadata.jsonl": "\n".join(rows)})
    way_out(root / "im", outside, folder=folder)
    return Metadata


def linked_joint(root: Path, outside: Path, *, folder: bool) -> type[ListedDataset]:
    write(
        root,
        **{
            "train.txt": "im/cat/0.png 1 0\nim/dog/0.png 0 1\n",
            "test.txt": "im/cat/1.png 1 0\n",
            "database.txt": "im/cat/0.png 1 0\nim/dog/0.png 0 1\n",
        },
    )
    way_out(root / "im", outside, folder=folder)
    return Lists


def way_out(images: Path, outside: Path, *, folder: bool) -> None:
    """Four images below a folder that is a link, or of which each image is one."""
    if folder:
        images.symlink_to(outside)
        return
    for kind in ("cat", "dog"):
        (images / kind).mkdir(parents=True)
        for n in (0, 1):
            (images / kind / f"{n}.png").symlink_to(outside / kind / f"{n}.png")


@pytest.mark.parametrize("broken", BrokenImages)
@pytest.mark.parametrize("folder", [False, True], ids=["files", "a folder"])
@pytest.mark.parametrize("laid", [linked_csv, linked_metadata, linked_joint])
def test_a_link_leads_no_image_out(
    laid: Callable[..., type[ListedDataset]],
    folder: bool,
    broken: BrokenImages,
    tmp_path: Path,
    unread: Outside,
) -> None:
    dataset = laid(tmp_path / "root", unread.folder, folder=folder)
    with pytest.raises(UsageError, match=r"a link leads the path 'im/cat/\d\.png' out of"):
        dataset(crop=6, broken=broken).load(tmp_path / "root")


def test_a_linked_split_folder_shows_no_image(tmp_path: Path, outside: Outside) -> None:
    """Its names are seen, as those of every folder are; its images are not."""
    root = tmp_path / "root"
    for kind in ("cat", "dog"):
        picture(root / "test" / kind / "0.png", 1)
    (root / "train").symlink_to(outside.folder)
    write(root, **{"test/cat/.hidden": ""})
    with pytest.raises(UsageError, match=r"images lie in no class folder: 'train/canary\.png'"):
        ImageFolder(crop=6).load(root)
    with pytest.raises(UsageError, match=r"a link leads the path 'train/cat/\d\.png' out of"):
        ImageFolder(crop=6, broken=BrokenImages.EXCLUDE).load(root)


def shard(path: Path) -> None:
    content = [{"bytes": (path.parent / f"{n}.png").read_bytes(), "path": None} for n in (0, 1)]
    pq.write_table(pa.table({"image": content, "label": ["cat", "dog"]}), path)


@pytest.mark.parametrize("folder", [False, True], ids=["a file", "a folder"])
def test_a_link_leads_no_parquet_file_out(folder: bool, tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for n in (0, 1):
        picture(elsewhere / f"{n}.png", n)
    shard(elsewhere / "train-00000-of-00001.parquet")
    shard(elsewhere / "test-00000-of-00001.parquet")
    root.mkdir()
    if folder:
        (root / "data").symlink_to(elsewhere)
    else:
        (root / "data").mkdir()
        for name in ("train", "test"):
            file = f"{name}-00000-of-00001.parquet"
            (root / "data" / file).symlink_to(elsewhere / file)
    with (
        opened_below(elsewhere) as opened,
        pytest.raises(
            UsageError, match=r"a link leads the file 'data/.*\.parquet' out of .*links=FOLDER"
        ),
    ):
        HuggingFace(crop=6).load(root)
    assert not [path for path in opened if path.endswith(".parquet")]
    assert HuggingFace(crop=6, links=elsewhere).load(root).classes == ("cat", "dog")


def test_a_name_in_another_form_of_unicode_is_another_name(tmp_path: Path, unread: Outside) -> None:
    root = tmp_path / "root"
    composed, apart = (unicodedata.normalize(form, "\u00e9.png") for form in ("NFC", "NFD"))
    picture(root / "a.png", 1)
    (root / composed).symlink_to(unread.folder / "canary.png")
    if (root / apart).exists():
        pytest.skip("a file system that keeps one form of each name")
    for name in (apart, composed.upper()):
        write(
            root,
            **{
                "train.txt": "a.png 1\n",
                "test.txt": f"{name} 1\n",
                "database.txt": "a.png 1\n",
            },
        )
        with pytest.raises(UsageError, match="no such file"):
            Lists(crop=6).load(root)


# --- What is fetched ---


def test_files_that_are_fetched_have_plain_names() -> None:
    names = [file.name for origin in ORIGINS.values() if origin.fetched for file in origin.files]
    assert names
    for name in names:
        assert PurePosixPath(name).parts == (name,)
        assert name not in (".", "..")


@pytest.mark.parametrize("target", ["canary.txt", "not there"])
def test_nothing_is_fetched_into_a_link(target: str, tmp_path: Path, outside: Outside) -> None:
    to = tmp_path / "to"
    to.mkdir()
    (to / "file.bin").symlink_to(outside.folder / target)
    file = OriginFile("file.bin", 5, "0" * 64, address="http://127.0.0.1:9/file.bin")
    origin = Origin("A file", file.address, "MIT", (("file.bin", ""),), (file,), fetched=True)
    with pytest.raises(UsageError, match="it is there, and is not the file of"):
        fetch(origin, to, no_progress)


# --- Names that are made of somebody's text ---

HOSTILE = st.text(max_size=30) | st.sampled_from(
    ["..", "../../x", "/etc/passwd", "a\0b", "C:\\x", "CON", ".", "", "\u202e", "x" * 5_000]
)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_names_of_text_are_plain(first: str, second: str, third: str) -> None:
    cell = Cell(first, "l", "b", 16, second, third, first, 0, "p", "t")
    suite = compose(None, {"name": first}) if first.strip() else compose(None, {})
    for name in (folder_of(cell), job_name(suite, second)):
        assert PurePosixPath(name).parts == (name,)
        assert name.strip(".") == name
        assert name.isascii()
        assert name.isprintable()
        assert "\\" not in name
        assert len(name) <= 200


# --- What is submitted ---


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


@pytest.mark.parametrize("name", ["submitted", "logs", "plans"])
def test_nothing_is_submitted_through_a_link(
    name: str, trials: Trials, tmp_path: Path, unread: Outside
) -> None:
    out = tmp_path / "results"
    out.mkdir()
    (out / name).symlink_to(unread.folder)
    trial = trials.run(
        "submit", "quick", "--to", "slurm", "--out", str(out), "--print", cwd=tmp_path
    )
    assert trial.code == 2
    assert trial.err == (
        f"Error: {out / name}: it is a link, expected a folder; a run writes into nothing else\n"
    )
