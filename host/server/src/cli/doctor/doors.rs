//! The two listeners: whether their ports are to be had, and whether their certificates hold.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use creel_webhook::clock::Timestamp;
use creel_webhook::signature::rsa::certificate_end;

use super::finding::Finding;
use crate::config::Config;
use crate::tls::TlsFiles;

/// A certificate that ends sooner should have been renewed, days: automatic renewals come a month before.
const DAYS_LEFT_WARN: u64 = 14;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Looks at both ports. `host` is the process that has the data directory, if one has.
pub(super) fn ports(config: &Config, host: Option<&str>, found: &mut Vec<Finding>) {
    found.push(port("ingress.listen", config.ingress.listen, host));
    found.push(port("admin.listen", config.admin.listen, host));
}

fn port(check: &'static str, address: SocketAddr, host: Option<&str>) -> Finding {
    if address.port() == 0 {
        return Finding::ok(check, "the system chooses a port");
    }
    let tried = TcpListener::bind(address);
    let name = |what: &str| format!("{what}, or choose another `{check}`");
    match (tried, host) {
        (Ok(_), None) => Finding::ok(check, format!("{address} is free")),
        (Ok(_), Some(host)) => Finding::no(
            check,
            format!("{host} works in the data directory, but nobody listens at {address}"),
            "give this command the configuration that the host was started with, or start the host again",
        ),
        (Err(error), Some(host)) if error.kind() == ErrorKind::AddrInUse => {
            Finding::ok(check, format!("{address} is in use, as it should be while {host} works"))
        }
        (Err(error), None) if error.kind() == ErrorKind::AddrInUse => Finding::no(
            check,
            format!("somebody else listens at {address}"),
            name(&format!("`ss -ltnp 'sport = :{}'` tells who; stop that", address.port())),
        ),
        (Err(error), _) if error.kind() == ErrorKind::PermissionDenied => Finding::no(
            check,
            format!("this user may not listen at {address}"),
            name("grant CAP_NET_BIND_SERVICE for ports below 1024"),
        ),
        (Err(error), _) => Finding::no(
            check,
            format!("nobody can listen at {address}: {error}"),
            name("give the machine that address"),
        ),
    }
}

/// Looks at the certificates of the listeners that have some.
pub(super) fn certificates(config: &Config, now: Timestamp, found: &mut Vec<Finding>) {
    let doors = [("ingress.tls", &config.ingress.tls), ("admin.tls", &config.admin.tls)];
    for (check, files) in doors {
        found.extend(files.as_ref().map(|files| certificate(check, files, now)));
    }
}

fn certificate(check: &'static str, files: &TlsFiles, now: Timestamp) -> Finding {
    let renew = "renew it; the host takes new files within a minute, at once on SIGHUP";
    let read = match files.read() {
        Ok(read) => read,
        Err(error) => return Finding::no(check, error.to_string(), "put both files of one certificate there"),
    };
    let name = files.certificate.display();
    let Some(end) = read.cert.first().and_then(|certificate| certificate_end(certificate)) else {
        return Finding::warn(
            check,
            format!("when {name} ends is not to be read"),
            "look with `openssl x509 -enddate`",
        );
    };
    let days = end.since_ms(now) / DAY_MS;
    if end <= now {
        return Finding::no(check, format!("{name} ended on {end}: no sender accepts it"), renew);
    }
    if days < DAYS_LEFT_WARN {
        return Finding::warn(check, format!("{name} ends in {days} days, on {end}"), renew);
    }
    Finding::ok(check, format!("{name} and its key belong together; it is good for {days} days"))
}
