"""Has verifiers that nobody here wrote check the signatures of dkim_messages.c, and that what was
changed is refused.

usage: dkim_verify.py dkimpy|opendkim PROGRAM
Exit status 77 (skipped) where the verifier is not installed.
"""
import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile

DOMAIN = "sender.example"


def with_dkimpy(records, messages):
    """For each message, whether each of its signatures is good."""
    import dkim

    def lookup(name, timeout=5):
        selector, rest = name.decode().rstrip(".").split(".", 1)
        assert rest == "_domainkey." + DOMAIN, name
        return records[selector].encode()

    def is_good(raw, index):
        try:
            return dkim.DKIM(raw, timeout=1).verify(index, dnsfunc=lookup)
        except dkim.ValidationError:
            return False

    return [[is_good(raw, index) for index in range(raw.count(b"DKIM-Signature:"))]
            for raw in messages]


def with_opendkim(records, messages):
    """Likewise; opendkim tells of one signature of each message, so the others are taken out."""
    single = [(number, one) for number, raw in enumerate(messages) for one in one_by_one(raw)
              if not blanks_matter(one)]
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "keys"), "w") as keys:
            for selector, record in records.items():
                keys.write("%s._domainkey.%s %s\n" % (selector, DOMAIN, record))
        with open(os.path.join(folder, "conf"), "w") as conf:
            conf.write("Mode v\nSyslog no\nTestPublicKeys %s/keys\n" % folder)
        files = []
        for at, (_, raw) in enumerate(single):
            files.append(os.path.join(folder, "m%d" % at))
            with open(files[-1], "wb") as file:
                file.write(raw)
        text = subprocess.run([opendkim(), "-x", folder + "/conf", "-t", ",".join(files)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    good = [[] for _ in messages]
    for (number, _), path in zip(single, files):
        said = re.findall(re.escape(path) + r": verification .* (succeeded|failed)", text)
        if len(said) != 1:
            sys.exit("opendkim says of %s:\n%s" % (path, text))
        good[number].append(said == ["succeeded"])
    return good


def one_by_one(raw):
    """The message with each of its signatures alone."""
    header, body = raw.split(b"\r\n\r\n", 1)
    fields = re.split(rb"\r\n(?![ \t])", header)
    signatures = [field for field in fields if field.startswith(b"DKIM-Signature:")]
    rest = [field for field in fields if not field.startswith(b"DKIM-Signature:")]
    for signature in signatures:
        yield b"\r\n".join([signature] + rest) + b"\r\n\r\n" + body


def blanks_matter(raw):
    """As a milter opendkim does not see how many blanks stand behind a field's colon."""
    header = raw.split(b"\r\n\r\n", 1)[0]
    return b"c=simple/" in header and re.search(rb"\r\n[A-Za-z-]+:(?! \S)", header) is not None


def opendkim():
    return shutil.which("opendkim") or shutil.which("opendkim", path="/usr/sbin:/usr/local/sbin")


def is_there(verifier):
    if verifier == "opendkim":
        return opendkim() is not None
    try:
        import dkim
        return dkim is not None
    except ImportError:
        return False


def changes(raw):
    """What must not verify any more."""
    yield raw + b"more\r\n"
    yield raw.replace(b"\na@", b"\nb@").replace(b" a@", b" b@").replace(b"<joerg@", b"<x@")
    if b"To: bob@" in raw and b"h=from:subject:from" not in raw:
        yield raw.replace(b"bob@", b"eve@")
    if b"h=from:from:" in raw:  # oversigned
        yield b"From: x@y\r\n" + raw


def main():
    verifier, program = sys.argv[1:]
    if not is_there(verifier):
        print("skipped: %s is not installed" % verifier)
        sys.exit(77)
    output = subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout.decode()
    keys, messages = output.split("\n\n")
    records = dict(line.split(" ", 1) for line in keys.splitlines())
    messages = [base64.b64decode(line) for line in messages.split()]
    # as the sender does
    messages = [raw if raw.endswith(b"\r\n") else raw + b"\r\n" for raw in messages]
    verify = {"dkimpy": with_dkimpy, "opendkim": with_opendkim}[verifier]
    good = verify(records, messages)
    for raw, signatures in zip(messages, good):
        if not all(signatures):
            sys.exit("not good %s:\n%s" % (signatures, raw.decode()))
    broken = [b for raw in messages if raw.count(b"DKIM-Signature:") == 1 for b in changes(raw)]
    assert len(broken) > 2 * len(messages) - 10
    for raw, signatures in zip(broken, verify(records, broken)):
        if any(signatures):
            sys.exit("a signature holds for what was not signed:\n%s" % raw.decode())
    count = sum(map(len, good))
    assert count > len(messages) // 2
    print("%d signatures verified, %d changes found" % (count, len(broken)))


if __name__ == "__main__":
    main()
