"""Registrar and location service: RFC 3261 §10.3 (processing), §10.2.2 (removal), §21.4.17 (423); RFC 5626 §6, RFC 3327.

A phone that started anew has another contact and, for a while, a dead twin. Where it says which phone it is (`+sip.instance`, RFC 5626
§4.1), the new binding replaces the old one. Flows of their own (`reg-id`) stay beside each other, and `to_ring` gives one of each phone.

Pure: bindings live in memory; whoever must keep them over a restart listens to Registered/Unregistered and calls `restore`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from sip.dialog import flow_to
from sip.events import Event, Registered, Unregistered
from sip.flow import Flow
from sip.grammar import quote
from sip.headers.contact import contact_expires_s, contact_instance, contact_q, contact_reg_id
from sip.message import Request, Response
from sip.timers import Timer, TimerTable
from sip.uri import Uri, equivalent

CanonicalAor = Callable[[Uri, str | None], str | None]
"""Maps (To URI, authenticated_as) to the key `user@domain` of an address of record, or None when that user may not register it."""

Moved = Callable[[str, Flow, Flow, float], None]
"""Told an address of record, the flow it was reached over, the one it is reached over now, and the time."""


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
    instance: str | None = None
    """Which phone it is, in its own words (RFC 5626 §4.1)."""
    reg_id: int | None = None
    """Which of its ways to us."""
    path: tuple[str, ...] = ()
    """URIs of the proxies on the way to it, nearest first (RFC 3327 §5.3)."""
    is_unreachable: bool = False
    """It answered nothing when it was asked last; see `Registrar.mark`."""

    @property
    def routes(self) -> tuple[Uri, ...]:
        """The route set of requests to it."""
        return tuple([Uri.parse(one) for one in self.path])


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
        self._moved: Moved = lambda _aor, _before, _after, _now: None
        self.may_use: Callable[[str, Flow], bool] = lambda _aor, _flow: True
        """Whether an address of record may be reached that way, where a lost connection leaves no other; the application's to set."""
        self._left: dict[str, dict[Flow, _Left]] = {}
        """Address of record -> its connections that were lost, and whose they were, until the phone comes again or its time is over."""

    def attach(self, timers: TimerTable, emit: Callable[[Event], None], moved: Moved | None = None) -> None:
        """Join the user agent's timers and events; called by it, once, before anything is bound.

        Args:
            moved: told that what was reached over one flow is now reached over another.
        """
        self._timers = timers
        self._emit = emit
        self._moved = moved or self._moved

    # --- the request

    def register(self, request: Request, authenticated_as: str | None, flow: Flow, now: float, *, keeps_flow: bool = False) -> Response:
        """RFC 3261 §10.3, steps 3 to 8 (1, 2 and 3's authentication are the user agent's).

        Args:
            keeps_flow: it is reached over the flow it sends on, whatever its contact says.
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
        path = tuple([str(one.uri) for one in request.path])
        wanted: list[_Wanted] = []
        for contact in request.contacts:
            if not contact.uri.is_sip:
                return request.response(400, "Contact Is Not A SIP URI")
            if contact.uri.scheme == "sips" and not flow.is_protected:
                return request.response(400, "SIPS Contact Over An Unprotected Hop")  # it could not be called (RFC 5630 §3.1.3)
            # Step 7: the contact's own expires, else the header's, else ours.
            own = contact_expires_s(contact)
            expires = own if own is not None else policy.default_expires if header_expires is None else header_expires
            if 0 < expires < policy.min_expires:
                return request.response(423, headers=[("Min-Expires", str(policy.min_expires))])
            instance, reg_id = contact_instance(contact), contact_reg_id(contact)
            old = _same_phone(slots, instance, reg_id) or next(
                (slot for slot in slots if _same_contact(slot.binding.contact, contact.uri)), None
            )
            # Step 7: same Call-ID and a CSeq not higher: "the update MUST be aborted and the request fails".
            if old is not None and old.binding.call_id == request.call_id and old.binding.cseq >= request.cseq.number:
                return request.response(500, "Out Of Order")
            wanted.append(_Wanted(contact.uri, min(expires, policy.max_expires), contact_q(contact), instance, reg_id, old))
        added = sum(1 for one in wanted if one.expires and one.old is None)
        removed = sum(1 for one in wanted if not one.expires and one.old is not None)
        if len(slots) + added - removed > policy.max_contacts and added > policy.max_contacts:
            return request.response(403, "Too Many Contacts")
        # "All or nothing": every contact has been judged before the first is changed.
        for one in wanted:
            self._bind(aor, one, request, flow, path, now, keeps_flow=keeps_flow)
        headers = self._contact_headers(aor, now)
        if path and "path" in request.supported:
            # RFC 3327 §5.3: "the registrar copies the Path header field values into a Path header field in the successful (200) response".
            headers += [("Path", value) for value in request.headers.get_all("Path")]
        return request.response(200, headers=headers)

    def _bind(
        self, aor: str, wanted: "_Wanted", request: Request, flow: Flow, path: tuple[str, ...], now: float, *, keeps_flow: bool
    ) -> None:
        """One contact of a REGISTER that has been judged."""
        uri, old = wanted.uri, wanted.old
        if wanted.expires == 0:
            if old is not None:
                self._drop(old, "removed")
            return
        # A contact at the very host that sent it is believed; any other (a private address seen under a public one) is reached by the
        # flow itself, as is everything on a connection, and what is behind proxies that want to stay in the path by these.
        way = flow_to(uri, flow) if uri.host == flow.remote[0] and not (flow.is_reliable or path or keeps_flow) else flow
        user_agent = request.headers.get("User-Agent")
        binding = Binding(
            aor,
            uri,
            way,
            now + wanted.expires,
            wanted.q,
            request.call_id,
            request.cseq.number,
            user_agent,
            wanted.instance,
            wanted.reg_id,
            path,
        )
        before = old.binding if old is not None else None
        for other in [one for one in self._slots.get(aor, ()) if one is not old and str(one.binding.contact) == str(uri)]:
            self._drop(other, "replaced")  # another phone was there before
        slot = old if old is not None else self._new_slot(binding, flow)
        self._set(slot, binding)
        self._timers.start(slot, Timer.BINDING, binding.expires_at)
        self._emit(
            Registered(
                aor,
                uri,
                way,
                wanted.expires,
                user_agent,
                binding.call_id,
                binding.cseq,
                binding.q,
                refreshed=before is not None,
                instance=binding.instance,
                reg_id=binding.reg_id,
                path=path,
            )
        )
        if before is not None and str(before.contact) != str(uri):
            self._emit(Unregistered(aor, before.contact, "replaced"))
        self._follow_phone(before, binding, now)

    def _new_slot(self, binding: Binding, flow: Flow) -> "_Slot":
        held = self._slots.get(binding.aor, [])
        if len(held) >= self.policy.max_contacts:  # a phone with a new port at each restart: its oldest twin goes
            here = [one for one in held if one.binding.flow.remote[0] == flow.remote[0]]
            self._drop(min(here or held, key=lambda one: one.binding.expires_at), "replaced")
        slot = _Slot(self, binding)
        self._slots.setdefault(binding.aor, []).append(slot)
        return slot

    def _follow_phone(self, before: Binding | None, binding: Binding, now: float) -> None:
        """What is under way with a phone that is reached otherwise than before goes on there (RFC 5626 §5.3, RFC 5923 §8)."""
        if before is not None and not binding.flow.leads_as(before.flow):
            self._moved(binding.aor, before.flow, binding.flow, now)
        left = self._left.get(binding.aor)
        for flow, whose in list(left.items()) if left is not None else ():
            if whose.is_of(binding):
                del self._left[binding.aor][flow]
                self._moved(binding.aor, flow, binding.flow, now)
        if left is not None and not left:
            self._left.pop(binding.aor, None)

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
            which = f";+sip.instance={quote(binding.instance)}" if binding.instance is not None else ""
            which += f";reg-id={binding.reg_id}" if binding.reg_id is not None else ""
            headers.append(("Contact", f"<{binding.contact}>{q}{which};expires={max(1, round(binding.expires_at - now))}"))
        return headers

    # --- the location service

    def lookup(self, aor: str, now: float) -> list[Binding]:
        """The contacts of an address of record, best q first, freshest first among equals."""
        found = [slot.binding for slot in self._slots.get(aor, ()) if slot.binding.expires_at > now]
        return sorted(found, key=lambda binding: (-binding.q, -binding.expires_at, str(binding.contact)))

    def to_ring(self, aor: str, now: float) -> list[Binding]:
        """The contacts that a call goes to: without those that answer nothing, and one of each phone.

        RFC 5626 §5.3: the target set must not hold "more than one contact with the same AOR and instance-id" at a time.
        """
        found: list[Binding] = []
        phones: set[str] = set()
        for binding in self.lookup(aor, now):
            if binding.is_unreachable or binding.instance in phones:
                continue
            found.append(binding)
            if binding.instance is not None:
                phones.add(binding.instance)
        return found

    def mark(self, aor: str, contact: Uri, *, is_unreachable: bool) -> bool:
        """Note whether anybody answers at a contact; a registration says by itself that somebody does. Returns: whether that is new."""
        for slot in self._slots.get(aor, ()):
            if str(slot.binding.contact) == str(contact) and slot.binding.is_unreachable != is_unreachable:
                slot.binding = msgspec.structs.replace(slot.binding, is_unreachable=is_unreachable)
                return True
        return False

    def possible_twins(self, aor: str, contact: Uri) -> list[Binding]:
        """What may be the same phone as this contact before it was started anew: the same user at the same host under another port, bound
        by another Call-ID (§10.2: a phone uses one until it boots), and nobody says which phones they are. Whether it is must be asked.
        """
        bound = [slot.binding for slot in self._slots.get(aor, ())]
        new = next((one for one in bound if str(one.contact) == str(contact)), None)
        if new is None or new.instance is not None:
            return []
        return [
            one
            for one in bound
            if one.instance is None
            and one.call_id != new.call_id
            and (one.contact.user, one.contact.host) == (new.contact.user, new.contact.host)
            and one.flow.remote[0] == new.flow.remote[0]
            and one.contact.port != new.contact.port
        ]

    def forget_contact(self, aor: str, contact: Uri) -> None:
        """A contact turned out to be what another one has replaced."""
        for slot in list(self._slots.get(aor, ())):
            if str(slot.binding.contact) == str(contact):
                self._drop(slot, "replaced")

    def hosts(self) -> Iterator[str]:
        """The addresses at which what is bound is reached."""
        return iter(self._at)

    def bound_at(self, host: str) -> Iterator[tuple[str, int]]:
        """Address of record and port of everything that is reached at a host."""
        return ((slot.binding.aor, slot.binding.flow.remote[1]) for slot in self._at.get(host, ()))

    def is_home(self, host: str) -> bool:
        """Whether something is bound that is reached at this address."""
        return host in self._at

    def may_come_back(self, aor: str) -> bool:
        """Whether a phone of this address of record is registered, or was until its connection was lost."""
        return aor in self._slots or aor in self._left

    def expect(self, aor: str, flow: Flow, contact: Uri) -> None:
        """After a restart: a call goes by that connection, which died; whoever registers with that user and host is its phone come back."""
        known = self._left.get(aor, {})
        if all(one.way != flow.way for one in known):
            self._note_left(aor, flow, _Left(contact, None, None, is_known=False))

    def connections(self) -> Iterator[Flow]:
        """The connections over which somebody is registered."""
        return iter(self._on_connection)

    def restore(self, bindings: Iterable[Binding], now: float) -> None:
        """Take bindings back after a restart; those past their time are left out, nothing is emitted.

        A connection died with its process: nobody is rung there, but its phone is expected back, and what is under way with it then goes on
        (`may_come_back`).
        """
        for binding in bindings:
            if binding.expires_at <= now:
                continue
            if binding.flow.is_reliable:
                self._note_lost(binding)
                continue
            slot = _Slot(self, binding)
            self._slots.setdefault(binding.aor, []).append(slot)
            self._set(slot, binding)
            self._timers.start(slot, Timer.BINDING, binding.expires_at)

    def remove(self, aor: str) -> None:
        """Take all bindings of an address of record away (its owner was deleted)."""
        self._left.pop(aor, None)
        for slot in list(self._slots.get(aor, ())):
            self._drop(slot, "removed")

    def flow_failed(self, flow: Flow) -> None:
        """A connection has gone: what was bound to it is tried at its contact, if the connection came from there, or else is lost."""
        for slot in list(self._on_connection.get(flow, ())):
            binding = slot.binding
            self._note_lost(binding)
            # RFC 7118 §5: a page listens nowhere.
            stays = flow.is_websocket or binding.contact.host != flow.remote[0]
            way = flow if stays else flow_to(binding.contact, flow)
            if way != flow and self.may_use(binding.aor, way):
                self._set(slot, msgspec.structs.replace(binding, flow=way))
            else:
                self._drop(slot, "removed")

    def _note_lost(self, binding: Binding) -> None:
        """Its connection is gone: whoever it is may come back over another."""
        self._note_left(binding.aor, binding.flow, _Left(binding.contact, binding.instance, binding.reg_id))

    def _note_left(self, aor: str, flow: Flow, whose: "_Left") -> None:
        lost = self._left.setdefault(aor, {})
        lost[flow] = whose
        while len(lost) > self.policy.max_contacts:  # whoever reconnects for ever leaves no more than that
            del lost[next(iter(lost))]

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


class _Wanted(msgspec.Struct, frozen=True):
    """What a REGISTER asks of one contact."""

    uri: Uri
    expires: int
    q: float
    instance: str | None
    reg_id: int | None
    old: _Slot | None


class _Left(msgspec.Struct, frozen=True):
    """Whose a connection was that has been lost."""

    contact: Uri
    instance: str | None
    reg_id: int | None
    is_known: bool = True
    """False: what it says of itself was not written down."""

    def is_of(self, binding: Binding) -> bool:
        """Whether that phone has come again: by its own word, or as the same user at the same host where it says nothing."""
        if self.is_known and (self.instance is not None or binding.instance is not None):
            return self.instance == binding.instance and _same_flow(self.reg_id, binding.reg_id)
        return (self.contact.user, self.contact.host) == (binding.contact.user, binding.contact.host)


def _same_flow(a: int | None, b: int | None) -> bool:
    """A phone that says no reg-id has one way to us only, whatever it said before."""
    return a == b or a is None or b is None


def _same_phone(slots: list[_Slot], instance: str | None, reg_id: int | None) -> _Slot | None:
    """RFC 5626 §6: the binding with the same instance-id and reg-id is replaced."""
    if instance is None:
        return None
    return next((one for one in slots if one.binding.instance == instance and _same_flow(one.binding.reg_id, reg_id)), None)


def _same_contact(a: Uri, b: Uri) -> bool:
    """§10.3 step 7: "using URI comparison rules"; a parameter one of them lacks (a phone's fresh rinstance) does not make two of one."""
    return a.user == b.user and a.host == b.host and a.port == b.port and equivalent(a, b)
