"""The key schedule; tests/vectors compares all of it with RFC 8448."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from tlswrite.crypto.suites import SUITES, TLS13_SUITES, Suite
from tlswrite.errors import DecodeError, DecryptError
from tlswrite.iana import CipherSuite
from tlswrite.tls13.schedule import (
    KeySchedule,
    derive_secret,
    export,
    finished_mac,
    next_application_secret,
    traffic_keys,
    verify_finished,
)

SUITE = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]
SUITE384 = SUITES[CipherSuite.TLS_AES_256_GCM_SHA384]


def expand_label(name: str, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label as RFC 9846 §7.1 writes it down, in its own words."""
    full = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes((len(full),)) + full + bytes((len(context),)) + context
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(secret, block + info + bytes((counter,)), name)
        output += block
        counter += 1
    return output[:length]


@pytest.mark.parametrize("suite", [SUITE, SUITE384], ids=lambda suite: suite.hash_name)
def test_the_diagram_of_the_rfc(suite: Suite) -> None:
    # RFC 9846 §7.1.
    name, size = suite.hash_name, suite.hash_length
    empty = hashlib.new(name).digest()
    hellos, finished, all_of_it = (hashlib.new(name, part).digest() for part in (b"1", b"2", b"3"))
    early = hmac.digest(bytes(size), bytes(size), name)
    handshake = hmac.digest(expand_label(name, early, b"derived", empty, size), b"shared", name)
    main = hmac.digest(expand_label(name, handshake, b"derived", empty, size), bytes(size), name)

    schedule = KeySchedule(suite)
    schedule.enter_handshake(b"shared", hellos)
    assert schedule.client_handshake == expand_label(name, handshake, b"c hs traffic", hellos, size)
    assert schedule.server_handshake == expand_label(name, handshake, b"s hs traffic", hellos, size)
    schedule.enter_application(finished)
    assert schedule.client_application == expand_label(name, main, b"c ap traffic", finished, size)
    assert schedule.server_application == expand_label(name, main, b"s ap traffic", finished, size)
    assert schedule.exporter == expand_label(name, main, b"exp master", finished, size)
    assert schedule.resumption(all_of_it) == expand_label(name, main, b"res master", all_of_it, size)
    assert derive_secret(name, main, b"x", empty) == expand_label(name, main, b"x", empty, size)


@pytest.mark.parametrize("suite", [SUITES[code] for code in TLS13_SUITES], ids=lambda suite: suite.name)
def test_keys_and_their_successors(suite: Suite) -> None:
    name, size = suite.hash_name, suite.hash_length
    secret = bytes(range(size))
    # RFC 9846 §7.3.
    key, iv = traffic_keys(suite, secret)
    assert key == expand_label(name, secret, b"key", b"", suite.key_length)
    assert iv == expand_label(name, secret, b"iv", b"", 12)
    # RFC 9846 §7.2.
    assert next_application_secret(suite, secret) == expand_label(name, secret, b"traffic upd", b"", size)


def test_finished() -> None:
    # RFC 9846 §4.5.3.
    key = expand_label("sha256", b"base", b"finished", b"", 32)
    mac = hmac.digest(key, b"hash", "sha256")
    assert finished_mac(SUITE, b"base", b"hash") == mac
    verify_finished(SUITE, b"base", b"hash", mac)
    with pytest.raises(DecryptError):
        verify_finished(SUITE, b"base", b"hash", bytes(32))
    for wrong in (b"", mac[:-1], mac + b"\0"):
        with pytest.raises(DecodeError):
            verify_finished(SUITE, b"base", b"hash", wrong)


@pytest.mark.parametrize("suite", [SUITE, SUITE384], ids=lambda suite: suite.hash_name)
@pytest.mark.parametrize("length", [1, 16, 32, 48, 500])
def test_exporters(suite: Suite, length: int) -> None:
    # RFC 9846 §7.5; RFC 5705 §4: a context may be empty, which is the same as none.
    name, size = suite.hash_name, suite.hash_length
    secret = bytes(range(size))
    derived = expand_label(name, secret, b"EXPORTER-x", hashlib.new(name).digest(), size)
    for context in (b"", b"context"):
        expected = expand_label(name, derived, b"exporter", hashlib.new(name, context).digest(), length)
        assert export(suite, secret, b"EXPORTER-x", context, length) == expected
