// JSON as RFC 8259 has it, read once from front to back; what is kept of it is one name.
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEEPEST 100
#define LONGEST_NUMBER 400  // bytes, where it takes a look whether a double holds it
#define SURE_DIGITS 308     // before the point: as many are held whatever they are

typedef struct {
  const unsigned char *at, *end;
  uint64_t* keys;  // of all objects, each hashed together with the number of its object
  size_t room, used;
  char* name;
  size_t name_length;
  const unsigned char *model, *behind;  // the model's text with its quotes, and what follows it
} Reader;

static void blank(Reader* r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static bool word(Reader* r, const char* expected) {
  size_t length = strlen(expected);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, expected, length) != 0) return false;
  r->at += length;
  return true;
}

static bool digits(Reader* r) {
  const unsigned char* from = r->at;
  while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
  return r->at > from;
}

static bool number(Reader* r) {
  const unsigned char* from = r->at;
  if (*r->at == '-') r->at++;
  const unsigned char* whole = r->at;
  if (r->at < r->end && *r->at == '0') {
    r->at++;
  } else if (!digits(r)) {
    return false;
  }
  bool sure = r->at - whole <= SURE_DIGITS;
  if (r->at < r->end && *r->at == '.') {
    r->at++;
    if (!digits(r)) return false;
  }
  if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
    sure = false;
    r->at++;
    if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
    if (!digits(r)) return false;
  }
  if (sure) return true;
  size_t length = (size_t)(r->at - from);
  char copy[LONGEST_NUMBER + 1];
  if (length > LONGEST_NUMBER) return false;
  memcpy(copy, from, length);
  copy[length] = 0;
  return isfinite(strtod(copy, NULL));
}

static int hex(Reader* r) {
  int value = 0;
  if (r->end - r->at < 4) return -1;
  for (int n = 0; n < 4; n++) {
    int c = *r->at++;
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// The character after \u, both halves of it where it has two; -1 if it is none.
static int32_t escaped(Reader* r) {
  int first = hex(r);
  if (first < 0 || (first >= 0xDC00 && first <= 0xDFFF)) return -1;
  if (first < 0xD800 || first > 0xDBFF) return first;
  if (!word(r, "\\u")) return -1;
  int second = hex(r);
  if (second < 0xDC00 || second > 0xDFFF) return -1;
  return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
}

// Bytes of a character that begins here; 0 if it is not UTF-8. Overlong forms, surrogates and what is beyond Unicode are
// none.
static size_t character(const unsigned char* at, const unsigned char* end) {
  unsigned char c = at[0], low = 0x80, high = 0xBF;
  size_t more = c >= 0xC2 && c <= 0xDF ? 1 : c >= 0xE0 && c <= 0xEF ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
  if (more == 0 || (size_t)(end - at) <= more) return 0;
  if (c == 0xE0) low = 0xA0;
  if (c == 0xED) high = 0x9F;
  if (c == 0xF0) low = 0x90;
  if (c == 0xF4) high = 0x8F;
  if (at[1] < low || at[1] > high) return 0;
  for (size_t n = 2; n <= more; n++)
    if (at[n] < 0x80 || at[n] > 0xBF) return 0;
  return more + 1;
}

// What becomes of a text's characters: a hash of all, and the first ones as a header may have them.
typedef struct {
  uint64_t hash;
  char* kept;
  size_t length;
} Meaning;

static void means(Meaning* m, uint32_t c) {
  m->hash = (m->hash ^ c) * 0x9E3779B97F4A7C15u;
  m->hash ^= m->hash >> 32;
  if (!m->kept || m->length >= LONGEST_NAME) return;
  // The last place is never a name's: what is cut off is no model's name by accident.
  m->kept[m->length] = c > 0x20 && c < 0x7F && m->length < LONGEST_NAME - 1 ? (char)c : '?';
  m->length++;
}

// A text, its opening quote read already.
static bool text(Reader* r, Meaning* m) {
  while (r->at < r->end) {
    unsigned char c = *r->at;
    if (c == '"') {
      r->at++;
      return true;
    }
    if (c < 0x20) return false;
    if (c >= 0x80) {
      size_t size = character(r->at, r->end);
      if (size == 0) return false;
      if (m) {
        uint32_t code = c & (0xFFu >> (size + 1));
        for (size_t n = 1; n < size; n++) code = code << 6 | (r->at[n] & 0x3F);
        means(m, code);
      }
      r->at += size;
      continue;
    }
    r->at++;
    int32_t code = c;
    if (c == '\\') {
      if (r->at == r->end) return false;
      c = *r->at++;
      static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
      const char* found = c ? strchr(letters, c) : NULL;
      code = found ? meant[found - letters] : c == 'u' ? escaped(r) : -1;
      if (code < 0) return false;
    }
    if (m) means(m, (uint32_t)code);
  }
  return false;
}

// False if there are too many, or memory is out.
static bool add(Reader* r, uint64_t key) {
  if (r->used == MOST_KEYS) return false;
  if (r->used == r->room) {
    size_t room = r->room ? 2 * r->room : 64;
    uint64_t* larger = realloc(r->keys, room * sizeof *larger);
    if (!larger) return false;
    r->keys = larger;
    r->room = room;
  }
  r->keys[r->used++] = key;
  return true;
}

static int compare(const void* one, const void* other) {
  uint64_t a = *(const uint64_t*)one, b = *(const uint64_t*)other;
  return (a > b) - (a < b);
}

// No key is there twice in one object. Sorted at the end, not looked up one by one: a table of hashes that a caller can
// compute is one that a caller can fill in one place, and make as slow as it likes.
static bool once(Reader* r) {
  if (r->used > 1) qsort(r->keys, r->used, sizeof *r->keys, compare);
  for (size_t n = 1; n < r->used; n++)
    if (r->keys[n] == r->keys[n - 1]) return false;
  return true;
}

// A key of an object, which has a number, and its colon. named: what follows is the model.
static bool key(Reader* r, uint32_t object, uint32_t depth, bool* named) {
  char first[LONGEST_NAME];
  Meaning m = {object * 0xD6E8FEB86659FD93u, first, 0};
  if (r->at == r->end || *r->at++ != '"' || !text(r, &m) || !add(r, m.hash)) return false;
  *named = depth == 1 && m.length == 5 && memcmp(first, "model", 5) == 0;
  blank(r);
  return r->at < r->end && *r->at++ == ':';
}

// A value that is neither object nor array.
static bool scalar(Reader* r, bool named) {
  switch (*r->at) {
    case '"': {
      Meaning m = {0, r->name, 0};
      if (named) r->model = r->at;
      r->at++;
      if (!text(r, named ? &m : NULL)) return false;
      if (named) {
        r->name_length = m.length;
        r->behind = r->at;
      }
      return true;
    }
    case 't':
      return word(r, "true");
    case 'f':
      return word(r, "false");
    case 'n':
      return word(r, "null");
    default:
      return number(r);
  }
}

static bool document(Reader* r) {
  uint32_t levels[DEEPEST];  // the number of each object we are in; 0: it is an array
  uint32_t depth = 0, objects = 0;
  bool named = false;
  blank(r);
  if (r->at == r->end || *r->at != '{') return false;
  for (;;) {
    // A value is due.
    blank(r);
    if (r->at == r->end) return false;
    unsigned char c = *r->at;
    if (c == '{' || c == '[') {
      if (depth == DEEPEST) return false;
      r->at++;
      levels[depth] = c == '{' ? ++objects : 0;
      depth++;
      blank(r);
      if (r->at == r->end) return false;
      if (*r->at != (c == '{' ? '}' : ']')) {
        named = false;
        if (c == '{' && !key(r, objects, depth, &named)) return false;
        continue;
      }
    } else if (!scalar(r, named)) {
      return false;
    }
    // A value has ended: close what ends here, then go on to the next value.
    for (;;) {
      blank(r);
      if (depth == 0) return r->at == r->end;
      if (r->at == r->end) return false;
      c = *r->at++;
      uint32_t object = levels[depth - 1];
      if (c == ',') {
        blank(r);
        named = false;
        if (object && !key(r, object, depth, &named)) return false;
        break;
      }
      if (c != (object ? '}' : ']')) return false;
      depth--;
    }
  }
}

bool locate_model(const char* from, size_t size, char* name, size_t* length, size_t place[2]) {
  const unsigned char* begin = (const unsigned char*)from;
  Reader r = {begin, begin + size, NULL, 0, 0, name, 0, begin, begin};
  bool good = document(&r) && once(&r);
  free(r.keys);
  *length = good ? r.name_length : 0;
  place[0] = (size_t)(r.model - begin);
  place[1] = (size_t)(r.behind - begin);
  return good;
}

bool find_model(const char* from, size_t size, char* name, size_t* length) {
  size_t place[2];
  return locate_model(from, size, name, length, place);
}
