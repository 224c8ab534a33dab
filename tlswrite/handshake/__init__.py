"""What the handshakes of all versions share.

* `runner`: drives a handshake generator: legality first, then resumption
* `entropy`: where randomness comes from, as one replaceable object
* `opening`: the first message of each side, before the version is known
* `offer`: build a ClientHello, and build it again after a HelloRetryRequest
* `select`: the server's choices: suite, group, credentials and signature scheme, application protocol
* `facts`: what applications ask of it
* `negotiated`: what a finished handshake agreed on
"""
