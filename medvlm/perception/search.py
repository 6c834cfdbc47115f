"""Every slice of a volume searched, and what they show put together."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..notices import notices, scope
from ..progress import tracked
from ..sampling import batches, evenly_spaced
from ..types import Body, Grounding, Image, Study
from ..validation import check_phrase
from ..vocabulary import LABELS, canonical_name, expected_labels, parts
from .view import Found, ImageView, merged
from .volume import cleaned, lattice_of

SAMPLED = 8  # slices that tell what kind of volume it is …
OFTEN = 0.25  # … and the share of them that has to be taken for a body part for it to be looked for

# Millimetres across, below which a body is not told from noise: the least that a lesion of multiple sclerosis measures on MRI
# (McDonald criteria), and what is commonly called too small to characterise on CT.
SMALLEST = {"ct": 5.0, "mri": 3.0}


@dataclass
class VolumeView:
    """What was found in all slices of one volume: by phrase, its presence and the body that the slices make of it."""

    views: list[ImageView]  # of the slices, in order; what was found in them stands there, without specks
    presence: dict[str, float] = field(default_factory=dict)
    bodies: dict[str, Body | None] = field(default_factory=dict)
    expected: list[str] | None = None  # the labels that such slices are searched for, once they were looked at


class VolumeSearch:
    """Searches volumes for a finder. What is found is kept as long as the slices are; their features are not, being large."""

    def __init__(self, finder: Any):
        self.finder = finder
        self.volumes: weakref.WeakKeyDictionary[Image, VolumeView] = weakref.WeakKeyDictionary()  # by their first slice

    def forget(self) -> None:
        self.volumes.clear()

    def ground(self, study: Study, phrases: Sequence[str]) -> Grounding:
        """What phrases bring in all slices: regions without specks, presence in the volume, and bodies."""
        names = list(dict.fromkeys(map(check_phrase, phrases)))
        volume = self.search(study, names)
        out = merged(self.slices(study, names))
        out.presence = {name: volume.presence[name] for name in names}
        out.bodies = {name: body for name in names if (body := volume.bodies[name])}
        out.scope = scope(study, range(len(study.images)))
        out.notices = notices(study, [region.label for region in out.regions])
        return out

    def slices(self, study: Study, names: Sequence[str]) -> list[Grounding]:
        """What phrases that were looked for brought in each slice."""
        return [view.grounding(list(names), at) for at, view in enumerate(self.volume(study).views)]

    def volume(self, study: Study) -> VolumeView:
        """What was found in a volume so far."""
        first = study.images[0]
        if first not in self.volumes:
            self.volumes[first] = VolumeView([])
        return self.volumes[first]

    def search(self, study: Study, names: Sequence[str]) -> VolumeView:
        """Look for phrases in every slice, but for those already looked for; reports its `progress`."""
        volume, count = self.volume(study), len(study.images)
        new = [name for name in dict.fromkeys(names) if name not in volume.bodies]
        if not new:
            return volume
        for batch in tracked(batches(range(count), self.finder.at_once)):
            self.finder.ground_many([(replace(study, default=at), new) for at in batch])
        volume.views = [self.finder.views[image] for image in study.images]
        lattice = lattice_of(study)
        first = volume.views[0]
        smallest = SMALLEST.get(study.modality or (first.kind[0] if first.facts else ""), 0.0)
        for name in new:
            found = [view.found[name] for view in volume.views]
            one = parts(canonical_name(name) or "") != "many"
            left, volume.bodies[name] = cleaned([here.regions for here in found], lattice, one, smallest)
            volume.presence[name] = presence_of(found, [bool(regions) for regions in left])
            for view, here, regions in zip(volume.views, found, left, strict=True):
                view.found[name] = replace(here, regions=regions)
        return volume

    def bodies(self, study: Study) -> dict[str, Body]:
        """The bodies of all that was found in a volume so far."""
        return {name: body for name, body in self.volume(study).bodies.items() if body}

    def most(self, study: Study, names: Sequence[str]) -> int:
        """The slice that shows most of some phrases, or, where nothing is shown, that is likeliest to."""
        volume = self.search(study, names)
        shown = [sum(r.area for name in names for r in view.found[name].regions) for view in volume.views]
        if not any(shown):
            shown = [max(view.found[name].presence for name in names) for view in volume.views]
        return max(range(len(shown)), key=shown.__getitem__)

    def expected(self, study: Study) -> list[str]:
        """The labels that are looked for in the kinds of slices that a volume has."""
        volume = self.volume(study)
        if volume.expected is None:
            sample = self.finder.look(evenly_spaced(study.images, SAMPLED))
            kinds = Counter(view.kind for view in sample)
            modality = kinds.most_common(1)[0][0][0]
            wanted = {
                label
                for kind, count in kinds.items()
                if count >= OFTEN * len(sample) and (study.modality or kind[0] == modality)
                for label in expected_labels(study.modality or modality, study.body_part or kind[1])
            }
            volume.expected = [label for label in LABELS if label in wanted]
        return volume.expected


def presence_of(found: Sequence[Found], shown: Sequence[bool]) -> float:
    """How likely a thing is in a volume: as in the slice that shows most of it, and, where a slice shows nothing, as likely
    as a neighbour has it too: among many slices one is always off."""
    chances = [here.presence for here in found]
    both = [min(pair) for pair in zip(chances, chances[1:], strict=False)]
    return max([chance for chance, there in zip(chances, shown, strict=True) if there] + both)
