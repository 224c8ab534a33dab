"""Benchmarks: `python -m benchmarks`.

Both ends of a connection live in one process and on one event loop, but for `https` and `idle`, and what is counted
is CPU time (`time.process_time`: user and system, so the kernel's part of a send is in it). All variants run the
same protocol classes over sockets made alike, take turns in small slices within one run, and are compared
repetition by repetition; absolute figures move from machine to machine, the ratios hold.

    __main__.py    command line
    variants.py    who is measured: a TLS library on an event loop, and how it connects and serves
    measures.py    what is measured, by name; the rooms for it are the next ones
    catalogue.py   every workload: an operation on connections, timed in slices
    workloads.py     echo, one-way, full handshake; and the bare cost of the AEAD
    interfaces.py    echo and one-way through streams and with BufferedProtocol
    mixed.py         messages of many sizes
    slow.py          readers that are slower than what is written to them
    resumption.py    resumed handshake
    many.py          a thousand connections at once
    latency.py     percentiles of round trips by the wall clock
    https.py       requests under aiohttp and uvicorn (https_server.py), with a load generator
    memory.py      resident memory of an idle connection endpoint, each variant in a process of its own
    idle.py        the same of ten thousand connections, each end in a process of its own
    child.py       such a process, which can be asked
    growth.py      how cost grows with size and number; growth_of_transports.py the same over sockets
    schedule.py    how it is measured: slices, turns, repetitions
    report.py      tables, ratios, JSON
    plots.py       SVG
"""
