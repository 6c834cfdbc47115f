"""Masks of a report as DICOM Segmentations of the source's own frames: a segment a label, or one for each of several things."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import highdicom as hd
import numpy as np
import pydicom
from highdicom.color import CIELabColor
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from ... import __version__
from ...errors import RequestError
from ...types import Region, Report, Study
from ...vocabulary import parts
from ..corrections import is_corrected
from ..overlay import label_colours
from .dicom_codes import IDENTIFICATION, category_code, label_code, side_code, site_code
from .dicom_maker import DESCRIPTION, MAKER, made_by
from .dicom_source import Key, SourceFrame, key_of, source_frames, whole_frame, writing

_MOST_THINGS = 64  # of one label that get a segment each; more are one segment
_MOST_VALUES = 2**29  # bytes of masks that are held at once, where segments overlap
_ALIKE = 1e-4  # of unit vectors' components, by which slices of one direction may differ
_SERIES_NUMBER = 9001
_OWN = (
    *("SOPInstanceUID", "SOPClassUID", "NumberOfFrames", "FrameOfReferenceUID", "ImagePositionPatient"),
    *(
        "ImageOrientationPatient",
        "SliceThickness",
        "SpacingBetweenSlices",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
    ),
)  # of a file, that its stand-in has in another way


@dataclass(frozen=True)
class Thing:
    """One thing in a study, however many images show it."""

    label: str
    name: str  # with its number, where there are several
    regions: tuple[int, ...]  # indices in Report.regions
    uid: str  # stays the same for the same report


@dataclass
class _Sheet:
    """Frames that one Segmentation is of."""

    frames: dict[Key, SourceFrame] = field(default_factory=dict)
    things: list[Thing] = field(default_factory=list)


def write(report: Report, study: Study, folder: Path) -> list[Path]:
    """`report.seg.dcm`, in the patient's record; further files where the images belong to several series or share no place.

    No file where no region has a mask. What is there already is left as it is.

    Raises:
        RequestError: the images are not DICOM, or nothing that can be referred to.
    """
    return write_things(report, study, folder)[0]


def write_things(report: Report, study: Study, folder: Path) -> tuple[list[Path], list[Thing]]:
    """As `write`, with the things that the segments are of."""
    shown = sorted({region.image for region in report.regions if _has_mask(region)} or {study.default})
    paths: list[Path] = []
    with writing("SEG"):
        frames = source_frames(study, shown)
        made_of = _made_of(report, frames)
        found = _things(report, study.kind == "volume", made_of)
        for number, sheet in enumerate(_sheets(found, report, study, frames), 1):
            paths.append(folder / f"report.seg{f'-{number}' if number > 1 else ''}.dcm")
            uids = _uid(made_of, "series", 0), _uid(made_of, "instance", number)
            if not _is_there(paths[-1], uids[1]):
                _segmentation(sheet, report, study, uids, number).save_as(paths[-1], enforce_file_format=True)
    return paths, found


def _things(report: Report, stacked: bool, made_of: str) -> list[Thing]:
    """What the report's masks show, in the order of their regions.

    Slices of a volume show the same thing where its masks lie on one another. A structure that there is one of is one thing
    in all images, and so are the many of a label where they are too many to be told apart.
    """
    by_label: dict[str, list[int]] = {}
    for index, region in enumerate(report.regions):
        if _has_mask(region):
            by_label.setdefault(region.label, []).append(index)
    out = []
    for label, indices in by_label.items():
        groups = _together(indices, report, stacked) if parts(label) == "many" else [indices]
        groups = groups if len(groups) <= _MOST_THINGS else [indices]
        for number, group in enumerate(groups, 1):
            name = f"{label} {number}" if len(groups) > 1 else label
            out.append(Thing(label, name[:64], tuple(group), _uid(made_of, label, number)))
    return out


def _has_mask(region: Region) -> bool:
    return region.mask is not None and bool(region.mask.any())


def _together(indices: Sequence[int], report: Report, stacked: bool) -> list[list[int]]:
    """Regions of one label by the thing that they show: masks on neighbouring slices that lie on one another."""
    groups: list[list[int]] = []
    for index in sorted(indices, key=lambda i: report.regions[i].image):
        mine = [
            group
            for group in groups
            if stacked and any(_touch(report.regions[i], report.regions[index]) for i in group)
        ]
        groups = [group for group in groups if group not in mine]
        groups.append(sorted([index, *(i for group in mine for i in group)]))
    return sorted(groups)


def _touch(before: Region, after: Region) -> bool:
    if after.image - before.image != 1 or before.mask is None or after.mask is None:
        return False
    return before.mask.shape == after.mask.shape and bool((before.mask & after.mask).any())


def _sheets(found: Sequence[Thing], report: Report, study: Study, frames: dict[Key, SourceFrame]) -> list[_Sheet]:
    """Frames that share a series and a place in the patient together, each other one by itself; without those that show nothing."""
    sheets: list[_Sheet] = []
    for thing in found:
        for key in dict.fromkeys(key_of(study.images[report.regions[i].image]) for i in thing.regions):
            sheet = next((sheet for sheet in sheets if key in sheet.frames or _belongs(frames[key], sheet)), None)
            if sheet is None:
                sheets.append(sheet := _Sheet())
            sheet.frames[key] = frames[key]
            if thing not in sheet.things:
                sheet.things.append(thing)
    return [part for sheet in sheets for part in _within_memory(sheet)]


def _belongs(frame: SourceFrame, sheet: _Sheet) -> bool:
    other = next(iter(sheet.frames.values()))
    here, there = frame.placed, other.placed
    if here is None or there is None or here.directions is None or there.directions is None:
        return False
    same = all(
        frame.header.get(key) == other.header.get(key)
        for key in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    )
    return same and frame.shape == other.shape and float(np.abs(here.directions - there.directions).max()) < _ALIKE


def _within_memory(sheet: _Sheet) -> list[_Sheet]:
    """The sheet, or its things halved until the masks of each half can be held at once."""
    rows, columns = next(iter(sheet.frames.values())).shape
    if len(sheet.things) == 1 or len(sheet.frames) * rows * columns * len(sheet.things) <= _MOST_VALUES:
        return [sheet]
    half = len(sheet.things) // 2
    return [
        part
        for some in (sheet.things[:half], sheet.things[half:])
        for part in _within_memory(_Sheet(sheet.frames, some))
    ]


def _segmentation(
    sheet: _Sheet, report: Report, study: Study, uids: tuple[str, str], number: int
) -> hd.seg.Segmentation:
    """Number `number` of the series; `uids` are those of the series and of the Segmentation."""
    first = next(iter(sheet.frames.values()))
    if first.is_slide:
        raise RequestError("A DICOM SEG of a microscope slide cannot be written: choose nifti or coco.")
    stand_ins = [_stand_in(frame, first, study) for frame in sheet.frames.values()]
    out = hd.seg.Segmentation(
        source_images=stand_ins,
        pixel_array=_masks(sheet, report, study),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(sheet, report, study),
        series_instance_uid=uids[0],
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uids[1],
        instance_number=number,
        content_description=DESCRIPTION,
        content_label="FINDINGS",
        series_description="Draft segmentation",
        coding_schemes=[IDENTIFICATION],
        **made_by(report),
    )
    if not first.placed:
        out.PatientOrientation = first.header.get("PatientOrientation") or ""
    _refer(out, dict(zip((image.SOPInstanceUID for image in stand_ins), sheet.frames.values(), strict=True)))
    return out


def _masks(sheet: _Sheet, report: Report, study: Study) -> np.ndarray:
    """Bool `(frames, rows, columns, things)`."""
    shape = next(iter(sheet.frames.values())).shape
    places = {key: place for place, key in enumerate(sheet.frames)}
    out = np.zeros((len(places), *shape, len(sheet.things)), bool)
    for number, thing in enumerate(sheet.things):
        for region in (report.regions[index] for index in thing.regions):
            image = study.images[region.image]
            if key_of(image) in places and region.mask is not None:
                out[places[key_of(image)], ..., number] |= whole_frame(region.mask, image, shape)
    return out


def _descriptions(sheet: _Sheet, report: Report, study: Study) -> list[hd.seg.SegmentDescription]:
    colours = label_colours(region.label for region in report.regions)
    algorithm = hd.AlgorithmIdentificationSequence(
        name=MAKER, family=codes.DCM.ArtificialIntelligence, version=f"{__version__} {report.model}"[:64].strip()
    )
    types = hd.seg.SegmentAlgorithmTypeValues
    out = []
    for number, thing in enumerate(sheet.things, 1):
        description = hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=thing.name,
            segmented_property_category=category_code(thing.label),
            segmented_property_type=label_code(thing.label),
            algorithm_type=types.SEMIAUTOMATIC if is_corrected(report) else types.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=thing.uid,
            tracking_id=thing.name,
            display_color=CIELabColor.from_rgb(*colours[thing.label]),
        )
        if side := side_code(thing.label):
            kind = description.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = [hd.sr.CodedConcept.from_code(side)]
        if site := site_code(thing.label, study):
            region = hd.sr.CodedConcept.from_code(site[0])
            if site[1]:
                region.AnatomicRegionModifierSequence = [hd.sr.CodedConcept.from_code(site[1])]
            description.AnatomicRegionSequence = [region]
        out.append(description)
    return out


def _stand_in(frame: SourceFrame, first: SourceFrame, study: Study) -> Dataset:
    """A file of one frame in a frame's place: highdicom takes neither single frames of several, nor clips without positions.

    Slices of a sheet get the first one's directions, from which theirs differ by rounding alone, and the distance that all
    slices of the source have, however few of them show something.
    """
    out = Dataset()
    out.update(
        {e.tag: e for e in frame.facts if e.keyword not in _OWN}
    )  # elements are shared, so none of these is changed
    out.SOPInstanceUID = hd.UID()
    out.SOPClassUID = CTImageStorage if frame.placed else SecondaryCaptureImageStorage
    if frame.placed:
        apart = study.metadata.get("slice_spacing_mm") or frame.facts.get("SpacingBetweenSlices") or None
        out.FrameOfReferenceUID = frame.header.FrameOfReferenceUID
        out.ImagePositionPatient = list(frame.facts.ImagePositionPatient)
        out.ImageOrientationPatient = list(first.facts.ImageOrientationPatient)
        out.SliceThickness = frame.facts.get("SliceThickness") or apart
        out.SpacingBetweenSlices = None if apart is None else abs(float(apart))
    return out


def _refer(out: hd.seg.Segmentation, frames: dict[str, SourceFrame]) -> None:
    """Put the source's own files and frames in place of what stood in for them."""
    files: dict[str, Dataset] = {}
    for frame in frames.values():
        item = files[frame.header.SOPInstanceUID] = Dataset()
        item.ReferencedSOPClassUID = frame.header.SOPClassUID
        item.ReferencedSOPInstanceUID = frame.header.SOPInstanceUID
    out.SourceImageSequence = list(files.values())
    out.ReferencedSeriesSequence[0].ReferencedInstanceSequence = list(files.values())
    for group in out.PerFrameFunctionalGroupsSequence:
        for item in group.DerivationImageSequence[0].SourceImageSequence:
            source = frames.get(item.ReferencedSOPInstanceUID)
            if source is None:  # segments on one frame share the item
                continue
            item.ReferencedSOPClassUID = source.header.SOPClassUID
            item.ReferencedSOPInstanceUID = source.header.SOPInstanceUID
            if source.number is not None:
                item.ReferencedFrameNumber = source.number


def _made_of(report: Report, frames: dict[Key, SourceFrame]) -> str:
    """What the same regions of the same source have in common, whenever they are written."""
    sources = [str(frame.header.SOPInstanceUID) for frame in frames.values()]
    return json.dumps([__version__, report.model, sources, [region.to_json() for region in report.regions]])


def _uid(made_of: str, what: str, number: int) -> str:
    return str(hd.UID.from_uuid(str(uuid5(NAMESPACE_OID, f"{made_of} {what} {number}"))))


def _is_there(path: Path, uid: str) -> bool:
    return path.exists() and pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID == uid
