#!/usr/bin/env python3
"""Many messages through one client, pipelined and chunked, to a real server: each that was said to
be accepted lies there once, unchanged by the hash of its body, and nothing else does.

    ../servers/run NAME -- bulk.py NAME PROGRAM

UVSMTP_BULK=N in the environment sends N messages instead of the few of a usual run (10000 are what
a release is tried with; slow servers take minutes), UVSMTP_BULK_CONNECTIONS=N over N connections.
"""
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

env = os.environ
server, program = sys.argv[1], sys.argv[2]
# Exim ends a session with the eleventh message that it refused; there have to be as many.
COUNT = int(env.get("UVSMTP_BULK", "600" if server == "exim" else "300"))
CONNECTIONS = env.get("UVSMTP_BULK_CONNECTIONS", "4")
HOST = env["TEST_HOST"]
LOGIN = "%s:%s@" % (quote(env["TEST_USER"]), quote(env["TEST_PASSWORD"]))
PATIENCE = 60 + COUNT / 20  # seconds, until a server that takes mail first has stored it


def url(scheme, port, login=LOGIN, options=""):
    return "%s://%s%s:%s%s" % (scheme, login, HOST, env.get(server.upper() + "_" + port), options)


# Name of the run, URL, maildir, ways of talking to leave out.
RUNS = {
    "postfix": [("STARTTLS, chunks", url("smtp", "PORT"), "POSTFIX_MAILDIR", []),
                ("in the clear, groups", url("smtp", "PORT", "", "?tls=none"), "POSTFIX_MAILDIR",
                 ["no-chunking"])],
    "exim": [("STARTTLS, chunks", url("smtp", "PORT"), "EXIM_MAILDIR", [])],
    "opensmtpd": [("one command at a time", url("smtp", "PORT", "", "?tls=none"),
                   "OPENSMTPD_MAILDIR", [])],
    # The submission process of this version crashes behind what its relay has refused, and spoils
    # every second transaction of a session.
    "dovecot": [("submission", url("smtp", "PORT"), "DOVECOT_RELAY_MAILDIR", ["taken", "fresh"]),
                ("LMTP", url("lmtp", "PORT_LMTP", "", "?tls=none"), "DOVECOT_MAILDIR", []),
                ("LMTP over a Unix socket",
                 "lmtp+unix://%s" % env.get("DOVECOT_SOCKET_LMTP", ""), "DOVECOT_MAILDIR", [])],
    "aiosmtpd": [("one command at a time", url("smtp", "PORT"), "AIOSMTPD_MAILDIR", []),
                 ("LMTP", url("lmtp", "PORT_LMTP", "", "?tls=none"), "AIOSMTPD_MAILDIR", [])],
    "haraka": [("nothing behind the dot", url("smtp", "PORT", "", "?tls=none"), "HARAKA_MAILDIR",
                [])],
    "smtp_server": [("groups", url("smtp", "PORT", "", "?tls=none"), "SMTP_SERVER_MAILDIR", []),
                    ("LMTP", url("lmtp", "PORT_LMTP", "", "?tls=none"), "SMTP_SERVER_MAILDIR", [])],
}
TARGET = "load@test.example" if server == "opensmtpd" else "ada@test.example"


def send(where, ways):
    done = subprocess.run([program, where, str(COUNT), CONNECTIONS, env["TEST_CA_FILE"], TARGET]
                          + ways, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("%s ended with %d" % (program, done.returncode))
    hashes, told, summary = {}, {}, None
    for line in done.stdout.splitlines():
        words = line.split()
        if words[0] == "message":
            hashes[int(words[1])] = words[3]
        elif words[0] == "recipient":
            told.setdefault(int(words[1]), []).append((words[2], words[3], int(words[4])))
        else:
            summary = line
    return hashes, told, summary


def stored(folder, seen):
    """Number of the message -> hashes of its copies; each file is read once."""
    for path in Path(folder).rglob("new/*"):
        if path in seen["paths"]:
            continue
        seen["paths"].add(path)
        head, _, body = path.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
        mark = re.search(rb"^X-Bulk: (\d+)$", head, re.M)
        if mark:
            digest = hashlib.sha256(body).hexdigest()
            seen["copies"].setdefault(int(mark.group(1)), []).append(digest)
    return seen["copies"]


def wait_for(folder, seen, count):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        copies = stored(folder, seen)
        if sum(len(found) for found in copies.values()) >= count:
            break
        time.sleep(0.2)
    time.sleep(0.5)  # one that is stored twice comes late
    return stored(folder, seen)


def expected(number, recipients, taken):
    """What the statuses have to be, by what bulk.c made of this number."""
    if taken:
        return ["accepted"]
    if number % 11 == 2:
        return ["rejected", ["deferred", "rejected"]]  # Dovecot knows nobody who is busy
    first = ["rejected", "accepted"] if number % 13 == 5 else ["accepted"]
    return [first, ["rejected"]][:len(recipients)]


def judge(number, recipients, taken, wrong):
    want = expected(number, recipients, taken)
    for (address, status, code), good in zip(recipients, want):
        if status not in (good if isinstance(good, list) else [good]):
            wrong.append("message %d to %s: %s %d" % (number, address, status, code))
    if len(recipients) != len(want):
        wrong.append("message %d: %d results" % (number, len(recipients)))


def run(name, where, folder, ways):
    seen = {"paths": set(Path(folder).rglob("new/*")), "copies": {}}
    started = time.monotonic()
    hashes, told, summary = send(where, ways)
    took = time.monotonic() - started
    accepted = {number for number, recipients in told.items()
                if any(status == "accepted" for _, status, _ in recipients)}
    copies = wait_for(folder, seen, len(accepted))
    wrong = []
    for number in range(1, COUNT + 1):
        judge(number, told.get(number, []), "taken" in ways, wrong)
        found = copies.get(number, [])
        if len(found) != (number in accepted):
            wrong.append("message %d: %d copies, and it was%s accepted" % (
                number, len(found), "" if number in accepted else " not"))
        elif found and found[0] != hashes[number]:
            wrong.append("message %d was changed" % number)
    print("%s %s, %s: %d messages in %.1f s, %d accepted, %s" % (
        "FAILED" if wrong else "ok    ", server, name, COUNT, took, len(accepted), summary),
        flush=True)
    for line in wrong[:10]:
        print("       ", line)
    return not wrong


sys.exit(0 if all([run(name, where, env[folder], ways)
                   for name, where, folder, ways in RUNS[server]]) else 1)
