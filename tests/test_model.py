"""The composite model in transformers' conventions, over tiny random encoders and language models of many kinds."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments

from medvlm.errors import ModelError
from medvlm.geometry import Letterbox
from medvlm.model.grounding import GroundingHeads, GroundingOutput, MedVLMGroundingConfig
from medvlm.model.instances import instances
from medvlm.model.loading import load, save_compact
from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import IMAGE_TOKEN, MedVLMProcessor
from medvlm.model.prompt_heads import PROMPT_CHANNELS
from medvlm.model.words import WordVotes
from medvlm.vocabulary import parts

from .tiny import LANGUAGE, SIDE, VISION, picture, tiny_model

QUESTION = "Is there a left lung in this image?"


@pytest.fixture
def made(tmp_path):
    model, processor = tiny_model(tmp_path / "language")
    return model.eval(), processor


def asked(processor: MedVLMProcessor, question: str = QUESTION, answer: str = "") -> dict:
    return dict(processor(images=[picture()], text=[processor.question(question) + answer], return_tensors="pt"))


@pytest.mark.parametrize("language", LANGUAGE)
@pytest.mark.parametrize("vision", VISION)
def test_any_encoder_with_any_language_model(tmp_path, vision, language):
    """Trains, generates, grounds, saves, and is the same model when it comes back."""
    model, processor = tiny_model(tmp_path / "language", vision, language)
    batch = asked(processor, answer="Yes<|im_end|>")
    labels = batch["input_ids"]  # with the placeholders, which are never learned
    phrases = processor.phrases(["left lung", "a polyp in the colon"])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(4):
        out = model(**batch, labels=labels)
        features = model.encode_images(batch["pixel_values"])
        queries = model.encode_phrases(phrases["input_ids"], phrases["attention_mask"])
        ground = model.ground(features, queries[None])
        loss = out.loss + ground.masks.square().mean() + ground.presence.square().mean()
        optimizer.zero_grad()
        loss.backward()
        reached = {
            ".".join(n.split(".")[:2]) for n, p in model.named_parameters() if p.grad is not None and p.grad.any()
        }
        optimizer.step()
        losses.append(float(out.loss.detach()))
    assert {
        "grounder.vision",
        "grounder.heads",
        "projector.mlp",
        "query_projector.2",
        "language_model.model",
    } <= reached
    assert losses[-1] < losses[0] - 0.2

    model.eval()
    prompt = asked(processor)
    with torch.no_grad():
        told = model.generate(**prompt, max_new_tokens=4, do_sample=False)
        assert prompt["input_ids"].shape[1] < told.shape[1] <= prompt["input_ids"].shape[1] + 4
        output = model.ground(model.encode_images(prompt["pixel_values"]), model.encode_phrases(**phrases)[None])
        logits = model(**prompt).logits
    assert (
        output.masks.shape[:2] == output.centres.shape[:2] == output.presence.shape == output.outlined.shape == (1, 2)
    )
    assert output.masks.shape[2:] == tuple(2 * s for s in output.sides.shape[3:]) and output.sides.shape[2] == 4
    assert min(output.masks.shape[2:]) >= SIDE // 2

    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    again = AutoModelForImageTextToText.from_pretrained(tmp_path / "saved").eval()
    assert isinstance(again, MedVLMForConditionalGeneration)
    assert again.config.vision_config.model_type == vision and again.config.text_config.model_type == language
    prompt = asked(AutoProcessor.from_pretrained(tmp_path / "saved"))
    with torch.no_grad():
        torch.testing.assert_close(again(**prompt).logits, logits, atol=1e-5, rtol=1e-5)
        found = again.ground(again.encode_images(prompt["pixel_values"]), again.encode_phrases(**phrases)[None])
        torch.testing.assert_close(found.masks, output.masks, atol=1e-5, rtol=1e-5)


def test_language_model_sees_no_later_token(made):
    """A language model that was loaded before the composite keeps its causal mask."""
    model, processor = made
    batch = asked(processor)
    changed = batch["input_ids"].clone()
    changed[0, -1] = (changed[0, -1] + 1) % 100
    with torch.no_grad():
        before, after = model(**batch).logits, model(**{**batch, "input_ids": changed}).logits
    assert torch.equal(before[0, :-1], after[0, :-1]) and not torch.equal(before[0, -1], after[0, -1])


def test_image_reaches_the_answer(tmp_path):
    model, processor = tiny_model(tmp_path / "language", "vit")
    batch = asked(processor)
    with torch.no_grad():
        seen = model(**batch).logits
        other = model(**{**batch, "pixel_values": -batch["pixel_values"]}).logits
    assert (seen[0, -1] - other[0, -1]).abs().max() > 1e-4


def test_facts_keep_their_order_on_disk(tmp_path):
    facts = {"view": ["a", "b"], "modality": ["ct"], "body_part": ["chest", "head", "neck"]}
    MedVLMGroundingConfig(facts=facts, unnamed=[4, 2]).save_pretrained(tmp_path)
    again = MedVLMGroundingConfig.from_pretrained(tmp_path)
    assert list(again.facts.items()) == list(facts.items()) and again.fact_sizes == [2, 1, 3, 4, 2]


def test_facts_without_a_name_are_evidence_alone():
    """In the place and with the probabilities that they would have with a name."""
    facts, size = {"modality": ["ct", "mri"], "view": ["a", "b", "c"]}, {"channels": 16, "query_size": 24, "heads": 2}
    named = GroundingHeads(MedVLMGroundingConfig(facts=facts, labels=["liver"], **size), [8, 8, 8, 8])
    torch.manual_seed(3)
    heads = GroundingHeads(
        MedVLMGroundingConfig(facts={"modality": ["ct", "mri"]}, unnamed=[3], labels=["liver"], **size), [8, 8, 8, 8]
    )
    named.load_state_dict(heads.state_dict())
    maps = [torch.randn(2, 8, side, side) for side in (16, 8, 4, 2)]
    with torch.no_grad():
        told, all_told = heads.classify(maps), named.classify(maps)
        evidence = heads.evidence(maps, heads.pyramid(maps))
        assert torch.equal(evidence, named.evidence(maps, named.pyramid(maps)))
    assert list(told) == ["modality"] and torch.equal(told["modality"], all_told["modality"])
    assert evidence.shape == (2, heads.config.evidence_size) == (2, 5 + 4)
    assert torch.equal(evidence[:, 2:5], all_told["view"].softmax(-1))


def test_compact_folder_gives_the_same_model(tmp_path, made):
    model, processor = made
    save_compact(model, tmp_path / "compact")
    again, processor_again, name = load(str(tmp_path / "compact"))
    batch = asked(processor_again)
    with torch.no_grad():
        difference = (model(**asked(processor)).logits - again(**batch).logits).abs().max()
    assert name == "compact" and difference < 5e-3  # half precision
    assert again.config.grounding_config.facts == model.config.grounding_config.facts


def test_missing_or_broken_folder_is_refused(tmp_path, made):
    with pytest.raises(ModelError, match="No model"):
        load(str(tmp_path / "nothing"))
    save_compact(made[0], tmp_path / "compact")
    (tmp_path / "compact" / "heads.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="cannot be read"):
        load(str(tmp_path / "compact"))


# The processor


def test_processor_round_trip(tmp_path, made):
    processor = made[1]
    processor.save_pretrained(tmp_path / "processor")
    again = AutoProcessor.from_pretrained(tmp_path / "processor")
    assert isinstance(again, MedVLMProcessor) and again.image_tokens == processor.image_tokens
    first, second = asked(processor), asked(again)
    assert torch.equal(first["input_ids"], second["input_ids"]) and torch.equal(
        first["pixel_values"], second["pixel_values"]
    )
    assert again.question(QUESTION) == processor.question(QUESTION)
    assert again.image_token_id == processor.image_token_id and again.seg_token_id == processor.seg_token_id


def test_image_tokens_for_one_and_several_images(made):
    model, processor = made
    assert processor.image_tokens == model.config.image_tokens
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "Which is newer?"}]}
    ]
    text = [processor.apply_chat_template(messages, add_generation_prompt=True), processor.question(QUESTION)]
    assert text[0].count(IMAGE_TOKEN) == 2 and text[0].endswith("<|im_start|>assistant\n")
    nested = processor(images=[[picture(), picture()[:40]], [picture()]], text=text, return_tensors="pt")
    flat = processor(images=[picture(), picture()[:40], picture()], text=text, return_tensors="pt")
    counts = (nested["input_ids"] == processor.image_token_id).sum(1).tolist()
    assert counts == [2 * processor.image_tokens, processor.image_tokens]
    assert nested["pixel_values"].shape == (3, 3, SIDE, SIDE) and torch.equal(
        nested["pixel_values"], flat["pixel_values"]
    )
    with torch.no_grad():
        assert model(**nested).logits.shape[:2] == nested["input_ids"].shape


def test_counts_that_do_not_fit_are_refused(made):
    model, processor = made
    text = processor.question(QUESTION)
    with pytest.raises(ModelError, match="1 images and 2 were given"):
        processor(images=[picture(), picture()], text=[text])
    batch = processor(text=[text], return_tensors="pt")
    pixels = processor(images=[picture(), picture()])["pixel_values"]
    with pytest.raises(ModelError, match="one image for each"):
        model(**batch, pixel_values=pixels)
    with pytest.raises(ModelError, match="one image for each"):
        model(**batch)
    with pytest.raises(ModelError, match="exactly one <seg>"):
        model.encode_phrases(**processor(text=["left lung"], return_tensors="pt"))


def test_lists_without_padding_unless_tensors_are_asked_for(made):
    processor = made[1]
    ids = processor(text=["Yes", "Yes, there is a left lung"])["input_ids"]
    assert len(ids[0]) < len(ids[1])
    padded = processor(text=["Yes", "Yes, there is a left lung"], return_tensors="pt")
    assert padded["attention_mask"][0, 0] == 0 and padded["attention_mask"][:, -1].all()


def test_padding_changes_no_answer(made):
    """A short question gives the same logits alone and beside a long one."""
    model, processor = made
    questions = [
        processor.question("CT?"),
        processor.question("Is there a left lung in this image, or is it an abdomen?"),
    ]
    batch = processor(images=[picture(), picture()[::-1].copy()], text=questions, return_tensors="pt")
    alone = processor(images=[picture()], text=questions[:1], return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits[0, -1], model(**alone).logits[0, -1], atol=1e-4, rtol=1e-4)
        together = model.generate(**batch, max_new_tokens=5, do_sample=False)
        single = model.generate(**alone, max_new_tokens=5, do_sample=False)
    length = single.shape[1] - alone["input_ids"].shape[1]
    assert (
        together[0, batch["input_ids"].shape[1] :][:length].tolist()
        == single[0, alone["input_ids"].shape[1] :].tolist()
    )


def test_letterbox_keeps_the_shape_and_the_range(made):
    processor = made[1]
    wide = np.full((20, 40), 255, np.uint8)
    pixels = processor(images=[wide])["pixel_values"][0]
    rows, columns = Letterbox((20, 40), SIDE).inside
    assert (rows, columns) == (slice(SIDE // 4, SIDE * 3 // 4), slice(0, SIDE))
    assert (pixels[:, rows] == 1).all() and (pixels == 1).sum() == 3 * SIDE * SIDE // 2 and pixels.min() == -1


def test_a_model_without_short_answers_says_so(made):
    model, processor = made
    batch = processor(images=[picture()])
    with torch.no_grad(), pytest.raises(ModelError, match="has learned no short answers"):
        model.choose_answers(model.encode_images(batch["pixel_values"]), model.text_states(**processor.phrases(["a"])))


# Costs


class Counter:
    def __init__(self, module):
        self.calls = 0
        module.register_forward_hook(self.count)

    def count(self, *_):
        self.calls += 1


def test_images_are_encoded_once(made):
    model, processor = made
    encoder = Counter(model.grounder.vision)
    batch = asked(processor)
    with torch.no_grad():
        model.generate(**batch, max_new_tokens=6, min_new_tokens=6, do_sample=False)
        assert encoder.calls == 1
        features = model.encode_images(batch.pop("pixel_values"))
        assert encoder.calls == 2
        model.generate(**batch, image_features=features, max_new_tokens=6, do_sample=False)
        model.ground(features, model.encode_phrases(**processor.phrases(["liver", "heart"]))[None])
        prompts = torch.zeros(1, 2, PROMPT_CHANNELS, SIDE // 4, SIDE // 4)
        prompts[:, 0, 0, 4:8, 4:8] = 1
        masks, quality = model.segment(features, prompts, torch.tensor([[0, 1]]))
    assert encoder.calls == 2 and masks.shape == (1, 2, SIDE // 2, SIDE // 2) and quality.shape == (1, 2)


def test_encoded_features_and_pixels_answer_alike(made):
    model, processor = made
    batch = asked(processor)
    with torch.no_grad():
        direct = model(**batch).logits
        features = model.encode_images(batch.pop("pixel_values"))
        kept = model(**batch, image_features=features)
    assert torch.equal(direct, kept.logits)


def test_phrase_costs_one_pass_and_no_generation(made, monkeypatch):
    model, processor = made
    monkeypatch.setattr(MedVLMForConditionalGeneration, "generate", None)
    decoder = Counter(model.language_model.get_decoder())
    with torch.no_grad():
        features = model.encode_images(asked(processor)["pixel_values"])
        queries = model.encode_phrases(**processor.phrases(["liver", "the left lung", "a fish"]))
        output = model.ground(features, queries[None])
    assert decoder.calls == 1 and output.masks.shape[:2] == (1, 3)


def test_a_phrase_may_mean_each_label_with_some_chance(made):
    model, processor = made
    with torch.no_grad():
        chances = model.name_phrases(**processor.phrases(["liver", "a fish"]))
    assert chances.shape == (2, len(model.grounder.heads.labels.weight))
    assert torch.allclose(chances.sum(1), torch.ones(2))


def test_rare_words_are_heard_and_common_ones_are_not(made):
    _, processor = made
    words = WordVotes(3)
    text = processor.phrases(["liver", "left lung", "right lung"])
    words.count(**text)
    with torch.no_grad():
        words.votes.weight[words.buckets(text["input_ids"][0])] = torch.tensor([1.0, 0, 0])
    said = words(**text)
    assert said[0].argmax() == 0 and said[0, 0] > 1
    assert said[1].abs().max() < 0.01  # what it shares with "liver" stands in all of them


def test_answers_come_and_go_with_the_model(made, tmp_path):
    model, processor = made
    model.add_answers(["Yes", "No", "Left lung"])
    model.eval()
    model.save_pretrained(tmp_path)
    again = MedVLMForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        features = model.encode_images(asked(processor)["pixel_values"])
        states = model.text_states(**processor.phrases(["Is there a liver?"]))
        chances = model.choose_answers(features, states)
        torch.testing.assert_close(again.choose_answers(features, states), chances)
    assert again.config.answers == ["Yes", "No", "Left lung"] and chances.shape == (1, 3)
    assert float(chances.sum()) == pytest.approx(1)


def test_queries_do_not_see_each_other(made):
    model, processor = made
    with torch.no_grad():
        features = model.encode_images(asked(processor)["pixel_values"])
        queries = model.encode_phrases(**processor.phrases(["liver", "the left lung"]))
        both, one = model.ground(features, queries[None]), model.ground(features, queries[None, :1])
        alone = model.encode_phrases(**processor.phrases(["liver"]))
    torch.testing.assert_close(both.masks[:, :1], one.masks)
    torch.testing.assert_close(alone[0], queries[0], atol=1e-4, rtol=1e-4)


# Other people's tools


def test_presence_may_heed_the_mask(made):
    """What a query's mask shows raises its presence where the weights say so, alike whether it is drawn coarsely or whole."""
    heads = made[0].grounder.heads
    pyramid = made[0].encode_images(torch.rand(1, 3, SIDE, SIDE)).pyramid
    queries = heads.labels.weight[:3]
    with torch.no_grad():
        before = heads.glance(pyramid, queries)[1]
        peaks = heads.coarse_masks(pyramid, heads.look(pyramid, queries[None]), 2).amax((2, 3))
        heads.drawn.bias[0] = 1.0
        after, drawn = heads.glance(pyramid, queries)[1], heads(pyramid, queries[None]).presence
        heads.drawn.bias[0] = 0.0
    assert torch.allclose(after - before, peaks / 4, atol=1e-5) and torch.allclose(drawn, after, atol=1e-5)


def test_lora_reaches_the_language_model_alone(made):
    model, processor = made
    settings = LoraConfig(r=2, target_modules=r".*language_model.*\.(q_proj|v_proj)", task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, settings)
    trainable = [n for n, p in wrapped.named_parameters() if p.requires_grad]
    assert trainable and all("language_model" in n and "lora_" in n for n in trainable)
    batch = asked(processor, answer="Yes<|im_end|>")
    before = wrapped(**batch, labels=batch["input_ids"]).loss
    optimizer = torch.optim.Adam([p for p in wrapped.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(5):
        loss = wrapped(**batch, labels=batch["input_ids"]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < before
    with torch.no_grad():
        told = wrapped.generate(**asked(processor), max_new_tokens=3, do_sample=False)
        merged = wrapped.merge_and_unload()
        again = merged.generate(**asked(processor), max_new_tokens=3, do_sample=False)
    assert isinstance(merged, MedVLMForConditionalGeneration) and torch.equal(told, again)


def test_trainer_takes_the_model_unmodified(tmp_path, made):
    model, processor = made
    example = {k: v[0] for k, v in asked(processor, answer="Yes<|im_end|>").items()}
    example["labels"] = example["input_ids"]
    settings = TrainingArguments(
        output_dir=str(tmp_path / "run"), max_steps=3, per_device_train_batch_size=2, learning_rate=1e-3, use_cpu=True,
        report_to=[], save_steps=3, logging_steps=1, disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model=model, args=settings, train_dataset=[example] * 4)
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert losses[-1] < losses[0]
    saved = AutoModelForImageTextToText.from_pretrained(tmp_path / "run" / "checkpoint-3")
    assert torch.equal(saved.projector.mlp[0].weight, model.projector.mlp[0].weight)


# Regions


def one_query(blobs: list[tuple[int, int, int, int]]) -> GroundingOutput:
    """A present, well outlined thing on a grid of 16 whose mask holds the boxes `[x0, y0, x1, y1]` of twice that grid."""
    masks, sides = torch.full((1, 1, 32, 32), -5.0), torch.full((1, 1, 4, 16, 16), 0.1)
    centres, sure = torch.full((1, 1, 16, 16), -5.0), torch.full((1, 1), 5.0)
    for x0, y0, x1, y1 in blobs:
        masks[0, 0, y0:y1, x0:x1] = 5.0
        centres[0, 0, (y0 + y1) // 4, (x0 + x1) // 4] = 5.0
    return GroundingOutput(masks, centres, sides, presence=sure, outlined=sure, quality=sure)


def test_parts_of_a_structure_are_one_region_and_things_are_apart():
    output = one_query([(2, 2, 14, 14), (20, 20, 30, 30), (28, 2, 29, 3)])
    found = {kind: instances(output, 0, 0, (64, 64), 64, kind) for kind in ("many", "one", "tree")}
    assert len(found["many"]) >= 2 and len(found["one"]) == len(found["tree"]) == 1
    whole, clean = found["tree"][0].mask, found["one"][0].mask
    assert whole[5, 57] and not clean[5, 57]  # a speck
    assert clean[10, 10] and clean[50, 50] and (whole & clean == clean).all()
    assert parts("heart") == "one" and parts("retinal vessels") == "tree"
    assert parts("tooth") == parts("polyp") == parts("lung") == parts("unheard of") == "many"


def test_a_folded_encoder_gives_the_same_maps(tmp_path):
    vision = tiny_model(tmp_path / "language")[0].grounder.vision.eval()
    for module in vision.modules():  # as training leaves them, not as they start
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    pixels = torch.rand(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        before = vision(pixels).hidden_states
        vision.fold_norms()
        after = vision(pixels).hidden_states
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in vision.modules())
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
