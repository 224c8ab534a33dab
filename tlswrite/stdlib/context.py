"""`SSLContext`: the standard library's context, with this package's connections.

It *is* an `ssl.SSLContext`, so whatever asks for one takes it, and the real one in it holds the plain settings:
options, versions, flags, verify_mode and their rules are the standard library's own. What carries weight is held
here: certificates, keys, anchors, suites, protocols, callbacks. Of both a configuration is made when a connection
needs one, and kept until something changes, so that all connections of a context share its sessions.

What cannot be had raises NotImplementedError and says why; nothing that was asked for is left out silently.
"""

from __future__ import annotations

import os
import ssl
import sys
import warnings
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from tlswrite.config import DEFAULT_SCHEMES, ClientConfig, Mode, ServerConfig
from tlswrite.connection import ConnectionFactory, TLSConnection
from tlswrite.crypto.certificates import is_authority, peercert_dict_of
from tlswrite.crypto.suites import DEFAULT_SUITES, SUITES, TLS13_SUITES
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.errors import ConfigurationError
from tlswrite.iana import CipherSuite, NamedGroup, SignatureScheme
from tlswrite.limits import MAX_TICKETS_SENT
from tlswrite.session import SessionCache
from tlswrite.stdlib.connection import ContextConnection, SNICallback, with_sni_callback
from tlswrite.stdlib.face import MemoryFace, SSLObject, facts_of, set_session
from tlswrite.stdlib.keylog import KeyLog
from tlswrite.stdlib.loading import Anchors, Identities, read_credentials
from tlswrite.stdlib.names import group_named, groups_in, schemes_in, suites_among, tls13_suites_in
from tlswrite.stdlib.plain import STANDARD, PlainSettings, set_options
from tlswrite.stdlib.settings import (
    MODE,
    OP_IGNORE_UNEXPECTED_EOF,
    RAW,
    client_fields,
    is_strict,
    refused_level,
    server_fields,
    shared_fields,
)
from tlswrite.stdlib.sslsocket import SSLSocket
from tlswrite.stdlib.stats import Stats

__all__ = ["SSLContext", "create_default_context"]


_OLD: Final = {
    getattr(ssl, name): name.removeprefix("PROTOCOL_")
    for name in ("PROTOCOL_SSLv2", "PROTOCOL_SSLv3", "PROTOCOL_TLSv1", "PROTOCOL_TLSv1_1")
    if hasattr(ssl, name)
}


class SSLContext(PlainSettings, ConnectionFactory):
    """An `ssl.SSLContext` whose connections are this package's; see the README for what differs."""

    sslsocket_class: Any = SSLSocket
    sslobject_class: Any = SSLObject

    def __new__(cls, protocol: Any = None, *args: Any, **kwargs: Any) -> Any:
        """A context; `protocol` as in `ssl`. Raises NotImplementedError for versions that are not done here."""
        if protocol in _OLD:
            return cls._old_version(protocol)
        if protocol is None:
            warnings.warn(
                "ssl.SSLContext() without protocol argument is deprecated.", DeprecationWarning, stacklevel=2
            )
            protocol = ssl.PROTOCOL_TLS
        self = super().__new__(cls, protocol)
        cls._begin(self)
        return self

    @classmethod
    def _old_version(cls, protocol: Any) -> SSLContext:
        raise NotImplementedError(
            f"{_OLD[protocol]} is not done here: use PROTOCOL_TLS_CLIENT or PROTOCOL_TLS_SERVER"
        )

    def _begin(self) -> None:
        self._identities = Identities()
        self._anchors = Anchors()
        self._alpn: tuple[str, ...] = ()
        self._suites12: tuple[CipherSuite, ...] | None = None
        self._suites13: tuple[CipherSuite, ...] | None = None
        self._groups: tuple[NamedGroup, ...] | None = None
        self._schemes: tuple[SignatureScheme, ...] | None = None
        self._sni: SNICallback | None = None
        self._keylog: KeyLog | None = None
        # Some builds of Python set it for every context, and with it a connection that is cut off ends like one
        # that is complete. Here it is for who asks for it.
        options = RAW["options"](self)
        self._ended_alike = options & OP_IGNORE_UNEXPECTED_EOF
        set_options(self, options & ~OP_IGNORE_UNEXPECTED_EOF)
        #: Kept when the configuration is made again.
        self._sessions = SessionCache()
        self._server_sessions = SessionCache()
        self._ticket_keys = TicketKeys()
        self._client_stats = Stats()
        self._server_stats = Stats()
        #: Plain settings, and the configurations made of them by side and mode. Another pair takes their place when
        #: something changes: a thread that makes a configuration just then puts it into the one that went.
        self._made: tuple[tuple[int, ...], dict[tuple[bool, int], ClientConfig | ServerConfig]] = ((), {})

    # ---- connections ----------------------------------------------------------------------------------

    def new_connection(
        self, *, server_side: bool, server_hostname: str | None = None, mode: Mode = Mode.AUTO_RETRY
    ) -> TLSConnection:
        """A connection of this context (see `ConnectionFactory`).

        Raises ValueError for a name that is missing or cannot be, ssl.SSLError for a context of the other side or
        settings that cannot work.
        """
        self._check_side(server_side)
        if server_side:
            if server_hostname:
                raise ValueError("server_hostname can only be specified in client mode")
            connection = ContextConnection(self, self._server_config(mode), None)
            if self._sni is not None:
                with_sni_callback(connection, self._sni)
            return connection
        if RAW["check_hostname"](self) and not server_hostname:
            raise ValueError("check_hostname requires server_hostname")
        if server_hostname is not None and (not server_hostname or server_hostname.startswith(".")):
            raise ValueError("server_hostname cannot be an empty string or start with a leading dot.")
        return ContextConnection(self, self._client_config(mode), server_hostname)

    @property
    def refusal(self) -> str | None:
        """Why its connections are to be made by others (see `ConnectionFactory`); None where they are made here."""
        # What an application's class does there, pinning a certificate for one, must not be gone round.
        if type(self).wrap_bio is not STANDARD.wrap_bio or "wrap_bio" in vars(self):
            return f"{type(self).__name__} has a wrap_bio of its own"
        if self.sslobject_class is not SSLObject:
            return f"{type(self).__name__} has an sslobject_class of its own"
        return None

    def wrap_socket(
        self,
        sock: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: Any = None,
    ) -> Any:
        """An `SSLSocket`, as `ssl.SSLContext.wrap_socket`."""
        return super().wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=server_hostname,
            session=session,
        )

    def _wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | None = None,
        *,
        owner: Any = None,
        session: Any = None,
    ) -> MemoryFace:
        """What `ssl.SSLObject` asks for."""
        for bio in (incoming, outgoing):
            if not isinstance(bio, ssl.MemoryBIO):
                raise TypeError(f"a MemoryBIO is needed, not {type(bio).__name__}")
        connection = self.new_connection(server_side=server_side, server_hostname=server_hostname, mode=MODE)
        assert isinstance(connection, ContextConnection)
        if owner is not None:
            connection.owned_by(owner)
        if session is not None:
            set_session(connection, session)
        return MemoryFace(connection, incoming, outgoing)

    def _wrap_socket(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("sockets of this context are tlswrite's: use wrap_socket")

    def _face_of(self, connection: ContextConnection) -> ssl.SSLObject:
        return facts_of(connection)

    def _check_side(self, server_side: bool) -> None:
        protocol = self.protocol
        if server_side and protocol == ssl.PROTOCOL_TLS_CLIENT:
            raise ConfigurationError("Cannot create a server socket with a PROTOCOL_TLS_CLIENT context")
        if not server_side and protocol == ssl.PROTOCOL_TLS_SERVER:
            raise ConfigurationError("Cannot create a client socket with a PROTOCOL_TLS_SERVER context")

    # ---- configurations -------------------------------------------------------------------------------

    def _client_config(self, mode: Mode) -> ClientConfig:
        config = self._config(False, mode)
        assert isinstance(config, ClientConfig)
        return config

    def _server_config(self, mode: Mode) -> ServerConfig:
        config = self._config(True, mode)
        assert isinstance(config, ServerConfig)
        return config

    def _config(self, server_side: bool, mode: Mode) -> ClientConfig | ServerConfig:
        made_of = tuple([read(self) for read in RAW.values()])
        before, configs = self._made
        if made_of != before:
            configs = {}
            self._made = made_of, configs
        config = configs.get((server_side, int(mode)))
        if config is None:
            config = self._new_server_config(mode) if server_side else self._new_client_config(mode)
            configs[server_side, int(mode)] = config
        return config

    def _new_client_config(self, mode: Mode) -> ClientConfig:
        credentials = self._identities.all
        return ClientConfig(
            **{
                **self._fields(mode),
                "session_cache": self._sessions,
                "credentials": credentials[0] if credentials else None,
                **client_fields(self),
            }
        )

    def _new_server_config(self, mode: Mode) -> ServerConfig:
        credentials = self._identities.all
        if not credentials:
            raise ConfigurationError("this context has no certificate: a server needs load_cert_chain first")
        own = server_fields(self)
        own["tickets"] = min(own["tickets"], MAX_TICKETS_SENT)
        return ServerConfig(
            **{
                **self._fields(mode),
                "session_cache": self._server_sessions,
                "ticket_keys": self._ticket_keys,
                "credentials": credentials,
                **own,
            }
        )

    def _fields(self, mode: Mode) -> dict[str, Any]:
        fields = shared_fields(self, mode)
        anchors = self._anchors.anchors
        fields["trust_anchors"] = anchors.strictly if is_strict(self) else anchors
        fields["alpn_protocols"] = self._alpn
        if self._suites12 is not None or self._suites13 is not None:
            fields["cipher_suites"] = self._suites()
        if self._groups is not None:
            fields["groups"] = self._groups
        if self._schemes is not None:
            fields["signature_schemes"] = self._schemes
        if self._keylog is not None:
            fields["keylog"] = self._keylog.write
        return fields

    def _suites(self) -> tuple[CipherSuite, ...]:
        twelve = self._suites12
        if twelve is None:
            twelve = tuple(suite for suite in DEFAULT_SUITES if suite not in TLS13_SUITES)
        return (*(TLS13_SUITES if self._suites13 is None else self._suites13), *twelve)

    def _changed(self) -> None:
        self._made = (), {}

    # ---- certificates ---------------------------------------------------------------------------------

    def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        """A certificate with its chain and its key: paths of PEM files, or PEM text.

        Credentials for several kinds of key can be loaded one after the other; another of the same kind takes the
        place of the first. Raises OSError, TypeError, and ssl.SSLError in words that say what to mend.
        """
        self._identities.add(read_credentials(certfile, keyfile, password))
        self._changed()

    def load_verify_locations(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        """Anchors to trust, besides those that are there: as in `ssl`; `cadata` may be PEM in bytes too."""
        self._anchors.add(cafile, capath, cadata)
        self._changed()

    def set_default_verify_paths(self) -> None:
        """The system's anchors: SSL_CERT_FILE, SSL_CERT_DIR, or where OpenSSL has them."""
        self._anchors.add_system()
        self._changed()

    def get_ca_certs(self, binary_form: bool = False) -> list[Any]:
        """The certificates of authorities that are trusted: as dicts, or in DER form."""
        authorities = [each for each in self._anchors.anchors.certificates if is_authority(each)]
        return [peercert_dict_of(each, binary_form) for each in authorities]

    def cert_store_stats(self) -> dict[str, int]:
        """How many anchors there are, and how many of them are authorities."""
        certificates = self._anchors.anchors.certificates
        return {"x509": len(certificates), "crl": 0, "x509_ca": sum(map(is_authority, certificates))}

    # ---- suites, groups, protocols ----------------------------------------------------------------------

    def set_ciphers(self, ciphers: str) -> None:
        """Suites of TLS 1.2 in OpenSSL's cipher list format; those of TLS 1.3 stay, as in OpenSSL.

        Raises NotImplementedError for a security level above 2.
        """
        probe = STANDARD(ssl.PROTOCOL_TLS_CLIENT)
        probe.set_ciphers(ciphers)
        if (reason := refused_level(probe.security_level)) is not None:
            raise NotImplementedError(reason)
        self._suites12 = suites_among(probe.get_ciphers())
        self._changed()

    def set_ciphersuites(self, ciphersuites: str) -> None:
        """Suites of TLS 1.3, with colons between (SSL_CTX_set_ciphersuites(3))."""
        self._suites13 = tls13_suites_in(ciphersuites)
        self._changed()

    def get_ciphers(self) -> list[dict[str, Any]]:
        """The suites that are offered or accepted, best first, described as OpenSSL does."""
        probe = STANDARD(ssl.PROTOCOL_TLS_CLIENT)
        probe.set_ciphers(
            ":".join(SUITES[suite].openssl_name for suite in DEFAULT_SUITES if suite not in TLS13_SUITES)
        )
        known = {cipher["id"] & 0xFFFF: cipher for cipher in probe.get_ciphers()}
        return [known[suite] for suite in self._suites() if suite in known]

    def set_ecdh_curve(self, curve_name: str | bytes) -> None:
        """The one group for key exchange; ValueError for a name that is not known."""
        self._groups = (group_named(os.fsdecode(curve_name)),)
        self._changed()

    def set_groups(self, grouplist: str) -> None:
        """Groups for key exchange, with colons between, best first (SSL_CTX_set1_groups_list(3))."""
        self._groups = groups_in(grouplist)
        self._changed()

    def get_groups(self, *, include_aliases: bool = False) -> list[str]:
        """The names of the groups for key exchange, best first."""
        return [group.name for group in self._config_of_any_side().groups]

    def set_server_sigalgs(self, sigalgslist: str) -> None:
        """Signature schemes for handshakes of either side, with colons between, best first."""
        self._schemes = schemes_in(sigalgslist, DEFAULT_SCHEMES)
        self._changed()

    def set_client_sigalgs(self, sigalgslist: str) -> NoReturn:
        """Raises NotImplementedError: there is one list for both sides' signatures."""
        raise NotImplementedError(
            "there is one list of signature schemes for both sides: use set_server_sigalgs"
        )

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Application protocols, best first (RFC 7301)."""
        protocols = []
        for protocol in alpn_protocols:
            if not 1 <= len(bytes(protocol, "ascii")) <= 255:
                raise ConfigurationError("ALPN protocols must be 1 to 255 in length")
            protocols.append(protocol)
        self._alpn = tuple(dict.fromkeys(protocols))
        self._changed()

    def set_npn_protocols(self, npn_protocols: Iterable[str]) -> NoReturn:
        """Raises NotImplementedError: NPN was given up for ALPN."""
        warnings.warn("ssl NPN is deprecated, use ALPN instead", DeprecationWarning, stacklevel=2)
        raise NotImplementedError("NPN is not done here: use set_alpn_protocols")

    def load_dh_params(self, path: Any) -> None:
        """Raises NotImplementedError: key exchange is on curves alone."""
        raise NotImplementedError(
            "there is no finite-field key exchange here, so its parameters are of no use"
        )

    def set_psk_client_callback(self, callback: Any) -> None:
        """Raises NotImplementedError unless `callback` is None."""
        self._refuse_psk(callback)

    def set_psk_server_callback(self, callback: Any, identity_hint: str | None = None) -> None:
        """Raises NotImplementedError unless `callback` is None."""
        self._refuse_psk(callback)

    def _refuse_psk(self, callback: Any) -> None:
        if callback is not None:
            raise NotImplementedError("there are no external pre-shared keys here: use certificates")

    # ---- callbacks, logs, counts ------------------------------------------------------------------------

    @property
    def sni_callback(self) -> SNICallback | None:
        """Called with the object, the client's server_name (None: it sent none) and this context."""
        return self._sni

    @sni_callback.setter
    def sni_callback(self, callback: SNICallback | None) -> None:
        # It raises TypeError for what cannot be called, ValueError for a context of clients.
        STANDARD.sni_callback.__set__(self, callback)
        self._sni = callback

    @property
    def keylog_filename(self) -> Any:
        """The file to which the secrets of connections are appended (NSS key log), None for none."""
        return None if self._keylog is None else self._keylog.name

    @keylog_filename.setter
    def keylog_filename(self, name: Any) -> None:
        keylog = None if name is None else KeyLog(name)
        if self._keylog is not None:
            self._keylog.close()
        self._keylog = keylog
        self._changed()

    def session_stats(self) -> dict[str, int]:
        """Counts of handshakes, with OpenSSL's names (SSL_CTX_sess_number(3))."""
        client, server = self._client_stats, self._server_stats
        return {
            "number": len(self._sessions) + len(self._server_sessions),
            "connect": client.started,
            "connect_good": client.complete,
            "connect_renegotiate": client.renegotiated,
            "accept": server.started,
            "accept_good": server.complete,
            "accept_renegotiate": server.renegotiated,
            "hits": client.hits + server.hits,
            "misses": 0,
            "timeouts": 0,
            "cache_full": 0,
        }

    def _stats_of(self, connection: ContextConnection) -> Stats:
        return self._server_stats if connection.server_side else self._client_stats

    @property
    def _msg_callback(self) -> None:
        return None

    @_msg_callback.setter
    def _msg_callback(self, callback: Any) -> None:
        if callback is not None:
            raise NotImplementedError("there is no message callback here")

    def _config_of_any_side(self) -> ClientConfig:
        return ClientConfig(**{**self._fields(Mode.AUTO_RETRY), "check_hostname": False})


def create_default_context(
    purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH,
    *,
    cafile: Any = None,
    capath: Any = None,
    cadata: Any = None,
) -> SSLContext:
    """As in `ssl`: for clients with the system's anchors (SERVER_AUTH), for servers (CLIENT_AUTH)."""
    if not isinstance(purpose, ssl.Purpose):
        raise TypeError(purpose)
    if purpose == ssl.Purpose.SERVER_AUTH:
        context: SSLContext = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    elif purpose == ssl.Purpose.CLIENT_AUTH:
        context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    else:
        raise ValueError(purpose)
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if cafile or capath or cadata:
        context.load_verify_locations(cafile, capath, cadata)
    elif context.verify_mode != ssl.CERT_NONE:
        context.load_default_certs(purpose)
    keylog = os.environ.get("SSLKEYLOGFILE")
    if keylog and not sys.flags.ignore_environment:
        context.keylog_filename = keylog
    return context
