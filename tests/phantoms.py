"""Heads and bodies made of numbers, with the histograms of CT, MR and films."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def _ellipse(size: tuple[int, int], high: float, wide: float, at: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return ((y / size[0] - at[0]) / high) ** 2 + ((x / size[1] - at[1]) / wide) ** 2 < 1


def ct_phantom(slices: int = 4, noise: float = 12.0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """A body in air: fat around muscle, a spine, two lungs; HU, int16 `(slices, H, W)`."""
    rng = np.random.default_rng(0)
    hu = np.full(size, -1000.0)
    hu[_ellipse(size, 0.45, 0.45)] = -100
    hu[_ellipse(size, 0.38, 0.38)] = 50
    for side in (0.33, 0.67):
        hu[_ellipse(size, 0.15, 0.1, (0.4, side))] = -850
    hu[_ellipse(size, 0.06, 0.05, (0.75, 0.5))] = 400
    volume = np.stack([gaussian_filter(hu, 0.4)] * slices) + rng.normal(0, noise, (slices, *size))
    return np.clip(np.rint(volume), -1024, 3071).astype(np.int16)


def head_ct(noise: float = 6.0, size: tuple[int, int] = (128, 128)) -> np.ndarray:
    """A head in air: scalp, skull, grey and white matter, ventricles; HU, int16 `(H, W)`."""
    rng = np.random.default_rng(1)
    hu = np.full(size, -1000.0)
    for reach, value in ((0.45, -60), (0.43, 40), (0.41, 1100), (0.37, 37), (0.32, 29), (0.1, 5)):
        hu[_ellipse(size, reach, reach * 0.85)] = value
    hu = gaussian_filter(hu, 0.4) + rng.normal(0, noise, size)
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def mr_phantom(slices: int = 4, size: tuple[int, int] = (96, 96), top: float = 1000.0) -> np.ndarray:
    """A head: noise around scalp, skull without signal, two kinds of matter, ventricles; float `(slices, H, W)` >= 0."""
    rng = np.random.default_rng(2)
    signal = np.zeros(size)
    for reach, value in ((0.45, 0.9), (0.42, 0.08), (0.39, 0.55), (0.3, 0.75), (0.1, 0.25)):
        signal[_ellipse(size, reach, reach * 0.85)] = value
    shading = 1 + 0.15 * np.linspace(-1, 1, size[1])
    volume = np.stack([gaussian_filter(signal * shading, 0.6)] * slices)
    return np.abs(volume + rng.normal(0, 0.015, volume.shape)) * top


def film(size: tuple[int, int] = (128, 128), top: float = 4095.0) -> np.ndarray:
    """A chest film: wide hills that run into one another; float `(H, W)`."""
    rng = np.random.default_rng(3)
    signal = np.full(size, 0.05)
    signal[_ellipse(size, 0.5, 0.42)] = 0.75
    for side in (0.32, 0.68):
        signal[_ellipse(size, 0.3, 0.14, (0.45, side))] = 0.3
    return np.clip(gaussian_filter(signal, 4) + rng.normal(0, 0.02, size), 0, 1) * top
