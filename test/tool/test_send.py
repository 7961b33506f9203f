#!/usr/bin/env python3
"""`uvsmtp send`: servers, TLS, logging in, refusals, exit statuses and JSON."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tool
from tool import Run, Sink, contains, equal, lacks, send, test, write

LETTER = (b'From: Ann <ann@here.example>\r\nTo: bob@there.example\r\nSubject: Hi\r\n\r\n'
          b'.Hello\r\n..\r\n')
TO = ('--from', 'ann@here.example', '--to', 'bob@there.example')


@test
def a_message_is_accepted_and_reported_as_json():
    write('letter', LETTER)
    with Sink('--maildir', 'inbox') as sink:
        result = send(sink.plain, *TO, '--json', 'letter').result()
    equal(result['message'], 'letter')
    equal(result['status'], 'accepted')
    equal(result['reply']['code'], 250)
    equal(result['reply']['enhanced'][:2], '2.')
    equal(result['error'], None)
    equal([(r['address'], r['status'], r['code']) for r in result['recipients']],
          [('bob@there.example', 'accepted', 250)])
    equal(sink.messages[0]['from'], 'ann@here.example')
    equal(tool.stored('inbox'), [LETTER])


@test
def people_get_a_line_without_colours_where_there_is_no_terminal():
    write('letter', LETTER)
    with Sink() as sink:
        text = send(sink.plain, *TO, 'letter').text
    contains(text, 'letter: accepted')
    lacks(text, '\x1b')


@test
def a_second_server_stands_in_for_the_first():
    write('letter', LETTER)
    with socket.socket() as taken, Sink() as sink:
        taken.bind(('127.0.0.1', 0))  # and does not listen
        nobody = 'smtp://127.0.0.1:%d?tls=none' % taken.getsockname()[1]
        send(nobody, '--server', sink.plain, *TO, 'letter')
        text = send(nobody, '--server', 'ftp://x', *TO, 'letter', status=64).err
    equal(len(sink.messages), 1)
    contains(text, '--server:')


@test
def a_rate_holds_messages_back():
    write('letter', LETTER)
    with Sink() as sink:
        begin = time.monotonic()
        send(sink.plain, *TO, '--rate', '1200/m', *['letter'] * 5)
        equal(time.monotonic() - begin >= 0.2, True)
        for wrong in '0', 'x', '5/d', '/s':
            contains(send(sink.plain, *TO, '--rate', wrong, 'letter', status=64).err, '--rate')
    equal(len(sink.messages), 5)


@test
def starttls_with_the_right_ca_and_a_password():
    certs = tool.make_certificates()
    if certs is None:
        return
    write('letter', LETTER)
    with Sink('--tls-cert', f'{certs}/server.crt', '--tls-key', f'{certs}/server.key',
              '--auth', 'ann:open sesame', '--auth-required', '--tls-required') as sink:
        run = send(sink.url, *TO, '--ca', f'{certs}/ca.crt', '--user', 'ann', '--trace',
                   'letter', env={'UVSMTP_PASSWORD': 'open sesame'})
        write('secret', b'open sesame\n')
        send(sink.url, *TO, '--ca', f'{certs}/ca.crt', '--user', 'ann', '--password-file',
             'secret', '--auth', 'LOGIN,PLAIN', 'letter')
        bad = send(sink.url, *TO, '--ca', f'{certs}/ca.crt', '--user', 'ann', '--json', 'letter',
                   env={'UVSMTP_PASSWORD': 'wrong'}, status=77).result()
    equal(len(sink.messages), 2)
    equal([m['tls'] for m in sink.messages], [True, True])
    equal([m['user'] for m in sink.messages], ['ann', 'ann'])
    equal(bad['error']['name'], 'UVSMTP_EAUTH')
    contains(run.err, 'C: STARTTLS')
    contains(run.err, 'C: AUTH')
    contains(run.err, '1 S: 235')


@test
def a_trace_shows_no_secret():
    import base64
    write('letter', LETTER)
    for mechanism in ('PLAIN', 'LOGIN'):
        with Sink('--auth', 'ann:open sesame') as sink:
            run = send(sink.plain.replace('//', '//ann:open%20sesame@'), *TO, '--trace', '--auth',
                       mechanism, '--allow-plaintext-auth', 'letter')
        equal(sink.messages[0]['user'], 'ann')
        contains(run.err, 'C: AUTH ' + mechanism)
        for secret in (b'open sesame', b'\0ann\0open sesame'):
            lacks(run.err, base64.b64encode(secret).decode())
        lacks(run.err, 'sesame')


def parsed(text):
    """The samples by name and labels, read by somebody else's parser."""
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        print('skipped: what --metrics writes is not read back, without python3-prometheus-client')
        return None
    samples, kinds = {}, {}
    for family in text_string_to_metric_families(text):
        assert family.name not in kinds, f'{family.name} comes twice'
        assert family.documentation, f'{family.name} has no HELP'
        kinds[family.name] = family.type
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, f'{key} comes twice'
            samples[key] = sample.value
    assert 'unknown' not in kinds.values(), kinds
    return samples


def check_histograms(samples):
    """Buckets are cumulative, in order, and the last one has all."""
    rows = {}
    for (name, labels), value in samples.items():
        if name == 'uvsmtp_latency_seconds_bucket':
            phase = dict(labels)['phase']
            rows.setdefault(phase, []).append((float(dict(labels)['le']), value))
    equal(len(rows), 6)
    for phase, row in rows.items():
        equal(row, sorted(row))
        equal([count for _, count in row], sorted(count for _, count in row))
        equal(row[-1][0], float('inf'))
        equal(row[-1][1], samples['uvsmtp_latency_seconds_count', (('phase', phase),)])
        assert samples['uvsmtp_latency_seconds_sum', (('phase', phase),)] >= 0


@test
def metrics_are_written_as_prometheus_reads_them():
    for name in ('one', 'two', 'three'):
        write(name, LETTER)
    with Sink('--rule', 'rcpt match "no@*" : reply "550 5.1.1 nobody"') as sink:
        send(sink.plain, '--from', 'me@here.example', '--to', 'yes@there.example', '--to',
             'no@there.example', '--connections', '1', '--metrics', 'uvsmtp.prom', 'one', 'two',
             'three', status=69)
    equal(os.path.exists('uvsmtp.prom.new'), False)
    with open('uvsmtp.prom', encoding='utf-8') as file:
        text = file.read()
    contains(text, '# TYPE uvsmtp_sends_total counter\n')
    samples = parsed(text)
    if samples is None:
        return
    equal(samples['uvsmtp_sends_total', (('status', 'partial'),)], 3)
    equal(samples['uvsmtp_recipients_total', (('status', 'accepted'),)], 3)
    equal(samples['uvsmtp_recipients_total', (('status', 'rejected'),)], 3)
    equal(samples['uvsmtp_connections_opened_total', ()], 1)
    equal(samples['uvsmtp_connections_retired_total', (('cause', 'closed'),)], 1)
    equal(samples['uvsmtp_endpoint_up', (('endpoint', f'127.0.0.1:{sink.port}'),)], 1)
    check_histograms(samples)


@test
def metrics_that_cannot_be_written_are_an_error():
    write('letter', LETTER)
    with Sink() as sink:
        run = send(sink.plain, *TO, '--metrics', 'missing/uvsmtp.prom', 'letter', status=78)
    equal(len(sink.messages), 1)
    contains(run.err, 'missing/uvsmtp.prom')


@test
def credentials_do_not_go_in_the_clear_by_default():
    write('letter', LETTER)
    with Sink('--auth', 'ann:open sesame', '--auth-mechanisms', 'plain,login') as sink:
        result = send(sink.plain, *TO, '--user', 'ann', '--json', 'letter', status=77,
                      env={'UVSMTP_PASSWORD': 'open sesame'}).result()
    equal(result['error']['name'], 'UVSMTP_EAUTHPLAINTEXT')
    equal(sink.counters['auth_ok'], 0)
    equal(len(sink.messages), 0)


@test
def a_token_command_logs_in():
    write('letter', LETTER)
    for output in ('t+/ken', '{"token_type":"Bearer", "expires_in" : 3600,"access_token":"t+/ken"}',
                   '{"access_token": "t\\u002b\\/ken", "expires_in": "3599.5"}',
                   '  t+/ken \n', '{"expires_in":-1,"access_token":"t\\u002B/ken"}'):
        write('output', output.encode())
        with Sink('--auth', 'ann:t+/ken', '--auth-mechanisms', 'xoauth2,oauthbearer') as sink:
            send(sink.plain, *TO, '--user', 'ann', '--token-command', 'cat output',
                 '--allow-plaintext-auth', 'letter')
        equal(sink.messages[0]['user'], 'ann')


@test
def a_token_command_that_fails_is_told_apart():
    write('letter', LETTER)
    with Sink('--auth', 'ann:t0ken', '--auth-mechanisms', 'xoauth2') as sink:
        for command, why in (('exit 3', 'ended with status 3'), ('kill -9 $$', 'by signal 9'),
                             ('true', 'printed no token'), ('echo "{}"', 'printed no token'),
                             ('yes | head -c 70000', 'printed more than')):
            result = send(sink.plain, *TO, '--user', 'ann', '--token-command', command, '--json',
                          '--allow-plaintext-auth', 'letter', status=77).result()
            equal(result['error']['name'], 'UVSMTP_EAUTHTOKEN')
            contains(result['error']['text'], why)


@test
def the_named_mechanism_is_the_one_that_is_used():
    write('letter', LETTER)
    everything = 'plain,login,cram-md5,scram-sha-1,scram-sha-256,scram-sha-512'
    for wanted in everything.upper().split(','):
        with Sink('--auth', 'ann:open sesame', '--auth-mechanisms', everything) as sink:
            run = send(sink.plain.replace('//', '//ann:open%20sesame@'), *TO, '--trace', '--auth',
                       wanted, '--allow-plaintext-auth', 'letter')
        contains(run.err, 'AUTH ' + wanted)
        equal(run.err.count('AUTH '), 2)  # the offer, and this
    with Sink('--auth', 'ann:open sesame', '--auth-mechanisms', 'plain') as sink:
        result = send(sink.plain.replace('//', '//ann:open%20sesame@'), *TO, '--json', '--auth',
                      'SCRAM-SHA-1,cram-md5', '--allow-plaintext-auth', 'letter',
                      status=77).result()
    contains(result['error']['text'], 'could use SCRAM-SHA-1 CRAM-MD5; the server offers PLAIN')
    run = send('smtp://ann:x@127.0.0.1', *TO, '--auth', 'PLAIN,NTLM', 'letter', status=64)
    contains(run.err, 'there is no mechanism NTLM')


@test
def an_authorization_identity_is_sent_where_the_mechanism_has_one():
    write('letter', LETTER)
    with Sink('--auth', 'ann:open sesame', '--auth-mechanisms', 'plain,login,cram-md5') as sink:
        url = sink.plain.replace('//', '//ann:open%20sesame@')
        more = ('--allow-plaintext-auth', '--json', 'letter')
        send(url, *TO, '--authzid', 'ann', *more)
        # The sink lets nobody be somebody else.
        result = send(url, *TO, '--authzid', 'bob', *more, status=77).result()
        contains(result['error']['text'], 'PLAIN: ')
        run = send(url, *TO, '--authzid', 'bob', '--auth', 'LOGIN', *more, status=64)
        contains(run.err, 'LOGIN and CRAM-MD5 cannot say --authzid')


@test
def an_untrusted_or_wrong_certificate_is_77():
    certs = tool.make_certificates()
    if certs is None:
        return
    write('letter', LETTER)
    for name, ca, error in (('server', 'other-ca', 'UVSMTP_ETLSCERT'),
                            ('wrongname', 'ca', 'UVSMTP_ETLSNAME'),
                            ('expired', 'ca', 'UVSMTP_ETLSEXPIRED')):
        with Sink('--tls-cert', f'{certs}/{name}.crt', '--tls-key', f'{certs}/{name}.key') as sink:
            result = send(sink.url, *TO, '--ca', f'{certs}/{ca}.crt', '--json', 'letter',
                          status=77).result()
        equal(result['error']['name'], error)
        equal(result['recipients'][0]['status'] in ('deferred', 'rejected'), True)
        equal(len(sink.messages), 0)
    with Sink('--tls-cert', f'{certs}/wrongname.crt', '--tls-key',
              f'{certs}/wrongname.key') as sink:
        send(sink.url, *TO, '--insecure', 'letter')


@test
def opportunistic_tls_takes_any_certificate_and_that_failing_is_done_without():
    certs = tool.make_certificates()
    if certs is None:
        return
    write('letter', LETTER)
    with Sink('--tls-cert', f'{certs}/server.crt', '--tls-key', f'{certs}/server.key') as sink:
        runs = [send(sink.url, *TO, '--tls', mode, '--ca', f'{certs}/{ca}.crt', '--json', 'letter')
                for mode, ca in (('opportunistic', 'ca'), ('opportunistic', 'other-ca'),
                                 ('none', 'ca'))]
        # A system that trusts nobody is no reason to go in the clear.
        nobody = {'SSL_CERT_FILE': f'{certs}/no-such-file'}
        runs.append(send(sink.url, *TO, '--tls', 'opportunistic', '--json', 'letter', env=nobody))
        refused = send(sink.url, *TO, '--json', 'letter', env=nobody, status=78).result()
    equal([run.result()['tls'] for run in runs], ['verified', 'unverified', 'none', 'unverified'])
    equal([message['tls'] for message in sink.messages], [True, True, False, True])
    equal((refused['tls'], refused['error']['name']), ('none', 'UVSMTP_ETLSCONFIG'))
    contains(refused['error']['text'], 'no-such-file')
    for ending in ('reply "220 Go", close', 'reply "454 4.7.0 Not now"', 'reply "502 5.5.1 What?"'):
        with Sink('--tls-cert', f'{certs}/server.crt', '--tls-key', f'{certs}/server.key',
                  '--rule', f'starttls : {ending}') as sink:
            send(sink.url, *TO, '--tls', 'opportunistic', '--ca', f'{certs}/ca.crt', 'letter')
        equal([message['tls'] for message in sink.messages], [False])


@test
def implicit_tls_by_its_url():
    certs = tool.make_certificates()
    if certs is None:
        return
    write('letter', LETTER)
    with Sink('--tls-cert', f'{certs}/server.crt', '--tls-key', f'{certs}/server.key',
              '--tls-implicit') as sink:
        send(sink.url.replace('smtp:', 'smtps:'), *TO, '--ca', f'{certs}/ca.crt', 'letter')
    equal(sink.messages[0]['tls'], True)


@test
def tls_is_required_by_default():
    write('letter', LETTER)
    with Sink() as sink:
        result = send(sink.url, *TO, '--json', 'letter', status=77).result()
        send(sink.url, *TO, '--tls', 'opportunistic', 'letter')
        send(sink.url, *TO, '--tls', 'none', 'letter')
    equal(result['error']['name'], 'UVSMTP_ETLSREQUIRED')
    equal(len(sink.messages), 2)


@test
def a_server_that_wants_a_login_or_tls_first_is_77_and_a_hint_says_so():
    write('letter', LETTER)
    for rule, hint in [('mail : reply "530 5.7.0 Authentication required"', 'log in with --user'),
                       ('rcpt nth 2 : reply "530 5.7.1 Authentication required"',
                        'log in with --user'),
                       ('mail : reply "530 5.7.0 Must issue a STARTTLS command first"',
                        'use TLS')]:
        with Sink('--rule', rule) as sink:
            more = (*TO, '--to', 'cyd@there.example', 'letter')
            result = send(sink.plain, '--json', *more, status=77).result()
            text = send(sink.plain, *more, status=77).text
        equal(result['error']['text'].endswith('; ' + hint), True)
        contains(text, '; ' + hint)


@test
def a_refused_recipient_is_69_and_the_other_gets_the_message():
    write('letter', LETTER)
    with Sink('--rule', 'rcpt nth 2 : reply "550 5.1.1 no such user"') as sink:
        run = send(sink.plain, *TO, '--to', 'carl@there.example', '--json', 'letter', status=69)
    result = run.result()
    equal(result['status'], 'partial')
    equal([(r['address'], r['status'], r['code'], r['enhanced']) for r in result['recipients']][1],
          ('carl@there.example', 'rejected', 550, '5.1.1'))
    contains(result['recipients'][1]['text'], 'no such user')
    equal(result['recipients'][0]['status'], 'accepted')
    equal(result['error']['name'], 'UVSMTP_EPERMANENT')
    equal([r['address'] for r in sink.messages[0]['to']], ['bob@there.example'])


@test
def what_is_deferred_is_75():
    write('letter', LETTER)
    with Sink('--rule', 'rcpt : reply "451 4.7.1 come back later"') as sink:
        result = send(sink.plain, *TO, '--json', 'letter', status=75).result()
    equal(result['status'], 'deferred')
    equal(result['recipients'][0]['enhanced'], '4.7.1')
    equal(result['error']['name'], 'UVSMTP_ETEMPORARY')


@test
def a_lost_final_reply_is_unknown_and_75():
    write('letter', LETTER)
    with Sink('--no', 'chunking', '--rule', 'eod : close') as sink:
        result = send(sink.plain, *TO, '--json', 'letter', status=75).result()
    equal(result['status'], 'unknown')
    equal(result['recipients'][0]['status'], 'unknown')


@test
def who_is_not_let_in_gets_the_servers_words():
    write('letter', LETTER)
    with Sink('--auth', 'ann:right') as sink:
        result = send(sink.plain, *TO, '--user', 'ann', '--allow-plaintext-auth', '--json', 'letter',
                      status=77, env={'UVSMTP_PASSWORD': 'wrong'}).result()
        told = result['recipients'][0]
    with Sink('--rule', 'greeting : reply "554 5.3.2 Not here"') as sink:
        other = send(sink.plain, *TO, '--json', 'letter', status=69).result()['reply']
    equal(result['phase'], 'AUTH')
    equal(result['reply'], {'code': 535, 'enhanced': '5.7.8',
                            'text': 'Authentication credentials invalid'})
    equal([told[key] for key in ('code', 'enhanced', 'text')], list(result['reply'].values()))
    equal(list(other.values()), [554, '5.3.2', 'Not here'])


@test
def a_server_without_ehlo_lets_nobody_log_in():
    write('letter', LETTER)
    with Sink('--no', 'ehlo') as sink:
        result = send(sink.plain, *TO, '--user', 'ann', '--json', 'letter', status=77,
                      env={'UVSMTP_PASSWORD': 'x'}).result()
    equal(result['error']['name'], 'UVSMTP_EMECHANISM')
    contains(result['error']['text'], 'refused EHLO, without which there is no login: 502')


@test
def nobody_listening_is_75():
    write('letter', LETTER)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
        result = send(f'smtp://127.0.0.1:{port}', *TO, '--json', 'letter', status=75).result()
    equal(result['status'], 'deferred')


@test
def an_unknown_host_is_68():
    write('letter', LETTER)
    result = send('smtp://no-such-host.invalid', *TO, '--json', 'letter', status=68).result()
    contains(result['error']['text'], 'no-such-host.invalid')


@test
def a_server_that_talks_nonsense_is_76():
    write('letter', LETTER)
    with Sink('--rule', 'greeting : drop, raw "SSH-2.0-nonsense\\r\\n"') as sink:
        send(sink.plain, *TO, 'letter', status=76)


@test
def lmtp_reports_each_recipient():
    write('letter', LETTER)
    with Sink('--lmtp') as sink:
        result = send(sink.plain.replace('smtp:', 'lmtp:'), *TO, '--to', 'carl@there.example',
                      '--json', 'letter').result()
    equal([r['status'] for r in result['recipients']], ['accepted', 'accepted'])


@test
def a_signal_ends_it_and_tells_what_became_of_the_message():
    write('letter', LETTER)
    for number in (signal.SIGINT, signal.SIGTERM):
        with Sink('--no', 'chunking', '--rule', 'rcpt : stall') as sink:
            process = subprocess.Popen(
                [tool.PROGRAM, 'send', '--server', sink.plain, *TO, '--json', '--trace', 'letter',
                 'letter'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for line in process.stderr:
                if b' C: RCPT' in line:
                    break
            process.send_signal(number)
            out, _ = process.communicate(timeout=60)
            equal(process.returncode, 75)
        results = [json.loads(line) for line in out.splitlines()]
        equal([r['status'] for r in results], ['deferred', 'deferred'])
        equal({r['error']['name'] for r in results}, {'UVSMTP_ECANCELED'})


@test
def a_signal_while_it_connects_tells_what_was_waited_for():
    write('letter', LETTER)
    with socket.create_server(('127.0.0.1', 0)) as server:
        whom = '127.0.0.1:%d' % server.getsockname()[1]
        process = subprocess.Popen([tool.PROGRAM, 'send', '--server', f'smtp://{whom}', *TO,
                                    'letter'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        silent, _ = server.accept()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        silent.close()
    equal(process.returncode, 75)
    contains(err.decode(), f'interrupted: 1 wait: connections to {whom} are being opened')


@test
def usage_is_64():
    write('letter', LETTER)
    for args in (('send',),
                 ('send', '--server', 'smtp://localhost'),
                 ('send', '--server', 'smtp://localhost', '--nonsense'),
                 ('send', '--server', 'smtp://localhost', '--to'),
                 ('send', '--server', 'gopher://localhost', *TO, 'letter'),
                 ('send', '--server', 'smtp://localhost', '-t', '--to', 'a@b.example'),
                 ('send', '--server', 'smtp://localhost', *TO, '--tls', 'maybe'),
                 ('send', '--server', 'smtps://localhost', *TO, '--tls', 'none'),
                 ('send', '--server', 'smtp://localhost', *TO, '--timeout', '0'),
                 ('send', '--server', 'smtp://localhost', *TO, '--ehlo', 'no domain', 'letter'),
                 ('send', '--server', 'smtp://localhost', *TO, '--user', 'me', 'letter'),
                 ('send', '--server', 'smtp://localhost', *TO, '--subject', 'x', 'letter'),
                 ('send', '--server', 'smtp://localhost', *TO, '--dkim-key', 'x'),
                 ('compose',), ('demo', 'x'), ('nonsense',), ()):
        run = Run(*args, status=64)
        contains(run.err, 'uvsmtp')
    run = send('smtp://localhost', *TO, '--user', 'me', 'letter', status=64,
               env={'UVSMTP_PASSWORD': ''})
    contains(run.err, 'the password is empty')


@test
def settings_that_cannot_be_used_are_78():
    write('letter', LETTER)
    send('smtp://localhost', *TO, '--ca', 'missing.pem', 'letter', status=78)
    write('empty', b'')
    send('smtp://localhost', *TO, '--user', 'me', '--password-file', 'empty', 'letter', status=78)
    send('smtp://localhost', *TO, '--dkim-key', 'missing', '--dkim-selector', 's',
         '--dkim-domain', 'here.example', 'letter', status=78)


tool.main()
