"""Host names and addresses, as a client gives them and as they stand in certificates."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tlswrite.crypto.identity import identity_of, matches, sni_name
from tlswrite.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("example.com", "example.com"),
        ("Example.COM.", "example.com"),
        ("localhost", "localhost"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("my_service", "my_service"),
        ("_dmarc.example", "_dmarc.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        ("1.2.3", "1.2.3"),
        ("3com.example", "3com.example"),
    ],
)
def test_names(given: str, name: str) -> None:
    assert identity_of(given) == name
    assert sni_name(given) == name


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_addresses(given: str, address: str) -> None:
    assert identity_of(given) == ip_address(address)
    # RFC 6066 §3: literal IPv4 and IPv6 addresses are not permitted in "HostName".
    assert sni_name(given) is None


def test_no_name() -> None:
    assert sni_name(None) is None


@pytest.mark.parametrize(
    "given",
    [
        "",
        ".",
        "..",
        ".example",
        "a..example",
        "-a.example",
        "a-.example",
        "*.example",
        "exa mple",
        "example.com/",
        "example.com:443",
        "[::1]",
        "a\0.example",
        "user@example",
        "a" * 64,
        ".".join(["a" * 60] * 5),
        "\ud800",
    ],
)
def test_what_names_nothing(given: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a host name nor an IP address"):
        identity_of(given)


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("a.example", "a.example", True),
        ("a.example", "A.Example", True),
        ("a.example", "b.example", False),
        # RFC 9525 §6.3: a wildcard is the complete left-most label, and stands for exactly one.
        ("a.b.example", "*.b.example", True),
        ("a.b.example", "*.example", False),
        ("b.example", "*.b.example", False),
        ("a.b.example", "a*.b.example", False),
        ("a.b.example", "a.*.example", False),
        ("a", "*.", False),
        ("a", "*", False),
    ],
)
def test_matches(name: str, pattern: str, expected: bool) -> None:
    assert matches(name, ["other.example", pattern]) is expected


def test_matches_nothing() -> None:
    assert not matches("a.example", [])
