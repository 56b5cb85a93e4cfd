"""SRTP by pylibsrtp's public API, octets in and octets out."""

import pylibsrtp
from pylibsrtp import Policy

from media.errors import NotAuthentic
from media.transport.keys import Suite

PROFILES = {
    Suite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class PublicSrtp:
    """Implements `media.transport.base.Protection`."""

    def __init__(self, keys):
        profile = PROFILES[keys.suite]
        self._send = pylibsrtp.Session(Policy(keys.send, Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
        self._receive = pylibsrtp.Session(Policy(keys.receive, Policy.SSRC_ANY_INBOUND, srtp_profile=profile))

    def protect_rtp(self, packet):
        return self._send.protect(packet)

    def protect_rtcp(self, compound):
        return self._send.protect_rtcp(compound)

    def unprotect_rtp(self, packet):
        return self._opened(self._receive.unprotect, packet)

    def unprotect_rtcp(self, compound):
        return self._opened(self._receive.unprotect_rtcp, compound)

    @staticmethod
    def _opened(unprotect, packet):
        try:
            return unprotect(packet)
        except pylibsrtp.Error as error:
            raise NotAuthentic(str(error)) from error
