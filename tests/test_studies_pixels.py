"""DICOM pixels: colours however they are stored, and windows that show nothing."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, JPEGBaseline8Bit

from medvlm.studies import load_study
from medvlm.studies.codestream import is_transformed, jpeg_is_rgb
from medvlm.studies.dicom_header import Frame
from medvlm.studies.dicom_pixels import shows_nothing, windowing
from medvlm.studies.display import default_window, percentile_window
from medvlm.studies.files import Source

from .phantoms import ct_phantom, mr_phantom
from .studies import refusal, write

# palettes

CHANNELS = ("Red", "Green", "Blue")
RAMP = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 90)], axis=1).astype(np.uint8)
INDICES = np.arange(256, dtype=np.uint8).reshape(16, 16)


def palette_file(path: Path, tables: list[bytes], bits: int, segmented: bool = False, first: int = 0) -> Path:
    elements: dict[str, object] = {}
    for channel, table in zip(CHANNELS, tables, strict=True):
        elements[f"{channel}PaletteColorLookupTableDescriptor"] = [256, first, bits]
        elements[f"{'Segmented' if segmented else ''}{channel}PaletteColorLookupTableData"] = table
    return write(path, INDICES, Modality="OP", PhotometricInterpretation="PALETTE COLOR", **elements)


@pytest.mark.parametrize(
    ("bits", "width"),
    [(16, "<u2"), (8, "<u2"), (8, "u1"), (16, "u1")],
    ids=["words said 16", "words said 8", "bytes said 8", "bytes said 16"],
)
def test_palettes_of_small_numbers(tmp_path: Path, bits: int, width: str) -> None:
    path = palette_file(tmp_path / "a.dcm", [RAMP[:, c].astype(width).tobytes() for c in range(3)], bits)
    np.testing.assert_array_equal(load_study(path).images[0].pixels.reshape(256, 3), RAMP)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("factor", [256, 257])
def test_palettes_of_sixteen_bits(tmp_path: Path, bits: int, factor: int) -> None:
    tables = [(RAMP[:, c].astype("<u2") * factor).astype("<u2").tobytes() for c in range(3)]
    path = palette_file(tmp_path / "a.dcm", tables, bits)
    np.testing.assert_array_equal(load_study(path).images[0].pixels.reshape(256, 3), RAMP)


@pytest.mark.parametrize("width", [1, 2])
def test_segmented_palettes(tmp_path: Path, width: int) -> None:
    """128 discrete entries, a linear run of 64, and a copy of 64 of an earlier segment; PS3.3 C.7.9.2."""
    scale = 1 if width == 1 else 257
    start = [2 * n * scale for n in range(64)]
    offset = (2 + 64) * width  # of the second segment, in bytes
    copy = [offset, 0, 0, 0] if width == 1 else [offset, 0]
    codes = [0, 64, *start, 0, 64, *start[::-1], 1, 64, 255 * scale, 2, 1, *copy]
    table = np.array(codes, "u1" if width == 1 else "<u2").tobytes()
    path = palette_file(tmp_path / "a.dcm", [table] * 3, 8 * width, segmented=True)
    shown = load_study(path).images[0].pixels[..., 0].ravel()
    line = np.rint(np.linspace(0, 255, 65)[1:])
    expected = np.concatenate([2 * np.arange(64), 2 * np.arange(64)[::-1], line, 2 * np.arange(64)[::-1]])
    assert np.abs(shown.astype(int) - expected).max() <= 1


def test_entries_beyond_a_palette_and_none_at_all(tmp_path: Path) -> None:
    path = palette_file(tmp_path / "a.dcm", [RAMP[:, c].tobytes() for c in range(3)], 8, first=10)
    shown = load_study(path).images[0].pixels.reshape(256, 3)
    np.testing.assert_array_equal(shown[:11], np.repeat(RAMP[:1], 11, axis=0))
    np.testing.assert_array_equal(shown[10:], RAMP[:246])
    bare = write(tmp_path / "b.dcm", INDICES, Modality="OP", PhotometricInterpretation="PALETTE COLOR")
    assert "palette that it does not hold" in refusal(bare)


def test_palette_of_the_other_byte_order(tmp_path: Path) -> None:
    data = pydicom.dcmread(palette_file(tmp_path / "a.dcm", [RAMP[:, c].astype(">u2").tobytes() for c in range(3)], 16))
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    data["PixelData"].VR = "OB"
    pydicom.dcmwrite(tmp_path / "b.dcm", data, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(load_study(tmp_path / "b.dcm").images[0].pixels.reshape(256, 3), RAMP)


# JPEG


def photo() -> np.ndarray:
    """Colours on black, with a white edge."""
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[8:40, 8:56, 0] = np.linspace(60, 230, 48)
    colours[8:40, 8:56, 1] = np.linspace(160, 40, 32)[:, None]
    colours[8:40, 8:56, 2] = 60
    colours[:4] = 255
    return colours


def jpeg(rgb: bool, marker: str, subsampling: int = 0, names: bytes = b"\1\2\3") -> bytes:
    """The photo as a JPEG of RGB or YCbCr components, with the colour marker of one's choice, or none."""
    file = io.BytesIO()
    Picture.fromarray(photo()).save(file, "JPEG", quality=95, keep_rgb=rgb, subsampling=subsampling)
    stream, at, out = file.getvalue(), 2, b"\xff\xd8"
    if marker == "jfif":
        out += b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    if marker == "adobe":
        out += b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + (b"\0" if rgb else b"\1")
    while True:
        kind, length = stream[at + 1], 2 + int.from_bytes(stream[at + 2 : at + 4])
        segment = bytearray(stream[at : at + length])
        at += length
        if kind == 0xC0:
            segment[10::3] = names
        if kind == 0xDA:
            segment[5 : 5 + 6 : 2] = names
        if kind not in (0xE0, 0xEE):
            out += segment
        if kind == 0xDA:
            return out + stream[at:]


@pytest.mark.parametrize(
    ("rgb", "marker", "said"), [*product((True, False), ("none", "adobe"), ("RGB", "YBR_FULL_422", "YBR_FULL")),
                                (False, "jfif", "RGB"), (False, "jfif", "YBR_FULL_422")]
)  # fmt: skip
def test_jpeg_colours(tmp_path: Path, rgb: bool, marker: str, said: str) -> None:
    path = write(tmp_path / "a.dcm", photo(), Modality="ES", PhotometricInterpretation=said)
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([jpeg(rgb, marker)])
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.save_as(path)
    assert np.abs(load_study(path).images[0].pixels.astype(int) - photo()).mean() < 4


def test_what_a_jpeg_says_of_its_colours() -> None:
    assert jpeg_is_rgb(jpeg(True, "none", names=b"RGB")) and jpeg_is_rgb(jpeg(True, "adobe"))
    assert jpeg_is_rgb(jpeg(False, "adobe")) is False and jpeg_is_rgb(jpeg(False, "jfif")) is False
    assert jpeg_is_rgb(jpeg(False, "none", subsampling=2)) is False  # none but chromas are stored smaller
    assert jpeg_is_rgb(jpeg(True, "none")) is None and jpeg_is_rgb(b"\xff\xd8\xff") is None


def test_jpeg_without_dark_or_bright_pixels_is_as_the_header_says(tmp_path: Path) -> None:
    file = io.BytesIO()
    Picture.new("RGB", (32, 32), (150, 110, 130)).save(file, "JPEG", quality=98, subsampling=0)
    stream = file.getvalue()
    stream = stream[:2] + stream[20:]  # without JFIF's marker
    for said, expected in (("YBR_FULL_422", (150, 110, 130)), ("RGB", (124, 131, 146))):  # as stored, Y Cb Cr
        path = write(tmp_path / "a.dcm", np.zeros((32, 32, 3), np.uint8), PhotometricInterpretation=said)
        data = pydicom.dcmread(path)
        data.PixelData = encapsulate([stream])
        data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        data.save_as(path)
        assert np.abs(load_study(path).images[0].pixels[5, 5].astype(int) - expected).max() <= 3


def test_transform_of_jpeg_2000_is_read() -> None:
    for transform in (0, 1):
        file = io.BytesIO()
        Picture.fromarray(photo()).save(file, "JPEG2000", mct=transform, no_jp2=True)
        assert is_transformed(file.getvalue()) == bool(transform)
    assert not is_transformed(b"\xff\xd8")


@pytest.mark.parametrize("said", ["RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL"])
def test_jpeg_2000_that_undoes_its_transform_is_not_converted_again(tmp_path: Path, said: str) -> None:
    file = io.BytesIO()
    Picture.fromarray(photo()).save(file, "JPEG2000", mct=1, no_jp2=True)
    path = write(tmp_path / "a.dcm", photo(), Modality="ES", PhotometricInterpretation=said)
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([file.getvalue()])
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    data.save_as(path)
    np.testing.assert_array_equal(load_study(path).images[0].pixels, photo())


def test_colour_planes(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(photo().transpose(2, 0, 1))
    path = write(tmp_path / "a.dcm", photo(), Modality="OP", PlanarConfiguration=1, PixelData=planes.tobytes())
    np.testing.assert_array_equal(load_study(path).images[0].pixels, photo())


# windows


def frames(stored: np.ndarray, **elements: object) -> list[tuple[Frame, np.ndarray]]:
    """Frames `(N, H, W)` that state the same."""
    facts = Dataset()
    values = {"BitsStored": 16, "PixelRepresentation": int(stored.dtype.kind == "i"), **elements}
    for keyword, value in {"PhotometricInterpretation": "MONOCHROME2", **values}.items():
        setattr(facts, keyword, value)
    return [(Frame(Source(Path("a"), "a", "dicom"), n, facts), frame) for n, frame in enumerate(stored)]


@pytest.mark.parametrize(
    ("centre", "width", "nothing"),
    [(40, 400, False), (-600, 1500, False), (3000, 100, True), (-5000, 200, True), (0, 2_000_000, True)],
)
def test_a_window_that_shows_nothing(centre: float, width: float, nothing: bool) -> None:
    samples = frames(ct_phantom(), WindowCenter=centre, WindowWidth=width)
    assert shows_nothing(samples) == nothing
    chosen = windowing(samples, ct=True, body_part="abdomen")
    assert chosen.window == (-160, 240) and chosen.stated != nothing
    assert (chosen.notice is None) != nothing
    if chosen.notice:
        assert chosen.notice.startswith("The window that the file states shows nothing")


def test_a_window_is_judged_over_the_series_and_not_by_a_slice() -> None:
    stored = np.zeros((6, 20, 20), np.int16)
    stored[3:] = np.arange(400).reshape(20, 20)
    samples = frames(stored, WindowCenter=200, WindowWidth=400)
    assert shows_nothing(samples[:1]) is False and shows_nothing(samples) is False  # flat itself; alike beside others
    assert shows_nothing(frames(stored, WindowCenter=5000, WindowWidth=400))
    assert not shows_nothing(frames(stored))  # none is stated


def test_few_bright_spots_are_something() -> None:
    stored = np.zeros((1, 100, 100), np.int16)
    stored[0, 40:45, 40:60] = np.arange(100, 200).reshape(5, 20)
    assert not shows_nothing(frames(stored, WindowCenter=150, WindowWidth=120))


def test_padding_does_not_count() -> None:
    stored = ct_phantom()
    stored[:, :40] = -2000
    samples = frames(stored, WindowCenter=3000, WindowWidth=100, PixelPaddingValue=-2000, PixelRepresentation=1)
    assert shows_nothing(samples)


def test_only_what_is_said_to_be_ct_gets_a_window_of_ct() -> None:
    hu = ct_phantom().astype(np.float32)
    assert default_window(hu, True) == ((-160.0, 240.0), "soft tissue")
    assert default_window(hu, False)[1] == "0.5 to 99.5 percentile"
    assert default_window(hu + 1024, True) == ((864.0, 1264.0), "soft tissue")  # its intercept is not stated
    low, high = default_window(hu + 13_000, True)[0]
    assert abs(low - 12_840) < 40 and high - low == 400  # nor is it this one
    assert default_window(hu - 5000, True)[0][1] < -4700
    assert default_window(mr_phantom() - 1000, False)[1] == "0.5 to 99.5 percentile"


def test_percentiles_leave_the_background_out() -> None:
    inside = np.linspace(100, 300, 1000)
    assert np.allclose(percentile_window(np.concatenate([inside, np.full(9000, -1000.0)])), (101, 299))
    assert np.allclose(percentile_window(np.concatenate([inside, np.full(9000, 50.0)])), (50, 299))  # it is near
    assert percentile_window(np.full(10, 7.0)) == (7, 7) and percentile_window(np.full(3, np.nan)) == (0, 0)
