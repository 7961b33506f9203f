#!/usr/bin/env python3
"""Counts what a message costs the client, and compares it with recorded bounds.

    cost.py THROUGHPUT SERVER COUNTERS [--print]

Nothing is timed. Each figure is the difference of two runs of different length, divided by the
messages between them, so that starting and stopping do not count: allocations, and the system calls
that move bytes, by a preloaded library; instructions by callgrind (left out where valgrind is
missing). A figure above its bound fails; one far below it too, so that what was won is written down
here. "crowd" is what a message costs with 1000 connections: as many times as much as with 10, and
the lines of memory that it touches and that a cache of 2 MiB does not hold, for it is those that
many connections cost. How often the client waits for the loop depends on the machine's other work:
it is told, and not judged. What it costs to encrypt depends on the processor: it is counted with
--print only.
"""
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

# The most that a message of 1 KiB costs, 10 connections, gcc -O2 on x86-64 with AVX2.
BOUNDS = {
    "chunking": {"allocations": 0, "transfers": 0.042, "instructions": 1570},
    "group": {"allocations": 0, "transfers": 2.1, "instructions": 4700},
    "none": {"allocations": 0, "transfers": 8.2, "instructions": 8930},
    "tls": {"allocations": 0, "transfers": 0.15},
    "crowd": {"allocations": 0, "transfers_ratio": 1.3, "instructions_ratio": 1.3, "lines": 32},
}
WITHOUT_AVX2 = 500  # more instructions: a content is scanned in narrower steps
# What the server of a mode offers, if not the mode itself.
OFFERS = {"tls": "chunking", "crowd": "chunking"}
SLACK = 0.6  # of a bound: what is below is worth a lower one
FEW, MANY = 10000, 30000  # messages of the two runs; all are more than the client's window
VALGRIND = 5000, 9000     # likewise under valgrind
TLS_VALGRIND = 5000, 25000  # so many that it matters little how many handshakes were full ones
CROWD, USUAL = 1000, 10  # connections
# More than their window, several times where that is cheap: all have what they keep.
CROWD_MESSAGES, CROWD_VALGRIND = (300000, 500000), (60000, 100000)
CROWD_ENVIRONMENT = {"UVSMTP_BENCH_IN_DOUBT": "32"}
CACHE = ("--cache-sim=yes", "--I1=32768,8,64", "--D1=49152,12,64", "--LL=2097152,16,64")


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

    def serve(self, program, messages, prefix=(), connections=USUAL, **environment):
        """Runs the client against it."""
        command = [*prefix, program, "127.0.0.1", self.port, str(messages), "1024",
                   str(connections)]
        if self.mode == "tls":
            command.append("tls")
        env = dict(os.environ, UVSMTP_BENCH_PIPELINING=OFFERS.get(self.mode, self.mode),
                   UVSMTP_BENCH_CA=self.certificate, **environment)
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("cost: %s failed:\n%s%s" % (" ".join(command), done.stdout, done.stderr))
        return done


def counted(server, program, counters, messages, folder, **how):
    name = os.path.join(folder, "counted")
    server.serve(program, messages, LD_PRELOAD=counters, UVSMTP_BENCH_COUNT=name, **how)
    with open(name) as file:
        return json.load(file)


def simulated(server, program, messages, options=(), **how):
    """Instructions, and lines that a cache did not hold if `options` say so."""
    prefix = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *options)
    done = server.serve(program, messages, prefix, **how)
    told = dict(re.findall(r"(I\s+refs|LLd misses):\s+([\d,]+)", done.stderr))
    figures = {"instructions": told[next(k for k in told if k.startswith("I"))],
               "lines": told.get("LLd misses", "0")}
    return {k: int(v.replace(",", "")) for k, v in figures.items()}


def difference(few, many, messages):
    return {k: (many[k] - few[k]) / (messages[1] - messages[0]) for k in few}


def measure(program, server, counters, mode, every):
    """What a message costs, by the names of BOUNDS, and waits; nothing if it cannot be counted."""
    with tempfile.TemporaryDirectory() as folder, Server(server, mode, folder) as peer:
        if not peer.ready:
            return {}
        messages = FEW, MANY
        figures = difference(*(counted(peer, program, counters, n, folder) for n in messages),
                             messages)
        if shutil.which("valgrind") is not None and (mode != "tls" or every):
            messages = TLS_VALGRIND if mode == "tls" else VALGRIND
            costs = difference(*(simulated(peer, program, n) for n in messages), messages)
            figures["instructions"] = costs["instructions"]
        return figures


def measure_crowd(program, server, counters):
    """The same with many connections, and how many times that is as much as with few."""
    costs = {}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * CROWD:
        return {}
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * CROWD), hard))
    with tempfile.TemporaryDirectory() as folder, Server(server, "crowd", folder) as peer:
        for connections in USUAL, CROWD:
            how = dict(CROWD_ENVIRONMENT, connections=connections)
            few, many = (counted(peer, program, counters, n, folder, **how)
                         for n in CROWD_MESSAGES)
            costs[connections] = difference(few, many, CROWD_MESSAGES)
            if shutil.which("valgrind") is not None:
                few, many = (simulated(peer, program, n, CACHE, **how) for n in CROWD_VALGRIND)
                costs[connections].update(difference(few, many, CROWD_VALGRIND))
    crowd, usual = costs[CROWD], costs[USUAL]
    figures = {k: crowd[k] for k in ("allocations", "lines") if k in crowd}
    for what in "transfers", "instructions":
        if what in crowd:
            figures[what + "_ratio"] = crowd[what] / usual[what]
    return figures


def has_avx2():
    try:
        with open("/proc/cpuinfo") as file:
            return re.search(r"^flags\s*:.*\bavx2\b", file.read(), re.M) is not None
    except OSError:
        return False


def judge(mode, figures):
    """What is wrong with the figures of a mode."""
    for what, most in BOUNDS[mode].items():
        if what == "instructions" and not has_avx2():
            most += WITHOUT_AVX2
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
        figures = (measure_crowd(program, server, counters) if mode == "crowd" else
                   measure(program, server, counters, mode, every))
        table[mode] = figures
        print(mode, *("%s %.3f" % figure for figure in sorted(figures.items())), sep="  ")
        wrong += judge(mode, figures)
    if every:
        print(json.dumps(table))
        return 0
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
