"""Chest films of one patient after another time; who is intubated is told of the patient, not of the film."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("intubated", "sex"))
