"""DICOM files to a study: one picture, a multi-frame object, a series of slices or several views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import StudyError
from ..types import Image, Study
from .dicom_geometry import choose_series, order_slices, order_views, orientation, spacing_mm
from .dicom_header import Frame, NoPicture, numbers, read_frames
from .dicom_pixels import decode, is_padding, modality_values, stated_voi, to_pixels
from .dicom_words import MODALITIES, body_part, modality_code
from .display import Window, default_image, default_window, sample
from .files import Source
from .limits import Limits, reading

_WINDOW_SLICES = 9  # slices that the window is taken from where the file states none


def load(sources: Sequence[Source], limits: Limits, name: str) -> Study:
    """Slices in order along their normal, views by number, or the sampled frames of a clip.

    Raises:
        StudyError: no image among the files, several patients, slices that do not fit together, or damage.
    """
    notes: list[str] = []
    found = _read_all(sources, limits, name, notes)
    frames = choose_series(found, name, notes)
    step = None
    if any(frame.placed for frame in frames):
        frames, step = order_slices(frames, name, notes)
        kind = "volume" if len(frames) > 1 else "picture"
    else:
        frames, kind = _views(frames, limits, name, notes)
    limits.check_total(name, len(frames), sum(frame.shape[0] * frame.shape[1] for frame in frames))
    code = modality_code(frames[0].facts.get("Modality"))
    part = body_part(frames[0].facts.get("BodyPartExamined"), code)
    metadata = _metadata(frames[0], code, step)
    window = _fallback_window(frames, code, part, limits, metadata)
    pixels = _decode(frames, window, limits)
    word = {"volume": "slice", "video": "frame"}.get(kind, "image")
    images = [
        Image(pixels[at], spacing_mm(frame.facts)[0], f"{word} {at + 1} of {len(frames)}")
        for at, frame in enumerate(frames)
    ]
    if notes:
        metadata["note"] = " ".join(notes)
    default = default_image(images) if kind in ("volume", "video") else 0
    return Study(images, MODALITIES.get(code or ""), part, default, kind, metadata)


def _read_all(sources: Sequence[Source], limits: Limits, name: str, notes: list[str]) -> list[Frame]:
    """The frames of all files; beside images, objects without a picture are left out."""
    frames: list[Frame] = []
    refused: list[StudyError] = []
    instances: set[str] = set()
    for source in sources:
        try:
            with reading(source.name, "a DICOM file"):
                found = read_frames(source, limits)
        except NoPicture as error:
            refused.append(error)
            continue
        instance = str(found[0].facts.get("SOPInstanceUID") or "")
        if instance and instance in instances:  # the same file twice
            continue
        instances.add(instance)
        frames += found
    if not frames:
        raise refused[0] if len(refused) == 1 else StudyError(f"{name} holds no DICOM image: give the image files.")
    if refused:
        notes.append(f"DICOM files left out for want of a picture: {len(refused)}.")
    return frames


def _views(frames: list[Frame], limits: Limits, name: str, notes: list[str]) -> tuple[list[Frame], str]:
    """Frames without a place in the patient: one picture, several views, or one clip sampled to a few frames."""
    files = {frame.source for frame in frames}
    frames = order_views(frames)
    if len(frames) == 1:
        return frames, "picture"
    if len(files) == len(frames):
        return frames, "series"
    if len(files) > 1:
        raise StudyError(f"{name} holds several clips: give one of them.")
    kept = [frames[index] for index in sample(len(frames), limits.video_frames)]
    if len(kept) < len(frames):
        notes.append(f"{len(kept)} of {len(frames)} frames are shown.")
    return kept, "video"


def _fallback_window(
    frames: list[Frame], code: str | None, part: str | None, limits: Limits, metadata: dict[str, Any]
) -> Window:
    """The window for frames whose file states none, one for the whole series; recorded in `metadata`."""
    grey = [frame for frame in frames if str(frame.facts.get("PhotometricInterpretation")).startswith("MONOCHROME")]
    bare = [frame for frame in grey if stated_voi(frame.facts) is None]
    if not bare:
        return 0.0, 255.0
    facts = bare[0].facts
    if int(facts.BitsStored) <= 8 and "RescaleSlope" not in facts and not facts.get("ModalityLUTSequence"):
        window, name = (0.0, 2.0 ** int(facts.BitsStored) - 1), "as stored"  # no VOI is identity, PS3.3 C.11.2.1
    else:
        chosen = [bare[index] for index in sample(len(bare), _WINDOW_SLICES)]
        values = []
        for frame, stored in _stored(chosen, limits):
            inside = modality_values(stored, frame.facts)[~is_padding(stored, frame.facts)]
            values.append(inside.astype(np.float32))
        window, name = default_window(np.concatenate(values), code == "CT", part)
    metadata["window"] = [round(value, 3) for value in window]
    metadata["window_name"] = name
    return window


def _decode(frames: list[Frame], window: Window, limits: Limits) -> list[np.ndarray]:
    """8-bit pixels in the order of `frames`."""
    place = {frame: at for at, frame in enumerate(frames)}
    pixels: list[Any] = [None] * len(frames)
    for frame, stored in _stored(frames, limits):
        pixels[place[frame]] = to_pixels(stored, frame, window)
    return pixels


def _stored(frames: Sequence[Frame], limits: Limits) -> Any:
    """Each frame with its stored values; every file is opened once."""
    by_source: dict[Source, list[Frame]] = {}
    for frame in frames:
        by_source.setdefault(frame.source, []).append(frame)
    for source, group in by_source.items():
        with reading(source.name, "a DICOM image"):
            group = sorted(group, key=lambda frame: frame.index)
            decoded = decode(source, [frame.index for frame in group], limits)
            yield from zip(group, decoded, strict=True)


def _metadata(frame: Frame, code: str | None, step: float | None) -> dict[str, Any]:
    """Facts that say nothing of the patient."""
    facts = frame.facts
    metadata: dict[str, Any] = {"format": "DICOM"}
    if code:
        metadata["dicom_modality"] = code
    thickness = numbers([facts.get("SliceThickness")], 1)
    if thickness is not None:
        metadata["slice_thickness_mm"] = float(thickness[0])
    if step:
        metadata["slice_spacing_mm"] = round(step, 3)
    towards = orientation(frame)
    if towards:
        metadata["orientation"] = towards
    note = spacing_mm(facts)[1]
    if note:
        metadata["spacing_note"] = note
    if facts.get("BurnedInAnnotation") == "YES":
        metadata["burned_in_annotation"] = True
    return metadata
