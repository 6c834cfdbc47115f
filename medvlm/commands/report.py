"""`medvlm report`: draft a report."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RequestError
from . import options
from .inputs import study_of
from .options import Load, Output

if TYPE_CHECKING:
    from ..report.corrections import Corrections
    from ..types import Report, Study

HELP = "draft a report"
PARENTS = (options.SERIES, options.KEEP_TEXT)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+")
    parser.add_argument(
        "--prior",
        nargs="+",
        metavar="IMAGE",
        help="an earlier study of the same kind to compare with; the dates in the headers decide which is the earlier one",
    )
    parser.add_argument("--as-given", action="store_true", help="--prior is the earlier one, whatever the dates say")
    parser.add_argument("--prior-series", type=int, metavar="N", help="as --series, of the files that --prior names")
    parser.add_argument(
        "--other-patient", action="store_true", help="compare although the ids say that they are of two patients"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder to write report files into")
    parser.add_argument(
        "--format",
        help="formats to write, separated by commas: md, json, pdf, fhir, nifti, csv, coco, png and, of DICOM images, seg, "
        "sr, gsps and dicom-pdf (default: md,json)",
    )
    parser.add_argument(
        "--corrections",
        type=Path,
        metavar="FILE",
        help="what a person corrected in the draft of the same images (report.corrections.json): the corrected report is written, "
        "with --prior compared anew",
    )
    parser.add_argument(
        "--records",
        type=Path,
        metavar="DIR",
        help="add what --corrections says to a data set to learn from, which is made if needed",
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..report.corrections import Corrections, apply, read_corrections
    from ..report.export import check_folder, check_formats, check_possible
    from ..report.export.markdown import to_markdown
    from ..report.recompared import recompared_after
    from ..studies.burned_in import check_installed

    if args.prior_series and not args.prior:
        raise RequestError("--prior-series is of the files of --prior: name them.")
    formats = check_formats((args.format or "md,json").split(","))
    if args.format and not args.output:
        raise RequestError("Name the folder for the files of --format with -o DIR.")
    if args.records and not args.corrections:
        raise RequestError("Records are made of corrections: name their file with --corrections FILE.")
    corrections = read_corrections(args.corrections) if args.corrections else None
    study, prior = study_and_prior(args)
    study.keep_text = args.keep_text
    check_possible(formats, study)
    if args.output:
        check_folder(args.output)
    if args.records and not args.keep_text:
        check_installed()
    draft = load(args).report(study, **prior)
    corrections = corrections or Corrections.of(draft)
    report = recompared_after(apply(draft, corrections, study), corrections, study, prior.get("prior"))
    result, text = report.to_json(), to_markdown(report)
    try:
        for path in _written(args, formats, study, draft, report, corrections):
            text += f"\nwritten: {path}"
    except RequestError as error:  # a disk that is full must not cost the words too
        result["unwritten"] = str(error)
    return result, text


def _written(
    args: argparse.Namespace, formats: list[str], study: Study, draft: Report, report: Report, corrections: Corrections
) -> Iterator[Path]:
    """The files of a report: those of its formats, its corrections, to which more can be added, and records of these."""
    if args.output:
        from ..report.corrections import write_corrections
        from ..report.export import write_report

        yield from write_report(report, study, args.output, formats)
        if corrections.made or "json" in formats:
            yield write_corrections(corrections, args.output)
    if args.records:
        from ..records.corrected import write_records

        yield from write_records(draft, report, corrections, study, args.records)


def study_and_prior(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The study to report on and, with `--prior`, the one to compare it with and what is said of the two."""
    if not args.prior:
        return study_of(args), {}
    from ..report.alignment import check_installed
    from ..studies import load_study
    from ..studies.priors import in_order

    check_installed()
    exchanged, remarks = in_order(args.image, args.prior, args.other_patient, args.as_given)
    both = [(args.image, args.series), (args.prior, args.prior_series)]
    later, earlier = (
        load_study(paths, series=series, hounsfield=args.hounsfield)
        for paths, series in (reversed(both) if exchanged else both)
    )
    return later, {"prior": earlier, "remarks": remarks}
