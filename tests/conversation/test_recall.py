"""The last resort over a tiny model: short answers for their kind of image alone, greedy words, options by likelihood."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medvlm.conversation.recall import Recall
from medvlm.types import Image, Study

from ..tiny import picture, tiny_finder

QUESTION = "Which side?"


@pytest.fixture
def recall(tmp_path: Path) -> Recall:
    return Recall(tiny_finder(tmp_path / "language"))


@pytest.fixture
def study() -> Study:
    return Study([Image(picture(size=(50, 90)))])


def learn(recall: Recall, answers: list[str], logits: list[float]) -> None:
    """Give the model a head that answers anything with these logits, on chest films."""
    model = recall.model
    model.add_answers(answers)
    model.eval()
    with torch.no_grad():
        model.grounder.heads.facts.bias.copy_(torch.tensor([9.0, 0, -9, 9, 0]))  # an X-ray of the chest
        model.answer_head.out[-1][-1].weight.zero_()
        model.answer_head.out[-1][-1].bias.copy_(torch.tensor(logits))
    recall.finder.config.asked_kinds = [["x-ray", "chest"]]


def test_a_model_without_short_answers_has_none(recall, study):
    assert recall.short_answers(study, QUESTION) == {} and recall.shortest(study, QUESTION) == ("", 0.0)


def test_the_likeliest_short_answer_is_given_with_its_probability(recall, study):
    learn(recall, ["Left", "Right"], [0.0, 4.0])
    assert recall.shortest(study, QUESTION) == ("Right", pytest.approx(0.982, abs=1e-3))
    assert sum(recall.short_answers(study, QUESTION).values()) == pytest.approx(1)


def test_images_of_a_kind_that_was_never_asked_about_have_no_short_answers(recall, study):
    learn(recall, ["Left", "Right"], [0.0, 4.0])
    recall.finder.config.asked_kinds = [["ct", "chest"]]
    assert recall.short_answers(study, QUESTION) == {}


def test_words_are_greedy_and_have_a_likelihood(recall, study):
    text, likelihood = recall.generate(study, QUESTION)
    assert text and 0 < likelihood < 1
    assert recall.generate(study, QUESTION) == (text, pytest.approx(likelihood))


def test_options_are_ranked_by_the_mean_likelihood_of_their_tokens(recall, study):
    """Each option's mean log-probability with its end, as the whole model gives it to the option alone."""
    options, question = ["CT scan", "X-Ray of the chest"], "Which modality is this?"
    processor, end = recall.processor, recall.processor.tokenizer.eos_token
    mean = []
    for option in options:
        text = processor.question(question) + option + end
        batch = processor(images=[study.images[0].pixels], text=[text], return_tensors="pt")
        count = len(processor.tokenizer(option + end, add_special_tokens=False)["input_ids"])
        with torch.no_grad():
            chance = recall.model(**batch).logits[0, :-1].log_softmax(-1)
        mean.append(chance[-count:].gather(1, batch["input_ids"][0, -count:, None]).mean())
    expected = torch.stack(mean).softmax(0).tolist()
    ranked = recall.rank(study, question, options)
    assert ranked == pytest.approx(expected, abs=1e-4) and abs(expected[0] - expected[1]) > 0.01
    assert recall.rank(study, question, options[::-1]) == pytest.approx(ranked[::-1], abs=1e-4)
