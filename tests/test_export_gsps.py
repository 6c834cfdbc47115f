"""Regions as a presentation state, or a secondary capture: outlines lie on their masks, and the image stays right way up."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pydicom
import pytest
from pydicom.examples import get_path
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, UltrasoundMultiFrameImageStorage
from skimage.draw import polygon2mask

from medvlm.errors import RequestError
from medvlm.report.overlay import draw_overlay, label_colours
from medvlm.studies import load_study
from medvlm.types import Image, Region, Study

from .dicom_export import LANDMARK, PLANES, STUDY, blob, checked, region, report_of, series
from .studies import SECRET, gradient, write

gsps = pytest.importorskip("medvlm.report.export.gsps")

FULL = {"WindowCenter": 128, "WindowWidth": 256}


def filled(state: pydicom.Dataset, uid: str, shape: tuple[int, int]) -> np.ndarray:
    """The pixels of a file that closed polylines hold the middle of."""
    out = np.zeros(shape, bool)
    for annotation in state.GraphicAnnotationSequence:
        if annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID == uid:
            for drawn in annotation.GraphicObjectSequence:
                points = np.array(drawn.GraphicData).reshape(-1, 2)[:, ::-1] - 0.5
                assert drawn.GraphicAnnotationUnits == "PIXEL" and (points[0] == points[-1]).all()
                out ^= polygon2mask(shape, points)
    return out


def as_displayed(state: pydicom.Dataset, stored: np.ndarray) -> np.ndarray:
    """PS3.3 C.10.6: turned clockwise, then mirrored."""
    turned = np.rot90(stored, -state.ImageRotation // 90)
    return turned[:, ::-1] if state.ImageHorizontalFlip == "Y" else turned


def dcmtk_shows(state: Path, source: Path, frame: int = 1) -> np.ndarray | None:
    """The grey values that dcmtk makes of an image under a presentation state, where it is installed."""
    if not shutil.which("dcmp2pgm"):
        return None
    out = state.with_suffix(".pgm")
    subprocess.run(["dcmp2pgm", "-p", state, "-f", str(frame), source, out], check=True, capture_output=True)
    return np.asarray(PIL.Image.open(out)).astype(int)


@pytest.mark.parametrize("plane", PLANES)
def test_outlines_lie_on_their_masks_and_the_image_is_displayed_as_it_is_shown(tmp_path, plane):
    study = load_study(series(tmp_path / "in", PLANES[plane]))
    size = study.images[0].size
    masks = [blob(size, (8 + i, 7), 5) & ~blob(size, (8 + i, 7), 2) for i in range(5)]  # rings
    (path,) = gsps.write(report_of(*(region("liver", i, mask) for i, mask in enumerate(masks))), study, tmp_path)
    checked(path)
    state = pydicom.dcmread(path)
    assert state.Modality == "PR" and state.SeriesDescription == "Draft regions"
    for image, mask in zip(study.images, masks, strict=True):
        source = pydicom.dcmread(image.origin.path)
        stored = image.turn.to_stored(mask) if image.turn else mask
        assert (filled(state, source.SOPInstanceUID, stored.shape) == stored).all()
        landmark = np.zeros(source.pixel_array.shape, bool)
        landmark[LANDMARK] = True
        assert np.argwhere(as_displayed(state, landmark)).tolist() == [
            list(np.unravel_index(image.pixels.argmax(), size))
        ]
        seen = dcmtk_shows(path, Path(image.origin.path))
        assert seen is None or np.abs(seen - image.pixels).max() <= 1


def test_the_corners_that_are_displayed_are_those_of_the_image_as_turned(tmp_path):
    study = load_study(series(tmp_path / "in", PLANES["oblique, exchanged"], spacing=(2.0, 1.0)))
    turn = study.images[0].turn
    assert (turn.exchanged, turn.upside_down, turn.mirrored) == (True, True, False)
    (path,) = gsps.write(report_of(region("liver", 0, blob(study.images[0].size, (9, 9)))), study, tmp_path)
    (area,) = pydicom.dcmread(path).DisplayedAreaSelectionSequence
    rows, columns = turn.stored
    corners = [list(area.DisplayedAreaTopLeftHandCorner), list(area.DisplayedAreaBottomRightHandCorner)]
    assert corners == [[columns, 1], [1, rows]]
    assert list(area.PresentationPixelAspectRatio) == [2, 1]


def test_the_record_is_the_sources_and_names_its_series(tmp_path):
    folder = series(tmp_path / "in", PatientName="山田^太郎", SpecificCharacterSet="ISO_IR 192")
    study = load_study(folder)
    report = report_of(*(region("liver", i, blob(study.images[0].size, (9, 9))) for i in (1, 3)))
    (path,) = gsps.write(report, study, tmp_path)
    state, source = pydicom.dcmread(path), pydicom.dcmread(study.images[1].origin.path)
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate"):
        assert state[keyword].value == source[keyword].value
    (of,) = state.ReferencedSeriesSequence
    assert of.SeriesInstanceUID == source.SeriesInstanceUID != state.SeriesInstanceUID
    named = {item.ReferencedSOPInstanceUID for item in of.ReferencedImageSequence}
    assert named == {pydicom.dcmread(study.images[i].origin.path).SOPInstanceUID for i in (1, 3)}


def test_a_layer_a_label_with_tags_at_the_upper_left_as_shown(tmp_path):
    study = load_study(series(tmp_path / "in", PLANES["axial, reversed"]))
    rows, columns = study.images[0].size
    liver = region("liver", 0, blob((rows, columns), (9, 9)))
    (path,) = gsps.write(report_of(liver, Region("lung nodule", 0, (2.0, 3.0, 8.0, 9.0), None, 1.0)), study, tmp_path)
    state = pydicom.dcmread(path)
    assert [layer.GraphicLayerDescription for layer in state.GraphicLayerSequence] == ["liver", "lung nodule"]
    assert all("GraphicLayerRecommendedDisplayCIELabValue" in layer for layer in state.GraphicLayerSequence)
    texts = [annotation.TextObjectSequence[0] for annotation in state.GraphicAnnotationSequence]
    assert [text.UnformattedTextValue for text in texts] == ["liver 0.90", "lung nodule 0.99"]
    assert list(texts[1].AnchorPoint) == [columns - 2, rows - 3]  # both ways turned
    (box,) = state.GraphicAnnotationSequence[1].GraphicObjectSequence
    points = np.array(box.GraphicData).reshape(-1, 2)
    assert points.min(axis=0).tolist() == [columns - 8, rows - 9] and len(points) == 5


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_films_without_a_window_are_shown_as_in_the_study(tmp_path, kind):
    stored = np.linspace(0, 4000, 24 * 20).reshape(24, 20).astype(np.uint16)
    elements = {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX", "StudyInstanceUID": STUDY}
    file = write(tmp_path / "a.dcm", stored, PhotometricInterpretation=kind, PatientOrientation=["R", "F"], **elements)
    study = load_study(file)
    (path,) = gsps.write(report_of(region("heart", 0, blob((24, 20), (9, 9)))), study, tmp_path)
    checked(path)
    state = pydicom.dcmread(path)
    assert state.PresentationLUTShape == ("INVERSE" if kind == "MONOCHROME1" else "IDENTITY")
    low, high = study.metadata["window"]
    (voi,) = state.SoftcopyVOILUTSequence
    assert [voi.WindowCenter, voi.WindowWidth] == pytest.approx([(low + high) / 2 + 0.5, high - low + 1], abs=0.01)
    seen = dcmtk_shows(path, file)
    assert seen is None or np.abs(seen - study.images[0].pixels).max() <= 1


def item(**elements: object) -> Sequence:
    out = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(out, keyword, value)
    return Sequence([out])


def test_tables_and_the_first_of_several_windows_are_taken_over(tmp_path):
    stored = (np.arange(24 * 20).reshape(24, 20) % 256).astype(np.uint16)
    squared = (np.arange(256) ** 2 // 255 * 257).astype(np.uint16)
    cubed = ((np.arange(2**16) / 65535) ** 1.5 * 65535).astype(np.uint16)
    kind = {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX", "StudyInstanceUID": STUDY}
    kind |= {"PatientOrientation": ["L", "F"]}
    modality = item(LUTDescriptor=[256, 0, 16], LUTData=squared.tobytes(), ModalityLUTType="US")
    voi_table = item(LUTDescriptor=[0, 0, 16], LUTData=cubed.tobytes())  # 0 is 65,536
    tables = {"ModalityLUTSequence": modality, "VOILUTSequence": voi_table}
    windows = {"WindowCenter": [100, 200], "WindowWidth": [50, 60], "WindowCenterWidthExplanation": ["a", "b"]}
    for name, how in (("tables", tables), ("windows", windows)):
        file = write(tmp_path / f"{name}.dcm", stored, **kind, **how)
        study = load_study(file)
        (tmp_path / name).mkdir()
        (path,) = gsps.write(report_of(region("heart", 0, blob((24, 20), (9, 9)))), study, tmp_path / name)
        checked(path)
        state = pydicom.dcmread(path)
        (voi,) = state.SoftcopyVOILUTSequence
        if name == "tables":
            assert state.ModalityLUTSequence[0].LUTData == squared.tobytes()
            assert voi.VOILUTSequence[0].LUTData == cubed.tobytes()
        else:
            assert (voi.WindowCenter, voi.WindowWidth) == (100, 50)
        seen = dcmtk_shows(path, file)
        assert seen is None or np.abs(seen - study.images[0].pixels).max() <= 1


def test_each_slice_keeps_its_own_window_and_values_of_another_meaning_stand_apart(tmp_path):
    folder = series(tmp_path / "in", count=4)
    files = sorted(folder.iterdir())
    for number, file in enumerate(files):
        data = pydicom.dcmread(file)
        data.WindowCenter = 500 + number % 2
        if number > 1:
            data.RescaleSlope, data.RescaleIntercept = 2, 0
        data.save_as(file)
    study = load_study(folder)
    size = study.images[0].size
    paths = gsps.write(report_of(*(region("liver", i, blob(size, (9, 9))) for i in range(4))), study, tmp_path)
    assert [path.name for path in paths] == ["report.gsps.dcm", "report.gsps-2.dcm"]
    for path in paths:
        checked(path)
        state = pydicom.dcmread(path)
        shown = {}
        for item in state.SoftcopyVOILUTSequence:
            for reference in item.ReferencedImageSequence:
                shown[reference.ReferencedSOPInstanceUID] = (item.WindowCenter, float(state.get("RescaleSlope", 1)))
        for file in files:
            data = pydicom.dcmread(file)
            own = (data.WindowCenter, float(data.get("RescaleSlope", 1)))
            assert shown.get(data.SOPInstanceUID, own) == own
        assert len(shown) == 2


def test_frames_of_a_clip_are_named_by_their_number(tmp_path):
    stored = np.stack([gradient(24, 20) % 250 + n for n in range(4)]).astype(np.uint8)
    kind = {"SOPClassUID": UltrasoundMultiFrameImageStorage, "Modality": "US", "StudyInstanceUID": STUDY}
    file = write(tmp_path / "a.dcm", stored, BitsAllocated=8, **kind, **FULL)
    study = load_study(file)
    report = report_of(*(region("liver", i, blob((24, 20), (9 + i, 9), 4)) for i in (1, 3)))
    (path,) = gsps.write(report, study, tmp_path)
    state = pydicom.dcmread(path)
    (item,) = state.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert list(item.ReferencedFrameNumber) == [2, 4]
    frames = [a.ReferencedImageSequence[0].ReferencedFrameNumber for a in state.GraphicAnnotationSequence]
    assert frames == [2, 4]


def test_colours_are_captured_with_the_regions_in_them(tmp_path):
    study = load_study(get_path("ybr_color"))
    regions = [region("liver", i, blob(study.images[i].size, (60, 90), 20)) for i in (0, 2)]
    paths = gsps.write(report_of(*regions), study, tmp_path)
    assert [path.name for path in paths] == ["report.sc.dcm", "report.sc-2.dcm"]
    source = pydicom.dcmread(get_path("ybr_color"))
    for path, one in zip(paths, regions, strict=True):
        checked(path)
        made = pydicom.dcmread(path)
        image = study.images[one.image]
        assert (made.pixel_array == draw_overlay(image.pixels, [one], colours=label_colours(["liver"]))).all()
        (item,) = made.SourceImageSequence
        assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert item.ReferencedFrameNumber == image.origin.frame + 1
        assert (made.ConversionType, made.BurnedInAnnotation) == ("WSD", "YES")
        assert (made.StudyInstanceUID, made.PatientName) == (source.StudyInstanceUID, source.PatientName)
    assert len({pydicom.dcmread(path).SeriesInstanceUID for path in paths}) == 1


def test_long_outlines_are_drawn_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(gsps, "_MOST_POINTS", 4)
    study = load_study(series(tmp_path / "in", count=1))
    (path,) = gsps.write(report_of(region("liver", 0, blob(study.images[0].size, (9, 9), 7))), study, tmp_path)
    (annotation,) = pydicom.dcmread(path).GraphicAnnotationSequence
    lines = [np.array(one.GraphicData).reshape(-1, 2) for one in annotation.GraphicObjectSequence]
    assert len(lines) > 1 and max(map(len, lines)) <= 5
    assert all((a[-1] == b[0]).all() for a, b in zip(lines, [*lines[1:], lines[0]], strict=True))


def test_nothing_is_written_where_nothing_was_found_and_pictures_are_refused(tmp_path):
    study = load_study(series(tmp_path / "in"))
    assert gsps.write(report_of(), study, tmp_path) == []
    picture = Study([Image(gradient())])
    with pytest.raises(RequestError, match="not DICOM") as refused:
        gsps.write(report_of(region("liver", 0, blob((12, 16), (5, 5)))), picture, tmp_path)
    assert SECRET not in str(refused.value)
    gone = replace(study.images[0], origin=replace(study.images[0].origin, path=str(tmp_path / "gone.dcm")))
    with pytest.raises(RequestError, match="open the study again"):
        gsps.write(report_of(region("liver", 0, blob(gone.size, (5, 5)))), replace(study, images=[gone]), tmp_path)
