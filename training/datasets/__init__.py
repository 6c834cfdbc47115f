"""The rules of single data sets, a module each with its `ADAPTER`, and the mixtures by which sets are sampled."""

from .adapter import Adapter, adapter_of, facts_of, question_values
from .mixtures import read_mixture

__all__ = ["Adapter", "adapter_of", "facts_of", "question_values", "read_mixture"]
