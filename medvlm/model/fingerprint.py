"""What a result depends on, as one short text: a model's files and this package's own sources. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from .sums import FILE as SUMS
from .sums import digest

PACKAGE = Path(__file__).parent.parent
SOURCES = (".py", ".yaml", ".csv", ".onnx")
NOT_READ = (
    ".md",
    ".yaml",
    ".log",
    "training.json",
    SUMS,
)  # what lies beside weights and changes no result: card, settings, logs, sums
DIGITS = 16


def fingerprint(folder: Path, package: Path = PACKAGE) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over weights, adapter, configuration, policy and sources.

    Another place on disk gives the same digits, another byte in any of these files gives others. The language model
    that a compact folder names is in it by that name alone. Raises `OSError` where a file cannot be read.
    """
    code = hashlib.sha256()
    for root, files in ((folder, _model_files(folder)), (package, _sources(package))):
        for path in sorted(files, key=lambda p: p.relative_to(root).as_posix()):
            code.update(f"{path.relative_to(root).as_posix()}\0{digest(path)}\n".encode())
    return code.hexdigest()[:DIGITS]


def _model_files(folder: Path) -> Iterable[Path]:
    """The files of a model's folder and its adapter's, not those of checkpoints that a training left there."""
    for inside in (folder, folder / "adapter"):
        if inside.is_dir():
            yield from (p for p in inside.iterdir() if p.is_file() and not p.name.endswith(NOT_READ))


def _sources(package: Path) -> Iterable[Path]:
    weights = package / "weights"
    return (p for p in package.rglob("*") if p.suffix in SOURCES and p.is_file() and weights not in p.parents)
