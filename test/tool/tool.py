"""What the tests of the program share: a sink, a run of the program, and a list of tests.

Each test file is called as FILE UVSMTP MKCERTS [NAME…] and runs its tests in a folder that goes
when they are done.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

PROGRAM = None
MKCERTS = None
TESTS = []
KEYS = ['message', 'status', 'reply', 'recipients', 'phase', 'tls', 'error']


def test(function):
    TESTS.append(function)
    return function


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f'got {got!r}, wanted {wanted!r}')


def contains(text, part):
    if part not in text:
        raise AssertionError(f'{part!r} is not in {text!r}')


def lacks(text, part):
    if part in text:
        raise AssertionError(f'{part!r} is in {text!r}')


class Sink:
    """`uvsmtp sink --json`, and what it reports when it has ended."""

    def __init__(self, *args):
        self.process = subprocess.Popen([PROGRAM, 'sink', '--json', *args],
                                        stdout=subprocess.PIPE)
        first = json.loads(self.process.stdout.readline())
        self.port = first['listening']['port']
        self.url = f'smtp://127.0.0.1:{self.port}'
        self.plain = self.url + '?tls=none'
        self.messages = []
        self.counters = None
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.end()
        if kind is None:
            equal(self.counters['violations'], 0)

    def end(self):
        if self.counters is not None:
            return
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


class Run:
    """One run of the program to its end."""

    def __init__(self, *args, stdin=b'', env=None, status=0):
        environment = {k: v for k, v in os.environ.items() if k != 'UVSMTP_PASSWORD'}
        environment.update(env or {})
        done = subprocess.run([PROGRAM, *args], input=stdin, capture_output=True, timeout=120,
                              env=environment)
        self.out = done.stdout
        self.text = done.stdout.decode('utf-8', 'replace')
        self.err = done.stderr.decode('utf-8', 'replace')
        if done.returncode != status:
            raise AssertionError(f'status {done.returncode}, wanted {status}: {args}\n'
                                 f'{self.text}{self.err}')

    def results(self):
        found = [json.loads(line) for line in self.text.splitlines()]
        for result in found:
            equal(list(result), KEYS)
            equal(list(result['reply']), ['code', 'enhanced', 'text'])
            for recipient in result['recipients']:
                equal(list(recipient), ['address', 'status', 'code', 'enhanced', 'text'])
        return found

    def result(self):
        found = self.results()
        equal(len(found), 1)
        return found[0]


def send(url, *args, **more):
    return Run('send', '--server', url, '--timeout', '30', *args, **more)


def write(name, data):
    with open(name, 'wb') as file:
        file.write(data)
    return name


def stored(folder):
    """The messages in a maildir, by the order of their numbers."""
    found = []
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            with open(os.path.join(place, name), 'rb') as file:
                found.append(file.read())
    return found


def make_certificates():
    if shutil.which('openssl') is None:
        return None
    subprocess.run(['sh', MKCERTS, 'certs'], check=True, capture_output=True)
    return os.path.abspath('certs')


def main():
    global PROGRAM, MKCERTS
    PROGRAM, MKCERTS = (os.path.abspath(name) for name in sys.argv[1:3])
    wanted = sys.argv[3:]
    home = os.getcwd()
    failed = 0
    for function in TESTS:
        if wanted and function.__name__ not in wanted:
            continue
        folder = tempfile.mkdtemp(prefix='uvsmtp-tool-')
        os.chdir(folder)
        try:
            function()
            print('ok', function.__name__, flush=True)
        except Exception as error:
            failed += 1
            print('FAILED', function.__name__, type(error).__name__, error, flush=True)
        finally:
            os.chdir(home)
            shutil.rmtree(folder)
    sys.exit(1 if failed else 0)
