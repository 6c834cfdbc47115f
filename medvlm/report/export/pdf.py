"""A report as a PDF to hand over: images with their regions, a table of findings, what was not found, where it comes from."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from ... import __version__
from ...studies.burned_in import leaving_pixels
from ...types import Finding, Report, Section, Sentence, Study
from ...vocabulary import is_finding
from ..corrections import PROVENANCE
from ..draft import NOT_FOUND, flat_sizes
from ..overlay import Colour, label_colours
from .pdf_picture import BOLD, FONT, Drawn
from .wording import image_name, images_of, measured, number, references, shown_images, sure

MOST_IMAGES = 6
MARGIN, WIDTH = 17 * mm, A4[0] - 34 * mm
PADDING = 6  # points, that reportlab's frames have
GAP = 5 * mm
ALONE, BESIDE = (
    (0.58 * WIDTH, 92 * mm),
    (WIDTH / 2 - GAP / 2, 76 * mm),
)  # the room of an image, alone and beside another
MANY = (WIDTH - 2 * GAP) / 3, 57 * mm  # and of each of more than four, three in a row
SHORT = 900  # characters that fit beside an image
INK, SOFT, LINE, ACCENT, WASH = map(colors.HexColor, ("#1b2229", "#5b6470", "#c9d0d8", "#1f4e79", "#f3f6f9"))
FOLDED = str.maketrans({"→": "->", "←": "<-", "−": "-", "\u202f": " ", "\u2009": " "})  # what the font lacks


def write(report: Report, study: Study, folder: Path) -> list[Path]:
    """`report.pdf`, of one page where it fits."""
    for name in (FONT, BOLD):
        pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    pdfmetrics.registerFontFamily(FONT, FONT, BOLD, FONT, BOLD)
    path = folder / "report.pdf"
    page = SimpleDocTemplate(
        str(path),
        pagesize=A4,
        leftMargin=MARGIN - PADDING,
        rightMargin=MARGIN - PADDING,
        topMargin=9 * mm,
        bottomMargin=16 * mm,
        title="Report draft",
        author="medvlm",
        subject=report.disclaimer,
    )
    page.build(_story(report, study), canvasmaker=_canvas(report.disclaimer))
    return [path]


def _style(name: str, size: float = 7.6, **more: Any) -> ParagraphStyle:
    more = {"fontName": FONT, "textColor": INK, "leading": 1.36 * size, **more}
    return ParagraphStyle(name, fontSize=size, **more)


TITLE = _style("title", 15, fontName=BOLD, textColor=ACCENT, spaceAfter=2.6 * mm)
WARNING = _style(
    "warning",
    backColor=colors.HexColor("#fdf3dc"),
    borderPadding=4,
    leftIndent=4,
    rightIndent=4,
    textColor=colors.HexColor("#6b4a00"),
)
HEADING = _style("heading", 9.6, fontName=BOLD, textColor=ACCENT, spaceBefore=3 * mm, spaceAfter=1.2 * mm)
TEXT = _style("text", spaceAfter=0.8 * mm)
ITEM = _style("item", leftIndent=3.6 * mm, bulletIndent=0.6 * mm, spaceAfter=0.6 * mm)
CELL, NAMED = _style("cell", 7.2), _style("named", 7.2, leftIndent=9.2, firstLineIndent=-9.2)
HEAD = _style("head", 7, fontName=BOLD, textColor=SOFT)
SMALL = _style("small", 7.2, textColor=SOFT, spaceAfter=0.5 * mm)
CAPTION = _style("caption", 7.2, textColor=SOFT, spaceBefore=0.8 * mm)


_PLAIN = [
    *((side, (0, 0), (-1, -1), 0) for side in ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]


def _text(text: str, style: ParagraphStyle = TEXT, bold: bool = False, **more: Any) -> Paragraph:
    """A paragraph of plain text: nothing in it is markup."""
    text = escape(text.translate(FOLDED))
    return Paragraph(f"<b>{text}</b>" if bold else text, style, **more)


def _story(report: Report, study: Study) -> list[Flowable]:
    colours = label_colours(region.label for region in report.regions)
    sections = {section.title: section for section in report.sections if section.title != PROVENANCE}
    first = [sections.pop(title) for title in ("Examination", "Impression") if title in sections]
    story: list[Flowable] = [_text("Report draft", TITLE), _text(report.disclaimer, WARNING), Spacer(1, 3.5 * mm)]
    story += _opening(first, report, study, colours)
    story += _table(report, study, colours)
    for section in sections.values():
        story += _running(section, report)
    story += _absent(report)
    return story + _provenance(report, study)


def _sentences(section: Section) -> list[Flowable]:
    """A heading and its sentences; those of what was not found are told apart."""
    told = [sentence for sentence in section.sentences if not sentence.text.startswith(NOT_FOUND)]
    lines = [
        _text(" ".join([s.text, *([f"[{references(s.regions)}]"] if s.regions else [])]), ITEM, bulletText="•")
        for s in told
    ]
    return [*_heading(section.title), *lines] if lines else []


def _in_table(sentence: Sentence, report: Report) -> bool:
    """Whether a sentence is the draft's own on a normal structure: no word of it was written by somebody."""
    finding = None if sentence.finding is None else report.findings[sentence.finding]
    if finding is None or is_finding(finding.label):
        return False
    end = f", {flat_sizes(finding.measurements)}; probability {number(finding.confidence)}."
    place = r"( (in|on|at|across) [a-z -]+ image)?"
    return re.fullmatch(re.escape(finding.label) + place + re.escape(end), sentence.text, re.IGNORECASE) is not None


def _heading(title: str) -> list[Flowable]:
    """Not at the end of a page."""
    return [CondPageBreak(18 * mm), _text(title, HEADING)]


def _running(section: Section, report: Report) -> list[Flowable]:
    """Sentences one after another, without those of which the table has every word."""
    told = [s for s in section.sentences if not s.text.startswith(NOT_FOUND) and not _in_table(s, report)]
    text = " ".join(s.text for s in told)
    return [*_heading(section.title), _text(text)] if text else []


# Images


def _opening(first: list[Section], report: Report, study: Study, colours: dict[str, Colour]) -> list[Flowable]:
    """The sections that are told first, beside the image where there is one and room, else above the images."""
    pictures, left_out = _pictures(report, study, colours)
    told = [flowable for section in first for flowable in _sentences(section)]
    if len(pictures) == 1 and sum(len(s.text) for section in first for s in section.sentences) < SHORT:
        picture = pictures[0]
        told = [flowable for flowable in told if not isinstance(flowable, CondPageBreak)]
        table = Table(
            [[picture, told]], colWidths=[picture[0].width + GAP, WIDTH - picture[0].width - GAP], hAlign="LEFT"
        )
        table.setStyle(_PLAIN)
        return [table]
    across = 2 if len(pictures) <= 4 else 3
    width = (WIDTH + GAP) / across
    rows = [
        Table([pictures[at : at + across]], [width] * len(pictures[at : at + across]), hAlign="LEFT", style=_PLAIN)
        for at in range(0, len(pictures), across)
    ]
    more = f"{left_out} more image{'s have' if left_out > 1 else ' has'} regions that are not shown here."
    return [*told, *_heading("Images"), *rows, *([_text(more, SMALL)] if left_out else [])]


def _pictures(report: Report, study: Study, colours: dict[str, Colour]) -> tuple[list[list[Flowable]], int]:
    """The chosen images, each above its name; and how many with regions are left out."""
    images, chosen = shown_images(report, study), _chosen(report, study)
    room = ALONE if len(chosen) == 1 else BESIDE if len(chosen) <= 4 else MANY
    cells = []
    for image in chosen:
        here = {f"R{i}": region for i, region in enumerate(report.regions, 1) if region.image == image}
        name = image_name(study, image)
        picture = replace(study.images[image], pixels=leaving_pixels(study, image))
        cells.append([Drawn(picture, here, colours, room), _text(f"{name[0].upper()}{name[1:]}", CAPTION)])
    return cells, len(images) - len(chosen)


def _chosen(report: Report, study: Study) -> list[int]:
    """For each finding, abnormal ones first, the image that shows most of it; then the others, unless they are slices."""
    images = []
    for finding in _abnormal_first(report):
        regions = [report.regions[i] for i in finding.regions]
        images += [max(regions, key=lambda region: region.area).image] if regions else []
    rest = [] if images and study.is_volume else shown_images(report, study)
    return sorted(list(dict.fromkeys([*images, *rest]))[:MOST_IMAGES])


def _abnormal_first(report: Report) -> list[Finding]:
    return sorted(report.findings, key=lambda finding: not is_finding(finding.label))


# Findings


def _table(report: Report, study: Study, colours: dict[str, Colour]) -> list[Flowable]:
    """What was found or may be there: how sure, how large, where; abnormal things first."""
    shown = [finding for finding in _abnormal_first(report) if finding.presence != "absent"]
    if not shown:
        return []
    several = len(study.images) > 1
    head = ["Finding", "Presence", "Probability", "Measurements", "Regions", *(["Images"] if several else [])]
    rows: list[list[Any]] = [[_text(word, HEAD) for word in head]]
    for finding in shown:
        images = references(images_of(finding, report), "")
        cells = [_named(finding, report, colours), _text(finding.presence, CELL), _text(_sure(finding), CELL)]
        cells.append(_text(measured(finding.measurements) or "none", CELL))
        cells.append(_text(references(finding.regions) or "not located", CELL))
        rows.append([*cells, *([_text(images, CELL)] if several else [])])
    shares = (0.2, 0.09, 0.17, 0.28, 0.11, 0.15) if several else (0.24, 0.11, 0.18, 0.36, 0.11)
    table = Table(rows, colWidths=[WIDTH * share for share in shares], repeatRows=1, splitInRow=1, hAlign="LEFT")
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("BACKGROUND", (0, 0), (-1, 0), WASH),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
            ("TOPPADDING", (0, 0), (-1, -1), 1.3),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.9),
            ("LEFTPADDING", (0, 0), (-1, -1), 3),
            ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ]
    )
    return [*_heading("Table of findings"), table]


def _named(finding: Finding, report: Report, colours: dict[str, Colour]) -> Paragraph:
    """The label in bold after a square of the colour that its regions are drawn in."""
    label = next((report.regions[i].label for i in finding.regions), finding.label)
    colour = "#{:02x}{:02x}{:02x}".format(*colours[label]) if label in colours else "#ffffff"
    name = escape(finding.label.translate(FOLDED))
    return Paragraph(f'<font backColor="{colour}">&nbsp;&nbsp;</font>&nbsp; <b>{name}</b>', NAMED)


def _sure(finding: Finding) -> str:
    return f"{sure(finding.confidence)}, {number(finding.confidence)}"


def _absent(report: Report) -> list[Flowable]:
    absent = [finding for finding in report.findings if finding.presence == "absent"]
    if not absent:
        return []
    named = "; ".join(f"{finding.label} ({number(finding.confidence)})" for finding in absent)
    meaning = "The number is the probability that it is not there. What was not looked for is not in this list."
    return [*_heading(NOT_FOUND), _text(f"{named}."), _text(meaning, SMALL)]


# Where it comes from


def _provenance(report: Report, study: Study) -> list[Flowable]:
    form = study.metadata.get("format", "picture")
    spacing = study.images[study.default].spacing_mm
    size = "{1:.3g} × {0:.3g} mm a pixel".format(*spacing) if spacing else "size of a pixel unknown"
    count = f"{len(study.images)} image{'s' if len(study.images) > 1 else ''}"
    model = ", fingerprint ".join(filter(None, [report.model or "unknown", report.fingerprint]))
    corrected = [s.text for section in report.sections if section.title == PROVENANCE for s in section.sentences]
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    lines = [
        f"Model: {model}; medvlm {__version__}. "
        + (f"Written {made}. {' '.join(corrected)}" if corrected else f"Drafted {made}; nobody has reviewed it."),
        f"Source: {form}, {count}, {size}. It names no patient: keep this page with the study that it belongs to.",
    ]
    heading = _text("Provenance", HEADING)
    told = {sentence.text for section in report.sections for sentence in section.sentences}
    notes = [_text(notice, ITEM, bulletText="•") for notice in report.notices if notice not in told]
    start = [*_heading("To be known"), *notes] if notes else []
    return [*start, KeepTogether([heading, *(_text(line, SMALL) for line in lines)])]


def _canvas(disclaimer: str) -> type[Canvas]:
    """A canvas that writes the disclaimer and "page 1 of 2" below every page, once all are there."""

    class Numbered(Canvas):
        def __init__(self, *args: Any, **more: Any):
            super().__init__(*args, **more)
            self.pages: list[dict[str, Any]] = []

        def showPage(self) -> None:
            self.pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for at, page in enumerate(self.pages, 1):
                self.__dict__.update(page)
                self.setStrokeColor(LINE)
                self.line(MARGIN, 13 * mm, A4[0] - MARGIN, 13 * mm)
                self.setFont(FONT, 6.8)
                self.setFillColor(SOFT)
                self.drawString(MARGIN, 9 * mm, disclaimer.translate(FOLDED)[:110])
                self.drawRightString(A4[0] - MARGIN, 9 * mm, f"Page {at} of {len(self.pages)}")
                super().showPage()
            super().save()

    return Numbered
