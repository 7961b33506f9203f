"""Verifies the signatures of dkim_messages.c with dkimpy, and that a change breaks them.

usage: dkim_verify.py PROGRAM
Exit status 77 (skipped) where dkimpy is not installed.
"""
import base64
import subprocess
import sys

try:
    import dkim
except ImportError:
    print("dkimpy (python3-dkim) is not installed: skipped")
    sys.exit(77)


def verify(raw, record, index):
    def lookup(name, timeout=5):
        assert name.rstrip(b".") == b"test._domainkey.sender.example", name
        return record
    try:
        return dkim.DKIM(raw, timeout=1).verify(index, dnsfunc=lookup)
    except dkim.ValidationError:
        return False


def main():
    lines = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE).stdout.splitlines()
    record = b"v=DKIM1; k=rsa; p=" + lines[0]
    count = 0
    for line in lines[1:]:
        raw = base64.b64decode(line)
        signatures = raw.count(b"DKIM-Signature:")
        assert signatures > 0
        if not raw.endswith(b"\r\n"):
            raw += b"\r\n"  # as the sender does
        for index in range(signatures):
            if not verify(raw, record, index):
                sys.exit("signature %d is not good:\n%s" % (index, raw.decode()))
            count += 1
        changed = [raw + b"more\r\n",
                   raw.replace(b"\na@", b"\nb@").replace(b" a@", b" b@").replace(b"<joerg@", b"<x@")]
        if b"To: bob@" in raw and b"h=from:subject:from" not in raw:
            changed.append(raw.replace(b"bob@", b"eve@"))
        for broken in changed:
            assert broken != raw
            if verify(broken, record, 0):
                sys.exit("a signature holds for what was not signed:\n%s" % broken.decode())
        if b"h=from:from:" in raw and verify(b"From: x@y\r\n" + raw, record, 0):
            sys.exit("a second From does not break the signature")
    print("%d signatures verified" % count)


if __name__ == "__main__":
    main()
