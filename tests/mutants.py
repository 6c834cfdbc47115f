"""Small real files of every kind, and what breaks them: seeded, so that a file that does harm can be made again."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import gdcm
import nibabel as nib
import numpy as np
import PIL.Image
import pydicom
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL

from .studies import gradient, write_video

Seeds = dict[str, list[bytes]]

_MAX_SEED = 200_000  # bytes; what matters in a larger file is hit too rarely
_GDCM = ("JPEGBaselineProcess1", "JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless", "RLELossless")
_GDCM += ("JPEG2000", "JPEG2000Lossless")
# 32 x 32 pixels of 8 bits by OpenJPH: no encoder of High-Throughput JPEG 2000 comes with the project.
_HTJ2K = base64.b85decode(
    "|4;u>04YEK0000W0000W00000000000000W0000W0000000000009R90sl|{2mk^A00092QUDA90ssL31q1{@0smY86Cg-XP*6}%P*6}%P*6}vNJ#%="
    "02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00000v;YDBlfWg@0S9ydz!Ja`z!HGa0Ect{)BuNc0Hgs2bO68;z!Ja{004mc03cKV(f}jW0KohJ0#pFN"
    "6%YkP0Wcs0{(>(uRRBN){=kXswE*CNAyef5z!i`MTmdLRAk^o86#GfhKiL34Aocx+C%<X-SOEV1fJ6YmE8rG{0;m8ANaX&%1wA~To=;C3000U|<o|er"
    "Pkz$(?)&zf0094ZV5KQaQpo`S*#<"
)


def seeds(folder: Path) -> Seeds:
    """Files by kind; each compressed transfer syntax of DICOM is a kind of its own. `folder` is for writing in."""
    return {**dicom_seeds(folder), **_raster(), **_nifti(), **_videos(folder), **_archives()}


def dicom_seeds(folder: Path) -> Seeds:
    """The files that pydicom carries, by transfer syntax, and some of them compressed by GDCM in the other ways."""
    plain = [
        Path(get_testdata_file(n, download=False)) for n in ("CT_small.dcm", "MR_small.dcm", "SC_rgb_dcmtk_+eb+cr.dcm")
    ]
    carried = [p.read_bytes() for p in sorted(plain[0].parent.glob("*.dcm")) if p.stat().st_size <= _MAX_SEED]
    made = [_compressed(path, syntax, folder) for syntax in _GDCM for path in plain]
    made += [_htj2k(plain[0], syntax) for syntax in (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)]
    found: Seeds = {}
    for content in carried + made:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of pydicom's are odd on purpose
            data = pydicom.dcmread(io.BytesIO(content), force=True)
        syntax = getattr(data, "file_meta", {}).get("TransferSyntaxUID")
        if "PixelData" in data and syntax is not None:
            kind = syntax.name if syntax.is_compressed else "uncompressed"
            found.setdefault(f"DICOM, {kind}", []).append(content)
    return found


def mutant(content: bytes, random: Random, others: list[bytes]) -> bytes:
    """`content` with one or a few faults: bits, numbers, pieces lost, doubled or from another file, or an early end.

    Half of the faults lie near the start or after a marker that is found there, where lengths and sizes stand.
    """
    out = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4, 12))):
        if out:
            random.choice(_FAULTS)(out, _place(out, random), random)
    if random.random() < 0.05:
        other = random.choice(others)
        at = random.randrange(len(other))
        out[_place(out, random) :] = other[at:]
    if random.random() < 0.08:
        del out[random.randrange(len(out) + 1) :]
    return bytes(out)


def repaired(content: bytes) -> bytes:
    """A PNG with checksums that hold again: else none of its faults would be read."""
    out, at = bytearray(content), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4])
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def _place(out: bytearray, random: Random) -> int:
    """Anywhere, or near where a header stands: the file's start, or that of DICOM's pixels."""
    if not out or random.random() < 0.4:
        return random.randrange(len(out) + 1)
    start = max(0, out.rfind(b"\xe0\x7f\x10\x00")) if random.random() < 0.7 else 0
    return min(len(out) - 1, start + int(random.expovariate(1 / 80)))


def _flip(out: bytearray, at: int, random: Random) -> None:
    at = min(at, len(out) - 1)
    out[at] ^= 1 << random.randrange(8)


def _number(out: bytearray, at: int, random: Random) -> None:
    """A number that programs count wrongly with: the ends of what 1, 2 or 4 bytes hold, in either order."""
    size = random.choice((1, 2, 4))
    value = random.choice(
        (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 4))
    )
    out[at : at + size] = value.to_bytes(size, random.choice(("big", "little")))


def _lose(out: bytearray, at: int, random: Random) -> None:
    del out[at : at + random.choice((1, 2, 8, 100))]


def _add(out: bytearray, at: int, random: Random) -> None:
    out[at:at] = random.randbytes(random.choice((1, 2, 8)))


def _double(out: bytearray, at: int, random: Random) -> None:
    out[at:at] = out[at : at + random.choice((4, 32, 500))]


_FAULTS: list[Callable[[bytearray, int, Random], None]] = [_flip, _flip, _number, _number, _lose, _add, _double]


def _compressed(path: Path, syntax: str, folder: Path) -> bytes:
    """A DICOM file in another transfer syntax, by GDCM's name of it."""
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    if not change.Change():  # JPEG Baseline of 16 bits
        return path.read_bytes()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(folder / "compressed"))
    writer.Write()
    return (folder / "compressed").read_bytes()


def _htj2k(path: Path, syntax: str) -> bytes:
    data = pydicom.dcmread(path)
    data.Rows = data.Columns = 32
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = encapsulate([_HTJ2K])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    data.save_as(file)
    return file.getvalue()


def _raster() -> Seeds:
    grey = PIL.Image.fromarray(gradient(48, 64))
    deep = PIL.Image.fromarray(gradient(48, 64).astype(np.uint16) * 200)
    colour = PIL.Image.merge("RGB", [grey, grey.rotate(90), grey.rotate(180)])
    frames = [colour.rotate(turn) for turn in (30, 60, 90)]
    clip = {"save_all": True, "append_images": frames}

    def saved(picture: PIL.Image.Image, file_format: str, **options: object) -> bytes:
        file = io.BytesIO()
        picture.save(file, file_format, **options)
        return file.getvalue()

    return {
        "PNG": [saved(p, "PNG") for p in (grey, deep, colour, colour.quantize(16))] + [saved(colour, "PNG", **clip)],
        "JPEG": [saved(grey, "JPEG"), saved(colour, "JPEG", progressive=True, exif=PIL.Image.Exif())],
        "TIFF": [
            saved(picture, "TIFF", compression=way, **more)
            for way in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
            for picture, more in ((deep, {}), (colour, clip))
        ]
        + [saved(colour, "TIFF", compression="jpeg"), saved(grey.convert("1"), "TIFF", compression="group4")],
        "GIF": [saved(colour, "GIF", **clip), saved(grey, "GIF")],
        "WebP": [saved(colour, "WEBP", **clip), saved(colour, "WEBP", lossless=True)],
        "BMP": [saved(p, "BMP") for p in (grey, colour, grey.convert("1"))],
    }


def _nifti() -> Seeds:
    volume = np.arange(12 * 10 * 8).reshape(12, 10, 8)
    images = [kind(volume.astype(t), np.eye(4)) for kind, t in ((nib.Nifti1Image, "i2"), (nib.Nifti2Image, "f4"))]
    plain = [image.to_bytes() for image in images]
    return {"NIfTI": plain, "NIfTI, gzip": [gzip.compress(content) for content in plain]}


def _videos(folder: Path) -> Seeds:
    paths = [write_video(folder / f"clip.{ending}", 12) for ending in ("mp4", "avi", "mkv")]
    return {"video": [path.read_bytes() for path in paths]}


def _archives() -> Seeds:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(_raster()["PNG"][:3]):
            archive.writestr(f"{number}.png", content)
    return {"zip": [file.getvalue()]}
