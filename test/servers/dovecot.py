"""Dovecot: submission that relays to an aiosmtpd, and LMTP by TCP and by Unix socket.

LMTP recipients: ada@ and grace@ have mailboxes, full@ is taken and refused after the data with
552 5.2.2, others are 550 5.1.1. The bearer token token-for-ada is
ada's, and so on. EXTERNAL works with the client certificate.
"""
import os

import aiosmtpd_server
from fixture import (HERE, HOST, NOBODY, TLS_NAME, USERS, Missing, fill, folder,
                     need_program, need_root, python_with, write)

NAME = "dovecot"
PORTS = ("PORT", "PORT_TLS", "PORT_LMTP", "PORT_RELAY", "PORT_TOKENS")

CONFIG = """
base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/log/dovecot.log
instance_name = uvsmtp-@PORT@
protocols = submission lmtp
listen = @HOST@
hostname = @TLSNAME@
postmaster_address = postmaster@test.example
first_valid_uid = 500
mail_location = maildir:@DIR@/mail/%n

ssl = yes
ssl_cert = <@CERTS@/server.crt
ssl_key = <@CERTS@/server.key
ssl_ca = <@CERTS@/ca.crt
ssl_require_crl = no
ssl_verify_client_cert = yes
ssl_cert_username_field = commonName
auth_ssl_username_from_cert = yes

auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 oauthbearer xoauth2 external
auth_default_realm = test.example
auth_username_format = %Ln
auth_failure_delay = 0
passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = @DIR@/etc/tokens.conf
}
passdb {
  driver = static
  mechanisms = external
  args = nopassword=y
}
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%n @DIR@/etc/users
}
userdb {
  driver = passwd-file
  args = username_format=%n @DIR@/etc/users
  default_fields = uid=@NOBODY@ gid=@NOBODY@ home=@DIR@/home/%n mail=maildir:@DIR@/mail/%n
}

service submission-login {
  inet_listener submission {
    address = @HOST@
    port = @PORT@
  }
  inet_listener submissions {
    address = @HOST@
    port = @PORTTLS@
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    address = @HOST@
    port = @PORTLMTP@
  }
  unix_listener lmtp {
    mode = 0666
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
# Wrong passwords of one test must not slow down the next.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
protocol lmtp {
  auth_username_format = %Ln
  mail_plugins = quota
}
plugin {
  quota = maildir:User quota
  quota_grace = 0
}
submission_relay_host = @HOST@
submission_relay_port = @PORTRELAY@
submission_backend_capabilities = 8BITMIME
submission_max_mail_size = 10485760
"""

TOKENS = """
introspection_mode = auth
introspection_url = http://@HOST@:@PORTTOKENS@/
username_attribute = user
username_format = %Ln
active_attribute = active
active_value = yes
"""


def users():
    lines = ["%s:{PLAIN}%s::::::" % row for row in USERS.items()]
    return "\n".join(lines + ["full:{PLAIN}x::::::userdb_quota_rule=*:bytes=1", ""])


def need_parts():
    dovecot = need_program("dovecot")
    for part in ("submission", "lmtp"):
        if not any(os.access(place + part, os.X_OK)
                   for place in ("/usr/lib/dovecot/", "/usr/libexec/dovecot/")):
            raise Missing("Dovecot's %s is not installed" % part)
    return dovecot


def start(stage):
    dovecot = need_parts()
    python = python_with("aiosmtpd")
    need_root()
    base = stage.dir / NAME
    for name in ("run", "state", "relay"):
        folder(base / name)
    for name in ("mail", "home"):
        folder(base / name, NOBODY)
    ports = {name: stage.port() for name in PORTS}
    values = dict(dir=base, certs=stage.certs, host=HOST, tlsname=TLS_NAME,
                  nobody=NOBODY, **{name.replace("_", ""): port for name, port in ports.items()})
    write(base / "etc/dovecot.conf", fill(CONFIG, **values))
    write(base / "etc/tokens.conf", fill(TOKENS, **values))
    write(base / "etc/users", users())
    stage.start(NAME, "tokens", [python, HERE / "tokens.py", HOST, ports["PORT_TOKENS"]])
    aiosmtpd_server.launch(stage, NAME, python, base / "relay", [ports["PORT_RELAY"]])
    stage.start(NAME, "dovecot", [dovecot, "-F", "-c", base / "etc/dovecot.conf"])
    stage.wait_greeting(NAME, "dovecot", ports["PORT"])
    stage.wait_greeting(NAME, "dovecot", base / "run/lmtp")
    return {**ports, "SOCKET_LMTP": base / "run/lmtp", "TOKEN": "token-for-ada",
            "MAILDIR": base / "mail", "RELAY_MAILDIR": base / "relay/mail",
            "LOG": base / "log/dovecot.log"}
