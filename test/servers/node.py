"""Servers written in JavaScript, which tools/setup takes from npm into build/servers."""
import subprocess

from fixture import Missing, need_program
from unpacked import PLACE

OLDEST = 20


def find(module):
    """The node program, and the folder of a module."""
    node = need_program("node")
    version = subprocess.run([node, "-p", "process.versions.node"], stdout=subprocess.PIPE,
                             text=True).stdout.strip()
    if int(version.split(".")[0] or 0) < OLDEST:
        raise Missing("Node.js %s is too old, it takes %d" % (version, OLDEST))
    place = PLACE / "node_modules" / module
    if not (place / "package.json").exists():
        raise Missing("%s was not installed (fetch_npm_servers in tools/setup)" % module)
    return node, place
