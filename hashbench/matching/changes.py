"""Innocent changes: what people and programs do to pictures without meaning to hide anything.

They are the control of every attack: a threshold that lets them pass is of no use. Each is a pure
function of a picture, its name and a seed; Pillow and numpy decide the bytes. No torch.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, JpegImagePlugin
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.seeds import seed_of

Pixels = NDArray[np.uint8]

PACKAGES: Final = ("pillow", "numpy")
"""The packages whose versions decide what a changed picture is."""

_LONGEST_JPEG: Final = 65_500  # libjpeg's limit
_WORDS: Final = "SAMPLE TEXT"
# Pixels whose noise is drawn at a time: bounds memory, and changes no draw.
_DRAWN: Final = 1 << 20


class Change(ABC):
    """One innocent change with its strength: a frozen dataclass whose fields say how strong.

    Attributes:
        name: the kind of change.
    """

    name: ClassVar[str]

    @property
    def text(self) -> str:
        """The change as tables say it: `jpeg:quality=50`, or `flip`."""
        assert dataclasses.is_dataclass(self)
        said = (f"{field.name}={getattr(self, field.name)}" for field in dataclasses.fields(self))
        strength = ",".join(said)
        return f"{self.name}:{strength}" if strength else self.name

    def apply(self, picture: Pixels, name: str, seed: int) -> Pixels:
        """Return the changed picture: the pixels of the file that somebody saves.

        Args:
            picture: (H, W, 3) uint8, of any size; it is not written to.
            name: of the picture: a change that draws draws anew for each.
            seed: of the run.

        Returns:
            (H', W', 3) uint8; `picture` itself where nothing is left to change.
        """
        draw = np.random.default_rng(seed_of("innocent change", self.text, name, seed))
        return np.ascontiguousarray(self._made(picture, draw))

    @abstractmethod
    def _made(self, picture: Pixels, draw: np.random.Generator, /) -> Pixels:
        """The changed picture."""

    def _refuse_outside(self, value: float, least: float, most: float) -> None:
        if not least <= value <= most:
            raise UsageError(f"{self.text}: expected a value from {least:g} to {most:g}")


@dataclass(frozen=True)
class Jpeg(Change):
    """Saved as JPEG and read again, color at half the resolution.

    Attributes:
        quality: Pillow's, 1 to 100. A side of more than 65,500 pixels fits no JPEG file; such a
            picture stays as it is.
    """

    quality: int
    name: ClassVar[str] = "jpeg"

    def __post_init__(self) -> None:
        self._refuse_outside(self.quality, 1, 100)

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        if max(picture.shape) > _LONGEST_JPEG:
            return picture
        file = BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=self.quality, subsampling="4:2:0")
        # Image.open would refuse large pictures as possible attacks; this file is our own.
        return np.asarray(JpegImagePlugin.JpegImageFile(BytesIO(file.getvalue())))


@dataclass(frozen=True)
class Resize(Change):
    """Brought to another size by Pillow's bicubic.

    Attributes:
        percent: the new height and width in percent of the old ones, rounded, 1 pixel at least.
    """

    percent: int
    name: ClassVar[str] = "resize"

    def __post_init__(self) -> None:
        self._refuse_outside(self.percent, 1, 400)

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        height, width = (max(1, (self.percent * side + 50) // 100) for side in picture.shape[:2])
        resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(resized)


@dataclass(frozen=True)
class Crop(Change):
    """Cut to its middle.

    Attributes:
        percent: how much of the height and of the width is cut off, half at each end, in whole
            pixels (rounded down).
    """

    percent: int
    name: ClassVar[str] = "crop"

    def __post_init__(self) -> None:
        self._refuse_outside(self.percent, 0, 99)

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        rows, columns = (self.percent * side // 100 for side in picture.shape[:2])
        height, width = picture.shape[0] - rows, picture.shape[1] - columns
        top, left = rows // 2, columns // 2
        return picture[top : top + height, left : left + width]


@dataclass(frozen=True)
class Rotate(Change):
    """Turned counter-clockwise about its middle, by bicubic; the size stays, corners are black.

    Attributes:
        degrees: -180 to 180.
    """

    degrees: int
    name: ClassVar[str] = "rotate"

    def __post_init__(self) -> None:
        self._refuse_outside(self.degrees, -180, 180)

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        turned = Image.fromarray(picture).rotate(self.degrees, Image.Resampling.BICUBIC)
        return np.asarray(turned)


@dataclass(frozen=True)
class Flip(Change):
    """Left and right exchanged."""

    name: ClassVar[str] = "flip"

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        return picture[:, ::-1]


@dataclass(frozen=True)
class Blur(Change):
    """Pillow's Gaussian blur.

    Attributes:
        radius: standard deviation in pixels.
    """

    radius: int
    name: ClassVar[str] = "blur"

    def __post_init__(self) -> None:
        self._refuse_outside(self.radius, 0, 100)

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(self.radius))
        return np.asarray(blurred)


@dataclass(frozen=True)
class Gamma(Change):
    """Brightened (below 1) or darkened (above): `255 (v / 255)^exponent`, rounded.

    Attributes:
        exponent: above 0.
    """

    exponent: float
    name: ClassVar[str] = "gamma"

    def __post_init__(self) -> None:
        self._refuse_outside(self.exponent, 0.01, 100)

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        return np.rint(self.curve()).astype(np.uint8)[picture]

    def curve(self) -> NDArray[np.float64]:
        """The new value of each of the 256 old ones, before it is rounded."""
        curve: NDArray[np.float64] = 255 * (np.arange(256) / 255) ** self.exponent
        return curve


@dataclass(frozen=True)
class Noise(Change):
    """Gaussian noise on each channel of each pixel, rounded and cut to 0..255.

    Attributes:
        sigma: standard deviation in steps of 8 bits.
    """

    sigma: int
    name: ClassVar[str] = "noise"

    def __post_init__(self) -> None:
        self._refuse_outside(self.sigma, 0, 255)

    @override
    def _made(self, picture: Pixels, draw: np.random.Generator, /) -> Pixels:
        noisy = np.empty_like(picture)
        step = max(1, _DRAWN // picture.shape[1])
        for start in range(0, picture.shape[0], step):
            rows = picture[start : start + step]
            values = rows + self.sigma * draw.standard_normal(rows.shape)
            noisy[start : start + step] = np.rint(values).clip(0, 255)
        return noisy


@dataclass(frozen=True)
class Border(Change):
    """A black frame around the picture, which grows by it.

    Attributes:
        percent: width of the frame in percent of the shorter side, in whole pixels (rounded down).
    """

    percent: int
    name: ClassVar[str] = "border"

    def __post_init__(self) -> None:
        self._refuse_outside(self.percent, 0, 100)

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        frame = self.percent * min(picture.shape[:2]) // 100
        return np.pad(picture, ((frame, frame), (frame, frame), (0, 0)))


@dataclass(frozen=True)
class Text(Change):
    """Words over the picture: white letters with a black shadow, at the left of the bottom.

    They take about half of the width, in whole multiples of Pillow's built-in letters; what does
    not fit on a small picture is cut off.
    """

    name: ClassVar[str] = "text"

    @override
    def _made(self, picture: Pixels, _draw: np.random.Generator, /) -> Pixels:
        words = _words()
        scale = max(1, picture.shape[1] // (2 * words.shape[1]))
        words = words.repeat(scale, axis=0).repeat(scale, axis=1)
        written = picture.copy()
        # A letter's stroke is `scale` pixels wide: so is the way to its shadow, and to the edges.
        top = max(0, picture.shape[0] - words.shape[0] - 2 * scale)
        for shift, value in ((scale, 0), (0, 255)):
            room = written[top + shift :, scale + shift :]
            room = room[: words.shape[0], : words.shape[1]]
            room[words[: room.shape[0], : room.shape[1]]] = value
        return written


@cache
def _words() -> NDArray[np.bool_]:
    """Where the letters are, without empty rows and columns around them."""
    # The letters that Pillow brings as a bitmap: no library for fonts has a say in them. Older
    # Pillow has them under another name.
    load = getattr(ImageFont, "load_default_imagefont", ImageFont.load_default)
    font = load()
    box = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), _WORDS, font=font)
    page = Image.new("1", (int(box[2]) + 1, int(box[3]) + 1))
    ImageDraw.Draw(page).text((0, 0), _WORDS, fill=1, font=font)
    ink = np.asarray(page, dtype=np.bool_)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


CHANGES: Final[tuple[Change, ...]] = (
    *(Jpeg(quality) for quality in (95, 85, 75, 50, 30, 10)),
    *(Resize(percent) for percent in (25, 50, 75, 200)),
    *(Crop(percent) for percent in (1, 5, 10, 20)),
    *(Rotate(degrees) for degrees in (1, 5, 15)),
    Flip(),
    *(Blur(radius) for radius in (1, 2)),
    *(Gamma(exponent) for exponent in (0.8, 1.25)),
    *(Noise(sigma) for sigma in (2, 5, 10)),
    Border(5),
    Text(),
)
"""The changes that a table of matches counts, in its order."""
