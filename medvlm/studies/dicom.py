"""DICOM files to studies: what there is among them, and one of these as images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import StudyError
from ..sampling import evenly_spaced
from ..types import Image, Study
from .dicom_geometry import pixel_shape, space_of, spacing_mm, step_mm
from .dicom_header import Frame, NoPicture, numbers, origin_of, read_frames
from .dicom_mosaic import found_tiles, is_mosaic
from .dicom_orientation import laterality, orientation, plane_of, sides_known, turn_of, view
from .dicom_pixels import Windowing, decode, modality_values, stated_voi, to_pixels, windowing
from .dicom_series import Group, groups
from .dicom_slide import put_together
from .dicom_stacks import grouped
from .dicom_words import MODALITIES, SECTIONS, body_part, modality_code
from .display import default_image
from .files import Source
from .limits import Limits, reading
from .values import Kept

_WINDOW_SLICES = 9  # slices that the window is taken from where the file states none


@dataclass
class Found:
    """What there is among DICOM files."""

    groups: list[Group]
    notices: list[str]  # of files that were left out
    damaged: int = 0
    refusal: StudyError | None = None  # why there is no group


def find(sources: Sequence[Source], limits: Limits, name: str) -> Found:
    """Sort files into what belongs together; pixels are not read.

    Raises:
        StudyError: several patients.
    """
    frames: list[Frame] = []
    refused: list[StudyError] = []
    instances: set[str] = set()
    twice = 0
    for source in sources:
        try:
            with reading(source.name, "a DICOM file"):
                found = read_frames(source, limits)
        except StudyError as error:
            refused.append(error)
            continue
        instance = str(found[0].facts.get("SOPInstanceUID") or "")
        if instance and instance in instances:
            twice += 1
            continue
        instances.add(instance)
        frames += found
    bare = sum(isinstance(error, NoPicture) for error in refused)
    notices = [f"DICOM files left out for want of a picture: {bare}."] if bare else []
    notices += [f"Files that are there twice, read once: {twice}."] if twice else []
    explicit = all(source.explicit for source in sources)
    refusal = None if frames else _no_image(refused, name)
    return Found(groups(frames, name, explicit), notices, len(refused) - bare, refusal)


def weight(group: Group, limits: Limits) -> tuple[int, int, int]:
    """How many images reading a group would give, of how many pixels together as shown, and the channels of each."""
    frames = _sampled(group, limits)
    channels = 1 if all(map(_is_grey, frames)) else 3
    if group.slide:
        limits.check_size(frames[0].source.name, *group.slide)
        return 1, group.slide[0] * group.slide[1], channels
    pixels = 0
    for frame in frames:
        rows, columns = turn_of(frame, pixel_shape(frame.facts)).shown
        limits.check_size(frame.source.name, rows, columns)
        pixels += rows * columns
    return len(frames), pixels, channels


def read(group: Group, limits: Limits) -> Study:
    """The images of a group: slices in order, views by number, or the sampled frames of a clip.

    Raises:
        StudyError: none of its files can be decoded.
    """
    notices = list(group.notices)
    if group.kind == "video" and len(group.frames) > limits.video_frames:
        notices.append(f"{limits.video_frames} of {len(group.frames)} frames are shown.")
    if is_mosaic(group.frames[0]):
        group = _cut(group, limits, notices)
    first = group.frames[0]
    code = modality_code(first.code)
    parts = {body_part(frame.facts.get("BodyPartExamined"), code) for frame in group.frames} - {None}
    part = parts.pop() if len(parts) == 1 else None
    frames = _sampled(group, limits)
    how = _windowing(frames, code, part, limits)
    total = sum(int(np.prod(frame.shape)) for frame in frames)
    kept = Kept(limits.max_value_bytes, total, how.hounsfield)
    pixels = _decode(frames, how, limits, kept)
    if how.notice:
        notices.append(how.notice)
    if lost := {frame.source for frame in frames} - {frame.source for frame in pixels}:
        notices.append(f"Damaged files left out: {len(lost)}.")
    if group.slide:
        pixels = {replace(frames[0], tile=(0, 0, *group.slide)): put_together(pixels, group.slide)}
    group = replace(group, frames=list(pixels))
    images = [_image(frame, pixels[frame], f"{group.noun} {at} of {len(pixels)}") for at, frame in enumerate(pixels, 1)]
    for frame, image in zip(pixels, images, strict=True):
        image.values = kept.of(frame)
    return Study(
        images,
        MODALITIES.get(code or ""),
        part,
        default_image(images) if group.kind in ("volume", "video") else 0,
        group.kind,
        _metadata(group, code, how),
        list(dict.fromkeys(notices + _notices(group))),
        all(sides_known(frame) for frame in group.frames),
        space=space_of(group.frames) if group.kind in ("volume", "picture") and not group.slide else None,
    )


def _no_image(refused: Sequence[StudyError], name: str) -> StudyError:
    """What is said of files none of which is an image."""
    damaged = [error for error in refused if not isinstance(error, NoPicture)]
    if damaged or len(refused) == 1:
        return (damaged or refused)[0]
    return StudyError(f"{name} holds no DICOM image: give the image files.")


def _sampled(group: Group, limits: Limits) -> list[Frame]:
    """All frames, but of a clip no more than the limit."""
    if group.kind != "video":
        return group.frames
    return evenly_spaced(group.frames, limits.video_frames)


def _cut(group: Group, limits: Limits, notices: list[str]) -> Group:
    """A mosaic cut into its slices, or as it is where they cannot be told apart."""
    for frame, stored in _stored(group.frames[:1], limits):
        tiles = found_tiles(frame, stored) if stored.ndim == 2 else None
        if tiles and len(tiles) > 1:
            limits.check_total(frame.source.name, len(tiles), stored.size)
            return replace(group, frames=tiles, kind="volume")
    notices.append("The picture is a mosaic whose slices could not be told apart: it is read as one image.")
    return group


def _image(frame: Frame, pixels: np.ndarray, name: str) -> Image:
    """One image as shown, with the size of its pixels as shown."""
    turn = turn_of(frame, pixel_shape(frame.facts))
    spacing = spacing_mm(frame.facts)[0]
    if turn.identity:
        return Image(pixels, spacing, name, origin=origin_of(frame))
    if spacing:
        lengths = [length * size for length, size in zip(turn.stored, spacing, strict=True)]
        high, wide = lengths[::-1] if turn.exchanged else lengths
        spacing = round(high / turn.shown[0], 6), round(wide / turn.shown[1], 6)
    return Image(turn.to_shown(pixels), spacing, name, turn, origin=origin_of(frame))


def _notices(group: Group) -> list[str]:
    """What has to be known of images that were read."""
    frames = group.frames
    out = [spacing_mm(frame.facts)[1] for frame in frames]
    if group.kind == "volume":
        out.append(step_mm(frames)[1])
    if any(frame.code in SECTIONS and not plane_of(frame) for frame in frames):
        out.append("The files do not state their orientation: left and right may be exchanged.")
    if any(frame.facts.get("BurnedInAnnotation") == "YES" for frame in frames):
        out.append("The files say that writing is burned into their pixels: it may name the patient.")
    if group.scout:
        out.append("This is a localizer, made to plan the scan.")
    return [notice for notice in out if notice]


def _windowing(frames: Sequence[Frame], code: str | None, part: str | None, limits: Limits) -> Windowing:
    """How grey frames are shown, one way for all of them."""
    grey = [frame for frame in frames if _is_grey(frame)]
    chosen = evenly_spaced(grey, _WINDOW_SLICES)
    return windowing(list(_stored(chosen, limits)), code == "CT", part)


def _decode(frames: Sequence[Frame], how: Windowing, limits: Limits, kept: Kept) -> dict[Frame, np.ndarray]:
    """8-bit pixels as stored, in the order of `frames`; files that cannot be decoded are left out. Their values are kept.

    Raises:
        StudyError: none can be decoded.
    """
    decoded = {}
    for frame, stored in _stored(frames, limits):
        decoded[frame] = to_pixels(stored, frame, how.window, how.stated)
        if kept.wanted and stored.ndim == 2:
            kept.add(frame, modality_values(stored, frame.facts), turn_of(frame, pixel_shape(frame.facts)))
    return {frame: decoded[frame] for frame in frames if frame in decoded}


def _stored(frames: Sequence[Frame], limits: Limits) -> Iterator[tuple[Frame, np.ndarray]]:
    """Each frame that can be decoded with its stored values; every file is opened once.

    Raises:
        StudyError: none can be decoded.
    """
    refused: list[StudyError] = []
    by_file = grouped(frames, lambda frame: frame.source)
    for source, group in by_file.items():
        try:
            with reading(source.name, "a DICOM image"):
                by_index = grouped(sorted(group, key=lambda frame: frame.index), lambda frame: frame.index)
                for same, stored in zip(by_index.values(), decode(source, list(by_index), limits), strict=True):
                    for frame in same:
                        yield frame, _tile(stored, frame)
        except StudyError as error:
            refused.append(error)
    if refused and len(refused) == len(by_file):
        raise refused[0]


def _is_grey(frame: Frame) -> bool:
    return str(frame.facts.get("PhotometricInterpretation")).startswith("MONOCHROME")


def _tile(stored: np.ndarray, frame: Frame) -> np.ndarray:
    if frame.tile is None:
        return stored
    row, column, rows, columns = frame.tile
    return stored[row : row + rows, column : column + columns]


def _metadata(group: Group, code: str | None, how: Windowing) -> dict[str, Any]:
    """Facts that say nothing of the patient."""
    first = group.frames[0]
    metadata: dict[str, Any] = {"format": "DICOM"}
    if code:
        metadata["dicom_modality"] = code
    thickness = numbers([first.facts.get("SliceThickness")], 1)
    if thickness is not None:
        metadata["slice_thickness_mm"] = float(thickness[0])
    if group.step_mm:
        metadata["slice_spacing_mm"] = round(group.step_mm, 3)
    if any(_is_grey(frame) and not (how.stated and stated_voi(frame.facts)) for frame in group.frames):
        metadata["window"], metadata["window_name"] = [round(value, 3) for value in how.window], how.name
    plane = plane_of(first)
    if plane and group.plane:
        metadata["plane"], metadata["slice_order"] = plane.name, plane.order
    if group.sequence:
        metadata["sequence"] = group.sequence
    for key, told in (("orientation", orientation), ("laterality", laterality), ("view", view)):
        values = [told(frame) for frame in group.frames]
        if values[0] and values.count(values[0]) == len(values):
            metadata[key] = values[0]
    return metadata
