"""Every task is run by name, keeps the one form, and needs no more than records and an assistant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medvlm.evaluation import TASKS, evaluate, to_tables
from medvlm.evaluation.registry import REGISTRY
from medvlm.evaluation.summary import mean, metric, patients_of
from medvlm.evaluation.tables import Table, interval
from medvlm.evaluation.task import Request, Task

from .fakes import FakeAssistant
from .squares import write_data_set

CALLS = ("ask_many", "choose", "facts", "ground_many", "labels_many", "segment")


class Broken(FakeAssistant):
    """Fails whatever it is asked."""


for name in CALLS:
    setattr(Broken, name, lambda self, *args, **how: 1 / 0)


class Brightness:
    """A task of ten lines: is the image bright?"""

    name = "brightness"
    nothing = 0.0

    def requests(self, records, train, run):
        return [Request(f"brightness/{record.key}", record, inputs=len(train)) for record in records]

    def ask(self, assistant, inputs):
        return [study.images[0].pixels.mean() + train for study, train in inputs]

    def score(self, request, reply):
        return {"bright": float(reply)}

    def summarise(self, items, run):
        return {"brightness/all/mean": metric([item["bright"] for item in items], patients_of(items))}

    def rows(self, metrics):
        return [Table("Brightness", ["value"], [[interval(m)] for k, m in metrics.items() if "brightness" in k])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data") / "own")


def test_names_are_those_of_the_tasks():
    assert all(name == task.name for name, task in REGISTRY.items())
    assert set(TASKS) < set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_task_gives_its_own_metrics_and_tables(folder, tmp_path, name):
    path = tmp_path / "items.jsonl"
    result = evaluate(FakeAssistant(), [folder], tasks=[name], items=path, progress=False)
    assert result["failed"] == 0 and result["metrics"]
    assert {key.split("/")[0] for key in result["metrics"]} == {name}
    json.dumps(result, allow_nan=False)
    items = [json.loads(line) for line in path.read_text().splitlines()]
    assert {item["task"] for item in items} == {name} == {item["key"].split("/")[0] for item in items}
    assert to_tables(result).count("\n\n") >= 2 and to_tables(result | {"metrics": {}}).count("\n") == 1
    again = evaluate(Broken(), [folder], tasks=[name], items=path, progress=False)
    assert again["metrics"] == result["metrics"], "what is kept needs no model"


@pytest.mark.parametrize("name", REGISTRY)
def test_a_failure_is_counted_and_kept(folder, tmp_path, name):
    path = tmp_path / "items.jsonl"
    result = evaluate(Broken(), [folder], tasks=[name], items=path, progress=False)
    items = [json.loads(line) for line in path.read_text().splitlines()]
    assert result["failed"] == len(items) > 0
    assert all(item["error"].startswith("ZeroDivisionError") for item in items)
    json.dumps(result, allow_nan=False)
    to_tables(result)


def test_a_task_of_ones_own(folder, monkeypatch):
    task: Task = Brightness()
    monkeypatch.setitem(REGISTRY, task.name, task)
    result = evaluate(FakeAssistant(), [folder], tasks=["brightness", "facts"], progress=False)
    bright = 200 * 32 * 24 / 64**2 + 2
    assert result["metrics"]["brightness/all/mean"]["value"] == pytest.approx(bright, abs=1e-3)
    assert result["metrics"]["facts/own/modality"]["n"] == 3
    assert "Brightness\n\n| value" in to_tables(result)


def test_the_tasks_of_an_image_share_its_study(folder):
    class Looking(FakeAssistant):
        def __init__(self):
            super().__init__()
            self.seen: list = []

        def facts(self, study, image=None):
            self.seen.append(study)
            return super().facts(study, image)

        def ground_many(self, requests, image=None):
            self.seen += [study for study, _ in requests]
            return super().ground_many(requests, image)

    assistant = Looking()
    evaluate(assistant, [folder], tasks=["ground", "facts", "presence"], progress=False)
    assert len(assistant.seen) == 9 and len({id(study) for study in assistant.seen}) == 3


def test_a_mean_of_nothing_is_no_number():
    assert mean([]) != mean([]) and mean([1, 2]) == 1.5
