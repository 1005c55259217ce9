//! `log`: lines for the operator. Always granted, under a budget.

use faultline_domain::plugin::{Failure, Limit};
use faultline_domain::text::steers;

use crate::bindings::faultline::plugin::log::{Host, Level};
use crate::guest::GuestState;
use crate::instance::LogVerdict;

/// The most bytes of a line.
const LINE_BYTES_MAX: usize = 8 << 10;

impl Host for GuestState {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.enter_host()?;
        log_line(self, level, &message);
        Ok(())
    }
}

/// Writes a line, if the budget has room for it.
pub(crate) fn log_line(state: &GuestState, level: Level, message: &str) {
    let line = escaped(message);
    match state.instance.log.take(line.len() as u64) {
        LogVerdict::Drop { is_first } => {
            state.instance.stats.drop_log_line();
            if is_first {
                let most = state.instance.spec.limits.log_bytes_per_minute;
                let failure = Failure::Limit {
                    limit: Limit::Log,
                    message: format!(
                        "wrote more than {most} bytes of log lines a minute; what is over is dropped"
                    ),
                };
                state.instance.note_failure(state.call.as_str(), &failure);
            }
        }
        LogVerdict::Write { dropped_before } => {
            if dropped_before > 0 {
                emit(
                    state,
                    Level::Warn,
                    &format!("{dropped_before} lines were dropped (limit.log)"),
                );
            }
            emit(state, level, &line);
        }
    }
}

fn emit(state: &GuestState, level: Level, line: &str) {
    let spec = &state.instance.spec;
    let (instance, plugin, version) = (&spec.name, &spec.plugin, &spec.version);
    macro_rules! write {
        ($level:ident) => {
            tracing::event!(
                target: "faultline::plugin",
                tracing::Level::$level,
                plugin.instance = %instance,
                plugin.id = %plugin,
                plugin.version = %version,
                "{line}"
            )
        };
    }
    match level {
        Level::Debug => write!(DEBUG),
        Level::Info => write!(INFO),
        Level::Warn => write!(WARN),
        Level::Error => write!(ERROR),
    }
}

/// Without characters that do more than to show themselves: a guest must not be
/// able to fake lines of others, or move the cursor of whoever reads them.
fn escaped(message: &str) -> String {
    let mut line = String::with_capacity(message.len().min(LINE_BYTES_MAX));
    for character in message.chars() {
        if line.len() >= LINE_BYTES_MAX {
            line.push('…');
            break;
        }
        if steers(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines() {
        assert_eq!(escaped("a\nERROR b\x1b[2J\r"), "a\\nERROR b\\u{1b}[2J\\r");
        assert_eq!(escaped("a\u{2028}b\u{202e}c"), "a\\u{2028}b\\u{202e}c");
        let long = escaped(&"é".repeat(LINE_BYTES_MAX));
        assert!(long.len() <= LINE_BYTES_MAX + 4 && long.ends_with('…'));
    }
}
