"""Who decodes DICOM's compressed pixels: those whose process no damaged stream ended (`benchmarks/decoders.py`).

GDCM aborts on some and is left with what nobody else reads, JPEG Lossless and JPEG-LS; of the two for RLE, pylibjpeg's
panics where pydicom's own refuses.
"""

from __future__ import annotations

from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000, UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

_UNWANTED = (
    (JPEGBaseline8Bit, "gdcm"),
    (JPEGExtended12Bit, "gdcm"),
    (JPEG2000Lossless, "gdcm"),
    (JPEG2000, "gdcm"),
    (RLELossless, "pylibjpeg"),
)


def plugins(syntax: UID) -> tuple[str, ...]:
    """Names of pydicom's plugins that decode a transfer syntax here; none where nobody does."""
    try:
        return get_decoder(syntax).available_plugins
    except NotImplementedError:
        return ()


def _leave_out() -> None:
    for syntax, plugin in _UNWANTED:
        if plugin in plugins(syntax):
            get_decoder(syntax).remove_plugin(plugin)


_leave_out()
