"""A context for programs that know nothing of this package, with OpenSSL to fall back to.

`tlswrite.install` puts this class in the place of `ssl.SSLContext`. A program may then ask for something that
cannot be had here (a version below TLS 1.2, pre-shared keys, revocation lists): that context stays on OpenSSL from
then on, and a warning says which and why. So everything that is set is given to the real context too.
"""

from __future__ import annotations

import ssl
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Final

from tlswrite.config import ClientConfig, Mode, ServerConfig
from tlswrite.errors import ConfigurationError, TLSError
from tlswrite.stdlib.context import SSLContext
from tlswrite.stdlib.plain import STANDARD, set_options
from tlswrite.stdlib.settings import RAW

__all__ = ["InstalledContext", "StaysOnOpenSSLWarning"]


_RAW: Final[Any] = super(STANDARD, STANDARD)


class StaysOnOpenSSLWarning(RuntimeWarning):
    """A context asked for something that this package has not, and so its connections are OpenSSL's."""


class _AnyContext(type):
    """Contexts that were made before still are what `ssl.SSLContext` names."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return cls.__subclasscheck__(type(instance))

    def __subclasscheck__(cls, subclass: type) -> bool:
        # Of the class itself, not of classes that applications derive from it.
        if cls is InstalledContext:
            return issubclass(subclass, STANDARD)
        return super().__subclasscheck__(subclass)


def _level_of_the_application() -> int:
    """The `stacklevel`, for the caller's caller, of the line outside of this package that led to it."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("tlswrite."):
        level, frame = level + 1, frame.f_back
    return level


class InstalledContext(SSLContext, metaclass=_AnyContext):
    """An SSLContext that leaves to OpenSSL what it cannot do."""

    def _begin(self) -> None:
        self._refusal: str | None = None
        #: OpenSSL is to load the system's anchors, which takes it some 50 ms, when it takes over.
        self._paths_wanted = False
        super()._begin()

    @classmethod
    def _old_version(cls, protocol: Any) -> Any:
        self: Any = STANDARD.__new__(cls, protocol)
        cls._begin(self)
        self._stay(
            f"it is for {ssl._SSLMethod(protocol).name.removeprefix('PROTOCOL_')}, which is not done here"
        )
        return self

    @property
    def refusal(self) -> str | None:
        """Why this context's connections are OpenSSL's; None where they are this package's."""
        return self._refusal or super().refusal

    def _stay(self, reason: str) -> None:
        if self._refusal is None:
            self._refusal = reason
            # OpenSSL's connections are as this Python has them, unless the application has said how they are to be.
            set_options(self, RAW["options"](self) | self._ended_alike)
            if self._paths_wanted:
                STANDARD.set_default_verify_paths(self)
            # What `wrap_bio` and `wrap_socket` make from now on.
            self.sslobject_class, self.sslsocket_class = ssl.SSLObject, ssl.SSLSocket
            warnings.warn(
                f"an ssl.SSLContext stays on OpenSSL: {reason}",
                StaysOnOpenSSLWarning,
                stacklevel=_level_of_the_application(),
            )

    _cannot = _stay

    def _config(self, server_side: bool, mode: Mode) -> ClientConfig | ServerConfig:
        """Raises ConfigurationError where it stays on OpenSSL: also for a connection that is to take it."""
        if self._refusal is not None:
            raise ConfigurationError(f"this context stays on OpenSSL: {self._refusal}")
        return super()._config(server_side, mode)

    # ---- connections ------------------------------------------------------------------------------------

    def _wrap_bio(self, *args: Any, **kwargs: Any) -> Any:
        if self._refusal is None:
            return super()._wrap_bio(*args, **kwargs)
        return STANDARD._wrap_bio(self, *args, **kwargs)

    def _wrap_socket(self, *args: Any, **kwargs: Any) -> Any:
        return STANDARD._wrap_socket(self, *args, **kwargs)

    @property
    def options(self) -> ssl.Options:
        return super().options

    @options.setter
    def options(self, value: int) -> None:
        self._ended_alike = 0
        SSLContext.options.__set__(self, value)  # type: ignore[attr-defined]  # it is a property

    # ---- what both are told -------------------------------------------------------------------------------

    def _both(self, name: str, ours: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Tell this package, unless OpenSSL has taken over, and tell OpenSSL.

        What only one of the two takes is taken; what neither takes raises OpenSSL's error.
        """
        failure: Exception | None = None
        if self._refusal is None:
            try:
                ours(*args, **kwargs)
            except (TLSError, ValueError, NotImplementedError) as error:
                failure = error
        try:
            getattr(STANDARD, name)(self, *args, **kwargs)
        except (OSError, ValueError, AttributeError) as error:
            if failure is not None or self._refusal is not None:
                raise error from failure
        else:
            if failure is not None:
                self._stay(str(failure))

    def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        self._both("load_cert_chain", super().load_cert_chain, certfile, keyfile, _once(password))

    def load_verify_locations(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        self._both("load_verify_locations", super().load_verify_locations, cafile, capath, cadata)

    def set_default_verify_paths(self) -> None:
        if self._refusal is None:
            super().set_default_verify_paths()
            self._paths_wanted = True
        else:
            STANDARD.set_default_verify_paths(self)

    def set_ciphers(self, ciphers: str) -> None:
        self._both("set_ciphers", super().set_ciphers, ciphers)

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        self._both("set_alpn_protocols", super().set_alpn_protocols, list(alpn_protocols))

    def set_ecdh_curve(self, curve_name: str | bytes) -> None:
        self._both("set_ecdh_curve", super().set_ecdh_curve, curve_name)

    def set_groups(self, grouplist: str) -> None:
        self._both("set_groups", super().set_groups, grouplist)

    def set_ciphersuites(self, ciphersuites: str) -> None:
        self._both("set_ciphersuites", super().set_ciphersuites, ciphersuites)

    def set_server_sigalgs(self, sigalgslist: str) -> None:
        self._both("set_server_sigalgs", super().set_server_sigalgs, sigalgslist)

    def set_client_sigalgs(self, sigalgslist: str) -> None:  # type: ignore[override]  # where Python has it
        self._both("set_client_sigalgs", super().set_client_sigalgs, sigalgslist)

    def load_dh_params(self, path: Any) -> None:
        """Taken by OpenSSL, and of no use to this package, which negotiates curves instead."""
        STANDARD.load_dh_params(self, path)

    def set_psk_client_callback(self, callback: Any) -> None:
        """Raises AttributeError before Python 3.13."""
        STANDARD.set_psk_client_callback(self, callback)
        self._refuse_psk(callback)

    def set_psk_server_callback(self, callback: Any, identity_hint: str | None = None) -> None:
        """Raises AttributeError before Python 3.13."""
        STANDARD.set_psk_server_callback(self, callback, identity_hint)
        self._refuse_psk(callback)

    def _refuse_psk(self, callback: Any) -> None:
        if callback is not None:
            self._stay("it has a callback for pre-shared keys, which are not done here")

    def get_ciphers(self) -> list[dict[str, Any]]:
        return super().get_ciphers() if self._refusal is None else STANDARD.get_ciphers(self)

    def get_ca_certs(self, binary_form: bool = False) -> list[Any]:
        if self._refusal is None:
            return super().get_ca_certs(binary_form)
        found: list[Any] = STANDARD.get_ca_certs(self, binary_form)
        return found

    def cert_store_stats(self) -> dict[str, int]:
        return super().cert_store_stats() if self._refusal is None else STANDARD.cert_store_stats(self)

    def session_stats(self) -> dict[str, int]:
        return super().session_stats() if self._refusal is None else STANDARD.session_stats(self)

    @property
    def keylog_filename(self) -> Any:
        return STANDARD.keylog_filename.__get__(self)

    @keylog_filename.setter
    def keylog_filename(self, name: Any) -> None:
        STANDARD.keylog_filename.__set__(self, name)
        SSLContext.keylog_filename.__set__(self, name)  # type: ignore[attr-defined]  # it is a property

    @property
    def _msg_callback(self) -> Any:
        return STANDARD._msg_callback.__get__(self)

    @_msg_callback.setter
    def _msg_callback(self, callback: Any) -> None:
        _RAW._msg_callback.__set__(self, callback)
        if callback is not None:
            self._stay("it has a message callback, which is not done here")


def _once(password: Any) -> Any:
    """A password that is asked for once, although two want it."""
    if not callable(password):
        return password
    answers: list[Any] = []

    def ask() -> Any:
        if not answers:
            answers.append(password())
        return answers[0]

    return ask
