"""Nothing but this machine is reached: a hook on every connection, datagram and look-up of a name that Python makes.

Python processes that a test starts have it too: this folder is on their path, and `sitecustomize` beside it starts it. What
was asked for is noted in a file that all of them share.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

ASKED = "MEDVLM_TESTS_ASKED"  # the variable with the path of the file
LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_on = False


def start(asked: Path) -> None:
    """Once a process; a hook cannot be taken out again."""
    global _on
    if not _on:
        _on = True
        sys.addaudithook(lambda event, args: _check(event, args, asked))


def share(asked: Path) -> None:
    """Have the Python processes that are started from here begin with it."""
    os.environ[ASKED] = str(asked)
    here = str(Path(__file__).parent)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *(path for path in paths if path not in ("", here))])


def is_here(host: Any) -> bool:
    """Whether a host's name or address is this machine's own."""
    name = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host or "localhost")
    if name == "localhost" or name.endswith(".localhost") or name == socket.gethostname():
        return True
    if not is_address(name):
        return False
    with socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((name, 0))  # which goes for one's own alone
        except OSError:
            return False
    return True


def is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return True


def _check(event: str, args: tuple[Any, ...], asked: Path) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address, silent = args[1], event == "socket.connect" and args[0].type == socket.SOCK_DGRAM
        if not isinstance(address, tuple) or silent or is_here(address[0]):  # a path is a Unix socket's
            return
    elif event in LOOKUPS:
        address = args[0]
        host = address[0] if isinstance(address, tuple) else address
        if is_here(host) or is_address(host):  # an address is not looked up
            return
    else:
        return
    noted = os.environ.get(
        ASKED, asked
    )  # a worker of the tests, which began with its parent's, has a file of its own by now
    with open(noted, "a", encoding="utf-8") as file:
        file.write(f"{event} {address!r}\n")
    raise OSError("Tests reach nothing but this machine.")
