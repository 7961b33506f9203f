#!/usr/bin/env python3
"""Checks that every test which docs/edge-cases.md names is still there.

    edge_cases.py SOURCE_ROOT
    edge_cases.py --self-test

A row of its tables is a behaviour and its guards, with <br> between: a file below test, without
its ending, a colon, and the title of a transcript, the name of a test function, or that of a row
in a table of cases.
"""
import re
import sys
import tempfile
from pathlib import Path

PAGE = Path("docs", "edge-cases.md")
ENDINGS = (".txt", ".c", ".py", "")


def rows(text):
    """(line number, behaviour, guards) for each row of the tables, their heads left out."""
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) < 4 or cells[0] or cells[-1]:
            continue
        if set(cells[2]) <= set("-: ") or cells[2] == "guarded by":
            continue
        yield number, cells[1], [guard.strip() for guard in cells[2].split("<br>")]


def is_there(text, ending, title):
    if ending == ".txt":
        return "## " + title in text.splitlines()
    if ending == ".py":
        return re.search(r"^def %s\(" % re.escape(title), text, re.M) is not None
    return (re.search(r"^static void %s\(" % re.escape(title), text, re.M) is not None
            or '"%s"' % title in text)


def complaint(root, guard):
    """What is wrong with a guard, or None."""
    name, colon, title = guard.partition(": ")
    if not colon:
        return "names no test: %s" % guard
    for ending in ENDINGS:
        path = root / "test" / (name + ending)
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            return None if is_there(text, ending, title) else "%s has no \"%s\"" % (name, title)
    return "there is no test/%s" % name


def check(root):
    """(how many guards there are, what is wrong with them)."""
    found, wrong = 0, []
    for number, _, guards in rows((root / PAGE).read_text(encoding="utf-8")):
        for guard in guards:
            found += 1
            bad = complaint(root, guard)
            if bad:
                wrong.append("%s:%d: %s" % (PAGE, number, bad))
    return found, wrong


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "docs").mkdir()
        (root / "test").mkdir()
        (root / "test" / "one.txt").write_text("## A title\nS: 220\n", encoding="utf-8")
        (root / "test" / "two.c").write_text('static void a_name(void **state)\n{"a row"}\n',
                                             encoding="utf-8")
        (root / "test" / "three.py").write_text("def a_name():\n", encoding="utf-8")
        good = ["one: A title", "two: a_name", "two: a row", "three: a_name"]
        bad = ["one: A titl", "one: a_name", "two: name", "two: row", "three: name", "four: x",
               "nothing"]
        page = "| what | guarded by |\n|---|---|\n" + "".join(
            "| a \\| b | %s |\n" % guard for guard in good + bad) + "| both | one: A title<br>x |\n"
        (root / PAGE).write_text(page, encoding="utf-8")
        found, wrong = check(root)
        lines = [int(text.split(":")[1]) for text in wrong]
        first = 3 + len(good)
        assert found == len(good) + len(bad) + 2, found
        assert lines == list(range(first, first + len(bad) + 1)), wrong
    print("ok")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found, wrong = check(Path(sys.argv[1]))
    for text in wrong:
        print(text)
    print("%d guards named" % found)
    return sys.exit(1 if wrong or not found else 0)


if __name__ == "__main__":
    main()
