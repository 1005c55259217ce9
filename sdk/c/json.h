// JSON (RFC 8259) for plugins in C: reads a document into a tree.
//
// Numbers are doubles, texts are UTF-8 and may hold zero bytes. Documents
// nest at most 127 levels deep.

#ifndef FAULTLINE_JSON_H
#define FAULTLINE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  JSON_NULL,
  JSON_BOOLEAN,
  JSON_NUMBER,
  JSON_TEXT,
  JSON_LIST,
  JSON_OBJECT,
} json_kind;

typedef struct {
  const uint8_t *ptr;
  size_t len;
} json_text;

typedef struct json_value {
  json_kind kind;
  bool boolean;
  double number;
  json_text text;
  // Of a list or an object: how many items, and the first of them.
  size_t len;
  struct json_value *first;
  // The next item beside this one; and the name, within an object.
  struct json_value *next;
  json_text name;
} json_value;

// Reads a document. None (NULL) if it is not JSON, not UTF-8, nests too deep,
// or has a number that no double can hold. To be freed with json_free.
json_value *json_parse(const uint8_t *ptr, size_t len);

void json_free(json_value *value);

// The field of an object; if there are several of the name, the last. NULL if
// there is none.
const json_value *json_field(const json_value *object, const char *name);

#endif
