from .runner import TASKS, check_request, evaluate
from .tables import to_tables

__all__ = ["TASKS", "check_request", "evaluate", "to_tables"]
