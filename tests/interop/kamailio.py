"""Debian's Kamailio as a carrier and as a foreign PBX: registrar with digest, proxy with Record-Route, a configuration of its own."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ports import HOST

REALM = "carrier.example"
CONFIG = """\
#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
listen=udp:{host}:{port}
mpath="{modules}"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", 1)
modparam("tm", "fr_timer", 3000)

request_route {{
    if (!mf_process_maxfwd_header("20")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            t_relay();
        }} else if (is_method("ACK")) {{
            if (t_check_trans()) t_relay();
        }} else {{
            sl_send_reply("481", "Call/Transaction Does Not Exist");
        }}
        exit;
    }}
    t_check_trans();
    if (is_method("OPTIONS")) {{
        sl_send_reply("200", "OK");
        exit;
    }}
    if (is_method("REGISTER")) {{
        if ($tU == "barred") {{
            sl_send_reply("403", "Account Closed");
            exit;
        }}
        if (!pv_www_authenticate("{realm}", "{password}", "0")) {{
            www_challenge("{realm}", "1");
            exit;
        }}
        save("location");
        exit;
    }}
    if (!is_method("INVITE")) {{
        sl_send_reply("405", "Method Not Allowed");
        exit;
    }}
    record_route();
    if ($sp == {network}) {{
        # From the telephone network: every number belongs to the one customer.
        $rU = "account";
        if (!lookup("location")) {{
            sl_send_reply("480", "Customer Not Registered");
            exit;
        }}
        t_relay();
        exit;
    }}
    if ($rU =~ "^[0-9][0-9]$") {{
        # An extension of the PBX; its trunk is believed by address.
        if (!lookup("location")) {{
            sl_send_reply("404", "No Such Extension");
            exit;
        }}
        t_relay();
        exit;
    }}
    if (!pv_proxy_authenticate("{realm}", "{password}", "0")) {{
        proxy_challenge("{realm}", "1");
        exit;
    }}
    consume_credentials();
    $du = "sip:{host}:{network}";
    t_relay();
}}
"""


def needs_kamailio() -> str:
    """The program; without it the test is skipped by name, in CI it fails."""
    found = shutil.which("kamailio", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("kamailio is not installed, and in CI nothing is skipped")
        pytest.skip("kamailio is not installed")
    return found


def _modules() -> Path:
    return next(Path("/usr/lib").glob("*/kamailio/modules"))


def _configuration(folder: Path, **fields: int | str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "kamailio.cfg"
    path.write_text(CONFIG.format(host=HOST, realm=REALM, modules=_modules(), **fields))
    return str(path)


def _answers(port: int) -> bool:
    """Whether it answers one OPTIONS within a moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind((HOST, 0))
        wire.settimeout(0.2)
        here = f"{HOST}:{wire.getsockname()[1]}"
        wire.sendto(
            f"OPTIONS sip:{HOST}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKready;rport\r\nMax-Forwards: 9\r\n"
            f"From: <sip:t@{here}>;tag=1\r\nTo: <sip:{HOST}>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode(),
            (HOST, port),
        )
        try:
            return wire.recv(65535).startswith(b"SIP/2.0 200")
        except (TimeoutError, ConnectionError):
            return False


@contextlib.asynccontextmanager
async def kamailio(folder: Path, port: int, network: int, password: str) -> AsyncIterator[None]:
    """Run it on `port`; what comes from `network` is the telephone network, and what goes to a number outside is sent there."""
    program = needs_kamailio()
    config = _configuration(folder, port=port, network=network, password=password)
    # It ends with these tests however they end.
    words = ["setpriv", "--pdeathsig=TERM", program, "-DD", "-E", "-f", config, "-m", "32", "-M", "4", "-Y", str(folder), "-w", str(folder)]
    with (folder / "kamailio.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*words, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(_answers, port):
                if process.returncode is not None:
                    raise AssertionError(f"kamailio ended:\n{(folder / 'kamailio.log').read_text()[-3000:]}")
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
