//! TLS: of the listeners, and what clients trust.
//!
//! A listener has a certificate and its key from two files, looked at again while the host runs.
//!
//! Whoever renews a certificate writes two files and need not know who reads them. So [`Tls::look`] reads them again, on
//! a period and on SIGHUP ([`Tls::keep_fresh`]): what is new and holds is used for the next handshake, and connections
//! that exist go on. What does not hold (half written, of another key, no certificate at all) is told in the log once and
//! changes nothing: the host goes on with what it has.
//!
//! TLS 1.2 and 1.3, HTTP/1.1 by ALPN, no client certificates. A private key is never logged, and neither is the content of
//! a file that is none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::WantsClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// How often the files are looked at: a renewed certificate has weeks to be noticed, a mistake in it should show soon.
pub const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Longest file, bytes: chains have a few thousand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a listener's certificate and its key are, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with those that lead from it to a root behind it.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why the files are no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("could not read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// There is no certificate in it.
    #[error("{} holds no certificate in PEM ({reason}); it begins with `-----BEGIN CERTIFICATE-----`", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// There is no key in it.
    #[error("{} holds no private key in PEM without a password ({reason})", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The key is not the certificate's, or of a kind that is not supported.
    #[error("the key in {} is not that of the certificate in {}: {reason}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// TLS itself cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

impl TlsFiles {
    /// Reads both and checks that they belong together.
    ///
    /// # Errors
    /// [`TlsError`]; the text names the file, never its content.
    pub fn read(&self) -> Result<CertifiedKey, TlsError> {
        self.load().map(|(found, _)| found)
    }

    fn load(&self) -> Result<(CertifiedKey, Fingerprint), TlsError> {
        let (chain, key) = (file(&self.certificate)?, Zeroizing::new(file(&self.key)?));
        let fingerprint =
            Sha256::new().chain_update(&chain).chain_update([0]).chain_update(key.as_slice()).finalize().into();
        let certificates = certificates(&chain)
            .map_err(|reason| TlsError::NoCertificate { path: self.certificate.clone(), reason })?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| TlsError::NoKey { path: self.key.clone(), reason: error.to_string() })?;
        let found =
            CertifiedKey::from_der(certificates, key, &default_provider()).map_err(|error| TlsError::Mismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                reason: error.to_string(),
            })?;
        Ok((found, fingerprint))
    }
}

/// The certificates in a file, as the only ones to be trusted.
///
/// # Errors
/// [`TlsError`].
pub fn roots_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let no_certificate = |reason: String| TlsError::NoCertificate { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&file(path)?).map_err(no_certificate)? {
        roots.add(certificate).map_err(|error| no_certificate(error.to_string()))?;
    }
    Ok(roots)
}

/// Those that Mozilla trusts.
pub fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// The beginning of a client's TLS; whether it shows a certificate of its own is still to be said.
///
/// # Errors
/// [`TlsError::Setup`].
pub fn client(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    Ok(builder.with_root_certificates(roots))
}

/// What the client of one destination trusts and shows instead of the usual.
#[derive(Clone)]
pub struct ClientTls {
    config: ClientConfig,
    fingerprint: Fingerprint,
}

impl ClientTls {
    /// Trusts the certificates in `ca`, in PEM, and no others, or the public authorities; shows the certificate in
    /// `identity`, proven by the private key in the same text.
    ///
    /// # Errors
    /// What is wrong, for people; never a text's content.
    pub fn new(ca: Option<&str>, identity: Option<&[u8]>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match ca {
            None => roots = public_roots(),
            Some(ca) => {
                let found = certificates(ca.as_bytes()).map_err(|reason| format!("no certificate in PEM: {reason}"))?;
                let add = |one| roots.add(one).map_err(|error| format!("a certificate can't be trusted: {error}"));
                found.into_iter().try_for_each(add)?;
            }
        }
        let builder = client(roots).map_err(|error| error.to_string())?;
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates(identity).map_err(|reason| format!("no certificate in PEM: {reason}"))?;
                let key = PrivateKeyDer::from_pem_slice(identity)
                    .map_err(|error| format!("no private key in PEM: {error}"))?;
                let shown = builder.with_client_auth_cert(chain, key);
                shown.map_err(|error| format!("the key is not the certificate's: {error}"))?
            }
        };
        let parts = [ca.unwrap_or_default().as_bytes(), identity.unwrap_or_default()];
        let hash = Sha256::new().chain_update(Sha256::digest(parts[0])).chain_update(Sha256::digest(parts[1]));
        Ok(ClientTls { config, fingerprint: hash.finalize().into() })
    }

    /// The whole of it.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// What tells it from others.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ClientTls {}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

/// A hash over what was read.
pub type Fingerprint = [u8; 32];

/// All certificates of a text in PEM, one at least.
fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found =
        CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if found.is_empty() { Err("nothing of the kind".to_owned()) } else { Ok(found) }
}

fn file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |reason: String| TlsError::Unreadable { path: path.to_owned(), reason };
    let length = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has {length} bytes, and {FILE_BYTES_MAX} are the most")));
    }
    std::fs::read(path).map_err(|error| unreadable(error.to_string()))
}

/// What a look at the files brought.
#[derive(Debug)]
pub enum Look {
    /// They are what they were.
    Same,
    /// They are others and in use from now on.
    Taken,
    /// They are others and don't hold; what was before goes on.
    Refused(TlsError),
}

/// A listener's TLS.
pub struct Tls {
    files: TlsFiles,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
    /// What was seen last, also if it was refused, so that a mistake is told once.
    seen: Mutex<Result<Fingerprint, String>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let (found, fingerprint) = files.load()?;
        let current = Arc::new(Current(RwLock::new(Arc::new(found))));
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { files, current, acceptor: TlsAcceptor::from(Arc::new(config)), seen: Mutex::new(Ok(fingerprint)) })
    }

    /// What shakes hands.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Looks at the files and takes what is new and holds.
    pub fn look(&self) -> Look {
        let loaded = self.files.load();
        let found = match &loaded {
            Ok((_, fingerprint)) => Ok(*fingerprint),
            Err(error) => Err(error.to_string()),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found {
            return Look::Same;
        }
        *seen = found;
        match loaded {
            Ok((found, _)) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
                Look::Taken
            }
            Err(error) => Look::Refused(error),
        }
    }

    /// Looks at the files every so often, and whenever the process is sent SIGHUP, until `shutdown` completes.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut hangup = signal(SignalKind::hangup()).inspect_err(|error| {
            tracing::warn!(%error, "SIGHUP can't be caught; the files of TLS are looked at now and then all the same");
        });
        let mut period = tokio::time::interval(every);
        loop {
            let hung_up = async {
                match &mut hangup {
                    Ok(hangup) => drop(hangup.recv().await),
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut shutdown => return,
                _ = period.tick() => {}
                () = hung_up => {}
            }
            self.tell(&self.look());
        }
    }

    fn tell(&self, look: &Look) {
        let certificate = self.files.certificate.display();
        match look {
            Look::Same => {}
            Look::Taken => tracing::info!(%certificate, "TLS has a new certificate"),
            Look::Refused(error) => {
                tracing::error!(%certificate, %error, "the files of TLS have changed and don't hold; the former certificate stays in use");
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The certificate in use.
struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
