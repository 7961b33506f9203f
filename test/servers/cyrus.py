"""Cyrus SASL by itself, behind a small SMTP server (see sasl_program.py): Postfix gives it no
channel binding, so only here do its -PLUS mechanisms run.
"""
import ctypes.util
import subprocess
import sys

from fixture import DOMAIN, HERE, HOST, USERS, Missing, fill, folder, need_program, write

NAME = "cyrus"
PORTS = ("PORT", "PORT_STRIPPED", "PORT_ELSEWHERE")

CONFIG = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: @DIR@/sasldb2
mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512 ANONYMOUS
"""


def launch(stage, name, environment):
    """Starts the server with the library of that name; gives its ports and where mail goes."""
    ports = {port: stage.port() for port in PORTS}
    mail = folder(stage.dir / name / "mail")
    stage.start(name, "program",
                [sys.executable, HERE / "sasl_program.py", name, stage.certs / "server.crt",
                 stage.certs / "server.key", mail, *["%s:%d" % (HOST, ports[p]) for p in PORTS]],
                env=environment)
    stage.wait_greeting(name, "program", ports["PORT_ELSEWHERE"])
    return {**ports, "MAILDIR": mail}


def start(stage):
    saslpasswd = need_program("saslpasswd2")
    if not ctypes.util.find_library("sasl2"):
        raise Missing("Cyrus SASL's library is not installed")
    base = stage.dir / NAME
    write(base / "uvsmtp.conf", fill(CONFIG, dir=base))
    for user, password in USERS.items():
        subprocess.run([saslpasswd, "-p", "-c", "-f", base / "sasldb2", "-u", DOMAIN, user],
                       input=password.encode(), check=True)
    return launch(stage, NAME, {"SASL_CONF_PATH": str(base), "PATH": "/usr/bin:/bin"})
