"""What all the servers of this folder have in common.

A Stage is one folder with certificates, users and the ports in use; servers are started on it.
Whatever they start becomes a child of this process, at the latest when its own parent ends (the
process is a "child subreaper"), so that the end finds everything that was started, and nothing
else, without looking for names.
"""
import ctypes
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
DOMAIN = "test.example"
TLS_NAME = "mail.test.example"
# A blank, and a letter outside ASCII: what is easily forgotten stands in the passwords.
USERS = {"ada": "analytical engine 1843", "grace": "kröte-7%"}
NOBODY = 65534

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """The server cannot be started on this machine; says why in one line."""


class Failed(Exception):
    """The server did not start, though it should have."""


def need_root():
    if os.geteuid() != 0:
        raise Missing("needs root, as it switches to users of its own")


def need_program(*names):
    """The first of the programs that is there: absolute paths, or names looked for in PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise Missing("%s is not installed" % os.path.basename(names[0]))


def end_with_parent():
    """In a child: a signal comes if this process ends without having cleaned up."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def parents():
    """pid -> parent of all processes."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            found[int(entry.name)] = int(fields[1])
    return found


def descendants(pid):
    children = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_descendants():
    """Ends all processes that were started from here, and waits until they are gone."""
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        told = set()
        until = time.monotonic() + patience
        while time.monotonic() < until:
            reap()
            alive = descendants(os.getpid())
            if not alive:
                return
            for pid in set(alive) - told:
                told.add(pid)
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)


class Stage:
    def __init__(self, folder):
        self.dir = Path(folder).resolve()
        self.certs = self.dir / "certs"
        self.processes = {}
        self.taken = set()
        self.lock = None
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def prepare(self):
        """Makes the folder; servers that give up root must be able to enter it."""
        self.dir.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)
        done = subprocess.run([str(HERE / "mkcerts"), str(self.certs)], stderr=subprocess.PIPE,
                              text=True)
        if done.returncode == 77:
            raise Missing(done.stderr.strip())
        if done.returncode:
            raise Failed(done.stderr)

    def environment(self):
        certs = self.certs
        return {
            "TEST_DIR": self.dir,
            "TEST_HOST": HOST,
            "TEST_DOMAIN": DOMAIN,
            "TEST_TLS_NAME": TLS_NAME,
            "TEST_CA_FILE": certs / "ca.crt",
            "TEST_OTHER_CA_FILE": certs / "other-ca.crt",
            "TEST_CLIENT_CERT": certs / "client.crt",
            "TEST_CLIENT_KEY": certs / "client.key",
            "TEST_USER": "ada",
            "TEST_PASSWORD": USERS["ada"],
            "TEST_USER2": "grace",
            "TEST_PASSWORD2": USERS["grace"],
        }

    # Ports below the range that outgoing connections use. The lock keeps two stages from choosing
    # the same; it is held until the servers listen.
    def lock_ports(self):
        name = "uvsmtp-test-ports-%d.lock" % os.getuid()
        self.lock = os.open(Path(tempfile.gettempdir()) / name, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def unlock_ports(self):
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def port(self):
        for _ in range(1000):
            port = random.randrange(20000, 32000)
            if port in self.taken:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError:
                    continue
            self.taken.add(port)
            return port
        raise Failed("no free port")

    def log(self, name):
        path = self.dir / name / "log"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, server, name, command, **options):
        with open(self.log(server) / (name + ".out"), "ab") as out:
            self.processes[name] = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=end_with_parent,
                **options)

    def ended(self, name):
        return self.processes[name].poll() is not None

    def wait_greeting(self, server, name, where, seconds=30):
        """Until the server that was started as NAME greets with 220 on a port or socket."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.ended(name):
                break
            try:
                if greeting(where).startswith(b"220"):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Failed("%s gave no greeting at %s\n%s" % (server, where, self.tail(server)))

    def wait_port(self, server, name, port, seconds=30):
        """Until what was started as NAME takes connections."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.ended(name):
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.05)
        raise Failed("%s does not listen\n%s" % (server, self.tail(server)))

    def tail(self, server):
        """The ends of a server's logs."""
        text = []
        for path in sorted(self.log(server).iterdir()):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            text += ["%s: %s" % (path.name, line) for line in lines]
        return "\n".join(text)

    def finish(self):
        end_descendants()
        self.unlock_ports()


def greeting(where):
    """What a server says first, to somebody who then leaves politely."""
    family = socket.AF_UNIX if isinstance(where, (str, Path)) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(5)
        s.connect(str(where) if family == socket.AF_UNIX else (HOST, where))
        line = s.recv(500)
        s.sendall(b"QUIT\r\n")
        s.recv(500)
    return line


def fill(template, **values):
    """Puts values where the template has @NAME@; every name must be known."""
    for name, value in values.items():
        template = template.replace("@%s@" % name.upper(), str(value))
    left = [word for word in template.split("@")[1::2] if word.isupper() and word.isalpha()]
    if left:
        raise KeyError(left[0])
    return template


def write(path, text, owner=None, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    if owner is not None:
        shutil.chown(path, owner)


def folder(path, owner=None, mode=0o755):
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if owner is not None:
        shutil.chown(path, owner)
    return path


def python_with(module):
    """A Python that has the module: this one, or the system's."""
    for python in (sys.executable, "/usr/bin/python3"):
        probe = subprocess.run([python, "-c", "import " + module], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        if probe.returncode == 0:
            return python
    raise Missing("Python's %s is not installed" % module)
