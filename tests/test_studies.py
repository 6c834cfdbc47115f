"""Pictures, videos, folders and archives become studies."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from medvlm.studies import Limits, load_study

from .studies import (
    gradient,
    write_video,
)

# pictures


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_grey_pictures_keep_their_values(tmp_path: Path, suffix: str) -> None:
    Picture.fromarray(gradient()).save(tmp_path / f"a.{suffix}")
    study = load_study(tmp_path / f"a.{suffix}")
    assert study.kind == "picture" and study.modality is None and study.images[0].spacing_mm is None
    np.testing.assert_array_equal(study.images[0].pixels, gradient())


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_pictures_are_close(tmp_path: Path, suffix: str) -> None:
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    Picture.fromarray(np.dstack([smooth] * 3)).save(tmp_path / f"a.{suffix}", quality=95)
    pixels = load_study(str(tmp_path / f"a.{suffix}")).images[0].pixels
    assert pixels.shape == (64, 64, 3) and np.abs(pixels.astype(int) - smooth[..., None]).mean() < 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "1", "LA"])
def test_modes_become_grey_or_rgb(tmp_path: Path, mode: str) -> None:
    Picture.new("RGB", (5, 4), (200, 0, 0)).convert(mode).save(
        tmp_path / "a.tif" if mode == "CMYK" else tmp_path / "a.png"
    )
    pixels = load_study(next(tmp_path.iterdir())).images[0].pixels
    assert pixels.dtype == np.uint8 and pixels.shape == ((4, 5) if mode in ("1", "LA") else (4, 5, 3))
    if mode in ("RGB", "RGBA", "CMYK"):
        np.testing.assert_array_equal(pixels[0, 0], (200, 0, 0))


def test_transparent_pixels_lie_over_black(tmp_path: Path) -> None:
    rgba = np.full((2, 2, 4), 200, np.uint8)
    rgba[0, 0, 3], rgba[1, 1, 3] = 0, 255
    Picture.fromarray(rgba).save(tmp_path / "a.png")
    pixels = load_study(tmp_path / "a.png").images[0].pixels
    assert pixels[0, 0].tolist() == [0, 0, 0] and pixels[1, 1].tolist() == [200, 200, 200]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_grey_is_windowed(tmp_path: Path, suffix: str) -> None:
    deep = np.linspace(1000, 3000, 400).astype(np.uint16).reshape(20, 20)
    deep[0, 0], deep[-1, -1] = 0, 65535  # outliers that must not flatten the rest
    Picture.fromarray(deep).save(tmp_path / f"a.{suffix}")
    pixels = load_study(tmp_path / f"a.{suffix}").images[0].pixels
    assert pixels.shape == (20, 20) and pixels[0, 0] == 0 and pixels[-1, -1] == 255
    assert abs(int(pixels[10, 0]) - 128) < 4


def test_deep_tiff_whose_zero_is_white_is_inverted(tmp_path: Path) -> None:
    deep = np.linspace(0, 60000, 400).astype(np.uint16).reshape(20, 20)
    Picture.fromarray(deep).save(tmp_path / "a.tif", tiffinfo={262: 0})
    pixels = load_study(tmp_path / "a.tif").images[0].pixels
    assert pixels[0, 0] == 255 and pixels[-1, -1] == 0


def test_colours_of_sixteen_bits_keep_the_high_byte(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5, 3), 0xC812, np.uint16), photometric="rgb")
    np.testing.assert_array_equal(load_study(tmp_path / "a.tif").images[0].pixels, np.full((4, 5, 3), 0xC8))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_exif_turn_is_applied(tmp_path: Path, suffix: str) -> None:
    picture = Picture.new("L", (40, 20))
    picture.paste(255, (0, 0, 10, 10))  # top left as stored
    exif = Picture.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    picture.save(tmp_path / f"a.{suffix}", exif=exif)
    image = load_study(tmp_path / f"a.{suffix}").images[0]
    assert image.size == (40, 20) and image.rgb[4, 15, 0] > 200 and image.rgb[4, 4, 0] < 50


def test_pages_of_a_tiff_are_images(tmp_path: Path) -> None:
    pages = [Picture.fromarray(gradient() + n) for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    study = load_study(tmp_path / "a.tif")
    assert study.kind == "series" and [image.pixels[0, 0] for image in study.images] == [0, 1, 2]


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    Picture.fromarray(gradient()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "scan.dcm")
    np.testing.assert_array_equal(load_study(tmp_path / "scan.dcm").images[0].pixels, gradient())


# several files, folders, archives


def test_several_pictures_are_one_study_in_the_given_order(tmp_path: Path) -> None:
    for n in (1, 2):
        Picture.new("L", (4, 4), n).save(tmp_path / f"{n}.png")
    study = load_study([tmp_path / "2.png", str(tmp_path / "1.png")])
    assert study.kind == "series" and [image.pixels[0, 0] for image in study.images] == [2, 1]


def test_folder_is_sorted_as_people_count_and_leaves_notes_out(tmp_path: Path) -> None:
    for n in (10, 9, 1):
        Picture.new("L", (4, 4), n).save(tmp_path / f"slice {n}.png")
    (tmp_path / "notes.txt").write_text("left knee")
    (tmp_path / ".hidden.png").write_bytes(b"junk")
    study = load_study(tmp_path)
    assert [image.pixels[0, 0] for image in study.images] == [1, 9, 10]
    assert study.notices == ["Files left out as no images: 1."]
    assert "slice 1.png" not in repr(study.metadata) + study.images[0].name


def test_zip_is_read_like_a_folder(tmp_path: Path) -> None:
    for n in (1, 2, 11):
        Picture.new("L", (4, 4), n).save(tmp_path / f"{n}.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for n in (11, 2, 1):
            archive.write(tmp_path / f"{n}.png", f"study/{n}.png")
        archive.writestr("__MACOSX/1.png", "junk")
    study = load_study(tmp_path / "a.zip")
    assert [image.pixels[0, 0] for image in study.images] == [1, 2, 11] and not study.notices


# animations and videos


def test_gif_is_sampled(tmp_path: Path) -> None:
    frames = [Picture.new("L", (8, 6), n * 2) for n in range(100)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    study = load_study(tmp_path / "a.gif", Limits(video_frames=10))
    values = [int(image.pixels[0, 0, 0]) for image in study.images]
    assert study.kind == "video" and len(values) == 10 and values[0] == 0 and values[-1] == 198
    assert study.notices == ["10 of 100 frames are shown."]


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_video_is_sampled(tmp_path: Path, suffix: str) -> None:
    study = load_study(write_video(tmp_path / f"a.{suffix}"), Limits(video_frames=8))
    values = [float(image.pixels.mean()) for image in study.images]
    assert study.kind == "video" and 6 <= len(values) <= 8 and study.images[0].size == (48, 64)
    assert values == sorted(values) and values[-1] > 150
    assert study.images[0].name == f"frame 1 of {len(values)}"
