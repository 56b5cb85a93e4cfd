"""Commands of the documentation, pasted in order into one shell: each of them works."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from load.phones import SyntheticPhone
from tests.journeys.service import OPERATOR, service

pytestmark = [pytest.mark.journey, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
STRICT = 'set -e; curl() { command curl -sS --fail-with-body "$@"; echo; }\n'
"""The first that is refused ends the shell; an answer is a line."""


def commands(page: str, heading: str) -> str:
    """What stands in the blocks of one section."""
    (section,) = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


async def pasted(text: str, **variables: str) -> list[dict]:
    """Run it with other values of its variables; returns the answers."""
    if (bash := shutil.which("bash")) is None or shutil.which("curl") is None:
        pytest.skip("bash and curl are not installed")
    for name, value in variables.items():
        text, count = re.subn(rf"^{name}=.*$", f"{name}='{value}'", text, flags=re.MULTILINE)
        assert count == 1, name
    shell = await asyncio.create_subprocess_exec(bash, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    out, _ = await shell.communicate((STRICT + text).encode())
    assert shell.returncode == 0, out.decode()
    return [json.loads(line) for line in out.decode().splitlines() if line]


async def test_a_tenant_from_nothing_can_be_called(tmp_path):
    async with service(tmp_path) as house:
        told = await pasted(
            commands("docs/tenants.md", "A tenant from nothing"), API=f"http://127.0.0.1:{house.http}/api/v1", OPERATOR_PASSWORD=OPERATOR
        )
        devices = {one["id"]: one["device"] for one in told if "device" in one}
        phones = [
            SyntheticPhone(house.sip, user=one["username"], domain=one["domain"], password=one["password"]) for one in devices.values()
        ]
        async with phones[0] as anna, phones[1] as ben:
            for phone in phones:
                await phone.register()
            call = await ben.call("700")
            rung = await anna.incoming()
            await rung.answer()
            await call.answered()
            call.hang_up()
            await rung.ended()
        assert await house.stop() == 0


async def test_examples_on_the_demonstration_are_answered_and_a_queue_of_one_s_own_is_made(tmp_path):
    async with service(tmp_path, "--demo", "--still") as house:
        users = json.loads((tmp_path / "data" / "demo-credentials.json").read_text())["users"]
        texts = [commands("docs/api/README.md", heading) for heading in ("Tokens and roles", "Messages and callbacks")]
        text = "".join(texts).replace("http://localhost:8080", f"http://127.0.0.1:{house.http}")
        answer, _, message, taken, closed, *_, why, withdrawn = await pasted(f"FERNAMT_PASSWORD={users['supervisor']}\n" + text)
        assert answer == {"items": [], "next": None}
        assert (message["state"], message["agents"], message["text"]) == ("offered", ["anna"], "Where is it?")
        assert [done["events"][at]["type"] for done, at in ((taken, -1), (closed, 0))] == ["WorkConnected", "ContactClosed"]
        assert (why["queue"], withdrawn["events"][-1]["cause"]) == ("support", "withdrawn")
        await house.call(house.api.log_in, "admin", users["admin"], "demo")
        assert house.api.token is not None
        text = commands("README.md", "A queue of your own").replace("localhost:8080", f"127.0.0.1:{house.http}")
        queue, number = await pasted(text.replace("TOKEN", house.api.token))
        assert (queue["id"], number["target"]["queue"]) == ("press", "press")
        assert await house.stop() == 0
