"""Photographs: no medical images, as their modality says."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("medical",))
