/*
 * A peer for compare.py: libcurl's multi interface, a transfer for each connection.
 *
 *   curl_multi HOST PORT MESSAGES SIZE CONNECTIONS [tls]
 *
 * `tls` means STARTTLS; UVSMTP_BENCH_CA names the certificates to trust.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

typedef struct {
  CURL *easy;
  size_t at;
} transfer_t;

static char *content;
static size_t content_len;
static bool with_tls;

static size_t give(char *to, size_t size, size_t count, void *data)
{
  transfer_t *transfer = data;
  size_t len = content_len - transfer->at;
  if (len > size * count)
    len = size * count;
  memcpy(to, content + transfer->at, len);
  transfer->at += len;
  return len;
}

static void make_content(size_t size)
{
  content_len = size;
  content = malloc(size);
  if (content == NULL)
    exit(1);
  for (size_t i = 0; i < size; i++)
    content[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : (char)('a' + i % 26);
  memcpy(content + size - 2, "\r\n", 2);
}

static void prepare(transfer_t *transfer, const char *url, struct curl_slist *to)
{
  transfer->easy = curl_easy_init();
  curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
  curl_easy_setopt(transfer->easy, CURLOPT_MAIL_FROM, "<sender@bench.example>");
  curl_easy_setopt(transfer->easy, CURLOPT_MAIL_RCPT, to);
  curl_easy_setopt(transfer->easy, CURLOPT_READFUNCTION, give);
  curl_easy_setopt(transfer->easy, CURLOPT_READDATA, transfer);
  curl_easy_setopt(transfer->easy, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(transfer->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)content_len);
  curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
  if (with_tls) {
    curl_easy_setopt(transfer->easy, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, getenv("UVSMTP_BENCH_CA"));
  }
}

/* Takes what is finished; begins as many anew as are left. Returns how many failed. */
static uint64_t turn(CURLM *multi, uint64_t *left, uint64_t *done)
{
  uint64_t failed = 0;
  CURLMsg *message;
  int queued;
  while ((message = curl_multi_info_read(multi, &queued)) != NULL) {
    transfer_t *transfer;
    CURL *easy = message->easy_handle;
    failed += message->data.result != CURLE_OK;
    ++*done;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    curl_multi_remove_handle(multi, easy);
    transfer->at = 0;
    if (*left > 0) {
      --*left;
      curl_multi_add_handle(multi, easy);
    }
  }
  return failed;
}

int main(int argc, char **argv)
{
  uint64_t messages = argc >= 6 ? strtoull(argv[3], NULL, 10) : 0, left = messages, done = 0;
  size_t count = argc >= 6 ? strtoull(argv[5], NULL, 10) : 0;
  transfer_t *transfers = calloc(count + 1, sizeof(*transfers));
  struct curl_slist *to = curl_slist_append(NULL, "<r0000000@bench.example>");
  struct timespec start, end;
  uint64_t failed = 0;
  char url[300];
  double seconds;
  CURLM *multi;
  int running;
  with_tls = argc == 7 && strcmp(argv[6], "tls") == 0;
  if (argc > 7 || (argc == 7 && !with_tls) || messages == 0 || count == 0 || count > messages ||
      transfers == NULL) {
    fprintf(stderr, "usage: curl_multi HOST PORT MESSAGES SIZE CONNECTIONS [tls]\n");
    return 2;
  }
  make_content(strtoull(argv[4], NULL, 10));
  snprintf(url, sizeof(url), "smtp://%s:%s/bench.example", argv[1], argv[2]);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)count);
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (size_t i = 0; i < count; i++, left--) {
    prepare(&transfers[i], url, to);
    curl_multi_add_handle(multi, transfers[i].easy);
  }
  while (done < messages) {
    curl_multi_perform(multi, &running);
    failed += turn(multi, &left, &done);
    if (done < messages)
      curl_multi_poll(multi, NULL, 0, left > 0 ? 0 : 100, NULL);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
  printf("{\"client\": \"libcurl\", \"tls\": %s, \"messages\": %llu, \"accepted\": %llu, "
         "\"seconds\": %.6f, "
         "\"rate\": %.1f}\n",
         with_tls ? "true" : "false", (unsigned long long)messages,
         (unsigned long long)(messages - failed), seconds, (double)(messages - failed) / seconds);
  return failed != 0;
}
