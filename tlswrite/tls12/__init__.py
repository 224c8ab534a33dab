"""TLS 1.2 (RFC 5246) with what later RFCs made of it: ECDHE and AEAD alone, extended main secret, RFC 5746.

* `schedule`: main secret, key block, Finished, exporters
* `authentication`: what both sides do alike: certificates, signatures, change_cipher_spec and Finished
* `client`, `server`: the handshakes, each a straight line of steps as in the RFC's figures
* `renegotiation`: what a connection is after its handshake, and how another one begins
"""
