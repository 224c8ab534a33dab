"""From a traffic secret to record protection, and to the line of a key log."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from tlswrite.config import ClientConfig, RecordPadding, ServerConfig
from tlswrite.crypto.suites import Suite
from tlswrite.limits import MAX_PLAINTEXT
from tlswrite.record.protection import Padding, TLS13Opener, TLS13Sealer
from tlswrite.tls13.schedule import KeySchedule, traffic_keys

__all__ = ["NO_LIMIT", "log_application_secrets", "log_handshake_secrets", "new_opener", "new_sealer"]

#: The largest TLSInnerPlaintext without record_size_limit: content and type (RFC 8449 §4). Bytes.
NO_LIMIT = MAX_PLAINTEXT + 1

KeyLog = Callable[[str], None]


def new_sealer(
    suite: Suite, secret: bytes, config: ClientConfig | ServerConfig, max_inner: int = NO_LIMIT
) -> TLS13Sealer:
    """Protection of what is sent under a traffic secret; `max_inner` is the peer's record_size_limit."""
    key, iv = traffic_keys(suite, secret)
    records = config.key_update_records
    return TLS13Sealer(
        suite,
        key,
        iv,
        max_inner=max_inner,
        padding=None if config.record_padding is None else padding_policy(config.record_padding),
        record_limit=None if records is None else min(records, suite.record_limit),
    )


def new_opener(suite: Suite, secret: bytes, max_inner: int = NO_LIMIT) -> TLS13Opener:
    """Opens what is received under a traffic secret; `max_inner` is our own record_size_limit."""
    key, iv = traffic_keys(suite, secret)
    return TLS13Opener(suite, key, iv, max_inner=max_inner)


@lru_cache(maxsize=16)
def padding_policy(padding: RecordPadding) -> Padding | None:
    """A configuration's `record_padding` as a function (RFC 9846 §5.4)."""
    if isinstance(padding, int):
        multiple = padding
        return lambda length: -length % multiple
    return padding


def log_handshake_secrets(keylog: KeyLog | None, client_random: bytes, schedule: KeySchedule) -> None:
    """The lines of an NSS key log for handshake traffic (RFC 9850)."""
    if keylog is not None:
        keylog(_line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", client_random, schedule.client_handshake))
        keylog(_line("SERVER_HANDSHAKE_TRAFFIC_SECRET", client_random, schedule.server_handshake))


def log_application_secrets(keylog: KeyLog | None, client_random: bytes, schedule: KeySchedule) -> None:
    """The lines for application traffic and exporters."""
    if keylog is not None:
        keylog(_line("CLIENT_TRAFFIC_SECRET_0", client_random, schedule.client_application))
        keylog(_line("SERVER_TRAFFIC_SECRET_0", client_random, schedule.server_application))
        keylog(_line("EXPORTER_SECRET", client_random, schedule.exporter))


def _line(label: str, client_random: bytes, secret: bytes) -> str:
    return f"{label} {client_random.hex()} {secret.hex()}"
