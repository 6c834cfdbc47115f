"""Chest films of one patient after another time; intubation is recorded for the patient, not for the film."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("intubated", "sex"))
