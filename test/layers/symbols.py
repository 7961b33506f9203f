#!/usr/bin/env python3
"""Compares what the shared library exports with the list in symbols.txt and with the headers.

    symbols.py LIBRARY            says what is new, gone, misnamed or undeclared; status 1 if any
    symbols.py --update LIBRARY   writes the list anew; look at the difference before committing
    symbols.py --self-test        proves that each kind of difference is found

A new symbol is a promise to users: the list makes it a line in a review.
"""
import re
import subprocess
import sys
from pathlib import Path

from includes import strip_comments

HERE = Path(__file__).resolve().parent
LIST = HERE / "symbols.txt"
HEADERS = HERE.parent.parent / "include"

DECLARATION = re.compile(r"\bUVSMTP_EXTERN\b(?!\s*$)([^;{]*)[;{]", re.M)
FUNCTION = re.compile(r"\b(\w+)\s*\(")
VARIABLE = re.compile(r"\b(\w+)\s*(?:\[[^\]]*\])?\s*$")
# What compilers and sanitizers put into every shared library.
FOREIGN = re.compile(r"_init|_fini|_edata|_end|__bss_start|__odr_asan.*|__gcov.*|__llvm.*|__prof.*")


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", str(library)], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    names = {line.split()[-1].split("@")[0] for line in out.splitlines() if line.strip()}
    return {name for name in names if not FOREIGN.fullmatch(name)}


def declared_in(text):
    """The names that a header declares with UVSMTP_EXTERN, without preprocessor lines."""
    text = re.sub(r"^[ \t]*#(?:[^\\\n]|\\.|\\\n)*", "", strip_comments(text), flags=re.M)
    names = set()
    for match in DECLARATION.finditer(text):
        body = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", match[1], flags=re.S)
        found = FUNCTION.search(body) or VARIABLE.search(body.strip())
        if found:
            names.add(found[1])
    return names


def declared():
    names = set()
    for path in sorted(HEADERS.rglob("*.h")):
        names |= declared_in(path.read_text(encoding="utf-8"))
    return names


def compare(built, listed, in_headers):
    """The differences, a sentence each."""
    problems = []
    for name in sorted(n for n in built if not re.fullmatch(r"uvsmtp_[a-z0-9]\w*", n)):
        problems.append("%s is exported, and is not named uvsmtp_…" % name)
    for name in sorted(in_headers - built):
        problems.append("%s is declared in a header, and the library does not have it" % name)
    for name in sorted(built - in_headers):
        problems.append("%s is exported, and no header declares it" % name)
    for name in sorted(built - listed):
        problems.append("+ %s is exported, and is not in the list" % name)
    for name in sorted(listed - built):
        problems.append("- %s is in the list, and no longer exported" % name)
    return problems


def read_list():
    return set(LIST.read_text(encoding="utf-8").split()) if LIST.exists() else set()


def self_test():
    text = """
    #define UVSMTP_EXTERN __attribute__((visibility("default")))
    /** UVSMTP_EXTERN int uvsmtp_in_a_comment(void); */
    UVSMTP_EXTERN const char *uvsmtp_text(int code);
    UVSMTP_EXTERN uvsmtp_slice_t
    uvsmtp_two_lines(const char *s,
                     void (*cb)(int));
    UVSMTP_EXTERN int uvsmtp_log(const char *f, ...) __attribute__((format(printf, 1, 2)));
    UVSMTP_EXTERN __attribute__((deprecated)) int uvsmtp_old(void);
    UVSMTP_EXTERN extern const int uvsmtp_table[4];
    int uvsmtp_not_exported(void);
    """
    want = {"uvsmtp_text", "uvsmtp_two_lines", "uvsmtp_log", "uvsmtp_old", "uvsmtp_table"}
    good = {"uvsmtp_a", "uvsmtp_b"}
    rows = (
        (compare(good, good, good), 0, ""),
        (compare(good | {"helper"}, good | {"helper"}, good | {"helper"}), 1, "is not named"),
        (compare(good | {"uvsmtp__x"}, good | {"uvsmtp__x"}, good | {"uvsmtp__x"}), 1, "not named"),
        (compare(good, good, good | {"uvsmtp_c"}), 1, "does not have it"),
        (compare(good, good, {"uvsmtp_a"}), 1, "no header declares it"),
        (compare(good, {"uvsmtp_a"}, good), 1, "not in the list"),
        (compare(good, good | {"uvsmtp_c"}, good), 1, "no longer exported"),
    )
    failed = [row for row in rows if len(row[0]) != row[1] or row[2] not in "".join(row[0])]
    if declared_in(text) != want:
        failed.append(("declarations", sorted(declared_in(text) ^ want)))
    for row in failed:
        print("self-test:", row)
    print("%d comparisons tried, %d wrong" % (len(rows) + 1, len(failed)))
    return bool(failed)


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        sys.exit(self_test())
    if len(arguments) == 2 and arguments[0] == "--update":
        names = sorted(exported(arguments[1]))
        LIST.write_text("".join(name + "\n" for name in names), encoding="utf-8")
        print("%d symbols written to test/layers/symbols.txt" % len(names))
        return
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.exit(__doc__)
    problems = compare(exported(arguments[0]), read_list(), declared())
    for problem in problems:
        print(problem)
    if any(problem[0] in "+-" for problem in problems):
        print("If that is meant: meson compile -C BUILD update-symbols, and say so in CHANGELOG.md")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
