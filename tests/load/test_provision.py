"""`fernamt load` against a real service: what it makes, what it takes away again however it ends, and what it leaves alone."""

import argparse
import asyncio
import signal
import socket
import sys
from contextlib import asynccontextmanager

import pytest

from acd.networks import EVERYTHING
from load.api_client import ApiClient, ApiError
from load.command import EXIT_INTERRUPTED, EXIT_NOT_RUN, carry_out, command
from load.private_instance import private_instance
from load.provision import NUMBER, SOURCE, CannotProvision, Plan, clear, left_behind, provision, provisioned
from load.server_process import NotTheService, server_pid, started

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.xdist_group("provision")]
QUICK = ("--rate", "20", "--duration", "0.5", "--talk", "0.1", "--ring", "0.01", "--drain", "5", "--agents", "3", "--quiet")
ADMIN = "admin-secret-0815"


@pytest.fixture(scope="module")
def service():
    with asyncio.Runner() as runner:
        running = private_instance({"FERNAMT_REACH__ALLOW": ",".join(EVERYTHING)})  # as installed: loopback is not among it
        yield runner.run(running.__aenter__())
        runner.run(running.__aexit__(None, None, None))


def arguments(service, *more):
    server = "{}:{}".format(*service.sip)
    return ["--server", server, "--api", service.url, f"--operator-password={service.operator_password}", *more]


def parsed(given):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(given)


def tenants(service, state="active"):
    with service.operator() as api:
        return {one["id"]: one["name"] for one in api.get("/api/v1/tenants?limit=200")["items"] if one["state"] == state}


@asynccontextmanager
async def somebodys(service, name, number, source):
    """A tenant of somebody else, with a number; closed afterwards."""
    with service.operator() as api:
        plan = Plan(tenant=name, agents=0, dial=number, source=f"{source}/32", admin="admin", admin_password=ADMIN, keep=True)
        await asyncio.to_thread(provision, api, plan)
        try:
            yield
        finally:
            with service.operator() as operator:
                operator.request("DELETE", f"/api/v1/tenants/{name}")


async def started_run(service, *more):
    """A run as a process of its own, once its first calls are up."""
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-m", "load", *arguments(service, "--provision", "--rate", "20", "--duration", "60", "--agents", "3", *more),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said = b""
    async with asyncio.timeout(30):
        while b"calls " not in said:
            line = await run.stdout.readline()
            assert line, said.decode()
            said += line
    return run


async def rest_of(run):
    async with asyncio.timeout(30):
        said = await run.stdout.read()
        return await run.wait(), said.decode()


async def test_a_run_has_an_address_and_a_number_of_its_own_and_nothing_of_it_is_left(service, tmp_path, capsys):
    path = tmp_path / "run.json"
    given = parsed(arguments(service, "--provision", *QUICK, "--server-pid", "--report", str(path)))
    done = await carry_out(given)
    assert done.report.answered == done.report.calls > 0
    assert done.report.server.media_cpu_ms_per_call is not None
    assert done.advice is None
    assert tenants(service) == {}
    told = tenants(service, "closed")[given.tenant]
    assert told.startswith(f"fernamt load: {NUMBER} from {SOURCE}, ")
    assert f"tenant {given.tenant} closed" in capsys.readouterr().out


@pytest.mark.storm
async def test_a_run_that_is_ended_by_sigterm_takes_its_tenant_away(service):
    run = await started_run(service)
    assert len(tenants(service)) == 1
    run.terminate()
    status, said = await rest_of(run)
    assert status == EXIT_INTERRUPTED, said
    assert "closed" in said
    assert tenants(service) == {}


@pytest.mark.storm
async def test_ctrl_c_ends_a_run_with_its_report_and_once_more_without_and_its_tenant_is_gone_either_way(service):
    run = await started_run(service)
    run.send_signal(signal.SIGINT)
    await asyncio.wait_for(run.stdout.readuntil(b"ending: "), 30)
    run.send_signal(signal.SIGINT)
    status, said = await rest_of(run)
    assert "closed" in said
    assert status == EXIT_INTERRUPTED or "INVITE to agent" in said  # the figures may have come before the second one
    assert tenants(service) == {}


@pytest.mark.storm
async def test_a_run_beside_one_that_goes_on_is_refused_and_when_that_was_killed_closes_what_it_left(service, capsys):
    async with somebodys(service, "foreign", "+493023125600", "127.0.0.99"):
        run = await started_run(service)
        given = parsed(arguments(service, "--provision", "--tenant", "afterwards", *QUICK))
        told = rf"another load run \(process {run.pid} on .*calls \{NUMBER} from {SOURCE}: wait for it"
        with pytest.raises(CannotProvision, match=told):
            await carry_out(given)
        (left,) = tenants(service).keys() - {"foreign"}
        with service.operator() as api:
            clear(api, Plan(dial="+493023125771", source="127.0.0.78/32"))  # another number, another address: they do not meet
        assert left in tenants(service)
        run.kill()
        await rest_of(run)
        done = await carry_out(given)
        assert done.report.answered == done.report.calls
        assert f"tenant {left} closed, which a run of process {run.pid} left behind" in capsys.readouterr().out
        assert tenants(service).keys() == {"foreign"}


@pytest.mark.storm
async def test_a_number_that_somebody_has_is_not_taken(service):
    async with somebodys(service, "foreign2", "601", "127.0.0.1"):
        given = arguments(service, "--provision", "--dial", "601", "--local-address", "127.0.0.1", *QUICK)
        with pytest.raises(CannotProvision, match=r"somebody takes calls to 601 from 127\.0\.0\.1 already"):
            await carry_out(parsed(given))
        assert tenants(service).keys() == {"foreign2"}


async def test_a_tenant_that_is_there_is_not_this_runs_and_stays(service):
    async with somebodys(service, "foreign3", "+493023125601", "127.0.0.98"):
        given = arguments(service, "--provision", "--tenant", "foreign3", *QUICK)
        with pytest.raises(CannotProvision, match="there is a tenant foreign3 already, and it is not this run's"):
            await carry_out(parsed(given))
        with pytest.raises(ApiError, match="401"):
            await carry_out(parsed([*given, "--admin-password", "a-wrong-one-0815"]))
        assert tenants(service).keys() == {"foreign3"}


@pytest.mark.storm
async def test_a_tenant_that_is_to_be_kept_serves_the_next_run(service):
    kept = ("--provision", "--keep", "--tenant", "mine", "--admin-password", ADMIN, *QUICK)
    try:
        for _ in range(2):
            assert (await carry_out(parsed(arguments(service, *kept)))).report.problems == ()
        assert tenants(service) == {"mine": "Load mine"}
    finally:
        with service.operator() as api:
            api.request("DELETE", "/api/v1/tenants/mine")


def test_keeping_needs_a_password_that_somebody_knows(service, capsys):
    assert command.run(parsed(arguments(service, "--provision", "--keep", *QUICK))) == EXIT_NOT_RUN
    assert "--keep needs --admin-password" in capsys.readouterr().err


async def test_a_setting_up_that_fails_in_the_middle_leaves_nothing(service):
    def breaks(line):
        if line.startswith("trunk"):
            raise ApiError("POST", "/api/v1/agents", 503, "the disk is full")

    with service.operator() as api, pytest.raises(ApiError, match="the disk is full"):
        async with provisioned(api, Plan(tenant="halfway"), breaks):
            pass
    assert tenants(service) == {}
    assert "halfway" in tenants(service, "closed")


async def test_a_run_of_another_machine_is_left_alone_and_named(service):
    with service.operator() as api:
        name = f"fernamt load: {NUMBER} from {SOURCE}, far-away 7:8"
        api.post("/api/v1/tenants", {"id": "elsewhere", "name": name, "admin": {"username": "admin", "password": ADMIN}})
        try:
            assert [left.tenant for left in left_behind(api)] == ["elsewhere"]
            with pytest.raises(CannotProvision, match=r"process 7 on far-away.*close tenant elsewhere if that run is over"):
                clear(api, Plan())
            clear(api, Plan(dial="+493023125771", source="127.0.0.78/32"))
            assert tenants(service).keys() == {"elsewhere"}
        finally:
            api.request("DELETE", "/api/v1/tenants/elsewhere")


async def test_a_tenant_whose_name_only_begins_like_a_runs_is_nobodys_leftover(service):
    with service.operator() as api:
        api.post("/api/v1/tenants", {"id": "load000001", "name": "fernamt load: ours", "admin": {"username": "admin", "password": ADMIN}})
        try:
            clear(api, Plan())
            assert tenants(service).keys() == {"load000001"}
        finally:
            api.request("DELETE", "/api/v1/tenants/load000001")


async def test_callers_from_an_address_of_no_trunk_are_told_so(service):
    done = await carry_out(parsed(arguments(service, "--local-address", "127.0.0.50", *QUICK)))
    assert "the service takes no calls from 127.0.0.50 (401)" in done.advice
    assert "--provision sets up a trunk of its own" in done.advice


async def test_callers_whom_no_agent_answers_are_told_so(service):
    async with somebodys(service, "foreign5", "+493023125603", "127.0.0.52"):
        given = arguments(service, "--local-address", "127.0.0.52", "--dial", "+493023125603", *QUICK[:-5], "--drain", "0.2", "--quiet")
        done = await carry_out(parsed(given))
        assert "the service took the calls to +493023125603, and this run plays no agents who could see one answered" in done.advice


async def test_callers_of_a_port_where_nobody_listens_are_told_so():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = await carry_out(parsed(["--server", f"127.0.0.1:{port}", "--api", "", *QUICK[:-5], "--drain", "0.2", "--quiet"]))
    assert done.advice.startswith(f"nobody listens at 127.0.0.1:{port} (connection refused): start the service")


async def test_the_process_that_listens_is_found_by_its_sip_and_by_its_http_address(service):
    host, port = ApiClient(service.url).host_port
    assert server_pid(None, service.sip) == service.pid
    assert server_pid(None, (host, port)) == service.pid
    assert server_pid(service.pid, service.sip) == service.pid


async def test_another_process_than_the_one_that_listens_is_not_taken(service):
    with pytest.raises(NotTheService, match=rf"process 1 .*does not listen on 127.0.0.1:{service.sip[1]}; process {service.pid} does"):
        server_pid(1, service.sip)
    gone = 2**22 + 1  # above the highest id there can be (proc(5), pid_max)
    assert started(gone) is None
    with pytest.raises(NotTheService, match=f"there is no process {gone}"):
        server_pid(gone, service.sip)


def test_a_run_with_another_process_is_not_begun(service, capsys):
    assert command.run(parsed(arguments(service, "--server-pid", "1", *QUICK))) == EXIT_NOT_RUN
    assert "does not listen on" in capsys.readouterr().err


async def test_where_nobody_can_be_seen_to_listen_it_is_said_and_nothing_is_measured():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()
    with pytest.raises(NotTheService, match="no process on this machine can be seen to listen"):
        server_pid(None, nobody)
    with pytest.raises(NotTheService, match="no process on this machine"):
        server_pid(None, ("192.0.2.1", 5060))
