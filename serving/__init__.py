"""The chat page: a front end over `Assistant` that keeps no user's data beyond the open tab."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from medvlm.errors import RequestError
from medvlm.memory import loading

# Gradio and the hub read these where they are imported; the page never reaches the network.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def serve(
    model: str | None = None,
    device: str = "cpu",
    host: str = "127.0.0.1",
    port: int = 7860,
    allowed: Iterable[str] = (),
    language: str | None = None,
    phrase: bool = False,
    send_images: bool = False,
    passwords: str | None = None,
    trust_header: str | None = None,
    proxies: Iterable[str] = (),
    idle_minutes: float = 60,
    audit_log: str | None = None,
    root_path: str = "",
    bound: socket.socket | None = None,
    dicomweb: str | None = None,
    store: str | None = None,
    log: str = "text",
) -> None:
    """Serve the page until it is stopped; the model loads while the page comes up.

    It answers to loopback names, to `host` and to the names in `allowed`. `language` names what reads the questions
    and, with `phrase`, says the answers; with `send_images` a server that it names is sent images (see `Assistant.load`).
    On any other address than loopback it needs a login: a file of `passwords`, or the header in which one of the `proxies`
    names who it let in; a proxy may serve it under `root_path`. A session that nobody uses ends after `idle_minutes`,
    with all that it held. `bound` is a socket that is bound to the address already.
    `dicomweb` is the address of an archive, whose studies all who may come in can open and store reports into.
    `store` is the URL of the Redis that several replicas share; with the `log` "json" each request is a line on stderr.
    Raises `RequestError` where the address cannot be used, `ModelError` and `LanguageError` where a model cannot be loaded.
    """
    try:
        with loading():
            from .access.accounts import Accounts, Proxies, TrustedHeader
            from .access.entrance import Way
            from .dicomweb import archives_at
            from .server import run
    except ModuleNotFoundError as error:
        raise RequestError(f"The page needs {error.name}; pip install 'medvlm-assistant[serving]'.") from error

    header = TrustedHeader(trust_header, Proxies(proxies)) if trust_header else None
    way = Way(Accounts.read(passwords) if passwords else None, header)

    archive = archives_at(dicomweb) if dicomweb else None

    def load():
        with loading():
            from medvlm.assistant import Assistant

            return Assistant.load(model, device, language, phrase, send_images)

    run(load, host, port, allowed, way, proxies, idle_minutes * 60, audit_log, bound, archive, root_path, store, log)


__all__ = ["serve"]
