"""MedPix: teaching images, with facts of the case beside those of the image."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("sex",))
