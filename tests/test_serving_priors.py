"""A prior on the page, without a browser: what its listeners do to a session, and what is sent of it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed: pip install -e '.[priors]'")

from medvlm.errors import RequestError
from medvlm.report.alignment import Alignment
from medvlm.report.changes import TITLE as COMPARISON
from medvlm.report.prior import laid, middle_on_middle, told
from medvlm.report.recompared import ANEW
from medvlm.types import Image, Study
from serving.access.limits import FULL
from serving.page import payload
from serving.page.correcting import Correcting
from serving.page.handlers import Handlers
from serving.page.priors import Priors
from serving.page.session import Session
from serving.page.studies import Studies
from serving.uploads import UNCLAIMED, Inbox, Upload

from .priors import SIZE, ComparingAssistant, drawn, pair, pair_of_series
from .studies import write


def event(**fields):
    return fields


class Page:
    """A session with its listeners, and what the user does."""

    def __init__(self, folder):
        self.inbox, self.session, fake = Inbox(folder), Session(), ComparingAssistant()
        self.do, self.prior = Handlers(lambda: fake, self.inbox), Priors(lambda: fake, self.inbox)

    def upload(self, path) -> str:
        folder = self.inbox.new()
        self.inbox.sent[folder.name] = Upload("loopback")
        shutil.copy(path, folder)
        return folder.name

    def open(self, path):
        self.do.open_upload(self.session, event(upload=self.upload(path)))
        assert self.session.study is not None

    def compare(self, path) -> dict:
        """What is told of a prior when it was read; it is laid beside what is open."""
        told = self.prior.take(self.session, event(upload=self.upload(path)))["message"]
        self.prior.lay(self.session)
        return told

    def report(self) -> dict:
        self.do.report(self.session)
        self.do.work(self.session)
        return self.layer

    @property
    def said(self) -> str:
        return self.session.chat.messages[-1]["content"]

    @property
    def layer(self) -> dict:
        return payload.layer(self.session)

    @property
    def picture(self) -> dict:
        return payload.picture(self.session)

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.inbox.folder.iterdir()}


@pytest.fixture
def page(tmp_path):
    (tmp_path / "inbox").mkdir()
    return Page(tmp_path / "inbox")


def sentence(layer: dict, start: str) -> dict:
    """Of the comparison."""
    section = next(section for section in layer["sections"] if section["title"].startswith("Comparison"))
    return next(s for s in section["sentences"] if s["text"].startswith(start))


def test_a_prior_is_laid_beside_and_its_changes_light_up_in_both(page, tmp_path):
    today, before = pair(tmp_path)
    page.open(today)
    key = page.session.key
    assert page.picture["prior"] is None
    page.compare(before)
    assert "10 days earlier than the image, by the dates in the headers." in page.said
    shown = page.picture
    assert (shown["study"], shown["prior"]["title"]) == (key, "Prior, 10 days earlier")
    assert shown["prior"]["src"].startswith("data:image/")
    layer = page.report()
    regions = layer["regions"]
    assert layer["title"] == "Report draft, compared with the prior"
    larger = sentence(layer, "Lung nodule")
    assert "larger" in larger["text"]
    now, then = [regions[n] for n in larger["regions"]]
    assert "earlier" not in now and then["earlier"]
    assert np.allclose(now["box"], [56, 36, 105, 85], atol=1)
    assert np.allclose(then["box"], [66, 46, 95, 75], atol=2)  # where it lies in the current image, not in its own
    (gone,) = [regions[n] for n in sentence(layer, "No longer found")["regions"]]
    assert gone["earlier"] and gone["mask"]
    assert all(not regions[n].get("earlier") for n in layer["sections"][1]["sentences"][0]["regions"])
    page.prior.close(page.session)
    assert page.picture["prior"] is None and page.session.key == key
    assert not any(region.get("earlier") for region in page.layer["regions"])
    assert page.files == page.session.uploads  # those of the prior are gone


def test_the_dates_decide_and_the_user_may_swap(page, tmp_path):
    today, before = pair(tmp_path)
    page.open(before)
    first, chat = page.session.key, page.session.chat
    page.compare(today)
    assert "so the two were exchanged" in page.said
    assert page.session.prior.key == first and page.session.prior.chat is chat
    page.do.report(page.session)
    page.prior.swap(page.session)  # while the report waits
    assert page.session.key == first and page.session.chat is chat
    assert "10 days later than the image; they are compared as they were given" in page.said
    page.do.work(page.session)
    assert page.session.layer is None  # the report is of what is the prior now
    page.prior.swap(page.session)
    assert page.session.chat.messages[2]["content"].startswith("Report draft")
    assert "so the two were exchanged" not in page.said
    assert "smaller" not in sentence(page.report(), "Lung nodule")["text"]
    assert page.files == page.session.uploads and len(page.files) == 2


def test_another_patient_is_asked_about(page, tmp_path):
    today, before = pair(tmp_path, PatientID="another")
    page.open(today)
    messages = len(page.session.chat.messages)
    assert "different patients" in page.compare(before)["ask"]
    assert page.session.prior is None and len(page.session.chat.messages) == messages
    page.prior.agree(page.session, event(sure="yes"))  # not what the page sends
    page.prior.lay(page.session)
    assert page.session.prior is None and page.files == page.session.uploads
    page.compare(before)
    page.prior.agree(page.session, event(sure=True))
    page.prior.lay(page.session)
    assert page.session.prior is not None and "different patients" in page.said


@pytest.mark.parametrize(
    ("elements", "words"), [({"Modality": "MR"}, "give a prior of the same kind"), ({"Rows": None}, "before.dcm")]
)
def test_what_is_no_prior_leaves_all_as_it_is(page, tmp_path, elements, words):
    today, before = pair(tmp_path, **elements)
    page.open(today)
    page.report()
    key, layer = page.session.key, page.session.layer
    page.compare(before)
    assert words in page.said and page.said.count(".") <= 2
    assert (page.session.key, page.session.layer, page.session.prior) == (key, layer, None)
    assert page.session.candidate is None and page.files == page.session.uploads


def test_without_an_open_study_there_is_no_prior(page, tmp_path):
    _, before = pair(tmp_path)
    page.compare(before)
    assert page.said == "Open an image first." and not page.files
    for name in (None, "..", 7):
        page.prior.take(page.session, event(upload=name))
    assert page.session.candidate is None


def test_pictures_without_headers_are_taken_as_they_are_given(page, tmp_path):
    import PIL.Image

    for name, radius in (("a.png", 24), ("b.png", 14)):
        PIL.Image.fromarray(drawn(radius)).save(tmp_path / name)
    page.open(tmp_path / "a.png")
    page.compare(tmp_path / "b.png")
    assert "as it was given" in page.said and "do not say whether" in page.said
    assert page.picture["prior"]["title"] == "Prior" and not page.files


def test_what_cannot_be_laid_on_the_image_stands_beside_it(page, tmp_path):
    today, _ = pair(tmp_path)
    noise = np.random.default_rng(1).integers(0, 255, SIZE, np.uint8)
    other = write(tmp_path / "noise.dcm", noise, StudyDate="20200101", Modality="DX", BodyPartExamined="CHEST")
    page.open(today)
    page.compare(other)
    assert "could not be laid on the image" in page.said
    assert page.picture["prior"]["src"]
    assert np.allclose(page.session.prior.alignment.matrix, np.eye(4))


def test_the_comparison_of_a_corrected_report_is_made_anew_when_asked(page, tmp_path):
    today, before = pair(tmp_path)
    page.open(today)
    page.compare(before)
    assert not page.report()["outdated"]
    work, correcting = page.session.layer.work, Correcting()

    def texts(title: str) -> list[str]:
        return [s.text for one in work.report.sections if one.title == title for s in one.sentences]

    assert any("larger" in text for text in texts(COMPARISON))
    work.redraw(0, np.roll(np.asarray(drawn(14)) == 120, 0) & (np.arange(SIZE[1]) < 120))
    assert page.layer["outdated"] == COMPARISON and any("larger" in text for text in texts(COMPARISON))
    told = correcting.correct(page.session, event(layer=page.session.layer.key, do="compare"))
    assert told["message"]["note"] == "" and not page.layer["outdated"]
    assert not any("larger" in text for text in texts(COMPARISON))
    assert texts("Provenance")[-1] == ANEW
    correcting.step(page.session, event(by=-1))
    assert any("larger" in text for text in texts(COMPARISON)) and not page.layer["outdated"]
    correcting.step(page.session, event(by=1))
    assert texts("Provenance")[-1] == ANEW


def test_a_new_study_leaves_it_and_a_closed_tab_ends_it(page, tmp_path):
    today, before = pair(tmp_path)
    page.open(today)
    page.compare(before)
    page.open(today)
    assert page.session.prior is None and page.files == page.session.uploads and len(page.files) == 3
    tabs = Studies(page.inbox)
    tabs.close_study(page.session, event(tab=page.session.desk.now.tab))
    assert page.session.prior is not None and len(page.files) == 2
    tabs.close_study(page.session, event(tab=page.session.desk.now.tab))
    assert page.session.prior is None and not page.files


def test_a_prior_that_there_is_no_room_for_leaves_nothing(page, tmp_path):
    today, before = pair(tmp_path)
    page.open(today)
    asked = []

    def full(more: int) -> None:
        asked.append(more)
        raise RequestError(FULL)

    page.prior.check_room = full
    assert "not opened" in page.compare(before)["note"] and page.said == FULL
    assert asked == [page.session.study.nbytes]  # the two are of one size
    assert page.session.candidate is None and page.files == page.session.uploads


def test_another_series_needs_room_only_beyond_the_one_in_whose_place_it_comes(page, tmp_path):
    _, (one, other) = pair_of_series(tmp_path)
    upload = page.upload(one)
    shutil.copy(other, page.inbox.folder / upload)
    page.do.open_upload(page.session, event(upload=upload))
    first, asked = page.session.study, []
    page.do.check_room = asked.append
    page.do.open_series(page.session, event(number=2))
    assert page.session.study is not first and asked == [page.session.study.nbytes - first.nbytes]


def test_files_that_are_needed_are_no_forgotten_upload(page, tmp_path):
    today, before = pair(tmp_path)
    page.open(today)
    for upload in page.inbox.sent.values():
        upload.since -= 2 * UNCLAIMED
    page.inbox.sweep()
    page.compare(before)
    assert "by the dates in the headers" in page.said


def test_the_prior_is_drawn_where_it_lies_and_as_fine_as_it_is():
    coarse = np.zeros((8, 8), np.uint8)
    fine = np.zeros((16, 16), np.uint8)
    fine[4:8, 6:12] = 200
    matrix = np.diag([1.0, 2.0, 2.0, 1.0])
    matrix[1:3, 3] = 0.5  # of a pixel twice as large the middle lies between two
    prior = Study([Image(fine)])
    alignment = Alignment(matrix, (1, 8, 8), (1, 16, 16), (0,), (0,), 0.9)
    assert (laid(prior, alignment, 0, 1600) == fine).all()
    assert laid(prior, alignment, 0, 8).shape == coarse.shape
    assert laid(prior, alignment, 1, 1600) is None
    colour = Study([Image(np.repeat(fine[..., None], 3, axis=2))])
    assert (laid(colour, alignment, 0, 1600) == fine[..., None]).all()


def test_slices_of_a_prior_are_mixed_and_end_where_it_ends():
    prior = Study([Image(np.full((6, 6), value, np.uint8)) for value in (100, 200)], kind="volume")
    matrix = np.eye(4)
    matrix[0, 3] = -0.5
    alignment = Alignment(matrix, (4, 6, 6), (2, 6, 6), (0, 1, 2, 3), (0, 1), 0.9)
    assert [int(laid(prior, alignment, i, 1600)[3, 3]) for i in (1, 3)] == [150, 0]


def test_the_middle_lies_on_the_middle_with_all_in_view():
    alignment = middle_on_middle(Alignment(np.eye(4), (4, 10, 20), (8, 40, 40), (0,), (0,), 0.1))
    assert np.allclose(alignment.matrix @ [1.5, 4.5, 9.5, 1], [3.5, 19.5, 19.5, 1])
    assert np.allclose(np.diag(alignment.matrix), [2, 4, 4, 1])


def test_every_sentence_of_the_section_knows_its_changes(page, tmp_path):
    today, before = pair(tmp_path)
    page.open(today)
    page.compare(before)
    page.report()
    report = page.session.layer.report
    spoken = told(report.comparison, page.session.study)
    section = next(s for s in report.sections if s.title.startswith("Comparison"))
    assert set(spoken) <= {s.text for s in section.sentences}
    assert sum(map(len, spoken.values())) == len(report.comparison.changes) > 1


def test_another_series_of_the_prior_is_laid_in_its_place_and_the_order_stays(page, tmp_path):
    today, before = pair_of_series(tmp_path)
    page.open(today)
    upload = page.upload(before[0])
    shutil.copy(before[1], page.inbox.folder / upload)
    page.prior.take(page.session, event(upload=upload))
    page.prior.lay(page.session)
    first, listed = page.picture["prior"]["key"], page.picture["prior"]["series"]
    assert [(one["number"], one["taken"]) for one in listed] == [(1, True), (2, False)]
    assert "larger" in sentence(page.report(), "Lung nodule")["text"]
    page.prior.take(page.session, event(number=2))
    page.prior.lay(page.session)
    shown = page.picture["prior"]
    assert shown["key"] != first and [one["taken"] for one in shown["series"]] == [False, True]
    assert shown["title"] == "Prior, 10 days earlier"
    assert "larger" not in str(page.report()["sections"]) and page.files == page.session.uploads
    page.prior.swap(page.session)
    page.prior.take(page.session, event(number=1))
    page.prior.lay(page.session)
    assert "10 days later than the image; they are compared as they were given" in page.said
    for wild in (9, "x", []):
        note = page.prior.take(page.session, event(number=wild))["message"]["note"]
        assert note == "The prior was not opened." and page.session.candidate is None
    assert len(page.files) == 2
