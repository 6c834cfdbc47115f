"""What was found for a question or a phrase as a draft, so that it is corrected and saved as a report is."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Finding, Region, Report, Section, Sentence, Study
from .corrections import measured_anew
from .retold import described


def found_report(regions: Sequence[Region], study: Study, model: str = "") -> Report:
    """A draft of regions alone: a finding a label, in their order, each measured and told in a sentence."""
    out = Report([], [], list(regions), model)
    for label in dict.fromkeys(region.label for region in regions):
        own = [i for i, region in enumerate(regions) if region.label == label]
        out.findings.append(Finding(label, "present", max(regions[i].score for i in own), own))
    measured_anew(out, study)
    texts = [described(f.label[:1].upper() + f.label[1:], f, out, study) for f in out.findings]
    told = [Sentence(f"{text}.", n, list(out.findings[n].regions)) for n, text in enumerate(texts)]
    out.sections = [Section("Findings", told)]
    return out
