"""The API by its routes: what opening, asking and closing give, over the fake assistant."""

from __future__ import annotations

import base64
import io
import json
import zipfile

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install -e '.[serving]'")

from medvlm.types import decode_mask
from serving.access.gate import WRONG_NAME, WRONG_ORIGIN
from serving.api import schemas

from .apis import SlowAssistant, app_over, client_over, opened, png, refused, service_of
from .dicom_export import series
from .fakes import square
from .priors import BEFORE, ComparingAssistant, pair, pair_of_series

BOX = [16.0, 16.0, 48.0, 40.0]  # of the bright rectangle in `square()`


@pytest.fixture
def app(tmp_path):
    return app_over(SlowAssistant(), tmp_path / "inbox")


@pytest.fixture
def client(app):
    return client_over(app)


@pytest.fixture
def study(client):
    return f"/v1/studies/{opened(client)}"


def test_state(client):
    assert client.get("/v1/health").json() == {"status": "ok"}
    ready = client.get("/v1/ready").json()
    assert schemas.Ready.model_validate(ready).model == "fake" and ready["waiting"] == 0


def test_a_study_is_opened_told_and_closed(client, tmp_path):
    reply = client.post("/v1/studies", files={"files": ("a.png", png())})
    assert reply.status_code == 201 and reply.headers["cache-control"] == "no-store"
    told = reply.json()
    schemas.StudyInfo.model_validate(told)
    assert told["kind"] == "picture" and told["images"] == [
        {"name": "image 1 of 1", "size": [64, 64], "spacing_mm": None}
    ]
    assert len(told["id"]) > 30 and "nifti" in told["formats"] and "seg" not in told["formats"]
    assert reply.headers["location"] == f"/v1/studies/{told['id']}"
    assert client.get(reply.headers["location"]).json() == told
    assert not list((tmp_path / "inbox").iterdir())  # files that are needed no more are gone
    gone = client.delete(reply.headers["location"])
    assert (gone.status_code, gone.content) == (204, b"")
    assert "send it again" in refused(client.get(reply.headers["location"]), 404)
    refused(client.delete(reply.headers["location"]), 404)


def test_folders_and_zips_are_opened(client, tmp_path):
    folder = series(tmp_path / "ct")
    files = [("files", (f"ct/{path.name}", path.read_bytes())) for path in folder.iterdir()]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"ct/{path.name}")
    for form in (files, [("files", ("ct.zip", stream.getvalue()))]):
        told = client.post("/v1/studies", files=form).json()
        assert told["kind"] == "volume" and len(told["images"]) == 5 and told["images"][0]["spacing_mm"] == [1.0, 1.0]
        assert "seg" in told["formats"]


def test_the_files_of_a_dicom_study_go_when_it_is_closed(client, tmp_path):
    name = opened(client, *(path.read_bytes() for path in series(tmp_path / "ct").iterdir()))
    assert list((tmp_path / "inbox").iterdir())
    client.delete(f"/v1/studies/{name}")
    assert not list((tmp_path / "inbox").iterdir())


def test_another_series_is_taken(client, tmp_path):
    small, large = series(tmp_path / "a", count=2), series(tmp_path / "b", count=4, SeriesInstanceUID="1.2.9")
    files = [("files", (f"x/{path}", path.read_bytes())) for f in (small, large) for path in f.iterdir()]
    first, second = (client.post(f"/v1/studies{query}", files=files).json() for query in ("", "?series=2"))
    assert (len(first["images"]), len(second["images"])) == (4, 2)
    assert "no series 3" in refused(client.post("/v1/studies?series=3", files=files), 422)
    assert len(list((tmp_path / "inbox").iterdir())) == 2  # nothing of the refused one


@pytest.mark.parametrize(
    "sent, status, words",
    [
        ({}, 415, "multipart/form-data"),
        ({"json": {"files": []}}, 422, "dicomweb"),
        ({"json": {"dicomweb": {"study": "1.2.3"}}}, 422, "--dicomweb URL"),
        ({"files": {"other": ("a.png", b"x")}}, 400, "No file"),
        ({"files": {"files": ("a.txt", b"not an image")}}, 422, "a.txt"),
        ({"content": b"--b\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, "cut short"),
        ({"files": {"files": ("a.png", b"x")}, "headers": {"content-length": str(2**40)}}, 413, "GiB"),
    ],
)
def test_what_cannot_be_opened_is_said(client, tmp_path, sent, status, words):
    assert words in refused(client.post("/v1/studies", **sent), status)
    assert not list((tmp_path / "inbox").iterdir())


def test_a_question_is_answered_over_a_box_and_after_others(client, study):
    first = client.post(f"{study}/ask", json={"question": "What is this? find head", "box": BOX}).json()
    schemas.AnswerOut.model_validate(first)
    assert first["text"] == "yes" and first["detail"] == "Over a box of 32 px." and first["regions"][0]["box"] == BOX
    turn = {"question": "What is this?", "answer": first}
    second = client.post(f"{study}/ask", json={"question": "How large?", "history": [turn]}).json()
    assert second["detail"] == "After 'What is this?' and 0 more."


def test_what_is_found_has_its_masks_in_either_form(client, study):
    asked = {"phrases": ["head", "absent thing"]}
    found = client.post(f"{study}/find", json=asked).json()
    schemas.Found.model_validate(found)
    assert found["absent"] == ["absent thing"] and found["presence"]["head"] == 0.9
    expected = square() > 100
    assert np.array_equal(decode_mask(found["regions"][0]["mask"]), expected)
    mask = client.post(f"{study}/find?masks=png", json=asked).json()["regions"][0]["mask"]
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(mask["png"])))
    assert np.array_equal(np.asarray(picture).astype(bool), expected) and mask["size"] == [64, 64]


@pytest.mark.parametrize(
    "prompt",
    [{"box": BOX}, {"points": [[20, 20, 1], [2, 2, 0]]}, {"scribble": {"size": [64, 64], "counts": "_PP1"}}],
)
def test_prompts_are_outlined(client, study, prompt):
    if "scribble" in prompt:
        from medvlm.types import encode_mask

        prompt["scribble"] = encode_mask(square() > 100)
    reply = client.post(f"{study}/segment", json=prompt)
    schemas.Segmented.model_validate(reply.json())
    assert len(reply.json()["regions"]) == 1


def test_an_outline_is_carried_in_a_volume_alone(client, study, tmp_path):
    assert "carried" in refused(client.post(f"{study}/segment", json={"box": BOX, "carry": True}), 422)
    name = opened(client, *(path.read_bytes() for path in series(tmp_path / "ct").iterdir()))
    carried = client.post(f"/v1/studies/{name}/segment", json={"box": [1, 1, 4, 4], "carry": True}).json()
    assert len(carried["regions"]) == 5


def test_a_report_is_drafted_and_checked(client, study):
    report = client.post(f"{study}/report").json()
    schemas.ReportOut.model_validate(report)
    assert report["findings"] and report["disclaimer"]
    checked = client.post(f"{study}/check-report", json={"text": "A head.\nNo head.\nMaybe head."}).json()
    schemas.Checked.model_validate(checked)
    assert [claim["verdict"] for claim in checked["claims"]] == ["supported", "contradicted", "cannot be shown"]


def test_a_report_leaves_as_a_file_or_a_zip_of_several(client, study, tmp_path):
    one = client.post(f"{study}/report?format=csv")
    assert one.headers["content-type"] == "text/csv" and 'filename="report' in one.headers["content-disposition"]
    several = client.post(f"{study}/report?format=md,nifti")
    names = zipfile.ZipFile(io.BytesIO(several.content)).namelist()
    assert several.headers["content-type"] == "application/zip" and "report.md" in names and len(names) > 1
    assert "choose from md" in refused(client.post(f"{study}/report?format=docx"), 422)
    assert "need DICOM" in refused(client.post(f"{study}/report?format=seg"), 422)
    assert not list((tmp_path / "inbox").iterdir())


def test_dicom_goes_in_and_a_segmentation_comes_out(client, tmp_path):
    pytest.importorskip("highdicom")
    import pydicom

    name = opened(client, *(path.read_bytes() for path in series(tmp_path / "ct").iterdir()))
    client.post(f"/v1/studies/{name}/find", json={"phrases": ["head"]})
    reply = client.post(f"/v1/studies/{name}/report?format=seg")
    assert reply.headers["content-type"] == "application/dicom"
    assert pydicom.dcmread(io.BytesIO(reply.content)).Modality == "SEG"


def test_pictures_are_sent_as_shown(client, study):
    reply = client.get(f"{study}/images/0")
    assert reply.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(reply.content)).convert("L")), square())
    assert "images 0 to 0" in refused(client.get(f"{study}/images/1"), 404)
    refused(client.get(f"{study}/images/-1"), 422)


def test_writing_in_the_pixels_leaves_only_where_it_was_asked_for(client):
    pytest.importorskip("rapidocr")
    from .planted import burned_in

    content = png(burned_in())
    hidden, kept = (
        client.get(f"/v1/studies/{opened(client, content, params=options)}/images/0").content
        for options in ({}, {"keep_text": "true"})
    )
    assert kept != hidden
    assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(kept))), burned_in())


def test_two_studies_are_compared_in_the_order_of_their_dates(tmp_path):
    pytest.importorskip("SimpleITK")
    client = client_over(app_over(ComparingAssistant(), tmp_path / "inbox"))
    today, before = (opened(client, path.read_bytes()) for path in pair(tmp_path))
    for study, prior in ((today, before), (before, today)):
        report = client.post(f"/v1/studies/{study}/compare", json={"prior": prior}).json()
        assert (report["study"], report["prior"]) == (today, before)
        assert any("10 days" in remark for remark in report["comparison"]["remarks"])
        assert schemas.ReportOut.model_validate(report)
    given = client.post(f"/v1/studies/{before}/compare", json={"prior": today, "as_given": True}).json()
    assert given["study"] == before
    refused(client.post(f"/v1/studies/{today}/compare", json={"prior": "nobody"}), 404)
    text = client.post(f"/v1/studies/{today}/compare?format=md", json={"prior": before}).text
    assert "Comparison with the prior" in text


def test_the_series_of_a_prior_is_chosen(tmp_path):
    pytest.importorskip("SimpleITK")
    client = client_over(app_over(ComparingAssistant(), tmp_path / "inbox"))
    today, before = pair_of_series(tmp_path)
    study, files = opened(client, today.read_bytes()), [path.read_bytes() for path in before]
    changes = []
    for number in (1, 2):
        prior = opened(client, *files, params={"series": number})
        report = client.post(f"/v1/studies/{study}/compare", json={"prior": prior}).json()
        changes.append([s["text"] for part in report["sections"] for s in part["sentences"] if "larger" in s["text"]])
    assert changes[0] and not changes[1]


def test_a_prior_of_another_kind_is_refused_in_a_sentence(tmp_path):
    pytest.importorskip("SimpleITK")
    client = client_over(app_over(ComparingAssistant(), tmp_path / "inbox"))
    today, before = (opened(client, path.read_bytes()) for path in pair(tmp_path, Modality="MG"))
    said = refused(client.post(f"/v1/studies/{today}/compare", json={"prior": before}), 422)
    assert "X-ray" in said or "x-ray" in said
    other = opened(client, pair(tmp_path, BodyPartExamined="HAND")[1].read_bytes())
    assert "hand" in refused(client.post(f"/v1/studies/{today}/compare", json={"prior": other}), 422)


def test_a_study_is_not_compared_with_itself(client, study):
    itself = {"prior": study.rpartition("/")[2]}
    assert "itself" in refused(client.post(f"{study}/compare", json=itself), 422)


def test_another_patient_is_asked_for_not_assumed(tmp_path):
    pytest.importorskip("SimpleITK")
    client = client_over(app_over(ComparingAssistant(), tmp_path / "inbox"))
    today, before = (
        opened(client, path.read_bytes()) for path in pair(tmp_path, PatientID="another", StudyDate=BEFORE)
    )
    reply = client.post(f"/v1/studies/{today}/compare", json={"prior": before})
    assert "other_patient" in refused(reply, 409) and reply.json()["error"]["type"] == "OtherPatient"
    asked = {"prior": before, "other_patient": True}
    remarks = client.post(f"/v1/studies/{today}/compare", json=asked).json()["comparison"]["remarks"]
    assert any("different patients" in remark for remark in remarks)


@pytest.mark.parametrize(
    "path, body, status, words",
    [
        ("ask", {"question": ""}, 422, "empty"),
        ("ask", {}, 422, "question"),
        ("ask", {"question": 3}, 422, "question"),
        ("ask", {"question": "Why?", "tone": "kind"}, 422, "no field 'tone'"),
        ("ask", {"question": "What is this?", "image": 7}, 422, "no image 7"),
        ("ask", {"question": "What is this?", "box": [0, 0, 900, 900]}, 422, "leaves the image"),
        ("ask", {"question": "What is this?", "box": [1, 2]}, 422, "box"),
        ("ask", {"question": "What is this?", "history": [{"question": "a", "answer": {}}]}, 422, "text"),
        ("ask", [], 422, "object"),
        ("find", {"phrases": []}, 422, "phrases"),
        ("find", {"phrases": ["肝"]}, 422, "English"),
        ("segment", {}, 422, "exactly one prompt"),
        ("segment", {"scribble": {"size": [3, 3], "counts": "x"}}, 422, "mask of this image"),
        ("compare", {"prior": "nobody"}, 404, "no such study"),
        ("nothing", {}, 404, "openapi.json"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_one_sentence(client, study, path, body, status, words):
    assert words in refused(client.post(f"{study}/{path}", json=body), status)


def test_bodies_that_are_no_json(client, study):
    kind = {"content-type": "application/json"}
    assert "JSON" in refused(client.post(f"{study}/ask", content=b"{", headers=kind), 422)
    assert "JSON" in refused(client.post(f"{study}/ask", content=b"[" * 10**6, headers=kind), 400)
    assert "JSON" in refused(client.post(f"{study}/ask", content=b"{}", headers={"content-type": "text/plain"}), 415)
    assert "JSON" in refused(client.post(f"{study}/ask", data={"question": "Why?"}), 415)
    large = json.dumps({"question": "x" * 2**25}).encode()
    assert "too large" in refused(client.post(f"{study}/ask", content=large, headers=kind), 413)
    parts = (large[at : at + 2**20] for at in range(0, len(large), 2**20))  # without a length before it
    assert "too large" in refused(client.post(f"{study}/ask", content=parts, headers=kind), 413)


def test_methods_and_places_that_are_not_there(client, study):
    of_chats = ("DELETE", "/v1/models"), ("GET", "/v1/chat/completions")
    of_studies = ("PUT", study), ("GET", f"{study}/ask"), ("OPTIONS", "/v1/studies"), ("GET", "/v1/studies")
    for method, path in (*of_chats, *of_studies):
        refused(client.request(method, path), 405)
    refused(client.get("/v1/studies/"), 404)


def test_the_gate_is_before_the_api(client, study):
    assert refused(client.get(study, headers={"host": "evil.example"}), 403) == WRONG_NAME
    for method, path in (("POST", "/v1/studies"), ("GET", study), ("DELETE", study), ("OPTIONS", "/v1/studies")):
        reply = client.request(method, path, headers={"origin": "http://evil.example"})
        assert refused(reply, 403) == WRONG_ORIGIN
        assert not [name for name in reply.headers if name.startswith("access-control")]
    for method, path in (("GET", "/v1/unknown"), ("GET", "/v1")):
        assert "nothing here" in refused(client.request(method, path), 404)
    assert client.get("/v1x").json() == {"detail": "There is nothing here."}
    assert client.get(study).headers["x-content-type-options"] == "nosniff"


def test_a_fault_of_ours_quotes_nothing(client, study, caplog):
    reply = client.post(f"{study}/ask", json={"question": "Will you explode for Jane Doe?"})
    assert "no fault of the request" in refused(reply, 500)
    assert "ZeroDivisionError" in caplog.text and "Jane" not in caplog.text and "boom" not in caplog.text


def test_a_fault_outside_the_model_quotes_nothing(app, client, study, caplog, monkeypatch):
    def broken(*_):
        raise ValueError("Jane Doe")

    monkeypatch.setattr(service_of(app).studies, "get", broken)
    refused(client.get(study), 500)
    assert "ValueError" in caplog.text and "Jane" not in caplog.text


def test_while_the_model_loads_studies_are_opened_and_questions_told_to_wait(tmp_path):
    client = client_over(app_over(SlowAssistant(), tmp_path / "inbox", ready=lambda: False))
    study = f"/v1/studies/{opened(client)}"
    assert client.get("/v1/health").status_code == 200
    for reply in (client.get("/v1/ready"), client.post(f"{study}/ask", json={"question": "What is this?"})):
        assert "loaded" in refused(reply, 503) and reply.headers["retry-after"] == "5"


def test_page_and_api_share_a_server_and_the_model(tmp_path):
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
    from serving.server import make_app

    client = client_over(make_app(SlowAssistant, tmp_path))
    study = f"/v1/studies/{opened(client)}"
    assert client.post(f"{study}/find", json={"phrases": ["head"]}).json()["regions"]
    assert client.get("/").status_code == 200
    assert client.get("/v1/openapi.json").json()["info"]["title"] == "medvlm"
    refused(client.post("/v1/ready"), 405)
    assert client.get("/openapi.json").status_code == client.get("/v1/docs").status_code == 404
