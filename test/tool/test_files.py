#!/usr/bin/env python3
"""`uvsmtp send`: where messages come from: files small and large, several, standard input, -t."""
import email
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tool
from tool import Sink, contains, equal, lacks, send, test, write

TO = ('--from', 'ann@here.example', '--to', 'bob@there.example')
HEAD = b'From: Ann <ann@here.example>\r\nTo: bob@there.example\r\nSubject: Hi\r\n'


def large(size):
    """Lines that say where they are, some with dots in front."""
    lines, length, number = [], 0, 0
    while length < size:
        line = b'.' * (number % 3) + b'line %d ' % number + b'x' * (number % 61) + b'\r\n'
        lines.append(line)
        length += len(line)
        number += 1
    return b''.join(lines)


@test
def recipients_from_the_headers_and_no_bcc_goes_out():
    write('letter', HEAD + b'Cc: "Carl, C." <carl@there.example>, bob@there.example\r\n'
          b'Bcc: secret@there.example,\r\n\t other@there.example\r\n\r\nHello\r\n')
    with Sink('--maildir', 'inbox') as sink:
        send(sink.plain, '-t', 'letter')
    equal([r['address'] for r in sink.messages[0]['to']],
          ['bob@there.example', 'carl@there.example', 'secret@there.example',
           'other@there.example'])
    equal(sink.messages[0]['from'], 'ann@here.example')
    text = tool.stored('inbox')[0]
    lacks(text, b'secret')
    lacks(text, b'Bcc')
    contains(text, b'Cc: "Carl, C." <carl@there.example>')


@test
def standard_input_small_and_large():
    for size in (10, 300_000, 3_000_000):
        letter = HEAD + b'Bcc: secret@there.example\r\n\r\n' + large(size)
        with Sink('--maildir', f'inbox{size}') as sink:
            result = send(sink.plain, '-t', '--json', stdin=letter).result()
        equal(result['message'], '-')
        equal(len(result['recipients']), 2)
        equal(tool.stored(f'inbox{size}') == [letter.replace(b'Bcc: secret@there.example\r\n',
                                                             b'')], True)


@test
def files_small_and_large_arrive_as_they_are():
    for size in (0, 1000, 262_144, 262_145, 5_000_000):
        letter = HEAD + b'Bcc: secret@there.example\r\n\r\n' + large(size)
        write('letter', letter)
        with Sink('--maildir', f'inbox{size}') as sink:
            send(sink.plain, '-t', 'letter')
        equal(tool.stored(f'inbox{size}') == [letter.replace(b'Bcc: secret@there.example\r\n',
                                                             b'')], True)


@test
def a_header_longer_than_the_first_piece_is_read_to_its_end():
    people = [b'user%d@there.example' % i for i in range(12000)]
    letter = b'From: ann@here.example\r\nTo: ' + b',\r\n '.join(people) + b'\r\n\r\n' + \
        large(400_000)
    write('letter', letter)
    equal(letter.index(b'\r\n\r\n') > 262_144, True)
    with Sink('--maildir', 'inbox') as sink:
        result = send(sink.plain, '-t', '--json', 'letter').result()
    equal(len(result['recipients']), len(people))
    equal(result['status'], 'accepted')
    equal(tool.stored('inbox') == [letter], True)


@test
def what_is_found_in_the_middle_of_a_large_file_is_the_files_fault():
    write('long', HEAD + b'\r\n' + large(300_000) + b'x' * 2000 + b'\r\n')
    write('eight', HEAD + b'\r\n' + large(300_000) + b'Gr\xc3\xbc\xc3\x9fe\r\n')
    write('fine', HEAD + b'\r\n' + large(300_000))
    for without in ('8bitmime', '8bitmime,chunking'):  # SMTPUTF8 is there, but not made use of
        with Sink('--no', without, '--maildir', 'inbox') as sink:
            results = send(sink.plain, *TO, '--json', '--connections', '1', 'long', 'eight', 'fine',
                           status=65).results()
        equal([r['status'] for r in results], ['rejected', 'rejected', 'accepted'])
        contains(results[0]['error']['text'], 'a line of over 998 octets')
        contains(results[1]['error']['text'], '8-bit bytes and the server takes none')
        equal(len(sink.messages), 1)


@test
def a_large_file_is_encoded_for_a_server_that_takes_no_8_bit_bytes():
    text = large(300_000) + b'Gr\xc3\xbc\xc3\x9fe\r\n'
    header = HEAD + b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n'
    write('eight', header + b'Content-Transfer-Encoding: 8bit\r\n\r\n' + text)
    write('signed', header + b'DKIM-Signature: v=1\r\n\r\n' + text)
    for without in ('8bitmime,smtputf8', '8bitmime,chunking,smtputf8'):
        with Sink('--no', without, '--maildir', 'inbox') as sink:
            results = send(sink.plain, *TO, '--json', '--connections', '1', 'eight', 'signed',
                           status=69).results()
        results.sort(key=lambda r: r['status'])  # the refusal may come first
        equal([r['status'] for r in results], ['accepted', 'rejected'])
        contains(results[1]['error']['text'], '8-bit bytes under a DKIM signature')
    for stored in tool.stored('inbox'):
        equal(max(stored) < 128, True)
        equal(email.message_from_bytes(stored).get_payload(decode=True), text)


@test
def bare_line_feeds_become_crlf_and_the_last_line_gets_an_end():
    write('letter', b'From: ann@here.example\nTo: bob@there.example\n\n.one\ntwo')
    with Sink('--maildir', 'inbox') as sink:
        send(sink.plain, '-t', 'letter')
    equal(tool.stored('inbox'),
          [b'From: ann@here.example\r\nTo: bob@there.example\r\n\r\n.one\r\ntwo\r\n'])


@test
def what_is_too_large_as_it_is_is_not_sent_to_be_refused():
    letter = HEAD.replace(b'\r', b'') + b'\n' + b'a line\n' * 100_000
    write('letter', letter)
    with Sink('--max-size', str(len(letter) - 1)) as sink:
        run = send(sink.plain, *TO, '--json', '--trace', 'letter', status=69)
    equal(run.result()['error']['name'], 'UVSMTP_ETOOBIG')
    contains(run.result()['error']['text'], f'at most {len(letter) - 1} octets')
    lacks(run.err, 'C: MAIL')


@test
def several_files_go_and_each_has_its_result():
    names = []
    for i in range(100):
        names.append(write(f'letter{i}', HEAD + b'X-Number: %d\r\n\r\n' % i + large(i * 100)))
    with Sink('--maildir', 'inbox') as sink:
        results = send(sink.plain, *TO, '--json', *names).results()
    equal(sorted(r['message'] for r in results), sorted(names))
    equal({r['status'] for r in results}, {'accepted'})
    wanted = sorted(open(name, 'rb').read() for name in names)
    equal(sorted(tool.stored('inbox')) == wanted, True)
    equal(sink.counters['open_max'] <= 10, True)


@test
def a_missing_file_is_66_and_the_others_go():
    write('letter', HEAD + b'\r\nHello\r\n')
    with Sink() as sink:
        results = send(sink.plain, *TO, '--json', 'missing', 'letter', status=66).results()
    by_name = {r['message']: r for r in results}
    equal(by_name['missing']['error']['name'], 'UVSMTP_ESOURCE')
    equal([(r['address'], r['status']) for r in by_name['missing']['recipients']],
          [('bob@there.example', 'rejected')])
    contains(by_name['missing']['error']['text'], 'No such file')
    equal(by_name['letter']['status'], 'accepted')
    equal(len(sink.messages), 1)


@test
def bad_message_data_is_65():
    for number, letter in enumerate((b'From: ann@here.example\r\nno field at all\r\n\r\nHi\r\n',
                                     b'To: bob@there.example\r\nFrom: @@@\r\n\r\nHi\r\n',
                                     b'From: ann@here.example\r\n\r\nno recipients\r\n')):
        name = write(f'letter{number}', letter)
        with Sink() as sink:
            result = send(sink.plain, '-t', '--json', name, status=65).result()
        equal(result['status'], 'rejected')
        equal(len(sink.messages), 0)


@test
def an_address_with_a_line_end_is_65_and_none_of_it_is_said():
    write('letter', HEAD + b'\r\nHello\r\n')
    with Sink() as sink:
        run = send(sink.plain, '--from', 'ann@here.example', '--to',
                   'bob@there.example>\r\nDATA', '--json', '--trace', 'letter', status=65)
    equal(run.result()['error']['name'], 'UVSMTP_EINJECTION')
    lacks(run.err, 'C: MAIL')
    lacks(run.err, 'C: RCPT')


@test
def an_address_that_is_none_is_65_before_any_connection():
    write('letter', HEAD + b'\r\nHello\r\n')
    nobody = 'smtp://127.0.0.1:1?tls=none'
    for option, address, words in (('--to', 'Ann <ann@here.example>', 'no domain can have'),
                                   ('--to', 'a@b@', 'two "@"'),
                                   ('--to', '', 'no domain'),
                                   ('--from', 'ann@', '--from')):
        args = dict([TO[0:2], TO[2:4], (option, address)])
        run = send(nobody, *sum(args.items(), ()), '--json', 'letter', status=65)
        result = run.result()
        equal(result['error']['name'], 'UVSMTP_EADDRESS')
        contains(result['error']['text'], words)
        equal([(r['address'], r['status']) for r in result['recipients']],
              [(args['--to'], 'rejected')])
        equal((result['phase'], result['reply']['text']), ('MESSAGE', ''))


@test
def a_name_without_a_domain_is_for_the_server_to_know():
    write('letter', HEAD + b'\r\nHello\r\n')
    sink = Sink()
    try:
        result = send(sink.plain, '--from', 'ann@here.example', '--to', 'root', '--json', 'letter',
                      status=69).result()
    finally:
        sink.end()
    equal(result['recipients'][0]['code'], 553)
    equal(sink.counters['bad_syntax'], 1)


@test
def the_null_sender():
    write('letter', HEAD + b'\r\nHello\r\n')
    with Sink() as sink:
        send(sink.plain, '--from', '', '--to', 'bob@there.example', 'letter')
        send(sink.plain, '--from', '<>', '--to', 'bob@there.example', 'letter')
    equal([m['from'] for m in sink.messages], ['', ''])


tool.main()
