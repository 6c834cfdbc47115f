"""The rules that single data sets have, and the mixtures."""

from pathlib import Path

import pytest

from medvlm.errors import ModelError, RequestError
from medvlm.model.configuration_medvlm import MedVLMConfig
from medvlm.model.grounding import MedVLMGroundingConfig
from medvlm.model.loading import EMBEDDED
from medvlm.records import Record
from medvlm.records.record import QA, RecordRegion
from training import datasets
from training.data import unnamed_values
from training.datasets import adapter_of, question_values, read_mixture, slake
from training.presence import labelled_presence

MODULES = {path.stem for path in Path(datasets.__file__).parent.glob("*.py")} - {"__init__", "adapter", "mixtures"}


def film(of: str, **known) -> Record:
    return Record("1", of, "train", "1", b"", **{"modality": "x-ray", "body_part": "chest"} | known)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_of_a_set_has_rules_and_is_drawn(name):
    assert adapter_of(name) != adapter_of("own")
    assert name in read_mixture("nano")


@pytest.mark.parametrize("name", ["own", "adapter", "mixtures", "__init__", "no/module", ""])
def test_other_sets_have_no_rules(name):
    rules = adapter_of(name)
    assert not rules.skipped and not rules.presence(film(name)) and not rules.hidden(film(name))
    assert not rules.named and not rules.questions


def test_a_film_without_a_nodule_is_normal_and_a_faint_one_is_not_learned():
    known = labelled_presence(film("jsrt", labels={"lung nodule": "no"}, absent=["lung nodule"]))
    assert known["pneumonia"] == known["cardiomegaly"] == known["lung nodule"] == 0
    assert not {"left lung", "polyp", "nasogastric tube"} & known.keys()
    assert labelled_presence(film("jsrt", labels={"lung nodule": "yes"})) == {}
    regions = [RecordRegion("lung nodule", [[0, 0, 5, 5]])]
    assert labelled_presence(film("jsrt", labels={"lung nodule": "yes"}, regions=regions)) == {"lung nodule": 1}


def test_a_list_of_diseases_is_whole_for_chest_films_alone():
    listed = [QA(slake.DISEASES, "Nodule, Effusion")]
    known = labelled_presence(film("slake", qa=listed))
    assert {label for label, there in known.items() if there} == {"lung nodule", "pleural effusion"}
    assert known["pneumothorax"] == 0 and len(known) == 8
    assert labelled_presence(film("slake", modality="ct", qa=listed)) == labelled_presence(film("own", qa=listed)) == {}


def test_what_a_record_says_of_itself_outweighs_the_rules():
    told = [QA(slake.DISEASES, "Nodule"), QA("Is there a pneumothorax in the film?", "Yes")]
    regions = [RecordRegion("cardiomegaly", [[0, 0, 5, 5]])]
    known = labelled_presence(film("slake", qa=told, regions=regions))
    assert {label for label, there in known.items() if there} == {"lung nodule", "pneumothorax", "cardiomegaly"}


def test_the_shipped_weights_can_learn_their_facts_without_a_name_again():
    grounding = MedVLMConfig.from_pretrained(EMBEDDED["nano"]).grounding_config
    values = unnamed_values(grounding)
    assert len(values) == 81 and list(values) == sorted(values)
    assert values["is the heart enlarged?"] == ["no", "yes"] and values["where is the liver?"][0] == "left"
    names = {*grounding.facts, *grounding.fact_kinds}
    assert not names & {*values, *MODULES} and not any("?" in name for name in names)


def test_other_facts_without_a_name_are_refused():
    sizes = [len(values) for values in question_values().values()]
    assert unnamed_values(MedVLMGroundingConfig()) == {}
    assert unnamed_values(MedVLMGroundingConfig(unnamed=sizes)) == question_values()
    with pytest.raises(ModelError, match="not the questions of training/datasets/: put back"):
        unnamed_values(MedVLMGroundingConfig(unnamed=sizes[1:]))


def test_mixtures_are_read_by_name():
    assert min(read_mixture("nano").values()) > 0
    with pytest.raises(RequestError, match="No mixture 'nanno': name one of nano, longer"):
        read_mixture("nanno")
