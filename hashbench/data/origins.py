"""Where the literature's data sets come from: the one table that the command and the docs tell.

Sizes and checksums are those that the origin states, or that were counted on its files; where none
is public the entry has none. No address is asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class OriginFile:
    """A file as it is downloaded.

    Attributes:
        name: of the file, below the data folder.
        size: its bytes; `None` where they are not public.
        sha256, md5: of the file; empty where none is public.
        address: where it lies; empty where the data set's address leads to it.
        about: what else there is to know, such as a rounded size.
    """

    name: str
    size: int | None = None
    sha256: str = ""
    md5: str = ""
    address: str = ""
    about: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from.

    Attributes:
        title: its name in papers.
        address: the page of its makers.
        licence: under which terms.
        tree: the folder that `--root` names, line by line: a path, and what it is.
        files: what is downloaded.
        lists: where the list files come from; empty where there are none.
        list_files: the list files that were counted, below the folder; they come from `lists`.
        notes: what one has to know.
        fetched: whether `hashbench data get NAME --fetch` may take the files: the licence allows
            it, the address is stable, and each file has a SHA-256.
    """

    title: str
    address: str
    licence: str
    tree: tuple[tuple[str, str], ...]
    files: tuple[OriginFile, ...] = ()
    lists: tuple[str, ...] = ()
    list_files: tuple[OriginFile, ...] = ()
    notes: tuple[str, ...] = ()
    fetched: bool = False

    @property
    def size(self) -> int:
        """Bytes of all files together, as far as they are known."""
        return sum(file.size or 0 for file in self.files)


_PROS_GAN: Final = (
    "https://github.com/xunguangwang/ProS-GAN, folder data/ (no licence is stated); the "
    "repositories of CgAT, https://github.com/xunguangwang/CgAT, and SAAT, "
    "https://github.com/xandery-geek/SAAT, read files of these names, and hold none"
)
_LISTS: Final = "train_img.txt, train_label.txt, test_img.txt, test_label.txt"
_ENDS: Final = ("img", "label")
_ZALANDO: Final = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
)


def _garments(name: str, size: int, md5: str, sha256: str) -> OriginFile:
    return OriginFile(f"{name}.gz", size, sha256, md5, f"{_ZALANDO}/{name}.gz")


def _counted(*files: tuple[int, str]) -> tuple[OriginFile, ...]:
    """List files by their bytes and SHA-256: train, test and, where it is there, database."""
    names = (f"{stem}_{end}.txt" for stem in ("train", "test", "database") for end in _ENDS)
    return tuple(
        OriginFile(name, size, sha256) for name, (size, sha256) in zip(names, files, strict=False)
    )


ORIGINS: Final[Mapping[str, Origin]] = MappingProxyType(
    {
        "fashion-mnist": Origin(
            title="Fashion-MNIST, 70,000 grey images of 28 x 28 pixels, 10 classes",
            address="https://github.com/zalandoresearch/fashion-mnist",
            licence="MIT, Zalando SE 2017",
            tree=(
                ("train-images-idx3-ubyte.gz", "60,000 images; plain or as .gz, as all four"),
                ("train-labels-idx1-ubyte.gz", ""),
                ("t10k-images-idx3-ubyte.gz", "10,000 images"),
                ("t10k-labels-idx1-ubyte.gz", ""),
            ),
            files=(
                _garments(
                    "train-images-idx3-ubyte",
                    26_421_880,
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                _garments(
                    "train-labels-idx1-ubyte",
                    29_515,
                    "25c81989df183df01b3e8a0aad5dffbe",
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                _garments(
                    "t10k-images-idx3-ubyte",
                    4_422_102,
                    "bef4ecab320f06d8554ea6380940ec79",
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                _garments(
                    "t10k-labels-idx1-ubyte",
                    5_148,
                    "bb300cfdad3c16e7a12a480ee83cd310",
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
            notes=(
                (
                    "A part of it ships with hashbench: the data sets fashion and outfits need no "
                    "folder."
                ),
            ),
            fetched=True,
        ),
        "flickr25k": Origin(
            title="MIRFLICKR-25K, 25,000 photographs from Flickr, 38 labels",
            address="https://press.liacs.nl/mirflickr/mirdownload.html",
            licence="each photograph under its own Creative Commons licence, listed in the archive",
            tree=(
                (f"FLICKR-25K/{_LISTS}", "the lists"),
                ("FLICKR-25K/database_img.txt, database_label.txt", ""),
                ("FLICKR-25K/mirflickr/im1.jpg ... im25000.jpg", "as the archive unpacks"),
            ),
            files=(
                OriginFile(
                    "mirflickr25k.zip", 3_069_184_257, md5="a23d0a8564ee84cda5622a6c2f947785"
                ),
            ),
            lists=(
                _PROS_GAN,
                (
                    "another split (1,000 / 4,000 / 20,000): "
                    "https://github.com/swuxyj/DeepHash-pytorch, folder data/mirflickr (MIT); "
                    "read it with --dataset lists, and take off what its paths begin with (strip=)"
                ),
            ),
            list_files=_counted(
                (107_828, "c1b84402e3ac3b17e70c81df290b7c3432d9d86a72b6c6d50154ef6ad104db23"),
                (380_000, "33be7b59bd65da4e4665c5015cae27ddcc5ee5af54aa6e4fd0c0a8869c35d571"),
                (36_647, "0e5552c6465d1ec3f5e4f6c69299f3560b618c6bd4ec193e31f19f5c628f48b8"),
                (129_200, "a77dd8ab9341bea3bb52a670d0b30b9003a4982c7fa99b3994bdd3dd642e4307"),
                (502_247, "829d270f92840bfe73aadd8b30fea12306a97e17adfa240c1f9f94d570aed3db"),
                (1_770_800, "5011eac878e47072fe5c64184579df9a25f5880c9ee9658b8b08ca31fbc897dc"),
            ),
        ),
        "nus-wide": Origin(
            title="NUS-WIDE, 269,648 photographs from Flickr, 81 concepts, 21 of them used",
            address=(
                "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
            ),
            licence=(
                "Flickr photographs under their own licences; sent on request, after an agreement "
                "is signed, for research"
            ),
            tree=(
                (f"NUS-WIDE/{_LISTS}", "the lists"),
                ("NUS-WIDE/images/0222_335192179.jpg ...", "the photographs"),
                ("NUS-WIDE/ImageList/Imagelist.txt", "from the page, for the database list"),
                ("NUS-WIDE/Groundtruth/AllLabels/Labels_*.txt", "from the page, likewise"),
            ),
            lists=(
                (
                    f"{_PROS_GAN}. The database list is too large for the repository, and is "
                    "rebuilt from ImageList and Groundtruth"
                ),
                (
                    "another split, of 223,496 images: https://github.com/thuml/HashNet, folder "
                    "pytorch/data/nuswide_81 (MIT); read it with --dataset lists"
                ),
            ),
            list_files=_counted(
                (277_175, "ea458f7f41273290c0501bd8c234e84f69e335e4be0830f8d1eed34f5ef30f2a"),
                (451_500, "8e7813487e284ca2c310861f5f49f87087b3557d5cbe3d0a805cd103e12f2070"),
                (55_394, "a1966774165da8db56c05b0ea4f8f2353ea20fe0225d7414573ce43ee3080ba6"),
                (90_300, "5c5ed44f68635ffc3797663dc2c3af7fc956ce4f19b9651ea0cee15396a4b5f3"),
            ),
            notes=("The makers state no sizes and no checksums of the photographs.",),
        ),
        "ms-coco": Origin(
            title="MS-COCO of 2014, 123,287 photographs, 80 categories",
            address="https://cocodataset.org/#download",
            licence="photographs under their Flickr licences; annotations CC BY 4.0",
            tree=(
                (f"MS-COCO/{_LISTS}", "the lists"),
                ("MS-COCO/train2014/COCO_train2014_000000127540.jpg ...", "the photographs"),
                ("MS-COCO/val2014/COCO_val2014_*.jpg", ""),
                ("MS-COCO/annotations/instances_train2014.json", "for the database list"),
                ("MS-COCO/annotations/instances_val2014.json", ""),
            ),
            files=(
                OriginFile(
                    "train2014.zip",
                    address="http://images.cocodataset.org/zips/train2014.zip",
                    about="13 GB",
                ),
                OriginFile(
                    "val2014.zip",
                    address="http://images.cocodataset.org/zips/val2014.zip",
                    about="6 GB",
                ),
                OriginFile(
                    "annotations_trainval2014.zip",
                    address=(
                        "http://images.cocodataset.org/annotations/annotations_trainval2014.zip"
                    ),
                    about="241 MB",
                ),
            ),
            lists=(
                (
                    f"{_PROS_GAN}. The database list is too large for the repository, and is "
                    "rebuilt from the annotations"
                ),
                (
                    "another split: https://github.com/thuml/HashNet, folder pytorch/data/coco "
                    "(MIT); read it with --dataset lists"
                ),
            ),
            list_files=_counted(
                (407_064, "4ea0991a8014a6d062b79b0534e23f7ac254eddd1e0e624fc8c279290850891f"),
                (1_600_000, "af551c5530ceb6f9c3b88231f9440f8609efb64ac1de6d20b43518df4e65b921"),
                (203_572, "1f7c0069a4b35c0783e3b5159121a2109622bd363e143ce6a3221187a492b858"),
                (800_000, "f94d2af72abf536f3096f65347984ae930a18ef72973274802548eb29c23092d"),
            ),
            notes=("The makers publish no checksums.",),
        ),
        "cifar10": Origin(
            title="CIFAR-10, 60,000 colour images of 32 x 32 pixels, 10 classes; binary version",
            address="https://www.cs.toronto.edu/~kriz/cifar.html",
            licence="none is stated; the makers ask to cite Krizhevsky, 2009",
            tree=(
                (
                    "cifar-10-batches-bin/data_batch_1.bin ... data_batch_5.bin",
                    "10,000 images each",
                ),
                ("cifar-10-batches-bin/test_batch.bin", "10,000 images"),
            ),
            files=(
                OriginFile(
                    "cifar-10-binary.tar.gz",
                    170_052_171,
                    md5="c32a1d4ab5d03f1284b67883e8d87530",
                    address="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                ),
            ),
            notes=(
                "Take the binary version: the pickles of the Python version are not opened.",
                "The splits are hashbench's own, since DeepHash-pytorch draws them without a seed.",
            ),
        ),
        "imagenet100": Origin(
            title="ImageNet (ILSVRC 2012), 100 of its classes",
            address="https://www.image-net.org/download.php",
            licence="after registration, for research and education",
            tree=(
                ("ImageNet-100/train.txt, test.txt, database.txt", "the lists"),
                ("ImageNet-100/...", "the photographs, where the lists say"),
            ),
            lists=(
                (
                    "https://github.com/thuml/HashNet, folder pytorch/data/imagenet (MIT), and "
                    "https://github.com/swuxyj/DeepHash-pytorch, folder data/imagenet (MIT), which "
                    "copies them"
                ),
            ),
            notes=(
                (
                    "HashNet's README leads to an archive of the images that its lists name, "
                    "imagenet.tar.gz, on Google Drive; no size and no checksum is stated."
                ),
            ),
        ),
    }
)
"""By the name of the data set."""

SHIPPED: Final = ("fashion", "outfits")
"""Data sets that ship with the package."""


def advice(name: str) -> str:
    """What to add to an error of a data set that is not there; empty where nothing is known of it.

    Args:
        name: of the data set's card.
    """
    if name not in ORIGINS:
        return ""
    return f"; where to get it, and the folder that is expected: hashbench data get {name}"
