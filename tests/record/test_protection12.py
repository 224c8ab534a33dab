"""Protection of one direction in TLS 1.2, under every suite: by the RFCs' words, and against OpenSSL."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.support import pki
from tests.support.records import IV, key_for, opener12, sealer12, split
from tlswrite import limits
from tlswrite.crypto.suites import SUITES, TLS12_SUITES, Suite
from tlswrite.errors import BadRecordMAC, PeerError, RecordOverflow
from tlswrite.iana import ContentType
from tlswrite.record.protection12 import TLS12Opener, TLS12Sealer
from tlswrite.record.window import Window
from tlswrite.tls12.schedule import MainSecret, key_block

ALL = [SUITES[code] for code in TLS12_SUITES]
#: One for each AEAD and length of its key.
AEADS = [suite for suite in ALL if suite.authentication == "ECDSA"]
suites = pytest.mark.parametrize("suite", AEADS, ids=lambda suite: suite.name)

DATA, HANDSHAKE, ALERT = ContentType.APPLICATION_DATA, ContentType.HANDSHAKE, ContentType.ALERT


def open_run(record: bytes, with_: TLS12Opener) -> bytes:
    """A record of application data, as bulk data is opened."""
    out = memoryview(bytearray(3 + limits.MAX_CIPHERTEXT))
    start, end = with_.open_run(memoryview(record), 0, len(record), out, 3)
    assert (start, with_.mark, with_.content_type) == (len(record), 3, DATA)
    return bytes(out[3:end])


def open_record(record: bytes, with_: TLS12Opener) -> bytes:
    """A record of any type."""
    return with_.open_record(memoryview(record)[:5], memoryview(record)[5:])


def open_single(record: bytes, with_: TLS12Opener) -> bytes:
    """A record that came alone; empty where one of the other ways must judge it."""
    return with_.open_single(memoryview(record)[:5], memoryview(record)[5:])


Open = Callable[[bytes, TLS12Opener], bytes]
both_ways = pytest.mark.parametrize("open_one", [open_run, open_record])


def at_sequence(made: TLS12Opener, sequence: int) -> TLS12Opener:
    made.sequence = sequence
    return made


def built(suite: Suite, sequence: int, content_type: int, content: bytes, explicit: bytes = b"") -> bytes:
    """A record put together from the RFCs' words alone."""
    number = sequence.to_bytes(8, "big")
    head = bytes((content_type, 3, 3))
    # RFC 5246 §6.2.3.3: additional_data = seq_num + TLSCompressed.type + version + length.
    additional = number + head + len(content).to_bytes(2, "big")
    if suite.aead is AESGCM:
        # RFC 5288 §3: nonce = salt + nonce_explicit; GenericAEADCipher carries the latter in front.
        explicit = explicit or number
        fragment = explicit + AESGCM(key_for(suite)).encrypt(IV[:4] + explicit, content, additional)
    else:
        # RFC 7905 §2: the sequence number, padded on the left to 12 bytes, XORed with the IV.
        nonce = bytes(a ^ b for a, b in zip(bytes(4) + number, IV, strict=True))
        fragment = ChaCha20Poly1305(key_for(suite)).encrypt(nonce, content, additional)
    return head + len(fragment).to_bytes(2, "big") + fragment


# ---- what a record is ---------------------------------------------------------------------------------


@suites
@pytest.mark.parametrize("sequence", [0, 1, 0x0102030405060708, 2**64 - 1])
@pytest.mark.parametrize("content_type", [DATA, HANDSHAKE, ALERT, ContentType.CHANGE_CIPHER_SPEC])
def test_the_construction_of_the_rfcs(suite: Suite, sequence: int, content_type: int) -> None:
    content = b"some content"
    expected = built(suite, sequence, content_type, content)
    one = sealer12(suite)
    one.sequence = sequence
    assert one.seal(content_type, content) == expected
    assert one.sequence == sequence + 1
    other = at_sequence(opener12(suite), sequence)
    assert open_record(expected, other) == content
    assert other.sequence == sequence + 1


@suites
@pytest.mark.parametrize("size", [0, 1, 64, 16384])
@both_ways
def test_seal_and_open(suite: Suite, size: int, open_one: Open) -> None:
    content = bytes(at % 251 for at in range(size))
    record = sealer12(suite).seal(DATA, content)
    # RFC 5288 §3: 8 bytes of nonce; RFC 7905 §2: none. And a tag of 16 bytes.
    overhead = 24 if suite.aead is AESGCM else 16
    assert record[:5] == b"\x17\x03\x03" + (size + overhead).to_bytes(2, "big")
    assert sealer12(suite).overhead == 5 + overhead
    assert open_one(record, opener12(suite)) == content
    assert open_single(record, opener12(suite)) == content


@suites
def test_the_three_ways_of_sealing_agree(suite: Suite) -> None:
    content = b"the same bytes" * 100
    window = Window()
    end = sealer12(suite).seal_run(memoryview(b"..." + content), 3, window, 7, 1)
    assert bytes(window.view[7:end]) == sealer12(suite).seal(DATA, content)
    assert sealer12(suite).seal(DATA, memoryview(content)) == bytes(window.view[7:end])


@suites
def test_a_run_is_whole_blocks_and_the_rest(suite: Suite) -> None:
    content = bytes(at % 249 for at in range(16384 * 2 + 5))
    window = Window()
    one, other = sealer12(suite), sealer12(suite)
    end = one.seal_run(memoryview(content), 0, window, 0, 2)
    assert end == 2 * (16384 + one.overhead)
    end = one.seal_run(memoryview(content), 32768, window, end, 9)
    expected = b"".join(other.seal(DATA, content[at : at + 16384]) for at in (0, 16384, 32768))
    assert bytes(window.view[:end]) == expected
    assert one.sequence == 3


@suites
def test_a_run_is_opened_back_to_back(suite: Suite) -> None:
    one, other = sealer12(suite), opener12(suite)
    wire = memoryview(one.seal(DATA, b"one ") + one.seal(DATA, b"two") + one.seal(ALERT, b"\x01\x00"))
    out = memoryview(bytearray(limits.MAX_CIPHERTEXT))
    start, end = other.open_run(wire, 0, len(wire), out, 0)
    # It stops at what is not application data, as the outer type says.
    assert bytes(out[:end]) == b"one two"
    assert wire[start] == ALERT
    assert other.mark == 4
    assert open_record(bytes(wire[start:]), other) == b"\x01\x00"


@suites
def test_an_empty_record_ends_a_run(suite: Suite) -> None:
    # RFC 5246 §6.2.1: zero-length fragments of application data MAY be sent; they are counted by others.
    one, other = sealer12(suite), opener12(suite)
    empty = one.seal(DATA, b"")
    wire = memoryview(empty + one.seal(DATA, b"more"))
    out = memoryview(bytearray(limits.MAX_CIPHERTEXT))
    assert other.open_run(wire, 0, len(wire), out, 0) == (len(empty), 0)
    assert other.mark == 0
    assert other.open_run(wire, len(empty), len(wire), out, 0) == (len(wire), 4)


@suites
def test_a_run_waits_for_whole_records_and_for_room(suite: Suite) -> None:
    record = sealer12(suite).seal(DATA, b"content")
    out = memoryview(bytearray(limits.MAX_CIPHERTEXT))
    other = opener12(suite)
    for cut in range(len(record)):
        assert other.open_run(memoryview(record), 0, cut, out, 0) == (0, 0)
    assert other.open_run(memoryview(record), 0, len(record), out[: len(record) - 6], 0) == (0, 0)
    assert other.sequence == 0
    assert other.open_run(memoryview(record), 0, len(record), out, 0) == (len(record), 7)


# ---- nonces -----------------------------------------------------------------------------------------


@suites
def test_each_record_has_its_own_nonce(suite: Suite) -> None:
    # RFC 5288 §3, §6.1: an explicit nonce that comes twice under a key breaks all of it.
    one, other = sealer12(suite), opener12(suite)
    records = [one.seal(DATA, b"same") for _ in range(3)]
    window = Window()
    end = one.seal_run(memoryview(b"same" * 3), 0, window, 0, 1)
    one.max_content = 4
    end = one.seal_run(memoryview(b"same" * 3), 0, window, 0, 3)
    records += split(bytes(window.view[:end]))
    assert len({record[5:] for record in records}) == 6
    if suite.explicit_nonce:
        assert [int.from_bytes(record[5:13], "big") for record in records] == [0, 1, 2, 4, 5, 6]
    assert [open_run(record, other) for record in records[:3]] == [b"same"] * 3
    other.sequence = 4
    assert [open_run(record, other) for record in records[3:]] == [b"same"] * 3


@pytest.mark.parametrize("explicit", [bytes(7) + b"\x07", b"\xff" * 8, b"anything"])
@both_ways
def test_the_peers_explicit_nonce_is_its_own_affair(explicit: bytes, open_one: Open) -> None:
    # RFC 5288 §3: nonce_explicit MAY be the sequence number; a receiver takes it from the record.
    for suite in AEADS:
        if suite.explicit_nonce:
            record = built(suite, 0, DATA, b"content", explicit)
            assert open_one(record, opener12(suite)) == b"content"
            assert open_single(record, opener12(suite)) == b"content"


@suites
@both_ways
def test_records_out_of_order_are_refused(suite: Suite, open_one: Open) -> None:
    # RFC 5246 §6.2.3.3: the sequence number is in the additional data.
    one = sealer12(suite)
    first, second = one.seal(DATA, b"one"), one.seal(DATA, b"two")
    with pytest.raises(BadRecordMAC):
        open_one(second, opener12(suite))
    other = opener12(suite)
    assert open_one(first, other) == b"one"
    with pytest.raises(BadRecordMAC):
        open_one(first, other)
    assert open_single(first, other) == b""
    assert other.sequence == 1


# ---- damage -----------------------------------------------------------------------------------------


@suites
@both_ways
def test_a_flip_of_any_byte_is_bad_record_mac(suite: Suite, open_one: Open) -> None:
    record = bytearray(sealer12(suite).seal(DATA, b"content"))
    # Type and version are additional data; a length that is another is a record cut elsewhere, see below.
    for at in (1, 2, *range(5, len(record))):
        for bit in (1, 0x80):
            record[at] ^= bit
            with pytest.raises(BadRecordMAC):
                open_one(bytes(record), opener12(suite))
            assert open_single(bytes(record), opener12(suite)) == b""
            record[at] ^= bit
    assert open_one(bytes(record), opener12(suite)) == b"content"


@suites
def test_another_type_is_bad_record_mac(suite: Suite) -> None:
    record = sealer12(suite).seal(HANDSHAKE, b"content")
    for content_type in range(256):
        altered = bytes((content_type,)) + record[1:]
        if content_type == HANDSHAKE:
            assert open_record(altered, opener12(suite)) == b"content"
            continue
        with pytest.raises(BadRecordMAC):
            open_record(altered, opener12(suite))


@suites
def test_a_record_cut_or_grown_is_bad_record_mac(suite: Suite) -> None:
    record = sealer12(suite).seal(DATA, b"content")
    for size in [*range(len(record) - 5), len(record) - 4]:
        cut = record[:3] + size.to_bytes(2, "big") + (record[5:] + b"\0")[:size]
        # What follows in the buffer is not taken for a part of it.
        for open_one in (open_run, open_record):
            with pytest.raises(BadRecordMAC):
                open_one(cut, opener12(suite))
        assert open_single(cut, opener12(suite)) == b""


@suites
def test_a_short_record_is_not_completed_from_the_next(suite: Suite) -> None:
    whole = sealer12(suite).seal(DATA, b"content")
    out = memoryview(bytearray(limits.MAX_CIPHERTEXT))
    for size in range(suite.explicit_nonce + limits.TAG):
        wire = memoryview(whole[:3] + size.to_bytes(2, "big") + whole[5:])
        with pytest.raises(BadRecordMAC):
            opener12(suite).open_run(wire, 0, len(wire), out, 0)


@suites
@both_ways
def test_another_key_or_iv_is_bad_record_mac(suite: Suite, open_one: Open) -> None:
    record = sealer12(suite).seal(DATA, b"content")
    with pytest.raises(BadRecordMAC):
        open_one(record, opener12(suite, seed=1))
    with pytest.raises(BadRecordMAC):
        open_one(record, TLS12Opener(suite, key_for(suite), bytes(suite.iv_length)))


@suites
def test_alerts_of_damage(suite: Suite) -> None:
    # RFC 5246 §7.2.2: bad_record_mac (20) and record_overflow (22).
    alerts = {}
    for name, record, most in (
        ("damaged", b"\x17\x03\x03\x00\x20" + bytes(32), limits.MAX_PLAINTEXT),
        ("long", sealer12(suite).seal(DATA, bytes(65)), 64),
    ):
        with pytest.raises(PeerError) as caught:
            open_run(record, opener12(suite, max_content=most))
        alerts[name] = int(caught.value.alert or 0)
    assert alerts == {"damaged": 20, "long": 22}


# ---- limits -----------------------------------------------------------------------------------------


@suites
@both_ways
@pytest.mark.parametrize("most", [64, 512, 16384])
def test_plaintext_over_the_limit_is_record_overflow(suite: Suite, most: int, open_one: Open) -> None:
    # RFC 5246 §6.2.1: 2^14 bytes; RFC 6066 §4 and RFC 8449 §4: what was agreed on, in bytes of plaintext.
    at_most = built(suite, 0, DATA, bytes(most))
    assert open_one(at_most, opener12(suite, max_content=most)) == bytes(most)
    assert open_single(at_most, opener12(suite, max_content=most)) == bytes(most)
    over = built(suite, 0, DATA, bytes(most + 1))
    if most < limits.MAX_PLAINTEXT or open_one is open_record:
        with pytest.raises(RecordOverflow, match=f"{most + 1} bytes, over the limit of {most}"):
            open_one(over, opener12(suite, max_content=most))
    assert open_single(over, opener12(suite, max_content=most)) == b""


@suites
def test_a_fragment_that_must_hold_too_much_is_left_for_its_header_to_be_judged(suite: Suite) -> None:
    over = memoryview(built(suite, 0, DATA, bytes(limits.MAX_PLAINTEXT + 1)))
    made = opener12(suite)
    assert made.max_fragment == limits.MAX_PLAINTEXT + suite.explicit_nonce + limits.TAG == len(over) - 6
    out = memoryview(bytearray(2 * limits.MAX_CIPHERTEXT))
    assert made.open_run(over, 0, len(over), out, 0) == (0, 0)


@suites
def test_sequence_numbers_do_not_wrap(suite: Suite) -> None:
    # RFC 5246 §6.1: sequence numbers are uint64, and do not wrap.
    one, other = sealer12(suite), opener12(suite)
    assert one.record_limit == suite.record_limit < limits.MAX_SEQUENCE_NUMBER
    assert sealer12(suite, record_limit=5).record_limit == 5
    one.sequence = other.sequence = limits.MAX_SEQUENCE_NUMBER
    assert open_record(one.seal(DATA, b"the last"), other) == b"the last"
    with pytest.raises(OverflowError):
        one.seal(DATA, b"one more")
    with pytest.raises(OverflowError):
        one.seal_run(memoryview(b"one more"), 0, Window(), 0, 1)
    for open_one in (open_record, open_run):
        with pytest.raises(BadRecordMAC):
            open_one(built(suite, 0, DATA, b"one more"), other)


def test_a_number_is_used_up_even_where_sealing_fails() -> None:
    # What failed may have been sealed in part: the same nonce must not come again.
    one = sealer12()
    with pytest.raises(TypeError):
        one.seal(DATA, "not bytes")  # type: ignore[arg-type]  # that it fails is the test
    assert one.sequence == 1


@suites
def test_what_a_path_asks_of_a_sealer_and_an_opener(suite: Suite) -> None:
    one, other = sealer12(suite, max_content=512), opener12(suite)
    assert (one.max_content, one.padded, one.sequence) == (512, False, 0)
    assert (other.protects_all, other.content_type, other.sequence) == (True, DATA, 0)
    with pytest.raises(ValueError, match="takes a key of"):
        TLS12Sealer(suite, b"short", IV[: suite.iv_length])
    with pytest.raises(ValueError, match="takes a key of"):
        TLS12Opener(suite, b"short", IV[: suite.iv_length])


# ---- OpenSSL ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
def test_records_of_openssl(suite: Suite, tmp_path: Path) -> None:
    """A connection of OpenSSL's with itself: its records are opened here, and it opens ours."""
    key_type = "rsa" if suite.authentication == "RSA" else "ecdsa_secp256r1"
    files = pki.write(tmp_path, pki.issue(key_type=key_type))
    contexts = [ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)]
    for context in contexts:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suite.openssl_name)
        context.options |= ssl.OP_NO_TICKET
    contexts[0].load_verify_locations(files.cafile)
    contexts[0].keylog_filename = str(tmp_path / "keys")
    contexts[1].load_cert_chain(files.certfile, files.keyfile)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = contexts[0].wrap_bio(to_client, to_server, server_hostname="localhost")
    server = contexts[1].wrap_bio(to_server, to_client, server_side=True)

    def step(side: ssl.SSLObject, out: ssl.MemoryBIO) -> bytes:
        """What `side` sends in its next step of the handshake; it stays in `out`."""
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        sent = out.read()
        out.write(sent)
        return sent

    hello = step(client, to_server)
    server_hello = step(server, to_client)
    finished = [split(step(client, to_server))[-1], split(step(server, to_client))[-1]]
    client.do_handshake()
    assert client.version() == "TLSv1.2"

    _, client_random, secret = (tmp_path / "keys").read_text().splitlines()[-1].split()
    # The random stands behind record header (5), message header (4) and version (2).
    assert bytes.fromhex(client_random) == hello[11:43]
    main = MainSecret(suite, bytes.fromhex(secret), hello[11:43], server_hello[11:43], True)
    keys = key_block(main)
    directions = (
        (client, server, to_server, finished[0], keys.client_key, keys.client_iv),
        (server, client, to_client, finished[1], keys.server_key, keys.server_iv),
    )
    for sender, receiver, bio, its_finished, key, iv in directions:
        other, one = TLS12Opener(suite, key, iv), TLS12Sealer(suite, key, iv)
        # RFC 5246 §7.4.9: Finished, of 12 bytes, is the first record under these keys.
        assert open_record(its_finished, other)[:4] == b"\x14\x00\x00\x0c"
        sender.write(b"from OpenSSL")
        assert open_run(bio.read(), other) == b"from OpenSSL"
        one.sequence = 1
        bio.write(one.seal(DATA, b"to OpenSSL"))
        window = Window()
        end = one.seal_run(memoryview(bytes(40_000)), 0, window, 0, 3)
        bio.write(window.view[:end])
        received = b""
        while len(received) < 40_010:
            received += receiver.read(50_000)
        assert received == b"to OpenSSL" + bytes(40_000)


def test_every_aead_is_tried() -> None:
    assert {(suite.aead, suite.key_length) for suite in AEADS} == {
        (suite.aead, suite.key_length) for suite in ALL
    }
