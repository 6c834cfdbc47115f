"""Write the graphs with which ONNX Runtime runs the grounder of a model and of every other of its architecture.

    python -m training.graphs [MODEL]

They lie in the package, without weights, in a folder whose name tells what they fit (`medvlm.model.grounder_session`). To be
written anew whenever what a grounder computes is changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medvlm.errors import MedVLMError, ModelError
from medvlm.model.efficientnet import EfficientNetLiteModel
from medvlm.model.grounder_session import CLOSER, FUNCTIONS, graphs_folder, weights_of
from medvlm.model.grounding import position_grid
from medvlm.model.grounding_model import Grounder, ImageFeatures
from medvlm.model.loading import load
from medvlm.windows import STRIDE, closer_side

OPSET = 18
LARGEST = 1024  # numbers of a constant that is computed beforehand; larger ones are, as a model is loaded
PREFIX = "grounder."


class Function(nn.Module):
    """One of a grounder's functions, of tensors alone."""

    def __init__(self, grounder: Grounder, name: str):
        super().__init__()
        self.grounder, self.function = grounder, name

    def forward(self, pyramid: list[torch.Tensor], *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.function == "encode":
            features = self.grounder.encode(*others)
            return *features.maps, *features.pyramid
        made = getattr(self.grounder, self.function)(ImageFeatures([], pyramid), *others)
        return made if isinstance(made, tuple) else tuple(vars(made).values())


def examples(grounder: Grounder, side: int) -> dict[str, tuple[torch.Tensor, ...]]:
    """What each function may be given, beside the pyramid; of queries there are three, which stand for any number."""
    queries = torch.zeros(3, grounder.heads.config.query_size)
    return {
        "encode": (torch.zeros(1, 3, side, side),),
        "glance": (queries,),
        "ground": (queries[None],),
        "segment": (torch.zeros(1, 1, 4, side // 4, side // 4), torch.zeros(1, 1, dtype=torch.long)),
    }


@torch.no_grad()
def graph(grounder: Grounder, name: str, side: int) -> bytes:
    """The graph of a function of a grounder whose norms are folded, for one image of `side` pixels (of any, where it encodes),
    with its weights named but not in it.

    Raises `ModelError` where onnx and onnxscript are not installed.
    """
    try:
        import onnx
        from onnxscript import optimizer
    except ImportError as error:
        raise ModelError(
            "Graphs are written with onnx and onnxscript: pip install medvlm-assistant[training]."
        ) from error
    given = examples(grounder, side)
    pyramid = [] if name == "encode" else grounder.encode(*given["encode"]).pyramid
    fixed: dict[int, Any] = {}
    any_side, any_number = STRIDE * torch.export.Dim("strides", min=2, max=64), torch.export.Dim("queries")
    free = {"encode": {2: any_side, 3: any_side}, "glance": {0: any_number}, "ground": {1: any_number}}
    many = free.get(name, fixed)
    shapes = ([fixed for _ in pyramid], tuple(many for _ in given[name]))
    position_grid.cache_clear()  # so that it is computed in the graph; and what that leaves there holds no numbers
    program: Any = torch.onnx.export(
        Function(grounder, name).eval(), (pyramid, *given[name]), dynamic_shapes=shapes,
        dynamo=True, opset_version=OPSET, optimize=False, verbose=False,
    )  # fmt: skip
    position_grid.cache_clear()
    inside = program.model.graph
    for weight in [inside.initializers[key] for key in list(inside.initializers) if key.startswith(PREFIX)]:
        del inside.initializers[weight.name]  # now an input, or what is made of it alone would be computed beforehand
        weight.const_value, weight.name = None, weight.name.removeprefix(PREFIX)
        inside.inputs.append(weight)
    optimizer.optimize_ir(program.model, input_size_limit=LARGEST, output_size_limit=LARGEST)
    proto = program.model_proto
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output):
        part.ClearField("metadata_props")  # where in the source each step was
        part.ClearField("doc_string")
    proto.graph.ClearField("value_info")
    names = weights_of(grounder)
    for value in [value for value in proto.graph.input if value.name in names]:
        tensor = proto.graph.initializer.add(name=value.name, data_type=onnx.TensorProto.FLOAT)
        tensor.dims.extend(names[value.name].shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights")
        proto.graph.input.remove(value)
    return proto.SerializeToString()


def write(grounder: Grounder, side: int) -> Path:
    """Write the graphs of a grounder whose norms are folded; returns their folder."""
    folder = graphs_folder(grounder, side)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FUNCTIONS:
        (folder / f"{name}.onnx").write_bytes(graph(grounder, name, side))
    (folder / f"{CLOSER}.onnx").write_bytes(graph(grounder, "segment", closer_side(side)))
    return folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.graphs", description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="an embedded model's name or a folder (default: nano)")
    args = parser.parse_args(argv)
    try:
        model, _, _ = load(args.model)
        if not isinstance(model.grounder.vision, EfficientNetLiteModel):
            raise ModelError("Graphs are written of models with an EfficientNet-Lite encoder alone.")
        model.grounder.vision.fold_norms()
        print(write(model.grounder, model.config.image_size).name)
    except MedVLMError as error:
        print(f"training.graphs: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
