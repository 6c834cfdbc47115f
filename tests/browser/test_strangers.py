"""Files, questions and answers full of HTML: all of it is shown as text, and nothing of it leaves the machine."""

from __future__ import annotations

import http.server
import threading
import zipfile
from dataclasses import replace

import PIL.Image
import pytest

from medvlm.types import Answer, ImageFacts, Operating, Point
from tests.fakes import FakeAssistant, square

from .conftest import served
from .test_page import ask, check_report, files, upload

COVER = "<style data-stranger>body{display:none}</style><b data-stranger>ALL NORMAL, NO FINDING</b>"
SPY = """window.stranger = []; window.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.blockedURI));"""
# Of what the page's own parts are made; anything else in them came from a stranger.
TABLE = {"TABLE", "THEAD", "TBODY", "TR", "TH", "TD"}
OWN = {
    "#mv-chat": set("DIV P DETAILS SUMMARY LABEL SPAN INPUT".split()),
    "#mv-panel": TABLE | set("DIV SPAN BUTTON I H2 H3 P DETAILS SUMMARY TEXTAREA FORM INPUT DATALIST OPTION".split()),
    "#mv-viewer": set("DIV SPAN BUTTON LABEL INPUT CANVAS P OUTPUT SELECT OPTION I NAV H2 H3 DL DT DD DIALOG".split()),
}


@pytest.fixture(scope="module")
def trap():
    """A server beside the page, and the requests that it got."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            got.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(b"a site")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{web.server_address[1]}", got
        web.shutdown()


def hostile(place: str) -> str:
    """HTML that would run, cover the page and ask `place` for pictures, without a slash, as a zip entry needs it."""
    there = f"http:\\\\{place}\\"
    return (
        f"<img data-stranger src={there}i onerror=window.stranger.push(1)><video data-stranger src={there}v autoplay>"
        f"<iframe data-stranger src={there}f><script data-stranger>window.stranger.push(2)</script>{COVER}"
    ).replace("</", "<")


class HostileAssistant(FakeAssistant):
    """Whatever it says is HTML."""

    def __init__(self, html: str):
        super().__init__()
        self.html = html

    def facts(self, study, image=None):
        return ImageFacts(self.html, 0.9, self.html, 0.8, 0.95)

    def ask(self, study, question, image=None, history=(), region=None, sensitivity=None):
        regions = self._ground(study, ["thing"], image).regions
        at = Operating(self.html, 0, (Point(None, 0.9, 0.8),), (9, 9))
        said = {"detail": self.html, "scope": self.html, "model": self.html}
        return Answer(self.html, 0.8, regions, self.html, operating=at, **said)

    def check_report(self, study, text):
        return [replace(claim, sentence=self.html, label=self.html) for claim in super().check_report(study, text)]

    def _ground(self, study, phrases, image):
        found = super()._ground(study, phrases, image)
        for region in found.regions:
            region.label = self.html
        return found

    def report(self, study):
        report = super().report(study)
        report.regions = self._ground(study, ["thing"], None).regions
        report.disclaimer = self.html
        for section in report.sections:
            section.title = self.html
            for sentence in section.sentences:
                sentence.text, sentence.regions = self.html, [0]
        return report


@pytest.fixture(scope="module")
def html(trap):
    return hostile(trap[0])


@pytest.fixture(scope="module")
def address(tmp_path_factory, html):
    with served(HostileAssistant(html), tmp_path_factory.mktemp("inbox")) as (url, _):
        yield url


def foreign(page) -> list[str]:
    """Elements of the page that are not its own."""
    script = """(own) => [...document.querySelectorAll('[data-stranger]'), ...document.body.querySelectorAll(
        'img, video, audio, iframe, object, embed, meta, base, form:not(.mv-add), a')]
      .concat(Object.entries(own).flatMap(([id, tags]) =>
        [...document.querySelector(id).querySelectorAll('*')].filter((e) => !tags.includes(e.tagName))))
      .map((e) => e.outerHTML)"""
    return page.evaluate(script, {name: sorted(tags) for name, tags in OWN.items()})


def assert_all_is_text(page, trap) -> None:
    page.wait_for_timeout(300)  # what a browser would fetch, it would fetch by now
    assert foreign(page) == []
    assert page.evaluate("[window.stranger, window.violations]") == [[], []]
    assert page.locator("#mv-chat").is_visible()  # no style hides the page
    assert trap[1] == []


def chat(page, text: str) -> None:
    page.wait_for_function("(text) => document.querySelector('#mv-chat').textContent.includes(text)", arg=text)


def test_names_of_zip_entries_and_files(open_page, trap, html, tmp_path, address):
    page = open_page(script=SPY, url=address)
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(f"{html}.png", b"\x89PNG\r\n\x1a\n and no more")
    upload(page, archive)
    chat(page, html)  # the refusal quotes the entry, letter by letter
    assert_all_is_text(page, trap)
    name = "<img data-stranger src=x onerror=window.stranger.push(3)>.dcm"
    page.set_input_files(".mv-files", [{"name": name, "mimeType": "", "buffer": b"not a scan"}])
    chat(page, "not an image that can be read")
    assert_all_is_text(page, trap)


def test_questions_phrases_labels_answers_and_reports(open_page, trap, html, tmp_path, address):
    page = open_page(script=SPY, url=address)
    path = tmp_path / "study.png"
    PIL.Image.fromarray(square((200, 300), (60, 50, 180, 130))).save(path)
    upload(page, path)
    chat(page, f"The model takes it for: {html}")
    question = "Is <b data-stranger>this</b> &lt;normal&gt; &amp; *well* `so` $x$ <img data-stranger src=x>?"
    ask(page, question)
    chat(page, question)  # as it was typed
    chat(page, f"confidence 80 %, 1 region shown, {html}")
    page.locator(".mv-trace summary").last.click()
    parts = page.locator(".mv-reply").last.locator(".mv-said > div, .mv-trace > div")
    assert [text.startswith(html) for text in parts.all_text_contents()] == [True, True, False, True]
    assert page.locator(".mv-point label").last.text_content() == f"Sensitivity ({html})"
    assert_all_is_text(page, trap)
    ask(page, f"thing {COVER}", "find")
    chat(page, f"Find: thing {COVER}")
    chat(page, "1 region found")
    assert page.locator(".mv-label").first.text_content() == html
    assert_all_is_text(page, trap)
    page.click("#mv-report-button")
    page.wait_for_selector(".mv-sentence")
    assert page.locator("button.mv-sentence").first.text_content().startswith(html)
    assert_all_is_text(page, trap)
    check_report(page, "Shown thing.\nNo thing.")
    chat(page, f"Supported: {html} ({html})")
    assert_all_is_text(page, trap)
    page.locator(".mv-note", has_text=f"1 region shown, {html}").click()  # an earlier answer comes back, as text again
    page.locator(".mv-list-title", has_text=question).wait_for()
    assert page.locator(".mv-label").first.text_content() == html
    assert_all_is_text(page, trap)


def test_even_html_in_the_page_reaches_nobody(browser, trap, html, server):
    """The second wall: were HTML to get in after all, the browser asks nobody for anything and runs nothing of it."""
    page = browser.new_context().new_page()
    page.add_init_script(SPY)
    page.goto(server[0])
    page.wait_for_selector(".mv-stage canvas")
    outside = []
    page.context.on("requestfinished", lambda r: outside.append(r.url) if trap[0] in r.url else None)
    tried = page.evaluate(
        """async ([html, place]) => {
          const box = document.createElement('div');
          box.innerHTML = html + `<form action="http://${place}/form"><button>x</button></form>`
            + `<p style="background-image: url(http://${place}/css)">x</p>`;
          document.querySelector('#mv-viewer').append(box);
          box.querySelector('form button')?.click();
          const script = document.createElement('script');
          script.textContent = 'window.stranger.push(4)';
          document.body.append(script);
          await fetch(`http://${place}/fetch`).catch(() => 0);
          navigator.sendBeacon(`http://${place}/beacon`);
          await new Promise((go) => setTimeout(go, 1000));
          return [window.stranger, window.violations.length];
        }""",
        [html.replace("<script", "<i").replace("\\", "/"), trap[0]],
    )
    assert tried[0] == []
    assert tried[1] >= 5
    assert trap[1] == [] and outside == []
    assert page.url == server[0]
    page.context.close()


def test_a_foreign_site_reaches_nothing(browser, server, trap):
    """Another site in the same browser, by `fetch` and by a name of its own for this machine."""
    before = files(server)
    page = browser.new_context().new_page()
    page.goto(f"http://{trap[0]}/site")
    trap[1].clear()
    page.set_content("<p>a site</p>")
    read = page.evaluate(
        """async (url) => {
          const reach = (...what) => fetch(...what).then((r) => r.text(), () => 'refused');
          const form = new FormData();
          form.append('files', new File(['x'], 'a.png'));
          return [await reach(url), await reach(url + 'uploads', {method: 'POST', body: form, headers: {'x-medvlm': '1'}})];
        }""",
        server[0],
    )
    assert read == ["refused", "refused"]
    assert files(server) <= before
    reply = page.goto(server[0].replace("127.0.0.1", "rebound.localhost"))
    assert reply.status == 403
    assert "not served under this name" in page.content()
    page.context.close()
