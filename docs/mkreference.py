#!/usr/bin/env python3
"""Writes the reference from the doc comments of the public headers.

    mkreference.py OUT HEADER…

Each header gives a section: the comment at its head, then, in the header's order, every
declaration with the comment above it. A declaration without a comment belongs to the one before.
"""
import pathlib
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.S)
FUNCTION = re.compile(r"(\w+)\s*\(")


def comment_text(comment):
    """The words of a comment, without its stars."""
    lines = comment.strip()[2:-2].lstrip("*").splitlines()
    lines = [re.sub(r"^\s*\*( |$)", "", line).rstrip() for line in lines]
    if lines:
        lines[0] = lines[0].strip()
    return "\n".join(lines).strip()


def items(text):
    """(comment or None, declaration) for all that stands in a header."""
    at, comment = 0, None
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text.startswith("/*", at):
            end = text.index("*/", at) + 2
            comment = text[at:end] if text.startswith("/**", at) else None
            at = end
        elif text[at] == "#":
            end = re.compile(r"(?:\\\n|[^\n])*").match(text, at).end()
            if text.startswith("#define", at):
                yield comment, text[at:end]
            comment, at = None, end
        else:
            end = declaration_end(text, at)
            yield comment, text[at:end]
            comment, at = None, end


def declaration_end(text, at):
    """Behind the semicolon that ends the declaration at `at`; comments and braces are skipped."""
    depth = 0
    while at < len(text):
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if text[at - 1] == ";" and depth == 0:
            break
    return at


def title(declaration):
    """What a declaration declares."""
    bare = COMMENT.sub("", declaration)
    if bare.startswith("#define"):
        return bare.split(None, 2)[1].split("(")[0]
    if bare.startswith("enum"):  # its names may come from a map: the first that is ours then
        return re.search(r"UVSMTP_\w+", bare).group(0) + ", …"
    pointer = re.search(r"\(\*(\w+)\)", bare)
    if bare.startswith("typedef") and pointer and "{" not in bare:
        return pointer.group(1)
    if bare.startswith(("typedef", "struct")):
        words = re.findall(r"\w+", bare if bare.startswith("typedef") else bare.split("{")[0])
        return words[-1]
    function = FUNCTION.search(bare.replace("UVSMTP_EXTERN", ""))
    return function.group(1) if function else bare.split()[-1].rstrip(";")


def body_of(text):
    """The header without its guard and its C++ brackets."""
    text = re.sub(r"^#ifdef __cplusplus\n.*?\n#endif\n", "", text, flags=re.S | re.M)
    return re.sub(r"\A#ifndef (\w+)\n#define \1\n", "", text)


def section(path):
    text = body_of(path.read_text(encoding="utf-8"))
    out = [f"## uvsmtp/{path.name}\n"]
    head = re.match(r"\s*(/\*(?!\*).*?\*/)", text, re.S)
    if head:
        out.append("```text\n" + comment_text(head.group(1)) + "\n```\n")
    fence_open = False
    for comment, declaration in items(text):
        macro_without_words = declaration.startswith("#define") and comment is None
        if comment is None and (fence_open or macro_without_words):
            if fence_open:
                out[-1] = out[-1][: -len("```\n")] + declaration.strip() + "\n```\n"
            continue
        out.append(f"### {title(declaration)}\n")
        if comment is not None:
            out.append("```text\n" + comment_text(comment) + "\n```\n")
        out.append("```c\n" + declaration.strip() + "\n```\n")
        fence_open = True
    return "\n".join(out)


def main():
    out, headers = pathlib.Path(sys.argv[1]), [pathlib.Path(name) for name in sys.argv[2:]]
    parts = ["# Reference\n\nMade from the public headers by docs/mkreference.py.\n"]
    parts += [section(header) for header in headers]
    out.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
