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
    """One input to the assistant on one image, and the truth that its reply is scored against."""

    key: str  # of its item: "task/…/set/id/…"
    record: Record
    inputs: Any = None  # for the task's `ask`, beside the study
    truth: Any = None  # for the task's `score`, beside the record
    shown: Callable[[], Study] | None = None  # makes the study, where it is not the record's own

    @property
    def study(self) -> Callable[[], Study]:
        """Makes the study; one that several requests share is made once."""
        return self.shown or self.record.study


@dataclass
class Run:
    """The settings and state of one evaluation over all of its data sets."""

    controls: bool = True  # whether questions are repeated on a blank and on another image
    languages: Sequence[str] = ("en",)
    trained: list[Kind] = field(
        default_factory=list
    )  # of the medical training images of the sets that were read so far

    @property
    def majority(self) -> Kind:
        """The commonest modality and body part in training."""
        return commonest(modality for modality, _ in self.trained), commonest(part for _, part in self.trained)


class Task(Protocol):
    """One kind of request to an assistant, and how its replies are scored."""

    name: str
    nothing: Any  # the reply that stands for a failure

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterable[Request]:
        """The requests of one data set; guesses that do not look at the image are learned from its training records."""

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, Any]]) -> Sequence[Any]:
        """A reply to each study with its inputs. May raise; the runner then tries them one by one."""

    def score(self, request: Request, reply: Any) -> Item:
        """The scores of one request, ready for JSON; the runner adds set, id, patient and task."""

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        """Metrics by "task/set/…/name" over the items of all sets; "all" for a set is all of them together."""

    def rows(self, metrics: Metrics) -> Iterable[Table]:
        """The tables of these metrics; those without rows are not shown."""
