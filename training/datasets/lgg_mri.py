"""Slices of low-grade glioma, numbered."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("slice",))
