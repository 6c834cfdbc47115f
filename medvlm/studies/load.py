"""The one door for files: what they are decides who reads them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ..errors import StudyError
from ..types import Study
from . import dicom, nifti, raster, video
from .files import Collection, collect
from .limits import DEFAULT, Limits, reading

_WORDS = {"dicom": "DICOM files", "nifti": "NIfTI volumes", "raster": "pictures", "video": "videos"}


def load_study(paths: str | PathLike[str] | Sequence[str | PathLike[str]], limits: Limits = DEFAULT) -> Study:
    """Read what a user gave as one study.

    Args:
        paths: a file, a folder, a zip archive, or several files that belong together. Content decides what a file is.
        limits: what the study may weigh; checked before pixels are decoded.

    Returns:
        Images as a screen shows them; spacing in mm where the files state it; no patient's data.

    Raises:
        StudyError: with one sentence that says what is wrong and what to do.
    """
    given = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="medvlm-") as scratch:
        warnings.simplefilter("ignore")  # decoders warn of oddities that are read all the same, and quote values
        found = collect([Path(path) for path in given], limits, Path(scratch))
        study = _read(found, limits)
    if found.left_out:
        note = f"Files left out as no images: {found.left_out}."
        study.metadata["note"] = " ".join(filter(None, (study.metadata.get("note"), note)))
    return study


def _read(found: Collection, limits: Limits) -> Study:
    kinds = sorted({source.kind for source in found.sources})
    if len(kinds) > 1:
        mixed = " and ".join(_WORDS[kind] for kind in kinds)
        raise StudyError(f"{found.name} mixes {mixed}: give one kind at a time.")
    kind, sources = kinds[0], found.sources
    if kind in ("nifti", "video") and len(sources) > 1:
        raise StudyError(f"{found.name} holds {len(sources)} {_WORDS[kind]}: give one at a time.")
    with reading(found.name, _WORDS[kind]):
        if kind == "dicom":
            return dicom.load(sources, limits, found.name)
        if kind == "nifti":
            return nifti.load(sources[0], limits)
        if kind == "video":
            return video.load(sources[0], limits)
        return raster.load(sources, limits, found.name)
