"""pre_shared_key (RFC 9846 §4.3.11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.messages.resumption import OfferedPsks, encode_selected_identity, parse_selected_identity

ONE = OfferedPsks(((b"ticket", 0x01020304),), (bytes(32),))


def test_layout() -> None:
    # identities<7..2^16-1>, binders<33..2^16-1>.
    assert ONE.encode() == (
        b"\x00\x0c" + b"\x00\x06ticket" + b"\x01\x02\x03\x04" + b"\x00\x21" + b"\x20" + bytes(32)
    )
    assert ONE.binders_size == 2 + 1 + 32
    assert OfferedPsks.parse(ONE.encode()) == ONE


offers = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=60), st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=255)
    ),
    min_size=1,
    max_size=6,
).map(lambda rows: OfferedPsks(tuple((row[0], row[1]) for row in rows), tuple(row[2] for row in rows)))


@given(offers)
def test_an_offer_comes_back(offer: OfferedPsks) -> None:
    data = offer.encode()
    assert OfferedPsks.parse(data) == offer
    identities = OfferedPsks(offer.identities, ()).encode()[:-2]
    assert data[: -offer.binders_size] == identities


@given(st.binary(max_size=120))
def test_arbitrary_bytes_parse_faithfully_or_are_refused(data: bytes) -> None:
    try:
        offer = OfferedPsks.parse(data)
    except (DecodeError, IllegalParameter):
        return
    assert offer.encode() == data


def test_cut_anywhere_and_left_over() -> None:
    data = ONE.encode()
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            OfferedPsks.parse(data[:size])
    with pytest.raises(DecodeError):
        OfferedPsks.parse(data + b"\0")


def test_bounds() -> None:
    for offer in (
        OfferedPsks((), (bytes(32),)),
        OfferedPsks(((b"", 0),), (bytes(32),)),
        OfferedPsks(((b"t", 0),), ()),
        OfferedPsks(((b"t", 0),), (bytes(31),)),
    ):
        with pytest.raises(DecodeError):
            OfferedPsks.parse(offer.encode())


@pytest.mark.parametrize(("identities", "binders"), [(1, 2), (2, 1), (3, 1)])
def test_one_binder_for_each_identity(identities: int, binders: int) -> None:
    offer = OfferedPsks(((b"ticket", 0),) * identities, (bytes(32),) * binders)
    with pytest.raises(IllegalParameter, match=f"{binders} binders for {identities}"):
        OfferedPsks.parse(offer.encode())


def test_selected_identity() -> None:
    assert parse_selected_identity(encode_selected_identity(258)) == 258
    for data in (b"", b"\0", b"\0\0\0"):
        with pytest.raises(DecodeError):
            parse_selected_identity(data)
    with pytest.raises(ValueError):
        encode_selected_identity(65536)


def test_tickets_are_not_shown() -> None:
    assert "ticket" not in repr(ONE)
