"""Exceptions: alert, SSL_get_error code, retryable or not, and the class of `ssl` each stands under."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tlswrite import errors
from tlswrite.errors import SSLErrorCode, TLSError
from tlswrite.iana import AlertDescription


def subclasses(base: type[TLSError]) -> Iterator[type[TLSError]]:
    for child in base.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from subclasses(child)


EVERY: list[type[TLSError]] = sorted(
    set(subclasses(TLSError)).union([TLSError]), key=lambda kind: kind.__name__
)
PEER = [kind for kind in EVERY if issubclass(kind, errors.PeerError)]
CALLER = [kind for kind in EVERY if issubclass(kind, errors.CallerError)]


def make(kind: type[TLSError], text: str = "") -> TLSError:
    return errors.AlertReceived(40) if kind is errors.AlertReceived else kind(text)


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_is_an_ssl_error_with_a_message(kind: type[TLSError]) -> None:
    error = make(kind)
    assert isinstance(error, ssl.SSLError)
    assert isinstance(error, OSError)
    assert error.args == (error.code, error.message)
    assert error.errno == error.code
    certificate = kind is errors.CertificateError
    assert error.reason == ("CERTIFICATE_VERIFY_FAILED" if certificate else kind.__name__)
    assert error.message
    assert not error.message.endswith(".")
    assert error.message in str(error)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not errors.AlertReceived])
def test_a_given_message_is_the_message(kind: type[TLSError]) -> None:
    error = make(kind, "in words")
    assert error.message == "in words"
    suffix = f" [{error.alert.name.lower()}]" if error.alert is not None else ""
    prefix = "certificate verify failed: " if kind is errors.CertificateError else ""
    assert str(error) == f"{prefix}in words{suffix}"


@pytest.mark.parametrize(
    ("kind", "under", "code", "retryable"),
    [
        (errors.WantReadError, ssl.SSLWantReadError, SSLErrorCode.WANT_READ, True),
        (errors.WantWriteError, ssl.SSLWantWriteError, SSLErrorCode.WANT_WRITE, True),
        (errors.ZeroReturnError, ssl.SSLZeroReturnError, SSLErrorCode.ZERO_RETURN, False),
        (errors.SyscallError, ssl.SSLSyscallError, SSLErrorCode.SYSCALL, False),
        (errors.TruncationError, ssl.SSLEOFError, SSLErrorCode.SYSCALL, False),
        (errors.CertificateError, ssl.SSLCertVerificationError, SSLErrorCode.SSL, False),
        (errors.BadWriteRetry, ssl.SSLError, SSLErrorCode.SSL, True),
        (errors.ConfigurationError, ValueError, SSLErrorCode.SSL, True),
        (errors.InternalError, ssl.SSLError, SSLErrorCode.SSL, False),
    ],
)
def test_outcome_is_one_class_and_one_code(
    kind: type[TLSError], under: type[Exception], code: SSLErrorCode, retryable: bool
) -> None:
    assert issubclass(kind, under)
    assert kind.code == code
    assert kind.retryable is retryable


def test_codes_are_those_of_ssl_get_error() -> None:
    assert {code.name: code.value for code in SSLErrorCode} == {
        "NONE": 0,
        "SSL": ssl.SSL_ERROR_SSL,
        "WANT_READ": ssl.SSL_ERROR_WANT_READ,
        "WANT_WRITE": ssl.SSL_ERROR_WANT_WRITE,
        "WANT_X509_LOOKUP": ssl.SSL_ERROR_WANT_X509_LOOKUP,
        "SYSCALL": ssl.SSL_ERROR_SYSCALL,
        "ZERO_RETURN": ssl.SSL_ERROR_ZERO_RETURN,
    }


def test_retryable_are_the_wants_and_the_callers_faults_only() -> None:
    retryable = {kind for kind in EVERY if kind.retryable}
    assert retryable == {errors.WantReadError, errors.WantWriteError, *CALLER}


@pytest.mark.parametrize("kind", PEER)
def test_peers_fault_carries_its_alert(kind: type[TLSError]) -> None:
    error = make(kind)
    assert isinstance(error.alert, AlertDescription)
    assert str(error).endswith(f" [{error.alert.name.lower()}]")


def test_one_class_an_alert() -> None:
    # TooMuchError says more about the same alert; a CertificateError's alert tells its reason.
    alerts = [kind.alert for kind in PEER if kind not in (errors.TooMuchError, errors.CertificateError)]
    assert len(set(alerts)) == len(alerts)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind not in PEER])
def test_no_other_error_but_an_internal_one_has_an_alert(kind: type[TLSError]) -> None:
    expected = AlertDescription.INTERNAL_ERROR if kind is errors.InternalError else None
    assert make(kind).alert is expected


def test_certificate_error_carries_the_alert_of_its_reason() -> None:
    error = errors.CertificateError("expired yesterday", AlertDescription.CERTIFICATE_EXPIRED)
    assert error.alert is AlertDescription.CERTIFICATE_EXPIRED
    assert error.verify_code is errors.VerifyError.UNSPECIFIED
    assert error.reason == "CERTIFICATE_VERIFY_FAILED"
    assert str(error).startswith("certificate verify failed: expired yesterday")
    assert error.verify_message == "expired yesterday"
    assert str(error) == "certificate verify failed: expired yesterday [certificate_expired]"
    assert errors.CertificateError.alert is AlertDescription.BAD_CERTIFICATE


@pytest.mark.parametrize(("number", "name"), [(40, "handshake_failure"), (200, "alertdescription(0x00c8)")])
def test_received_alert_is_named(number: int, name: str) -> None:
    error = errors.AlertReceived(number)
    assert error.received == number
    assert error.alert is None
    assert str(error) == f"the peer sent the alert {name}"


@pytest.mark.parametrize("kind", EVERY)
def test_again_is_an_equal_error_without_frames(kind: type[TLSError]) -> None:
    try:
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            raise make(kind, "in words") from cause
    except TLSError as first:
        twin = first.again()
        assert twin is not first
        assert type(twin) is kind
        assert twin.args == first.args
        assert twin.__dict__ == first.__dict__
        assert str(twin) == str(first)
        assert twin.__traceback__ is None
        assert twin.__context__ is None
        assert twin.__cause__ is None
        assert isinstance(twin, ssl.SSLError)


def test_all_names_every_error() -> None:
    assert set(errors.__all__) == {kind.__name__ for kind in EVERY} | {"SSLErrorCode", "VerifyError"}
    assert errors.__all__ == sorted(errors.__all__)
