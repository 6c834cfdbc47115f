"""Multiple sclerosis at two times: which time and which slice it is shows in no single slice."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("slice", "time_point"))
