//! Configuration: what is read over what, and every mistake at once.

use super::*;

fn sources(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let file = (!file.is_empty()).then(|| (PathBuf::from("creel.toml"), file.to_owned()));
    Sources { file, environment: owned(environment), flags: owned(flags) }
}

fn mistakes(file: &str, environment: &[(&str, &str)]) -> Vec<String> {
    match Config::parse(&sources(file, environment, &[])).unwrap_err() {
        ConfigError::Mistakes(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn defaults_are_valid_and_said() {
    let config = Config::parse(&Sources::default()).unwrap();
    assert_eq!(config.ingress.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8081");
    assert_eq!((&config.public_url, config.base_url().as_str()), (&None, "http://127.0.0.1:8080"));
    assert_eq!(config.ingress.body_bytes_max, 10 << 20);
    assert_eq!(config.limits.memory_bytes_max, 64 << 20);
    assert!(config.egress_allow.is_empty() && config.egress_https_only);
    assert!(matches!(config.master_key, MasterKeySource::File(path) if path.ends_with("creel-data/master.key")));
    let help = help();
    for setting in SETTINGS {
        assert!(help.contains(&format!("{} ({})\n    {}", setting.key, setting.env(), setting.doc)), "{}", setting.key);
    }
}

#[test]
fn every_default_is_allowed_by_its_own_setting() {
    for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
        assert!(values::from_text(setting.kind, setting.default).is_ok(), "{}", setting.key);
    }
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = "data_dir = \"/f\"\nshutdown_timeout_ms = 1\n[ingress]\nlisten = \"127.0.0.1:1\"\nbody_bytes_max = \"1 MiB\"\n[egress]\nallow = [\"10.0.0.0/8\", \"crm.internal:8443\"]";
    let environment = [("CREEL_SHUTDOWN_TIMEOUT_MS", "2"), ("CREEL_INGRESS_LISTEN", "127.0.0.1:2"), ("HOME", "/")];
    let config = Config::parse(&sources(file, &environment, &[("ingress.listen", "127.0.0.1:3")])).unwrap();
    assert_eq!(config.data_dir, Path::new("/f"));
    assert_eq!(config.ingress.body_bytes_max, 1 << 20);
    assert_eq!(config.shutdown_timeout_ms, 2);
    assert_eq!(config.ingress.listen.port(), 3);
    assert_eq!(config.base_url(), "http://127.0.0.1:3");
    assert_eq!(config.egress_allow.len(), 2);
    let places = Config::parse(&sources("", &[("CREEL_EGRESS_ALLOW", "127.0.0.1:9000, *.internal")], &[])).unwrap();
    assert_eq!(places.egress_allow[1].to_string(), "*.internal");
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_line_and_what_is_allowed() {
    let file = "# a comment\ndata_dir = 7\n[ingress]\nlisten = \"8080\"\nlistn = \"127.0.0.1:1\"\nheaders_max = 5000\n[ingres]\nx = 1\n[log]\nformat = \"xml\"\n";
    let found = mistakes(file, &[("CREEL_SENDER_CONCURENCY", "4"), ("CREEL_EGRESS_HTTPS_ONLY", "yes")]);
    let expected = [
        "creel.toml:2: data_dir: `7` is not a path",
        "creel.toml:4: ingress.listen: `8080` is not an address and port such as `127.0.0.1:8080`",
        "creel.toml:5: ingress.listn: there is no such setting; is `ingress.listen` meant?",
        "creel.toml:6: ingress.headers_max: `5000` is not a whole number from 8 to 1000",
        "creel.toml:7: ingres: there is no such setting; is `ingress` meant?",
        "creel.toml:10: log.format: `xml` is not `text` or `json`",
        "CREEL_SENDER_CONCURENCY: there is no such setting; is `CREEL_SENDER_CONCURRENCY` meant?",
        "CREEL_EGRESS_HTTPS_ONLY: egress.https_only: `yes` is not `true` or `false`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn settings_that_nothing_reads_are_none() {
    for key in ["admin.body_bytes_max", "tenant.memory_bytes_max", "runtime.cache_files_max"] {
        assert!(mistakes(&format!("{key} = 1048576"), &[])[0].contains("there is no such setting"), "{key}");
    }
    let far = &mistakes("entirely_unknown_and_far_away = 1", &[])[0];
    assert!(far.contains("`creel settings` lists them"), "the command has to be there: {far}");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let found = mistakes("data_dir = \"x\"\n[ingress\nlisten = 1\n", &[]);
    assert!(found[0].starts_with("creel.toml:2: "), "{found:?}");
    let found = mistakes("log.filter = \"a\"\nlog.filter = \"b\"\n", &[]);
    assert!(found[0].starts_with("creel.toml:2: ") && found[0].contains("duplicate"), "{found:?}");
}

#[test]
fn values_must_fit_each_other() {
    assert_eq!(
        mistakes("[admin]\nlisten = \"0.0.0.0:8081\"\n", &[]),
        [
            "creel.toml:2: admin.listen: `0.0.0.0:8081` can be reached by others; use 127.0.0.1, or set `admin.allow_remote = true` if that is meant"
        ]
    );
    let remote = "admin.listen = \"0.0.0.0:1\"\nadmin.allow_remote = true\n";
    let with = |more: &str| Config::parse(&sources(&format!("{remote}{more}"), &[], &[]));
    assert!(with("").unwrap_err().to_string().contains("creel.toml:2: admin.allow_remote: lets keys"));
    assert!(with("admin.allow_plaintext = true").is_ok());
    let half = with("admin.tls.key_file = \"k\"").unwrap_err().to_string();
    assert!(half.contains("admin.tls.key_file: is of no use alone; set `admin.tls.certificate_file` too"), "{half}");
    let config = with("[admin.tls]\ncertificate_file = \"c\"\nkey_file = \"k\"").unwrap();
    assert_eq!(config.admin.tls, Some(TlsFiles { certificate: "c".into(), key: "k".into() }));
    let found = mistakes("[ingress]\nin_flight_body_bytes_max = \"2 MiB\"", &[]);
    assert!(
        found[0].starts_with("creel.toml:2: ingress.in_flight_body_bytes_max: `ingress.body_bytes_max` is"),
        "{found:?}"
    );
    assert!(mistakes("admin.listen = \"127.0.0.1:8080\"", &[])[0].contains("a port each"));
}

#[test]
fn the_master_key_comes_from_the_environment_and_is_never_shown() {
    let key = "ab".repeat(32);
    let config = Config::parse(&sources("", &[(MASTER_KEY_ENV, &key)], &[])).unwrap();
    assert!(matches!(config.master_key, MasterKeySource::Environment(_)));
    assert!(!format!("{config:?}").contains("abab"));
    let found = mistakes("", &[(MASTER_KEY_ENV, "hunter2")]);
    assert!(found[0].starts_with("CREEL_MASTER_KEY: master key: ") && !found[0].contains("hunter2"), "{found:?}");
}

#[test]
fn variables_that_kubernetes_sets_are_no_mistakes() {
    let environment = [("CREEL_SERVICE_HOST", "10.0.0.1"), ("CREEL_PORT_8080_TCP", "x"), ("CREEL_CONFIG", "f")];
    assert!(Config::parse(&sources("", &environment, &[])).is_ok());
    let of_tests_and_authors = [("CREEL_LONG", "1"), ("CREEL_SIM_SEEDS", "9"), ("CREEL_BUILD_DIR", "d")];
    assert!(Config::parse(&sources("", &of_tests_and_authors, &[])).is_ok());
}

#[test]
fn the_base_of_urls_is_what_was_set_or_follows_the_listener() {
    let set = Config::parse(&sources("public_url = \"https://hooks.example.com/\"", &[], &[])).unwrap();
    assert_eq!(set.base_url(), "https://hooks.example.com");
    let mut config = Config::in_directory(Path::new("/tmp/x"));
    config.ingress.listen.set_port(9);
    assert_eq!(config.base_url(), "http://127.0.0.1:9");
}

#[test]
fn a_directory_of_ones_own_has_its_own_key() {
    let config = Config::in_directory(Path::new("/tmp/x"));
    assert!(matches!(config.master_key, MasterKeySource::File(path) if path == Path::new("/tmp/x/master.key")));
}
