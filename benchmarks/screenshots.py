"""The three pictures of the page that the README shows, taken in Chromium of `medvlm serve` with its own weights.

python benchmarks/screenshots.py ../shared/data -o docs/pictures [--only film] [--model nano]

`film`: a chest film of SLAKE 1.0 (CC BY 4.0, in tests/sample) with a conversation. `volume`: a CT of the chest and abdomen from
TotalSegmentator's repository (Apache-2.0) in three planes, measured. `prior`: two MRI slices 58 days apart of
TCIA's Brain-Tumor-Progression (CC BY 3.0), compared. Needs `pip install -e '.[dev,serving,priors]'` and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import PIL.Image
import requests
from common import records_of
from playwright.sync_api import Page, sync_playwright

FILM = Path(__file__).parents[1] / "tests/sample/slake/images/xmlab128.webp"
VOLUME = "volumes/ct_torso.nii.gz"
PRIOR, SLICES = "brain_tumor_followup", ("btp_06_t1_s10", "btp_06_t2_s10")  # before, now
SIZE = (1440, 1120)
START_S, ANSWER_MS = 180, 300_000
MOST_BYTES = 400_000


@contextlib.contextmanager
def served(model: str | None) -> Iterator[str]:
    """The address of a server of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "medvlm.cli", "serve", "--port", str(port)]
    server = subprocess.Popen(command + (["--model", model] if model else []))
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/v1/ready")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url: str) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(requests.ConnectionError, requests.Timeout):
            if requests.get(url, timeout=10).ok:
                return
        time.sleep(0.5)
    raise TimeoutError(f"{url} does not answer.")


def opened(page: Page, *paths: Path) -> None:
    page.set_input_files(".mv-files", [str(path) for path in paths])
    page.get_by_text("The model takes it for").wait_for()


@contextlib.contextmanager
def answered(page: Page) -> Iterator[None]:
    """What is asked inside has its whole answer afterwards."""
    replies = page.locator(".mv-message.mv-reply")
    before = replies.count()
    yield
    replies.nth(before).wait_for()
    page.wait_for_function("![...document.querySelectorAll('.mv-reply')].some((one) => one.innerText.trim() === '…')")
    page.wait_for_selector(".mv-working", state="hidden")
    page.wait_for_timeout(500)
    page.mouse.move(2, 2)  # off the list, which lights what is under the pointer


def ask(page: Page, text: str, button: str = "ask") -> None:
    with answered(page):
        page.fill("#mv-text textarea", text)
        page.click(f"#mv-{button}-button")


def film(page: Page, data: Path, folder: Path) -> None:
    opened(page, FILM)
    ask(page, "Is there a pleural effusion?")
    ask(page, "Is the heart enlarged?")
    ask(page, "Show the heart and the lungs.")
    page.get_by_text("Is the heart enlarged?").evaluate("(one) => one.scrollIntoView()")


def volume(page: Page, data: Path, folder: Path) -> None:
    opened(page, data / VOLUME)
    ask(page, "How large is the liver?")
    ask(page, "liver", "find")
    page.click("[data-read=planes]")
    page.wait_for_timeout(2_000)


def prior(page: Page, data: Path, folder: Path) -> None:
    records = {record.id: record for record in records_of(data / PRIOR, "val")}
    before, now = (folder / f"{name}.png" for name in ("day 0", "day 58"))
    for path, name in zip((before, now), SLICES, strict=True):
        PIL.Image.fromarray(records[name].image).save(path)
    opened(page, now)
    page.click("[data-prior-do=choose]")
    page.set_input_files(".mv-prior-files", str(before))
    page.wait_for_selector(".mv-compared")
    with answered(page):
        page.click("#mv-report-button")
    page.uncheck("[data-show=boxes]")
    told = page.locator(".mv-list-body").get_by_text("Comparison with the prior").first
    told.evaluate("(one) => one.scrollIntoView({block: 'start'})")


SCENES: dict[str, Callable[[Page, Path, Path], None]] = {"film": film, "volume": volume, "prior": prior}


def save(picture: bytes, path: Path) -> None:
    """As PNG with as few colours as it takes to stay below `MOST_BYTES`."""
    image = PIL.Image.open(io.BytesIO(picture)).convert("RGB")
    image.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        image.quantize(256, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    parser.add_argument("--only", choices=SCENES, help="one of the pictures (default: all)")
    parser.add_argument("--model")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with served(args.model) as address, sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name in [args.only] if args.only else SCENES:
            page = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}).new_page()
            page.set_default_timeout(ANSWER_MS)
            page.goto(address)
            page.wait_for_selector(".mv-stage canvas")
            SCENES[name](page, args.data, Path(folder))
            path = args.output / f"{name}.png"
            save(page.screenshot(), path)
            print(f"{path}: {path.stat().st_size:,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
