"""Whose call, device and number it is: nothing that one tenant sets up takes what is another's."""

import random

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core.configuration import TenantConfiguration
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.directory import Directory, Nobodys
from acd.service import Device, TenantSetup, TrunkLine, TrunkRegistration


def tenant(name: str, *sources: str, numbers: tuple[str, ...] = (), devices: tuple[Device, ...] = (), domain: str = "") -> TenantSetup:
    """A tenant to whom its E.164 numbers are assigned."""
    return TenantSetup(
        configuration=TenantConfiguration(
            tenant=TenantId(name), numbers=tuple(conf.Number(number=one, target=conf.ToHangUp()) for one in numbers)
        ),
        trunks=tuple(TrunkLine(id=TrunkId(f"{name}-{index}"), peer="", sources=(source,)) for index, source in enumerate(sources)),
        devices=devices,
        domain=domain,
        assigned=frozenset(one for one in numbers if one.startswith("+")),
    )


def device(username: str, *, bare: bool = True) -> Device:
    return Device(agent=AgentId(username), username=username, ha1_md5="", ha1_sha256="", bare=bare)


def identified(name: str, identity: str, *numbers: str, sources: tuple[str, ...] = ()) -> TenantSetup:
    """A tenant whose trunk has to prove this."""
    made = tenant(name, numbers=numbers)
    line = TrunkLine(id=TrunkId(f"{name}-proved"), peer="", transport="tls", sources=sources, tls_identity=identity)
    return msgspec.structs.replace(made, trunks=(line,))


def whose(directory: Directory, host: str, called: str, *proven: str) -> str | None:
    """The tenant of a call, `nobody` where several have the source and none the number, None for a stranger."""
    found = directory.trunk_from(host, lambda _line: called, proven)
    return "nobody" if isinstance(found, Nobodys) else found[0] if found is not None else None


@pytest.fixture
def directory() -> Directory:
    made = Directory()
    made.put(tenant("wide", "10.0.0.0/8", "fd00::/8", numbers=("601", "+49301")))
    made.put(tenant("narrow", "10.1.2.0/24", numbers=("602", "+49302")))
    return made


@pytest.mark.parametrize(
    ("host", "called", "owner"),
    [
        ("10.1.2.3", "+49301", "wide"),
        ("10.1.2.3", "+49302", "narrow"),
        ("::ffff:10.1.2.3", "+49302", "narrow"),
        # A narrower network takes nothing, and a number of one's own numbering plan tells nobody apart.
        ("10.1.2.3", "+49399", "nobody"),
        ("10.1.2.3", "601", "nobody"),
        ("10.1.2.3", "602", "nobody"),
        ("10.9.9.9", "+49301", "wide"),
        ("10.9.9.9", "601", "wide"),
        ("10.9.9.9", "+49302", "wide"),
        ("fd00::1", "601", "wide"),
        ("192.0.2.1", "+49301", None),
        ("no address", "601", None),
    ],
)
def test_a_call_from_a_source_of_several_tenants_is_of_the_one_whose_number_it_is(directory, host, called, owner):
    assert whose(directory, host, called) == owner


def test_of_a_tenants_own_lines_the_narrowest_network_is_the_calls(directory):
    directory.put(tenant("wide", "10.0.0.0/8", "10.8.0.0/16", numbers=("601",)))
    assert directory.trunk_from("10.8.1.1", lambda _line: "601")[1].id == "wide-1"
    assert directory.trunk_from("10.9.1.1", lambda _line: "601")[1].id == "wide-0"


def test_a_line_known_by_the_addresses_of_its_names_claims_nothing_of_anothers_source(directory):
    guest = tenant("guest", numbers=("603", "+49303"))
    directory.put(msgspec.structs.replace(guest, trunks=(TrunkLine(id=TrunkId("line"), peer="carrier.test"),)))
    directory.learn_addresses(TenantId("guest"), TrunkId("line"), ["10.9.9.9"])
    assert whose(directory, "10.9.9.9", "+49303") == "guest"
    assert [whose(directory, "10.9.9.9", called) for called in ("601", "603", "+49301", "+49399")] == ["wide"] * 4


def test_a_line_that_has_to_prove_something_is_known_by_that_alone(directory):
    directory.put(identified("proved", "sbc.example", "+49303", sources=("192.0.2.0/24",)))
    assert whose(directory, "192.0.2.1", "+49303") is None
    assert whose(directory, "192.0.2.1", "+49303", "other.example") is None
    assert whose(directory, "198.51.100.1", "+49303", "other.example", "sbc.example") == "proved"
    directory.put(identified("proved", "new.example", "+49303"))
    assert whose(directory, "198.51.100.1", "+49303", "sbc.example") is None
    directory.drop(TenantId("proved"))
    assert whose(directory, "198.51.100.1", "+49303", "new.example") is None


def test_to_name_what_a_certificate_proves_takes_no_calls_from_who_has_the_source_or_the_number(directory):
    directory.put(identified("proved", "sbc.example", "+49303"))
    directory.put(identified("second", "sbc.example", "+49304"))
    assert whose(directory, "10.9.9.9", "+49301", "sbc.example") == "wide"
    assert whose(directory, "10.9.9.9", "+49399", "sbc.example") == "wide"  # nobody's number: of who says that this is its source
    assert whose(directory, "10.9.9.9", "+49303", "sbc.example") == "proved"
    assert whose(directory, "192.0.2.1", "+49304", "sbc.example") == "second"
    assert whose(directory, "192.0.2.1", "+49399", "sbc.example") == "nobody"


def test_of_a_tenants_lines_the_one_that_is_proved_comes_before_those_known_by_their_address(directory):
    made = tenant("both", "198.51.100.7/32", numbers=("+49305",))
    proved = TrunkLine(id=TrunkId("proved"), peer="", transport="tls", tls_identity="sbc.example")
    directory.put(msgspec.structs.replace(made, trunks=(*made.trunks, proved)))
    assert directory.trunk_from("198.51.100.7", lambda _line: "+49305", ("sbc.example",))[1].id == "proved"
    assert directory.trunk_from("198.51.100.7", lambda _line: "+49305")[1].id == "both-0"


def test_a_bare_user_name_belongs_to_the_tenant_that_had_it_first(directory):
    directory.put(tenant("wide", devices=(device("anna"),), domain="wide.fernamt"))
    with pytest.raises(ValueError, match="device anna: the bare user name is taken"):
        directory.put(tenant("narrow", devices=(device("anna"),)))
    directory.put(tenant("narrow", devices=(device("anna", bare=False),), domain="narrow.fernamt"))
    found = {
        (login, domain): (account[0], account[2]) if (account := directory.account(login, domain)) is not None else None
        for login in ("anna", "anna@narrow.fernamt", "anna@wide.fernamt", "anna@other.fernamt", "otto")
        for domain in ("192.0.2.1", "fernamt", "Narrow.Fernamt", "wide.fernamt")
    }
    assert found == {
        ("anna", "192.0.2.1"): ("wide", False),
        ("anna", "fernamt"): ("wide", False),
        ("anna", "Narrow.Fernamt"): ("narrow", False),
        ("anna", "wide.fernamt"): ("wide", False),
        **{("anna@narrow.fernamt", domain): ("narrow", True) for domain in ("192.0.2.1", "fernamt", "Narrow.Fernamt", "wide.fernamt")},
        **{("anna@wide.fernamt", domain): ("wide", True) for domain in ("192.0.2.1", "fernamt", "Narrow.Fernamt", "wide.fernamt")},
        **{("anna@other.fernamt", domain): None for domain in ("192.0.2.1", "fernamt", "Narrow.Fernamt", "wide.fernamt")},
        **{("otto", domain): None for domain in ("192.0.2.1", "fernamt", "Narrow.Fernamt", "wide.fernamt")},
    }
    directory.drop(TenantId("wide"))
    assert directory.account("anna", "fernamt") is None
    assert directory.account("anna", "narrow.fernamt") is not None


def test_a_telephony_domain_belongs_to_one_tenant(directory):
    directory.put(tenant("wide", domain="phones.example"))
    with pytest.raises(ValueError, match=r"tenant narrow: the telephony domain Phones\.Example is taken"):
        directory.put(tenant("narrow", domain="Phones.Example"))
    directory.put(tenant("wide", domain="wide.example"))
    directory.put(tenant("narrow", domain="Phones.Example"))
    assert directory.tenant_of_domain("phones.EXAMPLE") == "narrow"


@pytest.mark.parametrize(
    ("wishes", "shown"),
    [
        (("+4930111",), "+4930111"),  # assigned
        (("+4930222",), "+4930222"),  # granted
        (("+4930333",), None),  # anybody's
        (("+4930333", "+4930111"), "+4930111"),
        ((None, "+4930111"), "+4930111"),
        (("110",), None),
        (("+49110",), None),
        (("+499005123456",), None),
        (("21",), None),
        ((None, None), None),
    ],
)
def test_a_caller_id_is_a_number_that_is_the_tenants_own_or_granted(directory, wishes, shown):
    setup = msgspec.structs.replace(tenant("acme", numbers=("+4930111",)), caller_ids=frozenset({"+4930222", "110", "+499005123456"}))
    directory.put(setup)
    assert directory.caller_id(TenantId("acme"), TrunkId("carrier"), *wishes) == shown


def test_to_its_own_pbx_a_tenant_shows_its_internal_numbers(directory):
    pbx = (conf.Trunk(id=TrunkId("pbx"), name="PBX", internal=True), conf.Trunk(id=TrunkId("carrier"), name="Carrier"))
    setup = tenant("acme")
    directory.put(msgspec.structs.replace(setup, configuration=msgspec.structs.replace(setup.configuration, trunks=pbx)))
    assert directory.caller_id(TenantId("acme"), TrunkId("pbx"), "21") == "21"
    assert directory.caller_id(TenantId("acme"), TrunkId("carrier"), "21") is None
    assert directory.caller_id(TenantId("acme"), TrunkId("pbx"), "112") is None


def test_a_source_that_is_no_network_is_named(directory):
    with pytest.raises(ValueError, match=r"trunk narrow-0: source '10\.0\.0' is not an IP network"):
        directory.put(tenant("narrow", "10.0.0"))


def test_a_tenant_that_is_gone_owns_nothing(directory):
    directory.drop(TenantId("narrow"))
    assert whose(directory, "10.1.2.3", "+49302") == "wide"


def test_what_is_remembered_of_a_sender_goes_when_trunks_change(directory):
    assert whose(directory, "10.1.2.3", "+49302") == "narrow"
    directory.put(tenant("narrow", "10.1.3.0/24", numbers=("602", "+49302")))
    assert whose(directory, "10.1.2.3", "+49302") == "wide"
    directory.drop(TenantId("wide"))
    assert whose(directory, "10.1.2.3", "+49302") is None
    registering = TenantSetup(
        configuration=TenantConfiguration(tenant=TenantId("home")),
        trunks=(TrunkLine(id=TrunkId("line"), peer="carrier.test", sources=()),),
    )
    directory.put(registering)
    directory.learn_addresses(TenantId("home"), TrunkId("line"), ["10.1.2.3"])
    assert whose(directory, "10.1.2.3", "+49302") == "home"
    directory.forget_line(TenantId("home"), TrunkId("line"))
    assert whose(directory, "10.1.2.3", "+49302") is None


def test_a_flood_of_senders_does_not_fill_the_memory(directory, monkeypatch):
    monkeypatch.setattr("acd.directory.MAX_HOSTS", 10)
    for host in range(100):
        whose(directory, f"192.0.2.{host}", "601")
    assert len(directory._lines_of) <= 10
    assert whose(directory, "10.1.2.3", "+49302") == "narrow"


def _drawn(rng: random.Random, name: str) -> TenantSetup:
    """A setup of which most is as in the others, some is not."""
    people = rng.sample(("anna", "ben", "carl", "dora"), rng.randint(0, 4))
    lines = rng.sample(("carrier", "pbx"), rng.randint(0, 2))
    return TenantSetup(
        configuration=TenantConfiguration(
            tenant=TenantId(name),
            agents=tuple(conf.Agent(id=AgentId(one), name=rng.choice("AB"), device=one) for one in people),
            numbers=tuple(conf.Number(number=one, target=conf.ToHangUp()) for one in rng.sample(("600", "601"), rng.randint(0, 2))),
            trunks=tuple(conf.Trunk(id=TrunkId(one), name=one, internal=rng.random() < 0.5) for one in lines),
        ),
        domain=rng.choice(("", f"{name}.one", f"{name}.two")),
        assigned=frozenset(rng.sample(("+491", "+492"), rng.randint(0, 2))),
        devices=tuple(
            Device(agent=AgentId(one), username=f"{name}-{one}", bare=rng.random() < 0.5, ha1_md5=rng.choice("xy"), ha1_sha256="")
            for one in people
        ),
        trunks=tuple(
            TrunkLine(
                id=TrunkId(one),
                peer="",
                sources=("10.0.0.0/8",) if rng.random() < 0.5 else (),
                registration=rng.choice((None, TrunkRegistration(registrar="x", username=rng.choice(("u", "v")), password="p"))),
                tls_identity=rng.choice((None, "a.example", "b.example")),
            )
            for one in lines
        ),
    )


def test_after_any_changes_the_directory_is_as_one_made_of_the_setups_anew():
    rng, followed = random.Random(7), Directory()
    for _ in range(300):
        name = rng.choice(("acme", "other", "third"))
        if rng.random() < 0.1:
            followed.drop(TenantId(name))
        else:
            followed.put(_drawn(rng, name))
        anew = Directory()
        for setup in followed.setups.values():
            anew.put(setup)
        assert followed == anew
        assert list(followed._lines) == list(anew._lines)


def test_what_a_trunk_is_known_by_for_audio_is_its_peers_and_its_sources(directory):
    trunk = TrunkId("narrow-0")
    directory.learn_peers(TenantId("narrow"), trunk, ["203.0.113.5"])
    assert directory.peers_of(TenantId("narrow"), trunk) == {"203.0.113.5"}
    assert directory.peers_of(TenantId("wide"), TrunkId("wide-0")) == frozenset()
    asked = {host: directory.is_source_of(TenantId("narrow"), trunk, host) for host in ("10.1.2.9", "10.1.3.9", "a.name")}
    assert asked == {"10.1.2.9": True, "10.1.3.9": False, "a.name": False}


@pytest.mark.parametrize(
    ("assigned", "carriers", "called", "wishes", "shown"),
    [
        (("+49302",), ("a", "b"), "+4989", ("+49302", None), "+49302"),
        (("+49302",), ("a", "b"), "+4989", (None, "+4999"), "+49302"),  # its only number
        (("+49302", "+49301"), ("a",), "+4989", (None, None), "+49301"),  # all of them lie at its only carrier
        (("+49302", "+49301"), ("a", "b"), "+4989", (None, None), "anonymous"),  # which lies at which is not known
        (("+49302", "+49301"), ("a", "b"), "110", (None, None), "+49301"),
        (("+49302", "+49301"), ("a", "b"), "112", ("+4999", None), "+49301"),
        (("+49302", "+49301"), ("a", "b"), "112", ("+49302", None), "+49302"),
        (("+49302",), ("b",), "+4989", (None, None), "anonymous"),  # over the own PBX, which knows its extensions
        (("+49302",), ("b",), "110", (None, None), "+49302"),
        ((), ("a",), "110", (None, None), "anonymous"),  # nothing is known that could be shown
    ],
)
def test_a_call_to_the_outside_shows_a_number_of_the_tenants(assigned, carriers, called, wishes, shown):
    made = Directory()
    trunks = tuple(conf.Trunk(id=TrunkId(one), name=one) for one in ("a", "b") if one in carriers)
    if "a" not in carriers:
        trunks = (conf.Trunk(id=TrunkId("a"), name="PBX", internal=True), *trunks)
    setup = msgspec.structs.replace(tenant("acme", numbers=assigned), caller_ids=frozenset())
    made.put(msgspec.structs.replace(setup, configuration=msgspec.structs.replace(setup.configuration, trunks=trunks)))
    assert made.shown(TenantId("acme"), TrunkId("a"), called, *wishes) == shown
    made.put(tenant("acme"))
    assert made.shown(TenantId("acme"), TrunkId("a"), "110") == "anonymous"


def test_whose_a_number_is_is_known_without_asking_every_tenant():
    """The index says what a look through all set-ups says, however numbers come, go and change hands."""
    rng, made = random.Random(7), Directory()
    numbers = [f"+4930{n}" for n in range(6)]
    names = [f"t{n}" for n in range(5)]
    for _ in range(300):
        name = rng.choice(names)
        if rng.random() < 0.2:
            made.drop(TenantId(name))
        else:
            made.put(tenant(name, numbers=tuple(rng.sample(numbers, rng.randrange(4)))))
        for number in numbers:
            for asking in names:
                others = [setup for one, setup in made.setups.items() if one != asking]
                assert made.is_anothers(TenantId(asking), number) == any(number in setup.assigned for setup in others)
