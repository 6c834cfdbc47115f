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
from typing import TYPE_CHECKING, Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from medvlm.errors import RequestError

from .access import audit
from .access.accounts import Proxies
from .access.clients import PEER, user_of
from .access.entrance import ANYBODY, Entrance, Way
from .access.gate import LOOPBACK, Gate, host_name
from .access.limits import FULL, Allowance, Ration
from .access.lines import lines
from .access.prefix import Prefixed, check_prefix
from .access.sessions import Sessions, Terms
from .api import PREFIX, make_api
from .dicomweb import Dicomweb
from .folder import private_folder
from .metrics import CountedTurns, Metrics, Timed
from .observed import Observed, log_json
from .page import wire
from .page.desks import Desks, asking
from .page.events import events_of
from .page.layout import HERE, build, head, scripts, theme
from .store import Memory, Store, answers, open_store
from .supervisor import listen
from .turns import InTurn
from .uploads import Inbox, add_route

if TYPE_CHECKING:
    from medvlm.archive.dicomweb import Archive

IDLE_S = 3600.0  # until a session that is not used ends


def make_app(
    assistant: Callable[[], Any],
    folder: Path,
    hosts: Iterable[str] = (),
    allowed: Iterable[str] = (),
    ready: Callable[[], bool] = lambda: True,
    way: Way = ANYBODY,
    terms: Terms | None = None,
    allowance: Allowance | None = None,
    archive: Callable[[], Archive] | None = None,
    prefix: str = "",
    store: Store | None = None,
) -> FastAPI:
    """The page and the API over `assistant()`, which may wait until `ready()`; uploads pass through the private `folder`.

    It answers to loopback names, `hosts` and `allowed` (see `Gate`), and lets in who comes by `way`. A proxy may serve it under
    the path `prefix`, and replicas share a `store`. Raises `RequestError` for what is no name.
    """
    app, inbox, metrics = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), Inbox(folder), Metrics()
    turns, store = CountedTurns(metrics), store or Memory()

    def timed() -> Timed:
        return Timed(assistant(), metrics)

    def in_turn() -> InTurn:
        return InTurn(timed(), turns, f"tab {asking.get().id}")

    def check_room(more: int) -> None:
        user = user_of(asking.get().client)

        def full() -> bool:
            return ration.allowance.full(desks.held(user), desks.held(), more)

        if full():
            desks.let_go(user)
            if full():
                raise RequestError(FULL)

    def forget(tab: str, lost: bool) -> None:
        turns.abandon(f"tab {tab}")  # no user is called so
        desks.part(tab, lost)

    def close(client: str) -> None:
        api.state.service.studies.leave(client)
        desks.leave(client)
        inbox.leave(client)
        api.state.service.chats.recent.leave(client)

    dicomweb = Dicomweb(archive, inbox) if archive else None
    api = make_api(timed, inbox, turns, ready, dicomweb=dicomweb, store=store, metrics=metrics)
    page, desks = build(way.login, archive is not None), Desks(inbox)
    events = events_of(in_turn, inbox, dicomweb, check_room)
    sessions, ration = Sessions(forget, close, terms, store=store), Ration(allowance)
    metrics.gauge("medvlm_store_up", "Whether what replicas share answers.", lambda: answers(store))
    metrics.gauge("medvlm_sessions", "Browsers' sessions.", lambda: len(sessions))
    metrics.gauge(
        "medvlm_page_bytes", "Pixels that are open in tabs, and results that these have not read.", desks.held
    )
    paths = [f"{PREFIX}{path}" for path in api.openapi()["paths"]]
    actions = {*events, *(path.split("/")[4] for path in paths if path.startswith(f"{PREFIX}/studies/{{id}}/"))}
    app.add_middleware(
        Entrance, way=way, sessions=sessions, desks=desks, inbox=inbox, ration=ration, store=store, actions=actions
    )
    app.add_middleware(Gate, hosts=hosts, allowed=allowed, scripts=scripts(), routes=way.routes)  # before the entrance
    app.add_middleware(Observed, metrics=metrics, routes=paths)
    if prefix:
        app.add_middleware(Prefixed, prefix=prefix)
    add_route(app, inbox)
    app.include_router(wire.router(desks, events, inbox, ration.allowance.waiting, sessions.stay, sessions.leave))
    app.state.turns, app.state.sessions, app.state.desks = turns, sessions, desks
    app.mount(PREFIX, api)
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        root_path=prefix,
        theme=theme(),
        css_paths=[HERE / "viewer.css", HERE / "page.css", HERE / "archive.css"],
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


def names(host: str) -> list[str]:
    """The names that serving on `host` gives the page; an address that stands for all gives none."""
    name = host_name(host)
    try:
        return [] if ipaddress.ip_address(name).is_unspecified else [name]
    except ValueError:
        return [name]


def is_loopback(name: str) -> bool:
    """Whether a host's name or address reaches this machine alone."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in LOOPBACK


def check_way(way: Way, host: str, allowed: Iterable[str]) -> None:
    """Raises `RequestError` where others than the users of this machine could come in without a login."""
    others = [name for name in [host_name(host), *allowed] if not is_loopback(name)]
    if others and not way.login:
        raise RequestError(
            f"Others could open the page as {others[0]}, so it needs a login: --passwords FILE, or --trust-header NAME "
            "--from ADDRESS behind a proxy that has one; docs/SERVING.md has the steps."
        )


def behind(app: FastAPI, proxies: Proxies) -> ASGIApp:
    """The app behind proxies, whose word is taken for who they ask for, and by which scheme."""
    inner = ProxyHeadersMiddleware(app, [str(network) for network in proxies.networks])  # type: ignore[arg-type]

    async def remember(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        await inner({**scope, PEER: client[0] if client else ""}, receive, send)  # type: ignore[arg-type]

    return remember


def run(
    load: Callable[[], Any],
    host: str,
    port: int,
    allowed: Iterable[str] = (),
    way: Way = ANYBODY,
    proxies: Iterable[str] = (),
    idle_s: float = IDLE_S,
    audit_log: str | None = None,
    bound: socket.socket | None = None,
    archive: Callable[[], Archive] | None = None,
    prefix: str = "",
    store: str | None = None,
    log: str = "text",
) -> None:
    """Serve until stopped, by Ctrl-C or SIGTERM. What `load` raises ends the server and is raised here.

    `bound` is a socket that is bound to the address already, `store` the URL of what replicas share. Raises `RequestError` where
    the address cannot be used, `allowed` holds what is no host's name, `prefix` is no path, or `store` no store.
    """
    allowed = [host_name(name) for name in allowed]
    check_way(way, host, allowed)
    prefix = check_prefix(prefix)
    hosts, trusted, shared = names(host), Proxies(proxies), open_store(store)
    terms = Terms(idle_s, tabs_of_one=16, open_tabs_last=False) if way.login else Terms(idle_s)
    bound = bound or listen(host, port)
    audit.be_discreet()
    if way.login or audit_log:
        audit.keep(audit_log)
    if log == "json":
        log_json()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it would end the process before the folder is gone
    with ThreadPoolExecutor(1) as pool, private_folder() as folder:
        loading = pool.submit(load)
        app = make_app(loading.result, folder, hosts, allowed, loading.done, way, terms, None, archive, prefix, shared)
        config = uvicorn.Config(
            behind(app, trusted),
            http=lines(trusted),
            ws="none",
            log_config=None,
            log_level="warning",
            proxy_headers=False,  # whoever is no proxy of ours could say there who they are
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        loading.add_done_callback(lambda done: setattr(server, "should_exit", done.exception() is not None))
        shown = next(iter([*hosts, *allowed]), "127.0.0.1")
        shown = f"[{shown}]" if ":" in shown else shown
        print(f"medvlm is at http://{shown}:{bound.getsockname()[1]} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[bound])
        app.state.turns.close()
        if loading.done():
            loading.result()
