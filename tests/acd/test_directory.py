"""Whose call it is: by the number that was called, then by the narrowest network."""

import random

import pytest

from acd.core import configuration as conf
from acd.core.configuration import TenantConfiguration
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.directory import Directory
from acd.service import Device, TenantSetup, TrunkLine, TrunkRegistration


def tenant(name: str, *sources: str, numbers: tuple[str, ...] = (), devices: tuple[str, ...] = ()) -> TenantSetup:
    return TenantSetup(
        configuration=TenantConfiguration(
            tenant=TenantId(name), numbers=tuple(conf.Number(number=one, target=conf.ToHangUp()) for one in numbers)
        ),
        trunks=tuple(TrunkLine(id=TrunkId(f"{name}-{index}"), peer="", sources=(source,)) for index, source in enumerate(sources)),
        devices=tuple(Device(agent=AgentId(one), username=one, ha1_md5="", ha1_sha256="") for one in devices),
    )


@pytest.fixture
def directory() -> Directory:
    made = Directory()
    made.put(tenant("wide", "10.0.0.0/8", "fd00::/8", numbers=("601",)))
    made.put(tenant("narrow", "10.1.2.0/24", numbers=("602",)))
    return made


@pytest.mark.parametrize(
    ("host", "called", "owner"),
    [
        ("10.1.2.3", "601", "wide"),
        ("10.1.2.3", "602", "narrow"),
        ("10.1.2.3", "699", "narrow"),
        ("10.9.9.9", "602", "wide"),
        ("fd00::1", "601", "wide"),
        ("::ffff:10.1.2.3", "602", "narrow"),
        ("192.0.2.1", "601", None),
        ("no address", "601", None),
    ],
)
def test_a_call_belongs_to_whom_the_number_and_the_network_say(directory, host, called, owner):
    found = directory.trunk_from(host, called)
    assert (found[0] if found else None) == owner


def test_a_user_name_belongs_to_one_tenant_only(directory):
    directory.put(tenant("wide", devices=("anna",)))
    with pytest.raises(ValueError, match="device anna: the user name is taken"):
        directory.put(tenant("narrow", devices=("anna",)))


def test_a_source_that_is_no_network_is_named(directory):
    with pytest.raises(ValueError, match=r"trunk narrow-0: source '10\.0\.0' is not an IP network"):
        directory.put(tenant("narrow", "10.0.0"))


def test_a_tenant_that_is_gone_owns_nothing(directory):
    directory.drop(TenantId("narrow"))
    assert directory.trunk_from("10.1.2.3", "602")[0] == "wide"


def test_what_is_remembered_of_a_sender_goes_when_trunks_change(directory):
    assert directory.trunk_from("10.1.2.3", "602")[0] == "narrow"
    directory.put(tenant("narrow", "10.1.3.0/24", numbers=("602",)))
    assert directory.trunk_from("10.1.2.3", "602")[0] == "wide"
    directory.drop(TenantId("wide"))
    assert directory.trunk_from("10.1.2.3", "602") is None
    registering = TenantSetup(
        configuration=TenantConfiguration(tenant=TenantId("home")),
        trunks=(TrunkLine(id=TrunkId("line"), peer="carrier.test", sources=()),),
    )
    directory.put(registering)
    directory.learn_addresses(TenantId("home"), TrunkId("line"), ["10.1.2.3"])
    assert directory.trunk_from("10.1.2.3", "602")[0] == "home"
    directory.forget_line(TenantId("home"), TrunkId("line"))
    assert directory.trunk_from("10.1.2.3", "602") is None


def test_a_flood_of_senders_does_not_fill_the_memory(directory, monkeypatch):
    monkeypatch.setattr("acd.directory.MAX_HOSTS", 10)
    for host in range(100):
        directory.trunk_from(f"192.0.2.{host}", "601")
    assert len(directory._lines_of) <= 10
    assert directory.trunk_from("10.1.2.3", "602")[0] == "narrow"


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
        devices=tuple(Device(agent=AgentId(one), username=f"{name}-{one}", ha1_md5=rng.choice("xy"), ha1_sha256="") for one in people),
        trunks=tuple(
            TrunkLine(
                id=TrunkId(one),
                peer="",
                sources=("10.0.0.0/8",) if rng.random() < 0.5 else (),
                registration=rng.choice((None, TrunkRegistration(registrar="x", username=rng.choice(("u", "v")), password="p"))),
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
