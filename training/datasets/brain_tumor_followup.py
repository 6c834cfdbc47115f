"""Glioblastoma at two times: which time and which slice it is shows in no single slice."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("days_since_time_1", "slice", "time_point"))
