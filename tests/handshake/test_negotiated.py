"""The facts of a handshake."""

from __future__ import annotations

import dataclasses

import pytest

from tlswrite.crypto.suites import SUITES
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.iana import CipherSuite, ProtocolVersion


def test_facts_are_frozen_and_certificates_do_not_flood_the_repr() -> None:
    facts = Negotiated(
        version=ProtocolVersion.TLS_1_3,
        suite=SUITES[CipherSuite.TLS_AES_128_GCM_SHA256],
        group=None,
        peer_chain=(bytes(1000),),
    )
    assert len(repr(facts)) < 1000
    assert not facts.session_reused and facts.alpn is None and facts.local_certificate is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        facts.alpn = "h2"  # type: ignore[misc]  # that it cannot be set is the test
