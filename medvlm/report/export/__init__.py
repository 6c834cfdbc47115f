"""A report in the formats that other programs and people read."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...errors import RequestError
from ...studies.burned_in import check_installed
from ...types import Report, Study

Writer = Callable[[Report, Study, Path], list[Path]]
"""Writes files into a folder that is there and returns their paths. Raises `RequestError` in one sentence where it cannot."""

OF_DICOM = ("seg", "sr", "gsps", "dicom-pdf")  # formats that belong to the record of a DICOM source
PICTURED = ("pdf", "coco", "png", "dicom-pdf")  # and those that show its pixels


def _lazily(module: str, name: str = "write") -> Writer:
    """The writer of a module of this package, which is imported when it is called: its packages are heavy, some optional."""

    def write(report: Report, study: Study, folder: Path) -> list[Path]:
        try:
            writer = getattr(importlib.import_module(f".{module}", __name__), name)
        except ModuleNotFoundError as error:
            raise RequestError(
                f"This format needs the package {error.name}; pip install 'medvlm-assistant[export]'."
            ) from error
        return writer(report, study, folder)

    return write


FORMATS: dict[str, Writer] = {
    "md": _lazily("markdown"),
    "json": _lazily("data", "write_json"),
    "pdf": _lazily("pdf"),
    "fhir": _lazily("fhir"),
    "nifti": _lazily("nifti"),
    "csv": _lazily("data", "write_csv"),
    "coco": _lazily("pictures", "write_coco"),
    "png": _lazily("pictures", "write_png"),
    "seg": _lazily("dicom_seg"),
    "sr": _lazily("dicom_sr"),
    "gsps": _lazily("gsps"),
    "dicom-pdf": _lazily("dicom_pdf"),
}


def check_formats(formats: Sequence[str]) -> list[str]:
    """The formats, cleaned, each once. Raises `RequestError` that names the known ones."""
    names = list(dict.fromkeys(name.strip().lower() for name in formats))
    for name in names:
        if name not in FORMATS:
            raise RequestError(f"Unknown report format {name!r}; choose from {', '.join(FORMATS)}.")
    return names


def possible_formats(study: Study) -> list[str]:
    """The formats that a study can be reported in."""
    dicom = all(image.origin is not None for image in study.images)
    return [name for name in FORMATS if dicom or name not in OF_DICOM]


def check_possible(formats: Sequence[str], study: Study) -> None:
    """Raises `RequestError` for the formats that a study cannot be reported in, before a model has worked for them."""
    refused = [name for name in formats if name not in possible_formats(study)]
    if refused:
        raise RequestError(f"These formats need DICOM images: {', '.join(refused)}; choose nifti or coco for masks.")
    if not study.keep_text and not set(PICTURED).isdisjoint(formats):
        check_installed()


def write_report(
    report: Report, study: Study, folder: str | Path, formats: Sequence[str] = ("md", "json")
) -> list[Path]:
    """Write a report into a folder, which is made if needed: all of its files, or none where one cannot be written.

    Raises `RequestError`.
    """
    names, folder = check_formats(formats), Path(folder)
    with _usable(folder) as scratch:
        written = [path for name in names for path in FORMATS[name](report, study, scratch)]
        return [_put(path, folder / path.relative_to(scratch)) for path in dict.fromkeys(written)]


def check_folder(folder: str | Path) -> None:
    """Raises `RequestError` where files cannot be written into a folder, before a model has worked for them."""
    made = not Path(folder).exists()
    with _usable(Path(folder)):
        pass
    if made:
        Path(folder).rmdir()


@contextmanager
def _usable(folder: Path) -> Iterator[Path]:
    """A scratch folder inside of a folder, which is made if needed, and unmade where something goes wrong. Raises `RequestError`."""
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as scratch:
            yield Path(scratch)
    except BaseException as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise RequestError(
                f"The report cannot be written to {str(folder)!r}: {error.strerror or 'it cannot be used'}."
            ) from error
        raise


def _put(path: Path, target: Path) -> Path:
    target.parent.mkdir(exist_ok=True)
    return path.replace(target)
