"""What the page's drawing tools do: a box, points, a scribble, a brush and an eraser, over a report or by themselves; carrying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from medvlm.errors import RequestError
from medvlm.perception.retouch import enclosed, prompt_of, retouched, stroke, tip
from medvlm.types import Region, Study, mask_box
from medvlm.validation import check_image, check_points

from . import payload
from .correcting import corrected
from .corrections import Corrected
from .handlers import message, opened, told
from .open_study import Layer
from .outline import Outlines, carried_to
from .session import Data, Outputs, Session
from .words import WORDS

NOTHING = WORDS["drawing.nothing"]
CHANGED = WORDS["drawing.changed"]
SELECT_FIRST = WORDS["drawing.select_first"]
TITLES = {
    "box": WORDS["drawing.box"],
    "points": WORDS["drawing.points"],
    "scribble": WORDS["drawing.scribble"],
    "brush": WORDS["drawing.brush"],
    "lasso": WORDS["drawing.lasso"],
}
PAINTING = ("brush", "eraser", "lasso", "cut")  # "cut" is a lasso that takes away

Drawn = tuple[np.ndarray, float]  # a mask, bool (H, W), and its score


@dataclass(frozen=True)
class Target:
    """What is drawn on: in a report a region or a finding's label, else what the user drew or will have drawn."""

    image: int
    layer: Layer | None = None
    region: int | None = None  # its number in the report
    label: str = ""  # of a finding that gets a region

    @property
    def report(self) -> Corrected | None:
        work = self.layer.work if self.layer else None
        return work if isinstance(work, Corrected) and (self.region is not None or self.label) else None


class Drawing:
    """The listeners of the page for what is drawn; all that belongs to a user is in `Session`."""

    def __init__(self, assistant: Callable[[], Any]):
        self.assistant = assistant

    def segment(self, session: Session, data: Data) -> Outputs:
        """A box, points or a scribble become a region, or change the one that is drawn on."""
        return self._draw(session, data, self._segmented)

    def paint(self, session: Session, data: Data) -> Outputs:
        """A stroke of the brush or the eraser."""
        return self._draw(session, data, self._painted)

    def carry(self, session: Session, data: Data) -> Outputs:
        """Carry what the user drew on slices to the others, by itself or of a finding that is named."""
        top, finding = session.layer, data.get("number")
        if type(finding) is int:
            return self._carry_finding(session, data.get("layer"), finding)
        try:
            study = opened(session)
            work = top.work if top else None
            if top is None or not isinstance(work, Outlines):
                raise RequestError(WORDS["drawing.outline_first"])
            regions, began = self.assistant().carry(study, work.anchors()), work.now
        except Exception as error:
            return message(session, told(error))
        if study is not session.study or work.now is not began:
            return message(session, CHANGED)
        work.carried(regions, study)
        session.layer = top.refreshed()
        return {"layer": payload.layer(session), **message(session, f"{work.title}.")}

    def _carry_finding(self, session: Session, key: Any, finding: int) -> Outputs:
        """As `carry`, of a report's finding that was drawn or redrawn."""
        try:
            study, (top, work) = opened(session), corrected(session, key)
            began = work.history.now
            found = self.assistant().carry(study, work.anchors(finding))
            if study is not session.study or work.history.now is not began:
                return message(session, CHANGED)
            work.carry(finding, found)
        except Exception as error:
            return message(session, told(error))
        top.refreshed()
        return {"layer": payload.layer(session), **message(session, f"{carried_to(found, study)}.")}

    def _draw(self, session: Session, data: Data, change: Callable[..., Drawn | None]) -> Outputs:
        try:
            study = opened(session)
            target = target_of(session, study, data)
            drawn = change(study, target, mask_of(target, study.images[target.image].size), data)
            if study is not session.study or (target.layer and session.layer is not target.layer):
                return message(session)
            if drawn is None:
                return message(session, NOTHING)
            selected = put(session, study, target, drawn, tool_of(data))
        except Exception as error:
            return message(session, told(error))
        return {"layer": payload.layer(session, selected), **message(session)}

    def _segmented(self, study: Study, target: Target, before: np.ndarray, data: Data) -> Drawn | None:
        """What a model's prompt makes; `None` where nothing stands out."""
        tool, box, points = tool_of(data), data.get("box"), data.get("points")

        def find(**prompt: Any) -> Drawn | None:
            found = self.assistant().segment(study, target.image, **prompt)
            return (found[0].mask, found[0].score) if found and found[0].mask is not None else None

        if tool == "scribble":
            touch = drawn_stroke(data, before.shape)
            mask, score = find(scribble=touch) or (touch, 1.0)
            return retouched(before, mask, touch, add=True), score
        if tool == "points":
            return clicked(points, before, find)
        return find(box=box, points=points)

    def _painted(self, study: Study, target: Target, before: np.ndarray, data: Data) -> Drawn:
        fills = tool_of(data) in ("lasso", "cut")
        touch = enclosed(data.get("stroke"), before.shape) if fills else drawn_stroke(data, before.shape)
        if tool_of(data) not in ("eraser", "cut"):
            return before | touch, 1.0
        if not before.any():
            raise RequestError(WORDS["drawing.no_erasing"])
        return before & ~touch, 1.0


def clicked(points: Any, before: np.ndarray, find: Callable[..., Drawn | None]) -> Drawn | None:
    """A mask after the last of some clicks. Raises `RequestError`."""
    if not before.any():
        clicks = check_points(points, before.shape)
        found = find(points=clicks)
        return found and (found[0] | tip(clicks[-1], before.shape) if clicks[-1][2] else found[0], found[1])
    inside = (0, 0, 1)  # clicks that only remove are no prompt by themselves, but are here
    clicks = check_points([inside, *points] if isinstance(points, list) and points else points, before.shape)[1:]
    prompt, adds = prompt_of(clicks, before), bool(clicks[-1][2])
    mask, score = (find(points=prompt) if prompt else None) or (before if adds else np.zeros_like(before), 1.0)
    return retouched(before, mask, tip(clicks[-1], before.shape), adds), score


def tool_of(data: Data) -> str:
    tool = data.get("tool")
    return tool if isinstance(tool, str) else "points" if data.get("points") else "box"


def drawn_stroke(data: Data, size: tuple[int, int]) -> np.ndarray:
    return stroke(data.get("stroke"), data.get("radius"), size)


def target_of(session: Session, study: Study, data: Data) -> Target:
    """What an event draws on. Raises `RequestError` where that is nothing."""
    image, top = check_image(data.get("image"), study), session.layer
    region, label = data.get("region"), data.get("label")
    here = top is not None and top.key == data.get("layer")
    if here and top is not None and isinstance(top.work, Corrected):
        if type(region) is int:
            return Target(top.work.region(region).image, top, region)
        if isinstance(label, str) and label:
            return Target(image, top, label=label)
        if not top.work.found and tool_of(data) in PAINTING:
            raise RequestError(SELECT_FIRST)
    if top is not None and top.drawn and (study.is_volume or top.on(image) is not None):
        return Target(image, top)
    return Target(image)


def mask_of(target: Target, size: tuple[int, int]) -> np.ndarray:
    """bool `(H, W)`: what is drawn on, before it is."""
    mask = None
    if target.report and target.region is not None:
        region = target.report.region(target.region)
        mask = region.mask
        if mask is None:
            mask = np.zeros(size, bool)
            x0, y0, x1, y1 = (round(v) for v in region.box)
            mask[y0:y1, x0:x1] = True
    elif target.layer and isinstance(target.layer.work, Outlines):
        mask = target.layer.work.mask(target.image)
    return np.zeros(size, bool) if mask is None else mask


def put(session: Session, study: Study, target: Target, drawn: Drawn, tool: str) -> list[int] | None:
    """Put a mask where it was drawn; the regions to select, as in `payload.layer`. Raises `RequestError`."""
    (mask, score), layer, number = drawn, target.layer, target.region
    if target.report is not None and layer is not None:
        report = target.report
        new = report.add_region(target.label, target.image, mask) if number is None else report.redraw(number, mask)
        session.layer = layer.refreshed()
        return [] if new is None else [new]
    region = Region("region", target.image, mask_box(mask), mask, score, turn=study.images[target.image].turn)
    title, work = TITLES.get(tool, WORDS["drawing.lasso"]), layer.work if layer else None
    if layer is None or not isinstance(work, Outlines):
        session.layer = Layer(title, [region], work=Outlines(title, region))
    else:
        work.draw(title if tool in TITLES and len(work.now.regions) == 1 else work.title, region)
        session.layer = layer.refreshed()
    return None
