"""The web server: Gradio's page and the upload route on one address, with the model loading meanwhile."""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI

from medvlm.errors import RequestError

from .page import HERE, build, head, theme
from .uploads import Inbox, add_route


def make_app(assistant: Callable[[], Any], folder: Path) -> FastAPI:
    """The page over `assistant()` as an app; uploads pass through the private `folder`."""
    app, inbox = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), Inbox(folder)
    add_route(app, inbox)
    return gr.mount_gradio_app(
        app,
        build(assistant, inbox),
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


def run(load: Callable[[], Any], host: str, port: int) -> None:
    """Serve until stopped. What `load` raises ends the server and is raised here."""
    bound = listen(host, port)
    with tempfile.TemporaryDirectory(prefix="medvlm-inbox-") as folder, ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        config = uvicorn.Config(
            make_app(loading.result, Path(folder)), log_level="warning", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        loading.add_done_callback(lambda done: setattr(server, "should_exit", done.exception() is not None))
        print(f"medvlm is at http://{host}:{port} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[bound])
        if loading.done():
            loading.result()
