"""What the user gave (paths, folders, an archive) as a list of files of known kind, within the limits."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import StudyError
from .limits import Limits, reading
from .sniff import READABLE, sniff


@dataclass(frozen=True)
class Source:
    """One readable file."""

    path: Path
    name: str  # shown in messages: the file's own name, never its folders
    kind: str  # dicom, nifti, raster or video


@dataclass(frozen=True)
class Collection:
    """All files of a study."""

    sources: list[Source]
    name: str  # of the file, folder or archive that was given
    left_out: int = 0  # files beside them that are no images


def collect(paths: Sequence[Path], limits: Limits, scratch: Path) -> Collection:
    """List the files behind `paths`; a zip archive is unpacked into the folder `scratch`.

    Raises:
        StudyError: nothing there, a file that is no image was named, or a limit is passed.
    """
    if not paths:
        raise StudyError("No file was given: name at least one image, DICOM folder or volume.")
    if len(paths) > limits.max_files:
        raise StudyError(f"{len(paths)} files were given, more than the limit of {limits.max_files}: give fewer.")
    parts = [_collect_one(path, limits, scratch / str(number)) for number, path in enumerate(paths)]
    name = parts[0].name if len(parts) == 1 else "The study"
    return Collection([s for part in parts for s in part.sources], name, sum(part.left_out for part in parts))


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts `slice 2` before `slice 10`."""
    pieces = re.split(r"([0-9]+)", name.lower())
    return [(0, int(piece)) if index % 2 else (1, piece) for index, piece in enumerate(pieces)]


def _collect_one(path: Path, limits: Limits, scratch: Path) -> Collection:
    name = path.name or path.absolute().name
    try:
        if path.is_dir():
            return _folder(path, name, limits)
        if not path.exists():
            raise StudyError(f"{name[:80]} does not exist: check the path.")
        if not path.is_file():
            raise StudyError(f"{name} is neither a file nor a folder: name an image file.")
        _check_bytes(name, path.stat().st_size, limits)
        kind, words = sniff(path)
    except PermissionError:
        raise StudyError(f"{name} may not be opened: check its permissions.") from None
    except (OSError, ValueError):
        raise StudyError(f"{name[:80]} cannot be opened: check the path.") from None
    if kind == "zip":
        with reading(name, "a zip archive"):
            return _archive(path, name, limits, scratch)
    if kind is None:
        raise StudyError(f"{name} is {words}, not an image that can be read: give {READABLE}.")
    return Collection([Source(path, name, kind)], name)


def _folder(folder: Path, name: str, limits: Limits) -> Collection:
    files: list[Path] = []
    for path in folder.rglob("*"):
        if path.is_file() and not _hidden(path.relative_to(folder).as_posix()):
            files.append(path)
            if len(files) > limits.max_files:
                raise StudyError(f"{name} holds more than {limits.max_files} files: give the folder of one series.")
    if sum(path.stat().st_size for path in files) > limits.max_total_bytes:
        raise StudyError(f"{name} holds more than {_size(limits.max_total_bytes)}: give the folder of one series.")
    files.sort(key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    return _readable([(path, path.name) for path in files], name, limits)


def _archive(path: Path, name: str, limits: Limits, scratch: Path) -> Collection:
    """Unpack under numbered names: nothing in an entry's name can reach the file system."""
    with zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if not e.is_dir()]
        if len(entries) > limits.max_files:
            raise StudyError(f"{name} holds more than {limits.max_files} files: give an archive of one series.")
        if sum(entry.file_size for entry in entries) > limits.max_total_bytes:
            raise StudyError(f"{name} unpacks to more than {_size(limits.max_total_bytes)}: give a smaller archive.")
        if any(entry.flag_bits & 1 for entry in entries):
            raise StudyError(f"{name} is protected by a password: unpack it and give the folder.")
        if any(_escapes(entry.filename) for entry in entries):
            raise StudyError(f"{name} has entries that point outside the archive: pack it again from a trusted source.")
        entries = sorted((e for e in entries if not _hidden(e.filename)), key=lambda e: natural_key(e.filename))
        scratch.mkdir(parents=True)
        files = []
        for number, entry in enumerate(entries):
            target = scratch / str(number)
            # zipfile reads no further than the size that the entry states, which is checked above
            with archive.open(entry) as packed, open(target, "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 2**20)
            files.append((target, PurePosixPath(entry.filename).name))
    return _readable(files, name, limits)


def _readable(files: list[tuple[Path, str]], name: str, limits: Limits) -> Collection:
    """Keep the images; other files beside them (notes, indexes) are counted and left out."""
    if not files:
        raise StudyError(f"{name} is empty: give a folder or archive with images.")
    sources, empty = [], 0
    for path, file_name in files:
        size = path.stat().st_size
        kind, _ = sniff(path)
        if kind in ("dicom", "nifti", "raster", "video"):
            _check_bytes(file_name, size, limits)
            sources.append(Source(path, file_name, kind))
        empty += size == 0
    if not sources:
        why = "only empty files" if empty == len(files) else "no image that can be read"
        raise StudyError(f"{name} holds {why}: give {READABLE}.")
    return Collection(sources, name, len(files) - len(sources))


def _check_bytes(name: str, size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise StudyError(f"{name} is larger than {_size(limits.max_bytes)}: give a smaller file.")


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts if part != "..")


def _escapes(name: str) -> bool:
    pieces = PurePosixPath(name.replace("\\", "/"))
    return pieces.is_absolute() or ".." in pieces.parts or name[1:2] == ":"


def _size(count: int) -> str:
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"
