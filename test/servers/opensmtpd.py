"""OpenSMTPD: knows no PIPELINING and hangs up on who tries; ends TLS without close_notify.

ada@, grace@, postmaster@ and load@ have one mailbox. refused@ is 550, busy@ 450 and full@ 452, to
MAIL the first two as well; late@ as sender is refused after the data. Versions before 7 cannot do
TLS with OpenSSL 3: of these there is only PORT, without TLS and AUTH.
"""
import re
import subprocess

import unpacked
from fixture import HOST, TLS_NAME, USERS, fill, folder, need_root, write

NAME = "opensmtpd"
DAEMON, QUEUE, BOX = ("opensmtpd", 8921), ("opensmtpq", 8922), ("uvsmtpbox", 8923)

CONFIG = """
smtp max-message-size "10M"
table boxes { "ada@test.example" = "uvsmtpbox", "grace@test.example" = "uvsmtpbox", "postmaster@test.example" = "uvsmtpbox", "load@test.example" = "uvsmtpbox" }
table homes { "uvsmtpbox" = "@UID@:@UID@:@DIR@/mail" }
table refused { "refused@test.example" }
table busy { "busy@test.example" }
table full { "full@test.example" }
table late { "late@test.example" }
filter from1 phase mail-from match mail-from <refused> reject "550 5.7.1 Not from you"
filter from2 phase mail-from match mail-from <busy> reject "450 4.7.1 Not from you just now"
filter to1 phase rcpt-to match rcpt-to <refused> reject "550 5.7.1 Not to this one"
filter to2 phase rcpt-to match rcpt-to <busy> reject "450 4.2.1 The mailbox is busy"
filter to3 phase rcpt-to match rcpt-to <full> reject "452 4.2.2 The mailbox is full"
filter end1 phase commit match mail-from <late> reject "554 5.7.1 Refused after all"
filter rules chain { from1, from2, to1, to2, to3, end1 }
@LISTEN@
action "box" maildir "@DIR@/mail" virtual <boxes> userbase <homes>
match from any for domain "test.example" action "box"
"""

LISTEN_CLEAR = """
listen on @HOST@ port @PORT@ hostname @TLSNAME@ filter rules
"""

LISTEN_TLS = """
pki server cert "@CERTS@/server.crt"
pki server key "@CERTS@/server.key"
table users file:@DIR@/etc/users
listen on @HOST@ port @PORT@ tls pki server auth-optional <users> hostname @TLSNAME@ filter rules
listen on @HOST@ port @PORTTLS@ smtps pki server auth-optional <users> hostname @TLSNAME@ filter rules
listen on @HOST@ port @PORTSUBMISSION@ tls-require pki server auth <users> hostname @TLSNAME@ filter rules
"""


def version(program):
    text = subprocess.run([str(program), "-h"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True).stdout
    found = re.search(r"OpenSMTPD (\d+)", text)
    return int(found[1]) if found else 0


def users():
    """Names with the hashes of their passwords."""
    lines = []
    for user, password in USERS.items():
        done = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, text=True,
                              stdout=subprocess.PIPE, check=True)
        lines.append("%s %s" % (user, done.stdout))
    return "".join(lines)


def mounts(base, root):
    """The fixed paths of the program, in the stage's folder."""
    lines = unpacked.add_users(base, [DAEMON, QUEUE, BOX]) + [
        "mount -t tmpfs -o mode=755 none /run",
        "mount -t tmpfs -o mode=755 none /var/lib",
        "mkdir -p /var/lib/opensmtpd/empty",
        "mount -t tmpfs -o mode=755 none /var/spool",
        "mkdir /var/spool/smtpd",
        "mount --bind '%s' /var/spool/smtpd" % folder(base / "spool", mode=0o711)]
    if str(root) != "/":
        for place in ("usr/libexec", "usr/sbin"):
            lines.append("mount -t overlay -o 'ro,lowerdir=%s/%s:/%s' none /%s"
                         % (root, place, place, place))
    return lines


def start(stage):
    program, root = unpacked.find("smtpd")
    need_root()
    unpacked.need_namespaces()
    tls = version(program) >= 7
    base = stage.dir / NAME
    folder(base / "mail", BOX[1])
    names = ("PORT", "PORT_TLS", "PORT_SUBMISSION") if tls else ("PORT",)
    ports = {name: stage.port() for name in names}
    values = dict(dir=base, certs=stage.certs, host=HOST, tlsname=TLS_NAME, uid=BOX[1],
                  **{name.replace("_", ""): port for name, port in ports.items()})
    listen = LISTEN_TLS if tls else LISTEN_CLEAR
    write(base / "etc/smtpd.conf", fill(CONFIG.replace("@LISTEN@", listen), **values), mode=0o600)
    write(base / "etc/users", users())
    stage.start(NAME, "smtpd", unpacked.in_namespace(
        mounts(base, root), ["/usr/sbin/smtpd", "-d", "-f", str(base / "etc/smtpd.conf")]))
    stage.wait_greeting(NAME, "smtpd", ports["PORT"])
    return {**ports, "MAILDIR": base / "mail", "LOG": base / "log/smtpd.out"}
