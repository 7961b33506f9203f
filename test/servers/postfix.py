"""Postfix with its configuration, queue and mail in the stage's folder.

What answers how, by recipient: ada@ and grace@ have mailboxes (grace's is also load0@, load1@, …);
refused@ is 550, busy@ 450, full@ 452, shutdown@ 421 and the end of the connection, others of
test.example 550. By sender: refused@ 550 and busy@ 450 to MAIL, nodata@ 550 to DATA, late@ 554 and
latebusy@ 451 after the data. A header X-Refuse: is refused after the data. Mail to any other domain
is "relay denied" without AUTH, and thrown away after it: nothing leaves the machine.
"""
import shutil
import subprocess

from fixture import (DOMAIN, HERE, HOST, NOBODY, TLS_NAME, USERS, Failed, Missing, fill, folder,
                     need_program, need_root, write)

NAME = "postfix"

MAIN = """
compatibility_level = 3.6
config_directory = @DIR@/etc
queue_directory = @DIR@/queue
data_directory = @DIR@/data
maillog_file = @DIR@/log/mail.log
maillog_file_prefixes = @DIR@/log
inet_interfaces = @HOST@
inet_protocols = ipv4
myhostname = @TLSNAME@
mydestination =
mynetworks = 192.0.2.0/32
local_recipient_maps =
alias_maps =
alias_database =
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtputf8_enable = yes
biff = no
message_size_limit = 10485760
virtual_mailbox_limit = 0
mailbox_size_limit = 0

virtual_mailbox_domains = test.example
virtual_mailbox_base = @DIR@/mail
virtual_mailbox_maps = regexp:@DIR@/etc/mailboxes
virtual_uid_maps = static:@NOBODY@
virtual_gid_maps = static:@NOBODY@
default_transport = discard:
relay_transport = discard:

smtpd_tls_security_level = may
smtpd_tls_cert_file = @CERTS@/server.crt
smtpd_tls_key_file = @CERTS@/server.key
smtpd_tls_CAfile = @CERTS@/ca.crt
smtpd_tls_session_cache_database = btree:@DIR@/data/sessions
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1

smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = @DIR@/etc/sasl
smtpd_sasl_local_domain = test.example
smtpd_sasl_authenticated_header = yes
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C @ENVIRONMENT@

smtpd_delay_reject = no
smtpd_sender_restrictions = check_sender_access inline:{
  {refused@test.example = 550 5.7.1 Not from you},
  {busy@test.example = 450 4.7.1 Not from you just now}}
smtpd_relay_restrictions = permit_sasl_authenticated, permit_tls_all_clientcerts,
  reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{
  {refused@test.example = 550 5.7.1 Not to this one},
  {busy@test.example = 450 4.2.1 The mailbox is busy},
  {full@test.example = 452 4.2.2 The mailbox is full},
  {shutdown@test.example = 421 4.3.2 Going down}}
smtpd_data_restrictions = check_sender_access inline:{
  {nodata@test.example = 550 5.7.1 No data from you}}
smtpd_end_of_data_restrictions = check_sender_access inline:{
  {late@test.example = 554 5.7.1 Refused after all},
  {latebusy@test.example = 451 4.7.1 Deferred after all}}
header_checks = regexp:{ {/^X-Refuse:/ REJECT 5.7.1 Refused for its header} }
"""

MAILBOXES = r"""
/^ada@test\.example$/ ada/
/^(grace|load[0-9]*)@test\.example$/ grace/
/^postmaster@test\.example$/ postmaster/
"""

# Name of the port in the environment, and how it differs from main.cf.
PORTS = (
    ("PORT", {}),
    ("PORT_TLS", {"smtpd_tls_wrappermode": "yes"}),
    ("PORT_SUBMISSION", {  # nothing before STARTTLS, and nothing after it without AUTH
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_auth_only": "yes",
        "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject"}),
    ("PORT_EXPIRED", {"cert": "expired"}),
    ("PORT_FUTURE", {"cert": "future"}),
    ("PORT_WRONGNAME", {"cert": "wrongname"}),
    ("PORT_SELFSIGNED", {"cert": "selfsigned"}),
    ("PORT_WILDCARD", {"cert": "wildcard"}),
    ("PORT_CHAIN", {"cert": "chain"}),
    ("PORT_TLS12", {"smtpd_tls_protocols": "<=TLSv1.2",
                    "smtpd_tls_mandatory_protocols": "<=TLSv1.2"}),
    ("PORT_TLS13", {"smtpd_tls_protocols": ">=TLSv1.3",
                    "smtpd_tls_mandatory_protocols": ">=TLSv1.3"}),
    ("PORT_CLIENTCERT", {  # implicit TLS, and no word without a certificate of ours
        "smtpd_tls_wrappermode": "yes", "smtpd_tls_ask_ccert": "yes",
        "smtpd_tls_req_ccert": "yes", "smtpd_tls_security_level": "encrypt"}),
    ("PORT_GREYLIST", {  # the first try of a pair of sender and recipient is 450
        "smtpd_recipient_restrictions": "check_policy_service unix:private/greylist"}),
    ("PORT_LIMITS", {
        "message_size_limit": "20000", "smtpd_recipient_limit": "5",
        "smtpd_recipient_overshoot_limit": "1", "smtpd_timeout": "3s",
        "smtpd_soft_error_limit": "3", "smtpd_hard_error_limit": "5",
        "smtpd_error_sleep_time": "0",
        "smtpd_client_event_limit_exceptions": "", "smtpd_client_connection_count_limit": "3"}),
    ("PORT_BARE", {  # a server of 1982: EHLO is unknown
        "smtpd_discard_ehlo_keywords": "silent-discard, pipelining, chunking, size, etrn, vrfy, "
                                       "starttls, auth, enhancedstatuscodes, 8bitmime, dsn, "
                                       "smtputf8",
        "smtpd_sasl_auth_enable": "no", "smtpd_tls_security_level": "none",
        "smtpd_command_filter": "regexp:{ {/^EHLO.*/ UNKNOWN} }"}),
)

SERVICES = """
greylist unix - n n - 0 spawn user=nobody argv=@PYTHON@ @DIR@/greylist.py @DIR@/grey
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: @DIR@/sasl/sasldb2
mech_list: @MECHANISMS@
"""
MECHANISMS = "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512"


def services(ports, values):
    lines = []
    for name, settings in PORTS:
        lines.append("%s:%d inet n - n - - smtpd" % (HOST, ports[name]))
        for key, value in settings.items():
            if key == "cert":
                lines.append("  -o smtpd_tls_cert_file=%s/%s.crt" % (values["certs"], value))
                lines.append("  -o smtpd_tls_key_file=%s/%s.key" % (values["certs"], value))
            else:
                lines.append("  -o { %s = %s }" % (key, value))
    return "\n".join(lines) + fill(SERVICES, **values)


def make_users(saslpasswd, base):
    database = folder(base / "sasl") / "sasldb2"
    for user, password in USERS.items():
        subprocess.run([saslpasswd, "-p", "-c", "-f", str(database), "-u", DOMAIN, user],
                       input=password.encode(), check=True)
    shutil.chown(database, "postfix")
    database.chmod(0o600)


def start(stage, name=NAME, mechanisms=MECHANISMS, environment=()):
    """As another server, NAME, logs in by other mechanisms, with more in the environment."""
    postfix = need_program("postfix")
    saslpasswd = need_program("saslpasswd2")
    need_root()
    if not shutil.which("master", path="/usr/lib/postfix/sbin:/usr/libexec/postfix"):
        raise Missing("postfix is there, its master is not")
    base = stage.dir / name
    folder(base / "queue")
    folder(base / "data", "postfix")
    folder(base / "mail", NOBODY)
    folder(base / "grey", NOBODY)
    # Nobody may be unable to read where this lies, such as in a home.
    shutil.copy(HERE / "greylist.py", base)
    ports = {name: stage.port() for name, _ in PORTS}
    # The system's Python, as Postfix runs the greylist without our environment.
    variables = " ".join("%s=%s" % row for row in dict(environment).items())
    values = dict(dir=base, mechanisms=mechanisms, environment=variables, certs=stage.certs,
                  nobody=NOBODY, host=HOST, tlsname=TLS_NAME,
                  python=need_program("/usr/bin/python3", "python3"))
    write(base / "etc/main.cf", fill(MAIN, **values))
    write(base / "etc/master.cf", services(ports, values))
    write(base / "etc/mailboxes", MAILBOXES)
    write(base / "etc/sasl/smtpd.conf", fill(SASL, **values))
    make_users(saslpasswd, base)
    stage.log(name)
    stage.start(name, name, [postfix, "-c", base / "etc", "start-fg"])
    stage.wait_greeting(name, name, ports["PORT"])
    if stage.ended(name):
        raise Failed(stage.tail(name))
    return {**ports, "MAILDIR": base / "mail", "LOG": base / "log/mail.log",
            "CONFIG": base / "etc"}
