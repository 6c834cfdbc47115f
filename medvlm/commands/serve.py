"""`medvlm serve`: serve the page and the API."""

from __future__ import annotations

import argparse
import os

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
    parser.add_argument(
        "--passwords",
        metavar="FILE",
        help="accounts that may log in, a line NAME:HASH each as `medvlm password NAME` prints it; needed on any address "
        "but loopback, unless a proxy has the accounts",
    )
    parser.add_argument(
        "--trust-header",
        metavar="NAME",
        help="the header in which a reverse proxy names the account that it has let in, such as X-Remote-User",
    )
    parser.add_argument(
        "--from",
        action="append",
        default=[],
        dest="proxies",
        metavar="ADDRESS",
        help="of the reverse proxy; its word is taken for accounts (--trust-header), https and the addresses that it "
        "serves, nobody else's; repeatable",
    )
    parser.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="the path that a proxy serves the page under, as in /medvlm; it may take it away or leave it",
    )
    parser.add_argument(
        "--idle",
        type=float,
        default=60,
        metavar="MINUTES",
        help="until a session that nobody uses ends, with all that it held (default: 60)",
    )
    parser.add_argument(
        "--audit",
        metavar="FILE",
        help="write there who did what to which study, a JSON object a line (default: with a login stderr, else nowhere)",
    )
    parser.add_argument(
        "--dicomweb",
        metavar="URL",
        help="address of an archive's DICOMweb service: everybody who may open the page can then list and open all its studies "
        "and store reports in them; user and password as `medvlm fetch` takes them",
    )
    parser.add_argument(
        "--store",
        default=os.environ.get("MEDVLM_STORE"),
        metavar="URL",
        help="the Redis that several replicas share, as redis://HOST:6379/0; it holds logins and uploads of the API "
        "(default: MEDVLM_STORE, else each server is alone)",
    )
    parser.add_argument(
        "--log",
        choices=["text", "json"],
        default="text",
        help="json: a line on stderr for each request, without its content",
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    from serving import serve
    from serving.supervisor import supervise

    model = {"model": args.model, "device": args.device, "language": args.language}
    uses = {"phrase": args.phrased, "send_images": args.send_images}
    if args.passwords and args.trust_header:
        raise RequestError("Accounts come from --passwords or from --trust-header, not from both; leave one out.")
    if not 1 <= args.idle <= 7 * 24 * 60:
        raise RequestError("--idle is 1 minute to 7 days (10080 minutes).")
    entering = {"passwords": args.passwords, "trust_header": args.trust_header, "proxies": args.proxies}
    kept = {"idle_minutes": args.idle, "audit_log": args.audit, "dicomweb": args.dicomweb, "root_path": args.root_path}
    run_as = {"store": args.store or None, "log": args.log}
    supervise(
        serve, **model, **uses, **entering, **kept, **run_as, host=args.host, port=args.port, allowed=args.allow_host
    )
    return {}, ""
