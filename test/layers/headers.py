#!/usr/bin/env python3
"""Compiles each public header alone, twice included, as strict C11 and as C++11.

    headers.py INCLUDE_DIR [-I…] --cc COMMAND… [--cxx COMMAND…]

Without --cxx only C is tried. Headers that bring uv.h get the POSIX names that it needs, which
strict C11 hides; all others must do without.
"""
import subprocess
import sys
from pathlib import Path

from includes import includes_of, reachable

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror"]
# libuv's own header is not pedantic.
UV_WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-D_GNU_SOURCE"]


def needs_uv(root, header):
    return any(name == "uv.h" for reached in reachable(root, header)
               for _, name, _ in includes_of(root / "include" / reached))


def compile_alone(command, header, flags):
    """The compiler's complaint, or ''."""
    text = '#include "%s"\n#include "%s"\nint main(void);\n' % (header, header)
    done = subprocess.run(command + flags + ["-fsyntax-only", "-"], input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout or "failed without a word\n" if done.returncode else ""


def split_arguments(arguments):
    """Splits at --cc and --cxx: (what is before, the C compiler, the C++ compiler)."""
    parts = {"": [], "--cc": [], "--cxx": []}
    current = ""
    for argument in arguments:
        if argument in parts:
            current = argument
        else:
            parts[current].append(argument)
    return parts[""], parts["--cc"], parts["--cxx"]


def main():
    before, cc, cxx = split_arguments(sys.argv[1:])
    if not before or not cc:
        sys.exit(__doc__)
    include = Path(before[0]).resolve()
    languages = [("C", cc + ["-x", "c", "-std=c11"])]
    if cxx:
        languages.append(("C++", cxx + ["-x", "c++", "-std=c++11"]))
    names = [str(path.relative_to(include)) for path in sorted(include.rglob("*.h"))]
    failed = 0
    for name in names:
        flags = UV_WARNINGS if needs_uv(include.parent, name) else WARNINGS
        for language, command in languages:
            complaint = compile_alone(command, name, ["-I" + str(include)] + before[1:] + flags)
            if complaint:
                failed += 1
                print("%s does not compile alone as %s:\n%s" % (name, language, complaint))
    print("%d headers in %s" % (len(names), " and ".join(name for name, _ in languages)))
    sys.exit(1 if failed or not names else 0)


if __name__ == "__main__":
    main()
