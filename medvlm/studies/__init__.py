"""Files to studies: pictures, DICOM, NIfTI and videos, read with limits and without patient data."""

from .limits import Limits
from .listing import Listing
from .worker import list_series, load_study, warm

__all__ = ["Limits", "Listing", "list_series", "load_study", "warm"]
