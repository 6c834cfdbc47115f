"""What training sees: examples and their geometry, light and prompts, for the heads and for the language model."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from medvlm.geometry import Letterbox
from medvlm.model.prompts import NEGATIVE
from medvlm.records import Record, read_records
from medvlm.types import mask_box
from medvlm.vocabulary import LABELS, known_name
from training.augment import (
    Turn,
    generator,
    not_medical,
    random_turn,
    relight,
    turn_boxes,
    turn_grid,
    turn_image,
    turn_map,
    zoom,
)
from training.cache import shrink
from training.data import fact_kinds, fact_values, unnamed_sizes
from training.datasets import question_values
from training.drawing import draw_prompts
from training.grounding_examples import GroundingExamples, answer_numbers, collate, fact_numbers
from training.language_examples import LanguageExamples
from training.stage_language import answer_loss
from training.tasks import free_wordings, place, questions, wordings

from .tiny import LANGUAGE, tiny_model, write_squares


class Shrunk:
    """Records as a cache has them, in memory."""

    def __init__(self, records, side: int = 576):
        self.records, self.side = records, side

    def __getitem__(self, number: int):
        return shrink(self.records[number], self.side)


@pytest.fixture
def records(tmp_path):
    return read_records(write_squares(tmp_path / "squares"), "train")


# Geometry


def square_with_map(size: tuple[int, int], box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.zeros(size, np.uint8)
    ids[box[1] : box[3], box[0] : box[2]] = 3
    image = np.repeat(np.where(ids[..., None] > 0, 255, 30).astype(np.uint8), 3, axis=2)
    return image, ids


TURNS = [
    Turn(),
    Turn(scale=1.3, shift=(0.1, -0.05)),
    Turn(scale=0.8, shift=(-0.05, 0.1), flip_x=True),
    Turn(scale=0.9, flip_y=True, shift=(0.05, 0.05)),
    Turn(degrees=37, scale=0.9, shift=(0.05, 0.02)),
    Turn(degrees=-120, flip_x=True, shift=(0.02, -0.05)),
]


def affine_grid(height: int, width: int, size: int, turn: Turn) -> torch.Tensor:
    """What `turn_grid` says, by torch's own function."""
    angle, long = np.deg2rad(turn.degrees), max(height, width)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / turn.scale
    flipped = np.diag([-1 if turn.flip_x else 1, -1 if turn.flip_y else 1]) @ turned
    theta = np.diag([long / width, long / height]) @ np.column_stack([flipped, -np.array(turn.shift)])
    return F.affine_grid(torch.tensor(theta, dtype=torch.float32)[None], (1, 1, size, size), align_corners=False)


@pytest.mark.parametrize("size", [(80, 80), (60, 100), (1024, 37)])
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_grid_is_that_of_an_affine_map(turn, size):
    for side in (48, 161):
        torch.testing.assert_close(turn_grid(*size, side, turn), affine_grid(*size, side, turn), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(80, 80), (60, 100), (100, 60)])
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_mask_stays_on_its_pixels(turn, size):
    image, ids = square_with_map(size, (20, 15, 45, 40))
    grid = turn_grid(*size, 160, turn)
    bright, mask = turn_image(image, 160, turn)[0].numpy() > 0.55, turn_map(ids, grid).numpy()
    assert set(np.unique(mask)) == {0, 3} and mask.sum() > 3 * 400
    assert (bright & (mask > 0)).sum() / (bright | (mask > 0)).sum() > 0.93


@pytest.mark.parametrize("size", [(400, 400), (300, 480), (40, 60)])
def test_training_sees_an_image_as_it_is_seen_in_use(size):
    """Stripes of three pixels, which turn to moiré where an image is made smaller without care."""
    stripes = np.broadcast_to((np.arange(size[1]) // 3 % 2 * 255)[None, :, None], (*size, 3)).astype(np.uint8)
    used = Letterbox(size, 80).image(stripes).transpose(2, 0, 1) / 255
    seen = turn_image(np.ascontiguousarray(stripes), 80, Turn()).numpy()
    assert np.abs(seen - used).mean() < 0.02
    turned = turn_image(np.ascontiguousarray(stripes), 80, Turn(degrees=3)).numpy()[:, 30:50, 30:50]
    assert turned.std() == pytest.approx(used[:, 30:50, 30:50].std(), abs=0.03)


@pytest.mark.parametrize("size", [(80, 80), (60, 100), (100, 60)])
@pytest.mark.parametrize("turn", [t for t in TURNS if not t.degrees], ids=str)
def test_boxes_go_where_the_masks_go(turn, size):
    box = (20, 15, 45, 40)
    mask = turn_map(square_with_map(size, box)[1], turn_grid(*size, 160, turn)).numpy()
    turned = turn_boxes(np.array([box, (0, 0, 1, 1)], float), *size, 160, turn)
    assert turned.shape == (2, 4)
    np.testing.assert_allclose(turned[0], mask_box(mask > 0), atol=1.6)


def test_a_turn_moves_as_it_says():
    ids = square_with_map((80, 80), (0, 0, 20, 20))[1]

    def box(turn: Turn):
        return mask_box(turn_map(ids, turn_grid(80, 80, 80, turn)).numpy() > 0)

    assert box(Turn()) == (0, 0, 20, 20)
    assert box(Turn(flip_x=True)) == (60, 0, 80, 20) and box(Turn(flip_y=True)) == (0, 60, 20, 80)
    assert box(Turn(scale=0.5)) == (20, 20, 30, 30)
    assert box(Turn(shift=(0.5, 0.0))) == (20, 0, 40, 20)  # fractions of half the side


def drawn(modality, body_part, boxes_only=False, count=200) -> list[Turn]:
    rng = np.random.default_rng(0)
    return [random_turn(rng, modality, body_part, boxes_only) for _ in range(count)]


def test_flips_only_where_left_and_right_mean_nothing():
    for kind in (("x-ray", "chest"), ("ct", "abdomen"), ("mri", "heart"), ("x-ray", "abdomen"), (None, None)):
        assert not any(t.flip_x or t.flip_y for t in drawn(*kind))
    for kind in (("mri", "brain"), ("x-ray", "wrist"), ("fundus", "retina"), ("ultrasound", "breast")):
        turns = drawn(*kind)
        assert 50 < sum(t.flip_x for t in turns) < 150 and not any(t.flip_y for t in turns)
    turns = drawn("endoscopy", "colon")
    assert any(t.flip_x for t in turns) and any(t.flip_y for t in turns) and max(abs(t.degrees) for t in turns) > 90
    assert max(abs(t.degrees) for t in drawn("x-ray", "chest")) <= 15
    assert not any(t.degrees for t in drawn("microscopy", "blood", boxes_only=True))


def test_a_closer_look_has_its_centre_in_the_middle():
    for size in ((80, 80), (60, 100)):
        ids = square_with_map(size, (40, 10, 60, 30))[1]
        for turn in (Turn(), Turn(degrees=40), Turn(flip_x=True, flip_y=True)):
            near = zoom(turn, (50, 20), size, 2.0)
            box = mask_box(turn_map(ids, turn_grid(*size, 80, near)).numpy() > 0)
            middle, wide = (box[0] + box[2]) / 2, (box[2] - box[0]) / 80
            assert middle == pytest.approx(40, abs=1)
            assert wide == pytest.approx(2 * 20 / max(size) * (1.41 if turn.degrees else 1), rel=0.05)


def test_what_is_not_medical_is_varied_and_fits_the_canvas():
    pictures = [not_medical(np.random.default_rng(seed), 48) for seed in range(40)]
    assert all(p.shape == (3, 48, 48) and p.min() >= 0 and p.max() <= 1 for p in pictures)
    spread = [float(p.std()) for p in pictures]
    assert any((p == p[:, :1, :1]).all() for p in pictures) and max(spread) > 0.2


def test_light_changes_no_black_margin():
    images = torch.zeros(40, 3, 32, 32)
    images[:, :, 8:24, 8:24] = 0.5
    lit = relight(images, generator("cpu", 0))
    assert lit.min() >= 0 and lit.max() <= 1
    assert not lit[:, :, :8].any() and not lit[:, :, :, :8].any()


def test_light_is_decided_by_its_seeds_and_differs_from_image_to_image():
    images = torch.full((40, 3, 16, 16), 0.5)
    lit = relight(images, generator("cpu", 3, 7))
    assert torch.equal(lit, relight(images, generator("cpu", 3, 7)))
    assert not torch.equal(lit, relight(images, generator("cpu", 3, 8)))
    assert lit.mean((1, 2, 3)).std() > 0.05
    assert 3 < sum(float(image.std()) > 0.005 for image in lit) < 20  # noise, now and then


def test_colour_is_changed_where_there_is_some():
    grey, coloured = torch.full((60, 3, 8, 8), 0.5), torch.full((60, 3, 8, 8), 0.5)
    coloured[:, 0] = 0.7

    def tints(images):
        lit = relight(images, generator("cpu", 1))
        return (lit[:, 0] / lit[:, 1]).mean((1, 2))

    quiet = relight(grey, generator("cpu", 1)).std((2, 3)).amax(1) < 1e-3
    assert (tints(grey)[quiet] - 1).abs().max() < 1e-3
    assert tints(coloured)[quiet].std() > 0.05


# Examples


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[k], b[k]) if torch.is_tensor(a[k]) else a[k] == b[k] for k in a)


def test_grounding_examples_are_the_same_in_every_run(records):
    def examples(seed: int) -> GroundingExamples:
        return GroundingExamples(Shrunk(records), {"modality": ["ct", "x-ray"]}, list(LABELS), seed=seed)

    first, again, other = examples(0), examples(0), examples(1)
    order = np.random.default_rng(0).permutation(12)
    for i in order:
        assert same(first[int(i), 64], again[int(i), 64])
    assert not same(first[0, 64], other[0, 64]) and not same(first[0, 64], first[1, 64])


def test_grounding_examples_say_where_the_square_is(records):
    examples = GroundingExamples(Shrunk(records), {"modality": ["ct", "x-ray"]}, list(LABELS), prompts=0.0)
    number, absent = list(LABELS).index("left lung"), list(LABELS).index("pneumothorax")
    for item in range(20):
        example = examples[item, 32 if item < 10 else 64]
        assert example["pixel_values"].shape[-1] == (32 if item < 10 else 64)
        assert example["pixel_values"].dtype == example["prompts"].dtype == torch.uint8
        rows = dict(zip(example["label_ids"].tolist(), example["presence"].tolist(), strict=True))
        assert rows[number] == 1 and rows[absent] == 0 and example["facts"].tolist() == [1]
        q = example["label_ids"].tolist().index(number)
        bright = F.avg_pool2d(example["pixel_values"][None].float() / 255, 2)[0, 0]
        mask = example["masks"][q] > 0
        assert bright[mask].mean() > bright[~mask].mean() + 0.15
        box = np.array(mask_box(mask.numpy())) / len(mask)
        assert example["centres"][q].max() == 1
        y, x = divmod(int(example["centres"][q].argmax()), example["centres"].shape[-1])
        np.testing.assert_allclose(example["boxes"][q][:, y, x].float(), box, atol=1e-3)
    batch = collate([examples[15, 64], examples[16, 64]])
    assert batch["masks"].shape[:2] == (2, 5) and batch["pixel_values"].shape == (2, 3, 64, 64)


def test_drawn_prompts_lie_on_what_they_ask_for(records):
    examples = GroundingExamples(Shrunk(records), {}, list(LABELS), prompts=1.0)
    kinds = set()
    for item in range(30):
        example = examples[item, 64]
        for prompt, kind, truth in zip(example["prompts"], example["prompt_kinds"], example["prompted"], strict=True):
            kinds.add(int(kind))
            mask = F.max_pool2d(truth[None].float(), 2)[0] > 0
            on = prompt[kind] > 0
            assert (
                on.any() and (on & mask).sum() / on.sum() > 0.25
            )  # a click is a disc as wide as a third of the square
        assert example["presence"].tolist() == [-1] * 5
    assert kinds == {0, 1, 3}


def test_prompts_are_drawn_beside_labels_too(records):
    examples = GroundingExamples(Shrunk(records), {}, list(LABELS), prompts=0.0)
    for example in (examples[i, 64] for i in range(10)):
        assert (example["prompt_kinds"] >= 0).all() and (example["presence"] == 1).any()


def test_clicks_of_a_drawing_are_in_or_near_the_instance():
    ids = np.zeros((64, 64), np.uint8)
    ids[10:30, 12:40], ids[50:52, 50:52] = 1, 2
    wanted = F.max_pool2d(torch.tensor(ids == 1)[None].float(), 4)[0].numpy() > 0
    negatives = 0
    for seed in range(40):
        drawn = list(draw_prompts({"polyp": ids}, 2, 16, np.random.default_rng(seed)))
        assert len(drawn) == 2 and all((instance == (ids == 1)).all() for *_, instance in drawn)  # 2 is too small
        for prompt, kind, _ in drawn:
            assert wanted[prompt[kind] > 0].mean() > 0.25
            if prompt[NEGATIVE].any():
                negatives += 1
                assert not wanted[prompt[NEGATIVE] > 0].all()
    assert negatives


def test_nothing_is_drawn_where_nothing_is():
    assert not list(draw_prompts({"polyp": np.zeros((64, 64), np.uint8)}, 3, 16, np.random.default_rng(0)))


def test_labels_of_every_example_are_told_as_far_as_they_are_known(records):
    facts = {"modality": ["x-ray", "photograph"]}
    examples = GroundingExamples(Shrunk(records), facts, list(LABELS), prompts=0.0)
    seen = [examples[i, 64] for i in range(200)]
    noise = [e for e in seen if e["facts"].tolist() == [1]]
    assert 0 < len(noise) < 20 and all((e["labels"] == 0).all() and (e["presence"] == -1).all() for e in noise)
    names = list(LABELS)
    for example in (e for e in seen if e["facts"].tolist() == [0]):
        assert {names[i] for i in (example["labels"] == 1).nonzero()[:, 0]} == {"left lung"}
        absent = {names[i] for i in (example["labels"] == 0).nonzero()[:, 0]}
        assert "pneumothorax" in absent and len(absent) == 5 and "fracture" not in absent  # which is of X-rays too


def test_thin_things_are_shown_enlarged_at_times(records):
    for record in records:
        record.regions[0].label = "retinal vessels"
    examples = GroundingExamples(Shrunk(records), {}, list(LABELS), prompts=0.0)
    number = list(LABELS).index("retinal vessels")
    areas = []
    for example in (examples[i, 64] for i in range(60)):
        q = example["label_ids"].tolist().index(number)
        if example["presence"][q] == 1:
            areas.append(float(example["masks"][q].float().mean()))
    assert max(areas) > 2.5 * np.median(areas) or np.median(areas) > 2.5 * min(areas)


def test_facts_that_are_not_known_teach_nothing(records):
    facts = {
        "modality": ["ct", "x-ray"],
        "body_part": ["abdomen", "chest"],
        "stage": ["I", "II"],
        "is it dark?": ["no"],
    }
    assert fact_numbers(records[0], facts).tolist() == [1, 1, -100, -100], "a question is no fact with a name"
    assert fact_values(records)["modality"][0] == "x-ray" and "is it dark?" not in fact_values(records)
    kinds = fact_kinds(records, facts)
    assert kinds["modality"] == [["x-ray", "chest"]] and kinds["stage"] == kinds["is it dark?"] == []


def test_answers_to_questions_are_facts_without_a_name(records):
    asked = {"is it bright?": ["no", "yes"], "is it dark?": ["yes", "no"], "which organ is bright?": ["liver"]}
    assert answer_numbers(records[0], asked).tolist() == [-100, 1, -100]
    modality = {"modality": ["ct", "x-ray"]}
    examples = GroundingExamples(Shrunk(records), modality, list(LABELS), prompts=0.0, unnamed=asked)
    assert all(examples[i, 64]["facts"].tolist() == [1, -100, 1, -100] for i in range(5))
    close = GroundingExamples(Shrunk(records), modality, list(LABELS), prompts=1.0, unnamed=asked)
    enlarged = [e for e in (close[i, 64] for i in range(20)) if (e["presence"] == -1).all()]
    assert enlarged and all(e["facts"].tolist() == [1, -100, -100, -100] for e in enlarged), (
        "of a part they are not known"
    )
    assert unnamed_sizes(records) == []
    records[0].qa[0].question = next(iter(question_values()))
    assert unnamed_sizes(records) == [len(values) for values in question_values().values()]


def test_a_fact_that_a_set_calls_like_itself_has_a_name_in_the_model():
    of = "medmnist_pneumoniamnist"
    film = {"modality": "x-ray", "body_part": "chest"}
    labels = [{of: ("normal", "pneumonia")[i % 2]} for i in range(100)]
    films = [Record(str(i), of, "train", "1", b"", labels=row, **film) for i, row in enumerate(labels)]
    facts = fact_values(films)
    assert facts["pneumonia film"] == ["normal", "pneumonia"] and of not in facts
    assert fact_kinds(films, facts)["pneumonia film"] == [["x-ray", "chest"]]
    assert fact_numbers(films[1], {"pneumonia film": facts["pneumonia film"]}).tolist() == [1]
    made = questions(films[1], np.random.default_rng(0), (8, 8), facts)
    assert any("pneumonia film" in question and answer == "Pneumonia" for question, answer in made)


def test_facts_that_a_set_calls_of_no_use_are_no_facts():
    def known_of(of: str) -> dict[str, list[str]]:
        labels = [{"collection": "ab"[i % 2], "grade": "cd"[i % 2]} for i in range(100)]
        return fact_values([Record(str(i), of, "train", "1", b"", labels=row) for i, row in enumerate(labels)])

    assert known_of("own")["collection"] == ["a", "b"] and known_of("own")["grade"] == ["c", "d"]
    assert "collection" not in known_of("retina_vessels") and known_of("retina_vessels")["grade"] == ["c", "d"]


def test_sets_are_drawn_by_their_weights(records):
    for record in records[:2]:
        record.set = "other"

    def shares(**more) -> list[float]:
        return GroundingExamples(Shrunk(records), {}, list(LABELS), **more).chances.round(3).tolist()

    assert shares(power=0.0, weights={"other": 3.0}) == [0.75, 0.25]
    assert shares(power=1.0) == [0.333, 0.667]


def test_language_examples_are_the_same_in_every_run(records, tmp_path):
    _, processor = tiny_model(tmp_path / "language")

    def examples(seed: int) -> LanguageExamples:
        return LanguageExamples(Shrunk(records), processor, {}, 64, packed=5, length=6, seed=seed)

    first, again, other = examples(0), examples(0), examples(1)
    assert all(same(first[i], again[i]) for i in (5, 0, 3)) and not same(first[0], other[0])


@pytest.mark.parametrize("language", LANGUAGE)
def test_packed_questions_do_not_see_each_other(records, tmp_path, language):
    """The loss of questions packed behind one image is that of each alone behind it, weighted by its tokens."""
    model, processor = tiny_model(tmp_path / "language", "vit", language, spread=0.2)
    model.eval()
    examples = LanguageExamples(Shrunk(records), processor, {}, 64, packed=5, length=4)
    pairs = [("Is it dark?", "No"), ("Which organ is bright?", "Left Lung"), ("CT?", "No, it is an X-Ray")]
    example = examples[0]

    def loss(pairs) -> tuple[float, int]:
        batch = examples.collate([{**example, **examples.pack(pairs)}])
        features = model.encode_images(batch["pixel_values"])
        told = int((batch["labels"] != -100).sum())
        inputs = {k: batch[k] for k in ("input_ids", "labels", "attention_mask", "position_ids")}
        return float(answer_loss(model, features, **inputs)), told

    with torch.no_grad():
        alone = [loss([pair]) for pair in pairs]
        packed, told = loss(pairs)
    assert told == sum(n for _, n in alone)
    assert packed == pytest.approx(sum(x * n for x, n in alone) / told, abs=1e-4)


def test_questions_are_answered_by_the_record(records):
    record = records[0]
    pairs = dict(p for seed in range(40) for p in questions(record, np.random.default_rng(seed), (64, 64), {}))
    assert (
        pairs["Is there a left lung in this image?"] == "Yes" and pairs["Is there no left lung in this image?"] == "No"
    )
    assert (
        pairs["Is there a pneumothorax in this image?"] == "No" and pairs["Which imaging modality is this?"] == "X-Ray"
    )
    box = np.array(record.regions[0].boxes[0])
    assert pairs["Where in the image does the left lung lie?"].lower() == place(box, 64, 64)
    assert (
        place(np.array([0, 0, 10, 10]), 90, 90) == "upper left"
        and place(np.array([40, 40, 50, 50]), 90, 90) == "centre"
    )
    free = free_wordings()
    assert free.keys() == LABELS.keys() and min(map(len, free.values())) > 30
    assert not any(known_name(text) for texts in free.values() for text in texts)
    said = wordings(["heart"], 5, 40, np.random.default_rng(0))
    assert {n for _, n in said} == {0, 1} and len(set(said)) == len(said) > 60
