// A connector for a small webhook: alerts and readings, in JSON.

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "plugin.h"

// The most rejected items that are listed with their reasons.
#define LISTED_MAX 100

// The latest time that a message can name, in milliseconds: what follows as
// microseconds is below 2^53.
#define MILLISECONDS_MAX 9007199254740.0

typedef faultline_plugin_signals_envelope_t envelope;
typedef faultline_plugin_signals_decoded_t decoded;
typedef faultline_plugin_signals_signal_t signal;
typedef faultline_plugin_signals_series_t series;
typedef faultline_plugin_signals_alert_t alert;
typedef faultline_plugin_types_attribute_t attribute;
typedef faultline_plugin_types_entity_t entity;
typedef faultline_plugin_types_fault_t fault;
typedef faultline_plugin_types_timestamp_t timestamp;

// Why something cannot be read; empty if it can. Functions that read take one,
// and do nothing once it is filled: so one can ask at the end.
typedef struct {
  char text[128];
} refusal;

static bool is_good(const refusal *why) { return why->text[0] == 0; }

static void refuse(refusal *why, const char *format, ...) {
  va_list values;
  va_start(values, format);
  if (is_good(why)) vsnprintf(why->text, sizeof why->text, format, values);
  va_end(values);
}

static void *room(void *old, size_t bytes) {
  void *made = realloc(old, bytes > 0 ? bytes : 1);
  if (made == NULL) abort();
  return made;
}

// Makes room for one more item of a list, zeroed, and gives it.
#define MORE(list) \
  ((list).ptr = room((list).ptr, ((list).len + 1) * sizeof *(list).ptr), \
   memset(&(list).ptr[(list).len], 0, sizeof *(list).ptr), &(list).ptr[(list).len++])

static plugin_string_t text_of(json_text from) {
  plugin_string_t made;
  plugin_string_dup_n(&made, (const char *)from.ptr, from.len);
  return made;
}

static plugin_string_t word(const char *from) {
  plugin_string_t made;
  plugin_string_dup(&made, from);
  return made;
}

static bool same(json_text a, json_text b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static fault fault_of(const char *message) {
  return (fault){
      .code = word("malformed"),
      .message = word(message),
      .retry.tag = FAULTLINE_PLUGIN_TYPES_RETRY_NEVER,
  };
}

// A list that may be missing; NULL then.
static const json_value *list(const json_value *body, const char *key, refusal *why) {
  const json_value *found = json_field(body, key);
  if (found != NULL && found->kind != JSON_LIST) refuse(why, "`%s` is not a list", key);
  return found;
}

// A text that may be missing; its `ptr` is NULL then.
static json_text text(const json_value *item, const char *key, refusal *why) {
  const json_value *found = json_field(item, key);
  if (found == NULL) return (json_text){NULL, 0};
  if (found->kind != JSON_TEXT || found->text.len == 0) refuse(why, "`%s` is not a text", key);
  return found->text;
}

static json_text required(const json_value *item, const char *key, refusal *why) {
  json_text found = text(item, key, why);
  if (found.ptr == NULL) refuse(why, "`%s` is missing", key);
  return found;
}

// A time that may be missing: whole milliseconds since the Unix epoch.
static timestamp moment(const json_value *item, const char *key, timestamp otherwise, refusal *why) {
  const json_value *found = json_field(item, key);
  if (found == NULL) return otherwise;
  double time = found->number;
  if (found->kind != JSON_NUMBER || floor(time) != time || time < 0 || time > MILLISECONDS_MAX) {
    refuse(why, "`%s` is not a time in milliseconds", key);
    return otherwise;
  }
  return (timestamp)time * 1000;
}

static void read_alert(const json_value *item, json_text severity, timestamp received,
                       decoded *into, refusal *why) {
  if (item->kind != JSON_OBJECT) {
    refuse(why, "is not an object");
    return;
  }
  json_text name = required(item, "name", why);
  json_text host = required(item, "host", why);
  const json_value *firing = json_field(item, "firing");
  if (firing != NULL && firing->kind != JSON_BOOLEAN) refuse(why, "`firing` is not true or false");
  json_text stated = text(item, "severity", why);
  timestamp since = moment(item, "since", received, why);
  json_text note = text(item, "note", why);
  if (!is_good(why)) return;

  signal *made = MORE(into->signals);
  made->tag = FAULTLINE_PLUGIN_SIGNALS_SIGNAL_ALERT;
  alert *alert = &made->val.alert;
  *MORE(alert->identity) = (attribute){word("name"), text_of(name)};
  *MORE(alert->identity) = (attribute){word("host"), text_of(host)};
  alert->firing = firing == NULL || firing->boolean;
  alert->title.len = name.len + 4 + host.len;
  alert->title.ptr = room(NULL, alert->title.len);
  memcpy(alert->title.ptr, name.ptr, name.len);
  memcpy(alert->title.ptr + name.len, " on ", 4);
  memcpy(alert->title.ptr + name.len + 4, host.ptr, host.len);
  alert->severity = text_of(stated.ptr != NULL ? stated : severity);
  alert->started = since;
  alert->ended.is_some = !alert->firing;
  alert->ended.val = received;
  *MORE(alert->entities) = (entity){word("host"), text_of(host)};
  *MORE(alert->labels) = (attribute){word("name"), text_of(name)};
  *MORE(alert->labels) = (attribute){word("host"), text_of(host)};
  if (note.ptr != NULL) *MORE(alert->annotations) = (attribute){word("note"), text_of(note)};
}

// Rows as they come, with the texts that tell one series from another: all of
// them belong to the document.
typedef struct {
  struct {
    struct {
      json_text name, unit, host;
    } *ptr;
    size_t len;
  } series;
  struct {
    struct reading {
      timestamp at;
      uint32_t series;
      size_t order;
      double value;
    } *ptr;
    size_t len;
  } rows;
} readings;

static uint32_t series_id(readings *all, json_text name, json_text unit, json_text host) {
  for (size_t id = 0; id < all->series.len; id++) {
    if (same(all->series.ptr[id].name, name) && same(all->series.ptr[id].unit, unit) &&
        same(all->series.ptr[id].host, host)) {
      return (uint32_t)id;
    }
  }
  __typeof__(all->series.ptr) made = MORE(all->series);
  made->name = name;
  made->unit = unit;
  made->host = host;
  return (uint32_t)all->series.len - 1;
}

static void read_reading(const json_value *item, timestamp received, readings *into, refusal *why) {
  if (item->kind != JSON_OBJECT) {
    refuse(why, "is not an object");
    return;
  }
  json_text name = required(item, "name", why);
  json_text host = text(item, "host", why);
  json_text unit = text(item, "unit", why);
  timestamp at = moment(item, "time", received, why);
  const json_value *value = json_field(item, "value");
  if (value == NULL || value->kind != JSON_NUMBER) refuse(why, "`value` is not a number");
  if (!is_good(why)) return;
  uint32_t id = series_id(into, name, unit, host);
  *MORE(into->rows) = (struct reading){at, id, into->rows.len, value->number};
}

// By time, then by series, then as they came.
static int compare(const void *left, const void *right) {
  const struct reading *a = left, *b = right;
  if (a->at != b->at) return a->at < b->at ? -1 : 1;
  if (a->series != b->series) return a->series < b->series ? -1 : 1;
  return a->order < b->order ? -1 : 1;
}

// Of two rows of a series at the same time the last one counts.
static void put_readings(readings *from, decoded *into) {
  for (size_t id = 0; id < from->series.len; id++) {
    series *made = MORE(into->series);
    made->id = (uint32_t)id;
    made->name = text_of(from->series.ptr[id].name);
    made->unit = text_of(from->series.ptr[id].unit);
    json_text host = from->series.ptr[id].host;
    made->entity.is_some = host.ptr != NULL;
    if (host.ptr != NULL) made->entity.val = (entity){word("host"), text_of(host)};
  }
  if (from->rows.len == 0) return;
  qsort(from->rows.ptr, from->rows.len, sizeof *from->rows.ptr, compare);
  into->samples.is_some = true;
  faultline_plugin_signals_samples_t *columns = &into->samples.val;
  columns->series.ptr = room(NULL, from->rows.len * sizeof *columns->series.ptr);
  columns->time.ptr = room(NULL, from->rows.len * sizeof *columns->time.ptr);
  columns->value.ptr = room(NULL, from->rows.len * sizeof *columns->value.ptr);
  size_t len = 0;
  for (size_t row = 0; row < from->rows.len; row++) {
    const struct reading *one = &from->rows.ptr[row];
    const struct reading *next = row + 1 < from->rows.len ? one + 1 : NULL;
    if (next != NULL && next->at == one->at && next->series == one->series) continue;
    columns->series.ptr[len] = one->series;
    columns->time.ptr[len] = one->at;
    columns->value.ptr[len] = one->value;
    len++;
  }
  columns->series.len = columns->time.len = columns->value.len = len;
}

static void reject(decoded *into, const char *list, size_t index, const refusal *why) {
  char message[256];
  snprintf(message, sizeof message, "%s[%zu]: %s", list, index, why->text);
  if (into->rejected.len < LISTED_MAX) *MORE(into->rejected) = fault_of(message);
  else into->rejected_unlisted++;
}

// Fills the answer, or says why there is none.
static void decode_body(const json_value *body, json_text severity, timestamp received,
                        decoded *into, refusal *why) {
  if (body == NULL || body->kind != JSON_OBJECT) {
    refuse(why, "the body is not a JSON object");
    return;
  }
  const json_value *alerts = list(body, "alerts", why);
  const json_value *items = list(body, "readings", why);
  if (!is_good(why)) return;
  readings readings = {0};
  size_t index = 0;
  for (const json_value *item = alerts ? alerts->first : NULL; item != NULL; item = item->next) {
    refusal bad = {""};
    read_alert(item, severity, received, into, &bad);
    if (!is_good(&bad)) reject(into, "alerts", index, &bad);
    index++;
  }
  index = 0;
  for (const json_value *item = items ? items->first : NULL; item != NULL; item = item->next) {
    refusal bad = {""};
    read_reading(item, received, &readings, &bad);
    if (!is_good(&bad)) reject(into, "readings", index, &bad);
    index++;
  }
  size_t rejected = into->rejected.len + into->rejected_unlisted;
  if (rejected > 0) {
    char line[128];
    size_t count = (alerts ? alerts->len : 0) + (items ? items->len : 0);
    snprintf(line, sizeof line, "rejected %zu of %zu items", rejected, count);
    plugin_string_t message;
    plugin_string_set(&message, line);
    faultline_plugin_log_write(FAULTLINE_PLUGIN_LOG_LEVEL_WARN, &message);
  }
  if (rejected > 0 && into->signals.len == 0 && readings.rows.len == 0) {
    plugin_string_t *first = &into->rejected.ptr[0].message;
    refuse(why, "%.*s", (int)first->len, (const char *)first->ptr);
    size_t used = strlen(why->text);
    if (rejected > 1) {
      snprintf(why->text + used, sizeof why->text - used, " (%zu more rejected)", rejected - 1);
    }
  }
  put_readings(&readings, into);
  free(readings.series.ptr);
  free(readings.rows.ptr);
}

void exports_faultline_plugin_decode_decode(
    exports_faultline_plugin_decode_list_envelope_t *envelopes,
    exports_faultline_plugin_decode_list_result_decoded_fault_t *ret) {
  plugin_string_t json;
  faultline_plugin_config_get(&json);
  // The host has checked it and filled in what was missing.
  json_value *config = json_parse(json.ptr, json.len);
  json_text severity = json_field(config, "severity")->text;
  ret->ptr = room(NULL, envelopes->len * sizeof *ret->ptr);
  ret->len = envelopes->len;
  for (size_t i = 0; i < envelopes->len; i++) {
    const envelope *from = &envelopes->ptr[i];
    json_value *body = json_parse(from->body.ptr, from->body.len);
    decoded answer;
    memset(&answer, 0, sizeof answer);
    refusal why = {""};
    decode_body(body, severity, from->received, &answer, &why);
    ret->ptr[i].is_err = !is_good(&why);
    if (is_good(&why)) {
      ret->ptr[i].val.ok = answer;
    } else {
      exports_faultline_plugin_decode_decoded_free(&answer);
      ret->ptr[i].val.err = fault_of(why.text);
    }
    json_free(body);
  }
  json_free(config);
  plugin_string_free(&json);
  exports_faultline_plugin_decode_list_envelope_free(envelopes);
}

bool exports_faultline_plugin_config_check_check(plugin_string_t *json, plugin_list_string_t *err) {
  static const char *const SEVERITIES[] = {"info", "low", "warning", "high", "critical"};
  json_value *read = json_parse(json->ptr, json->len);
  json_text severity = read != NULL ? json_field(read, "severity")->text : (json_text){NULL, 0};
  bool good = false;
  for (size_t i = 0; i < sizeof SEVERITIES / sizeof *SEVERITIES; i++) {
    good |= same(severity, (json_text){(const uint8_t *)SEVERITIES[i], strlen(SEVERITIES[i])});
  }
  if (!good) {
    err->ptr = room(NULL, sizeof *err->ptr);
    err->len = 1;
    plugin_string_dup(err->ptr, "`severity` must be info, low, warning, high or critical");
  }
  json_free(read);
  plugin_string_free(json);
  return good;
}
