"""HKDF and its kin: RFC 5869's and RFC 8448's vectors, and an independent implementation beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from tlswrite.crypto import kdf

TRACES = json.loads((Path(__file__).parent.parent / "vectors" / "rfc8448.json").read_text())["traces"]

# RFC 5869 appendix A.1 to A.3: IKM, salt, info, length, PRK, OKM.
RFC5869 = [
    (
        "0b" * 22,
        bytes(range(13)).hex(),
        bytes(range(0xF0, 0xFA)).hex(),
        42,
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        82,
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        "0b" * 22,
        "",
        "",
        42,
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


@pytest.mark.parametrize(("ikm", "salt", "info", "length", "prk", "okm"), RFC5869)
def test_rfc5869(ikm: str, salt: str, info: str, length: int, prk: str, okm: str) -> None:
    extracted = kdf.hkdf_extract("sha256", bytes.fromhex(salt), bytes.fromhex(ikm))
    assert extracted.hex() == prk
    assert kdf.hkdf_expand("sha256", extracted, bytes.fromhex(info), length).hex() == okm


def _steps(field: str) -> list[Any]:
    return [
        pytest.param(step, id=f"{section}-{number}")
        for section, trace in TRACES.items()
        for number, step in enumerate(trace["steps"])
        if field in step
    ]


@pytest.mark.parametrize("step", _steps("info"))
def test_rfc8448_expanded_secrets(step: dict[str, str]) -> None:
    """Each `HKDF-Expand` of the traces, by its info and by the label and context inside of it."""
    prk, info, expanded = (bytes.fromhex(step[name]) for name in ("PRK", "info", "expanded"))
    assert kdf.hkdf_expand("sha256", prk, info, len(expanded)) == expanded
    label, context = _label_and_context(info)
    assert kdf.hkdf_expand_label("sha256", prk, label, context, len(expanded)) == expanded
    if "finished" in step:
        assert len(step["finished"]) == 64


@pytest.mark.parametrize("step", _steps("key info"))
def test_rfc8448_traffic_keys(step: dict[str, str]) -> None:
    prk = bytes.fromhex(step["PRK"])
    assert kdf.hkdf_expand_label("sha256", prk, b"key", b"", 16).hex() == step["key expanded"]
    assert kdf.hkdf_expand_label("sha256", prk, b"iv", b"", 12).hex() == step["iv expanded"]


@pytest.mark.parametrize("step", _steps("IKM"))
def test_rfc8448_extracted_secrets(step: dict[str, str]) -> None:
    salt, ikm = bytes.fromhex(step.get("salt", "")), bytes.fromhex(step["IKM"])
    assert kdf.hkdf_extract("sha256", salt, ikm).hex() == step["secret"]


def _label_and_context(info: bytes) -> tuple[bytes, bytes]:
    end = 3 + info[2]
    assert info[3:9] == b"tls13 "
    return info[9:end], info[end + 1 :]


@given(
    hash_name=st.sampled_from(["sha256", "sha384"]),
    prk=st.binary(min_size=32, max_size=64),
    info=st.binary(max_size=100),
    length=st.integers(1, 400),
)
def test_expand_as_another_implementation_does(hash_name: str, prk: bytes, info: bytes, length: int) -> None:
    algorithm = hashes.SHA256() if hash_name == "sha256" else hashes.SHA384()
    assert kdf.hkdf_expand(hash_name, prk, info, length) == HKDFExpand(algorithm, length, info).derive(prk)


@given(label=st.binary(min_size=1, max_size=249), context=st.binary(max_size=255), length=st.integers(1, 300))
def test_expand_label_is_expand_of_its_encoding(label: bytes, context: bytes, length: int) -> None:
    # RFC 9846 §7.1, HkdfLabel.
    full = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context
    secret = bytes(48)
    assert kdf.hkdf_expand_label("sha384", secret, label, context, length) == kdf.hkdf_expand(
        "sha384", secret, info, length
    )


@given(
    outputs=st.lists(
        st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=48), st.integers(0, 200)), max_size=4
    )
)
def test_several_labels_of_one_secret(outputs: list[tuple[bytes, bytes, int]]) -> None:
    secret = bytes(range(48))
    assert kdf.hkdf_expand_labels("sha384", secret, outputs) == [
        kdf.hkdf_expand_label("sha384", secret, label, context, length) for label, context, length in outputs
    ]


def test_the_longest_output() -> None:
    # RFC 5869 §2.3: L <= 255*HashLen.
    assert len(kdf.hkdf_expand("sha256", bytes(32), b"", 255 * 32)) == 8160
    with pytest.raises(ValueError, match="at most 8160 bytes, not 8161"):
        kdf.hkdf_expand("sha256", bytes(32), b"", 8161)
    with pytest.raises(ValueError, match="at most 12240 bytes"):
        kdf.hkdf_expand_label("sha384", bytes(48), b"exporter", b"", 12241)


@pytest.mark.parametrize(
    ("label", "context", "length", "message"),
    [
        (b"", b"", 32, "1 to 249 bytes, not 0"),
        (bytes(250), b"", 32, "1 to 249 bytes, not 250"),
        (b"key", bytes(256), 32, "at most 255 bytes, not 256"),
        (b"key", b"", 65536, "at most 65535 bytes, not 65536"),
        (b"key", b"", -1, "at most 65535 bytes, not -1"),
    ],
)
def test_what_no_label_encodes(label: bytes, context: bytes, length: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kdf.hkdf_expand_label("sha256", bytes(32), label, context, length)


def test_hmac() -> None:
    # RFC 4231 §4.3.
    digest = kdf.hmac_digest("sha256", b"Jefe", b"what do ya want for nothing?")
    assert digest.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@pytest.mark.parametrize("name", ["sha256", "sha384"])
def test_hashes(name: str) -> None:
    running = kdf.new_hash(name)
    assert running.digest() == kdf.hash_empty(name) == hashlib.new(name).digest()
    running.update(b"one")
    fork = running.copy()
    running.update(memoryview(b" two"))
    assert running.digest() == hashlib.new(name, b"one two").digest()
    assert fork.digest() == hashlib.new(name, b"one").digest()


def test_compare() -> None:
    assert kdf.compare(b"same", bytes(bytearray(b"same")))
    assert not kdf.compare(b"same", b"sane")
    assert not kdf.compare(b"same", b"samee")
