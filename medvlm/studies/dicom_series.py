"""DICOM frames sorted into what could be a study: volumes, clips, sets of views, localizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import StudyError
from .dicom_geometry import depths, places, step_mm
from .dicom_header import Frame
from .dicom_mosaic import is_mosaic, stated_tiles
from .dicom_orientation import plane_of
from .dicom_sequence import sequence
from .dicom_slide import slide_size
from .dicom_stacks import alike, by_direction, grouped, joined, phases, series_of
from .dicom_words import MODALITIES, PROJECTIONS, SCOUTS, SCREENS, SECONDARY_CAPTURE, SECTIONS, modality_words
from .files import natural_key
from .ranking import Rank, rank

_CINE = 5  # images at one place, from which on they are a clip
_FEW = 3  # slices of another direction in a series: a localizer; so many times more are no such
_NOUNS = {"volume": "slice", "video": "frame"}


@dataclass
class Group:
    """Frames that belong together, in order."""

    frames: list[Frame]
    kind: str  # picture | series | volume | video
    scout: bool = False
    screen: bool = False  # a capture of a screen, such as a dose report, or a label
    slide: tuple[int, int] | None = None  # (H, W) of the picture that the frames are tiles of
    part: str = ""  # of several at the same places, such as "part 1 of 3"
    notices: list[str] = field(default_factory=list)

    @property
    def noun(self) -> str:
        """What one image is called."""
        return _NOUNS.get(self.kind, "image")

    @property
    def step_mm(self) -> float | None:
        """The distance between slices, None where it is unknown or varies."""
        tiled = self.frames[0].tile is not None and not self.frames[0].facts.get("SpacingBetweenSlices")
        return None if self.kind != "volume" or tiled else step_mm(self.frames)[0]

    @property
    def plane(self) -> str | None:
        """axial, coronal or sagittal, where all images lie so."""
        planes = {plane.name if plane else None for plane in map(plane_of, self.frames)}
        return planes.pop() if len(planes) == 1 else None

    @property
    def sequence(self) -> str | None:
        """Such as T1, of magnetic resonance images that are all of one."""
        found = set(map(sequence, self.frames))
        return found.pop() if len(found) == 1 else None

    @property
    def words(self) -> str:
        """What it is, for a person who has to choose; without anything that a patient could be known by."""
        count, sizes = len(self.frames), {frame.shape for frame in self.frames}
        if self.slide:
            count, sizes = 1, {self.slide}
        noun = "slice" if self.plane and self.kind == "picture" else self.noun
        amount = f"{count} {noun}{'' if count == 1 else 's'}"
        if len(sizes) == 1:
            rows, columns = sizes.pop()
            amount += f" of {columns} x {rows} pixels"
        step, first = self.step_mm, self.frames[0]
        words = (
            modality_words(first.code),
            self.sequence,
            "localizer" if self.scout else "",
            "captured from a screen" if self.screen else "",
            "derived" if "DERIVED" in first.types and not self.screen else "",
            self.plane,
            "mosaic" if is_mosaic(first) else "",
            "clip" if self.kind == "video" else "",
            amount,
            f"{step:.3g} mm apart" if step else "",
            self.part,
        )
        return ", ".join(filter(None, words))

    @property
    def rank(self) -> Rank:
        """How useful it is."""
        first = self.frames[0]
        return rank(
            self.kind,
            1 if self.slide else len(self.frames),
            aside=self.scout or self.screen,
            weight=(1 if "DERIVED" not in first.types else 0.25) * (1 if MODALITIES.get(first.code) else 0.25),
            axial=self.plane == "axial",
        )


def groups(frames: Sequence[Frame], name: str, explicit: bool) -> list[Group]:
    """What there is among the frames of one patient, in the order of the files.

    Args:
        explicit: the files were named one by one, so that views stay in the order that was given.

    Raises:
        StudyError: several patients.
    """
    patients = {str(frame.facts.get("PatientID") or "") for frame in frames} - {""}
    if len(patients) > 1:
        raise StudyError(f"{name} holds images of {len(patients)} patients: give the files of one patient.")
    frames = [tile for frame in frames for tile in (is_mosaic(frame) and stated_tiles(frame)) or [frame]]
    scouts = _scouts(frames)
    rest = [frame for frame in frames if frame not in scouts]
    slices = _slices(rest)
    out = [stack for kin in alike(slices) for whole in joined(kin) for stack in _stacks(whole)]
    sliced = set(slices)
    out += _views([frame for frame in rest if frame not in sliced], explicit)
    for localizer in grouped((frame for frame in frames if frame in scouts), series_of).values():
        out.append(Group(_in_order(localizer, explicit), _flat_kind(localizer), scout=True))
    return out


def _scouts(frames: Sequence[Frame]) -> set[Frame]:
    """Localizers, by Image Type, and the few slices of a series that lie in another direction than the rest."""
    out = {frame for frame in frames if any(word in kind for kind in frame.types for word in SCOUTS)}
    placed = [frame for frame in frames if frame.placed and frame not in out]
    for series in grouped(placed, series_of).values():
        turned = by_direction(series)
        most = max(map(len, turned))
        if len(turned) >= 3 and most <= _FEW:  # all directions alike: an unmarked localizer
            out.update(series)
        for few in turned:
            if len(few) <= _FEW and most >= 3 * len(few):
                out.update(few)
    return out


def _slices(frames: Sequence[Frame]) -> list[Frame]:
    """The frames that lie somewhere in a stack."""
    out = []
    loose = []
    files = grouped(frames, lambda frame: frame.source)
    for frame in frames:
        if _is_screen(frame) or is_mosaic(frame):
            continue
        if frame.placed and (frame.code not in PROJECTIONS or len(files[frame.source]) > 1):
            out.append(frame)
        elif frame.code in SECTIONS and len(files[frame.source]) == 1:
            loose.append(frame)
    for group in grouped(loose, lambda frame: (series_of(frame), frame.shape)).values():
        if len(group) >= (2 if depths(group) is not None else 3):
            out += group
    return out


def _stacks(frames: Sequence[Frame]) -> list[Group]:
    """Slices of one series: one volume, or one for each time or echo, or a clip of one place."""
    stack = places(frames)
    if len(stack) == 1 and len(frames) >= _CINE:
        return [Group(_in_order(frames, explicit=False), "video")]
    most = max(len(place) for place in stack.values())
    shared = [f"Up to {most} images share a position (phases, echoes or doubled slices): one of each is taken."]
    found = phases(frames)
    return [
        Group(
            part,
            "volume" if len(part) > 1 else "picture",
            part=f"part {number} of {len(found)}" if len(found) > 1 else "",
            notices=shared if most > 1 else [],
        )
        for number, part in enumerate(found, 1)
    ]


def _views(frames: Sequence[Frame], explicit: bool) -> list[Group]:
    """Frames without a place: pictures of one kind together, each clip, slide and mosaic by itself."""
    out: list[Group] = []
    single: list[Frame] = []
    for file in grouped(frames, lambda frame: frame.source).values():
        if len(file) > 1:
            size = slide_size(file)
            out.append(Group(file, "picture" if size else "video", screen=_is_screen(file[0]), slide=size))
        elif is_mosaic(file[0]):
            out.append(Group(file, "picture"))
        else:
            single += file
    for (_, screen), group in grouped(single, lambda frame: (_modality(frame), _is_screen(frame))).items():
        out.append(Group(_in_order(group, explicit), _flat_kind(group), screen=screen))
    return out


def _modality(frame: Frame) -> str:
    """Films are films, whichever of their codes they have."""
    return MODALITIES.get(frame.code) or frame.code


def _is_screen(frame: Frame) -> bool:
    """A capture of a screen, or a written label; photographs and films may be stored as captures too, and count as what they are."""
    kind = str(frame.facts.get("SOPClassUID") or "")
    captured = not frame.placed and (kind == SECONDARY_CAPTURE or kind.startswith(f"{SECONDARY_CAPTURE}."))
    if frame.code == "SM" and "LABEL" in frame.types:  # of a slide: it may name the patient
        return True
    return bool(frame.types & set(SCREENS)) or (captured and frame.code in (*SECTIONS, "OT", "SC"))


def _flat_kind(frames: Sequence[Frame]) -> str:
    return "series" if len(frames) > 1 else "picture"


def _in_order(frames: Sequence[Frame], explicit: bool) -> list[Frame]:
    """Views by instance number, file name and frame, or as they were given."""
    if explicit:
        return list(frames)
    return sorted(frames, key=lambda frame: (frame.number, natural_key(frame.source.name), frame.index))
