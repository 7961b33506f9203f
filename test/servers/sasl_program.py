"""An SMTP server whose AUTH is the work of a SASL library that others wrote.

    sasl_program.py LIBRARY CERT KEY FOLDER HOST:PORT HOST:PORT HOST:PORT

LIBRARY is cyrus or gsasl. TLS is 1.2, so that both sides have tls-unique (RFC 5929) to bind to. On
the first port all is as it should be. On the second somebody stands between and has taken the
-PLUS mechanisms out of the EHLO reply. On the third the library is told of another TLS connection
than the client's, as if that ended at somebody in between. Mail is taken from those who have
logged in, and stored in FOLDER/new.
"""
import base64
import itertools
import socketserver
import ssl
import sys
import threading
from pathlib import Path

import sasl_cyrus
import sasl_gsasl

LIBRARIES = {"cyrus": sasl_cyrus.Library, "gsasl": sasl_gsasl.Library}
serial = itertools.count()


class Refused(Exception):
    """The library does not go on with an exchange."""


class Session(socketserver.StreamRequestHandler):
    def setup(self):
        super().setup()
        self.user = None
        self.binding = None

    def say(self, *lines):
        self.wfile.write(b"".join(line.encode() + b"\r\n" for line in lines))

    def hear(self):
        line = self.rfile.readline(20000)
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2]

    def handle(self):
        self.say("220 mail.test.example ESMTP")
        try:
            while self.answer(self.hear()):
                pass
        except (EOFError, OSError):
            pass

    def answer(self, line):
        """One command; whether there will be another."""
        verb, _, rest = line.partition(b" ")
        verb = verb.upper().decode("ascii", "replace")
        if verb == "QUIT":
            self.say("221 bye")
            return False
        if verb == "EHLO":
            self.greet()
        elif verb == "STARTTLS":
            self.start_tls()
        elif verb == "AUTH":
            self.authenticate(rest.decode("ascii", "replace"))
        elif verb in ("MAIL", "RCPT", "DATA") and self.user is None:
            self.say("530 5.7.0 log in first")
        elif verb == "DATA":
            self.take_message()
        else:
            self.say("250 2.0.0 ok" if verb in ("MAIL", "RCPT", "RSET", "NOOP") else "500 what?")
        return True

    def greet(self):
        lines = ["mail.test.example"]
        if self.binding is None:
            lines.append("STARTTLS")
        names = self.server.library.mechanisms(self.binding)
        if self.server.stripped:
            names = [name for name in names if not name.endswith("-PLUS")]
        lines.append("AUTH " + " ".join(names))
        self.say(*["250%s%s" % ("-" if line is not lines[-1] else " ", line) for line in lines])

    def start_tls(self):
        self.say("220 go ahead")
        secure = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.binding = secure.get_channel_binding("tls-unique")
        if self.server.elsewhere:
            self.binding = bytes(len(self.binding))
        self.rfile, self.wfile = secure.makefile("rb"), secure.makefile("wb", 0)

    def authenticate(self, arguments):
        mechanism, _, first = arguments.partition(" ")
        try:
            initial = None if first == "" else b"" if first == "=" else base64.b64decode(first)
            exchange = self.server.library.start(mechanism, self.binding)
            self.user = self.run(exchange, initial)
            self.say("235 2.7.0 welcome, " + self.user)
        except Exception as e:  # whatever the library has against it
            self.say("535 5.7.8 %s" % e)

    def run(self, exchange, response):
        """The dialogue: `step` takes a response, None at first, and gives (is_over, challenge)."""
        over, challenge = exchange.step(response)
        while not over or challenge:
            self.say("334 " + base64.b64encode(challenge or b"").decode())
            line = self.hear()
            if line == b"*":
                raise Refused("cancelled")
            if over:
                break
            over, challenge = exchange.step(base64.b64decode(line))
        return exchange.user()

    def take_message(self):
        self.say("354 go ahead")
        lines = []
        while (line := self.hear()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        path = self.server.folder / "new" / str(next(serial))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        self.say("250 2.0.0 stored")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    library, cert, key, folder, *places = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    threads = []
    sasl = LIBRARIES[library]()
    for i, place in enumerate(places):
        host, port = place.rsplit(":", 1)
        server = Server((host, int(port)), Session)
        server.library, server.tls, server.folder = sasl, tls, Path(folder)
        server.stripped, server.elsewhere = i == 1, i == 2
        threads.append(threading.Thread(target=server.serve_forever))
        threads[-1].start()
    for thread in threads:
        thread.join()


main()
