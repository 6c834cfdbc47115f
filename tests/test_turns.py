"""Users side by side before the model: who goes next, long work that steps aside, and cores that are shared out."""

from __future__ import annotations

import gc
import statistics
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from itertools import count

import pytest

from medvlm import cores
from medvlm.progress import pause, tracked
from serving import fairness
from serving.fairness import Job, Places
from serving.turns import Turns

NUMBERS = count()


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time of the places, which stands still until it is set."""
    now = [0.0]
    monkeypatch.setattr(fairness.time, "monotonic", lambda: now[0])
    return now


def joined(places: Places, *clients: str) -> list[Job]:
    jobs = [Job(client, next(NUMBERS)) for client in clients]
    for job in jobs:
        places.join(job)
    return jobs


def test_users_take_turns_however_many_requests_one_has(clock):
    places = Places(1)
    joined(places, "a", "a", "a", "b", "c")
    order = []
    while job := places.fill():
        order.append(job.client)
        clock[0] += 1
        places.leave(job)
    assert order == ["a", "b", "c", "a", "a"]


def test_one_user_has_one_place_and_another_the_next(clock):
    places = Places(2)
    first, second, other = joined(places, "a", "a", "b")
    assert (places.fill(), places.fill(), places.fill()) == (first, other, None)
    places.leave(first)
    assert places.fill() is second


def test_long_work_steps_aside_for_another_and_goes_on_after_it(clock):
    places = Places(1)
    (report,) = joined(places, "a")
    assert places.fill() is report
    clock[0] = 60
    (click,) = joined(places, "b")
    clock[0] = 60.1
    assert places.steps_aside(report) and places.fill() is click
    clock[0] = 60.2
    assert not places.steps_aside(click), "it keeps its place for a step"
    places.leave(click)
    assert places.fill() is report and report.used == pytest.approx(60.1)
    assert not places.steps_aside(report)


def test_of_one_users_work_what_is_short_goes_before_what_is_long(clock):
    places = Places(1)
    (report,) = joined(places, "a")
    places.fill()
    (click,) = joined(places, "a")
    clock[0] = 0.5
    assert not places.steps_aside(report), "it may be short yet"
    clock[0] = 1.5
    assert places.steps_aside(report) and places.fill() is click


def test_many_short_requests_do_not_starve_a_long_one(clock):
    places = Places(1)
    (report,) = joined(places, "report")
    places.fill()
    for n in range(40):  # two users who ask again as soon as they are answered
        joined(places, f"user {n % 2}")
        clock[0] += 0.3
        for job in list(places.working):
            if job is not report:
                places.leave(job)
            else:
                places.steps_aside(job)
        places.fill()
    assert report.seconds > 40 * 0.3 / 6


def test_what_one_had_alone_is_not_held_against_one(clock):
    places = Places(1)
    (alone,) = joined(places, "a")
    places.fill()
    clock[0] = 100
    places.leave(alone)
    _, again = joined(places, "b", "a")
    clock[0] = 101
    places.leave(places.fill())
    assert places.fill() is again


# With threads


def working(seconds: float, steps: int = 1, way: str = "tracked") -> Callable[[], str]:
    def work() -> str:
        for _ in tracked(range(steps)) if way == "tracked" else range(steps):
            pause()
            time.sleep(seconds / steps)
        return "done"

    return work


@pytest.mark.parametrize("way", ["tracked", "pause"])
def test_reports_of_others_do_not_hold_up_a_click(way):
    turns = Turns(beside=2)
    reports = [turns.submit(name, working(3, 60, way)) for name in ("a", "b", "c")]
    time.sleep(0.4)
    began = time.monotonic()
    assert turns.submit("d", working(0.01)).future.result(5) == "done"
    assert time.monotonic() - began < 1.5 and not any(report.future.done() for report in reports)
    for report in reports:
        report.abandon()


def test_eight_users_who_ask_at_once_wait_alike():
    turns, waits = Turns(beside=2), []

    def ask(user: str) -> None:
        for _ in range(4):
            began = time.monotonic()
            turns.submit(user, working(0.03)).future.result(20)
            waits.append(time.monotonic() - began)

    threads = [threading.Thread(target=ask, args=(str(n),)) for n in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 32 and max(waits) < 3 * statistics.median(waits)
    assert time.monotonic() - began < 32 * 0.03 * 2, "two at a time"


def test_work_that_waits_aside_ends_with_the_queue():
    turns = Turns(beside=1)
    report = turns.submit("a", working(20, 200))
    time.sleep(0.3)
    click = turns.submit("b", working(1.0, 1))
    time.sleep(0.5)
    turns.close(5)
    assert report.future.done() and click.future.done()


def test_threads_are_used_again():
    turns = Turns(beside=2)
    before = threading.active_count()
    for n in range(20):
        turns.submit(str(n % 3), working(0.0)).future.result(5)
    time.sleep(0.1)
    assert threading.active_count() <= before + 3


@pytest.mark.parametrize("way", ["submit", "wait"])
def test_nothing_of_work_that_is_done_is_held(way):
    class Study:
        pass

    turns, study = Turns(beside=2), Study()
    gone = weakref.ref(study)
    gc.disable()
    try:
        if way == "submit":
            turns.submit("a", partial(id, study)).future.result(5)
        else:
            turns.wait(partial(id, study))
        del study
        end = time.monotonic() + 2
        while gone() is not None and time.monotonic() < end:
            time.sleep(0.01)
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("way", ["submit", "wait"])
def test_nothing_of_work_that_was_given_up_is_held_while_others_work(way):
    class Study:
        pass

    turns, study, go, waits = Turns(beside=1), Study(), threading.Event(), None
    gone, held = weakref.ref(study), turns.submit("a", go.wait)
    work = partial(id, study)
    try:
        if way == "submit":
            turns.submit("b", work).abandon()
        else:
            waits = threading.Thread(target=partial(pytest.raises, CancelledError, turns.wait, work, "b"))
            waits.start()
            while not turns._awaited:
                time.sleep(0.01)
            turns.abandon("b")
            waits.join(5)
        assert not turns._places.waiting and not held.future.done()
        del study, work, waits
        gc.collect()
        assert gone() is None
    finally:
        go.set()


def test_who_had_the_model_is_not_remembered_for_ever():
    places = Places(1)
    for number in range(100):
        (job,) = joined(places, f"tab {number}")
        places.fill()
        places.leave(job)
    assert len(places._spent) == 1


def test_each_of_several_threads_has_its_part_of_the_cores(monkeypatch):
    torch = pytest.importorskip("torch")
    had = []
    monkeypatch.setattr(cores, "_of_torch", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", had.append)
    for among in (0, 1, 2, 3, 9):
        cores.share(among)
    assert had == [4, 4, 2, 1, 1]
