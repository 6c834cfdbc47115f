"""OpenAI's protocol over a real server on loopback, with its own unmodified client."""

from __future__ import annotations

import base64
import contextlib
import io
import time

import PIL.Image
import pytest

pytest.importorskip("openai", reason="openai is not installed: pip install -e '.[dev]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install -e '.[serving]'")
import openai
from fastapi import FastAPI

from medvlm.errors import LanguageError
from medvlm.progress import tracked
from serving.api.chatting import router
from serving.openai import routes
from tests.fakes import FakeAssistant, square
from tests.web import served


class Slides(FakeAssistant):
    """Says as notices what the study is that it was asked about, and tells its progress."""

    def __init__(self):
        super().__init__()
        self.at_work = []

    def ask(self, study, question, *args, **options):
        if "server" in question:
            raise LanguageError("The language server went away: start it again.")
        self.at_work.append(question)
        try:
            for _ in tracked(range(200) if "slowly" in question else [0]):
                time.sleep(0.02)
        finally:
            self.at_work.remove(question)
        answer = super().ask(study, question, *args, **options)
        answer.notices = [f"There are {len(study.images)} images of {study.kind}."]
        answer.scope = "image 1 of 1"
        return answer


@contextlib.contextmanager
def serving(chats: routes.Chats):
    """The API's address of a server that answers these chats meanwhile."""
    app = FastAPI()
    app.include_router(router(chats), prefix="/v1")
    with served(app) as port:
        yield f"http://127.0.0.1:{port}/v1"


def client_at(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0)


@pytest.fixture(scope="package")
def inbox(tmp_path_factory):
    return tmp_path_factory.mktemp("inbox")


@pytest.fixture(scope="package")
def assistant():
    return Slides()


@pytest.fixture(scope="package")
def address(inbox, assistant):
    with serving(routes.Chats(lambda client: assistant, inbox)) as address:
        yield address


@pytest.fixture(scope="package")
def client(address):
    with client_at(address) as client:
        yield client


def data_url(data: bytes, kind: str = "image/png") -> dict:
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{base64.b64encode(data).decode()}"}}


def png(**given) -> dict:
    buffer = io.BytesIO()
    PIL.Image.fromarray(square(**given)).save(buffer, "PNG")
    return data_url(buffer.getvalue())


def user(*parts) -> dict:
    return {"role": "user", "content": [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]}


def ask(client, *messages, **options):
    return client.chat.completions.create(model="fake", messages=list(messages), **options)
