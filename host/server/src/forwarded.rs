//! Whom a request comes from when a proxy stands before the host: the address that a trusted proxy names, pure.
//!
//! Any sender can write `X-Forwarded-For`, and each proxy on the way adds at the right whom it was spoken to by. So a
//! word counts only as far as it was written by somebody trusted: beginning with the connection's own other end, the list
//! is read from the right for as long as the addresses are those of `ingress.trusted_proxies`; the first that is not is
//! the sender. What is left of it anybody could have written. A connection from elsewhere is its own sender, whatever
//! its headers say.
//!
//! Only the one header of `ingress.forwarded_header` is read: a proxy that maintains one passes the other on as the
//! sender wrote it. Nothing else that proxies say is believed: a URL that a provider signs is one of the source's own
//! (`public_url`, `public_url_aliases`, a source's `public_urls`), never made of `Host` or `X-Forwarded-Proto`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;

/// Hops that are read, from the right: more than any way through proxies of one's own has.
const HOPS_MAX: usize = 32;

/// The header that proxies maintain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Whose word about a request's origin counts.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    header: ForwardedHeader,
}

impl TrustedProxies {
    /// Those of these networks, which maintain that header.
    pub fn new(networks: &[IpNet], header: ForwardedHeader) -> Self {
        TrustedProxies { networks: networks.into(), header }
    }

    /// Whether an address is that of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whom a request on a connection from `peer` comes from.
    pub fn sender(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.contains(peer) {
            return peer;
        }
        match self.header {
            ForwardedHeader::XForwardedFor => self
                .first_untrusted(peer, lines(headers, "x-forwarded-for").flat_map(|line| line.rsplit(',').map(node))),
            ForwardedHeader::Forwarded => {
                self.first_untrusted(peer, lines(headers, "forwarded").flat_map(|line| elements(line).rev()))
            }
        }
    }

    fn first_untrusted(&self, proxy: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut sender = proxy;
        for hop in hops.take(HOPS_MAX) {
            // Whoever hides its address is known by the proxy that it hid from.
            let Some(address) = hop else { break };
            sender = address;
            if !self.contains(address) {
                break;
            }
        }
        sender
    }
}

/// The lines of a header, the last first.
fn lines<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    lines.into_iter().rev()
}

/// The `for` of each element of a `Forwarded` line.
fn elements(line: &str) -> std::vec::IntoIter<Option<IpAddr>> {
    let of = |element: &str| {
        let pairs = outside_quotes(element, ';');
        let of = pairs.iter().filter_map(|pair| pair.split_once('='));
        of.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).and_then(|(_, value)| node(value))
    };
    outside_quotes(line, ',').into_iter().map(of).collect::<Vec<_>>().into_iter()
}

/// The parts between separators that no quotes surround.
fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|char| {
        quoted ^= char == '"';
        char == separator && !quoted
    })
    .collect()
}

/// An address, with or without brackets, port and quotes.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: &[&str] = &["10.0.0.0/8", "fd00::/8"];

    fn sender(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        let networks: Vec<IpNet> = PROXIES.iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        let (ours, other) = match header {
            ForwardedHeader::XForwardedFor => ("x-forwarded-for", "forwarded"),
            ForwardedHeader::Forwarded => ("forwarded", "x-forwarded-for"),
        };
        headers.append(other, "for=6.6.6.6, 6.6.6.6".parse().unwrap());
        headers.append("x-real-ip", "6.6.6.6".parse().unwrap());
        for line in lines {
            headers.append(ours, line.parse().unwrap());
        }
        TrustedProxies::new(&networks, header).sender(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_is_the_sender() {
        for (peer, lines, expected) in [
            ("203.0.113.9", &["1.1.1.1"][..], "203.0.113.9"), // nobody's word
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("::ffff:10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"), // the sender wrote the left one
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1, 10.0.0.2", "10.0.0.3"], "1.1.1.1"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"), // a sender among the proxies
            ("10.0.0.1", &["1.1.1.1:5000"], "1.1.1.1"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]:443 "], "2001:db8::1"),
            ("10.0.0.1", &["1.1.1.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, "], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            assert_eq!(sender(ForwardedHeader::XForwardedFor, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_standard_header_is_read_when_it_is_the_one() {
        for (lines, expected) in [
            (&["for=1.1.1.1;proto=https;by=10.0.0.1"][..], "1.1.1.1"),
            (&["for=6.6.6.6, For=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=6.6.6.6", "proto=https;for=1.1.1.1, for=10.0.0.7"], "1.1.1.1"),
            (&["for=\"1.1.1.1, for=6.6.6.6\""], "10.0.0.1"), // a comma in quotes separates nothing
            (&["for=1.1.1.1, for=_hidden"], "10.0.0.1"),
            (&["for=1.1.1.1, proto=https"], "10.0.0.1"),
        ] {
            assert_eq!(sender(ForwardedHeader::Forwarded, "10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_long_list_is_read_so_far() {
        let long = vec!["10.0.0.9"; 10_000].join(",");
        assert_eq!(sender(ForwardedHeader::XForwardedFor, "10.0.0.1", &[&format!("1.1.1.1,{long}")]), "10.0.0.9");
    }
}
