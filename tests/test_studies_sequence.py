"""The sequence of a magnetic resonance image, by codes and times of its header."""

from __future__ import annotations

import numpy as np
import pytest

from medvlm.studies import load_study

from .studies import SECRET, place, write

SE, GR, IR, EP = "SE", "GR", ["SE", "IR"], ["SE", "EP"]


def times(kinds, repetition, echo, inversion=None, **more):
    said = {"ScanningSequence": kinds, "RepetitionTime": repetition, "EchoTime": echo, "InversionTime": inversion}
    return {"SequenceVariant": "SK", **said, **more}


def slices(folder, series="1.2.3", **elements):
    folder.mkdir(exist_ok=True)
    said = {"Modality": "MR", "SeriesInstanceUID": series, "SeriesDescription": SECRET, **elements}
    for n in range(3):
        write(
            folder / f"{series}-{n}.dcm", np.full((4, 4), 40 * n, np.uint8), InstanceNumber=n, **place(4.0 * n), **said
        )
    return folder


@pytest.mark.parametrize(
    "said, expected",
    [
        (times(SE, 500, 12), "T1"),
        (times(SE, 4500, 100), "T2"),
        (times(SE, 3000, 25), "PD"),
        (times(IR, 9000, 120, 2500), "FLAIR"),
        (times(IR, 4000, 60, 160), "STIR"),
        (times(IR, 2000, 10, 800), "T1"),
        (times([GR, "IR"], 2300, 3, 900), "T1"),
        (times(GR, 200, 4, SequenceVariant=["SP", "OSP"]), "T1"),
        (times(GR, 600, 20), "T2*"),
        (times(EP, 5000, 90, DiffusionBValue=1000.0), "DWI"),
        (times(EP, 5000, 90, ImageType=["DERIVED", "PRIMARY", "ADC"]), "ADC"),
        ({"AcquisitionContrast": "FLUID_ATTENUATED"}, "FLAIR"),
        (times(SE, 3000, 50), None),
        (times(SE, 1400, 12), None),
        (times(EP, 5000, 90), None),
        (times(GR, 3, 1.5, SequenceVariant="SS"), None),
        (times(GR, 22, 5, SequenceVariant="SP", AngioFlag="Y"), None),
        (times(SE, 0, 12), None),
        ({"ScanningSequence": "SE"}, None),
        (times(SE, 500, 12, Modality="CT"), None),
    ],
)
def test_the_sequence_is_told_where_codes_and_times_tell_it(tmp_path, said, expected):
    study = load_study(slices(tmp_path / "mr", **said))
    assert study.metadata.get("sequence") == expected
    kind, *rest = study.series[0].words.split(", ")
    assert (kind in ("MRI", "CT")) and rest[0] == (expected or "axial")


def test_series_are_told_apart_by_their_sequences_and_not_by_free_text(tmp_path):
    slices(tmp_path / "mr", "1.2.3", **times(SE, 500, 12))
    slices(tmp_path / "mr", "1.2.4", **times(IR, 9000, 120, 2500))
    words = [series.words for series in load_study(tmp_path / "mr").series]
    assert sorted(text.split(", ")[1] for text in words) == ["FLAIR", "T1"] and SECRET not in " ".join(words)
