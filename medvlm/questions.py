"""Yes/no questions on whether something is there, and which of the two answers says that it is. Torch-free."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .mentions import read

DENIES = re.compile(
    r"\b(?:no|not|non|none|nothing|nowhere|never|neither|without|lacks?|lacking|lacked|free|absent|absence|missing|miss|unable|"
    r"fail(?:ed|s)?|rul(?:e|ed|es|ing) out|exclud(?:e|ed|es|ing)|negative|spared)\b|n't\b|\bcannot\b"
)
CLEAR = re.compile(r"\b(?:all clear|clear of|cleared of)\b")  # lungs that are clear are there all the same
EITHER = re.compile(r"\b(?:yes or no|or not|y/n)\b")
# Words beside a label that leave a question one of its presence; any other may ask for more, such as a size or a side.
PLAIN = frozenset(
    """
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
    really actually truly true truth false right correct fair certain sure definitely certainly clearly obvious obviously also
    still too again now today already yet ever even all everything else bit little nervous worried afraid anxious curious
    wonder wondering ask asking question answer know think thinks thought believe agree agrees opinion guess assume expect
    hope want wanted need needed like would-be help time safe safely good happen happens
    """.split()
)


@dataclass(frozen=True)
class PresenceQuestion:
    """Whether `label` is in the image; `denied` where "yes" would say that it is not."""

    label: str
    denied: bool


def presence_question(text: str) -> PresenceQuestion | None:
    """The one label whose presence a yes/no question asks for, else `None`."""
    question = EITHER.sub(" ", " ".join(text.lower().replace("’", "'").split()))
    question = CLEAR.sub("without", question)
    names, rest = read(question)
    if len(names) != 1 or not all(word in PLAIN or DENIES.search(word) or word.isdigit() for word in rest):
        return None
    return PresenceQuestion(names[0], bool(DENIES.search(" ".join(rest))))
