"""Has a parser that nobody here wrote read what the builder made, and compares it part by part.

usage: readback.py GENERATE COUNT READER...

GENERATE is generate.c built: it prints messages with what they must say. READER is a command that
reads messages in base64, one a line, and prints for each a line of JSON with what it found, and
what it is known to get wrong ("flaws"); or the word "python" for Python's own email package (which
makes LF of the line ends in binary parts, and whose later versions read no address literals). The
seed comes from UVSMTP_TEST_SEED and is printed.

The invariants that hold of every message whatever is in it are checked on the bytes, here.
"""
import base64
import email
import email.policy
import email.utils
import json
import os
import re
import shutil
import subprocess
import sys
from email.header import decode_header, make_header

USUAL_SEED = "20261124"


# ---- What holds of every message ----

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


# ---- Python as a reader ----

def python_names(message, field):
    """Decoded display names and addresses, by the older parser: the newer one of some versions of
    Python keeps the blank between two encoded words of a name. It does not tell groups."""
    pairs = email.utils.getaddresses([message[field]])
    return [[None, str(make_header(decode_header(name))), address] for name, address in pairs]


def python_part(part, found):
    kind = part.get_content_type()
    if kind == "message/rfc822":
        found["attached_message"] = part.get_payload(0).as_bytes(policy=email.policy.SMTP).decode()
        return
    content = part.get_payload(decode=True)
    if part.get_content_disposition() is not None:
        found["attachments"].append({
            "type": kind, "filename": part.get_filename(),
            "cid": part["Content-ID"] and part["Content-ID"].strip("<>"),
            "bytes": base64.b64encode(content).decode()})
        return
    found[{"text/plain": "text", "text/html": "html", "text/calendar": "calendar"}[kind]] = (
        content.decode(part.get_content_charset()))


def python_leaves(part):
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for child in part.get_payload():
        yield from python_leaves(child)


def python_read(raw):
    message = email.message_from_bytes(raw, policy=email.policy.SMTP)
    legacy = email.message_from_bytes(raw)
    found = {"subject": message["Subject"], "header": message["X-Any"],
             "from": python_names(legacy, "From"), "to": python_names(legacy, "To"),
             "text": None, "html": None, "calendar": None, "attached_message": None,
             "attachments": [], "flaws": ["changes binary parts", "reads no address literals"]}
    for part in python_leaves(message):
        python_part(part, found)
    assert message["Date"].datetime is not None
    defects = [d for part in message.walk() for d in part.defects]
    assert not defects, defects
    return found


# ---- Comparing ----

def arrived(text):
    """What a text must be when it has arrived: CRLF, and one at the end."""
    if text is None:
        return None
    text = text.replace("\n", "\r\n")
    return text if text == "" or text.endswith("\r\n") else text + "\r\n"


def same(what, found, want):
    assert found == want, "%s: %r, not %r" % (what, found, want)


def compare_people(found, want, flaws=()):
    same("number of addresses", len(found), len(want))
    for (group, name, address), (want_group, want_name, want_address) in zip(found, want):
        if "reads no address literals" in flaws and "[" in want_address:
            continue
        if "unquotes local parts" in flaws:
            want_address = want_address.replace('"', "")
            address = address.replace('"', "")
        same("address", address, want_address)
        same("name", name, want_name)
        if group is not None:
            same("group", group, want_group)


def without_line_ends(encoded):
    return base64.b64decode(encoded).replace(b"\r\n", b"\n").rstrip(b"\n")


def compare_attachments(found, want, flaws):
    """Images that the HTML shows come before the others, for they stand with it."""
    want = sorted(want, key=lambda a: a["cid"] is None)
    same("number of attachments", len(found), len(want))
    for got, wanted in zip(found, want):
        for key in ("type", "cid", "filename"):
            same(key + " of an attachment", got[key], wanted[key])
        read = without_line_ends if "adds line ends" in flaws else base64.b64decode
        same("content of an attachment", read(got["bytes"]), read(wanted["bytes"]))


def compare_header(found, want):
    for key in ("subject", "header"):
        if "collapses blanks" in found["flaws"]:
            same(key, re.sub(" +", " ", found[key]), re.sub(" +", " ", want[key]))
        else:
            same(key, found[key], want[key])
    compare_people(found["from"], [["", want["from"], "from@host.example"]])
    if "ends groups at a quoted semicolon" in found["flaws"] and any(
            group and ";" in name for group, name, _ in want["to"]):
        return
    compare_people(found["to"], want["to"], found["flaws"])


def compare_text(key, found, want, flaws):
    if "adds line ends" in flaws:
        found, want = ((text or "").replace("\r\n", "\n").rstrip("\n") for text in (found, want))
    same(key, found, want)


def compare(found, want):
    compare_header(found, want)
    if want["binary"] and "changes binary parts" in found["flaws"]:
        return
    for key in ("text", "html", "calendar"):
        compare_text(key, found.get(key), arrived(want[key]), found["flaws"])
    compare_text("attached message", found.get("attached_message"),
                 want["attached_message"], found["flaws"])
    compare_attachments(found["attachments"], want["attachments"], found["flaws"])


def read_all(command, wants):
    if command == ["python"]:
        for want in wants:
            yield python_read(base64.b64decode(want["message"]))
        return
    lines = "".join(want["message"] + "\n" for want in wants)
    output = subprocess.run(command, input=lines.encode(), check=True, stdout=subprocess.PIPE)
    found = output.stdout.decode("utf-8", "surrogateescape").splitlines()
    same("number of messages", len(found), len(wants))
    for line in found:
        yield json.loads(line)


def report(number, want, error):
    print("message %d: %s" % (number, error))
    sys.stdout.flush()
    sys.stdout.buffer.write(base64.b64decode(want["message"])[:20000])
    print(json.dumps({k: v for k, v in want.items() if k != "message"})[:3000])
    sys.exit(1)


def is_there(reader):
    """Whether the reader can be run: not, for one, where npm has not brought its parser."""
    if reader[0] != "node":
        return True
    return shutil.which("node") is not None and os.path.isdir(
        os.path.join(reader[2], "node_modules", "postal-mime"))


def main():
    generate, count, *reader = sys.argv[1:]
    if not is_there(reader):
        print("skipped: Node.js or the npm package postal-mime is not installed")
        sys.exit(77)
    seed = os.environ.get("UVSMTP_TEST_SEED", USUAL_SEED)
    print("UVSMTP_TEST_SEED=%s" % seed)
    output = subprocess.run([generate, count, seed], check=True, stdout=subprocess.PIPE).stdout
    wants = [json.loads(line) for line in output.decode().split("\n") if line]
    assert wants
    readings = read_all(reader, wants)
    for number, want in enumerate(wants):
        raw = base64.b64decode(want["message"])
        try:
            if want["length"] is not None:
                same("length", len(raw), want["length"])
            check_bytes(raw, want["binary"])
            compare(next(readings), want)
        except Exception as error:
            report(number, want, repr(error))
    print("%d messages read back" % len(wants))


if __name__ == "__main__":
    main()
