"""The page over the fake assistant in a thread, and a real Chromium before it."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections import defaultdict
from pathlib import Path

import PIL.Image
import pytest

from tests.fakes import FakeAssistant, square

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install -e '.[dev]'")
pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",  # nor does it ask
]
PATIENCE = 60_000  # milliseconds; a training may run beside the tests
SIZE, BOX = (200, 300), (60, 50, 180, 130)  # of the picture that is opened: (H, W) and the bright rectangle


@contextlib.contextmanager
def served(assistant, inbox, **options):
    """The page over an assistant, in a thread, with options of `make_app`: its address and its app."""
    import uvicorn

    from serving.server import listen, make_app

    bound = listen("127.0.0.1", 0)
    app = make_app(lambda: assistant, inbox, **options)
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=web.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not web.started and time.monotonic() < end:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}/", app
    web.should_exit = True
    thread.join(timeout=20)


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    """Address of the page, the folder that its uploads pass through, and what the server holds of each window."""
    inbox = tmp_path_factory.mktemp("inbox")
    with served(FakeAssistant(), inbox) as (address, app):
        yield address, inbox, app.state.desks


@pytest.fixture(scope="package")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def png(tmp_path) -> Path:
    path = tmp_path / "study.png"
    PIL.Image.fromarray(square(SIZE, BOX)).save(path)
    return path


@pytest.fixture(scope="package")
def spare(browser):
    """Browser sessions by their screen that no test is in, each with the page's scripts in its cache and no cookie."""
    return defaultdict(list)


@pytest.fixture
def open_page(server, browser, spare):
    """Opens the page in a browser session of its own; afterwards no request has left this machine and no script failed."""
    used, outside, errors = [], [], []

    def new(width: int = 1280, height: int = 800, density: float = 1, script: str = "", url: str = ""):
        screen = {"viewport": {"width": width, "height": height}, "device_scale_factor": density}
        unused = spare[width, height, density]
        context = unused.pop() if unused else browser.new_context(**screen)
        context.set_default_timeout(PATIENCE)
        used.append((context, unused))
        page, home = context.new_page(), url or server[0]
        page.add_init_script(script)
        page.on("request", lambda r: None if r.url.startswith((home, "data:", "blob:")) else outside.append(r.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(home)
        page.wait_for_selector(".mv-stage canvas")
        return page

    yield new
    for context, unused in used:
        for page in context.pages:
            page.close()
        context.clear_cookies()
        unused.append(context)
    assert not outside
    assert not errors
