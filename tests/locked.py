"""Two accounts of a server on a LAN name, and what its own page sends with every write."""

from __future__ import annotations

import pytest

pytest.importorskip("argon2", reason="argon2-cffi is not installed: pip install -e '.[serving]'")
from argon2 import PasswordHasher

HOME = "http://scanner.lan:7860"
OWN = {"origin": HOME, "sec-fetch-site": "same-origin", "x-medvlm": "1"}
SECRETS = {"alice": "correct horse", "bob": "battery staple"}
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
