"""DICOM pixels to 8 bits as shown: modality LUT, then VOI, then MONOCHROME1's inversion (PS3.4 N.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, iter_pixels
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from ..errors import StudyError
from .codestream import is_transformed, stated_size
from .decoders import plugins
from .dicom_header import Frame, numbers
from .display import Window, apply_window, default_window, thinned, without_background
from .files import Source
from .hounsfield import ct_offset
from .jpeg import jpeg_colours
from .limits import Limits
from .palette import palette_colours

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "PALETTE COLOR")
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_FLAT = 8  # levels of 255: what differs by less is one field to the eye

Display = Callable[[np.ndarray], np.ndarray]  # modality values of any shape -> uint8


def decode(source: Source, indices: list[int], limits: Limits) -> Iterator[np.ndarray]:
    """Stored values of some frames, `(H, W)` or `(H, W, 3)` RGB, any integer or float type.

    Raises:
        StudyError: no pixels, or a compression that cannot be decoded.
    """
    data = pydicom.dcmread(source.path, force=True)
    if not any(keyword in data for keyword in _PIXELS):
        raise StudyError(
            f"{source.name} is a DICOM file without pixels, or cut before them: give the image files of the study."
        )
    if data.get("PhotometricInterpretation") not in (*_GREYS, *_COLOURS):
        raise StudyError(f"{source.name} has colours that are not supported: export it as RGB or greyscale.")
    syntax = _transfer_syntax(data)
    if not _decodable(syntax, data):
        words = "an unknown format" if syntax.is_private or syntax.name == syntax else syntax.name
        raise StudyError(
            f"{source.name} is compressed as {words}, which cannot be decoded: export it uncompressed or as JPEG 2000."
        )
    if syntax.is_encapsulated:
        _check_codestreams(source, data, limits)
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit) and int(data.SamplesPerPixel) == 3:
        yield from _jpeg_colours(data, indices)
        return
    if syntax.is_encapsulated and is_transformed(next(_codestreams(data))):
        data.PhotometricInterpretation = "RGB"  # decoders of JPEG 2000 undo its transform, whatever the header says
    colour_table = data.PhotometricInterpretation == "PALETTE COLOR"
    for frame in iter_pixels(data, indices=indices):
        big_endian = not data.original_encoding[1]
        yield palette_colours(frame, data, source.name, big_endian) if colour_table else frame


def _jpeg_colours(data: Dataset, indices: list[int]) -> Iterator[np.ndarray]:
    """Frames of three components as RGB, uint8 `(H, W, 3)`."""
    wanted = set(indices)
    for index, stream in enumerate(_codestreams(data)):
        if index in wanted:
            pixels = jpeg_colours(stream, data.PhotometricInterpretation == "RGB")
            if pixels.shape != (int(data.Rows), int(data.Columns), 3):
                raise ValueError("the codestream is of another shape than the header says")
            yield pixels


def _codestreams(data: Dataset) -> Iterator[bytes]:
    """The compressed frames."""
    count = int(data.get("NumberOfFrames") or 1)
    yield from pydicom.encaps.generate_frames(data.PixelData, number_of_frames=count)


@dataclass(frozen=True)
class Windowing:
    """How the grey values of a series become 8 bits."""

    window: Window  # in modality values, for frames that state none
    name: str
    stated: bool = True  # whether the windows that frames state are heeded
    notice: str | None = None
    hounsfield: float | None = None  # what was added to Hounsfield units; None where the values are others


def windowing(samples: Sequence[tuple[Frame, np.ndarray]], ct: bool, body_part: str | None) -> Windowing:
    """What shows a series, so that its slices stay alike.

    Args:
        samples: some of its grey frames with what `decode` gives.
        ct: whether the files say that they are of a CT.
    """
    if not samples:
        return Windowing((0.0, 255.0), "as stored")
    facts, offset = samples[0][0].facts, None
    if int(facts.BitsStored) <= 8 and "RescaleSlope" not in facts and not facts.get("ModalityLUTSequence"):
        window, name = (0.0, 2.0 ** int(facts.BitsStored) - 1), "as stored"  # no VOI is identity, PS3.3 C.11.2.1
    else:
        values = [modality_values(stored, f.facts)[~is_padding(stored, f.facts)] for f, stored in samples]
        pooled = np.concatenate([v.astype(np.float32) for v in values])
        window, name = default_window(pooled, ct, body_part)
        offset = ct_offset(pooled) if ct else None
    if not shows_nothing(samples):
        return Windowing(window, name, hounsfield=offset)
    notice = f"The window that the file states shows nothing: another one is used ({name})."
    return Windowing(window, name, False, notice, offset)


def shows_nothing(samples: Sequence[tuple[Frame, np.ndarray]]) -> bool:
    """Whether the windows that frames state make one flat field of values that differ."""
    values, shown = [], []
    for frame, stored in samples:
        display = stated_voi(frame.facts)
        if display:
            modality = modality_values(stored, frame.facts)
            inside = thinned(modality[~is_padding(stored, frame.facts)])
            if inside.size:
                inside = without_background(inside)
                values.append(inside)
                shown.append(display(inside))
    if not values:
        return False
    low, high = np.percentile(np.concatenate(values), (2, 98))
    dark, bright = np.percentile(np.concatenate(shown), (2, 98))
    return bool(low < high and bright - dark < _FLAT)


def to_pixels(stored: np.ndarray, frame: Frame, fallback: Window, stated: bool = True) -> np.ndarray:
    """One frame as shown, uint8 `(H, W)` or `(H, W, 3)`.

    Args:
        stored: what `decode` gives.
        fallback: the window where the file states none, in modality values.
        stated: whether a window that the file states is heeded.
    """
    facts = frame.facts
    if stored.ndim == 3:
        return to_eight_bits(stored, facts)
    values = modality_values(stored, facts)
    display = stated_voi(facts) if stated else None
    pixels = display(values) if display else apply_window(values, fallback)
    if facts.PhotometricInterpretation == "MONOCHROME1":  # the lowest value is white, PS3.3 C.7.6.3.1.2; always last
        pixels = 255 - pixels
    pixels[is_padding(stored, facts)] = 0
    return pixels


def to_eight_bits(colour: np.ndarray, facts: Dataset) -> np.ndarray:
    """The high byte of colours, `(H, W, 3)`."""
    if colour.dtype.itemsize == 1:
        return colour.astype(np.uint8)
    return (colour >> max(0, int(facts.BitsStored) - 8)).astype(np.uint8)


def modality_values(stored: np.ndarray, facts: Dataset) -> np.ndarray:
    """Stored values times Rescale Slope plus Rescale Intercept, or through the Modality LUT, PS3.3 C.11.1."""
    return apply_modality_lut(stored, facts)


def is_padding(stored: np.ndarray, facts: Dataset) -> np.ndarray:
    """Where Pixel Padding Value, or its range, marks pixels outside the image, bool `(H, W)`; PS3.3 C.7.5.1.1.2."""
    if facts.get("PixelPaddingValue") in (None, "") or stored.dtype.kind == "f":
        return np.zeros(stored.shape, bool)
    limit = facts.get("PixelPaddingRangeLimit")
    ends = [facts.PixelPaddingValue, facts.PixelPaddingValue if limit in (None, "") else limit]
    # a signed value that was written as unsigned wraps back here
    low, high = np.sort(np.array([int(v) for v in ends]).astype(stored.dtype))
    return (stored >= low) & (stored <= high)


def stated_voi(facts: Dataset) -> Display | None:
    """The first VOI LUT or window that the file states, PS3.3 C.11.2; None for none or an invalid one."""
    if facts.get("VOILUTSequence"):
        return _voi_lut(facts.VOILUTSequence[0])
    centre, width = (_first(facts.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    function = str(facts.get("VOILUTFunction") or "LINEAR").upper()
    if centre is None or width is None or width < (1 if function == "LINEAR" else 1e-9):
        return None
    if function == "SIGMOID":  # PS3.3 C.11.2.1.3.1: y = ymax / (1 + exp(-4 (x - c) / w))
        return lambda values: np.rint(255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -60, 60)))).astype("u1")
    window = stated_window(centre, width, exact=function == "LINEAR_EXACT")
    return lambda values: apply_window(values, window)


def stated_window(centre: float, width: float, exact: bool) -> Window:
    """The values that turn black and white.

    PS3.3 C.11.2.1.2.1 (LINEAR): black up to c - 0.5 - (w - 1) / 2, white above c - 0.5 + (w - 1) / 2.
    PS3.3 C.11.2.1.3.2 (LINEAR_EXACT): c - w / 2 and c + w / 2.
    """
    if exact:
        return centre - width / 2, centre + width / 2
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _voi_lut(item: Dataset) -> Display:
    """PS3.3 C.11.2.1.1: values below the first mapped one take the first entry, those above the last one the last."""
    entries, first, bits = (int(v) for v in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * (entries or 2**16) else "u1")
    table = np.asarray(data, dtype=np.float32)[: entries or 2**16]
    top = float(table.max())
    full = 2.0**bits - 1 if top >= 2.0**bits / 4 else 2.0 ** int(top).bit_length() - 1  # a width that no entry needs
    table = np.rint(table / max(full, top, 1.0) * 255).astype(np.uint8)

    def display(values: np.ndarray) -> np.ndarray:
        start = first - 2**16 if first >= 2**15 and values.min() < 0 else first  # signed, written as unsigned
        return table[np.clip(np.rint(values).astype(np.int64) - start, 0, len(table) - 1)]

    return display


def _first(value: object) -> float | None:
    """The first of one or several numbers."""
    many = value if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else [value]
    found = numbers(list(many)[:1], 1)
    return None if found is None else float(found[0])


def _transfer_syntax(data: Dataset) -> UID:
    """The stated transfer syntax, or the one that the file was read as."""
    if not hasattr(data, "file_meta"):
        data.file_meta = pydicom.dataset.FileMetaDataset()
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return data.file_meta.TransferSyntaxUID


def _decodable(syntax: UID, data: Dataset) -> bool:
    if not syntax.is_transfer_syntax:
        return False
    if not syntax.is_encapsulated:
        return True
    if syntax == JPEGExtended12Bit and int(data.BitsStored) > 8:
        return "pylibjpeg" in plugins(syntax)  # the others read its 8-bit form only
    return bool(plugins(syntax))


def _check_codestreams(source: Source, data: Dataset, limits: Limits) -> None:
    """Raise `StudyError` where a compressed frame states a larger size than the limit, whatever the header says."""
    for stream in _codestreams(data):
        size = stated_size(stream)
        if size and size != (int(data.Rows), int(data.Columns)):
            limits.check_size(source.name, *size)
