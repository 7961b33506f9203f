#include "connection/hub.h"

#include "base/mem.h"
#include "connection/connection.h"

static uv_once_t once = UV_ONCE_INIT;
static uv_mutex_t mutex; /* guards the list of hubs; each is its loop's thread's */
static uvsmtp__hub_t *hubs;

static void init_mutex(void)
{
  uv_mutex_init(&mutex);
}

/* ---- deadlines ---- */

static uvsmtp_connection_t *of_timer(const uvsmtp__heap_node_t *node)
{
  return UVSMTP__CONTAINER((void *)(uintptr_t)node, uvsmtp_connection_t, in_hub.timer);
}

static bool wakes_before(const uvsmtp__heap_node_t *a, const uvsmtp__heap_node_t *b)
{
  return of_timer(a)->in_hub.wake_at < of_timer(b)->in_hub.wake_at;
}

static void on_timer(uv_timer_t *timer);

/* Has the timer fire in time for the first of all. */
static void arm(uvsmtp__hub_t *hub)
{
  uint64_t at, now = uv_now(hub->loop);
  if (hub->deadlines.root == NULL)
    return;
  at = of_timer(hub->deadlines.root)->in_hub.wake_at;
  if (at >= hub->armed)
    return;
  hub->armed = at;
  uv_timer_start(&hub->timer, on_timer, at > now ? at - now : 0, 0);
}

static void remove_timer(uvsmtp_connection_t *c)
{
  uvsmtp__heap_remove(&c->hub->deadlines, &c->in_hub.timer);
  c->in_hub.wake_at = UINT64_MAX;
}

void uvsmtp__hub_wake_at(uvsmtp_connection_t *c, uint64_t at)
{
  if (at >= c->in_hub.wake_at)
    return;
  if (uvsmtp__heap_has(&c->in_hub.timer))
    remove_timer(c);
  c->in_hub.wake_at = at;
  uvsmtp__heap_add(&c->hub->deadlines, &c->in_hub.timer);
  arm(c->hub);
}

/* A timer that nobody waits for must not keep the loop alive. */
void uvsmtp__hub_forget(uvsmtp_connection_t *c)
{
  uvsmtp__hub_t *hub = c->hub;
  if (uvsmtp__heap_has(&c->in_hub.timer))
    remove_timer(c);
  if (hub->deadlines.root == NULL && uv_is_active((uv_handle_t *)&hub->timer)) {
    uv_timer_stop(&hub->timer);
    hub->armed = UINT64_MAX;
  }
}

/* ---- turns ---- */

/* Those that become due meanwhile have their turn next time. */
static void run_due(uvsmtp__hub_t *hub)
{
  uvsmtp_connection_t *c = hub->due, *next;
  hub->due = NULL;
  hub->due_end = &hub->due;
  uv_idle_stop(&hub->turn);
  for (; c != NULL; c = next) {
    next = c->in_hub.next;
    c->due = false;
    uvsmtp__timer_run(c);
  }
}

static void on_turn(uv_idle_t *turn)
{
  run_due(turn->data);
}

void uvsmtp__hub_due(uvsmtp_connection_t *c)
{
  uvsmtp__hub_t *hub = c->hub;
  if (c->due)
    return;
  if (hub->due == NULL)
    uv_idle_start(&hub->turn, on_turn);
  c->due = true;
  c->in_hub.next = NULL;
  *hub->due_end = c;
  hub->due_end = &c->in_hub.next;
}

/* Nobody arms the timer anew meanwhile: that is done once, when all have said what they wait for.*/
static void on_timer(uv_timer_t *timer)
{
  uvsmtp__hub_t *hub = timer->data;
  uint64_t now = uv_now(hub->loop);
  hub->armed = 0;
  while (hub->deadlines.root != NULL && of_timer(hub->deadlines.root)->in_hub.wake_at <= now) {
    uvsmtp_connection_t *c = of_timer(hub->deadlines.root);
    remove_timer(c);
    uvsmtp__hub_due(c);
  }
  run_due(hub);
  hub->armed = UINT64_MAX;
  if (hub->last == NULL)
    arm(hub);
}

/* ---- coming and going ---- */

static uvsmtp__hub_t *make(uv_loop_t *loop)
{
  uvsmtp__hub_t *hub = uvsmtp__malloc(&uvsmtp__mem_default, sizeof(*hub));
  if (hub == NULL)
    return NULL;
  hub->loop = loop;
  hub->users = 0;
  hub->handles = 0;
  hub->armed = UINT64_MAX;
  hub->deadlines = (uvsmtp__heap_t){.before = wakes_before};
  hub->due = hub->last = NULL;
  hub->due_end = &hub->due;
  hub->steps_at = 0;
  hub->steps = 0;
  hub->other = hubs;
  hubs = hub;
  return hub;
}

uvsmtp__hub_t *uvsmtp__hub_acquire(uv_loop_t *loop)
{
  uvsmtp__hub_t *hub;
  uv_once(&once, init_mutex);
  uv_mutex_lock(&mutex);
  for (hub = hubs; hub != NULL && hub->loop != loop; hub = hub->other)
    ;
  if (hub == NULL)
    hub = make(loop);
  if (hub != NULL)
    hub->users++;
  uv_mutex_unlock(&mutex);
  return hub;
}

/* The next connection of this loop makes another one. */
static void take_out(uvsmtp__hub_t *hub)
{
  uvsmtp__hub_t **at = &hubs;
  uv_mutex_lock(&mutex);
  while (*at != hub)
    at = &(*at)->other;
  *at = hub->other;
  uv_mutex_unlock(&mutex);
}

void uvsmtp__hub_release(uvsmtp__hub_t *hub)
{
  if (--hub->users > 0)
    return;
  take_out(hub);
  uvsmtp__free(&uvsmtp__mem_default, hub);
}

void uvsmtp__hub_join(uvsmtp_connection_t *c)
{
  uvsmtp__hub_t *hub = c->hub;
  uvsmtp__hold(c, UVSMTP__HOLD_HUB);
  if (hub->handles > 0)
    return;
  uv_timer_init(hub->loop, &hub->timer);
  uv_idle_init(hub->loop, &hub->turn);
  hub->timer.data = hub->turn.data = hub;
  hub->handles = 2;
}

static void on_closed(uv_handle_t *handle)
{
  uvsmtp__hub_t *hub = handle->data;
  uvsmtp_connection_t *last = hub->last;
  if (--hub->handles > 0)
    return;
  uvsmtp__free(&uvsmtp__mem_default, hub);
  uvsmtp__drop(last, UVSMTP__HOLD_HUB);
}

void uvsmtp__hub_leave(uvsmtp_connection_t *c)
{
  uvsmtp__hub_t *hub = c->hub;
  uvsmtp__hub_forget(c);
  c->hub = NULL;
  if (--hub->users > 0) {
    uvsmtp__drop(c, UVSMTP__HOLD_HUB);
    return;
  }
  take_out(hub);
  hub->last = c;
  uv_close((uv_handle_t *)&hub->timer, on_closed);
  uv_close((uv_handle_t *)&hub->turn, on_closed);
}
