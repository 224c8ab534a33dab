"""Configuration: what cannot work fails where it was written, with words that say what to do."""

from __future__ import annotations

import dataclasses
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support import pki
from tests.support.engine import anchors, credentials
from tlswrite.config import DEFAULT_SCHEMES, ClientConfig, Mode, ServerConfig
from tlswrite.crypto.groups import DEFAULT_GROUPS
from tlswrite.crypto.suites import DEFAULT_SUITES
from tlswrite.errors import ConfigurationError
from tlswrite.iana import CipherSuite, NamedGroup, SignatureScheme


def test_defaults() -> None:
    client = ClientConfig()
    assert client.cipher_suites == DEFAULT_SUITES
    assert client.groups == DEFAULT_GROUPS
    assert client.groups[0] == NamedGroup.X25519MLKEM768
    assert client.signature_schemes == DEFAULT_SCHEMES
    assert (client.verify_mode, client.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert client.mode == Mode.AUTO_RETRY
    server = ServerConfig(credentials=(credentials(),))
    assert server.verify_mode == ssl.CERT_NONE
    assert server.alpn_protocols == ()


def test_modes_have_openssls_values() -> None:
    # SSL_CTX_set_mode(3).
    assert [int(mode) for mode in Mode] == [1, 2, 4, 128]


def test_configurations_are_frozen_keyword_only_and_told_apart_by_identity() -> None:
    client = ClientConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        client.grease = False  # type: ignore[misc]  # that it cannot be set is the test
    with pytest.raises(TypeError):
        ClientConfig(DEFAULT_SUITES)  # type: ignore[misc]  # nor can it be given by position
    assert client != ClientConfig() and len({client, ClientConfig()}) == 2
    assert not hasattr(client, "__dict__")


def test_lists_become_tuples_and_variants_keep_the_rest() -> None:
    lists: dict[str, Any] = {
        "cipher_suites": [CipherSuite.TLS_AES_128_GCM_SHA256],
        "groups": [NamedGroup.x25519],
        "key_shares": [],
        "alpn_protocols": ["h2"],
    }
    client = ClientConfig(**lists)
    assert all(getattr(client, name) == tuple(value) for name, value in lists.items())
    variant = dataclasses.replace(client, grease=False)
    assert (variant.grease, variant.groups) == (False, client.groups)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"cipher_suites": ()}, "cipher_suites must not be empty"),
        ({"cipher_suites": (0x1304,)}, r"CipherSuite\(0x1304\) cannot be used here; choose from TLS_AES_128"),
        ({"groups": ()}, "groups must not be empty"),
        ({"groups": (NamedGroup.x25519, NamedGroup.x25519)}, "groups names something twice"),
        ({"groups": (NamedGroup.x448,)}, "x448 cannot be used here"),
        ({"groups": "x25519"}, r"write groups=\('x25519',\)"),
        ({"signature_schemes": ()}, "must not be empty"),
        # RFC 9155: SHA-1 is for no signature of a handshake.
        ({"signature_schemes": (SignatureScheme.ecdsa_sha1,)}, "ecdsa_sha1 cannot be used here"),
        ({"alpn_protocols": "h2"}, r"write alpn_protocols=\('h2',\)"),
        ({"alpn_protocols": ("",)}, "1 to 255 bytes"),
        ({"alpn_protocols": ("x" * 256,)}, "1 to 255 bytes"),
        ({"alpn_protocols": (b"h2",)}, "a name is a str"),
        ({"alpn_protocols": ("h2", "h2")}, "names something twice"),
        # RFC 8449 §4.
        ({"record_size_limit": 63}, "64 to 16385"),
        ({"record_size_limit": 16386}, "64 to 16385"),
        ({"record_padding": 0}, "record_padding"),
        ({"record_padding": 16385}, "record_padding"),
        ({"key_update_records": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_work_on_either_side(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        ClientConfig(**fields)
    with pytest.raises(ConfigurationError, match=match):
        ServerConfig(credentials=(credentials(),), **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"record_size_limit": 64},
        {"record_size_limit": 16385},
        {"record_padding": 1},
        {"record_padding": lambda length: 10},
        {"key_update_records": 1},
        {"alpn_protocols": ("x" * 255,)},
    ],
)
def test_settings_at_their_bounds(fields: dict[str, Any]) -> None:
    ClientConfig(**fields)
    ServerConfig(credentials=(credentials(),), **fields)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"verify_mode": ssl.CERT_NONE}, "set check_hostname=False"),
        ({"key_shares": (NamedGroup.x25519,), "groups": (NamedGroup.secp256r1,)}, "key_shares: x25519"),
        ({"key_shares": (NamedGroup.x25519, NamedGroup.x25519)}, "key_shares names something twice"),
        ({"signature_schemes": (SignatureScheme.ed25519,)}, "add one of ecdsa_secp256r1_sha256"),
    ],
)
def test_settings_that_cannot_work_for_a_client(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        ClientConfig(credentials=credentials(), **fields)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({}, "a server needs credentials"),
        ({"credentials": []}, "a server needs credentials"),
        ({"credentials": "server.pem"}, r"write credentials=\('server.pem',\)"),
        ({"credentials": credentials()}, r"write credentials=\(credentials,\)"),
        ({"credentials": (credentials(),), "verify_mode": ssl.CERT_OPTIONAL}, "give trust_anchors or cafile"),
        (
            {"credentials": (credentials(),), "signature_schemes": (SignatureScheme.ed448,)},
            "the private key can sign with none of signature_schemes",
        ),
    ],
)
def test_settings_that_cannot_work_for_a_server(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        ServerConfig(**fields)


def test_no_key_is_in_a_repr() -> None:
    config = ServerConfig(
        credentials=(credentials(),), verify_mode=ssl.CERT_REQUIRED, trust_anchors=anchors()
    )
    assert "PRIVATE" not in repr(config).upper().replace("PRIVATE_KEY", "PRIVATE")
    assert len(repr(config)) < 5000


# ---- from files -------------------------------------------------------------------------------------


def test_a_client_from_files(tmp_path: Path) -> None:
    files = pki.write(tmp_path, pki.issue(client=True))
    client = ClientConfig.from_files(files.cafile, files.certfile, str(files.keyfile), alpn_protocols=("h2",))
    assert client.alpn_protocols == ("h2",)
    assert client.trust_anchors is not None and len(client.trust_anchors.certificates) == 1
    assert client.credentials is not None and len(client.credentials.chain) >= 1
    bare = ClientConfig.from_files()
    assert bare.trust_anchors is None and bare.credentials is None
    with pytest.raises(ConfigurationError, match="keyfile was given without certfile"):
        ClientConfig.from_files(keyfile=files.keyfile)


def test_a_server_from_files(tmp_path: Path) -> None:
    issued = pki.through_intermediate()
    files = pki.write(tmp_path, issued)
    server = ServerConfig.from_files(files.certfile, files.keyfile)
    assert [*server.credentials[0].chain] == issued.chain_der
    assert server.trust_anchors is None
    server = ServerConfig.from_files(
        files.certfile, files.keyfile, cafile=files.cafile, verify_mode=ssl.CERT_REQUIRED
    )
    assert server.trust_anchors is not None
    newest: list[bytes] = []
    server = ServerConfig.from_files(files.certfile, files.keyfile, ocsp_response=lambda: newest.pop())
    assert server.credentials[0].ocsp_response is not None
    with pytest.raises(ConfigurationError, match="the OCSP response cannot be read"):
        ServerConfig.from_files(files.certfile, files.keyfile, ocsp_response=b"?")


def test_a_status_that_is_required_must_be_asked_for_and_verified() -> None:
    assert (ClientConfig().status_request, ClientConfig().require_ocsp_status) == (True, False)
    assert not ServerConfig(credentials=(credentials(),)).status_request
    ClientConfig(require_ocsp_status=True)
    ServerConfig(credentials=(credentials(),), require_ocsp_status=True, status_request=True)
    fields: dict[str, Any]
    for fields in ({"status_request": False}, {"verify_mode": ssl.CERT_NONE, "check_hostname": False}):
        with pytest.raises(ConfigurationError, match="require_ocsp_status needs status_request"):
            ClientConfig(require_ocsp_status=True, **fields)
    with pytest.raises(ConfigurationError, match="require_ocsp_status needs status_request"):
        ServerConfig(credentials=(credentials(),), require_ocsp_status=True)


def test_certificate_and_key_may_share_a_file(tmp_path: Path) -> None:
    issued = pki.issue()
    both = tmp_path / "both.pem"
    both.write_bytes(issued.key_pem + issued.chain_pem)
    assert ServerConfig.from_files(both).credentials[0].chain == tuple(issued.chain_der)


@pytest.mark.parametrize("password", ["secret", b"secret", lambda: "secret"])
def test_encrypted_keys(tmp_path: Path, password: Any) -> None:
    issued = pki.issue()
    key = load_pem_private_key(issued.key_pem, None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    files = pki.write(tmp_path, issued)
    assert ServerConfig.from_files(files.certfile, encrypted, password).credentials
    with pytest.raises(ConfigurationError, match="password"):
        ServerConfig.from_files(files.certfile, encrypted, "wrong")


def test_files_that_are_not_there_or_hold_something_else(tmp_path: Path) -> None:
    files = pki.write(tmp_path, pki.issue())
    with pytest.raises(FileNotFoundError):
        ServerConfig.from_files(tmp_path / "nowhere.pem")
    with pytest.raises(FileNotFoundError):
        ClientConfig.from_files(cafile=tmp_path / "nowhere.pem")
    with pytest.raises(ConfigurationError):
        ServerConfig.from_files(files.keyfile)
    with pytest.raises(ConfigurationError):
        ClientConfig.from_files(cafile=files.keyfile)
