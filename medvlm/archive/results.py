"""DICOM objects made of a study, under identifiers that follow from what made them of what: made anew they are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

_OWN = ("SOPInstanceUID", "SeriesInstanceUID")
_MAKER = ("ManufacturerModelName", "SoftwareVersions")  # another model finds something else: not the same objects


def identify(paths: Sequence[Path], sources: Iterable[str]) -> None:
    """Rewrite files that refer to one another, so that each study gets them once, however often they are made and stored.

    Args:
        paths: what was made, under names that are the same each time.
        sources: SOP Instance UIDs of what they were made of.
    """
    objects = [pydicom.dcmread(path) for path in paths]
    makers = {str(data.get(keyword, "")) for data in objects for keyword in _MAKER}
    seed = " ".join([*sorted(makers), *sorted(sources)])
    made: dict[str, str] = {}
    for path, data in zip(paths, objects, strict=True):
        for keyword in _OWN:
            uid = f"2.25.{uuid5(NAMESPACE_OID, f'medvlm {path.name} {keyword} {seed}').int}"
            made.setdefault(str(data[keyword].value), uid)
    for path, data in zip(paths, objects, strict=True):
        data.walk(_exchange(made))
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.save_as(path, enforce_file_format=True)


def _exchange(made: dict[str, str]) -> Callable[[Dataset, DataElement], None]:
    def callback(_: Dataset, element: DataElement) -> None:
        if element.VR == "UI" and element.value:
            several = isinstance(element.value, MultiValue)
            values = [made.get(str(uid), str(uid)) for uid in (element.value if several else [element.value])]
            element.value = values if several else values[0]

    return callback
