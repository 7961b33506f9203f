#!/usr/bin/env python3
"""`uvsmtp send` and `uvsmtp compose` with messages of their own, read back by Python's email."""
import email
import email.policy
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tool
from tool import Run, Sink, contains, equal, lacks, send, test, write

PEOPLE = ('--from', 'Änn <ann@here.example>', '--to', 'Bob <bob@there.example>')
IMAGE = bytes(range(256)) * 40


def read(data):
    return email.message_from_bytes(data, policy=email.policy.default)


@test
def a_message_with_everything_is_sent():
    write('picture.png', IMAGE)
    write('report.bin', IMAGE[::-1])
    with Sink('--maildir', 'inbox') as sink:
        send(sink.plain, *PEOPLE, '--cc', 'carl@there.example', '--bcc', 'secret@there.example',
             '--subject', 'Grüße', '--text', 'Hällo\n.\n', '--html',
             '<p>Hällo <img src="cid:picture.png">', '--inline', 'picture.png', '--attach',
             'report.bin', '--header', 'X-Number: 7')
    equal([r['address'] for r in sink.messages[0]['to']],
          ['bob@there.example', 'carl@there.example', 'secret@there.example'])
    equal(sink.messages[0]['from'], 'ann@here.example')
    data = tool.stored('inbox')[0]
    lacks(data, b'secret@there')
    message = read(data)
    equal(message['Subject'], 'Grüße')
    equal(message['X-Number'], '7')
    equal(message['From'].addresses[0].display_name, 'Änn')
    equal(message.get_body(('plain',)).get_content().replace('\r\n', '\n'), 'Hällo\n.\n')
    contains(message.get_body(('html',)).get_content(), 'cid:picture.png')
    parts = {p.get_filename(): p for p in message.walk() if p.get_filename()}
    equal(parts['picture.png'].get_content(), IMAGE)
    equal(parts['picture.png']['Content-ID'], '<picture.png>')
    equal(parts['report.bin'].get_content(), IMAGE[::-1])


@test
def compose_prints_what_send_would_send():
    message = read(Run('compose', *PEOPLE, '--subject', 'Hi', '--text', 'Hello').out)
    equal(message['Subject'], 'Hi')
    equal(message.get_content().strip(), 'Hello')
    equal(message['To'].addresses[0].addr_spec, 'bob@there.example')
    contains(message['Message-ID'], '@here.example>')


@test
def what_compose_prints_can_be_sent():
    letter = Run('compose', *PEOPLE, '--subject', 'Hi', '--text', 'Hello').out
    with Sink('--maildir', 'inbox') as sink:
        send(sink.plain, '-t', stdin=letter)
    equal(tool.stored('inbox'), [letter])


@test
def a_missing_attachment_is_66():
    run = Run('compose', *PEOPLE, '--attach', 'missing', status=66)
    contains(run.err, 'missing')


@test
def bad_data_is_65():
    Run('compose', *PEOPLE, '--subject', 'two\nlines', status=65)
    Run('compose', *PEOPLE, '--header', 'no colon', status=65)
    Run('compose', '--from', '@', status=65)
    with Sink() as sink:
        result = send(sink.plain, *PEOPLE, '--subject', 'two\nlines', '--json',
                      status=65).result()
    equal(result['error']['name'], 'UVSMTP_EINJECTION')
    equal(sink.counters['connections'], 0)


@test
def a_signature_is_put_in_front():
    if shutil.which('openssl') is None:
        return
    subprocess.run(['openssl', 'genrsa', '-out', 'key.pem', '2048'], check=True,
                   capture_output=True)
    sign = ('--dkim-key', 'key.pem', '--dkim-selector', 'sel', '--dkim-domain', 'here.example')
    composed = Run('compose', *PEOPLE, '--text', 'Hello', *sign).out
    equal(composed[:15], b'DKIM-Signature:')
    with Sink('--maildir', 'inbox') as sink:
        send(sink.plain, *PEOPLE, '--text', 'Hello', *sign)
        write('letter', b'From: ann@here.example\r\nTo: bob@there.example\r\n\r\n' +
              b'many words\r\n' * 100_000)
        send(sink.plain, '-t', *sign, 'letter')
    for data in tool.stored('inbox'):
        equal(data[:15], b'DKIM-Signature:')
        signature = read(data)['DKIM-Signature'].replace(' ', '')
        contains(signature, 'd=here.example;')
        contains(signature, 's=sel;')


tool.main()
