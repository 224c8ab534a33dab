"""The SSL_write contract on the memory carrier: clauses W01 to W22 that can occur there."""

from __future__ import annotations

import array
import mmap
import ssl
from typing import Any

import pytest

from tests.support.engine import ONLY_1_2, client, connected, server
from tests.support.pump import End, Pair, take
from tests.support.records import split
from tlswrite import errors, limits
from tlswrite.config import Mode
from tlswrite.connection import TLSConnection
from tlswrite.iana import AlertDescription

BLOCK = limits.MAX_PLAINTEXT
BIG = bytes(at * 11 % 253 for at in range(1_000_003))


def pair(mode: Mode = Mode.AUTO_RETRY, **fields: Any) -> Pair:
    return connected({"mode": mode, **fields})


def deliver(joined: Pair) -> None:
    """The client's output reaches the server, and is read there."""
    joined.server.put(joined.client.take())
    joined.server.advance()
    joined.check()


def write_all(joined: Pair, data: Any) -> int:
    """Retry with identical arguments until the write succeeds; returns the number of calls."""
    calls = 1
    while True:
        try:
            assert joined.client.connection.write(data) == memoryview(data).nbytes
        except ssl.SSLWantWriteError:
            calls += 1
            deliver(joined)
        else:
            deliver(joined)
            return calls


# ---- W01: the bytes of any buffer ----


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 4096)
    memory[:] = bytes(range(256)) * 16
    return memory


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"read-only view"),
        memoryview(bytearray(b"writable view")),
        memoryview(array.array("I", [1, 2, 3, 2**32 - 1])),
        memoryview(bytes(24)).cast("B", (2, 3, 4)),
        array.array("d", [1.5, -2.5]),
        mapped(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_w01_any_contiguous_buffer_is_written(data: Any) -> None:
    joined = pair()
    expected = memoryview(data).cast("B") if memoryview(data).ndim == 1 else memoryview(data).tobytes()
    assert joined.client.connection.write(data) == len(expected)
    deliver(joined)
    assert joined.server.received == bytes(expected)


@pytest.mark.parametrize("data", ["text", 5, None, [1, 2], 1.5])
def test_w01_what_is_no_buffer_is_a_type_error(data: Any) -> None:
    joined = pair()
    with pytest.raises(TypeError, match=f"bytes-like object is required, not '{type(data).__name__}'"):
        joined.client.connection.write(data)
    assert joined.client.take() == b""
    assert write_all(joined, b"unharmed") == 1


def test_w01_a_view_with_gaps_is_a_clear_error() -> None:
    joined = pair()
    with pytest.raises(BufferError, match="not contiguous"):
        joined.client.connection.write(memoryview(b"abcdef")[::2])
    assert joined.client.take() == b""


# ---- W02, W03: handshake and role ----


def test_w02_the_first_write_negotiates() -> None:
    ends = Pair(client(), server())
    connection = ends.client.connection
    wants = 0
    while True:
        try:
            assert connection.write(b"hello") == 5
            break
        except ssl.SSLWantReadError:
            wants += 1
            ends.server.put(take(connection))
            ends.server.advance()
            connection.bio_write(take(ends.server.connection))
    assert wants == connection.send_path.read_wants >= 1
    assert connection.version() == "TLSv1.3"
    ends.server.put(take(connection))
    ends.server.advance()
    assert ends.server.received == b"hello"


def test_w02_a_servers_first_write_negotiates_too() -> None:
    connection, peer = server(), client()
    with pytest.raises(ssl.SSLWantReadError):
        connection.write(b"x")
    with pytest.raises(ssl.SSLWantReadError):
        peer.do_handshake()
    for _ in range(2):
        connection.bio_write(take(peer))
        try:
            written = connection.write(b"greeting")
        except ssl.SSLWantReadError:
            peer.bio_write(take(connection))
            peer.do_handshake()
    assert written == 8
    peer.bio_write(take(connection))
    assert peer.read() == b"greeting"


@pytest.mark.parametrize("config", [None, "client", object()])
def test_w03_a_role_must_be_given(config: Any) -> None:
    with pytest.raises(TypeError, match=r"ClientConfig \(client\) or a ServerConfig \(server\)"):
        TLSConnection(config)


def test_w03_a_client_needs_the_name_it_checks() -> None:
    with pytest.raises(errors.ConfigurationError, match="server_hostname is missing"):
        TLSConnection(client().config)
    with pytest.raises(errors.ConfigurationError, match="server_hostname is for clients"):
        TLSConnection(server().config, server_hostname="localhost")


# ---- W05, W09: what arrives in the middle of a write ----


@pytest.mark.parametrize("request_peer", [False, True])
def test_w05_key_updates_in_the_middle_of_a_write(request_peer: bool) -> None:
    joined = pair()
    connection = joined.client.connection
    updates = 0
    while True:
        try:
            connection.write(BIG)
            break
        except ssl.SSLWantWriteError:
            updates += 1
            joined.server.connection.key_update(request_peer)
            joined.server.connection.write(b"%d " % updates)
            joined.client.put(joined.server.take())
            joined.client.advance()
            deliver(joined)
    deliver(joined)
    assert joined.server.received == BIG
    assert joined.client.received == b"".join(b"%d " % turn for turn in range(1, updates + 1))
    # Requested or not, both directions still work.
    joined.transfer(joined.server, b"back")
    assert joined.client.received.endswith(b"back")


def test_w05_own_key_updates_between_two_retries() -> None:
    joined = pair()
    connection = joined.client.connection
    while True:
        try:
            connection.write(BIG)
            break
        except ssl.SSLWantWriteError:
            connection.key_update(request_peer=True)
            deliver(joined)
            joined.client.put(joined.server.take())
            joined.client.advance()
    deliver(joined)
    assert joined.server.received == BIG


def test_w09_a_write_reads_the_peers_handshake() -> None:
    peer, connection = server(), client()
    with pytest.raises(ssl.SSLWantReadError):
        connection.write(b"data")
    peer.bio_write(take(connection))
    with pytest.raises(ssl.SSLWantReadError):
        peer.do_handshake()
    # Only writes are called here: they consume the handshake's input themselves.
    connection.bio_write(take(peer))
    assert connection.write(b"data") == 4
    peer.bio_write(take(connection))
    assert peer.read() == b"data"


# ---- W08, W11, W12: wants, and success only when everything is written ----


def test_w08_a_full_window_wants_write_and_a_handshake_wants_read() -> None:
    with pytest.raises(ssl.SSLWantReadError):
        client().write(b"x")
    joined = pair()
    with pytest.raises(ssl.SSLWantWriteError):
        joined.client.connection.write(BIG)


def test_w11_without_taking_output_nothing_grows() -> None:
    joined = pair()
    connection = joined.client.connection
    sizes = set()
    for _ in range(10):
        with pytest.raises(ssl.SSLWantWriteError):
            connection.write(BIG)
        sizes.add((connection.send_path.output_size, connection.send_path.committed))
    assert len(sizes) == 1
    assert sizes.pop()[0] <= limits.SEND_WINDOW
    assert write_all(joined, BIG) >= len(BIG) // limits.SEND_WINDOW
    assert joined.server.received == BIG


@pytest.mark.parametrize("step", [1000, 16406, 50_000])
def test_w11_taking_output_in_any_pieces_lets_it_continue(step: int) -> None:
    joined = pair()
    data = BIG[:300_000]
    while True:
        try:
            joined.client.connection.write(data)
            break
        except ssl.SSLWantWriteError:
            joined.server.put(joined.client.connection.bio_read(step))
            joined.server.advance()
    deliver(joined)
    assert joined.server.received == data


def test_w12_one_success_a_write() -> None:
    joined = pair()
    for size in (1, BLOCK, BLOCK + 1, 4 * BLOCK, 4 * BLOCK + 1, len(BIG)):
        joined.server.received.clear()
        write_all(joined, BIG[:size])
        assert joined.server.received == BIG[:size]


# ---- W13, W14: partial writes ----


@pytest.mark.parametrize("limit", [None, 64, 1000])
def test_w13_partial_writes_sum_to_the_length(limit: int | None) -> None:
    joined = connected({"mode": Mode.ENABLE_PARTIAL_WRITE}, {"record_size_limit": limit})
    block = BLOCK if limit is None else limit - 1
    data = memoryview(BIG)[:300_000]
    results = []
    at = 0
    while at < len(data):
        try:
            results.append(joined.client.connection.write(data[at:]))
        except ssl.SSLWantWriteError:
            deliver(joined)
            continue
        at += results[-1]
    deliver(joined)
    assert at == len(data)
    assert all(result % block == 0 for result in results[:-1])
    assert len(results) > 1
    assert joined.server.received == data


@pytest.mark.parametrize(("limit", "block"), [(None, 16384), (16385, 16384), (64, 63), (4097, 4096)])
def test_w14_a_message_block_is_16_kb_or_the_negotiated_limit(limit: int | None, block: int) -> None:
    joined = connected({"record_size_limit": 16385}, {"record_size_limit": limit})
    records: list[bytes] = []
    data = BIG[:100_000]
    while True:
        try:
            joined.client.connection.write(data)
            break
        except ssl.SSLWantWriteError:
            records += split(joined.client.take())
    records += split(joined.client.take())
    sizes = [len(record) - limits.RECORD_OVERHEAD for record in records]
    assert set(sizes[:-1]) == {block}
    assert sum(sizes) == len(data)


# ---- W15, W16, W17: retries ----


def test_w15_a_retry_with_other_arguments_is_a_bad_write_retry() -> None:
    joined = pair()
    connection = joined.client.connection
    with pytest.raises(ssl.SSLWantWriteError):
        connection.write(BIG)
    for other in (bytes(bytearray(BIG)), BIG[:-1], BIG + b"x", b"", b"short"):
        with pytest.raises(errors.BadWriteRetry, match="bad write retry") as caught:
            connection.write(other)
        assert caught.value.retryable
    write_all(joined, BIG)
    assert joined.server.received == BIG


def test_w16_a_moving_buffer_needs_the_mode() -> None:
    for mode in (Mode.AUTO_RETRY, Mode.AUTO_RETRY | Mode.ACCEPT_MOVING_WRITE_BUFFER):
        joined = pair(mode)
        connection = joined.client.connection
        with pytest.raises(ssl.SSLWantWriteError):
            connection.write(BIG)
        moved = bytearray(BIG)
        if not mode & Mode.ACCEPT_MOVING_WRITE_BUFFER:
            with pytest.raises(errors.BadWriteRetry):
                connection.write(moved)
            continue
        different = bytearray(BIG)
        different[-1] ^= 1
        with pytest.raises(errors.BadWriteRetry, match="differs"):
            connection.write(different)
        write_all(joined, moved)
        assert joined.server.received == BIG


def test_w17_nothing_is_sealed_twice_whatever_happens_between_retries() -> None:
    joined = pair()
    connection = joined.client.connection
    data = bytearray(BIG)
    wire = []
    while True:
        try:
            connection.write(data)
            break
        except ssl.SSLWantWriteError:
            sealed = connection.send_path.committed
            with pytest.raises(errors.BadWriteRetry):
                connection.write(b"something else")
            # What is sealed is gone: changing it changes nothing any more.
            data[:sealed] = bytes(sealed)
            wire += split(joined.client.take())
    wire += split(joined.client.take())
    assert len(set(wire)) == len(wire) == -(-len(BIG) // BLOCK)
    joined.server.put(b"".join(wire))
    joined.server.advance()
    assert joined.server.received == BIG


# ---- W18, W19: sizes ----


def test_w18_an_empty_write_sends_no_record() -> None:
    joined = pair()
    assert joined.client.connection.write(b"") == 0
    assert joined.client.take() == b""


def test_w18_an_empty_write_completes_the_handshake() -> None:
    connection, peer = client(), server()
    with pytest.raises(ssl.SSLWantReadError):
        connection.write(b"")
    peer.bio_write(take(connection))
    with pytest.raises(ssl.SSLWantReadError):
        peer.do_handshake()
    connection.bio_write(take(peer))
    assert connection.write(b"") == 0
    assert connection.version() == "TLSv1.3"


@pytest.mark.parametrize("size", [1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_w19_the_result_is_the_number_of_bytes(size: int) -> None:
    joined = pair()
    assert joined.client.connection.write(BIG[:size]) == size
    deliver(joined)
    assert len(joined.server.received) == size


# ---- W20, W21, W22: outcomes ----


@pytest.mark.parametrize(
    ("error", "standard", "code", "retryable"),
    [
        (errors.WantReadError, ssl.SSLWantReadError, 2, True),
        (errors.WantWriteError, ssl.SSLWantWriteError, 3, True),
        (errors.SyscallError, ssl.SSLSyscallError, 5, False),
        (errors.TruncationError, ssl.SSLEOFError, 5, False),
        (errors.ZeroReturnError, ssl.SSLZeroReturnError, 6, False),
        (errors.TLSError, ssl.SSLError, 1, False),
        (errors.CertificateError, ssl.SSLCertVerificationError, 1, False),
        (errors.BadWriteRetry, ssl.SSLError, 1, True),
    ],
)
def test_w20_each_outcome_has_its_class_and_code(
    error: type[errors.TLSError], standard: type[ssl.SSLError], code: int, retryable: bool
) -> None:
    raised = error()
    assert isinstance(raised, standard)
    assert (raised.code, raised.errno, raised.retryable) == (code, code, retryable)


def test_w21_a_terminal_error_stays_and_nothing_follows_its_alert() -> None:
    joined = pair()
    connection = joined.client.connection
    connection.bio_write(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(errors.BadRecordMAC) as first:
        connection.read()
    assert not first.value.retryable
    wire = take(connection)
    assert len(split(wire)) == 1
    for call in (
        connection.read,
        connection.do_handshake,
        connection.shutdown,
        connection.key_update,
        lambda: connection.write(b"x"),
        lambda: connection.write(b""),
        lambda: connection.read_into(bytearray(5)),
        lambda: connection.export_keying_material(b"label", 32),
    ):
        with pytest.raises(errors.BadRecordMAC) as again:
            call()
        assert again.value is not first.value
        assert str(again.value) == str(first.value)
    connection.bio_write(b"more input")
    assert take(connection) == b""
    joined.server.put(wire)
    with pytest.raises(errors.AlertReceived) as received:
        joined.server.connection.read()
    assert received.value.received == AlertDescription.BAD_RECORD_MAC
    assert take(joined.server.connection) == b"", "an alert is not answered"


def test_w21_a_pending_write_ends_with_the_connection() -> None:
    joined = pair()
    connection = joined.client.connection
    with pytest.raises(ssl.SSLWantWriteError):
        connection.write(BIG)
    connection.bio_write(b"\x16\x03\x03\x00\x01\x00")
    with pytest.raises(errors.UnexpectedMessage):
        connection.read()
    records = split(take(connection))
    assert len(records) == limits.WINDOW_RECORDS + 1
    with pytest.raises(errors.UnexpectedMessage):
        connection.write(BIG)


def test_w22_close_notify_is_zero_return() -> None:
    joined = pair()
    write_all(joined, b"last words")
    assert joined.client.connection.shutdown() is False
    assert joined.server.connection.peer_closed is False
    joined.server.put(joined.client.take())
    with pytest.raises(ssl.SSLZeroReturnError):
        joined.server.connection.read()
    # Half-close (RFC 9846 §6.1): the other direction goes on.
    assert joined.server.connection.write(b"answer") == 6
    joined.client.put(joined.server.take())
    assert joined.client.connection.read() == b"answer"
    assert joined.server.connection.shutdown() is True
    with pytest.raises(errors.CallerError, match="shutdown"):
        joined.client.connection.write(b"after the end")


def test_w22_bare_eof_is_a_truncation() -> None:
    joined = pair()
    joined.client.connection.write(b"all there was")
    joined.server.put(joined.client.take())
    joined.server.connection.bio_write_eof()
    assert joined.server.connection.read() == b"all there was"
    with pytest.raises(ssl.SSLEOFError, match="without close_notify") as caught:
        joined.server.connection.read()
    assert caught.value.code == 5


def test_w22_eof_in_a_handshake_names_the_state() -> None:
    connection = client()
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    connection.bio_write_eof()
    with pytest.raises(errors.TruncationError, match="WAIT_SH"):
        connection.do_handshake()


def test_w22_what_follows_close_notify_is_ignored() -> None:
    # RFC 9846 §6.1
    joined = pair()
    joined.client.connection.shutdown()
    joined.server.put(joined.client.take() + b"garbage behind the end")
    with pytest.raises(ssl.SSLZeroReturnError):
        joined.server.connection.read()
    joined.server.connection.bio_write(b"more garbage")
    with pytest.raises(ssl.SSLZeroReturnError):
        joined.server.connection.read()


# ---- W04, W09: a renegotiation in the middle of a write ----


@pytest.mark.parametrize("writer", ["client", "server"])
@pytest.mark.parametrize("mode", [Mode.AUTO_RETRY, Mode.ENABLE_PARTIAL_WRITE, Mode(0)], ids=repr)
def test_w04_w09_a_renegotiation_in_the_middle_of_a_write_is_not_noticed(writer: str, mode: Mode) -> None:
    fields = {**ONLY_1_2, "mode": mode}
    joined = connected(fields, {**fields, "allow_client_renegotiation": True})
    ours, theirs = (joined.client, joined.server) if writer == "client" else (joined.server, joined.client)
    wants: list[type] = []
    handshakes = 0
    last = theirs.connection._control.after
    rest = memoryview(BIG)
    while rest:
        try:
            # Nothing is read on this side: the write serves the handshake by itself.
            rest = rest[ours.connection.write(rest) :]
        except ssl.SSLWantWriteError:
            wants.append(ssl.SSLWantWriteError)
        except ssl.SSLWantReadError:
            wants.append(ssl.SSLWantReadError)
        theirs.put(ours.take())
        theirs.advance()
        joined.check()
        if theirs.connection._control.after is not last:
            last = theirs.connection._control.after
            handshakes += 1
        if len(theirs.received) > (handshakes + 1) * 100_000 and not theirs.connection._control.renegotiating:
            theirs.connection.renegotiate()
        ours.put(theirs.take())
    deliver_to(theirs, ours)
    assert theirs.received == BIG
    assert handshakes >= 5
    assert ssl.SSLWantReadError in wants
    # A partial write has succeeded before it would want WRITE.
    assert (ssl.SSLWantWriteError in wants) is not bool(mode & Mode.ENABLE_PARTIAL_WRITE)
    assert ours.connection.send_path.committed == len(BIG)


def deliver_to(target: End, source: End) -> None:
    target.put(source.take())
    target.advance()


def test_w15_w17_a_write_held_by_a_renegotiation_is_retried_with_the_same_arguments() -> None:
    joined = connected({**ONLY_1_2}, {**ONLY_1_2})
    joined.server.connection.renegotiate()
    joined.client.put(joined.server.take())
    data = bytes(range(250)) * 8
    with pytest.raises(ssl.SSLWantReadError):
        joined.client.connection.write(data)
    for other in (bytes(2000), data[:-1]):
        with pytest.raises(errors.BadWriteRetry):
            joined.client.connection.write(other)
    while True:
        try:
            assert joined.client.connection.write(data) == len(data)
            break
        except ssl.SSLWantReadError:
            deliver_to(joined.server, joined.client)
            joined.client.put(joined.server.take())
    joined.pump()
    assert joined.server.received == data


@pytest.mark.parametrize("end", ["close_notify", "eof"])
def test_w22_ends_are_told_apart_in_tls_1_2(end: str) -> None:
    joined = connected({**ONLY_1_2}, {**ONLY_1_2})
    if end == "close_notify":
        joined.server.connection.shutdown()
    joined.client.put(joined.server.take())
    joined.client.connection.bio_write_eof()
    expected = ssl.SSLZeroReturnError if end == "close_notify" else ssl.SSLEOFError
    with pytest.raises(expected):
        joined.client.connection.read()
