"""Example studies that come with installed packages; none is from our data."""

from __future__ import annotations

from medvlm.errors import RequestError
from medvlm.studies import load_study
from medvlm.types import Image, Study

from .words import WORDS

EXAMPLES = {
    "retina": WORDS["examples.retina"],
    "ct": WORDS["examples.ct"],
    "mr": WORDS["examples.mr"],
    "ybr_color": WORDS["examples.ultrasound"],
}


def load_example(name: str) -> Study:
    """The example study of a name in `EXAMPLES`. Raises `RequestError` for another."""
    if name not in EXAMPLES:
        raise RequestError(WORDS["examples.unknown"].format(names=", ".join(EXAMPLES.values())))
    if name == "retina":
        from skimage.data import retina

        return Study([Image(retina())])
    from pydicom import examples

    return load_study(examples.get_path(name))
