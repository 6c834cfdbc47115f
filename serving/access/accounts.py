"""Who may come in: a file of names with argon2 hashes of their passwords, or the name that a proxy puts into a header."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from medvlm.errors import RequestError

NAME = r"[A-Za-z0-9][\w.@+-]{0,63}"
LEAST, LONGEST = 10, 1024  # characters of a password
REMEMBERED_S, MOST_REMEMBERED = 300, 256  # passwords of programs, which send theirs with every request
AT_ONCE = 2  # hashes that are computed; each takes 64 MiB and a tenth of a second


def check_name(name: str) -> str:
    """An account's name. Raises `RequestError`."""
    if not re.fullmatch(NAME, name, re.ASCII):
        raise RequestError(
            f"{name!r} is no name of an account; take up to 64 letters, digits and . @ + - _, the first a letter or digit."
        )
    return name


def password_line(name: str, password: str) -> str:
    """The line of a password file for an account. Raises `RequestError`."""
    check_name(name)
    if not LEAST <= len(password) <= LONGEST:
        raise RequestError(f"A password has {LEAST} to {LONGEST} characters; choose another one.")
    return f"{name}:{PasswordHasher().hash(password)}"


@dataclass
class Accounts:
    """Names with argon2 hashes."""

    hashes: Mapping[str, str]
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _known: OrderedDict[bytes, float] = field(default_factory=OrderedDict)  # when it was found right
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _places: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))

    @classmethod
    def read(cls, path: str | Path) -> Accounts:
        """The accounts of a file with lines `name:hash`. Raises `RequestError`."""
        try:
            lines = Path(path).read_text("utf-8").splitlines()
        except (OSError, ValueError):
            raise RequestError(
                f"The password file {str(path)!r} cannot be read; `medvlm password NAME` prints its lines."
            ) from None
        hashes: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, code = line.strip().partition(":")
            if not _is_hash(code) or not re.fullmatch(NAME, name, re.ASCII) or name in hashes:
                raise RequestError(
                    f"Line {number} of the password file is not one new name and its argon2 hash; "
                    "`medvlm password NAME` prints such a line."
                )
            hashes[name] = code
        if not hashes:
            raise RequestError("The password file has no account; `medvlm password NAME` prints a line for one.")
        return cls(hashes)

    def __post_init__(self) -> None:
        kinds = map(extract_parameters, self.hashes.values())
        hashers = list({repr(kind): PasswordHasher.from_parameters(kind) for kind in kinds}.values())
        self._hasher = hashers[0]
        self._nobodies = [hasher.hash(secrets.token_hex()) for hasher in hashers]

    def check(self, name: str, password: str) -> bool:
        """Whether this is the account's password, in a time that does not tell whether there is such an account."""
        if len(password) > LONGEST:
            return False
        code = self.hashes.get(name)
        try:
            with self._places:
                self._hasher.verify(code or self._nobody(name), password)
        except (VerificationError, InvalidHashError):
            return False
        return code is not None

    def _nobody(self, name: str) -> str:
        """A hash that costs what an account's does, always the same one for a name, so that no time tells it from a known one."""
        return self._nobodies[self._digest(name, "")[0] % len(self._nobodies)]

    def remembers(self, name: str, password: str) -> bool:
        """Whether this was found right a short while ago; kept as a keyed digest."""
        with self._lock:
            since = self._known.get(self._digest(name, password))
        return since is not None and time.monotonic() - since < REMEMBERED_S

    def remember(self, name: str, password: str) -> None:
        digest = self._digest(name, password)
        with self._lock:
            self._known[digest] = time.monotonic()
            self._known.move_to_end(digest)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)

    def _digest(self, name: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{name}\0{password}".encode("utf-8", "surrogatepass"), hashlib.sha256)


def _is_hash(code: str) -> bool:
    try:
        extract_parameters(code)
    except InvalidHashError:
        return False
    return True


class Headers(Protocol):
    def getlist(self, key: str) -> list[str]: ...


class Proxies:
    """The addresses of the reverse proxies that stand before the page, whose word is taken."""

    def __init__(self, addresses: Iterable[str] = ()):
        """Raises `RequestError` for what is no address."""
        self.networks = [_network(text) for text in addresses]

    def __contains__(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


@dataclass(frozen=True)
class TrustedHeader:
    """A header in which a proxy names the account that it has let in; of any other peer it says nothing."""

    name: str
    proxies: Proxies

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", self.name):
            raise RequestError(f"{self.name!r} is no header's name; give one as in X-Remote-User.")
        if not self.proxies.networks:
            raise RequestError(
                "--trust-header needs --from ADDRESS, the proxy's: whoever else sends it is not believed."
            )

    def account(self, headers: Headers, peer: str) -> str | None:
        """The account that a request comes from, if a proxy says so."""
        said = headers.getlist(self.name)
        if peer not in self.proxies or len(said) != 1 or not re.fullmatch(NAME, said[0], re.ASCII):
            return None
        return said[0]


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text.strip().strip("[]"))
    except ValueError:
        raise RequestError(f"{text!r} is no address; give a proxy's as in --from 10.0.0.2 or 10.0.0.0/24.") from None
