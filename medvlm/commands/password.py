"""`medvlm password`: a line of the password file of `medvlm serve`."""

from __future__ import annotations

import argparse
import getpass
import sys

from ..errors import RequestError
from .options import Load, Output

HELP = "print the line of an account for the password file of `medvlm serve --passwords FILE`"
PARENTS = ()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the account; its password is asked for, or read from a pipe")


def run(args: argparse.Namespace, load: Load) -> Output:
    try:
        from serving.access.accounts import check_name, password_line
    except ImportError as error:
        raise RequestError(
            f"Accounts need {error.name or 'more packages'}; pip install 'medvlm-assistant[serving]'."
        ) from error
    line = password_line(check_name(args.name), asked())
    return {"line": line}, line


def asked() -> str:
    """A password, typed twice or in the first line of standard input. Raises `RequestError`."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise RequestError("The two passwords differ; try it again.")
    return password
