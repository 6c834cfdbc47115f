"""Pictures made for learning what is no medical image, and medical ones as people send them."""

from .charts import CHARTS
from .disguises import disguised
from .drawings import DRAWINGS
from .pages import PAGES
from .screens import SCREENS

MADE = PAGES | SCREENS | CHARTS | DRAWINGS  # kind -> maker of one picture, uint8 (H, W, 3), from a random generator

__all__ = ["MADE", "disguised"]
