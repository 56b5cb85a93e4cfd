"""WebSockets: order, who sees what, tokens that end, heartbeats, overrun."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from acd.core.events import Started
from acd.core.ids import CallId
from acd.core.inputs import ClearCall
from acd.service import LiveEvent
from api.telephony import boards, stream
from tests.api.conftest import ACME, PASSWORD, Service, add_tenant
from tests.api.sockets import Closed, Socket
from tests.api.voice import DEPTH

EVENTS, BOARD = "/api/v1/events", "/api/v1/board"


async def ready(service: Service, *agents: str) -> None:
    for agent in agents:
        await service.voice.register(ACME, agent)
        await service.made(f"agents/{agent}/log-on", {"ready": True}, "supervisor")


class TestScreenPop:
    async def test_pop_reaches_only_that_agent_and_before_the_phone_rings(self, staffed: Service) -> None:
        contact = await staffed.made("contacts", {"name": "Erika Muster", "numbers": ["030 1111110"]})
        await staffed.made("tickets", {"subject": "No dial tone", "contact": contact["id"]})
        await ready(staffed, "anna", "ben")
        async with (
            Socket(staffed.app, EVENTS, staffed.tokens["anna"]) as anna,
            Socket(staffed.app, EVENTS, staffed.tokens["ben"]) as ben,
            Socket(staffed.app, EVENTS, staffed.tokens["supervisor"]) as supervisor,
        ):
            for socket in (anna, ben, supervisor):
                assert (await socket.receive())["type"] == "live"
            call = await staffed.voice.arrive(ACME, "601", "+49301111110")
            pop, before = await anna.until("ScreenPop")
            assert pop["event"]["contact"]["name"] == "Erika Muster"
            assert [ticket["subject"] for ticket in pop["event"]["tickets"]] == ["No dial tone"]
            assert pop["event"]["number"] == "+49301111110"
            assert "LegAlerted" not in before
            await staffed.voice.command(ACME, _hang_up(call))
            _, others = await supervisor.until("CallCleared")
            assert "ScreenPop" not in others
            assert {"CallOffered", "Queued", "OfferMade"} <= set(others)
            _, colleague = await ben.until("QueueLeft")
            assert "ScreenPop" not in colleague

    async def test_colleague_never_sees_the_callers_number(self, staffed: Service) -> None:
        await ready(staffed, "anna")
        async with Socket(staffed.app, EVENTS, staffed.tokens["ben"]) as ben:
            await ben.receive()
            call = await staffed.voice.arrive(ACME, "601", "+49301111110")
            await staffed.voice.command(ACME, _hang_up(call))
            seen = [await ben.receive() for _ in range(2)]
            assert [message["event"]["type"] for message in seen] == ["Queued", "QueueLeft"]
            assert "+49301111110" not in str(seen)

    @pytest.mark.parametrize("kind", ["a colleague", "an API key", "a user without an agent"])
    async def test_who_has_the_role_of_an_agent_and_no_part_in_the_call_never_reads_its_number(self, staffed: Service, kind: str) -> None:
        """Data minimisation (GDPR Art. 5(1)(c)): in the state, on the board, in the events, in what explains them."""
        if kind == "an API key":
            token = (await staffed.made("api-keys", {"name": "Wall", "role": "agent"}))["token"]
        elif kind == "a user without an agent":
            await staffed.made("users", {"id": "trainee", "name": "Trainee", "role": "agent", "password": PASSWORD})
            token = await staffed.log_in("trainee")
        else:
            token = staffed.tokens["ben"]
        staffed.tokens["reader"] = token
        await ready(staffed, "anna")
        async with Socket(staffed.app, EVENTS, token) as events, Socket(staffed.app, BOARD, token) as board:
            told = [await events.receive(), await board.receive()]
            calls = [await staffed.voice.arrive(ACME, "601", "+49301111110") for _ in range(2)]  # one rings at anna, one waits
            assert len((await staffed.got("live"))["calls"]) == 2
            told += [await events.receive(), await board.receive()]
            for path in ("live", *(f"calls/{call}/{what}" for call in calls for what in ("decisions", "why-waiting"))):
                told.append((await staffed.call("GET", path, "reader")).text)
            for call in calls:
                await staffed.voice.command(ACME, _hang_up(call))
            left, before = await events.until("QueueLeft")
            told += [left, *before]
        assert "1111110" not in str(told)


class TestBoards:
    async def test_a_second_viewer_is_told_the_clocks_of_now_and_not_of_the_last_change(
        self, staffed: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A wall that stays open, and a minute later a supervisor who opens the page: it was told an idle time a minute old."""
        await ready(staffed, "anna")
        token = staffed.tokens["supervisor"]
        async with Socket(staffed.app, BOARD, token) as wall:
            await wall.receive()
            staffed.clock.turn(seconds=60)
            passed = boards.time.monotonic() + 60
            monkeypatch.setattr(boards.time, "monotonic", lambda: passed)
            async with Socket(staffed.app, BOARD, token) as page:
                first = await page.receive()
        assert first["live"]["at"] == (await staffed.got("live"))["at"]


def _hang_up(call: str) -> ClearCall:
    return ClearCall(call=CallId(call), by="test")


class TestOrder:
    async def test_state_comes_first_then_every_event_once_in_order(self, staffed: Service) -> None:
        async with Socket(staffed.app, EVENTS, staffed.tokens["supervisor"]) as socket:
            first = await socket.receive()
            assert first["type"] == "live"
            await ready(staffed, "anna")
            _, before = await socket.until("AgentReady")
            assert before == ["DeviceBound", "AgentLoggedOn"]

    async def test_other_tenant_hears_nothing(self, staffed: Service) -> None:
        await add_tenant(staffed, "other")
        async with Socket(staffed.app, EVENTS, staffed.tokens["other-admin"]) as socket:
            await socket.receive()
            await ready(staffed, "anna")
            await staffed.call("POST", "reasons", "other-admin", json={"code": "lunch", "name": "Lunch"})
            assert socket.pending == 0


class TestBoard:
    async def test_snapshot_at_once_and_after_a_change(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "BOARD_EVERY_S", 0)
        async with Socket(staffed.app, BOARD, staffed.tokens["supervisor"]) as socket:
            assert [queue["id"] for queue in (await socket.receive())["live"]["queues"]] == ["support"]
            await ready(staffed, "anna")
            while True:
                live = (await socket.receive())["live"]
                if live["queues"][0]["ready"] == 1:
                    break

    async def test_many_walls_are_one_reader_and_all_see_the_end_state(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "BOARD_EVERY_S", 0.001)
        token = staffed.tokens["supervisor"]
        async with Socket(staffed.app, BOARD, token) as one, Socket(staffed.app, BOARD, token) as other:
            for socket in (one, other):
                await socket.receive()
            assert staffed.voice.readers(ACME) == 1
            await ready(staffed, "anna", "ben")
            for socket in (one, other):
                while (await socket.receive())["live"]["queues"][0]["ready"] != 2:
                    pass
        assert staffed.voice.readers(ACME) == 0

    @pytest.mark.parametrize("who", ["supervisor", "anna"])
    async def test_the_new_day_is_told_though_nothing_happens(self, staffed: Service, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
        """A wall that hangs there overnight shows the figures of its day: in Berlin it begins at 23:00 UTC."""
        monkeypatch.setattr(stream, "BOARD_EVERY_S", 0.01)
        await ready(staffed, "anna")
        staffed.clock.now = datetime(2026, 3, 2, 22, 59, 59, 990_000, tzinfo=UTC)
        midnight = datetime(2026, 3, 2, 23, tzinfo=UTC).timestamp()
        async with Socket(staffed.app, BOARD, await staffed.log_in(who, PASSWORD)) as socket:
            before = (await socket.receive())["live"]
            assert (before["day_ends_at"], before["agents"][0]["idle_today_s"] > 10_000) == (midnight, True)
            staffed.clock.turn(milliseconds=30)
            while (live := (await socket.receive())["live"])["at"] < midnight:
                pass
            assert live["day_ends_at"] == midnight + 86_400
            assert live["agents"][0]["idle_today_s"] == pytest.approx(0.02, abs=0.001)

    async def test_heartbeat_in_silence(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "HEARTBEAT_S", 0.01)
        monkeypatch.setattr(stream, "BOARD_EVERY_S", 0)
        async with Socket(staffed.app, BOARD, staffed.tokens["supervisor"]) as socket:
            await socket.receive()
            assert (await socket.receive())["type"] == "heartbeat"


class TestToken:
    @pytest.mark.parametrize("path", [EVENTS, BOARD])
    async def test_without_a_token_the_socket_closes_with_4401(self, staffed: Service, path: str) -> None:
        async with Socket(staffed.app, path) as socket:
            with pytest.raises(Closed) as closed:
                await socket.receive()
        assert closed.value.code == 4401

    @pytest.mark.parametrize("path", [EVENTS, BOARD])
    @pytest.mark.parametrize("who", ["billing", "operator"])
    async def test_roles_without_a_desk_get_4403(self, staffed: Service, path: str, who: str) -> None:
        async with Socket(staffed.app, path, staffed.tokens[who]) as socket:
            with pytest.raises(Closed) as closed:
                await socket.receive()
        assert closed.value.code == 4403

    async def test_browser_sends_it_as_subprotocol(self, staffed: Service) -> None:
        offered = ("fernamt.v1", f"bearer.{staffed.tokens['supervisor']}")
        async with Socket(staffed.app, EVENTS, subprotocols=offered) as socket:
            assert socket.subprotocol == "fernamt.v1"
            assert (await socket.receive())["type"] == "live"

    @pytest.mark.parametrize("path", [EVENTS, BOARD])
    async def test_in_the_address_it_is_refused_though_it_is_right(self, staffed: Service, path: str) -> None:
        """RFC 6750 §5.3: bearer tokens SHOULD NOT be passed in page URLs."""
        async with Socket(staffed.app, path, query=f"token={staffed.tokens['supervisor']}") as socket:
            with pytest.raises(Closed) as closed:
                await socket.receive()
        assert closed.value.code == 4401

    async def test_old_clients_may_be_let_in_by_the_address_for_a_while(self, staffed: Service) -> None:
        this = staffed.shared.services
        http = this.settings.http.model_copy(update={"token_in_query": True})
        staffed.shared.services = replace(this, settings=this.settings.model_copy(update={"http": http}))
        async with Socket(staffed.app, EVENTS, query=f"token={staffed.tokens['supervisor']}") as socket:
            assert (await socket.receive())["type"] == "live"

    async def test_log_out_ends_the_stream_at_the_next_heartbeat(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "HEARTBEAT_S", 0.01)
        async with Socket(staffed.app, EVENTS, staffed.tokens["anna"]) as socket:
            await socket.receive()
            await staffed.call("POST", "logout", "anna")
            code, kinds = await socket.closing()
        assert code == 4401
        assert set(kinds) <= {"heartbeat"}

    @pytest.mark.parametrize("path", [EVENTS, BOARD])
    async def test_a_role_that_changes_ends_the_stream_at_the_next_heartbeat(
        self, staffed: Service, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        """What the socket was opened for is not the new role's to see."""
        monkeypatch.setattr(stream, "HEARTBEAT_S", 0.01)
        async with Socket(staffed.app, path, staffed.tokens["supervisor"]) as socket:
            await socket.receive()
            assert (await staffed.call("PATCH", "users/supervisor", json={"role": "billing"})).status_code == 200
            code, _ = await socket.closing()
        assert code == 4403

    async def test_log_out_ends_a_stream_that_is_never_silent_too(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        async with Socket(staffed.app, EVENTS, staffed.tokens["supervisor"]) as socket:
            await socket.receive()
            await staffed.call("POST", "logout", "supervisor")
            monkeypatch.setattr(stream, "HEARTBEAT_S", 0)
            staffed.voice._publish(LiveEvent(tenant=ACME, seq=1, at=0.0, event=Started()))
            assert await socket.closing() == (4401, [])


class TestEnd:
    async def test_reader_too_slow_gets_4408(self, staffed: Service) -> None:
        async with Socket(staffed.app, EVENTS, staffed.tokens["supervisor"]) as socket:
            await socket.receive()
            event = LiveEvent(tenant=ACME, seq=1, at=0.0, event=Started())
            for _ in range(DEPTH + 2):
                staffed.voice._publish(event)
            assert (await socket.closing())[0] == 4408

    async def test_closing_the_tenant_ends_the_stream(self, staffed: Service) -> None:
        async with Socket(staffed.app, EVENTS, staffed.tokens["supervisor"]) as socket:
            await socket.receive()
            await staffed.call("DELETE", "tenants/acme", "operator")
            assert (await socket.closing())[0] == 1001

    @pytest.mark.parametrize("path", [EVENTS, BOARD])
    async def test_client_that_goes_leaves_no_reader_behind(self, staffed: Service, path: str) -> None:
        async with Socket(staffed.app, path, staffed.tokens["supervisor"]) as socket:
            await socket.receive()
            assert staffed.voice.readers(ACME) == 1
        assert staffed.voice.readers(ACME) == 0
