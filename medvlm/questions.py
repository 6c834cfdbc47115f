"""Yes/no questions on whether something is there, and which of the two answers says that it is. Torch-free.

What is not read with certainty is left to others, who may then have to say that they cannot tell (`doubtful_denial`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .mentions import LONGEST, around, label_of, read
from .spelling import spelled

DENIES = re.compile(
    r"\b(?:no|not|non(?!-)|none|nothing|nowhere|never|neither|without|lacks?|lacking|lacked|free(?: of| from|$)|devoid|absent|absence|missing|miss|"
    r"unable|fail(?:ed|s)?|rul(?:e|ed|es|ing) out|exclud(?:e|ed|es|ing)|negative|spared|unremarkable|empty|false|wrong|incorrect|"
    r"untrue|den(?:y|ied|ies)|zero|nil|in vain|invisible|omit(?:s|ted)?|un(?:seen|detected|identified|noticed|apparent)|"
    r"un(?:detect|identifi|recogni[sz]|observ|notice)able|sans|nonexist\w*|left out|out of view|reject(?:s|ed)?|struck|yet to|(?:ai|do|does|did|is|are|was|ca)nt)\b|"
    r"n't\b|\bcannot\b"
)
CLEAR = re.compile(r"\b(?:all clear|clear of|cleared of)\b")  # lungs that are clear are there all the same
FRAMES = re.compile(  # what says nothing of the label
    r"\b(?:yes or no|or not|y/n|am i right|is (?:that|it|this) right)\b|, ?right\s*\?+$|"
    r"\bdescribe (?=this|the)|,? (?:is|does|do|are|has|have|can)n't (?:it|there|they|you|this|that)\s*\?+$"
)
CLAUSES = re.compile(r"[,;:.?!=]|\s[-–—]+\s|\b(?:whether|if|but)\b")
RULE_OUT = re.compile(
    r"\br o\b|\b(?:rule|ruling) out\b|\bexclud(?:e|ing)\b"
)  # asks for it where nobody is said to do it
DISPUTES = re.compile(r"\b(?:miss|false|wrong|incorrect|untrue)\b")  # may be said of the label or of the question
REQUEST = re.compile(r"\b(?:to|please|kindly)\b")
EXISTS = re.compile(r"\b(?:is|are|was|were) there\b|\bthere(?: is| are| was| were|'s|s)?\b")
STATE = re.compile(r"\b(ab|un)?(normal|healthy|remarkable)(?:it(?:y|ies))?\b")
NEGATED_VERB = re.compile(r"(?:\w+n't|cannot|(?:ai|do|does|did|is|are|was|ca)nt)\b")
TAG = re.compile(r", ?(?:is|are|was|were|do|does|did|has|have|can|could) (?:it|there|they|you|this|that|one|we)\s*\?*$")
VERB = re.compile(
    r"\b(?:is|are|was|were|be|am|do|does|did|has|have|had|can|could|theres|there|got|see|saw|look|looks|show|shows)\b|n't\b|'s\b"
)
COPULA = re.compile(r"^(?:is|are|was|were|has|have|does|do) (?:(?:the|this|that|these|those|a|an|my|his|her) )*")
# Words that may stand beside a label in a question of its presence …
PLAIN = frozenset(
    """
    yo yeah yep lol pls chk img rite ther quiz caption features snapshot exposure naked concur agreed
    a an the any some this that these those there here theres its it one ones anything something anywhere somewhere i i'm im
    i'd i've me my mine you your u we us our he she his her they them their patient patient's patients doctor colleague
    colleagues radiologist student someone anybody anyone everybody nobody is are was were be been being am do does did done
    doing has have had having can could may might must shall should will would it's that's there's let's and or but if so as
    at by for from in into of off on onto out over to up upon with within about whether because image images picture pictures
    pic pics scan scans slice film photo photograph photos x-ray x-rays xray radiograph ct mri mr ultrasound view views study
    exam examination report case result results test screen frame screenshot contain contains containing contained show shows
    showing shown see sees seeing seen saw look looks looked looking visible visibly visual visualised visualized present
    presence appear appears appearing appeared apparent exist exists existing find finds finding found detect detects detected
    detectable detection identify identifies identified identifiable notice notices noticed noticeable observe observes
    observed recognise recognised recognize recognized evident evidence sign signs signal trace traces hint hints indication
    indications suggestion suggest suggests suggested suspect suspected suspicion suspicious hold holds got get gets include
    includes included including depict depicts depicted display displays displayed reveal reveals revealed demonstrate
    demonstrates demonstrated capture captured catch caught spot spots spotted pick picks picked come comes came back make
    makes made point points pointed tell tells say says said mean means meaning count counts counted note notes noted mention
    mentioned record recorded reported confirm confirms confirmed check checks checked search searched positive rule ruled
    spare please kindly thanks thank hi hello hey dear sorry quick quickly simply just only maybe perhaps possibly probably
    really actually truly true truth correct fair certain sure definitely certainly clearly obvious obviously also
    still too again now today already yet ever even all everything else bit little nervous worried afraid anxious curious
    wonder wondering ask asking question answer know think thinks thought believe agree agrees opinion guess assume expect
    hope want wanted need needed like help time safe safely good happen happens
    """.split()
)


# … and those by which a question asks for more, such as a size, a side or a state; any other common word may stand there.
ASKS_MORE = frozenset(
    """
    what where which how who whom whose why when describe list name explain compare count segment outline draw measure mark
    left right upper lower top bottom middle central center centre side sides bilateral both inside outside behind above below
    under near next between around front back beside along across inner outer north south east west
    large larger largest big bigger biggest small smaller smallest size sized wide wider width long longer length short shorter
    tall high higher low lower thick thin deep broad huge tiny little narrow major minor main whole half part parts full
    normal abnormal abnormality abnormalities healthy unhealthy health sick ill disease diseases diseased disorder injured injury
    damage damaged broken intact open closed blocked active infected infection swollen growing growth grow grown increased
    increase decreased decrease reduced expanded changed change changes changing new old acute chronic severe mild serious
    dangerous critical worse better best worst stable progress improved cause caused causes due treat treated treatment cure
    surgery operation therapy function functions role important belong belongs organ organs system systems type types kind kinds
    stage grade level degree class color colour colors colored black white gray grey dark darker bright brighter light red green
    blue yellow pink brown dense density hard soft round regular irregular smooth sharp clean shape shaped form formed pattern
    texture contrast intensity number numbers many much more most less least fewer few several multiple single double two three
    four five six than same different difference similar other another first second third each every only alone
    contact touch touching push pushed shift shifted move moved moving cover covered cross extend extended spread invade connect
    connected surround surrounded fill filled fluid water air gas blood fat tissue bone bones heart brain head neck
    chest body lungs skin eye eyes face hand arm leg foot stomach breast male female man woman child adult age young older
    weight quality plane axial coronal sagittal position positions located location place placed direction axis angle tube line
    device wire solid dead living clot mass masses spots point points area areas region regions field base wall edge
    border surface bleeding torn tear cut burned stretched compressed loss lost rough good bad poor fine affected effect failure
    removed varied tension
    """.split()
)


ASKS = frozenset(
    "what where which how who whom whose why when describe list name explain compare count segment outline".split()
)
OF_IT = frozenset(
    "a an the any some this that these those my his her their your our patient patient's all both".split()
)
LINKS = frozenset(
    "and or of in on at by with within near to from for as into inside around throughout surrounding behind before".split()
)


FRAGMENT = 3  # words beside a label up to which a text without a verb is no sentence


@dataclass(frozen=True)
class PresenceQuestion:
    """Whether `label` is in the image; `denied` where "yes" would say that it is not."""

    label: str
    denied: bool


def _nothing(word: str) -> bool:
    return False


def presence_question(text: str, common: Callable[[str], bool] = _nothing) -> PresenceQuestion | None:
    """The one label whose presence a yes/no question asks for, else `None`; also where it is not certain what yes would say.

    Words beside the label must frame the question alone: those listed, and any that `common` takes for everyday ones.
    """
    asked = spelled(" ".join(text.lower().replace("’", "'").split()), common)
    question = CLEAR.sub("without", FRAMES.sub(" ", asked))
    parts = CLAUSES.split(question)
    clauses = [read(part) for part in parts]
    own = [i for i, (names, _) in enumerate(clauses) if names]
    if len({name for names, _ in clauses for name in names}) != 1:
        return None
    named, rest = clauses[own[0]]
    whole = not VERB.search(" ".join(rest))  # the label by itself, and what is asked of it before or after
    later = [word for _, others in clauses[own[0] + 1 :] for word in others]
    if any(map(_of_state, parts)):
        common = _nothing
    beside = _nothing if whole else common  # "resolved" or "neg for" say more of a label that stands without a verb
    if not all(_frames(word, beside) for word in later) or not _asks_for(parts[own[0]], beside):
        return None
    before = [word for _, others in clauses[: own[0]] for word in others]
    if whole and not ASKS.isdisjoint(before):
        return None
    if not rest and not all(_frames(word, common) for word in before):
        return None
    if DENIES.search(question) and (len(own) > 1 or DISPUTES.search(question) or " or " in question):
        return None
    denied = _whole_denied(clauses, rest) if whole else _denied(parts[own[0]], " ".join(later), asked)
    return None if denied is None else PresenceQuestion(named[0], denied)


def _whole_denied(clauses: list[tuple[list[str], list[str]]], rest: list[str]) -> bool | None:
    """Whether a label by itself is denied, as in "no polyp" and not in "rule out polyp"; `None` for more than one denial."""
    others = " ".join(word for names, words in clauses for word in (rest if names else words))
    if RULE_OUT.search(others):
        return None if DENIES.search(RULE_OUT.sub(" ", others)) else False
    denials = len(DENIES.findall(others))
    return denials == 1 if denials < 2 else None


def _denied(clause: str, later: str, asked: str) -> bool | None:
    """Whether a clause with a verb says that its label is not there; `None` where two readings are left.

    "Isn't there a polyp?" and "You see no polyp, do you?" are answered either way by different people; "no doubt there is a
    polyp" and "is there a polyp that was not seen before?" deny something else; two denials may be one, or none.
    """
    before, after = (" ".join(words) for words in around(clause))
    denials = [*DENIES.findall(before), *DENIES.findall(after)]
    exists = list(EXISTS.finditer(before))
    unclear = (
        len(denials) > 1
        or DENIES.search(later)
        or (denials and (NEGATED_VERB.match(clause.strip()) or TAG.search(asked)))
        or (RULE_OUT.search(before) and REQUEST.search(before))
        or (denials and exists and (DENIES.search(before[: exists[-1].start()]) or DENIES.search(after)))
    )
    return None if unclear else bool(denials)


def doubtful(text: str) -> bool:
    """Whether a yes to a question that is not read may say the opposite of what it seems to: where it denies something, or
    names a label without a verb, as "neg for polyp?" does. "With or without contrast?" lets choose and is no denial."""
    question = FRAMES.sub(" ", " ".join(text.lower().replace("’", "'").split()))
    names, words = read(question)
    rest = " ".join(words)
    if DENIES.search(rest) or DISPUTES.search(rest):
        return bool(names) or " or " not in f" {rest} "
    return bool(names) and len(words) <= FRAGMENT and not VERB.search(rest) and ASKS.isdisjoint(words)


@dataclass(frozen=True)
class StateQuestion:
    """Whether something is normal: two ways to ask it that a yes answers oppositely, whether it looks abnormal and whether it
    looks normal. `abnormal` where a yes to the question itself says that it is not normal."""

    forms: tuple[str, str]
    abnormal: bool


def state_question(text: str) -> StateQuestion | None:
    """What a question such as "is this chest x-ray normal?" or "any abnormalities in the lung?" asks, if it is one."""
    question = FRAMES.sub(" ", " ".join(text.lower().replace("’", "'").split()))
    states = list(STATE.finditer(question))
    words = re.findall(r"[a-z'-]+", STATE.sub(" ", question))
    if len(states) != 1 or DENIES.search(" ".join(words)) or "or" in words or not ASKS.isdisjoint(words):
        return None
    subject = " ".join(word for word in words if word not in PLAIN and word not in LINKS) or "image"
    changed, noun = states[0][1] or "", states[0][2]
    abnormal = changed == "ab" or (noun, changed) in (("healthy", "un"), ("remarkable", ""))
    return StateQuestion((f"does the {subject} look abnormal?", f"does the {subject} look normal?"), abnormal)


def denied_name(phrase: str) -> str | None:
    """The label that a phrase such as "no polyp" or "without any visible polyp" says is not there; else `None`."""
    words = phrase.lower().replace("’", "'").strip(" .?!")
    if label_of(words):
        return None
    asked, (names, _), first = presence_question(words), read(words), DENIES.match(words)
    leads = names and first and not words[first.end() :].startswith("-") and not around(words)[1]
    return asked.label if asked and asked.denied else names[0] if leads else None


def _asks_for(clause: str, common: Callable[[str], bool]) -> bool:
    """Whether a clause asks for the label in it: any word may stand before it if something is said in between, as the
    endoscopist does in "would the endoscopist see a polyp here?" and the nodule in "is a nodule seen on the lung?" does
    not; and after it where it says a place or a time, as in "in this section" and not in "polyp gone?"."""
    before, after = around(clause)
    linked = [any(word in LINKS for word in after[: i + 1]) for i in range(len(after))]
    if not all(_frames(word, common if link else _nothing) for word, link in zip(after, linked, strict=True)):
        return False
    if any(word in ASKS for word in before):
        return False
    while before and before[-1] in OF_IT:
        before.pop()
    other = [i for i, word in enumerate(before) if not _frames(word, common)]
    return not other or (common is not _nothing and other[-1] < len(before) - 1 and before[-1] not in LINKS)


def _of_state(clause: str) -> bool:
    """Whether a clause asks, as "is the liver …?" does, what the label is or has."""
    words = COPULA.sub("", clause.strip()).split()[:LONGEST]
    return bool(COPULA.match(clause.strip())) and any(label_of(" ".join(words[: n + 1])) for n in range(len(words)))


def _frames(word: str, common: Callable[[str], bool]) -> bool:
    return (
        word in PLAIN
        or word in ("r", "o")
        or word.isdigit()
        or bool(DENIES.search(word))
        or (word not in ASKS_MORE and common(word))
    )
