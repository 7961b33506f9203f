#!/usr/bin/env python3
"""The C program of the README, compiled as it stands there and run against the sink.

Usage: test_readme.py UVSMTP SOURCE_ROOT BUILD_ROOT COMPILER…
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tool
from tool import Sink, equal

MESSAGE = (b'From: ann@here.example\r\nTo: bob@there.example\r\nSubject: Hi\r\n\r\nHello!\r\n')


def program(root):
    with open(os.path.join(root, 'README.md'), encoding='utf-8') as file:
        blocks = re.findall(r'^```c\n(.*?)^```', file.read(), re.M | re.S)
    equal(len(blocks), 1)
    with open(os.path.join(root, 'examples', 'send.c'), encoding='utf-8') as file:
        equal(file.read().split('*/\n', 1)[1], blocks[0])
    return blocks[0]


def lines_of_main(source):
    """How many statements main has, since ten are promised."""
    return source.split('int main', 1)[1].count(';')


def main():
    tool.PROGRAM = os.path.abspath(sys.argv[1])
    root, build = (os.path.abspath(name) for name in sys.argv[2:4])
    source = program(root)
    equal(lines_of_main(source) <= 10, True)
    os.chdir(tempfile.mkdtemp(prefix='uvsmtp-readme-'))
    try:
        tool.write('send.c', source.encode())
        subprocess.run([*sys.argv[4:], '-Wall', '-Wextra', '-Werror', '-I', f'{root}/include',
                        'send.c', '-o', 'send', '-L', build, f'-Wl,-rpath,{build}', '-luvsmtp',
                        '-luv'], check=True)
        with Sink('--maildir', 'inbox') as sink:
            done = subprocess.run(['./send', sink.plain], capture_output=True, timeout=60)
        equal((done.returncode, done.stdout.split()[:1]), (0, [b'accepted']))
        equal(sink.messages[0]['from'], 'ann@here.example')
        equal([r['address'] for r in sink.messages[0]['to']], ['bob@there.example'])
        equal(tool.stored('inbox'), [MESSAGE])
    finally:
        shutil.rmtree(os.getcwd())


main()
