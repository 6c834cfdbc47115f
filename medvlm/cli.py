"""The `medvlm` command. Exit codes: 0 done, 2 bad input or usage, 1 a fault of ours.

What each command does is in `commands/`, one file each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import Any

from .commands import COMMANDS, Load
from .commands.options import COMMON
from .cores import wait_asleep
from .errors import MedVLMError
from .memory import keep_freed_memory, loading
from .progress import bar

GROUPS = {"data": "look after data sets"}  # of commands with two words


def load_assistant(args: argparse.Namespace) -> Any:
    with loading():
        from .assistant import Assistant

        return Assistant.load(args.model, args.device, args.language, args.phrased, args.send_images)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="medvlm", description="A grounded medical assistant, for research alone.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    groups = {"": commands}
    for name, command in COMMANDS.items():
        group, _, last = name.rpartition(" ")
        if group not in groups:
            groups[group] = commands.add_parser(group, help=GROUPS[group]).add_subparsers(
                required=True, metavar="COMMAND"
            )
        parents = [COMMON, *command.PARENTS]
        sub = groups[group].add_parser(last, parents=parents, help=command.HELP, description=command.HELP)
        sub.set_defaults(run=command.run)
        command.configure(sub)
    return parser


def main(argv: Sequence[str] | None = None, load: Load = load_assistant) -> int:
    """Run one command and return its exit code; `load` makes the assistant from the parsed arguments."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said what is wrong
        return int(stop.code or 0)
    keep_freed_memory()
    wait_asleep()
    _end_in_order()
    try:
        warnings.simplefilter("ignore", FutureWarning)  # of libraries to their own authors
        with bar(), contextlib.redirect_stdout(sys.stderr):  # whatever a library prints, stdout stays one object
            result, text = args.run(args, load)
    except MedVLMError as error:
        print(f"medvlm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("medvlm: stopped.", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("MEDVLM_DEBUG"):
            raise
        # The message may quote what a user gave, so only its kind is shown.
        print(f"medvlm: a fault of ours ({type(error).__name__}); MEDVLM_DEBUG=1 shows where.", file=sys.stderr)
        return 1
    for notice in result.get("notices", ()):
        print(f"note: {notice}", file=sys.stderr)
    if args.json:
        print(json.dumps(result))
    elif text:
        print(text)
        if args.command in ("ask", "ground", "segment", "check-report"):
            from .types import DISCLAIMER

            print(DISCLAIMER, file=sys.stderr)
    if result.get("unwritten"):
        print(f"medvlm: {result['unwritten']}", file=sys.stderr)
        return 2
    if result.get("problems"):
        print(f"medvlm: {len(result['problems'])} problems found in {str(args.folder)!r}.", file=sys.stderr)
        return 2
    return 0


def _end_in_order() -> None:
    """Have SIGTERM, by which services are ended, do what Ctrl-C does: temporary files of patients are removed on the way out."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main())
