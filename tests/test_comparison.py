"""What changed since a prior: drawn reports and maps with known answers, drawn images that are laid on each other, headers."""

import json

import numpy as np
import pytest
from scipy import ndimage

from medvlm import cli
from medvlm.errors import RequestError
from medvlm.notices import add_notices
from medvlm.report.alignment import LEAST, Alignment, align
from medvlm.report.changes import TITLE, section
from medvlm.report.comparison import Comparison, Side, compare
from medvlm.report.prior import check_kind, report_with_prior
from medvlm.studies.priors import in_order, relate
from medvlm.types import Finding, Image, ImageFacts, Measurement, Region, Report, Section, Sentence, Study, mask_box

from .fakes import FakeAssistant, square
from .studies import SECRET, write

SIZE = (128, 128)


def disc(x, y, radius, size=SIZE):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def side(findings, size=SIZE, spacing=(0.5, 0.5), slices=1, absent=(), step=2.0):
    """A study and its report; `findings` has for each label its masks as (image, mask), or a bare mask of the only image."""
    regions, told = [], []
    for label, masks in findings.items():
        own = [(0, m) if isinstance(m, np.ndarray) else m for m in masks]
        at = list(range(len(regions), len(regions) + len(own)))
        regions += [Region(label, image, mask_box(mask), mask, 0.9, n) for n, (image, mask) in enumerate(own)]
        told.append(Finding(label, "present" if own else "absent", 0.9, at))
    told += [Finding(label, "absent", 0.95) for label in absent]
    images = [Image(np.zeros(size, np.uint8), spacing, f"slice {i + 1} of {slices}") for i in range(slices)]
    kind = "volume" if slices > 1 else "picture"
    study = Study(images, kind=kind, metadata={"slice_spacing_mm": step} if slices > 1 else {})
    return Side(study, Report([Section("Impression", [])], told, regions), range(slices))


def flat(quality=0.95, shift=(0, 0), scale=1.0, size=SIZE, prior=SIZE):
    matrix = np.diag([1.0, scale, scale, 1.0])
    matrix[1:3, 3] = shift
    return Alignment(matrix, (1, *size), (1, *prior), (0,), (0,), quality)


def kinds(changes):
    return {(change.label, change.kind) for change in changes}


def test_every_kind_of_change_with_its_size():
    current = side({"polyp": [disc(30, 30, 12), disc(90, 90, 8), disc(30, 100, 10)], "lung nodule": []})
    prior = side({"polyp": [disc(30, 30, 8), disc(90, 90, 8), disc(100, 20, 9)], "lung nodule": [disc(64, 64, 7)]})
    changes = {(c.label, c.kind): c for c in compare(current, prior, flat())}
    assert set(changes) == {
        ("polyp", "larger"), ("polyp", "unchanged"), ("polyp", "new"), ("polyp", "resolved"), ("lung nodule", "resolved"),
    }  # fmt: skip
    larger = changes["polyp", "larger"]
    assert (larger.finding, larger.regions, larger.prior_regions) == (0, [0], [0])
    (_, _, length, _), (before, now, by, share) = larger.differences
    assert (length.name, length.unit) == ("longest diameter", "mm") and length.value == pytest.approx(4, abs=0.3)
    assert (by.name, by.unit) == ("area", "mm2") and by.value == pytest.approx(np.pi * (36 - 16), rel=0.05)
    assert share == pytest.approx(100 * (now.value / before.value - 1))
    assert larger.smallest.value < by.value
    assert changes["polyp", "new"].regions == [2] and changes["polyp", "new"].prior_regions == []
    gone = changes["polyp", "resolved"]
    assert gone.regions == [] and gone.prior_regions == [2] and gone.box == mask_box(disc(100, 20, 9))


def test_smaller_and_what_does_not_count():
    before = side({"polyp": [disc(40, 40, 12)]})
    assert kinds(compare(side({"polyp": [disc(40, 40, 8)]}), before, flat())) == {("polyp", "smaller")}
    assert kinds(compare(side({"polyp": [disc(40, 40, 12.6)]}), before, flat())) == {("polyp", "unchanged")}
    # of something tiny a pixel of the model's masks all round it is much, and still counts for nothing
    large = (448, 448)
    now, before = (side({"polyp": [disc(40, 40, radius, large)]}, large) for radius in (5, 4))
    tiny = compare(now, before, flat(size=large, prior=large))
    assert kinds(tiny) == {("polyp", "unchanged")} and abs(tiny[0].differences[1][3]) > 25


def test_a_coarser_prior_asks_for_more():
    now, size = side({"polyp": [disc(40, 40, 12)]}), (16, 16)
    coarse = side({"polyp": [disc(5, 5, 1.2, size)]}, size, (4.0, 4.0))
    out = compare(now, coarse, flat(scale=0.125, prior=size))
    assert kinds(out) == {("polyp", "unchanged")} and out[0].smallest.value > 0.5 * out[0].now[-1].value


def test_places_follow_the_map():
    current, prior = side({"polyp": [disc(40, 40, 10)]}), side({"polyp": [disc(70, 55, 10)]})
    assert kinds(compare(current, prior, flat())) == {("polyp", "new"), ("polyp", "resolved")}
    out = compare(current, prior, flat(shift=(15, 30)))
    assert kinds(out) == {("polyp", "unchanged")} and out[0].differences[-1][3] == pytest.approx(0, abs=1)


def test_near_misses_meet_and_neighbours_that_have_their_own_do_not():
    current, prior = side({"polyp": [disc(40, 40, 3)]}), side({"polyp": [disc(47, 40, 3)]})
    assert kinds(compare(current, prior, flat())) == {("polyp", "unchanged")}
    prior = side({"polyp": [disc(40, 40, 3), disc(47, 40, 3)]})
    assert kinds(compare(current, prior, flat())) == {("polyp", "unchanged"), ("polyp", "resolved")}


def test_one_that_became_two_is_compared_as_a_whole():
    current = side({"polyp": [disc(34, 40, 8), disc(52, 40, 8)]})
    out = compare(current, side({"polyp": [disc(43, 40, 15)]}), flat())
    assert [(c.kind, c.regions, c.prior_regions) for c in out] == [("smaller", [0, 1], [0])]


@pytest.mark.parametrize("usable", [True, False])
def test_what_cannot_be_compared_says_why(usable):
    current = side({"polyp": [disc(10, 40, 8)], "skin lesion": [disc(90, 40, 8)], "lung nodule": []})
    prior = side({"polyp": []})
    prior.report.findings.append(Finding("lung nodule", "uncertain", 0.4))
    current.report.findings[2] = Finding("lung nodule", "present", 0.9, [2])
    current.report.regions.append(Region("lung nodule", 0, mask_box(disc(60, 90, 8)), disc(60, 90, 8), 0.9))
    out = compare(current, prior, flat(quality=0.9 if usable else 0.2, shift=(0, -12)))
    assert {c.kind for c in out} == {"not comparable"}
    words = {c.label: c.reason for c in out}
    if usable:
        assert "does not show all of its place" in words["polyp"]
        assert "not looked for in the prior" in words["skin lesion"]
        assert "uncertain and not located" in words["lung nodule"]
    else:
        assert all("could not be laid on" in reason for reason in words.values())


def test_a_part_that_lies_outside_is_not_measured():
    current, prior = side({"polyp": [disc(10, 40, 9)]}), side({"polyp": [disc(2, 40, 9)]})
    (out,) = compare(current, prior, flat(shift=(0, -12)))
    assert out.kind == "not comparable" and "outside" in out.reason


def test_what_is_hardly_likelier_than_before_is_not_called_new():
    current, prior = side({"polyp": [disc(40, 40, 8)]}), side({}, absent=["polyp"])
    current.report.findings[0].presence, current.report.findings[0].confidence = "uncertain", 0.3
    prior.report.findings[0].confidence = 0.8
    (out,) = compare(current, prior, flat())
    assert out.kind == "not comparable" and "too uncertain" in out.reason
    current.report.findings[0].confidence = 0.6
    (out,) = compare(current, prior, flat())
    assert out.kind == "new" and out.possible


def test_types_of_one_thing_are_one_thing():
    out = compare(side({"glioma": [disc(40, 40, 12)]}), side({"meningioma": [disc(40, 40, 8)]}), flat())
    assert [(c.label, c.kind) for c in out] == [("glioma", "larger")]


def test_what_its_kinds_show_is_told_once():
    current, prior = side({"glioma": [disc(40, 40, 12)]}), side({"glioma": [disc(40, 40, 12)]})
    for one in (current, prior):
        one.report.findings.append(Finding("brain tumour", "present", 0.9, [0]))
    assert len(compare(current, prior, flat())) == 1


def test_a_normal_structure_is_told_as_a_whole():
    left, right = disc(30, 60, 20), disc(100, 60, 20)
    out = compare(side({"lung": [left, right]}), side({"lung": [left, right]}), flat())
    assert [(c.kind, c.regions) for c in out] == [("unchanged", [0, 1])]


def test_ratios_need_no_map():
    current, prior = (side({"heart": [disc(60, 60, 20)]}) for _ in range(2))
    for one, ratio in ((current, 0.62), (prior, 0.48)):
        one.report.findings[0].measurements = [Measurement("cardiothoracic ratio", ratio, "ratio")]
    out = compare(current, prior, flat(quality=0.1))
    assert [(c.measure, c.kind) for c in out] == [("", "not comparable"), ("cardiothoracic ratio", "larger")]
    told = [s.text for s in section(Comparison(out, prior.report, flat(0.1)), current.study).sentences]
    assert any(text.startswith("Cardiothoracic ratio of the heart: larger, 0.48 → 0.62 (+0.14") for text in told)


def test_boxes_are_compared_as_boxes():
    current, prior = side({"fracture": [disc(40, 40, 14)]}), side({"fracture": [disc(40, 40, 8)]})
    for one in (current, prior):
        one.report.regions[0].mask = None
    (out,) = compare(current, prior, flat())
    assert out.kind == "larger" and [m.name for m in out.now] == ["area of its box"]
    prior.report.regions[0].mask = disc(40, 40, 8)
    (out,) = compare(current, prior, flat())
    assert out.kind == "not comparable" and "box" in out.reason


def test_a_volume_is_compared_in_three_dimensions():
    size = (48, 48)
    now = side({"brain tumour": [(z, disc(20, 20, 9, size)) for z in range(2, 7)]}, size, (1.0, 1.0), 9)
    before = side({"brain tumour": [(z, disc(22, 20, 7, size)) for z in range(1, 6)]}, size, (1.0, 1.0), 9)
    matrix = np.eye(4)
    matrix[:3, 3] = [-1, 0, 2]
    lies = Alignment(matrix, (9, *size), (9, *size), tuple(range(9)), tuple(range(9)), 0.9)
    (out,) = compare(now, before, lies)
    assert (out.kind, out.measure, out.regions) == ("larger", "volume", [0, 1, 2, 3, 4])
    assert out.now[-1].unit == "ml" and out.now[-1].value == pytest.approx(disc(20, 20, 9, size).sum() * 5 * 2 / 1000)
    assert out.before[-1].value == pytest.approx(disc(20, 20, 7, size).sum() * 5 * 2 / 1000, rel=0.05)
    (text,) = [
        s.text for s in section(Comparison([out], before.report, lies), now.study).sentences if "larger," in s.text
    ]
    assert "volume 1.5 → 2.5 ml" in text


def test_a_speck_of_a_volume_is_neither_new_nor_gone():
    size = (48, 48)
    lies = Alignment(np.eye(4), (9, *size), (9, *size), tuple(range(9)), tuple(range(9)), 0.9)
    speck, lump = [(4, disc(30, 30, 3, size))], [(z, disc(12, 12, 6, size)) for z in range(3, 7)]
    empty = side({"brain tumour": []}, size, (1.0, 1.0), 9)
    for found, kind in ((speck, "not comparable"), (lump, "new")):
        (out,) = compare(side({"brain tumour": found}, size, (1.0, 1.0), 9), empty, lies)
        assert out.kind == kind
    (out,) = compare(empty, side({"brain tumour": speck}, size, (1.0, 1.0), 9), lies)
    assert out.kind == "not comparable" and "so small" in out.reason


def test_the_section_points_at_regions_and_says_what_counts():
    current = side({"polyp": [disc(30, 30, 12), disc(90, 90, 8)]})
    prior = side({"polyp": [disc(30, 30, 8)]})
    comparison = Comparison(compare(current, prior, flat()), prior.report, flat(), ["The prior is 3 days earlier."])
    told = section(comparison, current.study)
    assert told.title == TITLE and told.sentences[0].text == "The prior is 3 days earlier."
    assert "25 %" in told.sentences[2].text and "correlation 0.95" in told.sentences[1].text
    by_region = {tuple(s.regions): s.text for s in told.sentences if s.regions}
    assert by_region[0,].startswith("Polyp in the upper left of the image: larger, area")
    assert "→" in by_region[0,] and "mm²" in by_region[0,] and "a change counts from" in by_region[0,]
    assert by_region[1,].startswith("New: polyp in the lower right of the image; longest diameter 8.")
    assert json.dumps(comparison.to_json())


def test_what_looks_alike_in_both_is_not_called_a_change():
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 110, SIZE, dtype=np.uint8)
    current, prior = side({"polyp": [disc(30, 30, 12), disc(90, 90, 12)]}), side({"polyp": []})
    current.study.images[0].pixels, prior.study.images[0].pixels = np.where(disc(90, 90, 12), 200, pixels), pixels
    first, second = compare(current, prior, flat())
    assert (first.kind, first.regions, second.kind) == ("not comparable", [0], "new") and "look alike" in first.reason
    assert kinds(compare(current, prior, flat(quality=0.76))) == kinds([first, second])
    films = Alignment(**{**vars(flat(quality=0.6)), "least": 0.4})  # lie on each other too badly to be taken away
    assert kinds(compare(current, prior, films)) == {("polyp", "new")}


def test_objects_alone_are_counted():
    current, prior = (
        side({"nucleus": [disc(30, 30, 12)], "liver": [disc(90, 90, 12)]}),
        side({"nucleus": [], "liver": []}),
    )
    for one, count in ((current, 6), (prior, 4)):
        for finding in one.report.findings:
            finding.measurements = [Measurement("count", count, "count")]
    (out,) = [c for c in compare(current, prior, flat()) if c.measure == "count"]
    assert (out.label, out.kind) == ("nucleus", "larger")


# Images that are laid on each other


def scene(seed=0, size=160):
    noise = np.random.default_rng(seed).normal(size=(size, size))
    smooth = sum(ndimage.gaussian_filter(noise, s) * s for s in (3, 8))
    head = disc(size / 2, size / 2 + 4, size * 0.38, (size, size)) & ~disc(
        size * 0.6, size * 0.4, size * 0.08, (size, size)
    )
    return (120 * head + 40 * smooth * head + 40).clip(0, 255).astype(np.uint8)


def turned(pixels, degrees, shift, scale=1.0):
    angle = np.radians(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.array(pixels.shape) - 1) / 2
    return ndimage.affine_transform(pixels, linear, middle - linear @ middle + shift, order=1), linear


@pytest.mark.parametrize(("spacing", "modality", "scale"), [((1.0, 1.0), "mri", 1.0), (None, "x-ray", 1.12)])
def test_a_moved_picture_is_laid_back(spacing, modality, scale):
    pytest.importorskip("SimpleITK")
    image = scene()
    prior, _ = turned(image, 6, (5, -7), scale)
    lighter = (255 * (prior / 255) ** 0.6).astype(np.uint8)
    found = align(Study([Image(image, spacing)]), Study([Image(lighter, spacing)]), modality)
    assert found.scaled == (modality == "x-ray")
    mark = disc(100, 60, 9, image.shape)
    carried = found.carry({0: turned(mark.astype(float), 6, (5, -7), scale)[0] > 0.5})
    assert 2 * (carried[0] & mark).sum() / (carried[0].sum() + mark.sum()) > 0.85


def test_the_quality_tells_the_same_from_another():
    pytest.importorskip("SimpleITK")
    image, other = scene(), np.roll(scene(7), 40, axis=1)[::-1].copy()
    prior, _ = turned(image, 4, (3, 2))
    one, two = (align(Study([Image(image, (1, 1))]), Study([Image(p, (1, 1))]), "mri") for p in (prior, other))
    assert one.quality > 0.9 > LEAST > two.quality and one.usable and not two.usable


def test_a_moved_volume_of_other_spacing_is_laid_back():
    pytest.importorskip("SimpleITK")
    rng = np.random.default_rng(1)
    fine = ndimage.gaussian_filter(rng.normal(size=(24, 64, 64)), 3)
    z, y, x = np.mgrid[:24, :64, :64]
    inside = ((z - 12) / 10) ** 2 + ((y - 32) / 24) ** 2 + ((x - 32) / 20) ** 2 < 1
    voxels = (inside * (120 + 900 * fine)).clip(0, 255).astype(np.uint8)
    moved = np.roll(voxels, (2, 4, -3), (0, 1, 2))[:, ::2, ::2]

    def study(stack, spacing):
        images = [Image(np.ascontiguousarray(s), spacing, f"slice {i + 1}") for i, s in enumerate(stack)]
        return Study(images, kind="volume", metadata={"slice_spacing_mm": 2.0})

    found = align(study(voxels, (1.0, 1.0)), study(moved, (2.0, 2.0)), "ct")
    assert found.usable and found.grain == pytest.approx(2, rel=0.02)
    again = align(study(voxels, (1.0, 1.0)), study(moved, (2.0, 2.0)), "ct")
    assert again.matrix == pytest.approx(found.matrix, abs=1e-3), "what is sampled is not left to chance"
    assert found.matrix @ [12, 32, 32, 1] == pytest.approx([14, 18, 14.5, 1], abs=0.8)
    with pytest.raises(RequestError, match="a volume and the prior a single picture"):
        align(study(voxels, (1.0, 1.0)), Study([Image(voxels[3])]), "ct")


# The whole of it


def facts(modality="x-ray", part="chest", sure=0.9):
    return ImageFacts(modality, sure, part, sure, 0.9)


def test_both_are_of_one_kind():
    one, two = (Study([Image(np.zeros((8, 8), np.uint8))]) for _ in range(2))
    assert check_kind(one, two, facts(), facts()) == "x-ray"
    assert check_kind(one, two, facts(), facts("ct", "chest", 0.4)) == "x-ray"
    with pytest.raises(RequestError, match="The image is X-ray of the chest and the prior CT of the chest: give"):
        check_kind(one, two, facts(), facts("ct"))
    one.metadata["view"], two.metadata["view"] = "PA", "LL"
    with pytest.raises(RequestError, match="view"):
        check_kind(one, two, facts(), facts())
    one.metadata, two.metadata = {"sequence": "T1"}, {"sequence": "FLAIR"}
    with pytest.raises(RequestError, match="sequence of the image is T1 and that of the prior FLAIR"):
        check_kind(one, two, facts(), facts())


def test_a_report_with_a_prior_has_a_section_and_keeps_its_form():
    pytest.importorskip("SimpleITK")
    fake = FakeAssistant()
    now, before = (Study([Image(square((96, 96), box))]) for box in ((20, 20, 70, 60), (20, 20, 50, 60)))
    before.notices = ["The files lack a slice."]
    report = report_with_prior(now, before, lambda s: add_notices(fake.report(s), s), fake.facts, ["First."])
    assert [s.title for s in report.sections] == ["Examination", "Findings", TITLE, "Impression"]
    assert report.sections[2].sentences[0] == Sentence("First.")
    assert "Of the prior: The files lack a slice." in report.notices
    assert report.to_json()["comparison"]["prior"]["regions"]
    assert "comparison" not in fake.report(now).to_json()


class Priors(FakeAssistant):
    """Tells which of the two studies it got as which, by what it is asked to compare."""

    def report(self, study, prior=None, remarks=()):
        report = super().report(study)
        told = [
            Sentence(f"{study.images[0].pixels.max()} {prior and prior.images[0].pixels.max()}"),
            *map(Sentence, remarks),
        ]
        report.sections = [Section(TITLE, told)]
        return report


@pytest.fixture
def films(tmp_path):
    """A later film, which is brighter, and an earlier one, of one patient."""
    pixels = square((32, 32), (8, 8, 20, 20), 50)
    later = write(tmp_path / "later.dcm", pixels * 5, StudyDate="20200312", Modality="DX")
    return later, write(tmp_path / "earlier.dcm", pixels, StudyDate="20200302", Modality="DX")


def test_dates_decide_the_order(films):
    later, earlier = films
    assert relate([later], [earlier]).days == 10 and relate([later], [earlier]).same_patient
    exchanged, remarks = in_order([later], [earlier])
    assert not exchanged and remarks == ["The prior is 10 days earlier than the image, by the dates in the headers."]
    exchanged, remarks = in_order([earlier], [later])
    assert exchanged and "exchanged" in remarks[0]
    exchanged, remarks = in_order([earlier], [later], as_given=True)
    assert not exchanged and "10 days later" in remarks[0]


def test_without_dates_and_ids_it_is_as_given(films, tmp_path):
    bare = write(tmp_path / "bare.dcm", square(), StudyDate=None, PatientID=None)
    exchanged, remarks = in_order([bare], [films[0]])
    assert (
        not exchanged and "as it was given" in remarks[0] and "do not say whether both are of one patient" in remarks[1]
    )


def test_another_patient_is_asked_for_and_never_named(films, tmp_path):
    other = write(tmp_path / "other.dcm", square(), PatientID="87654321", StudyDate="20190101")
    with pytest.raises(RequestError, match="--other-patient") as caught:
        in_order([films[0]], [other])
    assert not any(secret in str(caught.value) for secret in (SECRET, "87654321", "12345678", "2019"))
    assert "different patients" in in_order([films[0]], [other], other_patient=True)[1][1]
    elsewhere = write(tmp_path / "else.dcm", square(), PatientID="87654321", IssuerOfPatientID="Another house")
    assert relate([films[0]], [elsewhere]).same_patient is None


def test_the_command(films, capsys, tmp_path):
    pytest.importorskip("SimpleITK")
    later, earlier = map(str, films)

    def run(*argv):
        code = cli.main(["report", *argv, "--json"], load=lambda args: Priors())
        out = capsys.readouterr()
        return code, out.err if code else [s["text"] for s in json.loads(out.out)["sections"][0]["sentences"]]

    code, told = run(earlier, "--prior", later)
    code_given, given = run(earlier, "--prior", later, "--as-given")
    assert code == code_given == 0 and told[0].split() == given[0].split()[::-1] and "exchanged" in told[1]
    other = str(write(tmp_path / "other.dcm", square(), PatientID="87654321"))
    code, told = run(later, "--prior", other)
    assert code == 2 and told.count("\n") == 1 and "--other-patient" in told
    assert run(later, "--prior", other, "--other-patient")[0] == 0
    assert run(later)[1][0].endswith("None")


def test_the_priors_series_is_chosen(films, capsys, tmp_path):
    pytest.importorskip("SimpleITK")
    (tmp_path / "prior").mkdir()
    for name, level in (("a", 50), ("b", 90)):
        pixels = square((32, 32), (8, 8, 20, 20), level)
        kind = {"Modality": "DX" if level == 50 else "MG", "SeriesInstanceUID": f"1.2.{level}"}
        write(tmp_path / "prior" / f"{name}.dcm", pixels, StudyDate="20200302", **kind)
    first, second = (
        cli.main(
            ["report", str(films[0]), "--prior", str(tmp_path / "prior"), "--prior-series", number, "--json"],
            load=lambda args: Priors(),
        )
        or json.loads(capsys.readouterr().out)["sections"][0]["sentences"][0]["text"].split()[1]
        for number in "12"
    )
    assert {first, second} == {"50", "90"}
    assert cli.main(["report", str(films[0]), "--prior-series", "2"], load=lambda args: Priors()) == 2
    assert "--prior: name them" in capsys.readouterr().err
