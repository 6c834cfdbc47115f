"""The page's own routes: another's page, names that are none, data of every shape, and floods of events."""

from __future__ import annotations

import json

import pytest

from serving.page.events import events_of
from serving.uploads import Inbox
from tests.fakes import FakeAssistant
from tests.web import results_of

OWN_HEADER = {"x-medvlm": "1"}
ODD = [
    None, True, -1, 10**400, 1e308, "", "x" * 10_000, "\ud800", "../../etc/passwd", "<script>", [], [[]] * 500, {}, {"a": {"b": []}},
]  # fmt: skip
FIELDS = (
    "tab", "name", "number", "upload", "series", "index", "point", "image", "plane", "box", "points", "stroke", "tool", "layer", "do",
    "section", "text", "by", "what", "opacity", "study", "patient", "again", "relation", "window", "radius", "region", "finding",
)  # fmt: skip
NAMES = ("__init__", "ENTER", "enter_", "pop", "get", "stop0", "events", "_" * 20, "ſtop", "١")


def send(client, page, event, window="w", **data):
    return client.post(f"/page/{page}/events/{event}", json={"window": window, "data": data}, headers=OWN_HEADER)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    return sorted(events_of(FakeAssistant, Inbox(tmp_path_factory.mktemp("none"))))


def test_another_users_page_is_closed_to_every_event(app, alice, bob, names):
    assert send(alice, "alices", "enter").status_code == 200
    place = dict(app.state.desks._places)
    for name in names:
        assert send(bob, "alices", name).status_code == 403, name
    assert [bob.get(f"/page/alices/{what}").status_code for what in ("results", "here")] == [403, 403]
    assert app.state.desks._places == place and app.state.desks.page("alices").client.startswith("alice ")
    stolen = send(bob, "bobs", "enter", window="w").json()["outputs"]  # its window's name is no key either
    assert (
        "src" not in stolen["picture"]
        and app.state.desks.page("bobs").session is not app.state.desks.page("alices").session
    )


def test_words_that_are_no_text_are_given_back_from_a_page_that_was_overtaken(alice):
    for page in ("first", "second"):
        assert send(alice, page, "enter", "doubled").status_code == 200
    data = json.dumps({"window": "doubled", "data": {"text": "\ud800 a"}})
    reply = alice.post("/page/first/events/ask", content=data, headers=OWN_HEADER)
    assert reply.status_code == 403 and "? a" in reply.json()["detail"]


def test_names_of_events_that_are_none(alice):
    for name in NAMES:
        reply = send(alice, "named", name)
        assert reply.status_code == 404 and name not in reply.text


def test_no_value_in_any_field_of_any_event_is_a_fault_of_ours(alice, names, caplog):
    """With a study open and without."""
    with alice:
        for opened in (False, True):
            if opened:
                send(alice, "odd", "open_example", "odd", name="mr")
                results_of(alice, "odd")
            for name in names:
                for odd in ODD:
                    reply = send_raw(alice, "odd", name, odd)
                    assert reply.status_code in (200, 400, 403, 429), (name, odd)
                assert not any("refused" in outputs for outputs in results_of(alice, "odd")), name
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def send_raw(client, page, event, value):
    data = dict.fromkeys(FIELDS, value)
    return client.post(
        f"/page/{page}/events/{event}",
        content=json.dumps({"window": "odd", "data": data}),
        headers={**OWN_HEADER, "content-type": "application/json"},
    )


def test_a_flood_of_events_and_windows_is_bounded(app, bob):
    """Too many pages are refused, too many events too; nothing of those is held."""
    most = app.state.sessions.terms.tabs_of_one
    statuses = [send(bob, f"flood{number}", "enter", window=f"w{number}").status_code for number in range(most + 20)]
    assert statuses.count(200) <= most and set(statuses) == {200, 429}
    statuses = [send(bob, "flood0", "clear_layer").status_code for _ in range(600)]
    assert 429 in statuses
    held = [page for place in app.state.desks._places.values() for page in place.pages if page.startswith("flood")]
    assert len(held) <= most
