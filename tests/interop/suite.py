"""What every peer is put through, in both roles; a peer's module subclasses `InteropSuite`."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.interop.base import (
    DATA,
    RETRY,
    Missing,
    Peer,
    Setup,
    digest,
    meeting,
)
from tests.support.pump import Link
from tlswrite.errors import AlertReceived, CertificateError, CertificateRequired
from tlswrite.iana import AlertDescription, CipherSuite, NamedGroup, ProtocolVersion

SHORT = DATA[:40_000]

OPTIONS: tuple[dict[str, Any], ...] = (
    {"middlebox_compatibility": False},
    {"grease": False},
    {"record_padding": 256},
    {"key_update_records": 2},
)
CLIENT_OPTIONS = {"middlebox_compatibility", "grease"}

#: What peers say of a client without a certificate, and of a server that they do not trust.
NO_CERTIFICATE = (
    AlertDescription.CERTIFICATE_REQUIRED,
    AlertDescription.HANDSHAKE_FAILURE,
    AlertDescription.BAD_CERTIFICATE,
    AlertDescription.DECODE_ERROR,  # GnuTLS in TLS 1.2
)
UNTRUSTED = (
    AlertDescription.UNKNOWN_CA,
    AlertDescription.BAD_CERTIFICATE,
    AlertDescription.CERTIFICATE_UNKNOWN,
)


class PeerSuite:
    """What both versions have in common. Each test runs for the roles that the peer has."""

    peer: ClassVar[Peer]
    #: The only one that the peer is told.
    version: ClassVar[ProtocolVersion] = ProtocolVersion.TLS_1_3

    @pytest.fixture(autouse=True)
    def _present(self, record_property: Any) -> None:
        name = self.peer.name if self.version == ProtocolVersion.TLS_1_3 else f"{self.peer.name} 1.2"
        try:
            version = self.peer.version()
        except Missing as missing:
            record_property("interop", (name, "not here"))
            pytest.skip(f"{self.peer.name}: {missing}")
        record_property("interop", (name, version))

    def setup(self, **fields: Any) -> Setup:
        return Setup(**{"flow": self.peer.flows[0], "version": self.version, **fields})

    def _exchange(self, role: str, setup: Setup, directory: Path) -> Link:
        with meeting(self.peer, role, setup, directory) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            session.finish(link)
        assert link.connection.negotiated.version == self.version
        return link

    def test_data_both_ways_and_clean_shutdown(self, role: str, tmp_path: Path) -> None:
        """More than 1 MiB each way; then each side sees the other's close_notify."""
        setup = self.setup(alpn=("http/1.1",) if role in self.peer.alpn else ())
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            link.handshake()
            session.exchange(link)
            seen = session.finish(link)
        assert seen.get("close_notify", True), seen
        assert link.connection.negotiated.version == self.version
        if role in self.peer.alpn:
            assert link.connection.selected_alpn_protocol() == "http/1.1"
            assert seen.get("alpn", "http/1.1") == "http/1.1"

    def test_client_certificate(self, role: str, tmp_path: Path) -> None:
        if role not in self.peer.client_certificates:
            pytest.skip(f"{self.peer.name} as {role} has no client certificates here")
        with meeting(self.peer, role, self.setup(client_certificate=True), tmp_path) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            seen = session.finish(link)
        assert seen.get("client", True), seen
        if role == "client":
            names = link.connection.getpeercert()["subjectAltName"]
            assert names == (("DNS", "client.example"),)

    def test_peer_closes_first(self, role: str, tmp_path: Path) -> None:
        if "close" not in self.peer.flows:
            pytest.skip(f"{self.peer.name} cannot be made to close first here")
        with meeting(self.peer, role, self.setup(flow="close"), tmp_path) as (link, session):
            link.handshake()
            session.exchange(link)
            session.close_first()
            assert link.exchange(b"", None) == b""
            link.close()
            seen = session.wait()
        assert seen.get("close_notify", True), seen


class InteropSuite(PeerSuite):
    """TLS 1.3."""

    def test_suite(self, role: str, suite: CipherSuite, tmp_path: Path) -> None:
        setup = self.setup(suite=suite)
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            session.finish(link)
        assert link.connection.cipher()[0] == suite.name

    def test_group(self, role: str, group: NamedGroup, tmp_path: Path) -> None:
        """Restricted to one group on both sides, where the peer can be: no HelloRetryRequest then."""
        told = role in self.peer.chooses_groups
        groups = (group,) if told else ()
        setup = self.setup(groups=groups, ours={"groups": (group,)})
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            session.finish(link)
        assert link.connection.group() == group.name
        assert not (told and _was_retried(link))

    def test_hello_retry_request(self, role: str, tmp_path: Path) -> None:
        """The client offers a group that it sends no share for, and the server wants that one."""
        retry = self.peer.retry_group
        told = role in self.peer.chooses_groups
        if role == "client":
            groups = (NamedGroup.x25519, retry) if told else ()
            setup = self.setup(groups=groups, ours={"groups": (retry,)})
        elif told:
            ours = {"groups": (NamedGroup.x25519, retry), "key_shares": (NamedGroup.x25519,)}
            setup = self.setup(groups=(retry,), ours=ours)
        else:
            setup = self.setup(ours={"groups": (retry,), "key_shares": ()})
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            session.finish(link)
        assert link.connection.group() == retry.name
        assert _was_retried(link)

    def test_hello_retry_with_cookie(self, tmp_path: Path) -> None:
        """Our server asks for a cookie; the peer returns it."""
        if "client" not in self.peer.roles:
            pytest.skip("the peer is no client")
        ours: dict[str, Any] = {"hello_retry_cookie": True}
        if not self.peer.cookie_alone:
            ours["groups"] = (self.peer.retry_group,)
        setup = self.setup(ours=ours)
        with meeting(self.peer, "client", setup, tmp_path) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            session.finish(link)
        assert _was_retried(link)

    @pytest.mark.parametrize("option", OPTIONS, ids=lambda option: next(iter(option)))
    def test_option(self, role: str, option: dict[str, Any], tmp_path: Path) -> None:
        """Settings of ours that change what is on the wire and that no peer may mind."""
        if role == "server" or not option.keys() & CLIENT_OPTIONS:
            self._exchange(role, self.setup(ours=option), tmp_path)

    def test_record_size_limit(self, role: str, tmp_path: Path) -> None:
        _skip_unless(role in self.peer.record_size_limit, f"{self.peer.name} has no record_size_limit")
        limit = 700
        setup = self.setup(ours={"record_size_limit": limit})
        link = self._exchange(role, setup, tmp_path)
        sizes = [size for content_type, size in _records(link.wire_in) if content_type == 23]
        assert max(sizes) == limit + 16  # our limit counts the content and its type, not the tag

    def test_server_key_type(self, role: str, key_type: str, tmp_path: Path) -> None:
        setup = self.setup(key_type=key_type)
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            session.finish(link)

    def test_no_client_certificate(self, role: str, tmp_path: Path) -> None:
        """A client without a certificate is refused by the server that requires one, by an alert."""
        if role == "server":
            _skip_unless(role in self.peer.verifies, f"{self.peer.name} lets such clients in")
            setup = self.setup(client_certificate=True, ours={"credentials": None})
        else:
            setup = self.setup(ours={"verify_mode": ssl.CERT_REQUIRED})
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            if role == "client":
                with pytest.raises(CertificateRequired):
                    link.handshake()
            else:
                link.handshake()  # for a client the server's verdict comes after its own part is done
                with pytest.raises(AlertReceived) as caught:
                    link.exchange(b"", None)
                assert caught.value.received in NO_CERTIFICATE
            session.failed(link)

    def test_untrusted_server(self, role: str, tmp_path: Path) -> None:
        """A certificate of an unknown authority is refused by the client, by an alert."""
        _skip_unless(role == "server" or role in self.peer.verifies, f"{self.peer.name} verifies no server")
        setup = self.setup(untrusted=True)
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            if role == "server":
                with pytest.raises(CertificateError) as refused:
                    link.handshake()
                assert refused.value.alert == AlertDescription.UNKNOWN_CA
            else:
                with pytest.raises(AlertReceived) as caught:
                    link.handshake()
                assert caught.value.received in UNTRUSTED
            session.failed(link)

    def test_key_update_by_us(self, role: str, tmp_path: Path) -> None:
        """We change our keys and ask the peer to, in the middle of data both ways."""
        setup = self.setup()
        with meeting(self.peer, role, setup, tmp_path) as (link, session):
            link.handshake()
            session.exchange(link, SHORT)
            before = read_key(link)
            link.connection.key_update()
            session.exchange(link, SHORT)
            assert read_key(link) is before, "the peer was not asked"
            link.connection.key_update(request_peer=True)
            session.exchange(link, SHORT)  # what comes back may have been sent before the peer was asked
            session.exchange(link, SHORT)
            assert read_key(link) is not before, "the peer did not answer with a KeyUpdate"
            seen = session.finish(link)
        assert seen.get("key_updates", 2) == 2

    def test_half_close_by_us(self, role: str, tmp_path: Path) -> None:
        """After our close_notify the peer still sends 1 MiB, and we read it."""
        if "collect" not in self.peer.flows:
            pytest.skip(f"{self.peer.name} cannot go on after our close_notify")
        with meeting(self.peer, role, Setup(flow="collect"), tmp_path) as (link, session):
            link.handshake()
            link.send(DATA)
            link.half_close()
            assert digest(link.exchange(b"", None)) == digest(DATA)
            seen = session.wait()
        assert seen.get("sha256", digest(DATA)) == digest(DATA)

    def test_half_close_by_the_peer(self, role: str, tmp_path: Path) -> None:
        """After the peer's close_notify we still send 1 MiB, and it arrives."""
        if "first" not in self.peer.flows:
            pytest.skip(f"{self.peer.name} cannot go on after its close_notify")
        with meeting(self.peer, role, Setup(flow="first"), tmp_path) as (link, session):
            link.handshake()
            assert digest(link.exchange(b"", None)) == digest(DATA)
            link.send(DATA)
            link.half_close()
            seen = session.wait()
        assert seen["sha256"] == digest(DATA)


def parametrize_for_peer(metafunc: pytest.Metafunc) -> None:
    """Parameters from the peer of the test's class; see the conftest of this directory."""
    peer: Peer = metafunc.cls.peer
    names = metafunc.fixturenames
    pairs: list[tuple[Any, ...]]
    if "suite" in names:
        pairs = [(role, suite) for role in peer.roles for suite in peer.suites]
        metafunc.parametrize(("role", "suite"), pairs, ids=lambda value: getattr(value, "name", value))
    elif "group" in names:
        pairs = [(role, group) for role in peer.roles for group in peer.groups]
        metafunc.parametrize(("role", "group"), pairs, ids=lambda value: getattr(value, "name", value))
    elif "key_type" in names:
        pairs = [(role, key_type) for role in peer.roles for key_type in peer.key_types]
        metafunc.parametrize(("role", "key_type"), pairs)
    elif "role" in names:
        metafunc.parametrize("role", peer.roles)


def _skip_unless(condition: bool, reason: str) -> None:
    if not condition:
        pytest.skip(reason)


def _records(wire: bytearray) -> Iterator[tuple[int, int]]:
    """Content type and length of the records at the beginning of what came."""
    at = 0
    while at + 5 <= len(wire):
        size = int.from_bytes(wire[at + 3 : at + 5])
        yield wire[at], size
        at += 5 + size


def _was_retried(link: Link) -> bool:
    return RETRY in bytes(link.wire_in) or RETRY in bytes(link.wire_out)


def read_key(link: Link) -> object:
    """What opens the peer's records: another object after each KeyUpdate of the peer."""
    return link.connection.receive_path._opener
