"""The stages of a run: each takes a model folder, trains one part of it and leaves a model folder.

A stage that is finished is not run again; one that was killed goes on from its last checkpoint. Its folder under the
run's holds `stage.json` (what it was begun with), checkpoints of long stages, and `model` once it is finished.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from medvlm.errors import ModelError, RequestError
from medvlm.model.loading import model_folder
from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor

from .cache import ImageCache, sources
from .chain import StageRecord, device_name, read_chain, versions, weights_code
from .checkpoints import Progress, write_json
from .config import UNCOMPARED, Recipe
from .curves import CurveCallback
from .data import count_split, unnamed_values
from .grounding_examples import GroundingExamples
from .language_examples import LanguageExamples
from .stage_answers import train_answers
from .stage_heads import train_heads
from .stage_language import train_language
from .stage_medical import train_medical
from .stage_phrases import train_phrases
from .stage_reader import train_reader
from .start import HeadsOnly, Model, begin, leave, load_model

IN_THE_MIDDLE = ("steps", "max_seconds", "phases", "compile")  # settings that may change before a stage is finished


@dataclass
class Work:
    """What a stage is given: a model on the device, decoded images, settings and a folder of its own."""

    model: Model
    processor: MedVLMProcessor | None
    cache: ImageCache
    recipe: Recipe
    settings: Any
    folder: Path

    @property
    def whole(self) -> tuple[MedVLMForConditionalGeneration, MedVLMProcessor]:
        """The model and its processor, for stages that need a language model. Raises `ModelError` where there is none."""
        if isinstance(self.model, HeadsOnly) or self.processor is None:
            raise ModelError(
                "The model that this run starts from has no language model: leave out all stages but heads, or name another "
                "init_from."
            )
        return self.model, self.processor


def process() -> PartialState:
    """This process among those of a run on several devices; of a plain run the only one."""
    return PartialState(cpu=not torch.cuda.is_available())


def curves(work: Work) -> CurveCallback:
    output = Path(work.recipe.output_dir)
    return CurveCallback(output / "curves.png", output / "log.jsonl")


def heads(work: Work) -> Progress:
    grounding, settings = work.model.config.grounding_config, work.settings
    examples = GroundingExamples(
        work.cache,
        grounding.facts,
        grounding.labels,
        queries=settings.queries,
        power=work.recipe.set_power,
        weights=work.recipe.mixture,
        prompts=settings.prompts,
        seed=work.recipe.seed,
        unnamed=unnamed_values(grounding),
    )
    side = work.model.config.image_size
    return train_heads(work.model.grounder, examples, side, work.recipe, settings, work.folder, [curves(work)])


def language(work: Work) -> Progress:
    model, processor = work.whole
    examples = LanguageExamples(
        work.cache,
        processor,
        model.config.grounding_config.facts,
        model.config.image_size,
        packed=work.settings.questions,
        length=work.settings.steps * work.settings.batch,
        seed=work.recipe.seed,
    )
    return train_language(model, examples, work.recipe, work.settings, work.folder, [curves(work)])


def phrases(work: Work) -> int:
    s = work.settings
    train_phrases(*work.whole, s.wordings, s.free, s.steps, s.lr, work.recipe.seed)
    return s.steps


def answers(work: Work) -> int:
    s = work.settings
    return train_answers(*work.whole, work.cache, s.epochs, s.views, s.lr, work.recipe.seed)


def reader(work: Work) -> int:
    s = work.settings
    trained, steps = train_reader(s.steps, s.batch, s.lr, s.max_seconds, work.recipe.processes, work.recipe.seed)
    trained.save(work.folder)
    return steps


def medical(work: Work) -> int:
    s = work.settings
    train_medical(*work.whole, work.cache, s.images, s.made, s.steps, work.recipe.seed)
    return s.steps


STAGES: dict[str, Callable[[Work], Progress | int]] = {  # the names of `config.STAGES`; a number is one of steps
    "heads": heads,
    "language": language,
    "phrases": phrases,
    "answers": answers,
    "medical": medical,
    "reader": reader,
}


def set_counts(recipe: Recipe, cache: ImageCache) -> dict[str, dict[str, Any]]:
    """Of each data set the images learned from and held out, and its weight in the mixture."""
    held_out = count_split(sources(recipe)[0].values(), "val", recipe.limit)
    counts = sorted(Counter(record.set for record in cache.records).items())
    return {k: {"train": n, "val": held_out[k], "weight": recipe.mixture.get(k, 1.0)} for k, n in counts}


def begun_with(recipe: Recipe, stage: str, data: dict[str, dict], start: str) -> dict[str, Any]:
    """Everything that decides what a stage learns."""
    apart = (*UNCOMPARED, "data", "stages", "init_from", "heads_from")
    wanted = {
        "settings": asdict(recipe.stages[stage]) if stage in recipe.stages else {},
        "recipe": {k: v for k, v in asdict(recipe).items() if k not in apart},
        "data": {name: counts["train"] for name, counts in data.items()},
        "started_from": start,
    }
    return json.loads(json.dumps(wanted))


def check_begun(folder: Path, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Note what a stage is begun with, and return the settings it had before they were changed in the middle of it.

    Raises `RequestError` where the folder holds a stage that was begun with something else.
    """
    path, name = folder / "stage.json", f"{folder.parent.name}/{folder.name}"
    earlier: list[dict[str, Any]] = []
    if path.is_file():
        begun = json.loads(path.read_text(encoding="utf-8"))
        earlier = begun["earlier"]
        flat = [
            {**w["settings"], **w["recipe"], "data": w["data"], "starting model": w["started_from"]}
            for w in (begun, wanted)
        ]
        other = sorted(k for k in flat[0].keys() | flat[1].keys() if flat[0].get(k) != flat[1].get(k))
        may = () if (folder / "model").is_dir() else IN_THE_MIDDLE
        if refused := [k for k in other if k not in may]:
            raise RequestError(
                f"{name} was begun with another {' and '.join(refused)}: put it back, name another output_dir, or delete "
                f"{name} to begin this stage anew."
            )
        if other:
            earlier = [*earlier, begun["settings"]]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, wanted | {"earlier": earlier})
    return earlier


def run_start(recipe: Recipe, cache: ImageCache, data: dict[str, dict]) -> Path:
    """The folder of the model that the first stage starts from, made now where it is not there."""
    folder = Path(recipe.output_dir) / "start"
    models = [model_folder(recipe.init_from)] if recipe.init_from else []
    models += [Path(recipe.heads_from)] if recipe.heads_from else []
    check_begun(folder, begun_with(recipe, "start", data, " ".join(map(weights_code, models))))
    if not (folder / "model").is_dir():
        begin(recipe, cache.records, folder / "model")
    return folder / "model"


def run_stage(name: str, recipe: Recipe, cache: ImageCache, data: dict[str, dict], source: Path) -> Path:
    """Train one stage over the model in `source`; returns the folder of what came of it, at once where it is finished."""
    folder, settings, state = Path(recipe.output_dir) / name, recipe.stages[name], process()
    start, result, earlier = weights_code(source), folder / "model", []
    if state.is_main_process:
        earlier = check_begun(folder, begun_with(recipe, name, data, start))
    state.wait_for_everyone()
    if result.is_dir():
        return result
    print(f"{name} …", file=sys.stderr)
    model, processor = load_model(source)
    torch.manual_seed(recipe.seed)
    began = time.monotonic()
    done = STAGES[name](Work(model.to(state.device), processor, cache, recipe, settings, folder))
    if isinstance(done, int):
        steps, images, seconds = done, 0, time.monotonic() - began
    else:
        steps, images, seconds = done.steps, done.images, done.seconds
    if state.is_main_process:
        record = StageRecord(
            name,
            weights="",
            changed={},
            started_from={"name": f"{source.parent.name}", "weights": start},
            settings=asdict(settings),
            earlier=earlier,
            steps=steps,
            images=images,
            seconds=round(seconds, 1),
            device=device_name(),
            seed=recipe.seed,
            data=data,
            versions=versions(),
        )
        leave(model, result, source, read_chain(source), record)
    state.wait_for_everyone()
    return result


def run_stages(recipe: Recipe, cache: ImageCache) -> Path:
    """All stages of a recipe in their order; returns the last one's folder. `stages.jsonl` has a line a finished stage.

    Without a language model the heads are all that is trained.
    """
    state, data = process(), set_counts(recipe, cache)
    with state.main_process_first():
        folder = run_start(recipe, cache, data)
    for name in STAGES:
        if name in recipe.stages and (name == "heads" or recipe.language):
            folder = run_stage(name, recipe, cache, data, folder)
        if state.is_main_process:
            lines = [json.dumps(record) for record in read_chain(folder)]
            (Path(recipe.output_dir) / "stages.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
