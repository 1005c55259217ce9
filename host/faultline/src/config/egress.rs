//! Where plugins may go at most, and where their secrets may lie.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use faultline_domain::rule::Rule;
use faultline_egress::{Egress, Policy, SystemNetwork, Trust};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Where cloud providers hand out credentials of machines.
const METADATA: [&str; 7] = [
    "100.100.100.200/32",
    "168.63.129.16/32",
    "169.254.169.254/32",
    "169.254.170.2/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
];

/// `[plugins.egress]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct EgressConfig {
    /// What any plugin may be granted at most; none: whatever is granted.
    pub(crate) allow: Option<Vec<Rule>>,
    /// Networks that no plugin reaches, whatever was granted.
    pub(crate) deny_networks: Vec<IpNet>,
    /// A file with certificates that are trusted beside the usual ones.
    pub(crate) ca_certificates: Option<PathBuf>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        let network = |text: &&str| text.parse().ok();
        Self {
            allow: None,
            deny_networks: METADATA.iter().filter_map(network).collect(),
            ca_certificates: None,
        }
    }
}

impl EgressConfig {
    /// The way out, as it is configured.
    ///
    /// # Errors
    /// If the certificates cannot be read.
    pub(crate) fn way_out(&self) -> Result<Egress> {
        let trust = match &self.ca_certificates {
            None => Trust::with_roots(None),
            Some(path) => {
                let reading = || {
                    let shown = path.display();
                    format!("reading [plugins.egress] ca-certificates from {shown}")
                };
                let pem = std::fs::read_to_string(path).with_context(reading)?;
                return Ok(self.over(Trust::with_roots(Some(&pem)).with_context(reading)?));
            }
        };
        Ok(self.over(trust.context("setting up TLS")?))
    }

    fn over(&self, trust: Trust) -> Egress {
        let policy = Policy {
            allow: self.allow.clone(),
            deny: self.deny_networks.clone(),
        };
        Egress::new(Arc::new(SystemNetwork), trust, policy)
    }
}

/// `[plugins.secrets]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct SecretsConfig {
    /// Where files with secrets may lie, beside `secrets` in the data folder.
    pub(crate) folders: Vec<PathBuf>,
}

impl Default for SecretsConfig {
    fn default() -> Self {
        Self {
            folders: ["/etc/faultline/secrets", "/run/secrets"]
                .map(PathBuf::from)
                .to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_out_of_bounds_unless_somebody_says_otherwise() {
        let config = EgressConfig::default();
        assert_eq!(config.deny_networks.len(), METADATA.len());
        assert!(config.way_out().is_ok());
    }

    #[test]
    fn certificates_that_cannot_be_read_are_named() {
        let config = EgressConfig {
            ca_certificates: Some("/nowhere/ca.pem".into()),
            ..EgressConfig::default()
        };
        let error = config.way_out().err().expect("no file");
        assert!(
            format!("{error:#}").contains("/nowhere/ca.pem"),
            "{error:#}"
        );
    }
}
