#!/usr/bin/env python3
"""The guides: each C snippet stands in a program, each program does what its guide says, and each
link leads somewhere. Usage: test_docs.py UVSMTP MKCERTS ROOT LOGIN TLS SOURCE THREADS POOL"""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tool
from tool import Sink, contains, equal, test

ROOT = pathlib.Path(sys.argv[3]).resolve()
LOGIN, TLS, SOURCE, THREADS, POOL = (os.path.abspath(name) for name in sys.argv[4:9])
PAGES = sorted(ROOT.glob('docs/*.md'))
COMPILED = ('authentication.md', 'messages.md')  # test_snippets.py compiles what these say


def run(*args, status=0, env=None):
    done = subprocess.run(args, capture_output=True, timeout=60, env={**os.environ, **(env or {})})
    if done.returncode != status:
        raise AssertionError(f'status {done.returncode}: {done.stdout!r} {done.stderr!r}')
    return done.stdout.decode(), done.stderr.decode()


def packed(text):
    """Without regard to indentation."""
    return '\n'.join(line.strip() for line in text.strip().splitlines())


@test
def every_snippet_stands_in_a_program():
    programs = '\n'.join(packed(path.read_text(encoding='utf-8'))
                         for folder in ('docs/code', 'examples')
                         for path in sorted(ROOT.glob(folder + '/*.[ch]')))
    count = 0
    for page in (page for page in PAGES if page.name not in COMPILED):
        for snippet in re.findall(r'^```c\n(.*?)^```', page.read_text(encoding='utf-8'),
                                  re.M | re.S):
            count += 1
            for part in snippet.split('…\n'):
                assert packed(part) in programs, f'{page.name} quotes what no program has:\n{part}'
    assert count >= 8, count


@test
def every_link_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r'\]\(([^)#:]+)\)', page.read_text(encoding='utf-8')):
            assert (page.parent / target).exists(), f'{page.name}: {target}'


@test
def login_by_password_and_by_token():
    with Sink('--auth', 'ann:sesame-1', '--auth-required', '--auth-mechanisms',
              'plain,oauthbearer') as sink:
        for secret in ('sesame-1', 'token:sesame-1'):
            out, _ = run(LOGIN, sink.plain, 'ann', secret, env={'ALLOW_PLAINTEXT': '1'})
            equal(out, 'accepted\n')
        out, _ = run(LOGIN, sink.plain, 'ann', 'wrong', env={'ALLOW_PLAINTEXT': '1'})
        contains(out, 'deferred\ncannot log in: ')
        out, _ = run(LOGIN, sink.plain, 'ann', 'sesame-1')
        contains(out, 'use TLS')
    equal(len(sink.messages), 2)


@test
def tls_with_the_right_and_the_wrong_ca():
    certs = tool.make_certificates()
    if certs is None:
        return
    with Sink('--tls-cert', f'{certs}/server.crt', '--tls-key', f'{certs}/server.key') as sink:
        out, _ = run(TLS, sink.url, f'{certs}/ca.crt')
        equal(out, 'accepted\n')
        out, _ = run(TLS, sink.url, f'{certs}/other-ca.crt')
        contains(out, 'is the CA file right?')
    with Sink() as sink:
        out, _ = run(TLS, sink.url, f'{certs}/ca.crt')
        contains(out, 'the server offers no STARTTLS')


@test
def a_source_of_ones_own_waits_between_its_pieces():
    with Sink('--maildir', 'inbox') as sink:
        out, _ = run(SOURCE, sink.plain)
    equal(out, 'accepted \n')
    equal(tool.stored('inbox'), [b'Subject: A table\r\n\r\nline 1\r\nline 2\r\nline 3\r\n'])
    equal(sink.messages[0]['size'], len(tool.stored('inbox')[0]))


@test
def threads_post_and_numbers_come_out():
    with Sink() as sink:
        out, err = run(THREADS, sink.plain)
    equal(len(sink.messages), 3)
    equal(out.count('accepted \n'), 3)
    contains(out, 'uvsmtp_sends_total{status="accepted"} 3\n')
    contains(err, ' opened: \n')
    contains(err, ' retired: idle\n')
    contains(err, '99 of 100 took at most ')


@test
def a_pool_has_a_server_that_stands_in():
    with Sink() as first:
        dead = first.plain
    with Sink() as sink:
        out, _ = run(POOL, dead, sink.plain)
        alone, _ = run(POOL, sink.plain, dead)
    equal(len(sink.messages), 6)
    equal(alone, 3 * 'accepted \n')
    equal(out.count('accepted \n'), 3)
    contains(out, ', down: connecting to 127.0.0.1:')


sys.argv[3:] = []
tool.main()
