"""The finder over a tiny random composite: each image is seen once, phrases and prompts become regions, the policy decides."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medvlm.errors import RequestError
from medvlm.notices import SIDES_ASSUMED
from medvlm.perception.finder import Finder, read_as
from medvlm.perception.view import ImageView
from medvlm.types import Image, ImageFacts, Region, Study, mask_box

from ..tiny import FACTS, picture, tiny_finder

SIZE = (50, 90)  # (H, W) of the picture, neither square nor the model's


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    return tiny_finder(tmp_path / "language")


@pytest.fixture
def study() -> Study:
    return Study([Image(picture(size=SIZE)), Image(picture((60, 5, 85, 40), SIZE))])


@pytest.fixture
def looks(finder: Finder) -> list[int]:
    """Grows by one with every pass of the encoder."""
    passes: list[int] = []
    finder.model.grounder.vision.register_forward_hook(lambda *_: passes.append(1))
    return passes


def check_regions(regions: list[Region], image: int) -> None:
    for region in regions:
        assert region.image == image and 0 <= region.score <= 1
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 < x1 <= SIZE[1] and 0 <= y0 < y1 <= SIZE[0]
        if region.mask is not None:
            assert region.mask.dtype == bool and region.mask.shape == SIZE and mask_box(region.mask) == region.box


def with_presence(finder: Finder, monkeypatch: pytest.MonkeyPatch, chances: dict[str, float]) -> None:
    """Make the heads sure of labels: each query's presence is that of its label, whatever the image."""
    heads = finder.model.grounder.heads
    logit = torch.zeros(len(heads.labels.weight))
    for label, chance in chances.items():
        logit[finder.numbers[label]] = torch.tensor(chance).logit()

    class Scores(torch.nn.Module):
        def forward(self, queries):
            nearest = torch.cdist(queries, heads.labels.weight[None]).argmin(-1)
            return torch.stack([logit[nearest], *[torch.full(nearest.shape, 6.0)] * 2], dim=-1)

    heads.scores = Scores()
    monkeypatch.setattr(type(heads), "look", lambda _, pyramid, queries: queries)
    monkeypatch.setattr(ImageView, "possible", lambda *_: 1.0)


def draw_everything(finder: Finder) -> None:
    """Every pixel of every mask is foreground."""
    with torch.no_grad():
        kernels = finder.model.grounder.heads.kernels
        kernels.weight.zero_()
        kernels.bias.zero_()
        kernels.bias[finder.config.channels] = 5.0


# Views


def test_an_image_is_encoded_once_whatever_is_asked_of_it(finder, study, looks):
    finder.facts(study)
    finder.labels_many([study])
    finder.ground(study, ["liver", "heart"], 0)
    finder.typed_presence(study, "polyp")
    finder.segment(study, box=(20, 10, 60, 40))
    assert len(looks) == 1
    finder.facts(study, image=1)
    assert len(looks) == 2


def test_looking_at_the_same_image_twice_in_one_call_gives_one_view(finder, study, looks):
    first, second, third = finder.look([study.images[0], study.images[1], study.images[0]])
    assert first is third and first is not second and len(looks) == 2
    assert finder.view(study, 1) is second


def test_a_view_is_forgotten_with_its_image(finder, study):
    finder.look(study.images)
    assert len(finder.views) == 2
    study.images.clear()
    gc.collect()
    assert len(finder.views) == 0


def test_what_a_phrase_brought_is_kept_with_the_image_alone(finder, study, monkeypatch):
    finder.ground(study, ["liver", "the scar of Mrs Miller"], 0)
    kept = {name: value for name, value in vars(finder).items() if name != "views"}
    assert "Miller" not in repr(kept)
    monkeypatch.setattr(type(finder.model), "ground", None)  # not asked again
    again = finder.ground(study, ["the scar of Mrs Miller"], 0)
    assert list(again.presence) == ["the scar of Mrs Miller"]
    study.images.clear()
    gc.collect()
    assert "Miller" not in repr(list(finder.views.items()))


def test_another_policy_shows_other_things_of_the_same_view(finder, study, looks):
    assert finder.ground(study, ["liver"], 0).regions
    finder.policy = replace(finder.policy, labels={"liver": 1.0})
    assert not finder.ground(study, ["liver"], 0).regions
    finder.policy = replace(finder.policy, labels={})
    assert finder.ground(study, ["liver"], 0).regions and len(looks) == 1


def test_a_kind_is_that_of_a_medical_image(finder, study):
    facts = finder.facts(study)
    assert isinstance(facts, ImageFacts) and facts.medical > 0.9
    assert facts.modality in ("x-ray", "ct") and facts.body_part in FACTS["body_part"]
    assert 0 < facts.modality_confidence <= 1 and 0 < facts.body_part_confidence <= 1


def test_a_photograph_is_no_medical_image(finder, study):
    with torch.no_grad():
        finder.model.grounder.heads.facts.bias[FACTS["modality"].index("photograph")] = 9.0
    facts = finder.facts(study)
    assert facts.medical < 0.1 and facts.modality != "photograph"


def test_labels_are_probabilities_of_every_fact(finder, study):
    first, second = finder.labels_many([study, Study([study.images[1]])])
    assert {k: list(v) for k, v in first.items()} == FACTS
    for chances in [*first.values(), *second.values()]:
        assert sum(chances.values()) == pytest.approx(1)


def test_what_an_image_can_show_follows_from_its_kind():
    view = ImageView(None, {"modality": {"x-ray": 0.9, "ct": 0.1}, "body_part": {"chest": 0.8, "abdomen": 0.2}}, 1.0)
    assert view.possible("pneumothorax") == pytest.approx(1 - 0.1 * 0.2)
    assert view.possible("polyp") == 0.0 and view.possible("no label") == 1.0
    assert view.kind == ("x-ray", "chest")


# Phrases


def test_phrases_are_shown_or_absent(finder, study):
    found = finder.ground(study, ["liver", "something unheard of"], image=1)
    assert set(found.presence) == {"liver", "something unheard of"} and 0 < found.presence["liver"] < 1
    assert found.absent == ["something unheard of"] and "not among" in found.notes["something unheard of"]
    assert {r.label for r in found.regions} == {"liver"}
    check_regions(found.regions, image=1)
    scores = [r.score for r in found.regions]
    assert scores == sorted(scores, reverse=True) and min(scores) >= finder.policy.region


def test_phrases_are_looked_for_in_all_images(finder, study):
    found = finder.ground(study, ["left lung"])
    assert {region.image for region in found.regions} == {0, 1} and found.scope == "2 of 2 images"
    alone = [finder.ground(study, ["left lung"], image) for image in (0, 1)]
    assert found.presence["left lung"] == pytest.approx(max(one.presence["left lung"] for one in alone))
    assert alone[1].scope == "image 2 of 2"


def test_sides_that_no_file_tells_are_said_to_be_assumed(finder, study):
    assert finder.ground(study, ["left lung"]).notices == [SIDES_ASSUMED]
    assert finder.ground(replace(study, sides_known=True), ["left lung"]).notices == []
    assert finder.ground(study, ["liver"]).notices == []


def test_a_phrase_that_only_resembles_a_label_is_shown_as_that_label(finder, study, monkeypatch):
    """No region is called "RLL": it is the right lung that is shown, and a note says so."""
    number, chances = finder.numbers["right lung"], torch.full((1, len(finder.numbers) + 1), 1e-4)
    chances[0, number] = 0.97
    monkeypatch.setattr(type(finder.model), "name_phrases", lambda *_, **__: chances / chances.sum())
    with_presence(finder, monkeypatch, {"right lung": 0.99})
    found = finder.ground(study, ["RLL", "lung on the right"])
    assert {(r.label, r.phrase) for r in found.regions} == {
        ("right lung", "RLL"),
        ("lung on the right", "lung on the right"),  # a name that the vocabulary knows
    }
    assert found.of("RLL") and found.notes == {"RLL": read_as("RLL", "right lung", True)}
    assert found.presence["RLL"] < found.presence["lung on the right"]


def test_what_is_not_present_has_no_region(finder, study):
    with torch.no_grad():
        finder.model.grounder.heads.scores[-1].bias[0] = -6.0
    found = finder.ground(study, ["liver"])
    assert found.regions == [] and found.absent == ["liver"] and found.presence["liver"] < 0.01


def test_presence_is_what_grounding_says_without_drawing(finder, study, monkeypatch):
    with_presence(finder, monkeypatch, {"liver": 0.8})
    assert finder.presence(study, "liver") == pytest.approx(finder.ground(study, ["liver"], 0).presence["liver"])
    assert finder.presence(study, "liver") == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(
    ("benign", "malignant", "shown"),
    [
        (0.45, 0.4, {"benign tumour", "malignant tumour"}),  # something is there; which type is open
        (0.02, 0.9, {"malignant tumour"}),
        (0.2, 0.2, set()),
    ],
)
def test_a_tumour_of_an_uncertain_type_is_not_hidden(finder, study, monkeypatch, benign, malignant, shown):
    with_presence(finder, monkeypatch, {"benign tumour": benign, "malignant tumour": malignant})
    found = finder.ground(study, ["benign tumour", "malignant tumour"])
    assert {r.phrase for r in found.regions} == shown
    names = {r.phrase: r.label for r in found.regions}
    if len(shown) == 2:  # neither name is sure
        assert names["malignant tumour"] == "breast tumour, malignant tumour 0.5"
        assert set(found.notes) == shown and "uncertain" in found.notes["benign tumour"]
    elif shown:
        assert names == {"malignant tumour": "malignant tumour"} and "benign tumour" in found.notes
    assert found.presence == pytest.approx({"benign tumour": benign, "malignant tumour": malignant}, abs=1e-4)
    assert {r.phrase for r in finder.ground(study, ["malignant tumour"]).regions} == shown - {"benign tumour"}


def test_thin_things_are_drawn_on_enlarged_parts(finder, study, looks, monkeypatch):
    """Where every part is all vessel, the parts together are the whole image, and no pixel belongs to two regions."""
    draw_everything(finder)
    monkeypatch.setattr(ImageView, "possible", lambda *_: 1.0)
    regions = finder.ground(study, ["retinal vessels"], 0).regions
    assert len(looks) == 7, "the image and six squares that overlap"
    check_regions(regions, image=0)
    assert len(regions) == 1 and regions[0].mask.all()
    many = finder.ground(study, ["microaneurysms"], 0).regions
    assert len(looks) == 7, "the squares were seen before"
    check_regions(many, image=0)
    assert many and (np.stack([r.mask for r in many]).sum(0) == 1).all()


# Prompts


def test_each_kind_of_prompt_gives_at_most_one_region(finder, study):
    scribble = np.zeros(SIZE, bool)
    scribble[20:24, 30:60] = True
    for prompt in ({"box": (20, 10, 60, 40)}, {"points": [(40, 20, 1), (5, 5, 0)]}, {"scribble": scribble}):
        regions = finder.segment(study, image=1, **prompt)
        assert len(regions) <= 1
        check_regions(regions, image=1)


def test_a_box_keeps_what_lies_inside_it_and_a_point_all_that_it_touches(finder, study):
    draw_everything(finder)
    inside = finder.segment(study, box=(20, 10, 60, 40))[0]
    x0, y0, x1, y1 = inside.box
    assert 10 <= x0 <= 20 and 5 <= y0 <= 10 and 60 <= x1 <= 70 and 40 <= y1 <= 45
    whole = finder.segment(study, points=[(40, 20, 1)])[0]
    assert whole.mask.all() and whole.score > 0.9


def test_a_negative_click_takes_away_what_is_around_it(finder, study):
    draw_everything(finder)
    erased = finder.segment(study, points=[(40, 20, 1), (60, 30, 0), (40, 22, 0)])[0].mask
    assert not erased[30, 60] and not erased[30, 64] and erased[20, 40]


def test_a_label_that_looks_like_the_prompts_mask_has_a_say(finder, study, monkeypatch):
    monkeypatch.setattr(ImageView, "possible", lambda *_: 1.0)
    draw_everything(finder)
    image, everywhere = study.images[0], torch.full((finder.side // 2, finder.side // 2), 3.0)
    last = finder.model.grounder.heads.scores[-1]
    with torch.inference_mode():
        last.weight.zero_()
        last.bias[0] = 5.0

        def recognised(canvas: torch.Tensor) -> torch.Tensor:
            view = finder.view_of(finder.look([image])[0].features, image)
            return finder.recognised(view, image, canvas, (20, 10, 60, 40))

        assert (recognised(everywhere) == finder.policy.alike_most).all()
        assert not recognised(-everywhere).any()  # nothing like it
        last.bias[0] = -5.0
        assert not recognised(everywhere).any()  # nothing is there


def test_requests_that_cannot_be_met_are_refused(finder, study):
    wrong = [
        lambda: finder.ground(study, [""]),
        lambda: finder.ground(study, ["liver"], image=2),
        lambda: finder.facts(study, image=7),
        lambda: finder.segment(study),
        lambda: finder.segment(study, box=(0, 0, 10, 10), points=[(1, 1, 1)]),
        lambda: finder.segment(study, box=(0, 0, 1000, 10)),
        lambda: finder.segment(study, points=[(1, 1, 0)]),
        lambda: finder.segment(study, points=[(200, 1, 1)]),
        lambda: finder.segment(study, scribble=np.ones((3, 3), bool)),
        lambda: finder.segment(study, scribble=np.zeros(SIZE, bool)),
    ]
    for request in wrong:
        with pytest.raises(RequestError):
            request()
