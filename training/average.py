"""Average the trained weights of two models of one form: `python -m training.average A B -o FOLDER [--share 0.5]`.

A model and what it became when it was trained on are often both worse than their mean (WiSE-FT, Wortsman et al., 2022).
Encoder and grounding heads are averaged; language, which reads what these show, is B's and must be trained anew:
`python -m training.sft --config … init_from=FOLDER stages.heads=false`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from medvlm.errors import MedVLMError, ModelError, RequestError
from medvlm.model.loading import load_compact, model_folder, shown_name

from .card import write_card
from .chain import StageRecord, read_chain, versions, weights_code
from .start import leave


def average(a: torch.nn.Module, b: torch.nn.Module, share: float) -> None:
    """Move the weights of `b` to `share` of their own and the rest of `a`'s; whole numbers stay.

    Raises `ModelError` where they are not of one form.
    """
    mine, others = b.state_dict(), a.state_dict()
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in others.items()}:
        raise ModelError("The two models are not of one form: name two of which one was trained on from the other.")
    with torch.no_grad():
        for name, weight in mine.items():
            if weight.is_floating_point():
                weight.lerp_(others[name], 1 - share)


def joined(a: list[dict], b: list[dict]) -> list[dict]:
    """The records of both models, those that they share once."""
    return [*(record for record in a if record not in b), *b]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.average", description=__doc__.splitlines()[0])
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.5, help="of B")
    args = parser.parse_args(argv)
    try:
        folders = [model_folder(name) for name in (args.a, args.b)]
        first, model = (load_compact(folder, adapter_trainable=True)[0] for folder in folders)
        average(first.grounder, model.grounder, args.share)
        if args.output.exists():
            raise RequestError(f"{args.output.name!r} is there already: name another folder.")
        other, own = ({"name": shown_name(folder), "weights": weights_code(folder)} for folder in folders)
        start = own | {"other": other["name"], "other_weights": other["weights"]}
        record = StageRecord("mean", "", {}, start, settings={"share": args.share}, versions=versions())
        leave(model, args.output, folders[1], joined(*map(read_chain, folders)), record)
        write_card(args.output, args.output.name)
    except MedVLMError as error:
        print(f"training.average: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
