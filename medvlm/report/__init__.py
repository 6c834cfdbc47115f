from ..sampling import examined_images
from .draft import draft_report
from .export import write_report
from .overlay import draw_overlay

__all__ = ["draft_report", "draw_overlay", "examined_images", "write_report"]
