"""`medvlm report`: draft a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import RequestError
from . import options
from .inputs import study_of
from .options import Load, Output

HELP = "draft a report"
PARENTS = (options.SERIES,)


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
        help="formats to write, separated by commas: md, json, pdf, fhir, nifti, csv, coco, png and, of DICOM images, seg and "
        "sr (default: md,json)",
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..report.export import check_formats, check_possible, write_report
    from ..report.export.markdown import to_markdown

    formats = check_formats((args.format or "md,json").split(","))
    if args.format and not args.output:
        raise RequestError("Name the folder for the files of --format with -o DIR.")
    study, prior = study_and_prior(args)
    check_possible(formats, study)
    draft = load(args).report(study, **prior)
    text = to_markdown(draft)
    if args.output:
        text += "".join(f"\nwritten: {path}" for path in write_report(draft, study, args.output, formats))
    return draft.to_json(), text


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
