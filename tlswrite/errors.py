"""Exceptions; each knows its alert, its `SSL_get_error` code, and whether it is retryable.

Three families, never mixed:

* *wants* and *ends* (`WantReadError` … `SyscallError`): the outcome of a call, as `SSL_get_error(3)` has it;
* the peer's fault (`PeerError`, one class an alert): it ends the connection and is told to the peer;
* the caller's fault (`CallerError`: `BadWriteRetry`, `ConfigurationError`, …): nothing was put on the wire
  and the connection is as it was.

Every class stands under the `ssl` module's class of that meaning, so `except ssl.SSLError` (and
`ssl.SSLWantReadError`, `ssl.SSLCertVerificationError`, …) goes on working.
"""

from __future__ import annotations

import ssl
from enum import IntEnum
from typing import ClassVar

from tlswrite.iana import AlertDescription, name_of

__all__ = [
    "AccessDenied",
    "AlertReceived",
    "BadCertificateStatusResponse",
    "BadRecordMAC",
    "BadWriteRetry",
    "CallerError",
    "CertificateError",
    "CertificateRequired",
    "ConfigurationError",
    "DecodeError",
    "DecryptError",
    "HandshakeFailure",
    "IllegalParameter",
    "InappropriateFallback",
    "InsufficientSecurity",
    "InternalError",
    "MissingExtension",
    "NoApplicationProtocol",
    "PeerError",
    "ProtocolVersionError",
    "RecordOverflow",
    "SSLErrorCode",
    "SyscallError",
    "TLSError",
    "TooMuchError",
    "TruncationError",
    "UnexpectedMessage",
    "UnrecognizedName",
    "UnsupportedExtension",
    "VerifyError",
    "WantReadError",
    "WantWriteError",
    "ZeroReturnError",
]


class SSLErrorCode(IntEnum):
    """Results of `SSL_get_error(3)`."""

    NONE = 0
    SSL = 1
    WANT_READ = 2
    WANT_WRITE = 3
    WANT_X509_LOOKUP = 4
    SYSCALL = 5
    ZERO_RETURN = 6


class TLSError(ssl.SSLError):
    """Base of all errors of this package.

    `code` is the `SSL_get_error` result, `alert` the alert sent for it (None where there is none),
    `retryable` whether the same call may succeed later; what is not retryable is terminal.
    """

    code: ClassVar[SSLErrorCode] = SSLErrorCode.SSL
    retryable: ClassVar[bool] = False
    alert: AlertDescription | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(int(self.code), message or self._default_message())
        self.message = self.args[1]
        self.reason = type(self).__name__

    @classmethod
    def _default_message(cls) -> str:
        return (cls.__doc__ or cls.__name__).partition("\n")[0].rstrip(".")

    def __str__(self) -> str:
        alert = self.alert
        return f"{self.message} [{alert.name.lower()}]" if alert is not None else str(self.message)

    def again(self) -> TLSError:
        """An equal exception without traceback or context.

        A connection that is over raises its cause at every later call; raising one stored object
        would tie it to the frames it passed, and so the connection to itself.
        """
        twin = type(self).__new__(type(self))
        TLSError.__init__(twin, self.message)
        twin.__dict__.update(self.__dict__)
        return twin


# ---- outcomes of a call -------------------------------------------------------------------------


class WantReadError(TLSError, ssl.SSLWantReadError):
    """More input is needed: feed bytes from the peer, then repeat the call with the same arguments."""

    code = SSLErrorCode.WANT_READ
    retryable = True


class WantWriteError(TLSError, ssl.SSLWantWriteError):
    """Output must be taken first: send what is waiting, then repeat the call with the same arguments."""

    code = SSLErrorCode.WANT_WRITE
    retryable = True


class ZeroReturnError(TLSError, ssl.SSLZeroReturnError):
    """The peer closed its side with close_notify; all of its data was received."""

    code = SSLErrorCode.ZERO_RETURN


class SyscallError(TLSError, ssl.SSLSyscallError):
    """The connection under TLS failed; its cause is chained where there is one."""

    code = SSLErrorCode.SYSCALL


class TruncationError(SyscallError, ssl.SSLEOFError, ConnectionResetError):
    """The connection ended without close_notify: data may be missing (RFC 9846 §6.1).

    A ConnectionResetError too, because applications know what to do with a connection that was lost.
    """


# ---- the caller's fault ---------------------------------------------------------------------------


class CallerError(TLSError):
    """A call that cannot be carried out; the connection is as it was."""

    retryable = True


class BadWriteRetry(CallerError):
    """Bad write retry: a pending write must be repeated with the same arguments (SSL_write(3))."""


class ConfigurationError(CallerError, ValueError):
    """A setting that cannot work."""


# ---- the peer's fault, one class an alert -----------------------------------------------------------


class PeerError(TLSError):
    """The peer broke the protocol or offered nothing acceptable; the connection is over."""

    alert = AlertDescription.GENERAL_ERROR


class UnexpectedMessage(PeerError):
    """A message that is not legal in this state."""

    alert = AlertDescription.UNEXPECTED_MESSAGE


class TooMuchError(UnexpectedMessage):
    """A flood of records or messages that make no progress."""


class BadRecordMAC(PeerError):
    """A record could not be deprotected."""

    alert = AlertDescription.BAD_RECORD_MAC


class RecordOverflow(PeerError):
    """A record larger than allowed."""

    alert = AlertDescription.RECORD_OVERFLOW


class HandshakeFailure(PeerError):
    """No acceptable set of security parameters."""

    alert = AlertDescription.HANDSHAKE_FAILURE


class IllegalParameter(PeerError):
    """A field that is well-formed but wrong or inconsistent."""

    alert = AlertDescription.ILLEGAL_PARAMETER


class AccessDenied(PeerError):
    """The peer is known but not let in."""

    alert = AlertDescription.ACCESS_DENIED


class DecodeError(PeerError):
    """A message that does not conform to its syntax."""

    alert = AlertDescription.DECODE_ERROR


class DecryptError(PeerError):
    """A signature or a Finished message that does not verify."""

    alert = AlertDescription.DECRYPT_ERROR


class ProtocolVersionError(PeerError):
    """No protocol version in common."""

    alert = AlertDescription.PROTOCOL_VERSION


class InappropriateFallback(PeerError):
    """A client that fell back to an older version than both sides can do (RFC 7507)."""

    alert = AlertDescription.INAPPROPRIATE_FALLBACK


class InsufficientSecurity(PeerError):
    """The peer's parameters are weaker than required."""

    alert = AlertDescription.INSUFFICIENT_SECURITY


class MissingExtension(PeerError):
    """A mandatory extension is missing."""

    alert = AlertDescription.MISSING_EXTENSION


class UnsupportedExtension(PeerError):
    """An extension that was not offered."""

    alert = AlertDescription.UNSUPPORTED_EXTENSION


class UnrecognizedName(PeerError):
    """No server of that name here."""

    alert = AlertDescription.UNRECOGNIZED_NAME


class BadCertificateStatusResponse(PeerError):
    """An invalid OCSP response."""

    alert = AlertDescription.BAD_CERTIFICATE_STATUS_RESPONSE


class CertificateRequired(PeerError):
    """A client certificate is required and none was given."""

    alert = AlertDescription.CERTIFICATE_REQUIRED


class NoApplicationProtocol(PeerError):
    """No application protocol (ALPN) in common."""

    alert = AlertDescription.NO_APPLICATION_PROTOCOL


class VerifyError(IntEnum):
    """Reasons for which a certificate is not acceptable, with OpenSSL's numbers (X509_V_ERR_…, x509_vfy.h)."""

    UNSPECIFIED = 1
    CERT_SIGNATURE_FAILURE = 7
    CERT_NOT_YET_VALID = 9
    CERT_HAS_EXPIRED = 10
    DEPTH_ZERO_SELF_SIGNED_CERT = 18
    SELF_SIGNED_CERT_IN_CHAIN = 19
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY = 20
    CERT_CHAIN_TOO_LONG = 22
    CERT_REVOKED = 23
    PATH_LENGTH_EXCEEDED = 25
    INVALID_PURPOSE = 26
    UNHANDLED_CRITICAL_EXTENSION = 34
    PERMITTED_VIOLATION = 47
    EXCLUDED_VIOLATION = 48
    HOSTNAME_MISMATCH = 62
    IP_ADDRESS_MISMATCH = 64
    EE_KEY_TOO_SMALL = 66
    CA_KEY_TOO_SMALL = 67
    CA_MD_TOO_WEAK = 68
    UNSUPPORTED_SIGNATURE_ALGORITHM = 76
    INVALID_CA = 79


class CertificateError(PeerError, ssl.SSLCertVerificationError):
    """The peer's certificate is not acceptable; its message says why, and what to mend.

    `alert` is the alert of the reason (bad_certificate, certificate_expired, unknown_ca, …), `verify_code` its
    number in OpenSSL (`VerifyError`), `verify_message` the message.
    """

    alert = AlertDescription.BAD_CERTIFICATE

    def __init__(
        self,
        message: str = "",
        alert: AlertDescription = AlertDescription.BAD_CERTIFICATE,
        code: VerifyError = VerifyError.UNSPECIFIED,
    ) -> None:
        super().__init__(message)
        self.alert = alert
        self.reason = "CERTIFICATE_VERIFY_FAILED"
        self.verify_code = code
        self.verify_message = self.message

    def __str__(self) -> str:
        # What programs and people look for, since OpenSSL says so.
        return f"certificate verify failed: {super().__str__()}"


class InternalError(TLSError):
    """A failure on this side that is not the peer's fault."""

    alert = AlertDescription.INTERNAL_ERROR


class AlertReceived(TLSError):
    """The peer ended the connection with an alert.

    `received` is its number (AlertDescription where it has a name); nothing is sent in return.
    """

    def __init__(self, received: int) -> None:
        self.received = received
        super().__init__(f"the peer sent the alert {name_of(AlertDescription, received).lower()}")
