"""What the words of a call stand for in an image, and what is seen of that."""

from __future__ import annotations

from collections.abc import Sequence

from ..perception.finder import Finder
from ..report.location import container
from ..types import Region
from ..vocabulary import LABELS, expected_labels, is_finding, other_types, whole
from .grammar import ANYTHING, IT, Call
from .meanings import Kind, labels_of
from .places import SIDED, apart, lies, likeliest_types, once, ranked, within
from .results import Scene


class Sight:
    """Labels of words, and regions of labels, in the image of a scene, by what `finder` sees."""

    def __init__(self, finder: Finder):
        self.finder = finder

    def kind_of(self, scene: Scene) -> Kind:
        """What the image is taken for: modality and body part."""
        return self.finder.view(scene.study, scene.index).kind

    def modality(self, scene: Scene) -> str:
        return scene.study.modality or self.kind_of(scene)[0]

    def expected(self, scene: Scene) -> list[str]:
        """The labels that are looked for in this kind of image."""
        modality, body_part = self.kind_of(scene)
        return expected_labels(scene.study.modality or modality, scene.study.body_part or body_part)

    def labels(self, thing: str, scene: Scene) -> list[str]:
        """The labels that the name of a thing stands for; none where it is not known."""
        return labels_of(thing, self.kind_of(scene), self.expected(scene), scene.things, scene.question)

    def can_show(self, things: Sequence[str], scene: Scene) -> bool:
        """Whether such an image can show one of some things, or nobody knows."""
        kind = self.kind_of(scene)
        known = [label for thing in things for label in self.labels(thing, scene) if label in LABELS]
        return not known or any(kind in LABELS[label].places for label in known)

    def detect(self, labels: Sequence[str], scene: Scene) -> tuple[list[Region], float]:
        """The regions of labels in the image, and the highest presence among them."""
        found = self.finder.ground(scene.study, list(dict.fromkeys(labels)), scene.index)
        return found.regions, max(found.presence.values(), default=0.0)

    def picked(self, call: Call, scene: Scene, thing: str) -> tuple[list[Region], list[str], float]:
        """The regions of a thing that a call's modifiers leave, the labels it stands for, and its presence."""
        labels = self.labels(thing, scene)
        if thing == IT and scene.focus and call.get("which") != "other":
            regions, presence = list(scene.focus), max(region.score for region in scene.focus)
        elif labels:
            regions, presence = self.detect(labels, scene)
            regions = once(likeliest_types(regions))
            kin = {one for label in labels for one in (whole(label), *other_types(label))}
            shown = [r for r in scene.shown if thing == IT and not regions and (r.phrase or r.label) in kin]
            if shown:  # of the type that was spoken of there is none, so it is the one that was shown
                regions, presence = shown, max(region.score for region in shown)
                labels = list(dict.fromkeys(region.phrase or region.label for region in shown))
        else:
            return [], [], 0.0
        if where := call.get("where"):
            mirrored = self.modality(scene) in SIDED
            regions = [r for r in regions if lies(r, where, scene.size, mirrored)]
        if organ := call.get("in"):
            holders = scene.focus if organ == IT else self.detect(self.labels(organ, scene) or [organ], scene)[0]
            regions = [r for r in regions if within(r, holders)] if holders else regions
        if call.get("near") and scene.focus:
            regions = sorted(regions, key=lambda r: min(apart(r, f) for f in scene.focus))[:1]
        return ranked(regions, call.get("which"), scene.focus), labels, presence

    def organ(self, region: Region, scene: Scene) -> str | None:
        """The organ that holds a finding, if one is outlined there."""
        if not is_finding(region.phrase or region.label):
            return None
        organs = self.anatomy(scene)
        found = self.detect(organs, scene)[0] if organs else []
        return container(region, {r.label: r.mask for r in found if r.mask is not None})

    def anatomy(self, scene: Scene) -> list[str]:
        """The normal structures that are outlined in this kind of image."""
        return [label for label in self.expected(scene) if LABELS[label].kind == "anatomy"]

    def detect_abnormal(self, scene: Scene) -> tuple[list[Region], list[str], float]:
        """The regions of all abnormalities that this kind of image is searched for, their labels, and the surest presence."""
        labels = self.labels(ANYTHING, scene)
        regions, presence = self.detect(labels, scene) if labels else ([], 0.0)
        return likeliest_types(regions), labels, presence
