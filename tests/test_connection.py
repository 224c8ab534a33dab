"""TLSConnection: both faces, what was negotiated, and its end. The contract's clauses are in contract/."""

from __future__ import annotations

import gc
import hashlib
import ssl
import weakref
from typing import Any

import pytest

from tests.support import engine
from tests.support.engine import ONLY_1_2, anchors, client, connected, credentials, issued, server
from tests.support.pump import Pair, take
from tlswrite import errors
from tlswrite.connection import TLSConnection
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.errors import CallerError
from tlswrite.iana import AlertDescription
from tlswrite.record.codes import WANT_READ, ZERO_RETURN
from tlswrite.record.receive import OUT_ROOM
from tlswrite.session import Session, SessionCache


def test_before_the_handshake_there_are_no_facts() -> None:
    connection = client()
    assert (connection.version(), connection.cipher(), connection.group()) == (None, None, None)
    assert (connection.selected_alpn_protocol(), connection.compression()) == (None, None)
    assert (connection.negotiated, connection.session_reused, connection.peer_closed) == (None, False, False)
    assert connection.get_channel_binding("tls-exporter") is None
    with pytest.raises(ValueError, match="handshake not done"):
        connection.getpeercert()
    for call in (
        connection.shutdown,
        connection.key_update,
        connection.verify_client_post_handshake,
        lambda: connection.export_keying_material("label", 32),
    ):
        with pytest.raises(errors.CallerError):
            call()
    assert repr(connection) == "<TLSConnection client START>"
    connection.start_handshake()
    connection.start_handshake()
    assert repr(connection) == "<TLSConnection client WAIT_SH>"


def test_facts_of_a_connection() -> None:
    joined = connected({"alpn_protocols": ("h2", "http/1.1")}, {"alpn_protocols": ("http/1.1",)})
    for end in joined.ends:
        connection = end.connection
        assert connection.handshake_complete
        assert connection.version() == "TLSv1.3"
        assert connection.cipher() == ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)
        assert connection.group() == "x25519"
        assert connection.selected_alpn_protocol() == "http/1.1"
        assert connection.error is None
        connection.do_handshake()
    assert repr(joined.server.connection) == "<TLSConnection server CONNECTED>"


def test_getpeercert() -> None:
    joined = connected()
    assert joined.client.connection.getpeercert(True) == issued().certificate_der
    details = joined.client.connection.getpeercert()
    assert ("DNS", "localhost") in details["subjectAltName"]
    assert joined.server.connection.getpeercert() is None
    assert joined.server.connection.getpeercert(True) is None
    unverified = connected({"verify_mode": ssl.CERT_NONE, "check_hostname": False})
    assert unverified.client.connection.getpeercert() == {}


def test_exporters_and_channel_bindings_agree() -> None:
    joined = connected()
    one, other = joined.client.connection, joined.server.connection
    for label, context in (("EXPERIMENTAL one", b""), (b"EXPERIMENTAL one", b"context"), ("two", b"")):
        material = one.export_keying_material(label, 40, context)
        assert len(material) == 40
        assert material == other.export_keying_material(label, 40, context)
    assert one.export_keying_material("a", 32) != one.export_keying_material("b", 32)
    assert one.get_channel_binding() == other.get_channel_binding("tls-exporter")
    end_point = hashlib.sha256(issued().certificate_der).digest()
    assert one.get_channel_binding("tls-server-end-point") == end_point
    assert other.get_channel_binding("tls-server-end-point") == end_point
    # RFC 9846 §C.5 leaves tls-unique undefined for TLS 1.3.
    assert one.get_channel_binding("tls-unique") is None
    with pytest.raises(ValueError, match="not implemented"):
        one.get_channel_binding("tls-other")


def test_read_gives_what_is_asked_for() -> None:
    joined = connected()
    connection = joined.server.connection
    joined.client.connection.write(b"abcdefgh")
    connection.bio_write(joined.client.take())
    assert connection.read(0) == b""
    assert connection.read(3) == b"abc"
    assert connection.pending() == 5
    buffer = bytearray(2)
    assert connection.read_into(buffer) == 2
    assert buffer == b"de"
    assert connection.read(100) == b"fgh"
    assert connection.pending() == 0
    with pytest.raises(ssl.SSLWantReadError):
        connection.read()
    with pytest.raises(ssl.SSLWantReadError):
        connection.read_into(bytearray(OUT_ROOM))
    for call in (connection.read, connection.bio_read):
        with pytest.raises(ValueError, match="negative"):
            call(-1)
    with pytest.raises(TypeError, match="writable"):
        connection.read_into(b"read-only")


def test_read_into_a_large_buffer_opens_records_in_place() -> None:
    joined = connected()
    data = bytes(range(256)) * 200
    joined.client.connection.write(data)
    joined.server.connection.bio_write(joined.client.take())
    buffer = bytearray(200_000)
    assert joined.server.connection.read_into(buffer) == len(data)
    assert buffer[: len(data)] == data


def test_data_behind_the_handshake_is_not_lost() -> None:
    ends = Pair(client(), server())
    one, other = ends.client.connection, ends.server.connection
    with pytest.raises(ssl.SSLWantReadError):
        one.do_handshake()
    other.bio_write(take(one))
    with pytest.raises(ssl.SSLWantReadError):
        other.do_handshake()
    one.bio_write(take(other))
    one.do_handshake()
    one.write(b"right behind Finished")
    # Finished and application data arrive in one piece.
    other.bio_write(take(one))
    other.do_handshake()
    assert other.pending() == 21
    buffer = bytearray(OUT_ROOM)
    assert other.read_into(buffer) == 21
    assert buffer.startswith(b"right behind Finished")


def test_the_drivers_face_speaks_in_codes() -> None:
    joined = connected()
    one, other = joined.client.connection, joined.server.connection
    out = memoryview(bytearray(2 * OUT_ROOM))
    assert other.receive_into(out) == WANT_READ
    assert one.send_path.write(b"data") == 4
    one.close_notify()
    one.close_notify()
    other.receive_path.append(take(one))
    assert other.receive_into(out) == 4
    assert other.receive_into(out) == ZERO_RETURN
    assert other.receive_into(out) == ZERO_RETURN
    other.feed_eof()
    assert other.receive_into(out) == ZERO_RETURN


def test_bio_read_takes_what_is_asked_for() -> None:
    connection = client()
    connection.start_handshake()
    size = connection.send_path.output_size
    assert connection.bio_read(0) == b""
    first = connection.bio_read(5)
    assert first[:1] == b"\x16"
    assert len(connection.bio_read(10**6)) == size - 5
    assert connection.bio_read() == b""


def test_key_update_on_demand() -> None:
    joined = connected()
    for _ in range(3):
        joined.client.connection.key_update()
        joined.transfer(joined.client, b"one way")
        joined.server.connection.key_update(request_peer=True)
        joined.transfer(joined.server, b"the other")
    assert joined.server.received == b"one way" * 3
    assert joined.client.received == b"the other" * 3
    joined.client.connection.shutdown()
    with pytest.raises(errors.CallerError):
        joined.client.connection.key_update()


def test_a_certificate_may_be_asked_for_later() -> None:
    joined = connected(
        {"credentials": credentials(client=True), "post_handshake_auth": True}, {"trust_anchors": anchors()}
    )
    assert joined.server.connection.getpeercert(True) is None
    joined.server.connection.verify_client_post_handshake()
    joined.pump()
    joined.check()
    assert joined.server.connection.getpeercert(True) == issued(client=True).certificate_der
    joined.transfer(joined.client, b"still here")
    assert joined.server.received == b"still here"


def test_what_a_callback_raises_is_an_internal_error_with_its_cause() -> None:
    def choose(name: str | None) -> None:
        raise KeyError("a bug in the application")

    ends = Pair(client(), server(sni_callback=choose))
    ends.pump()
    assert isinstance(ends.server.error, errors.InternalError)
    assert isinstance(ends.server.error.__cause__, KeyError)
    assert isinstance(ends.client.error, errors.AlertReceived)
    assert ends.client.error.received == AlertDescription.INTERNAL_ERROR
    assert repr(ends.server.connection).startswith("<TLSConnection server failed: KeyError")


def test_a_padding_policy_that_raises_ends_the_connection_in_order() -> None:
    def policy(length: int) -> int:
        if length == 40_000 - 32_768:
            raise KeyError("a bug in the application")
        return 0

    joined = connected({"record_padding": policy})
    with pytest.raises(errors.InternalError) as caught:
        joined.client.connection.write(bytes(40_000))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(errors.InternalError):
        joined.client.connection.write(b"x")
    joined.server.connection.bio_write(joined.client.take())
    # What was sealed before arrives, and the alert behind it can be read.
    for _ in range(2):
        assert len(joined.server.connection.read()) == 16_384
    with pytest.raises(errors.AlertReceived):
        joined.server.connection.read()


def test_a_failing_client_callback_fails_its_start() -> None:
    def log(line: str) -> None:
        raise OSError("disk full")

    ends = Pair(client(keylog=log), server())
    ends.pump()
    assert isinstance(ends.client.error, errors.InternalError)


@pytest.mark.parametrize("end", ["success", "failure", "midway", "eof"])
def test_a_connection_is_freed_by_reference_counting_alone(end: str) -> None:
    def run() -> list[weakref.ref[Any]]:
        ends = Pair(client(), server(), tamper=flip if end == "failure" else None)
        if end == "midway":
            ends.client.connection.start_handshake()
            ends.server.connection.start_handshake()
        else:
            ends.pump()
        if end == "eof":
            ends.client.connection.bio_write_eof()
            ends.client.advance()
        for each in ends.ends:
            each.error = None
        return [weakref.ref(each.connection) for each in ends.ends]

    gc.collect()
    gc.disable()
    try:
        assert [ref() for ref in run()] == [None, None]
    finally:
        gc.enable()


def flip(name: str, data: bytes) -> bytes:
    return data if name == "client" else data[:-1] + bytes((data[-1] ^ 1,))


def test_no_secret_is_in_a_repr() -> None:
    lines: list[str] = []
    joined = connected({"keylog": lines.append})
    secrets = {line.split()[2] for line in lines}
    assert len(secrets) == 5
    connection: TLSConnection = joined.client.connection
    seen = repr((connection, connection.negotiated, connection._control.after, connection.config))
    for secret in secrets:
        assert secret not in seen
        assert repr(bytes.fromhex(secret)) not in seen


# ---- sessions -------------------------------------------------------------------------------------------


def test_a_session_is_taken_over_by_hand() -> None:
    first = connected(
        {"session_cache": SessionCache()}, {"tickets": 1, "ticket_keys": (keys := TicketKeys())}
    )
    assert first.client.connection.session is not None and first.server.connection.session is None
    # No cache is needed to resume it.
    pair = Pair(client(), server(ticket_keys=keys))
    pair.client.connection.session = first.client.connection.session
    assert pair.client.connection.session is first.client.connection.session
    pair.handshake()
    assert pair.client.connection.session_reused and pair.server.connection.session_reused
    assert pair.client.connection.getpeercert() == first.client.connection.getpeercert()
    # Without a cache a client asks for no session, and keeps none.
    assert pair.client.connection.session is None


def test_a_session_that_does_not_fit_means_a_full_handshake() -> None:
    first = connected({"session_cache": SessionCache()}, {"tickets": 1})
    for fields in ({"alpn_protocols": ("h2",)}, {"check_hostname": False}):
        pair = Pair(
            client(**fields), server(**{name: value for name, value in fields.items() if "alpn" in name})
        )
        pair.client.connection.session = first.client.connection.session
        pair.handshake()
        assert not pair.client.connection.session_reused


def test_when_a_session_can_be_set() -> None:
    with pytest.raises(CallerError, match="client's to choose"):
        server().session = None
    victim = client()
    victim.start_handshake()
    with pytest.raises(CallerError, match="before the handshake"):
        victim.session = None


def test_a_cache_of_the_applications_own() -> None:
    class Store:
        """The least that can stand in for a SessionCache."""

        def __init__(self) -> None:
            self.kept: dict[bytes, Session] = {}

        def put(self, key: bytes, session: Session) -> None:
            self.kept[key] = session

        def take(self, key: bytes) -> Session | None:
            return self.kept.pop(key, None)

        def discard(self, key: bytes, session: Session) -> None:
            self.kept.pop(key, None)

    store, keys = Store(), TicketKeys()
    runs = [connected({"session_cache": store}, {"tickets": 1, "ticket_keys": keys}) for _ in range(3)]
    assert [run.client.connection.session_reused for run in runs] == [False, True, True]
    assert len(store.kept) == 1


@pytest.mark.parametrize("fields", [{}, ONLY_1_2], ids=["TLS 1.3", "TLS 1.2"])
def test_channel_bindings_of_a_resumed_connection(fields: dict[str, Any]) -> None:
    keys, cache = TicketKeys(), SessionCache()
    runs = [
        connected({**fields, "session_cache": cache}, {**fields, "tickets": 1, "ticket_keys": keys})
        for _ in range(2)
    ]
    again = runs[1]
    assert again.client.connection.session_reused
    for kind in ("tls-exporter", "tls-server-end-point", "tls-unique"):
        bound = again.client.connection.get_channel_binding(kind)
        assert bound == again.server.connection.get_channel_binding(kind)
        assert (bound is None) == (kind == "tls-unique" and not fields)
    # The certificate is that of the first; the keys are of this connection alone.
    first = runs[0].client.connection
    assert again.client.connection.get_channel_binding("tls-server-end-point") == first.get_channel_binding(
        "tls-server-end-point"
    )
    assert again.client.connection.get_channel_binding() != first.get_channel_binding()


@pytest.mark.parametrize("name", [5, b"localhost"])
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(TypeError, match="server_hostname is a name or an address, a str, not"):
        TLSConnection(engine.client_config(), server_hostname=name)


def test_a_name_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(errors.ConfigurationError, match="neither a host name nor an IP address"):
        TLSConnection(engine.client_config(), server_hostname="a b")
