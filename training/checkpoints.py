"""How far a stage has come, kept in its checkpoints, and from which of them it goes on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback

FILE = "progress.json"


def write_json(path: Path, value: object) -> None:
    """Write a file that is there whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


class Progress(TrainerCallback):
    """Images seen and seconds spent, over all the starts of a run; ends it where `finished(seconds)` says so.

    Its file is the last that is written into a checkpoint, so a checkpoint without it was cut off. Put it last.
    """

    def __init__(self, finished: Callable[[float], bool] = lambda seconds: False):
        self.finished = finished
        self.steps, self.images, self.seconds = 0, 0, 0.0
        self.began = time.monotonic()

    def load(self, checkpoint: Path) -> None:
        kept = json.loads((checkpoint / FILE).read_text(encoding="utf-8"))
        self.steps, self.images, self.seconds = kept["steps"], kept["images"], kept["seconds"]

    def on_train_begin(self, args, state, control, **_):
        self.began = time.monotonic() - self.seconds

    def on_step_end(self, args, state, control, **_):
        self.steps, self.seconds = state.global_step, time.monotonic() - self.began
        if self.finished(self.seconds):
            control.should_training_stop = True

    def on_save(self, args, state, control, **_):
        if state.is_world_process_zero:
            kept = {"steps": self.steps, "images": self.images, "seconds": round(self.seconds, 1)}
            write_json(Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE, kept)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a stage; one that a kill cut off is taken away, with a sentence on stderr."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.partition("-")[2]), reverse=True)
    for checkpoint in found:
        if (checkpoint / FILE).is_file():
            print(f"{folder.name} goes on from step {checkpoint.name.partition('-')[2]}.", file=sys.stderr)
            return checkpoint
        print(f"{folder.name}: {checkpoint.name} was cut off, the one before it is taken.", file=sys.stderr)
        shutil.rmtree(checkpoint)
    return None
