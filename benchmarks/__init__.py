"""Benchmarks: `python -m benchmarks`.

Both ends of every connection live in one process and on one event loop, and what is counted is CPU time
(`time.process_time`: user and system, so the kernel's part of a send is in it). All variants run the same
protocol classes over sockets made alike, take turns in small slices within one run, and are compared
repetition by repetition; absolute figures move from machine to machine, the ratios hold.

    __main__.py    command line
    variants.py    who is measured: a TLS library on an event loop, and how it connects and serves
    workloads.py   what is measured: echo, one-way, handshake, and the bare cost of the AEAD
    schedule.py    how: slices, turns, repetitions
    memory.py      resident memory of an idle connection endpoint, each variant in a process of its own
    report.py      tables, ratios, JSON
"""
