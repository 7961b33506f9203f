#!/usr/bin/env python3
"""The program as a whole: help, version, and the demo."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tool
from tool import Run, contains, equal, test


@test
def version_and_help():
    contains(Run('--version').text, 'uvsmtp 0.')
    contains(Run('--help').text, 'usage: uvsmtp COMMAND')
    for command in ('send', 'compose', 'sink', 'demo'):
        contains(Run('--help').text, command)
        contains(Run(command, '--help').text, f'usage: uvsmtp {command}')


@test
def the_demo_sends_and_checks_every_message():
    run = Run('demo', '--messages', '3000', '--connections', '4', '--json')
    report = json.loads(run.text)
    equal(report['intact'], True)
    equal(report['accepted'], 3000)
    equal(report['arrived'], 3000)
    equal(report['violations'], 0)
    equal(1 <= report['connections'] <= 4, True)
    equal(run.err, '')


@test
def the_demo_speaks_to_people():
    text = Run('demo', '--messages', '100').text
    contains(text, '100 messages')
    contains(text, 'every message arrived intact, exactly once')


tool.main()
