#!/usr/bin/env python3
"""Checks every #include of the tree against the layers.

    includes.py ROOT         prints each include that points the wrong way; exit status 1 if any
    includes.py --self-test  proves in a scratch tree that each kind of mistake is found

The layers, from below: base; then protocol, auth, message and tls, which do not know one another;
then connection; then client. A folder includes its own headers, the private headers of base, and
the public headers of itself and of what lies below it. Programs (tools, examples, bench) include
public headers and their own. libuv belongs to connection and client (and to programs), mbedTLS to
tls alone (and to the benchmark that uvsmtp is compared with). The tests are free: they look behind the walls on purpose.
"""
import re
import sys
import tempfile
from pathlib import Path

CORE = ("base", "protocol", "auth", "message")
BELOW = {
    "base": (),
    "protocol": ("base",),
    "auth": ("base",),
    "message": ("base",),
    "tls": ("base",),
    "connection": ("base", "protocol", "auth", "message", "tls"),
    "client": ("base", "protocol", "auth", "message", "tls", "connection"),
}
PROGRAMS = ("tools", "examples", "bench")

# Whose a public header is, where its name does not say it.
PUBLIC = {
    "version": "base",
    "errors": "base",
    "crypto": "base",
    "source": "base",
    "envelope": "base",
    "address": "message",
    "dkim": "message",
    "blocking": "client",
    "manners": "connection",
    "poster": "client",
    "stats": "client",
}

MBEDTLS = re.compile(r"(mbedtls|psa)/.*")
BARE_PROGRAM = "bare_tls.c"  # of bench: mbedTLS straight on sockets, nothing of ours

UV_LAYERS = ("connection", "client")
# Libraries besides the C library that one layer may include, most of them optional.
THIRD_PARTY = (
    (re.compile(r"uv(\.h|/.*)"), UV_LAYERS, "libuv"),
    (MBEDTLS, ("tls",), "mbedTLS"),
    (re.compile(r"gssapi(\.h|/.*)"), ("auth",), "GSSAPI"),
    (re.compile(r"stringprep\.h"), ("auth",), "libidn"),
    (re.compile(r"idn2\.h"), ("base", "message", "connection", "client"), "libidn2"),
)
# What would bring input and output into layers that have none.
NETWORK = re.compile(r"(sys/(socket|select|epoll|un)|poll|netdb|netinet/.*)\.h")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include\b[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>|(.*))', re.M)
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip_comments(text):
    """The source without comments, line for line; strings stay, as includes are made of them."""
    def replace(match):
        part = match[0]
        return part if part[0] in "\"'" else " " + "\n" * part.count("\n")
    return COMMENT.sub(replace, text)


def includes_of(path):
    """Yields (line number, name, quoted); the name is None for an include by macro."""
    text = strip_comments(path.read_text(encoding="utf-8"))
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield line, match[1] or match[2], match[1] is not None


def public_layer(name):
    """The layer of "uvsmtp/NAME.h", or None."""
    stem = name[len("uvsmtp/"):-len(".h")]
    return PUBLIC.get(stem) or (stem if stem in BELOW else None)


def third_party(name, layer, public):
    for pattern, layers, library in THIRD_PARTY:
        if pattern.fullmatch(name):
            if layer not in layers or (public and library != "libuv"):
                return "%s must not be included here" % library
            return ""
    return None


def judge_system(name, layer):
    if layer in CORE and NETWORK.fullmatch(name):
        return "a layer without input and output includes <%s>" % name
    return ""


def judge_public(name, layer):
    """The include of uvsmtp/… from a layer."""
    owner = public_layer(name)
    if owner is None:
        return "belongs to no layer; give it one in test/layers/includes.py"
    if owner != layer and owner not in BELOW[layer]:
        return "points upwards or sideways, from %s to %s" % (layer, owner)
    return ""


def judge_lib(name, quoted, layer):
    """Why a file of lib/LAYER must not include NAME, or ''."""
    verdict = third_party(name, layer, False)
    if verdict is not None:
        return verdict
    if name == "uvsmtp.h":
        return "the umbrella header is for users"
    if name.startswith("uvsmtp/"):
        return judge_public(name, layer)
    if not quoted:
        return judge_system(name, layer)
    folder = name.split("/")[0]
    if "/" not in name or folder not in BELOW:
        return "private headers are included by their path from lib"
    if folder == layer or (folder == "base" and layer != "base"):
        return ""
    if folder in BELOW[layer]:
        return "a private header of %s; its public ones are the way in" % folder
    return "points upwards or sideways, from %s to %s" % (layer, folder)


def judge_header(name, quoted, layer):
    """Why the public header of LAYER must not include NAME, or ''."""
    verdict = third_party(name, layer, True)
    if verdict is not None:
        return verdict
    if name == "uvsmtp.h":
        return "the umbrella header is for users"
    if name.startswith("uvsmtp/"):
        return judge_public(name, layer)
    return "a public header includes a private one" if quoted else judge_system(name, layer)


def judge_program(name, quoted, path, root):
    """Why a program must not include NAME, or ''."""
    if MBEDTLS.fullmatch(name):
        bare = path.relative_to(root).parts == ("bench", BARE_PROGRAM)
        return "" if bare else "mbedTLS must not be included here"
    if name == "uvsmtp.h" or name.startswith("uvsmtp/"):
        known = name == "uvsmtp.h" or public_layer(name)
        return "" if known else "belongs to no layer; give it one in test/layers/includes.py"
    if not quoted:
        return ""
    places = [path.parent] + [root / program for program in PROGRAMS]
    for place in places:
        target = (place / name).resolve()
        if target.is_file():
            inside = target.relative_to(root.resolve()).parts[0] in PROGRAMS
            return "" if inside else "a program includes a private header"
    return "a program includes a private header"


def check_file(path, root, judge, problems):
    for line, name, quoted in includes_of(path):
        verdict = judge(name, quoted) if name else "an include by macro cannot be checked"
        if verdict:
            problems.append("%s:%d: %s: %s" % (path.relative_to(root), line, name, verdict))


def check_header(path, root, problems):
    layer = public_layer("uvsmtp/" + path.name)
    where = path.relative_to(root)
    if layer is None:
        problems.append("%s:1: belongs to no layer; give it one in test/layers/includes.py" % where)
        return
    check_file(path, root, lambda name, quoted: judge_header(name, quoted, layer), problems)
    text = strip_comments(path.read_text(encoding="utf-8"))
    for match in re.finditer(r"\b(mbedtls_\w*|MBEDTLS_\w*|psa_\w*|PSA_\w*)", text):
        line = text.count("\n", 0, match.start()) + 1
        problems.append("%s:%d: %s: mbedTLS shows in a public header" % (where, line, match[1]))


def reachable(root, start):
    """The public headers that `start` includes, directly or not."""
    found, todo = set(), [start]
    while todo:
        name = todo.pop()
        path = root / "include" / name
        if name in found or not path.is_file():
            continue
        found.add(name)
        todo += [n for _, n, _ in includes_of(path) if n and n.startswith("uvsmtp/")]
    return found


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in (".c", ".h", ".def"))


def check(root):
    problems = []
    for path in sources(root / "lib"):
        layer = path.relative_to(root / "lib").parts[0]
        if layer not in BELOW:
            problems.append("%s:1: lies in no layer" % path.relative_to(root))
            continue
        check_file(path, root, lambda name, quoted: judge_lib(name, quoted, layer), problems)
    for path in sorted((root / "include/uvsmtp").glob("*.h")):
        check_header(path, root, problems)
    missed = {"uvsmtp/" + p.name for p in (root / "include/uvsmtp").glob("*.h")}
    for name in sorted(missed - reachable(root, "uvsmtp.h")):
        problems.append("include/uvsmtp.h:1: the umbrella header misses %s" % name)
    for program in PROGRAMS:
        for path in sources(root / program):
            check_file(path, root,
                       lambda name, quoted: judge_program(name, quoted, path, root), problems)
    return problems


GOOD_TREE = {
    "include/uvsmtp.h": '#include "uvsmtp/client.h"\n#include "uvsmtp/tls.h"\n'
                        '#include "uvsmtp/auth.h"\n',
    "include/uvsmtp/base.h": "#include <stddef.h>\n",
    "include/uvsmtp/tls.h": '/* made of mbedtls_ssl_context */\n#include "uvsmtp/base.h"\n',
    "include/uvsmtp/auth.h": '#include "uvsmtp/base.h"\n',
    "include/uvsmtp/protocol.h": '#include "uvsmtp/base.h"\n',
    "include/uvsmtp/connection.h": '#include <uv.h>\n#include "uvsmtp/protocol.h"\n',
    "include/uvsmtp/client.h": '#include "uvsmtp/connection.h"\n',
    "lib/base/mem.c": '#include "base/mem.h"\n#include <stdlib.h>\n',
    "lib/protocol/reply.c": '#include "base/mem.h"\n#include "uvsmtp/protocol.h"\n',
    "lib/tls/engine.c": '#include <mbedtls/ssl.h>\n#include "tls/engine.h"\n',
    "lib/auth/gssapi.c": '#include <gssapi/gssapi.h>\n',
    "lib/connection/stream.c": '#include <uv.h>\n#include "uvsmtp/tls.h"\n',
    "lib/client/pool.c": '#include <uv.h>\n#include "uvsmtp/connection.h"\n',
    "tools/main.c": '#include <uv.h>\n#include "uvsmtp.h"\n#include "sink.h"\n',
    "tools/sink.h": "#include <stdio.h>\n",
    "bench/bare_tls.c": "#include <mbedtls/ssl.h>\n",
    "bench/bench.c": '#include "../tools/sink.h"\n// #include "base/mem.h"\n',
}

# One mistake each: file, its text, and what must be said about it.
BAD_FILES = (
    ("lib/protocol/x.c", "#include <uv.h>", "libuv must not be included here"),
    ("lib/tls/x.c", "#  include <uv.h>", "libuv must not be included here"),
    ("lib/connection/x.c", "#include <mbedtls/ssl.h>", "mbedTLS must not be included here"),
    ("lib/auth/x.c", "#include <psa/crypto.h>", "mbedTLS must not be included here"),
    ("lib/message/x.c", "#include <gssapi/gssapi.h>", "GSSAPI must not be included here"),
    ("lib/message/x.c", "#include <sys/socket.h>", "without input and output"),
    ("lib/protocol/x.c", '#include "auth/plain.h"', "points upwards or sideways"),
    ("lib/auth/x.c", '#include "uvsmtp/tls.h"', "points upwards or sideways"),
    ("lib/message/x.c", "#include <uvsmtp/client.h>", "points upwards or sideways"),
    ("lib/tls/x.c", '#include "message/mime.h"', "points upwards or sideways"),
    ("lib/base/x.c", '#include "uvsmtp/protocol.h"', "points upwards or sideways"),
    ("lib/base/x.h", '#include "connection/stream.h"', "points upwards or sideways"),
    ("lib/connection/x.c", '#include "client/pool.h"', "points upwards or sideways"),
    ("lib/connection/x.c", '#include "protocol/state.h"', "a private header of protocol"),
    ("lib/client/x.c", '#include "uvsmtp.h"', "umbrella header is for users"),
    ("lib/client/x.c", '#include "pool.h"', "by their path from lib"),
    ("lib/client/x.c", '#include "../base/mem.h"', "by their path from lib"),
    ("lib/client/x.c", "#include HEADER", "include by macro"),
    ("lib/client/x.c", '#include "uvsmtp/odd.h"', "belongs to no layer"),
    ("lib/other/x.c", "#include <stdio.h>", "lies in no layer"),
    ("include/uvsmtp/odd.h", "#include <stdio.h>", "belongs to no layer"),
    ("include/uvsmtp/message.h", "#include <stddef.h>", "umbrella header misses"),
    ("include/uvsmtp/tls.h", "#include <uv.h>", "libuv must not be included here"),
    ("include/uvsmtp/tls.h", "#include <mbedtls/ssl.h>", "mbedTLS must not be included here"),
    ("include/uvsmtp/tls.h", "mbedtls_ssl_context *ssl;", "mbedTLS shows in a public header"),
    ("include/uvsmtp/auth.h", '#include "uvsmtp/protocol.h"', "points upwards or sideways"),
    ("include/uvsmtp/connection.h", '#include "uvsmtp/client.h"', "points upwards or sideways"),
    ("include/uvsmtp/client.h", '#include "base/mem.h"', "a public header includes a private one"),
    ("tools/main.c", '#include "base/mem.h"', "a program includes a private header"),
    ("tools/main.c", '#include "../lib/base/mem.h"', "a program includes a private header"),
    ("examples/x.c", "#include <mbedtls/ssl.h>", "mbedTLS must not be included here"),
    ("bench/x.c", '#include "protocol/state.h"', "a program includes a private header"),
)


def write_tree(root, extra):
    for name, text in {"lib/base/mem.h": "", **GOOD_TREE, **extra}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


def self_test():
    failures = 0
    rows = [(None, "", "")] + list(BAD_FILES)
    for name, text, want in rows:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            # A broken public header keeps what the good one includes, so that nothing else is new.
            kept = GOOD_TREE.get(name, "") if name and name.startswith("include/") else ""
            write_tree(root, {name: kept + text} if name else {})
            got = [p for p in check(root)
                   if name is None or "umbrella header misses" in want
                   or "umbrella header misses" not in p]
        if (name is None and got) or (name and (len(got) != 1 or want not in got[0])):
            failures += 1
            print("self-test: %s with %s: wanted [%s], got %s" % (name, text, want, got))
    print("%d kinds of mistake tried, %d not found as they should be" % (len(BAD_FILES), failures))
    return failures


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--self-test":
        sys.exit(1 if self_test() else 0)
    problems = check(Path(sys.argv[1]))
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
