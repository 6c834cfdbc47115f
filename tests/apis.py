"""What the tests of the API share: a client over the fake assistant, and files to send."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import PIL.Image
from fastapi import FastAPI
from starlette.testclient import TestClient

from medvlm.progress import tracked
from medvlm.types import Report, Study
from serving.access.gate import Gate
from serving.api import PREFIX, Budget, make_api
from serving.api.service import Service
from serving.dicomweb import Dicomweb
from serving.turns import Turns
from serving.uploads import Inbox

from .fakes import FakeAssistant, square

HOME = "http://127.0.0.1:7860"


class SlowAssistant(FakeAssistant):
    """Works on a phrase with "slow" in it until it is let go, telling its progress; counts what it did to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.working, self.done = threading.Event(), threading.Event(), 0

    def ground(self, study: Study, phrases, image: int | None = None):
        if "slow" in phrases[0]:
            for _ in tracked(range(3)):
                self.working.set()
                self.go.wait(5)
        self.done += 1
        return super().ground(study, phrases, image)

    def report(self, study: Study, prior: Study | None = None, remarks=()) -> Report:
        return super().report(study)

    def carry(self, study: Study, drawn):
        return [region for region in drawn for _ in study.images]


def app_over(
    assistant: FakeAssistant, folder: Path, budget: Budget | None = None, ready=lambda: True, archive=None
) -> FastAPI:
    """The API behind the gate, with its uploads in `folder`; without the page, which takes long to build."""
    folder.mkdir(exist_ok=True)
    app = FastAPI(openapi_url=None)
    app.add_middleware(Gate)
    inbox = Inbox(folder)
    dicomweb = Dicomweb(archive, inbox) if archive else None
    app.mount(PREFIX, make_api(lambda: assistant, inbox, Turns(), ready, budget, dicomweb))
    return app


def service_of(app: FastAPI) -> Service:
    """What the API of an app holds."""
    return next(route.app.state.service for route in app.routes if getattr(route, "path", "") == PREFIX)


def client_over(app, address: str = "127.0.0.1") -> TestClient:
    return TestClient(app, base_url=HOME, client=(address, 50000))


def png(pixels: np.ndarray | None = None) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(square() if pixels is None else pixels).save(stream, "PNG")
    return stream.getvalue()


def opened(client: TestClient, *files: bytes, **options) -> str:
    """The id of a study of some PNGs."""
    form = [("files", (f"{number}.png", content)) for number, content in enumerate(files or [png()])]
    reply = client.post("/v1/studies", files=form, **options)
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


def refused(reply, status: int) -> str:
    """The sentence of a refusal, after what holds for every one."""
    assert reply.status_code == status, (reply.status_code, reply.text)
    assert reply.json().keys() == {"error"} and reply.json()["error"].keys() == {"type", "message"}
    assert (status in (429, 503)) == ("retry-after" in reply.headers) or status == 409
    said = reply.json()["error"]["message"]
    assert said[-1] in ".”" and "\n" not in said and "/tmp" not in said
    return said
