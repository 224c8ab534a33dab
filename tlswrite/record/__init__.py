"""The record layer: protection of one direction, the send path and the receive path.

`SendPath` and `ReceivePath` share no fields, so a write made while a read is being delivered is safe.
"""
