from .runner import TASKS, evaluate
from .tables import to_tables

__all__ = ["TASKS", "evaluate", "to_tables"]
