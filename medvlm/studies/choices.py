"""What there is among a user's files that could be the study, the most useful first; pixels are not read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from ..errors import StudyError
from ..types import Study
from . import dicom, nifti, raster, video
from .dicom_series import Group
from .files import Collection, Source
from .limits import Limits, reading
from .nifti_header import header_of
from .ranking import Rank, rank


@dataclass(frozen=True)
class Choice:
    """One thing that could be the study."""

    words: str  # patient-safe
    images: int
    rank: Rank
    read: Callable[[], Study]
    check: Callable[[], None] | None = None  # raises where it passes a limit
    scout: bool = False


def choices(
    found: Collection, limits: Limits, hounsfield: bool | float | None = None
) -> tuple[list[Choice], list[str]]:
    """All choices, the most useful first, and notices of files that were left out.

    Raises:
        StudyError: there is no choice, or the files are of several patients.
    """
    by_kind = {kind: [s for s in found.sources if s.kind == kind] for kind in ("dicom", "nifti", "video", "raster")}
    out: list[Choice] = []
    notices: list[str] = []
    damaged, refusal = found.too_large, None
    if by_kind["dicom"]:
        there = dicom.find(by_kind["dicom"], limits, found.name)
        out += [_dicom(group, limits, found.name) for group in there.groups]
        notices, damaged, refusal = there.notices, damaged + there.damaged, there.refusal
    out += [_nifti(source, limits) for source in by_kind["nifti"]]
    out += [_video(source, limits) for source in by_kind["video"]]
    if by_kind["raster"]:
        out.append(_pictures(by_kind["raster"], partial(raster.load, limits=limits, hounsfield=hounsfield), found.name))
    if not out:
        assert refusal is not None
        raise refusal
    if damaged:
        notices.append(f"Files left out as damaged or too large: {damaged}.")
    if found.left_out:
        notices.append(f"Files left out as no images: {found.left_out}.")
    return sorted(out, key=lambda choice: choice.rank, reverse=True), notices


def _dicom(group: Group, limits: Limits, name: str) -> Choice:
    def check() -> None:
        limits.check_total(name, *dicom.weight(group, limits))

    place = group.rank
    if group.slide:  # of the levels of a slide, the largest within the limits
        with suppress(StudyError):
            check()
            place = (*place[:-1], group.slide[0] * group.slide[1])
    images = 1 if group.slide else len(group.frames)
    return Choice(group.words, images, place, partial(dicom.read, group, limits), check, group.scout)


def _nifti(source: Source, limits: Limits) -> Choice:
    shape: tuple[int, ...] = ()
    bits = 0
    with suppress(StudyError), reading(source.name, "a NIfTI volume"):  # what is wrong is said when it is read
        with open(source.path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(source.path, "rb") if packed else open(source.path, "rb") as file:
            header = header_of(file.read(540), source.name)
        shape, bits = tuple(map(int, header.get_data_shape()[:3])), 8 * header.get_data_dtype().itemsize
    slices = shape[2] if len(shape) == 3 else 1
    words = f"NIfTI volume of {' x '.join(map(str, shape))} voxels" if shape else "NIfTI volume"
    return Choice(words, slices, rank("volume", slices, detail=bits), partial(nifti.load, source, limits))


def _video(source: Source, limits: Limits) -> Choice:
    return Choice("video", limits.video_frames, rank("video", 1), partial(video.load, source, limits))


def _pictures(sources: Sequence[Source], load: Callable[..., Study], name: str) -> Choice:
    words = "1 picture" if len(sources) == 1 else f"{len(sources)} pictures"
    kind = "picture" if len(sources) == 1 else "series"
    return Choice(words, len(sources), rank(kind, len(sources)), partial(_read_pictures, sources, load, name))


def _read_pictures(sources: Sequence[Source], load: Callable[..., Study], name: str) -> Study:
    """All pictures that can be read."""
    try:
        return load(sources, name=name)
    except StudyError:
        good = [source for source in sources if _is_good(source, load)]
        if len(good) in (0, len(sources)):
            raise
    study = load(good, name=name)
    study.notices.append(f"Files left out as damaged or too large: {len(sources) - len(good)}.")
    return study


def _is_good(source: Source, load: Callable[..., Study]) -> bool:
    try:
        load([source], name=source.name)
    except StudyError:
        return False
    return True
