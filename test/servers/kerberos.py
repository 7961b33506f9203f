"""A Kerberos realm of its own, and Postfix with Cyrus SASL that logs in by it alone (GSSAPI).

KRB5_CONFIG and KRB5_CCACHE are what a client needs: ada has a ticket. KRB5_CCACHE_EMPTY has none.
"""
import os
import shutil
import subprocess

import postfix
from fixture import HOST, TLS_NAME, Failed, Missing, fill, folder, need_program, need_root, write

NAME = "kerberos"
REALM = "TEST.EXAMPLE"

CONFIG = """
[libdefaults]
  default_realm = @REALM@
  dns_lookup_realm = false
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false
  rdns = false
  ignore_acceptor_hostname = true
  udp_preference_limit = 1
  default_ccache_name = FILE:@DIR@/ccache
[realms]
  @REALM@ = {
    kdc = @HOST@:@PORT@
  }
[logging]
  kdc = FILE:@DIR@/log/kdc.log
"""

KDC = """
[kdcdefaults]
  kdc_listen = @HOST@:@PORT@
  kdc_tcp_listen = @HOST@:@PORT@
[realms]
  @REALM@ = {
    database_name = @DIR@/principals
    key_stash_file = @DIR@/stash
    acl_file = @DIR@/acl
    max_life = 1h
  }
"""


def call(command, environment, **options):
    done = subprocess.run([str(word) for word in command], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        raise Failed("%s: %s" % (command[0], done.stdout.strip()))


def make_realm(base, environment):
    """The database; a key for the server under both names by which it is called, and ada's."""
    util, local = need_program("kdb5_util"), need_program("kadmin.local")
    call([util, "create", "-s", "-r", REALM, "-P", "master key"], environment)
    for host in (HOST, TLS_NAME):
        call([local, "-r", REALM, "-q", "addprinc -randkey smtp/" + host], environment)
        call([local, "-r", REALM, "-q", "ktadd -k %s/keytab smtp/%s" % (base, host)], environment)
    call([local, "-r", REALM, "-q", "addprinc -pw secret ada"], environment)
    shutil.chown(base / "keytab", "postfix")


def start(stage):
    kdc, kinit = need_program("krb5kdc"), need_program("kinit")
    if not any(os.path.exists("/usr/lib/%s/sasl2/libgssapiv2.so" % place)
               for place in ("x86_64-linux-gnu", "aarch64-linux-gnu", ".")):
        raise Missing("Cyrus SASL's GSSAPI is not installed")
    need_root()
    base = folder(stage.dir / NAME)
    values = dict(dir=base, realm=REALM, host=HOST, port=stage.port())
    stage.log(NAME)
    write(base / "krb5.conf", fill(CONFIG, **values))
    write(base / "kdc.conf", fill(KDC, **values))
    environment = {**os.environ, "KRB5_CONFIG": str(base / "krb5.conf"),
                   "KRB5_KDC_PROFILE": str(base / "kdc.conf")}
    make_realm(base, environment)
    stage.start(NAME, "kdc", [kdc, "-n", "-r", REALM], env=environment)
    stage.wait_port(NAME, "kdc", values["port"])
    call([kinit, "-c", base / "ccache", "ada"], environment, input="secret\n")
    ports = postfix.start(stage, NAME, mechanisms="GSSAPI", environment={
        "KRB5_CONFIG": environment["KRB5_CONFIG"], "KRB5_KTNAME": base / "keytab"})
    return {**ports, "KRB5_CONFIG": environment["KRB5_CONFIG"], "KRB5_CCACHE": base / "ccache",
            "KRB5_CCACHE_EMPTY": base / "none"}
