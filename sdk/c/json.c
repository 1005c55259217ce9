#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 127

// What is still to be read. A zero byte stands at the end, so that looking at
// the next byte is always allowed.
typedef struct {
  const uint8_t *at;
  const uint8_t *end;
  int depth;
} reader;

static json_value *value(reader *in);

static void skip_space(reader *in) {
  while (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r') in->at++;
}

static bool take(reader *in, const char *word) {
  size_t len = strlen(word);
  if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0) return false;
  in->at += len;
  return true;
}

static json_value *new_value(json_kind kind) {
  json_value *made = calloc(1, sizeof *made);
  if (made == NULL) abort();
  made->kind = kind;
  return made;
}

// How many bytes the UTF-8 sequence at `at` has; 0 if it is none (Unicode,
// table 3-7).
static size_t utf8_length(const uint8_t *at, const uint8_t *end) {
  size_t len = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;
  if ((size_t)(end - at) < len) return 0;
  for (size_t i = 1; i < len; i++) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  if (*at == 0xe0 && at[1] < 0xa0) return 0;
  if (*at == 0xed && at[1] > 0x9f) return 0;
  if (*at == 0xf0 && at[1] < 0x90) return 0;
  if (*at == 0xf4 && at[1] > 0x8f) return 0;
  return len;
}

// The four digits of \uXXXX; -1 if they are none.
static long hex4(reader *in) {
  long code = 0;
  for (int i = 0; i < 4; i++) {
    uint8_t c = *in->at;
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return -1;
    code = code * 16 + digit;
    in->at++;
  }
  return code;
}

static size_t put_utf8(uint8_t *out, long code) {
  if (code < 0x80) {
    out[0] = (uint8_t)code;
    return 1;
  }
  size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = len - 1; i > 0; i--) {
    out[i] = (uint8_t)(0x80 | (code & 0x3f));
    code >>= 6;
  }
  out[0] = (uint8_t)((0xf00 >> len) | code);
  return len;
}

// What follows a backslash, as UTF-8; 0 if it cannot be. Half of a surrogate
// pair cannot: no UTF-8 stands for it.
static size_t escape(reader *in, uint8_t *out) {
  static const char from[] = "\"\\/bfnrt";
  static const char to[] = "\"\\/\b\f\n\r\t";
  uint8_t c = *in->at;
  const char *found = c == 0 ? NULL : strchr(from, c);
  if (found != NULL) {
    in->at++;
    *out = (uint8_t)to[found - from];
    return 1;
  }
  if (!take(in, "u")) return 0;
  long code = hex4(in);
  if (code >= 0xd800 && code <= 0xdbff) {
    if (!take(in, "\\u")) return 0;
    long low = hex4(in);
    if (low < 0xdc00 || low > 0xdfff) return 0;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  } else if (code < 0 || (code >= 0xdc00 && code <= 0xdfff)) {
    return 0;
  }
  return put_utf8(out, code);
}

// A text, after its opening quote. Its bytes are the caller's to free.
static bool text(reader *in, json_text *read) {
  const uint8_t *close = in->at;
  while (close < in->end && *close != '"') close += *close == '\\' ? 2 : 1;
  if (close >= in->end) return false;
  // No escape is shorter than what it stands for.
  uint8_t *bytes = malloc((size_t)(close - in->at) + 1);
  if (bytes == NULL) abort();
  size_t len = 0;
  while (*in->at != '"') {
    size_t taken = 0;
    if (*in->at == '\\') {
      in->at++;
      taken = escape(in, bytes + len);
    } else if (*in->at >= 0x20) {
      taken = utf8_length(in->at, close);
      memcpy(bytes + len, in->at, taken);
      in->at += taken;
    }
    if (taken == 0) {
      free(bytes);
      return false;
    }
    len += taken;
  }
  in->at++;
  *read = (json_text){bytes, len};
  return true;
}

static bool digits(reader *in) {
  const uint8_t *from = in->at;
  while (*in->at >= '0' && *in->at <= '9') in->at++;
  return in->at > from;
}

static json_value *number(reader *in) {
  const char *from = (const char *)in->at;
  take(in, "-");
  if (!take(in, "0") && !digits(in)) return NULL;
  if (take(in, ".") && !digits(in)) return NULL;
  if (take(in, "e") || take(in, "E")) {
    if (!take(in, "+")) take(in, "-");
    if (!digits(in)) return NULL;
  }
  // It cannot read further: what follows is no part of a number.
  double read = strtod(from, NULL);
  if (!isfinite(read)) return NULL;
  json_value *made = new_value(JSON_NUMBER);
  made->number = read;
  return made;
}

// The items of a list or an object, after its opening bracket.
static json_value *items(reader *in, json_kind kind, const char *close) {
  if (in->depth == DEPTH_MAX) return NULL;
  in->depth++;
  json_value *made = new_value(kind);
  json_value **last = &made->first;
  bool more = true;
  skip_space(in);
  if (take(in, close)) more = false;
  while (more) {
    json_text name = {NULL, 0};
    if (kind == JSON_OBJECT) {
      skip_space(in);
      if (!take(in, "\"") || !text(in, &name)) goto bad;
      skip_space(in);
    }
    json_value *item = kind == JSON_OBJECT && !take(in, ":") ? NULL : value(in);
    if (item == NULL) {
      free((void *)name.ptr);
      goto bad;
    }
    item->name = name;
    *last = item;
    last = &item->next;
    made->len++;
    skip_space(in);
    more = take(in, ",");
    if (!more && !take(in, close)) goto bad;
  }
  in->depth--;
  return made;
bad:
  json_free(made);
  return NULL;
}

static json_value *value(reader *in) {
  skip_space(in);
  json_value *made = NULL;
  if (take(in, "{")) {
    made = items(in, JSON_OBJECT, "}");
  } else if (take(in, "[")) {
    made = items(in, JSON_LIST, "]");
  } else if (take(in, "\"")) {
    json_text read;
    if (text(in, &read)) {
      made = new_value(JSON_TEXT);
      made->text = read;
    }
  } else if (take(in, "true")) {
    made = new_value(JSON_BOOLEAN);
    made->boolean = true;
  } else if (take(in, "false")) {
    made = new_value(JSON_BOOLEAN);
  } else if (take(in, "null")) {
    made = new_value(JSON_NULL);
  } else {
    made = number(in);
  }
  return made;
}

json_value *json_parse(const uint8_t *ptr, size_t len) {
  uint8_t *copy = malloc(len + 1);
  if (copy == NULL) abort();
  if (len > 0) memcpy(copy, ptr, len);
  copy[len] = 0;
  reader in = {copy, copy + len, 0};
  json_value *read = value(&in);
  skip_space(&in);
  if (read != NULL && in.at != in.end) {
    json_free(read);
    read = NULL;
  }
  free(copy);
  return read;
}

void json_free(json_value *value) {
  if (value == NULL) return;
  json_value *item = value->first;
  while (item != NULL) {
    json_value *next = item->next;
    json_free(item);
    item = next;
  }
  free((void *)value->text.ptr);
  free((void *)value->name.ptr);
  free(value);
}

const json_value *json_field(const json_value *object, const char *name) {
  const json_value *found = NULL;
  size_t len = strlen(name);
  for (const json_value *item = object->first; item != NULL; item = item->next) {
    if (item->name.len == len && memcmp(item->name.ptr, name, len) == 0) found = item;
  }
  return found;
}
