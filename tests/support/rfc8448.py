"""The traces of RFC 8448 as data, and engines whose random values are a trace's.

`tests/vectors/rfc8448.json` holds the document's five traces step by step. `TraceClient` and `TraceServer`
are the engine's handshakes with a trace's keys, random values and signatures in place of the system's.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.x509 import load_der_x509_certificate

from tests.support.engine import anchors
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.groups import KeyShare
from tlswrite.crypto.signatures import CLIENT_CONTEXT, SERVER_CONTEXT, certificate_verify_content
from tlswrite.crypto.suites import SUITES
from tlswrite.handshake.offer import Offer
from tlswrite.handshake.opening import START, WAIT_SH
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO
from tlswrite.iana import CipherSuite, NamedGroup, SignatureScheme
from tlswrite.messages import extensions as ext
from tlswrite.messages.base import Extensions
from tlswrite.messages.certificate import Certificate, CertificateVerify
from tlswrite.messages.finish import EncryptedExtensions
from tlswrite.messages.hello import ClientHello, ServerHello
from tlswrite.tls13.authentication import WAIT_CERT, WAIT_CV, receive_finished
from tlswrite.tls13.client import ClientHandshake
from tlswrite.tls13.server import ServerHandshake
from tlswrite.transcript import Transcript

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "rfc8448.json").read_text())
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

    def time(self) -> float:
        return 0.0

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


class TraceClient(ClientHandshake):
    """A client that begins with the trace's ClientHello."""

    def __init__(self, io: HandshakeIO, config: ClientConfig, trace: str) -> None:
        raw = message(trace, "ClientHello", "client")[0]
        hello = ClientHello.parse(raw[4:])
        own = share(trace, "client")
        offer = Offer(
            hello,
            raw,
            "server",
            (NamedGroup.x25519, NamedGroup.secp256r1),
            {own.group: own},
            frozenset(code for code, _ in hello.extensions),
        )
        super().__init__(io, config, "server", TraceEntropy(trace, "client", []), offer)

    def follow(self, trace: str) -> HandshakeGenerator:
        _, raw = yield WAIT_SH
        yield from self.receive_server_hello(ServerHello.parse(raw[4:]), raw)
        yield from self.receive_encrypted_extensions()
        if trace == "6":
            yield from self.receive_server_identity()
        else:
            yield from take_identity(self.transcript, trace, "server", SERVER_CONTEXT)
        yield from receive_finished(self.transcript, self.suite, self.schedule.server_handshake)
        self.finish()


class TraceServer(ServerHandshake):
    """A server that says in EncryptedExtensions and CertificateRequest what the trace's says."""

    def __init__(self, io: HandshakeIO, config: ServerConfig, trace: str) -> None:
        random = ServerHello.parse(message(trace, "ServerHello", "server")[-1][4:]).random
        super().__init__(io, config, TraceEntropy(trace, "server", [random]))
        self.trace = trace

    def follow(self) -> HandshakeGenerator:
        _, raw = yield START
        yield from self.run(ClientHello.parse(raw[4:]), raw)

    def extensions(self) -> Generator[tuple[int, bytes], None, None]:
        raw = message(self.trace, "EncryptedExtensions", "server")[0]
        said: Extensions = EncryptedExtensions.parse(raw[4:]).extensions
        yield from said

    def certificate_request(self) -> bytes:
        return message(self.trace, "CertificateRequest", "server")[0]

    def receive_client_identity(self) -> HandshakeGenerator:
        yield from take_identity(self.transcript, self.trace, "client", CLIENT_CONTEXT)

    def make_cookie(self) -> bytes:
        retry = ServerHello.parse(message(self.trace, "ServerHello", "server")[0][4:])
        data = retry.extension(ext.ExtensionType.COOKIE)
        assert data is not None
        return ext.parse_cookie(data)


def server_config(trace: str) -> ServerConfig:
    """A server that chooses what the trace's chooses."""
    asks = trace == "6"
    return ServerConfig(
        credentials=(trace_credentials(trace, "server"),),
        groups=(share(trace, "server").group,),
        hello_retry_cookie=trace == "5",
        verify_mode=ssl.CERT_REQUIRED if asks else ssl.CERT_NONE,
        trust_anchors=anchors() if asks else None,
        # The trace's ticket is of a form of its own.
        tickets=0,
    )


def take_identity(transcript: Transcript, trace: str, who: str, context: bytes) -> HandshakeGenerator:
    """Certificate and CertificateVerify of a peer whose key is too small for the engine: 1024-bit RSA."""
    _, raw = yield WAIT_CERT
    transcript.add(raw)
    leaf = Certificate.parse(raw[4:]).entries[0].der
    public_key = load_der_x509_certificate(leaf).public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    _, raw = yield WAIT_CV
    verify = CertificateVerify.parse(raw[4:])
    assert verify.scheme == SignatureScheme.rsa_pss_rsae_sha256
    content = certificate_verify_content(context, transcript.digest())
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    public_key.verify(verify.signature, content, pss, hashes.SHA256())
    transcript.add(raw)
