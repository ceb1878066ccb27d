// Counts in the text of an answer, found by plain searches: an answer is passed on in pieces, and need not be JSON as a
// whole (events of a stream are not).
#include "usage.h"

#include <string.h>

static const char* const KEYS[COUNTS] = {
    "\"prompt_tokens\"", "\"completion_tokens\"", "\"prompt_n\"", "\"cache_n\"", "\"predicted_n\"",
};

static const char* past_blanks(const char* at, const char* end) {
  while (at < end && (*at == ' ' || (*at >= '\t' && *at <= '\r'))) at++;
  return at;
}

// Inside a JSON string its quotes would be escaped, so no text can forge a key.
static bool find(const char* at, const char* end, const char* key, char* digits) {
  bool changed = false;
  size_t size = strlen(key);
  while ((at = memmem(at, (size_t)(end - at), key, size))) {
    at += size;
    const char* from = past_blanks(at, end);
    if (from == end || *from != ':') continue;
    from = past_blanks(from + 1, end);
    size_t length = 0;
    while (from + length < end && from[length] >= '0' && from[length] <= '9') length++;
    if (length == 0 || length > DIGITS || (strlen(digits) == length && !memcmp(digits, from, length))) continue;
    memcpy(digits, from, length);
    digits[length] = 0;
    changed = true;
  }
  return changed;
}

bool find_usage(const char* text, size_t size, Usage* usage) {
  bool changed = false;
  if (!size || (!memmem(text, size, "_tokens\"", 8) && !memmem(text, size, "_n\"", 3))) return false;
  for (size_t n = 0; n < COUNTS; n++) changed |= find(text, text + size, KEYS[n], usage->digits[n]);
  return changed;
}

size_t usage_text(const Usage* usage, char* said) {
  size_t length = 0;
  for (size_t n = 0; n < COUNTS; n++) {
    size_t size = strlen(usage->digits[n]);
    memcpy(said + length, usage->digits[n], size);
    length += size;
    if (n < COUNTS - 1) said[length++] = '|';
  }
  return length;
}
