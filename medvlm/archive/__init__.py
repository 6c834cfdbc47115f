"""Hospital archives: studies found, fetched and stored by DICOMweb, received by C-STORE, and reported as they come in."""

from __future__ import annotations

from ..errors import MedVLMError, RequestError


class ArchiveError(MedVLMError):
    """An archive cannot be reached, refuses, or answers with something else than it should."""


def needs(error: ModuleNotFoundError) -> RequestError:
    """The sentence for a package of the extra `archive` that is not installed."""
    return RequestError(f"This needs the package {error.name}: pip install 'medvlm-assistant[archive]'.")


__all__ = ["ArchiveError", "needs"]
