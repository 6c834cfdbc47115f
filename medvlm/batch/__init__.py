"""Many requests, one answer each, resumable, never stopped by one bad request.

`sources` and `lines` read requests, `answering` answers them in batches. Two engines do so: `local` in this process,
`on_ray` in many, which keep their work in an output folder (`folder`).
"""

from .answering import each, prompted_region
from .lines import read_history
from .local import run_batch

__all__ = ["each", "prompted_region", "read_history", "run_batch"]
