"""NIfTI volumes: slices as radiologists see them, orientation, scaling, and numbers that no file explains."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medvlm.studies import load_study
from medvlm.types import Study

from .phantoms import ct_phantom, mr_phantom
from .studies import VOLUMES, refusal, write_nifti

EVERY_ORDER = [
    "".join(pair[side] for pair, side in zip(order, sides, strict=True))
    for order in permutations(("RL", "AP", "SI"))
    for sides in product((0, 1), repeat=3)
]


def spoiled(
    path: Path, values: np.ndarray, sform: np.ndarray | None, qform: np.ndarray | None, **fields: object
) -> Study:
    """A volume whose header says what it is told to, right or wrong."""
    header = nib.Nifti1Header()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    header.set_qform(np.eye(4) if qform is None else qform, int(qform is not None))
    header.set_sform(np.eye(4) if sform is None else sform, int(sform is not None))
    header["magic"], header["vox_offset"] = b"n+1", 352
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + bytes(4) + np.asfortranarray(values).tobytes("F"))
    return load_study(path)


# orientation


@pytest.mark.parametrize("codes", EVERY_ORDER)
def test_axial_slices_are_shown_as_radiologists_see_them(tmp_path: Path, codes: str) -> None:
    path = write_nifti(tmp_path / "v.nii.gz", codes, (1.0, 1.0, 1.2))
    study = load_study(path)
    assert study.kind == "volume" and len(study.images) == 20 and study.images[0].size == (40, 30)
    assert study.metadata["orientation"] == ["L", "P"] and study.metadata["slice_order"] == "inferior to superior"
    assert study.sides_known and not [n for n in study.notices if "orientation" in n]
    first = study.images[0].pixels  # inferior: the patient's right on the left, anterior on top
    assert first[:5, :5].min() == 255 and first[5:].max() == 0 and first[:, 5:].max() == 0
    assert study.images[-1].pixels.max() == 0

    stored = np.moveaxis(np.asarray(nib.load(path).dataobj), study.metadata["voxel_axis"], 0)
    stored = stored[::-1] if study.metadata["voxels_reversed"] else stored
    for image, plane in zip(study.images, stored, strict=True):  # what is drawn goes back to where the file has it
        back = image.turn.to_stored(image.pixels > 0) if image.turn else image.pixels > 0
        np.testing.assert_array_equal(back, plane > 0)


@pytest.mark.parametrize("codes", ["RAS", "ASL", "LPI"])
def test_the_coarsest_axis_is_the_slice_axis(tmp_path: Path, codes: str) -> None:
    coronal = load_study(write_nifti(tmp_path / "c.nii", codes, (1, 4, 1.01)))
    assert coronal.metadata["plane"] == "coronal" and coronal.images[0].size == (20, 30)
    assert coronal.images[0].spacing_mm == (1.01, 1.0) and coronal.metadata["slice_spacing_mm"] == 4
    assert coronal.images[0].pixels[-2:, :5].min() == 255 and coronal.images[-1].pixels.max() == 0  # anterior first
    sagittal = load_study(write_nifti(tmp_path / "s.nii", codes, (5, 1, 1)))
    assert sagittal.metadata["plane"] == "sagittal" and sagittal.images[0].size == (20, 40)
    assert sagittal.images[-1].pixels[-2:, :5].min() == 255 and sagittal.images[0].pixels.max() == 0  # left first


@pytest.mark.parametrize("codes", ["RAS", "PIR"])
def test_pixels_that_are_not_square_are_made_square(tmp_path: Path, codes: str) -> None:
    study = load_study(write_nifti(tmp_path / "v.nii", codes, (1.5, 0.5, 3)))
    image = study.images[0]
    assert image.size == (40, 90) and image.spacing_mm == (0.5, 0.5)
    assert image.pixels[:4, :12].min() == 255 and image.pixels[:, 18:].max() == 0
    assert image.turn is not None and sorted(image.turn.stored) == [30, 40]
    assert image.turn.to_stored(np.ones(image.size, bool)).shape == image.turn.stored


def test_sform_of_zeros_leaves_the_qform(tmp_path: Path) -> None:
    volume = np.zeros((4, 5, 6), np.int16)
    volume[0, 0, 0] = 9
    zeros = {"srow_x": 0, "srow_y": 0, "srow_z": 0, "sform_code": 1}
    study = spoiled(tmp_path / "v.nii", volume, None, np.diag([-2, 2, 2, 1.0]), **zeros)
    assert study.sides_known and study.notices == [] and study.images[0].spacing_mm == (2, 2)
    assert study.images[0].pixels[-1, 0] == 255  # x runs to the patient's left, which is shown on the right


@pytest.mark.parametrize(
    ("qform", "disagree", "sides_known"),
    [
        (np.diag([2, 2, 2, 1.0]), False, True),
        (np.diag([-2, 2, 2, 1.0]), True, False),
        (np.diag([2, 2, -2, 1.0]), True, True),
        (np.diag([2, 2, 2.5, 1.0]), True, True),
        (nib.affines.from_matvec(2 * nib.eulerangles.euler2mat(x=np.deg2rad(4)), [1, 2, 3]), True, True),
        (nib.affines.from_matvec(2 * nib.eulerangles.euler2mat(x=np.deg2rad(0.3)), [1, 2, 3]), False, True),
    ],
)
def test_orientations_that_disagree_are_named(
    tmp_path: Path, qform: np.ndarray, disagree: bool, sides_known: bool
) -> None:
    volume = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    study = spoiled(tmp_path / "v.nii", volume, np.diag([2, 2, 2, 1.0]), qform)
    assert ("sform and qform" in " ".join(study.notices)) == disagree and study.sides_known == sides_known


def test_unstated_orientation_is_said(tmp_path: Path) -> None:
    study = spoiled(tmp_path / "v.nii", np.arange(27, dtype=np.int16).reshape(3, 3, 3), None, None)
    assert not study.sides_known and "left and right may be exchanged" in " ".join(study.notices)


def test_odd_voxel_sizes(tmp_path: Path) -> None:
    volume, affine = np.arange(27, dtype=np.int16).reshape(3, 3, 3), np.diag([2, 2, 2, 1.0])
    negative = spoiled(tmp_path / "a.nii", volume, None, affine, pixdim=[1, -2, 2, 2, 0, 0, 0, 0])
    assert negative.images[0].spacing_mm == (2, 2) and negative.sides_known
    none = spoiled(tmp_path / "b.nii", volume, None, affine, pixdim=[1, 0, 0, 0, 0, 0, 0, 0])
    assert none.images[0].spacing_mm is None and "voxel size" in " ".join(none.notices)
    micrometres = spoiled(tmp_path / "c.nii", volume, affine, None, xyzt_units=3)
    assert micrometres.images[0].spacing_mm == (0.002, 0.002)
    metres = spoiled(tmp_path / "d.nii", volume, affine, None, xyzt_units=1)
    assert metres.images[0].spacing_mm is None and "voxel size" in " ".join(metres.notices)


# numbers


def test_hounsfield_units_get_the_soft_tissue_window_and_no_modality(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(ct_phantom().transpose(2, 1, 0), np.diag([-1, -1, 3, 1])), tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    assert study.modality is None and study.metadata["window"] == [-160, 240]
    assert "look like Hounsfield units" in study.notices[0]


@pytest.mark.parametrize("background", [-1000, -1024, -4096])
def test_a_low_background_makes_no_ct_of_an_mr(tmp_path: Path, background: int) -> None:
    volume = mr_phantom().astype(np.int16)
    outside = volume < 20
    nib.save(nib.Nifti1Image(np.where(outside, background, volume), np.diag([-1, -1, 3, 1])), tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    low, high = study.metadata["window"]
    assert study.modality is None and 0 < low < 200 < 500 < high and study.notices == []


def test_phases_below_zero_are_no_ct(tmp_path: Path) -> None:
    volume = mr_phantom()
    phase = (volume / volume.max() * 8191 - 4096).astype(np.int16)
    nib.save(nib.Nifti1Image(phase, np.diag([-1, -1, 3, 1])), tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    assert study.metadata["window_name"] == "0.5 to 99.5 percentile" and study.notices == []


def test_scaling_and_first_of_several_volumes(tmp_path: Path) -> None:
    series = np.zeros((4, 5, 6, 3), np.int16)
    series[..., 0] = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    image = nib.Nifti1Image(series, np.eye(4))
    image.header.set_slope_inter(2.0, -1000.0)
    nib.save(image, tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    assert len(study.images) == 6 and study.notices == ["The first of 3 volumes is shown."]
    low, high = study.metadata["window"]
    assert -1000 <= low < -990 and -770 < high <= -762


@pytest.mark.parametrize(("slope", "inter"), [(0, 0), (np.nan, 0), (0, 7), (1, np.nan)])
def test_a_slope_that_is_none(tmp_path: Path, slope: float, inter: float) -> None:
    volume = np.arange(64, dtype=np.int16).reshape(4, 4, 4)
    study = spoiled(tmp_path / "v.nii", volume, np.eye(4), np.eye(4), scl_slope=slope, scl_inter=inter)
    assert study.metadata["window"][1] > 60 and study.images[-1].pixels.max() == 255


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_invalid_numbers_are_black(tmp_path: Path, share: float, value: float) -> None:
    volume = np.random.default_rng(0).uniform(100, 200, (10, 10, 10)).astype(np.float32)
    invalid = np.random.default_rng(1).random(volume.shape) < share
    nib.save(nib.Nifti1Image(np.where(invalid, value, volume), np.diag([-1, -1, 1, 1])), tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    shown = np.stack([image.pixels for image in study.images], axis=-1)
    assert shown[invalid.transpose(1, 0, 2)].max() == 0 and shown[~invalid.transpose(1, 0, 2)].mean() > 100
    assert study.notices == ["Invalid numbers (NaN) are shown black."]


def test_only_invalid_numbers_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((4, 4, 4), np.nan, np.float32), np.eye(4)), tmp_path / "v.nii")
    assert "only NaN" in refusal(tmp_path / "v.nii")


def test_colours_are_kept(tmp_path: Path) -> None:
    colours = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["R"], colours["B"][0, 0, 0] = 200, 90
    nib.save(nib.Nifti1Image(colours, np.diag([-1, -1, 1, 1])), tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    assert study.images[0].pixels.shape == (5, 4, 3) and study.images[0].pixels[0, 0].tolist() == [200, 0, 90]


def test_packed_under_the_wrong_name_and_wide_numbers(tmp_path: Path) -> None:
    volume = np.arange(64, dtype=np.float64).reshape(4, 4, 4)
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1])), tmp_path / "v.nii")
    plain = load_study(tmp_path / "v.nii")
    (tmp_path / "w.nii").write_bytes(gzip.compress((tmp_path / "v.nii").read_bytes()))
    for one, other in zip(plain.images, load_study(tmp_path / "w.nii").images, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.skipif(not VOLUMES.is_dir(), reason=f"shared volumes are not at {VOLUMES.name}")
def test_shared_volumes() -> None:
    torso = load_study(VOLUMES / "ct_torso.nii.gz")
    assert torso.modality is None and len(torso.images) == 30 and torso.images[0].spacing_mm == (3.0, 3.0)
    assert torso.metadata["window_name"] == "soft tissue"
    organs = load_study(VOLUMES / "ct_torso_seg.nii.gz")
    volume = nib.load(VOLUMES / "ct_torso_seg.nii.gz")
    liver = np.asarray(volume.dataobj) == 5  # TotalSegmentator's label
    shown = organs.images[20].pixels[np.flip(liver[..., 20], (0, 1)).T]
    assert len(np.unique(shown)) == 1 and shown[0] > 0  # the label lies where the display puts it
    assert np.argwhere(np.flip(liver[..., 20], (0, 1)).T)[:, 1].mean() < 50  # the liver on the image's left
    flair = load_study(VOLUMES / "mr_flair_ms.nii.gz")
    assert flair.modality is None and len(flair.images) == 36 and flair.metadata["plane"] == "axial"
    assert flair.metadata["window_name"] == "0.5 to 99.5 percentile"
