"""`medvlm serve`: serve the page and the API."""

from __future__ import annotations

import argparse

from ..errors import RequestError
from . import options
from .options import Load, Output

HELP = "serve the page and the API"
PARENTS = (options.WORDS,)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address that others open the page under, besides loopback names and --host; needed with "
        "--host 0.0.0.0 or behind a proxy; repeatable",
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    try:
        from serving import serve
    except ImportError as error:
        raise RequestError(
            f"The page needs {error.name or 'more packages'}; pip install 'medvlm-assistant[serving]'."
        ) from error
    model = {"model": args.model, "device": args.device, "language": args.language}
    uses = {"phrase": args.phrased, "send_images": args.send_images}
    serve(**model, **uses, host=args.host, port=args.port, allowed=args.allow_host)
    return {}, ""
