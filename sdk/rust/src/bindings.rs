//! The generated bindings, all of them in this one place.
//!
//! Nothing outside this crate names a generated path: the public types are
//! re-exported one by one, under topics, from the crate's root. The module is
//! public only because the `export_*!` macros expand in the plugin's crate.
//!
//! The tricky thing is how one crate serves every kind of plugin. Each
//! interface is generated once, in a module of its own, and later ones are
//! mapped onto earlier ones with `with:`, so that `Entity` or `Samples` is one
//! type everywhere. What a component exports is decided by the macros that the
//! plugin invokes: each adds its own interface's description to the linked
//! module, and the component encoder unites them. Imports are described here
//! for all kinds together; those that the linked code does not call are
//! dropped by the encoder.
#![expect(clippy::pedantic, reason = "generated code")]

/// Words that every interface shares.
pub mod types {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-types;
            world kit-types { import faultline:plugin/types@0.1.0; }
        ",
        generate_all,
        generate_unused_types: true,
        additional_derives: [
            PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        ],
        pub_export_macro: true,
    });
}

/// Envelopes and signals.
pub mod signals {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-signals;
            world kit-signals { import faultline:plugin/signals@0.1.0; }
        ",
        with: {
            "faultline:plugin/types@0.1.0": crate::bindings::types::faultline::plugin::types,
        },
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        pub_export_macro: true,
    });
}

/// What the host offers.
pub mod host {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-host;
            world kit-host {
                import faultline:plugin/log@0.1.0;
                import faultline:plugin/config@0.1.0;
                import faultline:plugin/kv@0.1.0;
                import faultline:plugin/http@0.1.0;
                import faultline:plugin/secrets@0.1.0;
                import faultline:plugin/secrets-reveal@0.1.0;
                import faultline:plugin/exec@0.1.0;
            }
        ",
        with: {
            "faultline:plugin/types@0.1.0": crate::bindings::types::faultline::plugin::types,
        },
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
    });
}

/// Exported by connectors and pollers.
pub mod decode {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-decode;
            world kit-decode { export faultline:plugin/decode@0.1.0; }
        ",
        with: {
            "faultline:plugin/types@0.1.0": crate::bindings::types::faultline::plugin::types,
            "faultline:plugin/signals@0.1.0": crate::bindings::signals::faultline::plugin::signals,
        },
        default_bindings_module: "faultline_sdk::bindings::decode",
        pub_export_macro: true,
    });
}

/// Exported by pollers.
pub mod poll {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-poll;
            world kit-poll { export faultline:plugin/poll@0.1.0; }
        ",
        with: {
            "faultline:plugin/types@0.1.0": crate::bindings::types::faultline::plugin::types,
            "faultline:plugin/signals@0.1.0": crate::bindings::signals::faultline::plugin::signals,
        },
        additional_derives: [PartialEq],
        default_bindings_module: "faultline_sdk::bindings::poll",
        pub_export_macro: true,
    });
}

/// Exported by detectors.
pub mod detect {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-detect;
            world kit-detect { export faultline:plugin/detect@0.1.0; }
        ",
        with: {
            "faultline:plugin/types@0.1.0": crate::bindings::types::faultline::plugin::types,
            "faultline:plugin/signals@0.1.0": crate::bindings::signals::faultline::plugin::signals,
        },
        additional_derives: [PartialEq],
        default_bindings_module: "faultline_sdk::bindings::detect",
        pub_export_macro: true,
    });
}

/// Exported by correlators.
pub mod correlate {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-correlate;
            world kit-correlate { export faultline:plugin/correlate@0.1.0; }
        ",
        with: {
            "faultline:plugin/types@0.1.0": crate::bindings::types::faultline::plugin::types,
            "faultline:plugin/signals@0.1.0": crate::bindings::signals::faultline::plugin::signals,
        },
        additional_derives: [PartialEq],
        default_bindings_module: "faultline_sdk::bindings::correlate",
        pub_export_macro: true,
    });
}

/// Exported by actions.
pub mod act {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-act;
            world kit-act { export faultline:plugin/act@0.1.0; }
        ",
        with: {
            "faultline:plugin/types@0.1.0": crate::bindings::types::faultline::plugin::types,
        },
        additional_derives: [PartialEq],
        default_bindings_module: "faultline_sdk::bindings::act",
        pub_export_macro: true,
    });
}

/// Exported by those who ask for it.
pub mod config_check {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package faultline:kit-config-check;
            world kit-config-check { export faultline:plugin/config-check@0.1.0; }
        ",
        default_bindings_module: "faultline_sdk::bindings::config_check",
        pub_export_macro: true,
    });
}
