"""The registrar and our own registrations at a carrier: RFC 3261 §10, in virtual time between two engines."""

from itertools import pairwise

import pytest

from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, DigestCredentials, ha1
from sip.events import Registered, RegistrationDown, RegistrationUp, SessionAccepted, Unregistered
from sip.flow import Flow
from sip.message import Request
from sip.parser import parse_datagram
from sip.registrar import Binding, Registrar, RegistrarPolicy
from sip.registration import RegistrationPlan
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.sip.user_agent.network import SDP, Network, answering

FLOW = Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 5060))


def canonical(uri, _who):
    return None if uri.user == "forbidden" else f"{uri.user}@house"


@pytest.fixture
def registrar():
    return Registrar(canonical, RegistrarPolicy(max_contacts=3))


@pytest.fixture
def agent(registrar):
    serial = iter(range(10**6))
    return UserAgent(UserAgentConfig(registrar=registrar), lambda: f"token{next(serial):06d}")


class Phone:
    """Sends REGISTERs with a growing CSeq."""

    def __init__(self, agent, call_id="phone"):
        self.agent, self.call_id, self.cseq = agent, call_id, 0

    def register(self, *contacts, now=0.0, expires=None, to="<sip:anna@house>", cseq=None, flow=FLOW):
        self.cseq = self.cseq + 1 if cseq is None else cseq
        fields = [
            ("Via", f"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{self.call_id}{self.cseq}{now}"),
            ("From", f"{to};tag=f"),
            ("To", to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.cseq} REGISTER"),
            ("User-Agent", "Snom"),
            *(("Contact", contact) for contact in contacts),
        ]
        if expires is not None:
            fields.append(("Expires", str(expires)))
        self.agent.receive(Request.build("REGISTER", Uri.parse("sip:house"), fields).to_bytes(), flow, now)
        [(_, data)] = self.agent.datagrams_to_send()
        return parse_datagram(data)


@pytest.fixture
def phone(agent):
    return Phone(agent)


def contacts(registrar, now=0.0):
    return [str(binding.contact) for binding in registrar.lookup("anna@house", now)]


def test_several_contacts_are_bound_and_all_are_listed_best_q_first(phone, registrar, agent):
    phone.register("<sip:a@192.0.2.1>;q=0.3", expires=600)
    ok = phone.register("<sip:b@192.0.2.1>;q=0.8;expires=120")
    assert [(str(one.uri), one.param("expires")) for one in ok.contacts] == [("sip:b@192.0.2.1", "120"), ("sip:a@192.0.2.1", "600")]
    assert contacts(registrar) == ["sip:b@192.0.2.1", "sip:a@192.0.2.1"]
    first, second = agent.events()
    assert (first.aor, first.expires, first.user_agent, first.flow, first.refreshed) == ("anna@house", 600, "Snom", FLOW, False)
    assert second.q == 0.8


def test_a_refresh_replaces_the_binding_and_says_so(phone, registrar, agent):
    phone.register("<sip:a@192.0.2.1>")
    moved = Flow("udp", FLOW.local, ("198.51.100.1", 40000))
    phone.register("<sip:a@192.0.2.1>", now=10.0, flow=moved)
    assert [event.refreshed for event in agent.events()] == [False, True]
    [binding] = registrar.lookup("anna@house", 10.0)
    assert (binding.flow, binding.expires_at) == (moved, 3610.0)


def test_a_phone_that_sends_from_another_port_than_it_listens_on_is_reached_at_its_contact(phone, registrar):
    phone.register("<sip:a@192.0.2.1:5070>", flow=Flow("udp", FLOW.local, ("192.0.2.1", 40000)))
    [binding] = registrar.lookup("anna@house", 0.0)
    assert binding.flow.remote == ("192.0.2.1", 5070)


def test_a_register_without_contact_asks_only(phone, registrar):
    phone.register("<sip:a@192.0.2.1>")
    assert len(phone.register().contacts) == 1
    assert len(registrar) == 1


def test_expires_zero_removes_one_and_star_removes_all(phone, registrar, agent):
    phone.register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>")
    phone.register("<sip:a@192.0.2.1>;expires=0")
    assert contacts(registrar) == ["sip:b@192.0.2.1"]
    assert phone.register("*", expires=0).status == 200
    assert contacts(registrar) == []
    assert [event.why for event in agent.events() if isinstance(event, Unregistered)] == ["removed", "removed"]


def test_star_without_expires_zero_is_400(phone):
    assert phone.register("*").status == 400
    assert phone.register("*", expires=60).status == 400
    assert phone.register("*", "<sip:a@192.0.2.1>", expires=0).status == 400


def test_too_short_an_interval_is_423_with_min_expires_and_too_long_a_one_is_cut(phone):
    brief = phone.register("<sip:a@192.0.2.1>", expires=10)
    assert (brief.status, brief.headers.get("Min-Expires")) == (423, "60")
    assert phone.register("<sip:a@192.0.2.1>", expires=10**6).contacts[0].param("expires") == "7200"


def test_an_older_register_of_the_same_call_is_refused_and_changes_nothing(phone, registrar):
    """RFC 3261 §10.3 step 7."""
    phone.register("<sip:a@192.0.2.1>", cseq=5)
    assert phone.register("<sip:a@192.0.2.1>;expires=0", cseq=4).status == 500
    assert phone.register("*", expires=0, cseq=3).status == 500
    assert contacts(registrar) == ["sip:a@192.0.2.1"]


def test_either_all_contacts_are_taken_or_none(phone, registrar):
    assert phone.register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>;expires=5").status == 423
    assert contacts(registrar) == []


def test_a_user_who_may_not_register_an_aor_gets_403_and_an_impossible_to_400(phone):
    assert phone.register("<sip:a@192.0.2.1>", to="<sip:forbidden@house>").status == 403
    assert phone.register("<sip:a@192.0.2.1>", to="<tel:+49>").status == 400
    assert phone.register("<mailto:a@b>").status == 400


def test_a_binding_expires_by_itself(phone, registrar, agent):
    phone.register("<sip:a@192.0.2.1>", expires=60)
    agent.events()
    assert contacts(registrar, 59.9)
    assert contacts(registrar, 60.0) == []
    agent.handle_timeout(60.0)
    [event] = agent.events()
    assert (event.aor, event.why) == ("anna@house", "expired")
    assert len(registrar) == 0


def test_one_contact_too_many_replaces_the_one_that_would_expire_first(phone, registrar, agent):
    for number, expires in enumerate((100, 200, 300, 400)):
        phone.register(f"<sip:{number}@192.0.2.1>", expires=expires)
    assert contacts(registrar) == ["sip:3@192.0.2.1", "sip:2@192.0.2.1", "sip:1@192.0.2.1"]
    assert [str(event.contact) for event in agent.events() if isinstance(event, Unregistered)] == ["sip:0@192.0.2.1"]
    assert phone.register(*(f"<sip:many{number}@192.0.2.1>" for number in range(4))).status == 403


def test_bindings_are_restored_after_a_restart_and_expire_then(registrar, agent):
    alive = Binding("anna@house", Uri.parse("sip:a@192.0.2.1"), FLOW, 50.0, 1.0, "phone", 7, "Snom")
    dead = Binding("anna@house", Uri.parse("sip:b@192.0.2.1"), FLOW, 5.0, 1.0, "phone", 7, "Snom")
    registrar.restore([alive, dead], 10.0)
    assert contacts(registrar, 10.0) == ["sip:a@192.0.2.1"]
    assert agent.events() == []
    assert Phone(agent).register("<sip:a@192.0.2.1>", cseq=6, now=11.0).status == 500
    agent.handle_timeout(50.0)
    assert len(agent.events()) == 1


def test_removing_a_user_removes_his_bindings(phone, registrar, agent):
    phone.register("<sip:a@192.0.2.1>")
    registrar.remove("anna@house")
    assert len(registrar) == 0
    assert isinstance(agent.events()[-1], Unregistered)


def test_a_lost_connection_takes_the_bindings_along_that_cannot_be_reached_otherwise(phone, registrar, agent):
    tcp = Flow("tcp", ("192.0.2.2", 5060), ("192.0.2.1", 40000))
    phone.register("<sip:private@10.0.0.1;transport=tcp>", "<sip:open@192.0.2.1:5070;transport=tcp>", flow=tcp)
    agent.transport_failed(tcp, 1.0)
    [binding] = registrar.lookup("anna@house", 1.0)
    assert binding.flow == Flow("tcp", tcp.local, ("192.0.2.1", 5070))
    agent.transport_failed(binding.flow, 2.0)
    assert len(registrar) == 0


def test_describe_tells_seconds_left(phone, agent):
    phone.register("<sip:a@192.0.2.1>", expires=600)
    [binding] = agent.describe(100.0)["bindings"]["anna@house"]
    assert binding["expires_in"] == 500


# --- our own registration at a carrier


class Carrier:
    """A carrier and our side of the trunk, two engines in virtual time."""

    def __init__(self, password="geheim", policy=None, **plan):
        def lookup(_request, username, realm, algorithm):
            return Account(f"{username}@{realm}", ha1(username, realm, "geheim", algorithm)) if username == "trunk" else None

        self.network = Network()
        self.registrar = Registrar(lambda uri, who: f"{uri.user}@carrier" if who == f"{uri.user}@carrier" else None, policy)
        authenticator = Authenticator("carrier", lookup, b"0123456789abcdef", nonce_lifetime_s=100)
        self.carrier = self.network.node("192.0.2.9", UserAgentConfig(authenticator=authenticator, registrar=self.registrar))
        self.ours = self.network.node("192.0.2.2")
        self.plan = RegistrationPlan(
            aor=Uri.parse("sip:trunk@carrier"),
            registrar=Uri.parse("sip:carrier"),
            flow=self.ours.flow(self.carrier),
            credentials=DigestCredentials("trunk", password),
            **plan,
        )

    def begin(self, seconds=1.0):
        self.ours.agent.register("main", self.plan, self.ours.now)
        self.network.run(seconds)
        return self


def test_a_registration_comes_up_and_is_refreshed_before_it_expires():
    trunk = Carrier(expires_s=600).begin()
    assert trunk.ours.one(RegistrationUp).expires == 600
    trunk.network.run(3000)
    assert len(trunk.ours.of(RegistrationUp)) == 1
    assert trunk.carrier.of(Unregistered) == []
    refreshed = [at for event, at in zip(trunk.carrier.events, trunk.carrier.times, strict=True) if isinstance(event, Registered)]
    assert all(480 - 1 <= later - earlier <= 540 + 1 for earlier, later in pairwise(refreshed))
    assert len(refreshed) >= 5


def test_a_stale_nonce_costs_one_more_round_and_no_alarm():
    trunk = Carrier(expires_s=600).begin()
    trunk.network.run(600)  # the carrier's nonces last 100 s
    assert trunk.carrier.agent.counters["digest_stale"] >= 1
    assert trunk.ours.of(RegistrationDown) == []


def test_an_interval_too_brief_is_raised_to_what_the_carrier_wants():
    trunk = Carrier(expires_s=30, policy=RegistrarPolicy(min_expires=300)).begin()
    assert trunk.ours.one(RegistrationUp).expires == 300


def test_a_wrong_password_backs_off_from_30_s_doubling_to_600_s():
    trunk = Carrier(password="falsch").begin(3000)
    downs = trunk.ours.of(RegistrationDown)
    assert {event.status for event in downs} == {401}
    assert [event.retry_in for event in downs[:7]] == [30, 60, 120, 240, 480, 600, 600]
    assert len(trunk.network.sent("REGISTER")) <= 2 * len(downs)


def test_a_carrier_that_is_silent_is_reported_and_comes_back_by_itself():
    trunk = Carrier(expires_s=600).begin()
    trunk.network.drop = lambda data: data.startswith(b"REGISTER")
    trunk.network.run(572)  # refresh after 480 to 540 s, given up 32 s later, not tried again before 30 s more
    assert trunk.ours.one(RegistrationDown).status == 408
    trunk.network.drop = lambda _data: False
    trunk.network.run(120)
    assert len(trunk.ours.of(RegistrationUp)) == 2


def test_a_registration_is_taken_back_and_then_gone():
    trunk = Carrier(expires_s=600).begin()
    trunk.ours.agent.unregister("main", trunk.ours.now)
    trunk.network.run(1)
    down = trunk.ours.one(RegistrationDown)
    assert (down.status, down.retry_in) == (200, None)
    assert len(trunk.registrar) == 0
    assert trunk.ours.agent.describe(trunk.ours.now)["registrations"] == []
    trunk.network.run(1000)
    assert len(trunk.network.sent("REGISTER")) == 3


def test_the_carrier_reaches_us_at_the_contact_we_registered():
    trunk = Carrier(expires_s=600, contact_user="line-7").begin()
    [binding] = trunk.registrar.lookup("trunk@carrier", trunk.network.now)
    answering(trunk.ours)
    from_ = trunk.plan.aor
    trunk.carrier.agent.invite(
        session="in",
        target=binding.contact,
        flow=binding.flow,
        from_=_name(from_),
        to=_name(from_),
        sdp=SDP,
        now=trunk.carrier.now,
    )
    trunk.network.run(1)
    assert trunk.carrier.one(SessionAccepted)
    assert binding.contact.user == "line-7"


def _name(uri):
    from sip.headers.name_addr import NameAddr  # only here

    return NameAddr(uri)


# --- digest on calls


@pytest.mark.parametrize("password", ["geheim", "falsch"])
def test_a_challenged_invite_is_repeated_with_credentials_and_bye_carries_them_too(password):
    trunk = Carrier()
    answering(trunk.carrier)
    trunk.ours.call(trunk.carrier, credentials=DigestCredentials("trunk", password))
    trunk.network.run(2)
    invites = [parse_datagram(data) for _, data in trunk.network.sent("INVITE")]
    assert [one.cseq.number for one in invites] == [1, 2]
    assert len({one.call_id for one in invites}) == len({one.from_tag for one in invites}) == 1
    if password == "falsch":
        assert trunk.ours.endings[0].status == 401
        return
    assert trunk.ours.one(SessionAccepted)
    assert "Authorization" in parse_datagram(trunk.network.sent("ACK")[-1][1]).headers
    trunk.ours.agent.cancel_or_bye("call", trunk.ours.now)
    trunk.network.run(1)
    assert "nc=00000002" in parse_datagram(trunk.network.sent("BYE")[0][1]).headers.get("Authorization")
    assert trunk.carrier.endings[0].by == "remote"


# ---------------------------------------------------------------------- which phone it is: RFC 5626 §6


def instance(number, reg_id=None):
    return f';+sip.instance="<urn:uuid:{number}>"' + (f";reg-id={reg_id}" if reg_id is not None else "")


def test_a_phone_that_boots_replaces_its_own_binding(agent, registrar):
    """RFC 5626 §6: same instance-id and reg-id, whatever the contact and the Call-ID."""
    Phone(agent, "before").register(f"<sip:anna@192.0.2.1:5070>{instance(1, 1)}")
    ok = Phone(agent, "after").register(f"<sip:anna@192.0.2.1:5075>{instance(1, 1)}", now=10.0)
    assert contacts(registrar) == ["sip:anna@192.0.2.1:5075"]
    [told] = ok.contacts
    assert (told.param("+sip.instance"), told.param("reg-id")) == ("<urn:uuid:1>", "1")
    first, again, gone = agent.events()
    assert (first.refreshed, again.refreshed, again.instance) == (False, True, "<urn:uuid:1>")
    assert isinstance(gone, Unregistered)
    assert (str(gone.contact), gone.why) == ("sip:anna@192.0.2.1:5070", "replaced")


@pytest.mark.parametrize(("before", "after"), [(None, None), (None, 1), (1, None)])
def test_the_same_instance_without_outbound_is_the_same_phone(agent, registrar, before, after):
    Phone(agent, "before").register(f"<sip:anna@192.0.2.1:5070>{instance(1, before)}")
    Phone(agent, "after").register(f"<sip:anna@192.0.2.1:5075>{instance(1, after)}")
    assert contacts(registrar) == ["sip:anna@192.0.2.1:5075"]


def test_flows_of_one_phone_stay_beside_each_other_and_one_of_them_is_rung(agent, registrar):
    """RFC 5626 §5.3: never two contacts of one instance in a target set."""
    Phone(agent, "a").register(f"<sip:anna@192.0.2.1:5070>{instance(1, 1)}")
    Phone(agent, "b").register(f"<sip:anna@192.0.2.1:5071>{instance(1, 2)}", now=1.0)
    Phone(agent, "c").register(f"<sip:anna@192.0.2.1:5072>{instance(2, 1)}", now=2.0)
    assert len(contacts(registrar)) == 3
    assert [str(one.contact) for one in registrar.to_ring("anna@house", 3.0)] == ["sip:anna@192.0.2.1:5072", "sip:anna@192.0.2.1:5071"]


def test_a_reg_id_without_an_instance_means_nothing(agent, registrar):
    Phone(agent, "a").register("<sip:anna@192.0.2.1:5070>;reg-id=1")
    Phone(agent, "b").register("<sip:anna@192.0.2.9:5071>;reg-id=1")
    assert len(contacts(registrar)) == 2


def test_a_contact_written_otherwise_at_each_refresh_is_bound_once_and_the_old_spelling_is_told_gone(phone, registrar, agent):
    """A fresh `rinstance` at each boot: whoever keeps bindings by their text must not keep both."""
    phone.register("<sip:anna@192.0.2.1:5070;rinstance=abc>")
    phone.register("<sip:anna@192.0.2.1:5070>")
    assert contacts(registrar) == ["sip:anna@192.0.2.1:5070"]
    *_, gone = agent.events()
    assert (str(gone.contact), gone.why) == ("sip:anna@192.0.2.1:5070;rinstance=abc", "replaced")


def test_star_of_a_phone_that_boots_removes_what_it_had_before(agent, registrar):
    Phone(agent, "before").register("<sip:anna@192.0.2.1:5070>")
    booted = Phone(agent, "after")
    assert booted.register("*", expires=0).status == 200
    booted.register("<sip:anna@192.0.2.1:5075>")
    assert contacts(registrar) == ["sip:anna@192.0.2.1:5075"]


def test_a_twin_is_suspected_by_host_user_and_another_call_id_only(agent, registrar):
    old, new = Uri.parse("sip:anna@192.0.2.1:5070"), Uri.parse("sip:anna@192.0.2.1:5075")
    Phone(agent, "before").register(f"<{old}>")
    Phone(agent, "elsewhere").register("<sip:anna@192.0.2.9:5070>", flow=Flow("udp", FLOW.local, ("192.0.2.9", 5070)))
    Phone(agent, "after").register(f"<{new}>", now=1.0)
    assert [one.contact for one in registrar.possible_twins("anna@house", new)] == [old]
    registrar.forget_contact("anna@house", old)
    assert contacts(registrar) == ["sip:anna@192.0.2.1:5075", "sip:anna@192.0.2.9:5070"]


def test_where_there_are_too_many_a_contact_of_the_same_host_goes_first(agent, registrar):
    far = Flow("udp", FLOW.local, ("192.0.2.9", 5060))
    Phone(agent, "far").register("<sip:anna@192.0.2.9>", expires=60, flow=far)
    for index, port in enumerate((5070, 5071, 5072)):
        Phone(agent, f"near{index}").register(f"<sip:anna@192.0.2.1:{port}>", now=float(index))
    assert set(contacts(registrar)) == {"sip:anna@192.0.2.9", "sip:anna@192.0.2.1:5071", "sip:anna@192.0.2.1:5072"}


def test_what_answers_nothing_is_not_rung_until_it_registers_again(phone, registrar):
    contact = Uri.parse("sip:anna@192.0.2.1:5070")
    phone.register(f"<{contact}>")
    assert registrar.mark("anna@house", contact, is_unreachable=True)
    assert not registrar.mark("anna@house", contact, is_unreachable=True)
    assert registrar.to_ring("anna@house", 1.0) == []
    phone.register(f"<{contact}>", now=2.0)
    assert len(registrar.to_ring("anna@house", 3.0)) == 1


# ---------------------------------------------------------------------- Path: RFC 3327


def test_path_is_kept_told_and_routed_along(agent, registrar):
    fields = [
        ("Via", "SIP/2.0/UDP 192.0.2.50:5060;branch=z9hG4bKedge"),
        ("From", "<sip:anna@house>;tag=f"),
        ("To", "<sip:anna@house>"),
        ("Call-ID", "behind"),
        ("CSeq", "1 REGISTER"),
        ("Supported", "path"),
        ("Path", "<sip:edge.example;lr>, <sip:inner.example;lr>"),
        ("Contact", "<sip:anna@10.0.0.9>"),
    ]
    edge = Flow("udp", FLOW.local, ("192.0.2.50", 5060))
    agent.receive(Request.build("REGISTER", Uri.parse("sip:house"), fields).to_bytes(), edge, 0.0)
    [(_, data)] = agent.datagrams_to_send()
    ok = parse_datagram(data)
    assert (ok.status, ok.headers.get("Path")) == (200, "<sip:edge.example;lr>, <sip:inner.example;lr>")
    [binding] = registrar.lookup("anna@house", 0.0)
    assert [str(one) for one in binding.routes] == ["sip:edge.example;lr", "sip:inner.example;lr"]
    assert binding.flow == edge


# ---------------------------------------------------------------------- force-rport: RFC 3581


@pytest.mark.parametrize("is_forced", [False, True])
def test_a_phone_that_leaves_rport_out_is_answered_where_it_sends_from_if_the_site_says_so(is_forced):
    registrar = Registrar(canonical)
    config = UserAgentConfig(registrar=registrar, forces_rport=lambda _request, _flow: is_forced)
    serial = iter(range(10**6))
    agent = UserAgent(config, lambda: f"token{next(serial):06d}")
    behind_nat = Flow("udp", FLOW.local, ("192.0.2.1", 40000))
    fields = [
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKnat"),
        ("From", "<sip:anna@house>;tag=f"),
        ("To", "<sip:anna@house>"),
        ("Call-ID", "behind"),
        ("CSeq", "1 REGISTER"),
        ("Contact", "<sip:anna@192.0.2.1:5060>"),
    ]
    agent.receive(Request.build("REGISTER", Uri.parse("sip:house"), fields).to_bytes(), behind_nat, 0.0)
    [(flow, _)] = agent.datagrams_to_send()
    [binding] = registrar.lookup("anna@house", 0.0)
    port = 40000 if is_forced else 5060
    assert (flow.remote[1], binding.flow.remote[1]) == (port, port)
