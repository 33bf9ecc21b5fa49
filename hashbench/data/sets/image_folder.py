"""The data set `image-folder`: images below class folders, with or without split folders."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from hashbench.characters import shortened, shown
from hashbench.data.layouts import roles
from hashbench.data.layouts.folders import (
    Entry,
    Naming,
    Tree,
    entries,
    first_of,
    holds_images,
    in_order,
    read_tree,
)
from hashbench.data.layouts.own import Found, OwnDataset, check_size, one_hot
from hashbench.data.layouts.recognised import Layout, looks_like, recognised
from hashbench.data.lists.dataset import BrokenImages
from hashbench.data.lists.listing import ListedSplit
from hashbench.data.sources import local_name
from hashbench.errors import UsageError
from hashbench.plugins import dataset


class Folders(StrEnum):
    """What the folders below the root are."""

    AUTO = "auto"  # splits where their names say so
    SPLITS = "splits"
    CLASSES = "classes"


@dataset("image-folder", cite="the layout of torchvision's ImageFolder, of timm, Kaggle and others")
@dataclass(frozen=True)
class ImageFolder(OwnDataset):
    """Images of your own below class folders: `photos/cat/1.jpg`, `photos/train/cat/1.jpg`.

    Folders named train (training), test, val (valid, validation, dev), query (queries) and
    database (gallery, db), in any case, are splits where there is one to train on or search in and
    one to search with: queries come from query, else test, else val; the database is database,
    else the train set. Otherwise every folder is a class, and a split is drawn: by default a tenth
    of each class are queries, all others both database and train set. Each image has the one class
    of its folder. Hidden files and files that are no images by their suffix are passed over.

    Attributes:
        broken: what becomes of missing and undecodable images, of class folders without an image,
            and of images that lie in no class folder: `fail` or `exclude`.
        layout: whether the folders below the root are `splits` or `classes`; by default their
            names say it.
        classes: which folder names the class where they are nested: `top`, the first one
            (torchvision); `leaf`, the one that holds the image (timm); `path`, all of them.
    """

    layout: Folders = Folders.AUTO
    classes: Naming = Naming.TOP

    holds: ClassVar[str] = "class folders of images"

    @override
    def find(self, home: Path) -> Found:
        every = entries(home)
        folders = [entry for entry in every if entry.folder]
        if not folders:
            name = shown(home.resolve().name)
            above = " (is the folder above meant?)" if any(one.image for one in every) else ""
            raise UsageError(
                f"{home}: no class folders{above}; expected images as in {name}/cat/1.jpg, or "
                f"{name}/train/cat/1.jpg{looks_like(home, Layout.CLASS_FOLDERS)}"
            )
        splits = self._splits(home, folders)
        if self.layout is Folders.AUTO:
            self._refuse_other_layouts(home, splits)
        links = self.linked()
        trees = {name: read_tree(home, name, self.classes, links) for name in splits} or {
            "": read_tree(home, "", self.classes, links)
        }
        self._refuse(home, trees)
        names = in_order([name for tree in trees.values() for name in tree.names])
        check_size(home, sum(len(tree.paths) for tree in trees.values()), len(names))
        columns = {name: column for column, name in enumerate(names)}
        parts = {
            split: ListedSplit(
                home / local_name(split),
                tree.paths,
                one_hot([columns[name] for name in tree.names], len(names)),
                lines=False,
            )
            for split, tree in trees.items()
        }
        return Found(parts, tuple(map(shown, names)))

    def _splits(self, home: Path, folders: Sequence[Entry]) -> list[str]:
        """The split folders; none where every folder is a class."""
        names = [entry.name for entry in folders]
        asked = self._asked.names
        if asked and self.layout is not Folders.CLASSES:
            wanted = {name for some in asked.values() for name in some}
            unknown = wanted - set(names)
            known = {name for name in names if roles.kind_of(name)}
            return sorted((wanted | known) - unknown)
        if self.layout is Folders.CLASSES:
            return []
        if self.layout is Folders.SPLITS:
            return [name for name in names if roles.kind_of(name)] or names
        kinds = [name for name in names if roles.kind_of(name)]
        if not kinds or not (roles.are_splits(kinds) or len(kinds) == len(names)):
            return []
        others = [name for name in names if name not in kinds]
        beside = [name for name in others if holds_images(home / local_name(name))]
        if beside:
            raise UsageError(
                f"{home}: the folders {roles.listed(kinds)} are splits by their names, but "
                f"{roles.listed(beside)} beside them hold images too; say layout=splits to leave "
                "them out, or layout=classes if all of these are classes"
            )
        return kinds

    def _refuse_other_layouts(self, home: Path, splits: Sequence[str]) -> None:
        """Refuse images whose labels lie beside them: their folders may be no classes.

        A table beside split folders is common, and then it is not needed.
        """
        others = (Layout.LISTS, Layout.HUGGINGFACE, Layout.METADATA, Layout.CSV)
        for layout in others:
            beside = recognised(home, layout)
            if beside and not (layout is Layout.CSV and splits):
                raise UsageError(
                    f"{home}: it holds {shown(shortened(beside))} beside its folders"
                    f"{looks_like(home, Layout.CLASS_FOLDERS)}; if its folders are the classes all "
                    "the same, say layout=classes, or layout=splits"
                )

    def _refuse(self, home: Path, trees: dict[str, Tree]) -> None:
        """Refuse what would be left out in silence, and trees that mean something else."""
        excluding = self.broken is BrokenImages.EXCLUDE
        for split, tree in trees.items():
            where = home / local_name(split)
            if not tree.paths:
                what = "images, but no class folders" if tree.stray else "no images"
                other = (
                    "; if the folders are the classes, say layout=classes"
                    if split and tree.stray
                    else ""
                )
                raise UsageError(
                    f"{where}: it holds {what}; expected images as in "
                    f"{shown(where.resolve().name)}/cat/1.jpg{other}"
                    f"{looks_like(home, Layout.CLASS_FOLDERS)}"
                )
            if tree.stray and not excluding:
                raise UsageError(
                    f"{where}: images lie in no class folder: {first_of(tree.stray)}; move them, "
                    f"or leave them out with broken=exclude{looks_like(home, Layout.CLASS_FOLDERS)}"
                )
        filled = {name for tree in trees.values() for name in tree.names}
        lacking = [
            path
            for tree in trees.values()
            for path in tree.empty
            if self.classes is not Naming.TOP or path.rpartition("/")[2] not in filled
        ]
        if lacking and not excluding:
            raise UsageError(
                f"{home}: class folders without an image: {first_of(lacking)}; remove them, or "
                "leave them out with broken=exclude"
            )
        if len(filled) == 1:
            (name,) = filled
            inner = shlex.quote(str(home / local_name(name)))
            deeper = (
                f"; if the folders in it are the classes or splits, name it: --root {inner}, or "
                "say classes=leaf"
                if any(tree.nested for tree in trees.values())
                else looks_like(home, Layout.CLASS_FOLDERS)
            )
            raise UsageError(
                f"{home}: there is one class, '{shown(name)}', so that every image is relevant to "
                f"every other{deeper}"
            )
