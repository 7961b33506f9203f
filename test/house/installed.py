#!/usr/bin/env python3
"""Uses the library as those do who install it: by its headers and its pkg-config file.

    installed.py BUILD_ROOT SOURCE_ROOT --cc COMMAND… [--cxx COMMAND…]

Installs the build into a folder of its own, and builds programs there by the flags of pkg-config
alone: against the shared and against the static library, in C and in C++. Each is run. So is one that
was built by the flags of the build folder, which meson leaves for those who do not install.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
CPLUSPLUS = r"""
#include <uvsmtp.h>
#include <cstdio>

static void sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  std::printf("%s %s\n", uvsmtp_status_name(result->status), uvsmtp_err_name(result->err));
  uvsmtp_client_close(static_cast<uvsmtp_client_t *>(send->data), UVSMTP_CLOSE_DRAIN, nullptr);
}

int main(int argc, char **argv)
{
  uvsmtp_client_t *client = nullptr;
  uvsmtp_recipient_t to = {};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_source_t source = {};
  uvsmtp_send_t send = {};
  to.address = "bob@there.example";
  envelope.sender = "ann@here.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  if (argc < 2 || uvsmtp_client_new_url(&client, uv_default_loop(), argv[1]) != 0)
    return 1;
  uvsmtp_source_memory(&source, "\r\n", 2);
  send.data = client;
  return uvsmtp_client_send(client, &send, &envelope, &source, sent) != 0 ||
         uv_run(uv_default_loop(), UV_RUN_DEFAULT) != 0;
}
"""


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **more)
    if done.returncode != 0:
        sys.exit("%s\nfailed with status %d:\n%s" % (" ".join(map(str, command)), done.returncode,
                                                     done.stdout))
    return done.stdout


def install(build, folder):
    """Installs, and makes the pkg-config file tell where that really is. Returns its folder."""
    run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", folder])
    (pc,) = pathlib.Path(folder).rglob("uvsmtp.pc")
    text = pc.read_text(encoding="utf-8")
    prefix = re.search(r"^prefix=(.*)$", text, re.M).group(1)
    pc.write_text(text.replace("prefix=" + prefix, "prefix=" + folder + prefix, 1),
                  encoding="utf-8")
    return pc.parent


def flags(pkgconfig, *options):
    environment = dict(os.environ, PKG_CONFIG_PATH="%s:%s" % (
        pkgconfig, os.environ.get("PKG_CONFIG_PATH", "")))
    return run(["pkg-config", *options, "--cflags", "--libs", "uvsmtp"], env=environment).split()


def not_installed(build, cc, folder):
    """Builds and runs a program with the library where it was built."""
    run(cc + ["-std=gnu11"] + WARNINGS + ["send.c", "-o", "program"]
        + flags(os.path.join(build, "meson-uninstalled")), cwd=folder)
    try_program("build folder", folder, dict(os.environ, LD_LIBRARY_PATH=build))


def try_program(name, folder, environment):
    """Nobody listens on port 1: all of the library has been at work to say so."""
    said = run(["./program", "smtp://127.0.0.1:1"], cwd=folder, env=environment)
    if not said.startswith("deferred"):
        sys.exit("%s said %r" % (name, said))
    print("%s: %s" % (name, said.strip()))


def arguments():
    parts = {"": [], "--cc": [], "--cxx": []}
    current = ""
    for argument in sys.argv[1:]:
        if argument in parts:
            current = argument
        else:
            parts[current].append(argument)
    if len(parts[""]) != 2 or not parts["--cc"]:
        sys.exit(__doc__)
    return parts[""], parts["--cc"], parts["--cxx"]


def main():
    (build, root), cc, cxx = arguments()
    if shutil.which("pkg-config") is None or shutil.which("meson") is None:
        print("skipped: pkg-config or meson is not there")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="uvsmtp-installed-") as folder:
        pkgconfig = install(build, folder)
        libraries = pkgconfig.parent
        environment = dict(os.environ, LD_LIBRARY_PATH=str(libraries))
        shutil.copy(os.path.join(root, "examples", "send.c"), folder)
        pathlib.Path(folder, "send.cc").write_text(CPLUSPLUS, encoding="utf-8")
        not_installed(build, cc, folder)
        compilers = [(cc + ["-std=gnu11"], "send.c")]
        if cxx:
            compilers.append((cxx + ["-std=c++17"], "send.cc"))
        for option in ([], ["--static"]):
            if option:  # nothing but the archive is left to be found
                for shared in libraries.glob("libuvsmtp.so*"):
                    shared.unlink()
            for command, source in compilers:
                run(command + WARNINGS + [source, "-o", "program"] + flags(pkgconfig, *option),
                    cwd=folder)
                try_program("%s%s" % (source, " ".join([""] + option)), folder, environment)


if __name__ == "__main__":
    main()
