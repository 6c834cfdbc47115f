"""Copies of DICOM images that name nobody."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.uid import JPEGBaseline8Bit

from medvlm.cli import main
from medvlm.errors import RequestError, StudyError
from medvlm.studies import dicom_profile, load_study
from medvlm.studies.deidentify import FACES, KEPT, deidentify

from .planted import BURNED, HIDDEN, INK, RECORD, burned_in, leaks, planted
from .studies import gradient, write

pytest.importorskip("rapidocr")
pytest.importorskip("dicomanonymizer")

WORDS = (*RECORD, *HIDDEN, *BURNED.lower().split())


def copies(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def plain(folder: Path, *paths: Path) -> list[pydicom.Dataset]:
    """Copies made without a look at the pixels, which takes longest."""
    deidentify(paths, folder, keep_text=True)
    return copies(folder)


def test_nothing_that_was_planted_is_left(tmp_path, capfd):
    out = tmp_path / "out"
    assert main(["deidentify", str(planted(tmp_path)), "-o", str(out), "--json"]) == 0
    told, said = capfd.readouterr()
    assert json.loads(told) == {
        "files": 2, "images": 2, "patients": 1, "texts": 2, "left_out": 0, "notices": [FACES],
    }  # fmt: skip
    assert not leaks((told + said).replace(str(out), "").encode(), WORDS)
    assert [path.name for path in sorted(out.iterdir())] == ["00001.dcm", "00002.dcm"]
    for path in out.iterdir():
        assert not leaks(path.read_bytes(), WORDS)
        data = pydicom.dcmread(path)
        assert data.PatientIdentityRemoved == "YES" and data.BurnedInAnnotation == "NO"
        assert [code.CodeValue for code in data.DeidentificationMethodCodeSequence] == ["113100", "113101", "113107"]
        pixels, before = data.pixel_array, burned_in()
        assert not pixels[before == INK].any() and (pixels[60:] == before[60:]).all()
    assert load_study(out).images[0].spacing_mm == (0.5, 0.5), "what an image is read by is still there"


def test_dates_keep_their_distances_and_birth_goes(tmp_path):
    one, two = plain(tmp_path / "out", planted(tmp_path))
    moved = [pydicom.valuerep.DA(data[name].value) for data in (one, two) for name in ("StudyDate", "SeriesDate")]
    assert (moved[1] - moved[0]).days == 1 and moved[:2] == moved[2:]
    assert moved[0] != pydicom.valuerep.DA("20200102") and one.AcquisitionDateTime[:8] == one.StudyDate
    assert one.AcquisitionDateTime[8:] == "101500.000000" and one.PatientBirthDate == ""


def test_patients_differ_and_references_still_lead_somewhere(tmp_path):
    first = write(tmp_path / "a.dcm", gradient(), PatientID="1111", StudyInstanceUID="1.2.3.4")
    uid = pydicom.dcmread(first).SOPInstanceUID
    reference = pydicom.Dataset()
    reference.ReferencedSOPInstanceUID, reference.ReferencedSOPClassUID = uid, "1.2.840.10008.5.1.4.1.1.2"
    write(
        tmp_path / "b.dcm",
        gradient(),
        PatientID="1111",
        StudyInstanceUID="1.2.3.4",
        ReferencedImageSequence=[reference],
    )
    write(tmp_path / "c.dcm", gradient(), PatientID="2222", StudyInstanceUID="1.2.3.5")
    a, b, c = plain(tmp_path / "out", *(tmp_path / f"{name}.dcm" for name in "abc"))
    assert a.PatientID == b.PatientID != c.PatientID and a.StudyInstanceUID == b.StudyInstanceUID != c.StudyInstanceUID
    assert b.ReferencedImageSequence[0].ReferencedSOPInstanceUID == a.SOPInstanceUID != uid
    assert b.ReferencedImageSequence[0].ReferencedSOPClassUID == reference.ReferencedSOPClassUID
    assert a.StudyDate != c.StudyDate
    again = plain(tmp_path / "again", first)[0]
    assert again.PatientID != a.PatientID, "nobody can lead a name back: the key is made anew and thrown away"


def test_every_attribute_of_the_standard_s_table(tmp_path):
    """Each one that the table has and that can hold text is planted: none comes back."""
    path = write(tmp_path / "a.dcm", gradient())
    data = pydicom.dcmread(path)
    for tag in (tag for tag in dicom_profile._table() if len(tag) == 2 and tag[0] > 2):
        if dictionary_VR(tag) in ("LO", "LT", "PN", "SH", "ST", "UC", "UT", "AE") and tag not in data:
            data.add_new(tag, dictionary_VR(tag), "Thistleby")
    data.save_as(path)
    assert leaks(path.read_bytes(), HIDDEN) == ["thistleby"]
    plain(tmp_path / "out", path)
    assert not leaks((tmp_path / "out/00001.dcm").read_bytes(), HIDDEN)


def test_what_the_table_does_not_name(tmp_path):
    """Pixels of an item, elements of no dictionary, free text and addresses go; a text goes that quotes an identifier."""
    path = write(tmp_path / "a.dcm", gradient(), StudyInstanceUID="1.2.3.44", PatientID="192")
    data = pydicom.dcmread(path)
    data.SpecificCharacterSet = "ISO_IR 192"  # which is no number of a patient
    small = pydicom.Dataset()
    small.PixelData = b"Thistleby."
    small["PixelData"].VR = "OB"
    data.SourceImageSequence = [small]
    data.add_new(0x00129998, "LO", "Thistleby")
    data.UnformattedTextValue = data.SegmentDescription = "Thistleby"
    data.RetrieveURL = "https://thistleby/studies/1.2.3.44"
    data.LUTExplanation = "of 1.2.3.44"
    data.save_as(path)
    (copy,) = plain(tmp_path / "out", path)
    assert not leaks((tmp_path / "out/00001.dcm").read_bytes(), (*HIDDEN, "1.2.3.44"))
    assert copy.SpecificCharacterSet == "ISO_IR 192"


def test_compressed_frames_are_written_without_their_comments(tmp_path):
    import io

    import PIL.Image

    stream = io.BytesIO()
    PIL.Image.fromarray(burned_in()).save(stream, "JPEG", comment="Thistleby", quality=95)
    path = write(tmp_path / "a.dcm", burned_in())
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = pydicom.encaps.encapsulate([stream.getvalue()])
    data.save_as(path)
    (copy,) = plain(tmp_path / "out", path)
    assert not leaks((tmp_path / "out/00001.dcm").read_bytes(), HIDDEN)
    assert np.abs(copy.pixel_array.astype(int) - burned_in()).max() < 20


def test_text_in_12_bits_that_the_window_hides(tmp_path):
    pixels = burned_in().astype(np.uint16)
    pixels[pixels == INK] = 4000
    path = write(tmp_path / "a.dcm", pixels, WindowCenter=6000, WindowWidth=100, BitsStored=12, HighBit=11)
    assert deidentify([path], tmp_path / "out").texts >= 1
    (copy,) = copies(tmp_path / "out")
    assert copy.pixel_array.max() == 180 and copy.BitsStored == 12


def test_text_in_8_bits_that_the_window_hides(tmp_path):
    path = write(tmp_path / "a.dcm", burned_in(), WindowCenter=INK + 60, WindowWidth=20)
    assert deidentify([path], tmp_path / "out").texts >= 1
    assert not (copies(tmp_path / "out")[0].pixel_array == INK).any()


def test_a_class_that_only_the_file_s_meta_information_states(tmp_path):
    path = write(tmp_path / "a.dcm", gradient(), ReferringPhysicianName="Oswaldine^Ed")
    data = pydicom.dcmread(path)
    data.SOPClassUID = ""
    data.save_as(path)
    (copy,) = plain(tmp_path / "out", path)
    assert copy.SOPClassUID == data.file_meta.MediaStorageSOPClassUID
    assert copy.ReferringPhysicianName == "", "of type 2: it must be there, if empty"


def test_what_is_no_image_is_left_out_and_counted(tmp_path):
    write(tmp_path / "a.dcm", gradient())
    write(tmp_path / "report.dcm", gradient(), Modality="SR", Rows=None, Columns=None, PixelData=None)
    (tmp_path / "Quixwood.txt").write_text("notes")
    broken = write(tmp_path / "cut.dcm", gradient())
    broken.write_bytes(broken.read_bytes()[:-100])
    summary = deidentify([tmp_path], tmp_path / "out", keep_text=True)
    assert (summary.files, summary.left_out) == (1, 3) and KEPT in summary.notices
    with pytest.raises(StudyError, match="no DICOM image that can be read"):
        deidentify([tmp_path / "report.dcm"], tmp_path / "none", keep_text=True)
    assert not (tmp_path / "none").exists()


def test_refusals(tmp_path, monkeypatch):
    path = write(tmp_path / "a.dcm", gradient())
    with pytest.raises(RequestError, match="name a new folder"):
        deidentify([path], tmp_path)
    monkeypatch.setattr(
        pydicom.Dataset, "save_as", lambda *args, **more: (_ for _ in ()).throw(OSError(28, "No space"))
    )
    with pytest.raises(RequestError, match="cannot be written"):
        deidentify([path], tmp_path / "out", keep_text=True)
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "dicomanonymizer.simpledicomanonymizer", None)
    dicom_profile._table.cache_clear()
    with pytest.raises(RequestError, match="pip install"):
        deidentify([path], tmp_path / "out")
    dicom_profile._table.cache_clear()
