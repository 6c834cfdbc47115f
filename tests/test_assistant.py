"""The assistant over a tiny random composite: types, shapes, sizes, refusals, and each image encoded once."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch

from medvlm.assistant import DECLINED, UNKNOWN_KIND, WITHHELD, Assistant
from medvlm.errors import RequestError
from medvlm.finder import read_as
from medvlm.notices import SIDES_ASSUMED
from medvlm.policy import DecisionPolicy
from medvlm.types import Answer, Grounding, Image, ImageFacts, Region, Report, Study, mask_box

from .tiny import FACTS, picture, tiny_model

SIZE = (50, 90)  # (H, W) of the picture, neither square nor the model's


@pytest.fixture
def assistant(tmp_path):
    """Random weights, but everything asked for is present, outlined and good, and every image is medical."""
    model, processor = tiny_model(tmp_path / "language", "vit", spread=0.2)
    heads = model.grounder.heads
    with torch.no_grad():
        heads.scores[-1].weight.zero_()
        heads.scores[-1].bias.fill_(6.0)
        heads.facts.weight.zero_()
        heads.facts.bias[FACTS["modality"].index("photograph")] = -9.0
    return Assistant(model, processor, "tiny", policy=DecisionPolicy(answer=0.0))


@pytest.fixture
def study():
    return Study([Image(picture(size=SIZE)), Image(picture((60, 5, 85, 40), SIZE))])


def photograph(assistant: Assistant) -> None:
    with torch.no_grad():
        assistant.model.grounder.heads.facts.bias[FACTS["modality"].index("photograph")] = 9.0


def check_regions(regions: list[Region], image: int) -> None:
    for region in regions:
        assert region.image == image and 0 <= region.score <= 1
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 < x1 <= SIZE[1] and 0 <= y0 < y1 <= SIZE[0]
        if region.mask is not None:
            assert region.mask.dtype == bool and region.mask.shape == SIZE and mask_box(region.mask) == region.box


def test_facts(assistant, study):
    facts = assistant.facts(study)
    assert isinstance(facts, ImageFacts) and facts.medical > 0.9
    assert (
        facts.modality in FACTS["modality"] and facts.modality != "photograph" and facts.body_part in FACTS["body_part"]
    )
    assert 0 < facts.modality_confidence <= 1 and 0 < facts.body_part_confidence <= 1
    photograph(assistant)
    assert assistant.facts(study).medical < 0.1


def test_ask(assistant, study):
    answer = assistant.ask(study, "Is there a liver?", image=1)
    assert isinstance(answer, Answer) and answer.text and not answer.abstained
    assert 0 < answer.confidence <= 1 and answer.model == "tiny" and answer.seconds > 0
    assert {r.label for r in answer.regions} <= {"liver"}
    check_regions(answer.regions, image=1)
    assert answer.to_json()["text"] == answer.text
    again = assistant.ask(study, "Is there a liver?", image=1)
    assert again.text == answer.text and again.confidence == pytest.approx(answer.confidence)


def test_a_question_is_answered_from_the_image_that_it_means(assistant, study, monkeypatch):
    shows = {study.images[0]: 0.1, study.images[1]: 0.9}
    monkeypatch.setattr(Assistant, "presence", lambda _, study, label: shows[study.images[study.default]])
    monkeypatch.setattr(Assistant, "possible", lambda *_: 1.0)
    assistant.policy = replace(assistant.policy, anatomy=0.5, finding=0.5)
    told = assistant.ask(study, "Is there a polyp?")
    assert told.text == "Yes" and told.scope == "2 of 2 images, most on image 2 of 2"
    check_regions(told.regions, image=1)
    named = assistant.ask(study, "Is there a polyp in the first image?")
    assert named.text == "No" and named.scope == "image 1 of 2"
    assert assistant.ask(study, "Is there a polyp in this image?").text == "No"
    assert assistant.ask(replace(study, default=1), "Is there a polyp in this image?").text == "Yes"
    assert assistant.ask(study, "Is there a polyp?", image=0).text == "No"
    with pytest.raises(RequestError, match="no image 3"):
        assistant.ask(study, "Is there a polyp in image 3?")


def test_phrases_are_looked_for_in_all_images(assistant, study):
    found = assistant.ground(study, ["left lung"])
    assert {region.image for region in found.regions} == {0, 1} and found.scope == "2 of 2 images"
    assert found.notices == [SIDES_ASSUMED]
    assert assistant.ground(replace(study, sides_known=True), ["left lung"]).notices == []
    alone = [assistant.ground(study, ["left lung"], image) for image in (0, 1)]
    assert found.presence["left lung"] == pytest.approx(max(one.presence["left lung"] for one in alone))
    assert alone[1].scope == "image 2 of 2"


def test_many_questions_answer_as_each_alone(assistant, study):
    questions = ["Is there a liver?", "Which organ or region was imaged, and how?", "CT?"] * 4
    together = assistant.ask_many([(study, q) for q in questions])
    assert len(together) == 12
    for question, answer in zip(questions[:3], together, strict=False):
        assert assistant.ask(study, question).text == answer.text
    assert assistant.ask_many([]) == []


def test_a_photograph_is_no_medical_image(assistant, study):
    photograph(assistant)
    answer = assistant.ask(study, "Is there a liver?")
    assert answer.abstained and answer.text == UNKNOWN_KIND and answer.reason and answer.confidence == 0
    insisted = assistant.ask_many([(study, "Is there a liver?")], abstain=False)[0]
    assert insisted.abstained and insisted.text in ("Yes", "No") and insisted.confidence > 0
    assert assistant.report(study).regions == []


def test_an_unsure_answer_is_withheld(assistant, study):
    sure = assistant.ask(study, "What is that?")
    assistant.policy = replace(assistant.policy, answer=sure.confidence + 0.01)
    answer = assistant.ask(study, "What is that?")
    assert answer.abstained and answer.text == WITHHELD and answer.confidence == 0 and not answer.regions
    guess = assistant.ask_many([(study, "What is that?")], abstain=False)[0]
    assert guess.abstained and guess.text == sure.text and guess.confidence == pytest.approx(sure.confidence)
    assert not assistant.ask(study, "Is there a liver?").abstained, "the heads see that"
    assistant.policy = replace(assistant.policy, answer=1.1, anatomy=0.0)
    answer = assistant.ask(study, "Where is the liver?")
    assert answer.abstained and answer.text == f"{WITHHELD} What I can show: liver." and answer.confidence == 0
    check_regions(answer.regions, image=0)


def test_a_question_that_no_image_can_answer_is_declined(assistant, study):
    with torch.no_grad():
        assistant.model.decline_head.read.bias.fill_(4.0)
    answer = assistant.ask(study, "Should I take out this liver myself?")
    assert answer.abstained and answer.declined and answer.text == DECLINED and not answer.regions
    guess = assistant.ask_many([(study, "Is there a liver?")], abstain=False)[0]
    assert guess.declined and guess.text in ("Yes", "No")
    with torch.no_grad():
        assistant.model.decline_head.read.bias.fill_(-1.0)  # between doubtful and declined
    doubtful = assistant.ask(study, "What is that?")
    assert doubtful.abstained and not doubtful.declined and doubtful.text == WITHHELD
    assert not assistant.ask(study, "Is there a liver?").abstained, "the heads see that"
    with torch.no_grad():
        assistant.model.decline_head.read.bias.fill_(4.0)
    choice = assistant.choose(study, "Which medicine?", ["aspirin", "none"])
    assert choice.abstained and choice.text == DECLINED and choice.scores == {"aspirin": 0.5, "none": 0.5}


def test_choose(assistant, study):
    options = ["CT", "MRI", "a much longer option than the others"]
    answer = assistant.choose(study, "Which modality is this?", options)
    assert list(answer.scores) == options and sum(answer.scores.values()) == pytest.approx(1)
    assert answer.text == max(answer.scores, key=answer.scores.get) and answer.confidence == max(answer.scores.values())
    turned = assistant.choose(study, "Which modality is this?", options[::-1])
    assert turned.scores == pytest.approx(answer.scores, abs=1e-4)


def test_what_the_heads_learned_is_chosen_by_them(assistant, study):
    heads, facts = assistant.model.grounder.heads, {"modality": FACTS["modality"], "body_part": FACTS["body_part"]}
    with torch.no_grad():
        heads.facts.bias.copy_(torch.tensor([2.0, 0, -9, 9, 0]))
    answer = assistant.choose(study, "How was this made?", ["CT", "X-ray"])
    assert answer.text == "X-ray" and answer.scores["X-ray"] == pytest.approx(0.881, abs=1e-3)  # softmax of 2 and 0
    assert assistant.known_chances(study, "How?", ["CT", "MRI"]) is None, "no fact has both"
    assert {k: list(v) for k, v in assistant.labels_many([study])[0].items()} == facts


def test_yes_or_no_is_chosen_by_the_fact_that_is_asked_for(assistant, study, monkeypatch):
    kind = {"modality": {"x-ray": 1.0}, "body_part": {"chest": 1.0}}
    facts = kind | {
        "fracture": {"no": 0.1, "yes": 0.9},
        "abnormal": {"no": 0.2, "yes": 0.8},
        "covid-19": {"no": 0.4, "yes": 0.6},
        "harm": {"much": 0.7, "little": 0.3},
    }
    monkeypatch.setattr(assistant, "labels_many", lambda studies: [facts])
    assistant.config.fact_kinds = {"fracture": [["x-ray", "chest"]], "abnormal": [["x-ray", "chest"]]}

    def chances(question, options=("Yes", "No")):
        return assistant.known_chances(study, question, list(options))

    assert chances("Is there a fracture?") == pytest.approx([0.9, 0.1])
    assert chances("Is there no fracture?") == pytest.approx([0.1, 0.9])
    assistant.config.fact_kinds["covid-19"] = [["x-ray", "chest"]]
    assert chances("Does this film show COVID-19?") == pytest.approx([0.6, 0.4])
    for other in ("Is the fracture displaced?", "Is there an abnormality on the left?", "Is there a polyp?"):
        assert chances(other) is None
    assert chances("How much?", ("Much", "Little")) is None, "learned on other kinds of images"
    assistant.config.fact_kinds["harm"] = [["x-ray", "chest"]]
    assert chances("How much?", ("Much", "Little")) == pytest.approx([0.7, 0.3])


def test_scores_are_the_options_likelihoods(assistant, study):
    """Each option's mean log-probability with its end, as the whole model gives it to the option alone."""
    options, question = ["CT scan", "X-Ray of the chest"], "Which modality is this?"
    processor, end = assistant.processor, assistant.processor.tokenizer.eos_token
    mean = []
    for option in options:
        batch = processor(
            images=[study.images[0].pixels], text=[processor.question(question) + option + end], return_tensors="pt"
        )
        count = len(processor.tokenizer(option + end, add_special_tokens=False)["input_ids"])
        with torch.no_grad():
            chance = assistant.model(**batch).logits[0, :-1].log_softmax(-1)
        mean.append(chance[-count:].gather(1, batch["input_ids"][0, -count:, None]).mean())
    expected = torch.stack(mean).softmax(0).tolist()
    scores = assistant.choose(study, question, options).scores
    assert list(scores.values()) == pytest.approx(expected, abs=1e-4) and abs(expected[0] - expected[1]) > 0.01


def test_ground(assistant, study):
    found = assistant.ground(study, ["liver", "something unheard of"], image=1)
    assert isinstance(found, Grounding) and set(found.presence) == {"liver", "something unheard of"}
    assert 0 < found.presence["liver"] < 1
    assert found.absent[-1:] == ["something unheard of"] and "not among" in found.notes["something unheard of"]
    assert {r.label for r in found.regions} | set(found.absent) == set(found.presence)
    check_regions(found.regions, image=1)
    assert found.regions, "random masks cover something"
    scores = [r.score for r in found.regions if r.label == found.regions[0].label]
    assert scores == sorted(scores, reverse=True) and min(scores) >= assistant.policy.region


def test_a_phrase_that_only_resembles_a_label_is_shown_as_that_label(assistant, study, monkeypatch):
    """No region is called "RLL": it is the right lung that is shown, and a note says so."""
    number, chances = assistant.numbers["right lung"], torch.full((1, len(assistant.numbers) + 1), 1e-4)
    chances[0, number] = 0.97
    monkeypatch.setattr(type(assistant.model), "name_phrases", lambda *_, **__: chances / chances.sum())
    with_presence(assistant, monkeypatch, {"right lung": 0.99})
    found = assistant.ground(study, ["RLL", "lung on the right"])
    assert {(r.label, r.phrase) for r in found.regions} == {
        ("right lung", "RLL"),
        ("lung on the right", "lung on the right"),  # a name that the vocabulary knows
    }
    assert found.of("RLL") and found.notes == {"RLL": read_as("RLL", "right lung", True)}
    assert found.presence["RLL"] < found.presence["lung on the right"]


def test_what_is_not_present_has_no_region(assistant, study):
    with torch.no_grad():
        assistant.model.grounder.heads.scores[-1].bias[0] = -6.0
    found = assistant.ground(study, ["liver"])
    assert found.regions == [] and found.absent == ["liver"] and found.presence["liver"] < 0.01


def with_presence(assistant: Assistant, monkeypatch, chances: dict[str, float]) -> None:
    """Make the heads sure of labels: each query's presence is that of its label, whatever the image."""
    heads = assistant.model.grounder.heads
    logit = torch.zeros(len(heads.labels.weight))
    for label, chance in chances.items():
        logit[assistant.numbers[label]] = torch.tensor(chance).logit()

    class Scores(torch.nn.Module):
        def forward(self, queries):
            nearest = torch.cdist(queries, heads.labels.weight[None]).argmin(-1)
            return torch.stack([logit[nearest], *[torch.full(nearest.shape, 6.0)] * 2], dim=-1)

    heads.scores = Scores()
    monkeypatch.setattr(type(heads), "look", lambda _, pyramid, queries: queries)
    monkeypatch.setattr(Assistant, "possible", lambda *_: 1.0)


@pytest.mark.parametrize(
    ("benign", "malignant", "shown"),
    [
        (0.45, 0.4, {"benign tumour", "malignant tumour"}),  # something is there; which type is open
        (0.02, 0.9, {"malignant tumour"}),
        (0.2, 0.2, set()),
    ],
)
def test_a_tumour_of_an_uncertain_type_is_not_hidden(assistant, study, monkeypatch, benign, malignant, shown):
    with_presence(assistant, monkeypatch, {"benign tumour": benign, "malignant tumour": malignant})
    found = assistant.ground(study, ["benign tumour", "malignant tumour"])
    assert {r.phrase for r in found.regions} == shown
    names = {r.phrase: r.label for r in found.regions}
    if len(shown) == 2:  # neither name is sure
        assert names["malignant tumour"] == "breast tumour, malignant tumour 0.5"
        assert set(found.notes) == shown and "uncertain" in found.notes["benign tumour"]
    elif shown:
        assert names == {"malignant tumour": "malignant tumour"} and "benign tumour" in found.notes
    assert found.presence == pytest.approx({"benign tumour": benign, "malignant tumour": malignant}, abs=1e-4)
    assert {r.phrase for r in assistant.ground(study, ["malignant tumour"]).regions} == shown - {"benign tumour"}


def test_confidence_follows_the_fitted_line(assistant, study):
    plain = assistant.ask(study, "What is that?")
    assistant.policy = replace(assistant.policy, calibration={"generated": [0.5, -2.0]})
    calibrated = assistant.ask(study, "What is that?")
    expected = torch.sigmoid(0.5 * torch.tensor(plain.confidence).logit() - 2)
    assert calibrated.text == plain.text and calibrated.confidence == pytest.approx(float(expected), abs=1e-4)


def test_labels_are_probabilities_of_every_fact(assistant, study):
    first, second = assistant.labels_many([study, Study([study.images[1]])])
    assert {k: list(v) for k, v in first.items()} == FACTS
    for chances in [*first.values(), *second.values()]:
        assert sum(chances.values()) == pytest.approx(1)


def draw_everything(assistant):
    """Every pixel of every mask is foreground."""
    with torch.no_grad():
        kernels = assistant.model.grounder.heads.kernels
        kernels.weight.zero_()
        kernels.bias.zero_()
        kernels.bias[assistant.model.config.grounding_config.channels] = 5.0


def test_short_answers_are_chosen_for_their_kind_of_image_alone(assistant, study):
    model, heads = assistant.model, assistant.model.grounder.heads
    assert assistant.chosen(study, "Which side?") is None  # no head for them
    model.add_answers(["Left", "Right"])
    model.eval()
    with torch.no_grad():
        heads.facts.bias.copy_(torch.tensor([9.0, 0, -9, 9, 0]))  # an X-ray of the chest
        model.answer_head.out[-1][-1].weight.zero_()
        model.answer_head.out[-1][-1].bias.copy_(torch.tensor([0.0, 4.0]))
    model.config.grounding_config.asked_kinds = [["ct", "chest"]]
    assert assistant.chosen(study, "Which side?") is None
    model.config.grounding_config.asked_kinds = [["x-ray", "chest"]]
    assert assistant.chosen(study, "Which side?")[0] == "Right"
    answer = assistant.ask(study, "Which side?")
    assert answer.text == "Right" and answer.confidence == pytest.approx(0.982, abs=1e-3)
    model.config.answers = ["Left", "Yes"]
    assert assistant.chosen(study, "Is it left?")[0] == "Yes"
    assert assistant.chosen(study, "Is it left or solid?") is None, "it lets choose"
    model.config.answers, model.answer_head.out[-1][-1] = list("abcdef"), torch.nn.Linear(384, 6)
    torch.nn.init.zeros_(model.answer_head.out[-1][-1].weight)
    torch.nn.init.zeros_(model.answer_head.out[-1][-1].bias)
    assert assistant.chosen(study, "Which side?") is None  # none is likely


def test_a_question_and_its_negation_agree(assistant, study, monkeypatch):
    with_presence(assistant, monkeypatch, {"liver": 0.9, "spleen": 0.2})
    for label, yes, no in (("liver", "Yes", "No"), ("spleen", "No", "Yes")):
        assert assistant.ask(study, f"Is there a {label}?").text == yes
        denied = assistant.ask(study, f"Is this image free of any {label}?")
        assert denied.text == no and denied.confidence == pytest.approx(0.9 if label == "liver" else 0.8, abs=1e-3)


def test_what_may_be_elsewhere_too_is_not_denied_there(assistant, study, monkeypatch):
    with_presence(assistant, monkeypatch, {"polyp": 0.1, "mass": 0.1})
    monkeypatch.setattr(assistant, "short_answers", lambda *_: {"Yes": 0.6, "No": 0.2})
    assert assistant.seen(study, "Is there a mass?")[0] == "No"
    monkeypatch.setattr(type(assistant), "possible", lambda *_: 0.1)
    assert assistant.seen(study, "Is there a mass?") == ("Yes", pytest.approx(0.75))
    assert assistant.seen(study, "Is this image free of any mass?")[0] == "No"
    assert assistant.seen(study, "Is there a polyp?")[0] == "No"
    monkeypatch.setattr(assistant, "short_answers", lambda *_: {})
    assert assistant.seen(study, "Is there a mass?")[0] == "No", "nobody else can tell"


def test_what_is_larger_and_which_side_is_abnormal_is_seen(assistant, study, monkeypatch):
    def half(label, columns):
        mask = np.zeros(SIZE, bool)
        mask[:, columns] = True
        return Region(label, 0, mask_box(mask), mask, 0.9, 0)

    found = {"liver": half("liver", slice(0, 40)), "spleen": half("spleen", slice(70, 80))}
    found["pneumonia"] = half("pneumonia", slice(60, 90))
    monkeypatch.setattr(
        assistant, "ground", lambda study, phrases: Grounding([found[p] for p in phrases if p in found], {}, [])
    )
    monkeypatch.setattr(assistant, "facts", lambda study: ImageFacts("x-ray", 1.0, "chest", 1.0, 1.0))
    assert assistant.drawn(study, "Which is bigger, the liver or the spleen?") == ("Liver", pytest.approx(0.8))
    assert assistant.drawn(study, "Which is smaller, the liver or the spleen?") == ("Spleen", pytest.approx(0.8))
    assert assistant.drawn(study, "Which is bigger, the liver or the colon?") is None, "the colon is not found"
    assert assistant.drawn(study, "Which side is abnormal, left or right?") == ("Left", 1.0)
    assert assistant.drawn(study, "Which side is normal, left or right?") == ("Right", 1.0)
    assert assistant.drawn(study, "Which lung is abnormal, left or right?") is None, "no lung is found"
    assert assistant.drawn(study, "Is there a liver?") is None


def test_thin_things_are_drawn_on_enlarged_parts(assistant, study, monkeypatch):
    """Where every part is all vessel, the parts together are the whole image, and no pixel belongs to two regions."""
    draw_everything(assistant)
    seen = []
    encode = assistant.encode

    def spy(images):
        seen.extend(image.size for image in images)
        return encode(images)

    monkeypatch.setattr(assistant, "encode", spy)
    monkeypatch.setattr(type(assistant), "possible", lambda *_: 1.0)
    regions = assistant.ground(study, ["retinal vessels"], 0).regions
    assert seen[0] == SIZE and len(seen) == 7 and set(seen[1:]) == {(36, 36)}  # six squares that overlap
    check_regions(regions, image=0)
    assert len(regions) == 1 and regions[0].mask.all()
    many = assistant.ground(study, ["microaneurysms"], 0).regions
    check_regions(many, image=0)
    assert many and (np.stack([r.mask for r in many]).sum(0) == 1).all()


def test_segment(assistant, study):
    scribble = np.zeros(SIZE, bool)
    scribble[20:24, 30:60] = True
    for prompt in ({"box": (20, 10, 60, 40)}, {"points": [(40, 20, 1), (5, 5, 0)]}, {"scribble": scribble}):
        regions = assistant.segment(study, image=1, **prompt)
        assert len(regions) <= 1
        check_regions(regions, image=1)
    draw_everything(assistant)  # a box keeps what lies inside it, a point the whole picture
    inside = assistant.segment(study, box=(20, 10, 60, 40))[0]
    x0, y0, x1, y1 = inside.box
    assert 10 <= x0 <= 20 and 5 <= y0 <= 10 and 60 <= x1 <= 70 and 40 <= y1 <= 45
    whole = assistant.segment(study, points=[(40, 20, 1)])[0]
    assert whole.mask.all() and whole.score > 0.9
    erased = assistant.segment(study, points=[(40, 20, 1), (60, 30, 0), (40, 22, 0)])[0].mask
    assert not erased[30, 60] and not erased[30, 64] and erased[20, 40]


def test_a_label_that_looks_like_the_prompts_mask_has_a_say(assistant, study, monkeypatch):
    monkeypatch.setattr(type(assistant), "possible", lambda *_: 1.0)
    draw_everything(assistant)
    image, everywhere = study.images[0], torch.full((assistant.side // 2, assistant.side // 2), 3.0)
    last = assistant.model.grounder.heads.scores[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias[0] = 5.0
        assert (assistant.recognised(image, everywhere, (20, 10, 60, 40)) == assistant.policy.alike_most).all()
        assert not assistant.recognised(image, -everywhere, (20, 10, 60, 40)).any()  # nothing like it
        last.bias[0] = -5.0
        assert not assistant.recognised(image, everywhere, (20, 10, 60, 40)).any()  # nothing is there


def test_report(assistant, study):
    study.modality, study.body_part = "ct", "abdomen"
    report = assistant.report(study)
    assert isinstance(report, Report) and report.model == "tiny" and report.sections and report.findings
    assert "liver" in {f.label for f in report.findings}
    for finding in report.findings:
        assert all(report.regions[i].label == finding.label for i in finding.regions)
    for region in report.regions:
        check_regions([region], region.image)
    assert report.to_json()["disclaimer"]


def test_an_image_is_encoded_once_and_forgotten_with_it(assistant, study):
    calls = []
    assistant.model.grounder.vision.register_forward_hook(lambda *_: calls.append(1))
    assistant.facts(study)
    assistant.ask(study, "Is there a liver?", 0)
    assistant.choose(study, "Which modality?", ["CT", "MRI"])
    assistant.ground(study, ["liver", "heart"], 0)
    assistant.segment(study, box=(20, 10, 60, 40))
    assert len(calls) == 1
    assistant.facts(study, image=1)
    assert len(calls) == 2 and len(assistant.features) == 2
    study.images.clear()
    gc.collect()
    assert len(assistant.features) == 0


def test_nothing_of_a_phrase_is_kept(assistant, study):
    before = dict(vars(assistant))
    assistant.ground(study, ["liver", "the scar of Mrs Miller"])
    assert vars(assistant) == before and "Miller" not in repr(list(before.values()))


@pytest.mark.parametrize("question", ["", "   ", "x" * 20_000, "肝臟在哪裡", None])
def test_unusable_questions(assistant, study, question):
    for ask in (
        assistant.ask,
        lambda s, q: assistant.choose(s, q, ["a", "b"]),
    ):
        with pytest.raises(RequestError):
            ask(study, question)


def test_unusable_requests(assistant, study):
    wrong = [
        lambda: assistant.ground(study, [""]),
        lambda: assistant.ground(study, ["liver"], image=2),
        lambda: assistant.ask(study, "CT?", image=-1),
        lambda: assistant.facts(study, image=7),
        lambda: assistant.choose(study, "CT?", ["CT"]),
        lambda: assistant.choose(study, "CT?", ["CT", "CT"]),
        lambda: assistant.segment(study),
        lambda: assistant.segment(study, box=(0, 0, 10, 10), points=[(1, 1, 1)]),
        lambda: assistant.segment(study, box=(0, 0, 1000, 10)),
        lambda: assistant.segment(study, points=[(1, 1, 0)]),
        lambda: assistant.segment(study, points=[(200, 1, 1)]),
        lambda: assistant.segment(study, scribble=np.ones((3, 3), bool)),
        lambda: assistant.segment(study, scribble=np.zeros(SIZE, bool)),
    ]
    for request in wrong:
        with pytest.raises(RequestError):
            request()
    assert assistant.ask(study, "CT?").model == "tiny"
