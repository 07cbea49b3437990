//! A whole host on a directory of its own: opened, served, stopped, killed and opened again.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use creel_server::admin::key::{KeyFor, mint};
use creel_server::app::{App, Surroundings};
use creel_server::config::Config;
use creel_server::datadir::{DataDir, make_master_key};
use creel_server::egress::HttpClient;
use creel_server::shutdown::Shutdown;
use creel_server::system::{Entropy, SystemClock};
use creel_store::contract::Store;
use creel_webhook::clock::Clock;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::receiver::Receiver;
use super::sender::{Answer, Webhook};
use super::tenant::{Api, Tenant};

/// What is different from a usual host.
type Change = Box<dyn Fn(&mut Config) + Send + Sync>;

/// A data directory without a host, and the key of its operator.
pub(crate) struct Home {
    directory: TempDir,
    change: Change,
    clock: Arc<dyn Clock>,
    client: Option<Arc<dyn HttpClient>>,
    compiler: Option<Vec<OsString>>,
    key: String,
}

/// A host that serves.
pub(crate) struct Host {
    home: Option<Home>,
    /// Where its calls may go, and nowhere else.
    pub(crate) receiver: Arc<Receiver>,
    /// Where webhooks arrive.
    pub(crate) ingress: SocketAddr,
    /// Its admin API as the operator.
    pub(crate) api: Api,
    http: reqwest::Client,
    store: Arc<dyn Store>,
    shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Home {
    /// A new directory with a master key.
    pub(crate) fn new(change: impl Fn(&mut Config) + Send + Sync + 'static) -> Home {
        let directory = in_memory().map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
        let data_dir = DataDir::create(directory.path()).unwrap();
        make_master_key(&data_dir.master_key_file(), &Entropy::system().unwrap()).unwrap();
        Home {
            directory,
            change: Box::new(change),
            clock: Arc::new(SystemClock::new()),
            client: None,
            compiler: None,
            key: String::new(),
        }
    }

    /// The same directory for a host that is different in something.
    pub(crate) fn changed(self, change: impl Fn(&mut Config) + Send + Sync + 'static) -> Home {
        Home { change: Box::new(change), ..self }
    }

    /// The same directory for a host with another clock.
    pub(crate) fn with_clock(self, clock: Arc<dyn Clock>) -> Home {
        Home { clock, ..self }
    }

    /// The same directory for a host with another way out.
    pub(crate) fn with_client(self, client: Arc<dyn HttpClient>) -> Home {
        Home { client: Some(client), ..self }
    }

    /// The same directory for a host that checks and compiles uploads with this command, not in this process.
    pub(crate) fn with_compiler(self, command: Vec<OsString>) -> Home {
        Home { compiler: Some(command), ..self }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Opens a host here that may call this receiver.
    pub(crate) async fn app(&self, receiver: &Receiver) -> anyhow::Result<App> {
        let mut config = Config::in_directory(self.path());
        config.ingress.listen = "127.0.0.1:0".parse().unwrap();
        config.admin.listen = "127.0.0.1:0".parse().unwrap();
        config.egress_allow = vec![receiver.address().to_string().parse().unwrap()];
        (self.change)(&mut config);
        let around = Surroundings {
            clock: self.clock.clone(),
            entropy: Arc::new(Entropy::system().unwrap()),
            client: self.client.clone(),
            compile_command: self.compiler.as_ref().map(|command| (command[0].clone().into(), command[1..].to_vec())),
        };
        App::open(config, around).await
    }

    /// Serves a host here; the operator's key is made on the first time.
    pub(crate) async fn serve(mut self, receiver: Arc<Receiver>) -> Host {
        let app = self.app(&receiver).await.expect("the host opens");
        if self.key.is_empty() {
            let minted = mint(KeyFor::operator("test"), SystemClock::new().now(), Entropy::system().unwrap().bytes());
            app.store().key_put(minted.key).await.unwrap();
            self.key = minted.text.to_string();
        }
        let http = client();
        let (ingress, admin) = (app.ingress_addr().unwrap(), app.admin_addr().unwrap());
        let api = Api::new(http.clone(), format!("http://{admin}"), self.key.clone());
        let (store, shutdown) = (app.store(), Shutdown::new());
        let serving = tokio::spawn(app.serve(shutdown.clone()));
        Host { home: Some(self), receiver, ingress, api, http, store, shutdown, serving }
    }
}

impl Host {
    /// A usual host on a new directory.
    pub(crate) async fn open() -> Host {
        Host::with(|_| {}).await
    }

    /// A host on a new directory that is different in something.
    pub(crate) async fn with(change: impl Fn(&mut Config) + Send + Sync + 'static) -> Host {
        Home::new(change).serve(Arc::new(Receiver::start().await)).await
    }

    /// Its data directory.
    pub(crate) fn path(&self) -> &Path {
        self.home.as_ref().expect("it serves").path()
    }

    /// Its store, for what no public door does.
    pub(crate) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Lets the saved destinations of this name lead to a URL that no public door would save.
    pub(crate) async fn mislead(&self, destination: &str, url: &str) {
        let saved = self.store.control_read().await.unwrap().destinations;
        for mut one in saved.into_iter().filter(|one| one.spec.name == destination) {
            one.spec.url = url.to_owned();
            self.store.destination_put(one).await.unwrap();
        }
    }

    /// A client for requests by hand.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// A new tenant.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        Tenant::make(self, name).await
    }

    /// The base of its admin API.
    pub(crate) fn admin_url(&self) -> String {
        self.api.base().to_owned()
    }

    /// The URL of a path on the ingress.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ingress)
    }

    /// Sends a webhook to the path of a source.
    pub(crate) async fn send(&self, path: &str, webhook: &Webhook) -> Answer {
        let request = webhook.request(&self.http, &self.url(path));
        Answer::of(request.send().await.expect("the host answers")).await
    }

    /// Begins a shutdown and waits for its end.
    pub(crate) async fn stop(mut self) -> (Home, Arc<Receiver>) {
        self.shutdown.begin();
        let ended = (&mut self.serving).await;
        ended.expect("no part of the host panics").expect("the host ends well");
        self.part()
    }

    /// Ends it in the middle of everything, as a power cut would: nothing is finished, nothing is closed.
    pub(crate) async fn kill(mut self) -> (Home, Arc<Receiver>) {
        self.serving.abort();
        let ended = (&mut self.serving).await;
        assert!(ended.expect_err("it was cut off").is_cancelled());
        // Its writer is a thread of this process and lives on: were its last claim written only after the directory was
        // opened again, nobody would hold that claim. A process takes its threads with it.
        self.store.close().await.expect("the writer ends");
        self.part()
    }

    /// Ends a story: nothing may be left over.
    pub(crate) async fn finish(self) {
        let left = self.left_over().await;
        assert!(left.is_empty(), "left over: {left:#?}");
        drop(self.stop().await);
    }

    async fn left_over(&self) -> Vec<String> {
        let mut left = Vec::new();
        for tenant in self.api.list("/v1/tenants").await {
            let name = tenant["name"].as_str().unwrap();
            for run in self.api.list(&format!("/v1/tenants/{name}/runs?limit=200")).await {
                if run["ended_at"].is_null() {
                    left.push(format!("run {run}"));
                }
            }
            for call in self.api.list(&format!("/v1/tenants/{name}/deliveries?state=pending&limit=200")).await {
                left.push(format!("call {call}"));
            }
        }
        left
    }

    fn part(mut self) -> (Home, Arc<Receiver>) {
        // A host without a home may be dropped.
        (self.home.take().expect("it served"), self.receiver.clone())
    }
}

/// The command of the real compiler: the program itself.
pub(crate) fn real_compiler() -> Vec<OsString> {
    vec![env!("CARGO_BIN_EXE_creel").into(), creel_server::COMPILE_COMMAND.into()]
}

/// A file system in memory, where there is one: no story here is about a disk, and a flush of a disk that others build
/// on takes seconds, in which deadlines pass and everything that was to be told apart ends at once.
pub(super) fn in_memory() -> Option<&'static Path> {
    Some(Path::new("/dev/shm")).filter(|path| path.is_dir())
}

/// A client that speaks plain HTTP: it knows no certificate that it would trust.
pub(crate) fn client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider's own versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.tls_backend_preconfigured(tls).build().expect("a client")
}

impl Drop for Host {
    fn drop(&mut self) {
        self.serving.abort();
        if self.home.is_some() && !std::thread::panicking() {
            panic!("a host was dropped; end the story with `finish`, `stop` or `kill`");
        }
    }
}
