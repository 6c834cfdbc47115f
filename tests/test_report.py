"""Measurements, locations, the draft and its exports on drawings with known answers."""

import math
import re

import numpy as np
import pytest
from skimage.draw import ellipse

from medvlm.policy import DecisionPolicy
from medvlm.report import draft_report, draw_overlay, examined_images
from medvlm.report import measurements as m
from medvlm.report.export.markdown import to_markdown
from medvlm.report.location import container, locate
from medvlm.report.volumes import WITHHELD
from medvlm.types import Body, Grounding, Image, ImageFacts, Region, Study, mask_box


def drawn_ellipse(shape=(200, 300), centre=(100, 150), radii=(40, 80), rotation=0.0):
    mask = np.zeros(shape, bool)
    mask[ellipse(*centre, *radii, shape=shape, rotation=rotation)] = True
    return mask


def rectangle(x0, y0, x1, y1, shape=(100, 100)):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def region(label, mask, score=0.9, image=0, instance=0):
    return Region(label, image, mask_box(mask), mask, score, instance)


def facts(modality="endoscopy", body_part="colon", medical=0.99):
    return ImageFacts(modality, 0.97, body_part, 0.9, medical)


# Measurements


@pytest.mark.parametrize("rotation", [0.0, 0.5, 1.2])
def test_diameters_of_an_ellipse(rotation):
    longest, across = m.diameters(drawn_ellipse(rotation=rotation))
    assert longest.value == pytest.approx(160, rel=0.02)
    assert across.value == pytest.approx(80, rel=0.02)
    assert (longest.unit, across.unit) == ("px", "px")


def test_diameters_follow_the_spacing():
    longest, across = m.diameters(rectangle(10, 20, 50, 30), (2.0, 0.1))
    assert longest.unit == "mm"
    assert longest.value == pytest.approx(20, rel=0.05)  # 10 rows of 2 mm: longer than 40 columns of 0.1 mm
    assert across.value == pytest.approx(4, rel=0.1)
    assert m.diameters(np.zeros((5, 5), bool)) == []
    assert len(m.diameters(rectangle(3, 3, 4, 4))) == 2


def test_area():
    assert m.area(rectangle(0, 0, 10, 5)).value == 50
    got = m.area(rectangle(0, 0, 10, 5), (0.5, 2.0))
    assert (got.value, got.unit) == (50.0, "mm2")


@pytest.mark.parametrize("rotation", [0.0, 0.7])
def test_head_circumference(rotation):
    a, b = 80, 40
    truth = math.pi * (3 * (a + b) - math.sqrt((3 * a + b) * (a + 3 * b)))  # Ramanujan's first formula
    mask = drawn_ellipse(rotation=rotation)
    assert m.head_circumference(mask).value == pytest.approx(truth, rel=0.01)
    assert m.head_circumference(mask, (0.5, 0.5)).value == pytest.approx(truth / 2, rel=0.01)
    ring = mask & ~drawn_ellipse(radii=(35, 75), rotation=rotation)
    assert m.head_circumference(ring).value == pytest.approx(truth, rel=0.01)
    assert m.head_circumference(np.zeros((9, 9), bool)) is None


def test_cardiothoracic_ratio():
    right, left = rectangle(10, 20, 40, 80), rectangle(60, 20, 90, 80)
    assert m.cardiothoracic_ratio(rectangle(35, 50, 75, 80), left, right).value == pytest.approx(40 / 80)
    assert m.cardiothoracic_ratio(np.zeros((100, 100), bool), left, right) is None
    assert m.cardiothoracic_ratio(rectangle(35, 50, 75, 80), left, rectangle(10, 90, 40, 95)) is None


def test_cup_to_disc_ratio():
    assert m.cup_to_disc_ratio(rectangle(40, 40, 60, 60), rectangle(30, 30, 70, 70)).value == pytest.approx(0.5)
    assert m.cup_to_disc_ratio(rectangle(0, 0, 0, 0), rectangle(30, 30, 70, 70)) is None


# Locations


@pytest.mark.parametrize(
    ("label", "box", "wanted"),
    [
        ("polyp", (5, 5, 20, 20), "in the upper left of the image"),
        ("polyp", (45, 45, 55, 55), "in the centre of the image"),
        ("polyp", (70, 40, 95, 60), "on the right side of the image"),
        ("polyp", (40, 80, 60, 95), "in the lower part of the image"),
        ("polyp", (0, 80, 100, 95), "in the lower part of the image"),
        ("polyp", (40, 10, 60, 90), "in the centre of the image"),
        ("polyp", (0, 0, 100, 100), "across most of the image"),
        ("left lung", (60, 10, 90, 90), ""),
        ("left kidney", (60, 70, 90, 90), "in the lower part of the image"),
    ],
)
def test_location(label, box, wanted):
    assert locate(Region(label, 0, box, None, 0.9), (100, 100)) == wanted


def test_container_is_the_smallest_that_holds_most():
    organs = {"right lung": rectangle(10, 10, 40, 90), "heart": rectangle(0, 0, 100, 100)}
    organs["spleen"] = rectangle(0, 0, 5, 5)
    assert container(region("lung nodule", rectangle(20, 20, 30, 30)), organs) == "right lung"
    assert container(region("lung nodule", rectangle(35, 20, 60, 30)), {"right lung": organs["right lung"]}) is None


# The draft


def polyp_report(groundings, looked_for=("polyp",), spacing=None, **known):
    study = Study([Image(np.zeros((100, 100), np.uint8), spacing)], **known)
    return draft_report(study, facts(), groundings, looked_for, "nano")


def text_of(report, title):
    return [s.text for section in report.sections if section.title == title for s in section.sentences]


def test_a_present_finding_names_its_region_size_place_and_probability():
    found = Grounding([region("polyp", rectangle(5, 5, 25, 15))], {"polyp": 0.93}, [])
    report = polyp_report([found])
    sentence = next(s for s in report.sections if s.title == "Findings").sentences[0]
    assert sentence.text.startswith("Polyp in the upper left of the image, ")
    assert " px, area 200 px²; probability 0.93." in sentence.text
    assert (sentence.finding, sentence.regions) == (0, [0])
    assert report.findings[0].presence == "present"
    assert text_of(report, "Impression") == ["Polyp (probability 0.93)."]
    assert any("spacing is unknown" in t for t in text_of(report, "Examination"))
    assert any("longest diameter" in t for t in text_of(report, "Examination"))


def test_millimetres_only_where_spacing_is_known():
    found = Grounding([region("polyp", rectangle(5, 5, 25, 15))], {"polyp": 0.93}, [])
    text = " ".join(text_of(polyp_report([found], spacing=(0.5, 0.5)), "Findings"))
    assert "mm" in text and "px" not in text
    assert "mm" not in " ".join(text_of(polyp_report([found]), "Findings"))


def test_several_regions_are_counted_and_the_largest_described():
    masks = [rectangle(5, 5, 10, 10), rectangle(70, 70, 95, 95)]
    found = Grounding([region("polyp", mask, instance=i) for i, mask in enumerate(masks)], {"polyp": 0.8}, [])
    report = polyp_report([found])
    assert "[R1–R2]" in to_markdown(report)
    assert text_of(report, "Findings")[0].startswith("Polyp (2 regions), the largest in the lower right of the image, ")
    assert report.findings[0].regions == [0, 1]
    assert [x.value for x in report.findings[0].measurements if x.name == "count"] == [2]


@pytest.mark.parametrize(
    ("presence", "with_region", "state"),
    [(0.9, True, "present"), (0.5, True, "uncertain"), (0.2, True, "uncertain"), (0.9, False, "uncertain"),
     (0.5, False, "uncertain"), (0.2, False, "absent")],
)  # fmt: skip
def test_presence(presence, with_region, state):
    regions = [region("polyp", rectangle(5, 5, 25, 15))] if with_region else []
    report = polyp_report([Grounding(regions, {"polyp": presence}, [])])
    assert report.findings[0].presence == state
    described = [s for section in report.sections for s in section.sentences if s.finding is not None]
    assert bool(described) == with_region
    assert all(s.regions for s in described)
    assert ("Possible polyp" in to_markdown(report)) == (state == "uncertain" and with_region)


def test_what_was_not_found_is_said_once():
    report = polyp_report([Grounding([], {"polyp": 0.1, "mass": 0.02}, ["polyp", "mass"])], ("polyp", "mass"))
    assert text_of(report, "Findings") == ["Looked for and not found: polyp, mass."]
    assert text_of(report, "Impression") == [
        "None of the abnormalities that were looked for was found; that does not rule them out."
    ]
    assert report.findings[1].confidence == pytest.approx(0.98)


def test_normal_structures_alone_rule_nothing_out():
    found = Grounding([region("fetal head", rectangle(10, 10, 90, 90))], {"fetal head": 0.99}, [])
    report = polyp_report([found], ("fetal head",))
    assert text_of(report, "Impression") == [
        "Only normal structures were looked for, so abnormalities are not ruled out."
    ]
    assert "head circumference" in text_of(report, "Findings")[0]


def test_a_chest_film_gets_its_ratio_and_its_container():
    masks = {
        "left lung": rectangle(60, 20, 90, 80),
        "right lung": rectangle(10, 20, 40, 80),
        "heart": rectangle(30, 50, 80, 80),
        "lung nodule": rectangle(15, 25, 20, 30),
    }
    found = Grounding([region(k, v) for k, v in masks.items()], dict.fromkeys(masks, 0.9), [])
    study = Study([Image(np.zeros((100, 100), np.uint8))], modality="x-ray", body_part="chest")
    report = draft_report(study, facts(), [found], list(masks))
    assert text_of(report, "Examination")[0] == "X-ray, chest (as the file states)."
    assert text_of(report, "Findings")[0].startswith("Lung nodule within the right lung, in the upper left of the")
    assert any("cardiothoracic ratio of 0.62" in t for t in text_of(report, "Impression"))
    study.modality = "ct"
    report = draft_report(study, facts(), [found], list(masks))
    assert not any("cardiothoracic" in t for t in text_of(report, "Impression"))


CHEST = {
    "left lung": rectangle(60, 20, 90, 80),
    "right lung": rectangle(10, 20, 40, 80),
    "heart": rectangle(30, 50, 80, 80),  # 50 of 80 columns: a ratio of 0.62
}


def chest_report(cardiomegaly: float, masks, enlarged_heart: float = 0.5):
    shown = [region(k, v) for k, v in masks.items()]
    found = Grounding(shown, dict.fromkeys(masks, 0.9) | {"cardiomegaly": cardiomegaly}, [])
    study = Study([Image(np.zeros((100, 100), np.uint8))], modality="x-ray", body_part="chest")
    policy = DecisionPolicy(enlarged_heart=enlarged_heart)
    labels = [*CHEST, "cardiomegaly", "pneumothorax"]
    report = draft_report(study, facts(), [found], labels, policy=policy)
    return report, next(f for f in report.findings if f.label == "cardiomegaly")


def test_a_wide_heart_is_not_among_what_was_not_found():
    report, finding = chest_report(0.1, CHEST)
    assert finding.presence == "uncertain" and finding.confidence == pytest.approx(0.1)
    assert [m.name for m in finding.measurements] == ["cardiothoracic ratio"]
    assert [report.regions[i].label for i in finding.regions] == ["heart"]
    told = text_of(report, "Findings")
    assert told[0] == (
        "Uncertain whether the heart is enlarged: the cardiothoracic ratio of 0.62 is above 0.50, "
        "by its look the probability is 0.10."
    )
    assert told[-1] == "Looked for and not found: pneumothorax."
    assert text_of(report, "Impression") == [
        "The cardiothoracic ratio of 0.62 is above 0.50: on a PA film the heart would be enlarged.",
        "Beside that, none of the abnormalities that were looked for was located; some are uncertain.",
    ]


def test_cardiomegaly_against_a_small_ratio_is_a_conflict():
    report, finding = chest_report(0.8, CHEST | {"cardiomegaly": CHEST["heart"]}, enlarged_heart=0.7)
    assert finding.presence == "uncertain"
    assert text_of(report, "Findings")[0] == (
        "Possible cardiomegaly by its look (probability 0.80), although the cardiothoracic ratio of 0.62 is not above 0.70."
    )
    assert text_of(report, "Impression") == ["Possible cardiomegaly (probability 0.80)."]


def test_ratio_and_look_that_agree_stay_as_they_are():
    report, finding = chest_report(0.8, CHEST | {"cardiomegaly": CHEST["heart"]})
    assert finding.presence == "present" and text_of(report, "Impression")[0] == "Cardiomegaly (probability 0.80)."
    report, finding = chest_report(0.1, CHEST, enlarged_heart=0.7)
    assert finding.presence == "absent" and not finding.regions
    assert text_of(report, "Findings")[-1] == "Looked for and not found: cardiomegaly, pneumothorax."


def test_what_is_found_shows_what_it_is_a_kind_of():
    found = Grounding([region("glioma", rectangle(5, 5, 25, 15))], {"glioma": 0.9, "brain tumour": 0.1}, [])
    report = polyp_report([found], ("brain tumour", "glioma", "meningioma"))
    assert [f.presence for f in report.findings] == ["present", "present", "absent"]
    assert report.findings[0].regions == report.findings[1].regions == [0]
    assert text_of(report, "Findings")[-1] == "Looked for and not found: meningioma."
    assert text_of(report, "Impression") == ["Glioma (probability 0.90)."]


def test_a_cancer_lies_in_its_own_organ_or_in_none():
    masks = {"gallbladder": rectangle(0, 0, 60, 60), "liver cancer": rectangle(10, 10, 20, 20)}
    found = Grounding([region(k, v) for k, v in masks.items()], dict.fromkeys(masks, 0.9), [])
    assert "gallbladder" not in text_of(polyp_report([found], tuple(masks)), "Findings")[0]
    masks["liver"] = masks["gallbladder"]
    found = Grounding([region(k, v) for k, v in masks.items()], dict.fromkeys(masks, 0.9), [])
    assert "within the liver" in " ".join(text_of(polyp_report([found], tuple(masks)), "Findings"))


def test_what_no_header_names_is_not_as_the_file_states():
    def first(**stated) -> str:
        study = Study([Image(np.zeros((100, 100), np.uint8))], **stated)
        return text_of(draft_report(study, facts(), [], []), "Examination")[0]

    assert first(modality="ct", body_part="chest") == "CT, chest (as the file states)."
    assert re.fullmatch(
        r"CT \(as the file states\), .+ \(as the model sees it, probability 0\.\d\d\)\.", first(modality="ct")
    )
    assert re.fullmatch(
        r".+ \(as the model sees it, probability 0\.\d\d\), chest \(as the file states\)\.", first(body_part="chest")
    )
    assert "states" not in first()


def test_a_few_of_many_pictures_are_examined_and_every_slice_of_a_volume():
    images = [Image(np.zeros((100, 100), np.uint8), (1.0, 1.0), f"frame {i + 1} of 20") for i in range(20)]
    chosen = examined_images(Study(images, kind="video", default=10))
    assert len(chosen) == 8 and 10 in chosen and chosen[0] == 0 and chosen[-1] == 19
    assert examined_images(Study(images, kind="volume", default=10)) == list(range(20))
    livers = [region("liver", rectangle(5, 5, 25 + i, 15), image=i) for i in chosen]
    groundings = [Grounding([liver], {"liver": 0.9}, []) for liver in livers]
    report = draft_report(Study(images, kind="video"), facts("ct", "abdomen"), groundings, ["liver"])
    assert text_of(report, "Findings")[0].startswith("Liver on 8 of the examined images, the largest on frame 20 of 20")
    assert "8 of 20 images were examined." in text_of(report, "Examination")


def test_a_volume_speaks_of_its_slices():
    images = [Image(np.zeros((100, 100), np.uint8), (1.0, 1.0), f"slice {i + 1} of 3") for i in range(3)]
    study = Study(images, kind="volume", metadata={"slice_spacing_mm": 5.0})
    livers = [region("liver", rectangle(5, 5, 25 + i, 15), image=i) for i in (1, 2)]
    slices = [Grounding([], {"liver": 0.1}, ["liver"]), *(Grounding([r], {"liver": 0.9}, []) for r in livers)]
    whole = Grounding(livers, {"liver": 0.9}, [], bodies={"liver": Body((1, 2), 2, 1, 12.34, (22.0, 10.0, 10.0))})
    report = draft_report(study, facts("ct", "abdomen"), slices, ["liver"], whole=whole)
    assert text_of(report, "Findings")[0].startswith(
        "Liver on slices 2 to 3 of 3, volume 12.3 ml, 22 × 10 × 10 mm, most on slice 3 of 3: "
    )
    assert "All 3 slices were examined." in text_of(report, "Examination")
    assert {m.name: m.value for m in report.findings[0].measurements}["volume"] == 12.34
    assert report.findings[0].regions == [0, 1]
    whole.bodies = {"liver": Body((1, 2), 2, 1)}
    withheld = draft_report(study, facts("ct", "abdomen"), slices, ["liver"], whole=whole)
    assert WITHHELD in text_of(withheld, "Examination") and "volume" not in text_of(withheld, "Findings")[0]


def test_a_photograph_gets_no_report():
    study = Study([Image(np.zeros((9, 9), np.uint8))])
    report = draft_report(study, facts(medical=0.1), [], [])
    assert [s.title for s in report.sections] == ["Examination"]
    assert "does not look like a medical image" in to_markdown(report)


# The overlay


def test_overlay_keeps_size_and_input():
    pixels = np.full((120, 160), 50, np.uint8)
    before = pixels.copy()
    mask = rectangle(40, 60, 90, 100, (120, 160))
    drawn = draw_overlay(pixels, [region("polyp", mask), Region("mass", 0, (100, 5, 159, 40), None, 0.4)])
    assert drawn.shape == (120, 160, 3) and drawn.dtype == np.uint8
    assert (pixels == before).all()
    assert (drawn[80, 60] != 50).any() and (drawn[30, 20] == 50).all()
    assert (draw_overlay(pixels, []) == 50).all()
