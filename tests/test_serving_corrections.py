"""A report draft corrected on the page, without a browser: what its listeners do to it, what is sent of it, and what is saved."""

from __future__ import annotations

import base64
import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from medvlm.errors import RequestError
from medvlm.report.corrections import Corrections, apply
from medvlm.types import Image, Region, Study, mask_box
from serving.page import payload
from serving.page.correcting import Correcting
from serving.page.drawing import Drawing
from serving.page.handlers import Handlers
from serving.page.history import MOST_STATES, History
from serving.page.saving import download
from serving.page.session import Session
from serving.uploads import Inbox

from .fakes import FakeAssistant, square

HEAD = 0  # number of the draft's only region


def event(**fields):
    return fields


class Page:
    """A session with a report draft, and what the user does to it."""

    def __init__(self, folder):
        self.fake, self.session, self.folder = FakeAssistant(), Session(), folder
        self.do, self.drawing, self.correcting = (
            Handlers(lambda: self.fake, Inbox(folder)),
            Drawing(lambda: self.fake),
            Correcting(),
        )
        self.session.open(Study([Image(square())], "ultrasound"))
        self.report()

    def report(self):
        self.do.report(self.session)
        self.do.work(self.session)

    @property
    def layer(self) -> dict:
        return payload.layer(self.session)

    @property
    def work(self):
        return self.session.layer.work

    def correct(self, do, **more) -> str:
        """The note that the user gets."""
        sent = event(**{"layer": self.session.layer.key, "do": do, **more})
        return self.correcting.correct(self.session, sent)["message"]["note"]

    def paint(self, tool, points, radius=0, **more):
        given = {"image": 0, "layer": self.session.layer.key, "tool": tool, "stroke": points, "radius": radius, **more}
        return self.drawing.paint(self.session, event(**given))

    def segment(self, **given):
        given = {"image": 0, "layer": self.session.layer.key, **given}
        return self.drawing.segment(self.session, event(**given))["message"]["note"]

    def step(self, by):
        return self.correcting.step(self.session, event(by=by)).get("layer")

    def sentences(self, title) -> list[tuple[str, str, str]]:
        section = next(s for s in self.layer["sections"] if s["title"] == title)
        return [(one["name"], one["text"], one["mark"]) for one in section["sentences"]]

    def mask(self, number=HEAD):
        return self.session.layer.regions[number].mask


@pytest.fixture
def page(tmp_path):
    return Page(tmp_path)


def test_a_sentence_is_edited_in_its_place_and_marked(page):
    (name, text, mark), *rest = page.sentences("Findings")
    assert mark == "" and not page.layer["unsaved"]
    assert page.correct("edit", section="Findings", name=name, text="  A head\n of <b>normal</b> size. ") == ""
    assert page.sentences("Findings") == [(name, "A head of <b>normal</b> size.", "edited"), *rest]
    assert page.layer["unsaved"] and (page.layer["undo"], page.layer["redo"]) == (True, False)
    page.correct("edit", section="Findings", name=name, text=text)
    assert page.sentences("Findings")[0] == (name, text, "") and page.session.layer.report is page.work.draft


def test_a_rejected_sentence_is_shown_and_can_be_put_back(page):
    before = page.sentences("Findings")
    page.correct("reject", section="Findings", name="0")
    assert page.sentences("Findings")[0] == ("0", before[0][1], "rejected")
    assert before[0][1] not in [s.text for section in page.session.layer.report.sections for s in section.sentences]
    page.correct("restore", section="Findings", name="0")
    assert page.sentences("Findings") == before


def test_a_sentence_is_added_changed_and_taken_out(page):
    page.correct("add", section="Impression", text="A second look is wanted.")
    assert ("+0", "A second look is wanted.", "added") in page.sentences("Impression")
    page.correct("edit", section="Impression", name="+0", text="No second look.")
    assert ("+0", "No second look.", "added") in page.sentences("Impression")
    page.correct("reject", section="Impression", name="+0")
    assert not page.work.history.now


def test_a_rejected_finding_goes_with_its_region_and_comes_back(page):
    number = next(f["number"] for f in page.layer["findings"] if f["regions"])
    page.correct("judge", number=number, text="absent")
    assert page.layer["regions"] == [] and page.layer["findings"][0]["mark"] == "rejected"
    page.correct("judge", number=number, text="")
    assert len(page.layer["regions"]) == 1 and page.layer["findings"][0]["mark"] == ""


def test_a_finding_is_added_drawn_and_told_in_the_persons_words(page):
    page.correct("add finding", text="heart")
    assert page.layer["findings"][-1]["mark"] == "added"
    page.paint("brush", [[50, 50], [58, 50]], 3, label="heart")
    assert page.layer["regions"][1]["label"] == "heart" and page.layer["regions"][1]["mark"] == "drawn"
    name = next(name for name, text, _ in page.sentences("Findings") if text.startswith("Heart"))
    page.correct("edit", section="Findings", name=name, text="The heart is small.")
    texts = [text for _, text, _ in page.sentences("Findings")]
    assert "The heart is small." in texts and not any(text.startswith("Heart") for text in texts)
    assert "vocabulary" in page.correct("add finding", text="heartt")
    assert page.paint("brush", [[5, 5]], 3, label="<b>x")["message"]["note"] and len(page.layer["regions"]) == 2


def test_what_is_told_anew_can_be_edited_in_the_place_of_the_drafts(page):
    page.paint("eraser", [[20, 20]], 4, region=HEAD)
    number = next(f["number"] for f in page.layer["findings"] if f["regions"])
    (name, text, mark), *_ = page.sentences("Findings")
    assert mark == "told anew" and "corrected by a person" in text and name.isdigit() and number == 0
    page.correct("edit", section="Findings", name=name, text="Mine.")
    assert page.sentences("Findings")[0] == (name, "Mine.", "edited")


def test_brush_and_eraser_are_honoured_to_the_pixel(page):
    before = page.mask().copy()
    layer = page.paint("brush", [[60.9, 3.1]], 0, region=HEAD)["layer"]
    assert layer["selected"] == [HEAD]
    page.paint("eraser", [[20.5, 20.5]], 0.5, region=HEAD)
    assert np.argwhere(page.mask() ^ before).tolist() == [[3, 60], [20, 20]]
    assert len(page.work.history.now) == 1, "one correction of a region, however many strokes"
    page.step(-1)
    assert np.argwhere(page.mask() ^ before).tolist() == [[3, 60]]
    page.step(-1)
    assert page.session.layer.report is page.work.draft and page.step(-1)["undo"] is False
    assert page.step(1)["regions"][HEAD]["mark"] == "drawn"
    page.paint("brush", [[1, 1]], 0, region=HEAD)
    assert page.layer["redo"] is False


def test_what_is_erased_is_rejected(page):
    page.paint("eraser", [[30, 30]], 60, region=HEAD)
    assert page.layer["regions"] == [] and page.work.history.now[0].to_json() == {"kind": "reject region", "region": 0}
    page.step(-1)
    assert len(page.layer["regions"]) == 1


@pytest.mark.parametrize("inside", [1, 0])
def test_a_click_on_a_region_of_the_report_is_honoured(page, inside):
    before, (x, y) = page.mask().copy(), (50, 20) if inside else (40, 30)
    page.segment(tool="points", points=[[x, y, inside]], region=HEAD)
    changed = np.argwhere(page.mask() ^ before)
    assert page.mask()[y, x] == bool(inside) and np.hypot(*(changed - [y, x]).T).max() <= 12


def test_box_and_scribble_draw_the_selected_region(page):
    page.segment(tool="box", box=[2, 2, 12, 9], region=HEAD)
    assert mask_box(page.mask()) == (2, 2, 12, 9)
    page.segment(tool="scribble", stroke=[[20, 5], [25, 5]], radius=0, region=HEAD)
    assert page.mask()[5, 20:26].all() and page.mask()[2:9, 2:12].all()
    page.correct("reject region", number=HEAD)
    assert page.layer["regions"] == []


def test_without_a_selection_the_report_stays_and_brushes_say_so(page):
    key = page.session.layer.key
    assert "Select a finding" in page.paint("brush", [[5, 5]], 3)["message"]["note"]
    page.segment(tool="box", box=[2, 2, 12, 9])
    assert page.session.layer.drawn and not page.layer["sections"]
    page.correct("add", layer=key, section="Impression", text="Late.")  # its editor was open when the other layer came
    assert page.session.layer.drawn
    page.do.recall(page.session, event(index=1))
    assert ("+0", "Late.", "added") in page.sentences("Impression")


def test_a_painted_outline_of_ones_own_is_undone_and_asked_over(page):
    page.do.clear_layer(page.session)
    stroke = {"image": 0, "tool": "brush", "stroke": [[10, 10], [30, 10]], "radius": 4}
    page.drawing.paint(page.session, event(**stroke))
    first = page.session.layer
    page.drawing.paint(page.session, event(**stroke | {"tool": "eraser", "radius": 2}))
    assert first.regions[0].mask[10, 20] and not page.session.layer.regions[0].mask[10, 20]
    page.step(-1)
    assert page.session.layer.regions[0].mask[10, 20] and page.session.drawn is page.session.layer


def test_corrections_are_saved_to_be_applied_again_and_as_records(page, tmp_path):
    page.paint("eraser", [[20, 20]], 4, region=HEAD)
    page.correct("edit", section="Impression", name="0", text="A head.")
    assert page.session.unsaved
    name, url = download(page.session, "corrections", 0.3, tmp_path)
    assert name == "report.corrections.json" and not page.session.unsaved
    read = Corrections.from_json(json.loads(base64.b64decode(url.split(",")[1])))
    assert apply(page.work.draft, read, page.session.study).to_json() == page.session.layer.report.to_json()
    name, url = download(page.session, "records", 0.3, tmp_path)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(url.split(",")[1]))) as archive:
        assert name == "report.records.zip" and "metadata.jsonl" in archive.namelist()
    _, url = download(page.session, "md", 0.3, tmp_path)
    assert "A head." in base64.b64decode(url.split(",")[1]).decode() and not list(tmp_path.iterdir())
    page.step(-1)
    assert page.session.unsaved
    page.do.ask("Is it large?", page.session)
    page.do.work(page.session)
    assert payload.layer(page.session)["unsaved"], "also while an answer is shown"


@pytest.mark.parametrize("data", [{}, {"do": 3}, {"do": "judge", "number": 99}, {"do": "judge", "number": True}]
    + [{"do": "edit", "section": "Findings", "name": "99", "text": "x"}, {"do": "edit", "section": [], "name": {}}]
    + [{"do": "edit", "section": "Findings", "name": "0", "text": ""}, {"do": "reject region", "number": -1}]
    + [{"do": "edit", "section": "Findings", "name": "0", "text": "x" * 9_999}, {"do": "add", "section": "", "text": "a"}])  # fmt: skip
def test_what_is_no_correction_gets_a_sentence_and_changes_nothing(page, data):
    data = {"layer": page.session.layer.key, **data}
    note = page.correcting.correct(page.session, data)["message"]["note"]
    assert note.endswith(".") and "went wrong" not in note and not page.work.history.now


def test_history_forgets_what_is_oldest():
    history = History(0)
    for state in range(1, MOST_STATES + 10):
        history.push(state)
    assert len(history.states) == MOST_STATES and history.now == MOST_STATES + 9 and history.unsaved
    assert not history.step(1) and not history.step(7) and history.step(-1)


# What was found for a question or a phrase


@pytest.fixture
def found(page):
    page.do.find("heart", page.session)
    page.do.work(page.session)
    return page


def test_what_was_found_keeps_its_name_and_box_when_it_is_corrected(found):
    before = found.mask().copy()
    found.segment(tool="points", points=[[56, 10, 1]], region=HEAD)
    assert found.layer["title"] == "Find: heart" and [r["label"] for r in found.layer["regions"]] == ["heart"]
    assert found.mask()[10, 56] and (found.mask() >= before).all()
    found.segment(tool="points", points=[[30, 30, 0]], region=HEAD)
    assert not found.mask()[30, 30]
    found.step(-1)
    found.step(-1)
    assert (found.mask() == before).all()
    assert "Looked for" not in str(found.sentences("Findings")) and len(found.layer["sections"]) == 1


def test_a_lasso_adds_what_it_encloses_to_the_pixel_and_takes_it_away(page):
    before, corners = page.mask().copy(), [[2, 2], [10, 2], [10, 8], [2, 8]]
    page.paint("lasso", corners, region=HEAD)
    added = page.mask() & ~before
    assert np.argwhere(added).min(0).tolist() == [2, 2] and np.argwhere(added).max(0).tolist() == [8, 10]
    assert added.sum() == 7 * 9
    page.paint("cut", [[x + 18, y + 18] for x, y in corners], region=HEAD)
    assert not page.mask()[20:27, 20:29].any() and page.mask()[30, 30]
    assert "A stroke is" in page.paint("lasso", "x", region=HEAD)["message"]["note"]


def test_what_was_cleared_comes_back(page):
    layer = page.session.layer
    sent = page.do.clear_layer(page.session)["layer"]
    assert sent["regions"] == [] and sent["undo"]
    assert len(page.step(-1)["regions"]) == 1 and page.session.layer is layer


# The table of findings


def test_a_row_has_one_size_and_how_sure_it_is(page):
    (head,) = page.layer["groups"]
    assert (head["label"], head["regions"], head["sure"]) == ("fetal head", [HEAD], "likely, 0.90")
    assert head["size"] == "39 px" and head["of"] == "longest diameter"
    page.paint("eraser", [[20, 20]], 4, region=HEAD)
    assert page.layer["groups"][0]["sure"] == "drawn by the reader"
    page.correct("judge", number=0, text="absent")
    assert (page.layer["groups"][0]["mark"], page.layer["groups"][0]["size"]) == ("rejected", "")


def test_a_finding_is_renamed_with_its_regions_and_sentences(page):
    page.correct("rename", number=0, text="Heart")
    assert [(g["label"], g["mark"]) for g in page.layer["groups"]] == [("heart", "renamed")]
    assert page.layer["regions"][0]["label"] == "heart" and page.sentences("Findings")[0][1].startswith("Heart, ")
    page.paint("brush", [[50, 50]], 3, label="heart")
    page.correct("rename", number=0, text="fracture")
    assert {r["label"] for r in page.layer["regions"]} == {"fracture"}
    page.correct("rename", number=0, text="fetal head")
    assert [g["label"] for g in page.layer["groups"]] == ["fetal head"] and len(page.layer["regions"]) == 2
    assert "vocabulary" in page.correct("rename", number=0, text="<b>")


# What was drawn by itself


def test_what_the_reader_drew_is_named_saved_and_applied_to_any_draft(page, tmp_path):
    page.do.clear_layer(page.session)
    page.drawing.segment(page.session, event(image=0, tool="box", box=[2, 2, 12, 9]))
    assert page.layer["groups"][0]["rename"] == "name it"
    with pytest.raises(RequestError, match="Say first what it is"):
        download(page.session, "coco", 0.3, tmp_path)
    assert page.correct("rename", text="heart") == "" and page.layer["regions"][0]["label"] == "heart"
    assert page.session.unsaved
    mask = page.mask().copy()
    _, url = download(page.session, "corrections", 0.3, tmp_path)
    given = json.loads(base64.b64decode(url.split(",")[1]))
    assert given["report"] == "drawn by the reader" and [c["kind"] for c in given["corrections"]] == ["add region"]
    assert not page.session.unsaved
    for kind in page.layer["formats"]:
        assert download(page.session, kind, 0.3, tmp_path)[1].startswith("data:"), kind
    _, markdown = download(page.session, "md", 0.3, tmp_path)
    assert "drawn by the reader." in base64.b64decode(markdown.split(",")[1]).decode()
    page.report()
    applied = apply(page.work.draft, Corrections.from_json(given), page.session.study)
    assert (applied.regions[-1].mask == mask).all() and applied.findings[-1].label == "heart"
    assert any(s.text.endswith("drawn by the reader.") for section in applied.sections for s in section.sentences)


# Carrying


class SlicedAssistant(FakeAssistant):
    """Carries a drawn mask to the slices in which what is under it is bright."""

    def carry(self, study, drawn):
        from medvlm.perception.carry import carry

        return carry(study, drawn, self.bright)

    def bright(self, study, image, scribble):
        mask = study.images[image].pixels > 100
        return [Region("region", image, mask_box(mask), mask, 0.9)] if (mask & scribble).any() else []


@pytest.fixture
def volume(tmp_path):
    page = Page(tmp_path)
    page.fake = SlicedAssistant()
    bright = [square() if 1 <= n <= 6 else np.zeros((64, 64), np.uint8) for n in range(9)]
    page.session.open(Study([Image(pixels) for pixels in bright], "CT", default=3, kind="volume"))
    page.drawing.segment(page.session, event(image=3, tool="box", box=[16, 16, 48, 40]))
    return page


def carry(page):
    return page.drawing.carry(page.session, event())["message"]["note"]


def test_an_outline_is_carried_and_its_extent_is_said(volume):
    assert volume.layer["carry"] and volume.layer["title"] == "From the drawn box"
    assert carry(volume) == "Carried: slices 2 to 7 of 9." and volume.layer["title"] == "Carried: slices 2 to 7 of 9"
    assert [(r["image"], r["mark"]) for r in volume.layer["regions"]] == [
        (n, "drawn" if n == 3 else "carried") for n in range(1, 7)
    ]
    assert len(volume.step(-1)["regions"]) == 1


def test_what_is_drawn_on_another_slice_stays_when_it_is_carried_again(volume):
    carry(volume)
    volume.drawing.paint(
        volume.session, event(image=5, tool="brush", stroke=[[50, 20]], radius=3, layer=volume.session.layer.key)
    )
    mine = volume.session.layer.on(5).mask.copy()
    assert mine[20, 50] and mine[20, 20] and len(volume.layer["regions"]) == 6
    carry(volume)
    assert (volume.session.layer.on(5).mask == mine).all()
    assert {r["image"] for r in volume.layer["regions"] if r["mark"] == "drawn"} == {3, 5}
    volume.drawing.paint(
        volume.session, event(image=5, tool="eraser", stroke=[[30, 30]], radius=90, layer=volume.session.layer.key)
    )
    carry(volume)
    assert [r["image"] for r in volume.layer["regions"]] == [1, 2, 3, 4]


def test_what_cannot_be_carried_gets_a_sentence(page, volume):
    assert "Draw an outline" in carry(page)
    page.do.clear_layer(page.session)
    page.drawing.segment(page.session, event(image=0, tool="box", box=[1, 1, 9, 9]))
    page.fake = SlicedAssistant()
    assert "slice of a volume" in carry(page) and not page.layer["carry"]


# A report's finding, carried


@pytest.fixture
def drafted(volume):
    volume.session.study.images[0].pixels[0, 0] = 1  # else it is taken for no medical image
    volume.report()
    return volume


def carry_finding(page, number=0, **more):
    sent = {"layer": page.session.layer.key, "number": number, **more}
    return page.drawing.carry(page.session, event(**sent))["message"]["note"]


def test_a_redrawn_finding_is_carried_undone_and_saved_with_its_marks(drafted, tmp_path):
    drafted.paint("brush", [[50, 20]], 3, region=HEAD)
    mine = drafted.mask().copy()
    assert drafted.layer["groups"][0]["carry"] and mine[20, 50]
    image = drafted.session.layer.regions[HEAD].image
    assert carry_finding(drafted) == "Carried: slices 2 to 7 of 9."
    marks = {r["image"]: r["mark"] for r in drafted.layer["regions"]}
    assert marks == {n: "drawn" if n == image else "carried" for n in range(1, 7)}
    _, url = download(drafted.session, "corrections", 0.3, tmp_path)
    read = Corrections.from_json(json.loads(base64.b64decode(url.split(",")[1])))
    assert apply(drafted.work.draft, read, drafted.session.study).to_json() == drafted.session.layer.report.to_json()
    carry_finding(drafted)
    assert sum(one.to_json().get("carried", False) for one in drafted.work.history.now) == 5, "once, however often"
    assert (drafted.session.layer.on(image).mask == mine).all()
    drafted.step(-1)
    drafted.step(-1)
    assert {r["mark"] for r in drafted.layer["regions"]} <= {"drawn", ""} and (drafted.mask() == mine).all()


def test_a_finding_that_cannot_be_carried_gets_a_sentence(drafted, page):
    assert not drafted.layer["groups"][0]["carry"] and "Draw the finding" in carry_finding(drafted)
    assert "Draw the finding" in carry_finding(drafted, 99)
    assert "report first" in carry_finding(drafted, layer="x")
    page.paint("brush", [[50, 20]], 3, region=HEAD)
    page.fake = SlicedAssistant()
    assert not page.layer["groups"][0]["carry"] and "slice of a volume" in carry_finding(page)
