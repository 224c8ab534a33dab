"""What a finished handshake agreed on."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlswrite.crypto.suites import Suite
from tlswrite.iana import NamedGroup, ProtocolVersion

__all__ = ["Negotiated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """The facts that outlive a handshake; no secret is among them."""

    version: ProtocolVersion
    suite: Suite
    #: None where no key was exchanged (a pre-shared key alone).
    group: NamedGroup | None
    #: Application protocol (RFC 7301); None where none was agreed on.
    alpn: str | None = None
    #: The name that the client sent (RFC 6066 §3), as A-labels; None where it sent none.
    server_name: str | None = None
    #: The peer's certificates in DER, its own first; empty where it sent none.
    peer_chain: tuple[bytes, ...] = field(default=(), repr=False)
    #: The OCSP response (DER) that came with the peer's certificate; None where none came.
    ocsp_response: bytes | None = field(default=None, repr=False)
    #: Our own certificate in DER; None where we sent none.
    local_certificate: bytes | None = field(default=None, repr=False)
    #: SignatureScheme of the peer's CertificateVerify; None where it sent none.
    signature_scheme: int | None = None
    #: SignatureScheme of our own CertificateVerify; None where we sent none.
    local_signature_scheme: int | None = None
    session_reused: bool = False
    #: Whether the keys are bound to the handshake that made them (RFC 7627); always so in TLS 1.3.
    extended_main_secret: bool = field(default=True, repr=False)
