// The part of Envoy's ABI for dynamic modules (v0.2, source/extensions/dynamic_modules/abi) that the filter uses.
// It may ask for nothing else: none of these connects to anything (tests/unit/gateway/test_bodies.py counts them).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ABI_VERSION "v0.2.0"

typedef struct {
  const char* at;
  size_t length;
} Text;

typedef struct Stream Stream;  // Envoy's side of a request

enum Headers { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2 };
enum Body { RECEIVED_REQUEST, BUFFERED_REQUEST, RECEIVED_RESPONSE, BUFFERED_RESPONSE };
enum HeadersStatus { HEADERS_CONTINUE = 0, HEADERS_STOP = 1 };
enum BodyStatus { BODY_CONTINUE = 0, BODY_STOP_AND_BUFFER = 1 };

bool envoy_dynamic_module_callback_http_get_header(Stream*, int, Text key, Text* value, size_t index, size_t* count);
bool envoy_dynamic_module_callback_http_set_header(Stream*, int, Text key, Text value);
size_t envoy_dynamic_module_callback_http_get_body_chunks_size(Stream*, int);
bool envoy_dynamic_module_callback_http_get_body_chunks(Stream*, int, Text* chunks);
bool envoy_dynamic_module_callback_http_received_buffered_request_body(Stream*);
void envoy_dynamic_module_callback_http_set_dynamic_metadata_string(Stream*, Text space, Text key, Text value);
void envoy_dynamic_module_callback_http_clear_route_cache(Stream*);
