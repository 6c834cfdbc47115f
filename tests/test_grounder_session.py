"""The grounder in ONNX Runtime: what torch computes, for every model of the architecture, and torch for any other."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from skimage import data

from medvlm.evaluation.metrics import dice
from medvlm.model import grounder_session
from medvlm.model.grounder_session import GrounderSession, on_cpu
from medvlm.perception.finder import Finder
from medvlm.types import Image, Study

from .tiny import tiny_model

PICTURES = {"optic disc": data.retina, "nucleus": data.immunohistochemistry, "left lung": data.brick}
SAME_DICE = 0.998


@pytest.fixture(scope="module")
def finder():
    return Finder.load()


@pytest.fixture(scope="module")
def pixels(finder):
    return finder.processor(images=[data.retina()])["pixel_values"]


def test_masks_are_those_of_torch(finder, monkeypatch):
    assert isinstance(finder.eyes, GrounderSession)

    def seen():
        out = []
        for phrase, picture in PICTURES.items():
            pixels = picture()
            study = Study([Image(pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1))])
            found, (height, width) = finder.ground(study, [phrase]), pixels.shape[:2]
            small, large = (0.5 * width, 0.4 * height), (0.3 * width, 0.3 * height)
            boxed = finder.segment(study, box=(*small, small[0] + 0.2 * width, small[1] + 0.2 * height))
            clicked = finder.segment(study, points=[(*large, 1), (10.0, 10.0, 0)])
            out.append((found.presence[phrase], found.regions, boxed, clicked))
        return out

    fast = seen()
    monkeypatch.setattr(finder, "eyes", finder.model.grounder)
    assert sum(len(one) for _, *found in fast for one in found) > 4
    for (here, *drawn), (there, *expected) in zip(fast, seen(), strict=True):
        assert here == pytest.approx(there, abs=1e-4)
        for regions, others in zip(drawn, expected, strict=True):
            assert len(regions) == len(others)
            assert all(dice(a.mask, b.mask) > SAME_DICE for a, b in zip(regions, others, strict=True))


@torch.inference_mode()
def test_a_closer_look_is_smaller_and_sees_what_torch_sees(finder, pixels, monkeypatch):
    encode, sides = finder.eyes.encode, []
    monkeypatch.setattr(finder.eyes, "encode", lambda given: sides.append(given.shape[-1]) or encode(given))
    finder.segment(Study([Image(data.retina())]), box=(600, 500, 900, 800))
    assert sides == [finder.side, finder.closer_side] == [448, 384]
    smaller = torch.nn.functional.interpolate(pixels, size=finder.closer_side)
    prompt = torch.zeros(1, 1, 4, *[finder.closer_side // 4] * 2)
    prompt[..., 0, 30:60, 20:50] = 1
    drawn = []
    for eyes in (finder.eyes, finder.model.grounder):
        features = eyes.encode(smaller)
        drawn.append([*features.maps, *features.pyramid, *eyes.segment(features, prompt, torch.zeros(1, 1).long())])
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(*drawn, strict=True))


@torch.inference_mode()
def test_any_number_of_queries_and_users_side_by_side_get_the_same(finder, pixels):
    vectors = finder.model.grounder.heads.labels.weight
    alone = finder.eyes.encode(pixels)
    with ThreadPoolExecutor(4) as users:
        for beside in users.map(lambda _: finder.eyes.encode(pixels), range(8)):
            assert all(torch.equal(a, b) for a, b in zip(alone.pyramid, beside.pyramid, strict=True))
    for number in (1, 5, len(vectors)):
        here, there = (eyes.glance(alone, vectors[:number]) for eyes in (finder.eyes, finder.model.grounder))
        assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(here, there, strict=True))
        here, there = (eyes.ground(alone, vectors[None, :number]) for eyes in (finder.eyes, finder.model.grounder))
        assert all(
            torch.allclose(a, b, atol=1e-3) for a, b in zip(vars(here).values(), vars(there).values(), strict=True)
        )


def test_a_model_with_other_labels_and_facts_has_the_graphs_too(finder):
    grounder = finder.model.grounder
    labels, facts = grounder.heads.labels, grounder.heads.facts
    try:
        grounder.heads.labels = torch.nn.Embedding(5, labels.embedding_dim)
        grounder.heads.facts = torch.nn.Linear(facts.in_features, 3)
        assert isinstance(on_cpu(grounder, finder.side), GrounderSession)
    finally:
        grounder.heads.labels, grounder.heads.facts = labels, facts


def test_torch_computes_what_no_graph_fits(finder, tmp_path, monkeypatch, caplog):
    grounder = finder.model.grounder
    assert on_cpu(grounder, 320) is grounder
    damaged = tmp_path / "graphs"
    damaged.mkdir()
    (damaged / "encode.onnx").write_bytes(b"no graph")
    with monkeypatch.context() as patched:
        patched.setattr(grounder_session, "graphs_folder", lambda *_: damaged)
        assert on_cpu(grounder, finder.side) is grounder and "cannot be used" in caplog.text
    other = tiny_model(tmp_path / "language")[0].eval().grounder
    assert on_cpu(other, 64) is other


@torch.no_grad()
def test_a_graph_is_written_without_weights_and_leaves_the_model_as_it_was(finder):
    pytest.importorskip("onnxscript")
    from training.graphs import graph

    grounder, queries = finder.model.grounder, torch.zeros(1, 1, 192)
    pyramid = grounder.encode(torch.zeros(1, 3, 64, 64)).pyramid
    before = grounder.heads(pyramid, queries).masks
    assert len(graph(grounder, "ground", 64)) < 100_000
    assert torch.equal(grounder.heads(pyramid, queries).masks, before)
