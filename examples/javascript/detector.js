// A detector that says when a value is far from what it usually is, and when a
// log source writes many errors.

import { get } from 'faultline:plugin/config@0.1.0';
import { write } from 'faultline:plugin/log@0.1.0';
import { bytesOf, fault, fixed, textOf } from '../../sdk/javascript/faultline.js';

// OpenTelemetry's severity numbers from here on are errors.
const ERROR = 17;

// Whose state it is, and which shape it has: another is refused.
const STATE = 'example/hello-javascript 1';

// What is remembered, by the ids of series and log sources. The host makes one
// instance of the component for each detector, so it can stand here.
let series = new Map();
let sources = new Map();

// Read at the first call: while the component is being built there is none.
let config;

function settings() {
  config ??= JSON.parse(get());
  return config;
}

/** Moves mean and variance towards a value; old values fade. */
function learn(usual, value) {
  usual.rows += 1;
  const weight = Math.max(1 / usual.rows, 0.05);
  const distance = value - usual.mean;
  usual.mean += weight * distance;
  usual.variance = (1 - weight) * (usual.variance + weight * distance * distance);
}

function finding(key, firing, subject, row, at, value) {
  return {
    key,
    firing,
    subject,
    row,
    title: key,
    severity: 'warning',
    score: firing ? 1 : 0,
    started: at,
    at,
    value,
    expected: undefined,
    attributes: [],
    extra: undefined,
  };
}

export const detect = {
  introduce(newSeries, newSources) {
    for (const { id, name } of newSeries) {
      series.set(id, { name, rows: 0, mean: 0, variance: 0, isFar: false });
    }
    for (const { id } of newSources) {
      sources.set(id, { lines: 0, areMany: false });
    }
    write('debug', `watches ${series.size} series and ${sources.size} log sources`);
  },

  samples(batch) {
    const { deviations, 'warm-up-rows': warmUpRows } = settings();
    const findings = [];
    for (let row = 0; row < batch.series.length; row += 1) {
      const usual = series.get(batch.series[row]);
      if (usual === undefined) continue;
      const value = batch.value[row];
      const band = deviations * Math.sqrt(usual.variance);
      const distance = Math.abs(value - usual.mean);
      // What is far stays so until it is well within the band again.
      const isFar = usual.isFar
        ? distance > band / 2
        : usual.rows >= warmUpRows && distance > band;
      if (isFar !== usual.isFar) {
        const subject = { tag: 'series', val: batch.series[row] };
        const seen = finding('far-from-usual', isFar, subject, row, batch.time[row], value);
        if (isFar) {
          const [is, mean, around] = [value, usual.mean, band].map((n) => fixed(n, 2));
          seen.title = `${usual.name} is ${is}, and usually ${mean} ± ${around}`;
          seen.score = 1 - band / distance;
          seen.expected = [usual.mean - band, usual.mean + band];
        }
        findings.push(seen);
      }
      usual.isFar = isFar;
      learn(usual, value);
    }
    return findings;
  },

  logs(batch) {
    for (let row = 0; row < batch.source.length; row += 1) {
      if (batch.severity[row] < ERROR) continue;
      const errors = sources.get(batch.source[row]);
      if (errors !== undefined) errors.lines += 1;
    }
    return [];
  },

  tick(watermark) {
    const findings = [];
    const inOrder = [...sources].sort(([a], [b]) => a - b);
    for (const [id, errors] of inOrder) {
      const areMany = errors.lines >= settings().errors;
      if (areMany !== errors.areMany) {
        const subject = { tag: 'log-source', val: id };
        const seen = finding('many-errors', areMany, subject, undefined, watermark, undefined);
        if (areMany) seen.title = `${errors.lines} errors since the last tick`;
        findings.push(seen);
      }
      errors.lines = 0;
      errors.areMany = areMany;
    }
    return findings;
  },

  save() {
    // As texts: JSON has no -0, no infinity and no NaN.
    const usual = [...series].map(([id, one]) => [
      id,
      { ...one, mean: text(one.mean), variance: text(one.variance) },
    ]);
    return bytesOf(JSON.stringify({ state: STATE, series: usual, sources: [...sources] }));
  },

  load(saved) {
    const read = parsed(saved);
    if (read?.state !== STATE) throw fault('state', 'this is not a saved state');
    series = new Map(
      read.series.map(([id, one]) => [
        id,
        { ...one, mean: Number(one.mean), variance: Number(one.variance) },
      ]),
    );
    sources = new Map(read.sources);
  },
};

export const configCheck = {
  check(text) {
    if (!(JSON.parse(text).deviations > 0)) throw ['`deviations` must be above 0'];
  },
};

function text(number) {
  return Object.is(number, -0) ? '-0' : String(number);
}

function parsed(bytes) {
  try {
    return JSON.parse(textOf(bytes));
  } catch {
    return undefined;
  }
}
