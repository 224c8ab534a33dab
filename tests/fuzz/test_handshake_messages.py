"""One flipped bit, one cut, at every offset of every handshake message.

Beneath the records nothing authenticates a message until the Finished: each change must end in a typed error
on one side at the latest there, never in another exception, never in two finished ends that disagree.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from tests.support.engine import anchors, client_config, credentials, server_config
from tests.support.handshakes import Handshake
from tlswrite.errors import DecodeError, PeerError, TLSError
from tlswrite.iana import NamedGroup

CLIENT = client_config(
    groups=(NamedGroup.x25519, NamedGroup.secp256r1),
    credentials=credentials("ed25519", client=True),
    alpn_protocols=("h2",),
    grease=False,
)
SERVER = server_config(
    credentials=(credentials("ed25519"),),
    groups=(NamedGroup.secp256r1,),
    verify_mode=ssl.CERT_REQUIRED,
    trust_anchors=anchors(),
    alpn_protocols=("h2",),
)


def lengths() -> list[int]:
    """Of all messages, which Ed25519 makes the same in every run."""
    run = Handshake(CLIENT, SERVER)
    assert run.complete
    return [len(raw) for _, raw in run.wire]


LENGTHS = lengths()


def refused(nth: int, change: Callable[[bytes], bytes]) -> list[TLSError]:
    """The errors of a handshake whose nth message is changed."""
    count = -1

    def edit(_: str, raw: bytes) -> bytes:
        nonlocal count
        count += 1
        return change(raw) if count == nth else raw

    run = Handshake(CLIENT, SERVER, edit)
    assert not run.complete
    errors = [side.error for side in (run.client, run.server) if side.error is not None]
    assert errors
    assert all(isinstance(error, PeerError) and error.alert is not None for error in errors)
    return errors


@pytest.mark.parametrize("nth", range(len(LENGTHS)))
def test_every_flipped_bit_is_noticed(nth: int) -> None:
    # All but the length: a message that is not as long as it says never leaves the joiner.
    for offset in (0, *range(4, LENGTHS[nth])):

        def flip(raw: bytes, offset: int = offset) -> bytes:
            return raw[:offset] + bytes((raw[offset] ^ 1 << offset % 8,)) + raw[offset + 1 :]

        refused(nth, flip)


@pytest.mark.parametrize("nth", range(len(LENGTHS)))
def test_every_cut_is_noticed(nth: int) -> None:
    for offset in range(4, LENGTHS[nth]):

        def cut(raw: bytes, offset: int = offset) -> bytes:
            return raw[:1] + (offset - 4).to_bytes(3, "big") + raw[4:offset]

        refused(nth, cut)


@pytest.mark.parametrize("nth", range(len(LENGTHS)))
def test_a_byte_too_many_is_a_decode_error(nth: int) -> None:
    # RFC 9846 §6.2: the length of the message was incorrect.
    def grow(raw: bytes) -> bytes:
        return raw[:1] + (len(raw) - 3).to_bytes(3, "big") + raw[4:] + b"\0"

    assert type(refused(nth, grow)[0]) is DecodeError
