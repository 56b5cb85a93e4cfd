"""Asking an authority for a certificate, by the library of certbot (shell; RFC 8555). It blocks for as long as the authority takes."""

from __future__ import annotations

import ssl
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
from acme import challenges as acme_challenges
from acme import client, crypto_util, errors, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as FormError
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from josepy.util import ComparableECKey

from api.version import VERSION

REQUEST_S: Final = 20
"""For one request."""
VALIDATED_WITHIN_S: Final = 90
"""So long the library waits for the authority to look whether the names are ours, and to issue."""


class Refused(Exception):
    """There is no certificate; the text says why, in the authority's words where it has any."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom, and for what."""

    directory: str
    domains: tuple[str, ...]
    email: str | None
    ca: Path | None


def new_key() -> bytes:
    """A private key in PEM: of an account, or of a certificate."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def obtain(asking: Asking, account_key: bytes, answers: MutableMapping[str, str]) -> bytes:
    """Order a certificate, and have the authority look that the names are ours (http-01, RFC 8555 §8.3).

    Args:
        account_key: in PEM; whose account there is none of, gets one.
        answers: token -> what it is answered with at port 80 of each name, while it is asked for.
    Returns: certificate, those that lead to its authority, and a new private key, in PEM.
    Raises: Refused
    """
    tokens: list[str] = []
    try:
        asked = _client(asking, account_key)
        _log_in(asked, asking)
        secret = new_key()
        order = asked.new_order(crypto_util.make_csr(secret, list(asking.domains)))
        for authorization in order.authorizations:
            if authorization.body.status == messages.STATUS_VALID:
                continue
            challenge = _http_01(authorization)
            response, validation = challenge.response_and_validation(asked.net.key)
            tokens.append(challenge.chall.encode("token"))
            answers[tokens[-1]] = validation
            asked.answer_challenge(challenge, response)
        chain: str = asked.poll_and_finalize(order).fullchain_pem
    except (errors.Error, FormError, requests.RequestException, OSError, ValueError, KeyError) as error:
        raise Refused(_words(error)) from error
    finally:
        for token in tokens:
            answers.pop(token, None)
    return chain.encode() + secret


def suggested(asking: Asking, certificate: bytes) -> tuple[float | None, float]:
    """When the authority would have it renewed (RFC 9773), and when it may be asked again; Unix seconds.

    Raises: Refused
    """
    try:
        at, again = _client(asking, None).renewal_time(certificate)
    except (errors.Error, FormError, requests.RequestException, OSError, ValueError, KeyError) as error:
        raise Refused(_words(error)) from error
    return None if at is None else at.timestamp(), again.timestamp()


def _client(asking: Asking, account_key: bytes | None) -> client.ClientV2:
    key = None
    if account_key is not None:
        loaded = serialization.load_pem_private_key(account_key, None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("the key of the account is none of an elliptic curve")
        key = JWKEC(key=ComparableECKey(loaded))
    network = client.ClientNetwork(key, alg=ES256, user_agent=f"fernamt/{VERSION}", timeout=REQUEST_S)
    authorities = asking.ca or ssl.get_default_verify_paths().cafile  # the library's own list is as old as the library
    if authorities is not None:
        network.verify_ssl = str(authorities)  # type: ignore[assignment]  # `requests` takes a file too
    return client.ClientV2(client.ClientV2.get_directory(asking.directory, network), network)


def _log_in(asked: client.ClientV2, asking: Asking) -> None:
    """RFC 8555 §7.3.1: a key that has an account already is told which."""
    wanted = messages.NewRegistration.from_data(email=asking.email, terms_of_service_agreed=True)
    try:
        asked.new_account(wanted)
    except errors.ConflictError as error:
        asked.net.account = messages.RegistrationResource(uri=error.location, body=messages.Registration())


def _http_01(authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
    """Raises: ValueError: the authority offers none."""
    for one in authorization.body.challenges:
        if isinstance(one.chall, acme_challenges.HTTP01):
            return one
    offered = ", ".join(sorted(one.chall.typ for one in authorization.body.challenges))
    raise ValueError(f"{authorization.body.identifier.value}: the authority offers no http-01, only {offered}")


def _words(error: Exception) -> str:
    """One line."""
    match error:
        case errors.ValidationError():
            told = [
                f"{one.body.identifier.value}: {challenge.error.detail}"
                for one in error.failed_authzrs
                for challenge in one.body.challenges
                if challenge.error is not None
            ]
            words = "; ".join(told) or "a name was not found to be ours"
        case errors.IssuanceError():
            words = str(error.error)
        case errors.TimeoutError():
            words = f"the authority has not looked within {VALIDATED_WITHIN_S} s"
        case requests.ConnectionError():
            words = f"the authority cannot be reached: {error}"
        case _:
            words = str(error) or type(error).__name__
    return " ".join(words.split())[:500]
