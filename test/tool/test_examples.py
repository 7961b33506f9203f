#!/usr/bin/env python3
"""The example programs do what they say. Usage: test_examples.py UVSMTP BULK SESSION CUSTOM BLOCKING"""
import base64
import http.server
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tool
from tool import Sink, contains, equal, test

BULK, SESSION, CUSTOM, BLOCKING = (os.path.abspath(name) for name in sys.argv[2:6])


def run(*args, status=0):
    done = subprocess.run(args, capture_output=True, timeout=60)
    if done.returncode != status:
        raise AssertionError(f'status {done.returncode}: {done.stdout!r} {done.stderr!r}')
    return done.stdout.decode(), done.stderr.decode()


@test
def bulk_tells_what_became_of_each_recipient_of_each_message():
    with Sink('--rule', 'rcpt match "no@*" : reply "550 5.1.1 nobody"') as sink:
        out, _ = run(BULK, sink.plain, '1200', 'me@here.example', 'yes@there.example',
                     'no@there.example')
    lines = [line.split(' ', 4) for line in out.splitlines()]
    equal(len(lines), 2400)
    equal(sorted(int(line[0]) for line in lines), sorted(list(range(1, 1201)) * 2))
    equal({line[2] for line in lines if line[1] == 'yes@there.example'}, {'accepted'})
    equal({tuple(line[2:]) for line in lines if line[1] == 'no@there.example'},
          {('rejected', '550', 'nobody')} if lines[1][4] == 'nobody' else
          {('rejected', '550', '5.1.1 nobody')})
    equal(len(sink.messages), 1200)


@test
def session_goes_step_by_step_and_stops_at_a_refusal():
    with Sink('--maildir', 'inbox') as sink:
        out, _ = run(SESSION, sink.plain, 'me@here.example', 'you@there.example')
    equal([line.split(':')[0] for line in out.splitlines()[1:]],
          ['NOOP', 'MAIL', 'RCPT', 'DATA', 'text'])
    contains(tool.stored('inbox')[0], b'\r\n\r\nSent by hand.\r\n')
    with Sink('--rule', 'rcpt : reply "550 5.1.1 nobody"') as sink:
        out, _ = run(SESSION, sink.plain, 'me@here.example', 'you@there.example', status=1)
    contains(out, 'RCPT: 550')
    equal(len(sink.messages), 0)


@test
def blocking_returns_what_became_of_the_message():
    with Sink('--maildir', 'inbox') as sink:
        out, _ = run(BLOCKING, sink.plain)
    equal(out, 'accepted \n')
    contains(tool.stored('inbox')[0], b'\r\n\r\nHello!\r\n')
    with Sink('--rule', 'rcpt : reply "550 5.1.1 nobody"') as sink:
        out, _ = run(BLOCKING, sink.plain, status=1)
    contains(out, 'rejected')
    contains(out, 'nobody')


class Signer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = bytes.fromhex(self.path.split('/')[-1])[::-1]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


def serve(listener, heard):
    """A server with no mechanism but X-SIGNED; the signature is the challenge backwards."""
    connection = listener.accept()[0]
    file = connection.makefile('rwb')

    def say(line):
        file.write(line + b'\r\n')
        file.flush()

    say(b'220 signed.example')
    for line in file:
        line = line.rstrip(b'\r\n')
        heard.append(line)
        if line.startswith(b'EHLO'):
            say(b'250-signed.example\r\n250 AUTH X-SIGNED')
        elif line.startswith(b'AUTH X-SIGNED '):
            say(b'334 ' + base64.b64encode(b'abcdef'))
        elif line == base64.b64encode(b'fedcba'):
            say(b'235 2.7.0 welcome')
        elif line == b'QUIT':
            say(b'221 bye')
            break
        else:
            say(b'535 5.7.8 no')
    file.close()
    connection.close()


@test
def a_mechanism_of_ones_own_asks_another_service():
    signer = http.server.HTTPServer(('127.0.0.1', 0), Signer)
    threading.Thread(target=signer.serve_forever, daemon=True).start()
    heard = []
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, args=(listener, heard), daemon=True)
        thread.start()
        out, _ = run(CUSTOM, f'smtp://127.0.0.1:{port}?tls=none', str(signer.server_port), 'me')
        thread.join(timeout=30)
    signer.shutdown()
    contains(out, 'logged in')
    contains(b'\n'.join(heard).decode(), 'AUTH X-SIGNED ' + base64.b64encode(b'me').decode())


sys.argv[2:] = [sys.argv[1]]  # what is left for the list of tests: no certificates here
tool.main()
