"""Code points."""

from __future__ import annotations

import ssl
from enum import IntEnum

import pytest

from tlswrite import iana
from tlswrite.iana import GREASE, AlertDescription, ExtensionType, NamedGroup, name_of

REGISTRIES = [
    value for value in vars(iana).values() if isinstance(value, type) and issubclass(value, IntEnum)
][1:]


@pytest.mark.parametrize("registry", REGISTRIES)
def test_code_points_stand_in_numeric_order_and_once(registry: type[IntEnum]) -> None:
    assert [member.value for member in registry] == sorted({member.value for member in registry})
    assert not set(registry.__members__) - {member.name for member in registry}  # no aliases


def test_registries_are_public() -> None:
    assert {registry.__name__ for registry in REGISTRIES} == set(iana.__all__) - {"GREASE", "name_of"}


def test_alerts_agree_with_the_ssl_module() -> None:
    known = {
        name.removeprefix("ALERT_DESCRIPTION_"): value
        for name, value in vars(ssl).items()
        if name.startswith("ALERT_DESCRIPTION_")
    }
    here = {alert.name: alert.value for alert in AlertDescription}
    common = set(known) & set(here)
    assert len(common) > 20
    assert {name: known[name] for name in common} == {name: here[name] for name in common}


def test_grease_values() -> None:
    # RFC 8701 §2: both bytes equal, the low half of each is 0xA.
    assert [f"{value:04x}" for value in GREASE] == [f"{digit:x}a" * 2 for digit in range(16)]
    for registry in (ExtensionType, NamedGroup, iana.CipherSuite, iana.SignatureScheme, iana.ProtocolVersion):
        assert not set(GREASE) & {member.value for member in registry}


@pytest.mark.parametrize(
    ("registry", "value", "name"),
    [
        (NamedGroup, 29, "x25519"),
        (NamedGroup, 0x1A1A, "NamedGroup(0x1a1a)"),
        (ExtensionType, 51, "KEY_SHARE"),
        (AlertDescription, 255, "AlertDescription(0x00ff)"),
    ],
)
def test_name_of(registry: type[IntEnum], value: int, name: str) -> None:
    assert name_of(registry, value) == name
