"""No medical images: that they are none is told by their modality."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("medical",))
