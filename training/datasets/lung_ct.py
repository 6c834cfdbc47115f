"""CT slices in one window, that of the copy."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("window",))
