"""A greylist for Postfix, by its policy protocol on standard input and output.

    greylist.py FOLDER

The first try of a pair of sender and recipient is deferred, all later ones pass. FOLDER remembers
the pairs, a file for each, so that many of these processes agree.
"""
import hashlib
import sys
from pathlib import Path


def verdict(folder, request):
    pair = "%s\n%s" % (request.get("sender"), request.get("recipient"))
    try:
        (folder / hashlib.sha256(pair.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return "DUNNO"
    return "450 4.7.1 Greylisted, come again"


def main():
    request = {}
    for line in sys.stdin:
        key, equals, value = line.rstrip("\n").partition("=")
        if equals:
            request[key] = value
            continue
        print("action=%s\n" % verdict(Path(sys.argv[1]), request), flush=True)
        request = {}


main()
