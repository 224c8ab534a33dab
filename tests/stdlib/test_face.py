"""SSLObject over memory, beside the standard library's."""

from __future__ import annotations

import array
import ssl
import sys
from contextlib import suppress
from typing import Any

import pytest

import tlswrite
from tests.support import contexts, pki
from tests.support.contexts import Objects, client_context, objects, server_context


@pytest.fixture
def pair(cls: Any, files: pki.Files) -> Objects:
    return objects(client_context(cls), server_context(cls, files)).handshake()


@pytest.fixture
def fresh(cls: Any) -> ssl.SSLObject:
    found: ssl.SSLObject = client_context(cls).wrap_bio(
        ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=contexts.HOST
    )
    return found


def test_every_public_name_is_there() -> None:
    made = client_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=contexts.HOST)
    assert isinstance(made, ssl.SSLObject)
    for name in dir(ssl.SSLObject):
        if not name.startswith("_"):
            attribute = getattr(ssl.SSLObject, name)
            called = attribute.fget if isinstance(attribute, property) else attribute
            for asked in called.__code__.co_names if hasattr(called, "__code__") else ():
                # What the standard library's shell asks of the object in it.
                if hasattr(ssl.SSLObject, asked) or asked in ("shutdown",):
                    assert hasattr(made._sslobj, asked), (name, asked)
            assert hasattr(made, name)


def test_there_is_no_constructor(fresh: ssl.SSLObject) -> None:
    with pytest.raises(TypeError, match="public constructor"):
        type(fresh)()


def test_before_the_handshake_nothing_is_known(fresh: ssl.SSLObject) -> None:
    assert (fresh.version(), fresh.cipher(), fresh.compression(), fresh.pending()) == (None, None, None, 0)
    assert fresh.selected_alpn_protocol() is None
    # Before 3.11.4 `ssl` gave what this side has.
    assert fresh.shared_ciphers() is None or sys.version_info < (3, 11, 4)
    assert fresh.get_channel_binding() is None
    assert (fresh.server_side, fresh.server_hostname) == (False, contexts.HOST)
    with pytest.raises(ValueError, match="handshake not done yet"):
        fresh.getpeercert()
    with pytest.raises(ssl.SSLError):
        fresh.unwrap()
    with pytest.raises(ssl.SSLWantReadError):
        fresh.read()
    with pytest.raises(ssl.SSLWantReadError):
        fresh.write(b"x")
    with pytest.raises(ssl.SSLError):
        fresh.verify_client_post_handshake()
    with pytest.raises(ValueError, match="'x' channel binding type not implemented"):
        fresh.get_channel_binding("x")
    with pytest.raises(TypeError):
        fresh.session = 3  # type: ignore[assignment]
    with pytest.raises(TypeError):
        fresh.context = 3  # type: ignore[assignment]
    with pytest.warns(DeprecationWarning, match="NPN"):
        assert fresh.selected_npn_protocol() is None


def test_afterwards_everything_is_known(pair: Objects) -> None:
    assert pair.client.version() == pair.server.version() == "TLSv1.3"
    assert pair.client.cipher() == pair.server.cipher()
    reference = ssl.PEM_cert_to_DER_cert(pki.issue().certificate_pem.decode())
    assert pair.client.getpeercert(True) == reference
    assert pair.client.getpeercert()["subject"] == ((("commonName", contexts.HOST),),)  # type: ignore[index]
    assert pair.server.getpeercert() is None
    with pytest.raises(ValueError):
        pair.server.session = pair.client.session


def test_the_chains_are_there_on_every_python(files: pki.Files) -> None:
    pair = objects(client_context(), server_context(tlswrite.SSLContext, files)).handshake()
    both: Any = pair.client
    assert both.get_unverified_chain() == [pki.issue().certificate_der]
    assert both.get_verified_chain() == [pki.issue().certificate_der, pki.authority().certificate_der]
    # As they are reached before Python 3.13.
    inner = both._sslobj.get_verified_chain()
    assert inner[-1].public_bytes(2) == pki.authority().certificate_der
    assert "BEGIN CERTIFICATE" in inner[-1].public_bytes(1)
    assert pair.server.get_unverified_chain() == []  # type: ignore[attr-defined]


def test_reads_and_pending_go_by_records(pair: Objects) -> None:
    pair.client.write(b"0123456789")
    assert pair.server.read(4) == b"0123"
    assert pair.server.pending() == 6
    buffer = bytearray(3)
    assert (pair.server.read(2, buffer), bytes(buffer)) == (2, b"45\0")  # type: ignore[arg-type]
    assert (pair.server.read(0, buffer), bytes(buffer)) == (3, b"678")  # type: ignore[arg-type]
    assert pair.server.read(100) == b"9"
    with pytest.raises(ssl.SSLWantReadError):
        pair.server.read()
    assert pair.server.read(0) == b""
    with pytest.raises(ValueError, match="size should not be negative"):
        pair.server.read(-1)


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 1_000_000])
def test_a_write_is_of_all_and_in_order(pair: Objects, size: int) -> None:
    data = bytes(at % 251 for at in range(size))
    assert pair.client.write(data) == size
    received = b""
    while len(received) < size:
        received += pair.server.read(70_000)  # type: ignore[operator]
    assert received == data


def test_any_buffer_can_be_written(pair: Objects) -> None:
    assert pair.client.write(array.array("I", [1, 2])) == 8
    assert pair.server.read() == array.array("I", [1, 2]).tobytes()
    with pytest.raises(TypeError):
        pair.client.write("text")  # type: ignore[arg-type]


def test_input_comes_in_any_pieces(cls: Any, files: pki.Files) -> None:
    pair = objects(client_context(cls), server_context(cls, files))
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.do_handshake()
    hello = pair.to_server.read()
    for at in range(len(hello)):
        with pytest.raises(ssl.SSLWantReadError):
            pair.server.do_handshake()
        pair.to_server.write(hello[at : at + 1])
    pair.handshake()


def test_close_notify_is_an_end_and_an_error_once_both_said_it(pair: Objects) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    assert pair.server.read() == b""
    assert pair.server.read(10, bytearray(10)) == 0  # type: ignore[arg-type]
    assert pair.server.write(b"last words") == 10
    with pytest.raises(ssl.SSLError) as caught:
        pair.client.write(b"more")
    assert caught.value.reason == "PROTOCOL_IS_SHUTDOWN"
    assert pair.client.read() == b"last words"
    assert pair.server.unwrap() is None  # type: ignore[func-returns-value]
    assert pair.client.unwrap() is None  # type: ignore[func-returns-value]
    for side in (pair.client, pair.server):
        with pytest.raises(ssl.SSLZeroReturnError):
            side.read()


def test_what_follows_close_notify_stays_in_the_bio(pair: Objects) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.server.unwrap()
    pair.to_client.write(b"plain again")
    pair.client.unwrap()
    assert pair.to_client.read() == b"plain again"


def test_an_end_without_close_notify_is_ssls_eof(pair: Objects, cls: Any) -> None:
    contexts.skip_old_reference(cls)
    pair.to_client.write_eof()
    for _ in range(2):
        with pytest.raises(ssl.SSLEOFError) as caught:
            while True:
                pair.client.read()
        assert caught.value.errno == ssl.SSL_ERROR_EOF
        # asyncio takes that one for "try again".
        assert not isinstance(caught.value, ssl.SSLSyscallError)
    with pytest.raises(ssl.SSLError) as caught_again:
        pair.client.unwrap()
    assert not isinstance(caught_again.value, ssl.SSLWantReadError | ssl.SSLSyscallError)


def test_an_end_in_the_handshake_is_ssls_eof(fresh: ssl.SSLObject, cls: Any) -> None:
    contexts.skip_old_reference(cls)
    incoming = ssl.MemoryBIO()
    made = client_context(cls).wrap_bio(incoming, ssl.MemoryBIO(), server_hostname=contexts.HOST)
    incoming.write(b"\x16\x03")
    incoming.write_eof()
    with pytest.raises(ssl.SSLEOFError):
        made.do_handshake()


def test_an_end_can_be_taken_for_close_notify(cls: Any, files: pki.Files) -> None:
    client = client_context(cls)
    client.options |= getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0x80)
    pair = objects(client, server_context(cls, files)).handshake()
    pair.to_client.write_eof()
    assert pair.client.read() == b""


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\xff\xff"])
def test_what_is_no_tls_is_refused_at_once(cls: Any, junk: bytes) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = client_context(cls).wrap_bio(incoming, outgoing, server_hostname=contexts.HOST)
    incoming.write(junk)
    with pytest.raises(ssl.SSLError) as caught:
        made.do_handshake()
    assert not isinstance(caught.value, ssl.SSLWantReadError)


def test_an_alert_leaves_through_the_bio(files: pki.Files) -> None:
    pair = objects(client_context(trusting=False), server_context(ssl.SSLContext, files))
    with pytest.raises(ssl.SSLCertVerificationError):
        pair.handshake()
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        pair.server.do_handshake()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed(cls: Any, files: pki.Files, version: ssl.TLSVersion) -> None:
    client, server = client_context(cls), server_context(cls, files)
    client.maximum_version = version
    first = objects(client, server).handshake()
    assert not first.client.session_reused
    first.server.write(b"x")
    assert first.client.read() == b"x"
    second = objects(client, server, session=first.client.session).handshake()
    assert second.client.session_reused and second.server.session_reused
    assert server.session_stats()["hits"] == 1
    with pytest.raises(ValueError):
        second.client.session = first.client.session


def test_a_session_shows_what_ssls_does(cls: Any, files: pki.Files) -> None:
    pair = objects(client_context(cls), server_context(cls, files)).handshake()
    pair.server.write(b"x")
    pair.client.read()
    session = pair.client.session
    assert session is not None
    assert session.has_ticket and session.ticket_lifetime_hint > 0
    assert session.time > 1_600_000_000 and session.timeout > 0
    assert isinstance(session.id, bytes)


def test_an_internationalized_name_is_sent_as_a_labels(cls: Any) -> None:
    made = client_context(cls).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="bücher.example")
    assert made.server_hostname == "xn--bcher-kva.example"


def test_a_write_in_a_renegotiation_is_repeated_whole(files: pki.Files) -> None:
    client, server = client_context(), server_context(tlswrite.SSLContext, files)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server.options |= 0x100  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION, which Python has no name for
    pair = objects(client, server).handshake()
    connection = pair.client._sslobj.connection  # type: ignore[attr-defined]
    connection.renegotiate()
    data = bytes(range(256)) * 400
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.write(data)
    received = b""
    written = False
    while len(received) < len(data):
        with suppress(ssl.SSLWantReadError):
            received += pair.server.read(65536)  # type: ignore[operator]
        if not written:
            with suppress(ssl.SSLWantReadError):
                # An equal object will do, as everywhere in `ssl`.
                assert pair.client.write(bytearray(data)) == len(data)
                written = True
    assert received == data
    assert server.session_stats()["accept_renegotiate"] == client.session_stats()["connect_renegotiate"] == 1
