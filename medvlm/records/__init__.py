from .readers import read_records
from .record import QA, Record, RecordRegion

__all__ = ["QA", "Record", "RecordRegion", "read_records"]
