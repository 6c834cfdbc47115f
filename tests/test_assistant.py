"""The one door: what a front end asks of an assistant over a tiny random model, and what it refuses."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import pytest

from medvlm.assistant import Assistant
from medvlm.conversation.choices import DECLINED
from medvlm.conversation.dialogue import UNKNOWN_KIND
from medvlm.conversation.grammar import parse
from medvlm.conversation.reader import NanoReader, Reading
from medvlm.errors import ModelError, RequestError
from medvlm.model.loading import EMBEDDED, save_compact
from medvlm.types import Answer, Image, Study

from .tiny import FACTS, picture, tiny_assistant

SIZE = (50, 90)  # (H, W)
CALLS = {
    "Is there a liver?": "present(liver)",
    "Which modality?": "kind(modality)",
    "What is that?": "recall()",
    "Which medicine?": "decline(medicine)",
}


@pytest.fixture
def assistant(tmp_path: Path) -> Assistant:
    return tiny_assistant(tmp_path / "language", CALLS)


@pytest.fixture
def study() -> Study:
    return Study([Image(picture(size=SIZE)), Image(picture((60, 5, 85, 40), SIZE))])


@pytest.fixture
def looks(assistant: Assistant) -> list[int]:
    """Grows by one with every pass of the encoder."""
    passes: list[int] = []
    assistant.finder.model.grounder.vision.register_forward_hook(lambda *_: passes.append(1))
    return passes


def test_a_question_has_an_answer_with_what_shows_it(assistant, study):
    answer = assistant.ask(study, "Is there a liver?", image=1)
    assert isinstance(answer, Answer) and answer.text == "Yes" and not answer.abstained
    assert 0 < answer.confidence <= 1 and answer.model == "tiny" and answer.seconds > 0
    assert answer.regions and {(r.label, r.image) for r in answer.regions} == {("liver", 1)}
    again = assistant.ask(study, "Is there a liver?", image=1)
    assert again.text == answer.text and again.confidence == pytest.approx(answer.confidence)


def test_a_question_follows_the_turns_before_and_a_drawing(assistant, study):
    assistant.conversation.reader.otherwise = "measure(it, height)"
    first = assistant.ask(study, "Is there a liver?", image=0)
    second = assistant.ask(study, "How high is it?", history=[("Is there a liver?", first)])
    height = max(first.regions, key=lambda r: r.mask.sum()).box
    assert second.text == f"{height[3] - height[1]:.1f} px"
    has_region = assistant.ask(study, "How high is it?", region=first.regions[0])
    assert has_region.scope == "image 1 of 2" and has_region.text.endswith(" px")


def test_many_questions_answer_as_each_alone(assistant, study):
    together = assistant.ask_many([(study, question) for question in CALLS] * 2)
    assert [answer.text for answer in together[:4]] == [answer.text for answer in together[4:]]
    assert [answer.text for answer in together[:4]] == [assistant.ask(study, q, image=0).text for q in CALLS]
    assert assistant.ask_many([]) == []


def test_many_questions_are_asked_of_the_image_in_view(assistant, study):
    study.default = 1
    (answer,) = assistant.ask_many([(study, "Is there a liver?")])
    assert {region.image for region in answer.regions} == {1} and answer.scope == "image 2 of 2"


def test_ask_find_report_and_choose_look_at_an_image_once(assistant, study, looks):
    assistant.facts(study)
    assistant.ask(study, "Is there a liver?", 0)
    assistant.choose(study, "Which modality?", ["CT", "MRI"])
    assistant.ground(study, ["liver", "heart"], 0)
    assistant.segment(study, box=(20, 10, 60, 40))
    assistant.recall(study, "What is that?")
    assert len(looks) == 1
    assistant.report(study)
    assert len(looks) == 2, "the other image"


def test_ask_and_find_show_the_same(assistant, study):
    asked, found = assistant.ask(study, "Is there a liver?", 0).regions, assistant.ground(study, ["liver"], 0).regions
    assert [(r.box, r.score) for r in asked] == [(r.box, r.score) for r in found]


def test_nothing_of_a_question_is_kept_without_its_image(assistant, study):
    class Forgetful:  # the scripted one keeps what it was asked
        def read(self, question, before=None, has_region=False):
            return Reading(parse("present(liver)"), 1.0)

    assistant.conversation.reader = Forgetful()
    assert assistant.ask(study, "Has Mrs Miller a liver?").text == "Yes"
    assistant.ground(study, ["the scar of Mrs Miller"], 0)
    study.images.clear()
    gc.collect()
    assert "Miller" not in repr([vars(part) for part in (assistant, assistant.finder, assistant.conversation)])


def test_a_photograph_is_not_asked(assistant, study):
    assistant.finder.model.grounder.heads.facts.bias.data[FACTS["modality"].index("photograph")] = 9.0
    answer = assistant.ask(study, "Is there a liver?")
    assert answer.abstained and answer.text == UNKNOWN_KIND and assistant.report(study).regions == []


def test_options_are_ranked(assistant, study):
    options = ["CT", "MRI", "a much longer option than the others"]
    answer = assistant.choose(study, "Which modality?", options)
    assert list(answer.scores) == options and sum(answer.scores.values()) == pytest.approx(1)
    assert answer.text == max(answer.scores, key=answer.scores.get) and answer.confidence == max(answer.scores.values())
    turned = assistant.choose(study, "Which modality?", options[::-1])
    assert turned.scores == pytest.approx(answer.scores, abs=1e-4)


def test_no_option_is_chosen_where_no_image_can_tell(assistant, study):
    choice = assistant.choose(study, "Which medicine?", ["aspirin", "none"])
    assert choice.abstained and choice.declined and choice.text == DECLINED
    assert choice.scores == {"aspirin": 0.5, "none": 0.5}


def test_a_report_has_a_finding_for_all_that_is_looked_for(assistant, study):
    study.modality, study.body_part = "ct", "abdomen"
    report = assistant.report(study)
    assert report.model == "tiny" and "liver" in {f.label for f in report.findings}
    for finding in report.findings:
        assert all(report.regions[i].label == finding.label for i in finding.regions)
    assert {region.image for region in report.regions} == {0, 1} and report.to_json()["disclaimer"]


def test_the_policy_of_the_assistant_is_that_of_its_finder(assistant):
    policy = assistant.policy
    assistant.policy = policy.__class__(medical=0.9)
    assert assistant.finder.policy.medical == 0.9 != policy.medical


@pytest.mark.parametrize("question", ["", "   ", "x" * 20_000, "肝臟在哪裡", None])
def test_unusable_questions_are_refused(assistant, study, question):
    for ask in (
        assistant.ask,
        lambda s, q: assistant.choose(s, q, ["a", "b"]),
        lambda s, q: assistant.ask_many([(s, q)]),
    ):
        with pytest.raises(RequestError):
            ask(study, question)


def test_unusable_requests_are_refused(assistant, study):
    wrong = [
        lambda: assistant.ask(study, "Is there a liver?", image=-1),
        lambda: assistant.choose(study, "Which modality?", ["CT"]),
        lambda: assistant.choose(study, "Which modality?", ["CT", "CT"]),
        lambda: assistant.ground(study, [""]),
        lambda: assistant.facts(study, image=7),
        lambda: assistant.segment(study),
    ]
    for request in wrong:
        with pytest.raises(RequestError):
            request()


# What is loaded


def test_a_model_without_a_reader_of_its_own_reads_as_the_embedded_one(assistant, tmp_path):
    save_compact(assistant.finder.model, tmp_path / "model")
    loaded = Assistant.load(str(tmp_path / "model"))
    assert loaded.finder.side == assistant.finder.side
    assert loaded.conversation.reader.symbols == NanoReader.load(EMBEDDED["nano"]).symbols


def test_a_reader_beside_the_weights_is_the_one_that_reads(assistant, tmp_path):
    folder = tmp_path / "model"
    save_compact(assistant.finder.model, folder)
    shutil.copy(EMBEDDED["nano"] / "reader.json", folder)
    (folder / "reader.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelError, match="reader in 'model'"):
        Assistant.load(str(folder))
