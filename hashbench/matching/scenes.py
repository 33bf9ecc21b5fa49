"""The set of pictures that needs no file: `scenes`, drawn by a program, the same everywhere.

No photograph may be shipped with this package, and Fashion-MNIST is too small and grey for hashes
of photographs. So here are pictures that share what hashes look at in photographs: objects of all
sizes that hide each other, whose number falls with the third power of their radius. Such "dead
leaves" share the power spectrum of natural images, their sharp edges and their flat places (Lee,
Mumford and Huang, "Occlusion Models for Natural Images", IJCV 2001). Each scene has light that
changes across it, a ground or none, colours of its own, texture, a background out of focus, and the
noise of a sensor. At 256 x 256 the power falls with the 2.9th power of the frequency, that of 64
photographs of COCO with the 2.6th; PDQ gives every scene its best quality, 100, and two scenes
differ in 128 of its 256 bits on the mean, 102 at least (two of the photographs: 128 and 100).

What they do not show: what people photograph. They hold no faces, no text, and less contrast (47
steps of 8 bits from the mean, the photographs 62). What is measured on them holds for busy
pictures; for a moderation queue, take its own.

They are drawn in whole numbers alone, from SHAKE-256 of a scene's number; the radii take one square
root and one division, which every processor rounds alike. So the 8-bit pictures are the same bytes
on every machine. They are a work of this program, and its license holds for them.
"""

from __future__ import annotations

import hashlib
from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.seeds import seed_of

COUNT: Final = 64
"""Pictures of the set."""

HEIGHT: Final = 384
"""Rows of each."""

WIDTH: Final = 512
"""Columns of each."""

_LEAVES: Final = 1200
"""Objects of a scene: more than it takes to cover it."""

_SMALLEST, _LARGEST = 6, 170
"""Radii, in pixels."""

_FULL: Final = 1 << 16
"""Light that saturates the sensor."""

_CURVE: Final = np.array([isqrt(light * 255 * 255 // _FULL) for light in range(_FULL)], np.int32)
"""From light to steps of 8 bits: the square root, close to what cameras do."""

Whole = NDArray[np.int32]


class _Draws:
    """Whole numbers out of one long stream of bytes."""

    def __init__(self, *parts: object) -> None:
        self._parts = parts
        self._drawn = 0

    def octets(self, count: int) -> NDArray[np.uint8]:
        """So many numbers from 0 to 255."""
        seed = seed_of("scenes", *self._parts, self._drawn)
        self._drawn += 1
        return np.frombuffer(hashlib.shake_256(seed.to_bytes(8, "big")).digest(count), np.uint8)

    def words(self, count: int) -> NDArray[np.int64]:
        """So many numbers from 0 to 65,535."""
        return self.octets(2 * count).view("<u2").astype(np.int64)

    def between(self, low: int, high: int, count: int) -> Whole:
        """So many numbers from `low` to `high`, both among them; at most 65,535 apart."""
        return (low + ((self.words(count) * (high - low + 1)) >> 16)).astype(np.int32)


def scene(number: int) -> NDArray[np.uint8]:
    """Draw one scene.

    Args:
        number: from 0 to `COUNT - 1`; a larger one gives further scenes of the same kind.

    Returns:
        (HEIGHT, WIDTH, 3) uint8, red, green and blue.
    """
    draws = _Draws(number)
    texture = _texture(draws)
    light = _painted(draws, texture)
    light = (light >> 8) * (_lattice(draws, 160, 60, 440) + 40)[:, :, None]
    steps = _CURVE[light.clip(0, _FULL - 1)]
    return _sensed(draws, _soft(steps, 6)).astype(np.uint8)


def _painted(draws: _Draws, texture: Whole) -> Whole:
    """Light of (HEIGHT, WIDTH, 3): leaf upon leaf, the ones behind out of focus."""
    palette = _palette(draws)
    canvas = np.empty((HEIGHT, WIDTH, 3), np.int32)
    ramp = (np.arange(HEIGHT, dtype=np.int32) * 255 // (HEIGHT - 1))[:, None, None]
    top, bottom = palette[0], palette[1]
    canvas[:] = (top * (255 - ramp) + bottom * ramp) >> 8
    radii = _radii(draws)
    rows, columns = (
        draws.between(-60, HEIGHT + 59, _LEAVES),
        draws.between(-60, WIDTH + 59, _LEAVES),
    )
    horizon = int(draws.between(-HEIGHT, HEIGHT // 2, 1)[0])
    shapes = np.stack(
        [
            draws.between(-63, 64, _LEAVES),
            draws.between(-63, 64, _LEAVES),
            draws.between(0, 2, _LEAVES),
            draws.between(90, 256, _LEAVES),
            draws.between(-20, 20, _LEAVES),
            draws.between(0, 90, _LEAVES),
        ],
        axis=1,
    )
    colours = palette[draws.between(0, len(palette) - 1, _LEAVES)]
    brightness = draws.between(40, 480, 3 * _LEAVES).reshape(_LEAVES, 3)
    grey = draws.between(20, 300, _LEAVES)[:, None]
    colours = (colours * ((grey * 3 + brightness) >> 2)) >> 8
    order = np.argsort(rows, kind="stable") if horizon > 0 else np.arange(_LEAVES)
    for place, leaf in enumerate(order):
        if place == _LEAVES // 2:
            canvas = _soft(_soft(canvas))
        row = int(rows[leaf])
        if row < horizon:  # what is above the ground is nearly empty
            if leaf % 8:
                continue
        elif horizon > 0:  # nearer things are larger
            radii[leaf] = max(4, int(radii[leaf]) * (row - horizon + 60) // 200)
        _paint(
            canvas, texture, row, int(columns[leaf]), int(radii[leaf]), shapes[leaf], colours[leaf]
        )
    return canvas


def _paint(
    canvas: Whole,
    texture: Whole,
    row: int,
    column: int,
    radius: int,
    shape: Whole,
    colour: Whole,
) -> None:
    """Put one leaf on top: an ellipse, a rectangle or a rhombus, turned, shaded and textured."""
    a, b, kind, narrow, slope, rough = (int(one) for one in shape)
    norm = isqrt(a * a + b * b) or 1
    top, bottom = max(0, row - radius), min(HEIGHT, row + radius + 1)
    left, right = max(0, column - radius), min(WIDTH, column + radius + 1)
    if top >= bottom or left >= right:
        return
    down = np.arange(top - row, bottom - row, dtype=np.int32)[:, None]
    along = np.arange(left - column, right - column, dtype=np.int32)
    u = (a * along + b * down) // norm
    v = ((b * along - a * down) // norm * 256) // narrow
    if kind == 0:
        inside = u * u + v * v <= radius * radius
    elif kind == 1:
        inside = (abs(u) * 10 <= radius * 7) & (abs(v) * 10 <= radius * 7)
    else:
        inside = abs(u) + abs(v) <= radius
    grain = texture[(row * 7) % HEIGHT :, (column * 5) % WIDTH :]
    grain = grain[: bottom - top, : right - left]
    shade = 256 + (slope * u) * 8 // radius + ((grain * rough) >> 6)
    place = canvas[top:bottom, left:right]
    painted = (colour * shade.clip(32, 480)[:, :, None]) >> 8
    np.copyto(place, painted, where=inside[:, :, None])


def _palette(draws: _Draws) -> Whole:
    """Light of the colours of a scene, (6, 3): the mean of them is nearly grey."""
    dark = draws.words(6)
    base = (1_500 + ((dark * dark) >> 16)).astype(np.int32)[:, None]
    tint = draws.between(110, 256, 18).reshape(6, 3)
    return (base >> 8) * tint


def _radii(draws: _Draws) -> Whole:
    """Radii whose number falls with the third power: the inverse of their distribution."""
    share = draws.words(_LEAVES).astype(np.float64) / (1 << 16)
    least = (_SMALLEST * _SMALLEST) / (_LARGEST * _LARGEST)
    return (_SMALLEST / np.sqrt(1 - share * (1 - least))).astype(np.int32)


def _texture(draws: _Draws) -> Whole:
    """Roughness of surfaces, twice as high and wide as a scene, from about -256 to 256."""
    field = np.zeros((HEIGHT, WIDTH), np.int32)
    for cell in (2, 4, 8, 16, 32):
        field += _lattice(draws, cell, -64, 64)
    return np.tile(field, (2, 2))


def _lattice(draws: _Draws, cell: int, low: int, high: int) -> Whole:
    """Random values on a lattice, linear between them; (HEIGHT, WIDTH)."""
    down, along = HEIGHT // cell + 2, WIDTH // cell + 2
    values = draws.between(low, high, down * along).reshape(down, along)
    place, share = np.divmod(np.arange(WIDTH, dtype=np.int32), np.int32(cell))
    r, s = place[:HEIGHT], share[:HEIGHT, None]
    rows = values[r] * (cell - s) + values[r + 1] * s
    c, t = place[:WIDTH], share[:WIDTH]
    both: Whole = (rows[:, c] * (cell - t) + rows[:, c + 1] * t) // (cell * cell)
    return both


def _soft(picture: Whole, own: int = 2) -> Whole:
    """A lens: `own` parts of each pixel and one of each neighbour, along both axes."""
    for axis in (0, 1):
        turned = picture.swapaxes(0, axis)
        soft = turned * own
        soft[1:] += turned[:-1]
        soft[:-1] += turned[1:]
        soft[0] += turned[0]
        soft[-1] += turned[-1]
        soft //= own + 2
        picture = soft.swapaxes(0, axis)
    return picture


def _sensed(draws: _Draws, steps: Whole) -> Whole:
    """With the noise of a sensor, some two or three steps of 8 bits: the sum of two even draws."""
    drawn = draws.octets(2 * steps.size).reshape(2, *steps.shape)
    noise = drawn[0].astype(np.int32) + drawn[1] - 255
    seen: Whole = (steps + ((noise * 6 + 128) >> 8)).clip(0, 255)
    return seen
