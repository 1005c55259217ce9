//! The optional export `config-check`.

use serde::de::DeserializeOwned;

use crate::config;

/// Checks what a JSON Schema cannot say: that one bound lies below another,
/// that a pattern compiles.
///
/// For the type of the configuration. The host asks before it starts an
/// instance, so that a mistake is shown where it is made. See
/// [`export_config_check!`](crate::export_config_check).
pub trait ConfigCheck: DeserializeOwned {
    /// Whether one can work with it.
    ///
    /// # Errors
    /// Each complaint names the field and the remedy.
    fn check(&self) -> Result<(), Vec<String>>;
}

/// What the export `check` does.
#[doc(hidden)]
pub fn config_check<C: ConfigCheck>(json: &str) -> Result<(), Vec<String>> {
    config::parse::<C>(json)
        .map_err(|fault| vec![fault.message])?
        .check()
}

/// Adds the optional export `config-check` to a component, for a type of
/// configuration that implements [`ConfigCheck`](trait@crate::ConfigCheck).
///
/// Beside the macro for the kind of plugin. Does nothing in a native build.
#[macro_export]
macro_rules! export_config_check {
    ($config:ident) => {
        const _: () = {
            fn config<C: $crate::ConfigCheck>() {}
            let _ = config::<$config>;

            #[cfg(target_family = "wasm")]
            mod component {
                struct Component;
                impl $crate::bindings::config_check::exports::faultline::plugin::config_check::Guest
                    for Component
                {
                    fn check(
                        config: ::std::string::String,
                    ) -> ::std::result::Result<(), ::std::vec::Vec<::std::string::String>>
                    {
                        $crate::__guest::config_check::<super::$config>(&config)
                    }
                }
                $crate::bindings::config_check::export!(
                    Component with_types_in $crate::bindings::config_check
                );
            }
        };
    };
}
