"""MIAS: mammograms, which are learned mirrored too, so that their side cannot be."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("laterality",))
