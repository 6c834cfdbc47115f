"""Pictures whose numbers or pages are not what a screen expects."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from medvlm.studies import Limits, load_study
from medvlm.studies import raster as raster_reader
from medvlm.studies.display import SOFT_TISSUE, apply_window
from medvlm.studies.files import Source
from medvlm.studies.hounsfield import guessed_offset, hounsfield_offset
from medvlm.types import Study

from .phantoms import ct_phantom, film, head_ct, mr_phantom
from .studies import refusal
from .test_studies_pixels import jpeg, photo


def read(path: Path, hounsfield: bool | float | None = None) -> Study:
    return raster_reader.load([Source(path, path.name, "raster")], Limits(), path.name, hounsfield)


# Hounsfield units


def soft(hu: np.ndarray) -> np.ndarray:
    return apply_window(hu, SOFT_TISSUE)


@pytest.mark.parametrize("offset", [32768, 1024, 1000, 2048])
@pytest.mark.parametrize("hu", [ct_phantom()[0], head_ct()], ids=["body", "head"])
def test_hounsfield_units_in_a_png_are_seen(tmp_path: Path, hu: np.ndarray, offset: int) -> None:
    hu = np.maximum(hu, -min(offset, 1024))
    Picture.fromarray((hu.astype(np.int32) + offset).astype(np.uint16)).save(tmp_path / "a.png")
    study = load_study(tmp_path / "a.png")
    np.testing.assert_array_equal(study.images[0].pixels, soft(hu))
    assert study.modality is None and not study.sides_known
    assert f"look like Hounsfield units plus {offset} " in study.notices[0]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_hounsfield_units_in_a_tiff_are_seen(tmp_path: Path, dtype: type) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", ct_phantom(5).astype(dtype))
    study = load_study(tmp_path / "a.tif")
    assert study.kind == "series" and len(study.images) == 5
    np.testing.assert_array_equal(study.images[2].pixels, soft(ct_phantom(5)[2]))
    assert len(study.notices) == 1 and "Hounsfield units and are" in study.notices[0]


def test_signed_numbers_written_as_unsigned_are_seen(tmp_path: Path) -> None:
    Picture.fromarray(ct_phantom()[0].view(np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_study(tmp_path / "a.png").images[0].pixels, soft(ct_phantom()[0]))


@pytest.mark.parametrize("scale", np.geomspace(0.15, 8, 16))
def test_films_and_mr_of_any_range_are_no_ct(scale: float) -> None:
    for values in (film() * scale, mr_phantom()[0] * scale * 2, 4095 * scale - film() * scale):
        assert hounsfield_offset(np.rint(values)) is None
    assert hounsfield_offset(np.rint(mr_phantom() * scale) - 1000) is None
    masked = np.rint(mr_phantom() * scale)
    assert hounsfield_offset(np.where(masked < 20 * scale, -1000, masked)) is None


def test_a_film_of_sixteen_bits_is_shown_by_percentiles(tmp_path: Path) -> None:
    Picture.fromarray(film().astype(np.uint16)).save(tmp_path / "a.png")
    study = load_study(tmp_path / "a.png")
    assert study.notices == [] and study.metadata["window_name"] == "0.5 to 99.5 percentile"


@pytest.mark.parametrize("noise", [3, 12, 30])
def test_hounsfield_units_are_seen_with_noise_padding_and_fewer_pixels(noise: float) -> None:
    hu = ct_phantom(noise=noise)
    padded = hu.copy()
    padded[:, :, :20] = -2000
    for values in (hu, padded, hu[:, ::2, ::2], hu.astype(np.float32) + 0.25, np.where(hu > 300, 3071, hu)):
        assert hounsfield_offset(values) == 0
    assert hounsfield_offset(np.where(hu < -900, np.nan, hu.astype(np.float32))) in (0, None)


def test_labels_noise_and_nothing_are_no_ct() -> None:
    labels = np.zeros((40, 40), np.int16)
    labels[10:30, 10:30] = 1000
    rng = np.random.default_rng(0)
    for values in (labels, labels - 1000, rng.integers(-4096, 4096, 9999), rng.normal(0, 300, 9999), np.zeros(0)):
        assert hounsfield_offset(values) is None


def test_the_user_decides(tmp_path: Path) -> None:
    values = np.linspace(0, 2000, 400).reshape(20, 20)  # a ramp looks like nothing
    Picture.fromarray((values + 0).astype(np.uint16)).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").metadata["window_name"] == "0.5 to 99.5 percentile"
    said = read(tmp_path / "a.png", hounsfield=True)
    assert said.metadata["window"] == [864, 1264] and said.notices[0].startswith("As you said")
    assert read(tmp_path / "a.png", hounsfield=500).metadata["window"] == [340, 740]
    Picture.fromarray((ct_phantom()[0].astype(np.int32) + 1024).astype(np.uint16)).save(tmp_path / "b.png")
    assert read(tmp_path / "b.png", hounsfield=False).notices == []
    assert guessed_offset(np.full(9, 33000.0)) == 32768 and guessed_offset(np.array([-900.0, 40.0])) == 0


# numbers that are none


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("share", [0.05, 0.9])
def test_invalid_numbers_are_black(tmp_path: Path, value: float, share: float) -> None:
    values = np.random.default_rng(0).uniform(10, 20, (40, 40)).astype(np.float32)
    invalid = np.random.default_rng(1).random(values.shape) < share
    Picture.fromarray(np.where(invalid, np.float32(value), values)).save(tmp_path / "a.tif")
    study = load_study(tmp_path / "a.tif")
    assert study.images[0].pixels[invalid].max() == 0 and study.images[0].pixels[~invalid].mean() > 100
    assert study.notices == ["Invalid numbers (NaN) are shown black."]


def test_only_invalid_numbers_are_refused(tmp_path: Path) -> None:
    Picture.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "a.tif")
    assert "only NaN" in refusal(tmp_path / "a.tif")


# colours


@pytest.mark.parametrize(("rgb", "marker"), [(False, "jfif"), (False, "none"), (True, "none"), (True, "adobe")])
def test_jpeg_colours(tmp_path: Path, rgb: bool, marker: str) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(rgb, marker))
    assert np.abs(load_study(tmp_path / "a.jpg").images[0].pixels.astype(int) - photo()).mean() < 4


def test_jpeg_without_a_marker_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    exif = Picture.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Picture.new("L", (1, 1)).save(file, "JPEG", exif=exif)
    stream = file.getvalue()
    at = stream.index(b"\xff\xe1")
    segment = stream[at : at + 2 + int.from_bytes(stream[at + 2 : at + 4])]
    bare = jpeg(True, "none")
    (tmp_path / "a.jpg").write_bytes(bare[:2] + segment + bare[2:])
    turned = load_study(tmp_path / "a.jpg").images[0].pixels
    assert np.abs(turned.astype(int) - np.rot90(photo(), -1)).mean() < 4


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_not_inverted(tmp_path: Path, suffix: str) -> None:
    Picture.new("RGB", (32, 32), (200, 40, 0)).convert("CMYK").save(tmp_path / f"a.{suffix}", quality=98)
    pixel = load_study(tmp_path / f"a.{suffix}").images[0].pixels[5, 5].astype(int)
    assert np.abs(pixel - (200, 40, 0)).max() < 6


# pages


def levels(path: Path, sizes: list[int]) -> Path:
    pages = [Picture.new("RGB", (size, size), (size, 0, 0)) for size in sizes]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def test_the_largest_level_of_a_slide_is_one_image(tmp_path: Path) -> None:
    study = load_study(levels(tmp_path / "a.tif", [40, 80, 160, 20]))
    assert study.kind == "picture" and study.images[0].size == (160, 160)
    assert "3 of another size" in study.notices[0]


def test_the_largest_level_within_the_limit_is_taken(tmp_path: Path) -> None:
    path = levels(tmp_path / "a.tif", [160, 80, 40])
    assert load_study(path, Limits(max_pixels=10_000)).images[0].size == (80, 80)
    assert "40 x 40" in refusal(path, Limits(max_pixels=100))


def test_pages_of_one_size_stay_a_series_beside_a_preview(tmp_path: Path) -> None:
    study = load_study(levels(tmp_path / "a.tif", [20, 80, 80, 80]))
    assert study.kind == "series" and [image.size for image in study.images] == [(80, 80)] * 3


def test_endless_animations_are_shown_from_their_start(tmp_path: Path) -> None:
    frames = [Picture.new("L", (4, 4), n * 3) for n in range(60)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    study = load_study(tmp_path / "a.gif", Limits(video_frames=5, max_frames=20))
    assert study.kind == "video" and len(study.images) == 5 and study.images[-1].pixels[0, 0, 0] == 57
    assert study.notices == ["5 of 60 frames are shown, from the first 20."]
