"""A study with words planted wherever a patient can be named, and a search for them in whatever was written."""

from __future__ import annotations

import base64
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from .studies import write

# Of the patient, which objects of the same record may say again
RECORD = ("quixwood", "zebedee", "88412377", "19570312", "oswaldine", "holmquist")
# In places that nothing may be taken from, not even for the record
HIDDEN = ("pemberlane", "55510023", "thistleby", "wrenfield", "marchbanks", "ravensworth", "vandermeer", "zilpha")
BURNED = "DUNSINANE 77340091"
INK = 90  # too dark for the stand-in model, which takes all that is bright for a finding


def burned_in() -> np.ndarray:
    """uint8 `(240, 320)`: a bright disc, and a name and a number in a corner."""
    image = PIL.Image.new("L", (320, 240), 0)
    draw = PIL.ImageDraw.Draw(image)
    draw.ellipse((110, 80, 210, 180), fill=180)
    draw.text((12, 10), BURNED, fill=INK, font=PIL.ImageFont.load_default(18))
    return np.asarray(image)


def planted(folder: Path, count: int = 2) -> Path:
    """DICOM files of one patient in a folder, all of which name her."""
    folder = folder / "Marchbanks_Quixwood"
    folder.mkdir(parents=True)
    study, series = generate_uid(), generate_uid()
    for number in range(1, count + 1):
        path = folder / f"marchbanks_88412377_{number}.dcm"
        write(
            path,
            burned_in(),
            PatientName="Quixwood^Zebedee",
            PatientID="88412377",
            PatientBirthDate="19570312",
            StudyDate="20200102",
            SeriesDate="20200103",
            AcquisitionDateTime="20200102101500.000000",
            AccessionNumber="88412377",
            ReferringPhysicianName="Oswaldine^Ed",
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            InstanceNumber=number,
            Modality="US",
            ImageComments="Thistleby says hello",
            StudyDescription="Holmquist ward, for Quixwood",
            SeriesDescription="Thistleby",
            ConvolutionKernel="for Quixwood",  # of no table: found by her own name
            BurnedInAnnotation="YES",
            PixelSpacing=[0.5, 0.5],
        )
        data = pydicom.dcmread(path)
        block = data.private_block(0x0011, "PEMBERLANE", create=True)
        block.add_new(1, "LO", "Pemberlane 55510023")
        block.add_new(2, "OB", "Pemberlane".encode("utf-16-le"))
        data.RequestAttributesSequence = [_named("Vandermeer^A")]
        data.AcquisitionContextSequence = [Dataset()]  # kept by the profile, but for what is in it
        data.AcquisitionContextSequence[0].PersonName = "Vandermeer^B"
        data.AcquisitionContextSequence[0].add_new(0x00130010, "LO", "PEMBERLANE")
        data.AcquisitionContextSequence[0].ContentSequence = [_named("Zilpha^C")]
        data.add_new(0x60000010, "US", 1)
        data.add_new(0x60001500, "LO", "Wrenfield")
        data.add_new(0x60003000, "OW", b"Wrenfield 55510023" * 2)
        data.file_meta.PrivateInformationCreatorUID = generate_uid()
        data.file_meta.PrivateInformation = b"Ravensworth."
        data.file_meta.SourceApplicationEntityTitle = "RAVENSWORTH"
        data.preamble = b"Ravensworth".ljust(128, b"\0")
        data.DataSetTrailingPadding = b"Ravensworth."
        data.save_as(path, enforce_file_format=True)
    return folder


def _named(name: str) -> Dataset:
    item = Dataset()
    item.RequestingPhysician = item.PersonName = name
    item.ScheduledProcedureStepDescription = f"for {name}"
    return item


def leaks(content: bytes, words: tuple[str, ...]) -> list[str]:
    """The words that are in bytes, in 8 or 16 bits a letter, in whatever is packed in there."""
    found = set()
    for part in _unpacked(content):
        low = part.lower()
        for word in words:
            forms = (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be"))
            if any(form in low for form in forms):
                found.add(word)
    return sorted(found)


def _unpacked(content: bytes, depth: int = 3) -> Iterator[bytes]:
    yield content
    if depth:
        for inner in _inside(content):
            yield from _unpacked(inner, depth - 1)


def _inside(content: bytes) -> Iterator[bytes]:
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    elif content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield " ".join(archive.namelist()).encode()
            yield from (archive.read(name) for name in archive.namelist())
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):  # of a PDF
        yield from _inflated(stream)
    for text in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", content):
        try:
            yield base64.b64decode(text)
        except ValueError:
            pass


def _inflated(stream: bytes) -> Iterator[bytes]:
    for decode in (bytes, lambda raw: base64.a85decode(raw.strip().removesuffix(b"~>"))):
        try:
            yield zlib.decompressobj().decompress(decode(stream))
        except (ValueError, zlib.error):
            pass
