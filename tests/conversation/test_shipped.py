"""The shipped reader on questions of an author whose wordings it never saw, against a floor below its score."""

from __future__ import annotations

from pathlib import Path

from medvlm.conversation.backends import make_reader
from medvlm.model.loading import EMBEDDED
from training.reading import read_wordings
from training.stage_reader import score

QUESTIONS = Path(__file__).parent / "reading.txt"


def test_the_shipped_reader_reads_questions_of_another_author():
    """0.87 when it was shipped; a reader that knows the commonest call alone would get less than 0.05."""
    assert score(make_reader(None, EMBEDDED["nano"]), read_wordings(QUESTIONS)) >= 0.84
