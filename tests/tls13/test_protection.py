"""From a traffic secret to protection."""

from __future__ import annotations

import pytest

from tests.support.engine import client_config
from tests.support.handshakes import open_record
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.tls13.protection import NO_LIMIT, new_opener, new_sealer, padding_policy
from tlswrite.tls13.schedule import KeySchedule

SECRET = bytes(range(32))


@pytest.mark.parametrize("suite", list(SUITES.values()), ids=lambda suite: suite.name)
def test_what_is_sealed_under_a_secret_is_opened_under_it(suite: Suite) -> None:
    secret = bytes(range(suite.hash_length))
    record = new_sealer(suite, secret, client_config()).seal(22, b"message")
    assert open_record(new_opener(suite, secret), record) == (22, b"message")


def test_limits_of_the_configuration_and_of_the_peer() -> None:
    suite = next(iter(SUITES.values()))
    sealer = new_sealer(suite, SECRET, client_config())
    assert (sealer.max_content, sealer.record_limit, sealer.padded) == (
        NO_LIMIT - 1,
        suite.record_limit,
        False,
    )
    sealer = new_sealer(suite, SECRET, client_config(key_update_records=5, record_padding=64), 1000)
    assert (sealer.max_content, sealer.record_limit, sealer.padded) == (999, 5, True)
    # RFC 9846 §5.5: never above the AEAD's own limit.
    sealer = new_sealer(suite, SECRET, client_config(key_update_records=2**70))
    assert sealer.record_limit == suite.record_limit


def test_padding_to_a_multiple_and_by_a_function() -> None:
    # RFC 9846 §5.4.
    policy = padding_policy(16)
    assert policy is not None
    assert [policy(length) for length in (0, 1, 15, 16, 17)] == [0, 15, 1, 0, 15]

    def double(length: int) -> int:
        return length

    assert padding_policy(double) is double
    assert padding_policy(None) is None
    suite = next(iter(SUITES.values()))
    sizes = {
        len(new_sealer(suite, SECRET, client_config(record_padding=256)).seal(23, bytes(n)))
        for n in (1, 100, 256)
    }
    assert len(sizes) == 1


def test_no_secret_is_in_a_repr() -> None:
    suite = next(iter(SUITES.values()))
    schedule = KeySchedule(suite)
    schedule.enter_handshake(b"shared", SECRET)
    for thing in (schedule, new_sealer(suite, SECRET, client_config()), new_opener(suite, SECRET)):
        assert SECRET.hex() not in repr(thing) and repr(SECRET) not in repr(thing)
        assert schedule.client_handshake.hex() not in repr(thing)
