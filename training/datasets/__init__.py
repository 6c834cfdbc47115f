"""What data sets say in ways of their own: a module a set, named like it, with its `ADAPTER`; and how often each is drawn."""

from .adapter import Adapter, adapter_of, facts_of, question_values
from .mixtures import read_mixture

__all__ = ["Adapter", "adapter_of", "facts_of", "question_values", "read_mixture"]
