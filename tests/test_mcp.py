"""`medvlm mcp`, asked by the protocol's own client: which tools there are, what they give, and which files they open."""

from __future__ import annotations

import json
import sys
import threading

import anyio
import numpy as np
import PIL.Image
import pytest

pytest.importorskip("mcp", reason="mcp is not installed: pip install -e '.[mcp]'")
from mcp import Client, StdioServerParameters

from medvlm.cli import main
from medvlm.conversation.backends import make_reader
from medvlm.conversation.grammar import MEASURES, text_of
from medvlm.model.loading import model_folder
from medvlm.progress import tracked
from medvlm.types import decode_mask
from serving.mcp import ASK, COUNT, MEASURE, MOST_OPEN, OUTSIDE, make_server
from tests.fakes import FakeAssistant, square
from tests.studies import write

TOOLS = ["open_study", "ask", "find", "count", "measure", "segment", "report", "check_report", "close_study"]
FAKE = "from medvlm.cli import main; from tests.fakes import FakeAssistant; import sys; "
FAKE += "sys.exit(main(sys.argv[1:], lambda args: print('loaded') or FakeAssistant()))"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "allowed"
    folder.mkdir()
    PIL.Image.fromarray(square()).save(folder / "a.png")
    PIL.Image.fromarray(square()).save(tmp_path / "outside.png")
    return folder


def talk(server, *calls, mode="auto"):
    """The results of tool calls, each a name with its arguments, in one session."""

    async def session():
        async with Client(server, mode=mode) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(session)


def open_and(root, *calls, assistant=FakeAssistant):
    """What calls on an open study give."""
    opened, *results = talk(make_server(assistant, [root]), ("open_study", {"path": "a.png"}), *calls)
    assert not opened.is_error
    return [result.structured_content for result in results]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_session_over_standard_input_and_output(root, mode):
    server = StdioServerParameters(command=sys.executable, args=["-c", FAKE, "mcp", "--root", str(root)])

    async def session():
        async with Client(server, mode=mode) as client:
            tools = (await client.list_tools()).tools
            opened = await client.call_tool("open_study", {"path": str(root / "a.png")})
            asked = await client.call_tool("ask", {"study": "study-1", "question": "Please find thing"})
            return client.instructions, tools, opened, asked

    instructions, tools, opened, asked = anyio.run(session)
    assert "not for diagnosis" in instructions
    assert [tool.name for tool in tools] == TOOLS
    assert opened.structured_content["size"] == [64, 64] and opened.structured_content["study"] == "study-1"
    assert json.loads(asked.content[0].text) == asked.structured_content  # for clients without structured content
    assert asked.structured_content["text"] == "yes"
    assert asked.structured_content["regions"][0]["box"] == [16.0, 16.0, 48.0, 40.0]


def test_tools_are_described_from_the_registry(root):
    async def listed():
        async with Client(make_server(FakeAssistant, [root])) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    tools = anyio.run(listed)
    assert "- count: Counts the things of a kind." in tools["ask"].description and tools["ask"].description == ASK
    assert tools["measure"].input_schema["properties"]["what"]["enum"] == MEASURES
    assert "ctx" not in tools["measure"].input_schema["properties"]
    for tool in tools.values():
        assert tool.description and "from open_study" in str(tool.input_schema) or tool.name == "open_study"
        assert tool.annotations.read_only_hint and not tool.annotations.open_world_hint


def test_questions_about_a_study_are_one_conversation(root):
    first, counted, measured = open_and(
        root,
        ("ask", {"study": "study-1", "question": "Is it there?"}),
        ("count", {"study": "study-1", "thing": "polyp"}),
        ("measure", {"study": "study-1", "thing": "polyp", "what": "area"}),
    )
    assert first["detail"] == ""
    assert counted["detail"] == "After 'Is it there?' and 0 more."
    assert measured["detail"] == "After 'How many polyp are there?' and 1 more."
    assert measured["thoughts"].startswith("look(What is the area of the polyp?)")


def test_counting_and_measuring_are_read_as_such():
    reader = make_reader(None, model_folder(None), "cpu")
    asked = {f"measure(heart, {what})": MEASURE.format(what, "heart") for what in MEASURES}
    for call, question in {**asked, "count(tooth)": COUNT.format("tooth")}.items():
        assert text_of(reader.read(question).calls) == call


def test_regions_come_without_outlines_unless_asked_for(root):
    plain, outlined, drawn = open_and(
        root,
        ("find", {"study": "study-1", "phrases": ["polyp", "absent thing"]}),
        ("find", {"study": "study-1", "phrases": ["polyp"], "masks": True}),
        ("segment", {"study": "study-1", "box": [4, 4, 20, 20]}),
    )
    assert plain["absent"] == ["absent thing"] and plain["regions"][0]["mask"] is None
    assert np.array_equal(decode_mask(outlined["regions"][0]["mask"]), square() > 0)
    assert drawn["regions"][0]["box"] == [4.0, 4.0, 20.0, 20.0]


def test_reports_are_drafted_and_checked(root):
    drafted, checked = open_and(
        root,
        ("report", {"study": "study-1"}),
        ("check_report", {"study": "study-1", "text": "A polyp.\nNo polyp."}),
    )
    assert drafted["text"].startswith("# Report draft") and drafted["sections"] and "disclaimer" in drafted
    assert [claim["verdict"] for claim in checked["claims"]] == ["supported", "contradicted"]
    assert checked["claims"][0]["regions"][0]["mask"] is None


def test_a_prior_of_another_patient_is_refused(root):
    for name, elements in {
        "now": {"StudyDate": "20200301"}, "before": {"StudyDate": "20200202"}, "other": {"PatientID": "9999"},
    }.items():  # fmt: skip
        write(root / f"{name}.dcm", square(), StudyInstanceUID="1.2.3", **elements)
    opening = [("open_study", {"path": f"{name}.dcm"}) for name in ("now", "before", "other")]
    reports = [("report", {"study": "study-1", "prior": f"study-{number}"}) for number in (2, 3, 1)]
    *_, same, other, itself = talk(make_server(Comparing, [root]), *opening, *reports)
    assert same.structured_content["notices"] == [
        "The prior is 28 days earlier than the image, by the dates in the headers."
    ]
    assert other.is_error and "another patient" in other.content[0].text and "9999" not in other.content[0].text
    assert itself.is_error and "itself" in itself.content[0].text


class Comparing(FakeAssistant):
    def report(self, study, prior=None, remarks=()):
        report = super().report(study)
        report.notices = list(remarks)
        return report


@pytest.mark.parametrize(
    "path", ["../outside.png", "{root}/../outside.png", "/etc/passwd", "link.png", "linked", "a\0b"]
)
def test_files_outside_the_roots_stay_closed(root, path):
    (root / "link.png").symlink_to(root.parent / "outside.png")
    (root / "linked").mkdir()
    (root / "linked/b.png").symlink_to(root.parent / "outside.png")
    path = path.format(root=root)
    (result,) = talk(make_server(FakeAssistant, [root]), ("open_study", {"path": path}))
    assert result.is_error and OUTSIDE in result.content[0].text and "outside.png" not in result.content[0].text


def test_a_second_root_is_allowed_too(root):
    server = make_server(FakeAssistant, [root / "..", root])
    results = talk(server, *(("open_study", {"path": name}) for name in ("a.png", "outside.png", "nowhere.png")))
    assert [result.is_error for result in results] == [False, False, True]
    assert "nowhere.png does not exist" in results[2].content[0].text


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("ask", {"study": "study-9", "question": "Is it there?"}, "There is no open study of that id"),
        ("ask", {"study": "study-1", "question": " "}, "The question is empty"),
        ("ask", {"study": "study-1", "question": "explode"}, "a fault of ours (ZeroDivisionError)"),
        ("segment", {"study": "study-1"}, "Give exactly one prompt"),
        ("measure", {"study": "study-1", "thing": "polyp", "what": "smell"}, "'ratio' or 'share'"),
        ("count", {"study": "study-1", "thing": "no polyp"}, "Name what to find"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(root, capfd, name, arguments, sentence):
    _, failed, after = talk(
        make_server(FakeAssistant, [root]),
        ("open_study", {"path": "a.png"}),
        (name, arguments),
        ("ask", {"study": "study-1", "question": "Is it there?"}),
    )
    assert failed.is_error and sentence in failed.content[0].text
    assert not after.is_error
    assert capfd.readouterr().err == ""


def test_studies_close_and_make_room(root):
    opened = [("open_study", {"path": "a.png"})] * (MOST_OPEN + 1)
    ask = [("ask", {"study": f"study-{n}", "question": "Is it there?"}) for n in (1, 2, MOST_OPEN + 1)]
    results = talk(make_server(FakeAssistant, [root]), *opened, *ask, ("close_study", {"study": "study-2"}), ask[1])
    assert [result.is_error for result in results[MOST_OPEN + 1 :]] == [True, False, False, False, True]


def test_progress_of_long_work_is_told_and_calls_wait_for_each_other(root):
    class Slow(FakeAssistant):
        at_work = threading.Lock()

        def ask(self, *args, **options):
            assert self.at_work.acquire(blocking=False)
            for _ in tracked([1, 2]):
                threading.Event().wait(0.01)
            self.at_work.release()
            return super().ask(*args, **options)

    seen: list[tuple[float, float | None]] = []
    done = []

    async def heard(progress, total, message):
        seen.append((progress, total))

    async def session():
        slow = Slow()
        async with Client(make_server(lambda: slow, [root])) as client, anyio.create_task_group() as group:
            await client.call_tool("open_study", {"path": "a.png"})

            async def ask():
                asked = {"study": "study-1", "question": "Is it there?"}
                done.append(await client.call_tool("ask", asked, progress_callback=heard))

            group.start_soon(ask)
            group.start_soon(ask)

    anyio.run(session)
    assert [result.is_error for result in done] == [False, False]
    assert set(seen) == {(0, 2), (1, 2), (2, 2)}


def test_a_root_that_is_none_is_told_at_once(tmp_path, capsys):
    assert main(["mcp", "--root", str(tmp_path / "nowhere")]) == 2
    assert "is no folder" in capsys.readouterr().err
    assert main(["mcp"]) == 2
