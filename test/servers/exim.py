"""Exim: strict about pipelining, TLS by GnuTLS, and some 200 ms late with its reply to QUIT.

Addresses answer as those of postfix.py, except that there is no shutdown@; lines@ is a 550 of three
lines, and hangup@ a 550 that ends the connection.
"""
import unpacked
from fixture import HOST, TLS_NAME, USERS, fill, folder, need_root, write

NAME = "exim"
PORTS = ("PORT", "PORT_TLS", "PORT_SUBMISSION", "PORT_BARE")
USER, UID = "Debian-exim", 8911

CONFIG = r"""
exim_path = @PROGRAM@
primary_hostname = @TLSNAME@
qualify_domain = test.example
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
pid_file_path = @DIR@/exim.pid
local_interfaces = @HOST@
daemon_smtp_ports = @PORT@ : @PORTTLS@ : @PORTSUBMISSION@ : @PORTBARE@
tls_on_connect_ports = @PORTTLS@
host_lookup =
rfc1413_query_timeout = 0s
disable_ipv6 = true
deliver_drop_privilege = true
keep_environment =
timezone = UTC
bounce_return_body = false
smtp_accept_queue_per_connection = 0

CAN = ${if eq{$received_port}{@PORTBARE@}{}{*}}
pipelining_advertise_hosts = CAN
chunking_advertise_hosts = CAN
dsn_advertise_hosts = CAN
smtputf8_advertise_hosts = CAN
tls_advertise_hosts = CAN
auth_advertise_hosts = CAN
prdr_enable = true
tls_certificate = ${if eq{$received_port}{@PORTSUBMISSION@}{@CERTS@/chain.crt}{@CERTS@/server.crt}}
tls_privatekey = ${if eq{$received_port}{@PORTSUBMISSION@}{@CERTS@/chain.key}{@CERTS@/server.key}}

acl_smtp_mail = on_mail
acl_smtp_rcpt = on_rcpt
acl_smtp_predata = on_data
acl_smtp_data = after_data

begin acl

on_mail:
  deny  condition = ${if and{{eq{$received_port}{@PORTSUBMISSION@}}{!def:tls_in_cipher}}}
        message = 530 5.7.0 Must issue a STARTTLS command first
  deny  senders = refused@test.example
        message = 550 5.7.1 Not from you
  defer senders = busy@test.example
        message = 450 4.7.1 Not from you just now
  accept

on_rcpt:
  deny  condition = ${if eq{$received_port}{@PORTSUBMISSION@}}
        !authenticated = *
        message = 530 5.7.0 Authentication required
  deny  local_parts = refused
        message = 550 5.7.1 Not to this one
  deny  local_parts = lines
        message = 5.7.1 One\nTwo\nThree
  defer local_parts = busy
        message = 450 4.2.1 The mailbox is busy
  defer local_parts = full
        message = 452 4.2.2 The mailbox is full
  drop  local_parts = hangup
        message = 550 5.7.1 Good bye
  deny  domains = test.example
        !verify = recipient
        message = 550 5.1.1 No such user
  accept domains = test.example
  accept authenticated = *
  deny  message = 550 5.7.1 Relaying denied

on_data:
  deny  senders = nodata@test.example
        message = 550 5.7.1 No data from you
  accept

after_data:
  deny  senders = late@test.example
        message = 554 5.7.1 Refused after all
  defer senders = latebusy@test.example
        message = 451 4.7.1 Deferred after all
  deny  condition = ${if def:h_X-Refuse:}
        message = 550 5.7.1 Refused for its header
  accept

begin routers

mailbox:
  driver = accept
  domains = test.example
  local_parts = ada : grace : postmaster : ^load[0-9]*\$
  transport = maildir

unknown:
  driver = redirect
  domains = test.example
  allow_fail
  data = :fail: No such user

elsewhere:
  driver = redirect
  data = :blackhole:

begin transports

maildir:
  driver = appendfile
  directory = @DIR@/mail/${if eq{$local_part}{ada}{ada}{grace}}
  create_directory
  maildir_format

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if eq{$auth3}{${lookup{$auth2}lsearch{@DIR@/etc/users}{$value}fail}}}
  server_set_id = $auth2

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if eq{$auth2}{${lookup{$auth1}lsearch{@DIR@/etc/users}{$value}fail}}}
  server_set_id = $auth1

cram_md5:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${lookup{$auth1}lsearch{@DIR@/etc/users}{$value}fail}
  server_set_id = $auth1
"""


def start(stage):
    program, _ = unpacked.find("exim4")
    need_root()
    unpacked.need_namespaces()
    base = stage.dir / NAME
    mounts = unpacked.add_users(base, [(USER, UID)])
    owner = uid_of(base)
    for name in ("spool", "mail", "log"):
        folder(base / name, owner)
    # GnuTLS reads the keys after the server has given up root.
    certs = folder(base / "certs", owner)
    for path in stage.certs.iterdir():
        write(certs / path.name, path.read_text(), owner, 0o600)
    ports = {name: stage.port() for name in PORTS}
    write(base / "etc/exim.conf", fill(CONFIG, dir=base, certs=certs, host=HOST, tlsname=TLS_NAME,
          program=program, **{name.replace("_", ""): port for name, port in ports.items()}))
    write(base / "etc/users", "".join('%s: %s\n' % user for user in USERS.items()))
    stage.start(NAME, "exim", unpacked.in_namespace(
        mounts, [str(program), "-C", str(base / "etc/exim.conf"), "-bdf"]))
    stage.wait_greeting(NAME, "exim", ports["PORT"])
    return {**ports, "MAILDIR": base / "mail", "LOG": base / "log/mainlog"}


def uid_of(base):
    """The number of Exim's user, which may be the system's own."""
    for line in (base / "etc/passwd").read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if fields[0] == USER:
            return int(fields[2])
    raise KeyError(USER)
