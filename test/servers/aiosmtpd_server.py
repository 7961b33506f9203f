"""aiosmtpd: a small server whose replies come in many pieces, for SMTP and LMTP.

Recipients: refused@ is 550, busy@ 450, full@ 452, lines@ a reply of three lines, unknown@ 550 5.1.1;
by LMTP late@ and latebusy@ are taken and then refused after the data. Senders: refused@ and busy@ at
MAIL, late@ and latebusy@ after the data. All other mail goes to one maildir.
"""
import json

from fixture import HERE, HOST, USERS, folder, python_with, write

NAME = "aiosmtpd"
PORTS = ("PORT", "PORT_TLS", "PORT_SUBMISSION", "PORT_LMTP", "PORT_LIMITS")


def start(stage):
    python = python_with("aiosmtpd")
    base = stage.dir / NAME
    folder(base)
    ports = {name: stage.port() for name in PORTS}
    launch(stage, NAME, python, base, ports.values())
    return {**ports, "MAILDIR": base / "mail"}


def launch(stage, server, python, base, ports):
    """Starts the program; with a single port it is a server that offers STARTTLS and AUTH."""
    ports = list(ports)
    write(base / "settings.json", json.dumps({
        "mail": str(base / "mail"), "host": HOST, "ports": ports, "users": USERS,
        "cert": str(stage.certs / "server.crt"), "key": str(stage.certs / "server.key")}))
    stage.start(server, "aiosmtpd", [python, HERE / "aiosmtpd_program.py", base / "settings.json"])
    for port in ports:
        if port != (ports[1] if len(ports) > 1 else None):  # implicit TLS does not greet in clear
            stage.wait_greeting(server, "aiosmtpd", port)
