"""Reports read into claims by a scripted reader, and claims against made-up regions; the shipped weights at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from medvlm.assistant import Assistant
from medvlm.errors import RequestError
from medvlm.records import data_sets, read_records
from medvlm.report.claims import NO_PRIOR, UNCHECKED, UNREAD, Claim, check_claims, names_it, read_claims
from medvlm.report.sentences import Clause, check_report_text, clauses, sentences
from medvlm.types import Study

from .conversation.made_up import COLON, FILM, MadeUpFinder, shown, study_of, talk
from .tiny import ScriptedReader

SAMPLE = Path(__file__).parent / "sample"
LEFT, RIGHT = (120, 50, 180, 90), (10, 50, 70, 90)  # of the patient, in an image of 100 rows and 200 columns


def heading_free(text: str) -> list[str]:
    return sentences(check_report_text(text))


# Sentences


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("No effusion. The heart is 4.5 cm wide! Clear?", ["No effusion.", "The heart is 4.5 cm wide!", "Clear?"]),
        ("FINDINGS:\nNo effusion\nor mass.\n\nHeart normal", ["No effusion or mass.", "Heart normal"]),
        ("Findings: one polyp.\nIMPRESSION\n1. Polyp.\n- No mass.", ["one polyp.", "Polyp.", "No mass."]),
        ("no effusion. heart is normal.", ["no effusion.", "heart is normal."]),
        ("Seen by Dr. Who, approx. 3 mm.", ["Seen by Dr. Who, approx. 3 mm."]),
        ("The ratio is 0.42. No effusion.", ["The ratio is 0.42.", "No effusion."]),
        (
            "CLINICAL HISTORY: rule out pneumonia.\nCough.\nTECHNIQUE: PA\nFindings (chest): Clear.\nRecommendations: CT.",
            ["Clear."],
        ),
    ],
)
def test_a_text_is_split_into_what_it_says_of_the_image(text, told):
    assert heading_free(text) == told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "must be text"),
        ("", "empty"),
        (" \n -- 12 \n", "empty"),
        ("a" * 20_001, "20,001 characters"),
        ("No mass. " * 201, "201 sentences"),
        ("No mass.\0\x01", "plain text"),
        ("Легкие чистые, сердце не увеличено.", "English"),
        ("Kein Nachweis von Pleuraergüssen oder pneumonischen Infiltraten.", "English"),
    ],
)
def test_a_report_that_cannot_be_read_is_refused_in_one_sentence(text, words):
    with pytest.raises(RequestError, match=words):
        read_claims(text, ScriptedReader())


# Clauses


def no(*texts: str) -> list[Clause]:
    return [Clause(text, denied=True) for text in texts]


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("No effusion, pneumothorax or consolidation.", no("effusion", "pneumothorax", "consolidation")),
        ("There is no evidence of pneumonia.", no("pneumonia")),
        ("Neither effusion nor mass", no("effusion", "mass")),
        ("No effusion, no mass, and without any polyp.", no("effusion", "mass", "polyp")),
        ("No scoliosis, kyphosis, or rib notching.", no("scoliosis", "kyphosis", "rib notching")),
        ("No pleural or pericardial effusion is seen.", no("pleural or pericardial effusion is seen")),
        ("No nodule in the left or right lung.", no("nodule in the left or right lung")),
        ("Cardiomegaly without effusion or mass.", [Clause("Cardiomegaly"), *no("effusion", "mass")]),
        ("No effusion but the heart is enlarged.", [*no("effusion"), Clause("the heart is enlarged")]),
        ("No effusion and the heart is enlarged.", [*no("effusion"), Clause("the heart is enlarged")]),
        ("The pneumothorax has resolved.", no("The pneumothorax")),
        ("There is no longer an effusion.", [Clause("There is no longer an effusion")]),
        ("A polyp, 6 mm, in the upper left.", [Clause("A polyp, 6 mm, in the upper left")]),
        ("Left and right pleural effusions.", [Clause("Left and right pleural effusions")]),
        ("Consolidation, with bulging of a fissure.", [Clause("Consolidation"), Clause("bulging of a fissure")]),
        ("Possible mass.", [Clause("Possible mass", hedged=True)]),
        ("Pneumothorax cannot be excluded.", [Clause("Pneumothorax cannot be excluded", hedged=True)]),
        ("Atelectasis or consolidation.", [Clause("Atelectasis", hedged=True), Clause("consolidation", hedged=True)]),
        (
            "Cardiomegaly, left effusion and possible atelectasis.",
            [Clause("Cardiomegaly"), Clause("left effusion"), Clause("possible atelectasis", hedged=True)],
        ),
    ],
)
def test_a_list_is_split_and_its_denial_carried_over(sentence, told):
    assert clauses(sentence) == told


# Reading


def read(text: str, calls: dict[str, str] | str, chance: float = 1.0) -> list[Claim]:
    made = {"otherwise": calls} if isinstance(calls, str) else {"calls": calls}
    return read_claims(text, ScriptedReader(**made, chance=chance))


def test_each_clause_is_put_to_the_reader_as_a_question():
    reader = ScriptedReader(otherwise="help()")
    assert read_claims("No effusion or mass. The heart is big.", reader) == []
    assert [question for question, _, _ in reader.asked] == ["No effusion?", "No mass?", "The heart is big?"]


def test_a_claim_has_the_label_the_presence_the_places_and_the_size():
    (claim,) = read("A 1.2 x 0.8 cm nodule in the left lower lobe.", "present(lung nodule, where=lower left)")
    assert (claim.label, claim.presence, claim.verdict) == ("lung nodule", "present", "cannot be shown")
    assert claim.said and claim.said.places == ("lower", "left") and claim.said.size == 12.0


@pytest.mark.parametrize(
    ("words", "calls", "presence"),
    [
        ("Pleural effusion.", "present(pleural effusion)", "present"),
        ("The heart size is normal.", "present(cardiomegaly, not)", "absent"),
        ("No polyp larger than 5 mm.", "measure(polyp, size)", "absent"),  # read without its denial
        ("Possible effusion.", "place(pleural effusion)", "uncertain"),
        ("Pneumonia cannot be excluded.", "present(pneumonia, not)", "uncertain"),
        ("Normal study.", "grade(abnormal, is=no)", "absent"),
        ("Abnormal study.", "grade(abnormal, is=yes)", "present"),
        ("No abnormality.", "grade(abnormal, is=yes)", "absent"),
    ],
)
def test_presence_is_told_by_the_words_and_the_call(words, calls, presence):
    (claim,) = read(words, calls)
    assert claim.presence == presence and claim.said is not None


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("Small left pleural effusion.", ("left",)),  # the reader leaves such a side out
        ("Bilateral pleural effusions.", ("left", "right")),
        ("Pleural effusion in the left and right chest.", ("left", "right")),
        ("Pleural effusion.", ()),
    ],
)
def test_a_side_that_the_call_lacks_is_taken_from_the_words(words, places):
    (claim,) = read(words, "present(pleural effusion)")
    assert claim.said and claim.said.places == places


def test_a_label_with_a_side_has_no_other_place():
    (claim,) = read("The left lung is visible.", "present(left lung)")
    assert claim.said and claim.said.places == ()


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("A polyp of 6 mm.", 6),
        ("A 4,5 cm polyp.", 45),
        ("A polyp at 30 cm.", None),
        ("Polyp 2 cm above the rectum.", None),
    ],
)
def test_a_number_is_a_size_unless_it_is_a_distance(words, size):
    (claim,) = read(words, "measure(polyp, size)")
    assert claim.said and claim.said.size == size


def test_it_stands_for_what_was_spoken_of():
    polyp, size = read("There is a polyp. It measures 6 mm.", {"There is a polyp?": "present(polyp)", "It measures 6 mm?": "measure(it, size)"})  # fmt: skip
    assert size.label == polyp.label == "polyp" and size.said and size.said.size == 6.0
    (alone,) = read("It measures 6 mm.", "measure(it, size)")
    assert alone.said is None and alone.note == UNCHECKED


@pytest.mark.parametrize(
    ("words", "calls", "note"),
    [
        ("The liver is fatty.", "present(liver)", UNCHECKED),
        ("The lungs are clear.", "describe(lung)", UNCHECKED),
        ("The tube ends above the carina.", "compare(endotracheal tube | carina, higher)", UNCHECKED),
        ("Normal mucosa.", "recall()", UNCHECKED),
        ("No acute process.", "present(cardiomegaly, not)", UNREAD),  # nothing names the heart
        ("The effusion has grown.", "decline(prior)", NO_PRIOR),
    ],
)
def test_what_is_no_claim_that_a_thing_is_there_says_so(words, calls, note):
    (claim,) = read(words, calls)
    assert claim.note == note and claim.said is None and claim.verdict == "cannot be shown"


@pytest.mark.parametrize("calls", ["help()", "kind(modality, is=x-ray)", "decline(treatment)"])
def test_what_says_nothing_of_the_image_makes_no_claim(calls):
    assert read("Follow-up is advised.", calls) == []


def test_what_may_say_nothing_is_left_out_only_if_that_is_sure():
    (claim,) = read("Fluid at the base.", "decline(treatment)", chance=0.3)
    assert (claim.label, claim.note, claim.verdict) == ("Fluid at the base", UNCHECKED, "cannot be shown")


def test_words_name_a_label_by_more_than_a_part_of_the_body():
    assert names_it("a small nodule", "lung nodule") and names_it("cardiac enlargement", "cardiomegaly")
    assert not names_it("hyperinflated lungs", "lung nodule")


# Checking


def check(
    text: str, calls: dict[str, str] | str, finder: MadeUpFinder, study: Study | None = None, chance: float = 1.0
):
    made = talk(finder, calls, chance=chance)
    return check_claims(study or study_of(), read_claims(text, made.reader), made)


EFFUSION, BLANK = MadeUpFinder(shown("pleural effusion", LEFT)), MadeUpFinder()


@pytest.mark.parametrize(
    ("words", "finder", "verdict", "regions"),
    [
        ("Pleural effusion.", EFFUSION, "supported", 1),
        ("Pleural effusion.", BLANK, "contradicted", 0),
        ("No pleural effusion.", BLANK, "supported", 0),
        ("No pleural effusion.", EFFUSION, "contradicted", 1),
        ("Possible pleural effusion.", EFFUSION, "supported", 1),
        ("Possible pleural effusion.", BLANK, "cannot be shown", 0),
        ("Left pleural effusion.", EFFUSION, "supported", 1),
        ("Right pleural effusion.", EFFUSION, "contradicted", 1),
        ("Possible right pleural effusion.", EFFUSION, "cannot be shown", 1),
        ("Bilateral pleural effusions.", EFFUSION, "cannot be shown", 1),
        ("No left pleural effusion.", EFFUSION, "contradicted", 1),
        ("No right pleural effusion.", EFFUSION, "supported", 1),
    ],
)  # fmt: skip
def test_the_evidence_decides(words, finder, verdict, regions):
    (claim,) = check(words, "present(pleural effusion)", finder)
    assert (claim.verdict, len(claim.regions)) == (verdict, regions)
    assert claim.note.startswith("Probability 0.")


@pytest.mark.parametrize("presence", [0.4, 0.6])
@pytest.mark.parametrize("words", ["Pleural effusion.", "No pleural effusion."])
def test_what_is_between_the_thresholds_cannot_be_shown(words, presence):
    finder = MadeUpFinder(shown("pleural effusion", LEFT), presence={"pleural effusion": presence})
    (claim,) = check(words, "present(pleural effusion)", finder)
    assert claim.verdict == "cannot be shown" and len(claim.regions) == 1


def test_a_tool_that_is_near_its_own_threshold_decides_nothing():
    finder = MadeUpFinder(presence={"pleural effusion": 0.3})
    finder.policy = replace(finder.policy, labels={"pleural effusion": 0.32})
    assert check("Pleural effusion.", "present(pleural effusion)", finder)[0].verdict == "cannot be shown"
    finder.policy = replace(finder.policy, labels={})
    assert check("Pleural effusion.", "present(pleural effusion)", finder)[0].verdict == "contradicted"


def test_a_mismatch_of_sides_says_where_it_is():
    (claim,) = check("Right pleural effusion.", "present(pleural effusion)", EFFUSION)
    assert "on the patient's left" in claim.note


def test_upper_and_lower_are_of_the_image_but_for_the_patients_organs():
    polyp = MadeUpFinder(shown("polyp", (20, 10, 40, 30)), kind=COLON)
    assert check("Polyp.", "present(polyp, where=upper left)", polyp)[0].verdict == "supported"
    assert check("Polyp.", "present(polyp, where=lower left)", polyp)[0].verdict == "contradicted"
    assert check("Polyp.", "present(polyp, where=upper right)", polyp)[0].verdict == "contradicted"
    nodule = MadeUpFinder(shown("lung nodule", (20, 10, 40, 30)))
    assert check("Nodule.", "present(lung nodule, where=lower right)", nodule)[0].verdict == "supported"


def test_what_lies_in_the_middle_is_on_no_side():
    middle = MadeUpFinder(shown("pleural effusion", (80, 50, 120, 90)))
    assert check("Left pleural effusion.", "present(pleural effusion)", middle)[0].verdict == "cannot be shown"


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("A 20 mm polyp.", "supported"),
        ("A 17.5 mm polyp.", "supported"),
        ("A 15 mm polyp.", "contradicted"),
        ("A polyp of 3 cm.", "contradicted"),
        ("A polyp larger than 5 mm.", "supported"),
        ("A polyp of less than 5 mm.", "contradicted"),
        ("No polyp larger than 50 mm.", "cannot be shown"),
    ],
)
def test_a_size_is_checked_within_a_fifth(words, verdict):
    finder = MadeUpFinder(shown("polyp", (20, 10, 38, 18)), kind=COLON)  # 18 x 8 px, 19.3 mm across
    (claim,) = check(words, "measure(polyp, size)", finder, study_of(spacing=(1.0, 1.0)))
    assert claim.verdict == verdict and "longest diameter is 19.3 mm" in claim.note


def test_a_size_in_mm_cannot_be_checked_in_pixels():
    finder = MadeUpFinder(shown("polyp", (20, 10, 38, 18)), kind=COLON)
    (claim,) = check("A 20 mm polyp.", "present(polyp)", finder)
    assert claim.verdict == "cannot be shown" and "spacing is unknown" in claim.note and claim.regions


def test_a_ratio_is_measured_too():
    heart, lungs = shown("heart", (60, 40, 120, 80)), [shown("left lung", LEFT), shown("right lung", RIGHT)]
    finder = MadeUpFinder(heart, *lungs)
    (claim,) = check("The cardiothoracic ratio is 0.55.", "measure(heart, ratio)", finder)
    assert claim.label == "heart" and claim.verdict == "contradicted" and "ratio is 0.35" in claim.note


def test_a_second_one_has_to_be_there():
    one, two = shown("polyp", (20, 10, 38, 18)), shown("polyp", (120, 10, 138, 18))
    calls = "present(polyp, which=second)"
    assert check("A second polyp.", calls, MadeUpFinder(one, kind=COLON))[0].verdict == "cannot be shown"
    assert check("A second polyp.", calls, MadeUpFinder(one, two, kind=COLON))[0].verdict == "supported"


def test_an_enlarged_heart_is_weighed_against_the_ratio():
    heart, lungs = shown("heart", (60, 40, 120, 80)), [shown("left lung", LEFT), shown("right lung", RIGHT)]
    calls = "present(cardiomegaly)"
    small = MadeUpFinder(heart, *lungs)
    (absent,) = check("No enlarged heart.", calls, small)
    assert absent.verdict == "supported" and [region.label for region in absent.regions] == ["heart"]
    torn = MadeUpFinder(heart, *lungs, shown("cardiomegaly", (60, 40, 120, 80)))
    assert check("Enlarged heart.", calls, torn)[0].verdict == "cannot be shown"


def test_a_normal_study_has_no_abnormality():
    calls = "grade(abnormal, is=no)"
    assert check("Normal.", calls, BLANK)[0].verdict == "supported"
    (claim,) = check("Normal.", calls, EFFUSION)
    assert (claim.label, claim.presence, claim.verdict) == ("abnormality", "absent", "contradicted") and claim.regions


@pytest.mark.parametrize(
    ("words", "calls", "note"),
    [
        ("No polyp.", "present(polyp, not)", "Polyp is not looked for in this kind of image."),
        ("Scoliosis.", "present(scoliosis)", "“scoliosis” is not among what I can find."),
    ],
)
def test_what_this_image_cannot_show_or_is_not_known_cannot_be_shown(words, calls, note):
    (claim,) = check(words, calls, BLANK)
    assert (claim.verdict, claim.note) == ("cannot be shown", note)


def test_a_mass_is_whatever_lump_this_kind_of_image_shows():
    (claim,) = check("A mass.", "present(mass)", MadeUpFinder(shown("lung mass", LEFT)))
    assert (claim.label, claim.verdict) == ("mass", "supported") and claim.regions[0].label == "lung mass"


def test_nothing_is_shown_of_what_is_no_medical_image():
    (claim,) = check("No pleural effusion.", "present(pleural effusion)", MadeUpFinder(medical=0.1))
    assert claim.verdict == "cannot be shown" and "medical image" in claim.note


def test_an_unsure_reading_decides_nothing():
    (named,) = check("Effusion.", "present(pleural effusion)", EFFUSION, chance=0.4)
    (unnamed,) = check("Fluid levels.", "present(pneumothorax)", BLANK, chance=0.4)
    (unread,) = check("Effusion.", "present(pleural effusion)", EFFUSION, chance=0.2)
    assert named.verdict == "supported"
    assert (unnamed.label, unnamed.note) == ("Fluid levels", UNREAD) and unread.note == UNREAD


def test_the_image_that_shows_most_of_a_claim_decides():
    finder = MadeUpFinder(shown("pleural effusion", LEFT, image=2))
    (claim,) = check("Pleural effusion.", "present(pleural effusion)", finder, study_of(3))
    assert claim.verdict == "supported" and [region.image for region in claim.regions] == [2]


def test_a_claim_as_json_has_the_six_fields():
    (claim,) = check("Left pleural effusion.", "present(pleural effusion)", EFFUSION)
    told = claim.to_json()
    assert list(told) == ["sentence", "label", "presence", "verdict", "regions", "note"]
    assert told["sentence"] == "Left pleural effusion." and told["regions"][0]["box"] == [120, 50, 180, 90]


# The shipped weights


@pytest.fixture(scope="module")
def assistant() -> Assistant:
    return Assistant.load("nano")


def test_the_shipped_weights_check_a_report(assistant):
    """A chest film: its lungs are there, a fracture cannot be shown, a tube that is not there is denied."""
    records = (record for folder in data_sets([SAMPLE]) for record in read_records(folder, "val"))
    record = next(record for record in records if (record.modality, record.body_part) == FILM)
    text = "FINDINGS:\nThe right lung is visible. No endotracheal tube or rib fracture. The liver is fatty."
    claims = assistant.check_report(record.study(), text)
    told = {claim.label: (claim.presence, claim.verdict) for claim in claims}
    assert told["right lung"] == ("present", "supported")
    assert told["endotracheal tube"] == ("absent", "supported")
    assert told["fracture"] == ("absent", "cannot be shown")
    assert told["The liver is fatty"][1] == "cannot be shown"
