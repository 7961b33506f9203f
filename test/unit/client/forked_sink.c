#include "forked_sink.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sink/sink.h"

pid_t forked_sink_start(uint16_t *port)
{
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    sink_options_t options = {0};
    sink_t *sink;
    if (sink_start(&sink, uv_default_loop(), &options, NULL, 0) != 0)
      _exit(1);
    *port = sink_port(sink);
    if (write(ends[1], port, sizeof(*port)) != sizeof(*port))
      _exit(1);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    _exit(0);
  }
  assert_int_equal(read(ends[0], port, sizeof(*port)), sizeof(*port));
  close(ends[0]);
  close(ends[1]);
  return pid;
}

void forked_sink_end(pid_t pid)
{
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}
