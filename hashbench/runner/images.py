"""Keeps the first attacked images of a cell: while it is attacked, or by attacking them again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hashbench.errors import FileError, StoreError
from hashbench.hashing.encode import ENCODE_BATCH
from hashbench.progress import Progress
from hashbench.results.artifacts import CODES, IMAGES
from hashbench.results.kept_images import KeptImages, address_of_images, kept_images
from hashbench.results.store import Store
from hashbench.runner.attacks import attacked_arrays
from hashbench.runner.determinism import environment, fixed_randomness
from hashbench.runner.evaluation_steps import AdversarialCodes, MoreImages
from hashbench.runner.loading import npz, read_npz


def adversarial_codes(
    step: AdversarialCodes, store: Store, progress: Progress
) -> Mapping[str, bytes]:
    """The codes of the attacked queries; the images of the first ones go to a place of their own.

    That place is written first. So an attack whose codes are stored has its images as well, unless
    none were asked for.
    """
    first = _First(step.keep)
    arrays = attacked_arrays(step, store, progress, seen=first.take)
    if first.images is not None:
        found = KeptImages(first.images, arrays["codes"][: step.keep])
        earlier = _kept(step, store)
        # Those of a run that asked for more stay, where this one only mends the codes.
        if earlier is None or len(earlier) < len(found) or not earlier.are_of(arrays["codes"]):
            about = {
                "label": f"images of {step.label}",
                "from": [step.key],
                "environment": environment(),
            }
            store.write(address_of_images(step.address), {IMAGES: npz(found.arrays())}, about)
    return {CODES: npz(arrays)}


def more_images(step: MoreImages, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """The images of a finished attack, of which fewer were kept: the first queries attacked again.

    They go through the same batches from the same random state, and are encoded in the same blocks;
    so on the machine that made the codes the images are, to the bit, those that were scored.

    Raises:
        StoreError: their codes are others than the stored ones: so are the images.
    """
    adversarial = step.adversarial
    stored = read_npz(store, adversarial, CODES)["codes"]
    first = _First(adversarial.keep)
    with fixed_randomness(adversarial):
        arrays = attacked_arrays(
            adversarial, store, progress, seen=first.take, first=attacked_again(adversarial)
        )
    if first.images is None:
        raise ValueError("no image was to be kept")
    found = KeptImages(first.images, arrays["codes"][: adversarial.keep])
    if not found.are_of(stored):
        wrong = int((found.codes != stored[: len(found)]).any(axis=1).sum())
        raise StoreError(
            f"attacked again here, {wrong} of the first {len(found)} queries get another code than "
            "the stored one, which another processor or version has made: their images would not "
            "be those that were scored; run the cell into a new folder"
        )
    return {IMAGES: npz(found.arrays())}


def attacked_again(step: AdversarialCodes) -> int:
    """How many queries have to be attacked for the images of the first ones.

    Whole batches of the attack that fill the blocks in which these are encoded.
    """
    batch, queries = step.setting.compute.attack_batch, step.setting.source.protocol.query
    block = min(-(-step.keep // ENCODE_BATCH) * ENCODE_BATCH, queries)
    return min(-(-block // batch) * batch, queries)


def has_images(step: MoreImages, store: Store) -> bool:
    """Whether as many images as are wanted are kept, of the codes that are stored.

    Raises:
        FileError: what is kept is damaged.
        StoreError: the codes are.
    """
    found = _kept(step.adversarial, store, damaged=False)
    if found is None or len(found) < step.adversarial.keep:
        return False
    return found.are_of(read_npz(store, step.adversarial, CODES)["codes"])


def _kept(step: AdversarialCodes, store: Store, *, damaged: bool = True) -> KeptImages | None:
    """What is kept of an attack; nothing where that is damaged, unless that is an error."""
    images, bits = step.setting.source.images, step.setting.bits
    shape = (images.channels, images.height, images.width)
    try:
        return kept_images(store, step.address, shape, bits)
    except FileError:
        if damaged:
            return None
        raise


class _First:
    """Takes the first images of those that go by.

    Attributes:
        images: float32 (n, C, H, W), the first ones; `None` where none is wanted, or none came.
    """

    def __init__(self, count: int) -> None:
        self.images: NDArray[np.float32] | None = None
        self._count = count
        self._done = 0

    def take(self, images: Tensor) -> None:
        """Images that are next in order, float32 (B, C, H, W)."""
        part = images[: self._count - self._done]
        if not len(part):
            return
        if self.images is None:
            self.images = np.empty((self._count, *images.shape[1:]), dtype=np.float32)
        self.images[self._done : self._done + len(part)] = part.detach().cpu().numpy()
        self._done += len(part)
