//! What a component imports, against what it may import.
//!
//! The import list is a proof: what a component does not import it cannot do.
//! So it is checked before anything runs, and everything in it must be allowed
//! by the kind of the component and declared in the manifest.

use faultline_domain::grant::Use;
use faultline_domain::plugin::Kind;
use thiserror::Error;

use crate::wasi::{PACKAGES as WASI_PACKAGES, answers as wasi_answers};

/// The package that all interfaces are from, and the version that is offered.
const PACKAGE: &str = "faultline:plugin/";
const VERSION: &str = "@0.1.0";

/// Interfaces without functions: types only.
const TYPES: [&str; 2] = ["types", "signals"];

/// Interfaces that need no capability.
const ALWAYS: [&str; 2] = ["log", "config"];

/// An import that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Not of our package at all.
    #[error(
        "imports `{0}`, which is not an interface of faultline:plugin: nothing else is offered to plugins"
    )]
    Foreign(String),
    /// WASI, and the manifest does not say so.
    #[error(
        "imports `{0}`, but its manifest does not say `wasi = true`: build it without WASI (the guest kits' pages say how), or declare it and get a WASI without clock, files and network"
    )]
    WasiUndeclared(String),
    /// More of WASI than there is.
    #[error("imports `{0}`, which is not among the interfaces of WASI 0.2 that plugins get")]
    Wasi(String),
    /// Of our package, but of another version.
    #[error("imports `{0}`; this host offers version 0.1.0")]
    Version(String),
    /// No such interface.
    #[error("imports `{0}`, which faultline:plugin does not have")]
    Unknown(String),
    /// Not for this kind.
    #[error("imports `{interface}`, which a {kind} cannot use: {why}")]
    Kind {
        /// Which.
        interface: String,
        /// What the component is.
        kind: Kind,
        /// Why not.
        why: String,
    },
    /// Not in the manifest.
    #[error("imports `{interface}`, but its manifest declares no capability with use `{using}`")]
    Undeclared {
        /// Which.
        interface: String,
        /// What it takes.
        using: Use,
    },
    /// Not offered by this version of the host.
    #[error("imports `{0}`, which this version of Faultline does not offer")]
    NotOffered(String),
}

/// Checks imports. `polls` says whether the component exports `poll`;
/// `declared` are the uses that its manifest names, and `wasi` whether it says
/// that the component imports WASI.
///
/// # Errors
/// Every import that is refused, and why.
pub(crate) fn check<'a>(
    imports: impl IntoIterator<Item = &'a str>,
    kind: Kind,
    polls: bool,
    declared: &[Use],
    wasi: bool,
) -> Result<(), Vec<ImportError>> {
    let errors: Vec<ImportError> = imports
        .into_iter()
        .filter_map(|import| check_one(import, kind, polls, declared, wasi).err())
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn check_one(
    import: &str,
    kind: Kind,
    polls: bool,
    declared: &[Use],
    wasi: bool,
) -> Result<(), ImportError> {
    if import.starts_with(WASI_PACKAGES) {
        return match (wasi, wasi_answers(import)) {
            (true, true) => Ok(()),
            (true, false) => Err(ImportError::Wasi(import.to_owned())),
            (false, _) => Err(ImportError::WasiUndeclared(import.to_owned())),
        };
    }
    let Some(rest) = import.strip_prefix(PACKAGE) else {
        return Err(ImportError::Foreign(import.to_owned()));
    };
    let Some(interface) = rest.strip_suffix(VERSION) else {
        return Err(ImportError::Version(import.to_owned()));
    };
    if TYPES.contains(&interface) || ALWAYS.contains(&interface) {
        return Ok(());
    }
    let using = match interface {
        "kv" => Use::Kv,
        "http" => Use::Http,
        "secrets" => Use::Secret,
        "secrets-reveal" => Use::SecretReveal,
        "exec" => Use::Exec,
        _ => return Err(ImportError::Unknown(import.to_owned())),
    };
    let refuse = |why: &str| ImportError::Kind {
        interface: interface.to_owned(),
        kind,
        why: why.to_owned(),
    };
    match kind {
        Kind::Detector | Kind::Correlator => {
            return Err(refuse("it sees nothing but what it is given"));
        }
        Kind::Connector if !polls => {
            return Err(refuse("decoding is pure; only one that exports `poll` can"));
        }
        Kind::Connector | Kind::Action => {}
    }
    if !declared.contains(&using) {
        return Err(ImportError::Undeclared {
            interface: interface.to_owned(),
            using,
        });
    }
    if !using.is_enforced() {
        return Err(ImportError::NotOffered(import.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(import: &str, kind: Kind, polls: bool, declared: &[Use]) -> Option<String> {
        check([import], kind, polls, declared, false)
            .err()
            .map(|errors| errors[0].to_string())
    }

    #[test]
    fn only_what_is_declared_and_fits_the_kind_is_let_in() {
        let kv = "faultline:plugin/kv@0.1.0";
        let log = "faultline:plugin/log@0.1.0";
        assert_eq!(refusal(log, Kind::Detector, false, &[]), None);
        assert_eq!(refusal(kv, Kind::Connector, true, &[Use::Kv]), None);
        let http = "faultline:plugin/http@0.1.0";
        assert_eq!(refusal(http, Kind::Connector, true, &[Use::Http]), None);
        let cases = [
            (kv, Kind::Connector, true, &[][..], "declares no capability"),
            (
                kv,
                Kind::Connector,
                false,
                &[Use::Kv][..],
                "decoding is pure",
            ),
            (
                kv,
                Kind::Detector,
                false,
                &[Use::Kv][..],
                "nothing but what it is given",
            ),
            (
                http,
                Kind::Connector,
                true,
                &[Use::Secret],
                "declares no capability",
            ),
            (http, Kind::Correlator, true, &[Use::Http], "nothing but"),
            (
                "wasi:cli/environment@0.2.0",
                Kind::Connector,
                true,
                &[],
                "does not say `wasi = true`",
            ),
            (
                "acme:cloud/storage@0.2.0",
                Kind::Connector,
                true,
                &[],
                "not an interface of faultline",
            ),
            (
                "faultline:plugin/kv@0.2.0",
                Kind::Connector,
                true,
                &[Use::Kv],
                "version 0.1.0",
            ),
            (
                "faultline:plugin/kx@0.1.0",
                Kind::Connector,
                true,
                &[],
                "does not have",
            ),
            (
                "faultline:plugin/exec@0.1.0",
                Kind::Connector,
                true,
                &[Use::Exec],
                "does not offer",
            ),
        ];
        for (import, kind, polls, declared, expected) in cases {
            let message = refusal(import, kind, polls, declared).expect(import);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn of_wasi_what_is_declared_and_answered() {
        let check = |import| {
            check([import], Kind::Detector, false, &[], true)
                .err()
                .map(|errors| errors[0].to_string())
        };
        for import in ["wasi:cli/environment@0.2.0", "wasi:sockets/tcp@0.2.12"] {
            assert_eq!(check(import), None, "{import}");
        }
        for import in [
            "wasi:http/outgoing-handler@0.2.3",
            "wasi:keyvalue/store@0.2.0-draft",
            "wasi:clocks/timezone@0.2.3",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/environment",
        ] {
            let message = check(import).expect(import);
            assert!(message.contains("not among the interfaces"), "{message}");
        }
    }
}
