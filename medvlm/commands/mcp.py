"""`medvlm mcp`: serve the tools to a program that speaks the Model Context Protocol, over standard input and output."""

from __future__ import annotations

import argparse
import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import RequestError
from . import options
from .options import Load, Output

HELP = "serve the tools to a program that speaks MCP, over standard input and output"
PARENTS = (options.WORDS,)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        action="append",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="a folder whose files may be opened; no others can be; repeatable",
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    missing = next((root for root in args.root if not root.is_dir()), None)
    if missing is not None:
        raise RequestError(f"--root {str(missing)!r} is no folder; name one that holds the files to open.")
    try:
        from serving.mcp import make_server
    except ImportError as error:
        raise RequestError(
            f"The server needs {error.name or 'more packages'}; pip install 'medvlm-assistant[mcp]'."
        ) from error
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, args)  # meanwhile the client is answered, which waits some seconds alone
        server = make_server(loading.result, args.root)
        with contextlib.redirect_stdout(sys.__stdout__):  # the protocol's own; all else that is printed goes to stderr
            server.run("stdio")
    return {}, ""
