// A connector for a small webhook: alerts and readings, in JSON.

import { get } from 'faultline:plugin/config@0.1.0';
import { write } from 'faultline:plugin/log@0.1.0';
import { fault, textOf } from '../../sdk/javascript/faultline.js';

const SEVERITIES = ['info', 'low', 'warning', 'high', 'critical'];

// The most rejected items that are listed with their reasons.
const LISTED_MAX = 100;

// The latest time that a message can name, in milliseconds: what follows as
// microseconds is below 2^53.
const MILLISECONDS_MAX = 9_007_199_254_740;

/** Something that cannot be read, and why. */
class Malformed extends Error {}

function parse(body) {
  let read;
  try {
    read = JSON.parse(textOf(body), (_, value) => {
      // Numbers beyond all bounds, and half of a surrogate pair.
      if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError();
      if (typeof value === 'string' && !value.isWellFormed()) throw new RangeError();
      return value;
    });
  } catch {
    read = undefined;
  }
  if (!isObject(read)) throw new Malformed('the body is not a JSON object');
  return read;
}

function isObject(item) {
  return typeof item === 'object' && item !== null && !Array.isArray(item);
}

/** A field of the object itself: `constructor` is none. */
function field(item, key) {
  return Object.hasOwn(item, key) ? item[key] : undefined;
}

/** A list that may be missing. */
function list(body, key) {
  const found = field(body, key) ?? (Object.hasOwn(body, key) ? null : []);
  if (!Array.isArray(found)) throw new Malformed(`\`${key}\` is not a list`);
  return found;
}

function object(item) {
  if (!isObject(item)) throw new Malformed('is not an object');
  return item;
}

/** A text that may be missing. */
function text(item, key) {
  const found = field(item, key);
  if (found === undefined) return undefined;
  if (typeof found !== 'string' || found === '') throw new Malformed(`\`${key}\` is not a text`);
  return found;
}

function required(item, key) {
  const found = text(item, key);
  if (found === undefined) throw new Malformed(`\`${key}\` is missing`);
  return found;
}

/** A time that may be missing: whole milliseconds since the Unix epoch. */
function time(item, key) {
  const found = field(item, key);
  if (found === undefined) return undefined;
  if (!Number.isInteger(found) || found < 0 || found > MILLISECONDS_MAX) {
    throw new Malformed(`\`${key}\` is not a time in milliseconds`);
  }
  // Not -0.
  return found * 1000 + 0;
}

function alert(item, config, received) {
  object(item);
  const [name, host] = [required(item, 'name'), required(item, 'host')];
  const firing = field(item, 'firing') ?? (Object.hasOwn(item, 'firing') ? null : true);
  if (typeof firing !== 'boolean') throw new Malformed('`firing` is not true or false');
  const severity = text(item, 'severity') ?? config.severity;
  const since = time(item, 'since');
  const note = text(item, 'note');
  const names = [
    { key: 'name', value: name },
    { key: 'host', value: host },
  ];
  return {
    identity: names,
    firing,
    title: `${name} on ${host}`,
    severity,
    started: since ?? received,
    ended: firing ? undefined : received,
    entities: [{ kind: 'host', name: host }],
    labels: names,
    annotations: note === undefined ? [] : [{ key: 'note', value: note }],
    link: undefined,
  };
}

/** Rows by time and series; of two at the same time the last one counts. */
class Readings {
  series = new Map();
  rows = new Map();

  add(item, received) {
    object(item);
    const [name, host] = [required(item, 'name'), text(item, 'host')];
    const unit = text(item, 'unit') ?? '';
    const at = time(item, 'time') ?? received;
    const value = field(item, 'value');
    if (typeof value !== 'number') throw new Malformed('`value` is not a number');
    const key = JSON.stringify([name, unit, host]);
    if (!this.series.has(key)) {
      const entity = host === undefined ? undefined : { kind: 'host', name: host };
      this.series.set(key, { id: this.series.size, name, unit, entity, attributes: [] });
    }
    const { id } = this.series.get(key);
    this.rows.set(`${at} ${id}`, { at, id, value });
  }

  samples() {
    if (this.rows.size === 0) return undefined;
    const rows = [...this.rows.values()].sort((a, b) => a.at - b.at || a.id - b.id);
    return {
      series: rows.map((row) => row.id),
      time: rows.map((row) => row.at),
      value: rows.map((row) => row.value),
    };
  }
}

function decoded(envelope, config) {
  const body = parse(envelope.body);
  const [alerts, items] = [list(body, 'alerts'), list(body, 'readings')];
  const [signals, readings, rejected] = [[], new Readings(), []];
  const each = (name, list, read) => {
    list.forEach((item, index) => {
      try {
        read(item);
      } catch (why) {
        if (!(why instanceof Malformed)) throw why;
        rejected.push(fault('malformed', `${name}[${index}]: ${why.message}`));
      }
    });
  };
  each('alerts', alerts, (item) => {
    signals.push({ tag: 'alert', val: alert(item, config, envelope.received) });
  });
  each('readings', items, (item) => readings.add(item, envelope.received));
  if (rejected.length > 0) {
    write('warn', `rejected ${rejected.length} of ${alerts.length + items.length} items`);
  }
  if (rejected.length > 0 && signals.length === 0 && readings.rows.size === 0) {
    const others = rejected.length - 1;
    const more = others > 0 ? ` (${others} more rejected)` : '';
    throw new Malformed(rejected[0].message + more);
  }
  return {
    signals,
    series: [...readings.series.values()],
    samples: readings.samples(),
    logSources: [],
    logs: undefined,
    rejected: rejected.slice(0, LISTED_MAX),
    rejectedUnlisted: Math.max(0, rejected.length - LISTED_MAX),
  };
}

export const decode = {
  decode(envelopes) {
    const config = JSON.parse(get());
    return envelopes.map((envelope) => {
      try {
        return { tag: 'ok', val: decoded(envelope, config) };
      } catch (why) {
        if (!(why instanceof Malformed)) throw why;
        return { tag: 'err', val: fault('malformed', why.message) };
      }
    });
  },
};

export const configCheck = {
  check(config) {
    if (!SEVERITIES.includes(JSON.parse(config).severity)) {
      throw ['`severity` must be info, low, warning, high or critical'];
    }
  },
};
