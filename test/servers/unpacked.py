"""Servers that a package manager will not install beside Postfix, unpacked somewhere instead.

tools/check puts them into build/servers; TEST_SERVERS_DIR names another place. They run in a mount
namespace of their own, where the users they were built to run as exist and their own fixed paths
lie in the stage's folder; the system sees nothing of it.
"""
import os
import shutil
import subprocess
from pathlib import Path

from fixture import HERE, Missing

PLACE = Path(os.environ.get("TEST_SERVERS_DIR") or HERE.parent.parent / "build/servers")


def find(program):
    """The program, as /usr/sbin/… of the system or of what was unpacked, and its root folder."""
    for root in (Path("/"), PLACE):
        path = root / "usr/sbin" / program
        if os.access(path, os.X_OK):
            found = subprocess.run(["ldd", str(path)], stdout=subprocess.PIPE, text=True).stdout
            lost = [line.split()[0] for line in found.splitlines() if "not found" in line]
            if lost:
                raise Missing("%s lacks %s" % (program, ", ".join(lost)))
            return path, root
    raise Missing("%s is neither installed nor unpacked" % program)


def need_namespaces():
    if not shutil.which("unshare") or subprocess.run(
            ["unshare", "-m", "--propagation", "private", "true"],
            stderr=subprocess.DEVNULL).returncode:
        raise Missing("a mount namespace of its own is not allowed here")


def add_users(base, users):
    """Copies of the system's users with some more; gives the mounts that make them seen."""
    mounts = []
    for name, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"),
                       ("group", "{0}:x:{1}:\n")):
        text = Path("/etc", name).read_text(encoding="utf-8")
        known = {row.split(":")[0] for row in text.splitlines()}
        text += "".join(line.format(*user) for user in users if user[0] not in known)
        copy = base / "etc" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
        mounts.append("mount --bind '%s' /etc/%s" % (copy, name))
    return mounts


def in_namespace(mounts, command):
    """The command line that runs a command after the mounts, which nobody else sees."""
    script = "set -e\n%s\nexec \"$@\"" % "\n".join(mounts)
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *command]
