#!/usr/bin/env python3
"""Sends mail by Python's own client to a server that "run" started: does the server do its part?

    run NAME -- prove.py NAME

With STARTTLS and AUTH, with implicit TLS and AUTH, and by LMTP, as far as the server has them;
each message must arrive unchanged; and every port must greet. Python's client is not what is tested here: when a test against
a server fails, this tells whether to look at the server or at uvsmtp.
"""
import os
import smtplib
import socket
import ssl
import sys
import time
from pathlib import Path

env = os.environ
prefix = sys.argv[1].upper() + "_"
IMPLICIT_TLS = ("PORT_TLS", "PORT_CLIENTCERT")
serial = iter(range(1000))


def arrived(mark, folder):
    """The message with that mark, once it lies in a maildir."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for path in Path(folder).rglob("new/*"):
            content = path.read_bytes()
            if mark in content:
                return content
        time.sleep(0.05)
    sys.exit("%s did not arrive in %s" % (mark.decode(), folder))


def deliver(client, folder):
    mark = b"mark-%d-%d" % (os.getpid(), next(serial))
    body = b".\r\n..\r\nlast line\r\n"
    message = b"From: ada@test.example\r\nSubject: " + mark + b"\r\n\r\n" + body
    client.sendmail("ada@test.example", ["ada@test.example"], message)
    client.quit()
    got = arrived(mark, folder).replace(b"\r\n", b"\n")
    if not got.endswith(b"\n\n" + body.replace(b"\r\n", b"\n")):
        sys.exit("the message was changed: %r" % got)


def context():
    return ssl.create_default_context(cafile=env["TEST_CA_FILE"])


def by_starttls(port, mailbox):
    client = smtplib.SMTP(env["TEST_HOST"], port, local_hostname="client.test.example", timeout=30)
    client.ehlo()
    if client.has_extn("starttls"):
        client._host = env["TEST_TLS_NAME"]
        client.starttls(context=context())
        client.login(env["TEST_USER"], env["TEST_PASSWORD"])
    deliver(client, mailbox)


def by_tls(port, mailbox):
    client = smtplib.SMTP_SSL(env["TEST_HOST"], port, local_hostname="client.test.example",
                              timeout=30, context=context())
    client.login(env["TEST_USER"], env["TEST_PASSWORD"])
    deliver(client, mailbox)


def greets(name):
    """Every port says something, so that no mistake in the configuration of one stays hidden."""
    context = ssl._create_unverified_context() if name in IMPLICIT_TLS else None
    with socket.create_connection((env["TEST_HOST"], int(env[prefix + name])), 20) as s:
        s = context.wrap_socket(s) if context else s
        greeting = s.recv(100)
    if not greeting.startswith((b"220", b"421")):
        sys.exit("%s: a greeting was expected, not %r" % (name, greeting))


def main():
    for name in sorted(env):
        if name.startswith(prefix + "PORT") and not name.endswith("_TOKENS"):
            greets(name[len(prefix):])
    mailbox = env[prefix + "MAILDIR"]
    submitted = env.get(prefix + "RELAY_MAILDIR", mailbox)
    for name in ("PORT", "PORT_SUBMISSION"):
        if prefix + name in env:
            by_starttls(int(env[prefix + name]), submitted)
    if prefix + "PORT_TLS" in env:
        by_tls(int(env[prefix + "PORT_TLS"]), submitted)
    if prefix + "PORT_LMTP" in env:
        deliver(smtplib.LMTP(env["TEST_HOST"], int(env[prefix + "PORT_LMTP"])), mailbox)
    if prefix + "SOCKET_LMTP" in env:
        deliver(smtplib.LMTP(env[prefix + "SOCKET_LMTP"]), mailbox)


main()
