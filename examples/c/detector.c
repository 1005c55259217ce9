// A detector that says when a value is far from what it usually is, and when a
// log source writes many errors.

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "plugin.h"

// OpenTelemetry's severity numbers from here on are errors.
#define ERROR 17

// Whose state it is, and which shape it has: another is refused.
#define STATE "example/hello-c 1"

typedef exports_faultline_plugin_detect_finding_t finding;
typedef exports_faultline_plugin_detect_list_finding_t findings;
typedef exports_faultline_plugin_detect_subject_t subject;
typedef exports_faultline_plugin_detect_fault_t fault;
typedef exports_faultline_plugin_detect_timestamp_t timestamp;

// What an operator can set. Read at the first call.
typedef struct {
  bool is_read;
  double deviations;
  uint32_t warm_up_rows;
  uint32_t errors;
} settings;

// What is usual for one series.
typedef struct {
  uint32_t id;
  uint32_t rows;
  double mean;
  double variance;
  bool is_far;
  plugin_string_t name;
} usual;

// What one log source has written since the last tick.
typedef struct {
  uint32_t id;
  uint32_t lines;
  bool are_many;
} errors;

// What is remembered, both by ascending id. The host makes one instance of the
// component for each detector, so it can stand here.
static struct {
  usual *series;
  size_t series_len;
  errors *sources;
  size_t sources_len;
} state;

static settings config;

static void *room(void *old, size_t bytes) {
  void *made = realloc(old, bytes > 0 ? bytes : 1);
  if (made == NULL) abort();
  return made;
}

// A text as printf writes it, however long it is.
static plugin_string_t text(const char *format, ...) {
  va_list values, again;
  va_start(values, format);
  va_copy(again, values);
  int len = vsnprintf(NULL, 0, format, values);
  char *bytes = room(NULL, (size_t)len + 1);
  vsnprintf(bytes, (size_t)len + 1, format, again);
  va_end(again);
  va_end(values);
  return (plugin_string_t){(uint8_t *)bytes, (size_t)len};
}

// A text after another. Names are not for printf, which ends at a zero byte.
static plugin_string_t after(plugin_string_t name, plugin_string_t rest) {
  plugin_string_t all = {room(NULL, name.len + rest.len), name.len + rest.len};
  if (name.len > 0) memcpy(all.ptr, name.ptr, name.len);
  memcpy(all.ptr + name.len, rest.ptr, rest.len);
  plugin_string_free(&rest);
  return all;
}

static void read_config(void) {
  if (config.is_read) return;
  plugin_string_t json;
  faultline_plugin_config_get(&json);
  // The host has checked it and filled in what was missing.
  json_value *read = json_parse(json.ptr, json.len);
  config.deviations = json_field(read, "deviations")->number;
  config.warm_up_rows = (uint32_t)json_field(read, "warm-up-rows")->number;
  config.errors = (uint32_t)json_field(read, "errors")->number;
  config.is_read = true;
  json_free(read);
  plugin_string_free(&json);
}

// Where a series of this id is or belongs; likewise a source.
static size_t series_place(uint32_t id) {
  size_t low = 0, high = state.series_len;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (state.series[middle].id < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

static usual *find_series(uint32_t id) {
  size_t place = series_place(id);
  return place < state.series_len && state.series[place].id == id ? &state.series[place] : NULL;
}

static size_t source_place(uint32_t id) {
  size_t low = 0, high = state.sources_len;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (state.sources[middle].id < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

static errors *find_source(uint32_t id) {
  size_t place = source_place(id);
  return place < state.sources_len && state.sources[place].id == id ? &state.sources[place] : NULL;
}

static void put_series(usual new) {
  usual *old = find_series(new.id);
  if (old != NULL) {
    plugin_string_free(&old->name);
  } else {
    size_t place = series_place(new.id);
    state.series = room(state.series, (state.series_len + 1) * sizeof *state.series);
    old = state.series + place;
    memmove(old + 1, old, (state.series_len - place) * sizeof *old);
    state.series_len++;
  }
  *old = new;
}

static void put_source(errors new) {
  errors *old = find_source(new.id);
  if (old == NULL) {
    size_t place = source_place(new.id);
    state.sources = room(state.sources, (state.sources_len + 1) * sizeof *state.sources);
    old = state.sources + place;
    memmove(old + 1, old, (state.sources_len - place) * sizeof *old);
    state.sources_len++;
  }
  *old = new;
}

static void forget(void) {
  for (size_t i = 0; i < state.series_len; i++) plugin_string_free(&state.series[i].name);
  free(state.series);
  free(state.sources);
  memset(&state, 0, sizeof state);
}

// Moves mean and variance towards a value; old values fade.
static void learn(usual *usual, double value) {
  if (usual->rows < UINT32_MAX) usual->rows++;
  double weight = fmax(1.0 / usual->rows, 0.05);
  double distance = value - usual->mean;
  usual->mean += weight * distance;
  usual->variance = (1.0 - weight) * (usual->variance + weight * distance * distance);
}

// Adds a finding that says nothing yet but that, and what.
static finding *find(findings *all, const char *key, bool firing, subject subject, timestamp at) {
  all->ptr = room(all->ptr, (all->len + 1) * sizeof *all->ptr);
  finding *new = &all->ptr[all->len++];
  memset(new, 0, sizeof *new);
  plugin_string_dup(&new->key, key);
  new->firing = firing;
  new->subject = subject;
  plugin_string_dup(&new->title, key);
  plugin_string_dup(&new->severity, "warning");
  new->score = firing ? 1.0 : 0.0;
  new->started = at;
  new->at = at;
  return new;
}

// Arguments of exports are the guest's to free; so the ends of those below.

bool exports_faultline_plugin_detect_introduce(exports_faultline_plugin_detect_list_series_t *series,
                                               exports_faultline_plugin_detect_list_log_source_t *sources,
                                               fault *err) {
  (void)err;
  for (size_t i = 0; i < series->len; i++) {
    usual new = {.id = series->ptr[i].id};
    plugin_string_dup_n(&new.name, (const char *)series->ptr[i].name.ptr, series->ptr[i].name.len);
    put_series(new);
  }
  for (size_t i = 0; i < sources->len; i++) put_source((errors){.id = sources->ptr[i].id});
  plugin_string_t line =
      text("watches %zu series and %zu log sources", state.series_len, state.sources_len);
  faultline_plugin_log_write(FAULTLINE_PLUGIN_LOG_LEVEL_DEBUG, &line);
  plugin_string_free(&line);
  exports_faultline_plugin_detect_list_series_free(series);
  exports_faultline_plugin_detect_list_log_source_free(sources);
  return true;
}

bool exports_faultline_plugin_detect_samples(exports_faultline_plugin_detect_sample_batch_t *batch,
                                             findings *ret, fault *err) {
  (void)err;
  read_config();
  *ret = (findings){NULL, 0};
  for (size_t row = 0; row < batch->series.len; row++) {
    usual *usual = find_series(batch->series.ptr[row]);
    if (usual == NULL) continue;
    double value = batch->value.ptr[row];
    double band = config.deviations * sqrt(usual->variance);
    double distance = fabs(value - usual->mean);
    // What is far stays so until it is well within the band again.
    bool is_far = usual->is_far ? distance > band / 2.0
                                : usual->rows >= config.warm_up_rows && distance > band;
    if (is_far != usual->is_far) {
      subject about = {.tag = EXPORTS_FAULTLINE_PLUGIN_DETECT_SUBJECT_SERIES};
      about.val.series = usual->id;
      finding *seen = find(ret, "far-from-usual", is_far, about, batch->time.ptr[row]);
      seen->row = (plugin_option_u32_t){true, (uint32_t)row};
      seen->value = (plugin_option_f64_t){true, value};
      if (is_far) {
        plugin_string_free(&seen->title);
        seen->title = after(usual->name, text(" is %.2f, and usually %.2f ± %.2f", value,
                                              usual->mean, band));
        seen->score = 1.0 - band / distance;
        seen->expected.is_some = true;
        seen->expected.val = (plugin_tuple2_f64_f64_t){usual->mean - band, usual->mean + band};
      }
    }
    usual->is_far = is_far;
    learn(usual, value);
  }
  exports_faultline_plugin_detect_sample_batch_free(batch);
  return true;
}

bool exports_faultline_plugin_detect_logs(exports_faultline_plugin_detect_log_lines_t *batch,
                                          findings *ret, fault *err) {
  (void)err;
  *ret = (findings){NULL, 0};
  for (size_t row = 0; row < batch->source.len; row++) {
    if (batch->severity.ptr[row] < ERROR) continue;
    errors *errors = find_source(batch->source.ptr[row]);
    if (errors != NULL && errors->lines < UINT32_MAX) errors->lines++;
  }
  exports_faultline_plugin_detect_log_lines_free(batch);
  return true;
}

bool exports_faultline_plugin_detect_tick(timestamp watermark, findings *ret, fault *err) {
  (void)err;
  read_config();
  *ret = (findings){NULL, 0};
  for (errors *errors = state.sources; errors < state.sources + state.sources_len; errors++) {
    bool are_many = errors->lines >= config.errors;
    if (are_many != errors->are_many) {
      subject about = {.tag = EXPORTS_FAULTLINE_PLUGIN_DETECT_SUBJECT_LOG_SOURCE};
      about.val.log_source = errors->id;
      finding *seen = find(ret, "many-errors", are_many, about, watermark);
      if (are_many) {
        plugin_string_free(&seen->title);
        seen->title = text("%u errors since the last tick", errors->lines);
      }
    }
    errors->lines = 0;
    errors->are_many = are_many;
  }
  return true;
}

// The state: its name, how many series and sources, and each of them. Numbers
// stand as they do in memory, which WebAssembly fixes: little endian.

static void write_bytes(plugin_list_u8_t *out, const void *bytes, size_t len) {
  out->ptr = room(out->ptr, out->len + len);
  if (len > 0) memcpy(out->ptr + out->len, bytes, len);
  out->len += len;
}

#define WRITE(out, value) write_bytes(out, &(value), sizeof(value))

bool exports_faultline_plugin_detect_save(plugin_list_u8_t *ret, fault *err) {
  (void)err;
  *ret = (plugin_list_u8_t){NULL, 0};
  write_bytes(ret, STATE, sizeof STATE);
  WRITE(ret, state.series_len);
  WRITE(ret, state.sources_len);
  for (usual *one = state.series; one < state.series + state.series_len; one++) {
    WRITE(ret, one->id);
    WRITE(ret, one->rows);
    WRITE(ret, one->mean);
    WRITE(ret, one->variance);
    WRITE(ret, one->is_far);
    WRITE(ret, one->name.len);
    write_bytes(ret, one->name.ptr, one->name.len);
  }
  for (errors *one = state.sources; one < state.sources + state.sources_len; one++) {
    WRITE(ret, one->id);
    WRITE(ret, one->lines);
    WRITE(ret, one->are_many);
  }
  return true;
}

// What is left of a state. Too short is as good as foreign.
typedef struct {
  const uint8_t *at;
  size_t left;
  bool bad;
} saved;

static void read_bytes(saved *in, void *bytes, size_t len) {
  if (in->bad || in->left < len) {
    in->bad = true;
    return;
  }
  if (len > 0) memcpy(bytes, in->at, len);
  in->at += len;
  in->left -= len;
}

#define READ(in, value) read_bytes(in, &(value), sizeof(value))

// Reads into the state, which is empty.
static bool read_state(saved *in) {
  char name[sizeof STATE] = "";
  size_t series = 0, sources = 0;
  read_bytes(in, name, sizeof name);
  READ(in, series);
  READ(in, sources);
  if (in->bad || memcmp(name, STATE, sizeof STATE) != 0) return false;
  while (series-- > 0 && !in->bad) {
    usual one = {0};
    size_t len = 0;
    READ(in, one.id);
    READ(in, one.rows);
    READ(in, one.mean);
    READ(in, one.variance);
    READ(in, one.is_far);
    READ(in, len);
    if (in->bad || in->left < len) return false;
    plugin_string_dup_n(&one.name, (const char *)in->at, len);
    in->at += len;
    in->left -= len;
    put_series(one);
  }
  while (sources-- > 0 && !in->bad) {
    errors one = {0};
    READ(in, one.id);
    READ(in, one.lines);
    READ(in, one.are_many);
    if (!in->bad) put_source(one);
  }
  return !in->bad && in->left == 0;
}

bool exports_faultline_plugin_detect_load(plugin_list_u8_t *bytes, fault *err) {
  saved in = {bytes->ptr, bytes->len, false};
  __typeof__(state) before = state;
  memset(&state, 0, sizeof state);
  bool good = read_state(&in);
  if (good) {
    __typeof__(state) after = state;
    state = before;
    forget();
    state = after;
  } else {
    forget();
    state = before;
    plugin_string_dup(&err->code, "state");
    plugin_string_dup(&err->message, "this is not a saved state");
    err->retry.tag = FAULTLINE_PLUGIN_TYPES_RETRY_NEVER;
  }
  plugin_list_u8_free(bytes);
  return good;
}

bool exports_faultline_plugin_config_check_check(plugin_string_t *json, plugin_list_string_t *err) {
  json_value *read = json_parse(json->ptr, json->len);
  bool good = read != NULL && json_field(read, "deviations")->number > 0;
  if (!good) {
    err->ptr = room(NULL, sizeof *err->ptr);
    err->len = 1;
    plugin_string_dup(err->ptr, "`deviations` must be above 0");
  }
  json_free(read);
  plugin_string_free(json);
  return good;
}
