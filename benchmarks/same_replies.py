"""Ask whichever medvlm is on the path what `same.py` wrote down; run by it, once for each of the two versions.

It is kept to what the public names and the methods of `Assistant` have promised all along, so that older versions run it too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from tqdm import tqdm

import medvlm
from medvlm.assistant import Assistant
from medvlm.errors import MedVLMError
from medvlm.types import Image, Study


def reply(assistant: Assistant, study: Study, task: str, asked: Any) -> dict[str, Any]:
    """The JSON of one reply; an error of the input as its sentence, any other as its kind."""
    try:
        if task == "ask":
            return assistant.ask(study, asked).to_json()
        if task == "ground":
            return assistant.ground(study, [asked]).to_json()
        if task == "segment":
            return {"regions": [region.to_json() for region in assistant.segment(study, box=tuple(asked))]}
        return assistant.report(study).to_json()
    except MedVLMError as error:
        return {"error": str(error)}
    except Exception as error:  # a fault of one version is a difference, not the end
        return {"error": type(error).__name__}


def main(folder: Path, output: Path, model: str | None) -> None:
    """The replies to `requests.json` of a folder, in its order, with the place of the package that gave them."""
    assistant, replies = Assistant.load(model), []
    for case in tqdm(json.loads((folder / "requests.json").read_text("utf-8")), unit="image", file=sys.stderr):
        pixels = np.asarray(PIL.Image.open(folder / case["file"]))
        spacing = case["spacing_mm"] and tuple(case["spacing_mm"])
        study = Study([Image(pixels, spacing)])
        replies += [reply(assistant, study, task, asked) for task, asked in case["requests"]]
    output.write_text(json.dumps({"package": medvlm.__file__, "replies": replies}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
