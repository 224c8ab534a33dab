"""A handshake damaged at every offset, in both directions: one byte changed, and the stream cut.

Each handshake here is made fresh and goes through undamaged up to the offset under test. Whatever is done
to it, both sides end in a typed error; the side that sees a fault tells it by the alert of its error, as the
last thing it sends; nothing else is raised, nothing waits for ever, and a connection that is over stays over.

A changed length field can make a side wait for bytes that never come: there the end of the transport, which
both sides get once they are quiet, is the fault, and it has no alert (`TruncationError`).

What may be changed with no effect is a field that RFC 9846 says is ignored; the list of these is `IGNORED`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.support.engine import BOTH, ONLY_1_2, anchors, client, credentials, server
from tests.support.ocsp import leaf, respond, trust
from tests.support.pump import End, Pair
from tlswrite.connection import TLSConnection
from tlswrite.crypto.credentials import Credentials, load_credentials
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.errors import AlertReceived, InternalError, TLSError, TruncationError
from tlswrite.iana import CipherSuite, ContentType, NamedGroup
from tlswrite.session import Session, SessionCache

HEADER = 5
#: Which bits of a byte are changed: the lowest, and by hand also the highest, and all.
MASKS = (
    pytest.param(0x01, id="0x1"),
    pytest.param(0x80, id="0x80", marks=pytest.mark.long),
    pytest.param(0xFF, id="0xff", marks=pytest.mark.long),
)
P256 = (NamedGroup.secp256r1,)
CHACHA20 = CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256

#: Fields of a record that change nothing: content types in the clear, offset in the record, section.
IGNORED = {
    # "legacy_record_version … MUST be ignored for all purposes". In a protected record it is additional data.
    # RFC 5246 §E.1 has servers accept any; the version of TLS 1.2 is that of the ServerHello.
    "RFC 9846 §5.1": ((ContentType.HANDSHAKE, ContentType.CHANGE_CIPHER_SPEC), (1, 2)),
}


def new_server(**fields: Any) -> TLSConnection:
    """With Ed25519, whose signatures are all of one size: so are the streams of all runs."""
    return server(credentials=(credentials("ed25519"),), **fields)


def plain() -> Pair:
    return Pair(client(alpn_protocols=("h2",)), new_server(alpn_protocols=("h2",)))


def with_client_certificate() -> Pair:
    return Pair(
        client(credentials=credentials("ed25519", client=True)),
        new_server(verify_mode=ssl.CERT_REQUIRED, trust_anchors=anchors()),
    )


def with_hello_retry() -> Pair:
    both = (NamedGroup.x25519, *P256)
    return Pair(
        client(groups=both, key_shares=both[:1]),
        new_server(groups=P256, hello_retry_cookie=True),
    )


def without_compatibility_mode() -> Pair:
    return Pair(client(middlebox_compatibility=False), new_server())


def tls12() -> Pair:
    return Pair(client(**ONLY_1_2, alpn_protocols=("h2",)), new_server(**BOTH, alpn_protocols=("h2",)))


def tls12_with_client_certificate() -> Pair:
    return Pair(
        client(**ONLY_1_2, credentials=credentials("ed25519", client=True)),
        new_server(**ONLY_1_2, verify_mode=ssl.CERT_REQUIRED, trust_anchors=anchors()),
    )


def tls12_without_extended_main_secret() -> Pair:
    lax = {**ONLY_1_2, "require_extended_main_secret": False, "cipher_suites": (CHACHA20,)}
    return Pair(client(**lax), new_server(**lax))


def resumed() -> Pair:
    return resuming()


def resumed_after_retry() -> Pair:
    return resuming(hello_retry_cookie=True)


def tls12_resumed() -> Pair:
    return resuming(**ONLY_1_2)


def resuming(**fields: Any) -> Pair:
    """A client and a server that had a session; the server issues no further tickets."""
    ours = {name: value for name, value in fields.items() if name != "hello_retry_cookie"}
    pair = Pair(client(**ours), new_server(**fields, ticket_keys=TICKET_KEYS))
    pair.client.connection.session = made_session(tuple(ours.items()))
    return pair


#: Keys of tickets that all these servers share.
TICKET_KEYS = TicketKeys()


@cache
def made_session(fields: tuple[tuple[str, Any], ...]) -> Session:
    cache_ = SessionCache()
    pair = Pair(
        client(**dict(fields), session_cache=cache_),
        new_server(**dict(fields), ticket_keys=TICKET_KEYS, tickets=1),
    )
    pair.handshake()
    (made,) = cache_
    return made


def test_resuming_resumes() -> None:
    for scenario in (resumed, resumed_after_retry, tls12_resumed):
        pair = scenario()
        pair.handshake()
        assert pair.client.connection.session_reused and pair.server.connection.session_reused


@cache
def stapling() -> Credentials:
    made = leaf(key_type="ed25519")
    return load_credentials(made.chain_pem, made.key_pem, ocsp_response=respond(about=made))


def tls12_with_status() -> Pair:
    return Pair(
        client(**ONLY_1_2, trust_anchors=trust(), require_ocsp_status=True),
        server(**ONLY_1_2, credentials=(stapling(),)),
    )


SCENARIOS = (
    plain,
    with_client_certificate,
    with_hello_retry,
    without_compatibility_mode,
    tls12,
    tls12_with_client_certificate,
    tls12_without_extended_main_secret,
    resumed,
    resumed_after_retry,
    tls12_resumed,
    tls12_with_status,
)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("sender", ["client", "server"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_one_changed_byte(scenario: Callable[[], Pair], sender: str, mask: int) -> None:
    ignored = 0
    for offset in offsets(scenario, sender):
        pair = scenario()
        flip = Flip(sender, offset, mask)
        pair.tamper = flip
        pair.pump()
        where = f"{scenario.__name__}: {sender}'s byte {offset} ^ {mask:#x}"
        assert flip.done, where
        if is_ignored(flip):
            pair.check()
            assert pair.client.handshaken and pair.server.handshaken, where
            ignored += 1
            continue
        end_of_transport(pair)
        check_ended(pair, where)
        if not has_fault(pair.client) and not has_fault(pair.server):
            assert lengthens(flip), f"{where}: nobody saw a fault"
    in_the_clear = [r for r in sent(scenario, sender) if r.in_the_clear]
    assert ignored == 2 * len(in_the_clear)


@pytest.mark.parametrize("sender", ["client", "server"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_cut(scenario: Callable[[], Pair], sender: str) -> None:
    for offset in offsets(scenario, sender):
        pair = scenario()
        cut = Cut(sender, offset)
        pair.tamper = cut
        pair.pump()
        where = f"{scenario.__name__}: {sender} cut after {offset} bytes"
        pair.check()
        receiver, other = (pair.server, pair.client) if sender == "client" else (pair.client, pair.server)
        assert not receiver.handshaken, where
        receiver.put_eof()
        other.put_eof()
        for end in pair.ends:
            assert isinstance(end.error, TruncationError), f"{where}: {end.name} has {end.error!r}"
            assert_over(end, where)


def test_the_end_right_after_the_handshake_is_no_clean_end() -> None:
    pair = plain()
    pair.handshake()
    end_of_transport(pair)
    for end in pair.ends:
        assert isinstance(end.error, TruncationError)


# ---- damage --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Record:
    """A record of an undamaged stream."""

    start: int
    content_type: int
    length: int
    in_the_clear: bool


class Flip:
    """Changes one byte of what one side sends."""

    def __init__(self, sender: str, offset: int, mask: int) -> None:
        self.sender, self.offset, self.mask = sender, offset, mask
        self.stream = bytearray()
        self.done = False

    def __call__(self, sender: str, data: bytes) -> bytes:
        if sender != self.sender or self.done:
            return data
        at = self.offset - len(self.stream)
        self.stream += data
        if at >= len(data):
            return data
        self.done = True
        return data[:at] + bytes([data[at] ^ self.mask]) + data[at + 1 :]

    @property
    def record(self) -> Record:
        """The record whose byte was changed, as it was sent."""
        return next(r for r in records(self.stream) if self.offset < r.start + HEADER + r.length)


class Cut:
    """Delivers the first bytes of what one side sends, and no more."""

    def __init__(self, sender: str, left: int) -> None:
        self.sender, self.left = sender, left

    def __call__(self, sender: str, data: bytes) -> bytes:
        if sender != self.sender:
            return data
        data = data[: self.left]
        self.left -= len(data)
        return data


def offsets(scenario: Callable[[], Pair], sender: str) -> range:
    """Every offset of what one side sends up to the end of the handshake."""
    return range(sum(HEADER + record.length for record in sent(scenario, sender)))


def sent(scenario: Callable[[], Pair], sender: str) -> list[Record]:
    pair = scenario()
    pair.handshake()
    return list(records(pair.client.sent if sender == "client" else pair.server.sent))


def records(stream: bytes | bytearray) -> Iterator[Record]:
    start = 0
    while start < len(stream):
        length = int.from_bytes(stream[start + 3 : start + 5])
        body = stream[start + HEADER : start + HEADER + length]
        yield Record(start, stream[start], length, is_in_the_clear(stream[start], body))
        start += HEADER + length


def is_in_the_clear(content_type: int, body: bytes | bytearray) -> bool:
    """Whether a record of a handshake is not protected; in TLS 1.2 a Finished is, under its own type."""
    if content_type != ContentType.HANDSHAKE:
        return content_type == ContentType.CHANGE_CIPHER_SPEC
    at = 0
    while at < len(body):
        at += 4 + int.from_bytes(body[at + 1 : at + 4])
    return at == len(body)


def is_ignored(flip: Flip) -> bool:
    record = flip.record
    return record.in_the_clear and any(
        record.content_type in types and flip.offset - record.start in places
        for types, places in IGNORED.values()
    )


def lengthens(flip: Flip) -> bool:
    """The changed byte is in the length of a record, or of a handshake message in the clear."""
    record = flip.record
    if record.content_type == ContentType.CHANGE_CIPHER_SPEC:
        return flip.offset - record.start in {3, 4}
    places = {3, 4}
    body = record.start + HEADER
    while record.in_the_clear and body < record.start + HEADER + record.length:
        places |= {body - record.start + at for at in (1, 2, 3)}
        body += 4 + int.from_bytes(flip.stream[body + 1 : body + 4])
    return flip.offset - record.start in places


# ---- what must be true of the ends -------------------------------------------------------------------


def end_of_transport(pair: Pair) -> None:
    """Both sides learn that nothing more comes; those that failed already have closed."""
    for end in pair.ends:
        end.put_eof()
    pair.pump()


def has_fault(end: End) -> bool:
    """It found a fault itself, so it has an alert to send."""
    return end.error is not None and end.error.alert is not None


def check_ended(pair: Pair, where: str) -> None:
    for end, peer in ((pair.client, pair.server), (pair.server, pair.client)):
        where_ends = f"{where}: {end.name} ended with {end.error!r}, the other with {peer.error!r}"
        assert isinstance(end.error, TLSError), where_ends
        assert not isinstance(end.error, InternalError), where_ends
        if has_fault(end):
            check_alert(end, where_ends)
        if isinstance(end.error, AlertReceived):
            assert has_fault(peer) and end.error.received == peer.error.alert, where_ends
        assert_over(end, where_ends)


def check_alert(end: End, where: str) -> None:
    """The last thing it sent is the alert of its error."""
    *_, last = records(end.sent)
    assert end.error is not None
    assert last.start + HEADER + last.length == len(end.sent), where
    if last.content_type == ContentType.ALERT and last.length == 2:
        assert end.sent[last.start :] == bytes((21, 3, 3, 0, 2, 2, end.error.alert)), where
    elif last.content_type == ContentType.ALERT:  # of TLS 1.2: the sequence number with AES-GCM, and the tag
        assert last.length in (8 + 2 + 16, 2 + 16), where
    else:  # level, description, content type, tag
        assert (last.content_type, last.length) == (ContentType.APPLICATION_DATA, 2 + 1 + 16), where


def assert_over(end: End, where: str) -> None:
    """Every later call tells the same cause, and nothing more is put on the wire."""
    for call in (end.connection.do_handshake, end.connection.read, lambda: end.connection.write(b"late")):
        with pytest.raises(TLSError) as caught:
            call()
        assert type(caught.value) is type(end.error), where
        assert str(caught.value) == str(end.error), where
    assert end.take() == b"", where
