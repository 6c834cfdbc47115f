"""What a file is, from its first bytes: names and extensions are not believed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

HEAD = 1024  # bytes that decide

READABLE = "DICOM, NIfTI, PNG, JPEG, WebP, BMP, TIFF, GIF, MP4, AVI or a zip of these"

_GZIP = b"\x1f\x8b"
_RASTER = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF87a", b"GIF89a")
_BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}
_STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
_CMS_ENVELOPED = bytes.fromhex("06092a864886f70d010703")  # the wrapper of DICOM's secure media, PS3.15 D.1
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"NRRD", "an NRRD volume"),
    (b"ObjectType", "a MetaImage volume"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\0\0\0\x0cjP  ", "a bare JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 picture"),
    (b"<svg", "an SVG drawing"),
)


def sniff(path: Path) -> tuple[str | None, str]:
    """The kind of a file and what it is in words.

    Returns:
        The kind is dicom, nifti, raster, video or zip, or None for what cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    return sniff_bytes(head, path)


def sniff_bytes(head: bytes, path: Path) -> tuple[str | None, str]:
    """`sniff` from the first bytes; `path` is opened only to look into gzip."""
    if not head:
        return None, "empty (0 bytes)"
    if head[128:132] == b"DICM" or _bare_dicom(head):  # before TIFF, whose header a DICOM preamble may carry
        return "dicom", "a DICOM file"
    if head.startswith(_RASTER) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "raster", "a picture"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "raster", "a picture"
    if head[:4] == b"PK\x03\x04" or head[:4] == b"PK\x05\x06":
        return "zip", "a zip archive"
    if head[:2] == _GZIP:
        return _gzip(path)
    if is_nifti(head):
        return "nifti", "a NIfTI volume"
    if head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS:
        return None, "a HEIC or AVIF photo"
    if video_format(head):
        return "video", "a video"
    if _CMS_ENVELOPED in head[:64]:
        return None, "an encrypted file"
    for magic, words in _OTHERS:
        if head.startswith(magic):
            return None, words
    return None, "plain text" if _is_text(head) else "a file of an unknown type"


def may_be_read(head: bytes) -> bool:
    """Whether the first bytes are those of a file that can be read, as far as they tell alone."""
    return head[:2] == _GZIP or sniff_bytes(head, Path())[0] is not None


def video_format(head: bytes) -> str | None:
    """ffmpeg's name of the container, None for what is no video."""
    if head[4:8] == b"ftyp" or head[4:8] in (b"moov", b"mdat", b"wide"):
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    return "matroska" if head[:4] == b"\x1a\x45\xdf\xa3" else None


def is_nifti(head: bytes) -> bool:
    """NIfTI-1 (also the header of a pair) or NIfTI-2, of either byte order."""
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _bare_dicom(head: bytes) -> bool:
    """A data set without preamble: it starts with file meta, or with a low element of group 0008 (PS3.5 7.1)."""
    if head[:6] == b"\x02\0\0\0UL":
        return True
    group, element = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    length = int.from_bytes(head[4:8], "little")
    explicit = head[4:6] in (b"UL", b"CS", b"UI", b"DA", b"TM", b"SH", b"LO")
    return group == 8 and element in (0, 1, 5, 8, 0x12, 0x16, 0x18) and (explicit or length < 256)


def _gzip(path: Path) -> tuple[str | None, str]:
    try:
        with gzip.open(path, "rb") as file:
            head = file.read(HEAD)
    except (OSError, EOFError, zlib.error):
        return None, "a damaged or cut gzip file"
    return ("nifti", "a NIfTI volume") if is_nifti(head) else (None, "a gzip of something that is no NIfTI volume")


def _is_text(head: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r\n\f" for byte in head)
