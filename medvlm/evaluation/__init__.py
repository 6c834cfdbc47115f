from .registry import TASKS
from .results import to_tables
from .runner import check_request, evaluate

__all__ = ["TASKS", "check_request", "evaluate", "to_tables"]
