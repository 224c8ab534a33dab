"""The secrets of TLS 1.2: NIST's vectors, and the words of RFC 5246, 7627 and 5705."""

from __future__ import annotations

import hashlib

import pytest

from tlswrite.crypto.prf import prf
from tlswrite.crypto.suites import SUITES, TLS12_SUITES, Suite
from tlswrite.errors import DecodeError, DecryptError
from tlswrite.iana import AlertDescription, CipherSuite
from tlswrite.tls12.schedule import (
    CLIENT_FINISHED,
    SERVER_FINISHED,
    MainSecret,
    extended_main_secret,
    finished_data,
    key_block,
    main_secret,
    verify_finished,
)

SUITE256 = SUITES[CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
SUITE384 = SUITES[CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]

both_hashes = pytest.mark.parametrize("suite", [SUITE256, SUITE384], ids=lambda suite: suite.hash_name)
every_suite = pytest.mark.parametrize(
    "suite", [SUITES[code] for code in TLS12_SUITES], ids=lambda suite: suite.name
)

# NIST CAVP, SP 800-135 (tls.zip), [TLS 1.2, SHA-256] and [TLS 1.2, SHA-384], COUNT = 0; the key
# block's first 88 bytes.
NIST = {
    "sha256": {
        "pre_main": "f8938ecc9edebc5030c0c6a441e213cd24e6f770a50dda07876f8d55da062bca"
        "db386b411fd4fe4313a604fce6c17fbc",
        "server_hello": "f6c9575ed7ddd73e1f7d16eca115415812a43c2b747daaaae043abfb50053fce",
        "client_hello": "36c129d01a3200894b9179faac589d9835d58775f9b5ea3587cb8fd0364cae8c",
        "server": "ae6c806f8ad4d80784549dff28a4b58fd837681a51d928c3e30ee5ff14f39868",
        "client": "62e1fd91f23f558a605f28478c58cf72637b89784d959df7e946d3f07bd1b616",
        "main": "202c88c00f84a17a20027079604787461176455539e705be730890602c289a5001e34eeb3a043e5d52a65e66125188bf",
        "key_block": "d06139889fffac1e3a71865f504aa5d0d2a2e89506c6f2279b670c3e1b74f531"
        "016a2530c51a3a0f7e1d6590d0f0566b"
        "2f387f8d11fd4f731cdd572d2eae927f6f2f81410b25e6960be68985add6c38445ad9f8c64bf8068",
    },
    "sha384": {
        "pre_main": "a5e2642633f5b8c81ad3fe0c2fe3a8e5ef806b06121dd10df4bb0fe857bfdcf5"
        "22558e05d2682c9a80c741a3aab1716f",
        "server_hello": "cb6e0b3eb02976b6466dfa9651c2919414f1648fd3a7838d02153e5bd39535b6",
        "client_hello": "abe4bf5527429ac8eb13574d2709e8012bd1a113c6d3b1d3aa2c3840518778ac",
        "server": "1b1c8568344a65c30828e7483c0e353e2c68641c9551efae6927d9cd627a107c",
        "client": "954b5fe1849c2ede177438261f099a2fcd884d001b9fe1de754364b1f6a6dd8e",
        "main": "b4d49bfa87747fe815457bc3da15073d6ac73389e703079a3503c09e14bd559a5b3c7c601c7365f6ea8c68d3d9596827",
        "key_block": "10fd89ef689c7ef033387b8a8f3e5e8e7c11f680f6bdd71fbac3246a73e98d45"
        "d03185dde686e6b2369e4503e9dc5a6d"
        "2cee3e2bf2fa3f41d3de57dff3e197c8a9d5f74cc2d277119d894f8584b07a0a5822f0bd68b3433e",
    },
}


def nist(suite: Suite) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in NIST[suite.hash_name].items()}


def main_of(
    suite: Suite, secret: bytes = bytes(48), client: bytes = b"c" * 32, server: bytes = b"s" * 32
) -> MainSecret:
    return MainSecret(suite, secret, client, server, True)


@both_hashes
def test_main_secret_of_a_published_vector(suite: Suite) -> None:
    given = nist(suite)
    made = main_secret(suite, given["pre_main"], given["client_hello"], given["server_hello"])
    assert made == given["main"]
    # RFC 5246 §8.1: always exactly 48 bytes.
    assert len(made) == 48


@every_suite
def test_key_block_of_a_published_vector(suite: Suite) -> None:
    # RFC 5246 §6.3: keys of the client, of the server, then the IVs of both: an AEAD has no MAC keys.
    given = nist(suite)
    made = key_block(main_of(suite, given["main"], given["client"], given["server"]))
    parts = (made.client_key, made.server_key, made.client_iv, made.server_iv)
    assert given["key_block"].startswith(b"".join(parts))
    key, iv = suite.key_length, suite.iv_length
    assert [len(part) for part in parts] == [key, key, iv, iv]


@both_hashes
def test_extended_main_secret(suite: Suite) -> None:
    # RFC 7627 §4: PRF(pre_main_secret, "extended master secret", session_hash)[0..47], and no random in it.
    session_hash = hashlib.new(suite.hash_name, b"hello to key exchange").digest()
    made = extended_main_secret(suite, b"shared", session_hash)
    assert made == prf(suite.hash_name, b"shared", b"extended master secret", session_hash, 48)
    assert made != main_secret(suite, b"shared", session_hash, b"")
    other = hashlib.new(suite.hash_name, b"another handshake").digest()
    assert extended_main_secret(suite, b"shared", other) != made


def test_key_block_depends_on_both_randoms_and_their_order() -> None:
    # RFC 5246 §6.3: the server's random goes first here.
    blocks = {
        key_block(main_of(SUITE256, client=client, server=server)).client_key
        for client, server in ((b"a" * 32, b"b" * 32), (b"b" * 32, b"a" * 32), (b"a" * 32, b"a" * 32))
    }
    assert len(blocks) == 3


@both_hashes
@pytest.mark.parametrize("label", [CLIENT_FINISHED, SERVER_FINISHED])
def test_finished(suite: Suite, label: bytes) -> None:
    # RFC 5246 §7.4.9: PRF(main_secret, finished_label, Hash(handshake_messages)), 12 bytes.
    main = main_of(suite)
    transcript = hashlib.new(suite.hash_name, b"messages").digest()
    data = finished_data(main, label, transcript)
    assert data == prf(suite.hash_name, main.secret, label, transcript, 12)
    verify_finished(main, label, transcript, data)
    for at in range(12):
        wrong = bytearray(data)
        wrong[at] ^= 1
        with pytest.raises(DecryptError) as caught:
            verify_finished(main, label, transcript, bytes(wrong))
        # RFC 5246 §7.2.2: unable to validate a Finished message.
        assert caught.value.alert is AlertDescription.DECRYPT_ERROR
    for length in (0, 11, 13, 32, 48):
        with pytest.raises(DecodeError, match=f"a Finished of {length} bytes instead of 12"):
            verify_finished(main, label, transcript, (data + bytes(36))[:length])


def test_the_two_finished_cannot_stand_in_for_each_other() -> None:
    # RFC 5246 §7.4.9: a message sent back to its sender does not verify.
    assert (CLIENT_FINISHED, SERVER_FINISHED) == (b"client finished", b"server finished")
    main, transcript = main_of(SUITE256), bytes(32)
    with pytest.raises(DecryptError):
        verify_finished(main, CLIENT_FINISHED, transcript, finished_data(main, SERVER_FINISHED, transcript))


@both_hashes
@pytest.mark.parametrize("length", [1, 12, 32, 48, 500])
def test_exporters(suite: Suite, length: int) -> None:
    # RFC 5705 §4: PRF(main_secret, label, client_random + server_random [+ context_value_length + context]).
    main = main_of(suite)
    seed = main.client_random + main.server_random
    made = main.export(b"EXPORTER-x", length, None)
    assert made == prf(suite.hash_name, main.secret, b"EXPORTER-x", seed, length)
    for context in (b"", b"context", bytes(65535)):
        expected = prf(
            suite.hash_name,
            main.secret,
            b"EXPORTER-x",
            seed + len(context).to_bytes(2, "big") + context,
            length,
        )
        assert main.export(b"EXPORTER-x", length, context) == expected


def test_no_context_is_not_an_empty_one() -> None:
    # RFC 5705 §4: a zero-length context is distinct from none at all.
    main = main_of(SUITE256)
    assert main.export(b"EXPORTER-x", 32, None) != main.export(b"EXPORTER-x", 32, b"")


def test_secrets_are_in_no_repr() -> None:
    main = main_of(SUITE256, secret=b"very secret" * 4)
    assert "very secret" not in repr(main)
    assert repr(key_block(main)) == "KeyBlock()"
