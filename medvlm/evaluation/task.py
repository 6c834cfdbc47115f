"""What every task is to the runner: it makes requests of records, scores replies, and sums the scores up.

A task is one file of `tasks/` and one line of `registry`. It keeps nothing between its calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..records import Record
from ..types import Study
from .baselines import commonest
from .store import Item
from .summary import Metrics
from .tables import Table

Kind = tuple[str | None, str | None]  # modality and body part


@dataclass(frozen=True)
class Request:
    """One thing that is asked of one image, and what its reply is compared with."""

    key: str  # of its item: "task/…/set/id/…"
    record: Record
    asked: Any = None  # what the task's `ask` gets beside the study
    truth: Any = None  # what the task's `score` needs beside the record
    shown: Callable[[], Study] | None = None  # makes the study, where it is not the record's own

    @property
    def study(self) -> Callable[[], Study]:
        """Makes the study that is asked; equal ones of several requests are made once."""
        return self.shown or self.record.study


@dataclass
class Run:
    """What holds for a whole evaluation, over all of its data sets."""

    controls: bool = True  # whether questions are asked again on a blank and on another image
    languages: Sequence[str] = ("en",)
    trained: list[Kind] = field(
        default_factory=list
    )  # of the medical training images of the sets that were read so far

    @property
    def majority(self) -> Kind:
        """The commonest modality and body part in training."""
        return commonest(modality for modality, _ in self.trained), commonest(part for _, part in self.trained)


class Task(Protocol):
    """Something that an assistant is asked about records, and how well it did."""

    name: str
    nothing: Any  # the reply that stands for a failure

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterable[Request]:
        """What is asked of one data set; what a guess without looking says is learned from its training records."""

    def ask(self, assistant: Any, asked: Sequence[tuple[Study, Any]]) -> Sequence[Any]:
        """A reply to each study with what is asked of it. May raise: then they are asked one by one."""

    def score(self, request: Request, reply: Any) -> Item:
        """The result of one request, ready for JSON; the runner adds whose it is."""

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        """Metrics by "task/set/…/name" over the items of all sets; "all" for a set is all of them together."""

    def rows(self, metrics: Metrics) -> Iterable[Table]:
        """The tables of these metrics; those without rows are not shown."""
