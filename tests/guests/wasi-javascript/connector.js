// A connector that tries what WASI would let it do, and remembers what it must
// not: for tests of the sandbox.

import { textOf } from '../../../sdk/javascript/faultline.js';

let calls = 0;

const ACTS = {
  clock: () => Date.now(),
  'clock-again': () => Date.now(),
  random: () => Math.random(),
  count: () => calls,
  'count-and-trap': () => {
    if (calls > 1) throw new Error('remembered too much');
    return calls;
  },
  constant: () => 7,
};

export const decode = {
  decode(envelopes) {
    calls += 1;
    return envelopes.map((envelope) => {
      const act = textOf(envelope.body);
      const alert = {
        identity: [{ key: 'act', value: act }],
        firing: true,
        title: String(ACTS[act]()),
        severity: 'info',
        started: envelope.received,
        ended: undefined,
        entities: [],
        labels: [],
        annotations: [],
        link: undefined,
      };
      const signals = [{ tag: 'alert', val: alert }];
      const val = { signals, series: [], logSources: [], rejected: [], rejectedUnlisted: 0 };
      return { tag: 'ok', val };
    });
  },
};

export const configCheck = {
  check() {},
};
