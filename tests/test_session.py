"""Sessions as bytes, and the cache: bounded, visible, lasting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlswrite.crypto.suites import SUITES
from tlswrite.errors import ConfigurationError
from tlswrite.iana import CipherSuite, ProtocolVersion
from tlswrite.limits import CACHED_SESSIONS_PER_KEY, MAX_TICKET_LIFETIME
from tlswrite.session import Session, SessionCache

NOW = 1_700_000_000.0


def session(ticket: bytes = b"ticket", version: int = ProtocolVersion.TLS_1_3, **fields: Any) -> Session:
    known = {
        "version": ProtocolVersion(version),
        "suite": CipherSuite.TLS_AES_128_GCM_SHA256,
        "secret": b"s" * 32,
        "context": b"c" * 32,
        "server_name": "localhost",
        "alpn": None,
        "peer_chain": (b"leaf", b"issuer"),
        "authenticated_at": NOW,
        "issued_at": NOW,
        "lifetime": 7200,
        "ticket": ticket,
    }
    return Session(**{**known, **fields})


def old(ticket: bytes = b"ticket", **fields: Any) -> Session:
    suite = CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    return session(ticket, ProtocolVersion.TLS_1_2, suite=suite, **fields)


def cache(size: int = 256, **options: Any) -> SessionCache:
    return SessionCache(size, clock=lambda: NOW, **options)


# ---- sessions -----------------------------------------------------------------------------------------


texts = st.none() | st.text(max_size=20)
times = st.integers(0, 2**40).map(lambda value: value / 1000)


@given(
    st.builds(
        Session,
        version=st.sampled_from([ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3]),
        suite=st.sampled_from([CipherSuite(code) for code in SUITES]),
        secret=st.binary(min_size=1, max_size=64),
        context=st.binary(max_size=64),
        server_name=texts,
        alpn=texts,
        peer_chain=st.lists(st.binary(min_size=1, max_size=40), max_size=4).map(tuple),
        authenticated_at=times,
        issued_at=times,
        lifetime=st.integers(0, 2**32 - 1),
        ticket=st.binary(max_size=100),
        session_id=st.binary(max_size=32),
        age_add=st.integers(0, 2**32 - 1),
    )
)
def test_a_session_comes_back(made: Session) -> None:
    assert Session.from_bytes(made.to_bytes()) == made


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        Session.from_bytes(data)


def test_cut_anywhere() -> None:
    data = session().to_bytes()
    for size in range(len(data)):
        with pytest.raises(ConfigurationError, match="not a session"):
            Session.from_bytes(data[:size])
    with pytest.raises(ConfigurationError, match="not a session"):
        Session.from_bytes(data + b"\0")


@pytest.mark.parametrize(("at", "value"), [(0, 2), (1, 9), (3, 0x99)])
def test_values_that_are_not_known(at: int, value: int) -> None:
    data = bytearray(session().to_bytes())
    data[at] = value
    with pytest.raises(ConfigurationError, match="not a session"):
        Session.from_bytes(bytes(data))


def test_a_suite_that_is_not_done_here() -> None:
    data = bytearray(session().to_bytes())
    data[3:5] = int(CipherSuite.TLS_FALLBACK_SCSV).to_bytes(2, "big")
    with pytest.raises(ConfigurationError, match="TLS_FALLBACK_SCSV"):
        Session.from_bytes(bytes(data))


def test_flags_that_are_neither() -> None:
    data = bytearray(session(server_name=None).to_bytes())
    # Version, suite, secret and context stand before it.
    data[5 + 33 + 33] = 2
    with pytest.raises(ConfigurationError, match="neither"):
        Session.from_bytes(bytes(data))


def test_when_a_session_is_good() -> None:
    made = session()
    assert made.expires_at == NOW + 7200
    assert made.good_at(NOW) and made.good_at(NOW + 7199) and made.good_at(NOW - 60)
    assert not made.good_at(NOW + 7200) and not made.good_at(NOW - 61)
    # RFC 9846 §4.7.1: MUST NOT be used for longer than 7 days, whatever the server says.
    assert session(lifetime=2**32 - 1).expires_at == NOW + MAX_TICKET_LIFETIME
    # Nor does a chain of tickets live longer.
    assert session(authenticated_at=NOW - MAX_TICKET_LIFETIME + 5).expires_at == NOW + 5


def test_obfuscated_age() -> None:
    # RFC 9846 §4.3.11.1: in milliseconds, with ticket_age_add, modulo 2^32.
    assert session(age_add=7).obfuscated_age(NOW + 1.5) == 1507
    assert session(age_add=2**32 - 1).obfuscated_age(NOW + 1) == 999
    # A clock that was set back does not make it negative.
    assert session(age_add=5).obfuscated_age(NOW - 100) == 5


def test_no_secret_is_shown() -> None:
    shown = repr(session(secret=b"topsecret", ticket=b"topsecret", session_id=b"topsecret"))
    assert "topsecret" not in shown and "localhost" in shown


# ---- the cache ------------------------------------------------------------------------------------------


def test_a_ticket_is_given_out_once_and_the_newest_first() -> None:
    kept = cache()
    for name in (b"1", b"2"):
        kept.put(b"key", session(name))
    assert len(kept) == 2
    taken = [kept.take(b"key") for _ in range(3)]
    assert [each and each.ticket for each in taken] == [b"2", b"1", None]
    assert len(kept) == 0 and list(kept) == []


def test_more_than_once_where_that_is_wished() -> None:
    kept = cache(single_use=False)
    kept.put(b"key", session())
    assert kept.take(b"key") == kept.take(b"key") == session()


def test_a_session_of_tls12_stays_and_is_replaced() -> None:
    kept = cache()
    kept.put(b"key", old(b"1"))
    kept.put(b"key", old(b"2"))
    assert len(kept) == 1
    for _ in range(3):
        found = kept.take(b"key")
        assert found is not None and found.ticket == b"2"


def test_what_expired_is_not_given_out() -> None:
    kept = cache()
    kept.put(b"key", session(issued_at=NOW - 7200))
    assert len(kept) == 1
    assert kept.take(b"key") is None
    assert len(kept) == 0 and kept.take(b"key") is None


def test_it_is_bounded() -> None:
    kept = cache(10)
    for number in range(100):
        kept.put(b"%d" % number, session(b"%d" % number))
        assert len(kept) <= 10
    assert [each.ticket for each in kept] == [b"%d" % number for number in range(90, 100)]
    for number in range(100):
        kept.put(b"one", session(b"%d" % number))
        assert len(kept) <= 10
    assert sum(each.ticket in (b"96", b"97", b"98", b"99") for each in kept) >= CACHED_SESSIONS_PER_KEY
    tiny = cache(1)
    tiny.put(b"key", session(b"1"))
    tiny.put(b"key", session(b"2"))
    assert [each.ticket for each in tiny] == [b"2"]


def test_the_least_recently_used_goes_first() -> None:
    kept = cache(2)
    kept.put(b"a", old(b"a"))
    kept.put(b"b", old(b"b"))
    kept.take(b"a")
    kept.put(b"c", old(b"c"))
    assert kept.take(b"b") is None and kept.take(b"a") is not None


def test_discard() -> None:
    kept = cache()
    kept.put(b"key", session(b"1"))
    kept.put(b"key", session(b"2"))
    kept.discard(b"key", session(b"1"))
    kept.discard(b"key", session(b"3"))
    kept.discard(b"other", session(b"2"))
    assert [each.ticket for each in kept] == [b"2"]
    kept.discard(b"key", session(b"2"))
    assert len(kept) == 0
    kept.put(b"key", session())
    kept.clear()
    assert len(kept) == 0 and kept.take(b"key") is None


def test_it_can_be_made_to_last() -> None:
    kept = cache()
    kept.put(b"a", session(b"1"))
    kept.put(b"a", session(b"2"))
    kept.put(b"b", old(b"3"))
    later = cache()
    later.load(kept.dump())
    assert list(later) == list(kept) and len(later) == 3
    found = later.take(b"a")
    assert found is not None and found.ticket == b"2"
    empty = cache()
    empty.load(cache().dump())
    assert len(empty) == 0


def test_a_dump_that_is_cut_or_none_adds_nothing() -> None:
    kept = cache()
    kept.put(b"a", session(b"1"))
    kept.put(b"b", session(b"2"))
    data = kept.dump()
    whole = {1, 1 + (len(data) - 1) // 2, len(data)}
    for size in range(len(data)):
        later = cache()
        if size in whole:
            later.load(data[:size])
            continue
        with pytest.raises(ConfigurationError, match="not a"):
            later.load(data[:size])
        assert len(later) == 0
    with pytest.raises(ConfigurationError, match="not a dump"):
        cache().load(b"\xff" + data[1:])


def test_sizes_that_cannot_work() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        SessionCache(0)


def test_repr_shows_how_full_it_is() -> None:
    kept = cache(5)
    kept.put(b"a", session())
    assert repr(kept) == "<SessionCache 1 of 5 sessions>"


def test_threads() -> None:
    kept = cache(50)

    def work(number: int) -> None:
        key = b"%d" % (number % 7)
        kept.put(key, session(b"%d" % number))
        kept.take(key)
        kept.discard(key, session(b"%d" % (number - 1)))
        list(kept)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(2000)))
    assert len(kept) == len(list(kept)) <= 50


def test_equality_is_of_every_field() -> None:
    assert session() == session() and session() != replace(session(), age_add=1)
