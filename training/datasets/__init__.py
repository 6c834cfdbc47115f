"""What data sets say in ways of their own: a module a set, named like it, with its `ADAPTER`; and how often each is drawn."""

from .adapter import Adapter, adapter_of, asked_values, facts_of
from .mixtures import read_mixture

__all__ = ["Adapter", "adapter_of", "asked_values", "facts_of", "read_mixture"]
