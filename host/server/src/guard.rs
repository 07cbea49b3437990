//! Where calls may go: the egress guard, pure.
//!
//! Tenants write destinations, and the host stands inside somebody's network. So a call may reach the public internet
//! and nothing else: every address is looked up in one table of special ranges and denied when it is there, unless
//! the operator's `egress.allow` names it. The guard is asked three times:
//!
//! * [`Guard::check_literal`] when a URL is saved, so that a bad one is refused while somebody is looking;
//! * [`Guard::check_url`] before every send, because a literal address is never resolved;
//! * [`Guard::check_addr`] for every address that a name resolved to, at the moment of connecting to just that one.
//!
//! What an entry of `egress.allow` opens: a network or address (`10.1.0.0/16`, `127.0.0.1:9000`, `[fd00::/8]:443`)
//! opens its addresses; a name (`crm.internal:8443`, `*.svc.cluster.local`) opens what that name resolves to. A cloud's
//! metadata address, which hands out the machine's credentials, is opened only by an entry of exactly that address.
//! Unspecified, multicast and broadcast addresses are never opened. An address that carries another (IPv4-mapped,
//! NAT64, 6to4) is opened only if both are.
//!
//! With `egress.https_only`, plain `http` goes only to what `egress.allow` names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

/// The special ranges that calls do not reach by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Range {
    /// `0.0.0.0/8`, `::`: this host.
    Unspecified,
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// RFC 1918.
    Private,
    /// `fc00::/7`.
    UniqueLocal,
    /// `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// `fec0::/10`, long deprecated.
    SiteLocal,
    /// Where clouds hand out credentials.
    Metadata,
    /// `100.64.0.0/10`: between a provider and its customers.
    CarrierNat,
    /// `192.0.0.0/24`, `2001::/23` and others of the IETF.
    Protocol,
    /// Example addresses.
    Documentation,
    /// `198.18.0.0/15`, `2001:2::/48`.
    Benchmarking,
    /// `224.0.0.0/4`, `ff00::/8`.
    Multicast,
    /// `255.255.255.255`.
    Broadcast,
    /// Not assigned to anybody.
    Reserved,
    /// `::ffff:0:0/96`: an IPv4 address in disguise.
    Ipv4Mapped,
    /// `::/96` and `::ffff:0:0:0/96`: older disguises.
    Ipv4Compatible,
    /// `64:ff9b::/96`, `64:ff9b:1::/48`: through a translator to IPv4.
    Nat64,
    /// `2002::/16`, `192.88.99.0/24`: through a tunnel to IPv4.
    SixToFour,
    /// `2001::/32`: through a tunnel to somebody's machine.
    Teredo,
    /// `…::5efe:a.b.c.d` under any prefix: through a tunnel to IPv4 inside of somebody's network.
    Isatap,
}

impl Range {
    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Range::Unspecified => "an unspecified address",
            Range::Loopback => "a loopback address",
            Range::Private => "a private address",
            Range::UniqueLocal => "a unique local (private) address",
            Range::LinkLocal => "a link-local address",
            Range::SiteLocal => "a site-local address",
            Range::Metadata => "a cloud metadata address",
            Range::CarrierNat => "a carrier-grade NAT address",
            Range::Protocol => "an IETF protocol address",
            Range::Documentation => "a documentation address",
            Range::Benchmarking => "a benchmarking address",
            Range::Multicast => "a multicast address",
            Range::Broadcast => "the broadcast address",
            Range::Reserved => "a reserved address",
            Range::Ipv4Mapped => "an IPv4-mapped address",
            Range::Ipv4Compatible => "an IPv4-compatible address",
            Range::Nat64 => "a NAT64 address",
            Range::SixToFour => "a 6to4 address",
            Range::Teredo => "a Teredo address",
            Range::Isatap => "an ISATAP address",
        }
    }

    /// No entry opens these: nothing that answers HTTP lives there.
    fn is_never_opened(self) -> bool {
        matches!(self, Range::Unspecified | Range::Multicast | Range::Broadcast)
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// The IPv4 ranges, the narrow before the wide: the first that contains an address is its range.
const V4_RANGES: &[(Ipv4Addr, u32, Range)] = &[
    (v4(169, 254, 169, 254), 32, Range::Metadata), // AWS, Azure, Google, DigitalOcean, Hetzner …
    (v4(169, 254, 170, 2), 32, Range::Metadata),   // AWS ECS tasks
    (v4(169, 254, 170, 23), 32, Range::Metadata),  // AWS EKS pods
    (v4(100, 100, 100, 200), 32, Range::Metadata), // Alibaba
    (v4(192, 0, 0, 192), 32, Range::Metadata),     // Oracle
    (v4(168, 63, 129, 16), 32, Range::Metadata),   // Azure's wire server, public by number only
    (v4(0, 0, 0, 0), 8, Range::Unspecified),
    (v4(10, 0, 0, 0), 8, Range::Private),
    (v4(100, 64, 0, 0), 10, Range::CarrierNat),
    (v4(127, 0, 0, 0), 8, Range::Loopback),
    (v4(169, 254, 0, 0), 16, Range::LinkLocal),
    (v4(172, 16, 0, 0), 12, Range::Private),
    (v4(192, 0, 0, 0), 24, Range::Protocol),
    (v4(192, 0, 2, 0), 24, Range::Documentation),
    (v4(192, 88, 99, 0), 24, Range::SixToFour),
    (v4(192, 168, 0, 0), 16, Range::Private),
    (v4(198, 18, 0, 0), 15, Range::Benchmarking),
    (v4(198, 51, 100, 0), 24, Range::Documentation),
    (v4(203, 0, 113, 0), 24, Range::Documentation),
    (v4(224, 0, 0, 0), 4, Range::Multicast),
    (v4(255, 255, 255, 255), 32, Range::Broadcast),
    (v4(240, 0, 0, 0), 4, Range::Reserved),
];

const fn v6(a: u16, b: u16, c: u16, d: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

/// The IPv6 ranges in the same way; what is outside `2000::/3` and not named is reserved.
const V6_RANGES: &[(Ipv6Addr, u32, Range)] = &[
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, Range::Metadata), // AWS
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128, Range::Metadata),  // AWS EKS pods
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, Range::Metadata),  // Google
    (Ipv6Addr::UNSPECIFIED, 128, Range::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Range::Loopback),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, Range::Ipv4Mapped),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, Range::Ipv4Compatible),
    (Ipv6Addr::UNSPECIFIED, 96, Range::Ipv4Compatible),
    (v6(0x64, 0xff9b, 0, 0), 96, Range::Nat64),
    (v6(0x64, 0xff9b, 1, 0), 48, Range::Nat64),
    (v6(0x2001, 0, 0, 0), 32, Range::Teredo),
    (v6(0x2001, 2, 0, 0), 48, Range::Benchmarking),
    (v6(0x2001, 0xdb8, 0, 0), 32, Range::Documentation),
    (v6(0x2001, 0, 0, 0), 23, Range::Protocol),
    (v6(0x2002, 0, 0, 0), 16, Range::SixToFour),
    (v6(0x3fff, 0, 0, 0), 20, Range::Documentation),
    (v6(0xfc00, 0, 0, 0), 7, Range::UniqueLocal),
    (v6(0xfe80, 0, 0, 0), 10, Range::LinkLocal),
    (v6(0xfec0, 0, 0, 0), 10, Range::SiteLocal),
    (v6(0xff00, 0, 0, 0), 8, Range::Multicast),
];

/// The special range that an address is in; `None` for the public internet.
pub fn range_of(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(address) => V4_RANGES
            .iter()
            .find(|(network, prefix, _)| (address.to_bits() ^ network.to_bits()) >> (32 - prefix) == 0)
            .map(|(_, _, range)| *range),
        IpAddr::V6(address) => V6_RANGES
            .iter()
            .find(|(network, prefix, _)| (address.to_bits() ^ network.to_bits()) >> (128 - prefix) == 0)
            .map(|(_, _, range)| *range)
            .or_else(|| (address.segments()[0] >> 13 != 1).then_some(Range::Reserved))
            .or_else(|| is_isatap(address).then_some(Range::Isatap)),
    }
}

/// RFC 5214 section 6.1, with and without the bit for globally unique addresses.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [.., high, low, _, _] = address.segments();
    high & 0xfdff == 0 && low == 0x5efe
}

/// The IPv4 address that an IPv6 address leads to, where its range has one.
fn carried(address: IpAddr, range: Range) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let bits = address.to_bits();
    let inner = match range {
        // RFC 6052 section 2.2 with a prefix of 48 bits, as RFC 8215 gives it to local translators: around bit 64.
        Range::Nat64 if bits as u32 == 0 => ((bits >> 48) as u32 & 0xffff_0000) | (bits >> 40) as u32 & 0xffff,
        Range::Ipv4Mapped | Range::Ipv4Compatible | Range::Nat64 | Range::Isatap => bits as u32,
        Range::SixToFour => (bits >> 80) as u32,
        Range::Teredo => !(bits as u32),
        _ => return None,
    };
    Some(IpAddr::V4(Ipv4Addr::from_bits(inner)))
}

/// Why a call may not go there. The text names the range and the setting that opens it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Not a URL that could be called.
    #[error("`{url}` is no URL that calls can go to ({reason}); write it as `https://host/path`")]
    NotAUrl {
        /// What was written, shortened.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A user name or password in the URL.
    #[error(
        "the URL has a user name or password before its host; make a secret of it and name that in the destination's `auth`"
    )]
    UserInfo,
    /// Written so that it reads like something else.
    #[error("the host `{host}` is an odd way to write `{plain}`; write it so")]
    OddHost {
        /// As written.
        host: String,
        /// As it should be written.
        plain: String,
    },
    /// An address in a special range.
    ///
    /// Its text goes to tenants, so it never holds the address that a name led to: whoever writes destinations could
    /// map the operator's network by it. The address is for the operator's log.
    #[error("{} {}, where calls may not go{}", host_of(host, *address), range.as_str(), how_to_open(host, *range, *address, *port))]
    Range {
        /// The host as named in the URL.
        host: String,
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// Its range.
        range: Range,
    },
    /// Unencrypted to a place that the operator did not name.
    #[error(
        "`http://{host}` is not encrypted; use https, or the operator names it in `egress.allow` or sets `egress.https_only = false`"
    )]
    Plain {
        /// The host as named in the URL.
        host: String,
    },
}

/// The address that a host is by itself, without being resolved.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn host_of(host: &str, address: IpAddr) -> String {
    if literal(host) == Some(address) { format!("`{host}` is") } else { format!("`{host}` leads to") }
}

fn how_to_open(host: &str, range: Range, address: IpAddr, port: u16) -> String {
    if range.is_never_opened() {
        return "; no setting opens it".to_owned();
    }
    let entry = match literal(host) {
        Some(_) => SocketAddr::new(address, port).to_string(),
        None if range == Range::Metadata => {
            return "; the operator opens it with an entry of exactly its address in `egress.allow`".to_owned();
        }
        None => format!("{}:{port}", host.trim_end_matches('.')),
    };
    format!("; the operator opens it with `egress.allow = [\"{entry}\"]`")
}

/// One entry of `egress.allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowEntry {
    place: Place,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Network(IpNet),
    /// Exactly this name, lower case.
    Name(String),
    /// Any name that ends so; begins with a dot.
    NamesUnder(String),
}

/// A text that is no entry of `egress.allow`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place; write a network (`10.1.0.0/16`), an address (`127.0.0.1`, `[::1]:9000`) or a host name (`crm.internal`, `*.internal:8443`)"
)]
pub struct AllowEntryError(String);

impl FromStr for AllowEntry {
    type Err = AllowEntryError;

    fn from_str(text: &str) -> Result<Self, AllowEntryError> {
        let error = || AllowEntryError(text.chars().take(80).collect());
        let network = |text: &str| text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
        if let Some(network) = network(text) {
            return Ok(AllowEntry { place: Place::Network(network), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(error)?)),
            None => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Some(network) = network(bare) {
            return Ok(AllowEntry { place: Place::Network(network), port });
        }
        let host = host.to_ascii_lowercase();
        let under = host.strip_prefix('*').filter(|rest| rest.starts_with('.'));
        if !is_host_name(under.map_or(host.as_str(), |rest| &rest[1..])) {
            return Err(error());
        }
        let place = match under {
            Some(suffix) => Place::NamesUnder(suffix.to_owned()),
            None => Place::Name(host),
        };
        Ok(AllowEntry { place, port })
    }
}

impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.port) {
            (Place::Network(network @ IpNet::V6(_)), Some(_)) => write!(f, "[{network}]")?,
            (Place::Network(network), _) => write!(f, "{network}")?,
            (Place::Name(name), _) => f.write_str(name)?,
            (Place::NamesUnder(suffix), _) => write!(f, "*{suffix}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A name as the DNS has them, whose last label is no number (that would be an address in an odd form).
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && name.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()))
        && !name.starts_with("0x")
}

impl AllowEntry {
    fn opens(&self, target: SocketAddr, host: &str, range: Option<Range>) -> bool {
        if self.port.is_some_and(|port| port != target.port()) {
            return false;
        }
        let metadata = range == Some(Range::Metadata);
        match &self.place {
            Place::Network(network) => {
                network.contains(&target.ip()) && (!metadata || network.prefix_len() == network.max_prefix_len())
            }
            Place::Name(name) => !metadata && host.eq_ignore_ascii_case(name),
            Place::NamesUnder(suffix) => {
                let host = host.to_ascii_lowercase();
                !metadata && host.len() > suffix.len() && host.ends_with(suffix)
            }
        }
    }
}

/// What decides where calls may go.
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Vec<AllowEntry>,
    https_only: bool,
}

impl Guard {
    /// A guard with the operator's `egress.allow` and `egress.https_only`.
    pub fn new(allow: Vec<AllowEntry>, https_only: bool) -> Self {
        Guard { allow, https_only }
    }

    /// Checks a URL that is to be saved: what is wrong with it before any name is resolved.
    ///
    /// # Errors
    /// [`Denied`]; also for a public address in a form that reads like another one.
    pub fn check_literal(&self, text: &str) -> Result<Url, Denied> {
        let host = written_host(text)?;
        let url = Url::parse(text).map_err(|error| not_a_url(text, &error.to_string()))?;
        if host.contains('@') || !url.username().is_empty() || url.password().is_some() {
            return Err(Denied::UserInfo);
        }
        self.check_url(&url)?;
        let plain = url.host_str().unwrap_or_default();
        let odd = match url.host() {
            Some(Host::Ipv4(_)) => host != plain,
            Some(Host::Domain(_)) => host.contains('%') || host.ends_with('.'),
            _ => false,
        };
        if odd {
            let (host, plain) = (host.to_owned(), plain.trim_end_matches('.').to_owned());
            return Err(Denied::OddHost { host, plain });
        }
        Ok(url)
    }

    /// Checks a URL before a call: its scheme, and its host if that is an address or `localhost`. Names are checked
    /// by [`Guard::check_addr`] when they are resolved.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check_url(&self, url: &Url) -> Result<(), Denied> {
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            other => return Err(not_a_url(url.as_str(), &format!("`{other}` is neither https nor http"))),
        };
        let port = url.port_or_known_default().unwrap_or(443);
        let check = |ip: IpAddr, host: &str| self.check_addr(SocketAddr::new(ip, port), host, plain);
        match url.host() {
            None => Err(not_a_url(url.as_str(), "it has no host")),
            Some(Host::Ipv4(ip)) => check(ip.into(), &ip.to_string()),
            Some(Host::Ipv6(ip)) => check(ip.into(), &format!("[{ip}]")),
            Some(Host::Domain(name)) => {
                let bare = name.trim_end_matches('.');
                if bare == "localhost" || bare.ends_with(".localhost") {
                    let v4 = check(Ipv4Addr::LOCALHOST.into(), name);
                    return v4.or_else(|denied| check(Ipv6Addr::LOCALHOST.into(), name).map_err(|_| denied));
                }
                if plain && self.https_only && self.allow.is_empty() {
                    return Err(Denied::Plain { host: name.to_owned() });
                }
                Ok(())
            }
        }
    }

    /// Checks an address that a call is about to connect to; `host` is the URL's host, which led to it, and `plain`
    /// says that the call is not encrypted.
    ///
    /// # Errors
    /// [`Denied::Range`] and [`Denied::Plain`].
    pub fn check_addr(&self, target: SocketAddr, host: &str, plain: bool) -> Result<(), Denied> {
        let range = range_of(target.ip());
        let opened = |target: SocketAddr, range| self.allow.iter().any(|entry| entry.opens(target, host, range));
        if let Some(range) = range {
            let denied =
                |ip: IpAddr, range| Denied::Range { host: host.to_owned(), address: ip, port: target.port(), range };
            let inner = carried(target.ip(), range).and_then(|ip| range_of(ip).map(|range| (ip, range)));
            if let Some((ip, inner)) = inner
                && (inner.is_never_opened() || !opened(SocketAddr::new(ip, target.port()), Some(inner)))
            {
                return Err(denied(ip, inner));
            }
            if range.is_never_opened() || !opened(target, Some(range)) {
                return Err(denied(target.ip(), range));
            }
        }
        if plain && self.https_only && !opened(target, range) {
            return Err(Denied::Plain { host: host.to_owned() });
        }
        Ok(())
    }
}

/// The host as it is written, before the URL parser makes it plain.
fn written_host(text: &str) -> Result<&str, Denied> {
    if let Some(odd) = text.chars().find(|char| char.is_whitespace() || char.is_control() || *char == '\\') {
        return Err(not_a_url(text, &format!("it contains {odd:?}")));
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| not_a_url(text, "it has no `https://`"))?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(not_a_url(text, "it is neither https nor http"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(not_a_url(text, "it has no host"));
    }
    if authority.contains('@') {
        return Err(Denied::UserInfo);
    }
    match authority.find(']') {
        Some(end) => Ok(&authority[..=end]),
        None => Ok(authority.split(':').next().unwrap_or_default()),
    }
}

/// Shows no more of a URL than its beginning, without query: it may carry a token.
fn not_a_url(text: &str, reason: &str) -> Denied {
    let shown = text.split(['?', '#']).next().unwrap_or_default();
    let shown = shown.rsplit_once('@').map_or(shown, |(_, host)| host);
    Denied::NotAUrl { url: shown.chars().take(60).collect(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
