"""ACDC: cine slices of the heart, whose number and phase stand in the words of the series."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("phase", "slice"))
