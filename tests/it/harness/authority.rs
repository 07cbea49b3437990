//! A certificate authority of the test's own, and what it issues.

use std::path::{Path, PathBuf};

use creel_server::system::SystemClock;
use creel_server::tls::TlsFiles;
use creel_webhook::clock::Clock as _;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// The authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its private key, in PEM.
pub(crate) struct Issued {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its key.
    pub(crate) key: String,
}

impl Authority {
    /// One of this name.
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, in PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for a person or a host with these names and addresses.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str]) -> Issued {
        self.issue_until(name, hosts, (2096, 1, 1))
    }

    /// One that ends at the beginning of that day.
    pub(crate) fn issue_until(&self, name: &str, hosts: &[&str], (year, month, day): (i32, u8, u8)) -> Issued {
        let mut params = named(name, hosts);
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// One that ends in so many days.
    pub(crate) fn issue_days(&self, name: &str, days: u64) -> Issued {
        let seconds = SystemClock::new().now().as_secs() + i64::try_from(days).unwrap() * 86_400;
        let day = jiff::Timestamp::from_second(seconds).unwrap().to_string();
        let part = |from, to| day[from..to].parse::<u16>().unwrap();
        let number = |part: u16| u8::try_from(part).unwrap();
        self.issue_until(name, &["127.0.0.1"], (part(0, 4).into(), number(part(5, 7)), number(part(8, 10))))
    }

    /// Writes its own certificate into a directory.
    pub(crate) fn file(&self, directory: &Path) -> PathBuf {
        let file = directory.join("ca.pem");
        std::fs::write(&file, &self.pem).unwrap();
        file
    }
}

impl Issued {
    /// Writes both files into a directory, over what is there.
    pub(crate) fn files(&self, directory: &Path) -> TlsFiles {
        let files = TlsFiles { certificate: directory.join("host.pem"), key: directory.join("host.key") };
        put(&files.certificate, &self.certificate);
        put(&files.key, &self.key);
        files
    }
}

/// Puts a whole file where one may be read at any time.
pub(crate) fn put(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
