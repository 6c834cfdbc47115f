"""The command line over a fake model: contracts of output and exit codes."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from medvlm.cli import build_parser, load_assistant, main
from medvlm.report.claims import Claim
from medvlm.types import DISCLAIMER, Region, decode_mask

from .fakes import FakeAssistant, square
from .studies import write_series


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    PIL.Image.fromarray(square()).save(path)
    return str(path)


def run(capsys, *argv, load=lambda args: FakeAssistant()):
    code = main([str(a) for a in argv], load=load)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['medvlm', '--help']\n"
        "from medvlm.cli import main\n"
        "assert main(['--help']) == 0\n"
        "print([m for m in ('torch', 'transformers', 'gradio', 'numpy', 'pydicom') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_ask(capsys, image):
    code, out, _ = run(capsys, "ask", image, "-q", "Is it bright?", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["text"] == "yes" and answer["model"] == "fake"
    keys = "text detail confidence regions thoughts abstained reason model seconds scope notices"
    assert set(keys.split()) == answer.keys()
    code, out, err = run(capsys, "ask", image, image, "-q", "Is it bright?")
    assert code == 0 and out.startswith("yes") and DISCLAIMER in err


def test_follow_ups_are_asked_after_what_came_before(capsys, image):
    asked = ("-q", "Is it bright?", "-q", "Where?", "-q", "How large?")
    code, out, _ = run(capsys, "ask", image, *asked, "--json")
    told = json.loads(out)
    assert code == 0 and told.keys() == {"answers", "notices"}
    details = [answer["detail"] for answer in told["answers"]]
    assert details == ["", "After 'Is it bright?' and 0 more.", "After 'Where?' and 1 more."]
    code, out, _ = run(capsys, "ask", image, *asked)
    lines = out.splitlines()
    assert lines[:4] == ["> Is it bright?", "yes", "confidence 0.80", ""]
    assert lines[4:] == [
        *("> Where?", "yes", details[1], "confidence 0.80", ""),
        *("> How large?", "yes", details[2], "confidence 0.80"),
    ]


def test_the_first_question_is_about_what_is_drawn(capsys, image):
    for prompt, width in (("--box=10,10,20,30", 10), ("--point=12,13", 1)):
        code, out, _ = run(capsys, "ask", image, prompt, "-q", "What is this?", "-q", "Sure?", "--json")
        first, second = json.loads(out)["answers"]
        assert code == 0 and first["detail"] == f"Over a box of {width} px." and "Over" not in second["detail"]


def test_points_at_which_nothing_stands_out(capsys, image):
    class Blind(FakeAssistant):
        def segment(self, *given, **prompt):
            return []

    code, out, err = run(capsys, "ask", image, "--point=1,1", "-q", "What is this?", load=lambda args: Blind())
    assert (code, out) == (2, "") and "Nothing stands out" in err


@pytest.mark.parametrize(("reason", "lines"), [("not sure", 3), ("yes", 2)])
def test_why_nothing_is_said_stands_below_once(capsys, image, reason, lines):
    class Silent(FakeAssistant):
        def ask(self, *asked, **how):
            answer = super().ask(*asked, **how)
            answer.abstained, answer.reason = True, reason
            return answer

    _, out, _ = run(capsys, "ask", image, "-q", "Bright?", load=lambda args: Silent())
    assert len(out.splitlines()) == lines


def test_ground(capsys, image, tmp_path):
    overlay = tmp_path / "new" / "overlay.png"
    code, out, _ = run(capsys, "ground", image, "polyp", "absent thing", "--overlay", overlay, "--json")
    found = json.loads(out)
    assert code == 0 and found["absent"] == ["absent thing"]
    assert found["regions"][0]["box"] == [16, 16, 48, 40]
    assert decode_mask(found["regions"][0]["mask"]).sum() == 32 * 24
    assert PIL.Image.open(overlay).size == (64, 64)
    code, out, _ = run(capsys, "ground", image, "polyp", "absent thing")
    assert code == 0 and "polyp: box 16, 16, 48, 40 px" in out and "not found: absent thing" in out


def test_one_image_of_several(capsys, image, tmp_path):
    dark = tmp_path / "dark.png"
    PIL.Image.fromarray(np.zeros((64, 64), np.uint8)).save(dark)
    assert run(capsys, "ground", dark, "polyp", "--image", 1)[0] == 0
    code, _, err = run(capsys, "ground", dark, "polyp", "--image", 2)
    assert code == 2 and "There is no image 2" in err
    code, _, err = run(capsys, "ask", image, dark, "-q", "Is there a polyp in image 3?")
    assert code == 2 and "The study has 2 images; there is no image 3" in err
    code, out, _ = run(capsys, "segment", dark, "--image", 1, "--box", "10,10,20,30", "--json")
    assert code == 0 and json.loads(out)["notices"] == []


def test_segment(capsys, image, tmp_path):
    code, out, _ = run(capsys, "segment", image, "--box", "10,10,20,30", "--json")
    assert code == 0 and json.loads(out)["regions"][0]["box"] == [10, 10, 20, 30]
    code, out, _ = run(capsys, "segment", image, "--point", "12,13", "--point=-40,40", "--json")
    assert code == 0 and json.loads(out)["regions"][0]["box"] == [12, 13, 13, 14]
    scribble = np.zeros((64, 64), np.uint8)
    scribble[5:9, 7:20] = 255
    PIL.Image.fromarray(scribble).save(tmp_path / "scribble.png")
    code, out, _ = run(capsys, "segment", image, "--scribble", tmp_path / "scribble.png", "--json")
    assert code == 0 and json.loads(out)["regions"][0]["box"] == [7, 5, 20, 9]


def test_what_is_outlined_on_a_slice_is_carried_to_its_neighbours(capsys, image, tmp_path):
    class Carrying(FakeAssistant):
        def carry(self, study, drawn):
            return [replace(drawn[0], image=at) for at in range(len(study.images))]

    volume = write_series(tmp_path / "volume", 3, PixelSpacing=[1, 1])
    box = ("--image", 2, "--box", "1,1,3,3", "--json")
    code, out, _ = run(capsys, "segment", volume, *box, "--carry", load=lambda _: Carrying())
    assert code == 0 and [region["image"] for region in json.loads(out)["regions"]] == [0, 1, 2]
    assert len(json.loads(run(capsys, "segment", volume, *box)[1])["regions"]) == 1
    code, _, err = run(capsys, "segment", image, "--box", "1,1,3,3", "--carry")
    assert code == 2 and "needs a volume" in err


def test_report_formats(capsys, image, tmp_path):
    code, out, _ = run(capsys, "report", image, "-o", tmp_path / "out", "--format", "csv,fhir, png")
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert code == 0 and names == {"report.csv", "report.fhir.json", "overlays/image_001.png"}
    assert out.count("written: ") == 3


def test_report(capsys, image, tmp_path):
    code, out, _ = run(capsys, "report", image, "-o", tmp_path / "out", "--json")
    report = json.loads(out)
    assert code == 0 and [s["title"] for s in report["sections"]] == ["Examination", "Findings", "Impression"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    code, out, _ = run(capsys, "report", image)
    assert code == 0 and out.startswith("# Report draft") and DISCLAIMER in out


class Checking(FakeAssistant):
    """Claims the whole report, of the left lung."""

    def check_report(self, study, text):
        region = Region("left lung", 0, (1.0, 1.0, 5.0, 5.0), None, 0.9)
        return (
            [Claim(text, "left lung", "present", "supported", [region], "Probability 0.90.")] if "lung" in text else []
        )


def test_check_report(capsys, image, tmp_path):
    report = tmp_path / "report.txt"
    report.write_text("\ufeffThe left lung is visible.", encoding="utf-8")
    code, out, err = run(capsys, "check-report", image, image, report, "--json", load=lambda args: Checking())
    told = json.loads(out)
    assert code == 0 and told.keys() == {"claims", "notices"} and len(told["notices"]) == 1  # that the side is assumed
    assert list(told["claims"][0]) == ["sentence", "label", "presence", "verdict", "regions", "note"]
    assert told["claims"][0]["sentence"] == "The left lung is visible." and told["notices"][0] in err
    code, out, err = run(capsys, "check-report", image, report, load=lambda args: Checking())
    line = "supported: left lung, present (“The left lung is visible.”) Probability 0.90.\n"
    assert (code, out) == (0, line) and DISCLAIMER in err
    report.write_text("Follow-up is advised.")
    code, out, _ = run(capsys, "check-report", image, report, load=lambda args: Checking())
    assert code == 0 and "nothing that an image could show" in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00", "no plain text"),
        (b"No mass.\x01", "plain text"),
        (b"\x89PNG\x00" * 30000, "no plain text"),
        (b"N\xf6 mass", "no plain text"),
        (b"no mass " * 3000, "24,000 characters"),
        (b"no mass " * 30000, "longer than 20,000 characters"),
        (b"No mass. " * 300, "300 sentences"),
        ("Легкие чистые, сердце не увеличено.".encode(), "English"),
    ],
)
def test_a_report_that_cannot_be_read(capsys, image, tmp_path, content, words):
    def load(args):
        raise AssertionError("the model is loaded only for good input")

    report = tmp_path / "report.txt"
    if content is not None:
        report.write_bytes(content)
    code, out, err = run(capsys, "check-report", image, report, "--json", load=load)
    assert (code, out) == (2, "") and words in err and len(err.strip().splitlines()) == 1


def test_eval(capsys, tmp_path):
    folder = tmp_path / "own"
    (folder / "images").mkdir(parents=True)
    PIL.Image.fromarray(square()).save(folder / "images" / "1.png")
    row = {"id": "1", "split": "val", "file_name": "images/1.png", "modality": "ultrasound", "body_part": "breast"}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    code, out, err = run(capsys, "eval", folder, "--tasks", "facts", "-o", tmp_path / "r" / "eval.json", "--json")
    result = json.loads(out)
    assert code == 0 and result["metrics"]["facts/own/modality"]["value"] == 1.0
    assert json.loads((tmp_path / "r" / "eval.json").read_text()) == result
    assert (tmp_path / "r" / "eval.items.jsonl").read_text().count("\n") == 1
    assert "item" in err  # the progress bar
    assert run(capsys, "eval", folder, "--tasks", "facts")[1].startswith("Model fake")
    assert run(capsys, "eval", folder.parent, "--tasks", "facts")[1].startswith("Model fake")  # a folder of data sets
    assert run(capsys, "eval", folder, "--tasks", "nonsense")[0] == 2
    assert run(capsys, "eval", tmp_path / "missing")[0] == 2


def test_batch(capsys, image, tmp_path):
    requests = tmp_path / "requests.jsonl"
    requests.write_text(json.dumps({"id": 1, "image": "image.png", "task": "answer", "question": "Bright?"}) + "\n")
    code, out, _ = run(capsys, "batch", requests, "-o", tmp_path / "responses.jsonl", "--json")
    assert code == 0 and json.loads(out)["answered"] == 1
    assert run(capsys, "batch", tmp_path / "missing.jsonl", "-o", tmp_path / "r.jsonl")[0] == 2
    assert run(capsys, "batch", requests, "-o", requests)[0] == 2


LONG = "why " * 5000  # 20,000 characters


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["ask", "IMAGE", "-q", ""], "empty"),
        (["ask", "IMAGE", "-q", " \n? "], "empty"),
        (["ask", "IMAGE", "-q", LONG], "20,000 characters"),
        (["ask", "IMAGE", "-q", "这是什么"], "Ask in English"),
        (["ask", "no such file.png", "-q", "What?"], "no such file"),
        (["ask", "IMAGE", "-q", "What?", "-q", ""], "empty"),
        (["ask", "IMAGE", "-q", "What?", "-q", "And in image 3?"], "no image 3"),
        (["ask", "IMAGE", "-q", "What?", "--box", "1,1,5,5", "--point", "3,3"], "2 given"),
        (["ask", "IMAGE", "-q", "What?", "--box", "50,50,80,60"], "leaves the image"),
        (["ask", "IMAGE", "-q", "What?", "--point", "64,3"], "outside the image"),
        (["check-report", "no such file.png", "IMAGE"], "plain text"),
        (["ground", "IMAGE", "опухоль"], "Ask in English"),
        (["ground", "IMAGE", ""], "empty"),
        (["segment", "IMAGE"], "none given"),
        (["segment", "IMAGE", "--box", "1,1,5,5", "--point", "3,3"], "2 given"),
        (["segment", "IMAGE", "--box", "50,50,80,60"], "leaves the image"),
        (["segment", "IMAGE", "--box", "20,20,10,30"], "exchanged"),
        (["segment", "IMAGE", "--box", "a,b"], "--box x0,y0,x1,y1"),
        (["segment", "IMAGE", "--box", "nan,0,5,5"], "four numbers"),
        (["segment", "IMAGE", "--point", "64,3"], "outside the image"),
        (["segment", "IMAGE", "--point=-3,3"], "All points are negative"),
        (["report", "IMAGE", "--format", "docx"], "choose from md, json"),
        (["report", "IMAGE", "--format", "pdf"], "-o DIR"),
        (["report", "IMAGE", "--format", "pdf,seg", "-o", "out"], "need DICOM images: seg"),
    ],
)
def test_bad_input_exits_with_2_and_one_sentence(capsys, image, argv, words):
    argv = [image if a == "IMAGE" else a for a in argv]

    def load(args):
        raise AssertionError("the model is loaded only for good input")

    code, out, err = run(capsys, *argv, load=load)
    assert (code, out) == (2, "")
    assert words in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["ask"], ["ask", "x.png"], ["check-report", "x.png"], ["segment", "x.png", "--what"]]
)
def test_bad_usage_exits_with_2(capsys, argv):
    assert run(capsys, *argv)[0] == 2


def test_our_fault_exits_with_1_and_keeps_content_to_itself(capsys, image):
    code, out, err = run(capsys, "ask", image, "-q", "please explode, Mrs Smith", "--json")
    assert (code, out) == (1, "")
    assert "ZeroDivisionError" in err and "Smith" not in err and len(err.strip().splitlines()) == 1


def test_json_is_one_object_whatever_libraries_print(capsys, image):
    class Chatty(FakeAssistant):
        def ask_many(self, requests, **how):
            print("loading something")
            return super().ask_many(requests, **how)

    code, out, err = run(capsys, "ask", image, "-q", "Bright?", "--json", load=lambda args: Chatty())
    assert code == 0 and json.loads(out)["text"] == "yes" and "loading something" in err


def test_data_check(capsys, tmp_path):
    code, out, err = run(capsys, "data", "check", tmp_path / "missing", "--json")
    assert code == 2 and "Traceback" not in err


def test_phrases_to_find_do_not_have_answers_phrased(monkeypatch):
    loaded = []
    monkeypatch.setattr("medvlm.assistant.Assistant.load", lambda *how: loaded.append(how))
    for command in (
        ["ground", "a.png", "liver", "spleen"],
        ["ask", "a.png", "-q", "x"],
        ["ask", "a.png", "-q", "x", "--phrase"],
    ):
        load_assistant(build_parser().parse_args(command))
    assert [how[3] for how in loaded] == [False, False, True]
