"""Small files that grow: each is refused in one sentence, soon, in bounded memory, and nothing of it stays."""

from __future__ import annotations

import gzip
import io
import math
import resource
import struct
import time
import zipfile
import zlib

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.filereader import read_file_meta_info
from pydicom.uid import RLELossless

from tests.apis import app_over, client_over, opened, png, refused
from tests.fakes import FakeAssistant

GIB = 2**30  # more than the limit of one file; three of them, more than any
SECONDS = 30  # of the clock, for each
MOST_BYTES = 400 * 2**20  # of memory that the server itself takes for all of them


def zeros(count: int, wbits: int = -15) -> bytes:
    """Deflated zeros, made in no time: one block of a MiB over and over."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    start = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (count // 2**20 - 1) + packer.flush()


def zip_of(*entries: tuple[str, bytes, int], at: list[int] | None = None) -> bytes:
    """A zip of deflated entries with the sizes that it says they have; with `at`, where in it each is said to lie."""
    body, directory = b"", b""
    for number, (name, packed, size) in enumerate(entries):
        where = len(body) if at is None else at[number]
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0)
        if at is None or number == 0:
            body += b"PK\3\4" + fields + name.encode() + packed
        directory += (
            b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, where) + name.encode()
        )
    count = len(entries)
    return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)


def same(count: int, size: int, at: list[int] | None = None) -> bytes:
    packed = zeros(size)
    return zip_of(*[(f"{number:04}.dcm", packed, size) for number in range(count)], at=at)


def nested(depth: int, width: int) -> bytes:
    content = zip_of(("a.png", zeros(64 * 2**20), 64 * 2**20))
    for level in range(depth):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(width):
                archive.writestr(f"{level}-{number}.zip", content)
        content = stream.getvalue()
    return content


def nifti(shape: tuple[int, ...], more: int) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.uint8)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(header.binaryblock + bytes(4)) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + start + zeros(more) + bytes(8)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def picture(kind: bytes, before: bytes, count: int) -> bytes:
    """A PNG with a chunk of deflated zeros: of its pixels, or of what is said beside them."""
    whole = png()
    if kind == b"IDAT":
        return whole[:33] + chunk(kind, zeros(count, 15)) + chunk(b"IEND", b"")
    return whole[:33] + chunk(kind, before + zeros(count, 15)) + whole[33:]


def deflated_dicom(count: int) -> bytes:
    path = get_testdata_file("image_dfl.dcm", download=False)
    start = 144 + read_file_meta_info(path).FileMetaInformationGroupLength
    return open(path, "rb").read()[:start] + zeros(count)


def rle_dicom(rows: int, frames: int) -> bytes:
    data = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    data.Rows = data.Columns = rows
    data.NumberOfFrames = frames
    runs = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 500_000  # each of 128 zeros
    data.PixelData = encapsulate([runs])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = RLELossless
    stream = io.BytesIO()
    data.save_as(stream)
    return stream.getvalue()


BOMBS = {
    "zip that says what it holds": lambda: zip_of(("a.png", zeros(3 * GIB), 3 * GIB)),
    "zip that says it is small": lambda: zip_of(("a.png", zeros(3 * GIB), 100)),
    "zip of many": lambda: same(6000, 2**20),
    "zip of one entry a thousand times": lambda: same(1000, 2**26, at=[0] * 1000),
    "zips in zips": lambda: nested(4, 8),
    "gzip NIfTI that goes on": lambda: nifti((4, 4, 4), 3 * GIB),
    "gzip NIfTI of a vast volume": lambda: nifti((30_000, 30_000, 3), 3 * GIB),
    "PNG whose pixels go on": lambda: picture(b"IDAT", b"", 3 * GIB),
    "PNG with a vast text": lambda: picture(b"zTXt", b"a\0\0", GIB),
    "PNG with a vast profile": lambda: picture(b"iCCP", b"a\0\0", GIB),
    "deflated DICOM": lambda: deflated_dicom(GIB),
    "RLE DICOM of vast frames": lambda: rle_dicom(60_000, 1),
    "RLE DICOM of many frames": lambda: rle_dicom(8000, 2**31 - 1),
    "RLE DICOM whose runs go on": lambda: rle_dicom(64, 1),
}  # fmt: skip
HARMLESS = {
    "gzip NIfTI that goes on",
    "PNG whose pixels go on",
    "PNG with a vast text",
    "PNG with a vast profile",
    "RLE DICOM whose runs go on",
}


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    return tmp_path_factory.mktemp("api") / "inbox"


@pytest.fixture(scope="module")
def client(inbox):
    return client_over(app_over(FakeAssistant(), inbox))


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name, client, inbox):
    """Some may be read where what grows is left unread; then the study is as small as its header says."""
    content = BOMBS[name]()
    assert len(content) < 80 * 2**20
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, time.monotonic()
    reply = client.post("/v1/studies", files={"files": ("bomb", content)})
    assert time.monotonic() - began < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MOST_BYTES
    if reply.status_code == 201 and name in HARMLESS:
        assert sum(math.prod(image["size"]) for image in reply.json()["images"]) <= 2**14
        client.delete(reply.headers["location"])
    else:
        assert refused(reply, 422)
    assert not list(inbox.iterdir())
    assert client.get(f"/v1/studies/{opened(client)}").status_code == 200  # the next one works
