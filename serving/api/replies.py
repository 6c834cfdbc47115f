"""What comes back of work for the model: JSON, server-sent events with the progress before it, or files."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import PIL.Image
from fastapi import Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from medvlm.errors import RequestError
from medvlm.report.export import FORMATS
from medvlm.types import Report, Study, decode_mask

from ..access import audit
from ..folder import takes_nothing
from ..packing import packed
from ..turns import ABANDONED, Job
from .errors import ApiError, api_error
from .service import Client, TheService, TheStudy
from .studies import GONE, Held

LOOK = 0.25  # seconds between two looks at how far a job is, and whether anybody still waits
EVENTS = "text/event-stream"
EVENT = {  # each of a stream, for the description
    "type": "object",
    "required": ["data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string", "description": "JSON"}},
}
Used = TypeVar("Used")
TYPES = {
    ".csv": "text/csv",
    ".dcm": "application/dicom",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".zip": "application/zip",
}
NOTHING = "The report has no region that this format could hold."
NO_ROOM = "The file does not fit on this machine's disk; make room there."


class Masks(StrEnum):
    RLE = "rle"
    PNG = "png"


class Asked:
    """A request for the model about a study, and how its result is to come back."""

    def __init__(
        self,
        request: Request,
        service: TheService,
        client: Client,
        held: TheStudy,
        masks: Annotated[Masks, Query(description="as COCO run lengths, or as PNG in base64")] = Masks.RLE,
    ):
        self.request, self.service, self.client, self.held, self.masks = request, service, client, held, masks

    async def reply(self, work: Callable[[Any, Study], dict[str, Any]], *others: Held) -> Response:
        """JSON of what `work(assistant, study)` gives, or events where the caller takes these."""

        def text(assistant: Any) -> str:
            result = work(assistant, self.held.study)
            return json.dumps(with_png(result) if self.masks == Masks.PNG else result, allow_nan=False)

        job = self.service.submit(self.client, text, self.held, *others)
        if EVENTS in self.request.headers.get("accept", ""):
            return StreamingResponse(events(self.request, job), media_type=EVENTS, headers={"x-accel-buffering": "no"})
        return Response(await finished(self.request, job), media_type="application/json")

    async def files(
        self, work: Callable[[Any, Study], tuple[Report, Study]], formats: Sequence[str], *others: Held
    ) -> Response:
        """The report that `work(assistant, study)` gives, with the study that it is of, as a file or an archive of several."""
        folder = self.service.inbox.folder
        name, content = await self.used(work, lambda drafted, of: report_file(drafted, of, formats, folder), *others)
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        kind = TYPES.get(Path(name).suffix, "application/octet-stream")
        return Response(content, headers=headers | {"content-type": kind})

    async def used(
        self, work: Callable[[Any, Study], tuple[Report, Study]], use: Callable[[Report, Study], Used], *others: Held
    ) -> Used:
        """What `use` makes of the report that `work` gives and of its study; the model does not wait for it."""
        with self.service.studies.using(self.held, *others):
            job = self.service.submit(self.client, lambda assistant: work(assistant, self.held.study))
            report, study = await finished(self.request, job)
            return await self.service.beside(self.request, lambda: use(report, study))


TheAsked = Annotated[Asked, Depends()]


def awaitable(job: Job) -> asyncio.Future[Any]:
    """A job's future for this loop. What it raises is looked at, so that asyncio does not log what nobody waits for."""
    future = asyncio.wrap_future(job.future)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


async def finished(request: Request, job: Job) -> Any:
    """A job's result. It is abandoned where the caller is gone; raises what the work raised."""
    future = awaitable(job)
    try:
        while not future.done():
            await asyncio.wait([future], timeout=LOOK)
            if not future.done() and await request.is_disconnected():
                raise ApiError(400, ABANDONED)
        return future.result()
    finally:
        job.abandon()


async def events(request: Request, job: Job) -> AsyncIterator[str]:
    """`progress` with {"done", "of"} whenever it changes, and at the end `result` or `error`; comments keep the line open."""
    future, told = awaitable(job), None
    try:
        while not future.done():
            if job.progress != told:
                told = job.progress
                yield event("progress", json.dumps(dict(zip(("done", "of"), told or (0, 0), strict=True))))
            else:
                yield ": waiting\n\n"
            await asyncio.wait([future], timeout=LOOK)
            if await request.is_disconnected():
                return
        try:
            yield event("result", future.result())
        except Exception as error:
            refused = api_error(error)
            audit.failed(refused.status)
            yield event("error", json.dumps(refused.body()))
    finally:
        job.abandon()


def event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def with_png(value: Any) -> Any:
    """JSON with every mask in it as a PNG instead of run lengths."""
    if isinstance(value, dict):
        if value.keys() == {"size", "counts"}:
            return {"size": value["size"], "png": base64.b64encode(mask_png(value)).decode()}
        return {key: with_png(item) for key, item in value.items()}
    return [with_png(item) for item in value] if isinstance(value, list) else value


def mask_png(code: dict[str, Any]) -> bytes:
    """A mask's run lengths as a PNG of one bit a pixel."""
    return png(PIL.Image.fromarray(decode_mask(code)))


def png(image: PIL.Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def report_file(report: Report, study: Study, formats: Sequence[str], folder: Path) -> tuple[str, bytes]:
    """Name and content of a report's file, or of an archive of several; they lie in `folder` for that moment.

    Raises `RequestError` where there is nothing to write, `ApiError` where there is no room (507), or the study was closed
    meanwhile (404).
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            written = [path for name in formats for path in FORMATS[name](report, study, Path(scratch))]
            paths = list(dict.fromkeys(written))
            if not paths:
                raise RequestError(NOTHING)
            return packed(paths, Path(scratch), "report.zip")
    except OSError as error:
        if takes_nothing(error):
            raise ApiError(507, NO_ROOM) from None
        if isinstance(error, FileNotFoundError):  # its files, which some formats are written with
            raise ApiError(404, GONE) from None
        raise
