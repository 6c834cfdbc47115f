"""Opening and closing studies, and their pictures."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import PIL.Image
from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as InPath
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from medvlm.report.export import possible_formats
from medvlm.studies.burned_in import leaving_pixels
from medvlm.types import Study

from ..uploads import needs_files
from .errors import ApiError
from .replies import png
from .schemas import FromArchive, Reference, StudyInfo
from .service import Client, Service, TheService, TheStudy
from .studies import Held

OTHER = "This Idempotency-Key came with other files or options before; use a new one."
NO_FORM = "Send the files as a form (multipart/form-data), each in a field “files”, or a study of the archive as JSON."
NO_REFERENCE = "A study of the archive is named by UIDs alone; /v1/openapi.json says how."
MOST_REFERENCE = 4096  # bytes
# Written out, since the route reads bodies itself: what is uploaded goes to the disk piece by piece.
FROM_ARCHIVE = {
    "type": "object",
    "required": ["dicomweb"],
    "additionalProperties": False,
    "description": "a study of the archive that the server was started with (`medvlm serve --dicomweb`)",
    "properties": {"dicomweb": Reference.model_json_schema()},
}
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "pictures, DICOM or NIfTI files, a video, a zip; a file's name may have its folder before it",
                        }
                    },
                }
            },
            "application/json": {"schema": FROM_ARCHIVE},
        },
    }
}

router = APIRouter(tags=["studies"])


@router.post(
    "/studies",
    status_code=201,
    response_model=StudyInfo,
    openapi_extra=FORM,
    summary="Open a study",
    operation_id="open",
)
async def open_study(
    request: Request,
    service: TheService,
    client: Client,
    series: Annotated[int | None, Query(ge=1, description="number of the series to take, instead of the first")] = None,
    keep_text: Annotated[
        bool, Query(description="let text in the pixels, which may name somebody, leave with them")
    ] = False,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="the same upload sent again with it opens no second study"),
    ] = None,
) -> Response:
    """Send files, or name a study of the archive; they become one study, which is held until it is closed or not used for a while."""
    key, upload = idempotency_key or "", ""
    async with contextmanager_in_threadpool(service.studies.opening(client, key)):
        try:
            upload = await upload_of(request, service, client)
            digest = (
                await run_in_threadpool(digest_of, service.inbox.folder / upload, f"{series} {keep_text}")
                if key
                else ""
            )
            held = await run_in_threadpool(service.studies.with_key, client, key)
            if held is None:
                read, keeps = service.inbox.read, service.studies.keeps_files
                study = await run_in_threadpool(read, upload, series, keep=keeps)
                study.keep_text = keep_text
                new = Held(client, study, upload if needs_files(study) else "", key, digest, series)
                held = await run_in_threadpool(service.studies.add, new, service.inbox.folder / upload)
            elif held.digest != digest:
                raise ApiError(422, OTHER)
            kept = held.upload
        except BaseException:
            kept = ""
            raise
        finally:
            if upload and kept != upload:
                await run_in_threadpool(service.inbox.remove, upload)
    return JSONResponse(told(held, service), 201, {"location": str(request.url_for("show", id=held.id).path)})


async def upload_of(request: Request, service: Service, client: str) -> str:
    """The name in the inbox of what a request sends, or names in the archive. Raises `ApiError`, `HTTPException`, `MedVLMError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return (await service.inbox.store(request))["upload"]
    if kind != "application/json":
        raise ApiError(415, NO_FORM)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_REFERENCE:
            raise ApiError(413, NO_REFERENCE)
    try:
        asked = FromArchive.model_validate_json(bytes(body)).dicomweb
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    return await run_in_threadpool(service.archive().bring, client, asked.study, asked.series)


@router.get("/studies/{id}", name="show", response_model=StudyInfo, summary="What a study is", operation_id="show")
async def show(held: TheStudy, service: TheService) -> Response:
    """What opening it told."""
    return JSONResponse(told(held, service))


@router.delete("/studies/{id}", status_code=204, summary="Close a study", operation_id="close")
async def close(held: TheStudy, service: TheService) -> Response:
    """Nothing of it stays on the server."""
    await run_in_threadpool(service.studies.drop, held)
    return Response(status_code=204)


@router.get(
    "/studies/{id}/images/{number}",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
    summary="An image of a study as PNG",
    operation_id="image",
)
async def image(
    number: Annotated[int, InPath(ge=0, description="from 0")], held: TheStudy, service: TheService, request: Request
) -> Response:
    """As shown, at its own size; text in the pixels is blacked out unless the study was opened with `keep_text`."""
    if number >= len(held.study.images):
        raise ApiError(404, f"The study has images 0 to {len(held.study.images) - 1}; there is no image {number}.")
    with service.studies.using(held):
        content = await service.beside(request, lambda: picture(held.study, number))
    return Response(content, media_type="image/png")


def picture(study: Study, number: int) -> bytes:
    return png(PIL.Image.fromarray(leaving_pixels(study, number)))


def told(held: Held, service: Service) -> dict[str, Any]:
    """`StudyInfo` of a study."""
    study = held.study
    images = [
        {"name": i.name, "size": list(i.size), "spacing_mm": list(map(float, i.spacing_mm)) if i.spacing_mm else None}
        for i in study.images
    ]
    return {
        "id": held.id,
        "kind": study.kind,
        "modality": study.modality,
        "body_part": study.body_part,
        "images": images,
        "default": study.default,
        "sides_known": study.sides_known,
        "series": [series.to_json() for series in study.series],
        "notices": study.notices,
        "formats": possible_formats(study),
        "idle_s": service.studies.budget.idle_s,
    }


def digest_of(folder: Path, options: str) -> str:
    """What tells an upload from others: its files' places, names and content, and how it is to be read."""
    digest = hashlib.sha256(options.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"\0{path.relative_to(folder)}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
