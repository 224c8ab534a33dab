"""The transcript hash."""

from __future__ import annotations

import hashlib

import pytest

from tlswrite.transcript import Transcript

FIRST, SECOND, THIRD = b"\x01\0\0\2ab", b"\x02\0\0\1c", b"\x08\0\0\0"


@pytest.mark.parametrize("name", ["sha256", "sha384"])
def test_messages_before_and_after_the_choice_of_the_hash_count_alike(name: str) -> None:
    transcript = Transcript()
    transcript.add(FIRST)
    transcript.start(name)
    assert transcript.digest() == hashlib.new(name, FIRST).digest()
    transcript.add(SECOND)
    assert transcript.digest() == hashlib.new(name, FIRST + SECOND).digest()
    # Asking does not change it.
    assert transcript.digest() == transcript.digest()


@pytest.mark.parametrize("name", ["sha256", "sha384"])
def test_a_retry_replaces_the_first_hello_by_its_hash(name: str) -> None:
    # RFC 9846 §4.1: Hash(message_hash || 00 00 Hash.length || Hash(ClientHello1) || HelloRetryRequest || …).
    transcript = Transcript()
    transcript.add(FIRST)
    transcript.start(name)
    transcript.retry()
    transcript.add(SECOND)
    digest = hashlib.new(name, FIRST).digest()
    expected = b"\xfe\0\0" + bytes((len(digest),)) + digest + SECOND
    assert transcript.digest() == hashlib.new(name, expected).digest()


def test_a_fork_goes_its_own_way() -> None:
    # RFC 9846 §4.1: post-handshake authentications do not include each other.
    transcript = Transcript()
    transcript.add(FIRST)
    transcript.start("sha256")
    one, other = transcript.fork(), transcript.fork()
    one.add(SECOND)
    other.add(THIRD)
    assert transcript.digest() == hashlib.sha256(FIRST).digest()
    assert one.digest() == hashlib.sha256(FIRST + SECOND).digest()
    assert other.digest() == hashlib.sha256(FIRST + THIRD).digest()
    one.retry()
    assert one.digest() == hashlib.sha256(b"\xfe\0\0\x20" + hashlib.sha256(FIRST + SECOND).digest()).digest()
