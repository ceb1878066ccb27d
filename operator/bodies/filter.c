// The bodies' filter: which model a request's body names, and how many tokens an answer says it has.
// It decides nothing and asks nobody: what may pass, and where to, the Lua beside it says.
#include "abi.h"
#include "json.h"
#include "usage.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) ((Text){literal, sizeof(literal) - 1})
#define KEPT 768  // bytes of an answer that are looked at again with what follows them

typedef struct {
  char tail[KEPT];
  size_t tail_length;
  Usage usage;
  bool counting;
} Passing;

// -- requests --------------------------------------------------------------------------------------------------------

// All bytes of a body. Returns what has to be freed: a copy, where they are in several pieces of Envoy's. None without
// memory: then no model is found in them.
static char* gathered(Stream* stream, const int* kinds, size_t count, Text* whole) {
  size_t sizes[2] = {0}, pieces = 0;
  for (size_t n = 0; n < count; n++)
    pieces += sizes[n] = envoy_dynamic_module_callback_http_get_body_chunks_size(stream, kinds[n]);
  *whole = (Text){"", 0};
  if (pieces == 0) return NULL;
  Text* found = malloc(pieces * sizeof *found);
  if (!found) return NULL;
  size_t at = 0, length = 0;
  for (size_t n = 0; n < count; n++) {
    if (sizes[n]) envoy_dynamic_module_callback_http_get_body_chunks(stream, kinds[n], found + at);
    at += sizes[n];
  }
  for (size_t n = 0; n < pieces; n++) length += found[n].length;
  char* own = NULL;
  if (pieces == 1) {
    *whole = found[0];
  } else if ((own = malloc(length ? length : 1))) {
    size_t filled = 0;
    for (size_t n = 0; n < pieces; n++) {
      memcpy(own + filled, found[n].at, found[n].length);
      filled += found[n].length;
    }
    *whole = (Text){own, length};
  }
  free(found);
  return own;
}

// Where the body has the model's name, for the one who puts another there: "<bytes before it>,<bytes with it>".
static void name_place(Stream* stream, const size_t place[2]) {
  char said[48], *at = said + sizeof said;  // written from its end: two numbers of at most 20 digits
  for (int n = 1; n >= 0; n--) {
    size_t left = place[n];
    do *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (n) *--at = ',';
  }
  envoy_dynamic_module_callback_http_set_header(stream, REQUEST_HEADERS, TEXT("x-slm-model-at"),
                                                (Text){at, (size_t)(said + sizeof said - at)});
}

// x-slm-route: "<x-slm-target>|<model>", each empty if there is none. Where only the body can name a target it may be a
// route, which is told where the name stands.
static void name_route(Stream* stream, bool received) {
  int kinds[] = {BUFFERED_REQUEST, RECEIVED_REQUEST};
  size_t count = received ? 2 : 1;
  if (received && envoy_dynamic_module_callback_http_received_buffered_request_body(stream)) {
    kinds[0] = RECEIVED_REQUEST;  // what was kept and what came are the same
    count = 1;
  }
  Text whole, target = {"", 0};
  char* own = gathered(stream, kinds, count, &whole);
  char route[LONGEST_NAME + 512];
  envoy_dynamic_module_callback_http_get_header(stream, REQUEST_HEADERS, TEXT("x-slm-target"), &target, 0, NULL);
  size_t length = target.length < 511 ? target.length : 511, named, place[2];
  memcpy(route, target.at ? target.at : "", length);
  route[length++] = '|';
  locate_model(whole.at, whole.length, route + length, &named, place);
  free(own);
  if (!target.length && named) name_place(stream, place);
  Text value = {route, length + named};
  envoy_dynamic_module_callback_http_set_header(stream, REQUEST_HEADERS, TEXT("x-slm-route"), value);
  envoy_dynamic_module_callback_http_clear_route_cache(stream);
}

static void forget(Stream* stream, Text key) {
  envoy_dynamic_module_callback_http_set_header(stream, REQUEST_HEADERS, key, (Text){NULL, 0});
}

int envoy_dynamic_module_on_http_filter_request_headers(Stream* stream, Passing* p, bool end) {
  (void)p;
  // The door has read the credential. Envoy prints all headers where it crashes.
  forget(stream, TEXT("authorization"));
  forget(stream, TEXT("x-slm-asked"));
  if (!end) return HEADERS_STOP;
  name_route(stream, false);
  return HEADERS_CONTINUE;
}

int envoy_dynamic_module_on_http_filter_request_body(Stream* stream, Passing* p, bool end) {
  (void)p;
  if (!end) return BODY_STOP_AND_BUFFER;
  name_route(stream, true);
  return BODY_CONTINUE;
}

int envoy_dynamic_module_on_http_filter_request_trailers(Stream* stream, Passing* p) {
  (void)p;
  name_route(stream, false);
  return 0;
}

// -- answers ---------------------------------------------------------------------------------------------------------

static void remember(Stream* stream, Text key, Text value) {
  envoy_dynamic_module_callback_http_set_dynamic_metadata_string(stream, TEXT("smallmodel"), key, value);
}

static bool holds(Text text, const char* part) {
  return text.at && memmem(text.at, text.length, part, strlen(part)) != NULL;
}

int envoy_dynamic_module_on_http_filter_response_headers(Stream* stream, Passing* p, bool end) {
  Text status = {0}, kind = {0}, cause = {0};
  envoy_dynamic_module_callback_http_get_header(stream, RESPONSE_HEADERS, TEXT(":status"), &status, 0, NULL);
  if (status.length == 3 && status.at[0] >= '4') {
    envoy_dynamic_module_callback_http_get_header(stream, RESPONSE_HEADERS, TEXT("x-slm-cause"), &cause, 0, NULL);
    if (!cause.length) {
      cause = TEXT("engine");
      envoy_dynamic_module_callback_http_set_header(stream, RESPONSE_HEADERS, TEXT("x-slm-cause"), cause);
    }
    remember(stream, TEXT("error"), cause);
  } else if (!end) {
    envoy_dynamic_module_callback_http_get_header(stream, RESPONSE_HEADERS, TEXT("content-type"), &kind, 0, NULL);
    p->counting = holds(kind, "json") || holds(kind, "event-stream");
  }
  return HEADERS_CONTINUE;
}

static void look(Stream* stream, Passing* p, Text whole) {
  if (!find_usage(whole.at, whole.length, &p->usage)) return;
  char said[USAGE_TEXT];
  remember(stream, TEXT("usage"), (Text){said, usage_text(&p->usage, said)});
}

int envoy_dynamic_module_on_http_filter_response_body(Stream* stream, Passing* p, bool end) {
  if (!p->counting) return BODY_CONTINUE;
  const int kinds[] = {RECEIVED_RESPONSE};
  Text whole;
  char* own = gathered(stream, kinds, 1, &whole);
  if (p->tail_length && whole.length) {
    char* longer = malloc(p->tail_length + whole.length);
    if (!longer) {
      p->counting = false;
      free(own);
      return BODY_CONTINUE;
    }
    memcpy(longer, p->tail, p->tail_length);
    memcpy(longer + p->tail_length, whole.at, whole.length);
    free(own);
    own = longer;
    whole = (Text){own, p->tail_length + whole.length};
  }
  if (whole.length) {
    look(stream, p, whole);
    if (!end) {
      p->tail_length = whole.length < KEPT ? whole.length : KEPT;
      memcpy(p->tail, whole.at + whole.length - p->tail_length, p->tail_length);
    }
  }
  free(own);
  return BODY_CONTINUE;
}

int envoy_dynamic_module_on_http_filter_response_trailers(Stream* stream, Passing* p) {
  (void)stream, (void)p;
  return 0;
}

// -- the module ------------------------------------------------------------------------------------------------------

const char* envoy_dynamic_module_on_program_init(void) { return ABI_VERSION; }

void* envoy_dynamic_module_on_http_filter_config_new(void* envoy, Text name, Text config) {
  (void)envoy, (void)config;
  static char loaded;
  return name.length == 6 && !memcmp(name.at, "bodies", 6) ? &loaded : NULL;
}

void envoy_dynamic_module_on_http_filter_config_destroy(void* config) { (void)config; }

Passing* envoy_dynamic_module_on_http_filter_new(void* config, Stream* stream) {
  (void)config, (void)stream;
  return calloc(1, sizeof(Passing));
}

void envoy_dynamic_module_on_http_filter_destroy(Passing* p) { free(p); }
void envoy_dynamic_module_on_http_filter_stream_complete(Stream* s, Passing* p) { (void)s, (void)p; }

// What Envoy looks for in every module, and this one has no use for.
#define NEVER(name) \
  void envoy_dynamic_module_on_http_filter_##name(void) {}
NEVER(http_callout_done)
NEVER(http_stream_headers)
NEVER(http_stream_data)
NEVER(http_stream_trailers)
NEVER(http_stream_complete)
NEVER(http_stream_reset)
NEVER(scheduled)
NEVER(downstream_above_write_buffer_high_watermark)
NEVER(downstream_below_write_buffer_low_watermark)
