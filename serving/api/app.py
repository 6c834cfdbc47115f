"""The API as an app of its own, mounted at /v1: routes, errors in one form, and the description."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

import medvlm

from ..access.clients import user_of
from ..dicomweb import Dicomweb
from ..metrics import KIND, Metrics
from ..openai import Chats
from ..store import Store
from ..turns import InTurn, Turns
from ..uploads import Inbox
from . import asking, chatting, opening
from .errors import ApiError, add_handlers
from .schemas import ErrorBody, Health, Ready
from .service import Service, TheService
from .shared import SharedStudies
from .stored import Shelf
from .studies import Budget, Studies

PREFIX = "/v1"
STUCK = "The model does not come back from its work; the server has to be started anew."
SUMMARY = "Studies are opened by an upload and asked about: answers, outlines, report drafts. For research; not a medical device."
REFUSED = (
    "Refused: 400 cut short or unreadable, 401 without a login, 403 asked under another name or by another site, 404 no such study or image, 408 too slow, 409 "
    "another request or another patient stands against it, 413 too large, 415 of a kind that is not taken, 422 readable but not "
    "usable, 429 too many at a time (`Retry-After` says when to try again)."
)
FAILED = "A fault of ours, of the archive (502), a full disk (507), or a model that is not loaded yet or a store that does not answer (503, with `Retry-After`)."
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": REFUSED},
    "5XX": {"model": ErrorBody, "description": FAILED},
}

state = APIRouter(tags=["state"])


@state.get("/health", response_model=Health, summary="Whether the server answers", operation_id="health")
async def health(service: TheService) -> dict[str, str]:
    """Also while the model loads or works; 503 where its thread does not come back from its work."""
    # Not in the pool of the other requests: a store that hangs may hold all of its threads, and is no reason to start anew.
    if not await asyncio.to_thread(service.turns.answers):
        raise ApiError(503, STUCK, "Stuck", retry_after=10)
    return {"status": "ok"}


@state.get("/ready", response_model=Ready, summary="Whether the model is loaded", operation_id="ready")
async def ready(service: TheService) -> dict[str, Any]:
    """503 until it is."""
    model = service.model()
    return {"status": "ready", "model": model.name, "fingerprint": model.fingerprint, "waiting": len(service.turns)}


@state.get(
    "/metrics",
    response_class=PlainTextResponse,
    summary="What is counted",
    operation_id="metrics",
)
async def metrics(service: TheService) -> Response:
    """As Prometheus reads it."""
    text = await run_in_threadpool(service.metrics.text)
    return Response(text, headers={"content-type": KIND})


def make_api(
    assistant: Callable[[], Any],
    inbox: Inbox,
    turns: Turns,
    ready: Callable[[], bool] = lambda: True,
    budget: Budget | None = None,
    dicomweb: Dicomweb | None = None,
    store: Store | None = None,
    metrics: Metrics | None = None,
) -> FastAPI:
    """The API over `assistant()`, which may wait until `ready()`; what it holds of uploads is in `inbox`.

    `dicomweb` is the archive that studies may come from and reports may go to. Where
    the `store` is shared, replicas that have the same one hold the same studies.
    """
    api = FastAPI(
        title="medvlm",
        summary=SUMMARY,
        version=medvlm.__version__,
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=RESPONSES,
    )
    studies, metrics = held_studies(inbox, budget or Budget(), store), metrics or Metrics()
    metrics.gauge("medvlm_held_studies", "Studies of the API in memory.", lambda: len(studies))
    metrics.gauge("medvlm_held_bytes", "Their pixels.", lambda: studies.bytes)
    chats = Chats(lambda client: InTurn(assistant(), turns, user_of(client)), inbox.folder, InTurn.abandon)
    api.state.service = Service(assistant, ready, inbox, turns, studies, chats, dicomweb, metrics)
    add_handlers(api)
    for router in (state, opening.router, asking.router, chatting.router(chats)):
        api.include_router(router)
    return api


def held_studies(inbox: Inbox, budget: Budget, store: Store | None) -> Studies:
    """What holds studies, in this process alone or for several."""
    if store and store.shared:
        return SharedStudies(Shelf(store, budget), inbox, budget)
    return Studies(lambda held: inbox.remove(held.upload), budget)
