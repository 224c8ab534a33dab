"""What a build of `cryptography` has."""

from __future__ import annotations

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from tlswrite.crypto.backend import available


def test_what_works_is_available() -> None:
    assert available(lambda: None)


def test_what_the_library_refuses_is_not() -> None:
    def probe() -> None:
        raise UnsupportedAlgorithm("ML-KEM-768 is not supported by this backend.")

    assert not available(probe)


def test_another_failure_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        available(lambda: 1 // 0)
