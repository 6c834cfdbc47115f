"""The command line over a fake model: contracts of output and exit codes."""

import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from medvlm.cli import main
from medvlm.types import DISCLAIMER, decode_mask

from .fakes import FakeAssistant, square


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
    assert set("text confidence regions thoughts abstained reason model seconds scope notices".split()) == answer.keys()
    code, out, err = run(capsys, "ask", image, image, "-q", "Is it bright?")
    assert code == 0 and out.startswith("yes") and DISCLAIMER in err


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


def test_report(capsys, image, tmp_path):
    code, out, _ = run(capsys, "report", image, "-o", tmp_path / "out", "--json")
    report = json.loads(out)
    assert code == 0 and [s["title"] for s in report["sections"]] == ["Examination", "Findings", "Impression"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    code, out, _ = run(capsys, "report", image)
    assert code == 0 and out.startswith("# Report draft") and DISCLAIMER in out


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
    ],
)
def test_bad_input_exits_with_2_and_one_sentence(capsys, image, argv, words):
    argv = [image if a == "IMAGE" else a for a in argv]

    def load(args):
        raise AssertionError("the model is loaded only for good input")

    code, out, err = run(capsys, *argv, load=load)
    assert (code, out) == (2, "")
    assert words in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["ask"], ["ask", "x.png"], ["segment", "x.png", "--what"]])
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
    pytest.importorskip("medvlm.records.check")
    code, out, err = run(capsys, "data", "check", tmp_path / "missing", "--json")
    assert code == 2 and "Traceback" not in err
