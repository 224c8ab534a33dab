"""What the peers share: what a test asks for, how the two sides meet, the peer's half of a conversation.

A peer plays one of two roles, `server` or `client`; the engine plays the other. A test describes both
sides in a `Setup`, opens a `meeting`, and gets a `Link` (the engine on its socket) and a `Session` (the
peer at the other end).

The peer's half of a conversation is one of these flows:

    echo     send back what comes, up to our close_notify, then close
    collect  read up to our close_notify, send all of it back, then close (half-close by us)
    first    send `DATA`, then close_notify, then read up to ours (half-close by the peer)
    close    send back `len(DATA)` bytes, then close_notify first
    pipe     programs that connect their standard input and output; both directions at once
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tests.support.pki import Files, Issued, authority, from_stranger, issue, write
from tests.support.pump import Link
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.suites import TLS12_SUITES
from tlswrite.crypto.x509 import TrustAnchors, load_credentials
from tlswrite.iana import CipherSuite, NamedGroup, ProtocolVersion

HOST = "127.0.0.1"
NAME = "localhost"
LIMIT = 90.0

#: What goes both ways: more than 1 MiB, and no multiple of a record.
DATA = random.Random(8446).randbytes((1 << 20) + 4321)

SUITES = (
    CipherSuite.TLS_AES_128_GCM_SHA256,
    CipherSuite.TLS_AES_256_GCM_SHA384,
    CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
)
ECDHE = (NamedGroup.x25519, NamedGroup.secp256r1, NamedGroup.secp384r1, NamedGroup.secp521r1)
KEY_TYPES = (
    "ecdsa_secp256r1",
    "ecdsa_secp384r1",
    "ecdsa_secp521r1",
    "rsa",
    "rsa_pss",
    "ed25519",
    "ed448",
)

#: More than 1 MiB of text, for programs that connect their pipes, to go the other way at the same time:
#: lines, and in them no letter that one of these programs takes for a command.
LINE = 65
REPLY = b"".join(random.Random(line).randbytes(LINE // 2).hex().encode() + b"\n" for line in range(16_200))

#: The random of a HelloRetryRequest begins so on the wire (RFC 9846 §4.2.3).
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891")


class Missing(Exception):
    """The peer is not on this machine."""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Setup:
    """What a test asks of both sides; an empty field leaves each side its default."""

    flow: str = "echo"
    #: The only version of the peer; the engine has both unless `ours` says otherwise.
    version: ProtocolVersion = ProtocolVersion.TLS_1_3
    key_type: str = "ecdsa_secp256r1"
    #: The only suite of the engine, and of a peer that can be told.
    suite: CipherSuite | None = None
    #: The groups of the peer, best first.
    groups: tuple[NamedGroup, ...] = ()
    alpn: tuple[str, ...] = ()
    client_certificate: bool = False
    #: The server's certificate is of an authority that the client does not trust.
    untrusted: bool = False
    #: What a peer that is a client asks for. Bytes.
    max_fragment_length: int | None = None
    #: Further fields of the engine's configuration.
    ours: dict[str, Any] = field(default_factory=dict)

    @property
    def server_certificate(self) -> Issued:
        return from_stranger() if self.untrusted else issue(key_type=self.key_type)

    def write(self, directory: Path, role: str) -> Files:
        """The files of a peer that plays this role."""
        if role == "server":
            return write(directory, self.server_certificate, "server")
        return write(directory, client_certificate(), "client")


def client_certificate() -> Issued:
    return issue(("client.example",), client=True)


class Session:
    """The peer's end of one conversation. Peers override what they do otherwise."""

    port: int  # where a peer that is a server listens

    def alive(self) -> bool:
        return True

    def exchange(self, link: Link, data: bytes = DATA) -> None:
        """Move data both ways at once and compare it; here for a peer that echoes."""
        assert digest(link.exchange(data, len(data))) == digest(data)

    def close_first(self) -> None:
        """Make the peer end the conversation, for the flow `close`; a peer that counts does so by itself."""

    def finish(self, link: Link) -> dict[str, Any]:
        """Close on both sides, us first where the peer answers our close_notify; what the peer saw."""
        link.close()
        return self.wait()

    def failed(self, link: Link) -> None:
        """Wait for the peer's end after a handshake that failed; here for a peer that then ends badly."""
        link.sock.close()
        try:
            self.wait()
        except Exception:  # whatever it says then
            return
        raise AssertionError("the peer noticed nothing")

    def wait(self) -> dict[str, Any]:
        """Wait for the peer's end; what it saw. Fails where it did not end well.

        Keys: `close_notify` (bool: ours arrived), `sha256` (of all it received), `alpn`, `cipher`,
        `client` (it saw a client certificate); a peer leaves out what it cannot tell.
        """
        raise NotImplementedError


class Peer:
    """One peer: what it can do, and how it is started."""

    name: ClassVar[str]
    roles: ClassVar[tuple[str, ...]] = ("server", "client")
    flows: ClassVar[tuple[str, ...]] = ("echo", "collect", "first", "close")
    suites: ClassVar[tuple[CipherSuite, ...]] = SUITES
    groups: ClassVar[tuple[NamedGroup, ...]] = ECDHE
    #: Roles in which it can be told its groups; in others only ours are set, which may take a second hello.
    chooses_groups: ClassVar[tuple[str, ...]] = ("server", "client")
    #: For HelloRetryRequest to a peer that is a client: one it offers without a share.
    retry_group: ClassVar[NamedGroup] = NamedGroup.secp384r1
    #: As a client it takes a HelloRetryRequest that has a cookie and changes no group.
    cookie_alone: ClassVar[bool] = True
    key_types: ClassVar[tuple[str, ...]] = KEY_TYPES
    #: Roles in which it has ALPN, and client certificates.
    alpn: ClassVar[tuple[str, ...]] = ("server", "client")
    client_certificates: ClassVar[tuple[str, ...]] = ("server", "client")
    #: Roles in which it keeps to a record_size_limit (RFC 8449).
    record_size_limit: ClassVar[tuple[str, ...]] = ()
    #: Of TLS 1.2: suites, groups, types of keys, and what it can do in which role.
    suites12: ClassVar[tuple[CipherSuite, ...]] = TLS12_SUITES
    groups12: ClassVar[tuple[NamedGroup, ...]] = ECDHE
    key_types12: ClassVar[tuple[str, ...]] = KEY_TYPES
    #: Roles in which it can be told to ask for max_fragment_length (client), or knows it (server).
    max_fragment_length: ClassVar[tuple[str, ...]] = ()
    #: As a client: it follows a server's HelloRequest, or warns (False).
    follows_hello_request: ClassVar[bool] = False
    #: Roles in which it bears application data between a HelloRequest or ClientHello and what answers it.
    interleaves: ClassVar[tuple[str, ...]] = ()
    #: As a server: it follows a client that renegotiates (True), warns (False), or ends the connection (None).
    takes_client_renegotiation: ClassVar[bool | None] = False
    #: Roles in which it refuses the other side's certificate, or the lack of one.
    verifies: ClassVar[tuple[str, ...]] = ("server", "client")

    def version(self) -> str:
        """Its version in words. Raises `Missing` where it is not on this machine."""
        raise NotImplementedError

    def serve(self, setup: Setup, directory: Path) -> contextlib.AbstractContextManager[Session]:
        raise NotImplementedError

    def connect(self, setup: Setup, directory: Path, port: int) -> contextlib.AbstractContextManager[Session]:
        raise NotImplementedError


def dial(port: int, alive: Callable[[], bool] = lambda: True) -> socket.socket:
    """Connect to a program that does not say when it listens: again and again while it lives."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return socket.create_connection((HOST, port), LIMIT)
        except ConnectionRefusedError:
            if time.monotonic() > deadline or not alive():
                raise
            select.select([], [], [], 0.01)


@contextlib.contextmanager
def meeting(peer: Peer, role: str, setup: Setup, directory: Path) -> Iterator[tuple[Link, Session]]:
    """The peer in its role and the engine in the other, connected; the handshake is not done yet."""
    if role == "server":
        with peer.serve(setup, directory) as session:
            connection = our_client(setup)
            with Link(connection, dial(session.port, session.alive), LIMIT) as link:
                yield link, session
    else:
        with socket.create_server((HOST, 0)) as listener:
            listener.settimeout(LIMIT)
            with peer.connect(setup, directory, listener.getsockname()[1]) as session:
                connection = our_server(setup)
                with Link(connection, listener.accept()[0], LIMIT) as link:
                    yield link, session


def our_client(setup: Setup) -> TLSConnection:
    fields = _our_fields(setup)
    if setup.client_certificate:
        fields["credentials"] = _credentials(client_certificate())
    return TLSConnection(ClientConfig(**fields | setup.ours), server_hostname=NAME)


def our_server(setup: Setup) -> TLSConnection:
    fields = _our_fields(setup)
    fields["credentials"] = (_credentials(setup.server_certificate),)
    if setup.client_certificate:
        fields["verify_mode"] = ssl.CERT_REQUIRED
    return TLSConnection(ServerConfig(**fields | setup.ours))


def _our_fields(setup: Setup) -> dict[str, Any]:
    fields: dict[str, Any] = {"trust_anchors": TrustAnchors.from_pem(authority().certificate_pem)}
    if setup.suite is not None:
        fields["cipher_suites"] = (setup.suite,)
    if setup.alpn:
        fields["alpn_protocols"] = setup.alpn
    return fields


def _credentials(issued: Issued) -> Any:
    return load_credentials(issued.chain_pem, issued.key_pem, None)
