"""Images of an array, resized into the cache, as `entries` does for image files."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashbench.atomic import sweep
from hashbench.data.cache.entries import cores, locked
from hashbench.data.cache.folder import cache_folder, storing
from hashbench.data.cache.index import FORMAT
from hashbench.data.cache.pixel_file import PixelWriter, open_pixels
from hashbench.data.cache.transform import Transform
from hashbench.progress import Progress

_CHUNK = 256


def resized_images(images: NDArray[np.uint8], transform: Transform, progress: Progress) -> Path:
    """The pixel file of these images, resized; made if the cache has none.

    Args:
        images: uint8 (N, 3, H, W).
        transform: resize and crop.
        progress: told (done, total), in images.

    Returns:
        A `.npy` of uint8 (N, 3, crop, crop).

    Raises:
        StoreError: the cache's folder cannot be written, or its disk is full.
    """
    digest = hashlib.sha256(f"hashbench resized {FORMAT} {transform} {images.shape}".encode())
    digest.update(np.ascontiguousarray(images).data)
    key = digest.hexdigest()
    folder = cache_folder() / "images" / key
    path = folder / f"pixels-{key[:16]}.npy"
    shape = (len(images), 3, transform.crop, transform.crop)
    if _whole(path, shape):
        return path
    with storing(folder, "resized images"):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder) as alone:
            if not _whole(path, shape):
                if alone:
                    sweep(folder)
                _write(path, shape, images, transform, progress)
    return path


def _whole(path: Path, shape: tuple[int, ...]) -> bool:
    pixels = open_pixels(path)
    return pixels is not None and pixels.shape == shape


def _write(
    path: Path,
    shape: tuple[int, ...],
    images: NDArray[np.uint8],
    transform: Transform,
    progress: Progress,
) -> None:
    def resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return transform.center(transform.apply(Image.fromarray(image.transpose(1, 2, 0))))

    writer = PixelWriter(path.parent, shape)
    try:
        with ThreadPoolExecutor(cores()) as pool:
            for start in range(0, len(images), _CHUNK):
                chunk = images[start : start + _CHUNK]
                for row, image in enumerate(pool.map(resized, chunk), start=start):
                    writer.write(row, image)
                progress(min(start + _CHUNK, len(images)), len(images))
        writer.finish(path)
    except BaseException:
        writer.abandon()
        raise
