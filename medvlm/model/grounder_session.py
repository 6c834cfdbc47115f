"""The grounder in ONNX Runtime, which on a CPU takes a third to two thirds of torch's time for the same numbers.

Graphs belong to an architecture and hold no weights; a model gives its own as it is loaded, so that one set of files serves
every model that was trained from another, whatever its labels. Where none fits, torch computes. `training.graphs` writes
them.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Protocol

import onnxruntime
import torch

from ..windows import closer_side
from .grounding import GroundingOutput
from .grounding_model import Grounder, ImageFeatures

GRAPHS = Path(__file__).parent / "graphs"
FUNCTIONS = ("encode", "glance", "ground", "segment")  # the first for images of any side
CLOSER = "closer"  # `segment` at the side of closer looks
OF_LABELS = ("heads.labels.", "heads.facts.", "heads.fact_norm.")  # weights in no graph, of a form that labels decide
DIGITS = 12

logger = logging.getLogger(__name__)


class Sees(Protocol):
    """What a finder asks of a grounder, in torch or here."""

    def encode(self, pixel_values: torch.Tensor) -> ImageFeatures: ...
    def glance(self, features: ImageFeatures, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]: ...
    def ground(self, features: ImageFeatures, queries: torch.Tensor) -> GroundingOutput: ...
    def segment(
        self, features: ImageFeatures, prompts: torch.Tensor, kinds: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


def weights_of(grounder: Grounder) -> dict[str, torch.Tensor]:
    """The weights that graphs are given, by their names in the grounder."""
    return {name: tensor for name, tensor in grounder.state_dict().items() if not name.startswith(OF_LABELS)}


def graphs_folder(grounder: Grounder, side: int) -> Path:
    """Where the graphs lie that fit a grounder and images of `side` pixels: its name stands for the form of all weights."""
    form = [[name, *tensor.shape] for name, tensor in sorted(weights_of(grounder).items())]
    kind = [grounder.vision.config.model_type, grounder.heads.config.heads, side]
    return GRAPHS / hashlib.sha256(json.dumps([kind, form]).encode()).hexdigest()[:DIGITS]


class Graph:
    """One function of a grounder. Threads may call it side by side: each computes itself, and is helped by those of a pool
    that have nothing else to do."""

    def __init__(self, path: Path, weights: dict[str, onnxruntime.OrtValue]):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it takes cores from others
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # what a pass frees serves torch too
        proto = path.read_bytes()
        used = [name for name in weights if name.encode() in proto]
        options.add_external_initializers(used, [weights[name] for name in used])
        self.session = onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
        self.inputs = [value.name for value in self.session.get_inputs()]

    def __call__(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        given = {name: tensor.numpy() for name, tensor in zip(self.inputs, inputs, strict=True)}
        return [torch.from_numpy(made) for made in self.session.run(None, given)]


class GrounderSession:
    """A grounder's functions for one image at a time, of `side` pixels; each says in `Grounder` what it takes and gives.

    Prompts may be drawn on images at `closer_side` too.
    """

    def __init__(self, folder: Path, grounder: Grounder, side: int):
        weights = {k: onnxruntime.OrtValue.ortvalue_from_numpy(v.numpy()) for k, v in weights_of(grounder).items()}
        self.graphs = {name: Graph(folder / f"{name}.onnx", weights) for name in (*FUNCTIONS, CLOSER)}
        self.cells = closer_side(side) // 4  # of the maps of prompts in a closer look

    def encode(self, pixel_values: torch.Tensor) -> ImageFeatures:
        maps = self.graphs["encode"](pixel_values)
        return ImageFeatures(maps[: len(maps) // 2], maps[len(maps) // 2 :])

    def glance(self, features: ImageFeatures, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        masks, presence = self.graphs["glance"](*features.pyramid, queries)
        return masks, presence

    def ground(self, features: ImageFeatures, queries: torch.Tensor) -> GroundingOutput:
        return GroundingOutput(*self.graphs["ground"](*features.pyramid, queries))

    def segment(
        self, features: ImageFeatures, prompts: torch.Tensor, kinds: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        name = CLOSER if prompts.shape[-1] == self.cells else "segment"
        masks, quality = self.graphs[name](*features.pyramid, prompts, kinds)
        return masks, quality


def on_cpu(grounder: Grounder, side: int) -> Sees:
    """What sees soonest on a CPU with the weights of a grounder whose norms are folded and that is trained no more: a session
    where graphs fit it, else the grounder itself."""
    folder = graphs_folder(grounder, side)
    if not folder.is_dir():
        return grounder
    try:
        return GrounderSession(folder, grounder, side)
    except Exception as error:  # of a runtime that has no common class for its own
        logger.warning("The graphs in %s cannot be used (%s): torch sees instead.", folder.name, type(error).__name__)
        return grounder
