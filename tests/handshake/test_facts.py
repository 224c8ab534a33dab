"""What a connection tells of itself, in both versions and before there is anything to tell."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any

import pytest

from tests.support.after import After
from tests.support.engine import ONLY_1_2, anchors, connected, credentials, issued
from tests.support.pump import Pair
from tests.support.records import AES_128, ECDHE_AES_128
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.errors import CallerError, DecodeError
from tlswrite.handshake.control import Control
from tlswrite.handshake.facts import Facts
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.iana import CipherSuite, NamedGroup, ProtocolVersion
from tlswrite.record.receive import ReceivePath
from tlswrite.record.send import SendPath

V12, V13 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
BINDINGS = ("tls-exporter", "tls-server-end-point", "tls-unique")


class Teller(Facts):
    """The facts, of a handshake that is made up."""

    __slots__ = ()

    def __init__(
        self, config: ClientConfig | ServerConfig, facts: Negotiated | None, after: After | None = None
    ) -> None:
        self.config = config
        self._error = None
        self._session = None
        self._control = Control(SendPath(), ReceivePath())
        if facts is not None:
            self._control.complete(facts, after or After())


def negotiated(version: ProtocolVersion = V12, **fields: Any) -> Negotiated:
    suite = ECDHE_AES_128 if version == V12 else AES_128
    return Negotiated(**{"version": version, "suite": suite, "group": NamedGroup.x25519, **fields})


def client(**fields: Any) -> Teller:
    return Teller(ClientConfig(), negotiated(**fields))


def server(**fields: Any) -> Teller:
    return Teller(ServerConfig(credentials=(credentials(),)), negotiated(**fields))


def test_before_the_handshake_there_is_nothing_to_tell() -> None:
    # As `ssl.SSLObject` has it.
    teller = Teller(ClientConfig(), None)
    assert (teller.negotiated, teller.version(), teller.cipher(), teller.group()) == (None,) * 4
    assert (teller.selected_alpn_protocol(), teller.compression(), teller.session_reused) == (
        None,
        None,
        False,
    )
    assert [teller.get_channel_binding(each) for each in BINDINGS] == [None] * 3
    for binary_form in (False, True):
        with pytest.raises(ValueError, match="handshake not done yet"):
            teller.getpeercert(binary_form)
    with pytest.raises(CallerError, match="once the handshake is complete"):
        teller.export_keying_material("label", 32)


def test_version_and_cipher_bear_openssls_names() -> None:
    assert client().version() == "TLSv1.2"
    assert client().cipher() == ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2", 128)
    assert client(version=V13).version() == "TLSv1.3"
    assert client(version=V13).cipher() == ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)
    assert client().group() == "x25519"
    assert client(group=None).group() is None
    assert client().compression() is None
    assert client(alpn="h2").selected_alpn_protocol() == "h2"
    assert (client().session_reused, client(session_reused=True).session_reused) == (False, True)


def test_exports_are_asked_for_with_or_without_a_context() -> None:
    # RFC 5705 §4: no context is not an empty one.
    teller = client()
    assert teller.export_keying_material("label", 3) == b"(b'label', 3, None)"
    assert teller.export_keying_material(b"label", 3, b"") == b"(b'label', 3, b'')"
    assert teller.export_keying_material("läbel", 3, b"x") == repr(("läbel".encode(), 3, b"x")).encode()
    # What ended the connection is what is told from then on.
    teller._error = DecodeError("the end")
    with pytest.raises(DecodeError, match="the end"):
        teller.export_keying_material("label", 3)


def test_unknown_bindings() -> None:
    for teller in (client(), Teller(ClientConfig(), None)):
        with pytest.raises(ValueError, match="'tls-other' channel binding type not implemented"):
            teller.get_channel_binding("tls-other")


def test_the_exporter_binding_needs_the_extended_main_secret() -> None:
    # RFC 9266 §4.2: without RFC 7627 it MUST NOT be used in TLS 1.2.
    assert client().get_channel_binding() == b"(b'EXPORTER-Channel-Binding', 32, b'')"
    assert client(extended_main_secret=False).get_channel_binding() is None
    assert client(extended_main_secret=False).get_channel_binding("tls-unique") == b"finished"


def test_tls_unique_goes_with_the_connection() -> None:
    # RFC 5929 §3.1: the first Finished of the most recent handshake.
    teller = client()
    assert teller.get_channel_binding("tls-unique") == b"finished"
    teller._control.close()
    assert teller.get_channel_binding("tls-unique") is None


def test_the_end_point_is_the_servers_certificate() -> None:
    # RFC 5929 §4.1.
    own, other = issued().certificate_der, issued("rsa").certificate_der
    expected = hashlib.sha256(own).digest()
    seen = client(peer_chain=(own, other), local_certificate=other)
    assert seen.get_channel_binding("tls-server-end-point") == expected
    shown = server(peer_chain=(other,), local_certificate=own)
    assert shown.get_channel_binding("tls-server-end-point") == expected
    assert client().get_channel_binding("tls-server-end-point") is None
    assert server().get_channel_binding("tls-server-end-point") is None


def test_the_peers_certificate() -> None:
    der = issued().certificate_der
    assert client().getpeercert() is None and client().getpeercert(True) is None
    for teller in (client(peer_chain=(der, b"issuer")), server(peer_chain=(der, b"issuer"))):
        assert teller.getpeercert(True) == der
        details = teller.getpeercert()
        assert details is not None and ("DNS", "localhost") in details["subjectAltName"]
    unverified = Teller(
        ClientConfig(verify_mode=ssl.CERT_NONE, check_hostname=False), negotiated(peer_chain=(der,))
    )
    assert unverified.getpeercert() == {}
    assert unverified.getpeercert(True) == der


# ---- of real connections ----------------------------------------------------------------------------


def pair12(**server_fields: Any) -> Pair:
    return connected(
        {**ONLY_1_2, "credentials": credentials(client=True), "alpn_protocols": ("h2",)},
        {**ONLY_1_2, "alpn_protocols": ("h2",), **server_fields},
    )


@pytest.mark.parametrize("suite", ["AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"])
def test_both_ends_of_tls_1_2_tell_the_same(suite: str) -> None:
    joined = pair12(
        verify_mode=ssl.CERT_REQUIRED,
        trust_anchors=anchors(),
        cipher_suites=(CipherSuite[f"TLS_ECDHE_ECDSA_WITH_{suite}"],),
    )
    ends = [end.connection for end in joined.ends]
    name = "ECDHE-ECDSA-AES256-GCM-SHA384" if suite.startswith("AES") else "ECDHE-ECDSA-CHACHA20-POLY1305"
    for end in ends:
        assert (end.version(), end.cipher()) == ("TLSv1.2", (name, "TLSv1.2", 256))
        assert (end.group(), end.selected_alpn_protocol(), end.session_reused) == ("x25519", "h2", False)
    for binding in BINDINGS:
        one, other = (end.get_channel_binding(binding) for end in ends)
        assert one == other and one is not None
    one, other = (end.export_keying_material("EXPERIMENTAL", 40) for end in ends)
    assert one == other != ends[0].export_keying_material("EXPERIMENTAL", 40, b"")
    assert len(ends[0].get_channel_binding("tls-unique") or b"") == 12
    assert joined.server.connection.getpeercert(True) == issued(client=True).certificate_der
    assert joined.client.connection.getpeercert(True) == issued().certificate_der
