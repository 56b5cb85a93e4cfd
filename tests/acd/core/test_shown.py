"""What leaves the house of an event: no folder of the server, nothing that ends a dialog."""

from __future__ import annotations

import pytest

from acd.core import events as ev
from acd.core.events import recording_name, shown
from acd.core.ids import CallId, LegId, RecordingId

PATH = "/srv/fernamt/tenants/acme/recordings/1-r1.wav"


def test_a_recording_is_shown_by_its_name_also_in_what_went_wrong() -> None:
    kept = ev.RecordingKept(recording=RecordingId("1-r1"), call=CallId("1"), path=PATH, duration_ms=0, error=f"No space left: '{PATH}'")
    found = shown(kept)
    assert isinstance(found, ev.RecordingKept)
    assert (found.path, found.error) == ("1-r1.wav", "No space left: '1-r1.wav'")


def test_a_dialog_is_not_shown() -> None:
    found = shown(ev.LegConnected(leg=LegId("1.0"), dialog="secret"))
    assert found == ev.LegConnected(leg=LegId("1.0"))


@pytest.mark.parametrize("path", [PATH, r"C:\fernamt\recordings\1-r1.wav", "1-r1.wav"])
def test_the_name_is_the_last_part_whichever_system_wrote_the_path(path: str) -> None:
    assert recording_name(path) == "1-r1.wav"
