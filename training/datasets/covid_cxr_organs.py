"""Chest films with outlines; intubation is recorded for the patient, not for the film."""

from .adapter import Adapter

ADAPTER = Adapter(skipped=("intubated", "sex"))
