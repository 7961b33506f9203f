#!/usr/bin/env python3
"""`uvsmtp send`: the way to the server, through proxies, from an address, to a pinned key."""
import base64
import hashlib
import os
import socket
import socketserver
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tool
from tool import Sink, contains, equal, lacks, send, test, write

LETTER = b'From: ann@here.example\r\nTo: bob@there.example\r\nSubject: Hi\r\n\r\nHello\r\n'
TO = ('--from', 'ann@here.example', '--to', 'bob@there.example')
SECRET = 'open sesame'


class Proxy(socketserver.ThreadingTCPServer):
    """Whatever it is asked for, it connects to the sink, and keeps what it was asked."""
    daemon_threads = True

    def __init__(self, handler, port, login=None):
        super().__init__(('127.0.0.1', 0), handler)
        self.sink_port, self.login, self.asked, self.peers = port, login, [], []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *args):
        self.shutdown()
        self.server_close()

    @property
    def at(self):
        return f'127.0.0.1:{self.server_address[1]}'


class Relay(socketserver.BaseRequestHandler):
    def exactly(self, count):
        got = b''
        while len(got) < count:
            piece = self.request.recv(count - len(got))
            if not piece:
                raise ConnectionError
            got += piece
        return got

    def handle(self):
        self.server.peers.append(self.client_address[0])
        try:
            answer = self.dialogue()
        except ConnectionError:
            return
        if answer is None:
            return
        with socket.create_connection(('127.0.0.1', self.server.sink_port)) as sink:
            # Our last word and the server's first one leave together.
            self.request.sendall(answer + sink.recv(4096))
            back = threading.Thread(target=self.copy, args=(sink, self.request))
            back.start()
            self.copy(self.request, sink)
            back.join()

    @staticmethod
    def copy(source, target):
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Socks(Relay):
    def dialogue(self):
        version, count = self.exactly(2)
        equal(version, 5)
        methods = self.exactly(count)
        if self.server.login is not None:
            if 2 not in methods:
                self.request.sendall(b'\5\xff')
                return None
            self.request.sendall(b'\5\2')
            user = self.exactly(self.exactly(2)[1])
            password = self.exactly(self.exactly(1)[0])
            good = (user + b':' + password).decode() == self.server.login
            self.request.sendall(b'\1\0' if good else b'\1\1')
            if not good:
                return None
        else:
            self.request.sendall(b'\5\0')
        equal(self.exactly(4), b'\5\1\0\3')
        name = self.exactly(self.exactly(1)[0]).decode()
        self.server.asked.append((name, struct.unpack('>H', self.exactly(2))[0]))
        return b'\5\0\0\1\0\0\0\0\0\0'


class Http(Relay):
    def dialogue(self):
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += self.exactly(1)
        self.server.asked.append(head.decode())
        wanted = self.server.login
        if wanted and base64.b64encode(wanted.encode()) not in head:
            self.request.sendall(b'HTTP/1.1 407 Who are you?\r\nConnection: close\r\n\r\n')
            return None
        return b'HTTP/1.1 200 Fine\r\nX-Y: z\r\n\r\n'


@test
def a_message_goes_through_socks5_and_the_proxy_resolves():
    write('letter', LETTER)
    with Sink() as sink, Proxy(Socks, sink.port, f'me:{SECRET}') as proxy:
        url = 'smtp://nowhere.invalid:2525?tls=none'
        run = send(url, *TO, '--trace', '--proxy', f'socks5://me:open%20sesame@{proxy.at}',
                   'letter')
        send(url, *TO, 'letter', env={'UVSMTP_PROXY': f'socks5h://me:open%20sesame@{proxy.at}'})
        bad = send(url, *TO, '--json', '--proxy', f'socks5://me:wrong@{proxy.at}', 'letter',
                   status=75).result()
        none = send(url, *TO, '--json', '--proxy', f'socks5://{proxy.at}', 'letter',
                    status=75).result()
    equal(len(sink.messages), 2)
    equal(proxy.asked, [('nowhere.invalid', 2525)] * 2)
    lacks(run.err, 'sesame')
    for result, words in ((bad, 'refused the user and password'),
                          (none, 'wants a login, and no user is configured')):
        equal(result['error']['name'], 'UVSMTP_EPROXY')
        contains(result['error']['text'], f'the proxy {proxy.at} {words}')


@test
def a_message_goes_through_http_connect():
    write('letter', LETTER)
    with Sink() as sink, Proxy(Http, sink.port, f'me:{SECRET}') as proxy:
        url = 'smtp://nowhere.invalid?tls=none'
        send(url, *TO, '--proxy', f'http://me:open%20sesame@{proxy.at}', 'letter')
        bad = send(url, *TO, '--json', '--proxy', f'http://{proxy.at}', 'letter',
                   status=75).result()
    equal(len(sink.messages), 1)
    contains(proxy.asked[0], 'CONNECT nowhere.invalid:25 HTTP/1.1\r\nHost: nowhere.invalid:25\r\n')
    contains(bad['error']['text'], '407 Who are you?')


@test
def tls_goes_from_end_to_end_through_a_proxy():
    certs = tool.make_certificates()
    if certs is None:
        return
    write('letter', LETTER)
    with Sink('--tls-cert', f'{certs}/server.crt', '--tls-key', f'{certs}/server.key') as sink, \
            Proxy(Socks, sink.port) as proxy:
        wrong = send('smtp://nowhere.invalid', *TO, '--ca', f'{certs}/ca.crt', '--json', '--proxy',
                     f'socks5://{proxy.at}', 'letter', status=77).result()
    equal(wrong['error']['name'], 'UVSMTP_ETLSNAME')
    contains(wrong['error']['text'], f'nowhere.invalid:587 through the proxy {proxy.at}')


@test
def a_proxy_header_leads():
    write('letter', LETTER)
    for version, end in (('v1', b'\r\n'), ('v2', None)):
        heads = []

        class Header(Relay):
            def dialogue(self):
                head = b'' if end else self.exactly(28)
                while end and not head.endswith(end):
                    head += self.exactly(1)
                heads.append(head)
                return b''

        with Sink() as sink, Proxy(Header, sink.port) as proxy:
            send(f'smtp://{proxy.at}?tls=none', *TO, '--proxy-header', version, 'letter')
        equal(len(sink.messages), 1)
        begin = b'PROXY TCP4 127.0.0.1 127.0.0.1 ' if end else b'\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c'
        equal(heads[0][:len(begin)], begin)


@test
def the_source_address_is_ours_and_the_family_too():
    write('letter', LETTER)
    with Sink() as sink, Proxy(type('Plain', (Relay,), {'dialogue': lambda self: b''}),
                               sink.port) as proxy:
        url = f'smtp://{proxy.at}?tls=none'
        send(url, *TO, '--source', '127.0.0.9', '--ipv4', 'letter')
        none = send(url, *TO, '--ipv6', '--json', 'letter', status=68).result()
    equal(proxy.peers, ['127.0.0.9'])
    contains(none['error']['text'], 'no IPv6 address')


@test
def a_pin_decides_whatever_else_is_trusted():
    certs = tool.make_certificates()
    if certs is None:
        return
    key = subprocess.run(['openssl', 'x509', '-in', f'{certs}/server.crt', '-noout', '-pubkey'],
                         capture_output=True, check=True).stdout
    der = base64.b64decode(b''.join(key.splitlines()[1:-1]))
    pin = 'sha256//' + base64.b64encode(hashlib.sha256(der).digest()).decode()
    other = 'sha256//' + base64.b64encode(bytes(32)).decode()
    write('letter', LETTER)
    with Sink('--tls-cert', f'{certs}/server.crt', '--tls-key', f'{certs}/server.key') as sink:
        send(sink.url, *TO, '--ca', f'{certs}/ca.crt', '--pin', other, '--pin', pin, 'letter')
        send(sink.url, *TO, '--insecure', '--pin', pin, 'letter')
        for trust in (('--insecure',), ('--ca', f'{certs}/ca.crt')):
            bad = send(sink.url, *TO, *trust, '--pin', other, '--json', 'letter',
                       status=77).result()
            equal(bad['error']['name'], 'UVSMTP_ETLSPIN')
            contains(bad['error']['text'], pin)
    equal(len(sink.messages), 2)


@test
def a_server_of_tls_1_2_may_follow_its_own_preferences():
    """OpenSSL's first choice for RSA is PSS, which mbedTLS 3.6 cannot check in TLS 1.2."""
    import ssl
    certs = tool.make_certificates()
    if certs is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{certs}/server.crt', f'{certs}/server.key')
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    class Tls(Relay):
        def dialogue(self):
            self.request = context.wrap_socket(self.request, server_side=True)
            return b''

    write('letter', LETTER)
    with Sink() as sink, Proxy(Tls, sink.port) as server:
        send(f'smtps://{server.at}', *TO, '--ca', f'{certs}/ca.crt', '--tls-max', '1.2', 'letter')
    equal(len(sink.messages), 1)


@test
def what_cannot_be_meant_is_a_usage_error():
    write('letter', LETTER)
    for args, words in ((('--proxy', 'ftp://x'), 'socks5, socks5h or http'),
                        (('--proxy-header', 'v3'), 'v1 or v2'),
                        (('--ipv4', '--ipv6'), 'either'),
                        (('--tls-max', '1.1'), '1.2 or 1.3'),
                        (('--proxy', 'http://a%0d:b@x'), 'encoded CR')):
        contains(send('smtp://127.0.0.1:9?tls=none', *TO, *args, 'letter', status=64).err, words)


if __name__ == '__main__':
    tool.main()
