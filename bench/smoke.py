#!/usr/bin/env python3
"""The programs that are measured over TLS do what they say, if only a little of it.

    smoke.py FOLDER     where they were built

Nothing is timed. Exit status 77: the server was built without TLS.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE, MESSAGES, CONNECTIONS = 3000, 40, 4


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


class Server:
    def __init__(self, folder, offer, scratch, rtt=0):
        self.port, self.certificate = free_port(), os.path.join(scratch, offer + ".pem")
        self.process = subprocess.Popen([folder / "server", self.port, offer, self.certificate],
                                        stdout=subprocess.PIPE,
                                        env=dict(os.environ, UVSMTP_BENCH_RTT=str(rtt)))
        if not self.process.stdout.readline().startswith(b"listening"):
            self.process.communicate()
            sys.exit(77)

    def run(self, *command, trusting=True):
        env = {k: v for k, v in os.environ.items() if k != "UVSMTP_BENCH_CA"}
        if trusting:
            env["UVSMTP_BENCH_CA"] = self.certificate
        return subprocess.run([str(word) for word in command], env=env, capture_output=True,
                              text=True, timeout=100)

    def deliver(self, *program, words=("tls",), **keywords):
        return self.run(*program, "127.0.0.1", self.port, MESSAGES, SIZE, CONNECTIONS, *words,
                        **keywords)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return json.loads(self.process.communicate(timeout=30)[0])


def check(good, *what):
    if not good:
        sys.exit("smoke: " + " ".join(map(str, what)))


def check_told(name, done):
    check(done.returncode == 0, name, done.stderr)
    told = json.loads(done.stdout)
    check(told["accepted"] == MESSAGES and told["tls"] is True and told["rate"] > 0, name, told)


def check_offer(folder, offer, scratch, peers):
    """Every client against one server, which counts as many messages as they tell of."""
    server = Server(folder, offer, scratch)
    check(server.deliver(folder / "throughput", trusting=False).returncode == 1,
          "a certificate that nobody trusts was taken")
    check_told("throughput", server.deliver(folder / "throughput"))
    check_told("bare", server.deliver(folder / "bare", words=(offer, "tls")))
    for peer in peers:
        check_told(peer, server.deliver(peer))
    told = server.end()
    check(told["messages"] == MESSAGES * (2 + len(peers)), offer, told)
    # The client may need one connection only; the bare program opens all.
    check(told["tls_handshakes"] > CONNECTIONS, offer, told)
    if offer == "chunking" and not peers:
        check(told["octets"] == MESSAGES * SIZE * 2, offer, told)


def check_handshakes(folder, scratch):
    server = Server(folder, "chunking", scratch)
    for where in ((), ("loop",)):
        done = server.run(folder / "handshakes", "127.0.0.1", server.port, 30, *where)
        check(done.returncode == 0, "handshakes", done.stderr)
        told = json.loads(done.stdout)
        check(told["handshakes"] == 30 and 20 <= told["resumed"] < 30, "handshakes", told)
    told = server.end()
    check(told["tls_handshakes"] == 60 and told["tls_resumed"] >= 40, "handshakes", told)


def check_far_away(folder, scratch):
    """What is said last is heard too: the client waits for the answer to QUIT."""
    server = Server(folder, "group", scratch, rtt=5)
    check_told("throughput", server.deliver(folder / "throughput"))
    check_told("bare", server.deliver(folder / "bare", words=("group", "tls")))
    told = server.end()
    check(told["messages"] == MESSAGES * 2, "far away", told)


def find_peers(folder, scratch):
    if (folder / "curl_multi").exists():
        yield folder / "curl_multi"
    peer = Path(scratch) / "peer"
    if shutil.which("go") and subprocess.run(
            ["go", "build", "-o", str(peer), str(Path(__file__).with_name("peer.go"))],
            env=dict(os.environ, GOCACHE=os.path.join(scratch, "go"))).returncode == 0:
        yield peer


def main():
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        check_offer(folder, "chunking", scratch, [])
        check_offer(folder, "group", scratch, [])
        check_offer(folder, "none", scratch, list(find_peers(folder, scratch)))
        check_handshakes(folder, scratch)
        check_far_away(folder, scratch)


if __name__ == "__main__":
    main()
