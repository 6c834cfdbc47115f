"""Fundus photographs of several collections."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("collection",))
