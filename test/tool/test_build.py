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
def several_may_write_and_one_sends():
    message = read(Run('compose', '--from', 'a@x.example, Änn <ann@x.example>', '--sender',
                       'ann@x.example', '--reply-to', 'List <all@x.example>, a@x.example', '--to',
                       'b@y.example', '--text', 'Hello').out)
    equal([a.addr_spec for a in message['From'].addresses], ['a@x.example', 'ann@x.example'])
    equal(message['Sender'].address.addr_spec, 'ann@x.example')
    equal([a.addr_spec for a in message['Reply-To'].addresses], ['all@x.example', 'a@x.example'])
    with Sink() as sink:
        send(sink.plain, '--from', 'a@x.example, ann@x.example', '--sender', 'ann@x.example', '--to',
             'b@y.example', '--text', 'Hello')
    equal(sink.messages[0]['from'], 'ann@x.example')


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
def an_image_with_an_odd_name_has_an_id_all_the_same():
    write('my logo (1).png', IMAGE)
    message = read(Run('compose', *PEOPLE, '--html', '<img src="cid:my_logo__1_.png">',
                       '--inline', 'my logo (1).png').out)
    image = [part for part in message.walk() if part.get_filename()][0]
    equal(image['Content-ID'], '<my_logo__1_.png>')
    equal(image.get_filename(), 'my logo (1).png')


@test
def bad_data_is_65_and_says_what_is_wrong():
    write('not utf-8.txt', b'\xff')
    for options, words in [
            (('--subject', 'two\nlines'), 'Subject: CR or LF in the value'),
            (('--subject', b'x\xff'), 'Subject: byte 2 is not UTF-8'),
            (('--text', b'good \xff bad'), 'text/plain: byte 6 is not UTF-8'),
            (('--html', b'\xc3'), 'text/html: byte 1 is not UTF-8'),
            (('--header', 'no colon'), "--header wants 'NAME: VALUE'"),
            (('--header', 'Bcc: x@y.example'), 'Bcc: written by the builder itself'),
            (('--header', 'Content-Type: text/html'), 'Content-Type: written by the builder'),
            (('--header', 'A B: x'), '"A B" is not the name of a field'),
            (('--header', 'X-A: b\nX-C: d'), 'X-A: CR or LF in the value'),
            (('--header', 'X-A: ' + 2000 * 'x'), 'X-A: a word that no line can hold'),
            (('--cc', 'nobody'), 'Cc: byte 7: an address has no domain'),
            (('--bcc', 'x@-y'), 'Bcc: byte 5: a label of the domain begins or ends with a hyphen'),
    ]:
        run = Run('compose', *PEOPLE, *options, status=65)
        contains(run.err, words)
        equal(run.out, b'')
    contains(Run('compose', '--from', '@', status=65).err, 'From: byte 1: an address has no local')
    for options, words in [
            (('--sender', 'x@-y'), 'Sender: byte 5'),
            (('--reply-to', 'nobody'), 'Reply-To: byte 7'),
    ]:
        contains(Run('compose', *PEOPLE, *options, status=65).err, words)
    contains(Run('compose', '--from', 'a@b.example, c@d.example', status=65).err,
             'From: several addresses, and no Sender')
    with Sink() as sink:
        result = send(sink.plain, *PEOPLE, '--subject', 'two\nlines', '--json',
                      status=65).result()
    equal(result['error']['name'], 'UVSMTP_EINJECTION')
    equal(sink.counters['connections'], 0)


@test
def bad_files_and_options_say_which():
    write('not a key', b'nonsense')
    sign = ('--dkim-selector', 'sel', '--dkim-domain', 'here.example')
    for options, status, words in [
            (('--attach', '.'), 66, '.: Is a directory'),
            (('--inline', 'missing.png'), 66, 'missing.png: No such file or directory'),
            (('--dkim-key', 'missing', *sign), 78, 'missing: No such file or directory'),
            (('--dkim-key', 'not a key', *sign), 78, 'no private key in PEM'),
            (('--dkim-key', 'not a key'), 64, 'belong together'),
            (('--subject',), 64, '--subject'),
            (('--colour', 'blue'), 64, 'unknown option --colour'),
            (('letter.eml',), 64, 'unexpected argument letter.eml'),
    ]:
        run = Run('compose', *PEOPLE, *options, status=status)
        contains(run.err, words)
        equal(run.out, b'')
    contains(Run('compose', '--text', 'x', status=64).err, '--from is missing')


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
