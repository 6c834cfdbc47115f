"""Studies over the API whose files do not fit together: each said in a sentence, and what there is opened all the same."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install -e '.[serving]'")

from .apis import app_over, client_over, refused
from .fakes import FakeAssistant
from .studies import write_series


@pytest.fixture
def sent(tmp_path):
    """Sends six slices of one series, without those left out, and slices that are made otherwise beside them: the reply."""
    client = client_over(app_over(FakeAssistant(), tmp_path / "inbox"))

    def send(left_out=(), beside=None, twice=False, **params):
        folders = [write_series(tmp_path / "a", 6)]
        folders += [] if beside is None else [write_series(tmp_path / "b", 6, **beside)]
        files = [path.read_bytes() for folder in folders for path in sorted(folder.iterdir())]
        files = [content for number, content in enumerate(files) if number not in left_out]
        files += files[:1] if twice else []
        form = [("files", (f"{number}.dcm", content)) for number, content in enumerate(files)]
        return client.post("/v1/studies", files=form, params=params)

    return send


@pytest.mark.parametrize(
    ("how", "words", "count"),
    [
        ({"left_out": (2,)}, "about 1 slice may be missing.", 5),
        ({"twice": True}, "Files that are there twice, read once: 1.", 6),
        (
            {"beside": {}},
            "Up to 2 images share a position (phases, echoes or doubled slices): one of each is taken.",
            6,
        ),
        ({"beside": {"SeriesInstanceUID": "1.2.9"}}, "Series 1 of 2 is taken: CT,", 6),
        ({"beside": {"SeriesInstanceUID": "1.2.9", "Modality": "MR"}}, "not taken: MRI, axial,", 6),
    ],
)
def test_what_does_not_fit_together_is_opened_and_told(sent, how, words, count):
    reply = sent(**how)
    assert reply.status_code == 201
    told = reply.json()
    assert len(told["images"]) == count and sum(words in notice for notice in told["notices"]) == 1


def test_the_other_series_of_mixed_ones_is_opened_by_its_number(sent):
    other = {
        "SeriesInstanceUID": "1.2.9",
        "Modality": "MR",
        "ScanningSequence": "SE",
        "RepetitionTime": 500,
        "EchoTime": 12,
    }
    told = sent(beside=other, series=2).json()
    assert [one["taken"] for one in told["series"]] == [False, True]
    assert told["series"][1]["words"].startswith("MRI, T1, axial, 6 slices")


def test_files_of_two_patients_are_no_study(sent):
    said = refused(sent(beside={"SeriesInstanceUID": "1.2.9", "PatientID": "DOE-42"}), 422)
    assert said == "The study holds images of 2 patients: give the files of one patient."
