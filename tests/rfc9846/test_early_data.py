"""§4.3.10: a server that does not accept early data ignores the extension and skips what was sent for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.edits import adding
from tests.support.engine import server
from tests.support.hostile import APPLICATION, CCS, HANDSHAKE, PLAIN, HostileClient, Keys
from tests.support.verdicts import connected, refused
from tlswrite.crypto.suites import SUITES
from tlswrite.errors import AlertReceived, BadRecordMAC, DecodeError, RecordOverflow, UnexpectedMessage
from tlswrite.iana import CipherSuite, ContentType, ExtensionType, HandshakeType, NamedGroup
from tlswrite.limits import MAX_CIPHERTEXT, MAX_SKIPPED_EARLY_DATA
from tlswrite.messages.framing import frame

EARLY_DATA = (ExtensionType.EARLY_DATA, b"")
DATA = ContentType.APPLICATION_DATA
SUITE = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]


class EarlyBird(HostileClient):
    """A client that hopes for its early data to be accepted, under a key that the server does not have."""

    def __init__(self, *, retry: bool = False, **victim: Any) -> None:
        groups = (NamedGroup.x25519, NamedGroup.secp256r1)
        super().__init__(
            server(groups=groups, **victim),
            offered=groups,
            shared=() if retry else (NamedGroup.x25519,),
            extensions=(EARLY_DATA,),
        )
        self.early = Keys(SUITE, bytes(32), "the early key")

    def send_early(self, content: bytes = b"early", kind: int = DATA) -> None:
        self.raw(self.early.seal(content + bytes((kind,))))

    def hello_with(self, *contents: bytes) -> None:
        """The first flight, in one piece."""
        self.handshake(self.make("client_hello"))
        self.raw(CCS)
        for content in contents:
            self.send_early(content)
        self.flush()

    def rest(self) -> None:
        """The handshake goes on as if nothing had been."""
        if self.request is not None:
            self.step("second_client_hello")
        self.run("finished")


retries = pytest.mark.parametrize("retry", [False, True], ids=["", "after a HelloRetryRequest"])


@retries
@pytest.mark.parametrize(
    "contents", [(), (b"early",), (b"", b"x", bytes(1000), b"early"), (bytes(16384), bytes(8192))]
)
def test_early_data_is_skipped(contents: tuple[bytes, ...], retry: bool) -> None:
    # RFC 9846 §4.3.10: discard records which fail deprotection; after a HelloRetryRequest all records with an
    # external content type of application_data.
    hostile = EarlyBird(retry=retry)
    hostile.hello_with(*contents)
    assert hostile.end.error is None
    hostile.rest()
    connected(hostile)
    assert hostile.end.received == b"ping"
    # RFC 9846 §4.3.10: MUST NOT respond with the extension.
    (parameters,) = hostile.heard(HandshakeType.ENCRYPTED_EXTENSIONS)
    assert parameters.extension(ExtensionType.EARLY_DATA) is None


@retries
def test_it_may_go_on_while_the_answer_is_under_way(retry: bool) -> None:
    hostile = EarlyBird(retry=retry)
    hostile.hello_with(b"early")
    for _ in range(20):
        hostile.send_early(b"still early")
        hostile.raw(CCS)
        hostile.flush()
    hostile.rest()
    connected(hostile)


@retries
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_it_may_come_in_pieces(size: int, retry: bool) -> None:
    hostile = EarlyBird(retry=retry)
    hostile.hello_with()
    for _ in range(3):
        hostile.send_early(bytes(500))
    hostile.flush(size=size)
    hostile.rest()
    connected(hostile)


@retries
def test_there_is_a_limit(retry: bool) -> None:
    # RFC 9846 §4.3.10: up to the configured max_early_data_size.
    hostile = EarlyBird(retry=retry)
    record = bytes(1024 - 22)
    hostile.hello_with(*[record] * (MAX_SKIPPED_EARLY_DATA // 1024))
    assert hostile.end.error is None
    hostile.send_early(b"")
    hostile.flush()
    if retry:
        refused(hostile, UnexpectedMessage, under=PLAIN)
    else:
        refused(hostile, BadRecordMAC, under=APPLICATION)


@retries
def test_records_that_can_be_none_are_not_skipped(retry: bool) -> None:
    under = PLAIN if retry else APPLICATION
    for size in (0, 1, 16):
        hostile = EarlyBird(retry=retry)
        hostile.hello_with()
        hostile.raw(b"\x17\3\3" + size.to_bytes(2, "big") + bytes(size))
        hostile.flush()
        refused(hostile, UnexpectedMessage if retry else BadRecordMAC, under=under)
    hostile = EarlyBird(retry=retry)
    hostile.hello_with()
    hostile.raw(b"\x17\3\3" + (MAX_CIPHERTEXT + 1).to_bytes(2, "big"))
    hostile.flush()
    refused(hostile, RecordOverflow, under=under)


def test_without_the_extension_nothing_is_skipped() -> None:
    for retry, under in ((False, APPLICATION), (True, PLAIN)):
        hostile = EarlyBird(retry=retry)
        hostile.more_extensions = ()
        hostile.hello_with(b"early")
        refused(hostile, UnexpectedMessage if retry else BadRecordMAC, under=under)


def test_it_ends_with_the_first_record_that_opens() -> None:
    # RFC 9846 §4.3.10: that is treated as the start of the client's second flight.
    hostile = EarlyBird()
    hostile.hello_with(b"early")
    hostile.record(ContentType.HANDSHAKE, hostile.make("finished")[:10])
    hostile.send_early()
    hostile.flush()
    refused(hostile, BadRecordMAC, under=APPLICATION)


def test_it_ends_with_the_beginning_of_the_second_hello() -> None:
    hostile = EarlyBird(retry=True)
    hostile.hello_with(b"early")
    hostile.record(ContentType.HANDSHAKE, hostile.make("second_client_hello")[:50])
    hostile.send_early()
    hostile.flush()
    refused(hostile, UnexpectedMessage, under=PLAIN)


def test_it_does_not_come_behind_the_second_hello() -> None:
    hostile = EarlyBird(retry=True)
    hostile.hello_with(b"early")
    hostile.step("second_client_hello")
    hostile.send_early()
    hostile.flush()
    refused(hostile, BadRecordMAC, under=APPLICATION)


def test_a_first_record_that_opens_and_is_wrong() -> None:
    for inner, match in (
        (bytes(20), "padding"),
        (b"data\x17", "application data"),
        (b"\1\x14", "an unprotected"),
    ):
        hostile = EarlyBird()
        hostile.hello_with(b"early")
        assert hostile.writing is not None and hostile.writing.name == HANDSHAKE
        if match == "an unprotected":
            hostile.plain(ContentType.HANDSHAKE, inner)
        else:
            hostile.raw(hostile.writing.seal(inner))
        hostile.flush()
        refused(hostile, UnexpectedMessage, match, under=APPLICATION)


def test_alerts_are_heard_all_the_while() -> None:
    # In the clear, from a client without keys; and protected.
    for protected in (False, True):
        hostile = EarlyBird()
        hostile.hello_with(b"early")
        if protected:
            hostile.record(ContentType.ALERT, b"\2\x28")
        else:
            hostile.plain(ContentType.ALERT, b"\2\x28")
        hostile.flush()
        assert type(hostile.end.error) is AlertReceived
        assert not hostile.alerts


def test_an_end_of_early_data_is_unexpected() -> None:
    # RFC 9846 §4.6: MUST NOT be sent where the server did not send early_data.
    hostile = EarlyBird()
    hostile.hello_with(b"early")
    hostile.handshake(frame(HandshakeType.END_OF_EARLY_DATA, b""))
    hostile.flush()
    refused(hostile, UnexpectedMessage, "end_of_early_data", under=APPLICATION)


def test_an_extension_that_is_not_empty() -> None:
    hostile = HostileClient(server(), {"client_hello": adding((ExtensionType.EARLY_DATA, b"\0"))})
    hostile.run()
    refused(hostile, DecodeError, under=PLAIN)
