#!/usr/bin/env python3
"""The fake server, spoken to over sockets. Usage: test_sink.py SINK_PROGRAM [NAME…]

Every test starts a sink of its own with --json and looks at what was replied, at the messages it
reports and at its counters. Python's smtplib, which knows nothing of us, speaks where it can.
"""
import base64
import hashlib
import hmac
import json
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = None
FOLDER = None
EHLO = b'EHLO client.example\r\n'
OPEN = b'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n'


TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Sink:
    def __init__(self, *args, status=0):
        self.status = status
        self.process = subprocess.Popen([PROGRAM, '--json', *args], stdout=subprocess.PIPE)
        first = json.loads(self.process.stdout.readline())
        self.port = first['listening']['port']
        self.address = first['listening']['address']
        self.messages = []
        self.counters = None
        self.lines = []  # a full pipe would make the sink wait: somebody reads all the time
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.end()

    def end(self, terminate=True):
        """Ends it (or waits for its own end) and reads what it reported."""
        if self.counters is not None:
            return self.counters
        if terminate:
            self.process.terminate()
        self.process.wait(timeout=30)
        self.reader.join()
        self.process.stdout.close()
        for line in self.lines:
            report = json.loads(line)
            if 'message' in report:
                self.messages.append(report)
            else:
                self.counters = report['counters']
        equal(self.process.returncode, self.status)
        return self.counters


class Client:
    """A socket, and replies as they come."""

    def __init__(self, sink, greeting=True):
        if sink.port:
            self.socket = socket.create_connection(('127.0.0.1', sink.port), timeout=30)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(30)
            self.socket.connect(sink.address)
        self.data = b''
        if greeting:
            equal(self.reply()[:3], '220')

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        while b'\n' not in self.data:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.data += more
        line, self.data = self.data.split(b'\n', 1)
        return line.rstrip(b'\r').decode('latin-1')

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == '-':
            lines.append(self.line())
        return '\n'.join(lines)

    def codes(self, count):
        return ' '.join(self.reply()[:3] for _ in range(count))

    def ask(self, data, count=1):
        self.send(data)
        return self.codes(count)

    def rest(self):
        """All up to the end of the connection."""
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return self.data + b'<RST>'
            if not more:
                return self.data
            self.data += more

    def close(self):
        self.socket.close()


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f'got {got!r}, wanted {wanted!r}')


def sha(data):
    return hashlib.sha256(data).hexdigest()


def deliver(client, body):
    """One message by DATA, as it stands; `body` has its dots already."""
    equal(client.ask(EHLO + OPEN, 3), '250 250 250')
    equal(client.ask(b'DATA\r\n'), '354')
    equal(client.ask(body + b'.\r\n'), '250')


# Messages


@test
def smtplib_message_arrives_intact():
    body = 'Subject: x\r\n\r\n.one\r\n..\r\n.\r\nend\r\n'
    with Sink() as sink:
        with smtplib.SMTP('127.0.0.1', sink.port) as smtp:
            smtp.sendmail('a@x.example', ['b@y.example', 'c@y.example'], body)
        counters = sink.end()
        message = sink.messages[0]
        equal(message['sha256'], sha(body.encode()))
        equal(message['size'], len(body))
        equal(message['from'], 'a@x.example')
        equal([r['address'] for r in message['to']], ['b@y.example', 'c@y.example'])
        equal((message['bare_lf'], message['bare_cr'], message['eight_bit']), (False,) * 3)
        equal((counters['messages'], counters['recipients'], counters['violations']), (1, 2, 0))


def byte_by_byte(count):
    """A script that makes the sink take each of the first bytes by itself."""
    return ['--rule', '\n'.join(f'received {n} : delay 0' for n in range(1, count))]


@test
def data_ends_at_crlf_dot_crlf_only():
    rows = [  # what is sent before CRLF . CRLF, what arrives, bare LF, bare CR
        (b'', b'', False, False),
        (b'a\r\n', b'a\r\n', False, False),
        (b'..\r\n', b'.\r\n', False, False),
        (b'.a\r\n..b\r\n', b'a\r\n.b\r\n', False, False),
        (b'a\n.\nb\r\n', b'a\n.\nb\r\n', True, False),
        (b'a\n.\r\nb\r\n', b'a\n.\r\nb\r\n', True, False),
        (b'a\r.\r\nb\r\n', b'a\r.\r\nb\r\n', False, True),
        (b'a\r\n.\nb\r\n', b'a\r\n\nb\r\n', True, False),
        (b'a\r\n.\rb\r\n', b'a\r\n\rb\r\n', False, True),
        (b'a\r\n.\r\rb\r\n', b'a\r\n\r\rb\r\n', False, True),
        (b'a\r\r\n', b'a\r\r\n', False, True),
    ]
    for sent, arrives, bare_lf, bare_cr in rows:
        for options in ([], byte_by_byte(300)):
            with Sink(*options) as sink:
                client = Client(sink)
                deliver(client, sent)
                equal(client.ask(b'QUIT\r\n'), '221')
                counters = sink.end()
                message = sink.messages[0]
                equal((message['sha256'], message['size']), (sha(arrives), len(arrives)))
                equal((message['bare_lf'], message['bare_cr']), (bare_lf, bare_cr))
                equal((counters['bad_bare_lf'], counters['bad_bare_cr']), (bare_lf, bare_cr))


@test
def faults_are_found_at_every_place():
    rows = [  # what is sent, what arrives, bare LF, bare CR, 8-bit
        (b'\n.\r\n', b'\n.\r\n', True, False, False),
        (b'\r\n..\r\n', b'\r\n.\r\n', False, False, False),
        (b'\r\n', b'\r\n', False, False, False),
        (b'\r', b'\r', False, True, False),
        (b'\xff', b'\xff', False, False, True),
    ]
    wanted = []
    with Sink() as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        for pad in range(300):  # longer than what is looked at in one step
            for sent, arrives, *flags in rows:
                before, behind = b'x' * pad, b'y' * (600 - pad) + b'\r\n'
                whole = before + arrives + behind
                equal(client.ask(OPEN + b'DATA\r\n', 3), '250 250 354')
                equal(client.ask(before + sent + behind + b'.\r\n'), '250')
                equal(client.ask(OPEN + b'BDAT %d LAST\r\n' % len(whole) + whole, 3),
                      '250 250 250')
                wanted += [(sha(whole), *flags)] * 2
        sink.end()
    got = [(m['sha256'], m['bare_lf'], m['bare_cr'], m['eight_bit']) for m in sink.messages]
    equal(got == wanted, True)


@test
def dialogue_taken_byte_by_byte_is_the_same():
    body = b'Subject: x\r\n\r\n..dots\r\n' + b'y' * 150 + b'\r\n..\r\nend\r\n'
    arrives = body.replace(b'\r\n..', b'\r\n.')
    dialogue = (EHLO + OPEN + b'DATA\r\n' + body + b'.\r\n' + OPEN + b'BDAT 20\r\n' +
                arrives[:20] + b'BDAT %d LAST\r\n' % (len(arrives) - 20) + arrives[20:] +
                b'QUIT\r\n')
    with Sink(*byte_by_byte(len(dialogue))) as sink:
        client = Client(sink)
        equal(client.ask(dialogue, 10), '250 250 250 354 250 250 250 250 250 221')
        counters = sink.end()
        equal([m['sha256'] for m in sink.messages], [sha(arrives)] * 2)
        equal(counters['scripted'], len(dialogue) - 1)


@test
def chunks_arrive_unchanged():
    body = b'.\r\n..\r\nA\r\n' + bytes(range(256)) * 3
    with Sink('--with', 'binarymime') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        flight = (b'MAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<b@y.example>\r\n'
                  b'BDAT 4\r\n' + body[:4] + b'BDAT 0\r\n' +
                  b'BDAT %d\r\n' % (len(body) - 4) + body[4:] + b'BDAT 0 LAST\r\n')
        equal(client.ask(flight + b'QUIT\r\n', 7), '250 250 250 250 250 250 221')
        counters = sink.end()
        message = sink.messages[0]
        equal(message['sha256'], sha(body))
        equal((message['chunked'], message['eight_bit'], message['from']), (True, True, ''))
        equal(counters['violations'], 0)


@test
def many_messages_in_one_flight():
    message = OPEN + b'BDAT 6 LAST\r\nhello\n'
    with Sink('--no-scan') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        equal(client.ask(message * 1000, 3000), ' '.join(['250'] * 3000))
        counters = sink.end()
        equal((counters['messages'], counters['bytes']), (1000, 6000))
        equal(counters['violations'], 0)


@test
def refused_chunk_is_read_and_thrown_away():
    with Sink('--rule', 'rcpt match "no@*" : reply "550 5.1.1 No"') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        refused = b'MAIL FROM:<a@x.example>\r\nRCPT TO:<no@y.example>\r\nBDAT 6 LAST\r\nQUIT\r\n'
        equal(client.ask(refused + OPEN + b'BDAT 2 LAST\r\nx\n', 6), '250 550 503 250 250 250')
        equal(client.ask(OPEN + b'BDAT 2\r\nx\nRSET\r\n' + OPEN + b'BDAT 0 LAST\r\n', 7),
              '250 250 250 250 250 250 250')
        equal(client.ask(OPEN + b'BDAT 2\r\nx\nRSET\r\nQUIT\r\n', 5), '250 250 250 250 221')
        equal(sink.end()['cut_messages'], 0)
        equal([m['size'] for m in sink.messages], [2, 0])


@test
def lmtp_answers_for_each_recipient():
    path = os.path.join(FOLDER, 'lmtp.sock')
    with Sink('--lmtp', '--unix', path, '--rule', 'eod match "c@*" : reply "452 4.2.2 Full"',
              '--rule', 'rcpt match "no@*" : reply "550 5.1.1 No"') as sink:
        client = Client(sink)
        equal(client.ask(b'LHLO client.example\r\n'), '250')
        rcpts = b''.join(b'RCPT TO:<%s@y.example>\r\n' % name for name in (b'b', b'no', b'c', b'd'))
        equal(client.ask(b'MAIL FROM:<a@x.example>\r\n' + rcpts + b'DATA\r\n', 6),
              '250 250 550 250 250 354')
        equal(client.ask(b'x\r\n.\r\n', 3), '250 452 250')
        equal(client.ask(b'MAIL FROM:<a@x.example>\r\n' + rcpts + b'BDAT 1 LAST\r\nx', 8),
              '250 250 550 250 250 250 452 250')
        equal(client.ask(b'EHLO x\r\n'), '500')
        sink.end()
        equal([[r['address'][0] for r in m['to']] for m in sink.messages], [['b', 'd']] * 2)


@test
def prdr_answers_for_each_recipient_and_all():
    with Sink('--with', 'prdr', '--rule', 'eod match "c@*" : reply "550 5.7.1 No"') as sink:
        client = Client(sink)
        equal(client.ask(EHLO + b'MAIL FROM:<a@x.example> PRDR\r\nRCPT TO:<b@y.example>\r\n'
                         b'RCPT TO:<c@y.example>\r\nDATA\r\n', 5), '250 250 250 250 354')
        equal(client.ask(b'x\r\n.\r\n', 4), '353 250 550 250')
        sink.end()
        equal([r['address'] for r in sink.messages[0]['to']], ['b@y.example'])


@test
def maildir_and_mbox_keep_the_message():
    maildir, mbox = os.path.join(FOLDER, 'maildir'), os.path.join(FOLDER, 'mbox')
    with Sink('--maildir', maildir, '--mbox', mbox) as sink:
        client = Client(sink)
        deliver(client, b'From here\r\n>From there\r\n..x\r\n')
        sink.end()
        with open(sink.messages[0]['file'], 'rb') as f:
            equal(f.read(), b'From here\r\n>From there\r\n.x\r\n')
        equal(os.listdir(os.path.join(maildir, 'tmp')), [])
    with open(mbox, 'rb') as f:
        first, _, text = f.read().partition(b'\n')
    equal((first[:17], text), (b'From a@x.example ', b'>From here\n>>From there\n.x\n\n'))


@test
def ends_by_itself_after_expected_messages():
    sink = Sink('--expect', '2')
    with smtplib.SMTP('127.0.0.1', sink.port) as smtp:
        for _ in range(2):
            smtp.sendmail('a@x.example', 'b@y.example', 'x')
    equal(sink.end(terminate=False)['messages'], 2)
    with Sink('--expect', '2', status=1) as sink:
        with smtplib.SMTP('127.0.0.1', sink.port) as smtp:
            smtp.sendmail('a@x.example', 'b@y.example', 'x')


# What it offers and refuses


@test
def ehlo_offers_what_the_options_say():
    with Sink('--no', 'pipelining,CHUNKING,size', '--ehlo', 'X-FOO bar', '--ehlo', 'LIMITS RCPTMAX=2',
              '--auth', 'u:p', '--auth-mechanisms', 'login,xoauth2') as sink:
        client = Client(sink)
        client.send(EHLO)
        equal(client.reply().split('\n'),
              ['250-sink.example', '250-8BITMIME', '250-SMTPUTF8', '250-DSN',
               '250-ENHANCEDSTATUSCODES', '250-AUTH LOGIN XOAUTH2', '250-X-FOO bar',
               '250 LIMITS RCPTMAX=2'])
        equal(client.ask(b'BDAT 1 LAST\r\n'), '502')
    with Sink('--no', 'ehlo,enhancedstatuscodes', '--max-size', '1000') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '502')
        equal(client.ask(b'HELO x\r\n'), '250')
        client.send(OPEN[:25])
        equal(client.reply(), '250 Ok')


@test
def limits_are_kept():
    with Sink('--max-size', '10', '--max-recipients', '1', '--max-connections', '1') as sink:
        client = Client(sink)
        equal(Client(sink, greeting=False).rest()[:4], b'421 ')
        equal(client.ask(EHLO + b'MAIL FROM:<a@x.example> SIZE=11\r\n', 2), '250 552')
        equal(client.ask(OPEN + b'RCPT TO:<c@y.example>\r\nDATA\r\n', 4), '250 250 452 354')
        equal(client.ask(b'123456789\r\n.\r\n'), '552')
        equal(client.ask(OPEN + b'BDAT 10 LAST\r\n12345678\r\n', 3), '250 250 250')
        counters = sink.end()
        equal((counters['messages'], counters['refused_messages']), (1, 1))


@test
def slips_of_the_client_are_counted():
    rows = [  # options, what is sent after EHLO (and waited for), replies, counter
        ([], b'FOO\r\n', '500', 'bad_unknown'),
        ([], b'MAIL FROM: <a@x.example>\r\n', '501', 'bad_syntax'),
        ([], b'MAIL FROM:<a@x.example>x\r\n', '501', 'bad_syntax'),
        ([], b'MAIL FROM:<a b@x.example>\r\n', '501', 'bad_syntax'),
        ([], b'MAIL FROM:<a>\r\n', '553', 'bad_syntax'),
        ([], b'MAIL FROM:<a@x@y>\r\n', '553', 'bad_syntax'),
        ([], b'MAIL FROM:<a@x.example> FOO=1\r\n', '555', 'bad_parameter'),
        ([], b'MAIL FROM:<a@x.example> BODY=9BIT\r\n', '555', 'bad_parameter'),
        ([], b'MAIL FROM:<a@x.example> RET=ALL\r\n', '555', 'bad_parameter'),
        ([], b'MAIL FROM:<a@x.example> ENVID=a+0\r\n', '555', 'bad_parameter'),
        (['--no', 'size'], b'MAIL FROM:<a@x.example> SIZE=1\r\n', '555', 'bad_parameter'),
        ([], b'MAIL FROM:<\xc3\xa9@x.example>\r\n', '553', 'bad_utf8'),
        ([], b'RCPT TO:<b@y.example>\r\n', '503', 'bad_sequence'),
        ([], b'BDAT 1 LAST\r\nx', '503', 'bad_sequence'),
        ([], b'NOOP\n', '500', 'bad_line_end'),
        ([], b'NOOP \rx\r\n', '500', 'bad_line_end'),
        ([], b'NOOP \0\r\n', '500', 'bad_line_end'),
        ([], b'NOOP ' + b'x' * 506 + b'\r\n', '250', 'bad_long_line'),
        ([], b'x' * 20000 + b'\r\n', '500', 'bad_long_line'),
        ([], b'NOOP\r\nNOOP\r\n', '250 250', 'bad_pipelining'),
        (['--no', 'pipelining'], OPEN, '250 250', 'bad_pipelining'),
        (['--no', 'chunking'], b'BDAT 1 LAST\r\n', '502', 'bad_unknown'),
    ]
    for options, sent, replies, counter in rows:
        with Sink(*options) as sink:
            client = Client(sink)
            equal(client.ask(EHLO), '250')
            equal(client.ask(sent, len(replies.split())), replies)
            client.close()
            counters = sink.end()
            if (counters[counter], counters['violations']) != (1, 1):
                raise AssertionError(f'{sent!r}: {counter} is not the only one: {counters}')


@test
def clean_dialogue_has_no_violation():
    with Sink('--ehlo', 'REQUIRETLS', '--ehlo', 'X-A') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        equal(client.ask(
            b'MAIL FROM:<"a b\\"@"@x.example> SIZE=3 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2B'
            b' REQUIRETLS X-A=1\r\n'
            b'RCPT TO:<\xc3\xa9@y.example> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;\xc3\xa9@y.example\r\n'
            b'RCPT TO:<Postmaster> NOTIFY=NEVER\r\nDATA\r\n', 4), '250 250 250 354')
        equal(client.ask(b'\xc3\xa9\r\n.\r\nRSET\r\n' + OPEN + b'RSET\r\nQUIT\r\n', 6),
              '250 250 250 250 250 221')
        counters = sink.end()
        equal(counters['violations'], 0)
        equal(sink.messages[0]['from'], '"a b\\"@"@x.example')
        equal(sink.messages[0]['to'][0]['address'], 'é@y.example')
        equal(sink.messages[0]['to'][1]['params'], 'NOTIFY=NEVER')


@test
def body_before_354_is_counted():
    with Sink('--rule', 'data : delay 50') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        client.send(OPEN + b'DATA\r\n')
        equal(client.codes(2), '250 250')
        client.send(b'x\r\n.\r\n')
        equal(client.codes(2), '354 250')
        counters = sink.end()
        equal(counters['bad_pipelining'] > 0, True)
        equal(counters['messages'], 1)


# TLS and AUTH


def certificate():
    cert, key = os.path.join(FOLDER, 'cert.pem'), os.path.join(FOLDER, 'key.pem')
    if not os.path.exists(cert):
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
                        '-subj', '/CN=localhost', '-keyout', key, '-out', cert],
                       check=True, stderr=subprocess.DEVNULL)
    return ['--tls-cert', cert, '--tls-key', key]


def trusting():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@test
def starttls_and_auth_by_smtplib():
    body = b'x' * 900000 + b'\r\n'
    with Sink(*certificate(), '--auth', 'user:pass', '--tls-required', '--auth-required',
              '--auth-tls-only') as sink:
        for mechanism in ('auth_plain', 'auth_login', 'auth_cram_md5'):
            with smtplib.SMTP('127.0.0.1', sink.port) as smtp:
                smtp.ehlo()
                equal(smtp.has_extn('auth'), False)
                equal(smtp.docmd('MAIL FROM:<a@x.example>')[0], 530)
                smtp.starttls(context=trusting())
                smtp.ehlo()
                equal(smtp.has_extn('starttls'), False)
                equal(smtp.docmd('MAIL FROM:<a@x.example>')[0], 530)
                smtp.user, smtp.password = 'user', 'wrong'
                name = mechanism[5:].upper().replace('_', '-')
                try:
                    smtp.auth(name, getattr(smtp, mechanism))
                    raise AssertionError('a wrong password was taken')
                except smtplib.SMTPAuthenticationError as e:
                    equal(e.smtp_code, 535)
                smtp.password = 'pass'
                equal(smtp.auth(name, getattr(smtp, mechanism))[0], 235)
                smtp.sendmail('a@x.example', 'b@y.example', body)
        counters = sink.end()
        equal({(m['user'], m['tls'], m['sha256']) for m in sink.messages},
              {('user', True, sha(body))})
        equal((counters['auth_ok'], counters['auth_failed'], counters['handshakes']), (3, 3, 3))
        equal(counters['violations'], 0)


@test
def implicit_tls_by_smtplib():
    with Sink(*certificate(), '--tls-implicit', '--tls-max', '1.2') as sink:
        with smtplib.SMTP_SSL('127.0.0.1', sink.port, context=trusting()) as smtp:
            equal(smtp.has_extn('starttls'), False)
            equal(smtp.sock.version(), 'TLSv1.2')
            smtp.sendmail('a@x.example', 'b@y.example', 'hello')
        equal(sink.end()['messages'], 1)


@test
def bytes_behind_starttls_are_not_believed_and_all_begins_anew():
    auth = b'AUTH PLAIN ' + base64.b64encode(b'\0user\0pass') + b'\r\n'
    with Sink(*certificate(), '--auth', 'user:pass') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        equal(client.ask(auth), '235')
        equal(client.ask(b'STARTTLS\r\nRSET\r\n'), '220')
        client.socket = trusting().wrap_socket(client.socket)
        equal(client.ask(EHLO), '250')
        equal(client.ask(auth), '235')
        counters = sink.end()
        equal((counters['bad_after_starttls'], counters['violations']), (1, 1))


def scram(client, name, digest, password):
    def mac(key, text):
        return hmac.new(key, text, digest).digest()

    bare = 'n=user,r=abc'
    client.send(f'AUTH {name} '.encode() + base64.b64encode(b'n,,' + bare.encode()) + b'\r\n')
    first = base64.b64decode(client.reply()[4:]).decode()
    fields = dict(field.split('=', 1) for field in first.split(','))
    salted = hashlib.pbkdf2_hmac(digest, password, base64.b64decode(fields['s']), int(fields['i']))
    client_key = mac(salted, b'Client Key')
    without = f'c=biws,r={fields["r"]}'
    message = f'{bare},{first},{without}'.encode()
    signature = mac(hashlib.new(digest, client_key).digest(), message)
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    final = without + ',p=' + base64.b64encode(proof).decode()
    client.send(base64.b64encode(final.encode()) + b'\r\n')
    reply = client.reply()
    if reply[:3] != '334':
        return reply[:3]
    server = base64.b64decode(reply[4:]).decode()
    equal(server, 'v=' + base64.b64encode(mac(mac(salted, b'Server Key'), message)).decode())
    return client.ask(b'\r\n')


@test
def scram_proves_both_sides():
    names = {'SCRAM-SHA-256': 'sha256', 'SCRAM-SHA-1': 'sha1', 'SCRAM-SHA-512': 'sha512'}
    with Sink('--auth', 'user:pass', '--auth-mechanisms', ','.join(names)) as sink:
        for name, digest in names.items():
            client = Client(sink)
            equal(client.ask(EHLO), '250')
            equal(scram(client, name, digest, b'wrong'), '535')
            equal(scram(client, name, digest, b'pass'), '235')
        equal(sink.end()['violations'], 0)


@test
def bearer_tokens_and_cancelling():
    with Sink('--auth', 'user:token', '--auth-mechanisms', 'xoauth2,oauthbearer,plain') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        for name in (b'XOAUTH2', b'OAUTHBEARER'):
            wrong = base64.b64encode(b'user=user\1auth=Bearer no\1\1')
            equal(client.ask(b'AUTH %s %s\r\n' % (name, wrong)), '334')
            equal(client.ask(b'AQ==\r\n'), '535')
        equal(client.ask(b'AUTH PLAIN\r\n'), '334')
        equal(client.ask(b'*\r\n'), '501')
        equal(client.ask(b'AUTH PLAIN !!!\r\n'), '501')
        equal(client.ask(b'AUTH FOO\r\n'), '504')
        right = base64.b64encode(b'n,a=user,\1auth=Bearer token\1\1')
        equal(client.ask(b'AUTH OAUTHBEARER\r\n'), '334')
        equal(client.ask(right + b'\r\n'), '235')
        equal(client.ask(b'AUTH PLAIN\r\n'), '503')
        counters = sink.end()
        equal((counters['auth_ok'], counters['bad_auth']), (1, 1))


# Misbehaviour


@test
def script_replies_in_place_of_the_usual():
    path = os.path.join(FOLDER, 'script')
    with open(path, 'w') as f:
        f.write('# a comment\n'
                'ehlo : reply "250-one" "250-two" "250 three"\r\n'
                'rcpt match "Grey@*" times 1 : reply "451 4.7.1 later"  # once\n'
                'rcpt total 4- : reply "550 no"\n'
                'mail conn 2 : reply "421 bye", close\n'
                'noop nth 2 : raw "X\\x41\\r\\n"\n')
    with Sink('--script', path, '--rule', 'noop every 3 : drop') as sink:
        client = Client(sink)
        client.send(EHLO)
        equal(client.reply(), '250-one\n250-two\n250 three')
        equal(client.ask(b'MAIL FROM:<a@x.example>\r\n'), '250')
        for address, code in (('grey', '451'), ('grey', '250'), ('b', '250'), ('c', '550')):
            equal(client.ask(b'RCPT TO:<%s@y.example>\r\n' % address.encode()), code)
        client.send(b'NOOP\r\nNOOP\r\nNOOP\r\nRSET x\r\n')
        equal([client.line()[:3] for _ in range(4)], ['250', 'XA', '250', '501'])
        second = Client(sink)
        equal(second.ask(EHLO + OPEN, 2), '250 421')
        equal(second.rest(), b'')
        equal(sink.end()['refused_recipients'], 2)


@test
def endings():
    ends = {'close': b'', 'reply, close': b'250 2.0.0 Ok\r\n', 'reset': b'<RST>',
            'raw "a", close': b'a', 'stall': b'', 'drop': b'', 'reply "", close': b'\r\n',
            'garbage 9, close': None}
    for action, expected in ends.items():
        with Sink('--rule', 'noop : ' + action) as sink:
            client = Client(sink)
            client.send(b'NOOP\r\n')
            if action in ('stall', 'drop'):
                client.socket.shutdown(socket.SHUT_WR)  # it would wait for ever
            got = client.rest()
            equal(len(got) if expected is None else got, 9 if expected is None else expected)


@test
def stall_answers_nothing_more():
    with Sink('--rule', 'mail : stall') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        client.send(OPEN + b'QUIT\r\n')
        client.socket.shutdown(socket.SHUT_WR)
        equal(client.rest(), b'')


@test
def message_is_taken_or_lost_as_the_script_says():
    for action, taken in (('close', 1), ('reset', 1), ('drop', 1), ('reply "450 no"', 0),
                          ('refuse, close', 0), ('reply "250 a", close', 1)):
        with Sink('--rule', 'eod : ' + action) as sink:
            client = Client(sink)
            equal(client.ask(EHLO + OPEN + b'DATA\r\n', 4), '250 250 250 354')
            client.send(b'x\r\n.\r\n')
            if action == 'drop' or 'reply "450' in action:
                client.socket.shutdown(socket.SHUT_WR)
            client.rest()
            equal(sink.end()['messages'], taken)


@test
def early_refusal_in_the_middle_of_a_body():
    with Sink('--rule', 'body after 1000 : reply "552 5.3.4 Too big"') as sink:
        client = Client(sink)
        equal(client.ask(EHLO + OPEN + b'DATA\r\n', 4), '250 250 250 354')
        equal(client.ask(b'x' * 998 + b'\r\n'), '552')
        equal(client.ask(b'more\r\n.\r\nRSET\r\n'), '250')
        equal(client.ask(OPEN + b'BDAT 3 LAST\r\nabc', 3), '250 250 250')
        counters = sink.end()
        equal((counters['messages'], counters['refused_messages']), (1, 1))


@test
def reply_in_single_bytes_is_whole():
    with Sink('--rule', 'ehlo : split 0, reply', '--rule', 'noop : split 1') as sink:
        client = Client(sink)
        client.send(EHLO)
        equal(client.reply().split('\n')[-1], '250 SIZE')
        equal(client.ask(b'NOOP\r\nRSET\r\n', 2), '250 250')


@test
def delays_keep_the_order():
    with Sink('--rule', 'noop nth 1 : delay 100', '--rtt', '20') as sink:
        start = time.monotonic()
        client = Client(sink)
        client.send(b'NOOP\r\nRSET x\r\nQUIT\r\n')
        equal([client.reply()[:3] for _ in range(3)], ['250', '501', '221'])
        equal(time.monotonic() - start >= 0.135, True)  # 20 + 20 + 100, less the clock's grain
        equal(client.rest(), b'')


@test
def rtt_is_a_pipe_and_not_a_pause():
    # 300 commands in one flight: 300 pauses of 100 ms would be half a minute, more than the
    # socket's timeout for the last reply, which is the bound here.
    with Sink('--rtt', '100') as sink:
        client = Client(sink)
        client.socket.settimeout(25)
        start = time.monotonic()
        equal(client.ask(EHLO), '250')
        equal(client.ask(OPEN + b'RSET\r\n' + (OPEN + b'RSET\r\n') * 99, 300),
              ' '.join(['250'] * 300))
        elapsed = time.monotonic() - start
        equal(0.195 <= elapsed < 25, True)


@test
def dialogue_can_be_cut_at_every_byte():
    dialogue = EHLO + OPEN + b'DATA\r\nx\r\n.\r\nQUIT\r\n'
    with Sink() as sink:
        client = Client(sink, greeting=False)
        client.send(dialogue)
        whole = client.rest()
        accepted = whole.index(b'250 2.0.0 Ok: queued')
    sent_rules = '\n'.join(f'sent {n} conn {n + 1} : close' for n in range(len(whole)))
    with Sink('--rule', sent_rules) as sink:
        for n in range(len(whole)):
            client = Client(sink, greeting=False)
            client.send(dialogue)
            got = client.rest()
            equal((len(got), got[:accepted]), (n, whole[:n][:accepted]))
            client.close()
    rules = '\n'.join(f'received {n} conn {n + 1} : close' for n in range(len(dialogue)))
    end_of_data = dialogue.index(b'\r\n.\r\n') + 5
    with Sink('--rule', rules) as sink:
        for n in range(len(dialogue)):
            client = Client(sink, greeting=False)
            client.send(dialogue)
            got = client.rest()
            equal(got[:accepted], whole[:len(got)][:accepted])
            equal(len(got) > accepted, n >= end_of_data)
            client.close()
        equal(sink.end()['messages'], len(dialogue) - end_of_data)


@test
def tls_can_be_cut_at_bytes():
    with Sink(*certificate(), '--rule', 'sent 500 conn 1 : close', '--rule',
              'received 300 conn 2 : reset') as sink:
        for error in (ssl.SSLEOFError, ConnectionResetError):
            client = Client(sink)
            equal(client.ask(EHLO), '250')
            if client.ask(b'STARTTLS\r\n') != '220':
                raise AssertionError('no TLS')
            try:
                tls = trusting().wrap_socket(client.socket)
                tls.sendall(b'x' * 300)
                tls.recv(1)
                raise AssertionError('the cut did not come')
            except (error, OSError):
                pass


@test
def truncation_of_tls_is_told_from_its_end():
    rules = ('--rule', 'noop conn 1 : close', '--rule', 'noop conn 2 : notify, close')
    with Sink(*certificate(), '--tls-implicit', *rules) as sink:
        context = trusting()
        # Python 3.10 and 3.11 set this by themselves in some versions.
        context.options &= ~getattr(ssl, 'OP_IGNORE_UNEXPECTED_EOF', 0)
        for truncated in (True, False):
            raw = socket.create_connection(('127.0.0.1', sink.port), timeout=30)
            tls = context.wrap_socket(raw, suppress_ragged_eofs=False)
            tls.recv(1000)
            tls.sendall(b'NOOP\r\n')
            try:
                equal((tls.recv(1000), truncated), (b'', False))
            except ssl.SSLError:  # SSLEOFError in later versions
                equal(truncated, True)


@test
def idle_connection_is_told_and_closed():
    with Sink('--rule', 'idle after 30 : reply "421 4.4.2 Timeout", close') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        equal(client.rest(), b'421 4.4.2 Timeout\r\n')


@test
def deaf_server_reads_again_later():
    with Sink('--rule', 'ehlo : reply, deaf 50') as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        big = OPEN + b'BDAT 20000000 LAST\r\n' + b'x' * 20000000
        equal(client.ask(big, 3), '250 250 250')


@test
def connect_and_greeting_can_fail():
    with Sink('--rule', 'connect conn 1 : reset', '--rule', 'connect conn 2 : close',
              '--rule', 'greeting conn 3 : reply "554 5.3.2 No"') as sink:
        try:
            equal(Client(sink, greeting=False).rest(), b'<RST>')
        except ConnectionResetError:
            pass  # so early that connecting fails
        equal(Client(sink, greeting=False).rest(), b'')
        refused = Client(sink, greeting=False)
        equal(refused.ask(b'EHLO client.example\r\nQUIT\r\n', 3), '554 503 221')
        equal(refused.rest(), b'')
        Client(sink).close()


@test
def replies_that_nobody_reads_do_not_stop_it():
    with Sink() as sink:
        client = Client(sink)
        equal(client.ask(EHLO), '250')
        client.socket.setblocking(False)
        flight, sent = (OPEN + b'RSET\r\n') * 1000, 0
        try:
            for _ in range(1000):  # until it stops reading, since we do not read
                sent += client.socket.send(flight[sent % len(flight):])
        except BlockingIOError:
            pass
        other = Client(sink)
        equal(other.ask(EHLO), '250')
        client.socket.settimeout(30)
        client.close()
        other.close()


@test
def wrong_options_are_told():
    rows = [(['--foo'], 64, 'unknown option --foo'), (['--port'], 64, '--port needs a value'),
            (['--port', 'x'], 64, '--port cannot be x'), (['--no', 'x'], 64, '--no cannot be x'),
            (['--lmtp=1'], 64, '--lmtp takes no value'), (['x'], 64, 'unexpected argument x'),
            (['--rule', 'foo : close'], 64, 'line 1: "foo" is no point'),
            (['--auth', 'u'], 64, '--auth cannot be u'),
            (['--tls-implicit'], 64, 'TLS needs a certificate'),
            (['--tls-cert', '/nowhere', '--tls-key', '/nowhere'], 78, '/nowhere'),
            (['--listen', 'nowhere'], 69, 'cannot listen'),
            (['--mbox', '/nowhere/mbox'], 69, 'No such file'),
            (['--maildir', '/nowhere/at/all'], 69, 'cannot make the maildir'),
            (['--script', '/nowhere'], 66, '/nowhere cannot be read: No such file')]
    for options, status, text in rows:
        run = subprocess.run([PROGRAM, *options], capture_output=True, text=True, timeout=30)
        equal((run.returncode, run.stdout), (status, ''))
        equal((text in run.stderr, run.stderr[:13]), (True, 'uvsmtp sink: '))
    run = subprocess.run([PROGRAM, '--help'], capture_output=True, text=True, timeout=30)
    equal((run.returncode, run.stdout[:17]), (0, 'usage: uvsmtp sin'))


NEED_OPENSSL = (starttls_and_auth_by_smtplib, implicit_tls_by_smtplib, tls_can_be_cut_at_bytes,
                bytes_behind_starttls_are_not_believed_and_all_begins_anew,
                truncation_of_tls_is_told_from_its_end)


def main():
    global PROGRAM, FOLDER
    PROGRAM, names, failed = sys.argv[1], sys.argv[2:], 0
    FOLDER = tempfile.mkdtemp()
    try:
        for check in TESTS:
            if names and check.__name__ not in names:
                continue
            if check in NEED_OPENSSL and shutil.which('openssl') is None:
                print(f'SKIP {check.__name__}: no openssl')
                continue
            try:
                check()
                print(f'ok   {check.__name__}', flush=True)
            except Exception as e:  # the other tests are worth running
                failed += 1
                where = e.__traceback__
                lines = []
                while where is not None:
                    lines.append(str(where.tb_lineno))
                    where = where.tb_next
                print(f'FAIL {check.__name__}: lines {",".join(lines)}: {e!r}', flush=True)
    finally:
        shutil.rmtree(FOLDER)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
