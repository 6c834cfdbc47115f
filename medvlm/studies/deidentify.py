"""Copies of DICOM images that name nobody: headers by PS3.15's basic profile, text in the pixels blacked out.

Pixels are decoded and written uncompressed, since a compressed stream has room for comments; files are numbered, since their
names name patients. What is no image, or cannot be decoded, is left out: nothing that was not looked through is written.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from ..errors import RequestError, StudyError
from ..progress import tracked
from . import burned_in, dicom_profile
from .dicom_header import Frame, drop_broken, read_frames
from .dicom_pixels import decode, to_pixels, windowing
from .display import apply_window
from .files import Source, collect
from .limits import DEFAULT, Limits, reading

FACES = "Faces that could be rebuilt from scans of the head are left as they are."
KEPT = "Text in the pixels was not looked for: it may name the patient."


@dataclass
class Summary:
    """What was done, in counts alone."""

    files: int = 0  # written
    images: int = 0  # frames in them
    patients: int = 0
    texts: int = 0  # blacked out
    left_out: int = 0  # files that are no DICOM image, or cannot be decoded
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "notices": list(self.notices)}


def deidentify(
    paths: Sequence[str | PathLike[str]], folder: str | Path, keep_text: bool = False, limits: Limits = DEFAULT
) -> Summary:
    """Write de-identified copies of the DICOM images behind `paths` into a folder, which must be new or empty; all or none.

    Patients, dates and references among files that are given together stay consistent; what led from the old to the new ones
    is not kept.

    Raises:
        StudyError: there is no DICOM image that can be read.
        RequestError: the folder has files or cannot be written to, or a package is not installed.
    """
    dicom_profile.check_installed()
    if not keep_text:
        burned_in.check_installed()
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{str(folder)!r} has something in it already: name a new folder.")
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".copies-", dir=folder) as scratch:
            summary = _copies([Path(path) for path in paths], Path(scratch), keep_text, limits)
            for path in sorted(Path(scratch).iterdir()):
                path.replace(folder / path.name)
    except BaseException as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise _unwritable(folder, error) from error
        raise
    return summary


def _copies(paths: list[Path], folder: Path, keep_text: bool, limits: Limits) -> Summary:
    summary, key, patients = Summary(notices=(FACES, KEPT) if keep_text else (FACES,)), secrets.token_bytes(32), set()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="medvlm-") as scratch:
        warnings.simplefilter("ignore")  # they quote values
        found = collect(paths, limits, Path(scratch))
        summary.left_out = found.left_out + found.too_large
        for source in tracked(found.sources):
            path = folder / f"{summary.files + 1:05}.dcm"
            try:
                with reading(source.name, "a DICOM image"):
                    data, frames, texts = _cleaned(source, key, keep_text, limits)
                    _save(data, path)
            except StudyError:
                path.unlink(missing_ok=True)
                summary.left_out += 1
                continue
            patients.add(str(data.PatientID))
            summary.files, summary.images = summary.files + 1, summary.images + frames
            summary.texts += texts
    if not summary.files:
        raise StudyError(f"{found.name} holds no DICOM image that can be read: give the image files.")
    summary.patients = len(patients)
    return summary


def _save(data: Dataset, path: Path) -> None:
    try:
        data.save_as(path, enforce_file_format=True)
    except OSError as error:  # of the disk, which is no fault of the file that is read
        raise _unwritable(path.parents[1], error) from error


def _unwritable(folder: Path, error: OSError) -> RequestError:
    return RequestError(f"The copies cannot be written to {str(folder)!r}: {error.strerror or 'it cannot be used'}.")


def _cleaned(source: Source, key: bytes, keep_text: bool, limits: Limits) -> tuple[Dataset, int, int]:
    """The data set of a file without its patient, how many frames it has, and how many texts were blacked out."""
    if source.kind != "dicom":
        raise StudyError(f"{source.name} is not DICOM.")
    frames = read_frames(source, limits)
    stored = list(decode(source, list(range(len(frames))), limits))
    texts = 0
    for at, frame in enumerate(frames if not keep_text else ()):
        boxes = _texts(stored[at], frame)
        stored[at] = burned_in.blacked_out(stored[at], boxes, _black(stored[at], frame))
        texts += len(boxes)
    data = pydicom.dcmread(source.path, force=True)
    drop_broken(data)
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not data.get(keyword):
            setattr(data, keyword, data.file_meta[f"MediaStorage{keyword}"].value)
    _put(stored, data)
    dicom_profile.clean(data, key, pixels_clean=not keep_text)
    return data, len(stored), texts


def _texts(stored: np.ndarray, frame: Frame) -> list[burned_in.Spot]:
    """Boxes of text in stored pixels as they are shown, and over their full range, where a window hides it."""
    code = str(frame.facts.get("Modality") or "")
    how = windowing([(frame, stored)] if stored.ndim == 2 else [], code == "CT", None)
    shown = to_pixels(stored, frame, how.window, how.stated)
    out = burned_in.find_text(shown)
    if stored.ndim == 2 and not any(np.array_equal(stored, seen) for seen in (shown, 255 - shown)):
        full = apply_window(stored.astype(np.float32), (float(stored.min()), float(stored.max())))
        out += burned_in.find_text(burned_in.blacked_out(full, out))
    return out


def _black(stored: np.ndarray, frame: Frame) -> float:
    if stored.ndim == 3:
        return 0
    return stored.max() if frame.facts.PhotometricInterpretation == "MONOCHROME1" else stored.min()


def _put(frames: list[np.ndarray], data: Dataset) -> None:
    """Give a data set decoded frames, uncompressed; without what told how they were coded."""
    stack = np.stack(frames) if len(frames) > 1 else frames[0]
    colour = frames[0].ndim == 3
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bits = int(data.BitsStored) if not colour else 8 * stack.dtype.itemsize
    data.set_pixel_data(stack, "RGB" if colour else data.PhotometricInterpretation, bits, generate_instance_uid=False)
    for element in [e for e in data if colour and "PaletteColorLookupTable" in e.keyword]:
        del data[element.tag]
