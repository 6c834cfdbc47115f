"""What a JPEG, JPEG-LS or JPEG 2000 codestream states of size and colours, without decoding it."""

from __future__ import annotations

from collections.abc import Iterator

_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1, T.87 for JPEG-LS
_JPEG2000 = b"\xff\x4f\xff\x51"  # SOC and SIZ, ITU-T T.800 A.5.1
_CODING_STYLE = 0x52  # COD, ITU-T T.800 A.6.1
_JFIF, _ADOBE = 0xE0, 0xEE  # APP0, APP14


def stated_size(stream: bytes) -> tuple[int, int] | None:
    """`(H, W)`, or None where the stream is of another kind or cut."""
    start = _start_of_jpeg2000(stream)
    if start >= 0 and len(stream) >= start + 24:
        right, bottom, left, top = (int.from_bytes(stream[start + at : start + at + 4]) for at in (8, 12, 16, 20))
        return bottom - top, right - left
    for marker, body in _segments(stream):
        if marker in _START_OF_FRAME and len(body) >= 5:
            return int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    return None


def jpeg_is_rgb(stream: bytes) -> bool | None:
    """Whether the three components of a JPEG are red, green and blue (not luminance and two chromas); None if unsaid.

    Said by components called R, G, B, by Adobe's marker, by JFIF's, which knows luminance and chromas alone, and by
    components of less than full size, which none but chromas are. ITU-T T.871, T.872 6.5.3.
    """
    jfif, adobe = False, None
    for marker, body in _segments(stream):
        if marker == _JFIF and body.startswith(b"JFIF\0"):
            jfif = True
        elif marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        elif marker in _START_OF_FRAME:
            names, sizes = bytes(body[6::3]), bytes(body[7::3])
            if names[:3] in (b"RGB", b"rgb"):
                return True
            if adobe is not None and not jfif:
                return adobe == 0
            return False if jfif or len(set(sizes)) > 1 else None
    return None


def is_transformed(stream: bytes) -> bool:
    """Whether a JPEG 2000 codestream states the colour transform that its decoders undo, ITU-T T.800 A.6.1."""
    start = _start_of_jpeg2000(stream)
    if start < 0:
        return False
    return any(marker == _CODING_STYLE and body[4:5] == b"\1" for marker, body in _segments(stream[start:]))


def _start_of_jpeg2000(stream: bytes) -> int:
    return stream[:256].find(_JPEG2000)  # after the boxes of a JP2 file, if any


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers with what follows their length, up to the first that is none; ITU-T T.81 B.1.1."""
    if stream[:2] not in (b"\xff\xd8", b"\xff\x4f"):
        return
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        if stream[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        length = int.from_bytes(stream[at + 2 : at + 4])
        yield stream[at + 1], stream[at + 4 : at + 2 + length]
        at += 2 + length
