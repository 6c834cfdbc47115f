"""How a model came to be: one record a stage, kept beside the weights as `training.json` and handed on from model to model."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from medvlm.model.sums import digest, tensor_files

from .checkpoints import write_json

FILE = "training.json"
PACKAGES = ("torch", "transformers", "peft", "numpy")


@dataclass
class StageRecord:
    """What one stage did. Weights are named by `weights_code`."""

    stage: str
    weights: str  # what came of it
    changed: dict[str, list[int]]  # part of the model -> tensors that the stage changed, and how many there are
    started_from: dict[str, str] | None = None  # name and weights; of a mean also of the other model
    made_of: dict[str, str] = field(default_factory=dict)  # of a start, part -> where its weights are from
    settings: dict[str, Any] = field(default_factory=dict)
    earlier: list[dict[str, Any]] = field(default_factory=list)  # settings before they were changed in the middle of it
    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    device: str = ""
    seed: int | None = None
    data: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # set -> images of train and val, weight in the mixture
    versions: dict[str, str] = field(default_factory=dict)


def weights_code(folder: Path) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over a model folder's safetensors files, its adapter's among them."""
    code = hashlib.sha256()
    for path in tensor_files(folder):
        code.update(bytes.fromhex(digest(path)))
    return code.hexdigest()[:16]


def part_of(path: Path, tensor: str) -> str:
    """The part of a model that a tensor of a file belongs to: `grounder.vision`, `projector`, `adapter` …"""
    if path.parent.name == "adapter":
        return "adapter"
    if path.stem == "reader":
        return "reader"
    names = tensor.split(".")
    return ".".join(names[:2]) if names[0] == "grounder" else names[0]


def changed_parts(before: Path | None, after: Path) -> dict[str, list[int]]:
    """For each part of the model in `after`, how many of its tensors are not in `before` as they are, of how many."""
    parts: dict[str, list[int]] = {}
    for path in tensor_files(after):
        former = before / path.relative_to(after) if before else None
        old = safe_open(former, "pt") if former and former.is_file() else None
        names = set(old.keys()) if old else set()
        with safe_open(path, "pt") as new:
            for name in new.keys():  # noqa: SIM118 - a safetensors file is no mapping
                same = old is not None and name in names and torch.equal(old.get_tensor(name), new.get_tensor(name))
                counts = parts.setdefault(part_of(path, name), [0, 0])
                counts[0] += not same
                counts[1] += 1
    return {part: counts for part, counts in parts.items() if counts[0]}


def read_chain(folder: Path) -> list[dict[str, Any]]:
    """The records of a model, first to last; of one that has none, a record that says so."""
    path = folder / FILE
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))["chain"]
    unknown = StageRecord("unrecorded", weights_code(folder), changed_parts(None, folder))
    return [asdict(unknown) | {"started_from": {"name": folder.name, "weights": unknown.weights}}]


def write_chain(folder: Path, chain: list[dict[str, Any]], record: StageRecord) -> None:
    """The records of the model that a stage started from, and the stage's own, beside its weights."""
    write_json(folder / FILE, {"chain": [*chain, asdict(record)]})


def device_name() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} × {torch.cuda.get_device_name()}"
    return f"{platform.machine()} CPU with {torch.get_num_threads()} thread(s)"


def versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}
