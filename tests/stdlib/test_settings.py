"""What the attributes of a context mean as a configuration."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

import tlswrite
from tests.support import contexts, pki
from tests.support.contexts import client_context, server_context
from tlswrite.config import Mode
from tlswrite.errors import ConfigurationError
from tlswrite.iana import ProtocolVersion
from tlswrite.stdlib.settings import (
    MODE,
    ignores_eof,
    is_strict,
    refused_flag,
    refused_level,
    refused_maximum,
    refused_options,
    versions,
)

TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
NO_1_2, NO_1_3 = 0x08000000, 0x20000000
V = ssl.TLSVersion


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("lowest", "highest", "options", "expected"),
    [
        (None, None, 0, (TLS_1_2, TLS_1_3)),
        (V.MINIMUM_SUPPORTED, V.MAXIMUM_SUPPORTED, 0, (TLS_1_2, TLS_1_3)),
        (V.TLSv1, V.TLSv1_2, 0, (TLS_1_2, TLS_1_2)),
        (V.TLSv1_2, V.TLSv1_2, 0, (TLS_1_2, TLS_1_2)),
        (V.TLSv1_3, None, 0, (TLS_1_3, TLS_1_3)),
        (V.MAXIMUM_SUPPORTED, None, 0, (TLS_1_3, TLS_1_3)),
        (None, None, NO_1_2, (TLS_1_3, TLS_1_3)),
        (None, None, NO_1_3, (TLS_1_2, TLS_1_2)),
        (V.TLSv1_3, None, NO_1_3, None),
        (V.TLSv1_3, V.TLSv1_2, 0, None),
    ],
)
def test_versions(lowest: Any, highest: Any, options: int, expected: Any) -> None:
    context = client_context()
    if lowest is not None:
        context.minimum_version = lowest
    if highest is not None:
        context.maximum_version = highest
    context.options |= options
    if expected is None:
        with pytest.raises(ConfigurationError, match="no version is left"):
            versions(context)
    else:
        assert versions(context) == expected


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        (0x4, "legacy_server_connect", True),
        (0x100000, "middlebox_compatibility", True),
        (0x40000000, "renegotiation", False),
        (0x4000, "session_cache", None),
    ],
)
def test_options_of_a_client(option: int, field: str, value: Any) -> None:
    context = client_context()

    def now() -> Any:
        return getattr(context.new_connection(server_side=False, server_hostname=contexts.HOST).config, field)

    context.options &= ~option
    assert now() is not value
    context.options |= option
    assert now() is value


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        (0x100, "allow_client_renegotiation", True),
        (0x40000000, "renegotiation", False),
        (0x4000, "tickets", 0),
    ],
)
def test_options_of_a_server(files: pki.Files, option: int, field: str, value: Any) -> None:
    context = server_context(tlswrite.SSLContext, files)
    context.options &= ~option
    assert getattr(context.new_connection(server_side=True).config, field) != value
    context.options |= option
    assert getattr(context.new_connection(server_side=True).config, field) == value


def test_writes_are_of_all_or_repeated() -> None:
    assert Mode.ENABLE_PARTIAL_WRITE not in MODE
    assert MODE == Mode.AUTO_RETRY | Mode.ACCEPT_MOVING_WRITE_BUFFER


def test_an_end_is_an_end_where_the_option_says_so() -> None:
    context = client_context()
    assert not ignores_eof(context)
    context.options |= 0x80
    assert ignores_eof(context)


def test_strictness_is_a_flag() -> None:
    context = client_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    assert not is_strict(context)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert is_strict(context)


def test_what_cannot_be_had_is_told_in_words() -> None:
    assert refused_maximum(V.TLSv1_2) is None and refused_maximum(V.MAXIMUM_SUPPORTED) is None
    assert refused_maximum(V.TLSv1) and refused_maximum(V.MINIMUM_SUPPORTED)
    assert refused_options(NO_1_2) is None and refused_options(NO_1_3) is None
    assert refused_options(NO_1_2 | NO_1_3)
    unknown = [1 << bit for bit in (7, 8, 9, 12, 13, 14, 16, 17)]
    for flag in (
        ssl.VERIFY_CRL_CHECK_LEAF,
        ssl.VERIFY_CRL_CHECK_CHAIN,
        ssl.VERIFY_ALLOW_PROXY_CERTS,
        *unknown,
    ):
        assert refused_flag(flag)
    assert refused_flag(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN) is None
    assert refused_flag(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).verify_flags) is None
    assert refused_level(2) is None and "level 3" in (refused_level(3) or "")
