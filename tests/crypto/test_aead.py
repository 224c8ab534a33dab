"""AEAD objects: published vectors, the in-place calls, and refusal of what was altered."""

from __future__ import annotations

import pytest

from tlswrite.crypto.aead import INVALID_TAG, new_aead
from tlswrite.crypto.suites import SUITES

# RFC 8448 §3: the client's first application data record; the nonce is the IV, at sequence number 0.
RECORD_KEY = bytes.fromhex("17422dda596ed5d9acd890e3c63f5051")
RECORD_NONCE = bytes.fromhex("5b78923dee08579033e523d9")
RECORD_HEADER = bytes.fromhex("1703030043")
RECORD_PLAINTEXT = bytes(range(50)) + b"\x17"
RECORD_SEALED = bytes.fromhex(
    "a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a"
    "6292a2977014bd1e3deae63aeebb21694915e4"
)

# RFC 8439 §2.8.2.
CHACHA_KEY = bytes(range(0x80, 0xA0))
CHACHA_NONCE = bytes.fromhex("070000004041424344454647")
CHACHA_AAD = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
CHACHA_PLAINTEXT = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it."
)
CHACHA_SEALED = bytes.fromhex(
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
    "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
    "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"
)

VECTORS = [
    (0x1301, RECORD_KEY, RECORD_NONCE, RECORD_HEADER, RECORD_PLAINTEXT, RECORD_SEALED),
    (0x1303, CHACHA_KEY, CHACHA_NONCE, CHACHA_AAD, CHACHA_PLAINTEXT, CHACHA_SEALED),
]


@pytest.mark.parametrize(("code", "key", "nonce", "aad", "plaintext", "sealed"), VECTORS)
def test_published_vectors(
    code: int, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes, sealed: bytes
) -> None:
    aead = new_aead(SUITES[code], key)
    assert aead.encrypt(nonce, plaintext, aad) == sealed
    assert aead.decrypt(nonce, sealed, aad) == plaintext


@pytest.mark.parametrize("code", sorted(SUITES))
def test_calls_that_write_into_a_buffer_agree(code: int) -> None:
    suite = SUITES[code]
    aead = new_aead(suite, bytes(suite.key_length))
    plaintext, nonce, aad = bytes(range(100)), bytes(12), b"header"
    window = bytearray(300)
    view = memoryview(window)
    view[10:110] = plaintext
    # In place: the plaintext stands where the ciphertext goes.
    assert aead.encrypt_into(nonce, view[10:110], aad, view[10:126]) == 116
    sealed = bytes(view[10:126])
    assert sealed == aead.encrypt(nonce, plaintext, aad)
    assert aead.decrypt_into(nonce, view[10:126], aad, view[10:110]) == 100
    assert view[10:110] == plaintext
    assert window[:10] == bytes(10) and window[126:] == bytes(174)


@pytest.mark.parametrize("code", sorted(SUITES))
def test_one_altered_bit_is_refused(code: int) -> None:
    # RFC 9846 §5.2: if the decryption fails, the receiver MUST terminate with "bad_record_mac".
    suite = SUITES[code]
    aead = new_aead(suite, bytes(suite.key_length))
    sealed = aead.encrypt(bytes(12), b"content", b"header")
    for offset in range(len(sealed)):
        altered = bytearray(sealed)
        altered[offset] ^= 1
        with pytest.raises(INVALID_TAG):
            aead.decrypt(bytes(12), bytes(altered), b"header")
    with pytest.raises(INVALID_TAG):
        aead.decrypt(bytes(12), sealed, b"headex")
    with pytest.raises(INVALID_TAG):
        aead.decrypt(bytes(11) + b"\x01", sealed, b"header")
    with pytest.raises(INVALID_TAG):
        aead.decrypt(bytes(12), sealed[:15], b"header")


@pytest.mark.parametrize("code", sorted(SUITES))
def test_a_key_of_the_wrong_length(code: int) -> None:
    suite = SUITES[code]
    for length in (0, suite.key_length - 1, suite.key_length + 1, 16 + 8):
        with pytest.raises(ValueError, match=f"takes a key of {suite.key_length} bytes, not {length}"):
            new_aead(suite, bytes(length))
