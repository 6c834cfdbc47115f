"""What leads back from an image to its file, and that nobody but an export sees it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medvlm.studies import load_study
from medvlm.types import Region

from .studies import SECRET, gradient, write, write_nifti, write_series
from .test_studies_choice import mosaic


def test_each_slice_leads_back_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "in", 5)
    monkeypatch.chdir(tmp_path)  # a relative path is made whole
    images = load_study("in").images
    for image in images:
        assert image.origin is not None and image.origin.frame == 0 and image.origin.entry is None
        source = pydicom.dcmread(image.origin.path)
        assert (source.pixel_array == image.pixels).all()
    assert {image.origin.path for image in images if image.origin} == {str(path) for path in folder.iterdir()}
    assert len({image.origin.instance for image in images if image.origin}) == 5


def test_an_entry_of_an_archive_is_known_by_its_number(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", 3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
        archive.mkdir("b")
        for path in folder.iterdir():
            archive.write(path, f"b/{path.name}")
    for image in load_study(tmp_path / "a.zip").images:
        assert image.origin is not None and image.origin.path == str(tmp_path / "a.zip")
        assert image.origin.entry is not None
        with zipfile.ZipFile(image.origin.path) as archive:
            packed = io.BytesIO(archive.read(archive.infolist()[image.origin.entry]))
        assert (pydicom.dcmread(packed).pixel_array == image.pixels).all()


def test_frames_and_tiles_are_told(tmp_path: Path) -> None:
    clip = np.stack([gradient() + n for n in range(6)])
    images = load_study(write(tmp_path / "clip.dcm", clip, Modality="US")).images
    assert [image.origin.frame for image in images if image.origin] == list(range(6))
    images = load_study(mosaic(tmp_path / "mosaic.dcm", 3, 7)).images
    assert [image.origin.tile for image in images if image.origin][4] == (32, 32, 32, 32)


def test_other_formats_have_none(tmp_path: Path) -> None:
    assert load_study(write_nifti(tmp_path / "a.nii", "RAS")).images[0].origin is None


def test_no_json_and_no_log_has_it(tmp_path: Path) -> None:
    folder = write_series(tmp_path / SECRET, 2)
    study = load_study(folder)
    told = [repr(study), repr(study.images[0].origin), str(study.images[0].origin), json.dumps(study.metadata)]
    told.append(json.dumps(Region("liver", 0, (0, 0, 1, 1), None, 1.0, turn=study.images[0].turn).to_json()))
    assert not any(SECRET in text for text in told)
    assert "1.2.3" not in str(vars(study.images[0].origin))  # nor an identifier of the file's
