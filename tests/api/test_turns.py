"""Requests of one tenant take turns, so that no other tenant waits behind them; exports and connections of one are bounded too."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from api.billing import service as billing
from api.edge.connections import Connections, Lease
from api.edge.turns import KNOWN_TOKENS, Lane, TooBusy, Turns, of_source
from api.errors import TooManyConnections, TooManyOfTenant
from tests.api.conftest import PASSWORD, Service, add_tenant
from tests.api.serving import serving


def made(places: int = 2, most_waiting: int = 100, wait_s: float = 1000.0, streams: int = 2) -> Turns:
    return Turns(places, most_waiting, wait_s, streams)


class Asking:
    """Requests that are served until they are told to end; in which order they came to their turn."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.served: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, group: str = "acme", holder: str | None = None) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._serve(name, group, holder or name))
        await settled()

    async def _serve(self, name: str, group: str, holder: str) -> None:
        async with self.turns.turn(group, holder):
            self.served.append(name)
            await self.ends[name].wait()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class TestLane:
    async def test_the_turn_goes_round_the_tenants_a_piece_at_a_time(self) -> None:
        lane, order, at_work = Lane(lambda: 0.0), [], [0]

        async def export(tenant: str, pieces: int) -> None:
            for _ in range(pieces):
                async with lane.piece(tenant):
                    at_work[0] += 1
                    await asyncio.sleep(0)
                    assert at_work[0] == 1
                    order.append(tenant)
                    at_work[0] -= 1

        await asyncio.gather(*(export("greedy", 4) for _ in range(3)), export("modest", 3))
        assert order.index("modest") <= 2
        # It waits for two pieces of the others each time, however many exports they have: that which ran, and that which was next.
        assert [at for at, tenant in enumerate(order) if tenant == "modest"][-1] <= 8

    async def test_it_rests_as_long_as_a_piece_took_and_says_whose_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        times, rested = iter([10.0, 10.008, 20.0, 20.004]), []

        async def rest(seconds: float) -> None:
            rested.append(round(seconds, 6))

        lane = Lane(lambda: next(times))
        monkeypatch.setattr("api.edge.turns.asyncio.sleep", rest)
        for _ in range(2):
            async with lane.piece("acme"):
                pass
        assert rested == [0.008, 0.004]
        (spent,) = lane.figures().values()
        assert round(spent, 6) == 0.012

    async def test_who_goes_in_the_middle_of_a_piece_keeps_nobody_waiting(self) -> None:
        lane = Lane()
        with pytest.raises(RuntimeError):
            async with lane.piece("acme"):
                raise RuntimeError
        async with lane.piece("other"):
            pass


class TestTurns:
    async def test_who_leaves_its_place_lets_the_next_one_in_and_only_one(self) -> None:
        """A request that waits for a phone has left; that it ends later is nobody else's place."""
        turns = made(places=1)
        async with turns.turn("acme", "one") as place:
            place.leave()
            place.leave()
            async with turns.turn("acme", "two"):
                assert turns.figures()['fernamt_http_tenant_requests{tenant="acme",state="running"}'] == 1
        assert not turns.figures()

    async def test_so_many_of_one_tenant_are_served_and_another_tenant_waits_for_none_of_them(self) -> None:
        asking = Asking(made(places=2))
        for name in ("1", "2", "3"):
            await asking.ask(name)
        await asking.ask("theirs", "other")
        assert asking.served == ["1", "2", "theirs"]
        await asking.end("1")
        assert asking.served[-1] == "3"
        for name in ("2", "3", "theirs"):
            await asking.end(name)
        assert not [name for name in asking.turns.figures() if "state" in name]

    async def test_the_turn_goes_round_the_users_so_a_script_keeps_no_desk_waiting(self) -> None:
        asking = Asking(made(places=1))
        await asking.ask("first", holder="script")
        for number in range(20):
            await asking.ask(f"script{number}", holder="script")
        await asking.ask("desk", holder="anna")
        await asking.end("first")
        await asking.end("script0")
        assert asking.served == ["first", "script0", "desk"]
        await asking.end("desk")
        for number in range(1, 20):
            await asking.end(f"script{number}")
        assert len(asking.served) == 22

    async def test_who_waits_too_long_or_finds_too_many_is_told_to_come_again_and_takes_nothing(self) -> None:
        turns = made(places=1, most_waiting=1, wait_s=0.01)
        asking = Asking(turns)
        await asking.ask("1")
        await asking.ask("2")
        with pytest.raises(TooBusy) as busy:
            async with turns.turn("acme", "3"):
                pass
        assert busy.value.headers == {"Retry-After": "1"}
        with pytest.raises(TooBusy):
            await asking.tasks["2"]
        assert turns.figures()['fernamt_http_tenant_refused_total{tenant="acme",what="requests"}'] == 2
        await asking.end("1")
        await asking.ask("4")
        assert asking.served == ["1", "4"]
        await asking.end("4")

    async def test_who_goes_away_while_waiting_leaves_no_trace(self) -> None:
        asking = Asking(made(places=1))
        for name in ("1", "2", "3"):
            await asking.ask(name)
        asking.tasks["2"].cancel()
        await asyncio.gather(asking.tasks["2"], return_exceptions=True)
        await asking.end("1")
        assert asking.served == ["1", "3"]
        await asking.end("3")
        assert not [name for name in asking.turns.figures() if "state" in name]

    async def test_who_goes_away_at_the_moment_of_the_turn_passes_it_on(self) -> None:
        asking = Asking(made(places=1))
        for name in ("1", "2", "3"):
            await asking.ask(name)
        asking.ends["1"].set()
        await asyncio.sleep(0)  # the place is given to 2, which has not run since
        assert (asking.tasks["1"].done(), asking.served) == (True, ["1"])
        asking.tasks["2"].cancel()
        await asyncio.gather(asking.tasks["2"], return_exceptions=True)
        await settled()
        assert asking.served == ["1", "3"]
        await asking.end("3")
        await asking.ask("4")
        assert asking.served[-1] == "4"
        await asking.end("4")

    async def test_what_fails_inside_gives_its_place_back(self) -> None:
        turns = made(places=1)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                async with turns.turn("acme", "x"):
                    raise RuntimeError
        async with turns.turn("acme", "x"):
            pass

    def test_streams_are_not_waited_for(self) -> None:
        turns = made(streams=1)
        with turns.stream("acme"), turns.stream("other"), pytest.raises(TooBusy), turns.stream("acme"):
            pass
        with turns.stream("acme"):
            assert turns.figures()['fernamt_http_tenant_streams{tenant="acme",what="exports"}'] == 1

    def test_tokens_are_known_in_bounded_memory_and_addresses_are_no_label(self) -> None:
        turns = made()
        for number in range(KNOWN_TOKENS + 10):
            turns.learn(f"token{number}")
        assert not turns.is_known("token9")
        assert turns.is_known("token10")
        turns.unlearn("token10")
        assert not turns.is_known("token10")
        turns.refused[of_source("192.0.2.1").strip(), "requests"] = 0
        assert of_source("192.0.2.1").startswith(" ")


class TestAtTheDoor:
    @pytest.fixture
    def narrow(self, staffed: Service) -> Service:
        """One request of a tenant at a time, and nobody waits."""
        staffed.shared.turns = made(places=1, most_waiting=1, wait_s=1000.0, streams=1)
        return staffed

    async def test_requests_of_one_tenant_beyond_its_places_wait_and_one_of_another_does_not(self, narrow: Service) -> None:
        await add_tenant(narrow, "other")
        turns: Turns = narrow.shared.turns
        for who in ("admin", "anna", "other-admin"):
            await narrow.got("me", who)  # their tokens are known from now on
        async with AsyncExitStack() as held:
            await held.enter_async_context(turns.turn("acme", "somebody"))
            waiting = asyncio.create_task(narrow.call("GET", "me"))
            while not turns.waited["acme"]:
                await asyncio.sleep(0)
            refused = await narrow.call("GET", "me", "anna")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "200")
            assert "of this tenant" in refused.json()["detail"]
            assert (await narrow.call("GET", "me", "other-admin")).status_code == 200
            assert not waiting.done()
        assert (await waiting).status_code == 200
        assert 'fernamt_http_tenant_waited_total{tenant="acme"} 1.0' in (await narrow.call("GET", "/metrics", "operator")).text

    async def test_a_token_that_nobody_has_looked_at_takes_no_place_of_the_tenant_it_names(self, narrow: Service) -> None:
        """Else a stranger would keep a tenant from working by naming it."""
        turns: Turns = narrow.shared.turns
        await narrow.got("me")
        async with turns.turn(of_source("127.0.0.1"), "a stranger's, still looked at"):
            narrow.tokens["stranger"] = "fa1.acme." + "A" * 43
            strangers = asyncio.create_task(narrow.call("GET", "me", "stranger"))
            while not turns.waited[""]:
                await asyncio.sleep(0)
            assert (await narrow.call("GET", "me")).status_code == 200
        assert (await strangers).status_code == 401

    async def test_a_token_that_holds_no_more_is_known_no_more(self, narrow: Service) -> None:
        turns: Turns = narrow.shared.turns
        known = len(turns._known)
        narrow.tokens["second"] = await narrow.log_in("admin")
        await narrow.got("me", "second")
        assert len(turns._known) == known + 1
        assert (await narrow.call("POST", "logout", "second")).status_code == 204
        assert (await narrow.call("GET", "me", "second")).status_code == 401
        assert len(turns._known) == known

    async def test_log_ins_from_one_source_take_turns(self, narrow: Service) -> None:
        turns: Turns = narrow.shared.turns
        async with turns.turn(of_source("127.0.0.1"), "somebody"):
            log_in = asyncio.create_task(narrow.log_in("admin", PASSWORD))
            while not turns.waited[""]:
                await asyncio.sleep(0)
        assert await log_in

    async def test_exports_beyond_a_tenants_are_refused_and_the_place_comes_back(
        self, narrow: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, goes_on = asyncio.Event(), asyncio.Event()
        all_of = billing._all

        async def slow(*given: object) -> object:
            begun.set()
            await goes_on.wait()
            async for some in all_of(*given):  # type: ignore[arg-type]
                yield some

        monkeypatch.setattr(billing, "_all", slow)
        first = asyncio.create_task(narrow.call("GET", "cdrs/export"))
        await begun.wait()
        second = await narrow.call("GET", "charges/export")
        assert (second.status_code, "exports of this tenant" in second.json()["detail"]) == (429, True)
        assert (await narrow.call("GET", "cdrs")).status_code == 200  # an export holds no turn
        goes_on.set()
        assert (await first).status_code == 200
        assert (await narrow.call("GET", "charges/export")).status_code == 200

    async def test_connections_of_all_users_of_a_tenant_are_counted_together(self) -> None:
        class Quiet:
            is_idle = True

            def give_way(self) -> None:
                """Nothing to close."""

        held = Connections(per_source=100, strangers=100, per_user=2, per_tenant=3)
        leases = [Lease(held) for _ in range(6)]
        for lease in leases:
            assert lease.begin(Quiet(), "192.0.2.1")
        for lease, user in zip(leases, ("acme/anna", "acme/anna", "acme/ben"), strict=False):
            lease.belongs_to(user)
        with pytest.raises(TooManyConnections):
            leases[3].belongs_to("acme/anna")
        with pytest.raises(TooManyOfTenant):
            leases[3].belongs_to("acme/key:1")
        leases[0].belongs_to("acme/key:1")  # a connection that passes to another user of the tenant is none more
        leases[4].belongs_to("other/anna")
        leases[5].belongs_to("/operator")
        assert held.tenants == {"acme": 3, "other": 1, "": 1}
        leases[1].end()
        leases[3].belongs_to("acme/ben")
        assert held.figures()['fernamt_http_connections_refused_total{reason="tenant_is_full"}'] == 1
        assert held.figures()['fernamt_http_tenant_connections{tenant="acme"}'] == 3


@pytest.mark.slow
async def test_a_hundred_connections_of_one_tenant_do_not_reorder_who_asks_alone(staffed: Service) -> None:
    """Over the wire: while a hundred clients of one key ask without a pause, somebody else's requests are answered one after the other, and
    no more than its places of the first are ever under way.
    """
    await add_tenant(staffed, "other")
    turns: Turns = staffed.shared.turns
    key = (await staffed.made("api-keys", {"name": "Script", "role": "admin"}))["token"]
    most, alone = 0, 0
    async with serving(staffed.app) as served, asyncio.timeout(60):
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=served.url, limits=limits, headers={"Authorization": f"Bearer {key}"}, timeout=30) as script:
            await script.get("/api/v1/me")
            ends = asyncio.Event()

            async def ask() -> int:
                done = 0
                while not ends.is_set():
                    answer = await script.get("/api/v1/contacts?text=muster")
                    assert answer.status_code == 200
                    done += 1
                return done

            asking = [asyncio.create_task(ask()) for _ in range(100)]
            async with httpx.AsyncClient(
                base_url=served.url, headers={"Authorization": f"Bearer {staffed.tokens['other-admin']}"}, timeout=30
            ) as other:
                while alone < 20:
                    assert (await other.get("/api/v1/me")).status_code == 200
                    alone += 1
                    most = max(most, int(turns.figures().get('fernamt_http_tenant_requests{tenant="acme",state="running"}', 0)))
            ends.set()
            await asyncio.gather(*asking)
    assert 0 < most <= staffed.shared.services.settings.http.requests_per_tenant
    assert turns.waited["acme"] > 0
    assert turns.waited["other"] == 0
