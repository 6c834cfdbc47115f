"""What a record tells of the presence of labels."""

import pytest

from medvlm.records import Record
from medvlm.records.presence import label_in_question
from medvlm.records.record import QA, RecordRegion
from training.presence import labelled_presence


def record(of: str, **known) -> Record:
    return Record("1", of, "train", "1", b"", **{"modality": "x-ray", "body_part": "chest"} | known)


def test_regions_absent_labels_and_questions_tell():
    asked = [
        QA("Does the picture contain a spleen?", "No"),
        QA("Is there any pneumothorax in this image?", "Yes"),
        QA("Is the image free of any consolidation?", "No"),
        QA("Is there a pleural effusion in the film?", "Yes", lang="zh"),
        QA("Is the heart large?", "Yes"),
        QA("Is there a lung mass in the film?", "Perhaps"),
    ]
    regions = [RecordRegion("left lung", [[0, 0, 5, 5]])]
    known = labelled_presence(record("own", qa=asked, regions=regions, absent=["fracture", "something else"]))
    assert known == {"left lung": 1, "fracture": 0, "spleen": 0, "pneumothorax": 1}


def test_a_normal_image_has_no_finding_of_its_kind():
    known = labelled_presence(record("own", labels={"diagnosis": "Normal"}))
    assert known["pneumonia"] == known["cardiomegaly"] == known["pneumothorax"] == 0
    assert not {"left lung", "polyp", "nasogastric tube"} & known.keys()
    assert labelled_presence(record("own", labels={"lung nodule": "no"})) == {"lung nodule": 0}
    assert labelled_presence(record("own", labels={"lung nodule": "yes"})) == {"lung nodule": 1}
    assert labelled_presence(record("own", labels={"finding": "polyp", "count": 2})) == {}, "not in a chest film"


def test_what_is_marked_outweighs_normality():
    regions = [RecordRegion("cardiomegaly", [[0, 0, 5, 5]])]
    assert labelled_presence(record("own", labels={"abnormal": "no"}, regions=regions))["cardiomegaly"] == 1


def test_a_fact_of_any_name_tells_by_its_values():
    assert labelled_presence(record("own", labels={"class": "pneumonia"})) == {"pneumonia": 1}
    assert labelled_presence(record("own", labels={"class": "normal"}))["pneumonia"] == 0


@pytest.mark.parametrize(
    ("question", "label"),
    [
        ("Is there a liver in this image?", "liver"),
        ("Are there any polyps?", "polyp"),
        ("Is there atelectasis?", "atelectasis"),
        ("Does atelectasis exist in this image?", "atelectasis"),
        ("Does the scan contain the liver?", "liver"),
        ("does this  scan show a pleural effusion ?", "pleural effusion"),
        ("Does the lung mass exist in the image?", "lung mass"),
        ("Is a polyp visible?", "polyp"),
        ("Is there no polyp?", None),
        ("Is there a polyp on the left?", None),
        ("Is the heart large?", None),
        ("Is there a polyp that bleeds?", None),
        ("Where does the liver lie?", None),
        ("", None),
    ],
)
def test_only_plain_questions_of_presence_are_read(question, label):
    assert label_in_question(question) == label
