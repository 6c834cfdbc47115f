"""`medvlm ask`: answer a question about images."""

from __future__ import annotations

import argparse
from typing import Any

from . import options
from .inputs import image_of, prompt_of, study_of
from .options import Load, Output
from .outputs import region_lines

HELP = "answer a question about images"
PARENTS = (options.ONE_IMAGE, options.SERIES, options.WORDS)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image", nargs="+", help="a picture, DICOM or NIfTI file, folder or zip; several make one study"
    )
    parser.add_argument(
        "-q", "--question", action="append", required=True, help="repeatable: each is asked after the ones before"
    )
    parser.add_argument("--box", metavar="x0,y0,x1,y1", help="what the first question is about, in pixels, half-open")
    parser.add_argument("--point", action="append", metavar="x,y", help="a point in what it is about, as for segment")
    parser.add_argument(
        "--sensitivity",
        type=float,
        metavar="SHARE",
        help="give what was learned of whole images (a fracture, covid-19, malignancy) so that this share would be found",
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..batch import prompted_region
    from ..types import Answer
    from ..validation import check_one_prompt, check_question, check_sensitivity
    from ..which import images_meant

    how = {"sensitivity": check_sensitivity(args.sensitivity)}
    questions = [check_question(question) for question in args.question]
    if args.box is not None or args.point is not None:
        check_one_prompt(args.box, args.point)
    study = study_of(args)
    image = image_of(args, study)
    for question in questions:
        images_meant(question, study)
    prompt = prompt_of(args, study, image)
    assistant = load(args)
    region = prompted_region(assistant, study, image, **prompt)
    history: list[tuple[str, Answer]] = []
    for question in questions:
        answer = assistant.ask(
            study, question, image, history=tuple(history), region=None if history else region, **how
        )
        history.append((question, answer))
    if len(history) == 1:
        return answer.to_json(), "\n".join(answer_lines(answer))
    told = [line for question, answer in history for line in (f"> {question}", *answer_lines(answer), "")]
    notices = list(dict.fromkeys(notice for _, answer in history for notice in answer.notices))
    return {"answers": [answer.to_json() for _, answer in history], "notices": notices}, "\n".join(told[:-1])


def answer_lines(answer: Any) -> list[str]:
    """The text, what belongs beside it, how sure it is, why nothing is said, and the regions."""
    where = f"; {answer.scope}" if answer.scope else ""
    why = answer.reason if answer.abstained and answer.reason != answer.text else None
    lines = [answer.text, answer.detail, f"confidence {answer.confidence:.2f}{where}", why]
    return [line for line in lines if line] + region_lines(answer.regions)
