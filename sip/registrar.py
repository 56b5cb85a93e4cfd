"""Registrar and location service: RFC 3261 §10.3 (processing), §10.2.2 (removal), §21.4.17 (423).

Pure: bindings live in memory; whoever must keep them over a restart listens to Registered/Unregistered and calls `restore`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from sip.dialog import flow_to
from sip.events import Event, Registered, Unregistered
from sip.flow import Flow
from sip.headers.contact import contact_expires_s, contact_q
from sip.message import Request, Response
from sip.timers import Timer, TimerTable
from sip.uri import Uri, equivalent

CanonicalAor = Callable[[Uri, str | None], str | None]
"""Maps (To URI, authenticated_as) to the key `user@domain` of an address of record, or None when that user may not register it."""


class RegistrarPolicy(msgspec.Struct, frozen=True):
    """Bounds of what is granted, in seconds."""

    default_expires: int = 3600  # RFC 3261 §10.2.1.1 suggests one hour when nobody says otherwise
    min_expires: int = 60  # §10.3 step 7: shorter ones "that are less than one hour" may be refused with 423
    max_expires: int = 7200
    max_contacts: int = 10  # per AOR; house: a person has a desk phone, a soft phone, a mobile, and their stale twins


class Binding(msgspec.Struct, frozen=True):
    """One contact bound to an address of record."""

    aor: str
    contact: Uri
    flow: Flow
    expires_at: float
    """Monotonic seconds."""
    q: float
    call_id: str
    cseq: int
    user_agent: str | None


class _Slot:
    """A binding with its timer; the timer table speaks to it."""

    __slots__ = ("binding", "host", "registrar", "timers")

    def __init__(self, registrar: "Registrar", binding: Binding) -> None:
        self.registrar = registrar
        self.binding = binding
        self.host: str | None = None
        """Where it is counted; None: not yet."""
        self.timers: dict[Timer, list[Any]] = {}

    def on_timer(self, _timer: Timer, _now: float) -> None:
        self.registrar.expire(self)


class Registrar:
    """Bindings of all addresses of record."""

    def __init__(self, canonical_aor: CanonicalAor, policy: RegistrarPolicy | None = None) -> None:
        self.canonical_aor = canonical_aor
        self.policy = policy or RegistrarPolicy()
        self._slots: dict[str, list[_Slot]] = {}
        self._on_connection: dict[Flow, list[_Slot]] = {}
        self._at: dict[str, dict[_Slot, None]] = {}
        """Host -> what is reached there."""
        self._timers = TimerTable()
        self._emit: Callable[[Event], None] = lambda _event: None

    def attach(self, timers: TimerTable, emit: Callable[[Event], None]) -> None:
        """Join the user agent's timers and events; called by it, once, before anything is bound."""
        self._timers = timers
        self._emit = emit

    # --- the request

    def register(self, request: Request, authenticated_as: str | None, flow: Flow, now: float) -> Response:
        """RFC 3261 §10.3, steps 3 to 8 (1, 2 and 3's authentication are the user agent's).

        Returns: the response to send; Registered and Unregistered have been emitted by then.
        """
        to_uri = request.to.uri
        if not to_uri.is_sip or to_uri.user is None:
            return request.response(400, "To Is Not An Address Of Record")
        # Step 4: "checks whether the authenticated user is authorized to modify registrations for this address-of-record".
        aor = self.canonical_aor(to_uri, authenticated_as)
        if aor is None:
            return request.response(403)
        if request.has_star_contact:
            return self._remove_all(request, aor, now)
        slots = self._slots.get(aor, [])
        policy = self.policy
        header_expires = request.expires
        wanted: list[tuple[Uri, int, float, _Slot | None]] = []
        for contact in request.contacts:
            if not contact.uri.is_sip:
                return request.response(400, "Contact Is Not A SIP URI")
            # Step 7: the contact's own expires, else the header's, else ours.
            own = contact_expires_s(contact)
            expires = own if own is not None else policy.default_expires if header_expires is None else header_expires
            if 0 < expires < policy.min_expires:
                return request.response(423, headers=[("Min-Expires", str(policy.min_expires))])
            old = next((slot for slot in slots if _same_contact(slot.binding.contact, contact.uri)), None)
            # Step 7: same Call-ID and a CSeq not higher: "the update MUST be aborted and the request fails".
            if old is not None and old.binding.call_id == request.call_id and old.binding.cseq >= request.cseq.number:
                return request.response(500, "Out Of Order")
            wanted.append((contact.uri, min(expires, policy.max_expires), contact_q(contact), old))
        added = sum(1 for _, expires, _, old in wanted if expires and old is None)
        removed = sum(1 for _, expires, _, old in wanted if not expires and old is not None)
        if len(slots) + added - removed > policy.max_contacts and added > policy.max_contacts:
            return request.response(403, "Too Many Contacts")
        user_agent = request.headers.get("User-Agent")
        # "All or nothing": every contact has been judged before the first is changed.
        for uri, expires, q, old in wanted:
            if expires == 0:
                if old is not None:
                    self._drop(old, "removed")
                continue
            # A contact at the very host that sent it is believed; any other (a private address seen under a public one) is reached by the
            # flow itself, as is everything on a connection.
            way = flow_to(uri, flow) if uri.host == flow.remote[0] and not flow.is_reliable else flow
            binding = Binding(aor, uri, way, now + expires, q, request.call_id, request.cseq.number, user_agent)
            if old is not None:
                slot = old
            else:
                slot = _Slot(self, binding)
                held = self._slots.setdefault(aor, [])
                if len(held) >= policy.max_contacts:  # a phone with a new port at each restart: its oldest twin goes
                    self._drop(min(held, key=lambda one: one.binding.expires_at), "replaced")
                self._slots.setdefault(aor, []).append(slot)
            self._set(slot, binding)
            self._timers.start(slot, Timer.BINDING, binding.expires_at)
            self._emit(Registered(aor, uri, way, expires, user_agent, binding.call_id, binding.cseq, q, refreshed=old is not None))
        return request.response(200, headers=self._contact_headers(aor, now))

    def _remove_all(self, request: Request, aor: str, now: float) -> Response:
        # §10.2.2: "Contact: *" only with "Expires: 0"; that it stands alone is the parser's to see.
        if request.expires != 0:
            return request.response(400, "Contact * Needs Expires 0")
        slots = self._slots.get(aor, [])
        if any(slot.binding.call_id == request.call_id and slot.binding.cseq >= request.cseq.number for slot in slots):
            return request.response(500, "Out Of Order")
        for slot in list(slots):
            self._drop(slot, "removed")
        return request.response(200, headers=self._contact_headers(aor, now))

    def _contact_headers(self, aor: str, now: float) -> list[tuple[str, str]]:
        # Step 8: "The response MUST contain Contact header field values enumerating all current bindings."
        headers = []
        for binding in self.lookup(aor, now):
            q = f";q={binding.q:.3g}" if binding.q != 1.0 else ""
            headers.append(("Contact", f"<{binding.contact}>{q};expires={max(1, round(binding.expires_at - now))}"))
        return headers

    # --- the location service

    def lookup(self, aor: str, now: float) -> list[Binding]:
        """The contacts of an address of record, best q first, freshest first among equals."""
        found = [slot.binding for slot in self._slots.get(aor, ()) if slot.binding.expires_at > now]
        return sorted(found, key=lambda binding: (-binding.q, -binding.expires_at, str(binding.contact)))

    def hosts(self) -> Iterator[str]:
        """The addresses at which what is bound is reached."""
        return iter(self._at)

    def bound_at(self, host: str) -> Iterator[tuple[str, int]]:
        """Address of record and port of everything that is reached at a host."""
        return ((slot.binding.aor, slot.binding.flow.remote[1]) for slot in self._at.get(host, ()))

    def is_home(self, host: str) -> bool:
        """Whether something is bound that is reached at this address."""
        return host in self._at

    def restore(self, bindings: Iterable[Binding], now: float) -> None:
        """Take bindings back after a restart; those past their time are left out, nothing is emitted."""
        for binding in bindings:
            if binding.expires_at <= now:
                continue
            slot = _Slot(self, binding)
            self._slots.setdefault(binding.aor, []).append(slot)
            self._set(slot, binding)
            self._timers.start(slot, Timer.BINDING, binding.expires_at)

    def remove(self, aor: str) -> None:
        """Take all bindings of an address of record away (its owner was deleted)."""
        for slot in list(self._slots.get(aor, ())):
            self._drop(slot, "removed")

    def flow_failed(self, flow: Flow) -> None:
        """A connection has gone: what was bound to it is tried at its contact, if the connection came from there, or else is lost."""
        for slot in list(self._on_connection.get(flow, ())):
            binding = slot.binding
            if binding.contact.host == flow.remote[0] and (way := flow_to(binding.contact, flow)) != flow:
                self._set(slot, msgspec.structs.replace(binding, flow=way))
            else:
                self._drop(slot, "removed")

    def _set(self, slot: _Slot, binding: Binding) -> None:
        """Change a slot's binding and keep the indexes of connections and hosts."""
        self._forget_way(slot)
        slot.binding = binding
        slot.host = binding.flow.remote[0]
        self._at.setdefault(slot.host, {})[slot] = None
        if binding.flow.is_reliable:
            self._on_connection.setdefault(binding.flow, []).append(slot)

    def _forget_way(self, slot: _Slot) -> None:
        if slot.host is not None:
            here = self._at[slot.host]
            del here[slot]
            if not here:
                del self._at[slot.host]
            slot.host = None
        found = self._on_connection.get(slot.binding.flow)
        if found is not None and slot in found:
            found.remove(slot)
            if not found:
                del self._on_connection[slot.binding.flow]

    def expire(self, slot: _Slot) -> None:
        """A binding's time has run out."""
        self._drop(slot, "expired")

    def _drop(self, slot: _Slot, why: Any) -> None:
        binding = slot.binding
        self._timers.stop_all(slot)
        self._forget_way(slot)
        left = [one for one in self._slots.get(binding.aor, ()) if one is not slot]
        if left:
            self._slots[binding.aor] = left
        else:
            self._slots.pop(binding.aor, None)
        self._emit(Unregistered(binding.aor, binding.contact, why))

    def describe(self, now: float) -> dict[str, Any]:
        """AOR -> contacts with seconds left."""
        return {
            aor: [
                {
                    "contact": str(slot.binding.contact),
                    "flow": str(slot.binding.flow),
                    "expires_in": round(slot.binding.expires_at - now, 1),
                    "q": slot.binding.q,
                }
                for slot in slots
            ]
            for aor, slots in self._slots.items()
        }

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))


def _same_contact(a: Uri, b: Uri) -> bool:
    """§10.3 step 7: "using URI comparison rules"; a parameter one of them lacks (a phone's fresh rinstance) does not make two of one."""
    return a.user == b.user and a.host == b.host and a.port == b.port and equivalent(a, b)
