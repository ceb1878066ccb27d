#pragma once
#include <stdbool.h>
#include <stddef.h>

#define COUNTS 5
#define DIGITS 15
#define USAGE_TEXT (COUNTS * (DIGITS + 1))

// Tokens as an answer says them, digits with a zero behind; empty: not said. In the order of accesslog/format.py: those
// of the prompt and of the completion as OpenAI counts, then the engine's own: read, taken from its cache, written.
typedef struct {
  char digits[COUNTS][DIGITS + 1];
} Usage;

// Looks for counts in a part of an answer, the last of each. Returns true if it found others than before.
bool find_usage(const char* text, size_t size, Usage* usage);

// Writes them with bars between them. Returns how many bytes; said: USAGE_TEXT bytes.
size_t usage_text(const Usage* usage, char* said);
