"""The size that a JPEG, JPEG-LS or JPEG 2000 codestream states, without decoding it."""

from __future__ import annotations

_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1, T.87 for JPEG-LS
_JPEG2000 = b"\xff\x4f\xff\x51"  # SOC and SIZ, ITU-T T.800 A.5.1


def stated_size(stream: bytes) -> tuple[int, int] | None:
    """`(H, W)`, or None where the stream is of another kind or cut."""
    start = stream[:256].find(_JPEG2000)  # after the boxes of a JP2 file, if any
    if start >= 0 and len(stream) >= start + 24:
        right, bottom, left, top = (int.from_bytes(stream[start + at : start + at + 4]) for at in (8, 12, 16, 20))
        return bottom - top, right - left
    if stream[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        if stream[at + 1] == 0xFF:  # a fill byte
            at += 1
        elif stream[at + 1] in _START_OF_FRAME:
            return int.from_bytes(stream[at + 5 : at + 7]), int.from_bytes(stream[at + 7 : at + 9])
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None
