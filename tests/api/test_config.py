"""Settings: file, variables, defaults, and wrong ones named with their place."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from acd.networks import EVERYTHING, LOOPBACK
from api.commands.run import voice_settings
from api.config import Settings, SettingsError, for_demo, positions, split_address

EXAMPLE = Path(__file__).parents[2] / "docs" / "fernamt.example.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "fernamt.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as wrong:
        Settings.load(written(folder, text), environ or {})
    return wrong.value.problems


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    return Settings.load(written(folder, text), environ or {})


class TestValues:
    def test_defaults_are_sip_5060_udp_and_tcp_http_8080_data_in_data(self) -> None:
        settings = Settings.load(None, {})
        assert (settings.sip.listen, settings.sip.transports) == (("0.0.0.0:5060",), ("udp", "tcp"))
        assert (settings.http.port, settings.data) == (8080, Path("data"))

    def test_file_is_read(self, tmp_path: Path) -> None:
        path = written(tmp_path, 'data = "/srv/fernamt"\n[http]\nport = 9000\n')
        settings = Settings.load(path, {})
        assert (settings.data, settings.http.port, settings.http.host) == (Path("/srv/fernamt"), 9000, "0.0.0.0")

    def test_variable_wins_over_the_file_and_leaves_the_rest_of_its_group(self, tmp_path: Path) -> None:
        path = written(tmp_path, '[http]\nport = 9000\nhost = "127.0.0.1"\n')
        settings = Settings.load(path, {"FERNAMT_HTTP__PORT": "9001"})
        assert (settings.http.port, settings.http.host) == (9001, "127.0.0.1")

    def test_list_in_a_variable_is_written_with_commas(self) -> None:
        settings = Settings.load(None, {"FERNAMT_SIP__LISTEN": "127.0.0.1:5070, [::1]:5070"})
        assert settings.sip.listen == ("127.0.0.1:5070", "[::1]:5070")

    @pytest.mark.parametrize("written_as", ["national, premium", '["national", "premium"]'])
    def test_every_list_in_a_variable_is_written_with_commas_or_as_json(self, written_as: str) -> None:
        assert Settings.load(None, {"FERNAMT_TENANTS__DIAL_CLASSES": written_as}).tenants.dial_classes == ("national", "premium")
        networks = written_as.replace("national", "127.0.0.0/8").replace("premium", "10.0.0.0/8")
        assert Settings.load(None, {"FERNAMT_WEBHOOKS__ALLOW": networks}).webhooks.allow == ("127.0.0.0/8", "10.0.0.0/8")
        assert Settings.load(None, {"FERNAMT_WEBHOOKS__ALLOW": "[]"}).webhooks.allow == ()

    def test_tls_listens_beside_tcp_a_port_above_unless_it_is_told_where(self) -> None:
        variables = {"FERNAMT_SIP__TRANSPORTS": "udp,tls", "FERNAMT_SIP__LISTEN": "127.0.0.1:5070,[::1]:0"}
        listen = voice_settings(Settings.load(None, variables)).listen
        assert [(one.transport, one.host, one.port) for one in listen] == [
            ("udp", "127.0.0.1", 5070),
            ("udp", "::1", 0),
            ("tls", "127.0.0.1", 5071),
            ("tls", "::1", 0),
        ]
        told = voice_settings(Settings.load(None, variables | {"FERNAMT_SIP__TLS_LISTEN": "0.0.0.0:5061"})).listen
        assert [(one.host, one.port) for one in told if one.transport == "tls"] == [("0.0.0.0", 5061)]

    def test_where_certificates_are_asked_for_tls_is_listened_at_besides(self, tmp_path: Path) -> None:
        variables = {"FERNAMT_SIP__TRANSPORTS": "tls", "FERNAMT_SIP__TLS_CARRIERS_LISTEN": "0.0.0.0:5071"}
        listen = voice_settings(Settings.load(None, variables)).listen
        assert [(one.transport, one.port, one.asks) for one in listen] == [("tls", 5061, False), ("tls", 5071, True)]
        (found,) = problems(tmp_path, '[sip]\ntls_carriers_listen = ["0.0.0.0:5071"]\n')
        assert "`tls_carriers_listen` is of TLS, which `transports` does not name" in found
        for taken in (5060, 5061):
            (found,) = problems(tmp_path, f'[sip]\ntransports = ["tcp", "tls"]\ntls_carriers_listen = ["0.0.0.0:{taken}"]\n')
            assert f"0.0.0.0:{taken} of `tls_carriers_listen` is listened on for phones; it needs another port" in found

    def test_files_of_tls_reach_the_voice_service(self) -> None:
        variables = {"FERNAMT_SIP__TLS_CERTIFICATE": "/a.pem", "FERNAMT_SIP__TLS_KEY": "/b.pem", "FERNAMT_SIP__TLS_CA": "/c.pem"}
        found = voice_settings(Settings.load(None, variables)).tls
        assert (found.certificate, found.key, found.ca) == (Path("/a.pem"), Path("/b.pem"), Path("/c.pem"))

    def test_what_tls_cannot_have_is_told(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, '[sip]\ntls_key = "/b.pem"\n')
        assert "`tls_key` is the key of a certificate, and `tls_certificate` names none" in found
        (found,) = problems(tmp_path, '[sip]\ntransports = ["tls"]\nlisten = ["0.0.0.0:65535"]\n')
        assert "there is no port above 65535 for TLS" in found
        (found,) = problems(tmp_path, '[sip]\ntransports = ["tcp", "tls"]\ntls_listen = ["0.0.0.0:5060"]\n')
        assert "0.0.0.0:5060 would be listened on for TCP and for TLS" in found
        (found,) = problems(tmp_path, '[sip]\ntls_listen = ["5061"]\n')
        assert "'5061' is no address" in found

    def test_codecs_of_phones_are_the_usual_unless_named_and_known(self, tmp_path: Path) -> None:
        assert voice_settings(Settings.load(None, {})).phone_codecs == ("PCMA", "PCMU")
        wide = Settings.load(None, {"FERNAMT_PHONES__CODECS": "G722, PCMA"})
        assert voice_settings(wide).phone_codecs == ("G722", "PCMA")
        (found,) = problems(tmp_path, '[phones]\ncodecs = ["g722"]\n')
        assert "there is no codec 'g722'; there are PCMA, PCMU, G722" in found

    def test_fernamt_config_names_the_file(self, tmp_path: Path) -> None:
        path = written(tmp_path, "[http]\nport = 9002\n")
        assert Settings.load(None, {"FERNAMT_CONFIG": str(path)}).http.port == 9002

    def test_environment_of_the_process_does_not_reach_settings_made_in_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FERNAMT_HTTP__PORT", "1")
        assert Settings().http.port == 8080

    def test_the_test_suites_own_variables_are_no_settings(self) -> None:
        assert Settings.load(None, {"FERNAMT_TEST_DATABASES": "all"}) == Settings()

    def test_every_group_reaches_the_voice_service(self) -> None:
        environ = {
            "FERNAMT_SIP__LISTEN": "127.0.0.1:5070,[::1]:5070",
            "FERNAMT_SIP__TRANSPORTS": "udp",
            "FERNAMT_SIP__REALM": "exchange.example",
            "FERNAMT_MEDIA__FIRST_PORT": "30000",
            "FERNAMT_MEDIA__LAST_PORT": "30100",
            "FERNAMT_OVERLOAD__MAX_SESSIONS": "77",
            "FERNAMT_FAIRNESS__WEIGHTS": '{"acme": 4}',
            "FERNAMT_FAIRNESS__EMERGENCY_PAIRS": "4",
        }
        voice = voice_settings(Settings.load(None, environ))
        assert [(one.transport, one.host, one.port) for one in voice.listen] == [("udp", "127.0.0.1", 5070), ("udp", "::1", 5070)]
        assert (voice.realm, voice.media_ports, voice.max_sessions) == ("exchange.example", (30000, 30100), 77)
        assert (voice.tenant_weights, voice.emergency_pairs) == ({"acme": 4.0}, 4)


class TestProblems:
    def test_wrong_value_is_named_with_file_and_line(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "# ports\n\n[http]\nhost = '127.0.0.1'\nport = 99999\n")
        assert found.startswith(f"{tmp_path / 'fernamt.toml'}:5: http.port: ")
        assert "99999" in found

    def test_a_tenants_weight_of_nothing_is_named_with_file_and_line(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[fairness]\n[fairness.weights]\nacme = 0\n")
        assert found.startswith(f"{tmp_path / 'fernamt.toml'}:3: fairness.weights.acme: ")

    def test_unknown_key_gets_a_suggestion(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[http]\nprot = 8080\n")
        assert found == f"{tmp_path / 'fernamt.toml'}:2: http.prot: there is no setting `http.prot`; did you mean `port`?"

    def test_key_in_the_wrong_group_is_sent_home(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "realm = 'x'\n")
        assert found.endswith(":1: realm: there is no setting `realm`; `realm` belongs to [sip]")

    def test_wrong_variable_is_named_by_its_name(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[http]\nport = 1\n", {"FERNAMT_HTTP__PORT": "many"})
        assert found.startswith("FERNAMT_HTTP__PORT: ")

    def test_how_lists_and_tables_stand_in_variables_is_said_where_one_is_wrong(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "", {"FERNAMT_WEBHOOKS__ALLOW": '["10.0.0.0/8"'})
        assert found.startswith("FERNAMT_WEBHOOKS__ALLOW: a list in a variable is written with commas, `a, b`, or as JSON")
        (found,) = problems(tmp_path, "", {"FERNAMT_FAIRNESS__WEIGHTS": "acme=4"})
        assert found.endswith("""a table in a variable is JSON: FERNAMT_FAIRNESS__WEIGHTS='{"acme": 4}'""")

    def test_a_first_port_above_the_last_is_said_so(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "", {"FERNAMT_MEDIA__FIRST_PORT": "32000"})
        assert "ports 32000-29998: the first is above the last" in found

    def test_unknown_variable_gets_a_suggestion_once(self, tmp_path: Path) -> None:
        assert problems(tmp_path, "", {"FERNAMT_HTTP__PROT": "1"}) == ["FERNAMT_HTTP__PROT: there is no such setting; did you mean `port`?"]

    def test_all_problems_are_told_at_once(self, tmp_path: Path) -> None:
        text = "[http]\nport = -1\n[sip]\nlisten = [\n  '0.0.0.0:5060',\n  'nowhere',\n]\n[media]\nfirst_port = 20001\n"
        assert sorted(int(problem.split(":")[1]) for problem in problems(tmp_path, text)) == [2, 4, 8]

    def test_broken_toml_is_named_with_its_line(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[http]\nport = \n")
        assert found.startswith(f"{tmp_path / 'fernamt.toml'}:2: ")

    def test_one_underscore_where_two_belong_is_told_as_it_should_be(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "", {"FERNAMT_SIP_LISTEN": "127.0.0.1:5060"})
        assert found == "FERNAMT_SIP_LISTEN: there is no such setting; did you mean `FERNAMT_SIP__LISTEN`?"

    def test_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read"):
            Settings.load(tmp_path / "nowhere.toml", {})

    def test_password_is_never_repeated(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[operator]\npassword = 12345\n")
        assert "12345" not in found

    @pytest.mark.parametrize("key", ["control", "tenant_url"])
    @pytest.mark.parametrize(
        "address",
        [
            "postgres://u:geheim@h/{tenant}",
            "postgresql+asyncpg://u:geheim@h:port/{tenant}",
            "postgresql+asyncpg:/u:geheim@h/{tenant}",
            "postgresql+asyncpg://u:geheim@h/db/{tenant}?x=[geheim",
        ],
    )
    def test_the_password_in_the_address_of_a_database_is_never_repeated(self, tmp_path: Path, key: str, address: str) -> None:
        assert "geheim" not in "".join(problems(tmp_path, f"[database]\n{key} = '{address}'\npool = 'x'\n"))

    def test_settings_do_not_tell_passwords_when_they_are_shown(self) -> None:
        settings = Settings.model_validate(
            {
                "database": {"control": "postgresql+asyncpg://u:geheim@h/x", "tenant_url": "postgresql+asyncpg://u:geheim@h/{tenant}"},
                "operator": {"password": "geheim"},
            }
        )
        assert "geheim" not in repr(settings)
        assert "geheim" not in str(settings)

    def test_tenant_url_needs_the_tenant_in_it(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[database]\ntenant_url = 'postgresql+asyncpg://h/db'\n")
        assert "{tenant}" in found


class TestAddresses:
    @pytest.mark.parametrize(
        "wrong",
        [
            "not an ip",
            "203.0.113.300",
            "203.0.113",
            "1.2.3.4:5060",
            "[2001:db8::1]",
            "http://a",
            "-a",
            "a..b",
            "",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ],
    )
    def test_what_peers_could_never_send_to_is_not_advertised(self, tmp_path: Path, wrong: str) -> None:
        (found,) = problems(tmp_path, f"[sip]\nadvertised = '{wrong}'\n")
        assert found.startswith(f"{tmp_path / 'fernamt.toml'}:2: sip.advertised: ")

    @pytest.mark.parametrize("right", ["203.0.113.10", "2001:db8::1", "sip.example.net", "localhost", "my_container"])
    def test_addresses_and_host_names_are(self, tmp_path: Path, right: str) -> None:
        assert Settings.load(written(tmp_path, f"[sip]\nadvertised = '{right}'\n"), {}).sip.advertised == right

    def test_where_we_listen_is_an_address_or_a_name_too(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[http]\nhost = 'not an ip'\n")
        assert found.startswith(f"{tmp_path / 'fernamt.toml'}:2: http.host: 'not an ip' is neither an IP address nor a host name")
        (found,) = problems(tmp_path, "[sip]\nlisten = ['not an ip:5060']\n")
        assert "'not an ip' is neither" in found


class TestDemo:
    def test_a_demonstration_listens_on_this_machine_alone(self, tmp_path: Path) -> None:
        told = for_demo(loaded(tmp_path, ""))
        assert (told.sip.listen, told.http.host, told.demo) == (("127.0.0.1:5060",), "127.0.0.1", True)

    def test_a_demonstration_that_was_told_where_listens_there(self, tmp_path: Path) -> None:
        """Also where that is what everybody else gets unasked."""
        told = for_demo(loaded(tmp_path, "[sip]\nlisten = ['0.0.0.0:5060']\nrealm = 'x'\n", {"FERNAMT_HTTP__HOST": "0.0.0.0"}))
        assert (told.sip.listen, told.http.host) == (("0.0.0.0:5060",), "0.0.0.0")

    def test_other_settings_of_the_groups_are_kept_and_tell_nothing_of_the_address(self, tmp_path: Path) -> None:
        told = for_demo(loaded(tmp_path, "[sip]\nrealm = 'x'\n[http]\nport = 81\n"))
        assert (told.sip.listen, told.sip.realm, told.http.host, told.http.port) == (("127.0.0.1:5060",), "x", "127.0.0.1", 81)


class TestReach:
    def test_loopback_is_allowed_for_the_demonstration_alone(self) -> None:
        assert voice_settings(Settings()).reach_allow == EVERYTHING
        assert voice_settings(Settings(demo=True)).reach_allow == EVERYTHING + LOOPBACK

    def test_lists_stand_in_variables_and_reach_the_voice_service(self) -> None:
        environ = {"FERNAMT_REACH__ALLOW": "203.0.113.0/24, 10.0.0.1/8", "FERNAMT_REACH__DENY": "10.9.0.0/16"}
        voice = voice_settings(Settings.load(None, environ))
        assert (voice.reach_allow, voice.reach_deny) == (("203.0.113.0/24", "10.0.0.0/8"), ("10.9.0.0/16",))

    def test_what_is_no_network_is_named_with_its_place(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[reach]\nallow = ['10.0.0.0/33']\n")
        assert ":2: reach.allow: '10.0.0.0/33' is no IP network" in found


class TestPositions:
    def test_multi_line_values_are_skipped(self) -> None:
        text = 'a = """\n[no]\nb = 1\n"""\nc = [\n 1, # ]\n 2,\n]\nd.e = 2\n[f]\ng = { h = 1, i = 2 }\n'
        tomllib.loads(text)
        assert positions(text) == {
            ("a",): 1,
            ("c",): 5,
            ("d",): 9,
            ("d", "e"): 9,
            ("f",): 10,
            ("f", "g"): 11,
            ("f", "g", "h"): 11,
            ("f", "g", "i"): 11,
        }


class TestExample:
    def test_example_holds_every_setting_with_its_default(self) -> None:
        assert Settings.load(EXAMPLE, {}) == Settings()
        lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
        for name, field in Settings.model_fields.items():
            group = getattr(field.annotation, "model_fields", {name: None})
            for key in group:
                assert any(line.lstrip("# ").startswith(f"{key} =") for line in lines), f"{name}.{key} is not in the example"


@pytest.mark.parametrize("text", ["5060", "host", ":5060", "0.0.0.0:99999", "[::1]", "::1:5060", "[zz]:1"])
def test_split_address_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|IPv6|Only hex|At least"):
        split_address(text)
