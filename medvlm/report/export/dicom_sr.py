"""A report as a DICOM Structured Report (TID 1500): every finding as codes, with its sizes, where it is, and what was not found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import NAMESPACE_OID, uuid5

import highdicom as hd
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from ... import __version__
from ...types import EXTENTS, Finding, Measurement, Report, Study
from ..measurements import measure
from . import dicom_seg
from .dicom_codes import IDENTIFICATION, label_code, measured_code, site_code, unit_code
from .dicom_maker import MAKER, made_by
from .dicom_seg import Thing
from .dicom_source import Key, SourceFrame, key_of, source_frames, whole_box, writing

_SERIES_NUMBER = 9002
_PRESENCE = {
    "present": codes.DCM.Present,
    "absent": codes.DCM.Absent,
    "uncertain": codes.DCM.PresenceUndetermined,
}
_OF_ALL = ("count", "volume", *EXTENTS)  # measurements of all that there is of a label together

Reference = TypeVar("Reference", hd.sr.SourceImageForSegmentation, hd.sr.SourceImageForRegion)
Group = (
    hd.sr.MeasurementsAndQualitativeEvaluations
    | hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
)


@dataclass(frozen=True)
class _Part:
    """A segment of a written Segmentation that shows a thing, or some images of it."""

    segmentation: Dataset
    segment: int
    frames: tuple[int, ...]  # of the Segmentation, from 1
    image: Dataset  # item that refers to the source of the first one


def write(report: Report, study: Study, folder: Path) -> list[Path]:
    """`report.sr.dcm`, in the patient's record, with the Segmentations that it refers to, which are written as well.

    Each finding has a group that says whether it is there and how sure that is, and a group for each thing that shows it, with
    what was measured. Regions without a mask are outlined in the image.

    Raises:
        RequestError: the images are not DICOM, or nothing that can be referred to.
    """
    segmentations, found = dicom_seg.write_things(report, study, folder)
    with writing("SR"):
        frames = source_frames(study, range(len(study.images)))
        written = [pydicom.dcmread(path, stop_before_pixels=True) for path in segmentations]
        headers = list({id(frame.header): frame.header for frame in frames.values()}.values())
        document = hd.sr.ComprehensiveSR(
            evidence=[*headers, *written],
            content=_content(report, study, frames, found, _parts(written))[0],
            series_instance_uid=hd.UID(),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description="Draft report",
            coding_schemes=[IDENTIFICATION],
            **made_by(report),
        )
        path = folder / "report.sr.dcm"
        document.save_as(path, enforce_file_format=True)
    return [*segmentations, path]


def _content(
    report: Report,
    study: Study,
    frames: dict[Key, SourceFrame],
    found: Sequence[Thing],
    parts: dict[str, list[_Part]],
) -> hd.sr.MeasurementReport:
    groups: list[Group] = [_summary(report)]
    for number, finding in enumerate(report.findings):
        shown = [thing for thing in found if set(thing.regions) & set(finding.regions)]
        groups.append(_whole(finding, number, report, study, alone=len(shown) == 1))
        for thing in shown:
            groups += _masked(finding, thing, len(shown) == 1, report, study, parts[thing.uid])
        groups += _boxed(finding, report, study, frames)
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID.from_uuid(str(uuid5(NAMESPACE_OID, f"{MAKER} {__version__} {report.model}"))),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=report.model[:64] or MAKER,
    )
    return hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(
            observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device)
        ),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
    )


def _summary(report: Report) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """Whether anything was found, with the sentences that speak of the study as a whole."""
    shown = any(finding.presence != "absent" for finding in report.findings)
    outcome = codes.DCM.AllAlgorithmsSucceededWithFindings if shown else codes.DCM.AllAlgorithmsSucceededWithoutFindings
    if not report.findings:
        outcome = codes.DCM.NoAlgorithmsSucceededWithoutFindings
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="study"),
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(codes.DCM.CADProcessingAndFindingsSummary, outcome)],
    )
    for section in report.sections:
        said = " ".join(s.text for s in section.sentences if s.finding is None or section.title != "Findings")
        if said:
            _comment(group, f"{section.title}: {said}")
    _comment(group, report.disclaimer)
    return group


def _whole(
    finding: Finding, number: int, report: Report, study: Study, alone: bool
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """Whether a thing is there, and what was measured of all that there is of it; with the sentences about it."""
    code, site = label_code(finding.label), _site(finding.label, study)
    sure = min(finding.confidence, 0.99) * 100  # as in the report: two digits make nothing certain
    measured = [m for m in finding.measurements if m.name == "count" or (m.name in _OF_ALL and not alone)]
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier=finding.label),
        finding_type=code,
        finding_sites=site,
        measurements=[_sure(sure), *map(_measurement, measured)],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(codes.DCM.PresenceOfProperty, _PRESENCE[finding.presence])
        ],
    )
    for section in report.sections:
        for sentence in section.sentences:
            if sentence.finding == number and section.title == "Findings":
                _comment(group, sentence.text)
    return group


def _masked(
    finding: Finding, thing: Thing, alone: bool, report: Report, study: Study, parts: Sequence[_Part]
) -> Iterator[Group]:
    """A group for a thing that a finding rests on, by its segment; where several Segmentations show it, one for each."""
    measured = _sizes(finding, thing.regions, alone, report, study)
    for part in parts:
        series = hd.sr.SourceSeriesForSegmentation(part.segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)
        instance = part.segmentation.SOPClassUID, part.segmentation.SOPInstanceUID
        known: dict = dict(
            tracking_identifier=hd.sr.TrackingIdentifier(
                uid=thing.uid if thing.label == finding.label else hd.UID(), identifier=thing.name
            ),
            finding_type=label_code(finding.label),
            finding_sites=_site(finding.label, study),
            measurements=list(map(_measurement, measured)),
        )
        if len(part.frames) == 1:
            referred = hd.sr.ReferencedSegmentationFrame(
                *instance, part.frames[0], part.segment, _source(hd.sr.SourceImageForSegmentation, part.image)
            )
            del referred[0].ReferencedSOPSequence[0].ReferencedSegmentNumber  # the frame says it, PS3.3 10.3
            yield hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=referred, **known)
        else:
            yield hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                referenced_segment=hd.sr.ReferencedSegment(*instance, part.segment, source_series=series), **known
            )
        measured = []  # said once


def _boxed(
    finding: Finding, report: Report, study: Study, frames: dict[Key, SourceFrame]
) -> Iterator[hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    """A group for each region of a finding of which a box alone is known."""
    boxes = [i for i in finding.regions if report.regions[i].mask is None]
    for number, index in enumerate(boxes, 1):
        region = report.regions[index]
        image = study.images[region.image]
        frame = frames[key_of(image)]
        x0, y0, x1, y1 = whole_box(region.box, image)
        measured = _sizes(finding, [index], len(finding.regions) == 1, report, study)
        referred = _reference(frame.header, frame.number)
        yield hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(
                uid=hd.UID(), identifier=f"{region.label} {number}" if len(boxes) > 1 else region.label
            ),
            referenced_region=hd.sr.ImageRegion(
                hd.sr.GraphicTypeValues.POLYLINE,
                np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], float),
                _source(hd.sr.SourceImageForRegion, referred),
            ),
            finding_type=label_code(finding.label),
            finding_sites=_site(finding.label, study),
            measurements=list(map(_measurement, measured)),
        )


def _sizes(finding: Finding, regions: Sequence[int], alone: bool, report: Report, study: Study) -> list[Measurement]:
    """What was measured of some regions of a finding: what the finding says, where that is of one of them."""
    if _measured(finding, report, study) in regions:
        return [m for m in finding.measurements if m.name != "count" and (alone or m.name not in _OF_ALL)]
    largest = max((report.regions[i] for i in regions), key=lambda region: region.area)
    return measure(largest, {}, study.images[largest.image].spacing_mm)


def _measured(finding: Finding, report: Report, study: Study) -> int:
    """Index of the region that a finding's sizes are of: the largest, in a volume the largest of the slice that shows most."""
    extents = {i: report.regions[i].area for i in finding.regions}
    of_slice: dict[int, float] = {}
    for i in finding.regions if study.is_volume else ():
        image = report.regions[i].image
        of_slice[image] = of_slice.get(image, 0.0) + extents[i]
    return max(finding.regions, key=lambda i: (of_slice.get(report.regions[i].image, 0.0), extents[i]))


def _parts(segmentations: Sequence[Dataset]) -> dict[str, list[_Part]]:
    """Where each thing, by its identifier, is shown."""
    out: dict[str, list[_Part]] = {}
    for segmentation in segmentations:
        shared = segmentation.SharedFunctionalGroupsSequence[0]
        frames: dict[int, list[int]] = {}
        for number, group in enumerate(segmentation.PerFrameFunctionalGroupsSequence, 1):
            told = group if "SegmentIdentificationSequence" in group else shared
            frames.setdefault(told.SegmentIdentificationSequence[0].ReferencedSegmentNumber, []).append(number)
        for segment in segmentation.SegmentSequence:
            mine = tuple(frames[segment.SegmentNumber])
            group = segmentation.PerFrameFunctionalGroupsSequence[mine[0] - 1]
            image = group.DerivationImageSequence[0].SourceImageSequence[0]
            out.setdefault(segment.TrackingUID, []).append(_Part(segmentation, segment.SegmentNumber, mine, image))
    return out


def _reference(header: Dataset, number: int | None) -> Dataset:
    """An item that refers to a frame of the source."""
    out = Dataset()
    out.ReferencedSOPClassUID, out.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    if number is not None:
        out.ReferencedFrameNumber = number
    return out


def _source(kind: type[Reference], item: Dataset) -> Reference:
    number = item.get("ReferencedFrameNumber")
    return kind(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, None if number is None else [int(number)])


def _site(label: str, study: Study) -> list[hd.sr.FindingSite] | None:
    site = site_code(label, study)
    return [hd.sr.FindingSite(*site)] if site else None


def _measurement(measured: Measurement) -> hd.sr.Measurement:
    value = round(float(measured.value), 3)
    unit = unit_code(measured.unit)
    return hd.sr.Measurement(measured_code(measured.name), int(value) if unit.value == "1" else value, unit)


def _sure(percent: float) -> hd.sr.Measurement:
    return hd.sr.Measurement(codes.DCM.CertaintyOfFinding, round(percent, 1), unit_code("percent"))


def _comment(group: Group, text: str) -> None:
    group[0].ContentSequence.append(
        hd.sr.TextContentItem(codes.DCM.Comment, text, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS)
    )
