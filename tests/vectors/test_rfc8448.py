"""The traces of RFC 8448, byte for byte.

`rfc8448.json` holds the document's five traces step by step. First every derivation of every trace is made
again; then both engines are put into each full handshake, with the trace's random values and keys in place
of the system's, and must send what the trace sends. The 1024-bit RSA key of the traces is too small to be
accepted as a peer's, so a client takes the server's identity of three traces as given.

The PSK handshake (section 4) is compared as far as it does not need resumption.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.engine import client_config
from tests.support.handshakes import CCS, Recorder, Side, open_record
from tlswrite.config import ServerConfig
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.groups import KeyShare
from tlswrite.crypto.kdf import hkdf_expand, hkdf_extract, hmac_digest, new_hash
from tlswrite.crypto.suites import SUITES
from tlswrite.handshake.offer import Offer
from tlswrite.handshake.runner import HandshakeGenerator
from tlswrite.iana import CipherSuite, ContentType, HandshakeType, NamedGroup, SignatureScheme
from tlswrite.messages import extensions as ext
from tlswrite.messages.base import Extensions
from tlswrite.messages.certificate import Certificate, CertificateVerify
from tlswrite.messages.finish import EncryptedExtensions
from tlswrite.messages.framing import MESSAGES
from tlswrite.messages.hello import ClientHello, ServerHello
from tlswrite.tls13.authentication import receive_finished
from tlswrite.tls13.client import ClientHandshake
from tlswrite.tls13.schedule import traffic_keys
from tlswrite.tls13.server import ServerHandshake
from tlswrite.transcript import Transcript

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "rfc8448.json").read_text())
TRACES: dict[str, Any] = VECTORS["traces"]
SUITE = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]
#: The traces without a pre-shared key: 1-RTT, HelloRetryRequest, client authentication, compatibility mode.
FULL = ("3", "5", "6", "7")


def steps(trace: str, what: str, who: str | None = None) -> list[dict[str, bytes]]:
    """The steps of a trace under that name, their values as bytes."""
    return [
        {key: bytes.fromhex(value) for key, value in step.items() if key not in ("who", "what")}
        for step in TRACES[trace]["steps"]
        if step["what"] == what and who in (None, step["who"])
    ]


def message(trace: str, name: str, who: str) -> list[bytes]:
    return [step[name] for step in steps(trace, f"construct a {name} handshake message", who)] + [
        step[name] for step in steps(trace, f"construct an {name} handshake message", who)
    ]


# ---- every derivation -------------------------------------------------------------------------------


def derivations() -> Generator[Any, None, None]:
    for trace, content in TRACES.items():
        for index, step in enumerate(content["steps"]):
            if any(key in step for key in ("expanded", "secret", "key expanded", "finished")):
                yield pytest.param(step, id=f"{trace}-{index}-{step['who']}-{step['what']}")


@pytest.mark.parametrize("step", list(derivations()))
def test_derivations(step: dict[str, str]) -> None:
    value = {key: bytes.fromhex(text) for key, text in step.items() if key not in ("who", "what")}
    if "secret" in value:
        salt = value.get("salt") or bytes(32)
        assert hkdf_extract("sha256", salt, value["IKM"]) == value["secret"]
    if "expanded" in value:
        length = len(value["expanded"])
        assert hkdf_expand("sha256", value["PRK"], value["info"], length) == value["expanded"]
    if "key expanded" in value:
        assert traffic_keys(SUITE, value["PRK"]) == (value["key expanded"], value["iv expanded"])
        for kind in ("key", "iv"):
            expanded = value[f"{kind} expanded"]
            assert hkdf_expand("sha256", value["PRK"], value[f"{kind} info"], len(expanded)) == expanded


@pytest.mark.parametrize("trace", TRACES)
def test_messages_are_parsed_and_written_unchanged(trace: str) -> None:
    count = 0
    for step in TRACES[trace]["steps"]:
        for name, value in step.items():
            raw = bytes.fromhex(value) if name not in ("who", "what") else b""
            if step["what"].startswith("construct") and raw:
                if name == "ClientHello" and len(raw) < 4 + int.from_bytes(raw[1:4], "big"):
                    continue  # the prefix that a binder is computed over
                parsed = MESSAGES[HandshakeType(raw[0])].parse(raw[4:])
                assert parsed.encode() == raw
                count += 1
    assert count >= 6 - 2 * (trace == "4")


# ---- what stands in for the system's entropy ---------------------------------------------------------


class Share(KeyShare):
    """A key share with the trace's private key."""

    def __init__(self, group: NamedGroup, private: bytes, public: bytes) -> None:
        super().__init__(group, public)
        self.private = private

    def finish(self, peer_public: bytes) -> bytes:
        if self.group is NamedGroup.x25519:
            key = x25519.X25519PrivateKey.from_private_bytes(self.private)
            return key.exchange(x25519.X25519PublicKey.from_public_bytes(peer_public))
        curve = ec.SECP256R1()
        point = ec.EllipticCurvePublicKey.from_encoded_point(curve, peer_public)
        return ec.derive_private_key(int.from_bytes(self.private, "big"), curve).exchange(ec.ECDH(), point)


def share(trace: str, who: str, nth: int = 0) -> Share:
    found: list[Share] = []
    for step in TRACES[trace]["steps"]:
        if step["who"] == who and step["what"].startswith("create an ephemeral"):
            group = NamedGroup.x25519 if "x25519" in step["what"] else NamedGroup.secp256r1
            found.append(Share(group, bytes.fromhex(step["private key"]), bytes.fromhex(step["public key"])))
    return found[nth]


class TraceEntropy:
    """Hands out what the trace has."""

    def __init__(self, trace: str, who: str, randoms: list[bytes]) -> None:
        self.trace = trace
        self.who = who
        self.randoms = randoms

    def random(self, size: int) -> bytes:
        value = self.randoms.pop(0)
        assert len(value) == size
        return value

    def generate(self, group: int) -> KeyShare:
        found = share(self.trace, self.who, 1)
        assert found.group == group
        return found

    def respond(self, group: int, client_public: bytes) -> tuple[bytes, bytes]:
        own = share(self.trace, "server")
        assert own.group == group
        return own.public, own.finish(client_public)

    def sign(self, private_key: Any, scheme: int, data: bytes) -> bytes:
        verify = CertificateVerify.parse(message(self.trace, "CertificateVerify", self.who)[0][4:])
        assert verify.scheme == scheme
        return verify.signature


def trace_credentials(trace: str, who: str) -> Credentials:
    """The trace's certificate; only its signature is known for some, so nothing is signed with the key."""
    certificate = Certificate.parse(message(trace, "Certificate", who)[0][4:])
    scheme = CertificateVerify.parse(message(trace, "CertificateVerify", who)[0][4:]).scheme
    key = rsa.generate_private_key(65537, 2048)
    return Credentials(tuple(entry.der for entry in certificate.entries), key, (SignatureScheme(scheme),), ())


def records(trace: str, who: str) -> list[tuple[bytes, bytes]]:
    """Payload and complete record of all protected records that one side sends, in order."""
    return [
        (bytes.fromhex(step["payload"]), bytes.fromhex(step["complete record"]))
        for step in TRACES[trace]["steps"]
        if step["who"] == who and step["what"].startswith("send") and step["complete record"][:2] == "17"
    ]


# ---- the engines ------------------------------------------------------------------------------------


class TraceClient(ClientHandshake):
    """A client that begins with the trace's ClientHello."""

    def begin(self, trace: str) -> None:
        raw = message(trace, "ClientHello", "client")[0]
        hello = ClientHello.parse(raw[4:])
        own = share(trace, "client")
        self.offer = Offer(
            hello,
            raw,
            "server",
            (NamedGroup.x25519, NamedGroup.secp256r1),
            {own.group: own},
            frozenset(code for code, _ in hello.extensions),
        )
        self.transcript.add(raw)

    def take_identity(self, trace: str) -> None:
        for name in ("CertificateRequest", "Certificate", "CertificateVerify"):
            for raw in message(trace, name, "server"):
                self.transcript.add(raw)

    def follow(self, trace: str) -> HandshakeGenerator:
        yield from self.receive_server_hello()
        yield from self.receive_encrypted_extensions()
        if trace == "6":
            yield from self.receive_server_identity()
        else:
            self.take_identity(trace)
        yield from receive_finished(self.transcript, self.suite, self.schedule.server_handshake)
        self.finish()


@pytest.mark.parametrize("trace", FULL)
def test_the_client_sends_what_the_trace_sends(trace: str) -> None:
    io = Recorder()
    config = client_config(
        verify_mode=ssl.CERT_NONE,
        check_hostname=False,
        middlebox_compatibility=trace == "7",
        credentials=None,
    )
    if trace == "6":
        object.__setattr__(config, "credentials", trace_credentials(trace, "client"))
    client = TraceClient(io, config, "server", TraceEntropy(trace, "client", []))
    client.begin(trace)
    side = Side(io, client.follow(trace))
    side.start()
    hellos = message(trace, "ServerHello", "server")
    if trace == "5":
        side.receive(hellos[0])
        hello = ClientHello.parse(io.take()[0][4:])
        # The trace pads its second ClientHello, which this client has no reason to do, and puts the cookie
        # where it likes: what is the same is what is said.
        wanted = ClientHello.parse(message(trace, "ClientHello", "client")[1][4:])
        theirs = {code: data for code, data in wanted.extensions if code != ext.ExtensionType.PADDING}
        assert dict(hello.extensions) == theirs
        replay = Offer(
            wanted, wanted.encode(), "server", client.offer.groups, client.offer.shares, frozenset(theirs)
        )
        client.transcript = fresh_transcript(trace, replay)
        client.offer = replay
    side.receive(hellos[-1])
    side.receive(message(trace, "EncryptedExtensions", "server")[0])
    if trace == "6":
        for name in ("CertificateRequest", "Certificate", "CertificateVerify"):
            side.receive(message(trace, name, "server")[0])
    side.receive(message(trace, "Finished", "server")[0])
    assert side.error is None
    assert io.result is not None
    assert (CCS in io.log) == (trace == "7")

    sent = io.take()
    assert sent == [
        raw
        for name in ("Certificate", "CertificateVerify", "Finished")
        for raw in message(trace, name, "client")
    ]
    flight, *rest = records(trace, "client")
    assert b"".join(sent) == flight[0]
    assert io.sealers[0].seal(ContentType.HANDSHAKE, flight[0]) == flight[1]
    for payload, record in rest:
        kind = ContentType.ALERT if payload == b"\1\0" else ContentType.APPLICATION_DATA
        assert io.sealers[-1].seal(kind, payload) == record
    check_opened(io, records(trace, "server"))
    # RFC 8448 derives the resumption secret too.
    wanted = steps(trace, 'derive secret "tls13 res master"', "client")[0]
    assert client.schedule.resumption(client.transcript.digest()) == wanted["expanded"]
    exporter = steps(trace, 'derive secret "tls13 exp master"', "server")[0]
    assert client.schedule.exporter == exporter["expanded"]


def fresh_transcript(trace: str, offer: Offer) -> Transcript:
    """The transcript of the HelloRetryRequest trace up to its second ClientHello."""
    transcript = Transcript()
    transcript.add(message(trace, "ClientHello", "client")[0])
    transcript.start("sha256")
    transcript.retry()
    transcript.add(message(trace, "ServerHello", "server")[0])
    transcript.add(offer.message)
    return transcript


def check_opened(io: Recorder, wanted: list[tuple[bytes, bytes]]) -> None:
    """The protected records of the other side open to what they hold: handshake keys, then the rest."""
    for index, (payload, record) in enumerate(wanted):
        assert open_record(io.openers[0 if index == 0 else -1], record)[1] == payload


class TraceServer(ServerHandshake):
    """A server that says in EncryptedExtensions and CertificateRequest what the trace's says."""

    trace: str

    def extensions(self) -> Generator[tuple[int, bytes], None, None]:
        raw = message(self.trace, "EncryptedExtensions", "server")[0]
        said: Extensions = EncryptedExtensions.parse(raw[4:]).extensions
        yield from said

    def make_cookie(self) -> bytes:
        retry = ServerHello.parse(message(self.trace, "ServerHello", "server")[0][4:])
        data = retry.extension(ext.ExtensionType.COOKIE)
        assert data is not None
        return ext.parse_cookie(data)


@pytest.mark.parametrize("trace", ["3", "5", "7"])
def test_the_server_sends_what_the_trace_sends(trace: str) -> None:
    io = Recorder()
    config = ServerConfig(
        credentials=(trace_credentials(trace, "server"),),
        groups=(share(trace, "server").group,),
        hello_retry_cookie=trace == "5",
    )
    hellos = message(trace, "ServerHello", "server")
    server = TraceServer(
        io, config, TraceEntropy(trace, "server", [ServerHello.parse(hellos[-1][4:]).random])
    )
    server.trace = trace
    side = Side(io, server.run())
    side.start()
    for raw, answer in zip(message(trace, "ClientHello", "client"), hellos, strict=True):
        side.receive(raw)
        assert side.error is None
        sent = io.take()
        assert sent[0] == answer
    assert sent[1:] == [
        raw
        for name in ("EncryptedExtensions", "Certificate", "CertificateVerify", "Finished")
        for raw in message(trace, name, "server")
    ]
    assert (CCS in io.log) == (trace == "7")
    flight, *rest = records(trace, "server")
    assert b"".join(sent[1:]) == flight[0]
    # The trace's limit is 16385 bytes; a record_size_limit leaves the record as it is.
    assert io.sealers[0].seal(ContentType.HANDSHAKE, flight[0]) == flight[1]
    side.receive(message(trace, "Finished", "client")[0])
    assert side.error is None
    assert io.result is not None
    for payload, record in rest:
        kind = {b"\1\0": ContentType.ALERT}.get(payload, ContentType.APPLICATION_DATA)
        if payload[0] == HandshakeType.NEW_SESSION_TICKET and len(payload) > 100:
            kind = ContentType.HANDSHAKE
        assert io.sealers[-1].seal(kind, payload) == record
    check_opened(io, records(trace, "client"))


def test_finished_of_every_trace() -> None:
    count = 0
    for trace in TRACES:
        for step in steps(trace, 'calculate finished "tls13 finished"'):
            assert step["finished"] in {
                raw[4:] for who in ("client", "server") for raw in message(trace, "Finished", who)
            }
            count += 1
    assert count == 10


def test_the_binder_of_the_resumed_trace() -> None:
    # RFC 9846 §4.3.11.2: computed like a Finished, over the ClientHello without its binders.
    step = steps("4", "calculate PSK binder")[0]
    running = new_hash("sha256")
    running.update(step["ClientHello prefix"])
    assert running.digest() == step["binder hash"]
    assert hmac_digest("sha256", step["expanded"], step["binder hash"]) == step["finished"]


def test_the_keys_of_the_traces_are_what_they_say() -> None:
    for trace in FULL:
        for who in ("client", "server"):
            own = share(trace, who)
            if own.group is NamedGroup.x25519:
                key = x25519.X25519PrivateKey.from_private_bytes(own.private)
                assert key.public_key().public_bytes_raw() == own.public
            else:
                point = ec.derive_private_key(int.from_bytes(own.private, "big"), ec.SECP256R1()).public_key()
                assert point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == own.public
