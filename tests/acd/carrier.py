"""A carrier of the tests: registrar with digest, accounts, calls in both directions, on a known port; it can be shut and barred."""

import contextlib
from collections.abc import AsyncIterator

import msgspec

from load.phone_bank import PhoneBank, new_id
from load.phones import PhoneCall, SyntheticPhone
from sip.classified import CHALLENGE, TRUNK
from sip.digest import Account, Authenticator, ha1
from sip.events import Registered, Unregistered
from sip.headers.name_addr import NameAddr
from sip.message import Request
from sip.registrar import Binding, Registrar, RegistrarPolicy
from sip.uri import Uri
from tests.ports import HOST

REALM = "carrier.example"


class Carrier(PhoneBank):
    """Lines at it are `SyntheticPhone`s with `bank=carrier`."""

    def __init__(self, port: int, accounts: dict[str, str] | None = None, *, challenges_calls: bool = False, address: str = HOST) -> None:
        super().__init__(address, port, agent_name="A carrier")
        self.accounts = dict(accounts or {})
        self.is_barred = False
        """Every registration is answered 403."""
        self.history: list[Registered | Unregistered] = []
        self.registrar = Registrar(self._canonical, RegistrarPolicy(min_expires=1, max_expires=3600))
        self.user_agent.config = msgspec.structs.replace(
            self.user_agent.config,
            classify=lambda _request, _flow: CHALLENGE if challenges_calls else TRUNK,
            authenticator=Authenticator(REALM, self._account, b"sixteen octets !"),
            registrar=self.registrar,
        )
        self.registrar.attach(self.user_agent.timers, self._emit)

    def _emit(self, event):
        self.history.append(event)

    def _account(self, _request: Request, username: str, realm: str, algorithm: str) -> Account | None:
        password = self.accounts.get(username)
        return Account(username, ha1(username, realm, password, algorithm)) if password is not None else None

    def _canonical(self, uri: Uri, _authenticated_as: str | None) -> str | None:
        return None if self.is_barred else uri.user

    def bindings(self, account: str) -> list[Binding]:
        """Where the account can be reached."""
        return self.registrar.lookup(account, self.now())


@contextlib.asynccontextmanager
async def carrier_at(port: int, *args, **options) -> AsyncIterator[Carrier]:
    carrier = Carrier(port, *args, **options)
    await carrier.start()
    try:
        yield carrier
    finally:
        await carrier.close()


@contextlib.asynccontextmanager
async def gateway(carrier: Carrier, service) -> AsyncIterator[SyntheticPhone]:
    """Takes every call at the carrier, and places calls from there."""
    async with SyntheticPhone(service.address, user="+491711234567", bank=carrier, takes_all=True) as phone:
        yield phone


def call_contact(phone: SyntheticPhone, contact: Uri, number: str, headers: tuple[tuple[str, str], ...] = ()) -> PhoneCall:
    """A call to a registered Contact: the Request-URI is the Contact, the number stands in To."""
    call = PhoneCall(phone, f"out-{new_id()}", is_incoming=False)
    phone.calls.append(call)
    call.place(contact, NameAddr(phone.aor), NameAddr(Uri("sip", number, "carrier.example")), headers)
    return call
