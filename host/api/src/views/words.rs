//! Closed sets of words that stand for the same things everywhere.

use faultline_domain::access::Role as DomainRole;
use faultline_domain::grant::Use as DomainUse;
use faultline_domain::incident::Phase as DomainPhase;
use faultline_domain::plugin::Kind as DomainKind;
use faultline_domain::severity::Severity as DomainSeverity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An enumeration of the domain, word for word. Its own type, so that what the
/// API promises does not change with what the domain needs.
macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident, $domain:ident, { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl From<$domain> for $name {
            fn from(word: $domain) -> Self {
                match word {
                    $($domain::$variant => Self::$variant,)+
                }
            }
        }

        impl From<$name> for $domain {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$variant => Self::$variant,)+
                }
            }
        }
    };
}

mirror! {
    /// How bad, from best to worst.
    Severity, DomainSeverity, {
        /// Worth knowing.
        Info,
        /// Worth a look some day.
        Low,
        /// Worth a look today.
        Warning,
        /// Something is failing.
        High,
        /// Something that people depend on is down.
        Critical,
    }
}

mirror! {
    /// Where an incident stands.
    Phase, DomainPhase, {
        /// Nobody has said that they look after it.
        Open,
        /// Somebody has.
        Acknowledged,
        /// All members resolved, or somebody said so. May be reopened.
        Resolved,
        /// For good.
        Closed,
        /// Its members went to another incident.
        Merged,
    }
}

mirror! {
    /// What the bearer of a token may do; each includes those before it.
    Role, DomainRole, {
        /// Look.
        Viewer,
        /// Acknowledge and resolve incidents.
        Responder,
        /// Install, configure, enable and disable plugins.
        Operator,
        /// Grant capabilities, make and revoke tokens.
        Admin,
    }
}

mirror! {
    /// What a component is for.
    PluginKind, DomainKind, {
        /// From payloads to signals.
        Connector,
        /// From telemetry to findings.
        Detector,
        /// From alerts to incidents and causes.
        Correlator,
        /// Remedies.
        Action,
    }
}

mirror! {
    /// What a capability lets a component do.
    Use, DomainUse, {
        /// Requests to named destinations.
        Http,
        /// Use of a secret without sight of it.
        Secret,
        /// Sight of a secret.
        SecretReveal,
        /// Small durable state.
        Kv,
        /// Commands that the operator defined.
        Exec,
        /// A folder that the operator named.
        Folder,
    }
}
