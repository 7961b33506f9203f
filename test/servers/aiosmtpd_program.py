"""A program: an aiosmtpd on up to five ports, told by a JSON file what to do.

    aiosmtpd_program.py SETTINGS

See aiosmtpd_server.py for what answers how.
"""
import asyncio
import json
import ssl
import sys
from functools import partial

from aiosmtpd.handlers import Mailbox
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult

RCPT = {
    "refused": "550 5.7.1 Not to this one",
    "busy": "450 4.2.1 The mailbox is busy",
    "full": "452 4.2.2 The mailbox is full",
    "unknown": "550 5.1.1 No such user",
    "lines": "550-5.7.1 One\r\n550-5.7.1 Two\r\n550 5.7.1 Three",
}
MAIL = {
    "refused": "550 5.7.1 Not from you",
    "busy": "450 4.7.1 Not from you just now",
}
LATE = {
    "late": "554 5.7.1 Refused after all",
    "latebusy": "451 4.7.1 Deferred after all",
}


def local_part(address):
    return (address or "").partition("@")[0]


class Handler(Mailbox):
    async def handle_MAIL(self, server, session, envelope, address, options):
        if local_part(address) in MAIL:
            return MAIL[local_part(address)]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender taken"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if local_part(address) in RCPT:
            return RCPT[local_part(address)]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient taken"

    async def handle_DATA(self, server, session, envelope):
        if local_part(envelope.mail_from) in LATE:
            return LATE[local_part(envelope.mail_from)]
        reply = await super().handle_DATA(server, session, envelope)
        if not isinstance(server, LMTP):
            return reply
        # One reply for each recipient (RFC 2033 section 4.2).
        return "\r\n".join(LATE.get(local_part(to), reply) for to in envelope.rcpt_tos)


def serve(settings):
    def authenticate(server, session, envelope, mechanism, data):
        password = settings["users"].get(getattr(data, "login", b"").decode(errors="replace"))
        if password is not None and password.encode() == data.password:
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(settings["cert"], settings["key"])
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    handler = Handler(settings["mail"])
    common = dict(hostname="mail.test.example", enable_SMTPUTF8=True, loop=loop)
    auth = dict(authenticator=authenticate)
    # In the order of PORTS; the second element is TLS from the first byte.
    factories = (
        (partial(SMTP, handler, tls_context=tls, auth_require_tls=False, **auth, **common), None),
        (partial(SMTP, handler, auth_require_tls=False, **auth, **common), tls),
        (partial(SMTP, handler, tls_context=tls, require_starttls=True, auth_required=True,
                 **auth, **common), None),
        (partial(LMTP, handler, **common), None),
        (partial(SMTP, handler, tls_context=tls, data_size_limit=20000, timeout=3,
                 command_call_limit={"NOOP": 5, "*": 20}, **auth, **common), None),
    )
    for port, (factory, context) in zip(settings["ports"], factories):
        loop.run_until_complete(
            loop.create_server(factory, host=settings["host"], port=port, ssl=context))
    loop.run_forever()


with open(sys.argv[1], encoding="utf-8") as f:
    serve(json.load(f))
