"""The archive on the page, in a real browser: a study is searched, opened and reported, and the report stored beside it."""

from __future__ import annotations

import pytest

pytest.importorskip("dicomweb_client")
pytest.importorskip("highdicom")

from medvlm.archive.dicomweb import Archive
from tests.archives import FakeArchive, ct
from tests.fakes import FakeAssistant

from .conftest import served


def test_a_study_is_opened_from_the_archive_and_its_report_stored_there(open_page, tmp_path):
    with FakeArchive() as archive:
        study = ct(tmp_path / "scan", StudyDate="20260130", PatientName="Doe^Jane", PatientID="77")
        Archive(archive.url).store(sorted((tmp_path / "scan").iterdir()))
        (tmp_path / "inbox").mkdir()
        with served(FakeAssistant(), tmp_path / "inbox", archive=lambda: Archive(archive.url)) as (address, _):
            page = open_page(url=address)
            page.click("text=Store in archive…")
            page.click("[data-archive=sure]")
            page.get_by_text("Ask for a report first.").wait_for()

            page.click("text=Open from archive…")
            page.fill("[name=name]", "nobody")
            page.click("[data-archive=search] [type=submit]")
            page.get_by_text("No study matches.").wait_for()
            page.fill("[name=name]", "jane doe")
            page.keyboard.press("Enter")
            page.get_by_role("button", name="Open Doe Jane 2026-01-30").wait_for()
            page.get_by_role("button", name="Open Doe Jane 2026-01-30").click()
            page.wait_for_selector(".mv-open")
            assert not page.locator("dialog[open]").count()

            page.click("#mv-report-button")
            page.wait_for_selector(".mv-finding")
            page.click("text=Store in archive…")
            page.click("[data-archive=sure]")
            page.get_by_text("Stored in the archive, beside the images: 3 objects.").wait_for()
            assert archive.modalities(study) == ["CT", "CT", "CT", "DOC", "SEG", "SR"]

            archive.faults["GET /studies"] = "500"
            page.click("text=Open from archive…")
            page.click("[data-archive=search] [type=submit]")
            page.get_by_text("answers with an error (HTTP 500)").wait_for()
