"""Reads what the builder made with Python's email package, and compares it part by part.

usage: readback.py PROGRAM [COUNT [SEED]]

PROGRAM is readback.c built: it prints messages with what they must say. The invariants that hold of
every message whatever is in it are checked on the bytes.
"""
import base64
import email
import email.policy
import email.utils
import json
import subprocess
import sys
from email.header import decode_header, make_header


def check_bytes(raw, binary):
    assert raw.endswith(b"\r\n"), "the message does not end with a line end"
    header = raw.split(b"\r\n\r\n", 1)[0]
    for line in header.split(b"\r\n"):
        assert len(line) <= 78, "a line of the header has %d octets" % len(line)
        assert line.strip(), "a line of blanks in the header"
        assert all(b < 128 for b in line), "the header is not ASCII"
        if b"=?utf-8?" in line:
            assert len(line) <= 76, "a line with encoded words has %d octets" % len(line)
    if binary:
        return
    for line in raw.split(b"\r\n"):
        assert b"\r" not in line and b"\n" not in line, "a bare CR or LF"
        assert b"\0" not in line, "a NUL"
        assert len(line) <= 998, "a line of %d octets" % len(line)


def text_lines(text):
    """What a text must be when it has arrived: CRLF, and one at the end."""
    text = text.replace("\n", "\r\n")
    return text if text == "" or text.endswith("\r\n") else text + "\r\n"


def text_of(part):
    return part.get_payload(decode=True).decode(part.get_content_charset())


def check_content(message, want):
    parts = [part for part in message.walk() if not part.is_multipart()]
    text = parts.pop(0)
    assert text.get_content_type() == "text/plain"
    assert text_of(text) == text_lines(want["text"]), "text"
    if "html" in want:
        html = parts.pop(0)
        assert html.get_content_type() == "text/html"
        assert text_of(html) == text_lines(want["html"]), "html"
    if "filename" in want:
        attachment = parts.pop(0)
        assert attachment.get_content_disposition() == "attachment"
        assert attachment.get_filename() == want["filename"], (
            "file name: %r" % attachment.get_filename())
        assert attachment.get_payload(decode=True) == base64.b64decode(want["bytes"]), "bytes"
    assert not parts, "more parts than there should be"


def names(message, field):
    """Decoded display names and addresses, by the older parser: the newer one of some versions of
    Python keeps the blank between two encoded words of a name."""
    pairs = email.utils.getaddresses([message[field]])
    return [(str(make_header(decode_header(name))), address) for name, address in pairs]


def check_header(message, legacy, want):
    assert message["Subject"] == want["subject"], "subject: %r" % message["Subject"]
    assert names(legacy, "From") == [(want["from"], "from@host.example")], names(legacy, "From")
    assert names(legacy, "To") == [(want["to"], '"john doe"@host.example'),
                                   ("", "plain@host.example")], names(legacy, "To")
    to = message["To"].addresses
    assert (to[0].username, to[0].domain) == ("john doe", "host.example")
    assert message["Date"].datetime is not None
    defects = [d for part in message.walk() for d in part.defects]
    assert not defects, defects


def check(line):
    want = json.loads(line)
    raw = base64.b64decode(want["message"])
    binary = b"Content-Transfer-Encoding: binary" in raw
    assert want["length"] == len(raw), "length"
    check_bytes(raw, binary)
    message = email.message_from_bytes(raw, policy=email.policy.SMTP)
    check_header(message, email.message_from_bytes(raw), want)
    if not binary:  # Python's parser makes LF of the line ends in binary parts
        check_content(message, want)


def main():
    output = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE).stdout
    lines = output.splitlines()
    assert lines
    for number, line in enumerate(lines):
        try:
            check(line)
        except Exception as error:
            print("message %d: %r" % (number, error))
            sys.stdout.buffer.write(base64.b64decode(json.loads(line)["message"]))
            print(line.decode()[:3000])
            sys.exit(1)
    print("%d messages read back" % len(lines))


if __name__ == "__main__":
    main()
