//! What the operator says about all plugins together.

use std::net::IpAddr;
use std::sync::Arc;

use faultline_domain::network::canonical;
use faultline_domain::rule::{Destination, Rule};
use ipnet::IpNet;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// The ceiling over all grants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// What any plugin may be granted at most; none: whatever it asks for.
    pub allow: Option<Vec<Rule>>,
    /// Networks that nothing may reach, whatever was granted.
    pub deny: Vec<IpNet>,
}

impl Policy {
    /// Whether a request stays under the ceiling.
    pub(crate) fn allows(&self, destination: &Destination) -> bool {
        self.allow
            .as_ref()
            .is_none_or(|rules| rules.iter().any(|rule| rule.matches(destination)))
    }

    /// Whether an address is out of bounds.
    pub(crate) fn denies(&self, address: IpAddr) -> bool {
        let forms = [Some(canonical(address)), embedded(address)];
        forms
            .into_iter()
            .flatten()
            .any(|address| self.deny.iter().any(|network| network.contains(&address)))
    }
}

fn embedded(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(address) => faultline_domain::network::embedded(address).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    }
}

/// Whose word is taken for who a server is.
#[derive(Clone)]
pub struct Trust(pub(crate) Arc<ClientConfig>);

/// Why certificates cannot be used.
#[derive(Debug, Error)]
pub enum RootsError {
    /// Not PEM, or not a certificate.
    #[error("certificate {number} cannot be read: {reason}")]
    Unreadable {
        /// Which one, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
    /// Nothing in it.
    #[error("there is no certificate in it: PEM has lines that say BEGIN CERTIFICATE")]
    None,
    /// TLS cannot be had.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

impl Trust {
    /// The roots that browsers trust (Mozilla's list, as of when the binary was
    /// built), and those in a PEM text beside them.
    ///
    /// # Errors
    /// If a certificate in the text is none.
    pub fn with_roots(pem: Option<&str>) -> Result<Self, RootsError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(pem) = pem {
            let before = roots.len();
            for (index, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
                let unreadable = |reason: String| RootsError::Unreadable {
                    number: index + 1,
                    reason,
                };
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                let added = roots.add(certificate);
                added.map_err(|error| unreadable(error.to_string()))?;
            }
            if roots.len() == before {
                return Err(RootsError::None);
            }
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would say to the server which requests are of one
        // host, and to one plugin what another did.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// The same, for what the host itself asks.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert!(Trust::with_roots(None).is_ok());
        assert!(matches!(
            Trust::with_roots(Some("x")),
            Err(RootsError::None)
        ));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = Trust::with_roots(Some(broken))
            .err()
            .expect("no certificate");
        assert!(error.to_string().contains("certificate 1"), "{error}");
    }

    #[test]
    fn denied_networks_are_denied_in_every_form() {
        let policy = Policy {
            allow: None,
            deny: vec!["169.254.0.0/16".parse().expect("a network")],
        };
        for address in ["169.254.169.254", "::ffff:169.254.0.1", "64:ff9b::a9fe:1"] {
            assert!(policy.denies(address.parse().expect(address)), "{address}");
        }
        assert!(!policy.denies("1.1.1.1".parse().expect("an address")));
    }
}
