"""Every decision over the model's scores, in one place: what is shown, said, withheld and declined. Torch-free.

A policy lies as `policy.json` beside the weights that its numbers were chosen for; `medvlm tune` writes it. Finder, answers,
report, page, rewards and evaluation read it, and none has a threshold of its own.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from .errors import ModelError
from .vocabulary import LABELS, canonical

FILE = "policy.json"


@dataclass(frozen=True)
class DecisionPolicy:
    """Fields are probabilities in 0..1 where nothing else is said."""

    # What is shown of a phrase
    finding: float = 0.5  # presence from which a finding, a device or an object is shown …
    anatomy: float = 0.5  # … and a normal structure …
    labels: dict[str, float] = field(default_factory=dict)  # … but for labels with a presence of their own
    region: float = 0.2  # quality of a region, given that the thing is there, from which it is shown with it
    centre: float = 0.25  # probability of a centre from which an instance is told apart
    type_least: float = 0.05  # share of a thing's types below which a type is ruled out: asked for, it is not shown
    type_sure: float = 0.6  # share from which the thing bears its type's name; below, its own with the type's share
    hide_cost: float = 1.0  # what hiding something that is there costs, in units of …
    show_cost: float = 1.0  # … showing something that is not; `medvlm tune` weighs the two for each label
    named: float = 0.5  # probability from which the reading of a free phrase counts as a label
    elsewhere: float = 0.05  # weight of a label that this kind of image cannot show, when a free phrase is read
    faint: float = -0.5  # mask's logit from which a pixel belongs to a thin or tiny thing

    # Drawn prompts
    closer: float = 2.0  # weight of the mask's logits in an enlarged look, beside 1 of those in the whole image
    alike: float = 0.5  # overlap in a prompt's extent from which a label has a say in its mask …
    alike_presence: float = 0.1  # … and the presence that this label needs …
    alike_most: float = 4.0  # … and the logit that its say does not go beyond
    erased: float = 10.0  # radius of what a negative click takes away, in pixels of the model's input

    # Answers
    medical: float = 0.5  # probability of a known kind of medical image from which questions are answered
    read: float = 0.3  # chance that a question's calls are the right ones, from which they are run
    read_reversed: float = 0.5  # the same of a reading that turns yes into no: "is it normal?", "no fracture, right?"
    answer: float = 0.5  # confidence from which an answer that no outline shows is given
    short_answer: float = 0.3  # likelihood from which a short answer is preferred to the language model's words
    recalled: dict[str, float] = field(default_factory=dict)
    # by tool, the likelihood from which a short answer is preferred to what the tool gives
    calibration: dict[str, list[float]] = field(default_factory=dict)
    # by tool, slope and offset that turn the logit of a likelihood into that of being right (Platt, 1999)

    # Reports
    certain: float = 0.65  # presence from which what is shown is called present, not possible
    ruled_out: float = 0.35  # presence below which what is not shown is called absent, not uncertain
    enlarged_heart: float = 0.5  # cardiothoracic ratio on a PA film above which it is remarked on
    large_cup: float = 0.6  # vertical cup-to-disc ratio above which it is remarked on

    def least(self, label: str | None) -> float:
        """The presence from which a label, or with `None` a phrase that is none, is shown."""
        name = canonical(label or "")
        if name in self.labels:
            return self.labels[name]
        return self.anatomy if name in LABELS and LABELS[name].kind == "anatomy" else self.finding

    def verdict(self, presence: float, shown: bool) -> str:
        """What is said of something that was looked for: present, absent or uncertain."""
        if shown:
            return "present" if presence >= self.certain else "uncertain"
        return "absent" if presence < self.ruled_out else "uncertain"

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_policy(folder: Path) -> DecisionPolicy:
    """The policy beside a model's weights; a model that was never tuned has the defaults.

    Raises `ModelError` for a file that is no policy, with one sentence that names the field.
    """
    path = folder / FILE
    if not path.is_file():
        return DecisionPolicy()
    again = "delete it and run `medvlm tune` to write it anew."
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{FILE} of {folder.name!r} cannot be read; {again}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{FILE} of {folder.name!r} is not a JSON object; {again}")
    known = {f.name: f for f in fields(DecisionPolicy)}
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ModelError(f"{FILE} of {folder.name!r} has a field {name!r}, the nearest known is {near!r}; {again}")
    if missing := [name for name in known if name not in values]:
        raise ModelError(f"{FILE} of {folder.name!r} lacks the field {missing[0]!r}; {again}")
    for name, value in values.items():
        if not _fits(name, value):
            raise ModelError(f"{FILE} of {folder.name!r} has no usable value for {name!r}; {again}")
    return DecisionPolicy(**values)


def _fits(name: str, value: object) -> bool:
    def number(v: object) -> bool:
        return isinstance(v, (int, float)) and not isinstance(v, bool)

    if name in ("labels", "recalled"):
        return isinstance(value, dict) and all(number(v) for v in value.values())
    if name == "calibration":
        lines = value.values() if isinstance(value, dict) else [None]
        return all(isinstance(line, list) and len(line) == 2 and all(map(number, line)) for line in lines)
    return number(value)
