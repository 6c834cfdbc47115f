"""ACDC: cine slices of the heart, whose number and phase are told in words of the series."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("phase", "slice"))
