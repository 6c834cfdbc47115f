"""Requests to an archive that end: in time, whole, at the address that was named, and each failure as one sentence."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest, Response
from requests.auth import AuthBase, HTTPBasicAuth
from requests.exceptions import ChunkedEncodingError, HTTPError, SSLError, Timeout, TooManyRedirects

from ..errors import MedVLMError, RequestError
from . import ArchiveError

USER, PASSWORD, TOKEN = (f"MEDVLM_DICOMWEB_{name}" for name in ("USER", "PASSWORD", "TOKEN"))

# They quote addresses with identifiers, and elements' values.
logging.getLogger("dicomweb_client").addHandler(logging.NullHandler())
logging.getLogger("dicomweb_client").propagate = False


@dataclass(frozen=True)
class Patience:
    """How long an archive may take, and how much it may say."""

    silence: float = 30.0  # seconds without a byte
    start: float = 60.0  # seconds that any answer may take
    slowest: float = 32 * 2**10  # bytes a second, below which a longer answer is given up
    most_bytes: int = 2 * 2**30  # of an answer with files
    most_listed: int = 64 * 2**20  # bytes of any other, which is held in memory as a whole


def check_address(url: str) -> str:
    """The address of a DICOMweb service, without a slash at its end.

    Raises:
        RequestError: it is none, or holds a password or a query, which would end in logs and lists of processes.
    """
    form = "an address such as http://127.0.0.1:8042/dicom-web"
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise RequestError(f"--dicomweb takes {form}.") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise RequestError(
            f"--dicomweb takes {form}, without user, password or query: set {USER} and {PASSWORD}, or {TOKEN}."
        )
    if not known:
        raise RequestError(f"--dicomweb takes {form}.")
    return url.rstrip("/")


def session_of() -> requests.Session:
    """A session with the environment's credentials, or else those of a netrc file, that follows no archive elsewhere."""
    session = _Session()
    session.auth = _credentials()
    session.max_redirects = 0
    return session


class _Session(requests.Session):
    """Sends wildcards as they are, since Orthanc does not decode them."""

    def prepare_request(self, request: requests.Request) -> PreparedRequest:
        prepared = super().prepare_request(request)
        path, mark, query = (prepared.url or "").partition("?")
        prepared.url = path + mark + query.replace("%2A", "*")
        return prepared


class _Bearer(AuthBase):
    def __init__(self, token: str):
        self.token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _credentials() -> AuthBase | None:
    """`None` leaves it to requests, which looks into the netrc file."""
    token, user, password = (os.environ.get(name) for name in (TOKEN, USER, PASSWORD))
    if bool(user) != bool(password):
        raise RequestError(f"{USER} and {PASSWORD} belong together: set both.")
    if token:
        return _Bearer(token)
    return HTTPBasicAuth(user.encode(), password.encode()) if user and password else None


def bounded(patience: Patience) -> Callable[..., Response]:
    """A hook that has the bodies of answers read within limits."""

    def hook(response: Response, *_: Any, **__: Any) -> Response:
        response.raw = _Body(response, patience)
        return response

    return hook


class _Body:
    """A body that is given up where it trickles or never ends, and that was cut off where its last delimiter is missing."""

    def __init__(self, response: Response, patience: Patience):
        self.raw, self.patience, self.start = response.raw, patience, time.monotonic()
        self.closing = _closing(response.headers.get("Content-Type", ""))
        self.most = patience.most_bytes if self.closing else min(patience.most_bytes, patience.most_listed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def stream(self, size: int, decode_content: bool = True) -> Iterator[bytes]:
        count, tail = 0, b""
        while piece := self.raw.read1(size, decode_content=decode_content):
            count += len(piece)
            if count > self.most:
                raise ArchiveError("The archive answers with more than a study may hold: ask for less.")
            if time.monotonic() - self.start > self.patience.start + count / self.patience.slowest:
                raise Timeout
            tail = (tail + piece)[-1024:]
            yield piece
        if self.closing and self.closing not in tail:
            raise ChunkedEncodingError


def _closing(content_type: str) -> bytes | None:
    """What the body of a multipart answer ends with."""
    for part in content_type.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "boundary":
            return b"--" + value.strip('"').encode() + b"--"
    return None


@contextmanager
def asking(host: str) -> Iterator[None]:
    """Turn whatever goes wrong with a request into one `ArchiveError` that quotes nothing of the answer."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            yield
    except (MedVLMError, MemoryError):
        raise
    except requests.RequestException as error:
        raise ArchiveError(_sentence(error, host)) from None
    except OSError:  # of the files here
        raise
    except Exception:  # whatever the libraries raise on an answer that is none
        if os.environ.get("MEDVLM_DEBUG"):
            raise
        raise ArchiveError(_not_understood(host)) from None


def _not_understood(host: str) -> str:
    return f"The answer of {host} cannot be understood: give the address of its DICOMweb service."


def _sentence(error: requests.RequestException, host: str) -> str:
    if isinstance(error, HTTPError) and error.response is not None:
        code = error.response.status_code
        if code in (401, 403):
            return f"{host} does not let you in: set {USER} and {PASSWORD}, or {TOKEN}, or add it to your netrc file."
        if code == 404:
            return f"{host} knows no such study or address: give one that it lists, at its DICOMweb service."
        return f"{host} answers with an error (HTTP {code}): try again later, or ask those who run it."
    if isinstance(error, Timeout):
        return f"{host} is too slow: try again later."
    if isinstance(error, TooManyRedirects):
        return f"{host} sends on to another address, which is not followed: give that one."
    if isinstance(error, SSLError):
        return f"The certificate of {host} is not trusted: name its authority's file in REQUESTS_CA_BUNDLE."
    if isinstance(error, ChunkedEncodingError):
        return f"{host} broke off in the middle of its answer: try again."
    if isinstance(error, requests.ConnectionError):
        return f"{host} cannot be reached, or broke off: check the address, and that it runs."
    return _not_understood(host)
