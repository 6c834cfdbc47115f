"""Which image a question is about."""

from __future__ import annotations

import numpy as np
import pytest

from medvlm.errors import RequestError
from medvlm.types import Image, Study
from medvlm.which import Meant, images_meant


def study(count: int) -> Study:
    return Study([Image(np.zeros((4, 4), np.uint8)) for _ in range(count)])


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("Is there a polyp in image 2?", (1,)),
        ("Is there a polyp in the second image?", (1,)),
        ("any PTX on the 2nd film", (1,)),
        ("What is on slice 40?", (39,)),
        ("what's on slice no. 3", (2,)),
        ("Compare image 1 and 3", (0, 2)),
        ("is image 1 or image 2 abnormal", (0, 1)),
        ("and the last frame?", (39,)),
        ("the 40th slice please", (39,)),
        ("Is there a polyp?", ()),
        ("Does the scan contain the gallbladder?", ()),
        ("Is the second ventricle wide?", ()),
        ("Is this a 5 mm slice?", ()),
        ("slice 3 mm thick?", ()),
        ("Is the lesion 40 mm on the image?", ()),
        ("T2 images, any lesion?", ()),
    ],
)
def test_names_of_images(question: str, named: tuple[int, ...]) -> None:
    assert images_meant(question, study(40)).named == named


def test_the_question_as_each_image_is_asked() -> None:
    assert images_meant("Is there a polyp in the second image?", study(3)).question == "is there a polyp in the image?"
    assert images_meant("PTX on film 2?", study(3)).question == "ptx on the image?"


def test_the_image_in_view() -> None:
    assert images_meant("Is there a polyp in this slice?", study(3)) == Meant(
        (), True, "Is there a polyp in this slice?"
    )
    assert images_meant("Is there a polyp in this CT image?", study(3)).shown
    assert not images_meant("Is there a polyp in the images?", study(3)).shown


@pytest.mark.parametrize(("question", "count"), [("Is there a polyp in image 4?", 3), ("slice 40?", 1), ("image 0", 2)])
def test_an_image_that_is_not_there(question: str, count: int) -> None:
    with pytest.raises(RequestError, match="there is no image"):
        images_meant(question, study(count))
