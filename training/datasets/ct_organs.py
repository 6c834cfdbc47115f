"""CT slices, windowed for display: the window is that of the copy."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("slice", "window"))
