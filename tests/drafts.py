"""A draft of a report and its study, for tests of what a person makes of it."""

from __future__ import annotations

import numpy as np

from medvlm.types import Finding, Image, Measurement, Region, Report, Section, Sentence, Study, mask_box

SIZE = (60, 80)
NODULE, LUNG, MASS = 1, 0, 2  # numbers of the draft's findings


def mask(x0, y0, x1, y1, size=SIZE):
    out = np.zeros(size, bool)
    out[y0:y1, x0:x1] = True
    return out


def region(label, at, image=0, score=0.9):
    drawn = mask(*at)
    return Region(label, image, mask_box(drawn), drawn, score)


def drafted(images=1):
    """A lung with a nodule in it, a mass that is nowhere to be seen, and no effusion; and its study."""
    regions = [region("left lung", (10, 10, 50, 40)), region("lung nodule", (20, 15, 30, 25))]
    findings = [
        Finding("left lung", "present", 0.97, [0], [Measurement("area", 150.0, "mm2")]),
        Finding("lung nodule", "present", 0.93, [1], [Measurement("area", 12.5, "mm2")]),
        Finding("lung mass", "uncertain", 0.4),
        Finding("pleural effusion", "absent", 0.8),
    ]
    told = [
        Sentence("Lung nodule, area 12 mm²; probability 0.93.", 1, [1]),
        Sentence("Left lung, area 150 mm²; probability 0.97.", 0, [0]),
        Sentence("Uncertain, and not located: lung mass."),
        Sentence("Looked for and not found: pleural effusion."),
    ]
    impression = [Sentence("Lung nodule (probability 0.93).", 1, [1])]
    sections = [Section("Examination", [Sentence("X-ray, chest.")]), Section("Findings", told)]
    report = Report([*sections, Section("Impression", impression)], findings, regions, "tiny")
    pixels = np.random.default_rng(0).integers(0, 255, SIZE, np.uint8)
    study = Study([Image(pixels + i, (0.5, 0.25)) for i in range(images)], "x-ray", "chest")
    study.keep_text = True
    return report, study


def texts(report, title):
    return [s.text for section in report.sections if section.title == title for s in section.sentences]
