"""Handshake messages: bytes <-> frozen message objects, nothing else (RFC 9846 §4, §B.3).

`framing` joins fragments into messages and holds the table of types; `hello`, `certificate` and `finish` hold
the messages; `extensions` what stands inside them. A message object is well-formed in itself; whether it is
legal at this moment, and fits what was said before, is for the handshake to decide. Values of open registries
stay plain ints, unknown ones (GREASE among them, RFC 8701) included, and extensions stay as they were on the
wire until somebody asks for one: an extension that this side ignores is never decoded.
"""
