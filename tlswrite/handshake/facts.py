"""What a finished handshake agreed on, as applications ask for it: the names of `ssl.SSLObject`."""

from __future__ import annotations

import ssl
from typing import Any, Final, Literal, overload

from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.crypto import x509
from tlswrite.errors import CallerError, TLSError
from tlswrite.handshake.control import Control
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.iana import NamedGroup, ProtocolVersion
from tlswrite.session import Session

__all__ = ["Facts"]

_VERSION_NAMES: Final = {ProtocolVersion.TLS_1_2: "TLSv1.2", ProtocolVersion.TLS_1_3: "TLSv1.3"}


class Facts:
    """The part of a connection's public face that only tells; `TLSConnection` has the rest."""

    __slots__ = ("_control", "_error", "_session", "config")

    config: ClientConfig | ServerConfig
    _control: Control
    _error: TLSError | None
    #: What a client shall offer to resume.
    _session: Session | None

    @property
    def negotiated(self) -> Negotiated | None:
        """The facts of the handshake, None until it is complete."""
        return self._control.negotiated

    def version(self) -> str | None:
        """ "TLSv1.2" or "TLSv1.3", or None before the handshake is complete, as `ssl.SSLObject.version`."""
        facts = self._control.negotiated
        return None if facts is None else _VERSION_NAMES[facts.version]

    def cipher(self) -> tuple[str, str, int] | None:
        """Suite under OpenSSL's name, protocol version and secret bits, as `ssl.SSLObject.cipher`."""
        facts = self._control.negotiated
        if facts is None:
            return None
        return facts.suite.openssl_name, _VERSION_NAMES[facts.version], facts.suite.key_length * 8

    def group(self) -> str | None:
        """The IANA name of the key exchange group."""
        facts = self._control.negotiated
        return None if facts is None or facts.group is None else NamedGroup(facts.group).name

    def selected_alpn_protocol(self) -> str | None:
        """The application protocol agreed on (RFC 7301)."""
        facts = self._control.negotiated
        return None if facts is None else facts.alpn

    def compression(self) -> None:
        """None: TLS 1.3 has no compression, and in TLS 1.2 none is done here."""
        return None

    @property
    def session_reused(self) -> bool:
        """Whether this handshake resumed an earlier session."""
        facts = self._control.negotiated
        return facts is not None and facts.session_reused

    @property
    def session(self) -> Session | None:
        """Client: the session to resume, as `ssl.SSLObject.session`; None where there is none (yet).

        In TLS 1.3 servers send it behind the handshake, so it is there after some reading. Before the handshake it
        can be set, to a session of another connection: one that does not fit means a full handshake. Raises
        CallerError where it is set on a server, or too late.
        """
        after = self._control.after
        return self._session if after is None else after.session

    @session.setter
    def session(self, session: Session | None) -> None:
        if isinstance(self.config, ServerConfig):
            raise CallerError("a session is the client's to choose")
        if self._control.started:
            raise CallerError("the session to resume must be set before the handshake")
        self._session = session

    @overload
    def getpeercert(self, binary_form: Literal[False] = False) -> dict[str, Any] | None: ...
    @overload
    def getpeercert(self, binary_form: Literal[True]) -> bytes | None: ...
    @overload
    def getpeercert(self, binary_form: bool) -> dict[str, Any] | bytes | None: ...
    def getpeercert(self, binary_form: bool = False) -> dict[str, Any] | bytes | None:
        """The peer's certificate, as `ssl.SSLObject.getpeercert`: DER, or a dict (empty if not verified)."""
        facts = self._control.negotiated
        if facts is None:
            raise ValueError("handshake not done yet")
        if not facts.peer_chain:
            return None
        if binary_form:
            return facts.peer_chain[0]
        # A server verifies what a client sends in any case, also where an SNI callback chose another
        # configuration, or where it asked after the handshake.
        verified = isinstance(self.config, ServerConfig) or self.config.verify_mode != ssl.CERT_NONE
        return x509.peercert_dict(facts.peer_chain[0]) if verified else {}

    @property
    def ocsp_response(self) -> bytes | None:
        """The OCSPResponse (DER) that the peer stapled to its certificate (SSL_get_tlsext_status_ocsp_resp).

        It was verified, as the certificate was: not with `verify_mode` CERT_NONE. None before the handshake is
        complete, where none came, and where a session was resumed, which shows no certificate.
        """
        facts = self._control.negotiated
        return None if facts is None else facts.ocsp_response

    def get_channel_binding(self, cb_type: str = "tls-exporter") -> bytes | None:
        """Channel binding data: "tls-exporter" (RFC 9266), "tls-server-end-point" and "tls-unique" (RFC 5929).

        None before the handshake is complete, or where the type is not defined for this connection: "tls-unique"
        in TLS 1.3, "tls-exporter" in TLS 1.2 without extended main secret. Raises ValueError for an unknown
        type.
        """
        facts = self._control.negotiated
        if cb_type not in ("tls-exporter", "tls-server-end-point", "tls-unique"):
            raise ValueError(f"{cb_type!r} channel binding type not implemented")
        if facts is None:
            return None
        if cb_type == "tls-unique":
            after = self._control.after
            return None if after is None else after.finished
        if cb_type == "tls-exporter":
            # RFC 9266 §4.2: not without the extended main secret, which binds it to this handshake.
            if not facts.extended_main_secret:
                return None
            return self.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        certificate = (
            facts.local_certificate
            if isinstance(self.config, ServerConfig)
            else (facts.peer_chain or (None,))[0]
        )
        return None if certificate is None else x509.server_end_point(certificate)

    def export_keying_material(self, label: bytes | str, length: int, context: bytes | None = None) -> bytes:
        """SSL_export_keying_material(3): `length` bytes for `label` and `context` (RFC 9846 §7.5, RFC 5705).

        In TLS 1.2 no context (None) and an empty one give different results.
        """
        self._check()
        after = self._control.after
        if after is None:
            raise CallerError("keying material is there once the handshake is complete")
        return after.export(label.encode() if isinstance(label, str) else label, length, context)

    def _check(self) -> None:
        """Raise what ended the connection, if anything did."""
        if self._error is not None:
            raise self._error.again()
