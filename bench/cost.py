#!/usr/bin/env python3
"""Counts what a message costs the client, and compares it with recorded bounds.

    cost.py THROUGHPUT SERVER COUNTERS [--print]

Nothing is timed. Each figure is the difference of two runs of different length, divided by the
messages between them, so that starting and stopping do not count: allocations, and the system calls
that move bytes, by a preloaded library; instructions by callgrind (left out where valgrind is
missing). A figure above its bound fails; one far below it too, so that what was won is written down
here. How often the client waits for the loop depends on the machine's other work: it is told, and not
judged. What it costs to encrypt depends on the processor: it is counted with --print only.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

# The most that a message of 1 KiB costs, 10 connections, gcc -O2 on x86-64 with AVX2 or without.
BOUNDS = {
    "chunking": {"allocations": 0, "transfers": 0.15, "instructions": 3100},
    "group": {"allocations": 0, "transfers": 2.1, "instructions": 5300},
    "none": {"allocations": 0, "transfers": 8.2, "instructions": 9700},
    "tls": {"allocations": 0, "transfers": 0.15},
}
OFFERS = {"tls": "chunking"}  # what the server of a mode offers, if not the mode itself
SLACK = 0.6  # of a bound: what is below is worth a lower one
FEW, MANY = 10000, 30000  # messages of the two runs; all are more than the client's window
VALGRIND = 5000, 9000     # likewise under valgrind
TLS_VALGRIND = 5000, 25000  # so many that it matters little how many handshakes were full ones


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """The server that takes everything, on a port of its own; `ready` is false if it cannot TLS."""

    def __init__(self, program, mode, folder):
        self.mode, self.port = mode, str(free_port())
        self.certificate = os.path.join(folder, "ca.pem")
        command = [program, self.port, OFFERS.get(mode, mode)]
        if mode == "tls":
            command.append(self.certificate)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def __enter__(self):
        self.ready = self.process.stdout.readline().startswith(b"listening")
        if not self.ready and self.mode != "tls":
            sys.exit("cost: the server did not start")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate()

    def serve(self, program, messages, prefix=(), **environment):
        """Runs the client against it."""
        command = [*prefix, program, "127.0.0.1", self.port, str(messages), "1024", "10"]
        if self.mode == "tls":
            command.append("tls")
        env = dict(os.environ, UVSMTP_BENCH_PIPELINING=OFFERS.get(self.mode, self.mode),
                   UVSMTP_BENCH_CA=self.certificate, **environment)
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("cost: %s failed:\n%s%s" % (" ".join(command), done.stdout, done.stderr))
        return done


def counted(server, program, counters, messages, folder):
    name = os.path.join(folder, "counted")
    server.serve(program, messages, LD_PRELOAD=counters, UVSMTP_BENCH_COUNT=name)
    with open(name) as file:
        return json.load(file)


def instructions(server, program, messages):
    prefix = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    done = server.serve(program, messages, prefix)
    return int(re.search(r"I\s+refs:\s+([\d,]+)", done.stderr).group(1).replace(",", ""))


def measure(program, server, counters, mode, every):
    """What a message costs, by the names of BOUNDS, and waits; nothing if it cannot be counted."""
    with tempfile.TemporaryDirectory() as folder, Server(server, mode, folder) as peer:
        if not peer.ready:
            return {}
        few, many = (counted(peer, program, counters, n, folder) for n in (FEW, MANY))
        figures = {k: (many[k] - few[k]) / (MANY - FEW) for k in few}
        if shutil.which("valgrind") is not None and (mode != "tls" or every):
            lengths = TLS_VALGRIND if mode == "tls" else VALGRIND
            low, high = (instructions(peer, program, n) for n in lengths)
            figures["instructions"] = (high - low) / (lengths[1] - lengths[0])
        return figures


def judge(mode, figures):
    """What is wrong with the figures of a mode."""
    for what, most in BOUNDS[mode].items():
        figure = figures.get(what, most)
        if figure > most + 0.001:
            yield "%s: %.3f %s a message, the bound is %s" % (mode, figure, what, most)
        if what == "instructions" and figure < most * SLACK:
            yield "%s: %.0f instructions a message: write a lower bound than %d" % (
                mode, figure, most)


def main():
    program, server, counters = sys.argv[1:4]
    every = "--print" in sys.argv
    wrong, table = [], {}
    for mode in BOUNDS:
        table[mode] = figures = measure(program, server, counters, mode, every)
        print(mode, *("%s %.3f" % figure for figure in sorted(figures.items())), sep="  ")
        wrong += judge(mode, figures)
    if every:
        print(json.dumps(table))
        return 0
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
