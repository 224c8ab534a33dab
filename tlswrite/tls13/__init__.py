"""TLS 1.3 (RFC 9846).

* `schedule`: the key schedule: secrets, traffic keys, Finished, exporters
* `authentication`: Certificate, CertificateVerify and Finished, as both sides send and receive them
* `client`, `server`: the handshakes, each a straight line of steps as in the RFC's figures
* `post_handshake`: what comes after: KeyUpdate, NewSessionTicket, authentication of the client
"""
