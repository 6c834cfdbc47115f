"""What the chat says: a request that waited and what the model gives for it → a message and a layer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medvlm.notices import notices
from medvlm.policy import DecisionPolicy
from medvlm.report.found import found_report
from medvlm.report.volumes import sentence
from medvlm.studies.priors import remarks_on
from medvlm.types import Answer, Grounding, ImageFacts, Point, Region, Study

from .corrections import Corrected
from .open_study import Layer, Message, Pending, Turn, said
from .words import WORDS

if TYPE_CHECKING:  # it brings the whole conversation with it
    from medvlm.report.claims import Claim

NO_CLAIM = WORDS["replies.no_claim"]


def reply_to(pending: Pending, assistant: Any) -> tuple[Message, Layer]:
    """The reply to a request: what is said, and what is shown over the study."""
    replies = {"ask": answer, "find": find, "report": draft, "check": check}
    return replies[pending.kind](pending, assistant)


def answer(pending: Pending, assistant: Any) -> tuple[Message, Layer]:
    """The answer to a question after the turns before it, which it joins; a drawn region stays where it has none to show."""
    talk, drawn = pending.conversation, pending.drawn
    region = drawn.on(pending.image) if drawn else None
    past, sensitivity = talk.before(pending.reply), pending.sensitivity
    given = assistant.ask(pending.in_view, pending.text, history=past, region=region, sensitivity=sensitivity)
    talk.turns.setdefault(pending.reply, Turn(pending.text, given, pending.image, drawn)).answer = given
    note = answer_note(given, pending.fresh(given.notices))
    layer = (
        drawn if drawn and not given.regions else found_layer(pending.text, given.regions, pending.study, given.model)
    )
    return said(given.text, given.detail, note, given.thoughts or ""), layer


def find(pending: Pending, assistant: Any) -> tuple[Message, Layer]:
    """What a search for a phrase brought; a turn too, so that "how large is it?" may follow."""
    found = assistant.ground(pending.in_view, [pending.text])
    text = found_text(found, pending.text, assistant.policy)
    trace = f"find({re.sub('[(),;|=]+', ' ', pending.text)}) → {len(found.regions)}"
    given = Answer(text, found.presence.get(pending.text, 0.0), found.regions, thoughts=trace)
    pending.conversation.turns[pending.reply] = Turn(pending.text, given, pending.image)
    layer = found_layer(
        WORDS["chat.find"].format(text=pending.text),
        found.regions,
        pending.study,
        assistant.name,
        "" if found.regions else text,
    )
    whole = [sentence(phrase, body, pending.in_view) for phrase, body in found.bodies.items()]
    return said(text, " ".join(whole), "\n".join(pending.fresh(found.notices))), layer


def draft(pending: Pending, assistant: Any) -> tuple[Message, Layer]:
    """A report draft: in the chat its last section alone, for the panel shows it all."""
    prior = pending.prior
    compared = {"prior": prior.study, "remarks": remarks_on(prior.relation, prior.exchanged)} if prior else {}
    report = assistant.report(pending.study, **compared)
    last = report.sections[-1].sentences if report.sections else []
    text = WORDS["replies.draft"] + "\n" + "\n".join(s.text for s in last)
    title = WORDS["replies.compared_title" if prior else "replies.draft_title"]
    assert pending.study is not None
    work = Corrected(report, pending.study, prior.study if prior else None)
    return said(text.strip()), Layer(title, report.regions, report, prior=prior.key if prior else "", work=work)


def check(pending: Pending, assistant: Any) -> tuple[Message, Layer]:
    """Each sentence of an existing report with what the image says of it, and the regions of all."""
    assert pending.study is not None
    claims = assistant.check_report(pending.study, pending.text)
    regions = distinct([region for claim in claims for region in claim.regions])
    verdicts = Counter(claim.verdict for claim in claims)
    counts = [f"{count} {verdict}" for verdict, count in verdicts.items()] + counted(regions)
    beside = pending.fresh(notices(pending.study, [region.label for region in regions]))
    note = "\n".join(filter(None, [", ".join(counts), *beside]))
    trace = "\n".join(f"{claim.label}, {claim.presence} → {claim.note or claim.verdict}" for claim in claims)
    layer = found_layer(WORDS["replies.checked_title"], regions, pending.study, assistant.name)
    return said("\n".join(claim_lines(claims)) or NO_CLAIM, note=note, trace=trace), layer


def found_layer(title: str, regions: list[Region], study: Study | None, model: str, note: str = "") -> Layer:
    """What was found, which is corrected and saved as a report is."""
    if not regions or study is None:
        return Layer(title, regions, note=note)
    report = found_report(regions, study, model)
    return Layer(title, report.regions, report, note, work=Corrected(report, study, found=True))


def claim_lines(claims: Sequence[Claim]) -> list[str]:
    """A line a claim: its verdict and its sentence, and the label too where a sentence claims several things."""
    times = Counter(claim.sentence for claim in claims)
    return [
        f"{claim.verdict.capitalize()}: {claim.sentence}"
        + (f" ({claim.label})" if claim.label and times[claim.sentence] > 1 else "")
        for claim in claims
    ]


def distinct(regions: Sequence[Region]) -> list[Region]:
    """Regions without those that were given twice, as two claims about one thing do."""
    first: dict[tuple[Any, ...], Region] = {}
    for region in regions:
        first.setdefault((region.label, region.image, *region.box), region)
    return list(first.values())


def share(value: float) -> str:
    return f"{100 * value:.0f} %"


def worth(point: Point, images: tuple[int, int]) -> str:
    """What an operating point was worth on images kept aside, so many with the fact and without."""
    found, named = (f"{100 * part:.0f}" for part in (point.sensitivity, 1 - point.specificity))
    usual = WORDS["replies.usual"] if point.asked is None else ""
    return WORDS["replies.worth"].format(found=found, named=named, present=images[0], absent=images[1], usual=usual)


def counted(regions: Sequence[Region]) -> list[str]:
    """How many regions are shown, if any are."""
    count = len(regions)
    return [WORDS["replies.shown_one" if count == 1 else "replies.shown"].format(count=count)] if count else []


def answer_note(given: Answer, beside: Sequence[str] = ()) -> str:
    """The line under an answer, which of one that is withheld says nothing of confidence, and the notices `beside` it."""
    sure = [] if given.abstained else [WORDS["replies.confidence"].format(share=share(given.confidence))]
    where = [given.scope] if given.scope and not given.declined else []
    line = ", ".join([*sure, *counted(given.regions), *where])
    return "\n".join(filter(None, [line, *beside]))


def found_text(found: Grounding, phrase: str, policy: DecisionPolicy) -> str:
    """What a search for a phrase brought, as one line."""
    presence, count = found.presence.get(phrase, 0.0), len(found.regions)
    none = {"absent": WORDS["replies.absent"], "uncertain": WORDS["replies.uncertain"]}
    some = WORDS["replies.found_one" if count == 1 else "replies.found"].format(count=count)
    result = some if count else none[policy.verdict(presence, shown=False)]
    where = f" ({found.scope})" if found.scope else ""
    told = WORDS["replies.presence"].format(result=result, share=share(presence), where=where)
    return f"{told} {found.notes.get(phrase, '')}".strip()


def greeting(study: Study, facts: ImageFacts, policy: DecisionPolicy) -> str:
    """What was opened, and what the model takes it for."""
    count = len(study.images)
    opened = WORDS["replies.opened_one" if count == 1 else "replies.opened"]
    lines = [opened.format(count=count, name=study.images[study.default].name)]
    if facts.medical >= policy.medical:
        shares = {"modality_share": share(facts.modality_confidence), "part_share": share(facts.body_part_confidence)}
        lines.append(WORDS["replies.takes_for"].format(modality=facts.modality, part=facts.body_part, **shares))
    else:
        lines.append(WORDS["replies.unknown"])
    return "\n".join([*lines, *study.notices])
