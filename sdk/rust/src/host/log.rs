//! Lines for the operator, with the plugin's name on them.
//!
//! Over a quota the host drops lines and counts them; a call never fails.
//! Control characters are escaped, and a line over 8 KiB is cut.

use super::call;

pub use crate::bindings::host::faultline::plugin::log::Level;

/// For those who debug the plugin.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

/// For those who wonder what it did.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

/// Something was odd, and was dealt with.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

/// A person should look.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}

/// Writes one line.
pub fn write(level: Level, message: &str) {
    call!(
        crate::bindings::host::faultline::plugin::log::write(level, message),
        |fake| fake.log(level, message)
    );
}

/// From now on a panic writes its message and place as an error before the
/// component traps. Without it a trap says only that there was one.
///
/// It costs the import of `log` and some 10 KB of formatting code, which is
/// why it is not done for everyone.
#[cfg(target_family = "wasm")]
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| error(panic.to_string())));
}

/// From now on a panic writes its message and place as an error before the
/// component traps. In a native build panics are reported already, and this
/// does nothing.
#[cfg(not(target_family = "wasm"))]
pub fn panics() {}
