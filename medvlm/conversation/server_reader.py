"""A reader behind an OpenAI-compatible server that the user named. Questions go there, and what `tell` is given: an image with
`--send-images` alone."""

from __future__ import annotations

import http.client
import json
import math
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from ..errors import LanguageError
from .grammar import Program
from .instructions import MOST_TOKENS, UNREAD, messages, taken
from .reader import Reading

PLAINLY = {"chat_template_kwargs": {"enable_thinking": False}}  # as vLLM and llama.cpp take it
UNSAID = 0.5  # chance of a reading where the server does not tell how sure its model was
MOST_BYTES = 1_000_000  # of a reply


class Refusal(LanguageError):
    """A server was reached but refuses the request, with a status."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class ServerReader:
    """Reads with the model of a server: `url` is the base of its API, such as `http://127.0.0.1:8080/v1`, with the model's name
    behind a `#` where it has several (else the first it lists). `values` are those that "is=" may take.

    Nothing but `url` is contacted: no proxy, and no redirect is followed. Raises `LanguageError` for what is no such
    address; nothing is sent before the first question.
    """

    def __init__(self, url: str, timeout: float = 20, values: Sequence[str] = ()):
        base, _, self.name = url.partition("#")
        if not _is_address(base):
            raise LanguageError(
                "--language takes an address such as http://127.0.0.1:8080/v1, without a name or password."
            )
        self.url, self.timeout, self.values = base.rstrip("/"), timeout, tuple(values)
        self.thoughts: dict[str, Any] = PLAINLY
        self.opener = urllib.request.OpenerDirector()  # by hand: the usual one follows proxies, redirects and files
        for handler in (
            urllib.request.HTTPHandler,
            urllib.request.HTTPSHandler,
            urllib.request.HTTPErrorProcessor,
            urllib.request.HTTPDefaultErrorHandler,
        ):
            self.opener.add_handler(handler())

    def read(self, question: str, before: Program | None = None, has_region: bool = False) -> Reading:
        """The calls in the first line of the server's reply, with the chance that its model gave that line.

        A reply that holds none is read as `recall()` with chance 0. Raises `LanguageError` where the server cannot be
        reached, does not answer in time, goes away meanwhile or refuses.
        """
        context = before or ()
        chat = messages(question, context, has_region, self.values)
        try:
            choice = self._choice({"messages": chat, "max_tokens": MOST_TOKENS, "logprobs": True})
            calls = taken(choice["message"]["content"], question, context, self.values)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            return UNREAD
        return Reading(calls, _chance(choice)) if calls else UNREAD

    @property
    def called(self) -> str:
        """The model's name without its folder, or the server's until the model is known."""
        return self.name.rstrip("/").rpartition("/")[2] or urlsplit(self.url).netloc

    def tell(self, chat: Sequence[dict[str, Any]], most: int) -> str:
        """The model's reply to a chat, of at most `most` tokens as far as the server keeps to it; nothing where it sends
        rubbish. Raises `LanguageError` where it cannot be reached, refuses or hangs."""
        try:
            text = self._choice({"messages": list(chat), "max_tokens": most})["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            return ""
        return text if isinstance(text, str) else ""

    def _choice(self, body: dict[str, Any]) -> Any:
        """The first choice of the server's reply to a chat. Its model is not to think first, which would take all of its tokens;
        a server that refuses to be told so is not told again."""
        body = {"model": self._model(), "temperature": 0, **body}
        try:
            reply = self.fetch("/chat/completions", {**body, **self.thoughts})
        except Refusal as refusal:
            if not self.thoughts or refusal.status not in (400, 422):
                raise
            self.thoughts = {}
            reply = self.fetch("/chat/completions", body)
        return json.loads(reply)["choices"][0]

    def _model(self) -> str:
        """The model's name: as given, else the first that the server lists, which is requested once."""
        if not self.name:
            try:
                self.name = str(json.loads(self.fetch("/models"))["data"][0]["id"])
            except (Refusal, ValueError, KeyError, IndexError, TypeError, RecursionError):
                self.name = "default"
        return self.name

    def fetch(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        """What the server answers within the time-out, by POST where there is a `body`. Raises `LanguageError`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        done: queue.Queue[bytes | Exception] = queue.Queue()
        # In a thread, since a socket's own time-out begins anew with every byte.
        threading.Thread(target=self._fetch, args=(request, done), daemon=True).start()
        try:
            got = done.get(timeout=self.timeout)
        except queue.Empty:
            got = TimeoutError()
        if isinstance(got, Exception):
            why = f"The language server at {self.url} {self._why(got)}."
            raise Refusal(why, got.code) if isinstance(got, urllib.error.HTTPError) else LanguageError(why)
        return got

    def _fetch(self, request: urllib.request.Request, done: queue.Queue[bytes | Exception]) -> None:
        try:
            end, got = time.monotonic() + self.timeout, b""
            with self.opener.open(request, timeout=self.timeout) as response:
                while (part := response.read1(65536)) and len(got) <= MOST_BYTES and time.monotonic() < end:
                    got += part
                if not part and response.length:  # fewer bytes than its header states
                    raise http.client.IncompleteRead(b"")
            done.put(got)
        except Exception as error:  # raised again in the waiting thread
            done.put(error)

    def _why(self, error: Exception) -> str:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            if 300 <= error.code < 400:
                return "sends elsewhere, which is not followed: name the address itself, or leave --language out"
            return f"refuses with status {error.code}: check the address and the model, or leave --language out"
        if isinstance(reason, TimeoutError):
            return f"did not answer within {self.timeout:g} s: start it, or leave --language out"
        if isinstance(error, urllib.error.URLError):
            return "cannot be reached: start it, or leave --language out"
        return "went away while it answered: start it again, or leave --language out"


def _is_address(url: str) -> bool:
    """Whether it is the plain address of a server, without what would be shown or sent unawares."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises where it is no number)
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return (
        plain
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and not ("@" in parts.netloc or parts.query)
    )


def _chance(choice: dict[str, Any]) -> float:
    """The product of the chances of the tokens up to the end of a reply's first line, where the server tells them."""
    line, total = "", 0.0
    try:
        for token in choice["logprobs"]["content"]:
            line += token["token"]
            if "\n" in line.lstrip():
                break
            total += float(token["logprob"])
        chance = math.exp(total)
    except (KeyError, TypeError, ValueError, OverflowError):
        return UNSAID
    return chance if line and 0 <= chance <= 1 else UNSAID
