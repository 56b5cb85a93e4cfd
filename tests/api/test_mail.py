"""Mail: submitted to a real server, over TLS, with a log-in; tried again where that may help, given up where not; one Message-ID."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from api.config import Mail as MailSettings
from api.kit.mail import AddressWrong, Mail, address, put, store
from api.kit.mail.compose import message_id, octets
from api.kit.mail.sender import RETRIES
from api.kit.mail.submit import NotSent, Smtp
from api.kit.paging import Cut
from api.shared import shared_in
from tests.api.conftest import ACME, Service
from tests.api.mail_server import PASSWORD, USER, MailServer, mail_server
from tests.api.receiver import certified
from tests.api.work import Work, working

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def settings_of(server: MailServer, **more: Any) -> MailSettings:
    return MailSettings(**{"host": "127.0.0.1", "port": server.port, "security": "none", "sender": "telefon@fernamt.example", **more})


@pytest.fixture
def jobs_run() -> bool:
    return True


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as found:
        yield found


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Callable[[MailSettings], Work]]:
    """A tenant whose mails go where these settings say."""
    async with working("sqlite", tmp_path, names=("job", "mail")) as work:

        def begin(settings: MailSettings) -> Work:
            work.jobs.define(Mail(settings, work.databases, Smtp(settings)).jobs)
            work.jobs.begin(ACME)
            return work

        yield begin


async def write(work: Work, to: str = "erika@example.org", subject: str = "Termin", text: str = "Guten Tag,\n.\nbis Montag ✓\n") -> str:
    async with work.databases.unit(ACME) as unit:
        key = (await put(unit.session, work.clock(), to, subject, text)).id
    await work.settled()
    return key


async def row(work: Work, key: str) -> Any:
    async with work.databases.unit(ACME) as unit:
        return await store.get(unit.session, key)


class TestComposed:
    @given(name=st.text(max_size=50), subject=st.text(max_size=300), text=st.text(max_size=500))
    def test_nothing_of_what_people_write_becomes_a_header_or_a_recipient(self, name: str, subject: str, text: str) -> None:
        text = text.encode("utf-8", "replace").decode()
        made = octets("telefon@fernamt.example", name, "erika@example.org", subject, text, "<1@fernamt.example>", AT)
        read: Any = message_from_bytes(made, policy=default)
        wanted = {
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        }
        assert set(read.keys()) == wanted
        assert len(read.keys()) == len(wanted)
        assert read["To"].addresses[0].addr_spec == "erika@example.org"
        assert len(read["To"].addresses) == 1
        assert read["From"].addresses[0].addr_spec == "telefon@fernamt.example"
        assert all(len(line) <= 998 for line in made.split(b"\r\n"))

    @pytest.mark.parametrize(
        "wrong",
        [
            *("", "erika", "@example.org", "erika@", "erika@@example.org", "a b@example.org", "erika@example.org,karl@example.org"),
            *(
                "erika@example.org\r\nBcc: karl@example.org",
                "erika@example.org\n",
                "<erika@example.org>",
                '"a b"@example.org',
                "e@[127.0.0.1]",
            ),
            *(
                ".a@example.org",
                "a..b@example.org",
                "e@example..org",
                "jürgen@example.org",
                "erika@example.org>",
                "x" * 65 + "@example.org",
            ),
        ],
    )
    def test_what_is_no_address_is_refused(self, wrong: str) -> None:
        with pytest.raises(AddressWrong):
            address(wrong)

    def test_the_same_mail_is_the_same_octets_and_keeps_its_id(self) -> None:
        identity = message_id("abc", "telefon@fernamt.example")
        assert identity == "<abc@fernamt.example>"
        made = [octets("telefon@fernamt.example", "Fernamt", "e@example.org", "Ü", "text", identity, AT) for _ in range(2)]
        assert made[0] == made[1]
        assert b"\r\nDate: Mon, 02 Mar 2026 09:00:00 +0000\r\n" in made[0]

    def test_settings_that_would_send_a_password_in_clear_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="in clear"):
            MailSettings(host="mail.example.org", security="none", username="x", password=SecretStr("y"))
        with pytest.raises(ValidationError, match="belong together"):
            MailSettings(host="mail.example.org", username="x")


class TestSent:
    async def test_a_mail_is_sent_once_it_is_committed_and_its_text_is_kept_no_longer(self, server: MailServer, post: Any) -> None:
        work = post(settings_of(server))
        key = await write(work)
        (mail,) = await server.has(1)
        assert (mail["To"], mail["From"], mail["Subject"]) == ("erika@example.org", "Fernamt <telefon@fernamt.example>", "Termin")
        assert mail.get_content().replace("\r\n", "\n") == "Guten Tag,\n.\nbis Montag ✓\n"
        assert server.envelopes == [("telefon@fernamt.example", ["erika@example.org"], False)]
        kept = await row(work, key)
        assert (kept.state, kept.text, kept.message_id, kept.tries) == ("sent", "", mail["Message-ID"], 1)

    async def test_over_tls_with_a_log_in(self, tmp_path: Path, post: Any) -> None:
        tls, _, file = certified(tmp_path, "localhost")
        secret = {"username": USER.decode(), "password": SecretStr(PASSWORD.decode())}
        async with mail_server(tls, auth=True) as server:
            await write(post(settings_of(server, host="localhost", security="starttls", ca_file=file, **secret)))
            assert server.envelopes == [("telefon@fernamt.example", ["erika@example.org"], True)]

    async def test_over_tls_from_the_first_octet(self, tmp_path: Path, post: Any) -> None:
        tls, _, file = certified(tmp_path, "localhost")
        async with mail_server(tls, implicit=True) as server:
            await write(post(settings_of(server, host="localhost", security="tls", ca_file=file)))
            assert server.envelopes == [("telefon@fernamt.example", ["erika@example.org"], True)]

    async def test_a_server_without_tls_or_of_another_name_gets_neither_mail_nor_password(self, tmp_path: Path, server: MailServer) -> None:
        tls, _, file = certified(tmp_path, "other.example")
        secret = {"username": "fernamt", "password": SecretStr("secret")}
        async with mail_server(tls, auth=True) as named_otherwise:
            for one, why in ((server, "STARTTLS"), (named_otherwise, "certificate")):
                with pytest.raises(NotSent, match=why) as told:
                    await Smtp(settings_of(one, host="localhost", security="starttls", ca_file=file, **secret))(
                        "a@b.example", "c@d.example", b""
                    )
                assert not told.value.for_ever
            assert (server.received, named_otherwise.received) == ([], [])

    async def test_a_wrong_password_is_the_settings_fault_and_passes(self, tmp_path: Path, post: Any) -> None:
        tls, _, file = certified(tmp_path, "localhost")
        async with mail_server(tls, auth=True) as server:
            work = post(
                settings_of(server, host="localhost", security="starttls", ca_file=file, username="fernamt", password=SecretStr("no"))
            )
            kept = await row(work, await write(work))
            assert (kept.state, kept.error) == ("pending", "The server refused the log-in (535).")


class TestRefused:
    @pytest.mark.parametrize(
        ("what", "reply", "state", "error"),
        [
            ("recipients", "450 busy", "pending", "The server refused the recipient: 450 busy"),
            ("recipients", "550 no such user", "dead", "The server refused the recipient: 550 no such user"),
            ("senders", "550 not you", "pending", "The server refused the sender: 550 not you"),
            ("data", "452 full", "pending", "The server refused the message: 452 full"),
            ("data", "554 spam", "dead", "The server refused the message: 554 spam"),
            ("data", "cut before", "pending", "The server was not reached, or cut the connection"),
        ],
    )
    async def test_what_may_pass_is_tried_again_and_what_is_for_ever_is_not(
        self, server: MailServer, post: Any, what: str, reply: str, state: str, error: str
    ) -> None:
        work = post(settings_of(server))
        getattr(server, what).append(reply)
        key = await write(work)
        kept = await row(work, key)
        assert (kept.state, kept.error[: len(error)]) == (state, error)
        await work.turn(seconds=61)
        assert len(server.received) == (state == "pending")
        assert (await row(work, key)).state == ("sent" if state == "pending" else "dead")

    async def test_a_connection_that_is_cut_when_it_was_taken_leads_to_the_same_mail_once_more(self, server: MailServer, post: Any) -> None:
        work = post(settings_of(server))
        server.data = ["cut"]
        key = await write(work)
        await work.turn(seconds=61)
        first, second = await server.has(2)
        assert first["Message-ID"] == second["Message-ID"]
        assert (await row(work, key)).state == "sent"

    async def test_one_that_nobody_takes_for_days_is_given_up_listed_and_sent_by_hand(self, server: MailServer, post: Any) -> None:
        work = post(settings_of(server))
        server.recipients = ["450 busy"] * RETRIES.most
        key = await write(work)
        for delay in RETRIES.delays_s:
            await work.turn(seconds=delay)
        async with work.databases.unit(ACME) as unit:
            (dead,) = await store.some(unit.session, Cut(10, None), dead=True)
            assert (dead.id, dead.tries, dead.text != "") == (key, RETRIES.most, True)
            await store.again(unit.session, dead, work.clock())
        await work.settled()
        assert ((await row(work, key)).state, len(server.received)) == ("sent", 1)
        await work.turn(days=31)
        assert await row(work, key) is None


async def test_an_administrator_tries_the_way_and_sees_why_nothing_comes(acme: Service) -> None:
    for wrong in ("erika", "erika@example.org\nBcc: karl@example.org"):
        assert (await acme.call("POST", "mails/test", json={"to": wrong})).status_code == 422
    made = await acme.call("POST", "mails/test", json={"to": "erika@example.org"})
    assert made.status_code == 202
    await shared_in(acme.app).services.jobs.settled(ACME)
    (told,) = (await acme.got("mails"))["items"]
    assert (told["state"], told["error"]) == ("pending", "There is no mail server in the settings ([mail] host).")
    assert (await acme.got("mails?dead=true"))["items"] == []
    assert (await acme.call("POST", f"mails/{told['id']}/retry")).status_code == 409
    assert (await acme.call("POST", "mails/nobody/retry")).status_code == 404
    for _ in range(9):
        assert (await acme.call("POST", "mails/test", json={"to": "erika@example.org"})).status_code == 202
    assert (await acme.call("POST", "mails/test", json={"to": "erika@example.org"})).status_code == 429
