"""docs/data.md names data sets and parameters that there are; its trees are read as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hashbench import plugins
from hashbench.data.layouts.columns import LABEL_COLUMNS, PATH_COLUMNS
from hashbench.data.layouts.roles import KINDS
from hashbench.data.lists.dataset import ListedDataset
from support.crafted_images import sound_image
from support.package import REPOSITORY

PAGE = (REPOSITORY / "docs/data.md").read_text()
OWN = PAGE.partition("## Photographs of your own")[2].partition("### Which split is what")[0]

COMMANDS = sorted(
    set(re.findall(r"^    (?:\$ )?hashbench .*?(?:--dataset|check) (\S+)", PAGE, re.M))
)
SAID = sorted(set(re.findall(r"`((?:[a-z0-9-]+):[a-z_]+=[^`\s]+)`", PAGE)))


@pytest.mark.parametrize("spec", [*COMMANDS, *(text for text in SAID if not text.endswith("="))])
def test_what_is_named_can_be_built(spec: str) -> None:
    assert plugins.get("dataset", spec)


@pytest.mark.parametrize("parameters", sorted(set(re.findall(r"`(labels=\S+?)`", OWN))))
def test_columns_of_tables_are_written_as_the_page_says(parameters: str) -> None:
    name = "huggingface" if "fine" in parameters else "csv"
    if "objects." in parameters:
        name = "metadata"
    assert plugins.get("dataset", f"{name}:{parameters}")


def test_names_of_splits_are_those_of_the_code() -> None:
    table = PAGE.partition("### Which split is what")[2].partition("Names count")[0]
    for names in KINDS.values():
        assert all(name in table for name in names)


def test_usual_names_of_columns_are_some_of_the_code() -> None:
    said = re.search(r"usual names \((.*?), \.\.\.; (.*?), \.\.\.\)", " ".join(OWN.split()))
    assert said
    assert set(said[1].split(", ")) <= set(PATH_COLUMNS)
    assert set(said[2].split(", ")) <= set(LABEL_COLUMNS)


def block(title: str) -> list[tuple[str, str]]:
    """The two columns of a section's first block."""
    section = OWN.partition(title)[2]
    lines = re.findall(r"^    (\S.*)$", section.partition("hashbench run")[0], re.M)
    return [tuple(re.split(r"  +", f"{line}  ")[:2]) for line in lines]  # type: ignore[misc]


def write(root: Path, paths: list[str]) -> None:
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(sound_image("PNG", compress_level=number % 9))


def read(spec: str, root: Path) -> ListedDataset:
    dataset = plugins.get("dataset", spec)
    assert isinstance(dataset, ListedDataset)
    assert dataset.listing(root).query
    return dataset


def test_the_trees_of_class_folders(tmp_path: Path) -> None:
    left, right = zip(*block("### Class folders"), strict=True)
    for name, paths in (("one", left), ("splits", right)):
        more = [path.replace(".jpg", f"-{n}.jpg") for path in paths for n in range(3)]
        if name == "splits":  # the page shows one image of each folder
            more += [path.replace("dog", "cat") for path in more]
            more += [path.replace("cat", "dog") for path in more]
        write(tmp_path / name, sorted(set(more)))
        read("image-folder", tmp_path / name / "photos")


def test_the_table_and_the_metadata(tmp_path: Path) -> None:
    header, *rows = [right for _, right in block("### Tables")]
    root = tmp_path / "table/photos"
    write(root, [f"im/{n}.jpg" for n in range(1, 9)])
    more = [
        row.replace("im/", "im/").replace("1.jpg", f"{n}.jpg")
        for n in range(3, 9)
        for row in rows[:1]
    ]
    (root / "labels.csv").write_text("\n".join([header, *rows, *more]))
    read("csv:path=path,labels=label", root)
    rows = [right for _, right in block("### Metadata")]
    root = tmp_path / "metadata/photos"
    write(root, [f"{n}.jpg" for n in range(1, 9)])
    more = [rows[0].replace("1.jpg", f"{n}.jpg") for n in range(3, 9)]
    (root / "metadata.jsonl").write_text("\n".join([*rows, *more]))
    read("metadata", root)
