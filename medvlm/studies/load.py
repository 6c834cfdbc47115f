"""The one door for files: what they are decides who reads them, and the most useful of them is the study."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path

from ..errors import StudyError
from ..seams import notice, parts
from ..types import Series, Study
from .choices import Choice, choices
from .files import collect
from .limits import DEFAULT, Limits, reading
from .listing import Listing

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]

_SAID = 5  # kinds of series that a sentence lists


def load_study(
    paths: Paths, limits: Limits = DEFAULT, series: int | None = None, hounsfield: bool | float | None = None
) -> Study:
    """`studies.load_study` in this process, which a broken file may end. Raises `StudyError`."""
    with _opened(paths, limits, hounsfield) as (name, there, notices):
        at, study = _take(there, series, name)
    if study.kind in ("picture", "series"):
        _tell_pasted(study)
    study.series = _numbered(there, at)
    study.series[at] = replace(study.series[at], images=len(study.images))
    study.notices = list(dict.fromkeys([*_said(there, at, series), *study.notices, *notices]))
    return study


def list_series(paths: Paths, limits: Limits = DEFAULT) -> Listing:
    """`studies.list_series` in this process; pixels are not read. Raises `StudyError`."""
    with _opened(paths, limits) as (_, there, notices):
        return Listing(_numbered(there, 0), notices)


@contextmanager
def _opened(
    paths: Paths, limits: Limits, hounsfield: bool | float | None = None
) -> Iterator[tuple[str, list[Choice], list[str]]]:
    """The name of what was given, what it holds, and notices of what was left out."""
    given = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="medvlm-") as scratch:
        warnings.simplefilter("ignore")  # decoders warn of oddities that are read all the same, and quote values
        found = collect([Path(path) for path in given], limits, Path(scratch))
        with reading(found.name, "images"):
            yield found.name, *choices(found, limits, hounsfield)


def _tell_pasted(study: Study) -> None:
    """Mark the images that are several pictures pasted together."""
    for image in study.images:
        image.parts = tuple(parts(image.pixels))
        study.notices += [notice(image.parts)] if image.parts else []


def _take(there: Sequence[Choice], number: int | None, name: str) -> tuple[int, Study]:
    """The index of the choice that is taken, and its study: the wanted one, or the most useful that can be read."""
    if number is not None and not 1 <= number <= len(there):
        raise StudyError(f"{name} has no series {number}: it holds {_list(there)}.")
    refused: list[StudyError] = []
    for at, choice in enumerate(there):
        if number not in (None, at + 1):
            continue
        if choice.check:
            choice.check()
        try:
            return at, choice.read()
        except StudyError as error:
            refused.append(error)
    raise refused[0]


def _numbered(there: Sequence[Choice], taken: int) -> list[Series]:
    return [
        Series(number, choice.images, choice.words, choice.scout, taken == number - 1)
        for number, choice in enumerate(there, 1)
    ]


def _said(there: Sequence[Choice], taken: int, wanted: int | None) -> list[str]:
    """Which series was taken, which were left, and which better ones could not be read."""
    if len(there) == 1:
        return []
    broken = range(taken) if wanted is None else ()
    left = [choice for at, choice in enumerate(there) if at != taken and at not in broken]
    out = [f"Series {at + 1} of {len(there)} cannot be read: {there[at].words}." for at in broken]
    rest = f"; not taken: {_list(left)}" if left else ""
    return [*out, f"Series {taken + 1} of {len(there)} is taken: {there[taken].words}{rest}."]


def _list(there: Sequence[Choice]) -> str:
    """Words of several choices; equal ones are counted."""
    counts = Counter(choice.words for choice in there)
    said = [words if count == 1 else f"{count} times {words}" for words, count in counts.items()]
    if len(said) > _SAID:
        said[_SAID - 1 :] = [f"{len(said) - _SAID + 1} more"]
    return "; ".join(said)
