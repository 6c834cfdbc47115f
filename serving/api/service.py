"""What every request of the API has at hand: the model behind its queue, the inbox, and the studies that are held."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Path, Request

from medvlm.errors import RequestError

from ..access.clients import client_of, user_of
from ..dicomweb import NO_ARCHIVE, Dicomweb
from ..fairness import Shares
from ..metrics import Metrics
from ..openai import Chats
from ..turns import ABANDONED, Job, QueueFull, Turns
from ..uploads import Inbox
from .errors import ApiError
from .studies import Held, Studies

LOADING = "The model is being loaded; try again in a few seconds."
WRITTEN_AT_ONCE, WRITTEN_OF_ONE = 8, 4  # pictures and files that are written, of all and of one user
BUSY = "Too many requests wait for the model; try again later."

Done = TypeVar("Done")


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
    # Threads of their own: what writes for long holds up neither the other requests nor the health check.
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(WRITTEN_AT_ONCE))
    shares: Shares = field(default_factory=lambda: Shares(WRITTEN_AT_ONCE, WRITTEN_OF_ONE))

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

    async def beside(self, request: Request, work: Callable[[], Done]) -> Done:
        """What work gives that needs no model, in its turn among a user's and all others'. Raises `ApiError` where nobody waits
        for it any more."""
        give_back = await self.shares.take(user_of(client_of(request)))
        try:
            # The first look may find the end of the request itself.
            if await request.is_disconnected() or await request.is_disconnected():
                raise ApiError(400, ABANDONED)
            return await to_thread.run_sync(work, limiter=self.threads)
        finally:
            give_back()

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
