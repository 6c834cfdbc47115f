from .readers import data_sets, read_records
from .record import QA, Record, RecordRegion

__all__ = ["QA", "Record", "RecordRegion", "data_sets", "read_records"]
