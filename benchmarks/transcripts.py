"""Chats with the shipped model on openly licensed images, as a page: what it says, shows and measures, word for word.

    python benchmarks/transcripts.py ../shared/data -o docs

writes FOLDER/TRANSCRIPTS.md and FOLDER/pictures/transcripts/N.jpg. The questions stand in benchmarks/transcripts.yaml; nothing of
an answer is edited, so what is wrong stays wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import yaml
from common import records_of
from pictures import OPEN, shown

from medvlm.assistant import Assistant
from medvlm.records import Record
from medvlm.report.overlay import draw_overlay
from medvlm.types import Answer, Region

CHATS = Path(__file__).parent / "transcripts.yaml"
SIDE = 384  # pixels of a picture's longer side
HEAD = """# Ten chats

Made by `python benchmarks/transcripts.py DATA -o docs` with the shipped weights, on images that no training saw, from sets
with a licence that lets them be shown. The answers are printed as they came, wrong ones included; the picture shows every
region that the answers of the chat speak of. Under each answer: how it was found. For research, not a medical device.
"""


def picture_of(record: Record, regions: list[Region]) -> PIL.Image.Image:
    """The image with regions drawn on it, at most `SIDE` pixels long."""
    image = PIL.Image.fromarray(draw_overlay(np.asarray(record.image), regions))
    image.thumbnail((SIDE, SIDE))
    return image


def chosen_record(data: Path, chat: dict[str, Any]) -> Record:
    """The first openly licensed image of the report half that shows what the chat is about. Raises `LookupError`."""
    for record in records_of(data / chat["set"], "report"):
        fits = not chat["shows"] or record.region(chat["shows"]) is not None
        if fits and shown(record) and chat.get("modality") in (None, record.modality):
            return record
    raise LookupError(f"{chat['title']}: no such image in {chat['set']}")


def turn(question: str, answer: Answer) -> list[str]:
    """A question and its answer as Markdown."""
    text = "  \n".join(answer.text.splitlines())
    sure = "" if answer.abstained else f" ({answer.confidence:.0%})"
    lines = [f"**{question}**", "", f"{text}{sure}", ""]
    if answer.detail:
        lines += [answer.detail, ""]
    return [*lines, *(f"<sub>`{line}`</sub>  " for line in (answer.thoughts or "").splitlines()), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument("--model")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    assistant, page = Assistant.load(args.model), [HEAD]
    folder = args.output / "pictures" / "transcripts"
    folder.mkdir(parents=True, exist_ok=True)
    for number, chat in enumerate(yaml.safe_load(CHATS.read_text(encoding="utf-8")), 1):
        record = chosen_record(args.data, chat)
        study, history = record.study(), []
        for question in chat["questions"]:
            history.append((question, assistant.ask(study, question, history=list(history))))
        regions = [region for _, answer in history for region in answer.regions]
        picture_of(record, regions).save(folder / f"{number}.jpg", quality=80)
        page += [f"## {chat['title']}", "", f"![{chat['title']}](pictures/transcripts/{number}.jpg)", ""]
        page += [f"{record.id} of {OPEN[record.set]}.", ""]
        page += [line for question, answer in history for line in turn(question, answer)]
    (args.output / "TRANSCRIPTS.md").write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
