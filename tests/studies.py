"""Files that the tests of studies share: pictures, videos, DICOM, and what every refusal keeps to."""

from __future__ import annotations

import struct
import traceback
import zlib
from pathlib import Path

import imageio_ffmpeg
import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medvlm.errors import StudyError
from medvlm.studies import Limits, load_study

VOLUMES = Path(__file__).parents[2] / "shared/data/volumes"
SECRET = "Doe^Jane"


def gradient(height: int = 12, width: int = 16) -> np.ndarray:
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


def png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def write_video(path: Path, frames: int = 30, size: tuple[int, int] = (64, 48)) -> Path:
    """Frames that grow brighter."""
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=10, macro_block_size=1, quality=8)
    writer.send(None)
    for number in range(frames):
        writer.send(np.full((size[1], size[0], 3), number * 8 % 256, np.uint8))
    writer.close()
    return path


def refusal(paths: object, limits: Limits | None = None) -> str:
    """The message of the refusal, after checks that hold for every one of them."""
    with pytest.raises(StudyError) as caught:
        load_study(paths, limits) if limits else load_study(paths)
    message = str(caught.value)
    assert (
        message.endswith(".")
        and "\n" not in message
        and "/tmp" not in message
        and len(message) < 250
        and SECRET not in message
    )
    text = "".join(traceback.format_exception(caught.value))
    assert "During handling" not in text and "direct cause" not in text
    return message


def write(path: Path, stored: np.ndarray, **elements: object) -> Path:
    """A DICOM file around `(frames,) rows, columns (, 3)` stored values; `elements` set or, with None, leave out."""
    data = FileDataset(str(path), {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    colour = stored.ndim > 2 and stored.shape[-1] == 3
    rows, columns = stored.shape[-3:-1] if colour else stored.shape[-2:]
    values: dict[str, object] = {
        "PatientName": SECRET,
        "PatientID": "12345678",
        "StudyDate": "20200102",
        "SeriesInstanceUID": "1.2.3",
        "Modality": "CT",
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": 8 * stored.itemsize,
        "BitsStored": 8 * stored.itemsize,
        "HighBit": 8 * stored.itemsize - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "PixelData": stored.tobytes(),
    }
    if colour:
        values["PlanarConfiguration"] = 0
    if stored.ndim - colour == 3:
        values["NumberOfFrames"] = len(stored)
    for keyword, value in {**values, **elements}.items():
        if value is not None:
            setattr(data, keyword, value)
    data.save_as(path, enforce_file_format=True)
    return path


def place(z: float, direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0)) -> dict[str, object]:
    return {"ImagePositionPatient": [0, 0, z], "ImageOrientationPatient": list(direction)}


def shown(path: Path) -> list[int]:
    """All pixels of the only image."""
    return load_study(path).images[0].pixels.ravel().tolist()


def write_nifti(path: Path, codes: str, zooms: tuple[float, float, float] = (1, 1, 1), dtype: type = np.int16) -> Path:
    """30 x 40 x 20 voxels (x, y, z in the patient) with a marker to the right, front and bottom, in any axis order."""
    volume = np.zeros((30, 40, 20), dtype)  # RAS+
    volume[25:30, 35:40, 0:2] = 100  # right, anterior, inferior
    image = nib.Nifti1Image(volume, np.diag([*zooms, 1.0]))
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes))
    nib.save(image.as_reoriented(turn), path)
    return path


def write_series(folder: Path, count: int = 5, **elements: object) -> Path:
    """Slices whose values tell their height, under names in another order."""
    folder.mkdir(exist_ok=True)
    for n in range(count):
        stored = np.full((4, 4), 40 * n, np.uint8)
        write(folder / f"{(7 * n) % count}.dcm", stored, InstanceNumber=count - n, **{**place(2.5 * n), **elements})
    return folder
