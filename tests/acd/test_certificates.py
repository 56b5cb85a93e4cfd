"""The certificate of SIP over TLS: what a start refuses, what is read again, what is said of its dates."""

import logging
import stat
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from acd.certificates import OWN, SipCertificate, Unusable, check, read
from acd.config import Listen, TlsFiles, VoiceSettings
from acd.errors import CannotStart
from tests.certificates import Authority

DAY_S = 86_400.0
LISTEN = (Listen(transport="tls", host="127.0.0.1", port=5061),)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def settings(tmp_path, **files):
    return VoiceSettings(listen=LISTEN, data=tmp_path, tls=TlsFiles(**files))


def replaced(path, made):
    """As tools do it: another file under the same name."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(made)
    draft.replace(path)


def test_a_changed_certificate_is_in_force_and_a_broken_one_is_not(tmp_path, authority, caplog):
    caplog.set_level(logging.INFO, "acd.certificates")
    path = authority.issue("sip.example.com")
    one, now = SipCertificate(settings(tmp_path, certificate=path)), time.time()
    contexts = one.start(now)
    first = contexts.listening
    one.look(now)
    assert contexts.listening is first
    good = path.read_bytes()
    replaced(path, b"-----BEGIN CERTIFICATE-----\nhalf a f")
    one.look(now)
    one.look(now)
    assert contexts.listening is first
    assert one.figures()["tls_certificate_refused"] == 1
    assert caplog.text.count("goes on with the certificate it has") == 1
    path.unlink()
    one.look(now)
    assert "No such file or directory" in caplog.text
    replaced(path, good)
    one.look(now)
    assert contexts.listening is not first
    assert one.figures()["tls_certificate_refused"] == 0
    assert one.figures()["tls_certificate_reloads_total"] == 1
    # Nor one that has expired, where the one in force has not.
    second = contexts.listening
    authority.issue("sip.example.com", days=-1)
    one.look(now)
    assert contexts.listening is second
    assert "the new certificate has expired" in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def test_one_that_does_not_hold_yet_is_taken_when_it_does(tmp_path, authority, caplog):
    caplog.set_level(logging.INFO, "acd.certificates")
    path = authority.issue("sip.example.com", days=20)
    one, now = SipCertificate(settings(tmp_path, certificate=path)), time.time()
    contexts = one.start(now)
    first = contexts.listening
    authority.issue("sip.example.com", begins=5)
    one.look(now)
    one.look(now + 4 * DAY_S)
    assert contexts.listening is first
    assert one.figures()["tls_certificate_refused"] == 1
    assert caplog.text.count("holds only from") == 1
    one.look(now + 5 * DAY_S + 60)
    assert contexts.listening is not first
    assert one.figures()["tls_certificate_refused"] == 0


def test_our_own_names_our_address_as_an_address_and_as_a_name(tmp_path):
    """Linphone compares with names alone."""
    SipCertificate(settings(tmp_path, ca=None)).start(time.time())
    names = x509.load_pem_x509_certificate((tmp_path / OWN).read_bytes()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    addresses = {str(one) for one in names.value.get_values_for_type(x509.IPAddress)}
    assert addresses
    assert addresses <= set(names.value.get_values_for_type(x509.DNSName))


def test_its_end_is_told_of_once_a_day(tmp_path, authority, caplog):
    one, now = SipCertificate(settings(tmp_path, certificate=authority.issue("sip.example.com", days=30))), time.time()
    one.start(now)
    assert one.figures()["tls_certificate_expires_timestamp_seconds"] == pytest.approx(now + 30 * DAY_S, abs=3600)
    one.look(now + 15.5 * DAY_S)
    assert "expires in" not in caplog.text
    one.look(now + 16.5 * DAY_S)
    one.look(now + 16.6 * DAY_S)
    assert caplog.text.count("expires in 13 days") == 1
    one.look(now + 17.6 * DAY_S)
    assert "expires in 12 days" in caplog.text
    one.look(now + 31 * DAY_S)
    assert "has expired on" in caplog.text


def test_an_expired_certificate_is_served_and_said_to_be_so(tmp_path, authority, caplog):
    """A service that does not start takes no calls at all; phones that look at the date say so themselves."""
    SipCertificate(settings(tmp_path, certificate=authority.issue("sip.example.com", days=-2))).start(time.time())
    assert "has expired on" in caplog.text


def test_one_that_does_not_hold_yet_is_said_to_be_so(tmp_path, authority, caplog):
    one = SipCertificate(settings(tmp_path, certificate=authority.issue("sip.example.com")))
    one.start(time.time() - 11 * DAY_S)
    assert "holds only from" in caplog.text


def test_without_files_one_is_made_for_us_alone_and_kept(tmp_path):
    now = time.time()
    first = SipCertificate(settings(tmp_path))
    first.start(now)
    path = tmp_path / OWN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    SipCertificate(settings(tmp_path)).start(now)
    assert path.read_bytes() == before
    later = SipCertificate(settings(tmp_path))
    later.start(first.expires_at + 1)
    assert path.read_bytes() != before
    assert later.expires_at > first.expires_at
    path.write_text("nothing")
    with pytest.raises(CannotStart, match="no certificate in PEM"):
        SipCertificate(settings(tmp_path)).start(now)


def with_password():
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"geheim")
    )


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "server.pem").unlink(), "sip.tls_certificate: {folder}/server.pem: No such file or directory"),
        (
            lambda folder: (folder / "server.pem").replace(folder / "was") and (folder / "server.pem").mkdir(),
            "sip.tls_certificate: {folder}/server.pem: Is a",
        ),
        (lambda folder: (folder / "key.pem").unlink(), "sip.tls_key: {folder}/key.pem: No such file or directory"),
        (lambda folder: (folder / "server.pem").write_text("x"), "sip.tls_certificate: {folder}/server.pem holds no certificate in PEM"),
        (lambda folder: (folder / "key.pem").write_text("x"), "sip.tls_key: {folder}/key.pem holds no private key in PEM"),
        (lambda folder: (folder / "key.pem").write_bytes(with_password()), "sip.tls_key: {folder}/key.pem: the key has a password"),
        (
            lambda folder: Authority(folder, "b").issue("b", file="other.pem", key_file="key.pem"),
            "sip.tls_key: {folder}/key.pem is not the key of {folder}/server.pem",
        ),
        (lambda folder: (folder / "authority.pem").write_text("x"), "sip.tls_ca: {folder}/authority.pem holds no certificates in PEM"),
        (lambda folder: (folder / "authority.pem").unlink(), "sip.tls_ca: {folder}/authority.pem: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_said_with_setting_and_file(tmp_path, authority, spoil, told):
    files = {
        "certificate": authority.issue("sip.example.com", key_file="key.pem"),
        "key": tmp_path / "key.pem",
        "ca": tmp_path / "authority.pem",
    }
    check(settings(tmp_path, **files))
    spoil(tmp_path)
    with pytest.raises(CannotStart) as caught:
        check(settings(tmp_path, **files))
    assert str(caught.value).startswith(told.format(folder=tmp_path))
    assert "geheim" not in str(caught.value)
    # Where nothing listens on TLS nobody needs them.
    check(VoiceSettings(listen=(Listen(transport="udp"),), tls=TlsFiles(**files)))


def test_a_certificate_without_its_key_names_the_setting(authority):
    with pytest.raises(Unusable, match=r"`sip\.tls_key` names that"):
        read(TlsFiles(certificate=authority.file), is_shown=True)


def test_that_of_https_is_taken_when_it_is_there_and_kept_when_it_has_gone(tmp_path, authority, caplog):
    caplog.set_level(logging.INFO, "acd.certificates")
    shared, now = tmp_path / "later.pem", time.time()
    one = SipCertificate(VoiceSettings(listen=LISTEN, data=tmp_path, tls_of_https=TlsFiles(certificate=shared)))
    contexts = one.start(now)
    own = contexts.listening
    assert one.is_own
    one.look(now)
    assert contexts.listening is own
    authority.issue("acd.example.org", file=shared.name)
    one.look(now)
    assert not one.is_own
    taken = contexts.listening
    assert taken is not own
    assert one.judged.dns_names == ("acd.example.org",)
    shared.unlink()
    one.look(now)
    assert contexts.listening is taken
    assert one.figures()["tls_certificate_refused"] == 1
    assert f"http.certificate: {shared}: No such file" in caplog.text


def test_one_of_its_own_goes_before_that_of_https(tmp_path, authority):
    shared = authority.issue("acd.example.org", file="https.pem")
    files = {"tls": TlsFiles(certificate=authority.issue("sip.example.org")), "tls_of_https": TlsFiles(certificate=shared)}
    one = SipCertificate(VoiceSettings(listen=LISTEN, data=tmp_path, **files))
    one.start(time.time())
    assert one.judged.dns_names == ("sip.example.org",)
