"""The plain settings of a context, which the standard library's own holds and checks."""

from __future__ import annotations

import _ssl
import ssl
from typing import Any, Final

from tlswrite.stdlib.settings import refused_flag, refused_maximum, refused_options

__all__ = ["STANDARD", "PlainSettings", "set_options"]


def _standard_context() -> type[ssl.SSLContext]:
    """The standard library's class, also where somebody has put another in its place."""
    for each in ssl.SSLContext.__mro__:
        if each.__module__ == "ssl" and _ssl._SSLContext in each.__bases__:
            return each
    return ssl.SSLContext


#: `ssl.SSLContext`. Its properties look their own class up by that name whenever they are set, so in a class that
#: takes the name they would call themselves; here they are reached past it.
STANDARD: Final[Any] = _standard_context()
_RAW: Final[Any] = super(STANDARD, STANDARD)


def set_options(context: Any, value: int) -> None:
    """Set a context's options, past whatever a class of the application's does about them."""
    _RAW.options.__set__(context, value)


class PlainSettings(STANDARD):  # type: ignore[misc]  # found at run time
    """`ssl.SSLContext` with its properties, under whatever name it goes."""

    @property
    def options(self) -> ssl.Options:
        return ssl.Options(_RAW.options.__get__(self))

    @options.setter
    def options(self, value: int) -> None:
        self._refuse(refused_options(value))
        _RAW.options.__set__(self, value)

    @property
    def minimum_version(self) -> ssl.TLSVersion:
        return ssl.TLSVersion(_RAW.minimum_version.__get__(self))

    @minimum_version.setter
    def minimum_version(self, value: int) -> None:
        _RAW.minimum_version.__set__(self, value)

    @property
    def maximum_version(self) -> ssl.TLSVersion:
        return ssl.TLSVersion(_RAW.maximum_version.__get__(self))

    @maximum_version.setter
    def maximum_version(self, value: int) -> None:
        self._refuse(refused_maximum(value))
        _RAW.maximum_version.__set__(self, value)

    @property
    def verify_flags(self) -> ssl.VerifyFlags:
        return ssl.VerifyFlags(_RAW.verify_flags.__get__(self))

    @verify_flags.setter
    def verify_flags(self, value: int) -> None:
        self._refuse(refused_flag(value))
        _RAW.verify_flags.__set__(self, value)

    @property
    def verify_mode(self) -> ssl.VerifyMode:
        return ssl.VerifyMode(_RAW.verify_mode.__get__(self))

    @verify_mode.setter
    def verify_mode(self, value: int) -> None:
        _RAW.verify_mode.__set__(self, value)

    def _refuse(self, reason: str | None) -> None:
        if reason is not None:
            self._cannot(reason)

    def _cannot(self, reason: str) -> None:
        """What was asked for cannot be had here."""
        raise NotImplementedError(reason)
