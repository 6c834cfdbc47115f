"""Volumes are searched slice by slice, once: what is found is kept, what is large is let go of, how far it is, is told."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medvlm.perception.finder import Finder
from medvlm.perception.search import VolumeSearch, presence_of
from medvlm.perception.view import Found, ImageView
from medvlm.progress import telling
from medvlm.types import Image, Region, Study, mask_box

from ..tiny import picture, tiny_finder

SIZE = (50, 90)


def volume(count: int = 6, step: float | None = 1.0) -> Study:
    images = [Image(picture(size=SIZE), (1.0, 1.0), f"slice {n + 1} of {count}") for n in range(count)]
    return Study(images, kind="volume", metadata={} if step is None else {"slice_spacing_mm": step})


def square(x: int, y: int, side: int) -> Region:
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return Region("liver", 0, mask_box(mask), mask, 0.9, phrase="liver")


class MadeUpFinder:
    """Finds given regions of "liver" in slices, by their number, and counts what it was asked."""

    at_once = 1

    def __init__(self, found: dict[int, list[Region]], kinds: dict[int, tuple[str, str]] | None = None):
        self.found, self.kinds = found, kinds or {}
        self.views: dict[Image, ImageView] = {}
        self.asked: list[tuple[int, list[str]]] = []

    def look(self, images: list[Image]) -> list[ImageView]:
        kinds = [self.kinds.get(n, ("ct", "abdomen")) for n in range(len(images))]
        return [ImageView(None, {"modality": {m: 1.0}, "body_part": {b: 1.0}}, 1.0) for m, b in kinds]

    def ground_many(self, requests: list[tuple[Study, list[str]]]) -> list[None]:
        for study, names in requests:
            self.asked.append((study.default, names))
            view = self.views.setdefault(study.images[study.default], ImageView(None, {}, 1.0))
            for name in names:
                regions = self.found.get(study.default, []) if name == "liver" else []
                view.found[name] = Found(0.9 if regions else 0.1, regions)
        return [None for _ in requests]


LIVER = {1: [square(10, 10, 20)], 2: [square(10, 10, 24)], 3: [square(10, 10, 20)], 5: [square(60, 5, 30)]}


def test_every_slice_is_asked_once_and_specks_are_gone_wherever_it_is_read():
    finder, study = MadeUpFinder(LIVER | {4: [square(38, 38, 8)]}), volume(8)
    search = VolumeSearch(finder)
    found = search.ground(study, ["liver", "spleen"])
    assert [at for at, _ in finder.asked] == list(range(8)) and found.scope == "8 of 8 images"
    body = found.bodies["liver"]
    assert (body.slices, body.largest, body.count) == ((1, 3), 2, 1) and body.volume_ml == pytest.approx(1.376)
    assert [region.image for region in found.regions] == [1, 2, 3] and found.absent == ["spleen"]
    assert found.presence == {"liver": 0.9, "spleen": 0.1} and "spleen" not in found.bodies
    assert finder.views[study.images[5]].found["liver"].regions == []
    search.ground(replace(study, default=3), ["spleen", "liver"])
    assert len(finder.asked) == 8, "another image in view is the same volume"
    search.ground(study, ["liver", "aorta"])
    assert len(finder.asked) == 16 and finder.asked[-1] == (7, ["aorta"])
    assert found.to_json()["bodies"]["liver"]["measurements"][0] == {"name": "volume", "value": 1.376, "unit": "ml"}


def test_the_slice_that_shows_most_is_named_and_without_any_the_likeliest():
    study = volume(8)
    assert VolumeSearch(MadeUpFinder(LIVER)).most(study, ["liver", "spleen"]) == 2
    nothing = VolumeSearch(MadeUpFinder({}))
    nothing.search(study, ["liver"]).views[4].found["liver"] = Found(0.3, [])
    assert nothing.most(study, ["liver"]) == 4


def test_how_far_a_search_is_is_told():
    told: list[tuple[int, int]] = []
    with telling(lambda done, of: told.append((done, of))):
        VolumeSearch(MadeUpFinder({})).search(volume(3), ["liver"])
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    VolumeSearch(MadeUpFinder({})).search(volume(3), ["liver"])
    assert len(told) == 4


def test_a_search_that_is_broken_off_leaves_nothing_half_found():
    search, study = VolumeSearch(MadeUpFinder(LIVER)), volume()

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), telling(stop):
        search.search(study, ["liver"])
    assert search.bodies(study) == {}
    assert search.ground(study, ["liver"]).bodies["liver"].slices[0] == 1


def test_in_a_volume_a_thing_is_as_likely_as_two_neighbours_have_it():
    found = [Found(chance, []) for chance in (0.1, 0.9, 0.2, 0.6, 0.5)]
    assert presence_of(found, [False] * 5) == 0.5
    assert presence_of(found, [False, True, False, False, False]) == 0.9


def test_what_is_looked_for_follows_from_the_slices_kinds():
    finder = MadeUpFinder({}, {n: ("ct", "chest") for n in (5, 6)} | {7: ("mri", "brain")})
    labels = VolumeSearch(finder).expected(volume(8))
    assert {"liver", "left lung"} <= set(labels) and "brain tumour" not in labels
    assert len(set(labels)) == len(labels)


# Over a tiny model


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    return tiny_finder(tmp_path / "language")


def test_features_are_let_go_of_and_computed_anew(finder):
    study, passes = volume(5), []
    finder.model.grounder.vision.register_forward_hook(lambda *_: passes.append(1))
    finder.most_held = 2 * finder.view(study, 0).held
    found = finder.ground(study, ["liver"])
    assert len(passes) == 5 and sum(view.held > 0 for view in finder.views.values()) == 2
    assert set(found.bodies) <= {"liver"} and found.scope == "5 of 5 images"
    again = finder.ground(study, ["liver"])
    assert len(passes) == 5 and again.presence == found.presence
    assert finder.view(study, 0).held and len(passes) == 6, "it was let go of"
    assert finder.presence(replace(study, default=0), "liver") == pytest.approx(
        finder.ground(study, ["liver"], 0).presence["liver"]
    )
    assert len(finder.look(study.images)) == 5
    assert all(view.held for view in finder.views.values()), "what was asked for at once is there together"


def test_a_volume_is_forgotten_with_its_slices_and_with_the_policy(finder):
    study = volume(3)
    finder.ground(study, ["liver"])
    finder.policy = replace(finder.policy, labels={"liver": 1.0})
    assert not finder.ground(study, ["liver"]).regions
    assert len(finder.volumes.volumes) == 1
    study.images.clear()
    gc.collect()
    assert not len(finder.volumes.volumes) and not len(finder.views)


def test_one_slice_that_is_named_is_searched_alone(finder):
    study = volume(4)
    assert finder.ground(study, ["liver"], 2).scope == "slice 3 of 4" and len(finder.views) == 1
