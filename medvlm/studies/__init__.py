"""Files to studies: pictures, DICOM, NIfTI and videos, read with limits and without patient data."""

from .limits import Limits
from .load import load_study

__all__ = ["Limits", "load_study"]
