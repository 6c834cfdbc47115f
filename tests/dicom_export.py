"""DICOM series with a landmark, reports on them, and what other readers make of what is written; needs highdicom."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    generate_uid,
)

from medvlm.types import Finding, Measurement, Region, Report, Section, Sentence, Study, mask_box

from .programs import program
from .studies import write

hd = pytest.importorskip("highdicom")

from medvlm.report.export import dicom_codes, dicom_seg, dicom_sr  # noqa: E402, F401

DCMQI = Path(sys.executable).with_name("segimage2itkimage")
SIZE = (24, 20)  # rows, columns
LANDMARK = (5, 13)  # of each slice as stored, brighter than all others
STUDY, SERIES, SPACE = generate_uid(), generate_uid(), generate_uid()
TURNED = np.array(nib.eulerangles.euler2mat(0.2, -0.15, 0.1))  # z, y, x in radians
PLANES = {
    "axial": [(1, 0, 0), (0, 1, 0)],
    "axial, reversed": [(-1, 0, 0), (0, -1, 0)],
    "coronal": [(1, 0, 0), (0, 0, -1)],
    "sagittal, lying": [(0, 0, 1), (0, -1, 0)],
    "oblique": [tuple(TURNED[:, 0]), tuple(TURNED[:, 1])],
    "oblique, exchanged": [tuple(-TURNED[:, 1]), tuple(TURNED[:, 0])],
}


def series(
    folder: Path, directions=PLANES["axial"], spacing=(1.0, 1.0), step=None, count=5, **elements: object
) -> Path:
    """Slices of a CT with a landmark, stored in another order than they lie in; `step` in mm to the next one."""
    folder.mkdir(exist_ok=True)
    step = np.cross(*directions) * 2.5 if step is None else np.array(step)
    for n in range(count):
        stored = np.random.default_rng(n).integers(0, 100, SIZE).astype(np.int16)
        stored[LANDMARK] = 900
        place = {
            "ImagePositionPatient": [round(float(v), 4) for v in np.array([10.0, -30.0, 50.0]) + n * step],
            "ImageOrientationPatient": [float(v) for direction in directions for v in direction],
            "PixelSpacing": list(spacing),
            "SliceThickness": 2.5,
        }
        uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "FrameOfReferenceUID": SPACE}
        window = {"WindowCenter": 500, "WindowWidth": 1000, "InstanceNumber": count - n}
        write(folder / f"{count - 1 - n}.dcm", stored, **{**place, **uids, **window, **elements})
    return folder


def blob(size: tuple[int, int], at: tuple[int, int], reach: int = 3) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return (y - at[0]) ** 2 + (x - at[1]) ** 2 < reach**2


def region(label: str, image: int, mask: np.ndarray) -> Region:
    return Region(label, image, mask_box(mask), mask, 0.9)


def told(regions: list[Region], *findings: Finding) -> Report:
    sections = [
        Section("Examination", [Sentence("CT, chest – 5 slices.")]),
        Section("Findings", [Sentence(f"{f.label}, described.", i, f.regions) for i, f in enumerate(findings)]),
    ]
    return Report(sections, list(findings), regions, "tiny")


def report_of(*regions: Region) -> Report:
    labels = dict.fromkeys(region.label for region in regions)
    at = {label: [i for i, r in enumerate(regions) if r.label == label] for label in labels}
    size = [Measurement("longest diameter", 12.3, "mm"), Measurement("area", 99.0, "mm2")]
    return told(list(regions), *(Finding(label, "present", 0.9, at[label], list(size)) for label in labels))


def landmarks(study: Study, label: str = "liver") -> Report:
    """A region on the brightest pixels of each image as shown."""
    return report_of(*(region(label, i, image.pixels == image.pixels.max()) for i, image in enumerate(study.images)))


def checked(path: Path) -> None:
    """By dicom3tools, where they are installed."""
    if validator := program("dciodvfy"):
        said = subprocess.run([validator, str(path)], capture_output=True, text=True).stderr
        assert "Error" not in said, said


def dumped(path: Path) -> str:
    """What dcmtk reads, where it is installed."""
    reader = program("dsrdump")
    if reader is None:
        return ""
    return subprocess.run([reader, "+Pl", str(path)], capture_output=True, text=True, check=True).stdout


def places(segmentation: pydicom.Dataset) -> list[tuple[str, np.ndarray]]:
    """The source and the patient's coordinates `(N, 3)` in mm of what is on in each frame, by highdicom."""
    pixels = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    out = []
    for number, plane in enumerate(pixels, 1):
        to_patient = hd.spatial.PixelToReferenceTransformer.for_image(segmentation, frame_number=number)
        rows, columns = np.nonzero(plane)
        group = segmentation.PerFrameFunctionalGroupsSequence[number - 1]
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        out.append((source, to_patient(np.stack([columns, rows], axis=1))))
    return out


def nibabels_affine(source: pydicom.Dataset) -> np.ndarray:
    """From row, column and slice to mm, LPS+."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says of itself that it is experimental
        from nibabel.nicom.dicomwrappers import wrapper_from_data
    return wrapper_from_data(source).affine
