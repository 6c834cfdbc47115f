import gc

from medvlm import memory


def test_what_is_loaded_is_searched_for_cycles_neither_then_nor_later():
    frozen = gc.get_freeze_count()
    try:
        with memory.loading():
            assert not gc.isenabled()
            made = [[] for _ in range(100)]
        assert gc.isenabled() and gc.get_freeze_count() > frozen + len(made)
    finally:
        gc.unfreeze()


def test_freed_memory_is_given_back_now_and_then(monkeypatch):
    given, now = [], [100.0]
    monkeypatch.setattr(memory.threading.Thread, "start", lambda thread: thread.run())
    monkeypatch.setattr(memory, "give_back", lambda: given.append(now[0]))
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    tidier = memory.Tidier(5.0)
    for now[0] in (101.0, 105.0, 106.0, 109.9, 110.0):
        tidier.tidy()
    assert given == [105.0, 110.0]
