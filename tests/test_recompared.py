"""`medvlm report --prior --corrections`: what a person corrected is compared with the prior anew."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("SimpleITK", reason="SimpleITK is not installed: pip install -e '.[priors]'")

from medvlm import cli
from medvlm.report.changes import TITLE
from medvlm.report.corrections import BEFORE, PROVENANCE
from medvlm.report.edits import FILE, AddSentence, Corrections, RedrawRegion
from medvlm.report.recompared import ANEW

from .priors import SIZE, ComparingAssistant, drawn, pair

OWN = AddSentence(TITLE, "Seen by the reader.")


@pytest.fixture
def reported(tmp_path, capsys):
    """The command over a pair of studies, given corrections of its draft; the texts of a report's sections by their titles."""
    today, before = map(str, pair(tmp_path))

    def run(*made) -> dict[str, list[str]]:
        options = ["--prior", before, "--json"]
        if made:
            digest = json.loads((tmp_path / "draft" / FILE).read_text())["report"]
            (tmp_path / FILE).write_text(json.dumps(Corrections(digest, list(made)).to_json()))
            options += ["--corrections", str(tmp_path / FILE)]
        else:
            options += ["-o", str(tmp_path / "draft")]
        assert cli.main(["report", today, *options], load=lambda args: ComparingAssistant()) == 0
        sections = json.loads(capsys.readouterr().out)["sections"]
        return {one["title"]: [sentence["text"] for sentence in one["sentences"]] for one in sections}

    return run


def test_a_corrected_finding_is_compared_anew_and_words_of_a_person_stay(reported):
    small = (drawn(14) == 120) & (np.arange(SIZE[1]) < 120)  # as large as it was before
    assert any("larger" in text for text in reported()[TITLE])
    corrected = reported(RedrawRegion(0, mask=small), OWN)
    assert not any("larger" in text for text in corrected[TITLE])
    assert corrected[TITLE][-1] == OWN.text and corrected[PROVENANCE][-1] == ANEW


def test_where_words_alone_were_corrected_the_comparison_is_the_drafts(reported):
    draft, corrected = reported(), reported(OWN)
    assert corrected[TITLE] == [*draft[TITLE], OWN.text] and corrected[PROVENANCE][-1] == BEFORE
