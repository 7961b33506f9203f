#!/usr/bin/env python3
"""Reads all scripts of the tree with the tools that know better: shellcheck and pyflakes.

    scripts.py SOURCE_ROOT

A script is known by its first line, or by the end of its name. What is not installed is left out;
with neither tool the test is skipped (77).
"""
import os
import re
import shutil
import subprocess
import sys

SKIPPED = 77
# Not ours to read: what was built, fetched or versioned.
LEFT_OUT = re.compile(r"^(build.*|\.git|node_modules|__pycache__)$")


def files_of(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not LEFT_OUT.match(name)]
        for name in names:
            yield os.path.join(folder, name)


def language(path):
    """"python", "shell", or None."""
    if path.endswith(".py"):
        return "python"
    try:
        with open(path, encoding="utf-8") as file:
            first = file.readline()
    except (UnicodeDecodeError, OSError):
        return None
    if not first.startswith(("#!", "# shellcheck shell=")):
        return None
    if "python" in first:
        return "python"
    return "shell" if re.search(r"\b(ba|da)?sh\b", first) else None


def complaints(command, scripts):
    done = subprocess.run(command + scripts, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    return done.stdout if done.returncode else ""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = sys.argv[1]
    scripts = {"python": [], "shell": []}
    for path in sorted(files_of(root)):
        if language(path):
            scripts[language(path)].append(os.path.relpath(path, root))
    if not scripts["python"] or not scripts["shell"]:
        sys.exit("no scripts found under " + root)
    os.chdir(root)
    readers = {
        "python": shutil.which("pyflakes3") or shutil.which("pyflakes"),
        "shell": shutil.which("shellcheck"),
    }
    options = {"python": [], "shell": ["--external-sources"]}
    text = ""
    for kind, reader in readers.items():
        if reader is None:
            print("skipped: nothing is installed that reads %s scripts" % kind)
            continue
        text += complaints([reader] + options[kind], scripts[kind])
        print("%d %s scripts read by %s" % (len(scripts[kind]), kind, os.path.basename(reader)))
    if not any(readers.values()):
        sys.exit(SKIPPED)
    sys.exit(text or 0)


if __name__ == "__main__":
    main()
