#!/usr/bin/env python3
"""The C of the guides is compiled, so that it cannot grow old.

Usage: test_snippets.py SOURCE_ROOT PAGE… -- COMPILER…

A block with functions is a file of its own; any other is taken for the inside of one. What the
text speaks of without saying it stands in PRELUDE.
"""
import os
import re
import subprocess
import sys

PRELUDE = '''
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <uvsmtp.h>

typedef struct my_state_s {
  char name[16], answer[64];
  size_t answer_len;
} my_state_t;
int ask_service(uvsmtp_exchange_t *exchange, my_state_t *my, uvsmtp_slice_t challenge);
'''

AROUND = '''
void snippet(uv_loop_t *loop, uvsmtp_client_t *client, uvsmtp_client_options_t options,
             uvsmtp_connection_options_t connection, uvsmtp_tls_options_t tls,
             uvsmtp_auth_options_t login, uvsmtp_auth_options_t tokens, uvsmtp_auth_t *auth,
             const uvsmtp_result_t *result, char detail[256]);
void snippet(uv_loop_t *loop, uvsmtp_client_t *client, uvsmtp_client_options_t options,
             uvsmtp_connection_options_t connection, uvsmtp_tls_options_t tls,
             uvsmtp_auth_options_t login, uvsmtp_auth_options_t tokens, uvsmtp_auth_t *auth,
             const uvsmtp_result_t *result, char detail[256])
{
  {
%s
  }
  (void)loop, (void)client, (void)options, (void)connection, (void)tls, (void)login, (void)tokens;
  (void)auth, (void)result, (void)detail;
}
'''


def compile_block(root, compiler, name, block):
    whole = re.search(r'^\w.*\)\n?{?$', block, re.M) is not None and '\n{\n' in block
    source = PRELUDE + (block if whole else AROUND % block.replace('sizeof(detail)', '256'))
    done = subprocess.run([*compiler, '-Wall', '-Wextra', '-Werror',
                           '-Wno-unused-variable', '-Wno-unused-but-set-variable',
                           '-Wno-unused-const-variable', '-fsyntax-only', '-x', 'c',
                           '-I', os.path.join(root, 'include'), '-'],
                          input=source, text=True, capture_output=True)
    print('ok' if done.returncode == 0 else 'FAILED', name)
    if done.returncode != 0:
        print(done.stderr)
    return done.returncode == 0


def main():
    split = sys.argv.index('--')
    root, pages, compiler = sys.argv[1], sys.argv[2:split], sys.argv[split + 1:]
    good = True
    for page in pages:
        with open(page, encoding='utf-8') as file:
            text = file.read()
        for match in re.finditer(r'^```c\n(.*?)^```', text, re.M | re.S):
            line = text[:match.start()].count('\n') + 2
            good &= compile_block(root, compiler, '%s:%d' % (os.path.basename(page), line),
                                  match.group(1))
    sys.exit(0 if good else 1)


main()
