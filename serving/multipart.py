"""A multipart form straight into a folder, file by file as it comes: neither memory nor open files grow with it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import BinaryIO

from fastapi import HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from medvlm.studies import Limits

FIELD = b"files"
_MAX_HEADER = 2**13  # bytes of the headers of one part


class FilesForm:
    """What of a form's body has come so far. Every method raises `HTTPException` for what is refused."""

    def __init__(self, content_type: str, folder: Path, limits: Limits):
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise HTTPException(400, "No file was given; choose at least one.")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self.close,
                "on_end": self._end,
            },
        )
        self._folder, self._limits = folder, limits
        self._bytes = self._parts = self.files = 0
        self._target: BinaryIO | None = None
        self._whole = False

    def take(self, chunk: bytes) -> None:
        """The next bytes of the body, counted whatever the request said of its length."""
        self._bytes += len(chunk)
        check_length(self._bytes, self._limits)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _damaged() from None

    def finish(self) -> None:
        """The body has come to its end."""
        if not self._whole:
            raise _damaged()
        if not self.files:
            raise HTTPException(400, "No file was given; choose at least one.")

    def close(self) -> None:
        """End the file that is being written, if any."""
        if self._target:
            self._target.close()
            self._target = None

    def _begin(self) -> None:
        self._name, self._value, self._headers, self._head = b"", b"", dict[bytes, bytes](), 0
        self._parts += 1
        if self._parts > self._limits.max_files + 10:  # a form has other fields too
            raise HTTPException(400, f"The upload has more than {self._limits.max_files} files; give one series.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._count_header(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count_header(end - start)

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _count_header(self, more: int) -> None:
        self._head += more
        if self._head > _MAX_HEADER:
            raise _damaged()

    def _open(self) -> None:
        """Single files keep their own names, which messages quote; of a folder only its own is kept beside them.

        Each lies in a numbered folder: nothing of what a browser calls a file can leave the inbox or hide another file.
        """
        options = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        if options.get(b"name") != FIELD or b"filename" not in options:
            return
        parts = PurePosixPath(options[b"filename"].decode("utf-8", "replace").replace("\\", "/")).parts
        top = self._folder / _clean(parts[0], "folder") if len(parts) > 1 else self._folder
        place = top / f"{self.files:06d}"
        place.mkdir(parents=True)
        self.files += 1
        self._target = open(place / _clean(parts[-1] if parts else "", "file"), "wb")  # noqa: SIM115

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._target:
            self._target.write(data[start:end])

    def _end(self) -> None:
        self._whole = True


def check_length(length: int, limits: Limits) -> None:
    """Raise `HTTPException` for more bytes than a study may have."""
    if length > limits.max_total_bytes:
        raise HTTPException(413, f"That is more than {limits.max_total_bytes / 2**30:.3g} GiB; give one series.")


def _damaged() -> HTTPException:
    return HTTPException(400, "The upload is damaged or was cut short; send it again.")


def _clean(name: str, instead: str) -> str:
    """A name that every file system takes."""
    name = "".join(c for c in name if c.isprintable() and c not in '/\\:*?"<>|').lstrip(".").strip()
    name = name.encode("utf-8", "ignore").decode()[-60:]
    return instead if not name or name.isdigit() else name
