"""What every peer is put through in TLS 1.2, in both roles; a peer's module subclasses `InteropSuite12`."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.interop.base import Peer, Setup, meeting
from tests.interop.suite import NO_CERTIFICATE, SHORT, UNTRUSTED, PeerSuite, read_key
from tlswrite.crypto.suites import SUITES, TLS12_SUITES, TLS13_SUITES
from tlswrite.errors import AlertReceived, CertificateError, HandshakeFailure, ProtocolVersionError, TLSError
from tlswrite.iana import AlertDescription, CipherSuite, NamedGroup, ProtocolVersion

TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3

#: Types of keys by the authentication of a suite.
KEY_TYPE = {"ECDSA": "ecdsa_secp256r1", "RSA": "rsa"}
ONLY_1_2 = {"cipher_suites": TLS12_SUITES}
ONLY_1_3 = {"cipher_suites": TLS13_SUITES}


class InteropSuite12(PeerSuite):
    """Each test runs for the suites, groups and key types too that the peer has in TLS 1.2.

    The engine offers and takes both versions; the peer has but this one.
    """

    version = TLS_1_2

    def test_the_keys_are_bound_to_the_handshake(self, role: str, tmp_path: Path) -> None:
        link = self._exchange(role, self.setup(), tmp_path)
        assert link.connection.negotiated.extended_main_secret

    def test_suite(self, role: str, suite: CipherSuite, tmp_path: Path) -> None:
        setup = self.setup(suite=suite, key_type=KEY_TYPE[SUITES[suite].authentication])
        link = self._exchange(role, setup, tmp_path)
        assert link.connection.cipher()[0] == SUITES[suite].openssl_name

    def test_group(self, role: str, group: NamedGroup, tmp_path: Path) -> None:
        told = role in self.peer.chooses_groups
        setup = self.setup(groups=(group,) if told else (), ours={"groups": (group,)}, key_type="rsa")
        link = self._exchange(role, setup, tmp_path)
        assert link.connection.group() == group.name

    def test_server_key_type(self, role: str, key_type: str, tmp_path: Path) -> None:
        self._exchange(role, self.setup(key_type=key_type), tmp_path)

    def test_no_client_certificate(self, role: str, tmp_path: Path) -> None:
        """A client without a certificate is refused by the server that requires one, by an alert."""
        if role == "server":
            if role not in self.peer.verifies:
                pytest.skip(f"{self.peer.name} lets such clients in")
            setup = self.setup(client_certificate=True, ours={"credentials": None})
        else:
            setup = self.setup(ours={"verify_mode": ssl.CERT_REQUIRED})
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            with pytest.raises(TLSError) as caught:
                link.handshake()
                link.exchange(b"", None)
            if role == "client":
                assert isinstance(caught.value, HandshakeFailure)
            else:
                error = caught.value
                assert isinstance(error, AlertReceived) and error.received in NO_CERTIFICATE, repr(error)
            session.failed(link)

    def test_untrusted_server(self, role: str, tmp_path: Path) -> None:
        """A certificate of an unknown authority is refused by the client, by an alert."""
        if role == "client" and role not in self.peer.verifies:
            pytest.skip(f"{self.peer.name} verifies no server")
        with meeting(self.peer, role, self.setup(untrusted=True), tmp_path) as (link, session):
            with pytest.raises(TLSError) as caught:
                link.handshake()
                link.exchange(b"", None)
            if role == "server":
                assert isinstance(caught.value, CertificateError)
                assert caught.value.alert == AlertDescription.UNKNOWN_CA
            else:
                assert isinstance(caught.value, AlertReceived) and caught.value.received in UNTRUSTED
            session.failed(link)

    def test_record_size_limit(self, role: str, tmp_path: Path) -> None:
        if role not in self.peer.record_size_limit:
            pytest.skip(f"{self.peer.name} has no record_size_limit")
        link = self._exchange(role, self.setup(ours={"record_size_limit": 700}), tmp_path)
        # RFC 8449 §4: in TLS 1.2 the plaintext counts; AES-GCM adds 8 bytes of nonce, and all add a tag.
        suite = link.connection.negotiated.suite
        assert max(sizes(link.wire_in)) == 700 + suite.explicit_nonce + suite.tag

    def test_max_fragment_length(self, role: str, tmp_path: Path) -> None:
        if role not in self.peer.max_fragment_length:
            pytest.skip(f"{self.peer.name} has no max_fragment_length")
        ours = {"max_fragment_length": 1024} if role == "server" else {}
        setup = self.setup(ours=ours, max_fragment_length=None if role == "server" else 1024)
        link = self._exchange(role, setup, tmp_path)
        for wire in (link.wire_in, link.wire_out):
            assert max(sizes(wire)) <= 1024 + 8 + 16

    # ---- versions ----

    def test_a_peer_of_this_version_and_we_of_the_next(self, role: str, tmp_path: Path) -> None:
        self.mismatch(role, self.setup(ours=ONLY_1_3), "TLS 1.2", tmp_path)

    def test_a_peer_of_the_next_version_and_we_of_this(self, role: str, tmp_path: Path) -> None:
        self.mismatch(role, self.setup(version=TLS_1_3, ours=ONLY_1_2), "TLS 1.3", tmp_path)

    def mismatch(self, role: str, setup: Setup, theirs: str, directory: Path) -> None:
        """Each side ends with an alert; our server's exception says what was offered."""
        with meeting(self.peer, role, setup, directory) as (link, session):
            with pytest.raises(TLSError) as caught:
                link.handshake()
            if role == "client":
                assert isinstance(caught.value, ProtocolVersionError), repr(caught.value)
                assert f"the client offers {theirs}" in caught.value.message
            else:
                error = caught.value
                spoken = (AlertDescription.PROTOCOL_VERSION, AlertDescription.HANDSHAKE_FAILURE)
                assert isinstance(error, ProtocolVersionError) or (
                    isinstance(error, AlertReceived) and error.received in spoken
                ), repr(error)
            session.failed(link)

    # ---- renegotiation ----

    def test_renegotiation_by_our_server(self, role: str, tmp_path: Path) -> None:
        """A HelloRequest in the middle of data: a new handshake, or a warning that both survive."""
        if role == "server":
            return self.renegotiation_by_our_client(tmp_path)
        with meeting(self.peer, role, self.setup(), tmp_path) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            for _ in range(2):
                before = read_key(link)
                link.connection.renegotiate()
                if role in self.peer.interleaves:
                    session.exchange(link, SHORT)
                if self.peer.follows_hello_request:
                    link.until(lambda before=before: read_key(link) is not before)
                session.exchange(link, SHORT)
                assert (read_key(link) is not before) == self.peer.follows_hello_request
            session.finish(link)
        return None

    def renegotiation_by_our_client(self, directory: Path) -> None:
        """Of our own accord: servers follow, or refuse by a warning, or end the connection; none hangs."""
        with meeting(self.peer, "server", self.setup(), directory) as (link, session):
            link.handshake()
            before = read_key(link)
            try:
                link.connection.renegotiate()
                session.exchange(link, SHORT)
            except TLSError as error:
                assert self.peer.takes_client_renegotiation is None, repr(error)
                return
            assert (read_key(link) is not before) == self.peer.takes_client_renegotiation
            session.finish(link)


def sizes(wire: bytearray) -> list[int]:
    """Lengths of the records of application data at the beginning of what passed."""
    found = []
    at = 0
    while at + 5 <= len(wire):
        size = int.from_bytes(wire[at + 3 : at + 5])
        if wire[at] == 23:
            found.append(size)
        at += 5 + size
    return found


def parametrize_for_peer12(metafunc: pytest.Metafunc) -> None:
    """As `parametrize_for_peer`, with what the peer has in TLS 1.2."""
    peer: Peer = metafunc.cls.peer
    names = metafunc.fixturenames
    for name, values in (
        ("suite", peer.suites12),
        ("group", peer.groups12),
        ("key_type", peer.key_types12),
    ):
        if name in names:
            pairs = [(role, value) for role in peer.roles for value in values]
            metafunc.parametrize(("role", name), pairs, ids=lambda value: getattr(value, "name", value))
            return
    if "role" in names:
        metafunc.parametrize("role", peer.roles)
