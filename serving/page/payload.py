"""What is sent to the page, as JSON: texts, pictures as data URLs, masks as run lengths. Nothing becomes a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from medvlm.perception.planes import planes_of
from medvlm.report.changes import TITLE as COMPARISON
from medvlm.report.draft import MODALITY_WORDS
from medvlm.report.export import possible_formats
from medvlm.report.overlay import label_colours
from medvlm.types import Study

from .compared import beside, earlier_regions
from .corrections import Corrected
from .corrections import shown as corrected
from .findings import marks, table
from .open_study import Turn
from .outline import Outlines
from .pictures import fitted, picture_url, region_json
from .reading import reading
from .replies import worth
from .session import Session
from .words import WORDS


def now() -> int:
    """A number that grows: of two values, which come to the page on two ways, the later one is drawn."""
    return time.monotonic_ns() // 1000


def chat(session: Session) -> dict[str, Any]:
    """The conversation: messages as plain text, as `said` makes them, which of them can show regions again, and which can
    be asked for at another operating point."""
    talk = session.chat
    messages = [
        {**message, "shows": index in talk.layers, "points": points(talk.turns.get(index))}
        for index, message in enumerate(talk.messages)
    ]
    return {"seq": now(), "messages": messages}


def points(turn: Turn | None) -> dict[str, Any] | None:
    """The operating points that an answer can be moved to: of what, where it is, whether it waits there, and what each was
    worth in words."""
    operating = turn.answer.operating if turn else None
    if turn is None or operating is None:
        return None
    words = [worth(point, operating.images) for point in operating.curve]
    at = operating.used if turn.wanted is None else turn.wanted
    return {"fact": operating.fact, "at": at, "waits": turn.wanted is not None, "words": words}


def picture(session: Session) -> dict[str, Any]:
    """The image that is open, with what the viewer says about it."""
    study = session.study
    if study is None:
        return {"seq": now()}
    image = study.images[session.image]
    height, width = image.size
    shown = fitted(image.size)[::-1]
    value: dict[str, Any] = {
        "seq": now(),
        "study": session.key,
        "image": session.image,
        "count": len(study.images),
        "size": [width, height],
        "shown": shown,
        "src": picture_url(image.pixels, shown),
        "facts": facts_line(study, session.image),
        "series": [series.to_json() for series in study.series] if session.upload else [],
        "prior": beside(session.prior, session.image, image.values.unit if image.values else "")
        if session.prior
        else None,
        "volume": study.is_volume,
    }
    value |= planes(session, study)
    plane = value["plane"] if value["cut"] else ""
    return value | {"reading": reading(study, session.image, plane, value["image"])}


def planes(session: Session, study: Study) -> dict[str, Any]:
    """The planes that a volume can be shown in, which is, and the picture where it is another than the slices' own. Beside a
    prior, which is compared slice by slice, there is no other."""
    size = study.images[0].size
    offered = {} if session.prior or fitted(size) != size else planes_of(study)  # masks are cut as they are sent
    own = next((name for name, cut in offered.items() if cut.across == 0), "")
    cut = offered.get(session.plane)
    if cut is None:
        return {"planes": list(offered), "plane": own, "cut": None}
    index, shown = min(session.cut, cut.count - 1), cut.shown[::-1]
    facts = WORDS["viewer.plane_facts"].format(plane=session.plane, number=index + 1, count=cut.count, own=own)
    return {
        "planes": list(offered), "plane": session.plane, "cut": asdict(cut), "image": index, "count": cut.count,
        "size": shown, "shown": shown, "src": picture_url(cut.picture(study, index), shown), "facts": facts,
    }  # fmt: skip


def facts_line(study: Study, index: int) -> str:
    """Such as "CT · chest · slice 3 of 40 · 512 × 512 px · 0.70 × 0.70 mm": what the files state."""
    image = study.images[index]
    height, width = image.size
    place = image.name if len(study.images) > 1 else ""
    words = [_shown(study.modality), study.body_part, place, f"{width} × {height} px"]
    if image.spacing_mm:
        down, across = image.spacing_mm
        words.append(WORDS["viewer.spacing"].format(across=across, down=down))
    return " · ".join(word for word in words if word)


def _shown(modality: str | None) -> str | None:
    return MODALITY_WORDS.get(modality, modality) if modality else None


def layer(session: Session, selected: Sequence[int] | None = None, aim: str = "") -> dict[str, Any]:
    """The regions that lie over the study, the text tied to them, and what can be done with both. `selected` are the regions to
    select, `None` for the same ones as before, and `aim` the finding that is drawn next."""
    value: dict[str, Any] = {"seq": now(), "study": session.key, "title": "", "regions": [], "sections": []}
    value |= {"selected": None if selected is None else list(selected), "aim": aim, "unsaved": session.unsaved}
    top, study = session.layer, session.study
    if top is None or study is None:
        return value | {"undo": session.cleared is not None}
    earlier, spoken_of = earlier_regions(session)
    colours = label_colours(region.label for region in [*top.regions, *earlier])
    value["title"], value["note"] = top.title, top.note
    value["regions"] = [region_json(region, study, colours[region.label]) for region in top.regions]
    value["regions"] += [region_json(region, study, colours[region.label]) | {"earlier": True} for region in earlier]
    value |= {"key": top.key, "groups": table(top, study), **(top.work.history.steps if top.work else {})}
    for sent, mark in zip(value["regions"], marks(top), strict=False):  # the prior's come behind
        sent["mark"] = mark
    if isinstance(top.work, Outlines):
        value |= {"carry": study.is_volume, "formats": [*formats(study), "corrections", "records"]}
    if top.report and isinstance(top.work, Corrected):
        value |= corrected(top.work)
        for sentence in (s for told in value["sections"] if told["title"] == COMPARISON for s in told["sentences"]):
            sentence["regions"] = [
                *sentence["regions"],
                *(len(top.regions) + n for n in spoken_of.get(sentence["text"], [])),
            ]
        value["disclaimer"] = top.report.disclaimer
        made = ["corrections", "records"] if isinstance(top.work, Corrected) and top.work.history.now else []
        value["formats"] = formats(study) + made
    return value


def formats(study: Study) -> list[str]:
    """Those that a report of a study can be saved in here; the open image has a PNG itself."""
    return [name for name in possible_formats(study) if name != "png"]
