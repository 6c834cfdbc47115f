"""Whether the numbers of an image whose file names no modality are Hounsfield units, by the shape of their histogram.

CT is told by two steep hills with next to nothing between them: air (or lung), and fat and soft tissue around zero,
which hold most of what is not air in a narrow range, on both sides of zero. Nothing lies below air but one number that
stands for "not scanned". No single number tells it: phases of MR reach -4096, and -1000 marks the background of many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OFFSETS = (0.0, 32768.0, 1024.0, 1000.0, 2048.0)  # what programs add so that no number is negative

_SAMPLE = 100_000
_EDGES = np.arange(-1200.0, 401.0, 10.0)  # HU
_CENTRES = (_EDGES[1:] + _EDGES[:-1]) / 2
_BELOW_AIR, _METAL = -1100.0, 4000.0  # HU
_AIR, _VALLEY, _TISSUE = (-1060.0, -700.0), (-600.0, -250.0), (-150.0, 120.0)  # HU, where hills and valley lie
# Hills over the valley: at least 44 and 56 times as high in real CT, volumes and slices. Of films and MR images of the
# kinds that come nearest, stretched to whatever range, 3 of 6,500 pass with these.
_AIR_STEEP, _TISSUE_STEEP = 8.0, 25.0
_FAR = 60.0  # HU from air; where an offset may be chance, air has to be seen


@dataclass(frozen=True)
class Shape:
    """What tells Hounsfield units from other numbers."""

    air: float  # height of its hill over the valley
    tissue: float
    stray: float  # share of numbers below air, but for one that is repeated, and above metal
    gas: float  # share of air and lung
    body: float  # share of all above lung
    soft: float  # share of `body` in fat and soft tissue
    near: float  # share of `body` within 50 HU of the hill of soft tissue
    negative: float  # share of `body` below water
    kinds: int  # distinct numbers in soft tissue
    air_at: float  # HU

    @property
    def hounsfield(self) -> bool:
        return (
            self.air >= _AIR_STEEP
            and self.tissue >= _TISSUE_STEEP
            and self.stray < 0.003
            and self.gas > 0.002
            and self.body > 0.05
            and self.soft >= 0.5
            and self.near >= 0.33
            and self.negative >= 0.03
            and self.kinds >= 20
        )


def hounsfield_offset(values: np.ndarray, offsets: tuple[float, ...] = OFFSETS) -> float | None:
    """What has to be taken from `values` to have Hounsfield units, or None where they are other numbers.

    Args:
        values: of one image or a whole volume, any shape; NaN is left out.
    """
    flat = _thinned(values)
    shapes = {offset: _shape(flat - offset) for offset in offsets} if len(flat) else {}
    found = [
        offset
        for offset, shape in shapes.items()
        if shape.hounsfield and (offset in (0.0, 32768.0) or abs(shape.air_at + 1000) < _FAR)
    ]
    return min(found, key=lambda offset: abs(shapes[offset].air_at + 1000), default=None)


def ct_offset(values: np.ndarray) -> float | None:
    """The same for what is said to be CT, whose header may add anything; None where no air tells it.

    Numbers that reach from air into tissue are believed as they are.
    """
    flat = _thinned(values)
    if not len(flat):
        return None
    if flat.min() < -500 and -500 < np.percentile(flat, 98) < _METAL:
        return 0.0
    air, counts = np.unique(np.floor(flat[flat <= np.median(flat)] / 10), return_counts=True)
    return hounsfield_offset(flat, (*OFFSETS, float(10 * air[counts.argmax()] + 1005)))


def guessed_offset(values: np.ndarray) -> float:
    """The likeliest offset of numbers that are said to be Hounsfield units."""
    found = hounsfield_offset(values)
    if found is not None:
        return found
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() < -200:
        return 0.0
    return 32768.0 if np.median(finite) > 28_000 else 1024.0


def _thinned(values: np.ndarray) -> np.ndarray:
    flat = values.ravel()
    flat = flat[:: (len(flat) // _SAMPLE) | 1].astype(np.float64)
    return flat[np.isfinite(flat)]


def _shape(hu: np.ndarray) -> Shape:
    low = hu[hu < _BELOW_AIR]
    stray = len(low) - _most_common(low) + int((hu > _METAL).sum())
    # the lowest number of all is often what air was cut off at
    cut = np.histogram(hu[hu > hu.min()], _EDGES)[0]
    counts = np.histogram(hu, _EDGES)[0]
    smooth = np.convolve(counts, np.ones(3) / 3, "same")
    valley = max(float(np.median(smooth[_within(_VALLEY)])), 0.05)
    body = hu[hu > -300]
    within = np.flatnonzero(_within(_TISSUE))
    peak = _CENTRES[within[smooth[within].argmax()]]
    gas = np.flatnonzero(_within(_AIR))
    soft = body[np.abs(body) < 200]
    total, inside = len(hu), max(len(body), 1)
    return Shape(
        air=float(smooth[gas].max()) / valley,
        tissue=float(smooth[within].max()) / valley,
        stray=stray / total,
        gas=float(((hu >= _BELOW_AIR) & (hu < -700)).sum()) / total,
        body=len(body) / total,
        soft=len(soft) / inside,
        near=float((np.abs(body - peak) < 50).sum()) / inside,
        negative=float((soft < -5).sum()) / inside,
        kinds=len(np.unique(soft)),
        air_at=float(_CENTRES[gas[(cut if cut[gas].any() else counts)[gas].argmax()]]),
    )


def _most_common(values: np.ndarray) -> int:
    return int(np.unique(values, return_counts=True)[1].max()) if len(values) else 0


def _within(reach: tuple[float, float]) -> np.ndarray:
    return (reach[0] < _CENTRES) & (reach[1] > _CENTRES)
