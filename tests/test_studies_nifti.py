"""NIfTI volumes: slices as radiologists see them, scaling and orientation."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medvlm.studies import load_study

from .studies import (
    VOLUMES,
    write_nifti,
)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SAL", "ASR"])
def test_axial_slices_are_shown_as_radiologists_see_them(tmp_path: Path, codes: str) -> None:
    study = load_study(write_nifti(tmp_path / "v.nii.gz", codes, (1.0, 0.5, 1.2)))
    assert study.kind == "volume" and len(study.images) == 20 and study.images[0].size == (40, 30)
    assert study.images[0].spacing_mm == (0.5, 1.0)  # row step along y, column step along x
    assert study.metadata["orientation"] == ["L", "P"] and study.metadata["slice_order"] == "inferior to superior"
    first = study.images[0].pixels  # inferior: the patient's right on the left, anterior on top
    assert first[:5, :5].min() == 255 and first[5:].max() == 0 and first[:, 5:].max() == 0
    assert study.images[-1].pixels.max() == 0


@pytest.mark.parametrize("codes", ["RAS", "ASL"])
def test_the_coarsest_axis_is_the_slice_axis(tmp_path: Path, codes: str) -> None:
    coronal = load_study(write_nifti(tmp_path / "c.nii", codes, (1, 4, 1.1)))
    assert coronal.metadata["plane"] == "coronal" and coronal.images[0].size == (20, 30)
    assert coronal.images[0].spacing_mm == (1.1, 1.0) and coronal.metadata["slice_spacing_mm"] == 4
    assert coronal.images[0].pixels[-2:, :5].min() == 255 and coronal.images[-1].pixels.max() == 0  # anterior first
    sagittal = load_study(write_nifti(tmp_path / "s.nii", codes, (5, 1, 1)))
    assert sagittal.metadata["plane"] == "sagittal" and sagittal.images[0].size == (20, 40)
    assert sagittal.images[-1].pixels[-2:, :5].min() == 255 and sagittal.images[0].pixels.max() == 0  # left first


def test_hounsfield_values_get_the_soft_tissue_window(tmp_path: Path) -> None:
    volume = np.full((4, 4, 4), -1000, np.int16)
    volume[0, 0, 0], volume[1, 0, 0], volume[2, 0, 0] = -160, 40, 400
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1])), tmp_path / "v.nii")  # stored as shown
    study = load_study(tmp_path / "v.nii")
    assert study.modality == "ct" and study.metadata["window"] == [-160, 240]
    assert study.images[0].pixels[0].tolist() == [0, 128, 255, 0]


def test_scaling_and_first_of_several_volumes(tmp_path: Path) -> None:
    series = np.zeros((4, 5, 6, 3), np.int16)
    series[..., 0] = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    image = nib.Nifti1Image(series, np.eye(4))
    image.header.set_slope_inter(2.0, -1000.0)
    nib.save(image, tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    assert len(study.images) == 6 and study.modality == "ct" and "first of 3 volumes" in study.metadata["note"]


def test_unstated_orientation_is_said(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    nib.save(image, tmp_path / "v.nii")
    assert "left and right may be exchanged" in load_study(tmp_path / "v.nii").metadata["note"]


def test_a_few_invalid_numbers_are_black(tmp_path: Path) -> None:
    volume = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    volume[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1])), tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    assert study.images[0].pixels[0, 0] == 0 and "NaN" in study.metadata["note"]


@pytest.mark.skipif(not VOLUMES.is_dir(), reason=f"shared volumes are not at {VOLUMES.name}")
def test_shared_volumes() -> None:
    torso = load_study(VOLUMES / "ct_torso.nii.gz")
    assert torso.modality == "ct" and len(torso.images) == 30 and torso.images[0].spacing_mm == (3.0, 3.0)
    organs = load_study(VOLUMES / "ct_torso_seg.nii.gz")
    volume = nib.load(VOLUMES / "ct_torso_seg.nii.gz")
    liver = np.asarray(volume.dataobj) == 5  # TotalSegmentator's label
    shown = organs.images[20].pixels[np.flip(liver[..., 20], (0, 1)).T]
    assert len(np.unique(shown)) == 1 and shown[0] > 0  # the label lies where the display puts it
    assert np.argwhere(np.flip(liver[..., 20], (0, 1)).T)[:, 1].mean() < 50  # the liver on the image's left
    flair = load_study(VOLUMES / "mr_flair_ms.nii.gz")
    assert flair.modality is None and len(flair.images) == 36 and flair.metadata["plane"] == "axial"
