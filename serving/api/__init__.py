"""The HTTP API: studies are opened by an upload, asked about by id, and closed."""

from .app import PREFIX, make_api
from .studies import Budget

__all__ = ["PREFIX", "Budget", "make_api"]
