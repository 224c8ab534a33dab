"""The standard library's context is found, whatever stands in its place."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tlswrite.stdlib import plain


def test_it_is_the_standard_librarys() -> None:
    assert plain.STANDARD.__module__ == "ssl"
    assert plain.STANDARD.__qualname__ == "SSLContext"


def test_it_is_found_beneath_what_took_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(ssl.SSLContext):
        pass

    monkeypatch.setattr(ssl, "SSLContext", Other)
    assert plain._standard_context() is plain.STANDARD


def test_properties_do_not_look_themselves_up_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "SSLContext", plain.PlainSettings)
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_TICKET
    assert context.options & ssl.OP_NO_TICKET
    context.verify_flags = ssl.VERIFY_X509_STRICT
    assert context.verify_flags == ssl.VERIFY_X509_STRICT
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_3,) * 2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_OPTIONAL
    assert context.verify_mode is ssl.CERT_OPTIONAL
