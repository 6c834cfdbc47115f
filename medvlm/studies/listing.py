"""What there is among a user's files."""

from __future__ import annotations

from dataclasses import dataclass

from ..types import Series


@dataclass
class Listing:
    """All series, the most useful first."""

    series: list[Series]
    notices: list[str]  # of files that were left out
