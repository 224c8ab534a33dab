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
from tlswrite.crypto.signatures12 import PKCS1_SCHEMES
from tlswrite.crypto.suites import DEFAULT_SUITES, TLS12_SUITES, TLS13_SUITES
from tlswrite.errors import ConfigurationError
from tlswrite.iana import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme


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


# ---- versions ---------------------------------------------------------------------------------------

V12, V13 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
PKCS1 = SignatureScheme.rsa_pkcs1_sha256


@pytest.mark.parametrize(
    ("fields", "versions"),
    [
        ({}, (V13, V12)),
        ({"minimum_version": V13}, (V13,)),
        ({"maximum_version": V12}, (V12,)),
        ({"minimum_version": V12, "maximum_version": V12}, (V12,)),
        # A version of which no suite is chosen is left out.
        ({"cipher_suites": TLS13_SUITES}, (V13,)),
        ({"cipher_suites": TLS12_SUITES}, (V12,)),
        ({"cipher_suites": (TLS12_SUITES[0], TLS13_SUITES[0])}, (V13, V12)),
        # TLS 1.2 has no hybrid groups.
        ({"groups": (NamedGroup.X25519MLKEM768,)}, (V13,)),
        ({"groups": (NamedGroup.X25519MLKEM768, NamedGroup.secp256r1)}, (V13, V12)),
        # TLS 1.3 signs nothing with RSASSA-PKCS1-v1_5 (RFC 9846 §4.3.3).
        ({"signature_schemes": (PKCS1,)}, (V12,)),
        ({"signature_schemes": (PKCS1, SignatureScheme.ed25519)}, (V13, V12)),
        # What other enumerations have for the same numbers.
        ({"minimum_version": 0x0304}, (V13,)),
        ({"maximum_version": ssl.TLSVersion.TLSv1_2}, (V12,)),
    ],
)
def test_versions_follow_from_what_is_chosen(
    fields: dict[str, Any], versions: tuple[ProtocolVersion, ...]
) -> None:
    client = ClientConfig(**fields)
    assert client.versions == versions
    assert all(type(each) is ProtocolVersion for each in (client.minimum_version, client.maximum_version))
    both = (credentials("rsa"),)
    if SignatureScheme.ed25519 in fields.get("signature_schemes", ()):
        both = (credentials("rsa"), credentials("ed25519"))
    assert ServerConfig(credentials=both, **fields).versions == versions


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"minimum_version": 0x0302}, r"minimum_version must be TLS 1\.2 or TLS 1\.3, not 770"),
        ({"minimum_version": ProtocolVersion.TLS_1_1}, r"minimum_version must be TLS 1\.2 or TLS 1\.3"),
        ({"maximum_version": 0x0305}, "maximum_version must be"),
        ({"maximum_version": "TLSv1.2"}, "maximum_version must be .* not 'TLSv1.2'"),
        ({"maximum_version": None}, "maximum_version must be"),
        ({"maximum_version": ssl.TLSVersion.MAXIMUM_SUPPORTED}, "maximum_version must be"),
        ({"minimum_version": V13, "maximum_version": V12}, "minimum_version is above maximum_version"),
        ({"minimum_version": V13, "cipher_suites": TLS12_SUITES}, "no version is left"),
        ({"maximum_version": V12, "cipher_suites": TLS13_SUITES}, "no version is left"),
        ({"maximum_version": V12, "groups": (NamedGroup.X25519MLKEM768,)}, "no version is left"),
        ({"minimum_version": V13, "signature_schemes": (PKCS1,)}, "no version is left"),
        (
            {"cipher_suites": TLS13_SUITES, "signature_schemes": (PKCS1,)},
            "cipher_suites, groups and signature_schemes have nothing",
        ),
    ],
)
def test_ranges_without_a_version(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        ClientConfig(**fields)
    with pytest.raises(ConfigurationError, match=match):
        ServerConfig(credentials=(credentials("rsa"),), **fields)


@pytest.mark.parametrize(
    ("key_type", "fields", "match"),
    [
        # What would do in the version that is left out does not count.
        ("rsa", {"minimum_version": V13, "signature_schemes": (PKCS1, SignatureScheme.ed25519)}, "rsa_pss"),
        (
            "ecdsa_secp256r1",
            {"minimum_version": V13, "signature_schemes": (SignatureScheme.ecdsa_secp384r1_sha384,)},
            "add one of ecdsa_secp256r1_sha256$",
        ),
        ("mldsa44", {"maximum_version": V12}, r"signs in TLS 1\.3 alone"),
    ],
)
def test_a_key_must_sign_something_in_a_version_that_is_left(
    key_type: str, fields: dict[str, Any], match: str
) -> None:
    with pytest.raises(ConfigurationError, match=match):
        ServerConfig(credentials=(credentials(key_type),), **fields)
    with pytest.raises(ConfigurationError, match=match):
        ClientConfig(credentials=credentials(key_type), **fields)
    # The other version would have it.
    ServerConfig(
        credentials=(credentials(key_type),), **{**fields, "minimum_version": V12, "maximum_version": V13}
    )


def test_what_is_derived_cannot_be_given_and_follows_in_variants() -> None:
    for name in ("versions", "tls13_schemes"):
        with pytest.raises(TypeError):
            ClientConfig(**{name: ()})
    client = ClientConfig()
    assert client.tls13_schemes == tuple(scheme for scheme in DEFAULT_SCHEMES if scheme not in PKCS1_SCHEMES)
    assert client.signature_schemes[-len(PKCS1_SCHEMES) :] == PKCS1_SCHEMES, "the last resort"
    variant = dataclasses.replace(
        client, maximum_version=V12, signature_schemes=(PKCS1, SignatureScheme.ed25519)
    )
    assert (variant.versions, variant.tls13_schemes) == ((V12,), (SignatureScheme.ed25519,))
    assert client.versions == (V13, V12)


# ---- TLS 1.2 ----------------------------------------------------------------------------------------


def test_tls_1_2_is_safe_by_default() -> None:
    server = ServerConfig(credentials=(credentials(),))
    for config in (ClientConfig(), server):
        # RFC 9325 §4.4: RFC 7627 is insisted upon; nobody becomes somebody else in a renegotiation.
        assert (config.require_extended_main_secret, config.allow_identity_change) == (True, False)
        assert config.renegotiation
        assert not config.mode & Mode.SEND_FALLBACK_SCSV
    assert not ClientConfig().legacy_server_connect
    assert not server.allow_client_renegotiation


@pytest.mark.parametrize("length", [512, 1024, 2048, 4096, None])
def test_lengths_of_fragments(length: int | None) -> None:
    # RFC 6066 §4.
    assert ClientConfig(max_fragment_length=length).max_fragment_length == length


@pytest.mark.parametrize("length", [0, 1, 511, 8192, 16384, -512])
def test_lengths_that_fragments_cannot_have(length: int) -> None:
    with pytest.raises(ConfigurationError, match=f"512, 1024, 2048 or 4096 bytes, not {length}"):
        ClientConfig(max_fragment_length=length)


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


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"tickets": -1}, "tickets must be 0 to 16"),
        ({"tickets": 17}, "tickets must be 0 to 16"),
        ({"ticket_lifetime": 0}, "1 to 604800 seconds"),
        # RFC 9846 §4.7.1: servers MUST NOT use any value greater than 604800 seconds.
        ({"ticket_lifetime": 604801}, "1 to 604800 seconds"),
    ],
)
def test_settings_of_tickets_that_cannot_work(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        ServerConfig(credentials=(credentials(),), **fields)


def test_each_configuration_has_sessions_and_keys_of_its_own() -> None:
    one, other = (ServerConfig(credentials=(credentials(),)) for _ in range(2))
    assert one.ticket_keys is not other.ticket_keys and one.session_cache is not other.session_cache
    assert ClientConfig().session_cache is not ClientConfig().session_cache
    # A variant shares them, unless it says otherwise.
    assert dataclasses.replace(one, tickets=1).ticket_keys is one.ticket_keys
