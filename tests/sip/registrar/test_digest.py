"""Digest on both sides: RFC 7616 (with its own examples), RFC 8760, RFC 3261 §22."""

import hashlib

import pytest

from sip.digest import Account, Authenticator, ClientDigest, DigestCredentials, Outcome, digest_response, ha1
from sip.headers.auth import parse_credentials
from sip.message import Request
from sip.uri import Uri

SECRET = b"0123456789abcdef"
USERS = {"anna": "geheim"}
HERE = "192.0.2.1"


def lookup(_request, username, realm, algorithm):
    return Account(f"{username}@{realm}", ha1(username, realm, USERS[username], algorithm)) if username in USERS else None


@pytest.fixture
def authenticator():
    return Authenticator("house", lookup, SECRET)


def request(headers=(), uri="sip:house"):
    fixed = [
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"),
        ("From", "<sip:a@h>;tag=1"),
        ("To", "<sip:a@h>"),
        ("Call-ID", "c"),
        ("CSeq", "1 REGISTER"),
    ]
    return Request.build("REGISTER", Uri.parse(uri), [*fixed, *headers])


def challenged(authenticator, now=100.0, *, keep=("SHA-256", "MD5"), stale=False):
    """The 401 a client sees, perhaps with only some of the algorithms."""
    asked = request()
    headers = [
        (n, v)
        for n, v in authenticator.challenge_headers(asked, now, source=HERE, stale=stale)
        if any(f"algorithm={one}," in v for one in keep)
    ]
    return asked.response(401, to_tag="t", headers=headers)


def answered(digest, uri="sip:house", cnonce="c0ffee"):
    return request(digest.headers("REGISTER", Uri.parse(uri), cnonce), uri)


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_3_9_1(algorithm, expected):
    secret = ha1("Mufasa", "http-auth@example.org", "Circle of Life", algorithm)
    got = digest_response(
        secret,
        "GET",
        "/dir/index.html",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        algorithm,
        qop="auth",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert got == expected


def test_both_algorithms_are_offered_the_stronger_first(authenticator):
    values = [value for name, value in authenticator.challenge_headers(request(), 0.0, source=HERE) if name == "WWW-Authenticate"]
    assert ["SHA-256" in values[0], "MD5" in values[1], len(values)] == [True, True, 2]
    assert all('qop="auth"' in value for value in values)


def offered(authenticator, **changes):
    asked = request([(name.replace("_", "-"), value) for name, value in changes.items() if name != "CSeq"])
    if "CSeq" in changes:
        asked.headers.set("CSeq", changes["CSeq"])
    return [value.partition("algorithm=")[2].partition(",")[0] for _, value in authenticator.challenge_headers(asked, 0.0, source=HERE)]


def test_a_client_that_comes_again_without_an_answer_is_offered_md5_alone(authenticator):
    """It could not read the challenge with SHA-256 beside it (RFC 8760 §2.4 in practice)."""
    assert offered(authenticator) == ["SHA-256", "MD5"]
    assert offered(authenticator) == ["SHA-256", "MD5"]  # a retransmission
    assert offered(authenticator, CSeq="2 REGISTER") == ["MD5"]


def test_a_client_that_answers_with_sha_256_keeps_being_offered_it(authenticator):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    digest.learn(challenged(authenticator))
    [(_, value)] = digest.headers("REGISTER", Uri.parse("sip:house"), "c")
    assert offered(authenticator, CSeq="2 REGISTER", Authorization=value) == ["SHA-256", "MD5"]


def test_a_client_known_to_choke_on_sha_256_is_offered_md5_at_once(authenticator):
    assert offered(authenticator, User_Agent="baresip v1.0.0 (x86_64/linux)") == ["MD5"]
    assert offered(authenticator, User_Agent="baresip v3.5.1 (x86_64/linux)") == ["SHA-256", "MD5"]


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_the_right_password_is_accepted_with_either_algorithm(authenticator, algorithm):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    assert digest.learn(challenged(authenticator, keep=(algorithm,)))
    asked = answered(digest)
    assert f"algorithm={algorithm}" in asked.headers.get("Authorization")
    verdict = authenticator.verify(asked, 101.0, source=HERE)
    assert (verdict.outcome, verdict.account, verdict.realm) == (Outcome.ACCEPTED, "anna@house", "house")


def test_the_client_prefers_sha_256(authenticator):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    digest.learn(challenged(authenticator))
    assert "algorithm=SHA-256" in answered(digest).headers.get("Authorization")


@pytest.mark.parametrize(("user", "password"), [("anna", "falsch"), ("niemand", "geheim")])
def test_a_wrong_password_and_an_unknown_user_get_the_same_verdict(authenticator, user, password):
    digest = ClientDigest(DigestCredentials(user, password))
    digest.learn(challenged(authenticator))
    assert authenticator.verify(answered(digest), 101.0, source=HERE).outcome is Outcome.REFUSED


def test_a_request_cannot_be_replayed(authenticator):
    """RFC 7616 §3.4: the nonce count must grow."""
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    digest.learn(challenged(authenticator))
    first, second = answered(digest), answered(digest)
    assert authenticator.verify(first, 101.0, source=HERE).outcome is Outcome.ACCEPTED
    assert authenticator.verify(first, 101.0, source=HERE).outcome is Outcome.STALE
    assert authenticator.verify(second, 101.0, source=HERE).outcome is Outcome.ACCEPTED


def test_replay_stays_impossible_when_old_counts_have_been_forgotten(authenticator, monkeypatch):
    monkeypatch.setattr(Authenticator, "MAX_COUNTED_NONCES", 3)
    requests = []
    for _ in range(6):
        digest = ClientDigest(DigestCredentials("anna", "geheim"))
        digest.learn(challenged(authenticator))
        requests.append(answered(digest))
    assert [authenticator.verify(one, 101.0, source=HERE).outcome for one in requests] == [Outcome.ACCEPTED] * 6
    assert [authenticator.verify(one, 101.0, source=HERE).outcome for one in requests] == [Outcome.STALE] * 6


def test_a_nonce_expires_and_the_answer_says_stale(authenticator):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    digest.learn(challenged(authenticator, now=100.0))
    assert authenticator.verify(answered(digest), 399.0, source=HERE).outcome is Outcome.ACCEPTED
    assert authenticator.verify(answered(digest), 401.0, source=HERE).outcome is Outcome.STALE
    assert digest.learn(challenged(authenticator, now=401.0, stale=True))
    assert authenticator.verify(answered(digest), 402.0, source=HERE).outcome is Outcome.ACCEPTED


def test_a_nonce_of_a_former_process_is_stale_and_not_wrong(authenticator):
    former = Authenticator("house", lookup, b"another secret of 16")
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    digest.learn(challenged(former))
    assert authenticator.verify(answered(digest), 101.0, source=HERE).outcome is Outcome.STALE


def test_credentials_for_another_resource_are_refused(authenticator):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    digest.learn(challenged(authenticator))
    stolen = request(digest.headers("REGISTER", Uri.parse("sip:elsewhere"), "c"), "sip:house")
    assert authenticator.verify(stolen, 101.0, source=HERE).outcome is Outcome.REFUSED


def test_credentials_for_another_realm_or_scheme_do_not_count(authenticator):
    for value in ('Digest realm="other", username="anna", nonce="x", uri="sip:house", response="0"', "Basic YW5uYTpnZWhlaW0=", "Nonsense"):
        assert authenticator.verify(request([("Authorization", value)]), 0.0, source=HERE).outcome is Outcome.MISSING


@pytest.mark.parametrize("left_out", ["qop=auth", "nc=", "cnonce=", "response="])
def test_credentials_without_one_of_their_parts_are_refused(authenticator, left_out):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    digest.learn(challenged(authenticator))
    value = answered(digest).headers.get("Authorization")
    cut = ", ".join(part for part in value.split(", ") if not part.startswith(left_out))
    assert authenticator.verify(request([("Authorization", cut)]), 101.0, source=HERE).outcome is Outcome.REFUSED


def test_the_client_does_not_repeat_credentials_that_were_just_rejected(authenticator):
    """RFC 3261 §22.2."""
    digest = ClientDigest(DigestCredentials("anna", "falsch"))
    assert digest.learn(challenged(authenticator))
    answered(digest)
    assert not digest.learn(challenged(authenticator))


def test_the_client_answers_a_proxy_and_a_registrar_together(authenticator):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    proxy = request().response(407, headers=[("Proxy-Authenticate", 'Digest realm="proxy", nonce="n1", qop="auth"')])
    assert digest.learn(proxy)
    answered(digest)
    assert digest.learn(challenged(authenticator))
    names = [name for name, _ in digest.headers("REGISTER", Uri.parse("sip:house"), "c")]
    assert names == ["Proxy-Authorization", "Authorization"]


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="house", nonce="n", algorithm=SHA-512-256',
        'Digest realm="house", nonce="n", qop="auth-conf"',
        'Basic realm="house"',
        "Digest",
    ],
)
def test_the_client_gives_up_on_a_challenge_it_cannot_answer(value):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    assert not digest.learn(request().response(401, headers=[("WWW-Authenticate", value)]))


def test_the_client_answers_rfc_2069_servers_without_qop():
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    assert digest.learn(request().response(401, headers=[("WWW-Authenticate", 'Digest realm="old", nonce="n", opaque="o"')]))
    [(_, value)] = digest.headers("REGISTER", Uri.parse("sip:house"), "c")
    assert "qop" not in value
    assert 'opaque="o"' in value
    assert digest_response(ha1("anna", "old", "geheim", "MD5"), "REGISTER", "sip:house", "n", "MD5") in value


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="16 octets"):
        Authenticator("house", lookup, b"short")


def test_an_answer_without_qop_is_taken_once_for_its_nonce(authenticator):
    """RFC 3261 §22.4 item 8: the form of RFC 2069; since it has no count, a second use is a replay."""
    nonce = authenticator.challenge_headers(request(), 100.0, source=HERE)[1][1].split('nonce="')[1].split('"')[0]
    secret = ha1("anna", "house", "geheim", "MD5")
    response = digest_response(secret, "REGISTER", "sip:house", nonce, "MD5")
    header = f'Digest username="anna",realm="house",nonce="{nonce}",uri="sip:house",response="{response}",algorithm=MD5'
    assert authenticator.verify(request([("Authorization", header)]), 101.0, source=HERE).outcome is Outcome.ACCEPTED
    assert authenticator.verify(request([("Authorization", header)]), 101.0, source=HERE).outcome is Outcome.STALE


# ---------------------------------------------------------------------- challenges as carriers make them


BODY = b"v=0 and so on"


def learned(*values, status=401):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    header = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    assert digest.learn(request().response(status, headers=[(header, value) for value in values]))
    return digest


def answers(digest, cnonce="c", body=BODY):
    """(header, credentials) of the next INVITE."""
    return [(name, parse_credentials(value)) for name, value in digest.headers("INVITE", Uri.parse("sip:house"), cnonce, body)]


def as_the_server_computes(credentials, nonce="n", body=BODY):
    """RFC 7616 §3.4.1 and §3.4.2, with nothing of the client's but what it sent."""
    name = credentials.algorithm.upper()
    algorithm = name.removesuffix("-SESS")
    secret = ha1("anna", credentials.realm, "geheim", algorithm)
    if name.endswith("-SESS"):
        secret = hashlib.new(algorithm.replace("-", "").lower(), f"{secret}:{nonce}:{credentials.cnonce}".encode()).hexdigest()
    return digest_response(
        secret,
        "INVITE",
        credentials.uri,
        nonce,
        algorithm,
        qop=credentials.qop,
        nc=credentials.nc or "",
        cnonce=credentials.cnonce or "",
        body=body,
    )


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "md5-SESS", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize("qop", [', qop="auth"', ', qop="auth-int"', ', qop="auth-int,auth"', ""])
def test_every_algorithm_and_quality_of_rfc_7616_is_answered(algorithm, qop):
    digest = learned(f'Digest realm="house", nonce="n", algorithm={algorithm}{qop}')
    for count, cnonce in enumerate(("first", "second"), 1):
        [(_, credentials)] = answers(digest, cnonce)
        assert credentials.response == as_the_server_computes(credentials)
        assert credentials.algorithm.lower() == algorithm.lower()
        assert credentials.qop == (None if not qop else "auth-int" if 'int"' in qop else "auth")
        assert credentials.nc == (f"{count:08x}" if qop else None)


def test_a_session_key_is_made_once_and_all_answers_name_its_cnonce():
    """RFC 7616 §3.4.2: "the first request by the client following receipt of a WWW-Authenticate challenge"."""
    digest = learned('Digest realm="house", nonce="n", algorithm=MD5-sess, qop="auth"')
    assert [answers(digest, cnonce)[0][1].cnonce for cnonce in ("first", "second")] == ["first", "first"]


def test_the_body_is_what_auth_int_protects():
    digest = learned('Digest realm="house", nonce="n", qop="auth-int"')
    [(_, credentials)] = answers(digest)
    assert credentials.response != as_the_server_computes(credentials, body=b"another")


def test_of_several_challenges_the_strongest_is_answered_once_a_realm():
    """RFC 8760 §2.4, RFC 3261 §22.3."""
    digest = learned(
        'Digest realm="house", nonce="n", algorithm=MD5',
        'Digest realm="house", nonce="n", algorithm=SHA-256-sess, qop="auth"',
        'Digest realm="house", nonce="n", algorithm=SHA-512-256, qop="auth"',
        'Digest realm="proxy", nonce="n", algorithm=MD5, qop="auth"',
        status=407,
    )
    found = answers(digest)
    assert [name for name, _ in found] == ["Proxy-Authorization"] * 2
    assert {(one.realm, one.algorithm) for _, one in found} == {("house", "SHA-256-sess"), ("proxy", "MD5")}


def test_the_next_nonce_is_taken_and_counted_from_one():
    """RFC 7616 §3.5."""
    digest = learned('Digest realm="house", nonce="n", qop="auth"')
    answers(digest)
    digest.heard(request().response(200, headers=[("Authentication-Info", 'nextnonce="m"')]))
    [(_, credentials)] = answers(digest)
    assert (credentials.nonce, credentials.nc) == ("m", "00000001")
    assert credentials.response == as_the_server_computes(credentials, "m")


def test_a_stale_nonce_is_answered_anew_and_a_wrong_password_is_not():
    digest = learned('Digest realm="house", nonce="n", qop="auth"')
    answers(digest)
    assert digest.learn(request().response(401, headers=[("WWW-Authenticate", 'Digest realm="house", nonce="m", stale=TRUE, qop="auth"')]))
    [(_, credentials)] = answers(digest)
    assert (credentials.nonce, credentials.nc) == ("m", "00000001")
    assert not digest.learn(request().response(401, headers=[("WWW-Authenticate", 'Digest realm="house", nonce="o", qop="auth"')]))


@pytest.mark.parametrize("new", ["algorithm=MD5-sess", "qop=auth-int,"])
def test_the_server_takes_what_it_has_offered_and_nothing_else(authenticator, new):
    digest = ClientDigest(DigestCredentials("anna", "geheim"))
    [md5] = [value for _, value in authenticator.challenge_headers(request(), 100.0, source=HERE) if "MD5" in value]
    assert digest.learn(
        request().response(
            401, headers=[("WWW-Authenticate", md5.replace("algorithm=MD5", new) if "sess" in new else md5.replace('"auth"', '"auth-int"'))]
        )
    )
    answer = answered(digest)
    assert new.rstrip(",") in (answer.headers.get("Authorization") or "")
    assert authenticator.verify(answer, 101.0, source=HERE).outcome is Outcome.REFUSED


class Told:
    """A guard that lets everybody try, and keeps what it is told."""

    wait_s = None

    def __init__(self):
        self.said = []

    def attempt(self, *_what, is_urgent):
        del is_urgent
        return self

    def failed(self, _now):
        self.said.append("failed")

    def abandoned(self, _now):
        self.said.append("abandoned")

    def succeeded(self, _now):
        self.said.append("succeeded")


def judged(password, opened_by, **account):
    """What becomes of credentials for an account, and what the guard is told."""
    told = Told()

    def lookup(_request, username, realm, algorithm):
        return Account("anna@acme", ha1(username, realm, "geheim", algorithm), **account)

    authenticator = Authenticator("house", lookup, SECRET, guard=told)
    digest = ClientDigest(DigestCredentials("anna.1", password))
    digest.learn(challenged(authenticator))
    return authenticator.verify(answered(digest), 101.0, source=HERE, opened_by=opened_by).outcome, told.said


@pytest.mark.parametrize(
    ("password", "opened_by", "outcome", "said"),
    [
        ("geheim", "anna@acme", Outcome.ACCEPTED, "succeeded"),
        ("geheim", "ben@acme", Outcome.REFUSED, "failed"),
        ("geheim", "", Outcome.REFUSED, "failed"),
        ("falsch", "anna@acme", Outcome.REFUSED, "failed"),
    ],
)
def test_an_account_for_its_own_flow_is_known_over_no_other(password, opened_by, outcome, said):
    assert judged(password, opened_by, is_for_own_flow=True) == (outcome, [said])


def test_any_other_account_is_known_over_every_flow():
    assert judged("geheim", "")[0] is judged("geheim", "ben@acme")[0] is Outcome.ACCEPTED


def test_credentials_whose_time_is_over_are_refused_and_no_guess():
    assert judged("geheim", "", is_over=True) == (Outcome.REFUSED, ["abandoned"])
    assert judged("falsch", "", is_over=True) == (Outcome.REFUSED, ["failed"])
