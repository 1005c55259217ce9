//! An authority that says who servers are, for tests: made anew each time, so
//! that no two know one another.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Says who servers are to whoever believes it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// What a server shows, and the key that proves it.
pub struct Identity {
    /// In PEM.
    pub certificate: String,
    /// In PEM.
    pub key: String,
}

impl Authority {
    /// One that nobody has heard of.
    ///
    /// # Panics
    /// If there are no random numbers.
    pub fn make() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut about = CertificateParams::default();
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        about.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let name = "Authority of a test";
        about.distinguished_name.push(DnType::CommonName, name);
        let certificate = about.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(about, key),
            certificate,
        }
    }

    /// What shows that whatever it says is from it, in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Says who a server is.
    ///
    /// # Panics
    /// If that is not the name of a host.
    pub fn identity(&self, host: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut about = CertificateParams::new([host.to_owned()]).expect("a name");
        about.distinguished_name.push(DnType::CommonName, host);
        let signed = about.signed_by(&key, &self.issuer);
        Identity {
            certificate: signed.expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }
}
