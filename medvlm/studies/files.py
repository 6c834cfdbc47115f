"""What the user gave (paths, folders, an archive) as a list of files of known kind, within the limits."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..errors import StudyError
from .limits import Limits, in_bytes, reading
from .sniff import HEAD, READABLE, may_be_read, sniff


@dataclass(frozen=True)
class Source:
    """One readable file."""

    path: Path
    name: str  # shown in messages: the file's own name, never its folders
    kind: str  # dicom, nifti, raster or video
    explicit: bool = False  # it was named itself, not a folder or archive around it
    entry: tuple[Path, int] | None = None  # the archive that it was unpacked from, and its number in there


@dataclass(frozen=True)
class Collection:
    """All files of a study."""

    sources: list[Source]
    name: str  # of the file, folder or archive that was given
    left_out: int = 0  # files beside them that are no images
    too_large: int = 0  # and images beside them that are larger than a file may be


def collect(paths: Sequence[Path], limits: Limits, scratch: Path) -> Collection:
    """List the files behind `paths`; a zip archive is unpacked into the folder `scratch`.

    Raises:
        StudyError: nothing there, a file that is no image was named, or a limit is passed.
    """
    if not paths:
        raise StudyError("No file was given: name at least one image, DICOM folder or volume.")
    if len(paths) > limits.max_files:
        raise StudyError(f"{len(paths)} files were given, more than the limit of {limits.max_files}: give fewer.")
    tally = _Tally(limits)
    parts: list[Collection] = []
    refused: list[NoImage] = []
    for number, path in enumerate(paths):
        try:
            parts.append(_collect_one(path, tally, scratch / str(number)))
        except NoImage as error:
            refused.append(error)
    if not parts:
        raise refused[0]
    return Collection(
        [source for part in parts for source in part.sources],
        parts[0].name if len(paths) == 1 else "The study",
        len(refused) + sum(part.left_out for part in parts),
        sum(part.too_large for part in parts),
    )


class NoImage(StudyError):
    """What was named is there, and holds no image that can be read; beside images it is left out."""


class _Tally:
    """Files and bytes of a whole study, however many folders and archives they come in."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.listed, self.images, self.bytes = limits, 0, 0, 0

    def add(self, name: str, files: int, size: int) -> None:
        """Some more files, of any kind. Raises `StudyError` where they become too many."""
        self.listed, self.bytes = self.listed + files, self.bytes + size
        if self.listed > self.limits.max_listed:
            raise StudyError(f"{name} holds more than {self.limits.max_listed} files: give those of one series.")
        if self.bytes > self.limits.max_total_bytes:
            most = in_bytes(self.limits.max_total_bytes)
            raise StudyError(f"{name} makes a study of more than {most}: give the files of one series.")

    def take(self, name: str, images: int) -> None:
        """Some of them are images. Raises `StudyError` where these become too many."""
        self.images += images
        if self.images > self.limits.max_files:
            raise StudyError(
                f"{name} holds more than {self.limits.max_files} files of images: give those of one series."
            )


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts `slice 2` before `slice 10`."""
    pieces = re.split(r"([0-9]+)", name.lower())
    return [(0, int(piece)) if index % 2 else (1, piece) for index, piece in enumerate(pieces)]


def _collect_one(path: Path, tally: _Tally, scratch: Path) -> Collection:
    name = path.name or path.absolute().name
    try:
        if path.is_dir():
            return _folder(path, name, tally)
        if not path.exists():
            raise StudyError(f"{name[:80]} does not exist: check the path.")
        if not path.is_file():
            raise StudyError(f"{name} is neither a file nor a folder: name an image file.")
        size = path.stat().st_size
        if size > tally.limits.max_bytes:
            raise StudyError(f"{name} is larger than {in_bytes(tally.limits.max_bytes)}: give a smaller file.")
        kind, words = sniff(path)
    except PermissionError:
        raise StudyError(f"{name} may not be opened: check its permissions.") from None
    except (OSError, ValueError):
        raise StudyError(f"{name[:80]} cannot be opened: check the path.") from None
    if kind == "zip":
        with reading(name, "a zip archive"):
            return _archive(path, name, tally, scratch)
    if kind is None:
        raise NoImage(f"{name} is {words}, not an image that can be read: give {READABLE}.")
    tally.add(name, 1, size)
    tally.take(name, 1)
    return Collection([Source(path, name, kind, explicit=True)], name)


def _folder(folder: Path, name: str, tally: _Tally) -> Collection:
    files: list[Path] = []
    for path in folder.rglob("*"):
        if path.is_file() and not _hidden(path.relative_to(folder).as_posix()):
            tally.add(name, 1, path.stat().st_size)
            files.append(path)
    files.sort(key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    return _readable([(path, path.name) for path in files], name, tally)


def _archive(path: Path, name: str, tally: _Tally, scratch: Path) -> Collection:
    """Unpack under numbered names: nothing in an entry's name can reach the file system."""
    with zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if not e.is_dir()]
        tally.add(name, len(entries), sum(entry.file_size for entry in entries))
        if any(entry.flag_bits & 1 for entry in entries):
            raise StudyError(f"{name} is protected by a password: unpack it and give the folder.")
        if any(_escapes(entry.filename) for entry in entries):
            raise StudyError(f"{name} has entries that point outside the archive: pack it again from a trusted source.")
        places = {id(entry): place for place, entry in enumerate(archive.infolist())}
        entries = sorted((e for e in entries if not _hidden(e.filename)), key=lambda e: natural_key(e.filename))
        scratch.mkdir(parents=True)
        files = []
        numbers = {}
        for number, entry in enumerate(entries):
            target = scratch / str(number)
            # zipfile reads no further than the size that the entry states, which is checked above
            with archive.open(entry) as packed:
                head = packed.read(HEAD)
                if not may_be_read(head):
                    continue
                with open(target, "wb") as unpacked:
                    unpacked.write(head)
                    shutil.copyfileobj(packed, unpacked, 2**20)
            files.append((target, PurePosixPath(entry.filename).name))
            numbers[target] = places[id(entry)]
    if entries and not any(entry.file_size for entry in entries):
        raise NoImage(f"{name} holds only empty files: give {READABLE}.")
    found = _readable(files, name, tally, others=len(entries) - len(files))
    sources = [replace(source, entry=(path, numbers[source.path])) for source in found.sources]
    return replace(found, sources=sources)


def _readable(files: list[tuple[Path, str]], name: str, tally: _Tally, others: int = 0) -> Collection:
    """Keep the images; other files beside them (notes, viewers) are counted and left out, with `others` that are known to be none."""
    if not files and not others:
        raise NoImage(f"{name} is empty: give a folder or archive with images.")
    sources: list[Source] = []
    large: list[str] = []
    empty, limits = 0, tally.limits
    for path, file_name in files:
        size = path.stat().st_size
        try:
            kind, _ = sniff(path)
        except OSError:  # it may not be opened
            continue
        if kind in ("dicom", "nifti", "raster", "video"):
            if size > limits.max_bytes:
                large.append(file_name)
            else:
                tally.take(name, 1)
                sources.append(Source(path, file_name, kind))
        empty += size == 0
    if not sources and large:
        raise StudyError(f"{large[0]} is larger than {in_bytes(limits.max_bytes)}: give a smaller file.")
    if not sources:
        why = "only empty files" if files and empty == len(files) else "no image that can be read"
        raise NoImage(f"{name} holds {why}: give {READABLE}.")
    return Collection(sources, name, others + len(files) - len(sources) - len(large), len(large))


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts if part != "..")


def _escapes(name: str) -> bool:
    pieces = PurePosixPath(name.replace("\\", "/"))
    return pieces.is_absolute() or ".." in pieces.parts or name[1:2] == ":"
