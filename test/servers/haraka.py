"""Haraka: a server that takes nothing behind a final dot before it has answered.

Recipients: refused@ is 550, busy@ 450, full@ 452, hangup@ a 550 that ends the connection, others of
test.example are taken. Senders: refused@ and busy@ at MAIL, nodata@ at DATA, late@ and latebusy@
after the data. All mail goes to one maildir.
"""
import shutil

import node
from fixture import HERE, HOST, TLS_NAME, USERS, folder, write

NAME = "haraka"
PORTS = ("PORT", "PORT_TLS")


def start(stage):
    program, place = node.find("Haraka")
    base = folder(stage.dir / NAME)
    for name in ("config", "plugins", "queue", "mail/tmp", "mail/new", "mail/cur"):
        folder(base / name)
    ports = {name: stage.port() for name in PORTS}
    shutil.copy(HERE / "haraka_rules.js", base / "plugins/rules.js")
    shutil.copy(place / "config/connection.ini", base / "config/connection.ini")
    settings = {
        "me": TLS_NAME,
        "maildir": base / "mail",
        "plugins": "tls\nauth/flat_file\nrules",
        "loglevel": "NOTICE",
        "smtp.ini": "listen=%s:%d,%s:%d\nsmtps_port=%d\ninactivity_timeout=60\nnodes=0" % (
            HOST, ports["PORT"], HOST, ports["PORT_TLS"], ports["PORT_TLS"]),
        "tls.ini": "key=%s\ncert=%s" % (stage.certs / "server.key", stage.certs / "server.crt"),
        "auth_flat_file.ini": "[core]\nmethods=PLAIN,LOGIN,CRAM-MD5\nconstrain_sender=false\n"
                              "[users]\n" + "\n".join("%s=%s" % user for user in USERS.items()),
    }
    for name, text in settings.items():
        write(base / "config" / name, "%s\n" % text)
    stage.start(NAME, "haraka", [program, place / "bin/haraka", "-c", base])
    stage.wait_greeting(NAME, "haraka", ports["PORT"])
    return {**ports, "MAILDIR": base / "mail"}
