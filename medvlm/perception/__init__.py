"""What the heads see in an image: one view of it, phrases and prompts as regions."""

from .finder import Finder
from .view import ImageView

__all__ = ["Finder", "ImageView"]
