"""Regions drawn over the source's own images, for viewers without SEG: a Grayscale Softcopy Presentation State (GSPS) for grey
images, secondary captures for those in colour and for slides, which such a state cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import SecondaryCaptureImageStorage
from skimage.measure import find_contours

from ...geometry import Turn
from ...studies.dicom_pixels import stated_voi
from ...types import Image, Region, Report, Study, mask_box
from ..overlay import MOST_TAGS, label_colours
from .dicom_capture import capture
from .dicom_maker import DESCRIPTION, made_by
from .dicom_source import Key, SourceFrame, key_of, source_frames, whole_box, whole_frame, writing

_MOST_POINTS = 8000  # of a polyline, whose coordinates must fit into 64 KB
_SERIES_NUMBER = 9004
_RESCALE = ("RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence")
_VOI = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")
_OWN = (
    *(
        "SOPInstanceUID",
        "SOPClassUID",
        "NumberOfFrames",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
    ),
    *(*_RESCALE, *_VOI),
)  # of a file, that its stand-in has in another way or not at all
_ROTATIONS = {  # exchanged, upside down, mirrored: degrees clockwise, and whether mirrored afterwards (PS3.3 C.10.6)
    (False, False, False): (0, "N"), (False, False, True): (0, "Y"), (False, True, False): (180, "Y"),
    (False, True, True): (180, "N"), (True, False, False): (90, "Y"), (True, False, True): (90, "N"),
    (True, True, False): (270, "N"), (True, True, True): (270, "Y"),
}  # fmt: skip


@dataclass(frozen=True)
class _Shown:
    """A frame with the images made of it that have regions, and a stand-in of its file: highdicom knows frames by files alone."""

    frame: SourceFrame
    images: tuple[int, ...]
    stand_in: Dataset


def write(report: Report, study: Study, folder: Path) -> list[Path]:
    """`report.gsps.dcm` with outlines and tags, and `report.sc.dcm`, in the patient's record.

    Further files where images differ in series, size, values or in how they are turned; a capture for each image. No file
    where there is no region.

    Raises:
        RequestError: the images are not DICOM, or nothing that can be referred to.
    """
    with writing("presentation state"):
        images = sorted({region.image for region in report.regions})
        frames = source_frames(study, images)
        flat = [i for i in images if _is_flat(frames[key_of(study.images[i])])]
        states = [_state(group, report, study) for group in _groups(flat, study, frames)]
        captures = [
            capture(i, frames[key_of(study.images[i])], report, study, number)
            for number, i in enumerate((i for i in images if i not in flat), 1)
        ]
        series = hd.UID(), hd.UID()
        paths = []
        for name, uid, made in zip(("gsps", "sc"), series, (states, captures), strict=True):
            for number, data in enumerate(made, 1):
                data.SeriesInstanceUID, data.InstanceNumber = uid, number
                paths.append(folder / f"report.{name}{f'-{number}' if number > 1 else ''}.dcm")
                data.save_as(paths[-1], enforce_file_format=True)
    return paths


def _is_flat(frame: SourceFrame) -> bool:
    """Whether a presentation state can hold a frame: grey, and no tile of a larger picture."""
    return str(frame.header.get("PhotometricInterpretation")).startswith("MONOCHROME") and not frame.is_slide


def _groups(images: list[int], study: Study, frames: dict[Key, SourceFrame]) -> list[list[_Shown]]:
    """Frames that one presentation state can hold: of one series and size, with values that mean the same, turned alike."""
    by_frame: dict[Key, list[int]] = {}
    for index in images:
        by_frame.setdefault(key_of(study.images[index]), []).append(index)
    out: dict[Any, list[_Shown]] = {}
    for key, indices in by_frame.items():
        frame = frames[key]
        turn = _ways(study.images[indices[0]].turn)
        values = [str(frame.facts.get(keyword)) for keyword in (*_RESCALE, "PhotometricInterpretation")]
        alike = (frame.header.SeriesInstanceUID, frame.shape, turn, *values)
        out.setdefault(alike, []).append(_Shown(frame, tuple(indices), _stand_in(frame)))
    return list(out.values())


def _ways(turn: Turn | None) -> tuple[bool, bool, bool]:
    return (turn.exchanged, turn.upside_down, turn.mirrored) if turn else (False, False, False)


def _stand_in(frame: SourceFrame) -> Dataset:
    out = Dataset()
    out.update({e.tag: e for e in frame.facts if e.keyword not in _OWN})  # shared, so none of these is changed
    out.SOPInstanceUID, out.SOPClassUID = hd.UID(), SecondaryCaptureImageStorage  # of one frame
    return out


def _state(group: list[_Shown], report: Report, study: Study) -> Dataset:
    colours = label_colours(region.label for region in report.regions)
    here = {i for shown in group for i in shown.images}
    labels = dict.fromkeys(region.label for region in report.regions if region.image in here)
    layers = {
        label: hd.pr.GraphicLayer(f"FINDING{n}", n, label[:64], CIELabColor.from_rgb(*colours[label]))
        for n, label in enumerate(labels, 1)
    }
    grey = group[0].frame.header.PhotometricInterpretation == "MONOCHROME1"  # which a state overrides, PS3.3 C.11.6
    out = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[shown.stand_in for shown in group],
        series_instance_uid=hd.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        content_label="FINDINGS",
        content_description=DESCRIPTION,
        series_description="Draft regions",
        graphic_layers=list(layers.values()),
        graphic_annotations=[one for shown in group for one in _annotations(shown, layers, report, study)],
        presentation_lut_transformation=hd.PresentationLUTTransformation("INVERSE" if grey else "IDENTITY"),
        **made_by(report),
    )
    out.Laterality = group[0].frame.header.get("Laterality") or ""
    for keyword in _RESCALE:
        if keyword in group[0].frame.facts:
            out[keyword] = group[0].frame.facts[keyword]
    if "RescaleSlope" in out and not out.get("RescaleType"):
        out["RescaleType"] = DataElement("RescaleType", "LO", "US")  # unspecified
    if windows := list(_windows(group, study)):
        out.SoftcopyVOILUTSequence = windows
    _turn(out, study.images[group[0].images[0]].turn, group[0].frame.shape)
    _refer(out, {shown.stand_in.SOPInstanceUID: shown.frame for shown in group})
    return out


def _annotations(
    shown: _Shown, layers: dict[str, hd.pr.GraphicLayer], report: Report, study: Study
) -> Iterator[hd.pr.GraphicAnnotation]:
    """The regions of each label in a frame."""
    for label, layer in layers.items():
        regions = [region for region in report.regions if region.label == label and region.image in shown.images]
        if not regions:
            continue
        lines = [line for one in regions for line in _outlines(one, study.images[one.image], shown.frame.shape)]
        yield hd.pr.GraphicAnnotation(
            referenced_images=[shown.stand_in],
            graphic_layer=layer,
            graphic_objects=[hd.pr.GraphicObject("POLYLINE", line, "PIXEL") for line in lines],
            text_objects=[_tag(region, study.images[region.image]) for region in regions[:MOST_TAGS]],
        )


def _outlines(region: Region, image: Image, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Polylines `(N, 2)` in columns and rows of the frame, whose upper left corner is 0, 0."""
    if region.mask is None or not region.mask.any():
        x0, y0, x1, y1 = whole_box(region.box, image)
        yield np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], float)
        return
    mask = whole_frame(region.mask, image, shape)
    left, top, right, bottom = map(int, mask_box(mask))
    for contour in find_contours(np.pad(mask[top:bottom, left:right], 1).astype(float), 0.5):
        line = _corners(contour)[:, ::-1] + (left - 0.5, top - 0.5)
        for start in range(0, len(line) - 1, _MOST_POINTS):
            yield line[start : start + _MOST_POINTS + 1]


def _corners(line: np.ndarray) -> np.ndarray:
    """The points of a polyline `(N, 2)` where it turns, and its ends."""
    steps = np.diff(line, axis=0)
    return line[[True, *(steps[1:] != steps[:-1]).any(axis=1), True]]


def _tag(region: Region, image: Image) -> hd.pr.TextObject:
    """At the upper left of a region as shown."""
    x, y = region.box[:2]
    column, row = whole_box((x, y, x, y), image)[:2]
    text = f"{region.label} {min(region.score, 0.99):.2f}"
    return hd.pr.TextObject(text, "PIXEL", anchor_point=(column, row), anchor_point_visible=False)


def _windows(group: list[_Shown], study: Study) -> Iterator[Dataset]:
    """What makes grey values visible, as the study is shown: one for all, or each frame's own."""
    if window := study.metadata.get("window"):
        item, (low, high) = Dataset(), window
        item.WindowCenter, item.WindowWidth = round((low + high) / 2 + 0.5, 4), round(high - low + 1, 4)
        yield item
        return
    by_window: dict[str, list[_Shown]] = {}
    for shown in group:
        if stated_voi(shown.frame.facts):
            by_window.setdefault(str([shown.frame.facts.get(k) for k in _VOI]), []).append(shown)
    for alike in by_window.values():
        item, facts = Dataset(), alike[0].frame.facts
        if facts.get("VOILUTSequence"):
            item.VOILUTSequence = facts.VOILUTSequence[:1]  # the first one, as in the study
        else:
            item.WindowCenter, item.WindowWidth = (_first(facts[keyword].value) for keyword in _VOI[:2])
            if facts.get("VOILUTFunction"):
                item.VOILUTFunction = facts.VOILUTFunction
        if len(alike) < len(group):
            item.ReferencedImageSequence = hd.pr.content.ReferencedImageSequence([shown.stand_in for shown in alike])
        yield item


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, MultiValue) else value


def _turn(out: Dataset, turn: Turn | None, shape: tuple[int, int]) -> None:
    """Have the frame displayed as the image is shown: turned, mirrored, and with the proportions of its pixels."""
    exchanged, upside_down, mirrored = _ways(turn)
    out.ImageRotation, out.ImageHorizontalFlip = _ROTATIONS[exchanged, upside_down, mirrored]
    rows, columns = shape
    last_column, last_row = (upside_down, mirrored) if exchanged else (mirrored, upside_down)
    area = out.DisplayedAreaSelectionSequence[0]
    area.DisplayedAreaTopLeftHandCorner = [columns if last_column else 1, rows if last_row else 1]
    area.DisplayedAreaBottomRightHandCorner = [1 if last_column else columns, 1 if last_row else rows]
    if turn and turn.stored != turn.shown:
        high, wide = turn.shown[::-1] if exchanged else turn.shown
        ratio = Fraction(high * turn.stored[1], wide * turn.stored[0]).limit_denominator(1000)
        area.PresentationPixelAspectRatio = [ratio.numerator, ratio.denominator]


def _refer(out: Dataset, frames: dict[str, SourceFrame]) -> None:
    """Put the source's own files and frames in place of what stood in for them."""
    for item in (*out.GraphicAnnotationSequence, *out.get("SoftcopyVOILUTSequence", ())):
        if "ReferencedImageSequence" in item:
            item.ReferencedImageSequence = _references(item.ReferencedImageSequence, frames)
    for series in out.ReferencedSeriesSequence:
        series.ReferencedImageSequence = _references(series.ReferencedImageSequence, frames)


def _references(items: list[Dataset], frames: dict[str, SourceFrame]) -> list[Dataset]:
    """An item for each file, with the numbers of the frames that are meant."""
    out: dict[str, Dataset] = {}
    for item in items:
        frame = frames[item.ReferencedSOPInstanceUID]
        made = out.setdefault(frame.header.SOPInstanceUID, Dataset())
        made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = (
            frame.header.SOPClassUID,
            frame.header.SOPInstanceUID,
        )
        if frame.number is not None:
            before = made.get("ReferencedFrameNumber") or []
            made.ReferencedFrameNumber = [*([before] if isinstance(before, int) else before), frame.number]
    return list(out.values())
