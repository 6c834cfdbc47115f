"""Bad input becomes one clear sentence, and limits hold before anything is decoded."""

from __future__ import annotations

import gzip
import logging
import struct
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture

from medvlm.studies import Limits, load_study
from medvlm.studies.codestream import stated_size

from .studies import (
    gradient,
    png_header,
    refusal,
    write_nifti,
    write_video,
)


def bad_input(kind: str, folder: Path) -> Path:
    """One bad file or folder of the named kind."""
    path = folder / "scan.dcm"
    png = folder / "good.png"
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(png)
    good = png.read_bytes()
    png.unlink()
    jpeg = folder / "good.jpg"
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(jpeg)
    good_jpeg = jpeg.read_bytes()
    jpeg.unlink()
    volume = write_nifti(folder / "good.nii.gz", "RAS")
    good_volume = volume.read_bytes()
    volume.unlink()
    if kind == "empty folder":
        (folder / "study").mkdir()
        return folder / "study"
    if kind == "folder of notes":
        (folder / "study").mkdir()
        (folder / "study/notes.txt").write_text("nothing")
        return folder / "study"
    if kind == "nifti of nan":
        nib.save(nib.Nifti1Image(np.full((4, 4, 4), np.nan, np.float32), np.eye(4)), folder / "v.nii")
        return folder / "v.nii"
    if kind == "colour nifti":
        rgb = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
        nib.save(nib.Nifti1Image(rgb, np.eye(4)), folder / "v.nii")
        return folder / "v.nii"
    if kind == "nifti bomb":
        header = nib.Nifti1Header()
        header.set_data_shape((30000, 30000, 30000))
        path.write_bytes(gzip.compress(header.binaryblock + bytes(1000)))
        return path
    if kind == "zip with a password":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", good)
        data = bytearray(path.read_bytes())
        data[data.rfind(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
        path.write_bytes(data)
        return path
    if kind == "zip that escapes":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../a.png", good)
        return path
    if kind == "corrupt zip entry":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", good)
        data = bytearray(path.read_bytes())
        data[200] ^= 255
        path.write_bytes(data)
        return path
    if kind == "cut zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", good)
        path.write_bytes(path.read_bytes()[:-30])
        return path
    video = write_video(folder / "good.mp4").read_bytes() if "video" in kind else b""
    contents = {
        "empty file": b"",
        "cut png": good[: len(good) // 2],
        "cut jpeg": good_jpeg[: len(good_jpeg) // 2],
        "png header only": good[:20],
        "huge png": png_header(60_000, 60_000),
        "large png": png_header(9_000, 9_000),
        "text": b"this is a text\nfile",
        "noise": bytes(range(200, 256)) * 20,
        "pdf": b"%PDF-1.7 ...",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50),
        "encrypted": bytes.fromhex("308006092a864886f70d010703") + bytes(90),
        "cut nifti": good_volume[: len(good_volume) // 2],
        "cut gzip": gzip.compress(bytes(1000))[:12],
        "gzip of text": gzip.compress(b"text"),
        "half of a pair": bytes(344) + b"ni1\0" + bytes(100),
        "cut video": video[: len(video) // 2],
        "noise as video": b"\0\0\0\x18ftypisom" + bytes(range(256)) * 8,
    }
    path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty file", "empty"),
        ("cut png", "cut short"),
        ("cut jpeg", "cut short"),
        ("png header only", "damaged"),
        ("huge png", "megapixels"),
        ("large png", "9000 x 9000 pixels"),
        ("text", "plain text"),
        ("noise", "unknown type"),
        ("pdf", "PDF"),
        ("heic", "HEIC"),
        ("encrypted", "encrypted"),
        ("empty folder", "is empty"),
        ("folder of notes", "no image"),
        ("nifti of nan", "NaN"),
        ("colour nifti", "colours"),
        ("nifti bomb", "limit"),
        ("cut nifti", "cut short"),
        ("cut gzip", "gzip"),
        ("gzip of text", "gzip"),
        ("half of a pair", "pair"),
        ("zip with a password", "password"),
        ("zip that escapes", "outside"),
        ("corrupt zip entry", "damaged"),
        ("cut zip", "damaged"),
        ("cut video", "damaged"),
        ("noise as video", "damaged"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    tmp_path: Path, kind: str, words: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    path = bad_input(kind, tmp_path)
    message = refusal(path)
    assert words in message and message.startswith(path.name)
    assert not [str(w.message) for w in recwarn.list] and not [
        record for record in caplog.records if record.levelno >= logging.WARNING
    ]


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "missing.png")
    assert "No file was given" in refusal([])
    assert "cannot be opened" in refusal("a" * 300)
    assert "cannot be opened" in refusal("a" * 5000)


def test_mixed_kinds_are_refused(tmp_path: Path) -> None:
    Picture.fromarray(gradient()).save(tmp_path / "a.png")
    write_nifti(tmp_path / "v.nii", "RAS")
    assert "mixes NIfTI volumes and pictures" in refusal(tmp_path)
    (tmp_path / "a.png").unlink()
    write_nifti(tmp_path / "w.nii", "RAS")
    assert "2 NIfTI volumes" in refusal(tmp_path)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_bytes=100),
        Limits(max_files=1),
        Limits(max_total_bytes=200),
        Limits(max_frames=1),
        Limits(max_pixels=100),
        Limits(max_total_pixels=300),
    ],
    ids=lambda limits: next(f"{k}={v}" for k, v in vars(limits).items() if v != getattr(Limits(), k)),
)
@pytest.mark.parametrize("packed", [False, True])
def test_limits_hold_for_folders_and_archives(tmp_path: Path, limits: Limits, packed: bool) -> None:
    (tmp_path / "study").mkdir()
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(2):
            Picture.fromarray(gradient()).save(tmp_path / f"study/{n}.bmp")
            archive.write(tmp_path / f"study/{n}.bmp", f"{n}.bmp")
    assert len(load_study(tmp_path / "study").images) == 2
    refusal(tmp_path / ("study.zip" if packed else "study"), limits)


def test_videos_have_limits(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4")
    assert "longer than 1 seconds" in refusal(video, Limits(max_video_seconds=1))
    assert "64 x 48 pixels" in refusal(video, Limits(max_pixels=100))


def test_codestreams_state_their_size() -> None:
    jpeg2000 = bytes.fromhex("ff4fff51002f0000") + struct.pack(">IIII", 640, 480, 0, 0)
    jpeg = bytes.fromhex("ffd8ffe00004aabbffc0000b08") + struct.pack(">HH", 480, 640) + bytes(10)
    assert stated_size(jpeg2000) == stated_size(jpeg) == (480, 640)
    assert stated_size(b"\xff\xd8\xff") is None and stated_size(b"") is None
