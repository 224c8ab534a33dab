"""Explicit limits: record sizes, AEAD usage limits, bounds on what a peer may make us hold.

Every number that bounds memory or work stands here, with its unit and its source.
"""

from __future__ import annotations

from typing import Final

#: Record header: type (1), legacy version (2), length (2) (RFC 9846 §5.1). Bytes.
RECORD_HEADER: Final = 5

#: Largest plaintext of one record, 2^14 bytes (RFC 9846 §5.1); the "message block" of SSL_write(3).
MAX_PLAINTEXT: Final = 16384

#: Largest TLSCiphertext.encrypted_record in TLS 1.3, 2^14 + 256 bytes (RFC 9846 §5.2).
MAX_CIPHERTEXT: Final = MAX_PLAINTEXT + 256

#: Smallest record_size_limit that may be negotiated (RFC 8449 §4). Bytes.
MIN_RECORD_SIZE_LIMIT: Final = 64

#: Authentication tag of every AEAD used here. Bytes.
TAG: Final = 16

#: Growth of a TLS 1.3 record over its content: header, inner content type, tag. Bytes.
RECORD_OVERHEAD: Final = RECORD_HEADER + 1 + TAG

#: The same in the version and suite where it is largest: TLS 1.2 with AES-GCM sends 8 bytes of nonce. Bytes.
MAX_RECORD_OVERHEAD: Final = RECORD_HEADER + 8 + TAG

#: Records that one send window holds, and so the most ciphertext a connection holds.
WINDOW_RECORDS: Final = 8

#: Room at the end of a send window for control records (a KeyUpdate, an alert). Bytes.
CONTROL_RESERVE: Final = 512

#: Size of one send window: ciphertext held never goes above it. Bytes.
SEND_WINDOW: Final = WINDOW_RECORDS * (MAX_PLAINTEXT + MAX_RECORD_OVERHEAD) + CONTROL_RESERVE

#: Send windows kept for the next connection that needs one, in the whole process.
SPARE_WINDOWS: Final = 8

#: Bytes read at one wake-up before other connections of the loop get their turn: whole records, so that 256 KiB
#: written at once are read at once.
READ_BUDGET: Final = 16 * (MAX_PLAINTEXT + MAX_RECORD_OVERHEAD)

#: Plaintext sent in one turn of the loop before other connections get theirs. Bytes.
WRITE_BUDGET: Final = 256 * 1024

#: Plaintext held for an application that paused reading, before the socket is left unread. Bytes.
PAUSED_READ_LIMIT: Final = 64 * 1024

#: Plaintext kept for `read` while a write carries on a renegotiation, before the write waits for the reader. Bytes.
KEPT_IN_WRITE: Final = 256 * 1024

#: AES-GCM: records under one key before it must be replaced, 2^24.5 (RFC 9846 §5.5), kept a little
#: under the limit so that the KeyUpdate itself and a last alert still fit.
AES_GCM_RECORDS: Final = 23_726_566 - 1024

#: ChaCha20-Poly1305: the sequence number ends before the safety limit (RFC 9846 §5.5).
CHACHA20_POLY1305_RECORDS: Final = 2**64 - 1024

#: A TLS 1.3 sequence number must not wrap (RFC 9846 §5.3).
MAX_SEQUENCE_NUMBER: Final = 2**64 - 1

#: Largest handshake message body accepted, by kind. Bytes. Certificate chains get the larger bound.
MAX_HANDSHAKE_MESSAGE: Final = 65536
MAX_CERTIFICATE_MESSAGE: Final = 262144

#: Post-handshake messages that carry no application data between them. A peer that sends more
#: KeyUpdates in a row than this without any application data is refused.
MAX_KEY_UPDATES_IN_A_ROW: Final = 32

#: Renegotiations that a peer asks for with no application data between them in either direction.
MAX_RENEGOTIATIONS_IN_A_ROW: Final = 32

#: NewSessionTickets without application data between them before the peer is refused.
MAX_TICKETS: Final = 64

#: A ticket's lifetime, and the age of the handshake that its session goes back to (RFC 9846 §4.7.1). Seconds.
MAX_TICKET_LIFETIME: Final = 7 * 24 * 3600

#: Lifetime of a server's tickets, and of sessions whose server names none. Seconds.
TICKET_LIFETIME: Final = 7200

#: Tickets that a server sends at the end of one handshake.
MAX_TICKETS_SENT: Final = 16

#: Largest ticket that is issued or kept: one with a chain of certificates in it has some kilobytes. Bytes.
MAX_TICKET: Final = 16384

#: Pre-shared keys of a ClientHello that a server tries to recognise.
MAX_PSK_IDENTITIES: Final = 8

#: Sessions in a cache, and those of them for one server.
CACHED_SESSIONS: Final = 256
CACHED_SESSIONS_PER_KEY: Final = 4

#: How far the clock of another host that shares ticket keys may be ahead. Seconds.
CLOCK_SKEW: Final = 60

#: Records without progress (empty application data, ignored change_cipher_spec or warning alerts)
#: accepted in a row before the peer is refused.
MAX_EMPTY_RECORDS: Final = 32

#: Early data that is skipped where it is not accepted (RFC 9846 §4.3.10), records with their headers: twice
#: what servers that accept it commonly allow. Bytes.
MAX_SKIPPED_EARLY_DATA: Final = 32768

#: Largest OCSP response, one's own or a peer's; the usual ones have 500 to 4000. Bytes.
MAX_OCSP_RESPONSE: Final = 32768

#: Answers in one OCSP response, and certificates tried as its responder's: each costs two signature checks.
MAX_OCSP_ANSWERS: Final = 16
MAX_OCSP_RESPONDERS: Final = 4

#: How far apart the clocks of an OCSP responder and of this side may be. Seconds.
OCSP_SKEW: Final = 300

#: How long an OCSP response without nextUpdate is good, as Mozilla's pkix has it. Seconds.
OCSP_LIFETIME: Final = 24 * 3600

#: Certificates in one chain.
MAX_CHAIN_LENGTH: Final = 16

#: Extensions in one message.
MAX_EXTENSIONS: Final = 128

#: asyncio defaults: seconds.
HANDSHAKE_TIMEOUT: Final = 60.0
SHUTDOWN_TIMEOUT: Final = 30.0

#: Lingering close: seconds, and bytes discarded, while the peer takes what is in flight.
LINGER_TIME: Final = 2.0
LINGER_BYTES: Final = 4 * 1024 * 1024
