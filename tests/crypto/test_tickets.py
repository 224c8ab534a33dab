"""Ticket keys: what is sealed opens, for as long as it should, and for nobody else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tlswrite.crypto.tickets import TicketKeys
from tlswrite.errors import ConfigurationError
from tlswrite.limits import MAX_TICKET_LIFETIME

SECRET = bytes(range(32))
NOW = 1_700_000_000.0
HOUR = 3600.0


def kinds() -> list[TicketKeys]:
    return [TicketKeys(), TicketKeys(SECRET)]


@pytest.mark.parametrize("keys", kinds())
def test_what_is_sealed_opens(keys: TicketKeys) -> None:
    for plaintext in (b"", b"x", bytes(5000)):
        ticket = keys.seal(plaintext, NOW, HOUR)
        assert keys.open(ticket, NOW, HOUR) == plaintext
        assert bytes(16) not in ticket
    # The same content never looks the same.
    assert len({keys.seal(b"x", NOW, HOUR) for _ in range(100)}) == 100


@pytest.mark.parametrize("keys", kinds())
def test_one_byte_changed_anywhere(keys: TicketKeys) -> None:
    ticket = keys.seal(b"content", NOW, HOUR)
    for at in range(len(ticket)):
        for bit in (1, 128):
            changed = bytearray(ticket)
            changed[at] ^= bit
            assert keys.open(bytes(changed), NOW, HOUR) is None, at


@pytest.mark.parametrize("keys", kinds())
def test_cut_anywhere(keys: TicketKeys) -> None:
    ticket = keys.seal(b"content", NOW, HOUR)
    for size in range(len(ticket)):
        assert keys.open(ticket[:size], NOW, HOUR) is None
    assert keys.open(ticket + b"\0", NOW, HOUR) is None


@pytest.mark.parametrize("keys", kinds())
def test_keys_rotate_and_old_ones_open_for_a_lifetime(keys: TicketKeys) -> None:
    ticket = keys.seal(b"x", NOW, 2 * HOUR)
    names = {keys.seal(b"x", NOW + hours * HOUR, 2 * HOUR)[:16] for hours in range(4)}
    assert len(names) == 4
    for hours in (0, 1, 2):
        assert keys.open(ticket, NOW + hours * HOUR, 2 * HOUR) == b"x"
    assert keys.open(ticket, NOW + 4 * HOUR, 2 * HOUR) is None


def test_random_keys_are_forgotten() -> None:
    keys = TicketKeys()
    ticket = keys.seal(b"x", NOW, HOUR)
    keys.seal(b"x", NOW + 10 * HOUR, HOUR)
    # Not even a clock that is set back brings them again.
    assert keys.open(ticket, NOW, HOUR) is None
    later = keys.seal(b"y", NOW, HOUR)
    assert keys.open(later, NOW + 10 * HOUR, HOUR) == b"y"


def test_shared_keys_are_the_same_everywhere_and_always() -> None:
    one, other = TicketKeys(SECRET), TicketKeys(SECRET)
    old = one.seal(b"x", NOW, 2 * HOUR)
    one.seal(b"x", NOW + 10 * HOUR, 2 * HOUR)
    assert one.open(old, NOW, 2 * HOUR) == other.open(old, NOW, 2 * HOUR) == b"x"
    # A host whose clock is behind takes what one that is ahead issued.
    ahead = one.seal(b"x", NOW + HOUR, 2 * HOUR)
    assert other.open(ahead, NOW, 2 * HOUR) == b"x"
    assert other.open(one.seal(b"x", NOW + 3 * HOUR, 2 * HOUR), NOW, 2 * HOUR) is None


def test_strangers() -> None:
    ticket = TicketKeys(SECRET).seal(b"x", NOW, HOUR)
    assert TicketKeys(b"s" * 32).open(ticket, NOW, HOUR) is None
    assert TicketKeys().open(ticket, NOW, HOUR) is None
    # Other periods are other keys, though their numbers may meet.
    assert TicketKeys(SECRET, rotation=1800).open(ticket, NOW / 2, HOUR) is None


def test_a_secret_is_replaced_without_a_break() -> None:
    old, new = b"o" * 32, b"n" * 32
    before = TicketKeys(old).seal(b"x", NOW, HOUR)
    both = TicketKeys(new, old)
    assert both.open(before, NOW, HOUR) == b"x"
    after = both.seal(b"x", NOW, HOUR)
    assert TicketKeys(new).open(after, NOW, HOUR) == b"x"
    assert TicketKeys(old).open(after, NOW, HOUR) is None


def test_what_is_held_is_bounded() -> None:
    for keys in (TicketKeys(rotation=60), TicketKeys(SECRET, rotation=60)):
        for minutes in range(500):
            ticket = keys.seal(b"x", NOW + 60 * minutes, 600)
            assert keys.open(ticket, NOW + 60 * minutes, 600) == b"x"
        assert len(keys._periods) <= 13
    # A stranger's names of periods make nothing be kept beyond that.
    for minutes in range(-100, 700):
        number = int(NOW // 60) + minutes
        keys.open(number.to_bytes(8, "big") + bytes(100), NOW + 60 * 499, 600)
    assert len(keys._periods) <= 13


def test_threads() -> None:
    keys = TicketKeys(rotation=60)

    def work(number: int) -> bool:
        now = NOW + number
        return keys.open(keys.seal(b"x", now, 600), now, 600) == b"x"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))


@pytest.mark.parametrize("secret", [b"", b"short", bytes(31), "text" * 8, None])
def test_secrets_that_cannot_work(secret: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"secrets\.token_bytes\(32\)"):
        TicketKeys(secret)


@pytest.mark.parametrize("rotation", [0, -1, 59, MAX_TICKET_LIFETIME + 1])
def test_rotations_that_cannot_work(rotation: float) -> None:
    with pytest.raises(ConfigurationError, match="rotation"):
        TicketKeys(rotation=rotation)


def test_no_secret_is_shown() -> None:
    assert repr(TicketKeys(SECRET)) == "<TicketKeys 1 shared, rotation=3600>"
    assert repr(TicketKeys()) == "<TicketKeys random, rotation=3600>"
