"""A connector for a small webhook: alerts and readings, in JSON."""

import json
import math

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import config, log
from wit_world.imports.signals import Alert, Decoded, Samples, Series, Signal_Alert
from wit_world.imports.types import Attribute, Entity, Fault, Retry_Never

SEVERITIES = ("info", "low", "warning", "high", "critical")

# The most rejected items that are listed with their reasons.
LISTED_MAX = 100

# The latest time that a message can name, in milliseconds: what follows as
# microseconds is below 2^53.
MILLISECONDS_MAX = 9_007_199_254_740.0


class Malformed(Exception):
    """Something that cannot be read, and why."""


def fault(message):
    return Fault("malformed", message, Retry_Never())


def number(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("out of range")
    return value


def parse(body):
    """JSON as every language reads it: numbers are floating point numbers, and
    `NaN` is none."""
    try:
        text = body.decode("utf-8")
        read = json.loads(text, parse_int=number, parse_float=number, parse_constant=number)
        if "\\u" in text:
            # Half of a surrogate pair is no text that could leave here.
            json.dumps(read, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise Malformed("the body is not a JSON object")
    return read


def items(body, key):
    """A list that may be missing."""
    found = body.get(key, [])
    if not isinstance(found, list):
        raise Malformed(f"`{key}` is not a list")
    return found


def object_of(item):
    if not isinstance(item, dict):
        raise Malformed("is not an object")
    return item


def text(item, key):
    """A text that may be missing."""
    if key not in item:
        return None
    found = item[key]
    if not isinstance(found, str) or not found:
        raise Malformed(f"`{key}` is not a text")
    return found


def required(item, key):
    found = text(item, key)
    if found is None:
        raise Malformed(f"`{key}` is missing")
    return found


def time(item, key):
    """A time that may be missing: whole milliseconds since the Unix epoch."""
    if key not in item:
        return None
    found = item[key]
    if not isinstance(found, float) or found % 1 or not 0 <= found <= MILLISECONDS_MAX:
        raise Malformed(f"`{key}` is not a time in milliseconds")
    return int(found) * 1_000


def alert(item, severity, received):
    item = object_of(item)
    name, host = required(item, "name"), required(item, "host")
    firing = item.get("firing", True)
    if not isinstance(firing, bool):
        raise Malformed("`firing` is not true or false")
    severity = text(item, "severity") or severity
    since = time(item, "since")
    note = text(item, "note")
    return Alert(
        identity=[Attribute("name", name), Attribute("host", host)],
        firing=firing,
        title=f"{name} on {host}",
        severity=severity,
        started=received if since is None else since,
        ended=None if firing else received,
        entities=[Entity("host", host)],
        labels=[Attribute("name", name), Attribute("host", host)],
        annotations=[] if note is None else [Attribute("note", note)],
        link=None,
    )


class Readings:
    """Rows by time and series; of two at the same time the last one counts."""

    def __init__(self):
        self.ids = {}
        self.rows = {}

    def add(self, item, received):
        item = object_of(item)
        name, host = required(item, "name"), text(item, "host")
        unit = text(item, "unit") or ""
        at = time(item, "time")
        value = item.get("value")
        if not isinstance(value, float):
            raise Malformed("`value` is not a number")
        id = self.ids.setdefault((name, unit, host), len(self.ids))
        self.rows[received if at is None else at, id] = value

    def series(self):
        return [
            Series(id, name, unit, None if host is None else Entity("host", host), [])
            for (name, unit, host), id in self.ids.items()
        ]

    def samples(self):
        if not self.rows:
            return None
        rows = sorted(self.rows.items())
        return Samples(
            series=[id for (_, id), _ in rows],
            time=[at for (at, _), _ in rows],
            value=[value for _, value in rows],
        )


def decode(envelope, severity):
    body = parse(envelope.body)
    alerts, readings = items(body, "alerts"), items(body, "readings")
    signals, rows, rejected = [], Readings(), []
    for index, item in enumerate(alerts):
        try:
            signals.append(Signal_Alert(alert(item, severity, envelope.received)))
        except Malformed as why:
            rejected.append(fault(f"alerts[{index}]: {why}"))
    for index, item in enumerate(readings):
        try:
            rows.add(item, envelope.received)
        except Malformed as why:
            rejected.append(fault(f"readings[{index}]: {why}"))
    if rejected:
        count = len(alerts) + len(readings)
        log.write(log.Level.WARN, f"rejected {len(rejected)} of {count} items")
    if rejected and not signals and not rows.rows:
        others = len(rejected) - 1
        more = f" ({others} more rejected)" if others else ""
        raise Malformed(rejected[0].message + more)
    return Decoded(
        signals=signals,
        series=rows.series(),
        samples=rows.samples(),
        log_sources=[],
        logs=None,
        rejected=rejected[:LISTED_MAX],
        rejected_unlisted=max(0, len(rejected) - LISTED_MAX),
    )


class Decode(exports.Decode):
    def decode(self, envelopes):
        severity = json.loads(config.get())["severity"]
        answers = []
        for envelope in envelopes:
            try:
                answers.append(Ok(decode(envelope, severity)))
            except Malformed as why:
                answers.append(Err(fault(str(why))))
        return answers


class ConfigCheck(exports.ConfigCheck):
    def check(self, config):
        if json.loads(config)["severity"] not in SEVERITIES:
            raise Err(["`severity` must be info, low, warning, high or critical"])
