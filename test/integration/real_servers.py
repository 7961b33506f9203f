#!/usr/bin/env python3
"""uvsmtp send against real mail servers: what arrives, and what is said of what does not.

    ../servers/run NAME -- real_servers.py NAME PROGRAM [DIGEST_MD5]

DIGEST_MD5 is examples/digest_md5.c.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

env = os.environ
server, program = sys.argv[1], sys.argv[2]
prefix = server.upper() + "_"
HOST, CA = env["TEST_HOST"], env["TEST_CA_FILE"]
BODY = b".\r\n..dots\r\n.\n" + b"x" * 900 + b"\r\nlast line without an end"
failures = []
serial = iter(range(100000))


def port(name):
    return env.get(prefix + name)


def send(url, *arguments, mark=b"", sender="ada@test.example", to=("ada@test.example",), ca=CA,
         password=env["TEST_PASSWORD"], user=env["TEST_USER"], header=b""):
    message = b"From: " + sender.encode() + b"\r\nSubject: " + mark + b"\r\n" + header + b"\r\n" + BODY
    command = [program, "send", "--server", url, "--json", "--from", sender, "--timeout", "30",
               "--ehlo", "client.test.example"]
    for address in to:
        command += ["--to", address]
    if ca:
        command += ["--ca", ca]
    if user:
        command += ["--user", user]
    own = dict(env, UVSMTP_PASSWORD=password) if user else dict(env)
    done = subprocess.run(command + list(arguments), input=message, env=own, timeout=90,
                          capture_output=True)
    lines = done.stdout.decode().splitlines()
    return done.returncode, json.loads(lines[0]) if lines else None, done.stderr.decode()


def check(name, good, *facts):
    print("%s %s" % ("ok    " if good else "FAILED", name), flush=True)
    if not good:
        failures.append(name)
        for fact in facts:
            print("       ", fact)


def arrived(mark, folder):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for path in Path(folder).rglob("new/*"):
            content = path.read_bytes()
            if mark in content:
                return content.replace(b"\r\n", b"\n")
        time.sleep(0.05)
    return b""


def delivers(name, url, *arguments, folder, **keywords):
    mark = b"mark-%d-%d" % (os.getpid(), next(serial))
    status, result, errors = send(url, *arguments, mark=mark, **keywords)
    check(name + ": accepted", status == 0 and result and result["status"] == "accepted", status,
          result, errors)
    want = BODY.replace(b"\r\n", b"\n") + b"\n"
    got = arrived(mark, folder) if status == 0 else b""
    check(name + ": arrives unchanged", got.endswith(b"\n\n" + want), got[-120:])


def survives(name, url, folder, count=60, connections=12):
    """More at a time than the server bears: all arrive, each once."""
    mark = b"many-%d-%d-" % (os.getpid(), next(serial))
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, str(i)) for i in range(count)]
        for i, path in enumerate(files):
            path.write_bytes(b"Subject: %s%d.\n\nHello\n" % (mark, i))
        command = [program, "send", "--server", url, "--json", "--ca", CA, "--connections",
                   str(connections), "--ehlo", "client.test.example", "--from",
                   "ada@test.example", "--to", "ada@test.example"]
        done = subprocess.run(command + [str(path) for path in files], capture_output=True,
                              timeout=250)
    results = [json.loads(line) for line in done.stdout.decode().splitlines()]
    bad = [r for r in results if r["status"] != "accepted"]
    check(name + ": all accepted", done.returncode == 0 and len(results) == count and not bad,
          done.returncode, len(results), bad[:2], done.stderr.decode()[-300:])
    until = time.monotonic() + 20
    found = []
    while len(found) < count and time.monotonic() < until:
        time.sleep(0.2)
        found = [p for p in Path(folder).rglob("new/*") if mark in p.read_bytes()]
    check(name + ": each arrives once", len(found) == count, len(found))


def fails(name, url, *arguments, status, error=None, code=None, text="", **keywords):
    got, result, errors = send(url, *arguments, **keywords)
    ok = got == status and result is not None
    if ok and error:
        ok = result["error"] is not None and result["error"]["name"] == error
    if ok and code:
        ok = code in [r["code"] for r in result["recipients"]]
    ok = ok and text in json.dumps(result)
    check(name, ok, "exit status %d, wanted %d" % (got, status), result, errors)


def logs_in_by_digest_md5():
    if len(sys.argv) < 4:
        return
    for password, status in ((env["TEST_PASSWORD"], 0), ("wrong", 1)):
        done = subprocess.run([sys.argv[3], "smtp://%s:%s" % (HOST, port("PORT")),
                               env["TEST_USER"], password, CA], capture_output=True, timeout=60)
        check("DIGEST-MD5 as a mechanism of one's own: %d" % status, done.returncode == status,
              done.stdout, done.stderr)


def postfix():
    logs_in_by_digest_md5()
    mail = env["POSTFIX_MAILDIR"]
    plain = "smtp://%s:%s" % (HOST, port("PORT"))
    delivers("STARTTLS and AUTH", plain, folder=mail)
    delivers("implicit TLS and AUTH", "smtps://%s:%s" % (HOST, port("PORT_TLS")), folder=mail)
    delivers("submission", "smtp://%s:%s" % (HOST, port("PORT_SUBMISSION")), folder=mail)
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256",
                      "SCRAM-SHA-512"):
        delivers("AUTH " + mechanism, plain, "--auth", mechanism, folder=mail)
    fails("a wrong password", plain, password="wrong", status=77)
    fails("an unknown issuer", plain, ca=env["TEST_OTHER_CA_FILE"], status=77,
          error="UVSMTP_ETLSCERT")
    fails("an expired certificate", "smtp://%s:%s" % (HOST, port("PORT_EXPIRED")), status=77,
          error="UVSMTP_ETLSEXPIRED")
    fails("a certificate of the future", "smtp://%s:%s" % (HOST, port("PORT_FUTURE")), status=77,
          error="UVSMTP_ETLSEXPIRED")
    fails("a certificate for another name", "smtp://%s:%s" % (HOST, port("PORT_WRONGNAME")),
          status=77, error="UVSMTP_ETLSNAME")
    fails("a self-signed certificate", "smtp://%s:%s" % (HOST, port("PORT_SELFSIGNED")), status=77,
          error="UVSMTP_ETLSCERT")
    fails("a refused recipient", plain, to=["refused@test.example"], status=69, code=550)
    fails("a busy recipient", plain, to=["busy@test.example"], status=75, code=450)
    fails("a refused sender", plain, sender="refused@test.example", status=69, code=550)
    fails("a refusal at DATA", plain, sender="nodata@test.example", status=69, code=550)
    fails("a refusal after the data", plain, sender="late@test.example", status=69, code=554)
    fails("a refusal for a header", plain, header=b"X-Refuse: yes\r\n", status=69, code=550)
    survives("three connections at a time, and twelve that want",
             "smtp://%s:%s" % (HOST, port("PORT_LIMITS")), mail)
    grey = "smtp://%s:%s" % (HOST, port("PORT_GREYLIST"))
    fails("greylisting, the first time", grey, user=None, status=75, code=450)
    delivers("greylisting, the second time", grey, user=None, folder=mail)
    status, result, errors = send(plain, to=["ada@test.example", "refused@test.example"])
    check("one of two refused", result is not None and result["status"] == "partial" and
          [r["status"] for r in result["recipients"]] == ["accepted", "rejected"], status, result,
          errors)


def says_for_each(name, url, folder, want, count=3):
    """Messages one behind the other on one connection: a reply for each recipient of each, the
    envelope in one group, and the next envelope behind the content."""
    mark = b"mixed-%d-%d-" % (os.getpid(), next(serial))
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, str(i)) for i in range(count)]
        for i, path in enumerate(files):
            path.write_bytes(b"Subject: %s%d.\n\nHello\n" % (mark, i))
        command = [program, "send", "--server", url, "--json", "--trace", "--connections", "1",
                   "--ehlo", "client.test.example", "--from", "ada@test.example"]
        for address in want:
            command += ["--to", address]
        done = subprocess.run(command + [str(path) for path in files], capture_output=True,
                              timeout=90, text=True)
    for line in done.stdout.splitlines():
        got = {r["address"]: (r["status"], r["code"]) for r in json.loads(line)["recipients"]}
        check(name + ": each recipient's own reply", got == want, got)
    verbs, group = [], []
    for line in done.stderr.splitlines():
        if line.startswith("1 C: "):
            group.append(line.split()[2])
        elif group:
            verbs.append(group)
            group = []
    envelope = ["MAIL"] + ["RCPT"] * len(want) + ["DATA"]
    behind = [v for v in verbs if v[0] == "[message" and v[-len(envelope):] == envelope]
    check(name + ": groups", envelope in verbs and len(behind) == count - 1, verbs)
    check(name + ": exit status", done.returncode == 69 and done.stdout.count("\n") == count,
          done.returncode, done.stdout, done.stderr)
    for address, (status, _) in want.items():
        for i in range(count if status == "accepted" else 0):
            box = Path(folder, address.split("@")[0])
            check("%s: message %d arrives for %s" % (name, i, address),
                  arrived(b"%s%d." % (mark, i), box) != b"")


def dovecot():
    logs_in_by_digest_md5()
    for name in ("lmtp://%s:%s" % (HOST, port("PORT_LMTP")),
                 "lmtp+unix://%s" % port("SOCKET_LMTP")):
        delivers("LMTP " + name.split(":")[0], name + "?tls=none", user=None,
                 folder=env["DOVECOT_MAILDIR"])
        says_for_each("LMTP, mixed, " + name.split(":")[0], name + "?tls=none",
                      env["DOVECOT_MAILDIR"],
                      {"ada@test.example": ("accepted", 250),
                       "nobody@test.example": ("rejected", 550),
                       "full@test.example": ("rejected", 552),
                       "grace@test.example": ("accepted", 250)})
    submission = "smtp://%s:%s" % (HOST, port("PORT"))
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"):
        delivers("AUTH " + mechanism, submission, "--auth", mechanism,
                 folder=env["DOVECOT_RELAY_MAILDIR"])
    for mechanism in ("XOAUTH2", "OAUTHBEARER"):
        delivers("AUTH " + mechanism, submission, "--auth", mechanism, "--token-command",
                 "echo " + env["DOVECOT_TOKEN"], folder=env["DOVECOT_RELAY_MAILDIR"])
        fails("a bad token by " + mechanism, submission, "--auth", mechanism, "--token-command",
              "echo nonsense", status=77)
        fails("no token for " + mechanism, submission, "--auth", mechanism, "--token-command",
              "echo 'the service is away' >&2; exit 3", status=77, error="UVSMTP_EAUTHTOKEN")
    ours = ("--cert", env["TEST_CLIENT_CERT"], "--key", env["TEST_CLIENT_KEY"])
    delivers("AUTH EXTERNAL", submission, "--auth", "EXTERNAL", "--authzid", "ada", *ours,
             user=None, folder=env["DOVECOT_RELAY_MAILDIR"])
    fails("AUTH EXTERNAL as another", submission, "--auth", "EXTERNAL", "--authzid", "grace",
          *ours, user=None, status=77, code=535)
    fails("AUTH EXTERNAL without a certificate", submission, "--auth", "EXTERNAL", user=None,
          status=77)


def aiosmtpd():
    delivers("STARTTLS and AUTH", "smtp://%s:%s" % (HOST, port("PORT")),
             folder=env["AIOSMTPD_MAILDIR"])


def exim():
    plain = "smtp://%s:%s" % (HOST, port("PORT"))
    delivers("STARTTLS and AUTH", plain, folder=env["EXIM_MAILDIR"])
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        delivers("AUTH " + mechanism, plain, "--auth", mechanism, folder=env["EXIM_MAILDIR"])


def opensmtpd():
    tls = port("PORT_TLS")
    url = "smtps://%s:%s" % (HOST, tls) if tls else "smtp://%s:%s?tls=none" % (HOST, port("PORT"))
    delivers("one command at a time", url, user=env["TEST_USER"] if tls else None,
             folder=env["OPENSMTPD_MAILDIR"])


def sasl_library(mechanisms, mismatch):
    """A SASL library of others with channel binding, rightly and with somebody in between."""
    right, stripped, elsewhere = ("smtp://%s:%s" % (HOST, port(name))
                                  for name in ("PORT", "PORT_STRIPPED", "PORT_ELSEWHERE"))
    mail = env[prefix + "MAILDIR"]
    for mechanism in mechanisms:
        delivers("AUTH " + mechanism, right, "--auth", mechanism, folder=mail)
        fails("a wrong password by " + mechanism, right, "--auth", mechanism, password="wrong",
              status=77, code=535)
    status, result, trace = send(right, "--trace")
    check("the strongest is taken, bound to TLS",
          status == 0 and ("AUTH " + mechanisms[0] + " [secret]") in trace, status, result, trace)
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        # It says that it could have bound, had -PLUS been offered; the server knows better.
        fails("-PLUS taken out of the offer: " + mechanism, stripped, "--auth", mechanism,
              status=77, code=535, text=mismatch[0])
        fails("TLS that ends elsewhere: " + mechanism, elsewhere, "--auth", mechanism + "-PLUS",
              status=77, code=535, text=mismatch[1])
        # Where -PLUS is offered and not used, that is no lie, and the server takes it.
        delivers("-PLUS offered and not used: " + mechanism, right, "--auth", mechanism,
                 folder=mail)


def cyrus():
    sasl_library(["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-512",
                  "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"],
                 ["client incorrectly assumed server had no channel binding",
                  "Channel bindings mismatch"])
    # The letter outside ASCII as one code point and as two: SASLprep makes them the same.
    for form in ("NFC", "NFD"):
        delivers("a password in " + form, "smtp://%s:%s" % (HOST, port("PORT")), "--auth",
                 "SCRAM-SHA-256", user=env["TEST_USER2"],
                 password=unicodedata.normalize(form, env["TEST_PASSWORD2"]),
                 folder=env["CYRUS_MAILDIR"])
    delivers("AUTH PLAIN with an authorization identity", "smtp://%s:%s" % (HOST, port("PORT")), "--auth", "PLAIN",
             "--authzid", "ada", folder=env["CYRUS_MAILDIR"])


def gsasl():
    sasl_library(["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1",
                  "CRAM-MD5", "LOGIN"],
                 ["Error authenticating user", "Error authenticating user"])
    right = "smtp://%s:%s" % (HOST, port("PORT"))
    delivers("AUTH ANONYMOUS", right, "--auth", "ANONYMOUS", folder=env["GSASL_MAILDIR"])
    delivers("AUTH EXTERNAL", right, "--auth", "EXTERNAL", "--authzid", "ada", user=None,
             folder=env["GSASL_MAILDIR"])


def kerberos():
    env["KRB5_CONFIG"] = env["KERBEROS_KRB5_CONFIG"]
    env["KRB5CCNAME"] = env["KERBEROS_KRB5_CCACHE"]
    plain = "smtp://%s:%s" % (HOST, port("PORT"))
    mail = env["KERBEROS_MAILDIR"]
    delivers("AUTH GSSAPI", plain, "--auth", "GSSAPI", user=None, folder=mail)
    delivers("a principal by name", plain, "--auth", "GSSAPI", user="ada", folder=mail)
    delivers("over implicit TLS", "smtps://%s:%s" % (HOST, port("PORT_TLS")), "--auth", "GSSAPI",
             user=None, folder=mail)
    fails("a principal without a ticket", plain, "--auth", "GSSAPI", user="grace", status=77,
          error="UVSMTP_EAUTHTOKEN", text="no ticket")
    fails("an identity that is not the principal's", plain, "--auth", "GSSAPI", "--authzid",
          "grace@test.example", user=None, status=77, code=535)
    env["KRB5CCNAME"] = env["KERBEROS_KRB5_CCACHE_EMPTY"]
    fails("no ticket at all", plain, "--auth", "GSSAPI", user=None, status=77,
          error="UVSMTP_EAUTHTOKEN", text=env["KERBEROS_KRB5_CCACHE_EMPTY"])


{"cyrus": cyrus, "gsasl": gsasl, "kerberos": kerberos, "postfix": postfix, "dovecot": dovecot, "aiosmtpd": aiosmtpd, "exim": exim,
 "opensmtpd": opensmtpd}[server]()
print("%d failures" % len(failures))
sys.exit(1 if failures else 0)
