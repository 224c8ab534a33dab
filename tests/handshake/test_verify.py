"""What of a configuration decides whether a server's chain is good."""

from __future__ import annotations

import ssl

import pytest

from tests.support import pki
from tests.support.engine import HOST, client_config, credentials
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import CertificateError
from tlswrite.handshake.verify import verify_server

CHAIN = credentials().chain


def test_a_good_chain_for_the_name() -> None:
    path = verify_server(client_config(), CHAIN, HOST)
    assert path is not None and len(path) >= 2


def test_another_name_is_refused_unless_names_do_not_matter() -> None:
    with pytest.raises(CertificateError):
        verify_server(client_config(), CHAIN, "other.example")
    assert verify_server(client_config(check_hostname=False), CHAIN, "other.example") is not None


def test_who_is_not_trusted_is_refused_unless_nothing_is_verified() -> None:
    stranger = TrustAnchors.from_pem(pki.from_stranger().chain_pem)
    with pytest.raises(CertificateError):
        verify_server(client_config(trust_anchors=stranger), CHAIN, HOST)
    nothing = {"check_hostname": False, "verify_mode": ssl.CERT_NONE}
    assert verify_server(client_config(trust_anchors=stranger, **nothing), CHAIN, HOST) is None


def test_the_systems_anchors_are_the_default() -> None:
    # A test authority is not among them.
    with pytest.raises(CertificateError):
        verify_server(client_config(trust_anchors=None), CHAIN, HOST)
