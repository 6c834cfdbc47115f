"""Models on disk: the compact layout that ships with the package, and transformers' own.

A compact folder holds what training changed: `heads.safetensors` (vision encoder, heads, projectors; half precision)
and a peft `adapter/` for the language model, whose base weights stay in the package or folder that `config.json` names
under `language_source`.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PretrainedConfig
from transformers.utils.logging import disable_progress_bar

from ..errors import ModelError
from .configuration_medvlm import MedVLMConfig
from .grounding import MedVLMGroundingConfig
from .language import language_folder
from .modeling_medvlm import MedVLMForConditionalGeneration
from .processing_medvlm import MedVLMImageProcessor, MedVLMProcessor
from .sixteen_bits import hold_in_bfloat16
from .sums import check_sums, write_sums

EMBEDDED = {"nano": Path(__file__).parent.parent / "weights" / "nano"}
HEADS, ADAPTER = "heads.safetensors", "adapter"


def build(
    vision: dict | PretrainedConfig,
    language: str,
    grounding: MedVLMGroundingConfig,
    image_size: int = 320,
    image_grid: int = 5,
) -> tuple[MedVLMForConditionalGeneration, MedVLMProcessor]:
    """A new model over a pretrained language model (a package of `language.PACKAGES` or a folder); heads are random."""
    folder = language_folder(language)
    language_model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = MedVLMConfig(
        vision_config=vision,
        text_config=language_model.config,
        grounding_config=grounding,
        image_grid=image_grid,
        image_size=image_size,
        language_source=language,
    )
    processor = new_processor(folder, config)
    config.image_token_id, config.seg_token_id = processor.image_token_id, processor.seg_token_id
    return MedVLMForConditionalGeneration(config, language_model), processor


def new_processor(language: Path, config: MedVLMConfig) -> MedVLMProcessor:
    pixels, tokenizer = MedVLMImageProcessor(image_size=config.image_size), AutoTokenizer.from_pretrained(language)
    return MedVLMProcessor(pixels, tokenizer, config.image_tokens)


def head_tensors(model: MedVLMForConditionalGeneration) -> dict[str, torch.Tensor]:
    """Everything outside the language model."""
    return {k: v for k, v in model.state_dict().items() if not k.startswith("language_model.")}


def save_compact(model: MedVLMForConditionalGeneration, folder: str | Path) -> None:
    """Write a model whose language model carries a peft adapter (or none) in the compact layout."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    half = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in head_tensors(model).items()}
    save_file(half, folder / HEADS)
    if isinstance(model.language_model, PeftModel):
        adapter = folder / ADAPTER
        for config in model.language_model.peft_config.values():
            config.base_model_name_or_path = ""
        model.language_model.save_pretrained(str(adapter))
        weights = adapter / "adapter_model.safetensors"
        save_file({k: v.half() for k, v in load_file(weights).items()}, weights)
        (adapter / "README.md").unlink(missing_ok=True)
    write_sums(folder)
    model.config.text_config._name_or_path = ""  # a folder of the machine that it was trained on
    model.config.save_pretrained(folder)


def load_compact(
    folder: Path, adapter_trainable: bool = False, sixteen_bits: bool = False
) -> tuple[MedVLMForConditionalGeneration, MedVLMProcessor]:
    """A compact folder with its adapter merged, or kept apart to be trained on; `sixteen_bits` as in `load`."""
    check_sums(folder)
    config = MedVLMConfig.from_pretrained(folder)
    source = language_folder(config.language_source)
    language_model = AutoModelForCausalLM.from_pretrained(source, dtype="auto" if sixteen_bits else torch.float32)
    model = MedVLMForConditionalGeneration(config, language_model)
    heads = {k: v.float() if v.is_floating_point() else v for k, v in load_file(folder / HEADS).items()}
    missing = model.load_state_dict(heads, strict=False)
    if missing.unexpected_keys or any(not k.startswith("language_model.") for k in missing.missing_keys):
        raise ModelError(f"The weights in {folder.name!r} do not fit their config.json: export the model again.")
    if (folder / ADAPTER).is_dir():
        model.language_model = PeftModel.from_pretrained(
            model.language_model, folder / ADAPTER, is_trainable=adapter_trainable
        )
        if not adapter_trainable:
            model.language_model = model.language_model.merge_and_unload()
    if sixteen_bits:
        hold_in_bfloat16(model.language_model)
    return model, new_processor(source, config)


def model_folder(name: str | None = None) -> Path:
    """The folder behind an embedded model's name or a path (default MEDVLM_MODEL, else nano).

    Raises `ModelError` where there is no such model.
    """
    name = name or os.environ.get("MEDVLM_MODEL") or "nano"
    folder = EMBEDDED.get(name, Path(name))
    if not (folder / "config.json").is_file():
        raise ModelError(f"No model {name!r}: name {', '.join(EMBEDDED)} or a folder with a config.json.")
    return folder


def shown_name(folder: Path) -> str:
    """What a model is called: by its folder or, where that is just `model`, by the run that it lies in."""
    whole = Path(os.path.abspath(folder))
    return (whole.parent.name if whole.name == "model" else "") or whole.name


def load(
    name: str | None = None, sixteen_bits: bool = False
) -> tuple[MedVLMForConditionalGeneration, MedVLMProcessor, str]:
    """An embedded model's name or a folder (default MEDVLM_MODEL, else nano) to model, processor and shown name.

    With `sixteen_bits` the language model of a compact folder is held in bfloat16, to be asked on a CPU and not to be trained.
    Raises `ModelError` where there is no such model or its files do not fit together.
    """
    disable_progress_bar()
    folder = model_folder(name)
    try:
        if (folder / HEADS).is_file():
            model, processor = load_compact(folder, sixteen_bits=sixteen_bits)
        else:
            model = MedVLMForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
            processor = MedVLMProcessor.from_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"The model in {folder.name!r} cannot be read: {type(error).__name__}. Export it again."
        ) from error
    return model.eval(), processor, shown_name(folder)
