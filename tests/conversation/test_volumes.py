"""Questions about a volume: every slice is searched, the slice that shows most is told, and what all have together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medvlm.conversation.dialogue import Conversation
from medvlm.conversation.sizes import VOLUME
from medvlm.conversation.units import in_unit, quantity
from medvlm.perception.search import VolumeSearch
from medvlm.perception.view import Found
from medvlm.report.claims import check_claims, read_claims
from medvlm.types import Grounding, Image, Measurement, Region, Study

from ..tiny import ScriptedReader
from .made_up import CT, SIZE, MadeUpFinder, shown


class SliceFinder(MadeUpFinder):
    """A `MadeUpFinder` whose views are those of images, as a search of volumes needs them."""

    at_once = 1

    def __init__(self, *regions: Region):
        super().__init__(*regions, kind=CT)
        self.views: dict = {}
        self.volumes = VolumeSearch(self)

    def ground_many(self, requests) -> list[Grounding]:
        for study, names in requests:
            found = super().ground(study, names, study.default)
            view = self.views.setdefault(study.images[study.default], replace(self.seen, found={}))
            view.found |= {name: Found(chance, found.of(name)) for name, chance in found.presence.items()}
        return []

    def ground(self, study, phrases, image=None) -> Grounding:
        kept = self.views.get(study.images[image]) if image is not None else None
        if kept and set(phrases) <= kept.found.keys():
            return kept.grounding(list(phrases), image)
        return super().ground(study, phrases, image)


def volume(count: int = 12) -> Study:
    images = [Image(np.zeros(SIZE, np.uint8), (1.0, 1.0), f"slice {n + 1} of {count}") for n in range(count)]
    return Study(images, kind="volume", metadata={"slice_spacing_mm": 10.0}, modality="ct", body_part="abdomen")


LIVER = [shown("liver", (10, 10, 50, 50), 2), shown("liver", (10, 10, 60, 50), 3), shown("liver", (10, 10, 50, 40), 4)]
SPLEEN = [shown("spleen", (120, 10, 150, 40), n) for n in (5, 6)]
CANCER = [shown("liver cancer", (20, 20, 26, 26), 2), shown("liver cancer", (20, 20, 26, 26), 3),
          shown("liver cancer", (40, 30, 46, 36), 3), shown("liver cancer", (40, 30, 46, 36), 4),
          shown("liver cancer", (20, 60, 26, 66), 4)]  # fmt: skip


def talk(calls) -> Conversation:
    reader = ScriptedReader(calls) if isinstance(calls, dict) else ScriptedReader(otherwise=calls)
    return Conversation(SliceFinder(*LIVER, *SPLEEN, *CANCER), reader)


def test_the_answer_names_the_slice_and_tells_of_all_slices_together():
    answer = talk("present(liver)").ask(volume(), "Is there a liver?")
    assert answer.text == "Yes" and answer.scope == "12 of 12 images, most on slice 4 of 12"
    assert answer.detail.startswith(
        "Liver over all slices: volume 48.0 ml, on slices 3 to 5 of 12, most on slice 4 of 12."
    )
    assert {region.image for region in answer.regions} == {3}


def test_a_size_has_the_volume_beside_it_and_a_volume_that_is_asked_for_stands_alone():
    conversation = talk("measure(liver, size)")
    size = conversation.ask(volume(), "How large is the liver?")
    assert size.text.endswith("area 2,000 mm², volume 48.0 ml")
    assert conversation.ask(volume(), "What is the volume of the liver?").text == "48.0 ml"
    assert conversation.ask(volume(), "How large is the liver in slice 3?").text.endswith("1,600 mm²")


def test_it_is_still_the_whole_volume_in_the_next_question():
    conversation, study = talk({"liver": "find(liver)", "size": "measure(it, size)"}), volume()
    first = conversation.ask(study, "liver")
    assert conversation.ask(study, "size", [("liver", first)]).text.endswith("volume 48.0 ml")
    alone = talk({"size": "measure(it, size)"})
    assert alone.ask(study, "size", [("liver", first)]).text.endswith("volume 48.0 ml"), "whoever was asked first"


def test_things_are_counted_across_slices():
    conversation = talk({"How many?": "count(liver cancer)", "More than 2?": "count(liver cancer, over=2)"})
    assert conversation.ask(volume(), "How many?").text == "3"
    assert conversation.ask(volume(), "How many?").detail.count("in 3 pieces") == 1
    assert conversation.ask(volume(), "More than 2?").text == "Yes"
    assert talk("count(liver cancer, where=upper)").ask(volume(), "How many above?").text == "2", "of one slice alone"


def test_things_on_different_slices_are_compared_by_their_volumes():
    answer = talk("compare(liver | spleen, larger)").ask(volume(), "Which is larger, the liver or the spleen?")
    assert answer.text == "Liver" and answer.detail == "Liver 48.0 ml; spleen 18.0 ml."


def test_a_description_tells_what_other_slices_show_and_calls_nothing_of_it_missing():
    answer = talk("describe()").ask(volume(), "Describe the scan.")
    assert "Over all slices: liver 48.0 ml, spleen 18.0 ml, liver cancer 1.80 ml." in answer.detail
    missing = answer.detail.split("not found:")[1]
    assert "spleen" not in missing and "pancreas" in missing


def test_a_claim_is_held_against_the_slice_that_shows_most_of_it():
    conversation = talk("present(spleen)")
    claims = check_claims(volume(), read_claims("There is a spleen.", conversation.reader), conversation)
    assert claims[0].verdict == "supported" and {region.image for region in claims[0].regions} == {5}


@pytest.mark.parametrize("words", ["1500 ml", "1500 millilitres", "1500 cc"])
def test_a_bound_in_millilitres_is_one_of_volume(words: str):
    assert quantity(words) == (1500.0, "ml") and VOLUME.search(words)
    assert in_unit(Measurement("volume", 12.0, "ml"), "ml") == 12.0
    assert in_unit(Measurement("area", 12.0, "mm2"), "ml") is None
    assert quantity("4 mm") == (4.0, "mm")
