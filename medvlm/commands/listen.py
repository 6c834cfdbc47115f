"""`medvlm listen`: receive studies from devices that push them (DICOM C-STORE)."""

from __future__ import annotations

import argparse
import queue
import sys
from pathlib import Path
from typing import Any

from ..errors import RequestError
from .options import Load, Output

HELP = "receive studies from devices that push them (DICOM C-STORE), a folder each"
PARENTS = ()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=11112, help="default: 11112; 0 takes a free one")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of this computer to listen at; 0.0.0.0 lets other computers in (default: 127.0.0.1)",
    )
    parser.add_argument("--title", default="MEDVLM", help="application entity title (default: MEDVLM)")
    parser.add_argument(
        "--caller", action="append", default=[], metavar="TITLE", help="let only these titles in; may be repeated"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="folder for the studies")
    parser.add_argument("--once", action="store_true", help="end after the first study")


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..archive import needs

    try:
        from ..archive.store_scp import Received, Receiver
    except ModuleNotFoundError as error:
        raise needs(error) from error
    if not 0 <= args.port < 65536:
        raise RequestError("--port takes a number from 0 to 65535.")
    came: queue.Queue[Received] = queue.Queue()
    studies: list[dict[str, Any]] = []
    options = (args.output, args.port, args.host, args.title, tuple(args.caller))
    with Receiver(*options, done=came.put) as receiver:
        print(f"listening at {args.host}:{receiver.port} as {args.title}", file=sys.stderr, flush=True)
        try:
            while not (args.once and studies):
                received = came.get()
                studies.append({"folder": str(received.folder), "files": len(received.objects)})
                print(f"received: {received.folder}, {len(received.objects)} files", file=sys.stderr, flush=True)
        except KeyboardInterrupt:  # the way to end it
            pass
    lines = [f"{study['folder']}: {study['files']} files" for study in studies]
    return {"studies": studies}, "\n".join(lines)
