"""Script and markup in all that a stranger may write: no reply is read as a page, and nothing is put into one as markup."""

from __future__ import annotations

import pytest

from tests.fakes import square
from tests.studies import write

from .conftest import client_of

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&"
FIELDS = (
    "PatientName",
    "SeriesDescription",
    "StudyDescription",
    "BodyPartExamined",
    "Modality",
    "ProtocolName",
    "ImageType",
)
PLAIN = (
    "application/json",
    "text/markdown",
    "application/zip",
    "image/png",
    "application/fhir+json",
    "application/pdf",
)


@pytest.fixture(scope="module")
def study(alice, tmp_path_factory) -> str:
    path = write(
        tmp_path_factory.mktemp("film") / "a.dcm",
        square(),
        **dict.fromkeys(FIELDS[1:], MARKUP[:60]),
        PatientName=MARKUP[:60],
    )
    reply = alice.post("/v1/studies", files={"files": (f"{MARKUP}.dcm", path.read_bytes())})
    assert reply.status_code == 201, reply.text
    return f"/v1/studies/{reply.json()['id']}"


def is_no_page(reply) -> bool:
    """A browser that is led to it shows text or saves it, and runs nothing even if it were a page."""
    headers = reply.headers
    kind = headers["content-type"].partition(";")[0]
    return (
        kind in PLAIN
        and headers["x-content-type-options"] == "nosniff"
        and "script-src" in headers["content-security-policy"]
    )


def test_replies_about_a_study_full_of_markup_are_no_pages(alice, study):
    asked = [
        alice.get(study),
        alice.get(f"{study}/images/0"),
        alice.post(f"{study}/ask", json={"question": f"Is it {MARKUP}?"}),
        alice.post(f"{study}/find", json={"phrases": [MARKUP]}),
        alice.post(f"{study}/check-report", json={"text": f"There is {MARKUP}."}),
        alice.post(f"{study}/report"),
        alice.post(f"{study}/report?format=md"),
        alice.post(f"{study}/{MARKUP}"),
        alice.get(f"/{MARKUP}"),
    ]
    for reply in asked:
        assert reply.status_code < 500 and is_no_page(reply), (reply.request.url, reply.headers)


def test_names_of_files_accounts_and_events_are_no_markup_anywhere(app, alice):
    bad = alice.post("/v1/studies", files={"files": (f"{MARKUP}.png", b"no image")})
    assert bad.status_code == 422 and is_no_page(bad)
    stranger = client_of(app, "10.0.0.7")
    page = stranger.post("/login", data={"token": MARKUP, "name": MARKUP, "password": MARKUP})
    assert page.status_code == 403 and "<script" not in page.text and "onerror" not in page.text
    for path in (f"/?{MARKUP}", f"/login?next={MARKUP}", f"/?__theme={MARKUP}&deep_link={MARKUP}"):
        reply = alice.get(path)
        assert MARKUP not in reply.text and "javascript" not in reply.headers.get("location", "")
