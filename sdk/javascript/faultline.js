// What plugins in JavaScript need and the language's core does not have: there
// is no TextDecoder, no URL and no Intl in a component.

/**
 * The text of UTF-8 bytes; throws a URIError if they are none.
 *
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function textOf(bytes) {
  // A function takes only so many arguments.
  const STEP = 8192;
  let escaped = '';
  for (let start = 0; start < bytes.length; start += STEP) {
    escaped += String.fromCharCode.apply(null, bytes.subarray(start, start + STEP));
  }
  // Both are the engine's own code, and far faster than a loop here.
  return decodeURIComponent(escape(escaped));
}

/**
 * The UTF-8 bytes of a text.
 *
 * @param {string} text
 * @returns {Uint8Array}
 */
export function bytesOf(text) {
  const escaped = unescape(encodeURIComponent(text.toWellFormed()));
  return Uint8Array.from(escaped, (character) => character.charCodeAt(0));
}

/**
 * A number with so many decimals as `%.2f` writes it in C, Go, Python and Rust:
 * of two texts that are equally near, the even one, and no exponent.
 *
 * @param {number} value
 * @param {number} decimals from 0 to 15
 * @returns {string}
 */
export function fixed(value, decimals) {
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const size = Math.abs(value);
  // toFixed writes an exponent from here on, where every number is whole.
  if (size >= 1e21) {
    const zeros = decimals > 0 ? `.${'0'.repeat(decimals)}` : '';
    return Number.isFinite(size) ? sign + BigInt(size) + zeros : String(value);
  }
  // toFixed rounds a tie up. A tie is a number that has, with one decimal
  // more, a 5 at the end and nothing after it.
  const rounded = size.toFixed(decimals);
  const longer = size.toFixed(decimals + 1);
  const isTie = longer.endsWith('5') && size.toFixed(100) === longer.padEnd(longer.length + 99 - decimals, '0');
  const isOdd = Number(rounded.at(-1)) % 2 === 1;
  return sign + (isTie && isOdd ? longer.slice(0, -1).replace(/\.$/, '') : rounded);
}

/**
 * A fault, to be thrown by what returns one or put into an answer.
 *
 * @param {string} code short and stable, for programs
 * @param {string} message what was wrong, where, and the remedy
 */
export function fault(code, message) {
  return { code, message, retry: { tag: 'never' } };
}
