"""Results → the evidence that sentences on them are checked against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..mentions import mentioned
from ..report.sentences import DENIAL, HEDGE, sentences
from ..types import Answer, Region
from ..vocabulary import LABELS, TYPES, whole
from .evidence import (
    CONTRARY,
    LEAD,
    MOST_OF,
    NOT,
    NUMBER,
    PLACES,
    QUANTITY,
    Evidence,
    Number,
    Words,
    kin,
    normalised,
    stem,
    unit_of,
)
from .grammar import ANYTHING, split
from .places import AREA, SIDED, words_for
from .results import Result, Scene
from .units import shown as number
from .units import wished
from .values import NORMAL

FINDING = ("find", "count", "place", "measure", "describe")  # tools that show whatever they find of a thing


def gathered(answer: Answer, results: Sequence[tuple[Result, float]], scene: Scene) -> Evidence:
    """What results, each with its chance, and the answer composed of them bear out."""
    out = Evidence(mirrored=(scene.study.modality or scene.modality) in SIDED)
    for line in answer.text.splitlines():
        if lead := LEAD.match(line):
            out.leads.add(lead[1].lower())
        else:
            _take_words(out, line)
    _take_words(out, answer.detail)
    for result, chance in results:
        _take_labels(out, result)
        _take_numbers(out, result, chance, wished(scene.question))
        _take_places(out, result, scene)
        _take_comparison(out, result)
    out.there = set(kin(out.there))
    return out


def _denies(text: str) -> bool:
    return bool(NOT.search(text) or DENIAL.search(text))


def _take_words(out: Evidence, text: str) -> None:
    for sentence in sentences(text):
        _take(out, _denies(sentence), sentence, of=mentioned(sentence))


def _take(out: Evidence, denied: bool, *texts: str, of: Iterable[str] = ()) -> None:
    for text in texts:
        words = frozenset(stem(word) for word in split(normalised(text)))
        out.words.append(Words(words, kin(of), denied, bool(HEDGE.search(text))))


def _names(regions: Iterable[Region]) -> set[str]:
    return {name for region in regions for name in (region.label, region.phrase) if name}


def _take_labels(out: Evidence, result: Result) -> None:
    """What is there and what is not, and the words of the call, which an answer of "Yes" or "No" leaves out."""
    call, value, wanted = result.call, result.value, result.call.get("is")
    shown = {region.label for region in result.regions}
    out.there |= shown
    for remark in result.remarks:
        out.there |= set() if _denies(remark) else set(mentioned(remark))
    if isinstance(value, bool):
        yes = value != call.denied
        _take(out, not yes, wanted)
    else:
        yes = bool(shown) if call.tool in FINDING else str(value) not in NORMAL
    there = yes != (wanted in NORMAL)
    _take(out, not there, call.word, *call.things)
    things = result.things or ((call.word,) if call.tool == "grade" and call.word in LABELS else ())
    if call.tool in ("present", "look", "grade"):
        if there and not shown & set(things) and (len(things) == 1 or things[:1] in [(name,) for name in TYPES]):
            out.there.add(things[0])
        lacking = not there
    else:
        lacking = call.tool in FINDING and not call.get("which")
    if lacking:
        where = {word for key in ("where", "in") for word in split(call.get(key))}
        found = kin(_names(result.regions))
        out.gone += [(name, where) for name in things if name not in found and whole(name) not in shown]


def _take_numbers(out: Evidence, result: Result, chance: float, wish: str) -> None:
    things = kin({*result.things, *_names(result.regions)})
    out.numbers.append(Number(f"{chance:.2f}", "", "probability", things))
    for measured in result.measurements:
        _take(out, False, measured.name, of=things)
        compared = result.call.tool == "compare"
        kind = {"count": "count", "ml": "volume"}.get(measured.unit, "area") if compared else measured.name
        for shown in {number(measured), number(measured, wish)}:
            text, _, unit = shown.replace(",", "").partition(" ")
            out.numbers.append(Number(text, unit, kind, kin({measured.name}) if compared else things))
    labels = {region.label for region in result.regions}
    for label in labels:
        mine = [region for region in result.regions if region.label == label]
        out.numbers.append(Number(str(len(mine)), "", "count", kin(_names(mine))))
    if isinstance(result.value, int) and not isinstance(result.value, bool):
        of = frozenset({ANYTHING}) if len(labels) > 1 else things
        out.numbers.append(Number(str(result.value), "", "count", of))
    if isinstance(result.value, str):
        out.numbers += [Number(m[1], unit_of(m[2])) for m in NUMBER.finditer(normalised(result.value))]
    for remark in map(normalised, result.remarks):
        for match in NUMBER.finditer(remark):
            kinds = QUANTITY.findall(remark[: match.start()])
            owners = kin(mentioned(remark)) or things
            out.numbers.append(Number(match[1], unit_of(match[2]), (kinds or [""])[-1], owners, _denies(remark)))


def _take_places(out: Evidence, result: Result, scene: Scene) -> None:
    for label in {region.label for region in result.regions}:
        largest = max((r for r in result.regions if r.label == label), key=AREA)
        words = {PLACES[word] for word in words_for(largest, scene.size, out.mirrored).split() if word in PLACES}
        out.places.append((words, kin(_names([largest]))))
    if result.regions and (where := result.call.get("where")):
        words = {PLACES[word] for word in where.split()}
        out.places.append((words, kin(_names(result.regions))))


def _take_comparison(out: Evidence, result: Result) -> None:
    call = result.call
    if call.tool != "compare" or len(result.things) < 2:
        return
    pair = result.things if len(result.things) == 2 else ()
    best = str(result.value)
    if isinstance(result.value, bool):
        first = result.value != call.denied
        best = result.things[0] if first else pair[1] if pair else ""
    least = next((name for name in pair if name != best), "") if best in pair else ""
    words = (call.word, CONTRARY[call.word])
    _take(out, False, "than", *words, *(MOST_OF[word] for word in words), of=result.things)
    out.ranks.append((call.word, best if best in result.things else "", least))
