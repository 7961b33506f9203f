/* docs/source.md: ./source URL - a message that is made while it is sent */
#include "letter.h"

enum { LINES = 3 };

/* A table that comes line by line, each when the timer says so: a database, in a real program. */
typedef struct table_s {
  uv_timer_t timer;
  int line; /* 0: the header is due */
  bool ready;
  char text[80];
} table_t;

static void on_timer(uv_timer_t *timer)
{
  uvsmtp_source_t *source = timer->data;
  table_t *table = source->data;
  table->ready = true;
  uvsmtp_source_wake(source);
}

static int table_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  table_t *table = source->data;
  (void)target;
  table->line = 0;
  table->ready = true;
  info->length = UVSMTP_LENGTH_UNKNOWN;
  info->content = 0; /* nothing is promised */
  return 0;
}

static int table_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  table_t *table = source->data;
  int len = 0;
  if (!table->ready) {
    uv_timer_start(&table->timer, on_timer, 10, 0);
    return UVSMTP_PENDING;
  }
  if (table->line == 0)
    len = snprintf(table->text, sizeof(table->text), "Subject: A table\r\n\r\n");
  else if (table->line <= LINES)
    len = snprintf(table->text, sizeof(table->text), "line %d\r\n", table->line);
  table->line++;
  table->ready = false;
  *piece = (uvsmtp_slice_t){table->text, (size_t)len}; /* of no bytes: the end */
  return 0;
}

static void table_close(uvsmtp_source_t *source)
{
  table_t *table = source->data;
  uv_timer_stop(&table->timer);
}

static const uvsmtp_source_ops_t table_ops = {
    .size = sizeof(table_ops), .open = table_open, .next = table_next, .close = table_close};

static void sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  printf("%s %s\n", uvsmtp_status_name(result->status), result->error_text);
  uvsmtp_client_close(send->data, UVSMTP_CLOSE_DRAIN, NULL);
}

int main(int argc, char **argv)
{
  uv_loop_t *loop = uv_default_loop();
  uvsmtp_client_t *client;
  table_t table = {.line = 0};
  letter_t letter;

  if (argc != 2 || uvsmtp_client_new_url(&client, loop, argv[1]) != 0)
    return 1;
  letter_init(&letter, client);
  letter.source = (uvsmtp_source_t){.data = &table, .ops = &table_ops};
  uv_timer_init(loop, &table.timer);
  table.timer.data = &letter.source;
  int err = uvsmtp_client_send(client, &letter.send, &letter.envelope, &letter.source, sent);
  uv_run(loop, UV_RUN_DEFAULT);
  uv_close((uv_handle_t *)&table.timer, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  return err != 0;
}
