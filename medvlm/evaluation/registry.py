"""The tasks by name, in the order in which their tables are shown."""

from __future__ import annotations

from .task import Task
from .tasks.answer import Answering
from .tasks.choose import Choosing
from .tasks.facts import Facts
from .tasks.ground import Ground
from .tasks.labels import Labels
from .tasks.presence import Presence
from .tasks.prompts import Prompts
from .tasks.robustness import Robustness
from .tasks.unknown import Unknown

ALL: tuple[Task, ...] = (
    Ground(), Answering(), Facts(), Labels(), Choosing(), Prompts(), Presence(), Robustness(), Unknown(),
)  # fmt: skip
REGISTRY: dict[str, Task] = {task.name: task for task in ALL}
TASKS = ("ground", "answer", "facts", "labels")  # those that run where none is named
