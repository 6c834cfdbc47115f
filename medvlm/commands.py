"""What each subcommand of `medvlm` does: parsed arguments → its JSON object and the text for people.

Input is read and checked before the model is loaded, so that a mistake is told at once.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import RequestError

Load = Callable[[argparse.Namespace], Any]
Output = tuple[dict[str, Any], str]


def load_assistant(args: argparse.Namespace) -> Any:
    from .assistant import Assistant

    return Assistant.load(args.model, args.device, args.language, args.phrased, args.send_images)


def ask(args: argparse.Namespace, load: Load) -> Output:
    from .batch import drawn_region
    from .types import Answer
    from .validation import check_one_prompt, check_question, check_sensitivity
    from .which import images_meant

    how = {"sensitivity": check_sensitivity(args.sensitivity)}
    questions = [check_question(question) for question in args.question]
    if args.box is not None or args.point is not None:
        check_one_prompt(args.box, args.point)
    study = _study(args)
    image = _image(args, study)
    for question in questions:
        images_meant(question, study)
    prompt = _prompt(args, study, image)
    assistant = load(args)
    region = drawn_region(assistant, study, image, **prompt)
    history: list[tuple[str, Answer]] = []
    for question in questions:
        answer = assistant.ask(
            study, question, image, history=tuple(history), region=None if history else region, **how
        )
        history.append((question, answer))
    if len(history) == 1:
        return answer.to_json(), "\n".join(_answer_lines(answer))
    told = [line for question, answer in history for line in (f"> {question}", *_answer_lines(answer), "")]
    notices = list(dict.fromkeys(notice for _, answer in history for notice in answer.notices))
    return {"answers": [answer.to_json() for _, answer in history], "notices": notices}, "\n".join(told[:-1])


def ground(args: argparse.Namespace, load: Load) -> Output:
    from .report.volumes import sentence
    from .validation import check_phrase

    phrases, study = [check_phrase(phrase) for phrase in args.phrase], _study(args)
    found = load(args).ground(study, phrases, _image(args, study))
    lines = [sentence(phrase, body, study) for phrase, body in found.bodies.items()]
    lines += _region_lines(found.regions) + [f"not found: {phrase}" for phrase in found.absent]
    if args.overlay:
        _write_overlay(args.overlay, study, found.regions)
        lines.append(f"overlay: {args.overlay}")
    return found.to_json(), "\n".join(lines)


def segment(args: argparse.Namespace, load: Load) -> Output:
    from .studies import load_study
    from .validation import check_one_prompt, check_scribble

    check_one_prompt(args.box, args.point, args.scribble)
    study = _study(args)
    image = _image(args, study)
    if args.carry and not study.is_volume:
        raise RequestError("--carry needs a volume: the images given are no slices of one, in order.")
    prompt = _prompt(args, study, image)
    if not prompt:
        size = study.images[study.default if image is None else image].size
        prompt["scribble"] = check_scribble(load_study(args.scribble).images[0].rgb.max(axis=2) > 127, size)
    assistant = load(args)
    regions = assistant.segment(study, image, **prompt)
    shown = regions
    if args.carry and regions:
        regions = assistant.carry(study, regions)
    if args.overlay:
        _write_overlay(args.overlay, study, shown)
    result = {"regions": [region.to_json() for region in regions], "notices": study.notices}
    return result, "\n".join(_region_lines(regions))


def report(args: argparse.Namespace, load: Load) -> Output:
    from .report.export import check_formats, check_possible, write_report
    from .report.export.markdown import to_markdown

    formats = check_formats((args.format or "md,json").split(","))
    if args.format and not args.output:
        raise RequestError("Name the folder for the files of --format with -o DIR.")
    study, prior = _study_and_prior(args)
    check_possible(formats, study)
    draft = load(args).report(study, **prior)
    text = to_markdown(draft)
    if args.output:
        text += "".join(f"\nwritten: {path}" for path in write_report(draft, study, args.output, formats))
    return draft.to_json(), text


def check_report(args: argparse.Namespace, load: Load) -> Output:
    from .notices import notices
    from .report.sentences import sentences

    text, study = _report_text(args.report), _study(args)
    sentences(text)
    claims = load(args).check_report(study, text)
    lines = [_claim_line(claim) for claim in claims]
    told = notices(study, [region.label for claim in claims for region in claim.regions])
    result = {"claims": [claim.to_json() for claim in claims], "notices": told}
    return result, "\n".join(lines or ["The report claims nothing that an image could show."])


def series(args: argparse.Namespace, load: Load) -> Output:
    from .studies import list_series

    there = list_series(args.image)
    lines = [
        f"{one.number}: {one.words}{', taken unless another is named' if one.taken else ''}" for one in there.series
    ]
    return {"series": [one.to_json() for one in there.series], "notices": there.notices}, "\n".join(lines)


def batch(args: argparse.Namespace, load: Load) -> Output:
    from .batch import run_batch

    if not args.requests.is_file():
        raise RequestError(f"There is no file {str(args.requests)!r}; give a .jsonl with one request a line.")
    counts = run_batch(load(args), args.requests, args.output)
    words = f"{counts['answered']} answered, {counts['failed']} failed, {counts['skipped']} were there already"
    return {**counts, "output": str(args.output)}, f"{words}: {args.output}"


def evaluate(args: argparse.Namespace, load: Load) -> Output:
    from .evaluation import TASKS, check_request, evaluate, to_tables
    from .records import data_sets

    tasks = args.tasks.split(",") if args.tasks else TASKS
    check_request(tasks, args.split, args.part)
    sources = data_sets(args.data)
    items = args.output.with_suffix(".items.jsonl") if args.output else None
    _make_parent(args.output)
    how = {"part": args.part, "items": items, "fresh": args.fresh, "controls": not args.no_controls}
    result = evaluate(load(args), sources, args.split, tasks, args.limit, **how)
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result, to_tables(result)


def tune(args: argparse.Namespace, load: Load) -> Output:
    from dataclasses import asdict

    from .evaluation.tune import costs, tune
    from .evaluation.tune_plots import check_plots, draw
    from .model.loading import model_folder
    from .records import data_sets

    folder, sources = model_folder(args.model), data_sets(args.data)
    if args.output:
        check_plots()
    if not (args.dry_run or os.access(folder, os.W_OK)):
        raise RequestError(
            f"The folder of the model, {str(folder)!r}, cannot be written to: copy it and name the copy."
        )
    assistant = load(args)
    before = assistant.policy
    policy, rows, said = tune(assistant, sources, args.limit, args.hide_cost, args.show_cost)
    if not rows and not said:
        raise RequestError(
            "The val splits of these data sets tell nothing to tune on; name sets with regions or questions."
        )
    lines = [f"{'':<24} {'gain':>14} {'false alarms':>16}"]
    was, now = costs(rows, before), costs(rows, policy)
    for name, cell in now.items():
        change = (f"{was[name].get(k, float('nan')):.3f} → {cell.get(k, float('nan')):.3f}" for k in ("gain", "false"))
        lines.append(f"{name:<24} {'  '.join(change)}")
    if not args.dry_run:
        policy.save(folder)
        lines.append(f"written: {folder / 'policy.json'}")
    if args.output:
        lines += [f"written: {path}" for path in draw(rows, said, policy, args.output)]
    return {"policy": asdict(policy), "before": was, "after": now, "answers": len(said)}, "\n".join(lines)


def data_check(args: argparse.Namespace, load: Load) -> Output:
    from .records.check import check_folder, contact_sheet

    problems = [str(problem) for problem in check_folder(args.folder)]
    lines = problems or ["No problems found."]
    if args.sheet:
        _make_parent(args.sheet)
        contact_sheet(args.folder, args.sheet)
        lines = [*lines, f"contact sheet: {args.sheet}"]
    return {"problems": problems}, "\n".join(lines)


def serve(args: argparse.Namespace, load: Load) -> Output:
    try:
        from serving import serve
    except ImportError as error:
        raise RequestError(
            f"The page needs {error.name or 'more packages'}; pip install 'medvlm-assistant[serving]'."
        ) from error
    model = {"model": args.model, "device": args.device, "language": args.language}
    uses = {"phrase": args.phrased, "send_images": args.send_images}
    serve(**model, **uses, host=args.host, port=args.port, allowed=args.allow_host)
    return {}, ""


def bench(args: argparse.Namespace, load: Load) -> Output:
    from .bench import lines, measure

    result = measure(lambda: load(args))
    return result, "\n".join(lines(result))


def _study(args: argparse.Namespace) -> Any:
    """The study that the images of a command and its options name."""
    from .studies import load_study

    return load_study(args.image, series=args.series, hounsfield=args.hounsfield)


def _study_and_prior(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The study to report on and, with `--prior`, the one to compare it with and what is said of the two."""
    if not args.prior:
        return _study(args), {}
    from .report.alignment import check_installed
    from .studies import load_study
    from .studies.priors import in_order

    check_installed()
    exchanged, remarks = in_order(args.image, args.prior, args.other_patient, args.as_given)
    both = [(args.image, args.series), (args.prior, args.prior_series)]
    later, earlier = (
        load_study(paths, series=series, hounsfield=args.hounsfield)
        for paths, series in (reversed(both) if exchanged else both)
    )
    return later, {"prior": earlier, "remarks": remarks}


def _report_text(path: Path) -> str:
    """The text of a report's file, checked. Raises `RequestError`."""
    from .report.sentences import MOST_CHARACTERS, check_report_text

    if not path.is_file():
        raise RequestError(f"There is no file {str(path)!r}; give the report as a text file, after the images.")
    try:
        with path.open("rb") as file:
            content = file.read(4 * MOST_CHARACTERS + 4)  # a character takes four bytes at most
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}. Check the path.") from error
    if b"\0" in content:
        raise RequestError(f"{str(path)!r} is no plain text: save the report as text (UTF-8).")
    if len(content) > 4 * MOST_CHARACTERS:
        raise RequestError(
            f"{str(path)!r} is longer than {MOST_CHARACTERS:,} characters: give the report alone, as text."
        )
    try:
        return check_report_text(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RequestError(f"{str(path)!r} is no plain text: save the report as text (UTF-8).") from error


def _prompt(args: argparse.Namespace, study: Any, image: int | None) -> dict[str, Any]:
    """The box or the points of a command, checked against the image; nothing where neither is given."""
    from .validation import check_box, check_points

    size = study.images[study.default if image is None else image].size
    if args.box is not None:
        return {"box": check_box(_numbers(args.box, 4, "--box x0,y0,x1,y1"), size)}
    return {} if args.point is None else {"points": check_points([_point(text) for text in args.point], size)}


def _answer_lines(answer: Any) -> list[str]:
    """The text, what belongs beside it, how sure it is, why nothing is said, and the regions."""
    where = f"; {answer.scope}" if answer.scope else ""
    why = answer.reason if answer.abstained and answer.reason != answer.text else None
    lines = [answer.text, answer.detail, f"confidence {answer.confidence:.2f}{where}", why]
    return [line for line in lines if line] + _region_lines(answer.regions)


def _claim_line(claim: Any) -> str:
    note = f" {claim.note}" if claim.note else ""
    return f"{claim.verdict}: {claim.label}, {claim.presence} (“{claim.sentence}”){note}"


def _image(args: argparse.Namespace, study: Any) -> int | None:
    """The index of the image that `--image` counts from 1, or `None`."""
    count = len(study.images)
    if args.only is not None and not 1 <= args.only <= count:
        raise RequestError(f"There is no image {args.only}: the study has {count}, and --image counts them from 1.")
    return None if args.only is None else args.only - 1


def _region_lines(regions: list[Any]) -> list[str]:
    lines = []
    for region in regions:
        box = ", ".join(f"{v:.0f}" for v in region.box)
        place = f"image {region.image + 1}, " if region.image else ""
        lines.append(f"{region.label}: {place}box {box} px, score {region.score:.2f}")
    return lines


def _write_overlay(path: Path, study: Any, regions: list[Any]) -> None:
    import PIL.Image

    from .report.overlay import draw_overlay

    index = regions[0].image if regions else study.default
    shown = [region for region in regions if region.image == index]
    _make_parent(path)
    try:
        PIL.Image.fromarray(draw_overlay(study.images[index].pixels, shown)).save(path, format="PNG")
    except OSError as error:
        raise RequestError(f"The overlay cannot be written to {str(path)!r}: {error.strerror}.") from error


def _make_parent(path: Path | None) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"The folder of {str(path)!r} cannot be made: {error.strerror}.") from error


def _numbers(text: str, count: int, form: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise RequestError(f"{text!r} is not of the form {form}, in pixels.")
    return numbers


def _point(text: str) -> tuple[float, float, int]:
    """`x,y` is a positive point, `-x,y` a negative one."""
    text = text.strip()
    x, y = _numbers(text.removeprefix("-"), 2, "--point x,y or --point=-x,y")
    return x, y, 0 if text.startswith("-") else 1
