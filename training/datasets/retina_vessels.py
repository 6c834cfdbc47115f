"""Fundus photographs of four collections."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("collection",))
