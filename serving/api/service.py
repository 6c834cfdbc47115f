"""What every request of the API has at hand: the model behind its queue, the inbox, and the studies that are held."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Request

from medvlm.errors import RequestError

from ..access.clients import client_of, user_of
from ..dicomweb import NO_ARCHIVE, Dicomweb
from ..metrics import Metrics
from ..openai import Chats
from ..turns import Job, QueueFull, Turns
from ..uploads import Inbox
from .errors import ApiError
from .studies import Held, Studies

LOADING = "The model is being loaded; try again in a few seconds."
BUSY = "Too many requests wait for the model; try again later."


@dataclass
class Service:
    assistant: Callable[[], Any]  # waits until the model is loaded
    ready: Callable[[], bool]  # whether it is
    inbox: Inbox
    turns: Turns
    studies: Studies
    chats: Chats
    dicomweb: Dicomweb | None
    metrics: Metrics

    def archive(self) -> Dicomweb:
        """Raises `RequestError` where the server has none."""
        if self.dicomweb is None:
            raise RequestError(NO_ARCHIVE)
        return self.dicomweb

    def model(self) -> Any:
        """The loaded assistant. Raises `ApiError` (503) where it is not there yet."""
        if not self.ready():
            raise ApiError(503, LOADING, "Loading", retry_after=5)
        return self.assistant()

    def submit(self, client: str, work: Callable[[Any], Any], *studies: Held) -> Job:
        """Queue work for the model on some studies, which are not let go meanwhile. Raises `ApiError` (429, 503)."""
        model = self.model()
        with ExitStack() as stack:
            stack.enter_context(self.studies.using(*studies))
            try:
                job = self.turns.submit(user_of(client), lambda: work(model))
            except QueueFull:
                raise ApiError(429, BUSY, retry_after=1 + len(self.turns)) from None
            done = stack.pop_all()
        job.future.add_done_callback(lambda _: done.close())
        return job


async def service_of(request: Request) -> Service:  # async, so that it needs no thread
    return request.app.state.service


TheService = Annotated[Service, Depends(service_of)]
Client = Annotated[str, Depends(client_of)]
StudyId = Annotated[str, Path(description="as opening the study gave it")]


def held_study(id: StudyId, client: Client, service: TheService) -> Held:
    return service.studies.get(client, id)


TheStudy = Annotated[Held, Depends(held_study)]


def json_alone(request: Request) -> None:
    """Raises `ApiError` (415) for a body of another kind."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "The body must be JSON; send it with the header “Content-Type: application/json”.")
