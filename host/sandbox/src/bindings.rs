//! The generated bindings, all of them in this one place. Beside `convert` and
//! `host`, nothing names a generated type.
//!
//! No component has all of these exports. Each kind's file looks up those that
//! its kind has.

#![allow(missing_docs, reason = "documented in wit/")]
#![allow(unreachable_pub, reason = "generated")]
#![allow(clippy::pedantic, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package faultline:sandbox;
        world sandbox {
            import faultline:plugin/log@0.1.0;
            import faultline:plugin/config@0.1.0;
            import faultline:plugin/kv@0.1.0;
            import faultline:plugin/http@0.1.0;
            import faultline:plugin/secrets@0.1.0;
            import faultline:plugin/secrets-reveal@0.1.0;
            export faultline:plugin/decode@0.1.0;
            export faultline:plugin/poll@0.1.0;
            export faultline:plugin/detect@0.1.0;
            export faultline:plugin/correlate@0.1.0;
            export faultline:plugin/config-check@0.1.0;
        }
    ",
    imports: { default: trappable },
});
