"""The npm module smtp-server, for SMTP and LMTP: every reply is a segment of its own.

Recipients: refused@ is 550, busy@ 450, full@ 452; by LMTP late@ and latebusy@ are taken and then
refused after the data. Senders: refused@ and busy@ at MAIL, late@ and latebusy@ after the data. All
other mail goes to one maildir.
"""
import json

import node
from fixture import HERE, HOST, TLS_NAME, USERS, folder, write

NAME = "smtp_server"
PORTS = ("PORT", "PORT_TLS", "PORT_LMTP")


def start(stage):
    program, place = node.find("smtp-server")
    base = folder(stage.dir / NAME)
    for name in ("tmp", "new", "cur"):
        folder(base / "mail" / name)
    ports = {name: stage.port() for name in PORTS}
    write(base / "settings.json", json.dumps({
        "module": str(place), "mail": str(base / "mail"), "host": HOST, "name": TLS_NAME,
        "users": USERS, "cert": str(stage.certs / "server.crt"),
        "key": str(stage.certs / "server.key"),
        "ports": [{"port": ports["PORT"]}, {"port": ports["PORT_TLS"], "secure": True},
                  {"port": ports["PORT_LMTP"], "lmtp": True}]}))
    stage.start(NAME, "smtp_server", [program, HERE / "smtp_server_program.js",
                                      base / "settings.json"])
    for name in ("PORT", "PORT_LMTP"):
        stage.wait_greeting(NAME, "smtp_server", ports[name])
    return {**ports, "MAILDIR": base / "mail"}
