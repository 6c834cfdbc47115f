"""What is asked about a study that is open: questions, things to find, outlines, reports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from medvlm.archive.reported import check_storable
from medvlm.batch import prompted_region, read_history
from medvlm.errors import RequestError
from medvlm.notices import notices
from medvlm.report.alignment import check_installed
from medvlm.report.export import check_formats, check_possible
from medvlm.studies.priors import Relation, relate, remarks_on
from medvlm.types import Answer, Report, Study
from medvlm.validation import check_image, check_rle

from .errors import ApiError
from .replies import EVENT, EVENTS, TheAsked
from .schemas import (
    AnswerOut,
    Ask,
    Checked,
    CheckReport,
    Compare,
    Find,
    Found,
    InArchive,
    ReportOut,
    Segment,
    Segmented,
)
from .service import Service, json_alone
from .studies import Held

ITSELF = "A study cannot be compared with itself: open the earlier one too, and send its id as `prior`."
OTHER_PATIENT = "The two are of different patients, as the ids in the headers say: send `other_patient` to compare them all the same."
AS_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {EVENTS: {"schema": EVENT}},
        "description": "The result; as events, where `Accept` names them, after the progress.",
    }
}
AS_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {**AS_EVENTS[200]["content"], "application/octet-stream": {}},
        "description": AS_EVENTS[200]["description"],
    }
}
Formats = Annotated[
    str | None,
    Query(alias="format", description="write it in these formats, separated by commas: a file, or a zip of several"),
]

router = APIRouter(prefix="/studies/{id}", tags=["asking"])
JSON = [Depends(json_alone)]


@router.post("/ask", response_model=AnswerOut, responses=AS_EVENTS, dependencies=JSON, operation_id="ask")
async def ask(asked: TheAsked, body: Ask) -> Response:
    """Answer a question about the image that it names, else `image`, else all of the study."""
    turns = [turn.model_dump() for turn in body.history]
    drawn: dict[str, Any] = {"box": body.box, "points": body.points}

    def work(assistant: Any, study: Study) -> dict[str, Any]:
        past = history(turns, study)
        image = None if body.image is None else check_image(body.image, study)
        region = prompted_region(assistant, study, image, **drawn)
        given = assistant.ask(study, body.question, image, history=past, region=region, sensitivity=body.sensitivity)
        return given.to_json()

    return await asked.reply(work)


@router.post("/find", response_model=Found, responses=AS_EVENTS, dependencies=JSON, operation_id="find")
async def find(asked: TheAsked, body: Find) -> Response:
    """Find every instance of each phrase in one image, or in all of the study: every slice of a volume."""

    def work(assistant: Any, study: Study) -> dict[str, Any]:
        image = None if body.image is None else check_image(body.image, study)
        return assistant.ground(study, body.phrases, image).to_json()

    return await asked.reply(work)


@router.post("/segment", response_model=Segmented, responses=AS_EVENTS, dependencies=JSON, operation_id="segment")
async def segment(asked: TheAsked, body: Segment) -> Response:
    """Outline what a box, points or a scribble show; nothing where nothing stands out."""

    def work(assistant: Any, study: Study) -> dict[str, Any]:
        image = check_image(body.image, study)
        if body.carry and not study.is_volume:
            raise RequestError(
                "Only what is drawn in a volume can be carried: the images are no slices of one, in order."
            )
        scribble = check_rle(body.scribble.model_dump(), study.images[image].size) if body.scribble else None
        regions = assistant.segment(study, image, box=body.box, points=body.points, scribble=scribble)
        if body.carry and regions:
            regions = assistant.carry(study, regions)
        return {"regions": [region.to_json() for region in regions], "notices": study.notices}

    return await asked.reply(work)


@router.post(
    "/check-report", response_model=Checked, responses=AS_EVENTS, dependencies=JSON, operation_id="check_report"
)
async def check_report(asked: TheAsked, body: CheckReport) -> Response:
    """Say of each claim of an existing report whether the images support it, contradict it, or cannot show it."""

    def work(assistant: Any, study: Study) -> dict[str, Any]:
        claims = assistant.check_report(study, body.text)
        beside = notices(study, [region.label for claim in claims for region in claim.regions])
        return {"claims": [claim.to_json() for claim in claims], "notices": beside}

    return await asked.reply(work)


@router.post("/report", response_model=ReportOut, responses=AS_FILES, operation_id="report")
async def report(asked: TheAsked, formats: Formats = None) -> Response:
    """Draft a report, as JSON or, with `format`, as files. A draft that was made before is not worked on anew."""
    if formats is None:
        return await asked.reply(lambda assistant, study: assistant.report(study).to_json())
    names = wanted(formats, asked.held.study)
    return await asked.files(lambda assistant, study: (assistant.report(study), study), names)


@router.post("/store", response_model=InArchive, summary="Store the report in the archive", operation_id="store")
async def store(asked: TheAsked) -> Response:
    """Store the report draft as SEG, SR and PDF with the study's images, where the server's archive holds these."""
    archive = asked.service.archive()
    check_storable(asked.held.study)
    count = await asked.used(
        lambda assistant, study: (assistant.report(study), study),
        lambda drafted, study: archive.store(asked.client, drafted, study),
    )
    return JSONResponse({"stored": count})


@router.post("/compare", response_model=ReportOut, responses=AS_FILES, dependencies=JSON, operation_id="compare")
async def compare(asked: TheAsked, body: Compare, formats: Formats = None) -> Response:
    """Draft a report that says what has changed since another open study."""
    service = asked.service
    prior = await run_in_threadpool(service.studies.get, asked.client, body.prior)
    if prior is asked.held:
        raise RequestError(ITSELF)
    check_installed()
    with service.studies.using(asked.held, prior):
        relation = await run_in_threadpool(related, service, asked.held, prior)
    if relation.same_patient is False and not body.other_patient:
        raise ApiError(409, OTHER_PATIENT, "OtherPatient")
    exchanged = relation.days is not None and relation.days < 0 and not body.as_given
    later, earlier = (prior, asked.held) if exchanged else (asked.held, prior)
    remarks = remarks_on(relation.turned if exchanged else relation, exchanged)

    def drafted(assistant: Any) -> Report:
        return assistant.report(later.study, prior=earlier.study, remarks=remarks)

    if formats is not None:
        names = wanted(formats, later.study)
        return await asked.files(lambda assistant, _: (drafted(assistant), later.study), names, prior)
    ids = {"study": later.id, "prior": earlier.id}
    return await asked.reply(lambda assistant, _: drafted(assistant).to_json() | ids, prior)


def history(turns: list[dict[str, Any]], study: Study) -> list[tuple[str, Answer]]:
    """Earlier turns about a study, whose regions lie as its images do. Raises `RequestError`."""
    past = read_history(turns)
    for region in (region for _, answer in past for region in answer.regions):
        region.turn = study.images[region.image].turn if region.image < len(study.images) else None
    return past


def wanted(formats: str, study: Study) -> list[str]:
    """The formats that a study's report is to be written in. Raises `RequestError`."""
    names = check_formats(formats.split(","))
    check_possible(names, study)
    return names


def related(service: Service, held: Held, prior: Held) -> Relation:
    """How two studies stand to each other by their headers; nothing is known where the files of one are gone."""
    if not (held.upload and prior.upload):
        return Relation(None, None)
    inbox = service.inbox
    return relate(inbox.files(held.upload), inbox.files(prior.upload), inbox.limits)
