"""One side of a TLS 1.3 handshake by hand, to see how an engine takes what is wrong.

A `HostileClient` or a `HostileServer` speaks to an engine, the *victim*, over its memory carrier. It is made
of message classes, key schedule and primitives alone, so that it can say what no engine says; its transcript
holds what it really sent, so that the victim meets the fault itself, and not a Finished that does not fit.

    server = HostileServer(client(), {"certificate": twice})     # edit one message
    server.run()
    refused(server, UnexpectedMessage, under=HANDSHAKE)

    server = HostileServer(client())                             # or say it step by step
    server.step("server_hello")
    server.record(ContentType.ALERT, b"")
    server.flush()

An edit gets a message, header included, and returns what is said instead: one message, several (each in a
record of its own, the first of them part of the transcript), or none: see `edits`. Everything the victim says
is opened with the keys it must be under, and kept in `records`; `verdicts` has what a test asserts of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.support.edits import Edit, same
from tests.support.engine import credentials
from tests.support.pump import End, take
from tests.support.records import split
from tlswrite.connection import TLSConnection
from tlswrite.crypto import groups
from tlswrite.crypto.aead import new_aead
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.signatures import (
    CLIENT_CONTEXT,
    SERVER_CONTEXT,
    certificate_verify_content,
    sign,
)
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.iana import (
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from tlswrite.messages import extensions as ext
from tlswrite.messages.base import Extensions
from tlswrite.messages.certificate import Certificate, CertificateEntry, CertificateRequest, CertificateVerify
from tlswrite.messages.finish import EncryptedExtensions, Finished
from tlswrite.messages.framing import MESSAGES, Joiner, frame
from tlswrite.messages.hello import HELLO_RETRY_REQUEST_RANDOM, ClientHello, ServerHello
from tlswrite.tls13.schedule import KeySchedule, finished_mac, next_application_secret, traffic_keys
from tlswrite.transcript import Transcript

# Keys that a record is under.
PLAIN = "no key"
HANDSHAKE = "the handshake key"
APPLICATION = "the application key"

CCS = b"\x14\x03\x03\x00\x01\x01"


@dataclass(frozen=True)
class Record:
    """A record that the victim sent."""

    content_type: int
    content: bytes
    under: str


class Keys:
    """One direction under one traffic secret."""

    def __init__(self, suite: Suite, secret: bytes, name: str) -> None:
        key, iv = traffic_keys(suite, secret)
        self.suite = suite
        self.secret = secret
        self.name = name
        self.sequence = 0
        self._aead = new_aead(suite, key)
        self._iv = int.from_bytes(iv, "big")

    def seal(self, inner: bytes, version: int = ProtocolVersion.TLS_1_2) -> bytes:
        """A record of a whole TLSInnerPlaintext, which may be anything."""
        size = len(inner) + 16
        header = bytes((23,)) + version.to_bytes(2, "big") + size.to_bytes(2, "big")
        return header + self._aead.encrypt(self._nonce(), inner, header)

    def open(self, record: bytes) -> bytes:
        return self._aead.decrypt(self._nonce(), record[5:], record[:5])

    def next(self) -> Keys:
        return Keys(self.suite, next_application_secret(self.suite, self.secret), self.name)

    def _nonce(self) -> bytes:
        nonce = (self._iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return nonce


class Hostile:
    """What both sides have: records, transcript, and a victim."""

    #: Steps of a handshake, in the order of the RFC.
    STEPS: tuple[str, ...] = ()

    def __init__(self, victim: TLSConnection, edits: dict[str, Edit] | None = None) -> None:
        self.end = End("victim", victim)
        self.edits = edits or {}
        self.transcript = Transcript()
        self.suite = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]
        self.schedule = KeySchedule(self.suite)
        self.writing: Keys | None = None
        self.reading: Keys | None = None
        #: Everything the victim sent, and the messages among it.
        self.records: list[Record] = []
        self.messages: list[bytes] = []
        self._joiner = Joiner()
        self._out = b""

    @property
    def victim(self) -> TLSConnection:
        return self.end.connection  # type: ignore[no-any-return]  # End takes connections of other programs too

    # ---- saying -----------------------------------------------------------------------------------------

    def raw(self, data: bytes) -> None:
        """Queue bytes as they are."""
        self._out += data

    def plain(self, content_type: int, content: bytes, version: int = ProtocolVersion.TLS_1_2) -> None:
        """Queue a record without protection."""
        self.raw(
            bytes((content_type,)) + version.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content
        )

    def record(self, content_type: int, content: bytes, *, padding: int = 0, version: int = 0x0303) -> None:
        """Queue a record under the keys of the moment."""
        if self.writing is None:
            self.plain(content_type, content, version)
        else:
            self.raw(self.writing.seal(content + bytes((content_type,)) + bytes(padding), version))

    def handshake(self, message: bytes) -> None:
        """Queue a handshake message, in as many records as it takes."""
        for at in range(0, len(message), 16384):
            self.record(ContentType.HANDSHAKE, message[at : at + 16384])

    def flush(self, size: int | None = None) -> None:
        """Give the victim what is queued, `size` bytes at a time, let it go on, and hear its answer."""
        data, self._out = self._out, b""
        step = size or len(data) or 1
        for at in range(0, len(data), step):
            self.end.put(data[at : at + step])
            self.end.advance()
        self.end.advance()
        self.listen()

    def make(self, name: str) -> bytes:
        """The message of a step, edited and part of the transcript, to be sent by the test."""
        message = b"".join(self._edited(name))
        if message:
            self.transcript.add(message)
        return message

    def step(self, *names: str) -> None:
        """Say the messages of steps, and go over to the keys that follow them."""
        for name in names:
            messages = self._edited(name)
            for first in messages[:1]:
                self.transcript.add(first)
            for message in messages:
                self.handshake(message)
            self.after(name)

    def run(self, *names: str) -> None:
        """All steps, or those that are named, and then hear what the victim says."""
        self.step(*(names or self.STEPS))
        self.flush()

    def after(self, name: str) -> None:
        """The change of keys behind a step."""

    def _edited(self, name: str) -> Sequence[bytes]:
        message: bytes = getattr(self, name)()
        edited = self.edits.get(name, same)(message)
        return [edited] if isinstance(edited, bytes) else edited

    def certificate_of(self, owner: Credentials | None, context: bytes = b"") -> bytes:
        chain = () if owner is None else owner.chain
        return Certificate(context, tuple(CertificateEntry(der) for der in chain)).encode()

    def verify_of(self, owner: Credentials, context_string: bytes) -> bytes:
        scheme = owner.schemes[0]
        content = certificate_verify_content(context_string, self.transcript.digest())
        return CertificateVerify(scheme, sign(owner.private_key, scheme, content)).encode()

    def finished_of(self, base_key: bytes) -> bytes:
        return Finished(finished_mac(self.suite, base_key, self.transcript.digest())).encode()

    def update_keys(self, request: int = 0) -> None:
        """Queue a KeyUpdate and go over to the next keys."""
        assert self.writing is not None
        self.handshake(frame(HandshakeType.KEY_UPDATE, bytes((request,))))
        self.writing = self.writing.next()

    # ---- hearing ----------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Open everything that the victim sent since."""
        for record in split(take(self.victim)):
            if record[0] != ContentType.APPLICATION_DATA:
                heard = Record(record[0], record[5:], PLAIN)
            else:
                assert self.reading is not None, "a protected record before there are keys"
                inner = self.reading.open(record).rstrip(b"\0")
                heard = Record(inner[-1], inner[:-1], self.reading.name)
            self.records.append(heard)
            if heard.content_type == ContentType.HANDSHAKE:
                self._joiner.feed(heard.content)
                while (message := self._joiner.next()) is not None:
                    self.messages.append(message[1])
                    self.hear(*message)

    def hear(self, kind: int, raw: bytes) -> None:
        """One message of the victim's."""

    def heard(self, kind: HandshakeType) -> list[Any]:
        """The victim's messages of one type, parsed."""
        return [MESSAGES[kind].parse(raw[4:]) for raw in self.messages if raw[0] == kind]

    def hear_finished(self, raw: bytes, base_key: bytes) -> None:
        expected = finished_mac(self.suite, base_key, self.transcript.digest())
        assert Finished.parse(raw[4:]).verify_data == expected, "the victim's Finished does not verify"
        self.transcript.add(raw)

    def hear_key_update(self) -> None:
        assert self.reading is not None
        self.reading = self.reading.next()

    def enter_handshake(self, shared_secret: bytes) -> None:
        self.schedule = KeySchedule(self.suite)
        self.schedule.enter_handshake(shared_secret, self.transcript.digest())

    @property
    def alerts(self) -> list[Record]:
        return [record for record in self.records if record.content_type == ContentType.ALERT]


class HostileServer(Hostile):
    """A server by hand; the victim is a client. With `ask` it asks for a certificate."""

    def __init__(
        self,
        victim: TLSConnection,
        edits: dict[str, Edit] | None = None,
        *,
        owner: Credentials | None = None,
        suite: int = CipherSuite.TLS_AES_128_GCM_SHA256,
        group: int = NamedGroup.x25519,
        ask: bool = False,
        retry: Extensions | None = None,
    ) -> None:
        super().__init__(victim, edits)
        self.suite = SUITES[suite]
        self.group = group
        self.owner = owner or credentials()
        #: Extensions of a HelloRetryRequest besides supported_versions; None: there is none.
        self.retry_extensions = retry
        self.parameters: Extensions = ()
        self.schemes: tuple[int, ...] = (SignatureScheme.ecdsa_secp256r1_sha256,)
        retrying = () if retry is None else ("hello_retry_request",)
        asking = ("certificate_request",) if ask else ()
        self.STEPS = (
            *retrying,
            "server_hello",
            "encrypted_extensions",
            *asking,
            "certificate",
            "certificate_verify",
            "finished",
        )
        self._secret = b""
        self.victim.start_handshake()
        self.listen()
        self.hello: ClientHello = self.heard(HandshakeType.CLIENT_HELLO)[0]
        self.transcript.add(self.messages[0])
        self.transcript.start(self.suite.hash_name)

    @property
    def shares(self) -> dict[int, bytes]:
        data = self.hello.extension(ExtensionType.KEY_SHARE)
        assert data is not None
        return dict(ext.parse_key_share_client(data))

    def hello_retry_request(self) -> bytes:
        assert self.retry_extensions is not None
        self.transcript.retry()
        return replace(
            ServerHello(HELLO_RETRY_REQUEST_RANDOM, self.hello.session_id, self.suite.id, ()),
            extensions=(*self.retry_extensions, _TLS_1_3),
        ).encode()

    def server_hello(self) -> bytes:
        share, self._secret = groups.respond(self.group, self.shares[self.group])
        entry = (ExtensionType.KEY_SHARE, ext.encode_key_share_server(self.group, share))
        return ServerHello(os.urandom(32), self.hello.session_id, self.suite.id, (entry, _TLS_1_3)).encode()

    def encrypted_extensions(self) -> bytes:
        return EncryptedExtensions(self.parameters).encode()

    def certificate_request(self, context: bytes = b"") -> bytes:
        schemes = (ExtensionType.SIGNATURE_ALGORITHMS, ext.encode_signature_algorithms(self.schemes))
        return CertificateRequest(context, (schemes,)).encode()

    def certificate(self) -> bytes:
        return self.certificate_of(self.owner)

    def certificate_verify(self) -> bytes:
        return self.verify_of(self.owner, SERVER_CONTEXT)

    def finished(self) -> bytes:
        return self.finished_of(self.schedule.server_handshake)

    def after(self, name: str) -> None:
        if name == "hello_retry_request":
            self.flush()
            hellos = self.heard(HandshakeType.CLIENT_HELLO)
            if len(hellos) > 1:
                self.hello = hellos[1]
                self.transcript.add(self.messages[-1])
        elif name == "server_hello":
            self.enter_handshake(self._secret)
            self.writing = Keys(self.suite, self.schedule.server_handshake, HANDSHAKE)
            self.reading = Keys(self.suite, self.schedule.client_handshake, HANDSHAKE)
        elif name == "finished":
            self.schedule.enter_application(self.transcript.digest())
            self.writing = Keys(self.suite, self.schedule.server_application, APPLICATION)

    def hear(self, kind: int, raw: bytes) -> None:
        if kind == HandshakeType.FINISHED and self.reading is not None and self.reading.name == HANDSHAKE:
            self.hear_finished(raw, self.schedule.client_handshake)
            self.reading = Keys(self.suite, self.schedule.client_application, APPLICATION)
        elif kind in (HandshakeType.CERTIFICATE, HandshakeType.CERTIFICATE_VERIFY):
            self.transcript.add(raw)
        elif kind == HandshakeType.KEY_UPDATE:
            self.hear_key_update()


class HostileClient(Hostile):
    """A client by hand; the victim is a server. With `owner` it has a certificate, if it is asked."""

    STEPS = ("client_hello", "finished")

    def __init__(
        self,
        victim: TLSConnection,
        edits: dict[str, Edit] | None = None,
        *,
        owner: Credentials | None = None,
        offered: tuple[int, ...] = (NamedGroup.x25519,),
        shared: tuple[int, ...] = (NamedGroup.x25519,),
        extensions: Extensions = (),
        session_id: bytes = bytes(range(32)),
    ) -> None:
        super().__init__(victim, edits)
        self.owner = owner
        self.offered = offered
        self.shares = {group: groups.generate(group) for group in shared}
        #: Further extensions of the ClientHello.
        self.more_extensions = extensions
        self.random = os.urandom(32)
        self.session_id = session_id
        self.request: ServerHello | None = None
        #: The server's CertificateRequest, where it sent one.
        self.asked = False
        self.done = False
        self.victim.start_handshake()

    def client_hello(self) -> bytes:
        shares = [(group, share.public) for group, share in self.shares.items()]
        schemes = (SignatureScheme.ecdsa_secp256r1_sha256, SignatureScheme.rsa_pss_rsae_sha256)
        return ClientHello(
            self.random,
            self.session_id,
            (CipherSuite.TLS_AES_128_GCM_SHA256,),
            (
                (ExtensionType.SUPPORTED_VERSIONS, ext.encode_supported_versions_client((0x0304,))),
                (ExtensionType.SUPPORTED_GROUPS, ext.encode_supported_groups(self.offered)),
                (ExtensionType.SIGNATURE_ALGORITHMS, ext.encode_signature_algorithms(schemes)),
                (ExtensionType.KEY_SHARE, ext.encode_key_share_client(shares)),
                *self.more_extensions,
            ),
        ).encode()

    def second_client_hello(self) -> bytes:
        """What the HelloRetryRequest asks for: a share of its group, its cookie, no early data."""
        assert self.request is not None
        hello = ClientHello.parse(self.client_hello()[4:])
        group = self.request.extension(ExtensionType.KEY_SHARE)
        changed = dict(hello.extensions)
        changed.pop(ExtensionType.EARLY_DATA, None)
        if group is not None:
            wanted = ext.parse_key_share_hello_retry(group)
            self.shares = {wanted: groups.generate(wanted)}
            share = (wanted, self.shares[wanted].public)
            changed[ExtensionType.KEY_SHARE] = ext.encode_key_share_client([share])
        cookie = self.request.extension(ExtensionType.COOKIE)
        if cookie is not None:
            changed[ExtensionType.COOKIE] = cookie
        return replace(hello, extensions=tuple(changed.items())).encode()

    def certificate(self) -> bytes:
        return self.certificate_of(self.owner)

    def certificate_verify(self) -> bytes:
        assert self.owner is not None
        return self.verify_of(self.owner, CLIENT_CONTEXT)

    def finished(self) -> bytes:
        return self.finished_of(self.schedule.client_handshake)

    def after(self, name: str) -> None:
        if name in ("client_hello", "second_client_hello"):
            self.flush()
        elif name == "finished":
            self.writing = Keys(self.suite, self.schedule.client_application, APPLICATION)

    def run(self, *names: str) -> None:
        """Without names: whatever this handshake takes."""
        if not names:
            self.step("client_hello")
            if self.request is not None:
                self.step("second_client_hello")
            if self.asked:
                self.step("certificate", *(() if self.owner is None else ("certificate_verify",)))
            names = ("finished",) if self.done else ()
        self.step(*names)
        self.flush()

    def hear(self, kind: int, raw: bytes) -> None:
        if kind == HandshakeType.SERVER_HELLO:
            self._hear_hello(ServerHello.parse(raw[4:]), raw)
        elif kind == HandshakeType.FINISHED and not self.done:
            self.hear_finished(raw, self.schedule.server_handshake)
            self.schedule.enter_application(self.transcript.digest())
            self.reading = Keys(self.suite, self.schedule.server_application, APPLICATION)
            self.done = True
        elif kind == HandshakeType.KEY_UPDATE:
            self.hear_key_update()
        elif not self.done:
            self.asked = self.asked or kind == HandshakeType.CERTIFICATE_REQUEST
            self.transcript.add(raw)

    def _hear_hello(self, hello: ServerHello, raw: bytes) -> None:
        self.suite = SUITES[hello.cipher_suite]
        if self.request is None:
            self.transcript.start(self.suite.hash_name)
        if hello.is_hello_retry_request:
            self.request = hello
            self.transcript.retry()
            self.transcript.add(raw)
            return
        self.transcript.add(raw)
        data = hello.extension(ExtensionType.KEY_SHARE)
        assert data is not None
        group, public = ext.parse_key_share_server(data)
        self.enter_handshake(self.shares[group].finish(public))
        self.reading = Keys(self.suite, self.schedule.server_handshake, HANDSHAKE)
        self.writing = Keys(self.suite, self.schedule.client_handshake, HANDSHAKE)


_TLS_1_3 = (ExtensionType.SUPPORTED_VERSIONS, ext.encode_supported_versions_server(ProtocolVersion.TLS_1_3))
