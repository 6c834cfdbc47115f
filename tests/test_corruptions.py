"""Corruptions are pure, keep shape and type, repeat with their seed and grow with their strength."""

from __future__ import annotations

import numpy as np
import pytest

from medvlm.evaluation.corruptions import CORRUPTIONS, brightness, burnt_in, contrast, gamma, jpeg, noise, rotate


def picture(shape=(96, 128, 3)) -> np.ndarray:
    """A smooth ramp with a bright rectangle off its centre."""
    ramp = np.linspace(20, 180, shape[1]) + np.linspace(0, 40, shape[0])[:, None]
    ramp[30:60, 20:70] = 230
    return np.broadcast_to(ramp if len(shape) == 2 else ramp[..., None], shape).round().astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(96, 128, 3), (128, 96)])
def test_shape_type_seed_and_purity(name, shape):
    change, strengths = CORRUPTIONS[name]
    image = picture(shape)
    before = image.copy()
    results = [change(image, strength, 3) for strength in strengths]
    assert all(r.shape == image.shape and r.dtype == np.uint8 for r in results)
    assert np.array_equal(image, before)
    assert all(np.array_equal(r, change(image, s, 3)) for r, s in zip(results, strengths, strict=True))
    errors = [np.abs(r.astype(int) - image).mean() for r in results]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_noise_and_text_depend_on_the_seed():
    image = picture()
    for change, strength in ((noise, 0.1), (burnt_in, 4)):
        assert not np.array_equal(change(image, strength, 0), change(image, strength, 1))


def test_a_grey_picture_stays_grey():
    image = picture()
    for change, strengths in CORRUPTIONS.values():
        out = change(image, strengths[1], 0)
        assert np.array_equal(out[..., 0], out[..., 1]) and np.array_equal(out[..., 0], out[..., 2])


def test_values_worked_out_by_hand():
    image = np.array([[0, 100], [100, 200]], np.uint8)
    assert contrast(image, 0.5).tolist() == [[50, 100], [100, 150]]
    shifts = {tuple(brightness(image, 0.2, seed).ravel()) for seed in range(8)}
    assert shifts == {(51, 151, 151, 251), (0, 49, 49, 149)}
    powers = {int(gamma(np.full((4, 4), 64, np.uint8), 2.0, seed)[0, 0]) for seed in range(8)}
    assert powers == {16, 128}
    flat = np.full((16, 16), 77, np.uint8)
    assert np.abs(jpeg(flat, 30).astype(int) - 77).max() <= 4


def test_a_mask_turns_with_its_image():
    image = np.zeros((100, 140), np.uint8)
    image[20:50, 30:80] = 200
    mask = ((image > 0) * 255).astype(np.uint8)
    for seed in range(4):
        turned, along = rotate(image, 10, seed), rotate(mask, 10, seed)
        assert np.count_nonzero((turned >= 100) != (along >= 128)) < 8  # but for rounding
        assert abs(int((along >= 128).sum()) - 1500) < 60
