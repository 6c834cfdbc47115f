"""The API's description: the committed one is what the code says, and what it promises holds for made-up requests."""

from __future__ import annotations

import base64
import json

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install -e '.[serving]'")
pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install -e '.[dev]'")

import jsonschema
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from docs import openapi
from serving.openai.trace import functions

from .apis import SlowAssistant, app_over, client_over, opened, png

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
MADE_UP = 8  # requests a route, and as many broken ones
ROUTES = {
    "GET /health", "GET /ready", "GET /metrics", "GET /models", "POST /chat/completions", "POST /studies", "GET /studies/{id}", "DELETE /studies/{id}",
    "GET /studies/{id}/images/{number}", "POST /studies/{id}/ask", "POST /studies/{id}/find", "POST /studies/{id}/segment",
    "POST /studies/{id}/check-report", "POST /studies/{id}/report", "POST /studies/{id}/store", "POST /studies/{id}/compare",
}  # fmt: skip
TAKING = [route for route in sorted(ROUTES) if route.startswith("POST") or "{number}" in route]  # what could be broken
MADE_UP_OF = [(route, GenerationMode.POSITIVE) for route in sorted(ROUTES)]
MADE_UP_OF += [(route, GenerationMode.NEGATIVE) for route in TAKING]


def test_the_committed_description_is_what_the_code_says():
    written = openapi.DESCRIPTION.read_text(encoding="utf-8")
    assert written == openapi.description(), (
        "docs/openapi.json is behind the code: python docs/openapi.py makes it anew"
    )


def test_the_description_is_published_and_names_every_route(client):
    told = client.get("/v1/openapi.json").json()
    assert told == json.loads(openapi.description())
    assert {f"{verb.upper()} {path}" for path, verbs in told["paths"].items() for verb in verbs} == ROUTES
    for verbs in told["paths"].values():
        for route in verbs.values():
            assert {"4XX", "5XX"} <= set(route["responses"]) and route["summary"]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return app_over(SlowAssistant(), tmp_path_factory.mktemp("api") / "inbox")


@pytest.fixture(scope="module")
def client(app):
    return client_over(app)


@pytest.fixture(scope="module")
def made_up(app):
    return schemathesis.openapi.from_asgi("/v1/openapi.json", app, headers={"host": "127.0.0.1"})


@pytest.mark.parametrize("more", [{}, {"tools": functions()}, {"stream": True}, {"n": 2}])
def test_a_chat_is_taken_and_answered_as_the_description_says(more, made_up):
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    asked = [{"type": "text", "text": "Is it there?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"model": "fake", "messages": [{"role": "user", "content": asked}], **more}
    operation = made_up["/chat/completions"]["POST"]
    taken = jsonschema.Draft202012Validator(operation.body[0].raw_schema)
    assert taken.is_valid(body) == ("n" not in more)
    case = operation.Case(body=body, media_type="application/json")
    reply = case.call_and_validate(checks=CHECKS[:4], headers={"host": "127.0.0.1"})
    assert reply.status_code == (400 if "n" in more else 200)
    assert ("stream" in more) == reply.headers["content-type"][0].startswith("text/event-stream")


@pytest.mark.parametrize("route, mode", MADE_UP_OF)
def test_made_up_requests_get_what_the_description_promises(route, mode, made_up, client):
    verb, path = route.split(" ")
    study = opened(client)

    @given(made_up[path][verb].as_strategy(generation_mode=mode))
    @settings(
        max_examples=MADE_UP, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    def promised(case):
        if "id" in case.path_parameters and route != "DELETE /studies/{id}":
            case.path_parameters["id"] = study
        case.call_and_validate(checks=CHECKS, headers={"host": "127.0.0.1"})

    promised()
