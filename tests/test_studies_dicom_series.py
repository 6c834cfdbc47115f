"""DICOM series: the order of slices, zips, several frames, and what does not fit together."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medvlm.studies import load_study

from .studies import (
    VOLUMES,
    place,
    refusal,
    write,
    write_series,
)


def test_slices_are_ordered_along_their_normal(tmp_path: Path) -> None:
    study = load_study(write_series(tmp_path / "s", PixelSpacing=[0.75, 0.75], SliceThickness=3))
    assert [image.pixels[0, 0] for image in study.images] == [0, 40, 80, 120, 160]
    assert study.kind == "volume" and study.default == 2 and study.images[1].name == "slice 2 of 5"
    assert study.images[0].spacing_mm == (0.75, 0.75) and study.metadata["slice_spacing_mm"] == 2.5
    assert study.metadata["slice_thickness_mm"] == 3 and study.metadata["orientation"] == ["L", "P"]


def test_order_follows_the_normal_of_coronal_slices(tmp_path: Path) -> None:
    for n, y in enumerate((30, -10, 10)):
        position = {"ImagePositionPatient": [0, y, 0], "ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
        write(tmp_path / f"{n}.dcm", np.full((4, 4), y + 100, np.uint8), **position)
    study = load_study(tmp_path)
    assert [image.pixels[0, 0] for image in study.images] == [90, 110, 130]  # from anterior to posterior
    assert study.metadata["orientation"] == ["L", "F"]


def test_series_in_a_zip_and_as_a_list(tmp_path: Path) -> None:
    files = sorted(write_series(tmp_path / "s").iterdir())
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for file in files:
            archive.write(file, f"deep/{file.name}")
    for given in (tmp_path / "s.zip", files, [str(file) for file in files]):
        assert [image.pixels[0, 0] for image in load_study(given).images] == [0, 40, 80, 120, 160]


def test_enhanced_multiframe(tmp_path: Path) -> None:
    """Spacing is shared; position, rescale and window are stated frame by frame, out of order."""
    shared, frames = Dataset(), []
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [3, 3], 4
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    for z in (8, 0, 4):
        frame, position, values, voi = (Dataset() for _ in range(4))
        position.ImagePositionPatient = [0, 0, z]
        values.RescaleSlope, values.RescaleIntercept = 1, z
        voi.WindowCenter, voi.WindowWidth = 100.5, 201
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = Sequence([position]), Sequence([values])
        frame.FrameVOILUTSequence = Sequence([voi])
        frames.append(frame)
    groups = {
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(frames),
    }
    study = load_study(write(tmp_path / "a.dcm", np.full((3, 2, 2), 100, np.uint16), Modality="MR", **groups))
    assert [image.pixels[0, 0] for image in study.images] == [round((100 + z) / 200 * 255) for z in (0, 4, 8)]
    assert study.kind == "volume" and study.images[0].spacing_mm == (3, 3) and study.metadata["slice_spacing_mm"] == 4


def test_gaps_are_said(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 6)
    for name in ("2", "3"):
        (tmp_path / f"s/{name}.dcm").unlink()
    study = load_study(tmp_path / "s")
    assert len(study.images) == 4 and "slice_spacing_mm" not in study.metadata
    assert study.notices == [
        "1 of 3 distances between slices differs from the usual 2.5 mm: about 2 slices may be missing."
    ]


def test_slices_far_apart_for_their_thickness_are_said(tmp_path: Path) -> None:
    notices = load_study(write_series(tmp_path / "s", 3, SliceThickness=1)).notices
    assert notices == ["Slices of 1 mm lie 2.5 mm apart: what lies between them is not seen."]


def test_doubled_slices_are_said(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 4)
    write(tmp_path / "s/late.dcm", np.full((4, 4), 255, np.uint8), InstanceNumber=99, **place(0))
    study = load_study(tmp_path / "s")
    assert [image.pixels[0, 0] for image in study.images] == [0, 40, 80, 120]
    assert any("Up to 2 images share a position" in notice for notice in study.notices)
    again = (tmp_path / "s/late.dcm").read_bytes()
    (tmp_path / "s/copy.dcm").write_bytes(again)
    assert "Files that are there twice, read once: 1." in load_study(tmp_path / "s").notices


def test_views_without_position_stay_together(tmp_path: Path) -> None:
    for number, size in ((2, 6), (1, 4)):
        stored = np.full((size, 4), number, np.uint8)
        write(tmp_path / f"{number}.dcm", stored, Modality="DX", InstanceNumber=number, SeriesInstanceUID=f"1.{number}")
    study = load_study(tmp_path)
    assert study.kind == "series" and study.modality == "x-ray" and [i.size for i in study.images] == [(4, 4), (6, 4)]


def test_files_without_a_picture_are_left_out(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    (tmp_path / "s/report.dcm").write_bytes(Path(get_testdata_file("test-SR.dcm", download=False)).read_bytes())
    study = load_study(tmp_path / "s")
    assert len(study.images) == 3 and study.notices == ["DICOM files left out for want of a picture: 1."]


def test_several_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    write(tmp_path / "s/odd.dcm", np.zeros((4, 4), np.uint8), PatientID="other", **place(99))
    assert "2 patients" in refusal(tmp_path / "s")


def test_damaged_slices_are_left_out(tmp_path: Path) -> None:
    """One is cut in its header, one in its pixels."""
    write_series(tmp_path / "s", 6)
    for name, size in (("0", 200), ("1", -8)):
        path = tmp_path / f"s/{name}.dcm"
        path.write_bytes(path.read_bytes()[:size])
    study = load_study(tmp_path / "s")
    assert [image.pixels[0, 0] for image in study.images] == [80, 120, 160, 200]
    assert {"DICOM files left out for want of a picture: 1.", "Damaged files left out: 1."} <= set(study.notices)
    for path in (tmp_path / "s").iterdir():
        path.write_bytes(path.read_bytes()[:-8])
    assert "damaged" in refusal(tmp_path / "s") or "cut" in refusal(tmp_path / "s")


def test_elements_that_are_broken_are_done_without(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    path = tmp_path / "s/1.dcm"
    whole = path.read_bytes()
    number = whole.index(b"IS\x02\x00", whole.index(b"\x20\x00\x13\x00")) + 4  # Instance Number
    path.write_bytes(whole[:number] + b"x?" + whole[number + 2 :])
    assert [image.pixels[0, 0] for image in load_study(tmp_path / "s").images] == [0, 40, 80]


def test_burned_in_writing_is_said(tmp_path: Path) -> None:
    study = load_study(write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8), Modality="US", BurnedInAnnotation="YES"))
    assert study.notices == ["The files say that writing is burned into their pixels: it may name the patient."]


@pytest.mark.skipif(not VOLUMES.is_dir(), reason=f"shared volumes are not at {VOLUMES.name}")
def test_shared_series() -> None:
    study = load_study(VOLUMES / "dicom_ct")
    assert study.modality == "ct" and study.body_part is None and len(study.images) == 16
    assert study.metadata["slice_spacing_mm"] == 2 and study.images[0].spacing_mm == (0.9765625, 0.9765625)
    heads = [pydicom.dcmread(f, stop_before_pixels=True) for f in (VOLUMES / "dicom_ct").iterdir()]
    lowest = pydicom.dcmread(min(heads, key=lambda h: h.ImagePositionPatient[2]).filename)
    values = lowest.pixel_array * float(lowest.RescaleSlope) + float(lowest.RescaleIntercept)
    centre, width = float(lowest.WindowCenter[0]), float(lowest.WindowWidth[0])
    expected = np.clip(((values - (centre - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
    assert np.abs(study.images[0].pixels - expected).max() <= 0.501
    assert len(load_study(VOLUMES / "dicom_ct_j2k").images) == 6
