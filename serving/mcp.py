"""The assistant as an MCP server: a few tools over studies in folders that the user allowed. No picture leaves through it."""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import anyio.from_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from medvlm import __version__
from medvlm.conversation.grammar import TOOLS
from medvlm.errors import MedVLMError, RequestError
from medvlm.progress import telling
from medvlm.report.export.markdown import to_markdown
from medvlm.studies import load_study
from medvlm.studies.priors import relate, remarks_on
from medvlm.types import DISCLAIMER, Answer, Grounding, Report, Study
from medvlm.validation import check_phrase

MOST_OPEN = 8  # studies; the one that was not used for longest makes room
MOST_TURNS = 50  # of a study's conversation
OUTSIDE = "That path is not in a folder that was allowed with --root; name a file or a folder in one of them."
INSTRUCTIONS = f"""Answers questions about medical images and shows where things are, with a small model on the user's machine.
Open a study first (open_study); the other tools take the id that it gives. Boxes are [x0, y0, x1, y1] in pixels of the
image as shown, half-open; images count from 0; scores and confidences are probabilities; "left" and "right" in a label
are the patient's. What is not found or told is not known: do not fill it in. {DISCLAIMER}"""
COUNT, MEASURE = "How many {} are there?", "What is the {} of the {}?"  # as the model reads them for sure
ASKED = "\n".join(f"- {name}: {tool.about}" for name, tool in TOOLS.items() if name not in ("recall", "help"))
ASK = f"""Answer a question about a study in a few words, with the regions that show it. Questions to one study are one
conversation, so that "how large is it?" can follow. Under "thoughts" stand the calls that the question was read as:
{ASKED}"""

Id = Annotated[str, Field(description="The study's id, from open_study.")]
Index = Annotated[
    int | None, Field(description="An image of the study, counted from 0; all of it where none is named.")
]
Masks = Annotated[bool, Field(description="Give outlines too, as COCO compressed RLE; they are long.")]
Thing = Annotated[str, Field(description="A name such as polyp, tooth or left lung.")]
What = Literal["size", "length", "width", "height", "area", "circumference", "diameter", "ratio", "share"]
Told = TypeVar("Told", Answer, Grounding, Report)


@dataclass(eq=False)
class Opened:
    """A study with the conversation about it."""

    path: Path
    study: Study
    history: list[tuple[str, Answer]] = field(default_factory=list)


class Tools:
    """What a client can call. Paths are taken in `roots` alone; one call is worked on at a time."""

    def __init__(self, assistant: Callable[[], Any], roots: Sequence[Path]):
        self.assistant, self.roots = assistant, [root.resolve() for root in roots]
        self.studies: OrderedDict[str, Opened] = OrderedDict()
        self.opened, self.lock = 0, threading.Lock()

    def open_study(
        self,
        path: Annotated[
            str, Field(description="A file, a series' folder or a zip, in a folder that the user allowed.")
        ],
        series: Annotated[int | None, Field(description="Which of several series, counted from 1.")] = None,
    ) -> dict[str, Any]:
        """Open a picture, DICOM, NIfTI volume, series folder, zip or short video. Gives the study's id and what its files say."""
        place = allowed(path, self.roots)
        study = load_study(place, series=series)
        self.opened += 1
        name = f"study-{self.opened}"
        self.studies[name] = Opened(place, study)
        while len(self.studies) > MOST_OPEN:
            self.studies.popitem(last=False)
        first = study.images[study.default]
        return {
            "study": name,
            "kind": study.kind,
            "images": len(study.images),
            "size": [first.size[1], first.size[0]],
            "spacing_mm": first.spacing_mm,
            "modality": study.modality,
            "body_part": study.body_part,
            "series": [one.to_json() for one in study.series],
            "notices": study.notices,
        }

    def ask(self, study: Id, question: str, image: Index = None, masks: Masks = False) -> dict[str, Any]:
        opened = self.of(study)
        answer = self.assistant().ask(opened.study, question, image, history=tuple(opened.history))
        opened.history = [*opened.history, (question, answer)][-MOST_TURNS:]
        return told(answer, masks)

    def count(self, study: Id, thing: Thing, image: Index = None) -> dict[str, Any]:
        """Count the things of a kind, with a box each."""
        return self.ask(study, COUNT.format(check_phrase(thing)), image)

    def measure(self, study: Id, thing: Thing, what: What = "size", image: Index = None) -> dict[str, Any]:
        """Measure a thing on its outline: in mm where the files say how large a pixel is, else in pixels. A ratio is the
        cardiothoracic one of the heart or the cup-to-disc one of the optic cup; a share is that of the image."""
        return self.ask(study, MEASURE.format(what, check_phrase(thing)), image)

    def find(
        self,
        study: Id,
        phrases: Annotated[
            list[str], Field(description="What to find, such as left lung.", min_length=1, max_length=50)
        ],
        image: Index = None,
        masks: Masks = False,
    ) -> dict[str, Any]:
        """Find every instance of what phrases name: boxes with scores, what is absent, and how likely each is there."""
        return told(self.assistant().ground(self.of(study).study, phrases, image), masks)

    def segment(
        self,
        study: Id,
        box: Annotated[list[float] | None, Field(description="[x0, y0, x1, y1] around the thing, in pixels.")] = None,
        points: Annotated[
            list[list[float]] | None, Field(description="[x, y, 1] on the thing, [x, y, 0] beside it, in pixels.")
        ] = None,
        image: Index = None,
        masks: Masks = False,
    ) -> dict[str, Any]:
        """Outline what a drawn box, or points, show; give one of the two."""
        regions = self.assistant().segment(self.of(study).study, image, box=box, points=points)
        return {"regions": told(Grounding(regions, {}, []), masks)["regions"]}

    def report(
        self,
        study: Id,
        prior: Annotated[str | None, Field(description="The id of an earlier study to compare with.")] = None,
        masks: Masks = False,
    ) -> dict[str, Any]:
        """Draft a report: sections of sentences, each with the finding and the regions that it rests on; "text" has it whole."""
        opened = self.of(study)
        compared = self.compared(opened, self.of(prior)) if prior else {}
        report = self.assistant().report(opened.study, **compared)
        return {"text": to_markdown(report), **told(report, masks)}

    def check_report(self, study: Id, text: Annotated[str, Field(description="The report.")]) -> dict[str, Any]:
        """Check an existing report against the images: which sentences they support, contradict, or cannot show."""
        claims = self.assistant().check_report(self.of(study).study, text)
        named = ("sentence", "label", "presence", "verdict", "note")
        boxes = [[replace(region, mask=None).to_json() for region in claim.regions] for claim in claims]
        shown = zip(claims, boxes, strict=True)
        return {"claims": [{n: getattr(claim, n) for n in named} | {"regions": regions} for claim, regions in shown]}

    def close_study(self, study: Id) -> dict[str, Any]:
        """Close a study and forget it with its conversation."""
        self.of(study)
        del self.studies[study]
        return {"closed": study}

    def compared(self, later: Opened, earlier: Opened) -> dict[str, Any]:
        """A prior, and what the headers say of the order of the two. Raises `RequestError` for those of two patients."""
        if later is earlier:
            raise RequestError("A study cannot be compared with itself; open the earlier one too.")
        relation = relate([later.path], [earlier.path])
        if relation.same_patient is False:
            raise RequestError(
                "The prior is of another patient, as the ids in the headers say; name one of the same patient."
            )
        return {"prior": earlier.study, "remarks": remarks_on(relation)}

    def of(self, name: str) -> Opened:
        """An open study, which is now the one used last. Raises `RequestError`."""
        if name not in self.studies:
            raise RequestError("There is no open study of that id; open it again with open_study.")
        self.studies.move_to_end(name)
        return self.studies[name]


def make_server(assistant: Callable[[], Any], roots: Sequence[Path]) -> MCPServer:
    """A server over the assistant that `assistant()` returns, which may wait until it is loaded; files are read in `roots`."""
    # Nothing is logged: its messages would quote what a client gave.
    server: MCPServer = MCPServer(
        "medvlm", title="medvlm", version=__version__, instructions=INSTRUCTIONS, log_level="CRITICAL"
    )
    tools = Tools(assistant, roots)
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    server.add_tool(guarded(tools.open_study, tools.lock), annotations=reads)
    server.add_tool(guarded(tools.ask, tools.lock), description=ASK, annotations=reads)
    for tool in (tools.find, tools.count, tools.measure, tools.segment, tools.report, tools.check_report):
        server.add_tool(guarded(tool, tools.lock), annotations=reads)
    server.add_tool(guarded(tools.close_study, tools.lock), annotations=reads)
    return server


def guarded(tool: Callable[..., dict[str, Any]], lock: threading.Lock) -> Callable[..., dict[str, Any]]:
    """A tool that works alone, tells its progress, and fails with one sentence."""

    @wraps(tool)
    def call(ctx: Context, **given: Any) -> dict[str, Any]:
        def tell(done: int, of: int) -> None:
            anyio.from_thread.run(ctx.report_progress, done, of)

        try:
            with lock, telling(tell):
                return tool(**given)
        except MedVLMError as error:
            raise ToolError(str(error)) from None
        except Exception as error:  # its text may quote what was given
            raise ToolError(f"a fault of ours ({type(error).__name__}); try it in another way.") from None

    # Where the package looks for the arguments to describe, and for the one that takes the context.
    signature = inspect.signature(tool, eval_str=True)
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=Context)
    call.__signature__ = signature.replace(parameters=[*signature.parameters.values(), context])  # type: ignore[attr-defined]
    call.__annotations__ = {**tool.__annotations__, "ctx": Context}
    return call


def allowed(path: str, roots: Sequence[Path]) -> Path:
    """A path, from the first root that has it where it is relative. Raises `RequestError` for what leads out of all of them."""
    try:
        places = [(root / path).resolve() for root in roots]
        inside = [place for place in places if _within(place, roots)]
        found = next((place for place in inside if place.exists()), inside[0] if inside else None)
        links = [file for file in found.rglob("*") if file.is_symlink()] if found else []
    except (OSError, ValueError, RuntimeError):
        raise RequestError(OUTSIDE) from None
    if found is None or not all(_within(link.resolve(), roots) for link in links):
        raise RequestError(OUTSIDE)
    return found


def _within(place: Path, roots: Sequence[Path]) -> bool:
    return any(place.is_relative_to(root) for root in roots)


def told(thing: Told, masks: bool) -> dict[str, Any]:
    """Its JSON, with outlines where they are wanted."""
    regions = thing.regions if masks else [replace(region, mask=None) for region in thing.regions]
    return replace(thing, regions=regions).to_json()
