"""The web server: Gradio's page, the upload route and the API behind one gate, with the model loading meanwhile."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI

from medvlm.errors import RequestError

from . import openai
from .api import PREFIX, make_api
from .folder import private_folder
from .gate import Gate, host_name
from .page import HERE, build, head, scripts, theme
from .turns import InTurn, Turns
from .uploads import Inbox, add_route


def make_app(
    assistant: Callable[[], Any],
    folder: Path,
    hosts: Iterable[str] = (),
    allowed: Iterable[str] = (),
    ready: Callable[[], bool] = lambda: True,
) -> FastAPI:
    """The page and the API over `assistant()`, which may wait until `ready()`; uploads pass through the private `folder`.

    It answers to loopback names, `hosts` and `allowed` (see `Gate`). Raises `RequestError` for what is no name.
    """
    app, inbox, turns = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), Inbox(folder), Turns()
    app.add_middleware(Gate, hosts=hosts, allowed=allowed, scripts=scripts())

    def in_turn() -> InTurn:
        return InTurn(assistant(), turns)

    add_route(app, inbox)
    app.include_router(openai.router(in_turn, folder))
    app.state.turns = turns
    app.mount(PREFIX, make_api(assistant, inbox, turns, ready))  # behind the routes that share its prefix
    return gr.mount_gradio_app(
        app,
        build(in_turn, inbox),
        path="/",
        theme=theme(),
        css_paths=[HERE / "viewer.css", HERE / "page.css"],
        head=head(),
        js="() => document.body.classList.add('dark')",  # whatever the browser's own preference is
        footer_links=[],
        show_error=False,
        run_history=False,  # would keep a patient's data in the browser
        max_file_size=1,  # Gradio's own upload route writes into the folder that it serves; ours is used instead
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
    )


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises `RequestError` where the address is taken or not ours."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"The page cannot use {host}:{port} ({reason}); choose another address with --port."
        ) from error
    return bound


def names(host: str) -> list[str]:
    """The names that serving on `host` gives the page; an address that stands for all gives none."""
    name = host_name(host)
    try:
        return [] if ipaddress.ip_address(name).is_unspecified else [name]
    except ValueError:
        return [name]


def run(load: Callable[[], Any], host: str, port: int, allowed: Iterable[str] = ()) -> None:
    """Serve until stopped, by Ctrl-C or SIGTERM. What `load` raises ends the server and is raised here.

    Raises `RequestError` where the address cannot be used or `allowed` holds what is no host's name.
    """
    allowed = [host_name(name) for name in allowed]
    hosts = names(host)
    bound = listen(host, port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it would end the process before the folder is gone
    with ThreadPoolExecutor(1) as pool, private_folder() as folder:
        loading = pool.submit(load)
        app = make_app(loading.result, folder, hosts, allowed, loading.done)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
        loading.add_done_callback(lambda done: setattr(server, "should_exit", done.exception() is not None))
        shown = next(iter([*hosts, *allowed]), "127.0.0.1")
        shown = f"[{shown}]" if ":" in shown else shown
        print(f"medvlm is at http://{shown}:{bound.getsockname()[1]} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[bound])
        app.state.turns.close()
        if loading.done():
            loading.result()
