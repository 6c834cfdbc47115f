"""Thalassaemia blood smears; lists of abnormal cells are too many and too rare to be told apart."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("abnormal_red_cells",))
