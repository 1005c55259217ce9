"""A detector that says when a value is far from what it usually is, and when a
log source writes many errors."""

import json
import math
from dataclasses import asdict, dataclass

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.detect import Finding, Subject_LogSource, Subject_Series
from wit_world.imports import config, log, types

# OpenTelemetry's severity numbers from here on are errors.
ERROR = 17

# Whose state it is, and which shape it has: another is refused.
STATE = "example/hello-python 1"


@dataclass
class Usual:
    """What is usual for one series."""

    name: str
    rows: int = 0
    mean: float = 0.0
    variance: float = 0.0
    is_far: bool = False

    def learn(self, value):
        """Moves mean and variance towards a value; old values fade."""
        self.rows += 1
        weight = max(1.0 / self.rows, 0.05)
        distance = value - self.mean
        self.mean += weight * distance
        self.variance = (1.0 - weight) * (self.variance + weight * distance * distance)


@dataclass
class Errors:
    """What one log source has written since the last tick."""

    lines: int = 0
    are_many: bool = False


@dataclass
class State:
    """What is remembered, by the ids of series and log sources."""

    series: dict
    sources: dict


# The host makes one instance of the component for each detector, so what is
# remembered can stand here. The configuration is read at the first call: while
# the component is being built there is none.
state = State({}, {})
settings = None


def setting(name):
    global settings
    if settings is None:
        settings = json.loads(config.get())
    return settings[name]


def finding(key, firing, subject, row, at, value=None):
    return Finding(
        key=key,
        firing=firing,
        subject=subject,
        row=row,
        title=key,
        severity="warning",
        score=1.0 if firing else 0.0,
        started=at,
        at=at,
        value=value,
        expected=None,
        attributes=[],
        extra=None,
    )


def refused(why):
    return Err(types.Fault("state", why, types.Retry_Never()))


class Detect(exports.Detect):
    def introduce(self, series, sources):
        for one in series:
            state.series[one.id] = Usual(one.name)
        for one in sources:
            state.sources[one.id] = Errors()
        log.write(
            log.Level.DEBUG,
            f"watches {len(state.series)} series and {len(state.sources)} log sources",
        )

    def samples(self, batch):
        deviations, warm_up_rows = setting("deviations"), setting("warm-up-rows")
        findings = []
        rows = zip(batch.series, batch.time, batch.value)
        for row, (series, time, value) in enumerate(rows):
            usual = state.series.get(series)
            if usual is None:
                continue
            band = deviations * math.sqrt(usual.variance)
            distance = abs(value - usual.mean)
            # What is far stays so until it is well within the band again.
            if usual.is_far:
                is_far = distance > band / 2.0
            else:
                is_far = usual.rows >= warm_up_rows and distance > band
            if is_far != usual.is_far:
                seen = finding("far-from-usual", is_far, Subject_Series(series), row, time, value)
                if is_far:
                    seen.title = (
                        f"{usual.name} is {value:.2f}, "
                        f"and usually {usual.mean:.2f} ± {band:.2f}"
                    )
                    seen.score = 1.0 - band / distance
                    seen.expected = (usual.mean - band, usual.mean + band)
                findings.append(seen)
            usual.is_far = is_far
            usual.learn(value)
        return findings

    def logs(self, batch):
        for source, severity in zip(batch.source, batch.severity):
            if severity >= ERROR and source in state.sources:
                state.sources[source].lines += 1
        return []

    def tick(self, watermark):
        findings = []
        for source, errors in sorted(state.sources.items()):
            are_many = errors.lines >= setting("errors")
            if are_many != errors.are_many:
                seen = finding("many-errors", are_many, Subject_LogSource(source), None, watermark)
                if are_many:
                    seen.title = f"{errors.lines} errors since the last tick"
                findings.append(seen)
            state.sources[source] = Errors(0, are_many)
        return findings

    def save(self):
        # Python writes a number so that it is read back as the same one.
        return json.dumps({"state": STATE, **asdict(state)}).encode()

    def load(self, saved):
        global state
        try:
            # Not the bytes themselves: for some it would import another codec, which
            # cannot be done any more.
            read = json.loads(saved.decode("utf-8"))
            if read["state"] != STATE:
                raise refused("the state is another detector's")
            series = {int(id): Usual(**usual) for id, usual in read["series"].items()}
            sources = {int(id): Errors(**errors) for id, errors in read["sources"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise refused("this is not a saved state") from None
        state = State(series, sources)


class ConfigCheck(exports.ConfigCheck):
    def check(self, config):
        if not json.loads(config)["deviations"] > 0:
            raise Err(["`deviations` must be above 0"])
