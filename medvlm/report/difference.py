"""The prior taken away from the image of today: what looks different, in units of what differs by itself. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from ..types import Study
from .alignment import Alignment, grey, moved

ALIKE = 0.75  # of `difference`, on the average of a place, below which the two look alike there: on pairs of the train splits
# it withheld 45 of 56 that no given outline bears out, and kept 12 of the 14 that one covers for the most part
DARK = 12  # grey levels of 255 that are background
LEAST_GREY = 2.0  # grey levels that always may differ by themselves

Differences = dict[int, np.ndarray]  # current image -> float (H, W)


def difference(study: Study, prior: Study, alignment: Alignment, examined: Sequence[int]) -> Differences:
    """How much brighter today's images are than the prior that lies on them; brightness and contrast as a whole do not count.

    In units of the root mean square over all that both show; 0 where one shows nothing. `examined` are the prior's images.
    """
    here = grey([study.images[i] for i in alignment.images])
    there = moved(grey([prior.images[i] for i in alignment.prior_images]), alignment.matrix, alignment.current)
    seen = alignment.seen(examined)
    on = np.stack([seen.get(i, np.zeros(here.shape[1:], bool)) for i in alignment.images])
    shown = on & ((here > DARK) | (there > DARK))
    if not shown.any():
        return {}
    spread = max(float(there[shown].std()), 1e-3)
    there = (there - there[shown].mean()) * (float(here[shown].std()) / spread) + here[shown].mean()
    here -= there
    for plane in here:
        ndimage.gaussian_filter(plane, 1.0, output=plane)
    unit = max(float(np.sqrt(np.mean(here[shown] ** 2))), LEAST_GREY)
    here[~on] = 0
    return dict(zip(alignment.images, here / unit, strict=True))


def look_alike(differences: Differences, now: Mapping[int, np.ndarray], before: Mapping[int, np.ndarray]) -> bool:
    """Whether the two studies look the same where some masks of theirs differ; never where no difference is known."""
    values = []
    for image in {*now, *before} & set(differences):
        empty = np.zeros(differences[image].shape, bool)
        values.append(differences[image][now.get(image, empty) ^ before.get(image, empty)])
    found = np.concatenate(values) if values else np.zeros(0)
    return bool(found.size) and abs(float(found.mean())) < ALIKE
